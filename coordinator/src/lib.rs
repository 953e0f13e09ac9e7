//! Coordinator.
pub mod shell;
