//! What an audit found, in the few words that it may use.
//!
//! It says `falsified`, `not falsified at this sample size`, or that the sample is too small to say either. Nothing else.

use aquifer_shared::domain::audit_bound::{ceiling, chance, falsified_up_to, threshold};
pub use aquifer_shared::protocol::ask::CanaryRecord as CanaryResult;

use super::correlation::Correlation;
use super::design::{Design, Study};

/// What may be said of a claim.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// So many right guesses are too unlikely if the claim is true.
    Falsified,
    /// They are not.
    NotFalsified,
    /// Not even all guesses right would be: nothing may be said.
    OutOfReach,
}

impl Verdict {
    /// The words for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Falsified => "falsified",
            Self::NotFalsified => "not falsified at this sample size",
            Self::OutOfReach => "not tested: too few guesses for this claim",
        }
    }
}

/// Guesses about canaries held against a claim.
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    design: Design,
    claim: f64,
    correct: usize,
}

impl Finding {
    /// Of one run of a study.
    #[must_use]
    pub fn new(study: &Study, correct: usize) -> Self {
        Self::of(study.design, study.claim.get(), correct)
    }

    /// Of so many right guesses.
    #[must_use]
    pub fn of(design: Design, claim: f64, correct: usize) -> Self {
        Self {
            design,
            claim,
            correct,
        }
    }

    /// The claimed epsilon.
    #[must_use]
    pub fn claim(&self) -> f64 {
        self.claim
    }

    /// Right guesses.
    #[must_use]
    pub fn correct(&self) -> usize {
        self.correct
    }

    /// Guesses.
    #[must_use]
    pub fn guesses(&self) -> usize {
        self.design.guesses
    }

    /// Right guesses from which on the claim is falsified.
    #[must_use]
    pub fn threshold(&self) -> Option<usize> {
        threshold(self.design.claim(self.claim), self.design.guesses)
    }

    /// The largest epsilon that these guesses could have falsified, all right.
    #[must_use]
    pub fn ceiling(&self) -> f64 {
        ceiling(self.design.claim(self.claim), self.design.guesses)
    }

    /// The largest epsilon that this run falsifies; 0 if none.
    #[must_use]
    pub fn falsified_up_to(&self) -> f64 {
        falsified_up_to(
            self.design.claim(self.claim),
            self.design.guesses,
            self.correct,
        )
    }

    /// The largest chance of so many right guesses if the claim is true.
    #[must_use]
    pub fn chance(&self) -> f64 {
        chance(
            self.design.claim(self.claim),
            self.design.guesses,
            self.correct,
        )
    }

    /// What may be said.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.threshold() {
            None => Verdict::OutOfReach,
            Some(threshold) if self.correct >= threshold => Verdict::Falsified,
            Some(_) => Verdict::NotFalsified,
        }
    }

    /// The payload of the event `audit.canary_result`.
    #[must_use]
    pub fn record(&self, correlation: &Correlation) -> CanaryResult {
        CanaryResult {
            canaries: self.design.canaries as u64,
            ceiling_micro: down(self.ceiling() * 1e6),
            claim_micro: (self.claim * 1e6).round() as u64,
            correct: self.correct as u64,
            delta_pico: (self.design.delta.get() * 1e12).round() as u64,
            falsified: u8::from(self.verdict() == Verdict::Falsified),
            falsified_up_to_micro: down(self.falsified_up_to() * 1e6),
            guesses: self.design.guesses as u64,
            noise_shared: u8::from(correlation.is_shared()),
            tested: u8::from(self.verdict() != Verdict::OutOfReach),
            threshold: self.threshold().map_or(0, |threshold| threshold as u64),
        }
    }
}

fn down(value: f64) -> u64 {
    value.floor() as u64
}
