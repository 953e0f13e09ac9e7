//! Sockets, files, clocks and the store.

mod asking;
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod config;
pub mod doorstep;
mod drive;
mod finding;
pub mod front;
pub mod home;
pub mod https;
pub mod hub;
pub mod joining;
pub mod live;
mod load;
mod looking;
pub mod mirror;
mod model_requests;
mod objections;
pub mod outbox;
mod places;
mod presenter;
pub mod psql;
pub mod publish;
pub mod put;
pub mod registry;
pub mod requests;
#[cfg(test)]
mod requests_tests;
pub mod serve;
pub mod server_certificate;
pub mod session;
pub mod sql_password;
pub mod store;
mod tokens;
mod understanding;
mod watchers;
