//! What touches the world: sources of data, commands.

pub mod check_command;
pub mod encode;
pub mod source;
