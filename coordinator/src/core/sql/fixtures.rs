//! A contract and short ways to compile for tests.

use super::{Query, Refusal, Settings, Statement, compile};
use aquifer_shared::domain::contract::Contract;

/// `customers` (R = G = 1) and `orders` (R = 20, G = 12).
pub(super) fn contract() -> Contract {
    Contract::parse(include_str!("../../../golden/contract.toml")).unwrap()
}

pub(super) fn settings() -> Settings {
    Settings {
        purpose: Some("contracts.reporting".to_owned()),
        ..Settings::default()
    }
}

pub(super) fn statement(text: &str) -> Result<Statement, Refusal> {
    compile(text, &settings(), &contract(), Some(&[]))
}

/// The question of a text that must be one.
#[track_caller]
pub(super) fn query(text: &str) -> Query {
    match statement(text) {
        Ok(Statement::Query(query)) => *query,
        other => panic!("{text}: {other:?}"),
    }
}
