//! Coordinator.

pub mod core;
