//! The canonical bytes of a contract and their hash.
//!
//! Every text is preceded by its length, every list by its count, every choice by a tag: two contracts never share bytes.

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
}
