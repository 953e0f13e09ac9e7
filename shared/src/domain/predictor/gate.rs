//! The gate: is a candidate good enough to be published without a person looking at it?

use super::evaluation::{Quality, Reading};
use crate::domain::sum::Gate;

/// What a candidate is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rival {
    /// No earlier version: the model that gives everybody the base rate.
    BaseRate,
    /// The published version before it, by the private figures of its card.
    Previous {
        /// Log-loss.
        log_loss: f64,
        /// Standard deviation that noise gave it.
        deviation: f64,
    },
}

/// What the gate found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// Better by more than noise.
    Better(Gain),
    /// Not better by more than noise.
    NotBetter(Gain),
    /// Noise exceeds half of the gain that the study declares to expect.
    TooNoisy(Gain),
    /// No figure can be shown.
    TooLittleData,
}

/// Log-loss gained over the rival.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    /// The rival's log-loss minus the candidate's.
    pub log_loss: f64,
    /// Standard deviation that noise gives it.
    pub deviation: f64,
}

/// What to do with a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Publish now; otherwise a person decides.
    pub publish: bool,
    /// The private figures may be shown; otherwise they are null and `reason` says why.
    pub show: bool,
    /// Why, for card and state; the warning `not_evaluated` belongs to a candidate that is published without figures.
    pub reason: Option<String>,
    /// What was found.
    pub finding: Finding,
}

/// Decides about a candidate from its private evaluation.
///
/// `expected_gain_ppm` is the gain in log-loss that the study declares to expect, in 1/1 000 000; 0 if it declares none.
#[must_use]
pub fn decide(gate: Gate, reading: &Reading, rival: Rival, expected_gain_ppm: u32) -> Verdict {
    let undecided = |finding, reason: String| Verdict {
        publish: gate == Gate::Open,
        show: false,
        reason: Some(reason),
        finding,
    };
    let quality = match reading {
        Reading::Shown(quality) => quality,
        Reading::TooLittle(why) => return undecided(Finding::TooLittleData, why.to_string()),
    };
    let gain = gain(quality, rival);
    let (noise, expected) = (2.0 * gain.deviation, f64::from(expected_gain_ppm) / 1e6);
    if expected > 0.0 && noise > expected / 2.0 {
        let reason = format!(
            "too little data to tell: noise moves the log-loss by {noise:.4} (two standard deviations), more than half \
             of the expected gain of {expected:.4}"
        );
        return undecided(Finding::TooNoisy(gain), reason);
    }
    if gain.log_loss > noise {
        return Verdict {
            publish: true,
            show: true,
            reason: None,
            finding: Finding::Better(gain),
        };
    }
    let (gained, rival) = (gain.log_loss, rival.name());
    Verdict {
        publish: false,
        show: true,
        reason: Some(format!(
            "the log-loss is better than that of {rival} by {gained:.4}, expected more than {noise:.4} (two standard \
             deviations of the evaluation's noise)"
        )),
        finding: Finding::NotBetter(gain),
    }
}

impl Verdict {
    /// The verdict on a candidate that a person must look at for another reason than its quality.
    #[must_use]
    pub fn held(self, why: String) -> Self {
        Self {
            publish: false,
            reason: Some(why),
            ..self
        }
    }

    /// The verdict on sums that contradict each other: a wrong encoder, lost cells or an overflow at some node. A person looks
    /// before anybody relies on the model.
    #[must_use]
    pub fn inconsistent(self) -> Self {
        Self {
            publish: false,
            reason: Some(
                "inconsistent: totals of the features disagree by more than noise".to_owned(),
            ),
            ..self
        }
    }
}

fn gain(quality: &Quality, rival: Rival) -> Gain {
    match rival {
        Rival::BaseRate => Gain {
            log_loss: quality.figures.gain,
            deviation: quality.deviations.gain,
        },
        Rival::Previous {
            log_loss,
            deviation,
        } => Gain {
            log_loss: log_loss - quality.figures.log_loss,
            deviation: deviation.hypot(quality.deviations.log_loss),
        },
    }
}

impl Rival {
    fn name(self) -> &'static str {
        match self {
            Self::BaseRate => "the base rate",
            Self::Previous { .. } => "the previous version",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::evaluation::{Figures, TooLittle};
    use super::*;

    fn reading(log_loss: f64, gain: f64, deviation: f64) -> Reading {
        let figures = |log_loss, gain| Figures {
            auc: 0.8,
            log_loss,
            calibration: 0.0,
            gain,
        };
        Reading::Shown(Box::new(Quality {
            figures: figures(log_loss, gain),
            deviations: figures(deviation, deviation),
            customers: 1_000.0,
            positives: 300.0,
            reliability: Vec::new(),
        }))
    }

    #[track_caller]
    fn check(gate: Gate, reading: Reading, rival: Rival, ppm: u32, publish: bool, show: bool) {
        let verdict = decide(gate, &reading, rival, ppm);
        assert_eq!(
            (verdict.publish, verdict.show),
            (publish, show),
            "{verdict:?}"
        );
        assert_eq!(verdict.reason.is_none(), publish && show);
    }

    #[test]
    fn a_clear_gain_is_published() {
        check(
            Gate::Strict,
            reading(0.4, 0.1, 0.01),
            Rival::BaseRate,
            0,
            true,
            true,
        );
        let previous = Rival::Previous {
            log_loss: 0.45,
            deviation: 0.01,
        };
        check(
            Gate::Strict,
            reading(0.4, 0.1, 0.01),
            previous,
            0,
            true,
            true,
        );
    }

    #[test]
    fn what_is_not_better_is_held() {
        check(
            Gate::Open,
            reading(0.4, 0.1, 0.06),
            Rival::BaseRate,
            0,
            false,
            true,
        );
        let previous = Rival::Previous {
            log_loss: 0.39,
            deviation: 0.01,
        };
        check(
            Gate::Open,
            reading(0.4, 0.1, 0.01),
            previous,
            0,
            false,
            true,
        );
        check(
            Gate::Open,
            reading(f64::NAN, f64::NAN, 0.1),
            Rival::BaseRate,
            0,
            false,
            true,
        );
    }

    #[test]
    fn too_little_data_is_the_studys_choice() {
        let why = Reading::TooLittle(TooLittle::Impossible);
        check(Gate::Open, why.clone(), Rival::BaseRate, 0, true, false);
        check(Gate::Strict, why, Rival::BaseRate, 0, false, false);
        check(
            Gate::Open,
            reading(0.4, 0.1, 0.01),
            Rival::BaseRate,
            30_000,
            true,
            false,
        );
        check(
            Gate::Strict,
            reading(0.4, 0.1, 0.01),
            Rival::BaseRate,
            30_000,
            false,
            false,
        );
        check(
            Gate::Strict,
            reading(0.4, 0.1, 0.01),
            Rival::BaseRate,
            50_000,
            true,
            true,
        );
    }
}
