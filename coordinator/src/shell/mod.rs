//! Sockets, files, clocks and the store.

pub mod cli;
pub mod clock;
pub mod config;
mod drive;
pub mod front;
pub mod home;
pub mod hub;
pub mod joining;
pub mod live;
pub mod mirror;
pub mod outbox;
pub mod publish;
pub mod registry;
pub mod requests;
pub mod serve;
pub mod server_certificate;
pub mod session;
pub mod store;
