//! Sockets, files, clocks and randomness.

pub mod noise;
