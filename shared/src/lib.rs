//! The domain core that node and coordinator share.
//!
//! Pure unless the feature `shell` is on: no socket, file, clock, thread, global or random source. Modules are layers,
//! and imports run one way: `base` → `domain` → `protocol` → `shell`.

pub mod base;
pub mod domain;
pub mod protocol;
#[cfg(feature = "shell")]
pub mod shell;
