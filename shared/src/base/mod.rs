//! Words that every other layer uses: limits, units, identifiers, time, dates, decimals, documents with places, secrets, public cells.

pub mod calendar;
pub mod cells;
pub mod decimal;
pub mod document;
pub mod hash;
pub mod ids;
pub mod limits;
pub mod secret;
pub mod time;
pub mod units;
