//! The rules on which secrecy, exactness and payment rest, by name, so that the simulator can show that each is needed.

/// A rule that a state machine checks before it goes on.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Guard {
    /// A roster holds this node's own advert, byte for byte.
    OwnAdvert,
    /// A roster holds at least n − d_max members.
    RosterSize,
    /// A roster is rising, without repetition, within the signed members.
    RosterOrder,
    /// Every advert is signed by its member.
    AdvertSignature,
    /// Every advert names this attempt and this task.
    SameTask,
    /// All ephemeral keys differ.
    DistinctKeys,
    /// No peer's ledger is behind or beside its mark.
    PeerMarks,
    /// One roster per attempt.
    OneRoster,
    /// The charge is durable before a share leaves.
    ChargeFirst,
    /// An attempt is above the last charged one.
    RisingAttempt,
    /// The study's reservation covers the attempt.
    WithinBudget,
    /// The task fits the signed terms.
    TermsHold,
    /// A delivery is for this attempt's roster.
    DeliveredRoster,
    /// The set of dealers lies within the roster.
    DealersInRoster,
    /// The set holds at least n − d_max dealers.
    DealersMin,
    /// A record of every dealer is there, of the right size, and opens.
    RecordsOpen,
    /// One set of dealers per attempt.
    OneSet,
    /// Marks are durable before a confirmation leaves.
    MarksFirst,
    /// A proof has at least Q confirmations of distinct members.
    ProofQuorum,
    /// Every confirmation of a proof is signed over the own set.
    ProofSignatures,
    /// The coordinator counts an advert only if its member signed it.
    CountedAdvert,
    /// The coordinator's attempt number was never used.
    FreshAttempt,
    /// The coordinator's roster and set are durable before they are sent.
    SetFirst,
    /// The coordinator reads a sum only if every spare opening agrees.
    SpareOpenings,
    /// A released sum is in range and its padding is zero.
    SumInRange,
    /// The result is durable before it is published.
    ResultFirst,
}

impl Guard {
    /// Its name in logs and audits.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OwnAdvert => "own-advert",
            Self::RosterSize => "roster-size",
            Self::RosterOrder => "roster-order",
            Self::AdvertSignature => "advert-signature",
            Self::SameTask => "same-task",
            Self::DistinctKeys => "distinct-keys",
            Self::PeerMarks => "peer-marks",
            Self::OneRoster => "one-roster",
            Self::ChargeFirst => "charge-first",
            Self::RisingAttempt => "rising-attempt",
            Self::WithinBudget => "within-budget",
            Self::TermsHold => "terms-hold",
            Self::DeliveredRoster => "delivered-roster",
            Self::DealersInRoster => "dealers-in-roster",
            Self::DealersMin => "dealers-min",
            Self::RecordsOpen => "records-open",
            Self::OneSet => "one-set",
            Self::MarksFirst => "marks-first",
            Self::ProofQuorum => "proof-quorum",
            Self::ProofSignatures => "proof-signatures",
            Self::CountedAdvert => "counted-advert",
            Self::FreshAttempt => "fresh-attempt",
            Self::SetFirst => "set-first",
            Self::SpareOpenings => "spare-openings",
            Self::SumInRange => "sum-in-range",
            Self::ResultFirst => "result-first",
        }
    }
}

/// How rules are judged: strictly, everywhere but in simulations of what their loss would do.
#[derive(Clone, Copy, Debug)]
pub struct Checks(fn(Guard, bool) -> bool);

impl Checks {
    /// Every rule counts. What every program uses.
    pub const STRICT: Self = Self(|_, condition| condition);

    /// Rules judged by a function: for the simulator alone, which shows that a missing rule is noticed.
    #[must_use]
    pub const fn judged_by(judge: fn(Guard, bool) -> bool) -> Self {
        Self(judge)
    }

    /// Whether to go on.
    #[must_use]
    pub fn hold(self, guard: Guard, condition: bool) -> bool {
        (self.0)(guard, condition)
    }
}
