//! The coordinator's side of one attempt at a secure sum of one group: from adverts to the sum, or to a typed failure.
//!
//! Pure: time and acknowledgements are arguments. Sees sealed records and openings, never a member's sum. What stays with the
//! caller (the study machine): the attempt's number and TASK (Open durable before), END, RESULT (durable before it is
//! published), which attempt comes next. After [`AssemblyEffect::Released`] or [`AssemblyEffect::Failed`] nothing more comes.
//!
//! Effects come in order; a [`AssemblyEffect::Persist`] must be durable before [`AssemblyEvent::Persisted`] is said. There is
//! never more than one on its way, and what depends on it comes out only after.
//!
//! Members that are away get what they need when they come back: TASK, ROSTER, DELIVERY or PROOF, the same bytes.

mod dealing;
mod event;
mod gathering;
mod opening;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use self::dealing::Dealing;
use self::gathering::Gathering;
use self::opening::Summing;
use super::roster::members;
use super::{Delivery, MemberSet, Roster, Setting, roster_hash};
use crate::base::ids::{AttemptId, Hash32};
use crate::base::time::Timestamp;
use crate::protocol::wire::{Refusal, RefusalCode};

pub use event::{
    AssemblyEffect, AssemblyEvent, Audit, Durable, FailedSum, Failure, Kept, Offence, SecureSum,
    Suspicion,
};

/// The machine.
#[derive(Debug)]
pub struct Assembly {
    setting: Setting,
    timing: Timing,
    places: BTreeMap<u16, Place>,
    stage: Stage,
    effects: VecDeque<AssemblyEffect>,
    /// Members whose ledger is said to be behind, and who says so.
    behind: BTreeMap<u16, MemberSet>,
}

/// How long an attempt may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// When its TASK left (after Open was durable).
    pub opened: Timestamp,
    /// After this long a step goes on with the members that it has, if they are enough.
    pub phase_ms: u32,
    /// After this long the attempt has failed.
    pub attempt_ttl_ms: u32,
}

/// What is known of a member.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    asked: bool,
    connected: bool,
    /// It refused or broke a rule: nothing is waited for, until it sends something useful.
    lost: bool,
    /// It sent what no honest member sends.
    offended: bool,
}

#[derive(Debug)]
enum Stage {
    Gathering(Gathering),
    Dealing(Dealing),
    Summing(Summing),
    Over,
}

/// Who was called into the attempt.
#[derive(Debug)]
struct Call {
    roster: Arc<Roster>,
    hash: Hash32,
    /// A.
    members: MemberSet,
}

/// A step that began when something became durable.
#[derive(Clone, Copy, Debug)]
struct Phase {
    durable: bool,
    since: Timestamp,
    /// It goes on with the members that it has, if they are enough.
    late: bool,
}

impl Assembly {
    /// An attempt whose TASK leaves now to `asked`, of whom `connected` have a session.
    #[must_use]
    pub fn start(setting: Setting, timing: Timing, asked: MemberSet, connected: MemberSet) -> Self {
        let mut assembly = Self::new(setting, timing);
        for (index, place) in &mut assembly.places {
            place.asked = asked.contains(*index);
            place.connected = connected.contains(*index);
        }
        assembly
    }

    /// An attempt that a coordinator had under way when it stopped, from what is durable. Nobody is connected yet.
    ///
    /// Nothing but Open: it has failed uncharged (the effect says so). So it has, charged, where the spool is not that of U.
    #[must_use]
    pub fn resume(now: Timestamp, setting: Setting, timing: Timing, kept: Kept) -> Self {
        let mut assembly = Self::new(setting, timing);
        match kept {
            Kept::Open => assembly.fail(Failure::Interrupted),
            Kept::Roster(roster) => {
                let call = Call::of(&assembly.setting, roster);
                assembly.stage = Stage::Dealing(Dealing::new(call, Phase::durable(now)));
            }
            Kept::Set {
                roster,
                dealers,
                spool,
            } => {
                let call = Call::of(&assembly.setting, roster);
                let arc = |(dealer, shares)| (dealer, Arc::new(shares));
                let spool: BTreeMap<_, _> = spool.into_iter().map(arc).collect();
                let whole = dealers.iter().eq(spool.keys().copied());
                let phase = Phase::durable(now);
                assembly.stage = Stage::Summing(Summing::new(call, phase, dealers, spool));
                if !whole {
                    assembly.fail(Failure::Interrupted);
                }
            }
        }
        assembly
    }

