//! One run of the training path: the node's contribution, the noise of its scale, the coordinator's sum and step, sum by sum.
//!
//! The cores are those that ship. A sum of shares is added up in the open: that sharing and opening give the plain sum is
//! what `simulate --exact` shows.

use anyhow::{Context, Result};
use aquifer_node::core::cohort::Cohort;
use aquifer_node::core::contribution::contribution;
use aquifer_shared::domain::law::witness::Train;
use aquifer_shared::domain::predictor::ModelState;
use aquifer_shared::domain::predictor::learner::Learner;
use aquifer_shared::domain::predictor::plan::total_sigma;
use aquifer_shared::domain::sum::RoundTerms;
use aquifer_shared::protocol::wire::TaskBody;

use super::design::Study;
use super::fault::{Source, worked_by};
use super::planted::{Planted, Unit};

/// What an attacker sees of one sum: a coordinator that keeps everything, with all the colluding nodes that the claim allows.
#[derive(Debug)]
pub struct Seen {
    /// The task, whose model is public.
    pub body: TaskBody,
    /// The terms that nodes worked by.
    pub terms: RoundTerms,
    /// The bound of residuals that nodes worked by.
    pub clip: u32,
    /// Noisy vectors, without the noise that the attacker knows.
    pub views: Vec<Vec<i64>>,
    /// Standard deviation of the noise in a cell of a vector, as claimed.
    pub sigma: f64,
}

impl Seen {
    /// The model that customers were scored with; none in the counting sum.
    #[must_use]
    pub fn model(&self) -> Option<&ModelState> {
        match &self.body {
            TaskBody::Residuals(model) => Some(model),
            _ => None,
        }
    }

    /// What a node adds up to without noise.
    ///
    /// # Errors
    ///
    /// The node refuses the task.
    pub fn exact(&self, unit: &Unit, cohort: &Cohort<Train>) -> Result<Vec<i64>> {
        let (table, split) = (&unit.table, &unit.split);
        let exact = contribution(table, split, cohort, &self.body, &self.terms, self.clip)?;
        Ok(exact.expose().clone())
    }
}

/// Runs a study; the coins say which canaries are in. Calls `tick` after every sum.
///
/// # Errors
///
/// Noise that cannot be drawn, a node that refuses, or a learner that stops.
pub fn run(
    study: &Study,
    planted: &Planted,
    coins: &[bool],
    source: &mut Source,
    mut tick: impl FnMut(),
) -> Result<Vec<Seen>> {
    let units = planted.units().iter();
    let cohorts: Vec<Cohort<Train>> = units.map(|unit| unit.cohort(coins)).collect();
    let (mut learner, mut released): (Option<Learner>, Vec<Seen>) = (None, Vec::new());
    for signed in &study.rounds {
        let (terms, clip) = worked_by(source.fault(), signed, study.clip);
        let body = learner.as_ref().map_or(TaskBody::Counts, |learner| {
            TaskBody::Residuals(learner.state())
        });
        let mut seen = Seen {
            body,
            terms,
            clip,
            views: Vec::new(),
            sigma: study.sigma(signed),
        };
        let total = sum(study, planted, &cohorts, source, &mut seen)?;
        let sigma = total_sigma(signed.sigma_share, study.dealers as u32);
        match &mut learner {
            None => {
                learner = Some(Learner::after_counts(
                    &study.shapes,
                    &total,
                    sigma,
                    study.clip,
                )?)
            }
            Some(learner) => {
                learner.step(&total, sigma)?;
            }
        }
        released.push(seen);
        tick();
    }
    learner.context("a study has sums")?;
    Ok(released)
}

/// The released sum; fills in what the attacker sees of it.
fn sum(
    study: &Study,
    planted: &Planted,
    cohorts: &[Cohort<Train>],
    source: &mut Source,
    seen: &mut Seen,
) -> Result<Vec<i64>> {
    let mut total = Vec::new();
    let mut views = vec![Vec::new(); study.views()];
    for (node, (unit, cohort)) in planted.units().iter().zip(cohorts).enumerate() {
        let exact = seen.exact(unit, cohort)?;
        let noise = source.draw(node, seen.terms.sigma_share, exact.len())?;
        let view = &mut views[study.view_of(node)];
        add(&mut total, &exact);
        add(&mut total, &noise);
        add(view, &exact);
        if node < study.honest {
            add(view, &noise);
        }
    }
    seen.views = views;
    Ok(total)
}

fn add(sums: &mut Vec<i64>, own: &[i64]) {
    sums.resize(own.len(), 0);
    sums.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
}
