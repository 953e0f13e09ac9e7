//! From rows in any order to a table: rows of a customer side by side, in the order in which they count.
//!
//! Of more customers than the contract declares, those with the smallest tags count. Of a customer with more rows than a unit keeps, the first count: how long an answer takes to add up then follows from public
//! sizes, whatever one customer brings. Rows wait packed, in partitions by the customer's tag; one partition at a time is sorted and moved into columns, so that
//! memory holds every row about once.

use aquifer_shared::base::limits::PUBLISHED_ROWS_MAX;
use aquifer_shared::domain::contract::published::Published;

use super::choice::{ChoiceKey, Tag};
use super::codes::{Codes, Width, count_of};
use super::table::RowTable;
use crate::core::consent::SubjectRef;

/// Takes rows of a published table.
pub struct TableBuilder {
    key: ChoiceKey,
    /// Of every column: its width, and how many codes it has.
    columns: Vec<(Width, u64)>,
    /// Packed rows: tag, then the code of each column, little end first.
    partitions: Vec<Vec<u8>>,
    stride: usize,
    rows: usize,
    /// Rows of one customer that are kept.
    kept_max: usize,
    /// Customers that are kept.
    customers_max: usize,
    dropped: Dropped,
    buffer: Vec<u8>,
}

/// What a table did not keep.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Dropped {
    /// Customers with more rows than are kept.
    pub(super) customers: u64,
    /// Rows of theirs beyond those.
    pub(super) rows: u64,
    /// Customers beyond those that the contract declares.
    pub(super) beyond_band: u64,
}

/// More rows than a table can hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the table has more than {PUBLISHED_ROWS_MAX} rows")]
pub struct TooManyRows;

impl TableBuilder {
    /// No row yet.
    #[must_use]
    pub fn new(published: &Published, key: ChoiceKey) -> Self {
        let counts = published
            .columns
            .iter()
            .map(|column| count_of(&column.kind));
        let columns: Vec<(Width, u64)> = counts.map(|count| (Width::of(count), count)).collect();
        Self {
            key,
            stride: TAG_BYTES + columns.iter().map(|column| column.0.bytes()).sum::<usize>(),
            columns,
            partitions: vec![Vec::new(); PARTITIONS],
            rows: 0,
            kept_max: published.rows_per_unit_max as usize,
            customers_max: usize::try_from(published.size_band.1).unwrap_or(usize::MAX),
            dropped: Dropped::default(),
            buffer: Vec::new(),
        }
    }

    /// Adds a row: its customer, and one code per column.
    ///
    /// # Errors
    ///
    /// The table is full.
    ///
    /// # Panics
    ///
    /// If the codes are not those of the columns; the caller has made them from the same contract.
    pub fn push(
        &mut self,
        customer: &str,
        codes: impl IntoIterator<Item = u64>,
    ) -> Result<(), TooManyRows> {
        if self.rows == PUBLISHED_ROWS_MAX {
            return Err(TooManyRows);
        }
        self.rows += 1;
        let tag = self.key.tag(customer);
        let partition = &mut self.partitions[(tag >> (128 - PARTITION_BITS)) as usize];
        if partition.capacity() - partition.len() < self.stride {
            // Less slack than doubling: all partitions grow alike.
            partition.reserve_exact(self.stride * (GROWTH_ROWS_MIN + self.rows / PARTITIONS / 8));
        }
        let start = partition.len();
        partition.extend_from_slice(&tag.to_be_bytes());
        let mut codes = codes.into_iter();
        for (width, count) in &self.columns {
            let code = codes.next().expect("one code per column");
            assert!(code < *count, "a code of another column");
            partition.extend_from_slice(&code.to_le_bytes()[..width.bytes()]);
        }
        assert_eq!(partition.len() - start, self.stride);
        Ok(())
    }

    /// Number of rows so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The table.
    #[must_use]
    pub fn finish(mut self) -> RowTable {
        let columns = self.columns.iter();
        let mut codes: Vec<Codes> = columns
            .map(|(width, _)| Codes::with_capacity(*width, self.rows))
            .collect();
        let mut starts = vec![0];
        let mut customers: Vec<SubjectRef> = Vec::new();
        let mut end = 0;
        for rows in std::mem::take(&mut self.partitions) {
            let (mut order, mut sizes) = self.ordered(&rows);
            // Partitions are in the order of tags: customers with the smallest are kept.
            let room = self.customers_max - (starts.len() - 1);
            self.dropped.beyond_band += sizes.len().saturating_sub(room) as u64;
            sizes.truncate(room);
            order.truncate(sizes.iter().map(|size| *size as usize).sum());
            let mut first = 0;
            customers.extend(sizes.iter().map(|size| {
                let row = order[first] as usize * self.stride;
                first += *size as usize;
                SubjectRef(tag_of(&rows[row..]))
            }));
            let mut offset = TAG_BYTES;
            for (codes, (width, _)) in codes.iter_mut().zip(&self.columns) {
                codes.gather(&rows, self.stride, offset, &order);
                offset += width.bytes();
            }
            starts.extend(sizes.iter().map(|size| {
                end += size;
                end
            }));
        }
        RowTable::new(codes, (starts, customers), self.dropped)
    }

    /// The rows of a partition that are kept, in their final order, and how many each customer has.
    fn ordered(&mut self, rows: &[u8]) -> (Vec<u32>, Vec<u32>) {
        let packed = rows.chunks_exact(self.stride);
        let mut tagged: Vec<(Tag, u32)> = packed.map(tag_of).zip(0..).collect();
        tagged.sort_unstable();
        let mut order: Vec<u32> = Vec::with_capacity(tagged.len());
        let mut sizes = Vec::new();
        for customer in tagged.chunk_by(|a, b| a.0 == b.0) {
            let start = order.len();
            order.extend(customer.iter().map(|(_, row)| *row));
            self.rank(customer[0].0, rows, &mut order[start..]);
            let kept = customer.len().min(self.kept_max);
            let beyond = (customer.len() - kept) as u64;
            self.dropped.customers += u64::from(beyond > 0);
            self.dropped.rows += beyond;
            order.truncate(start + kept);
            sizes.push(kept as u32);
        }
        (order, sizes)
    }

    /// Sorts the rows of a customer by their keyed hashes. Rows of equal content are interchangeable.
    fn rank(&mut self, tag: Tag, rows: &[u8], own: &mut [u32]) {
        if own.len() < 2 {
            return;
        }
        let stride = self.stride;
        let content = |row: u32| {
            let start = row as usize * stride;
            &rows[start + TAG_BYTES..start + stride]
        };
        own.sort_unstable_by_key(|row| content(*row));
        let mut ranked: Vec<(u128, u32)> = Vec::with_capacity(own.len());
        for same in own.chunk_by(|a, b| content(*a) == content(*b)) {
            for (nth, row) in (0..).zip(same) {
                let rank = self.key.rank(tag, nth, content(*row), &mut self.buffer);
                ranked.push((rank, *row));
            }
        }
        ranked.sort_unstable_by_key(|row| row.0);
        for (place, (_, row)) in own.iter_mut().zip(ranked) {
            *place = row;
        }
    }
}

fn tag_of(row: &[u8]) -> Tag {
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&row[..TAG_BYTES]);
    Tag::from_be_bytes(tag)
}

const TAG_BYTES: usize = size_of::<Tag>();
const PARTITION_BITS: u32 = 8;
const PARTITIONS: usize = 1 << PARTITION_BITS;
/// Rows by which a partition grows at least.
const GROWTH_ROWS_MIN: usize = 64;
