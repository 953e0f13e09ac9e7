//! Statements of analysts: text into a private question and how its answer is shown; prices; readings of released sums.
//!
//! Pure: knows the contract and public terms, and never data. Everything that is not in the grammar is refused with SQLSTATE,
//! place and hint.

mod answer;
mod call;
mod compile;
mod condition;
mod explain;
mod figure;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod golden_tests;
mod literal;
mod names;
mod output;
mod outputs;
mod parser;
mod percentile;
mod posterior;
mod query;
mod reading;
mod refusal;
mod scope;
mod session;
mod settings;
mod statement;
mod syntax;
mod token;

use aquifer_shared::domain::contract::Contract;

pub use answer::{
    Answer, AnswerColumn, Noise, OtherCells, Value, ValueKind, columns, key_value, present,
};
pub use compile::{PRICE_MIN, PriceWish, Query};
pub use explain::{
    ExpectedError, Explanation, Left, PublicTerms, REFERENCE_SIZES, expected_errors, explain,
    noise, price,
};
pub use figure::Figure;
pub use literal::{Parameter, ParameterKind};
pub(crate) use names::nearest;
pub use output::Presentation;
pub use reading::Reading;
pub use refusal::{Refusal, Rule};
pub use session::{Piece, plain, split};
pub use settings::{CLIENT, CacheUse, Change, Intervals, OWN, Settings, check_request_id, set};

/// A statement that makes sense under a contract.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// Nothing.
    Empty,
    /// A question.
    Query(Box<Query>),
    /// What a question would cost.
    Explain {
        /// The question.
        query: Box<Query>,
        /// One JSON document instead of rows.
        json: bool,
    },
    /// A setting ([`Settings::apply`]).
    Set(Change),
    /// `SHOW` of a setting, or of `all`.
    Show(String),
    /// Accepted for the sake of clients; its command tag. It changes nothing, and a rollback returns no budget.
    Transaction(&'static str),
}

/// Compiles one statement. Without parameters' values (`None`) the result only describes columns and types, and must not be run.
///
/// # Errors
///
/// Whatever is not in the grammar, or not in the contract. Data never decide it.
pub fn compile(
    text: &str,
    settings: &Settings,
    contract: &Contract,
    parameters: Option<&[Parameter]>,
) -> Result<Statement, Refusal> {
    let query = |wrapped| {
        let parameters = literal::Parameters::new(parameters);
        compile::query(&wrapped, settings, contract, parameters).map(Box::new)
    };
    Ok(match statement::read(text)? {
        statement::Written::Query(wrapped) => Statement::Query(query(wrapped)?),
        statement::Written::Explain(wrapped, json) => Statement::Explain {
            query: query(wrapped)?,
            json,
        },
        other => session::without_contract(other)?,
    })
}
