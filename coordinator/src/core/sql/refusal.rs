//! Refusals of statements: SQLSTATE, place in the text, what to write instead, and the rule behind it.
//!
//! Texts hold names from the statement and the contract and public numbers; no data ever decides one.

use std::fmt;

/// Why a statement is not carried out. It has cost nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// SQLSTATE.
    pub state: &'static str,
    /// Character in the text, from 1; none where the statement as a whole is meant.
    pub position: Option<usize>,
    /// What was found.
    pub message: String,
    /// What to write instead.
    pub hint: String,
    /// The rule that says no.
    pub rule: Rule,
}

/// The rules of statements.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// The grammar.
    Grammar,
    /// Names are those that the contract publishes.
    Names,
    /// Types are those of the contract.
    Types,
    /// Only aggregates and group keys leave a node.
    Grouping,
    /// One table at a time.
    Relations,
    /// No computing on columns.
    Expressions,
    /// No aggregate that depends on a single customer.
    Extremes,
    /// Literals are levels, or numbers and days inside the bounds.
    Literals,
    /// Options and settings.
    Settings,
    /// Sizes of statements and answers.
    Limits,
    /// Nothing is ever written.
    ReadOnly,
    /// A purpose is stated.
    Purpose,
    /// What a statement may cost.
    Price,
}

impl Rule {
    /// Its name, stable.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Grammar => "sql.grammar",
            Self::Names => "sql.names",
            Self::Types => "sql.types",
            Self::Grouping => "sql.grouping",
            Self::Relations => "sql.relations",
            Self::Expressions => "sql.expressions",
            Self::Extremes => "sql.extremes",
            Self::Literals => "sql.literals",
            Self::Settings => "sql.settings",
            Self::Limits => "sql.limits",
            Self::ReadOnly => "sql.read_only",
            Self::Purpose => "sql.purpose",
            Self::Price => "sql.price",
        }
    }
}

impl Refusal {
    /// A refusal at a character of the text.
    pub(super) fn at(
        position: usize,
        state: &'static str,
        rule: Rule,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            position: Some(position),
            ..Self::of_all(state, rule, message, hint)
        }
    }

    /// A refusal of the statement as a whole.
    pub(super) fn of_all(
        state: &'static str,
        rule: Rule,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            state,
            position: None,
            message: message.into(),
            hint: hint.into(),
            rule,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.state, self.message)?;
        if let Some(position) = self.position {
            write!(f, " (at character {position})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}
