//! Bugs that are planted to see whether they are noticed.

use std::str::FromStr;

use aquifer_shared::protocol::aggregation::Guard;

/// A bug.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plant {
    /// A rule of the machines is not kept.
    Missing(Guard),
    /// A disk acknowledges what it has not kept yet.
    ForgottenFsync,
    /// The noise source gives the same vector twice.
    ReusedNoise,
}

impl Plant {
    /// Its name in commands.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Missing(guard) => format!("no-{}", guard.name()),
            Self::ForgottenFsync => "forgotten-fsync".to_owned(),
            Self::ReusedNoise => "reused-noise".to_owned(),
        }
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

impl Plant {
    /// All bugs.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let guards = GUARDS.iter().map(|guard| Self::Missing(*guard));
        guards
            .chain([Self::ForgottenFsync, Self::ReusedNoise])
            .collect()
    }
}

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
