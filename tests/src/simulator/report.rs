//! What many histories came to: counts, and for each broken promise the command that shows it again.

use std::collections::BTreeMap;

use aquifer_coordinator::core::event::Ending;
use serde::Serialize;

use super::faults::{Chosen, Profile, count};
use super::judges::SignatureChecks;
use super::oracle::Violation;
use super::scenario::{Kind, NoiseChoice, Wish};
use super::world::History;

/// Counts over histories.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Histories.
    pub seeds: u64,
    /// Virtual time of all of them together.
    pub simulated_hours: f64,
    /// Sums that were released.
    pub sums: u64,
    /// Attempts that were asked for.
    pub attempts: u64,
    /// Studies whose sums were all released.
    pub completed: u64,
    /// Studies that ended with a typed reason, by its code.
    pub aborted: BTreeMap<String, u64>,
    /// Histories in which somebody lied: there is no promise that their study ends.
    pub unfinished: u64,
    /// Faults that struck, by name.
    pub faults: BTreeMap<&'static str, u64>,
    /// Signature checks that the machines asked for, and those that were computed.
    pub signatures: SignatureChecks,
    /// Broken promises.
    pub violations: Vec<Finding>,
}

/// A broken promise.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The seed.
    pub seed: u64,
    /// What was broken.
    pub violation: Violation,
    /// The command that shows it again.
    pub replay: String,
    /// The command that shows it in its smallest form.
    pub shrunk: Option<String>,
}

impl Tally {
    /// Counts a history in.
    pub fn add(&mut self, history: &History) {
        self.seeds += 1;
        self.simulated_hours += history.virtual_ms as f64 / 3.6e6;
        self.sums += history.released;
        self.attempts += history.attempts;
        match &history.ending {
            Some(Ending::Aborted(abort)) => {
                *self.aborted.entry(abort.code().to_owned()).or_default() += 1;
            }
            Some(_) => self.completed += 1,
            None => self.unfinished += 1,
        }
        for (fault, struck) in count(&history.struck) {
            *self.faults.entry(fault).or_default() += struck;
        }
        self.signatures.asked += history.signatures.asked;
        self.signatures.made += history.signatures.made;
    }

    /// Studies that ended with a typed reason.
    #[must_use]
    pub fn aborted_cleanly(&self) -> u64 {
        self.aborted.values().sum()
    }
}

impl Wish {
    /// The command that runs the history of a seed.
    #[must_use]
    pub fn command(&self, seed: u64) -> String {
        let mut words = vec![format!("scripts/simulate --seeds {seed}..{}", seed + 1)];
        match &self.chosen {
            Chosen::ByRate(profile, _) => words.push(format!("--faults {}", profile.name())),
            Chosen::Only(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                words.push(format!("--faults {}", Profile::None.name()));
                if !ids.is_empty() {
                    words.push(format!("--only {}", ids.join(",")));
                }
            }
        }
        let trust = serde_json::to_value(self.trust).unwrap_or_default();
        words.push(format!("--trust {}", trust.as_str().unwrap_or_default()));
        words.extend(self.nodes.map(|nodes| format!("--nodes {nodes}")));
        words.push(format!("--rounds {}", self.rounds));
        words.extend(self.cells.map(|cells| format!("--cells {cells}")));
        words.extend(self.plan.map(|plan| match plan {
            Kind::Synthetic => "--plan synthetic".to_owned(),
            Kind::Additive => "--plan additive".to_owned(),
        }));
        if self.noise == NoiseChoice::Zero {
            words.push("--noise zero".to_owned());
        }
        words.extend(self.plant.map(|plant| format!("--plant {}", plant.name())));
        words.join(" ")
    }
}
