//! What this node's customers add up to in one question: exact integers, no noise.
//!
//! The question comes from outside and is checked before it gets here. A customer adds to at most `groups_max` groups, with at
//! most R rows in each; which ones, the order of the table decides. Rows that do not count take the same steps as those that do: how
//! long adding up takes follows from sizes, hardly from the condition.

use std::ops::Range;

use aquifer_shared::domain::contract::published::{Published, PublishedKind};
use aquifer_shared::domain::law::witness::Query;
use aquifer_shared::domain::question::{Question, Scales};

use super::blocks::{Adder, Scale};
use super::filter::{Masks, Sieve};
use super::keys::GroupKey;
use super::table::RowTable;
use crate::core::cohort::Cohort;

/// A question over one table, ready to be added up.
pub struct Inquiry<'a> {
    table: &'a RowTable,
    cohort: &'a Cohort<Query>,
    sieve: Sieve,
    keys: Vec<GroupKey>,
    /// Columns that the blocks read.
    columns: Vec<usize>,
    adders: Vec<Adder>,
    width: usize,
    groups: usize,
    rows_max: u32,
    groups_max: usize,
}

impl<'a> Inquiry<'a> {
    /// A checked question over the eligible rows of the table that it names.
    ///
    /// # Panics
    ///
    /// If the cohort is of another table.
    #[must_use]
    pub fn new(
        (table, cohort): (&'a RowTable, &'a Cohort<Query>),
        published: &Published,
        question: &Question,
        scales: &Scales,
    ) -> Self {
        let kinds: Vec<&PublishedKind> = published
            .columns
            .iter()
            .map(|column| &column.kind)
            .collect();
        let keys: Vec<GroupKey> = question
            .keys
            .iter()
            .map(|key| GroupKey::of(key, &kinds))
            .collect();
        let mut columns = Vec::new();
        let mut adders = Vec::new();
        let mut width = 0;
        for (index, block) in question.blocks.iter().enumerate() {
            let column = block.kind.column().map(usize::from);
            let column = column.map(|column| (kinds[column], place_of(&mut columns, column)));
            let scale = Scale::new(scales.amplitudes[index], scales.reaches[index]);
            let adder = Adder::new((block.kind, column), width, scale);
            width += adder.width;
            adders.push(adder);
        }
        assert_eq!(
            table.rows(),
            cohort.rows(),
            "the cohort is of another table"
        );
        Self {
            table,
            cohort,
            sieve: Sieve::of(&question.filter, published),
            groups: keys.iter().map(|key| key.values as usize).product(),
            keys,
            columns,
            adders,
            width,
            rows_max: published.rows_per_group_max,
            groups_max: question.groups_max.min(published.groups_per_unit_max) as usize,
        }
    }

    /// Customers in `count` parts of about the same size, to be added up side by side.
    #[must_use]
    pub fn parts(&self, count: usize) -> Vec<Range<usize>> {
        self.table.parts(count)
    }

    /// The exact sum over a part of the customers, group by group.
    ///
    /// # Privacy
    ///
    /// One customer changes the sums by a vector of squared length at most the `delta_sq` of the scales. The result is exact: it must be charged and noised before it goes anywhere.
    #[must_use]
    pub fn sum(&self, customers: Range<usize>) -> Vec<i64> {
        let starts = self.table.starts(customers);
        let mut walk = Walk::new(self);
        let (mut row, end) = (starts[0] as usize, starts[starts.len() - 1] as usize);
        let mut customers = starts.windows(2);
        let mut customer = customers.next();
        let mut block = Block::new(self);
        while row < end {
            let rows = row..end.min(row + BLOCK_ROWS);
            block.fill(self, rows.clone());
            while let Some(&[from, to]) = customer.filter(|own| (own[0] as usize) < rows.end) {
                let own = row.max(from as usize)..rows.end.min(to as usize);
                let inside = own.start - rows.start..own.end - rows.start;
                if to - from == 1 {
                    walk.only_row(&block, inside.start);
                } else {
                    inside.for_each(|row| walk.row(&block, row));
                }
                if own.end < to as usize {
                    break;
                }
                walk.close();
                customer = customers.next();
            }
            row = rows.end;
        }
        self.bounded(walk.sums, starts.len() - 1)
    }

    fn bounded(&self, sums: Vec<i64>, customers: usize) -> Vec<i64> {
        for adder in &self.adders {
            let largest = customers as i64 * adder.scale.max();
            for group in sums.chunks(self.width) {
                let cells = &group[adder.offset..adder.offset + adder.width];
                let inside = cells.iter().all(|sum| (-largest..=largest).contains(sum));
                assert!(inside, "customers add up to more than all of them may");
            }
        }
        sums
    }
}

fn place_of(columns: &mut Vec<usize>, column: usize) -> usize {
    let known = columns.iter().position(|known| *known == column);
    known.unwrap_or_else(|| {
        columns.push(column);
        columns.len() - 1
    })
}

