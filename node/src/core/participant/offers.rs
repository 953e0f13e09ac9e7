//! Offers and decisions: what the node says to a study, and when it may say it.

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::{Plan, StudyTerms, study_hash};
use aquifer_shared::protocol::wire::{
    Approval, Decision, Offer, RefusalCode, StudyEnd, StudyOutcome, Verdict,
};

use super::{Effect, Mirror, Outgoing, Participant, Step};
use crate::core::ledger::{EndReason, LockReason, Standing};
use crate::core::policy::Review;

/// A person's decision cannot be carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecideRefusal {
    /// No such study waits here.
    #[error("no study {} waits for a decision or runs here", .0.short())]
    Unknown(StudyHash),
    /// Policy refuses it by now.
    #[error("policy refuses the study: {0:?}, detail {1}")]
    Policy(RefusalCode, u64),
    /// The ledger cannot be written.
    #[error(
        "the ledger cannot be written; free space or repair the disk, then start the node again"
    )]
    Unfit,
    /// The coordinator's mirror holds entries that this node signed and does not have.
    #[error(
        "ledger-behind: the ledger is locked ({0}); stop the node, then `aquifer-node ledger adopt`"
    )]
    Locked(LockReason),
}

impl Participant {
    /// A person at the unit approves a study that waits, refuses it, or withdraws from one that was accepted.
    ///
    /// # Errors
    ///
    /// No such study, policy refuses it by now, or the ledger cannot be written.
    pub fn decide(
        &mut self,
        now: Timestamp,
        study: StudyHash,
        approve: bool,
    ) -> Result<(), DecideRefusal> {
        if self.unfit {
            return Err(DecideRefusal::Unfit);
        }
        if let Some(reason) = self.lock {
            return Err(DecideRefusal::Locked(reason));
        }
        match (self.ledger.standing(&study), approve) {
            (Standing::Accepted, true) => {}
            (Standing::Held | Standing::Declined, true) => self.approve_waiting(now, study)?,
            (Standing::Held, false) => {
                self.ledger.decline(now, study);
                self.decide_when_durable(study);
            }
            (Standing::Accepted, false) => {
                self.give_back(now, study, EndReason::Withdrawn);
                self.say(study, Verdict::Refused(RefusalCode::Withdrawn, 0));
            }
            (Standing::Declined, false) => {}
            (Standing::Unknown | Standing::Ended(_), _) => {
                return Err(DecideRefusal::Unknown(study));
            }
        }
        self.flush(now);
        Ok(())
    }

    fn approve_waiting(&mut self, now: Timestamp, study: StudyHash) -> Result<(), DecideRefusal> {
        let waiting = self.ledger.waiting_for(&study).cloned();
        let waiting = waiting.ok_or(DecideRefusal::Unknown(study))?;
        let (bytes, approvals) = (&waiting.bytes, &waiting.approvals);
        match self.rules.review(now, &self.ledger, bytes, approvals) {
            Review::Refuse(code, detail) => Err(DecideRefusal::Policy(code, detail)),
            Review::Accept(..) | Review::Hold(..) => {
                let reserved = self.reserve(now, bytes, &waiting.terms, approvals, true);
                reserved.map_err(|(code, detail)| DecideRefusal::Policy(code, detail))
            }
        }
    }

    pub(super) fn on_offer(&mut self, now: Timestamp, offer: &Offer) {
        let study = study_hash(&offer.terms);
        if let Some(code) = self.stopped() {
            return self.say(study, Verdict::Refused(code, 0));
        }
        if self.ledger.standing(&study) != Standing::Unknown {
            return self.decide_when_durable(study);
        }
        let (bytes, approvals) = (&offer.terms, &offer.approvals);
        match self.rules.review(now, &self.ledger, bytes, approvals) {
            Review::Refuse(code, detail) => self.say(study, Verdict::Refused(code, detail)),
            Review::Hold(..) => {
                self.ledger.hold(now, bytes, approvals);
                self.decide_when_durable(study);
            }
            Review::Accept(_, terms) => {
                let reserved = self.reserve(now, bytes, &terms, approvals, false);
                if let Err((code, detail)) = reserved {
                    self.say(study, Verdict::Refused(code, detail));
                }
            }
        }
    }

