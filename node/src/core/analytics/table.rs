//! One published table as questions see it: small numbers in columns, the rows of a customer side by side, never an id or a value.
//!
//! Built once by [`super::TableBuilder`] and never changed afterwards.

use std::fmt;
use std::ops::Range;

use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::secret::Personal;

use super::builder::Dropped;
use super::codes::Codes;
use crate::core::consent::SubjectRef;
use crate::core::table::Bits;

/// The rows of all customers.
///
/// # Privacy
///
/// Holds values about people: it has no `Serialize`, and its `Debug` shows sizes only. Customers are in the order of a keyed
/// hash, and so are the rows of one customer.
#[derive(PartialEq)]
pub struct RowTable {
    columns: Vec<Personal<Codes>>,
    /// First row of every customer, and the number of rows at the end.
    starts: Personal<Vec<u32>>,
    /// Who they are, in order.
    subjects: Personal<Vec<SubjectRef>>,
    dropped: Personal<Dropped>,
}

impl RowTable {
    pub(super) fn new(
        columns: Vec<Codes>,
        (starts, subjects): (Vec<u32>, Vec<SubjectRef>),
        dropped: Dropped,
    ) -> Self {
        assert_eq!(
            starts.len(),
            subjects.len() + 1,
            "one start for each customer"
        );
        Self {
            columns: columns.into_iter().map(Personal::new).collect(),
            starts: Personal::new(starts),
            subjects: Personal::new(subjects),
            dropped: Personal::new(dropped),
        }
    }

    /// Number of customers.
    ///
    /// # Privacy
    ///
    /// An exact count: for the unit's own people, never for a message.
    #[must_use]
    pub fn customers(&self) -> usize {
        self.starts.expose().len() - 1
    }

    /// References of the customers, in order.
    ///
    /// # Privacy
    ///
    /// Says who is in the table: stays at the node.
    #[must_use]
    pub fn subjects(&self) -> &[SubjectRef] {
        self.subjects.expose()
    }

    /// Bits of customers, as bits of their rows.
    ///
    /// # Panics
    ///
    /// If they are of another table.
    #[must_use]
    pub fn rows_of(&self, customers: &Bits) -> Bits {
        assert_eq!(customers.rows(), self.customers(), "bits of another table");
        let starts = self.starts.expose().windows(2).enumerate();
        let rows = starts.flat_map(|(customer, own)| {
            let bit = customers.get(customer);
            (own[0]..own[1]).map(move |_| bit)
        });
        rows.collect()
    }

    /// Customers that were left out because there are more than the contract declares.
    ///
    /// # Privacy
    ///
    /// An exact count: for the unit's own people, never for a message.
    #[must_use]
    pub fn customers_left_out(&self) -> u64 {
        self.dropped().beyond_band
    }

    /// Number of rows.
    ///
    /// # Privacy
    ///
    /// An exact count: for the unit's own people, never for a message.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.starts.expose()[self.customers()] as usize
    }

    /// A digest of all rows under a key.
    ///
    /// # Privacy
    ///
    /// For the unit's own memory of what it served: it never leaves the node.
    #[must_use]
    pub fn digest(&self, key: &[u8; 32]) -> Hash32 {
        let mut state = Hash32::default();
        let mut mix = |bytes: &[u8]| {
            state = labelled("aquifer/published-state/1", &[key, &state.0, bytes]);
        };
        for column in &self.columns {
            column.expose().bytes(&mut mix);
        }
        Codes::Four(self.starts.expose().clone()).bytes(&mut mix);
        state
    }

    /// What was not kept of customers with too many rows.
    pub(super) fn dropped(&self) -> Dropped {
        *self.dropped.expose()
    }

    pub(super) fn codes(&self, column: usize) -> &Codes {
        self.columns[column].expose()
    }

    /// Where the rows of each of some customers start, and where those of the last end.
    pub(super) fn starts(&self, customers: Range<usize>) -> &[u32] {
        &self.starts.expose()[customers.start..=customers.end]
    }

    /// Customers in runs of about as many rows each.
    pub(super) fn parts(&self, count: usize) -> Vec<Range<usize>> {
        let starts = self.starts.expose();
        let cut = |part: usize| {
            let row = self.rows() as u64 * part as u64 / count as u64;
            starts
                .partition_point(|start| u64::from(*start) < row)
                .min(self.customers())
        };
        let mut cuts: Vec<usize> = (0..count).map(cut).collect();
        cuts.push(self.customers());
        cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
    }
}

impl fmt::Debug for RowTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<rows of {} columns>", self.columns.len())
    }
}
