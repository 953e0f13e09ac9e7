//! Bugs that are planted to see whether they are noticed.
//!
//! Each rule of the machines can be taken out, or several together; the others are bugs of the shells around them, which the
//! simulated parties make.

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
    /// No rule about rosters is kept.
    UncheckedRoster,
    /// Members open whatever the proof is.
    UnprovenOpening,
    /// A node takes the charge of an attempt back when it ends without a sum.
    RefundOnTimeOut,
    /// A node adds its customers up twice.
    DoubleCount,
    /// A node never opens what it confirmed.
    NoOpening,
    /// The coordinator is never woken.
    ForgottenAlarm,
    /// How long a node computes depends on its customers.
    TellingPace,
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
            Self::UncheckedRoster => "unchecked-roster",
            Self::UnprovenOpening => "unproven-opening",
            Self::RefundOnTimeOut => "refund-on-time-out",
            Self::DoubleCount => "double-count",
            Self::NoOpening => "no-opening",
            Self::ForgottenAlarm => "forgotten-alarm",
            Self::TellingPace => "telling-pace",
        };
        name.to_owned()
    }

    /// The rules of the machines that are not kept.
    #[must_use]
    pub fn missing(self) -> &'static [Guard] {
        match self {
            Self::Missing(guard) => {
                let at = GUARDS.iter().position(|known| *known == guard);
                at.map_or(&[], |at| std::slice::from_ref(&GUARDS[at]))
            }
            Self::UncheckedRoster => &ABOUT_ROSTERS,
            Self::UnprovenOpening => &[Guard::ProofQuorum, Guard::ProofSignatures],
            _ => &[],
        }
    }

    /// All bugs.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let guards = GUARDS.iter().map(|guard| Self::Missing(*guard));
        guards.chain(OTHERS).collect()
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

const OTHERS: [Plant; 16] = [
    Plant::ForgottenFsync,
    Plant::DroppedCharge,
    Plant::Refund,
    Plant::ReusedNoise,
    Plant::ReusedSeed,
    Plant::ReusedKey,
    Plant::WrongHonest,
    Plant::NoWitness,
    Plant::NoMirror,
    Plant::UncheckedRoster,
    Plant::UnprovenOpening,
    Plant::RefundOnTimeOut,
    Plant::DoubleCount,
    Plant::NoOpening,
    Plant::ForgottenAlarm,
    Plant::TellingPace,
];

static ABOUT_ROSTERS: [Guard; 7] = [
    Guard::OwnAdvert,
    Guard::RosterSize,
    Guard::RosterOrder,
    Guard::AdvertSignature,
    Guard::SameTask,
    Guard::DistinctKeys,
    Guard::PeerMarks,
];

static GUARDS: [Guard; 26] = [
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
