//! Sockets, files, clocks and randomness.

pub mod at_rest;
pub mod certificates;
pub mod crash;
pub mod directory;
pub mod documents;
pub mod exceptions;
pub mod history;
pub mod join;
pub mod keys;
pub mod keys_command;
pub mod law_packs;
pub mod laws_view;
pub mod link;
pub mod logging;
#[cfg(test)]
mod loopback;
pub mod noise;
pub mod own_program;
pub mod pack_folder;
pub mod pack_made;
pub mod platform;
pub mod policy_kept;
pub mod policy_record;
mod policy_term;
pub mod policy_text;
pub mod policy_view;
pub mod progress;
pub mod quic;
mod remembered;
pub mod report;
pub mod signed;
pub mod statements;
pub mod tls;
