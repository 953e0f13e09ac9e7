//! The last steps: members confirm the set, prove it to each other, and open its sum.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Assembly, Call, Failure, Offence, Phase, SecureSum, Stage};
use crate::base::ids::AttemptId;
use crate::base::time::Timestamp;
use crate::domain::sharing::{Element, ReadFault, Reading, read, read_naming_one};
use crate::domain::sum::Thresholds;
use crate::protocol::aggregation::setting::packing;
use crate::protocol::aggregation::{
    AssemblyEffect, Cannot, Confirm, Delivery, Guard, MemberSet, Opening, Proof, Sealed, Setting,
    Shares, Signature64, confirm_digest, opening_digest,
};

/// Confirmations and openings of one set come in.
#[derive(Debug)]
pub(super) struct Summing {
    pub(super) call: Call,
    pub(super) phase: Phase,
    /// U.
    pub(super) dealers: MemberSet,
    pub(super) proof: Option<Arc<Proof>>,
    spool: BTreeMap<u16, Arc<Shares>>,
    confirmed: BTreeMap<u16, Signature64>,
    /// Who cannot open whose records.
    accused: BTreeMap<u16, MemberSet>,
    opened: BTreeMap<u16, Vec<Element>>,
    /// How many openings did not agree when they were read.
    tried: usize,
}

impl Summing {
    pub(super) fn new(
        call: Call,
        phase: Phase,
        dealers: MemberSet,
        spool: BTreeMap<u16, Arc<Shares>>,
    ) -> Self {
        Self {
            call,
            phase,
            dealers,
            proof: None,
            spool,
            confirmed: BTreeMap::new(),
            accused: BTreeMap::new(),
            opened: BTreeMap::new(),
            tried: 0,
        }
    }

    /// What a member that is here needs.
    pub(super) fn needs(&self, member: u16) -> Option<AssemblyEffect> {
        let done = self.opened.contains_key(&member) || self.accused.contains_key(&member);
        if done || !self.phase.durable || !self.call.members.contains(member) {
            return None;
        }
        if !self.confirmed.contains_key(&member) {
            return Some(AssemblyEffect::Deliver(member));
        }
        let proof = self.proof.clone()?;
        Some(AssemblyEffect::Proof(member, proof))
    }

    /// The records for one member.
    pub(super) fn delivery(&self, attempt: AttemptId, member: u16) -> Option<Delivery> {
        if !self.phase.durable || !self.call.members.contains(member) {
            return None;
        }
        let dealt = |(dealer, shares): (&u16, &Arc<Shares>)| {
            let records = &shares.records;
            let place = records.binary_search_by_key(&member, |sealed| sealed.index);
            Some(Sealed {
                index: *dealer,
                record: records.get(place.ok()?)?.record.clone(),
            })
        };
        Some(Delivery {
            attempt,
            roster: self.call.hash,
            dealers: self.dealers,
            records: self.spool.iter().filter_map(dealt).collect(),
        })
    }

    /// Dealers whose records more members cannot open than may be lying, and how many.
    pub(super) fn bad_dealers(&self, thresholds: Thresholds) -> Vec<(u16, usize)> {
        let by = |dealer| {
            self.accused
                .values()
                .filter(move |set| set.contains(dealer))
        };
        let counted = self
            .dealers
            .iter()
            .map(|dealer| (dealer, by(dealer).count()));
        counted
            .filter(|(_, by)| *by > thresholds.colluders_max())
            .collect()
    }

    /// Members that have not opened; those that cannot are not counted.
    fn unopened(&self) -> MemberSet {
        let opened = MemberSet::of(self.opened.keys().copied());
        let accusers = self.accusers();
        self.call.members.without(&opened).without(&accusers)
    }

    fn unconfirmed(&self) -> MemberSet {
        let confirmed = MemberSet::of(self.confirmed.keys().copied());
        let accusers = self.accusers();
        self.call.members.without(&confirmed).without(&accusers)
    }

    fn accusers(&self) -> MemberSet {
        MemberSet::of(self.accused.keys().copied())
    }

    /// Reads the sum; every opening beyond the needed ones must agree.
    fn read(&self, setting: &Setting) -> Result<Reading, ReadFault> {
        let (packing, cells) = (packing(setting.thresholds), setting.cells);
        let openings = self.opened.iter();
        let openings: BTreeMap<u16, &[Element]> = openings
            .map(|(member, elements)| (*member, &elements[..]))
            .collect();
        let found = read_naming_one(packing, cells, &openings);
        match found {
            Err(ReadFault::Inconsistent { .. } | ReadFault::NotOne { .. })
                if setting.checks.hold(Guard::SpareOpenings, false) =>
            {
                let lowest = openings.into_iter().take(packing.width()).collect();
                read(packing, cells, &lowest)
            }
            Err(ReadFault::Padding { .. } | ReadFault::Range { .. })
                if setting.checks.hold(Guard::SumInRange, false) =>
            {
                Ok(Reading {
                    sum: vec![0; cells],
                    spares: 0,
                    left_out: None,
                })
            }
            found => found,
        }
    }
}

impl Assembly {
    pub(super) fn confirm(&mut self, now: Timestamp, member: u16, confirm: &Confirm) {
        let Stage::Summing(summing) = &mut self.stage else {
            return;
        };
        let known = summing.confirmed.contains_key(&member);
        let live = confirm.attempt == self.setting.attempt && summing.phase.durable;
        if known || !live || !summing.call.members.contains(member) {
            return;
        }
        let (hash, dealers) = (summing.call.hash, summing.dealers);
        let same = (confirm.roster, confirm.dealers) == (hash, dealers);
        let digest = confirm_digest(&confirm.attempt, &hash, &dealers);
        if !same || !self.setting.is_by(member, &digest, &confirm.signature) {
            return self.offend(member, Offence::Confirm);
        }
        summing.confirmed.insert(member, confirm.signature);
        summing.accused.remove(&member);
        let proven = summing.proof.is_some();
        self.found(member);
        if proven {
            self.serve(now, member);
        }
    }

