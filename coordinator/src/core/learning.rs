//! What a study asks for next, from the sums released so far.
//!
//! Post-processing of released sums: repeatable, deterministic, spends nothing.

use aquifer_shared::domain::predictor::evaluation::{self, Reading};
use aquifer_shared::domain::predictor::learner::{Fitted, Learner, replay};
use aquifer_shared::domain::predictor::plan::{Shape, total_sigma};
use aquifer_shared::domain::predictor::stop::Stop;
use aquifer_shared::domain::sum::{Plan, RoundTerms, StudyTerms};
use aquifer_shared::protocol::ask::ReleasedSum;
use aquifer_shared::protocol::wire::TaskBody;

/// The mind behind a plan.
pub trait Learning: Send {
    /// The task of the round after these sums; the same sums give the same task.
    ///
    /// # Errors
    ///
    /// If the sums tell that going on is useless; what was spent stays spent.
    fn next_task(&mut self, released: &[ReleasedSum]) -> Result<TaskBody, Stop>;
}

/// The additive predictor's side of a study.
#[derive(Clone, Debug)]
pub struct AdditiveLearning {
    shapes: Vec<Shape>,
    rounds: Vec<RoundTerms>,
    clip: u32,
    learner: Option<Learner>,
    /// Sums that the learner has taken in.
    taken: usize,
}

/// Sums of zeros, for measuring the transport.
#[derive(Clone, Copy, Debug)]
pub struct SyntheticLearning {
    cells: u32,
}

/// The one task of a question.
#[derive(Clone, Copy, Debug)]
pub struct Asking;

/// The learning that a study's terms ask for.
#[must_use]
pub fn learning(terms: &StudyTerms, shapes: &[Shape]) -> Box<dyn Learning> {
    match &terms.plan {
        Plan::Additive { clip, .. } => {
            Box::new(AdditiveLearning::new(&terms.rounds, *clip, shapes))
        }
        Plan::Synthetic { cells, .. } => Box::new(SyntheticLearning { cells: *cells }),
        Plan::Question { .. } => Box::new(Asking),
    }
}

/// The learner after all training sums of a finished additive study, for its model file; `None` for other plans.
///
/// # Errors
///
/// Whatever stops the learner; nothing if the study itself went through with the same sums.
pub fn learn(
    terms: &StudyTerms,
    shapes: &[Shape],
    released: &[ReleasedSum],
) -> Result<Option<Learner>, Stop> {
    let Plan::Additive { clip, .. } = terms.plan else {
        return Ok(None);
    };
    let training = terms.rounds.len() - 1;
    let sums: Vec<(Vec<i64>, f64)> = released
        .iter()
        .zip(&terms.rounds[..training])
        .map(|(sum, round)| {
            (
                sum.cells.clone(),
                total_sigma(round.sigma_share, sum.updates),
            )
        })
        .collect();
    replay(shapes, clip, &sums).map(Some)
}

/// What the last sum of a finished additive study, its private evaluation, says about the model; `None` before there is one.
///
/// # Errors
///
/// A sum of another shape.
pub fn evaluated(
    terms: &StudyTerms,
    released: &[ReleasedSum],
    fitted: &Fitted,
) -> Result<Option<Reading>, Stop> {
    let (Some(sum), Some(round)) = (released.last(), terms.rounds.last()) else {
        return Ok(None);
    };
    if released.len() != terms.rounds.len() {
        return Ok(None);
    }
    let sigma = total_sigma(round.sigma_share, sum.updates);
    evaluation::read(&sum.cells, sigma, fitted.base, fitted.clip).map(Some)
}

impl AdditiveLearning {
    fn new(rounds: &[RoundTerms], clip: u32, shapes: &[Shape]) -> Self {
        Self {
            shapes: shapes.to_vec(),
            rounds: rounds.to_vec(),
            clip,
            learner: None,
            taken: 0,
        }
    }

