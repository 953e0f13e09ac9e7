//! Every fault that can be injected, by name, and which profile injects it how often.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

macro_rules! faults {
    ($($(#[$doc:meta])* $kind:ident $name:literal $family:ident $rate:literal,)*) => {
        /// Something that goes wrong.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Fault {
            $($(#[$doc])* $kind,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// Its name in commands and tables.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// The family that it belongs to.
            #[must_use]
            pub fn family(self) -> Family {
                match self {
                    $(Self::$kind => Family::$family,)*
                }
            }

            /// How often it strikes in profiles that have its family, in a million chances.
            #[must_use]
            pub fn rate_ppm(self) -> u32 {
                match self {
                    $(Self::$kind => $rate,)*
                }
            }
        }
    };
}

faults! {
    /// A frame never arrives, and nobody is told.
    Loss "loss" Network 500,
    /// A frame arrives twice.
    Duplicate "duplicate" Network 5_000,
    /// A frame overtakes those before it.
    Reorder "reorder" Network 5_000,
    /// A frame takes seconds.
    Delay "delay" Network 2_000,
    /// A session breaks; both ends notice after a while.
    Cut "cut" Network 300,
    /// Nothing comes through to the coordinator for a while.
    PartitionUp "partition-up" Network 300,
    /// Nothing comes through to the node for a while.
    PartitionDown "partition-down" Network 300,
    /// Nothing comes through either way for a while.
    PartitionBoth "partition-both" Network 300,
    /// A node dies while entries are on their way to the disk: they are lost.
    StopBeforeWrite "stop-before-write" Crashes 2_000,
    /// A node dies once entries are on disk, before it knows.
    StopAfterWrite "stop-after-write" Crashes 2_000,
    /// A node dies before a message leaves.
    StopBeforeSend "stop-before-send" Crashes 1_000,
    /// A node dies after a message left.
    StopAfterSend "stop-after-send" Crashes 1_000,
    /// The coordinator dies before it does something.
    CoordinatorStops "coordinator-stops" Crashes 600,
    /// The coordinator dies once records are stored, before it knows.
    CoordinatorStopsAfterWrite "coordinator-stops-after-write" Crashes 1_000,
    /// A node's clock jumps by up to an hour, either way.
    ClockJump "clock-jump" Crashes 300,
    /// A node computes for seconds or minutes.
    Slow "slow" Crashes 500,
    /// A node dies in the middle of a write: half of it is on disk.
    TornWrite "torn-write" Disk 1_500,
    /// A node dies, and its disk has forgotten what it acknowledged last.
    LostWrite "lost-write" Disk 500,
    /// A node's disk refuses to write.
    DiskFull "disk-full" Disk 1_000,
    /// A node dies, and one bit of its journal has flipped.
    BitFlip "bit-flip" Disk 200,
    /// A node's journal is an old backup; witness and mirror are not.
    OldJournal "old-journal" Disk 500,
    /// A node's journal and witness are an old backup; the mirror is not.
    OldVolumes "old-volumes" Disk 500,
    /// A node's journal and witness are an old backup, and the mirror is gone.
    OldEverything "old-everything" Disk 500,
    /// A node's witness file is gone.
    WitnessLost "witness-lost" Disk 100,
    /// The coordinator's store refuses to write for a while.
    StoreFails "store-fails" Disk 1_000,
    /// The coordinator's store is an old backup.
    OldStore "old-store" Disk 100,
    /// A node's certificate expires in mid-study, and is renewed by a person later.
    Expiry "expiry" Membership 100,
    /// A node's certificate is revoked in mid-study.
    Revocation "revocation" Membership 60,
    /// A node speaks an older version of the protocol.
    OldVersion "old-version" Membership 10_000,
    /// A node's own caps do not cover the study.
    TightCaps "tight-caps" Membership 10_000,
    /// The study's cap covers no repeated attempt.
    TightStudy "tight-study" Membership 100_000,
    /// The coordinator is not the product's: it lies, and as many members as may collude show it all they have.
    Rogue "rogue-coordinator" RogueCoordinator 150_000,
    /// It gives different members different tasks.
    TwoTasks "two-tasks" RogueCoordinator 50_000,
    /// It calls too few members.
    SmallRoster "small-roster" RogueCoordinator 50_000,
    /// It calls a member several times to have enough.
    RepeatedMember "repeated-member" RogueCoordinator 40_000,
    /// It takes the places of honest members with keys of its own.
    ForgedAdverts "forged-adverts" RogueCoordinator 60_000,
    /// A colluder announces an honest member's key.
    SameKey "same-key" RogueCoordinator 40_000,
    /// It calls with an advert of an earlier attempt.
    OldAdvert "old-advert" RogueCoordinator 40_000,
    /// It shows members rosters without them.
    WithoutOwn "without-own" RogueCoordinator 40_000,
    /// It shows a second roster after members dealt.
    TwoRosters "two-rosters" RogueCoordinator 50_000,
    /// A colluder claims an older ledger than it has.
    OldLedger "old-ledger" RogueCoordinator 40_000,
    /// It tells some members one set of dealers, others another.
    TwoSets "two-sets" RogueCoordinator 70_000,
    /// It tells every member two sets, one after the other.
    TwoSetsToOne "two-sets-to-one" RogueCoordinator 60_000,
    /// It names a set with too few dealers.
    ShortSet "short-set" RogueCoordinator 60_000,
    /// It fills a short set up with members that were not called.
    ForeignSet "foreign-set" RogueCoordinator 60_000,
    /// It hands records to the wrong members, or under wrong names.
    SwappedRecords "swapped-records" RogueCoordinator 50_000,
    /// It leaves a record out, another one for each member.
    MissingRecords "missing-records" RogueCoordinator 60_000,
    /// It delivers for another roster.
    WrongRoster "wrong-roster" RogueCoordinator 40_000,
    /// It shows a proof with too few confirmations.
    EarlyProof "early-proof" RogueCoordinator 60_000,
    /// It fills a proof up with signatures of its own.
    ForgedProof "forged-proof" RogueCoordinator 60_000,
    /// It fills a proof up with one confirmation many times.
    RepeatedProof "repeated-proof" RogueCoordinator 60_000,
    /// It sends messages of earlier attempts again.
    Replays "replays" RogueCoordinator 60_000,
    /// It asks for an attempt again that is over.
    OldTask "old-task" RogueCoordinator 60_000,
    /// It asks for more attempts than there are.
    ManyAttempts "many-attempts" RogueCoordinator 60_000,
    /// It asks for what is not in the terms.
    WrongTask "wrong-task" RogueCoordinator 50_000,
    /// It ends attempts while they run.
    FalseEnd "false-end" RogueCoordinator 40_000,
    /// As many members as may collude lie.
    Liars "lying-members" LyingMembers 200_000,
    /// A liar spoils a sealed record.
    BadRecord "bad-record" LyingMembers 60_000,
    /// A liar seals shares that lie on no polynomial.
    BadShare "bad-share" LyingMembers 60_000,
    /// A liar's signature is none.
    BadSignature "bad-signature" LyingMembers 30_000,
    /// A liar opens another point.
    WrongOpening "wrong-opening" LyingMembers 100_000,
    /// A liar's message has another length.
    WrongLength "wrong-length" LyingMembers 30_000,
    /// A liar brings a vector beyond any honest one.
    OutOfRange "out-of-range" LyingMembers 30_000,
    /// A liar announces two keys.
    TwoAdverts "two-adverts" LyingMembers 60_000,
    /// A liar says nothing.
    Silence "silence" LyingMembers 20_000,
    /// A liar says that honest records do not open.
    FalseCannot "false-cannot" LyingMembers 60_000,
    /// A liar confirms another set.
    FalseConfirm "false-confirm" LyingMembers 60_000,
    /// A liar sends bytes that mean nothing.
    Garbage "garbage" LyingMembers 10_000,
    /// A liar's advert names an older ledger than it has.
    FalseLedger "false-ledger" LyingMembers 30_000,
    // What is new comes last: what strikes in the history of a seed depends on these numbers.
    /// The coordinator's clock jumps by up to an hour, either way.
    CoordinatorClock "coordinator-clock" Crashes 300,
    /// The adversary shows half of the members another roster than the rest.
    SplitRosters "split-rosters" RogueCoordinator 50_000,
    /// It shows the members of a roster in another order.
    OtherOrder "other-order" RogueCoordinator 40_000,
}

/// Faults of one sort.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Family {
    /// Frames and sessions.
    Network,
    /// Processes and clocks.
    Crashes,
    /// Journals and stores.
    Disk,
    /// Certificates, versions, budgets.
    Membership,
    /// What a coordinator does that lies.
    RogueCoordinator,
    /// What members do that lie.
    LyingMembers,
}

/// Which faults are on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// None.
    None,
    /// The network's.
    Network,
    /// Processes stop, clocks jump.
    Crashes,
    /// Disks fail, forget and lie.
    Disk,
    /// The coordinator lies, with members that collude.
    ByzantineCoordinator,
    /// Members lie.
    ByzantineNode,
    /// Everything, mixed by the seed.
    All,
}

impl Profile {
    /// All of them, with their names.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::None, "none"),
        (Self::Network, "network"),
        (Self::Crashes, "crashes"),
        (Self::Disk, "disk"),
        (Self::ByzantineCoordinator, "byzantine-coordinator"),
        (Self::ByzantineNode, "byzantine-node"),
        (Self::All, "all"),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(profile, _)| *profile == self);
        found.map_or("", |(_, name)| name)
    }

    /// Whether it has a family.
    #[must_use]
    pub fn has(self, family: Family) -> bool {
        match self {
            Self::None => false,
            Self::Network => family == Family::Network,
            Self::Crashes => family == Family::Crashes,
            Self::Disk => family == Family::Disk,
            Self::ByzantineCoordinator => family == Family::RogueCoordinator,
            Self::ByzantineNode => family == Family::LyingMembers,
            Self::All => true,
        }
    }

    /// How often a fault strikes, in a million chances.
    #[must_use]
    pub fn rate_ppm(self, fault: Fault) -> f64 {
        match (self, fault) {
            // Without a liar there is nothing to see.
            (Self::ByzantineCoordinator, Fault::Rogue) | (Self::ByzantineNode, Fault::Liars) => 1e9,
            _ if self.has(fault.family()) => f64::from(fault.rate_ppm()),
            _ => 0.0,
        }
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        let names = Self::ALL.map(|(_, name)| name).join(", ");
        found
            .map(|(profile, _)| *profile)
            .ok_or_else(|| format!("no fault profile is called {text:?}, expected one of {names}"))
    }
}

