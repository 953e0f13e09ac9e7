//! Groups of a secure sum taken up again from records: rosters and sets as they were, sums that are there already.

use std::collections::BTreeMap;

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::TrustMode;
use aquifer_shared::protocol::aggregation::{Assembly, Guard, Kept, MemberSet};
use aquifer_shared::protocol::wire::{Roster, Shares, TaskBody};

use super::event::Record;
use super::group::{Group, GroupSum, Progress, SecureRound};
use super::resume::LastOpen;
use super::study::{Stage, Study};

/// What records say of a group in the live round.
#[derive(Clone, Debug)]
pub(super) struct KeptGroup {
    attempt: u32,
    opened: Timestamp,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    Open,
    Roster(Roster),
    Set(Roster, MemberSet),
    Summed(GroupSum),
}

impl Study {
    /// A record of a group's step.
    pub(super) fn replay_step(&mut self, record: Record, open: &mut LastOpen) -> Option<()> {
        let live = self.sums.len() as u32;
        let shared = self.terms.mode == TrustMode::SharedNoise;
        match record {
            Record::GroupOpened {
                round,
                group,
                attempt,
                at,
            } if shared && round == live => self.replay_opened(open, (round, group, attempt), at),
            Record::Roster {
                round,
                group,
                attempt,
                roster,
            } if round == live => open.step(group, attempt, |step| match step {
                Step::Open => Some(Step::Roster(roster)),
                _ => None,
            }),
            Record::Set {
                round,
                group,
                attempt,
                dealers,
            } if round == live => open.step(group, attempt, |step| match step {
                Step::Roster(roster) => Some(Step::Set(roster, dealers)),
                _ => None,
            }),
            Record::GroupSum {
                round,
                group,
                attempt,
                dealers,
                cells,
                ..
            } if round == live => open.step(group, attempt, |step| match step {
                Step::Set(_, set) if set == dealers => Some(Step::Summed(GroupSum {
                    attempt,
                    dealers,
                    cells,
                })),
                _ => None,
            }),
            _ => None,
        }
    }

    fn replay_opened(
        &mut self,
        open: &mut LastOpen,
        (round, group, attempt): (u32, u16, u32),
        at: Timestamp,
    ) -> Option<()> {
        let exists = usize::from(group) < self.terms.groups().len();
        if !exists || (round as usize) >= self.terms.rounds.len() {
            return None;
        }
        if let Some(before) = open.groups.get(&group) {
            let rises = attempt > before.attempt;
            let fresh = self.conditions.checks.hold(Guard::FreshAttempt, rises);
            if !fresh || matches!(before.step, Step::Summed(_)) {
                return None;
            }
        }
        self.note_open(round, attempt);
        let kept = KeptGroup {
            attempt,
            opened: at,
            step: Step::Open,
        };
        open.groups.insert(group, kept);
        Some(())
    }

    /// The record of a round's result: when its last attempt was opened.
    ///
    /// Members hear how the round ended when they come back: this process was not there to tell.
    pub(super) fn replay_result(
        &mut self,
        round: u32,
        members: &[u32],
        cells: &[i64],
        open: &mut LastOpen,
    ) -> Option<Timestamp> {
        let kept = std::mem::take(&mut open.groups);
        let opened = kept.values().map(|kept| kept.opened).max()?;
        let ranges = self.terms.groups();
        if round as usize != self.sums.len() || kept.len() != ranges.len() {
            return None;
        }
        let alone = ranges.len() == 1;
        let mut found = Vec::new();
        self.farewells.clear();
        for (members, kept) in ranges.into_iter().zip(kept.into_values()) {
            let sum = match kept.step {
                Step::Summed(sum) => sum,
                // A single group's sum is the result: it is written once.
                Step::Set(_, dealers) if alone => GroupSum {
                    attempt: kept.attempt,
                    dealers,
                    cells: cells.to_vec(),
                },
                _ => return None,
            };
            let indices = sum
                .dealers
                .iter()
                .map(|index| members.start as u32 + u32::from(index) - 1);
            found.extend(indices);
            self.farewells
                .push(sum.released(&self.hash, round, members));
        }
        (found == members).then_some(opened)
    }

    /// The groups of the live round, each where its records stop.
    pub(super) fn take_up_groups(
        &mut self,
        now: Timestamp,
        body: &TaskBody,
        mut kept: BTreeMap<u16, KeptGroup>,
        spool: Vec<(u16, u16, Shares)>,
    ) {
        let number = self.sums.len() as u32;
        let mut round = SecureRound::new(now, &self.hash, &self.terms, number, body);
        let mut dealt: BTreeMap<u16, Vec<(u16, Shares)>> = BTreeMap::new();
        for (group, dealer, shares) in spool {
            dealt.entry(group).or_default().push((dealer, shares));
        }
        round.opened = kept.values().map(|kept| kept.opened).max().unwrap_or(now);
        for index in 0..round.groups.len() {
            let Some(kept) = kept.remove(&(index as u16)) else {
                continue;
            };
            let spool = dealt.remove(&(index as u16)).unwrap_or_default();
            let spooled = !spool.is_empty();
            let progress = self.take_up_group(now, &round, index, &kept, spool);
            let group: &mut Group = &mut round.groups[index];
            group.attempt = Some(kept.attempt);
            group.progress = progress;
            group.spooled = spooled;
        }
        let groups = round.groups.len();
        self.stage = Stage::Assembling(Box::new(round));
        (0..groups).for_each(|index| self.follow(now, index));
    }

    fn take_up_group(
        &self,
        now: Timestamp,
        round: &SecureRound,
        index: usize,
        kept: &KeptGroup,
        spool: Vec<(u16, Shares)>,
    ) -> Progress {
        let step = match kept.step.clone() {
            Step::Open => Kept::Open,
            Step::Roster(roster) => Kept::Roster(roster),
            Step::Set(roster, dealers) => Kept::Set {
                roster,
                dealers,
                spool,
            },
            Step::Summed(sum) => return Progress::Done { sum, told: true },
        };
        let setting = round.setting(&round.groups[index], kept.attempt, self.conditions);
        let timing = round.timing(kept.opened);
        Progress::Live(Box::new(Assembly::resume(now, setting, timing, step)))
    }
}

impl LastOpen {
    fn step(
        &mut self,
        group: u16,
        attempt: u32,
        next: impl FnOnce(Step) -> Option<Step>,
    ) -> Option<()> {
        let kept = self.groups.get_mut(&group)?;
        if kept.attempt != attempt {
            return None;
        }
        kept.step = next(kept.step.clone())?;
        Some(())
    }
}
