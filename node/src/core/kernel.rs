//! The inner loops of a round: from scores to residuals, from weights to sums by cell.
//!
//! Same integers as the plain definitions in `shared`, only faster; the tests hold them against each other.

use aquifer_shared::domain::predictor::arithmetic::{Q, thresholds};

use super::table::{Cells, Table};

/// Finds the probability of a score in one look: thresholds are at least 64 apart, so that 64 neighbouring scores share
/// all of them but at most one.
pub(super) struct Probabilities {
    /// Per 64 scores: thresholds below them, and the offset at which one more is reached (64: none).
    entries: Vec<(u16, u16)>,
    lowest: i32,
    highest: i32,
}

impl Probabilities {
    pub(super) fn new() -> Self {
        let thresholds = thresholds();
        let lowest = (thresholds[0] - 1) & !OFFSET_MASK;
        let highest = thresholds[thresholds.len() - 1];
        let buckets = ((highest - lowest) >> OFFSET_BITS) + 1;
        let entries = (0..buckets).map(|bucket| {
            let start = lowest + (bucket << OFFSET_BITS);
            let below = thresholds.partition_point(|threshold| *threshold < start);
            let next = thresholds.get(below).map_or(i32::MAX, |next| next - start);
            (below as u16, next.min(1 << OFFSET_BITS) as u16)
        });
        Self {
            entries: entries.collect(),
            lowest,
            highest,
        }
    }

    /// Probability in Q-ths of a score.
    #[inline]
    pub(super) fn index(&self, score: i32) -> i32 {
        let above = score.clamp(self.lowest, self.highest) - self.lowest;
        let (below, next) = self.entries[(above >> OFFSET_BITS) as usize];
        i32::from(below) + i32::from((above & OFFSET_MASK) >= i32::from(next))
    }

    /// Turns scores into residuals within ±`bound`; rows whose mask is 0 give 0.
    pub(super) fn residuals(&self, scores: &mut [i32], labels: &[u8], masks: &[i32], bound: i32) {
        let rows = scores.iter_mut().zip(labels).zip(masks);
        for ((score, label), mask) in rows {
            let residual = Q as i32 * i32::from(*label) - self.index(*score);
            *score = residual.clamp(-bound, bound) & mask;
        }
    }
}

/// Adds the weights of rows `start..` to the sums of their cells, all features concatenated.
///
/// `weights` holds at most [`super::model::BLOCK_ROWS`] numbers of at most 2^19: the sums of a block fit 32 bits.
pub(super) fn scatter(table: &Table, start: usize, weights: &[i32], sums: &mut [i64]) {
    let rows = start..start + weights.len();
    let mut sums = sums;
    for (cells, &count) in table.features().iter().zip(table.cells()) {
        let (own, rest) = sums.split_at_mut(count);
        sums = rest;
        match cells {
            Cells::Bytes(cells) => scatter_bytes(&cells.expose()[rows.clone()], weights, own),
            Cells::Words(cells) => {
                let cells = &cells.expose()[rows.clone()];
                for (cell, weight) in cells.iter().zip(weights) {
                    own[usize::from(*cell)] += i64::from(*weight);
                }
            }
        }
    }
}

/// Neighbouring customers often share a cell: four sums in turn keep one addition from waiting for the last.
fn scatter_bytes(cells: &[u8], weights: &[i32], sums: &mut [i64]) {
    let mut lanes = [[0_i32; 256]; 4];
    let [first, second, third, fourth] = &mut lanes;
    let (cells, last_cells) = cells.as_chunks::<4>();
    let (weights, last_weights) = weights.as_chunks::<4>();
    for ([a, b, c, d], [p, q, r, s]) in cells.iter().zip(weights) {
        first[usize::from(*a)] += p;
        second[usize::from(*b)] += q;
        third[usize::from(*c)] += r;
        fourth[usize::from(*d)] += s;
    }
    for (cell, weight) in last_cells.iter().zip(last_weights) {
        first[usize::from(*cell)] += weight;
    }
    for (cell, sum) in sums.iter_mut().enumerate() {
        *sum += lanes.iter().map(|lane| i64::from(lane[cell])).sum::<i64>();
    }
}

const OFFSET_BITS: i32 = 6;
const OFFSET_MASK: i32 = (1 << OFFSET_BITS) - 1;

#[cfg(test)]
mod tests {
    use aquifer_shared::domain::predictor::arithmetic::{SCORE_MAX, probability_index, residual};

    use super::*;

    #[test]
    fn thresholds_are_far_enough_apart() {
        assert!(
            thresholds()
                .windows(2)
                .all(|pair| pair[1] - pair[0] >= 1 << OFFSET_BITS)
        );
    }

    #[test]
    fn one_look_finds_what_the_search_finds() {
        let fast = Probabilities::new();
        let check = |score: i32| {
            assert_eq!(
                i64::from(fast.index(score)),
                probability_index(score.into()),
                "{score}"
            );
        };
        for threshold in thresholds() {
            (threshold - 65..threshold + 66).for_each(check);
        }
        let bound = SCORE_MAX as i32;
        (-bound..=bound).step_by(97).for_each(check);
        [-bound, bound, i32::MIN, i32::MAX]
            .into_iter()
            .for_each(check);
    }

    #[test]
    fn residuals_are_clamped_and_masked() {
        let mut scores = [-1_048_576, 1_048_576, 0, 0];
        Probabilities::new().residuals(&mut scores, &[1, 0, 1, 0], &[-1, -1, -1, 0], 3_072);
        assert_eq!(scores, [3_072, -3_072, 2_048, 0]);
        assert_eq!(residual(true, 0, 3_072), 2_048);
    }
}
