//! The model file: versioned JSON with sorted keys, complete for predictions, hashed and signed.
//!
//! Reading refuses anything that this version would not have written: unknown keys, wrong lengths, values out of bounds.
//! Signing and verifying are the shells' business; this says what is signed.

mod build;
mod card;
mod error;
mod hex;
mod life;
mod part;
pub mod privacy;
mod succession;
#[cfg(test)]
mod tests;
mod words;

use serde::{Deserialize, Serialize};

use super::additive::{Additive, Curve};
use super::bins::FeatureBins;
use crate::base::hash::{labelled, sha256};
use crate::base::ids::Hash32;
use crate::base::limits::MODEL_BYTES_MAX;
use error::check;

pub use build::{Finished, NOT_EVALUATED, model};
pub use card::{Card, QualityCard, ReliabilityCard};
pub use error::ModelError;
pub use life::{Fate, Life, OutOfUse, day, last_use};
pub use part::{DECISION, Feature, Kind, Model, Nothing, Quantum};
pub use privacy::{Privacy, RoundStatement, SumRecord};
pub use succession::Succession;
pub use words::mechanism;

/// Name and version of the format.
pub const FORMAT: &str = "aquifer.additive/2";
/// The same without a date to retire by, as it was written before; it is still read.
pub const FORMAT_UNDATED: &str = "aquifer.additive/1";

/// A model version as it is published. Fields in the order of their keys.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    card: Card,
    format: String,
    model: Model,
    #[serde(with = "hex::hash")]
    model_hash: Hash32,
    privacy: Privacy,
    #[serde(with = "hex::signature")]
    signature: Option<[u8; 64]>,
}

/// The signed parts, in the order of their keys.
#[derive(Serialize)]
struct Signed<'a> {
    card: &'a Card,
    format: &'a str,
    model: &'a Model,
    privacy: &'a Privacy,
}

impl ModelFile {
    /// A file from its parts, not yet signed.
    ///
    /// # Errors
    ///
    /// Parts that break a rule, or that do not belong together.
    pub fn new(model: Model, card: Card, privacy: Privacy) -> Result<Self, ModelError> {
        let file = Self {
            model_hash: hash(&model),
            format: format_of(&card).to_owned(),
            card,
            model,
            privacy,
            signature: None,
        };
        file.check()?;
        Ok(file)
    }

    /// Reads a file. The signature is not verified: see [`ModelFile::signing_digest`].
    ///
    /// # Errors
    ///
    /// Anything that this version would not have written.
    pub fn parse(json: &str) -> Result<Self, ModelError> {
        let (got, limit) = (json.len(), MODEL_BYTES_MAX);
        if got > limit {
            return Err(ModelError::TooLong { got, limit });
        }
        let file: Self = serde_json::from_str(json).map_err(ModelError::Json)?;
        file.check()?;
        Ok(file)
    }

    /// The file as text: one line of JSON, keys sorted.
    #[must_use]
    pub fn to_json(&self) -> String {
        canonical(self)
    }

    /// SHA-256 over the canonical text of the part `model`: the identity of the predictor.
    #[must_use]
    pub fn model_hash(&self) -> Hash32 {
        self.model_hash
    }

    /// What the coordinator's release key signs: all but hash and signature, label `aquifer/model/1`.
    #[must_use]
    pub fn signing_digest(&self) -> Hash32 {
        let signed = Signed {
            card: &self.card,
            format: &self.format,
            model: &self.model,
            privacy: &self.privacy,
        };
        labelled("aquifer/model/1", &[canonical(&signed).as_bytes()])
    }

    /// The file with a signature over [`ModelFile::signing_digest`].
    #[must_use]
    pub fn signed(mut self, signature: [u8; 64]) -> Self {
        self.signature = Some(signature);
        self
    }

    /// The signature, if there is one.
    #[must_use]
    pub fn signature(&self) -> Option<&[u8; 64]> {
        self.signature.as_ref()
    }

    /// The hashed part.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The card.
    #[must_use]
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The privacy statement.
    #[must_use]
    pub fn privacy(&self) -> &Privacy {
        &self.privacy
    }

    /// The model as a function of cells.
    #[must_use]
    pub fn additive(&self) -> Additive {
        let features = self.model.features.iter().zip(&self.card.bin_counts);
        let curves = features.map(|(feature, counts)| Curve {
            bins: FeatureBins {
                ordered: feature.kind == Kind::Ordered,
                bin_of_cell: feature.bin_of_cell.clone(),
                counts: counts.clone(),
            },
            entries: feature.curve.clone(),
            actionable: feature.actionable,
        });
        Additive::new(self.model.base, self.model.clip, curves.collect())
    }

    fn check(&self) -> Result<(), ModelError> {
        let format = format_of(&self.card);
        check(self.format == format, "format", &self.format, format)?;
        self.model.check()?;
        let hash = hash(&self.model);
        check(
            hash == self.model_hash,
            "model_hash",
            self.model_hash,
            "the hash of the part model",
        )?;
        self.card.check(&self.model)?;
        self.privacy.check()
    }
}

fn format_of(card: &Card) -> &'static str {
    match card.retire_by {
        Some(_) => FORMAT,
        None => FORMAT_UNDATED,
    }
}

/// SHA-256 over the canonical text of a model.
#[must_use]
pub fn hash(model: &Model) -> Hash32 {
    sha256(canonical(model).as_bytes())
}

/// Compact JSON; keys are sorted because fields are declared in the order of their names.
fn canonical(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("names and finite numbers: checked before")
}
