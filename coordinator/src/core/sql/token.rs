//! Text into tokens, each with its place.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Token as Raw, Tokenizer};

use super::refusal::{Refusal, Rule};
use aquifer_shared::base::limits::STATEMENT_BYTES_MAX;

/// A token at a character of the text, from 1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it starts.
    pub position: usize,
}

/// Kinds of tokens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A name or keyword as written.
    Word(String),
    /// A name in double quotes.
    Quoted(String),
    /// Digits as written.
    Number(String),
    /// A text in single quotes.
    Text(String),
    /// `$1` and so on.
    Parameter(usize),
    /// Anything else, as written.
    Symbol(String),
    /// After the last one.
    End,
}

/// Cuts a text; the last token is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    if text.len() > STATEMENT_BYTES_MAX {
        return Err(Refusal::of_all(
            "54001",
            Rule::Limits,
            format!("the statement has {} bytes", text.len()),
            format!("write at most {STATEMENT_BYTES_MAX} bytes"),
        ));
    }
    let lines = line_starts(text);
    let place = |location: Location| {
        let line = usize::try_from(location.line).unwrap_or(1).max(1) - 1;
        let column = usize::try_from(location.column).unwrap_or(1).max(1);
        lines.get(line).copied().unwrap_or_default() + column
    };
    let dialect = PostgreSqlDialect {};
    let raw = Tokenizer::new(&dialect, text).tokenize_with_location();
    let raw = raw.map_err(|error| {
        Refusal::at(
            place(error.location),
            "42601",
            Rule::Grammar,
            "the text cannot be cut into tokens here",
            "close every quote and comment that was opened",
        )
    })?;
    let mut found = Vec::new();
    for token in raw {
        if !matches!(token.token, Raw::Whitespace(_) | Raw::EOF) {
            let position = place(token.span.start);
            let kind = kind(token.token, position)?;
            found.push(Token { kind, position });
        }
    }
    found.push(Token {
        kind: Kind::End,
        position: text.chars().count() + 1,
    });
    Ok(found)
}

fn kind(token: Raw, position: usize) -> Result<Kind, Refusal> {
    Ok(match token {
        Raw::Word(word) if word.quote_style.is_some() => Kind::Quoted(word.value),
        Raw::Word(word) => Kind::Word(word.value),
        Raw::Number(digits, false) => Kind::Number(digits),
        Raw::SingleQuotedString(text) | Raw::EscapedStringLiteral(text) => Kind::Text(text),
        Raw::Placeholder(name) => {
            let number = name.strip_prefix('$').and_then(|n| n.parse().ok());
            let number = number.filter(|n| (1..=PARAMETERS_MAX).contains(n));
            Kind::Parameter(number.ok_or_else(|| {
                Refusal::at(
                    position,
                    "42601",
                    Rule::Grammar,
                    "a bound parameter that is not $1 to $256",
                    "write $1, $2 and so on",
                )
            })?)
        }
        other => Kind::Symbol(other.to_string()),
    })
}

/// Bound parameters of a statement.
const PARAMETERS_MAX: usize = 256;

/// Characters before each line.
fn line_starts(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    for (index, character) in text.chars().enumerate() {
        if character == '\n' {
            starts.push(index + 1);
        }
    }
    starts
}