    /// Takes an event. Events for another attempt, duplicates and late ones change nothing.
    pub fn handle(&mut self, now: Timestamp, event: AssemblyEvent) {
        match event {
            AssemblyEvent::Asked(member) => self.asked(now, member),
            AssemblyEvent::Connected(member) => self.connected(now, member),
            AssemblyEvent::Disconnected(member) => {
                self.with_place(member, |place| place.connected = false);
            }
            AssemblyEvent::Advert(member, advert) => self.advert(member, advert),
            AssemblyEvent::Shares(member, shares) => self.shares(member, shares),
            AssemblyEvent::Confirm(member, confirm) => self.confirm(now, member, &confirm),
            AssemblyEvent::Cannot(member, cannot) => self.cannot(member, &cannot),
            AssemblyEvent::Opening(member, opening) => self.opening(member, &opening),
            AssemblyEvent::Refused(member, refusal) => self.refused(member, &refusal),
            AssemblyEvent::Persisted => self.persisted(now),
            AssemblyEvent::Tick => {}
        }
        self.advance(now);
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<AssemblyEffect> {
        self.effects.pop_front()
    }

    /// When [`AssemblyEvent::Tick`] is needed if nothing else happens before.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        let end = self.end();
        match &self.stage {
            Stage::Gathering(gathering) => Some(self.gathered_at(gathering)),
            Stage::Dealing(dealing) => self.phase_wakeup(&dealing.phase),
            Stage::Summing(summing) if summing.proof.is_none() => {
                summing.phase.durable.then_some(end)
            }
            Stage::Summing(summing) => self.phase_wakeup(&summing.phase),
            Stage::Over => None,
        }
    }

    /// The attempt.
    #[must_use]
    pub fn attempt(&self) -> AttemptId {
        self.setting.attempt
    }

    /// What [`AssemblyEffect::Deliver`] sends; made when it is sent, because it is large. `None` where it is not due (any
    /// more).
    #[must_use]
    pub fn delivery(&self, member: u16) -> Option<Delivery> {
        match &self.stage {
            Stage::Summing(summing) => summing.delivery(self.setting.attempt, member),
            Stage::Gathering(_) | Stage::Dealing(_) | Stage::Over => None,
        }
    }

    fn new(setting: Setting, timing: Timing) -> Self {
        let indices = 1..=setting.thresholds.members() as u16;
        Self {
            places: indices.map(|index| (index, Place::default())).collect(),
            stage: Stage::Gathering(Gathering::new(&timing)),
            effects: VecDeque::new(),
            behind: BTreeMap::new(),
            setting,
            timing,
        }
    }

    fn asked(&mut self, now: Timestamp, member: u16) {
        self.with_place(member, |place| place.asked = true);
        self.serve(now, member);
    }

    fn connected(&mut self, now: Timestamp, member: u16) {
        self.with_place(member, |place| place.connected = true);
        self.serve(now, member);
    }

    /// Sends a member what it needs now.
    fn serve(&mut self, now: Timestamp, member: u16) {
        let place = self.places.get(&member);
        let Some(place) = place.filter(|place| place.connected && !place.lost) else {
            return;
        };
        let effect = match &mut self.stage {
            Stage::Gathering(gathering) if place.asked => {
                gathering.extend(now, &self.setting, &self.timing);
                Some(AssemblyEffect::Task(member))
            }
            Stage::Dealing(dealing) => dealing.needs(member),
            Stage::Summing(summing) => summing.needs(member),
            Stage::Gathering(_) | Stage::Over => None,
        };
        self.effects.extend(effect);
    }

    fn refused(&mut self, member: u16, refusal: &Refusal) {
        let whole = refusal.attempt.0 == [0; 32];
        if !whole && refusal.attempt != self.setting.attempt {
            return;
        }
        let accused = u16::try_from(refusal.detail).ok();
        let accused = accused.filter(|_| refusal.code == RefusalCode::PeerBehind);
        match &mut self.stage {
            Stage::Gathering(gathering) => gathering.forget(member),
            Stage::Dealing(dealing) if dealing.call.members.contains(member) => {
                let members = dealing.call.members;
                let accused = accused.filter(|other| members.contains(*other) && *other != member);
                if let Some(accused) = accused {
                    self.behind.entry(accused).or_default().insert(member);
                    self.audit(accused, Offence::Behind { by: member });
                }
            }
            Stage::Dealing(_) | Stage::Summing(_) | Stage::Over => {}
        }
        self.with_place(member, |place| place.lost = true);
    }

