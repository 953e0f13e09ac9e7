//! Sockets, files, clocks and randomness.
