//! What tests, demo and bench share: checks of the source text, the synthetic company, data sets, real processes.

pub mod tidy;
