//! What all runs that a person may have been in add up to: rho over studies first, then one conversion to (epsilon, delta).
//!
//! Worst case only: eligible counts as used, a run's whole price counts for everybody who was ever eligible for it.

use aquifer_shared::base::units::{Delta, MicroRho};
use aquifer_shared::domain::law::Overlap;
use aquifer_shared::domain::sum::TrustMode;

use super::run::RunFacts;
use crate::core::ledger::Parts;

/// What a run was charged, repeated attempts included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spending {
    /// In the last 365 days.
    pub year: Parts,
    /// Ever.
    pub all: Parts,
}

/// What runs add up to, at its worst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Composed {
    /// Of the year; none where a sum does not fit: there is no bound then.
    pub year: Option<MicroRho>,
    /// Of all time.
    pub all: Option<MicroRho>,
    /// At which delta it is told: the smallest of all runs.
    pub delta: Option<Delta>,
}

/// At how many nodes one person may be: the larger of what the study and the purpose say. Nobody knows: at all of them.
#[must_use]
pub fn nodes_of(facts: &RunFacts, overlap: Option<Overlap>) -> u16 {
    let members = u16::try_from(facts.members.len()).unwrap_or(u16::MAX);
    let declared = match overlap {
        // The study's own number is the contract's.
        Some(Overlap::Disjoint | Overlap::Declared) => 1,
        Some(Overlap::Unknown) | None => members,
    };
    facts.multiplicity.max(declared).max(1)
}

/// What a run costs a person who is at so many nodes; none where it does not fit.
///
/// # Privacy
///
/// With a noise at each node, every copy is protected by its own: m times the price of one. With one noise in the total, copies move it
/// together: m squared times. There the price already covers as many copies as the study says.
#[must_use]
pub fn worst(facts: &RunFacts, parts: Parts, nodes: u16) -> Option<MicroRho> {
    let own = match nodes {
        // Learned from, or held out.
        0..=1 => parts.training.max(parts.holdout),
        _ => parts.training.checked_add(parts.holdout)?,
    };
    let own = own.checked_add(parts.everyone)?;
    match facts.trust {
        TrustMode::NodeNoise => own.checked_mul(nodes.into()),
        TrustMode::SharedNoise => {
            let covered = u128::from(facts.multiplicity.max(1)).pow(2);
            let all = u128::from(own.0).checked_mul(u128::from(nodes).pow(2))?;
            u64::try_from(all.div_ceil(covered)).ok().map(MicroRho)
        }
    }
}

/// Adds up runs, each at its worst.
#[must_use]
pub fn compose<'a>(runs: impl IntoIterator<Item = (&'a RunFacts, Spending, u16)>) -> Composed {
    let mut composed = Composed {
        year: Some(MicroRho::ZERO),
        all: Some(MicroRho::ZERO),
        delta: None,
    };
    for (facts, spent, nodes) in runs {
        composed.year = plus(composed.year, worst(facts, spent.year, nodes));
        composed.all = plus(composed.all, worst(facts, spent.all, nodes));
        composed.take_delta(facts.delta);
    }
    composed
}

impl Composed {
    /// With charges that were lost, which count for everybody.
    #[must_use]
    pub fn with_lost(mut self, year: Option<MicroRho>, all: Option<MicroRho>) -> Self {
        self.year = plus(self.year, year);
        self.all = plus(self.all, all);
        self
    }

    fn take_delta(&mut self, delta: Delta) {
        let smaller = self.delta.is_none_or(|known| delta.get() < known.get());
        if smaller {
            self.delta = Some(delta);
        }
    }
}

fn plus(a: Option<MicroRho>, b: Option<MicroRho>) -> Option<MicroRho> {
    a?.checked_add(b?)
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::IdentityKey;

    use super::super::Kind;
    use super::*;

    fn facts(trust: TrustMode, multiplicity: u16, members: usize) -> RunFacts {
        RunFacts {
            name: "churn".parse().unwrap(),
            purpose: "churn.train".parse().unwrap(),
            kind: Kind::Train,
            trust,
            multiplicity,
            delta: Delta::try_from(1e-6).unwrap(),
            members: vec![IdentityKey([1; 32]); members],
        }
    }

    fn parts(training: u64, holdout: u64, everyone: u64) -> Parts {
        Parts {
            training: MicroRho(training),
            holdout: MicroRho(holdout),
            everyone: MicroRho(everyone),
        }
    }

    #[track_caller]
    fn check(trust: TrustMode, multiplicity: u16, nodes: u16, expected: Option<u64>) {
        let facts = facts(trust, multiplicity, 3);
        let found = worst(&facts, parts(100, 40, 7), nodes);
        assert_eq!(found, expected.map(MicroRho));
    }

    #[test]
    fn copies_add_up_under_noise_of_their_own_and_square_under_one_noise() {
        check(TrustMode::NodeNoise, 1, 1, Some(107));
        check(TrustMode::NodeNoise, 2, 2, Some(2 * 147));
        check(TrustMode::SharedNoise, 1, 1, Some(107));
        check(TrustMode::SharedNoise, 1, 3, Some(9 * 147));
        // The price was made for two copies already.
        check(TrustMode::SharedNoise, 2, 2, Some(147));
        check(TrustMode::SharedNoise, 2, 3, Some(331));
        let dear = facts(TrustMode::NodeNoise, 2, 2);
        assert_eq!(worst(&dear, parts(u64::MAX, 1, 0), 2), None);
    }

    #[test]
    fn what_nobody_knows_means_all_nodes() {
        let facts = facts(TrustMode::NodeNoise, 1, 5);
        assert_eq!(nodes_of(&facts, Some(Overlap::Disjoint)), 1);
        assert_eq!(nodes_of(&facts, Some(Overlap::Unknown)), 5);
        assert_eq!(nodes_of(&facts, None), 5);
    }

    #[test]
    fn rho_adds_up_once_over_all_runs() {
        let one = facts(TrustMode::NodeNoise, 1, 2);
        let spent = Spending {
            year: parts(1, 0, 0),
            all: parts(5, 0, 2),
        };
        let composed = compose([(&one, spent, 1), (&one, spent, 1)]);
        assert_eq!(composed.year, Some(MicroRho(2)));
        let with = composed.with_lost(Some(MicroRho(1)), None);
        assert_eq!((with.year, with.all), (Some(MicroRho(3)), None));
        assert_eq!(composed.all, Some(MicroRho(14)));
    }
}
