//! Exact figures beside the private ones: only the owner of all the data can compute them.

use anyhow::Result;
use aquifer_shared::base::units::{Epsilon, MicroRho};
use aquifer_shared::domain::predictor::plan::clip_for;
use aquifer_shared::domain::sum::NoiseShare;
use aquifer_shared::shell::noise::OpenDpNoise;
use aquifer_tests::company::{Company, Customer};
use aquifer_tests::exact::{auc, log_loss};
use aquifer_tests::measured::Model;
use aquifer_tests::training::{Encoded, Quality};

use crate::stop::Stop;

/// Exact quality of the shared model, of the truth, and of every unit alone.
pub struct Compared {
    pub shared: Quality,
    pub best: Option<Quality>,
    pub alone: Vec<(String, Option<Quality>)>,
}

impl Compared {
    pub fn of(
        company: &Company,
        model: &Model,
        urho: MicroRho,
        epsilon: f64,
        stop: &Stop,
    ) -> Result<Self> {
        let encoded = Encoded::of(company)?;
        let shared = encoded.quality(&model.trained)?;
        let truth = |customer: &Customer| Some((customer.truth?, company.is_positive(customer)));
        let best = company.held_out().map(truth).collect::<Option<Vec<_>>>();
        let best = best.and_then(|shown| {
            Some(Quality {
                auc: auc(&shown)?,
                log_loss: log_loss(&shown)?,
            })
        });
        let clip = clip_for(Epsilon::try_from(epsilon)?);
        let mut alone = Vec::new();
        for (unit, name) in company.units.iter().enumerate() {
            stop.check()?;
            // Too little data to learn from is an answer here, not a failure.
            let trained = encoded
                .train(&[unit], urho, clip, NoiseShare::OWN, &mut OpenDpNoise)
                .ok();
            let quality = trained
                .map(|trained| encoded.quality(&trained))
                .transpose()?;
            alone.push((name.clone(), quality));
        }
        Ok(Self {
            shared,
            best,
            alone,
        })
    }

    pub fn rows(&self) -> Vec<(String, Option<Quality>)> {
        let alone = self
            .alone
            .iter()
            .map(|(name, quality)| (format!("{name} alone, private"), *quality));
        let shared = ("all units together, private".to_owned(), Some(self.shared));
        let best = self
            .best
            .map(|best| ("best possible (the truth)".to_owned(), Some(best)));
        best.into_iter().chain([shared]).chain(alone).collect()
    }
}
