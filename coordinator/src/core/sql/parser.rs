//! Walks over tokens: what comes next, and what is said where it is none of what may come.

use super::refusal::{Refusal, Rule};
use super::syntax::{Column, Literal, LiteralValue, Name};
use super::token::{Kind, Token, tokens};
use aquifer_shared::base::decimal::Decimal;
use aquifer_shared::base::limits::{FILTER_DEPTH_MAX, TERMS_MAX};

/// The tokens of a text and how far they are read.
pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    terms: usize,
    depth: usize,
}

pub(super) type Parse<T> = Result<T, Refusal>;

impl Parser {
    pub(super) fn new(text: &str) -> Parse<Self> {
        Ok(Self {
            tokens: tokens(text)?,
            at: 0,
            terms: 0,
            depth: 0,
        })
    }

    /// The token that is so many after the next.
    pub(super) fn ahead(&self, more: usize) -> &Kind {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + more).min(last)].kind
    }

    /// Where the next token starts.
    pub(super) fn position(&self) -> usize {
        self.tokens[self.at.min(self.tokens.len() - 1)].position
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    pub(super) fn is_end(&self) -> bool {
        *self.ahead(0) == Kind::End
    }

    /// Whether the token after `more` others is this keyword.
    pub(super) fn is_word_ahead(&self, more: usize, word: &str) -> bool {
        matches!(self.ahead(more), Kind::Word(found) if found.eq_ignore_ascii_case(word))
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.is_word_ahead(0, word)
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.ahead(0), Kind::Symbol(found) if found == symbol)
    }

    pub(super) fn is_symbol_ahead(&self, more: usize, symbol: &str) -> bool {
        matches!(self.ahead(more), Kind::Symbol(found) if found == symbol)
    }

    /// Takes a keyword if it is next.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    /// Takes a symbol if it is next.
    pub(super) fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Parse<()> {
        if self.word(word) {
            return Ok(());
        }
        Err(self.unexpected(word))
    }

    pub(super) fn expect_symbol(&mut self, symbol: &str) -> Parse<()> {
        if self.symbol(symbol) {
            return Ok(());
        }
        Err(self.unexpected(&format!("'{symbol}'")))
    }

    /// A name that is no keyword of the grammar unless it is quoted.
    pub(super) fn name(&mut self, expected: &str) -> Parse<Name> {
        let position = self.position();
        let name = match self.ahead(0) {
            Kind::Word(word) if !is_reserved(word) => Name {
                text: word.clone(),
                quoted: false,
                position,
            },
            Kind::Quoted(text) => Name {
                text: text.clone(),
                quoted: true,
                position,
            },
            _ => return Err(self.unexpected(expected)),
        };
        self.advance();
        Ok(name)
    }

    /// `AS name`, or a name that follows at once.
    pub(super) fn alias(&mut self) -> Parse<Option<Name>> {
        if self.word("as") {
            // After AS every word is a name.
            if let Kind::Word(word) = self.ahead(0) {
                let (text, position) = (word.clone(), self.position());
                self.advance();
                let quoted = false;
                return Ok(Some(Name {
                    text,
                    quoted,
                    position,
                }));
            }
            return self.name("a name").map(Some);
        }
        match self.ahead(0) {
            Kind::Quoted(_) => self.name("a name").map(Some),
            Kind::Word(word) if !is_reserved(word) => self.name("a name").map(Some),
            _ => Ok(None),
        }
    }

    /// `[schema.][table.]column`.
    pub(super) fn column(&mut self) -> Parse<Column> {
        let mut names = vec![self.name("a column")?];
        while self.symbol(".") {
            if self.is_symbol("*") {
                return Err(self.star());
            }
            names.push(self.name("a column")?);
        }
        let name = names.pop().ok_or_else(|| self.unexpected("a column"))?;
        Ok(Column { table: names, name })
    }

    /// A value.
    pub(super) fn literal(&mut self) -> Parse<Literal> {
        let position = self.position();
        if self.symbol("(") {
            let inner = self.deeper(Self::literal)?;
            self.expect_symbol(")")?;
            self.refuse_operators()?;
            return Ok(inner);
        }
        let negative = self.symbol("-");
        if !negative {
            self.symbol("+");
        }
        let value = match self.ahead(0).clone() {
            Kind::Number(digits) => {
                let signed = if negative {
                    format!("-{digits}")
                } else {
                    digits
                };
                let number = Decimal::parse(&signed);
                LiteralValue::Number(number.ok_or_else(|| huge(position))?)
            }
            _ if position != self.position() => return Err(self.unexpected("a number")),
            Kind::Text(text) => LiteralValue::Text(text),
            Kind::Parameter(number) => LiteralValue::Parameter(number),
            Kind::Word(word) if word.eq_ignore_ascii_case("null") => LiteralValue::Null,
            Kind::Word(word) if word.eq_ignore_ascii_case("true") => LiteralValue::Truth(true),
            Kind::Word(word) if word.eq_ignore_ascii_case("false") => LiteralValue::Truth(false),
            Kind::Word(word) if word.eq_ignore_ascii_case("date") => {
                let Kind::Text(text) = self.ahead(1).clone() else {
                    return Err(self.unexpected("a value"));
                };
                self.advance();
                LiteralValue::Date(text)
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.advance();
        self.refuse_operators()?;
        Ok(Literal { value, position })
    }

    /// Counts a condition.
    pub(super) fn count_term(&mut self, position: usize) -> Parse<()> {
        self.terms += 1;
        if self.terms <= TERMS_MAX {
            return Ok(());
        }
        Err(Refusal::at(
            position,
            "54001",
            Rule::Limits,
            format!("more than {TERMS_MAX} conditions"),
            format!("write at most {TERMS_MAX} conditions; IN takes a list"),
        ))
    }

    /// One level deeper, as long as that is allowed.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        self.depth += 1;
        if self.depth > FILTER_DEPTH_MAX {
            return Err(Refusal::at(
                self.position(),
                "54001",
                Rule::Limits,
                format!("more than {FILTER_DEPTH_MAX} levels of nesting"),
                "write the statement with fewer parentheses",
            ));
        }
        let read = read(self)?;
        self.depth -= 1;
        Ok(read)
    }

    /// Refuses computing where a column or value has just ended.
    pub(super) fn refuse_operators(&self) -> Parse<()> {
        match self.ahead(0) {
            Kind::Symbol(symbol) if is_operator(symbol) => Err(self.unexpected("")),
            _ => Ok(()),
        }
    }

    /// Whether the next word begins something that the grammar leaves out on purpose.
    pub(super) fn is_construct(&self) -> bool {
        matches!(self.ahead(0), Kind::Word(word) if construct(word).is_some())
    }

    /// `*` where an output belongs.
    pub(super) fn star(&self) -> Refusal {
        Refusal::at(
            self.position(),
            "42803",
            Rule::Grouping,
            "rows of a table cannot be selected",
            "select group keys and aggregates, such as COUNT(*)",
        )
    }

    /// The refusal of the next token: a known construct by its own rule, anything else as a fault of syntax.
    pub(super) fn unexpected(&self, expected: &str) -> Refusal {
        let position = self.position();
        let (found, known) = match self.ahead(0) {
            Kind::End => ("the end of the statement".to_owned(), None),
            Kind::Word(word) => (format!("{:?}", word.to_uppercase()), construct(word)),
            Kind::Quoted(name) => (format!("the name {name:?}"), None),
            Kind::Number(_) => ("a number".to_owned(), None),
            Kind::Text(_) => ("a text in quotes".to_owned(), None),
            Kind::Parameter(number) => (format!("${number}"), None),
            Kind::Symbol(symbol) => (format!("'{symbol}'"), operator(symbol)),
        };
        if let Some((rule, what, hint)) = known {
            return Refusal::at(position, "0A000", rule, what, hint);
        }
        let found: String = found.chars().take(80).collect();
        Refusal::at(
            position,
            "42601",
            Rule::Grammar,
            format!("found {found}, expected {expected}"),
            format!("write {expected} here"),
        )
    }
}

