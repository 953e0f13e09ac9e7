//! Audit packs: what an auditor takes away and checks without asking anybody, and receipts for one person.
//!
//! A pack is a set of files made from a log alone: the same log gives the same bytes. Verification is a list of named checks, each with a
//! number of its own; a failure names file and index. Pure: reading and writing the folder is the shell's business. The formats are in
//! docs/audit-pack.md; scripts/verify-audit is a second verifier that shares no code with this one.

mod book;
mod budget;
mod build;
mod checks;
mod entry;
mod epsilon;
mod extracts;
mod files;
mod held;
mod layout;
mod log_policy;
mod open;
mod page;
mod previous;
mod programs;
mod provenance;
mod quarter;
mod range;
mod receipt;
mod report;
mod sample;
mod sbom;
mod sums;
#[cfg(test)]
mod tests;
mod tree;
mod verify;
mod verify_log;

pub use book::Book;
pub use budget::{BadSpend, Figure, Figures, Spend};
pub use build::{CannotBuild, Draft, Drafting, Ledger, Made, draft};
pub use checks::{Check, Checked, Finding, State, Verdict};
pub use entry::{Body, Entry};
pub use epsilon::epsilon_micro;
pub use files::{Files, TooLarge};
pub use layout::{SAMPLE_FILE, is_known};
pub use log_policy::{BadLogPolicy, LogPolicy, UNIT_LOG, VerifierKey, cosigned_text};
pub use open::{Pack, open};
pub use programs::{BadPrograms, Programs, demanded_programs, demands_programs};
pub use provenance::{COORDINATOR, NODE, Statement, envelope, is_revision, signed_statement};
pub use quarter::Quarter;
pub use receipt::{Receipt, verify_receipt};
pub use sample::{BadSample, sample};
pub use sbom::{BadLock, sbom};
pub use tree::{GrowingTree, PackTree, prove, read_proof, written_proof};
pub use verify::{Against, verify};
