//! What touches the world: sources of data, commands.

pub mod check_command;
mod check_published;
pub mod cli;
pub mod clock;
pub mod cohorts;
mod column;
pub mod config;
pub mod consent;
pub mod control;
pub mod encode;
pub mod evidence;
pub mod holdout_key;
pub mod join_command;
pub mod ledger_command;
pub mod ledger_view;
pub mod link;
mod mapped;
pub mod mirror;
#[cfg(test)]
mod parity;
pub mod people;
pub mod published;
pub mod refresh_command;
pub mod rights;
mod say;
pub mod score_command;
pub mod score_file;
pub mod serve;
pub mod source;
pub mod source_error;
pub mod store;
pub mod subject_key;
pub mod unit_commands;
pub mod usage;
pub mod views;
pub mod witness;
pub mod worker;