    fn reserve(
        &mut self,
        now: Timestamp,
        bytes: &[u8],
        terms: &StudyTerms,
        approvals: &[Approval],
        by_person: bool,
    ) -> Result<(), (RefusalCode, u64)> {
        let caps = self.rules.policy.caps;
        let offer = (bytes, terms, approvals);
        let reserved = self
            .ledger
            .reserve(now, caps, self.rules.split, offer, by_person);
        reserved.map_err(|shortfall| (RefusalCode::Budget, shortfall.left.0))?;
        self.decide_when_durable(study_hash(bytes));
        Ok(())
    }

    pub(super) fn on_study_end(&mut self, now: Timestamp, end: &StudyEnd) {
        let reason = match end.outcome {
            StudyOutcome::Published => EndReason::Published,
            StudyOutcome::Held => EndReason::Held,
            StudyOutcome::Aborted => EndReason::Aborted,
        };
        let standing = self.ledger.standing(&end.study);
        // What waited or was refused is over then as well, and stays known: it is not the coordinator's to have it forgotten.
        let open = matches!(
            standing,
            Standing::Accepted | Standing::Held | Standing::Declined
        );
        if self.stopped().is_none() && open {
            self.give_back(now, end.study, reason);
        }
    }

    /// A new session: the coordinator hears again what was decided, also what was decided while it was away.
    pub(super) fn on_connected(&mut self) {
        self.mirror = Mirror::default();
        if self.stopped().is_some() {
            return;
        }
        let open = self.ledger.open_studies().map(|(study, _)| *study);
        let waiting = self.ledger.waiting().map(|(study, _)| *study);
        let known: Vec<StudyHash> = open.chain(waiting).collect();
        known
            .into_iter()
            .for_each(|study| self.decide_when_durable(study));
    }

    /// Tells the verdict at once if it is on disk, else as soon as it is.
    fn decide_when_durable(&mut self, study: StudyHash) {
        if !self.undecided.contains(&study) {
            self.undecided.push(study);
        }
        self.urgent |= self.ledger.has_outbox();
        self.announce_decisions();
    }

    pub(super) fn announce_decisions(&mut self) {
        let undecided = std::mem::take(&mut self.undecided);
        for study in undecided {
            let standing = self.ledger.standing(&study);
            if !self.ledger.is_durable(&study) && standing != Standing::Unknown {
                self.undecided.push(study);
                continue;
            }
            match standing {
                Standing::Accepted => {
                    self.say(study, Verdict::Accepted);
                    self.prepare(study);
                }
                Standing::Held => self.say(study, Verdict::Held),
                Standing::Declined => {
                    self.say(study, Verdict::Refused(RefusalCode::RefusedByPerson, 0));
                }
                Standing::Ended(reason) => {
                    self.say(study, Verdict::Refused(code_of_end(reason), 0));
                }
                Standing::Unknown => {}
            }
        }
    }

    /// What can be done before the first task: the split of the customers, the noise of the next round.
    fn prepare(&mut self, study: StudyHash) {
        let Some(terms) = self.ledger.terms(&study) else {
            return;
        };
        let last = self.ledger.last_charged(&study);
        let next = last.map_or(0, |(round, _)| round.saturating_add(1));
        // An attempt that waits for its noise must get that, not the noise of another round.
        let desk = self.desks.get(&study).and_then(|desk| desk.live.as_ref());
        let waiting = desk.filter(|live| matches!(live.step, Step::Gathering(_)));
        let next = waiting.map_or(next, |live| live.round);
        let reads = matches!(terms.plan, Plan::Additive { .. });
        let prepared = &mut self.desks.entry(study).or_default().prepared;
        // Once: each waits in one queue with the sums of all studies.
        if reads && !std::mem::replace(prepared, true) {
            let (family, holdout) = (terms.family.clone(), terms.holdout.clone());
            let effect = Effect::Prepare { family, holdout };
            self.effects.push_back(effect);
        }
        self.take_place(study);
        self.draw_for_round(study, next);
    }

    pub(super) fn say(&mut self, study: StudyHash, verdict: Verdict) {
        self.send(Outgoing::Decision(Decision { study, verdict }));
    }
}

/// What a study that is over here hears.
pub(super) fn code_of_end(reason: EndReason) -> RefusalCode {
    match reason {
        EndReason::Expired => RefusalCode::Expired,
        EndReason::Withdrawn => RefusalCode::Withdrawn,
        EndReason::Published | EndReason::Held | EndReason::Aborted => RefusalCode::NotLive,
    }
}
