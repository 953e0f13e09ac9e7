//! Whom a sum may be about: a decision for the run, and the rows of those who are eligible.

use std::fmt;
use std::sync::Arc;

use aquifer_shared::base::secret::Personal;
use aquifer_shared::domain::law::Allowed;
use aquifer_shared::domain::law::witness::Run;

use super::table::Bits;

/// Rows of a table that a run may use. Nothing is added up without one, and none is made without a decision that allows the run.
///
/// # Privacy
///
/// Membership is about people: it cannot be printed, and neither it nor its count leaves the node.
pub struct Cohort<G> {
    allowed: Allowed<G, Run>,
    rows: Personal<Arc<Bits>>,
}

impl<G> Cohort<G> {
    /// The rows of those who are eligible, for a run that is allowed.
    #[must_use]
    pub fn new(allowed: Allowed<G, Run>, rows: Arc<Bits>) -> Self {
        Self {
            allowed,
            rows: Personal::new(rows),
        }
    }

    /// The decision that it rests on.
    pub fn allowed(&self) -> &Allowed<G, Run> {
        &self.allowed
    }

    /// Rows of the table, eligible or not.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.expose().rows()
    }

    /// Whether a row may be used.
    ///
    /// # Privacy
    ///
    /// A customer's fact: for what stays in the unit.
    #[must_use]
    pub fn includes(&self, row: usize) -> bool {
        self.rows.expose().get(row)
    }

    /// Keeps the masks of rows from `start` that are eligible, and clears the others: the same steps for both.
    pub(super) fn keep(&self, start: usize, masks: &mut [i32]) {
        let rows = self.rows.expose();
        for (row, mask) in (start..).zip(masks) {
            *mask &= -i32::from(rows.get(row));
        }
    }

    /// As [`Cohort::keep`], for masks of one byte.
    pub(super) fn keep_bytes(&self, start: usize, masks: &mut [u8]) {
        let rows = self.rows.expose();
        for (row, mask) in (start..).zip(masks) {
            *mask &= u8::from(rows.get(row)).wrapping_neg();
        }
    }
}

impl<G> fmt::Debug for Cohort<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<personal>")
    }
}
