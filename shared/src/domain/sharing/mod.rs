//! The arithmetic of secure aggregation: vectors are split into shares, shares are added, only their sum is read.
//!
//! Packed Shamir sharing (Shamir 1979; packing: Franklin and Yung 1992) over the field of 2^61 − 1 elements. Linear: shares
//! of a sum are sums of shares, so nothing about an absent member is ever reconstructed. Any `random` members together
//! hold uniform noise of one dealing; any `width` of them determine it; every further one is a check.
//!
//! | who | calls |
//! | --- | --- |
//! | all | [`Packing::new`]`(n, k, c)`, [`Packing::blocks`]`(cells)` = L; a record has [`record_bytes`]`(L)` = 8·L bytes |
//! | dealer | [`Dealer::new`] once a study, [`Dealer::deal`]`(cells, seed, spaces)`: one [`RecordSpace`] for each member of the attempt, itself included |
//! | member | [`Record::parse`] of each record it received and of its own; [`Opening::zero`], [`Opening::add`], [`Opening::to_bytes`] |
//! | coordinator | [`Record::parse`] of each opening; [`read`] or [`read_naming_one`] → [`Reading`] |
//!
//! Members are numbered from 1, as in the roster. Cells are [`Element`]s: `Element::from(x + z)` with the exact sum and the
//! noise in `i128`. Draws nothing by itself: the dealing seed is an argument. Knows no messages, keys or thresholds.

mod deal;
mod draw;
mod field;
mod matrix;
mod packing;
mod read;
mod record;

pub use deal::{Dealer, RecordSpace};
pub use field::{Element, P};
pub use packing::{BadPacking, BadSize, Packing, record_bytes};
pub use read::{ReadFault, Reader, Reading, read, read_naming_one};
pub use record::{BadRecord, Opening, Record};

#[cfg(test)]
mod tests;
