//! A round whose sums are secure: its groups, each with attempts of its own at the sum of its members.
//!
//! Lives in memory only; what is durable of it is in the study's records. Sees sealed records and sums, never a member's part.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{AttemptId, Hash32, IdentityKey, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::{StudyTerms, Thresholds, attempt_id, task_hash};
use aquifer_shared::protocol::aggregation::{
    Assembly, Guard, MemberSet, Offence, Setting, Suspicion, Timing,
};
use aquifer_shared::protocol::ask::ReleasedSum;
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{End, Task, TaskBody};

use super::event::{Member, Note, said_by};
use super::known::Known;
use super::round::cells_of;
use super::seat::{Seat, Standing};
use super::study::{Close, Conditions};

/// The live round of a study whose sums are secure.
pub(super) struct SecureRound {
    pub(super) round: u32,
    /// When a group last opened an attempt.
    pub(super) opened: Timestamp,
    pub(super) groups: Vec<Group>,
    study: StudyHash,
    body: Vec<u8>,
    task_hash: Hash32,
    cells: usize,
    phase_ms: u32,
    ttl_ms: u32,
    attempts_max: u32,
    tasks: BTreeMap<u32, Arc<Task>>,
}

/// Members who add up on their own.
pub(super) struct Group {
    /// Its number in the study, from 0.
    pub(super) number: u16,
    /// Its members, as positions in the roster.
    pub(super) members: Range<Member>,
    pub(super) thresholds: Thresholds,
    pub(super) progress: Progress,
    /// The last attempt number that it used in this round.
    pub(super) attempt: Option<u32>,
    /// The last attempt of the round that each member says to have paid for.
    pub(super) known: Known,
    /// What its dealers dealt is kept.
    pub(super) spooled: bool,
    /// Members to leave out of the next attempt.
    pub(super) suspects: BTreeMap<Member, Suspicion>,
    keys: Arc<[IdentityKey]>,
    noted: BTreeSet<(Member, &'static str, Option<Member>)>,
    behind: BTreeMap<u16, MemberSet>,
}

/// Where a group stands in its round.
pub(super) enum Progress {
    /// It has no attempt, and gets one as soon as enough members are there; not longer than until then.
    Waiting {
        /// Until when.
        until: Timestamp,
    },
    /// The number of an attempt is on its way to the disk.
    Opening,
    /// An attempt is out.
    Live(Box<Assembly>),
    /// Its sum is there.
    Done {
        /// The sum.
        sum: GroupSum,
        /// Its members have heard of it.
        told: bool,
    },
}

/// The sum of a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct GroupSum {
    /// The attempt that it came from.
    pub(super) attempt: u32,
    /// U.
    pub(super) dealers: MemberSet,
    pub(super) cells: Vec<i64>,
}

impl SecureRound {
    /// A round in which no group has an attempt yet.
    ///
    /// # Panics
    ///
    /// If the terms were not checked: every group has fitting tolerances then.
    pub(super) fn new(
        now: Timestamp,
        study: &StudyHash,
        terms: &StudyTerms,
        groups: &[Range<Member>],
        (round, body): (u32, &TaskBody),
    ) -> Self {
        let bytes = encode(body);
        let mut round = Self {
            round,
            opened: now,
            groups: Vec::new(),
            study: *study,
            task_hash: task_hash(study, round, &bytes),
            body: bytes,
            cells: cells_of(body, terms.rounds[round as usize].cells_max),
            phase_ms: terms.phase_ms,
            ttl_ms: terms.attempt_ttl_ms,
            attempts_max: terms.attempts_max.into(),
            tasks: BTreeMap::new(),
        };
        let until = round.patience(now, 0);
        let groups = groups.iter().cloned().zip(0..);
        round.groups = groups
            .map(|(members, number)| Group {
                number,
                thresholds: terms
                    .thresholds(members.len())
                    .expect("the terms were checked"),
                progress: Progress::Waiting { until },
                attempt: None,
                known: Known::default(),
                spooled: false,
                suspects: BTreeMap::new(),
                keys: terms.roster[members.clone()].into(),
                noted: BTreeSet::new(),
                behind: BTreeMap::new(),
                members,
            })
            .collect();
        round
    }

    /// The group of a member, and its index there, from 1.
    pub(super) fn place(&self, member: Member) -> Option<(usize, u16)> {
        let group = self
            .groups
            .iter()
            .position(|group| group.members.contains(&member))?;
        Some((group, self.groups[group].index(member)))
    }