    /// What the last [`AssemblyEffect::Persist`] wrote may be sent.
    fn persisted(&mut self, now: Timestamp) {
        let (phase, members) = match &mut self.stage {
            Stage::Dealing(dealing) => (&mut dealing.phase, dealing.call.members),
            Stage::Summing(summing) => (&mut summing.phase, summing.call.members),
            Stage::Gathering(_) | Stage::Over => return,
        };
        if phase.durable {
            return;
        }
        *phase = Phase::durable(now);
        for member in members.iter() {
            self.serve(now, member);
        }
    }

    /// Moves on if time or the members allow it.
    fn advance(&mut self, now: Timestamp) {
        match &self.stage {
            Stage::Gathering(_) => self.advance_gathering(now),
            Stage::Dealing(dealing) if dealing.phase.durable => self.advance_dealing(now),
            Stage::Summing(summing) if summing.phase.durable => self.advance_summing(now),
            Stage::Dealing(_) | Stage::Summing(_) | Stage::Over => {}
        }
    }

    /// When the attempt has failed.
    fn end(&self) -> Timestamp {
        self.timing.end()
    }

    /// Whether a step goes on with the members that it has.
    fn is_late(&self, now: Timestamp, phase: &Phase) -> bool {
        phase.late || now >= self.phase_end(phase)
    }

    fn phase_end(&self, phase: &Phase) -> Timestamp {
        let end = phase.since.after_ms(self.timing.phase_ms.into());
        end.min(self.end())
    }

    fn phase_wakeup(&self, phase: &Phase) -> Option<Timestamp> {
        let next = if phase.late {
            self.end()
        } else {
            self.phase_end(phase)
        };
        phase.durable.then_some(next)
    }

    /// Members of a set that something may still come from.
    fn hopeful(&self, set: MemberSet) -> MemberSet {
        self.which(set, |place| !place.lost)
    }

    fn reachable(&self, set: MemberSet) -> MemberSet {
        self.which(set, |place| place.connected)
    }

    fn which(&self, set: MemberSet, counts: impl Fn(&Place) -> bool) -> MemberSet {
        let place = |index: &u16| self.places.get(index).is_some_and(&counts);
        MemberSet::of(set.iter().filter(place))
    }

    fn with_place(&mut self, member: u16, change: impl FnOnce(&mut Place)) {
        if let Some(place) = self.places.get_mut(&member) {
            change(place);
        }
    }

    /// Something useful came from a member.
    fn found(&mut self, member: u16) {
        self.with_place(member, |place| place.lost = false);
    }

    /// A member sent what no honest member sends.
    fn offend(&mut self, member: u16, offence: Offence) {
        self.with_place(member, |place| (place.lost, place.offended) = (true, true));
        self.audit(member, offence);
    }

    fn audit(&mut self, member: u16, offence: Offence) {
        self.effects
            .push_back(AssemblyEffect::Audit(Audit { member, offence }));
    }

    fn fail(&mut self, failure: Failure) {
        let suspects = self.suspects().into_iter().collect();
        let charged = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Gathering(_) | Stage::Over => false,
            Stage::Dealing(dealing) => dealing.phase.durable,
            Stage::Summing(_) => true,
        };
        self.effects.push_back(AssemblyEffect::Failed(FailedSum {
            failure,
            charged,
            suspects,
        }));
    }

    /// Members to leave out of the next attempt.
    fn suspects(&self) -> BTreeMap<u16, Suspicion> {
        let offended = self.places.iter().filter(|(_, place)| place.offended);
        let mut found: BTreeMap<_, _> = offended
            .map(|(index, _)| (*index, Suspicion::Message))
            .collect();
        let thresholds = self.setting.thresholds;
        // Fewer could be liars, or could be done without.
        let liars = thresholds.colluders_max().min(thresholds.absent_max());
        let behind = self.behind.iter().filter(|(_, by)| by.len() > liars);
        found.extend(behind.map(|(index, _)| (*index, Suspicion::Ledger)));
        if let Stage::Summing(summing) = &self.stage {
            let bad = summing.bad_dealers(thresholds).into_iter();
            found.extend(bad.map(|(index, _)| (index, Suspicion::Dealing)));
        }
        found
    }
}

impl Timing {
    fn end(&self) -> Timestamp {
        self.opened.after_ms(self.attempt_ttl_ms.into())
    }
}

impl Call {
    fn of(setting: &Setting, roster: Roster) -> Self {
        Self {
            hash: roster_hash(&roster),
            members: MemberSet::of(members(setting, &roster).into_keys()),
            roster: Arc::new(roster),
        }
    }
}

impl Phase {
    /// One that waits for the disk.
    fn pending(now: Timestamp) -> Self {
        Self {
            durable: false,
            since: now,
            late: false,
        }
    }

    fn durable(now: Timestamp) -> Self {
        Self {
            durable: true,
            ..Self::pending(now)
        }
    }
}
