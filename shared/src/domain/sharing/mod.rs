//! The arithmetic of secure aggregation: vectors are split into shares, shares are added, only their sum is read.
//!
//! Packed Shamir sharing (Shamir 1979; packing: Franklin and Yung 1992) over the field of 2^61 − 1 elements. Linear: shares
//! of a sum are sums of shares, so nothing about an absent member is ever reconstructed. Any `random` members together
//! hold uniform noise of one dealing; any `width` of them determine it; every further one is a check.
//!
//! | who | calls |
//! | --- | --- |
//! | all | [`Packing::new`]`(n, k, c)`; [`Packing::blocks`]`(cells)` = L; a record has [`record_bytes`]`(L)` = 8·L bytes |
//! | dealer | [`Dealer::new`] once a study; [`Dealer::deal`]`(cells, seed, spaces)` with one [`RecordSpace`] for each member of the attempt, itself included; seal the others' in place |
//! | member | [`Record::parse`] of every record it received and of its own; [`SummedShares::zero`], [`SummedShares::add`], [`SummedShares::open`] |
//! | coordinator | [`Element::list`] of every opening as it arrives; [`read`] or [`read_naming_one`] → [`Reading`] |
//!
//! Members are numbered from 1, as in the roster. The cells of a dealer are `Element::from(x + z)`, the exact sum and its
//! noise added in `i128`. Draws nothing by itself: the dealing seed is an argument. Knows no messages, keys or thresholds.

mod deal;
mod draw;
mod field;
mod matrix;
mod packing;
mod read;
mod record;
mod wrong;

pub use deal::{Dealer, RecordSpace};
pub use field::{BadElement, Element, P};
pub use packing::{BadPacking, BadSize, Packing, record_bytes};
pub use read::{ReadFault, Reader, Reading, read};
pub use record::{BadRecord, Record, SummedShares};
pub use wrong::read_naming_one;

#[cfg(test)]
mod tests;
