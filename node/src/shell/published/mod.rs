//! Tables that analysts ask about: read from the unit's sources, kept encoded, replaced as a whole.

mod encode;
mod epochs;
mod mapping;
mod refresh;
mod shelf;
#[cfg(test)]
mod tests;

pub use encode::{Inspected, encode, inspect};
pub use epochs::{EpochProblem, Epochs};
pub use mapping::{Mapping, epoch, mappings};
pub use refresh::{DataView, Failed, Refresher, first};
pub use shelf::{NoAnswer, Shelf, Snapshot, epoch_of};
