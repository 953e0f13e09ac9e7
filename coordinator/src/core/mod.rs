//! What the coordinator decides: studies, rounds, models. No socket, store, clock or random source.

pub mod expand;
mod expand_notes;
pub mod learning;
pub mod study_file;
pub mod update;
