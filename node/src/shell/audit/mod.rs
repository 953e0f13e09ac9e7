//! What a unit shows its auditors: its own history, and who was eligible at the cuts that it tells of.

mod command;
mod log;
mod replay;
#[cfg(test)]
mod tests;

pub use command::{AuditCommand, run};
pub use log::{Copied, LogCopy, NotVerified, copied};