    /// The attempt of a group.
    pub(super) fn attempt_id(&self, attempt: u32) -> AttemptId {
        attempt_id(&self.study, self.round, attempt)
    }

    /// The task of an attempt: the same for all groups that try with this number.
    pub(super) fn task(&mut self, attempt: u32) -> Arc<Task> {
        let task = || {
            Arc::new(Task {
                study: self.study,
                round: self.round,
                attempt,
                body: self.body.clone(),
            })
        };
        self.tasks.entry(attempt).or_insert_with(task).clone()
    }

    pub(super) fn setting(&self, group: &Group, attempt: u32, conditions: Conditions) -> Setting {
        Setting {
            attempt: self.attempt_id(attempt),
            task: self.task_hash,
            members: group.keys.clone(),
            thresholds: group.thresholds,
            cells: self.cells,
            checks: conditions.checks,
            verify: conditions.verify,
        }
    }

    pub(super) fn timing(&self, opened: Timestamp) -> Timing {
        Timing {
            opened,
            phase_ms: self.phase_ms,
            attempt_ttl_ms: self.ttl_ms,
        }
    }

    /// How long a group waits for its members before an attempt: as long as the attempts that are left could have lasted.
    pub(super) fn patience(&self, now: Timestamp, attempt: u32) -> Timestamp {
        let left = self.attempts_max.saturating_sub(attempt).max(1);
        now.after_ms(u64::from(left) * u64::from(self.ttl_ms))
    }

    /// Starts the attempt of a group whose number is durable: the task, and who gets it now.
    pub(super) fn begin(
        &mut self,
        now: Timestamp,
        index: usize,
        seats: &[Seat],
        conditions: Conditions,
    ) -> Option<(Arc<Task>, Vec<Member>)> {
        self.opened = now;
        let group = &self.groups[index];
        let attempt = group.attempt?;
        let asked = group.which(seats, Seat::is_eligible);
        let connected = group.which(seats, |seat| seat.connected);
        let there = group
            .positions(asked)
            .filter(|member| seats[*member].connected);
        let there: Vec<Member> = there.collect();
        let setting = self.setting(group, attempt, conditions);
        let assembly = Assembly::start(setting, self.timing(now), asked, connected);
        self.groups[index].progress = Progress::Live(Box::new(assembly));
        Some((self.task(attempt), there))
    }

    /// Whether this is the live attempt of a group.
    pub(super) fn is_live(&self, attempt: &AttemptId) -> bool {
        let live = |group: &Group| match &group.progress {
            Progress::Live(assembly) => assembly.attempt() == *attempt,
            _ => false,
        };
        self.groups.iter().any(live)
    }

    /// Whether every group has its sum.
    pub(super) fn is_done(&self) -> bool {
        self.groups.iter().all(|group| group.sum().is_some())
    }

    /// The sum over the groups' sums and everybody in it; `None` where it does not fit, or a group has none yet.
    pub(super) fn total(&self) -> Option<(Vec<Member>, Vec<i64>)> {
        let (mut members, mut total) = (Vec::new(), vec![0_i64; self.cells]);
        for group in &self.groups {
            let sum = group.sum()?;
            members.extend(group.positions(sum.dealers));
            if sum.cells.len() != total.len() {
                return None;
            }
            for (total, cell) in total.iter_mut().zip(&sum.cells) {
                *total = total.checked_add(*cell)?;
            }
        }
        Some((members, total))
    }

    /// What tells a group's members that its sum is released.
    pub(super) fn released(&self, group: &Group) -> Option<Close> {
        let sum = group.sum()?;
        Some(sum.released(&self.study, self.round, group.members.clone()))
    }

    /// What tells a group's members that its attempt is over without a sum.
    pub(super) fn failed(&self, group: &Group) -> Option<Close> {
        Some(Close {
            members: group.members.clone(),
            end: End {
                attempt: self.attempt_id(group.attempt?),
                released: false,
                release: Hash32::default(),
            },
        })
    }

    /// What tells everybody how the attempts that they know of ended, where the study ends now.
    pub(super) fn closes(&self) -> Vec<Close> {
        let close = |group: &Group| match &group.progress {
            Progress::Live(_) => self.failed(group),
            Progress::Done { told: false, .. } => self.released(group),
            Progress::Done { .. } | Progress::Waiting { .. } | Progress::Opening => None,
        };
        self.groups.iter().filter_map(close).collect()
    }
}

