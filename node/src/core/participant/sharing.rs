//! shared-noise: advert, roster, charge, shares, delivery, confirmation, opening; the order of disk and network around a
//! [`Member`], which does the rest.
//!
//! A charge and the peers' marks are durable before a share leaves, the marks of those who dealt before a confirmation does.
//! Nothing of an attempt is ever stored: after a restart it is lost and stays paid for.

use std::collections::BTreeMap;
use std::sync::Arc;

use aquifer_shared::base::ids::{AttemptId, Hash32, IdentityKey, StudyHash};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::{StudyTerms, Thresholds, TrustMode, attempt_id};
use aquifer_shared::protocol::aggregation::{
    Advert, Broken, Contribution, DealingTable, Delivery, Guard, Member, MemberRefusal, OnDelivery,
    OnRoster, Proof, Roster, Seat, Setting,
};
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::wire::RefusalCode;

use super::{Audit, Desk, Effect, Exhibit, Fresh, Outgoing, Participant, Peer, Released, Step};
use crate::core::ledger::{AttemptOutcome, Charge, Payment};

/// A node's place in a study: its group, computed once.
#[derive(Clone, Debug)]
pub(super) struct Place {
    members: Arc<[IdentityKey]>,
    thresholds: Thresholds,
    seat: Seat,
}

/// An attempt from its advert on.
pub(super) struct Sharing {
    member: Member,
    /// The slot of the advert, until it has left.
    leaves: Option<Timestamp>,
    waits: Waits,
}

/// What has to be durable before the next message leaves.
enum Waits {
    Nothing,
    /// The charge, before shares.
    Charge,
    /// The marks in this entry, before the confirmation.
    Marks(u64),
}

impl Sharing {
    /// When the advert leaves, if it has not.
    pub(super) fn advert_leaves(&self) -> Option<Timestamp> {
        self.leaves
    }
}

impl Place {
    fn of(terms: &StudyTerms, own: &IdentityKey) -> Option<Self> {
        if terms.mode != TrustMode::SharedNoise {
            return None;
        }
        let place = terms.member(own)?;
        let group = terms
            .groups()
            .into_iter()
            .find(|group| group.contains(&place))?;
        let thresholds = terms.thresholds(group.len()).ok()?;
        let own = u16::try_from(place - group.start + 1).ok()?;
        let table = DealingTable::new(thresholds);
        Some(Self {
            members: terms.roster[group].into(),
            thresholds,
            seat: Seat { own, table },
        })
    }
}

impl Participant {
    /// Computes ahead what dealing needs in a study.
    pub(super) fn take_place(&mut self, study: StudyHash) -> Option<Place> {
        let known = self.desks.get(&study).and_then(|desk| desk.place.clone());
        if known.is_some() {
            return known;
        }
        let place = Place::of(self.ledger.terms(&study)?, &self.rules.identity)?;
        self.desks.entry(study).or_default().place = Some(place.clone());
        Some(place)
    }

    /// Sum and noise are there: a fresh key, and an advert that leaves at its slot.
    ///
    /// # Privacy
    ///
    /// The noisy sum has a share of the noise in every cell; it stays in the machine until it is dealt.
    pub(super) fn advertise(&mut self, now: Timestamp, study: StudyHash, noisy: Secret<Vec<i64>>) {
        let place = self.take_place(study);
        let leaves = self.leaves(now, study);
        let ledger = self.ledger.durable();
        let judges = self.judges;
        let desk = self.desks.get_mut(&study);
        let Some(live) = desk.and_then(|desk| desk.live.as_mut()) else {
            return;
        };
        let Some((place, fresh)) = place.zip(live.fresh.take()) else {
            let id = live.id;
            return self.give_up(now, study, id, RefusalCode::Unfit);
        };
        let setting = Setting {
            attempt: live.id,
            task: live.task,
            members: place.members,
            thresholds: place.thresholds,
            cells: noisy.expose().len(),
            checks: judges.checks,
            verify: judges.verify,
        };
        let contribution = Contribution {
            noisy,
            ledger,
            fresh,
        };
        let (member, _) = Member::advertise(setting, place.seat, contribution, &self.sign);
        live.step = Step::Sharing(Box::new(Sharing {
            member,
            leaves: Some(leaves),
            waits: Waits::Nothing,
        }));
    }

    /// Sends the adverts whose slot has come.
    pub(super) fn send_due_adverts(&mut self, now: Timestamp) {
        let lives = self
            .desks
            .values_mut()
            .filter_map(|desk| desk.live.as_mut());
        for live in lives {
            let Step::Sharing(sharing) = &mut live.step else {
                continue;
            };
            if sharing.leaves.take_if(|leaves| *leaves <= now).is_some() {
                let advert = Outgoing::Advert(sharing.member.advert().clone());
                self.effects.push_back(Effect::Send(advert));
            }
        }
    }

