//! Predictions as they are asked for and given over HTTPS.

use aquifer_shared::domain::law::Allowed;
use aquifer_shared::domain::law::witness::{Run, Score};
use aquifer_shared::domain::predictor::prediction::{Change, Contribution};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Problem;
use crate::core::prediction::{Declared, InputError, Wanted};
use crate::core::scoring::Ready;

/// Which model is to predict, and for whom.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PredictWanted {
    /// NAME (the newest version) or NAME@VERSION.
    #[param(min_length = 1, max_length = 160, example = "churn")]
    pub model: String,
    /// Whom the inputs stand for. Customers who exist are refused: their own unit scores them, and knows who objected.
    #[param(value_type = DeclaredBody)]
    pub input: InputBody,
    /// Probability from which the decision is yes; a half where it is left out.
    #[param(minimum = 0.0, maximum = 1.0)]
    pub threshold: Option<f64>,
    /// Also what each feature adds (batches), and the smallest change that turns the decision.
    pub explain: Option<bool>,
}

/// Whom inputs stand for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum InputBody {
    /// Made-up customers.
    Hypothetical,
    /// Typical members of groups, not single people.
    Segment,
    /// Customers who exist: refused.
    Real,
}

/// Whom inputs may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeclaredBody {
    /// Made-up customers.
    Hypothetical,
    /// Typical members of groups, not single people.
    Segment,
}

/// A prediction with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PredictionBody {
    /// Name of the model.
    pub model: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of the hashed part of its file.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub hash: String,
    /// Whom the input was declared to stand for.
    pub input: DeclaredBody,
    /// What is predicted.
    pub label: String,
    /// Probability of the label.
    pub probability: f64,
    /// Score in log-odds.
    pub score: f64,
    /// Probability from which the decision is yes.
    pub threshold: f64,
    /// Probability at or above the threshold.
    pub decision: bool,
    /// The average customer's log-odds; with all contributions it adds up to the score.
    pub base: f64,
    /// One for each feature.
    pub contributions: Vec<ContributionBody>,
    /// The smallest change of one feature that turns the decision, in words, where it was asked for and there is one.
    pub change: Option<String>,
    /// What the model cost its customers in privacy.
    pub statement: String,
    /// The last moment at which the model is used, in milliseconds since 1970.
    pub retire_by: u64,
    /// Warnings of the model's card.
    pub warnings: Vec<String>,
    /// Features whose number lies outside the contract's bounds: it counts as the bound.
    pub clipped: Vec<String>,
    /// How values were read: what counts as missing.
    pub notes: Vec<String>,
}

/// What one feature adds.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ContributionBody {
    /// The feature.
    pub feature: String,
    /// The values of its bin, in words.
    pub value: String,
    /// Added log-odds, relative to the average customer.
    pub log_odds: f64,
    /// Standard deviation of that, approximate.
    pub deviation: f64,
}

/// A line of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LineBody {
    /// Line of the input, from 1.
    pub line: u64,
    /// Probability of the label.
    pub probability: f64,
    /// Score in log-odds.
    pub score: f64,
    /// Probability at or above the threshold.
    pub decision: bool,
    /// One for each feature, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contributions: Vec<ContributionBody>,
    /// The smallest change that turns the decision, where it was asked for and there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// Features whose number lies outside the contract's bounds: it counts as the bound.
    pub clipped: Vec<String>,
    /// How values were read: what counts as missing.
    pub notes: Vec<String>,
}

impl PredictWanted {
    /// For whom, and what is asked beside the inputs.
    ///
    /// # Errors
    ///
    /// Customers who exist, or no probability.
    pub fn checked(&self) -> Result<(Declared, Wanted), Problem> {
        let declared = match self.input {
            InputBody::Hypothetical => Declared::Hypothetical,
            InputBody::Segment => Declared::Segment,
            InputBody::Real => return Err(in_line(None, &InputError::Real)),
        };
        let threshold = self.threshold();
        if !(0.0..=1.0).contains(&threshold) {
            let found = format!("threshold is {threshold}, expected a probability from 0 to 1");
            return Err(Problem::of(400, "query", found, ""));
        }
        let wanted = Wanted {
            threshold: Some(threshold),
            change: self.explain.unwrap_or_default(),
        };
        Ok((declared, wanted))
    }

    fn threshold(&self) -> f64 {
        self.threshold.unwrap_or(0.5)
    }
}

