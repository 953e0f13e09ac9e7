//! What this node's customers add up to in one round: exact integers, no noise.
//!
//! The model comes from outside and is trusted with nothing: it is refused unless it fits the table, and every customer's
//! contribution is clamped to the round's terms whatever the model says.

use aquifer_shared::base::secret::Secret;
use aquifer_shared::domain::law::witness::Train;
use aquifer_shared::domain::predictor::ModelState;
use aquifer_shared::domain::predictor::arithmetic::{COUNT, EVALUATION_BINS, Q, evaluation_bin};
use aquifer_shared::domain::sum::RoundTerms;
use aquifer_shared::protocol::wire::TaskBody;

use super::cohort::Cohort;
use super::holdout::Split;
use super::kernel::{Probabilities, scatter};
use super::model::{BLOCK_ROWS, Fitted};
use super::table::Table;

/// A task that does not fit the contract or the signed terms.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadTask {
    /// A length or number that the table or the terms rule out.
    #[error("{what} is {got}, expected {expected}")]
    Outside {
        /// The thing.
        what: &'static str,
        /// Found.
        got: i64,
        /// Bound that it breaks.
        expected: i64,
    },
}

/// The exact sum over the eligible customers of the round's part.
///
/// # Errors
///
/// A task that does not fit; nothing was computed.
///
/// # Privacy
///
/// One customer changes the sum by a vector of squared length at most `terms.delta_sq`, whatever the model is. The result
/// is exact: it must be charged and noised before it goes anywhere.
pub fn contribution(
    table: &Table,
    split: &Split,
    cohort: &Cohort<Train>,
    body: &TaskBody,
    terms: &RoundTerms,
    clip: u32,
) -> Result<Secret<Vec<i64>>, BadTask> {
    assert_eq!(table.rows(), split.rows(), "the split is of another table");
    assert_eq!(
        table.rows(),
        cohort.rows(),
        "the cohort is of another table"
    );
    let round = Round {
        table,
        split,
        cohort,
        terms,
    };
    match body {
        TaskBody::Counts => round.counts(),
        TaskBody::Residuals(model) => round.residuals(model, clip),
        TaskBody::Evaluation(model) => round.evaluation(model),
        TaskBody::Question => Err(BadTask::Outside {
            what: "questions that the training table answers",
            got: 1,
            expected: 0,
        }),
        TaskBody::Synthetic(cells) => {
            round.check("number of cells", *cells as usize, terms.cells_max)?;
            Ok(Secret::new(vec![0; *cells as usize]))
        }
    }
}

#[derive(Clone, Copy)]
struct Round<'a> {
    table: &'a Table,
    split: &'a Split,
    cohort: &'a Cohort<Train>,
    terms: &'a RoundTerms,
}

