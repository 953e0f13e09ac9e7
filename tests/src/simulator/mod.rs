//! The deterministic simulator: the production state machines under a virtual clock, with simulated network and disks.
//!
//! One seed, one history. Faults strike as the seed says; watchers hold the invariants of the private sum against every step.

pub mod adversary;
pub mod centre;
pub mod clock;
pub mod coordinator;
pub mod disk;
pub mod exactness;
pub mod faults;
pub mod happening;
pub mod inputs;
pub mod judges;
pub mod keys;
pub mod network;
pub mod node;
pub mod observer;
pub mod oracle;
pub mod plant;
pub mod report;
pub mod scenario;
pub mod shrink;
pub mod study;
pub mod surroundings;
pub mod sweep;
pub mod transcript;
pub mod world;

pub use world::{History, run};
