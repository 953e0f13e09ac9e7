//! Models as commands list them, until when they are used, and what audits of their claims came to.

use serde::{Deserialize, Serialize};

use super::wire::{Message, message};
use crate::base::ids::{Hash32, Name, StudyHash};
use crate::base::limits::{AUDIT_CANARIES_MAX, AUDIT_FIGURE_MAX, MODELS_TOLD_MAX, NAME_BYTES_MAX};
use crate::base::time::Timestamp;
use crate::domain::audit_bound::{Claim, is_falsified_up_to, threshold};
use crate::domain::predictor::model::{Life, Succession};

message!(34, ModelLives, MODELS_TOLD_MAX * (NAME_BYTES_MAX + 96));
message!(35, ModelPlans, MODELS_TOLD_MAX * 64);

/// A line of the list of models.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ModelEntry {
    /// Name.
    pub name: Name,
    /// Version, from 1.
    pub version: u32,
    /// The study behind it.
    pub study: StudyHash,
    /// Published or held.
    pub published: bool,
    /// SHA-256 of the hashed part.
    pub model_hash: Hash32,
    /// Epsilon of its study.
    pub epsilon: f64,
    /// Delta of its study.
    pub delta: f64,
    /// Private AUC, if there was enough data to tell.
    pub auc: Option<f64>,
    /// When.
    pub created: Timestamp,
    /// Warnings of its card.
    pub warnings: Vec<String>,
}

/// C→N, at the beginning of a session and whenever something of it changes: how long models are used that the node has trained.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ModelLives {
    /// Released models of studies that have the node as a member, the newest first.
    pub models: Vec<ModelLife>,
}

/// How long a model is used.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ModelLife {
    /// The study behind it.
    pub study: StudyHash,
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: u32,
    /// Its dates.
    pub life: Life,
}

/// C→N, after [`ModelLives`] and whenever something of it changes: which of these models another version is planned for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ModelPlans {
    /// Released models of studies that have the node as a member, the newest first.
    pub models: Vec<ModelPlan>,
}

/// What becomes of the place of a model.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ModelPlan {
    /// The study behind the model.
    pub study: StudyHash,
    /// What is planned, and what came of it.
    pub succession: Succession,
}

/// What `scripts/audit-privacy` found about a claim: integers only.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryRecord {
    /// Coins that were thrown.
    pub canaries: u64,
    /// The largest epsilon that could have been falsified, in millionths.
    pub ceiling_micro: u64,
    /// The claimed epsilon in millionths.
    pub claim_micro: u64,
    /// Right guesses.
    pub correct: u64,
    /// The claimed delta in 10^-12.
    pub delta_pico: u64,
    /// 1 if the claim is falsified.
    pub falsified: u8,
    /// The largest epsilon that is falsified, in millionths.
    pub falsified_up_to_micro: u64,
    /// Guesses.
    pub guesses: u64,
    /// 1 if noise is shared between nodes, sums or cells.
    pub noise_shared: u8,
    /// 1 if the guesses could have falsified the claim.
    pub tested: u8,
    /// Right guesses from which on the claim is falsified; 0 if there are none.
    pub threshold: u64,
}

impl CanaryRecord {
    /// What it came to, in words that an audit can stand for.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self {
            Self { falsified: 1.., .. } => "falsified",
            Self {
                noise_shared: 1.., ..
            } => "falsified: noise is shared",
            Self { tested: 0, .. } => "too few guesses to falsify the claim",
            _ => "not falsified at this sample size",
        }
    }

    /// What of it contradicts the rest, or the bound that its claim has by the specification; none where it fits together.
    ///
    /// A record states its threshold, and is held to the one that follows from its claim: nobody is let off by another.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let misfit = self.misfit().map(str::to_owned);
        misfit.or_else(|| self.other_bound())
    }

    fn misfit(&self) -> Option<&'static str> {
        let flags = [self.falsified, self.noise_shared, self.tested];
        let figures = [
            self.canaries,
            self.ceiling_micro,
            self.claim_micro,
            self.delta_pico,
            self.falsified_up_to_micro,
        ];
        let wrong = [
            (
                flags.iter().any(|flag| *flag > 1),
                "a flag that is neither 0 nor 1",
            ),
            (
                figures.iter().any(|figure| *figure > AUDIT_FIGURE_MAX),
                "a figure above 10^12",
            ),
            (
                self.canaries > AUDIT_CANARIES_MAX,
                "more than 100000 canaries",
            ),
            (
                self.guesses == 0 || self.guesses > self.canaries,
                "more guesses than canaries, or none",
            ),
            (
                self.correct > self.guesses,
                "more right guesses than guesses",
            ),
            (self.claim_micro == 0, "no claim"),
            (
                (self.tested == 1) != (self.threshold > 0),
                "a test without a threshold, or a threshold without a test",
            ),
            (
                self.tested == 1 && self.ceiling_micro < self.claim_micro,
                "a test of a claim above its ceiling",
            ),
            (
                (self.falsified == 1) != (self.tested == 1 && self.correct >= self.threshold),
                "an outcome that does not follow from guesses and threshold",
            ),
        ];
        wrong.into_iter().find(|(is, _)| *is).map(|(_, what)| what)
    }

    /// Figures that are not those of the claim, its canaries and guesses.
    fn other_bound(&self) -> Option<String> {
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let (guesses, correct) = (size(self.guesses), size(self.correct));
        let claim = Claim::of_integers(self.claim_micro, self.delta_pico, size(self.canaries));
        let expected = threshold(claim, guesses).map_or(0, |found| found as u64);
        if self.threshold != expected {
            return Some(format!(
                "a threshold of {} right guesses, where its claim is falsified from {expected} of {} on (0: never)",
                self.threshold, self.guesses
            ));
        }
        if !is_falsified_up_to(claim, guesses, guesses, self.ceiling_micro) {
            let what = "a ceiling that is not what its guesses could falsify, all right";
            return Some(what.to_owned());
        }
        let own = is_falsified_up_to(claim, guesses, correct, self.falsified_up_to_micro);
        (!own)
            .then(|| "a largest falsified epsilon that is not that of its right guesses".to_owned())
    }
}
