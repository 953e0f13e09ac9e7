//! Rights of persons, without the world: who may have been in which run, what all of it adds up to, how an erasure goes on.

mod composition;
mod erasure;
mod extension;
mod mask;
mod meaning;
mod ordinals;
mod run;
mod told;

pub use composition::{Composed, Spending, compose, nodes_of, worst};
pub use erasure::{
    Action, Assessed, Backup, Case, Deleted, Ground, Inflight, Learnt, OutOfOrder, ScopedRun,
    Stage, Step, Tombstone,
};
pub use extension::{Clocks, Extension, NotExtended, Reason};
pub use meaning::{Meaning, meaning};
pub use ordinals::{CHUNK, Ordinals, chunk_has};
pub use run::{Change, Kind, RunFacts, change_of};
pub use told::{extended, told};
