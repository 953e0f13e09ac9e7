//! What the coordinator decides: studies, rounds, models. No socket, store, clock or random source.

pub mod event;
pub mod expand;
mod expand_notes;
mod expand_trust;
#[cfg(test)]
mod fixtures;
mod gather;
pub mod learning;
pub mod resume;
mod round;
pub mod study;
pub mod study_file;
pub mod update;
