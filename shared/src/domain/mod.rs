//! What the product is about: data contracts, law, private sums and their price, secret sharing, the predictor.
//!
//! `contract`, `law`, `sum` and `sharing` do not know each other; `predictor` may use `sum`, `question` may use `contract` and `sum`.

pub mod contract;
pub mod law;
pub mod predictor;
pub mod question;
pub mod sharing;
pub mod sum;
