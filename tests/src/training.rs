//! A study inside one process: the same cores as in production, no network, no ledger. For comparisons over many studies.

use crate::law::everybody;
use anyhow::{Context, Result, bail};
use aquifer_node::core::contribution::contribution;
use aquifer_node::core::holdout::Split;
use aquifer_node::core::model::scores;
use aquifer_node::core::table::{Table, TableBuilder};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::predictor::ModelState;
use aquifer_shared::domain::predictor::arithmetic::probability;
use aquifer_shared::domain::predictor::learner::Learner;
use aquifer_shared::domain::predictor::plan::{
    RESIDUAL_ROUNDS, Shape, additive_rounds, total_sigma,
};
use aquifer_shared::domain::sum::{HoldOut, NoiseShare, Part, RoundTerms, Thresholds};
use aquifer_shared::protocol::wire::TaskBody;
use aquifer_shared::shell::noise::Noise;

use crate::company::{Company, SPLIT_COLUMN};
use crate::exact::{auc, log_loss};

/// Every unit's encoded customers.
pub struct Encoded {
    shapes: Vec<Shape>,
    units: Vec<(Table, Split)>,
}

/// A model that was trained here.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The model.
    pub state: ModelState,
    /// Residual bound.
    pub clip: u32,
    /// Released sums in order; the evaluation last.
    pub sums: Vec<Vec<i64>>,
}

/// Exact quality on the hold-out.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// Area under the ROC curve.
    pub auc: f64,
    /// Mean negative log-likelihood.
    pub log_loss: f64,
}

impl Encoded {
    /// Encodes a company.
    ///
    /// # Errors
    ///
    /// A table that does not fit.
    pub fn of(company: &Company) -> Result<Self> {
        let shapes = company.contract.shapes().into_iter();
        let shapes = shapes
            .map(|(ordered, cells)| Shape { ordered, cells })
            .collect();
        let units = (0..company.units.len()).map(|unit| encode(company, unit));
        Ok(Self {
            shapes,
            units: units.collect::<Result<_>>()?,
        })
    }

    /// Number of units.
    #[must_use]
    pub fn units(&self) -> usize {
        self.units.len()
    }

    /// Runs a study over some units: those that take part in every sum, each with its share of the noise.
    ///
    /// # Errors
    ///
    /// Terms outside the limits, noise that cannot be drawn, or too little data to learn from.
    pub fn train(
        &self,
        members: &[usize],
        urho: MicroRho,
        clip: u32,
        share: NoiseShare,
        noise: &mut dyn Noise,
    ) -> Result<Trained> {
        let rounds = additive_rounds(&self.shapes, urho, clip, RESIDUAL_ROUNDS, share);
        let rounds = rounds.context("the price gives no scale within limits")?;
        let updates = u32::try_from(members.len())?;
        let mut sums: Vec<Vec<i64>> = Vec::new();
        let mut learner: Option<Learner> = None;
        for terms in &rounds {
            let body = match (&learner, terms.part) {
                (None, _) => TaskBody::Counts,
                (Some(learner), Part::Training) => TaskBody::Residuals(learner.state()),
                (Some(learner), Part::HoldOut | Part::Everyone) => {
                    TaskBody::Evaluation(learner.state())
                }
            };
            let sum = self.sum(members, &body, terms, clip, noise)?;
            let sigma = total_sigma(terms.sigma_share, updates);
            sums.push(sum.clone());
            match (&mut learner, terms.part) {
                (None, _) => {
                    learner = Some(Learner::after_counts(&self.shapes, &sum, sigma, clip)?)
                }
                (Some(learner), Part::Training) => {
                    learner.step(&sum, sigma)?;
                }
                (Some(_), Part::HoldOut | Part::Everyone) => {}
            }
        }
        let state = learner.context("a plan has rounds")?.state();
        Ok(Trained { state, clip, sums })
    }

    fn sum(
        &self,
        members: &[usize],
        body: &TaskBody,
        terms: &RoundTerms,
        clip: u32,
        noise: &mut dyn Noise,
    ) -> Result<Vec<i64>> {
        let mut total: Vec<i64> = Vec::new();
        for &member in members {
            let Some((table, split)) = self.units.get(member) else {
                bail!("no unit {member}, there are {}", self.units.len());
            };
            let exact = contribution(table, split, &everybody(table.rows()), body, terms, clip)?;
            let exact = exact.expose();
            let noise = noise.draw(terms.sigma_share, exact.len())?;
            total.resize(exact.len(), 0);
            for ((total, exact), noise) in total.iter_mut().zip(exact).zip(noise) {
                *total += exact + noise;
            }
        }
        Ok(total)
    }

