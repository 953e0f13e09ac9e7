//! Sockets, files, clocks and randomness.

pub mod keys;
pub mod noise;
