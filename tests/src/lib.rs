//! What tests, demo and bench share: checks of the source text, the synthetic company, data sets, real processes.

pub mod asked;
pub mod audit;
pub mod cluster;
pub mod company;
pub mod exact;
pub mod forbidden;
pub mod given;
pub mod law;
pub mod measured;
pub mod namespaces;
pub mod noise;
pub mod packs;
pub mod plot;
pub mod policy;
pub mod postgres;
pub mod processes;
pub mod random;
pub mod relay;
pub mod reports;
pub mod simulator;
pub mod standing;
pub mod study;
pub mod synthetic;
pub mod tidy;
pub mod traces;
pub mod training;
