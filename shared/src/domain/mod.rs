//! What the product is about: data contracts, private sums and their price, the predictor.
//!
//! `contract` and `sum` do not know each other; `predictor` may use `sum`.

pub mod contract;
pub mod predictor;
pub mod sum;