    /// The same task again: the same advert again, unless it has not left yet.
    pub(super) fn repeat_advert(&mut self, study: StudyHash) {
        let live = self.desks.get(&study).and_then(|desk| desk.live.as_ref());
        if let Some(Step::Sharing(sharing)) = live.map(|live| &live.step)
            && sharing.leaves.is_none()
        {
            let advert = sharing.member.advert().clone();
            self.send(Outgoing::Advert(advert));
        }
    }

    pub(super) fn on_roster(&mut self, now: Timestamp, roster: Roster, fresh: Fresh) {
        let id = roster.attempt().unwrap_or_default();
        let Some(study) = self.find_sharing(id) else {
            return;
        };
        let Some(fresh) = fresh else {
            self.refuse(id, study, RefusalCode::Unfit, 0);
            return self.end_live(now, study, AttemptOutcome::Failed);
        };
        let ledger = &self.ledger;
        let behind = |peer: &IdentityKey, head: &Head| ledger.behind(now, &study, peer, head);
        let Some((sharing, attempt)) = sharing_of(&mut self.desks, &study) else {
            return;
        };
        let shown = roster.adverts.clone();
        match sharing.member.on_roster(roster, fresh, &behind) {
            Ok(OnRoster::Charge { roster, marks }) => {
                sharing.waits = Waits::Charge;
                let task = sharing.member.setting().task;
                let payment = Payment::Shares { roster, marks };
                self.pay_shares(now, (study, attempt.0, attempt.1), task, payment);
            }
            Ok(OnRoster::Resend(frame)) => self.send_shares(study, frame),
            Ok(OnRoster::Wait) => {}
            Err(refusal) => {
                let of_peer = |advert: &Advert| Some(advert.index) == refusal.peer;
                let advert = shown.into_iter().find(of_peer);
                self.on_refused(now, study, refusal, advert);
            }
        }
    }

    fn pay_shares(
        &mut self,
        now: Timestamp,
        attempt: (StudyHash, u32, u32),
        task: Hash32,
        payment: Payment,
    ) {
        let (study, round, number) = attempt;
        if let Err(shortfall) = self.ledger.spend(now, attempt, task, payment) {
            let id = attempt_id(&study, round, number);
            let code = (RefusalCode::Budget, shortfall.left.0);
            let broken = Some(Broken::Rule(Guard::WithinBudget));
            self.refuse_by((id, study), code, broken, None);
            return self.end_live(now, study, AttemptOutcome::Failed);
        }
        self.urgent = true;
        self.on_durable(study);
    }

    /// Deals, if the charge of a study's attempt is durable now.
    pub(super) fn deal_when_durable(&mut self, study: StudyHash) {
        let Some((sharing, (round, attempt))) = sharing_of(&mut self.desks, &study) else {
            return;
        };
        let paid = self.ledger.charge(&study, round, attempt).is_some();
        if !paid || !matches!(sharing.waits, Waits::Charge) {
            return;
        }
        sharing.waits = Waits::Nothing;
        if let Some(frame) = sharing.member.deal() {
            self.send_shares(study, frame);
        }
    }

    fn send_shares(&mut self, study: StudyHash, frame: Vec<u8>) {
        let charge = self.live_charge(&study);
        let released =
            charge.and_then(|charge| Released::shares(self.judges.checks, &charge, frame));
        let released = released.expect("durable before dealing, among the roster that was charged");
        self.send(Outgoing::Shares(released));
    }

    fn live_charge(&self, study: &StudyHash) -> Option<Charge> {
        let live = self.desks.get(study)?.live.as_ref()?;
        self.ledger.charge(study, live.round, live.attempt)
    }

    pub(super) fn on_delivery(&mut self, now: Timestamp, delivery: Delivery) {
        let Some(study) = self.find_sharing(delivery.attempt) else {
            return;
        };
        let Some((sharing, _)) = sharing_of(&mut self.desks, &study) else {
            return;
        };
        match sharing.member.on_delivery(delivery) {
            Ok(OnDelivery::Mark { peers, .. }) => {
                let entry = self.ledger.mark_dealt(now, study, &peers);
                sharing.waits = Waits::Marks(entry);
                self.urgent = true;
                self.on_durable(study);
            }
            Ok(OnDelivery::Resend(confirm)) => self.send(Outgoing::Confirm(confirm)),
            Ok(OnDelivery::Cannot(cannot)) => self.send(Outgoing::Cannot(cannot)),
            Ok(OnDelivery::Wait) => {}
            Err(refusal) => self.on_refused(now, study, refusal, None),
        }
    }

