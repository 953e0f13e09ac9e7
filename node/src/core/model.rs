//! A model that fits this table: checked once, then scored block by block without a branch per customer.

use std::ops::Range;

use aquifer_shared::domain::predictor::ModelState;
use aquifer_shared::domain::predictor::arithmetic::{CURVE_MAX, SCORE_MAX};

use super::contribution::BadTask;
use super::table::{Cells, Table};

/// Scores of all customers, row by row, in F-ths of log-odds.
///
/// # Errors
///
/// A model that does not fit the table.
///
/// # Privacy
///
/// Scores are about people: for the unit's own use, never for a message.
pub fn scores(table: &Table, model: &ModelState) -> Result<Vec<i32>, BadTask> {
    let fitted = Fitted::new(table.cells(), model)?;
    let mut scores = vec![0; table.rows()];
    for (block, out) in scores.chunks_mut(BLOCK_ROWS).enumerate() {
        let start = block * BLOCK_ROWS;
        fitted.score(table, start..start + out.len(), out);
    }
    Ok(scores)
}

/// Curves by fine cell, and bins by fine cell, of a model that has been checked against the table's shape.
pub(super) struct Fitted {
    base: i32,
    /// Of each feature, the curve entry of every cell; padded to 256 so that a byte is always inside.
    curves: Vec<Vec<i32>>,
    /// Of each feature, the position of every cell in the concatenated vector of merged bins.
    positions: Vec<Vec<usize>>,
    bins: usize,
}

impl Fitted {
    /// Checks lengths, bins and bounds of a model that may be hostile.
    pub(super) fn new(cells: &[usize], model: &ModelState) -> Result<Self, BadTask> {
        let total: usize = cells.iter().sum();
        check(
            "number of cells in the model",
            model.bin_of_cell.len(),
            total,
        )?;
        let outside = |what, got: i32, expected: i64| {
            let inside = (-expected..=expected).contains(&got.into());
            let got = got.into();
            let outside = BadTask::Outside {
                what,
                got,
                expected,
            };
            if inside { Ok(()) } else { Err(outside) }
        };
        outside("base score", model.base, SCORE_MAX)?;
        model
            .curves
            .iter()
            .try_for_each(|entry| outside("curve entry", *entry, CURVE_MAX))?;
        let mut fitted = Self {
            base: model.base,
            curves: Vec::with_capacity(cells.len()),
            positions: Vec::with_capacity(cells.len()),
            bins: 0,
        };
        let mut bin_of_cell = model.bin_of_cell.as_slice();
        for &count in cells {
            let (feature, rest) = bin_of_cell.split_at(count);
            bin_of_cell = rest;
            fitted.add(feature, &model.curves)?;
        }
        check("number of curve entries", model.curves.len(), fitted.bins)?;
        Ok(fitted)
    }

    fn add(&mut self, bin_of_cell: &[u16], curves: &[i32]) -> Result<(), BadTask> {
        let bins = bin_of_cell
            .iter()
            .max()
            .map_or(0, |bin| usize::from(*bin) + 1);
        if bins > bin_of_cell.len() {
            return Err(BadTask::Outside {
                what: "number of bins of a feature",
                got: bins as i64,
                expected: bin_of_cell.len() as i64,
            });
        }
        let position = |bin: &u16| self.bins + usize::from(*bin);
        let positions: Vec<usize> = bin_of_cell.iter().map(position).collect();
        let curve = positions
            .iter()
            .map(|position| curves.get(*position).copied());
        let curve: Option<Vec<i32>> = curve.collect();
        self.bins += bins;
        let mut curve = curve.ok_or(BadTask::Outside {
            what: "number of curve entries",
            got: curves.len() as i64,
            expected: self.bins as i64,
        })?;
        curve.resize(curve.len().max(256), 0);
        self.curves.push(curve);
        self.positions.push(positions);
        Ok(())
    }

    /// Base score.
    pub(super) fn base(&self) -> i32 {
        self.base
    }

    /// Merged bins of all features.
    pub(super) fn bins(&self) -> usize {
        self.bins
    }

    /// Sums by fine cell, added up by merged bin.
    pub(super) fn merge(&self, fine: &[i64]) -> Vec<i64> {
        let mut merged = vec![0; self.bins];
        let positions = self.positions.iter().flatten();
        positions
            .zip(fine)
            .for_each(|(position, sum)| merged[*position] += sum);
        merged
    }

    /// Bounded scores of a block of rows.
    pub(super) fn score(&self, table: &Table, rows: Range<usize>, out: &mut [i32]) {
        out.fill(self.base);
        for (cells, curve) in table.features().iter().zip(&self.curves) {
            match cells {
                Cells::Bytes(cells) => add_bytes(&cells.expose()[rows.clone()], curve, out),
                Cells::Words(cells) => {
                    let cells = &cells.expose()[rows.clone()];
                    let entries = cells.iter().map(|cell| curve[usize::from(*cell)]);
                    out.iter_mut()
                        .zip(entries)
                        .for_each(|(sum, entry)| *sum += entry);
                }
            }
        }
        let bound = SCORE_MAX as i32;
        out.iter_mut()
            .for_each(|score| *score = (*score).clamp(-bound, bound));
    }
}

fn add_bytes(cells: &[u8], curve: &[i32], out: &mut [i32]) {
    let curve: &[i32; 256] = curve[..256].try_into().expect("padded to 256 in add");
    for (sum, cell) in out.iter_mut().zip(cells) {
        *sum += curve[usize::from(*cell)];
    }
}

fn check(what: &'static str, got: usize, expected: usize) -> Result<(), BadTask> {
    if got == expected {
        return Ok(());
    }
    let (got, expected) = (got as i64, expected as i64);
    Err(BadTask::Outside {
        what,
        got,
        expected,
    })
}

/// Rows that are worked on at once: their scores stay in the nearest cache.
pub(super) const BLOCK_ROWS: usize = 4_096;
