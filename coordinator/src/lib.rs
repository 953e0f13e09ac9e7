//! Coordinator.

pub mod core;
pub mod shell;
