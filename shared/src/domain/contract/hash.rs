//! The canonical bytes of a contract and their hash.
//!
//! Every text is preceded by its length, every list by its count, every choice by a tag: two contracts never share bytes.

use super::published::{Published, PublishedColumn, PublishedKind, rows_per_unit_usual};
use super::{Column, ColumnKind, Contract};
use crate::base::cells::Transform;
use crate::base::hash::labelled;
use crate::base::ids::Hash32;

const LABEL: &str = "aquifer/contract/1";

pub(super) fn contract(contract: &Contract) -> Hash32 {
    let mut bytes = Canonical::default();
    bytes.text(contract.name.as_str());
    bytes.0.extend(contract.version.to_le_bytes());
    bytes.0.extend(contract.multiplicity.to_le_bytes());
    bytes.text(&contract.table);
    bytes.text(&contract.privacy_unit);
    bytes.text(&contract.label.column);
    bytes.text(&contract.label.positive);
    bytes.count(contract.columns.len());
    contract
        .columns
        .iter()
        .for_each(|column| bytes.column(column));
    bytes.count(contract.excluded.len());
    for excluded in &contract.excluded {
        bytes.text(&excluded.column);
        bytes.text(&excluded.reason);
    }
    if !contract.published.is_empty() {
        bytes.count(contract.published.len());
    }
    let published = contract.published.iter();
    published.for_each(|table| bytes.published(table));
    bytes.rows_kept(contract);
    labelled(LABEL, &[&bytes.0])
}

#[derive(Default)]
struct Canonical(Vec<u8>);

impl Canonical {
    fn count(&mut self, count: usize) {
        self.0.extend((count as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend(text.as_bytes());
    }

    fn real(&mut self, value: f64) {
        self.0.extend(value.to_bits().to_le_bytes());
    }

    fn column(&mut self, column: &Column) {
        self.text(&column.name);
        self.0.push(column.actionable.into());
        match &column.kind {
            ColumnKind::Numeric {
                low,
                high,
                transform,
                unit,
                cells,
            } => {
                self.0.push(1);
                self.real(*low);
                self.real(*high);
                self.0.push(match transform {
                    Transform::Linear => 0,
                    Transform::Log1p => 1,
                    Transform::SignedLog1p => 2,
                });
                self.text(unit);
                self.count(cells.edges().len());
                cells.edges().iter().for_each(|edge| self.real(*edge));
            }
            ColumnKind::Levels(cells) => {
                self.0.push(2);
                self.count(cells.levels().len());
                cells.levels().iter().for_each(|level| self.text(level));
            }
        }
    }

    fn whole(&mut self, value: i64) {
        self.0.extend(value.to_le_bytes());
    }

    fn published(&mut self, table: &Published) {
        self.text(&table.name);
        self.text(&table.description);
        self.text(&table.privacy_unit);
        self.0.extend(table.rows_per_group_max.to_le_bytes());
        self.0.extend(table.groups_per_unit_max.to_le_bytes());
        self.0.extend(table.size_band.0.to_le_bytes());
        self.0.extend(table.size_band.1.to_le_bytes());
        self.count(table.columns.len());
        let columns = table.columns.iter();
        columns.for_each(|column| self.published_column(column));
    }

    /// Tables that state another number of rows to keep than the usual one, if there are any.
    fn rows_kept(&mut self, contract: &Contract) {
        let usual = |table: &Published| match table.name == contract.table {
            true => 1,
            false => rows_per_unit_usual(table.rows_per_group_max, table.groups_per_unit_max),
        };
        let stated = contract.published.iter().enumerate();
        let stated = stated.filter(|(_, table)| table.rows_per_unit_max != usual(table));
        for (place, table) in stated {
            self.count(place);
            self.0.extend(table.rows_per_unit_max.to_le_bytes());
        }
    }

    fn published_column(&mut self, column: &PublishedColumn) {
        self.text(&column.name);
        self.text(&column.description);
        match &column.kind {
            PublishedKind::Number(number) => {
                self.0.extend([1, number.digits, number.grid]);
                self.whole(number.low);
                self.whole(number.high);
                self.whole(number.step);
                self.text(&number.unit);
                self.0.push(number.on_null.is_some().into());
                number.on_null.iter().for_each(|value| self.whole(*value));
            }
            PublishedKind::Key { levels, unknown } => {
                self.0.push(2);
                self.count(levels.len());
                levels.iter().for_each(|level| self.text(level));
                self.text(unknown);
            }
            PublishedKind::Date { first, last } => {
                self.0.push(3);
                self.whole((*first).into());
                self.whole((*last).into());
            }
        }
    }
}