    pub(super) fn cannot(&mut self, member: u16, cannot: &Cannot) {
        let Stage::Summing(summing) = &mut self.stage else {
            return;
        };
        let known =
            summing.accused.contains_key(&member) || summing.confirmed.contains_key(&member);
        let live = cannot.attempt == self.setting.attempt && summing.phase.durable;
        if known || !live || !summing.call.members.contains(member) {
            return;
        }
        let dealers = cannot.dealers;
        let own = dealers.contains(member) || dealers.is_empty();
        if own || !dealers.is_within(&summing.dealers) {
            return self.offend(member, Offence::Cannot);
        }
        summing.accused.insert(member, dealers);
        for dealer in dealers.iter() {
            self.audit(dealer, Offence::Accused { by: member });
        }
    }

    pub(super) fn opening(&mut self, member: u16, opening: &Opening) {
        let Stage::Summing(summing) = &mut self.stage else {
            return;
        };
        let known = summing.opened.contains_key(&member) || !summing.call.members.contains(member);
        if known || opening.attempt != self.setting.attempt || summing.proof.is_none() {
            return;
        }
        let (roster, dealers) = (summing.call.hash, summing.dealers);
        let elements = Element::list(&opening.elements).ok();
        let elements = elements.filter(|elements| elements.len() == self.setting.blocks());
        let digest = opening_digest(&opening.attempt, &roster, &dealers, &opening.elements);
        let signed = self.setting.is_by(member, &digest, &opening.signature);
        let Some(elements) = elements.filter(|_| signed) else {
            return self.offend(member, Offence::Opening);
        };
        summing.opened.insert(member, elements);
        self.found(member);
    }

    pub(super) fn advance_summing(&mut self, now: Timestamp) {
        let Stage::Summing(summing) = &self.stage else {
            return;
        };
        match summing.proof {
            None => self.advance_confirming(now),
            Some(_) => self.advance_opening(now),
        }
    }

    fn advance_confirming(&mut self, now: Timestamp) {
        let Stage::Summing(summing) = &mut self.stage else {
            return;
        };
        let thresholds = self.setting.thresholds;
        let (got, needed) = (summing.confirmed.len(), thresholds.confirmations());
        if got >= needed {
            return self.prove(now);
        }
        let bad = summing.bad_dealers(thresholds).into_iter();
        if let Some(got) = bad.map(|(_, by)| by).max() {
            let allowed = thresholds.colluders_max();
            return self.fail(Failure::BadDealing { got, allowed });
        }
        let unconfirmed = summing.unconfirmed();
        if now >= self.end() || got + self.hopeful(unconfirmed).len() < needed {
            self.fail(Failure::TooFewConfirmations { got, needed });
        }
    }

    /// Q members confirmed: all who did may open.
    fn prove(&mut self, now: Timestamp) {
        let Stage::Summing(summing) = &mut self.stage else {
            return;
        };
        let confirmed = summing.confirmed.iter();
        summing.proof = Some(Arc::new(Proof {
            attempt: self.setting.attempt,
            confirmations: confirmed
                .map(|(member, signature)| (*member, *signature))
                .collect(),
        }));
        summing.phase = Phase::durable(now);
        let members: Vec<u16> = summing.confirmed.keys().copied().collect();
        for member in members {
            self.serve(now, member);
        }
    }

    fn advance_opening(&mut self, now: Timestamp) {
        let Stage::Summing(summing) = &self.stage else {
            return;
        };
        let late = self.is_late(now, &summing.phase);
        let (got, width) = (summing.opened.len(), self.setting.thresholds.openings());
        let needed = width + 1;
        let hopeful = self.hopeful(summing.unopened());
        let waiting = self.reachable(hopeful);
        if let Stage::Summing(summing) = &mut self.stage {
            summing.phase.late = late;
        }
        let enough = got >= width
            && self
                .setting
                .checks
                .hold(Guard::SpareOpenings, got >= needed);
        if enough && (waiting.is_empty() || late) {
            return self.try_read(late || hopeful.is_empty());
        }
        if now >= self.end() || got + hopeful.len() < needed {
            self.fail(Failure::TooFewOpenings { got, needed });
        }
    }

    /// Reads the sum; openings that disagree may still be told apart by further ones, unless these are the last.
    fn try_read(&mut self, last: bool) {
        let Stage::Summing(summing) = &mut self.stage else {
            return;
        };
        let openers = summing.opened.len();
        if summing.tried != openers {
            match summing.read(&self.setting) {
                Ok(reading) => return self.release(reading),
                Err(ReadFault::Padding { cell } | ReadFault::Range { cell }) => {
                    return self.fail(Failure::OutOfRange { cell });
                }
                Err(_) => summing.tried = openers,
            }
        }
        if last {
            self.fail(Failure::InconsistentOpenings { openers });
        }
    }

    fn release(&mut self, reading: Reading) {
        let Stage::Summing(summing) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return;
        };
        if let Some(member) = reading.left_out {
            self.audit(member, Offence::WrongOpening);
        }
        let right = |member: &u16| Some(*member) != reading.left_out;
        let openers = summing.opened.keys().copied().filter(right);
        let sum = SecureSum {
            dealers: summing.dealers,
            openers: MemberSet::of(openers),
            left_out: reading.left_out,
            cells: reading.sum,
        };
        self.effects
            .push_back(AssemblyEffect::Released(Box::new(sum)));
    }
}
