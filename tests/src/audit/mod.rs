//! An audit of the training path by canaries: made-up customers, each in or out by a fair coin, and guesses about the coins.
//!
//! After Steinke, Nasr and Jagielski, "Privacy Auditing with One (1) Training Run" (NeurIPS 2023). One run of the node's and the
//! coordinator's cores over made-up customers; then an attacker who knows everything but the coins and the honest noise guesses
//! them. Too many right guesses falsify the stated epsilon. Few of them show nothing about a better attacker. Canaries exist here
//! alone: no shipped program can plant one.

mod attack;
mod correlation;
mod design;
mod fault;
mod finding;
mod path;
mod planted;
#[cfg(test)]
mod tests;

use anyhow::Result;
use aquifer_shared::base::units::Epsilon;

use crate::random::Seeded;

pub use correlation::{Between, Correlation};
pub use design::{BadDesign, Design, Study};
pub use fault::{Fault, Source};
pub use finding::{CanaryResult, Finding, Verdict};
pub use planted::Planted;

/// A study with canaries planted, to be run as often as is wanted.
#[derive(Debug)]
pub struct Audit {
    study: Study,
    planted: Planted,
    fault: Option<Fault>,
}

impl Audit {
    /// Plans the study of a claimed epsilon and makes up its customers from a seed; the fault, if any, is built in.
    ///
    /// # Errors
    ///
    /// A design that cannot falsify the claim, or that does not fit the limits of a study.
    pub fn new(design: Design, claim: Epsilon, seed: u64, fault: Option<Fault>) -> Result<Self> {
        let study = design.study(claim)?;
        if let Some(fault) = fault {
            fault.check(&design)?;
        }
        let copies = fault.map_or(1, Fault::rows_of_a_canary);
        let planted = Planted::new(&study, seed, copies)?;
        Ok(Self {
            study,
            planted,
            fault,
        })
    }

    /// One run: `seed` fixes the coins and nothing else, noise comes from where shipped programs take it. Calls `tick` after
    /// every sum.
    ///
    /// # Errors
    ///
    /// Noise that cannot be drawn, or a study that stops.
    pub fn run(&self, seed: u64, tick: impl FnMut()) -> Result<Finding> {
        let mut random = Seeded::new(seed, COINS);
        let canaries = 0..self.planted.canaries().len();
        let coins: Vec<bool> = canaries.map(|_| random.next_u64() >> 63 == 1).collect();
        let mut source = Source::new(self.fault);
        let seen = path::run(&self.study, &self.planted, &coins, &mut source, tick)?;
        let scores = attack::scores(&self.study, &self.planted, &seen)?;
        let correct = attack::correct(&scores, &coins, self.study.design.guesses);
        Ok(Finding::new(&self.study, correct))
    }

    /// Compares the noise of nodes, sums and cells where there is nothing else to be seen.
    ///
    /// # Errors
    ///
    /// Noise that cannot be drawn.
    pub fn correlation(&self) -> Result<Correlation> {
        correlation::probe(&self.study, &self.planted, &mut Source::new(self.fault))
    }

    /// Sums of one run.
    #[must_use]
    pub fn sums(&self) -> u64 {
        self.study.rounds.len() as u64
    }
}

/// The stream of a seed that coins come from.
const COINS: u64 = 1 << 40;
