//! What a person may ask of the unit: what is known of them, an objection, an erasure.

mod access;
mod certificate;
mod command;
mod erase;
mod export;
mod html;
mod list;
mod pack;
mod requests;
mod scores;
#[cfg(test)]
mod tests;
mod usage;

pub use access::{Asked, Found, look};
pub use command::{RightsCommand, run};
pub use erase::{Erased, Erasure, Why, erase};
pub use pack::{Bound, Bounds, Pack, PurposeLine, Run};
pub use scores::ScoreLine;
