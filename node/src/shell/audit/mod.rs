//! What a unit shows its auditors: its own history, whole or as a pack, and who was eligible at the cuts that it tells of.

mod books;
mod command;
mod log;
mod pack;
mod replay;
#[cfg(test)]
mod tests;
mod written;

pub use command::{AuditCommand, run};
#[cfg(test)]
pub use log::read_all;
pub use log::{Copied, Head, NotVerified, Reader, copied, packed, payload, published, read};
pub use written::{MadePack, made_packs, packs_told};