    /// Confirms, if the marks of a study's attempt are durable now.
    pub(super) fn confirm_when_durable(&mut self, study: StudyHash) {
        let Some((sharing, _)) = sharing_of(&mut self.desks, &study) else {
            return;
        };
        let Waits::Marks(entry) = sharing.waits else {
            return;
        };
        let durable = entry <= self.ledger.durable().seq;
        if !self.judges.checks.hold(Guard::MarksFirst, durable) {
            return;
        }
        sharing.waits = Waits::Nothing;
        if let Some(confirm) = sharing.member.confirm(&self.sign) {
            self.send(Outgoing::Confirm(confirm));
        }
    }

    pub(super) fn on_proof(&mut self, now: Timestamp, proof: &Proof) {
        let Some(study) = self.find_sharing(proof.attempt) else {
            return;
        };
        let Some((sharing, _)) = sharing_of(&mut self.desks, &study) else {
            return;
        };
        match sharing.member.on_proof(proof, &self.sign) {
            Ok(opening) => {
                let charge = self.live_charge(&study);
                let released = charge.and_then(|charge| Released::opening(&charge, &opening));
                let released = released.expect("paid for before it was dealt");
                self.send(Outgoing::Opening(released));
            }
            Err(refusal) => self.on_refused(now, study, refusal, None),
        }
    }

    /// A message broke a rule: it is refused, what shows it is kept, and the attempt may be over.
    fn on_refused(
        &mut self,
        now: Timestamp,
        study: StudyHash,
        refusal: MemberRefusal,
        advert: Option<Advert>,
    ) {
        let Some((sharing, (round, attempt))) = sharing_of(&mut self.desks, &study) else {
            return;
        };
        let setting = sharing.member.setting();
        let peer = refusal.peer.and_then(|index| {
            let key = *setting.key_of(index)?;
            Some(Peer { index, key })
        });
        let (id, broken) = (setting.attempt, refusal.broken);
        let behind = refusal.code == RefusalCode::PeerBehind;
        let advert = advert.filter(|_| behind).map(Box::new);
        let exhibit = refusal.evidence.map(Exhibit::Two);
        if let Some(exhibit) = exhibit.or(advert.map(Exhibit::Advert)) {
            self.effects.push_back(Effect::Audit(Audit::Attempt {
                study,
                round,
                attempt,
                broken,
                peer,
                exhibit,
            }));
        }
        let code = (refusal.code, refusal.detail);
        self.refuse_by((id, study), code, Some(broken), peer);
        if refusal.ends {
            self.end_live(now, study, AttemptOutcome::Failed);
        }
    }

    /// The study in whose live attempt a message belongs; else the message is refused.
    fn find_sharing(&mut self, attempt: AttemptId) -> Option<StudyHash> {
        let live = self.desks.iter().find_map(|(study, desk)| {
            let live = desk.live.as_ref().filter(|live| live.id == attempt)?;
            Some((*study, live))
        });
        let has_left = live.and_then(|(study, live)| match &live.step {
            Step::Sharing(sharing) if sharing.leaves.is_none() => Some(study),
            _ => None,
        });
        if self.stopped().is_none() && has_left.is_some() {
            return has_left;
        }
        let study = live.map(|(study, _)| study);
        let study = study.or_else(|| self.study_of(attempt)).unwrap_or_default();
        let code = self.stopped().unwrap_or(RefusalCode::NotLive);
        let broken = Some(Broken::Live).filter(|_| code == RefusalCode::NotLive);
        self.refuse_by((attempt, study), (code, 0), broken, None);
        None
    }

    /// The open study that an attempt belongs to, so that the coordinator can tell whose refusal it is.
    fn study_of(&self, attempt: AttemptId) -> Option<StudyHash> {
        let shared = |(_, terms): &(&StudyHash, &StudyTerms)| terms.mode == TrustMode::SharedNoise;
        let mut open = self.ledger.open_studies().filter(shared);
        let found = open.find(|(study, terms)| {
            let rounds = 0..terms.rounds.len() as u32;
            let attempts = 0..u32::from(terms.attempts_max);
            let mut all =
                rounds.flat_map(|round| attempts.clone().map(move |number| (round, number)));
            all.any(|(round, number)| attempt_id(study, round, number) == attempt)
        });
        found.map(|(study, _)| *study)
    }
}

/// A study's attempt from its advert on, and its round and number.
fn sharing_of<'a>(
    desks: &'a mut BTreeMap<StudyHash, Desk>,
    study: &StudyHash,
) -> Option<(&'a mut Sharing, (u32, u32))> {
    let live = desks.get_mut(study)?.live.as_mut()?;
    let number = (live.round, live.attempt);
    match &mut live.step {
        Step::Sharing(sharing) => Some((sharing, number)),
        _ => None,
    }
}
