//! What can happen to a consent: a closed list of kinds, each with its effect on the fold.

use aquifer_shared::base::ids::Name;
use aquifer_shared::domain::law::Place;

use super::subject::SubjectRef;

/// What an event does to a state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// A consent begins.
    Grant,
    /// It ends.
    End,
    /// The person is blocked from the purpose, whatever the basis.
    Block,
    /// The block is lifted.
    Unblock,
    /// Nothing changes.
    None,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal $number:literal $effect:ident),+ $(,)?) => {
        /// Kinds of events.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum EventKind {
            $($(#[$doc])* $name),+
        }

        impl EventKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word in files.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word),+
                }
            }

            /// The number in the ledger; never given to another kind.
            #[must_use]
            pub fn number(self) -> u8 {
                match self {
                    $(Self::$name => $number),+
                }
            }

            /// What it does.
            #[must_use]
            pub fn effect(self) -> Effect {
                match self {
                    $(Self::$name => Effect::$effect),+
                }
            }
        }
    };
}

kinds! {
    /// The person agreed.
    Given = "given" 1 Grant,
    /// The person agreed again.
    Renewed = "renewed" 2 Grant,
    /// A guardian agreed.
    ParentalGiven = "parental_given" 3 Grant,
    /// The person said no.
    Refused = "refused" 4 End,
    /// The person took it back.
    Withdrawn = "withdrawn" 5 End,
    /// It ran out.
    Expired = "expired" 6 End,
    /// It was not good from the start.
    Invalidated = "invalidated" 7 End,
    /// The unit ended it.
    TerminatedByController = "terminated_by_controller" 8 End,
    /// The person objected.
    Objected = "objected" 9 Block,
    /// A signal of a browser or a setting says no.
    OptOutSignal = "opt_out_signal" 10 Block,
    /// The objection was taken back; consent that ended before does not come back with it.
    ObjectionWithdrawn = "objection_withdrawn" 11 Unblock,
    /// The person was asked.
    Requested = "requested" 12 None,
}

impl EventKind {
    /// The kind of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.word() == word)
    }

    /// The kind of a number.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|kind| kind.number() == number)
    }

    /// At equal times what ends and blocks comes after what begins and lifts: withdrawal wins ties.
    #[must_use]
    pub fn precedence(self) -> u8 {
        match self.effect() {
            Effect::None => 0,
            Effect::Grant | Effect::Unblock => 1,
            Effect::End | Effect::Block => 2,
        }
    }
}

impl std::fmt::Debug for ConsentEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<personal>")
    }
}

/// What an event is about.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// One purpose.
    Purpose(Name),
    /// Every purpose that is direct marketing.
    DirectMarketing,
    /// Every purpose by which data is sold or shared.
    SaleOrShare,
    /// Every purpose.
    All,
}

impl Scope {
    /// The word in files.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Purpose(name) => name.as_str(),
            Self::DirectMarketing => DIRECT_MARKETING,
            Self::SaleOrShare => SALE_OR_SHARE,
            Self::All => ALL,
        }
    }

    /// The scope of a word: the name of a purpose, or one of the three groups.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            DIRECT_MARKETING => Self::DirectMarketing,
            SALE_OR_SHARE => Self::SaleOrShare,
            ALL => Self::All,
            name => Self::Purpose(name.parse().ok()?),
        })
    }
}

/// What an event says about age.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AgeSaid {
    /// Nothing.
    #[default]
    Unsaid,
    /// Of age.
    Adult,
    /// Not of age.
    Minor,
    /// Not of age, and a guardian agreed.
    MinorWithGuardian,
}

impl AgeSaid {
    /// The word in files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unsaid => "unknown",
            Self::Adult => "adult",
            Self::Minor => "minor",
            Self::MinorWithGuardian => "minor_with_guardian",
        }
    }

    /// What a word says.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        let all = [
            Self::Unsaid,
            Self::Adult,
            Self::Minor,
            Self::MinorWithGuardian,
        ];
        all.into_iter().find(|age| age.word() == word)
    }
}

/// One event.
///
/// # Privacy
///
/// A customer's fact: stays at the node, and cannot be printed. Whom it is about is a keyed hash.
#[derive(Clone, PartialEq)]
pub struct ConsentEvent {
    /// Whom it is about.
    pub subject: SubjectRef,
    /// What it is about.
    pub scope: Scope,
    /// What happened.
    pub kind: EventKind,
    /// In express words.
    pub explicit: bool,
    /// Which notice was shown, by its number in the node's list.
    pub notice: Option<u16>,
    /// When it happened, in milliseconds since 1970.
    pub event_at: i64,
    /// When it was written down here.
    pub recorded_at: i64,
    /// From when it holds; from when it happened where nothing is said.
    pub valid_from: Option<i64>,
    /// Until when, if it ends by itself.
    pub valid_until: Option<i64>,
    /// What it says about age.
    pub age: AgeSaid,
    /// Where the person lives, if it says so.
    pub place: Option<Place>,
    /// Order among events of one moment: from the source's own id of the event, so that it does not depend on the order of
    /// imports.
    pub order: u64,
}

const DIRECT_MARKETING: &str = "direct_marketing";
const SALE_OR_SHARE: &str = "sale_or_share";
const ALL: &str = "all";
