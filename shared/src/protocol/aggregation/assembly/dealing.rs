//! The second step: members deal, and the set of dealers is fixed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::opening::Summing;
use super::{Assembly, Call, Failure, Offence, Phase, Stage};
use crate::base::time::Timestamp;
use crate::domain::sharing::record_bytes;
use crate::protocol::aggregation::{
    AssemblyEffect, Durable, MemberSet, SEAL_BYTES, Setting, Shares,
};

/// Shares come in.
#[derive(Debug)]
pub(super) struct Dealing {
    pub(super) call: Call,
    pub(super) phase: Phase,
    shares: BTreeMap<u16, Arc<Shares>>,
}

impl Dealing {
    pub(super) fn new(call: Call, phase: Phase) -> Self {
        Self {
            call,
            phase,
            shares: BTreeMap::new(),
        }
    }

    /// What a member that is here needs.
    pub(super) fn needs(&self, member: u16) -> Option<AssemblyEffect> {
        let due = self.phase.durable && self.call.members.contains(member);
        let due = due && !self.shares.contains_key(&member);
        due.then(|| AssemblyEffect::Roster(member, self.call.roster.clone()))
    }

    fn dealers(&self) -> MemberSet {
        MemberSet::of(self.shares.keys().copied())
    }
}

impl Call {
    /// Whether these are one record of the right size for every other member.
    fn fits(&self, setting: &Setting, dealer: u16, shares: &Shares) -> bool {
        let bytes = record_bytes(setting.blocks()) + SEAL_BYTES;
        let receivers = self.members.iter().filter(|member| *member != dealer);
        let records = &shares.records;
        shares.roster == self.hash
            && receivers.eq(records.iter().map(|sealed| sealed.index))
            && records.iter().all(|sealed| sealed.record.len() == bytes)
    }
}

impl Assembly {
    pub(super) fn shares(&mut self, member: u16, shares: Shares) {
        let (call, known) = match &self.stage {
            Stage::Dealing(dealing) => (&dealing.call, dealing.shares.contains_key(&member)),
            Stage::Summing(summing) => (&summing.call, summing.dealers.contains(member)),
            Stage::Gathering(_) | Stage::Over => return,
        };
        let live = shares.attempt == self.setting.attempt && call.members.contains(member);
        if !live || known {
            return;
        }
        if !call.fits(&self.setting, member, &shares) {
            return self.offend(member, Offence::Shares);
        }
        self.found(member);
        match &mut self.stage {
            Stage::Dealing(dealing) => drop(dealing.shares.insert(member, Arc::new(shares))),
            // Too late to be in the sum, in time to open it.
            Stage::Summing(summing) => self.effects.extend(summing.needs(member)),
            Stage::Gathering(_) | Stage::Over => {}
        }
    }

    pub(super) fn advance_dealing(&mut self, now: Timestamp) {
        let Stage::Dealing(dealing) = &self.stage else {
            return;
        };
        let late = self.is_late(now, &dealing.phase);
        let (dealers, needed) = (dealing.dealers(), self.setting.thresholds.dealers_min());
        let waiting = self.hopeful(dealing.call.members.without(&dealers)).len();
        if let Stage::Dealing(dealing) = &mut self.stage {
            dealing.phase.late = late;
        }
        if dealers.len() >= needed && (waiting == 0 || late) {
            return self.settle(now);
        }
        if now >= self.end() || dealers.len() + waiting < needed {
            let got = dealers.len();
            self.fail(Failure::TooFewDealers { got, needed });
        }
    }

    /// Fixes the set of dealers: it never changes from here on.
    fn settle(&mut self, now: Timestamp) {
        let Stage::Dealing(dealing) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return;
        };
        let (dealers, spool) = (dealing.dealers(), dealing.shares);
        let copies = spool
            .iter()
            .map(|(dealer, shares)| (*dealer, shares.clone()));
        let durable = Durable::Set {
            dealers,
            spool: copies.collect(),
        };
        let summing = Summing::new(dealing.call, Phase::pending(now), dealers, spool);
        self.stage = Stage::Summing(summing);
        self.persist(now, durable);
    }
}
