//! Sockets, files, clocks and the store.

pub mod store;
