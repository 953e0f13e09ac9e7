//! What crosses a border between processes: codec, frames and messages.

pub mod codec;
pub mod wire;
