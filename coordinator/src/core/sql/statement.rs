//! Statements: what kind a text is, before names mean anything.

use super::parser::{Parse, Parser};
use super::query::read_only;
use super::refusal::{Refusal, Rule};
use super::syntax::Wrapped;
use super::token::Kind;

/// A statement as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Written {
    /// Nothing at all.
    Empty,
    /// A query.
    Query(Wrapped),
    /// `EXPLAIN`, as JSON or as rows.
    Explain(Wrapped, bool),
    /// `SET name = value`; no value for the usual one.
    Set(Setting),
    /// `SHOW name`.
    Show(String, usize),
    /// `BEGIN`, `COMMIT` and so on, and settings of transactions: these change nothing.
    Transaction(&'static str),
}

/// A setting to change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Setting {
    /// Its name, in lower case; `all` with `RESET`.
    pub name: String,
    /// Where the name starts.
    pub name_position: usize,
    /// The value as written, without quotes.
    pub value: Option<String>,
    /// Where the value starts.
    pub position: usize,
}

/// Reads one statement; a semicolon may follow.
pub(super) fn read(text: &str) -> Parse<Written> {
    let mut parser = Parser::new(text)?;
    while parser.symbol(";") {}
    if parser.is_end() {
        return Ok(Written::Empty);
    }
    let written = one(&mut parser)?;
    let ended = parser.is_symbol(";");
    while parser.symbol(";") {}
    if parser.is_end() {
        return Ok(written);
    }
    if ended {
        return Err(Refusal::at(
            parser.position(),
            "42601",
            Rule::Grammar,
            "a second statement follows",
            "send one statement at a time",
        ));
    }
    Err(parser.unexpected("the end of the statement"))
}

fn one(parser: &mut Parser) -> Parse<Written> {
    let position = parser.position();
    let Kind::Word(first) = parser.ahead(0).clone() else {
        return Err(parser.unexpected("SELECT"));
    };
    let first = first.to_ascii_lowercase();
    match first.as_str() {
        "select" => parser.wrapped().map(Written::Query),
        "explain" => explain(parser),
        "set" => set(parser),
        "reset" => reset(parser),
        "show" => show(parser),
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release"
        | "discard" | "deallocate" | "close" => Ok(transaction(parser, &first)),
        "with" => Err(parser.unexpected("SELECT")),
        "discover" => Err(Refusal::at(
            position,
            "0A000",
            Rule::Grammar,
            "discovering keys is not offered",
            "group by keys that the contract publishes",
        )),
        "prepare" | "execute" | "declare" | "fetch" | "listen" | "notify" | "unlisten" | "load"
        | "move" | "values" | "table" => Err(Refusal::at(
            position,
            "0A000",
            Rule::Grammar,
            format!("{} is not part of the grammar", first.to_uppercase()),
            "write SELECT; prepare statements by the client's protocol",
        )),
        _ if WRITES.contains(&first.as_str()) => Err(read_only(position)),
        _ => Err(Refusal::at(
            position,
            "42601",
            Rule::Grammar,
            format!("found {:?}, expected SELECT", clipped(&first)),
            "write SELECT, EXPLAIN, SET or SHOW",
        )),
    }
}

const WRITES: [&str; 27] = [
    "insert",
    "update",
    "delete",
    "merge",
    "upsert",
    "replace",
    "create",
    "drop",
    "alter",
    "truncate",
    "copy",
    "grant",
    "revoke",
    "vacuum",
    "analyze",
    "call",
    "do",
    "lock",
    "refresh",
    "comment",
    "reindex",
    "cluster",
    "import",
    "security",
    "reassign",
    "checkpoint",
    "rename",
];

fn clipped(word: &str) -> String {
    word.chars().take(40).collect()
}

fn explain(parser: &mut Parser) -> Parse<Written> {
    parser.advance();
    let mut json = false;
    if parser.is_symbol("(") {
        parser.advance();
        parser.list(|parser| {
            if parser.is_word("analyze") || parser.is_word("analyse") {
                return Err(analyze(parser.position()));
            }
            if !parser.word("format") {
                return Err(parser.unexpected("FORMAT"));
            }
            json = parser.word("json");
            if !json {
                parser.expect_word("text")?;
            }
            Ok(())
        })?;
        parser.expect_symbol(")")?;
    }
    if parser.is_word("analyze") || parser.is_word("analyse") {
        return Err(analyze(parser.position()));
    }
    let _ = parser.word("verbose");
    if let Kind::Word(word) = parser.ahead(0)
        && WRITES.contains(&word.to_ascii_lowercase().as_str())
    {
        return Err(read_only(parser.position()));
    }
    Ok(Written::Explain(parser.wrapped()?, json))
}

