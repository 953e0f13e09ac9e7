//! What the coordinator decides: studies, rounds, models, questions. No socket, store, clock or random source.

pub mod asking;
pub mod catalogue;
pub mod chronicle;
pub mod disclosure;
mod ending;
pub mod event;
pub mod expand;
mod expand_notes;
mod expand_standing;
mod expand_trust;
/// The finished study that the tests of `aquifer` use.
#[cfg(test)]
#[path = "../bin/aquifer/fixtures.rs"]
pub(crate) mod finished;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod gates;
#[cfg(test)]
pub(crate) mod gates_fixtures;
mod gather;
mod group;
pub mod http;
mod known;
pub mod learning;
pub mod mirror;
#[cfg(test)]
mod mutations;
mod offering;
pub mod prediction;
pub mod price_tag;
pub mod programs;
pub mod promise;
pub mod psql;
pub mod purposes;
mod record;
pub mod resume;
mod resume_groups;
pub mod retrain;
mod round;
mod rounds;
pub mod scoring;
mod seat;
mod secure;
mod secure_steps;
pub mod shares;
pub mod sql;
pub mod study;
pub mod study_file;
pub mod update;