    /// Scores and labels of all customers that are held out.
    ///
    /// # Errors
    ///
    /// A model that does not fit the tables.
    pub fn held_out_scores(&self, state: &ModelState) -> Result<Vec<(i32, bool)>> {
        let mut found = Vec::new();
        for (table, split) in &self.units {
            let scores = scores(table, state)?;
            let rows = scores.into_iter().zip(table.labels()).enumerate();
            let kept = rows.filter(|(row, _)| split.contains(Part::HoldOut, *row));
            found.extend(kept.map(|(_, (score, &label))| (score, label == 1)));
        }
        Ok(found)
    }

    /// Exact quality of a model on the hold-out of all units.
    ///
    /// # Errors
    ///
    /// A model that does not fit the tables, or a hold-out of one class only.
    pub fn quality(&self, model: &Trained) -> Result<Quality> {
        let scored = self.held_out_scores(&model.state)?.into_iter();
        let shown: Vec<(f64, bool)> = scored
            .map(|(score, label)| (probability(i64::from(score), model.clip), label))
            .collect();
        let found = auc(&shown).zip(log_loss(&shown));
        let (auc, log_loss) = found.context("the hold-out has customers of both classes")?;
        Ok(Quality { auc, log_loss })
    }
}

/// What each node's noise is a share of in shared-noise with the usual tolerances, for a customer at one node.
///
/// # Errors
///
/// Too few or too many members.
pub fn usual_share(members: usize) -> Result<NoiseShare> {
    let (absent, colluders) = (
        Thresholds::usual_absent(members),
        Thresholds::usual_colluders(members),
    );
    let honest = Thresholds::new(members, absent, colluders)?.honest();
    Ok(NoiseShare {
        honest,
        multiplicity: 1,
    })
}

fn encode(company: &Company, unit: usize) -> Result<(Table, Split)> {
    let columns = &company.contract.columns;
    let cells = columns.iter().map(|column| column.shape().1).collect();
    let mut builder = TableBuilder::new(cells, Some(SPLIT_COLUMN));
    for customer in company.of_unit(unit) {
        let values = columns.iter().zip(&customer.values);
        let cells = values.map(|(column, value)| {
            column.cell_of_text(
                Some(value)
                    .filter(|value| !value.is_empty())
                    .map(String::as_str),
            )
        });
        builder.push(
            cells,
            company.is_positive(customer),
            &customer.id,
            customer.held_out,
        )?;
    }
    let table = builder.finish();
    let rule = HoldOut::Column(SPLIT_COLUMN.to_owned());
    let split = Split::of(&table, &[0; 32], &company.contract.name, &rule)?;
    Ok((table, split))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{NoNoise, SeededNoise};

    #[test]
    fn shared_noise_is_better_than_noise_of_each_node_and_survives_absence() {
        let company = Company::synthetic(3, 8_000);
        let encoded = Encoded::of(&company).unwrap();
        let all: Vec<usize> = (0..8).collect();
        let train = |members: &[usize], share| {
            let auc = |seed| {
                let mut noise = SeededNoise::new(seed);
                let model = encoded.train(members, MicroRho(24_355), 3_072, share, &mut noise);
                encoded.quality(&model.unwrap()).unwrap().auc
            };
            (1..=3).map(auc).sum::<f64>() / 3.0
        };
        let share = usual_share(8).unwrap();
        assert_eq!((share.honest, share.multiplicity), (5, 1));
        let own = train(&all, NoiseShare::OWN);
        let shared = train(&all, share);
        let six = train(&all[..6], share);
        assert!(shared > six && six > own, "{shared} {six} {own}");
    }

    #[test]
    fn the_learner_comes_close_to_the_truth() {
        let company = Company::synthetic(3, 8_000);
        let encoded = Encoded::of(&company).unwrap();
        let all: Vec<usize> = (0..8).collect();
        let train = |members: &[usize], noise: &mut dyn Noise| {
            let model = encoded
                .train(members, MicroRho(311_064), 4_096, NoiseShare::OWN, noise)
                .unwrap();
            encoded.quality(&model).unwrap().auc
        };
        let truth = company
            .held_out()
            .map(|c| (c.truth.unwrap(), company.is_positive(c)));
        let best = auc(&truth.collect::<Vec<_>>()).unwrap();
        let exact = train(&all, &mut NoNoise);
        let noisy = train(&all, &mut SeededNoise::new(1));
        let alone = train(&[0], &mut SeededNoise::new(1));
        assert!(
            best > exact && exact > noisy && noisy > alone,
            "{best} {exact} {noisy} {alone}"
        );
        assert!(
            best - exact < 0.02 && exact - noisy < 0.03,
            "{best} {exact} {noisy}"
        );
    }
}
