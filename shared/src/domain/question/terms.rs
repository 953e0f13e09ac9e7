//! The one sum of a question, as its study states it: cells, reach, price and scale; and how long its answer is held back.

use super::layout::Layout;
use super::scale::Scales;
use super::{Filter, Question};
use crate::base::units::MicroRho;
use crate::domain::contract::Published;
use crate::domain::sum::{NoiseShare, Part, RoundTerms, slot_ms};

impl Question {
    /// The sum that a checked question asks for at this price; `None` where sizes do not fit or the price buys no scale within
    /// limits.
    #[must_use]
    pub fn round(
        &self,
        table: &Published,
        customers_max: u64,
        urho: MicroRho,
        share: NoiseShare,
    ) -> Option<RoundTerms> {
        let cells = Layout::of(self, table)?.cells();
        let scales = Scales::of(self, table, customers_max)?;
        Some(RoundTerms {
            part: Part::Everyone,
            cells_max: u32::try_from(cells).ok()?,
            cell_abs_max: scales.cell_abs_max,
            delta_sq: scales.delta_sq,
            urho,
            sigma_share: share.scale(scales.delta_sq, urho)?,
        })
    }

    /// The smallest slot that hides how long a node adds up.
    ///
    /// # Privacy
    ///
    /// A function of public sizes only: declared customers, rows of each that a unit keeps, columns that are read.
    #[must_use]
    pub fn slot_ms(&self, table: &Published, customers_max: u64) -> u32 {
        let rows = u64::from(table.rows_per_unit_max);
        let columns = 1 + self.keys.len() as u64 + self.blocks.len() as u64 + columns(&self.filter);
        slot_ms(
            customers_max,
            rows.saturating_mul(columns),
            CELLS_PER_SECOND,
        )
    }
}

/// Cells of a table that a node is taken to look at in a second when slots are chosen: two and a half times slower than one core was measured.
pub const CELLS_PER_SECOND: u64 = 160_000_000;

/// Conditions of a filter.
fn columns(filter: &Filter) -> u64 {
    match filter {
        Filter::All | Filter::Nothing => 0,
        Filter::Levels(..) | Filter::Ranges(..) | Filter::Missing(_) => 1,
        Filter::Every(parts) | Filter::Either(parts) => parts.iter().map(columns).sum(),
    }
}
