//! What a unit shows its auditors: its own history, whole or as a pack, and who was eligible at the cuts that it tells of.

mod command;
mod log;
mod pack;
mod replay;
#[cfg(test)]
mod tests;
mod written;

pub use command::{AuditCommand, run};
pub use log::{Copied, LogCopy, NotVerified, copied, published};
pub use written::{MadePack, made_packs, packs_told};