/// A number beyond what decimals hold.
pub(super) fn huge(position: usize) -> Refusal {
    Refusal::at(
        position,
        "22023",
        Rule::Literals,
        "a number has too many digits",
        "write at most 30 digits",
    )
}

type Construct = (Rule, &'static str, &'static str);

const VIEW: &str = "ask the owner of the contract for a table that holds this";
const DERIVED: &str = "ask the owner of the contract for a derived column";

fn construct(word: &str) -> Option<Construct> {
    let word = word.to_ascii_uppercase();
    Some(match word.as_str() {
        "JOIN" | "INNER" | "LEFT" | "RIGHT" | "FULL" | "CROSS" | "NATURAL" | "LATERAL"
        | "USING" | "ON" => (Rule::Relations, "joins are not part of the grammar", VIEW),
        "UNION" | "INTERSECT" | "EXCEPT" => (
            Rule::Relations,
            "set operations are not part of the grammar",
            VIEW,
        ),
        "WITH" | "RECURSIVE" => (
            Rule::Relations,
            "common table expressions are not part of the grammar",
            VIEW,
        ),
        "SELECT" | "EXISTS" | "ANY" | "ALL" | "SOME" | "ARRAY" | "VALUES" => (
            Rule::Relations,
            "this subquery is not part of the grammar",
            VIEW,
        ),
        "OVER" | "WINDOW" | "PARTITION" | "QUALIFY" => (
            Rule::Relations,
            "window functions are not part of the grammar",
            VIEW,
        ),
        "TABLESAMPLE" => (Rule::Relations, "sampling is not part of the grammar", VIEW),
        "LIKE" | "ILIKE" | "SIMILAR" | "REGEXP" | "RLIKE" | "GLOB" => (
            Rule::Expressions,
            "patterns are not part of the grammar",
            DERIVED,
        ),
        "CASE" | "WHEN" => (
            Rule::Expressions,
            "CASE is not part of the grammar",
            DERIVED,
        ),
        "CAST" | "TRY_CAST" | "CONVERT" | "EXTRACT" | "COLLATE" | "AT" | "INTERVAL"
        | "TIMESTAMP" => (
            Rule::Expressions,
            "conversions are not part of the grammar",
            "write the value in the type of the contract, a day as DATE '2024-01-31'",
        ),
        "FILTER" => (
            Rule::Expressions,
            "FILTER is not part of the grammar",
            "write the condition after WHERE, in a statement of its own",
        ),
        "DISTINCT" => (
            Rule::Grouping,
            "DISTINCT is not part of the grammar here",
            "write GROUP BY, or COUNT(DISTINCT column) of the privacy unit",
        ),
        "ROLLUP" | "CUBE" | "GROUPING" => (
            Rule::Grouping,
            "subtotals are not part of the grammar",
            "ask for the total in a statement of its own",
        ),
        "FETCH" => (
            Rule::Grammar,
            "FETCH is not part of the grammar",
            "write LIMIT",
        ),
        "FOR" => (Rule::ReadOnly, "rows cannot be locked", "leave FOR away"),
        _ => return None,
    })
}

