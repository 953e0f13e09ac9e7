//! A business unit's node: it guards customers and lets nothing out but charged, noisy sums.
//!
//! `core` decides and computes without I/O; `shell` reads data, keeps the ledger and talks.

pub mod core;
pub mod shell;
