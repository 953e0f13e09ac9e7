//! The `additive` predictor: one curve per feature, learnt from private sums and nothing else.

pub mod additive;
pub mod arithmetic;
pub mod bins;
pub mod evaluation;
pub mod gate;
pub mod learner;
mod linalg;
pub mod model;
pub mod plan;
pub mod prediction;
mod prior;
mod renoise;
mod step;
pub mod stop;
mod totals;
pub mod words;

use serde::{Deserialize, Serialize};

/// The model as a node needs it during a study: features in contract order, each list concatenated.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ModelState {
    /// Base score, F per log-odds.
    pub base: i32,
    /// Merged bin of every fine cell, counted from 0 within its feature.
    pub bin_of_cell: Vec<u16>,
    /// Curve entry of every merged bin, F per log-odds.
    pub curves: Vec<i32>,
}