    /// Takes in the training sums that are new.
    fn take(&mut self, released: &[ReleasedSum]) -> Result<(), Stop> {
        let training = self.rounds.len() - 1;
        for (sum, round) in released[..training.min(released.len())]
            .iter()
            .zip(&self.rounds)
            .skip(self.taken)
        {
            let sigma = total_sigma(round.sigma_share, sum.updates);
            match &mut self.learner {
                None => {
                    let learner =
                        Learner::after_counts(&self.shapes, &sum.cells, sigma, self.clip)?;
                    self.learner = Some(learner);
                }
                Some(learner) => {
                    learner.step(&sum.cells, sigma)?;
                }
            }
            self.taken += 1;
        }
        Ok(())
    }
}

impl Learning for AdditiveLearning {
    fn next_task(&mut self, released: &[ReleasedSum]) -> Result<TaskBody, Stop> {
        self.take(released)?;
        let Some(learner) = &self.learner else {
            return Ok(TaskBody::Counts);
        };
        if released.len() + 1 < self.rounds.len() {
            return Ok(TaskBody::Residuals(learner.state()));
        }
        // A model that cannot be published is not worth an evaluation.
        learner.finish()?;
        Ok(TaskBody::Evaluation(learner.state()))
    }
}

impl Learning for SyntheticLearning {
    fn next_task(&mut self, _released: &[ReleasedSum]) -> Result<TaskBody, Stop> {
        Ok(TaskBody::Synthetic(self.cells))
    }
}

impl Learning for Asking {
    fn next_task(&mut self, _released: &[ReleasedSum]) -> Result<TaskBody, Stop> {
        Ok(TaskBody::Question)
    }
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::units::MicroRho;
    use aquifer_shared::domain::predictor::plan::{CLIP_WIDE, RESIDUAL_ROUNDS, additive_rounds};
    use aquifer_shared::domain::sum::NoiseShare;

    use super::*;

    const SHAPES: [Shape; 2] = [
        Shape {
            ordered: true,
            cells: 5,
        },
        Shape {
            ordered: false,
            cells: 3,
        },
    ];

    fn additive() -> AdditiveLearning {
        let rounds = additive_rounds(
            &SHAPES,
            MicroRho(500_000),
            CLIP_WIDE,
            RESIDUAL_ROUNDS,
            NoiseShare::OWN,
        );
        AdditiveLearning::new(&rounds.unwrap(), CLIP_WIDE, &SHAPES)
    }

    fn released(round: u32, cells: Vec<i64>) -> ReleasedSum {
        ReleasedSum {
            round,
            updates: 4,
            cells,
        }
    }

    /// 40 000 customers, 10 000 in each of four numeric cells, 20 000 in two levels each.
    fn counts() -> ReleasedSum {
        let cells = [10_000, 10_000, 10_000, 10_000, 0, 20_000, 20_000, 0];
        released(0, cells.map(|count| count * 256).to_vec())
    }

    #[test]
    fn counts_then_residuals_then_evaluation() {
        let mut learning = additive();
        let mut sums = Vec::new();
        assert_eq!(learning.next_task(&sums), Ok(TaskBody::Counts));
        sums.push(counts());
        for round in 1..9 {
            let task = learning.next_task(&sums).unwrap();
            let TaskBody::Residuals(state) = &task else {
                panic!("{task:?}");
            };
            assert_eq!(learning.next_task(&sums).as_ref(), Ok(&task));
            sums.push(released(round, vec![round.into(); state.curves.len()]));
        }
        let task = learning.next_task(&sums).unwrap();
        assert!(matches!(task, TaskBody::Evaluation(_)), "{task:?}");
        // All at once, as after a restart.
        assert_eq!(additive().next_task(&sums), Ok(task));
    }

    #[test]
    fn too_little_data_stops_a_study() {
        let few = released(0, vec![256; 8]);
        let stop = additive().next_task(&[few]).unwrap_err();
        assert_eq!(stop.code(), "too_little_data");
        let short = released(0, vec![256; 7]);
        let stop = additive().next_task(&[short]).unwrap_err();
        assert_eq!(stop.code(), "wrong_shape");
    }
}