fn operator(symbol: &str) -> Option<Construct> {
    if symbol == "::" {
        return construct("CAST");
    }
    if symbol.contains('~') {
        return construct("LIKE");
    }
    let what = "computing on columns and values is not part of the grammar";
    is_operator(symbol).then_some((Rule::Expressions, what, DERIVED))
}

fn is_operator(symbol: &str) -> bool {
    const PLAIN: [&str; 16] = [
        "+", "-", "*", "/", "%", "||", "::", "^", "->", "->>", "#>", "&", "|", "<<", ">>", "[",
    ];
    PLAIN.contains(&symbol) || symbol.contains('~')
}

/// Words that are no names unless quoted.
fn is_reserved(word: &str) -> bool {
    const OTHERS: [&str; 31] = [
        "AND",
        "AS",
        "ASC",
        "BETWEEN",
        "BY",
        "DESC",
        "ELSE",
        "END",
        "FALSE",
        "FETCH",
        "FROM",
        "GROUP",
        "HAVING",
        "IN",
        "INTO",
        "IS",
        "LIMIT",
        "NOT",
        "NULL",
        "NULLS",
        "OFFSET",
        "OR",
        "ORDER",
        "RETURNING",
        "TABLE",
        "THEN",
        "TRUE",
        "UNIQUE",
        "USER",
        "WHERE",
        "WITHIN",
    ];
    let upper = word.to_ascii_uppercase();
    let soft = [
        "DATE",
        "AT",
        "TIMESTAMP",
        "INTERVAL",
        "GROUPING",
        "PARTITION",
        "VALUES",
    ];
    OTHERS.contains(&upper.as_str()) || construct(word).is_some() && !soft.contains(&upper.as_str())
}