impl PredictionBody {
    /// What a model says about one input.
    ///
    /// # Errors
    ///
    /// As [`PredictWanted::checked`], and an input that is refused.
    pub fn of(
        ready: &Ready,
        _: &Allowed<Score, Run>,
        wanted: &PredictWanted,
        text: &str,
    ) -> Result<Self, Problem> {
        let (declared, asked) = wanted.checked()?;
        let predicted = ready
            .predict(text, asked)
            .map_err(|error| in_line(None, &error))?;
        let (card, explanation) = (ready.file.card(), predicted.explanation);
        Ok(Self {
            model: card.name.to_string(),
            version: card.version,
            hash: ready.file.model_hash().to_string(),
            input: match declared {
                Declared::Hypothetical => DeclaredBody::Hypothetical,
                Declared::Segment => DeclaredBody::Segment,
            },
            label: ready.predictor.label().to_owned(),
            probability: predicted.prediction.probability,
            score: predicted.prediction.score,
            threshold: wanted.threshold(),
            decision: predicted.prediction.decision == Some(true),
            base: explanation.base,
            contributions: explanation.contributions.into_iter().map(shown).collect(),
            change: explanation.counterfactual.as_ref().map(Change::sentence),
            statement: ready.file.privacy().sentence(),
            retire_by: card.last_use().0,
            warnings: card.warnings.clone(),
            clipped: predicted.clipped,
            notes: predicted.notes,
        })
    }
}

impl LineBody {
    /// What a model says about a line of a batch.
    ///
    /// # Errors
    ///
    /// As [`PredictWanted::checked`], and an input that is refused.
    pub fn of(
        (ready, _): (&Ready, &Allowed<Score, Run>),
        wanted: &PredictWanted,
        line: u64,
        text: &str,
    ) -> Result<Self, Problem> {
        let (_, asked) = wanted.checked()?;
        let predicted = ready.predict(text, asked);
        let predicted = predicted.map_err(|error| in_line(Some(line), &error))?;
        let explanation = asked.change.then_some(predicted.explanation);
        let change = explanation
            .as_ref()
            .and_then(|own| own.counterfactual.as_ref());
        Ok(Self {
            line,
            probability: predicted.prediction.probability,
            score: predicted.prediction.score,
            decision: predicted.prediction.decision == Some(true),
            change: change.map(Change::sentence),
            contributions: explanation.map_or(Vec::new(), |explanation| {
                explanation.contributions.into_iter().map(shown).collect()
            }),
            clipped: predicted.clipped,
            notes: predicted.notes,
        })
    }
}

fn shown(own: Contribution) -> ContributionBody {
    ContributionBody {
        feature: own.feature,
        value: own.value,
        log_odds: own.log_odds,
        deviation: own.deviation,
    }
}

/// An input that is refused; in a line, where there are several.
#[must_use]
pub fn in_line(line: Option<u64>, error: &InputError) -> Problem {
    let place = line.map_or(String::new(), |line| format!("line {line}: "));
    let text = format!("{place}{error}");
    match error {
        InputError::Identifies { .. } | InputError::Real => real(&text),
        _ => Problem::of(400, "input", text, ""),
    }
}

/// Real customers are not scored here.
fn real(found: &str) -> Problem {
    let hint = "declare hypothetical or segment; a customer's own unit scores the customer: aquifer-node score";
    Problem::state("QP004", found, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_wanted(input: InputBody, threshold: Option<f64>, expected: Result<f64, u16>) {
        let wanted = PredictWanted {
            model: "churn".to_owned(),
            input,
            threshold,
            explain: None,
        };
        let found = wanted.checked();
        let found = found.map(|(_, wanted)| wanted.threshold.unwrap());
        assert_eq!(found.map_err(|problem| problem.status), expected);
    }

    #[test]
    fn predictions_are_for_made_up_customers() {
        check_wanted(InputBody::Hypothetical, None, Ok(0.5));
        check_wanted(InputBody::Segment, Some(1.0), Ok(1.0));
        check_wanted(InputBody::Real, None, Err(403));
        check_wanted(InputBody::Segment, Some(1.5), Err(400));
        check_wanted(InputBody::Segment, Some(f64::NAN), Err(400));
    }

    #[test]
    fn columns_that_name_customers_are_a_matter_of_policy() {
        let column = "email".to_owned();
        let identifies = in_line(Some(3), &InputError::Identifies { column });
        assert_eq!(
            (identifies.status, identifies.sqlstate.as_deref()),
            (403, Some("QP004"))
        );
        assert!(identifies.detail.starts_with("line 3: column"));
        assert_eq!(in_line(None, &InputError::Empty).status, 400);
    }
}
