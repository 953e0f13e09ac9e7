//! Bugs that are planted to see whether they are noticed.
//!
//! Each rule of the machines can be taken out; the others are bugs of the shells around them, which the simulated parties make.

use std::str::FromStr;

use aquifer_shared::protocol::aggregation::Guard;

/// A bug.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plant {
    /// A rule of the machines is not kept.
    Missing(Guard),
    /// A disk acknowledges what it has not kept yet.
    ForgottenFsync,
    /// A disk leaves charges out.
    DroppedCharge,
    /// A node that starts takes the charge of a lost attempt back.
    Refund,
    /// The noise source gives the same vector twice.
    ReusedNoise,
    /// The source of randomness gives a dealing the bytes of the one before.
    ReusedSeed,
    /// The source of randomness gives two attempts the same ephemeral key.
    ReusedKey,
    /// Noise is drawn as if every member were honest.
    WrongHonest,
    /// A node starts without looking at its witness.
    NoWitness,
    /// A node does not listen to what its mirror holds.
    NoMirror,
}

impl Plant {
    /// Its name in commands.
    #[must_use]
    pub fn name(self) -> String {
        let name = match self {
            Self::Missing(guard) => return format!("no-{}", guard.name()),
            Self::ForgottenFsync => "forgotten-fsync",
            Self::DroppedCharge => "dropped-charge",
            Self::Refund => "refund",
            Self::ReusedNoise => "reused-noise",
            Self::ReusedSeed => "reused-seed",
            Self::ReusedKey => "reused-key",
            Self::WrongHonest => "wrong-honest",
            Self::NoWitness => "no-witness",
            Self::NoMirror => "no-mirror",
        };
        name.to_owned()
    }

    /// All bugs.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let guards = GUARDS.iter().map(|guard| Self::Missing(*guard));
        guards.chain(OF_SHELLS).collect()
    }
}

impl FromStr for Plant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = Self::all();
        let found = all.iter().find(|plant| plant.name() == text);
        found.copied().ok_or_else(|| {
            let names: Vec<String> = all.iter().map(|plant| plant.name()).collect();
            format!(
                "no bug is called {text:?}, expected one of {}",
                names.join(", ")
            )
        })
    }
}

const OF_SHELLS: [Plant; 9] = [
    Plant::ForgottenFsync,
    Plant::DroppedCharge,
    Plant::Refund,
    Plant::ReusedNoise,
    Plant::ReusedSeed,
    Plant::ReusedKey,
    Plant::WrongHonest,
    Plant::NoWitness,
    Plant::NoMirror,
];

const GUARDS: [Guard; 26] = [
    Guard::OwnAdvert,
    Guard::RosterSize,
    Guard::RosterOrder,
    Guard::AdvertSignature,
    Guard::SameTask,
    Guard::DistinctKeys,
    Guard::PeerMarks,
    Guard::OneRoster,
    Guard::ChargeFirst,
    Guard::RisingAttempt,
    Guard::WithinBudget,
    Guard::TermsHold,
    Guard::DeliveredRoster,
    Guard::DealersInRoster,
    Guard::DealersMin,
    Guard::RecordsOpen,
    Guard::OneSet,
    Guard::MarksFirst,
    Guard::ProofQuorum,
    Guard::ProofSignatures,
    Guard::CountedAdvert,
    Guard::FreshAttempt,
    Guard::SetFirst,
    Guard::SpareOpenings,
    Guard::SumInRange,
    Guard::ResultFirst,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let all = Plant::all();
        assert!(all.iter().all(|plant| plant.name().parse() == Ok(*plant)));
        assert!("no-such-rule".parse::<Plant>().is_err());
    }

    /// A rule that is new must be planted too.
    #[test]
    fn every_rule_is_taken_out_once() {
        let named = |guard: Guard| match guard {
            Guard::OwnAdvert | Guard::RosterSize | Guard::RosterOrder | Guard::AdvertSignature => 4,
            Guard::SameTask | Guard::DistinctKeys | Guard::PeerMarks | Guard::OneRoster => 4,
            Guard::ChargeFirst | Guard::RisingAttempt | Guard::WithinBudget => 3,
            Guard::TermsHold | Guard::DeliveredRoster | Guard::DealersInRoster => 3,
            Guard::DealersMin | Guard::RecordsOpen | Guard::OneSet | Guard::MarksFirst => 4,
            Guard::ProofQuorum | Guard::ProofSignatures | Guard::CountedAdvert => 3,
            Guard::FreshAttempt | Guard::SetFirst | Guard::SpareOpenings => 3,
            Guard::SumInRange | Guard::ResultFirst => 2,
        };
        assert!(GUARDS.iter().all(|guard| named(*guard) > 0));
        let mut names: Vec<_> = GUARDS.iter().map(|guard| guard.name()).collect();
        names.dedup();
        assert_eq!(names.len(), GUARDS.len());
    }
}
