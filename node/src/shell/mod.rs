//! What touches the world: sources of data, commands.

pub mod check_command;
mod column;
pub mod config;
mod csv_file;
mod csv_value;
pub mod encode;
#[cfg(test)]
mod parity;
pub mod source;
pub mod source_error;
pub mod store;
pub mod witness;
pub mod worker;
