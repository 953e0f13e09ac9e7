//! A study on a whole deployment, with what it cost: time, CPU, memory, bytes, budget, and its exact quality.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use aquifer_shared::base::units::{Delta, Epsilon, MicroRho};
use aquifer_shared::domain::predictor::ModelState;
use aquifer_shared::domain::sum::smallest_slot_ms;
use aquifer_shared::shell::noise::largest_urho;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::company::Company;
use crate::processes::loopback_bytes;
use crate::study::state;
use crate::training::Trained;

/// Spare attempts of a study whose file does not say how many.
pub const SPARE_ATTEMPTS: u64 = 1;
/// How long a study may stand still.
const STEP_MS: u64 = 60_000;

/// A study that ran on real processes.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its hash.
    pub hash: String,
    /// What its model is called: `NAME`, or `NAME@1` where a person has to decide on it.
    pub which: String,
    /// The last status.
    pub status: Value,
    /// From the command that submits it to the release.
    pub seconds: f64,
    /// Bytes on the loopback device meanwhile.
    pub bytes: u64,
    /// The released model, if there is one.
    pub model: Option<Model>,
}

/// A released model, as its file says.
#[derive(Clone, Debug)]
pub struct Model {
    /// The file.
    pub file: Value,
    /// What scores need.
    pub trained: Trained,
}

impl Measured {
    /// Submits, approves and follows a study; fetches the model.
    ///
    /// # Errors
    ///
    /// A command failed, or nothing changed for a minute.
    pub fn run(
        cluster: &Cluster,
        name: &str,
        study: &str,
        see: impl FnMut(&Value),
    ) -> Result<Self> {
        let (started, before) = (Instant::now(), loopback_bytes()?);
        let hash = cluster.submit(study)?;
        let watch = cluster.watch(&hash)?;
        cluster.approve(&hash)?;
        let status = cluster.follow(&watch, STEP_MS, see)?;
        let (seconds, bytes) = (started.elapsed().as_secs_f64(), loopback_bytes()? - before);
        let which = match state(&status) {
            "aborted" => None,
            // A candidate that waits for a person has no name without its number, which is the first of a fresh deployment.
            "held" => Some(format!("{name}@1")),
            _ => Some(name.to_owned()),
        };
        let model = which.as_ref().map(|which| Model::fetch(cluster, which));
        let model = model.transpose()?;
        Ok(Self {
            which: which.unwrap_or_default(),
            hash,
            status,
            seconds,
            bytes,
            model,
        })
    }

    /// Sums of the study.
    #[must_use]
    pub fn sums(&self) -> u64 {
        self.status["rounds"]
            .as_array()
            .map_or(0, |rounds| rounds.len() as u64)
    }
}

impl Model {
    /// Fetches a model: the newest published version of `NAME`, or `NAME@VERSION`, published or held.
    ///
    /// # Errors
    ///
    /// The command failed, or the file is not one of the additive predictor.
    pub fn fetch(cluster: &Cluster, name: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("model.json");
        cluster
            .aquifer(["model", "export", name, "--out", &path.to_string_lossy()])?
            .success()
            .context("aquifer model export")?;
        let text = std::fs::read_to_string(&path)?;
        let file: Value = serde_json::from_str(&text).context("the model file is JSON")?;
        let model = &file["model"];
        let features = model["features"]
            .as_array()
            .context("the model has features")?;
        let lists = |key: &str| -> Result<Vec<i64>> {
            let lists = features
                .iter()
                .map(|feature| feature[key].as_array().context("a feature has lists"));
            let numbers = lists.collect::<Result<Vec<_>>>()?.into_iter().flatten();
            numbers
                .map(|number| number.as_i64().context("lists hold integers"))
                .collect()
        };
        let integer = |key: &str| {
            model[key]
                .as_i64()
                .with_context(|| format!("the model has no {key}"))
        };
        let state = ModelState {
            base: i32::try_from(integer("base")?)?,
            bin_of_cell: lists("bin_of_cell")?
                .into_iter()
                .map(u16::try_from)
                .collect::<Result<_, _>>()?,
            curves: lists("curve")?
                .into_iter()
                .map(i32::try_from)
                .collect::<Result<_, _>>()?,
        };
        let clip = u32::try_from(integer("clip")?)?;
        Ok(Self {
            trained: Trained {
                state,
                clip,
                sums: Vec::new(),
            },
            file,
        })
    }

    /// The trust mode that its statement names.
    #[must_use]
    pub fn trust(&self) -> &str {
        self.file["privacy"]["mode"].as_str().unwrap_or_default()
    }

    /// Epsilon that does not rest on others; none in node-noise.
    #[must_use]
    pub fn floor_epsilon(&self) -> Option<&str> {
        self.file["privacy"]["floor_epsilon"].as_str()
    }

    /// AUC of the private evaluation, if it is shown.
    #[must_use]
    pub fn private_auc(&self) -> Option<f64> {
        self.file["card"]["quality"]["auc"].as_f64()
    }

    /// Why no private figure is shown.
    #[must_use]
    pub fn private_reason(&self) -> Option<String> {
        let reason = self.file["card"]["quality_reason"].as_str();
        let withheld = self.private_auc().is_none();
        withheld.then(|| reason.unwrap_or("the card does not say why").to_owned())
    }
}

/// The answer slot that the coordinator chooses for a company's declared sizes.
#[must_use]
pub fn slot_seconds(company: &Company) -> f64 {
    let features = company.contract.columns.len() as u64;
    f64::from(smallest_slot_ms(company.customers_max(), features)) / 1e3
}

/// What a study charges at most: its price and that of its spare attempts.
///
/// The dearest sum of an additive study is its evaluation, which costs as much as all others together.
#[must_use]
pub fn cap(price: MicroRho) -> MicroRho {
    MicroRho(price.0 * (1 + SPARE_ATTEMPTS))
}

/// The price of a study at its target.
///
/// # Errors
///
/// Numbers outside their range.
pub fn price(epsilon: f64, delta: f64) -> Result<MicroRho> {
    let urho = largest_urho(Epsilon::try_from(epsilon)?, Delta::try_from(delta)?);
    ensure!(
        urho.0 > 0,
        "epsilon {epsilon} at delta {delta:e} has no price above 0"
    );
    Ok(urho)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(card: Value, auc: Option<f64>, reason: Option<&str>) {
        let state = ModelState {
            base: 0,
            bin_of_cell: Vec::new(),
            curves: Vec::new(),
        };
        let (clip, sums) = (1, Vec::new());
        let trained = Trained { state, clip, sums };
        let file = json!({ "card": card });
        let model = Model { file, trained };
        assert_eq!(model.private_auc(), auc);
        assert_eq!(model.private_reason().as_deref(), reason);
    }

    #[test]
    fn a_figure_or_the_reason_why_there_is_none() {
        check(
            json!({"quality": {"auc": 0.75}, "quality_reason": null}),
            Some(0.75),
            None,
        );
        let reason = "too little data to tell: noise alone moves the AUC";
        check(
            json!({"quality": null, "quality_reason": reason}),
            None,
            Some(reason),
        );
        // Held for another reason: the figure is there.
        check(
            json!({"quality": {"auc": 0.5}, "quality_reason": "not better"}),
            Some(0.5),
            None,
        );
    }
}