impl GroupSum {
    /// What tells members that their group's sum is released: by its own hash, as the group is a private sum of its own.
    pub(super) fn released(&self, study: &StudyHash, round: u32, members: Range<Member>) -> Close {
        let released = ReleasedSum {
            round,
            updates: self.dealers.len() as u32,
            cells: self.cells.clone(),
        };
        Close {
            members,
            end: End {
                attempt: attempt_id(study, round, self.attempt),
                released: true,
                release: sha256(&encode(&released)),
            },
        }
    }
}

impl Group {
    /// n − d_max.
    pub(super) fn needed(&self) -> usize {
        self.thresholds.dealers_min()
    }

    /// Index of a member, from 1.
    pub(super) fn index(&self, member: Member) -> u16 {
        (member - self.members.start + 1) as u16
    }

    /// Position of a member in the roster.
    pub(super) fn position(&self, index: u16) -> Member {
        self.members.start + usize::from(index) - 1
    }

    pub(super) fn positions(&self, set: MemberSet) -> impl Iterator<Item = Member> + use<> {
        let start = self.members.start;
        set.iter().map(move |index| start + usize::from(index) - 1)
    }

    /// The sum, if it is there.
    pub(super) fn sum(&self) -> Option<&GroupSum> {
        match &self.progress {
            Progress::Done { sum, .. } => Some(sum),
            _ => None,
        }
    }

    /// How many seats of the group are so.
    pub(super) fn count(&self, seats: &[Seat], is: impl Fn(&Seat) -> bool) -> usize {
        seats[self.members.clone()]
            .iter()
            .filter(|seat| is(seat))
            .count()
    }

    /// Which members' seats are so.
    pub(super) fn which(&self, seats: &[Seat], is: impl Fn(&Seat) -> bool) -> MemberSet {
        let seats = seats[self.members.clone()].iter().zip(1..);
        MemberSet::of(seats.filter(|(seat, _)| is(seat)).map(|(_, index)| index))
    }

    /// The next attempt number: never one that was used, as far as anybody knows.
    pub(super) fn next_attempt(&self, conditions: Conditions) -> u32 {
        let floor = self.known.floor(self.thresholds.absent_max());
        match self.attempt {
            Some(used) if conditions.checks.hold(Guard::FreshAttempt, false) => used,
            Some(used) => floor.max(used.saturating_add(1)),
            None => floor,
        }
    }

    /// What is new about a member for the log; nothing the second time in an attempt.
    pub(super) fn note(&mut self, index: u16, offence: Offence) -> Option<Note> {
        let (rule, by) = (offence.name(), said_by(offence));
        if let Offence::Behind { by } = offence {
            self.behind.entry(index).or_default().insert(by);
        }
        let (member, by) = (self.position(index), by.map(|by| self.position(by)));
        let fresh = self.noted.insert((member, rule, by));
        fresh.then_some(Note::Offence { member, rule, by })
    }

    /// Members whose ledger is behind, say more of their peers than may be lying.
    pub(super) fn suspect_behind(&mut self) {
        let thresholds = self.thresholds;
        let liars = thresholds.colluders_max().min(thresholds.absent_max());
        let behind = self.behind.iter().filter(|(_, by)| by.len() > liars);
        let found: Vec<Member> = behind.map(|(index, _)| self.position(*index)).collect();
        self.suspects
            .extend(found.into_iter().map(|member| (member, Suspicion::Ledger)));
    }

    /// Forgets what belongs to an attempt.
    pub(super) fn close_attempt(&mut self) {
        self.noted.clear();
        self.behind.clear();
    }

    /// Leaves suspects out of the next attempt, unless too few were left then.
    pub(super) fn leave_out(&mut self, seats: &mut [Seat]) -> Vec<Note> {
        let suspects = std::mem::take(&mut self.suspects);
        let (mut notes, mut left) = (Vec::new(), self.count(seats, Seat::may_come));
        for (member, why) in suspects {
            let seat = &mut seats[member];
            if left <= self.needed() || !seat.may_come() {
                continue;
            }
            let standing = match why {
                Suspicion::Ledger => Standing::UntilBack,
                Suspicion::Dealing | Suspicion::Opening | Suspicion::Message => {
                    Standing::OutOfAttempt
                }
            };
            seat.leave_out(standing);
            left -= 1;
            notes.push(Note::LeftOut { member, why });
        }
        notes
    }
}