fn analyze(position: usize) -> Refusal {
    Refusal::at(
        position,
        "0A000",
        Rule::Extremes,
        "EXPLAIN ANALYZE would time the work on customers",
        "write EXPLAIN",
    )
}

fn set(parser: &mut Parser) -> Parse<Written> {
    parser.advance();
    let local = parser.is_word("local") && !parser.is_symbol_ahead(1, ".");
    let scope = parser.is_word("session") || parser.is_word("local");
    if scope && !parser.is_symbol_ahead(1, ".") {
        parser.advance();
    }
    for words in ["transaction", "characteristics", "constraints"] {
        if parser.is_word(words) {
            return Ok(transaction(parser, "set"));
        }
    }
    let name_position = parser.position();
    if parser.word("time") {
        parser.expect_word("zone")?;
        return value(parser, "timezone".to_owned(), name_position);
    }
    if parser.word("names") {
        return value(parser, "client_encoding".to_owned(), name_position);
    }
    let name = setting_name(parser)?;
    if local && name.starts_with("aquifer.") {
        return Err(Refusal::at(
            name_position,
            "0A000",
            Rule::Settings,
            "SET LOCAL would end with the transaction, and transactions change nothing here",
            "write SET, and RESET after it",
        ));
    }
    if !parser.symbol("=") {
        parser.expect_word("to")?;
    }
    value(parser, name, name_position)
}

fn setting_name(parser: &mut Parser) -> Parse<String> {
    let mut name = parser.name("a setting")?.text.to_ascii_lowercase();
    while parser.symbol(".") {
        name.push('.');
        name.push_str(&parser.name("a setting")?.text.to_ascii_lowercase());
    }
    Ok(name)
}

/// One or several values, kept as one text.
fn value(parser: &mut Parser, name: String, name_position: usize) -> Parse<Written> {
    let position = parser.position();
    let mut parts = Vec::new();
    while !parser.is_end() && !parser.is_symbol(";") {
        parts.push(match parser.ahead(0) {
            Kind::Word(text) | Kind::Quoted(text) | Kind::Number(text) | Kind::Text(text) => {
                text.clone()
            }
            Kind::Symbol(symbol) if [",", "-", "+"].contains(&symbol.as_str()) => symbol.clone(),
            _ => return Err(parser.unexpected("a value")),
        });
        parser.advance();
    }
    if parts.is_empty() {
        return Err(parser.unexpected("a value"));
    }
    let whole = parts.concat();
    let value = (!whole.eq_ignore_ascii_case("default")).then_some(whole);
    Ok(Written::Set(Setting {
        name,
        name_position,
        value,
        position,
    }))
}

fn reset(parser: &mut Parser) -> Parse<Written> {
    parser.advance();
    let name_position = parser.position();
    let all = parser.word("all");
    let name = match all {
        true => "all".to_owned(),
        false => setting_name(parser)?,
    };
    Ok(Written::Set(Setting {
        name,
        name_position,
        value: None,
        position: name_position,
    }))
}

fn show(parser: &mut Parser) -> Parse<Written> {
    parser.advance();
    let position = parser.position();
    if parser.word("time") {
        parser.expect_word("zone")?;
        return Ok(Written::Show("timezone".to_owned(), position));
    }
    if parser.word("transaction") {
        parser.expect_word("isolation")?;
        parser.expect_word("level")?;
        return Ok(Written::Show("transaction_isolation".to_owned(), position));
    }
    if parser.word("all") {
        return Ok(Written::Show("all".to_owned(), position));
    }
    Ok(Written::Show(setting_name(parser)?, position))
}

/// The rest of the statement changes nothing.
fn transaction(parser: &mut Parser, first: &str) -> Written {
    while !parser.is_end() && !parser.is_symbol(";") {
        parser.advance();
    }
    Written::Transaction(match first {
        "begin" | "start" => "BEGIN",
        "commit" | "end" => "COMMIT",
        "rollback" | "abort" => "ROLLBACK",
        "savepoint" => "SAVEPOINT",
        "release" => "RELEASE",
        "discard" => "DISCARD ALL",
        "deallocate" => "DEALLOCATE",
        "close" => "CLOSE CURSOR",
        _ => "SET",
    })
}
