//! Coordinator.

pub mod core;
pub mod shell;

// Test fixtures that the command shares name the library as the command does.
#[cfg(test)]
extern crate self as aquifer_coordinator;
