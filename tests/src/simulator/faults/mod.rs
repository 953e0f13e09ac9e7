//! Which faults strike: decided by the seed, chance by chance, so that a history can be replayed with fewer of them.
//!
//! Whether a chance strikes depends on the seed, the fault, the party and the number of the chance, on nothing else: taking
//! one fault out of a history leaves the decisions about all others as they were.

mod kinds;

use std::collections::{BTreeMap, BTreeSet};

use aquifer_shared::base::time::Timestamp;

pub use kinds::{Family, Fault, FaultId, Profile};

use crate::random::Seeded;

/// The fate of one history.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    chosen: Chosen,
    /// Chances had so far, by fault and party.
    chances: Vec<Vec<u32>>,
    until: Timestamp,
    struck: Vec<FaultId>,
    last: Option<Timestamp>,
}

/// How it is decided whether a chance strikes.
#[derive(Clone, Debug, PartialEq)]
pub enum Chosen {
    /// By the rates of a profile, times a factor.
    ByRate(Profile, f64),
    /// These and no others.
    Only(BTreeSet<FaultId>),
}

impl Faults {
    /// Faults that strike until a moment; after it the world heals.
    #[must_use]
    pub fn new(seed: u64, chosen: Chosen, until: Timestamp) -> Self {
        Self {
            seed,
            chosen,
            chances: vec![Vec::new(); Fault::ALL.len()],
            until,
            struck: Vec::new(),
            last: None,
        }
    }

    /// When the world begins to heal.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// A chance for a fault; where it strikes, numbers that say how.
    pub fn strikes(&mut self, now: Timestamp, fault: Fault, party: usize) -> Option<Seeded> {
        let chances = &mut self.chances[fault as usize];
        if chances.len() <= party {
            chances.resize(party + 1, 0);
        }
        let chance = chances[party];
        chances[party] += 1;
        if now > self.until {
            return None;
        }
        let id = FaultId {
            fault,
            party: party as u32,
            chance,
        };
        let strikes = match &self.chosen {
            Chosen::Only(ids) => ids.contains(&id),
            Chosen::ByRate(profile, factor) => {
                let rate = profile.rate_ppm(fault) * factor / 1e6;
                rate > 0.0 && self.numbers(id, 0).uniform() < rate
            }
        };
        if !strikes {
            return None;
        }
        self.struck.push(id);
        self.last = Some(now);
        Some(self.numbers(id, 1))
    }

    /// Whether a fault has struck at all.
    #[must_use]
    pub fn has_struck(&self, fault: Fault) -> bool {
        self.struck.iter().any(|id| id.fault == fault)
    }

    /// When the last one struck.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// All that struck, in order.
    #[must_use]
    pub fn struck(&self) -> &[FaultId] {
        &self.struck
    }

    /// How many chances each fault had at each party.
    #[must_use]
    pub fn chances(&self) -> Vec<((Fault, u32), u32)> {
        let of = |(fault, parties): (&Fault, &Vec<u32>)| {
            let fault = *fault;
            let parties = parties.clone().into_iter().enumerate();
            parties.map(move |(party, chances)| ((fault, party as u32), chances))
        };
        Fault::ALL.iter().zip(&self.chances).flat_map(of).collect()
    }

    fn numbers(&self, id: FaultId, stream: u64) -> Seeded {
        let place = (id.fault as u64) << 48 | u64::from(id.party) << 24;
        Seeded::new(self.seed ^ place, u64::from(id.chance) * 2 + stream + 1)
    }
}

/// How many struck, by name.
#[must_use]
pub fn count(struck: &[FaultId]) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for id in struck {
        *counts.entry(id.fault.name()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::clock::START;

    fn struck(chosen: Chosen, chances: usize) -> Vec<FaultId> {
        let mut faults = Faults::new(7, chosen, START.after_ms(10));
        for _ in 0..chances {
            for party in 0..4 {
                faults.strikes(START, Fault::Duplicate, party);
                faults.strikes(START, Fault::TornWrite, party);
            }
        }
        faults.struck().to_vec()
    }

    #[test]
    fn rates_hold_and_families_stay_apart() {
        let found = struck(Chosen::ByRate(Profile::Network, 10.0), 5_000);
        assert!(found.iter().all(|id| id.fault == Fault::Duplicate));
        // Seeded, so there is no false alarm: 20 000 chances of 0.05.
        assert!((900..1_100).contains(&found.len()), "{}", found.len());
    }

    #[test]
    fn a_history_repeats_with_fewer_faults() {
        let all = struck(Chosen::ByRate(Profile::All, 10.0), 200);
        let some: BTreeSet<FaultId> = all.iter().skip(1).step_by(2).copied().collect();
        let again = struck(Chosen::Only(some.clone()), 200);
        assert_eq!(again.into_iter().collect::<BTreeSet<_>>(), some);
    }

    #[test]
    fn nothing_strikes_once_the_world_heals() {
        let mut faults = Faults::new(7, Chosen::ByRate(Profile::All, 1e9), START);
        assert!(faults.strikes(START, Fault::Loss, 1).is_some());
        assert!(faults.strikes(START.after_ms(1), Fault::Loss, 1).is_none());
    }
}
