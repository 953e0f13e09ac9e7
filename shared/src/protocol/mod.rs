//! What crosses a border between processes: codec, frames and messages.

pub mod aggregation;
pub mod ask;
pub mod chain;
pub mod codec;
pub mod mirror;
pub mod models;
pub mod program;
pub mod ticket;
pub mod token;
pub mod wire;
pub mod witness;