/// A block of rows: which of them count, their groups, and the codes that are added up.
struct Block {
    masks: Masks,
    groups: Vec<u32>,
    columns: Vec<Vec<u64>>,
}

impl Block {
    fn new(inquiry: &Inquiry) -> Self {
        Self {
            masks: inquiry.sieve.masks(BLOCK_ROWS),
            groups: vec![0; BLOCK_ROWS],
            columns: vec![vec![0; BLOCK_ROWS]; inquiry.columns.len()],
        }
    }

    fn fill(&mut self, inquiry: &Inquiry, rows: Range<usize>) {
        let table = inquiry.table;
        inquiry.sieve.run(table, rows.clone(), &mut self.masks);
        inquiry.cohort.keep_bytes(rows.start, self.masks.kept_mut());
        self.groups.fill(0);
        for key in &inquiry.keys {
            let groups = &mut self.groups;
            table.codes(key.column).each(rows.clone(), |row, code| {
                groups[row] = groups[row] * key.values + key.cuts.range_of(code);
            });
        }
        for (codes, column) in self.columns.iter_mut().zip(&inquiry.columns) {
            let column = table.codes(*column);
            column.each(rows.clone(), |row, code| codes[row] = code);
        }
    }
}

/// Goes through rows customer by customer.
struct Walk<'q> {
    inquiry: &'q Inquiry<'q>,
    sums: Vec<i64>,
    /// Groups of the customer so far, with the rows that count in each.
    open: Vec<(u32, u32)>,
    /// The customer's totals, group by group as in `open`.
    totals: Vec<i128>,
    /// Totals of rows that do not count.
    nowhere: Vec<i128>,
    /// Place in `open` of every group.
    places: Vec<u32>,
}

impl<'q> Walk<'q> {
    fn new(inquiry: &'q Inquiry<'q>) -> Self {
        Self {
            inquiry,
            sums: vec![0; inquiry.groups * inquiry.width],
            open: Vec::new(),
            totals: Vec::new(),
            nowhere: vec![0; inquiry.width],
            places: vec![NOWHERE; inquiry.groups],
        }
    }

    /// The only row of a customer. One that does not count is worked out like all others, and adds nothing.
    fn only_row(&mut self, block: &Block, row: usize) {
        let counts = i64::from(block.masks.kept()[row]);
        let start = block.groups[row] as usize * self.inquiry.width;
        for adder in &self.inquiry.adders {
            let (cell, value) = adder.of_row(&block.columns, row);
            self.sums[start + cell] += counts * adder.scale.of(value);
        }
    }

    /// One of several rows of a customer. One that does not count is worked out like all others, and goes nowhere.
    fn row(&mut self, block: &Block, row: usize) {
        let place = match block.masks.kept()[row] {
            0 => None,
            _ => self.count(block.groups[row]),
        };
        let width = self.inquiry.width;
        let (totals, first) = match place {
            Some((place, first)) => (&mut self.totals[place * width..][..width], first),
            None => (&mut self.nowhere[..], true),
        };
        for adder in &self.inquiry.adders {
            let (cell, value) = adder.of_row(&block.columns, row);
            if first || !adder.once() {
                totals[cell] += value;
            }
        }
    }

    /// Counts a row to a group of the customer: the group's place, and whether it is its first; none where it is one too many.
    fn count(&mut self, group: u32) -> Option<(usize, bool)> {
        let place = self.place(group)?;
        let counted = &mut self.open[place].1;
        if *counted == self.inquiry.rows_max {
            return None;
        }
        *counted += 1;
        Some((place, *counted == 1))
    }

    /// Where a group is open for the customer; none where it is in as many groups as count already.
    fn place(&mut self, group: u32) -> Option<usize> {
        let place = &mut self.places[group as usize];
        if *place != NOWHERE {
            return Some(*place as usize);
        }
        if self.open.len() == self.inquiry.groups_max {
            return None;
        }
        *place = self.open.len() as u32;
        self.open.push((group, 0));
        self.totals.resize(self.open.len() * self.inquiry.width, 0);
        Some(self.open.len() - 1)
    }

    /// Adds the customer's totals, each cut to its reach.
    fn close(&mut self) {
        let width = self.inquiry.width;
        for (place, (group, _)) in self.open.drain(..).enumerate() {
            self.places[group as usize] = NOWHERE;
            let sums = &mut self.sums[group as usize * width..][..width];
            let totals = &self.totals[place * width..][..width];
            for adder in &self.inquiry.adders {
                let cells = adder.offset..adder.offset + adder.width;
                let cells = sums[cells.clone()].iter_mut().zip(&totals[cells]);
                cells.for_each(|(sum, total)| *sum += adder.scale.of(*total));
            }
        }
        self.totals.clear();
        self.nowhere.fill(0);
    }
}

const NOWHERE: u32 = u32::MAX;
/// Rows that are sieved at once: their codes stay in the processor's nearest cache.
const BLOCK_ROWS: usize = 2_048;
