//! The first step: who is ready.

use std::collections::BTreeMap;

use super::dealing::Dealing;
use super::{Assembly, Call, Failure, Offence, Phase, Stage, Timing};
use crate::base::time::Timestamp;
use crate::protocol::aggregation::{
    Advert, AssemblyEffect, Durable, Guard, MemberSet, Roster, Setting, verify_advert,
};

/// Adverts come in.
#[derive(Debug)]
pub(super) struct Gathering {
    adverts: BTreeMap<u16, Advert>,
    deadline: Timestamp,
}

impl Gathering {
    pub(super) fn new(timing: &Timing) -> Self {
        Self {
            adverts: BTreeMap::new(),
            deadline: timing.opened.after_ms(timing.phase_ms.into()),
        }
    }

    /// A member that can still help has just been asked: it gets a full phase, within the attempt's life.
    pub(super) fn extend(&mut self, now: Timestamp, setting: &Setting, timing: &Timing) {
        if self.adverts.len() < setting.thresholds.dealers_min() {
            let phase = now.after_ms(timing.phase_ms.into()).min(timing.end());
            self.deadline = self.deadline.max(phase);
        }
    }

    /// A member will not take part.
    pub(super) fn forget(&mut self, member: u16) {
        self.adverts.remove(&member);
    }

    fn members(&self) -> MemberSet {
        MemberSet::of(self.adverts.keys().copied())
    }

    /// Whether another member has this key already.
    fn is_taken(&self, advert: &Advert) -> bool {
        let mut others = self.adverts.values();
        others.any(|other| other.index != advert.index && other.key == advert.key)
    }
}

impl Assembly {
    pub(super) fn advert(&mut self, member: u16, advert: Advert) {
        let asked = self.places.get(&member).is_some_and(|place| place.asked);
        let Stage::Gathering(gathering) = &mut self.stage else {
            return;
        };
        if !asked || advert.attempt != self.setting.attempt {
            return;
        }
        let mut verdict = verify_advert(&self.setting, member, &advert);
        if gathering.is_taken(&advert) {
            verdict = verdict.and(Err(Guard::DistinctKeys));
        }
        let counts = self
            .setting
            .checks
            .hold(Guard::CountedAdvert, verdict.is_ok());
        if let (false, Err(guard)) = (counts, verdict) {
            return self.offend(member, Offence::Advert(guard));
        }
        // Of a member that started again, only the newer key can still open anything.
        gathering.adverts.insert(member, advert);
        self.found(member);
    }

    /// When gathering ends if nothing more comes: at the deadline, or with the attempt while too few could answer at all.
    pub(super) fn gathered_at(&self, gathering: &Gathering) -> Timestamp {
        let ready = gathering.members();
        let answers = |index: &u16| {
            let place = &self.places[index];
            ready.contains(*index) || (place.asked && place.connected && !place.lost)
        };
        let reached = self.places.keys().filter(|index| answers(index)).count();
        if reached >= self.setting.thresholds.dealers_min() {
            return gathering.deadline;
        }
        gathering.deadline.max(self.end())
    }

    pub(super) fn advance_gathering(&mut self, now: Timestamp) {
        let Stage::Gathering(gathering) = &self.stage else {
            return;
        };
        let (ready, needed) = (gathering.members(), self.setting.thresholds.dealers_min());
        let waits = |(index, place): &(&u16, &super::Place)| {
            place.asked && !place.lost && !ready.contains(**index)
        };
        let waiting = self.places.iter().filter(waits).count();
        let late = now >= self.gathered_at(gathering);
        if ready.len() >= needed && (waiting == 0 || late) {
            return self.call(now);
        }
        if late || ready.len() + waiting < needed {
            let got = ready.len();
            self.fail(Failure::TooFewAdverts { got, needed });
        }
    }

    /// Fixes the roster.
    fn call(&mut self, now: Timestamp) {
        let Stage::Gathering(gathering) = &mut self.stage else {
            return;
        };
        let adverts = std::mem::take(&mut gathering.adverts);
        let roster = Roster {
            adverts: adverts.into_values().collect(),
        };
        let call = Call::of(&self.setting, roster);
        let durable = Durable::Roster(call.roster.clone());
        self.stage = Stage::Dealing(Dealing::new(call, Phase::pending(now)));
        self.persist(now, durable);
    }

    /// Nothing that depends on it leaves before it is durable.
    pub(super) fn persist(&mut self, now: Timestamp, durable: Durable) {
        self.effects.push_back(AssemblyEffect::Persist(durable));
        if self.setting.checks.hold(Guard::SetFirst, false) {
            self.persisted(now);
        }
    }
}
