//! Pure parts of the node: encoded customers, their contributions, the hold-out, findings, budget, answers.

pub mod analytics;
pub mod approved;
pub mod check;
pub mod chronicle;
pub mod cohort;
pub mod consent;
pub mod contribution;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod gatekeeper;
pub mod holdout;
pub mod intake;
mod kernel;
pub mod lawful;
pub mod ledger;
pub mod model;
pub mod participant;
pub mod policy;
mod question;
#[cfg(test)]
pub(crate) mod question_fixtures;
pub mod replay;
pub mod rights;
pub mod table;
pub mod trust;