impl Round<'_> {
    fn counts(self) -> Result<Secret<Vec<i64>>, BadTask> {
        let cells: usize = self.table.cells().iter().sum();
        self.check("number of cells", cells, self.terms.cells_max)?;
        self.check_reach(self.table.cells().len(), COUNT)?;
        let mut sums = Secret::new(vec![0; cells]);
        self.blocks(|start, masks| {
            masks.iter_mut().for_each(|mask| *mask &= COUNT as i32);
            scatter(self.table, start, masks, sums.expose_mut());
        });
        Ok(self.bounded(sums, COUNT))
    }

    fn residuals(self, model: &ModelState, clip: u32) -> Result<Secret<Vec<i64>>, BadTask> {
        let fitted = Fitted::new(self.table.cells(), model)?;
        self.check("number of bins", fitted.bins(), self.terms.cells_max)?;
        // In the first residual round the terms allow half: the price must not depend on the model that was sent.
        let bound = i64::from(clip.min(self.terms.cell_abs_max)).min(Q);
        self.check_reach(self.table.cells().len(), bound)?;
        let probabilities = Probabilities::new();
        let mut sums = Secret::new(vec![0; self.table.cells().iter().sum()]);
        let mut scores = Secret::new(vec![0; BLOCK_ROWS]);
        self.blocks(|start, masks| {
            let weights = &mut scores.expose_mut()[..masks.len()];
            let rows = start..start + masks.len();
            fitted.score(self.table, rows.clone(), weights);
            probabilities.residuals(weights, &self.table.labels()[rows], masks, bound as i32);
            scatter(self.table, start, weights, sums.expose_mut());
        });
        let merged = Secret::new(fitted.merge(sums.expose()));
        Ok(self.bounded(merged, bound))
    }

    fn evaluation(self, model: &ModelState) -> Result<Secret<Vec<i64>>, BadTask> {
        let fitted = Fitted::new(self.table.cells(), model)?;
        self.check("number of cells", 2 * EVALUATION_BINS, self.terms.cells_max)?;
        self.check_reach(1, COUNT)?;
        let mut sums = Secret::new(vec![0; 2 * EVALUATION_BINS]);
        let mut scores = Secret::new(vec![0; BLOCK_ROWS]);
        self.blocks(|start, masks| {
            let scores = &mut scores.expose_mut()[..masks.len()];
            let sums = sums.expose_mut();
            let rows = start..start + masks.len();
            fitted.score(self.table, rows.clone(), scores);
            let customers = scores.iter().zip(&self.table.labels()[rows]).zip(masks);
            for ((score, label), mask) in customers {
                let bin = evaluation_bin((*score).into(), fitted.base().into());
                sums[2 * bin + usize::from(*label)] += COUNT & i64::from(*mask);
            }
        });
        Ok(self.bounded(sums, COUNT))
    }

    /// Calls with the first row of every block and the masks of its rows: -1 for who is eligible and in the round's part, else 0.
    fn blocks(self, mut work: impl FnMut(usize, &mut [i32])) {
        let mut masks = Secret::new(vec![0; BLOCK_ROWS]);
        for start in (0..self.table.rows()).step_by(BLOCK_ROWS) {
            let rows = BLOCK_ROWS.min(self.table.rows() - start);
            let masks = &mut masks.expose_mut()[..rows];
            self.split.masks(self.terms.part, start, masks);
            self.cohort.keep(start, masks);
            work(start, masks);
        }
    }

    fn check(self, what: &'static str, got: usize, max: u32) -> Result<(), BadTask> {
        if got <= max as usize {
            return Ok(());
        }
        Err(BadTask::Outside {
            what,
            got: got as i64,
            expected: max.into(),
        })
    }

    /// One customer puts at most `bound` into one cell of each of `features`.
    fn check_reach(self, features: usize, bound: i64) -> Result<(), BadTask> {
        let outside = |what, got, expected| {
            Err(BadTask::Outside {
                what,
                got,
                expected,
            })
        };
        let largest = i64::from(self.terms.cell_abs_max);
        if bound > largest {
            return outside("one customer's number in a cell", bound, largest);
        }
        let reach = features as i64 * bound * bound;
        let delta_sq = i64::try_from(self.terms.delta_sq).unwrap_or(i64::MAX);
        if reach > delta_sq {
            return outside("one customer's squared reach", reach, delta_sq);
        }
        Ok(())
    }

    fn bounded(self, sums: Secret<Vec<i64>>, bound: i64) -> Secret<Vec<i64>> {
        let largest = self.table.rows() as i64 * bound;
        let mut found = sums.expose().iter();
        let inside = found.all(|sum| (-largest..=largest).contains(sum));
        assert!(inside, "customers add up to more than all of them may");
        sums
    }
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::units::MicroRho;
    use aquifer_shared::domain::predictor::arithmetic::{CURVE_MAX, SCORE_MAX, residual};
    use aquifer_shared::domain::sum::{HoldOut, Part};
    use proptest::prelude::*;

    use super::*;
    use crate::core::fixtures::everybody;
    use crate::core::model::scores;
    use crate::core::table::TableBuilder;

    /// A customer: cells, label, held out.
    type Row = (Vec<usize>, bool, bool);

    /// A narrow, a middling and a wide feature.
    const CELLS: [usize; 3] = [2, 65, 300];

    fn table(rows: &[Row]) -> Table {
        let mut builder = TableBuilder::new(CELLS.to_vec(), Some("split"));
        for (index, (cells, label, held_out)) in rows.iter().enumerate() {
            let id = index.to_string();
            builder
                .push(cells.iter().copied(), *label, &id, *held_out)
                .unwrap();
        }
        builder.finish()
    }

    fn split(table: &Table) -> Split {
        let rule = HoldOut::Column("split".to_owned());
        Split::of(table, &[0; 32], &"churn".parse().unwrap(), &rule).unwrap()
    }

    fn terms(part: Part, cells_max: u32, cell_abs_max: u32, features: u64) -> RoundTerms {
        RoundTerms {
            part,
            cells_max,
            cell_abs_max,
            delta_sq: features * u64::from(cell_abs_max).pow(2),
            urho: MicroRho(1),
            sigma_share: 16,
        }
    }

    fn training(cell_abs_max: u32) -> RoundTerms {
        terms(Part::Training, 367, cell_abs_max, 3)
    }

    fn sum(rows: &[Row], body: &TaskBody, terms: &RoundTerms) -> Vec<i64> {
        let table = table(rows);
        let sum = contribution(
            &table,
            &split(&table),
            &everybody(table.rows()),
            body,
            terms,
            3_072,
        );
        sum.unwrap().expose().clone()
    }

    /// A model whose bins are runs of `width` cells, with curve entries from `entry`.
    fn model(base: i32, width: usize, entry: impl FnMut(usize) -> i32) -> ModelState {
        let bins = |count: usize| (0..count).map(move |cell| (cell / width) as u16);
        let total: usize = CELLS.iter().map(|count| count.div_ceil(width)).sum();
        ModelState {
            base,
            bin_of_cell: CELLS.into_iter().flat_map(bins).collect(),
            curves: (0..total).map(entry).collect(),
        }
    }

    /// The definition, row by row, with the plain arithmetic of the specification.
    fn naive(rows: &[Row], body: &TaskBody, terms: &RoundTerms) -> Vec<i64> {
        let mut sums = vec![0; 367];
        let offsets = [0, 2, 67];
        let score = |model: &ModelState, cells: &[usize]| {
            let mut start = 0;
            let mut score = i64::from(model.base);
            let mut positions = Vec::new();
            for (feature, count) in CELLS.into_iter().enumerate() {
                let bins = &model.bin_of_cell[offsets[feature]..offsets[feature] + count];
                let position = start + usize::from(bins[cells[feature]]);
                score += i64::from(model.curves[position]);
                positions.push(position);
                start += usize::from(*bins.iter().max().unwrap()) + 1;
            }
            (score.clamp(-SCORE_MAX, SCORE_MAX), positions, start)
        };
        let mut length = 367;
        for (cells, label, held_out) in rows {
            if *held_out != (terms.part == Part::HoldOut) {
                continue;
            }
            match body {
                TaskBody::Counts => {
                    (0..3).for_each(|feature| sums[offsets[feature] + cells[feature]] += COUNT);
                }
                TaskBody::Residuals(model) => {
                    let (score, positions, bins) = score(model, cells);
                    let bound = i64::from(terms.cell_abs_max.min(3_072));
                    let add = residual(*label, score, bound);
                    positions
                        .into_iter()
                        .for_each(|position| sums[position] += add);
                    length = bins;
                }
                TaskBody::Evaluation(model) => {
                    let (score, ..) = score(model, cells);
                    let bin = evaluation_bin(score, model.base.into());
                    sums[2 * bin + usize::from(*label)] += COUNT;
                    length = 64;
                }
                TaskBody::Synthetic(cells) => length = *cells as usize,
                TaskBody::Question => panic!("the training table answers no question"),
            }
        }
        sums.truncate(length);
        sums
    }

    fn any_row() -> impl Strategy<Value = Row> {
        let cells = CELLS.map(|count| 0..count);
        (cells, any::<bool>(), any::<bool>())
            .prop_map(|(cells, label, held_out)| (cells.to_vec(), label, held_out))
    }

    fn any_rows() -> impl Strategy<Value = Vec<Row>> {
        proptest::collection::vec(any_row(), 1..300)
    }

    fn any_model() -> impl Strategy<Value = ModelState> {
        let largest = CURVE_MAX as i32;
        let entries = proptest::collection::vec(-largest..=largest, 367);
        let base = -(SCORE_MAX as i32)..=SCORE_MAX as i32;
        (base, 1..20_usize, 0..8_u32, entries).prop_map(|(base, width, small, entries)| {
            model(base >> small, width, |bin| entries[bin] >> small)
        })
    }

    proptest! {
        #[test]
        fn fast_sums_are_the_defined_sums(rows in any_rows(), model in any_model(), half in any::<bool>()) {
            let tasks = [
                (TaskBody::Counts, training(256)),
                (TaskBody::Residuals(model.clone()), training(if half { 2_048 } else { 3_072 })),
                (TaskBody::Evaluation(model), terms(Part::HoldOut, 64, 256, 1)),
            ];
            for (body, terms) in tasks {
                // At least one row of the part, so that the naive sum knows its length.
                let mut rows = rows.clone();
                rows.push((vec![0, 0, 0], true, terms.part == Part::HoldOut));
                prop_assert_eq!(sum(&rows, &body, &terms), naive(&rows, &body, &terms));
            }
        }

        #[test]
        fn any_split_over_nodes_gives_the_same_total(rows in any_rows(), model in any_model(), at in 0..300_usize) {
            let at = at.min(rows.len());
            for body in [TaskBody::Counts, TaskBody::Residuals(model.clone())] {
                let whole = sum(&rows, &body, &training(3_072));
                let parts = [&rows[..at], &rows[at..]].map(|rows| sum(rows, &body, &training(3_072)));
                let total: Vec<i64> = parts[0].iter().zip(&parts[1]).map(|(a, b)| a + b).collect();
                prop_assert_eq!(whole, total);
            }
        }

        #[test]
        fn one_customer_never_exceeds_the_terms(row in any_row(), model in any_model(), bound in 1..4_096_u32) {
            let terms = training(bound);
            let alone = sum(&[(row.0, row.1, false)], &TaskBody::Residuals(model), &terms);
            prop_assert!(alone.iter().all(|cell| cell.unsigned_abs() <= bound.into()));
            let squares: u64 = alone.iter().map(|cell| cell.unsigned_abs().pow(2)).sum();
            prop_assert!(squares <= terms.delta_sq);
        }

        #[test]
        fn random_models_never_panic(
            base in any::<i32>(),
            bin_of_cell in proptest::collection::vec(0..400_u16, 360..370),
            curves in proptest::collection::vec(any::<i32>(), 0..400),
        ) {
            let table = table(&[(vec![1, 64, 299], true, false)]);
            let model = ModelState { base, bin_of_cell, curves };
            for body in [TaskBody::Residuals(model.clone()), TaskBody::Evaluation(model)] {
                drop(contribution(&table, &split(&table), &everybody(table.rows()), &body, &training(3_072), 3_072));
            }
        }
    }

    #[test]
    fn blocks_join_without_a_seam() {
        let row = |index: usize| {
            (
                vec![index % 2, index % 65, index % 300],
                index.is_multiple_of(7),
                index.is_multiple_of(5),
            )
        };
        let rows: Vec<Row> = (0..2 * BLOCK_ROWS + 3).map(row).collect();
        let model = model(-70_000, 3, |bin| bin as i32 * 400 - 20_000);
        for body in [TaskBody::Counts, TaskBody::Residuals(model)] {
            assert_eq!(
                sum(&rows, &body, &training(3_072)),
                naive(&rows, &body, &training(3_072))
            );
        }
    }

    #[test]
    fn the_first_residual_round_is_held_to_half_whatever_the_model_says() {
        let certain = model(-(SCORE_MAX as i32), 1, |_| 0);
        let alone = sum(
            &[(vec![0, 0, 0], true, false)],
            &TaskBody::Residuals(certain),
            &training(2_048),
        );
        assert_eq!(alone[0], 2_048);
    }

    #[test]
    fn no_customers_add_up_to_zero() {
        assert_eq!(sum(&[], &TaskBody::Counts, &training(256)), [0; 367]);
        assert_eq!(
            sum(&[], &TaskBody::Synthetic(100), &training(256)),
            [0; 100]
        );
    }

    #[test]
    fn scores_are_bounded_sums() {
        let table = table(&[(vec![1, 3, 7], true, false), (vec![0, 0, 0], true, true)]);
        let plain = model(-10, 1, |bin| bin as i32);
        assert_eq!(
            scores(&table, &plain).unwrap(),
            [-10 + 1 + 5 + 74, -10 + 2 + 67]
        );
        let high = model(SCORE_MAX as i32, 1, |_| CURVE_MAX as i32);
        assert_eq!(scores(&table, &high).unwrap(), [SCORE_MAX as i32; 2]);
    }

    #[track_caller]
    fn check_refused(body: TaskBody, terms: &RoundTerms, expected: &str) {
        let table = table(&[(vec![1, 64, 299], true, false)]);
        let error = contribution(
            &table,
            &split(&table),
            &everybody(table.rows()),
            &body,
            terms,
            3_072,
        )
        .unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn models_that_do_not_fit_are_refused() {
        let with = |change: fn(&mut ModelState)| {
            let mut model = model(0, 5, |_| 0);
            change(&mut model);
            TaskBody::Residuals(model)
        };
        let terms = training(3_072);
        check_refused(
            with(|m| m.base = 1_048_577),
            &terms,
            "base score is 1048577, expected 1048576",
        );
        check_refused(
            with(|m| m.curves[7] = i32::MIN),
            &terms,
            "curve entry is -2147483648, expected 524288",
        );
        check_refused(
            with(|m| m.curves.push(0)),
            &terms,
            "number of curve entries is 75, expected 74",
        );
        check_refused(
            with(|m| m.curves.truncate(9)),
            &terms,
            "number of curve entries is 9, expected 14",
        );
        check_refused(
            with(|m| m.bin_of_cell.truncate(9)),
            &terms,
            "number of cells in the model is 9, expected 367",
        );
        check_refused(
            with(|m| m.bin_of_cell[0] = 9),
            &terms,
            "number of bins of a feature is 10, expected 2",
        );
    }

    #[test]
    fn tasks_beyond_the_terms_are_refused() {
        let model = || TaskBody::Residuals(model(0, 1, |_| 0));
        let part = Part::Training;
        check_refused(
            TaskBody::Counts,
            &terms(part, 366, 256, 3),
            "number of cells is 367, expected 366",
        );
        check_refused(
            TaskBody::Counts,
            &terms(part, 367, 255, 3),
            "one customer's number in a cell is 256, expected 255",
        );
        check_refused(
            TaskBody::Counts,
            &terms(part, 367, 256, 2),
            "one customer's squared reach is 196608, expected 131072",
        );
        check_refused(
            model(),
            &terms(part, 366, 3_072, 3),
            "number of bins is 367, expected 366",
        );
        check_refused(
            model(),
            &terms(part, 367, 3_072, 2),
            "one customer's squared reach is 28311552, expected 18874368",
        );
        check_refused(
            TaskBody::Synthetic(368),
            &training(256),
            "number of cells is 368, expected 367",
        );
    }
}