/// One chance of a fault: which, at whom, the how-manieth. The same in every history of a seed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct FaultId {
    /// Which.
    pub fault: Fault,
    /// At whom: 0 is the coordinator, nodes count from 1.
    pub party: u32,
    /// The how-manieth chance there, from 0.
    pub chance: u32,
}

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.fault.name(), self.party, self.chance)
    }
}

impl FromStr for FaultId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("{text:?} names no fault, expected as in loss:3:17 (fault:party:chance)");
        let mut parts = text.split(':');
        let (name, party, chance) = (parts.next(), parts.next(), parts.next());
        let fault = Fault::ALL.iter().find(|fault| Some(fault.name()) == name);
        let number = |part: Option<&str>| part.and_then(|part| part.parse().ok());
        let (Some(fault), Some(party), Some(chance), None) =
            (fault, number(party), number(chance), parts.next())
        else {
            return Err(bad());
        };
        Ok(Self {
            fault: *fault,
            party,
            chance,
        })
    }
}

impl Serialize for FaultId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for fault in Fault::ALL {
            let id = FaultId {
                fault: *fault,
                party: 3,
                chance: 17,
            };
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for (profile, name) in Profile::ALL {
            assert_eq!((name.parse(), profile.name()), (Ok(profile), name));
        }
        for bad in [
            "",
            "loss",
            "loss:1",
            "loss:1:x",
            "thunder:1:1",
            "loss:1:1:1",
        ] {
            assert!(bad.parse::<FaultId>().is_err(), "{bad}");
        }
        assert!("some".parse::<Profile>().is_err());
    }

    #[test]
    fn no_fault_is_left_out_of_the_full_profile() {
        assert!(
            Fault::ALL
                .iter()
                .all(|fault| Profile::All.has(fault.family()))
        );
    }
}
