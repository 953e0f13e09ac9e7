//! What touches the world: sources of data, commands.

pub mod check_command;
pub mod cli;
pub mod clock;
mod column;
pub mod config;
pub mod control;
pub mod encode;
pub mod evidence;
pub mod holdout_key;
pub mod join_command;
pub mod ledger_command;
pub mod ledger_view;
pub mod link;
pub mod mirror;
#[cfg(test)]
mod parity;
mod say;
pub mod score_command;
pub mod score_file;
pub mod serve;
pub mod source;
pub mod source_error;
pub mod store;
pub mod unit_commands;
pub mod views;
pub mod witness;
pub mod worker;
