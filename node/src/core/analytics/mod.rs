//! Tables that analysts ask about: encoded rows, and the exact contribution of this node's customers to a question.

mod blocks;
mod builder;
mod choice;
mod codes;
mod coding;
mod cuts;
mod excess;
mod filter;
mod inquiry;
mod keys;
mod table;
mod terms;
#[cfg(test)]
mod tests;

pub use builder::{TableBuilder, TooManyRows};
pub use choice::ChoiceKey;
pub use coding::{day_code, number_code};
pub use excess::{Excess, excess};
pub use inquiry::Inquiry;
pub use table::RowTable;
pub use terms::{Misfit, scales_within};
