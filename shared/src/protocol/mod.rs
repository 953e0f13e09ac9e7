//! What crosses a border between processes: codec, frames and messages.

pub mod chain;
pub mod codec;
pub mod wire;
