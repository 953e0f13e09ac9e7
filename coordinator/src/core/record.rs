//! What is kept of a study, so that it can be taken up again: never an update or a share of a single node.

use serde::{Deserialize, Serialize};

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::aggregation::MemberSet;
use aquifer_shared::protocol::wire::{Approval, Roster, Verdict};

use super::ending::Ending;

/// A durable fact of a study. Together they rebuild it; none holds an update of a single node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Record {
    /// An approver signed.
    Approved {
        /// By whom.
        approval: Approval,
        /// When.
        at: Timestamp,
    },
    /// A member answered the offer; the last answer counts.
    Decision {
        /// Its position in the roster.
        member: u32,
        /// Its answer.
        verdict: Verdict,
    },
    /// An attempt number is used up; durable before its task leaves.
    Open {
        /// From 0.
        round: u32,
        /// From 0; never twice in a round.
        attempt: u32,
        /// When.
        at: Timestamp,
    },
    /// A sum is released; durable before anybody hears of it.
    Result {
        /// From 0.
        round: u32,
        /// The attempt that it came from; where groups add up, the highest of any group.
        attempt: u32,
        /// Whose updates (or noise and customers' parts) are in it, rising.
        members: Vec<u32>,
        /// The sum.
        cells: Vec<i64>,
        /// When.
        at: Timestamp,
    },
    /// The study is over.
    Ended {
        /// How.
        ending: Ending,
        /// When.
        at: Timestamp,
    },
    /// An attempt number of a group is used up (`shared-noise`); durable before its task leaves.
    GroupOpened {
        /// From 0.
        round: u32,
        /// Number of the group in the study, from 0.
        group: u16,
        /// From 0; never twice in a round and group.
        attempt: u32,
        /// When.
        at: Timestamp,
    },
    /// Who is called into an attempt; durable before ROSTER leaves.
    Roster {
        /// From 0.
        round: u32,
        /// Number of the group.
        group: u16,
        /// The attempt.
        attempt: u32,
        /// The roster.
        roster: Roster,
    },
    /// The set of dealers of an attempt, which never changes; durable, with the spool, before DELIVERY leaves.
    Set {
        /// From 0.
        round: u32,
        /// Number of the group.
        group: u16,
        /// The attempt.
        attempt: u32,
        /// U.
        dealers: MemberSet,
    },
    /// The sum of one of several groups is released; the round's result follows when all groups have one.
    GroupSum {
        /// From 0.
        round: u32,
        /// Number of the group.
        group: u16,
        /// The attempt that it came from.
        attempt: u32,
        /// Whose noise and customers' parts are in it.
        dealers: MemberSet,
        /// The sum.
        cells: Vec<i64>,
        /// When.
        at: Timestamp,
    },
    /// In front of a sum: which program each of its nodes reported to run, by its last greeting. Nothing follows from it for the study.
    Programs {
        /// Place in the roster, rising, and SHA-256.
        programs: Vec<(u32, Hash32)>,
    },
}
