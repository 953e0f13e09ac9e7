//! A study rebuilt from its records after a restart, and what others may see of it.
//!
//! The same records give the same study, up to what members have to say again.

use std::collections::BTreeMap;

use aquifer_shared::base::ids::{AttemptId, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::plan::Shape;
use aquifer_shared::domain::sum::{StudyTerms, TrustMode};
use aquifer_shared::protocol::ask::{ReleasedSum, RoundStatus, StudyState};
use aquifer_shared::protocol::wire::{Approval, Shares, Verdict};

use super::event::{Effect, Ending, Member, Record};
use super::resume_groups::KeptGroup;
use super::round::Attempt;
use super::rounds::stopped;
use super::study::{BadTerms, Conditions, Stage, Study};

/// What was durable of a study when its process stopped.
#[derive(Clone, Debug, Default)]
pub struct Durables {
    /// All records, in order.
    pub records: Vec<Record>,
    /// What is spooled: group, dealer, and what it dealt.
    pub spool: Vec<(u16, u16, Shares)>,
}

/// Records that no study has written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ResumeError {
    /// The terms.
    #[error(transparent)]
    Terms(#[from] BadTerms),
    /// A record that does not follow from those before it.
    #[error("record {index} of the study does not follow from those before it")]
    Record {
        /// Which, from 0.
        index: usize,
    },
}

/// What is known of the live round while records are read.
#[derive(Default)]
pub(super) struct LastOpen {
    /// The attempt that was last opened and has no result.
    attempt: Option<(u32, u32, Timestamp)>,
    /// The groups of the round that have opened attempts.
    pub(super) groups: BTreeMap<u16, KeptGroup>,
}

impl Study {
    /// The study that wrote these records. Nobody is connected yet; waiting starts anew. Say [`super::event::Event::Tick`] once.
    ///
    /// Where each update is private by itself, an open attempt goes on as the same attempt with the same task: nodes answer it
    /// with stored bytes, free of charge. A secure sum goes on where its roster or its set was durable; else it has failed.
    ///
    /// # Errors
    ///
    /// Bad terms, or records that no study has written.
    pub fn resume(
        now: Timestamp,
        bytes: Vec<u8>,
        shapes: &[Shape],
        conditions: Conditions,
        durable: Durables,
    ) -> Result<Self, ResumeError> {
        let study = Self::new(bytes, shapes, conditions)?;
        study.resumed(now, durable)
    }

    pub(super) fn resumed(
        mut self,
        now: Timestamp,
        durable: Durables,
    ) -> Result<Self, ResumeError> {
        let mut open = LastOpen::default();
        for (index, record) in durable.records.into_iter().enumerate() {
            self.replay(now, record, &mut open)
                .ok_or(ResumeError::Record { index })?;
        }
        self.durable = self.sums.len();
        self.take_up(now, open, durable.spool);
        Ok(self)
    }

    fn replay(&mut self, now: Timestamp, record: Record, open: &mut LastOpen) -> Option<()> {
        let over = matches!(self.stage, Stage::Ended(_));
        match record {
            _ if over => return None,
            Record::Approved { approval, .. } => {
                self.approvals.push(approval);
                self.stage = self.approved(now);
            }
            Record::Decision { member, verdict } => {
                let seat = self.seats.get_mut(member as usize)?;
                seat.answer(verdict).then_some(())?;
            }
            Record::Open { round, attempt, at } => {
                let next = round as usize == self.sums.len()
                    && self.terms.mode == TrustMode::NodeNoise
                    && (round as usize) < self.terms.rounds.len()
                    && (open.attempt).is_none_or(|(_, before, _)| attempt > before);
                open.attempt = Some((round, attempt, at)).filter(|_| next);
                let (round, attempt, _) = open.attempt?;
                self.note_open(round, attempt);
            }
            Record::Result {
                round,
                attempt,
                members,
                cells,
                at,
            } => {
                let opened = match self.terms.mode {
                    TrustMode::NodeNoise => {
                        let is_its =
                            |open: &mut (u32, u32, Timestamp)| (open.0, open.1) == (round, attempt);
                        open.attempt.take_if(is_its)?.2
                    }
                    TrustMode::SharedNoise => self.replay_result(round, &members, &cells, open)?,
                };
                let sum = ReleasedSum {
                    round,
                    updates: members.len() as u32,
                    cells,
                };
                self.note_result(&sum, at.since_ms(opened));
                self.sums.push(sum);
            }
            Record::Ended { ending, .. } => self.stage = Stage::Ended(ending),
            Record::Programs { .. } => {}
            step => self.replay_step(step, open)?,
        }
        Some(())
    }

    /// Goes on where the records stop.
    fn take_up(&mut self, now: Timestamp, open: LastOpen, spool: Vec<(u16, u16, Shares)>) {
        if matches!(self.stage, Stage::Ended(_)) || self.terms.is_standing() {
            return;
        }
        if self.sums.len() == self.terms.rounds.len() {
            self.stage = Stage::Concluding;
            return self.push(Effect::Conclude);
        }
        let begun = open.attempt.is_some() || !open.groups.is_empty();
        if !begun && (self.sums.is_empty() || self.terms.mode == TrustMode::NodeNoise) {
            return;
        }
        match (self.learning.next_task(&self.sums), open.attempt) {
            (Ok(body), Some((round, number, _))) => {
                let place = (round, number);
                let attempt = Attempt::start(now, &self.hash, &self.terms, place, body);
                self.stage = Stage::Gathering(Box::new(attempt));
            }
            (Ok(body), None) => self.take_up_groups(now, &body, open.groups, spool),
            (Err(stop), _) => self.end(now, stopped(&stop)),
        }
    }

    /// Its identity.
    #[must_use]
    pub fn hash(&self) -> StudyHash {
        self.hash
    }

    /// Its terms.
    #[must_use]
    pub fn terms(&self) -> &StudyTerms {
        &self.terms
    }

    /// Who signed it.
    #[must_use]
    pub fn approvals(&self) -> &[Approval] {
        &self.approvals
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> StudyState {
        match &self.stage {
            Stage::Submitted => StudyState::Submitted,
            Stage::Open => StudyState::Open,
            Stage::Offered { .. } => StudyState::Offered,
            Stage::Gathering(_) | Stage::Assembling(_) | Stage::Concluding => StudyState::Running,
            Stage::Ended(Ending::Published) => StudyState::Published,
            Stage::Ended(Ending::Held(_)) => StudyState::Held,
            Stage::Ended(Ending::Aborted(_)) => StudyState::Aborted,
        }
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        match &self.stage {
            Stage::Ended(ending) => Some(ending),
            _ => None,
        }
    }

    /// The sums that are released and durable, rounds in order.
    #[must_use]
    pub fn released(&self) -> &[ReleasedSum] {
        &self.sums[..self.durable]
    }

    /// Rounds so far.
    #[must_use]
    pub fn rounds(&self) -> &[RoundStatus] {
        &self.rounds
    }

    /// Whether this is an attempt that is out now.
    #[must_use]
    pub fn is_live(&self, attempt: &AttemptId) -> bool {
        match &self.stage {
            Stage::Gathering(live) => live.is(attempt),
            Stage::Assembling(round) => round.is_live(attempt),
            _ => false,
        }
    }

    /// What a member said, and whether it has a session; `None` outside the roster.
    #[must_use]
    pub fn member(&self, member: Member) -> Option<(Option<&Verdict>, bool)> {
        let seat = self.seats.get(member)?;
        Some((seat.verdict.as_ref(), seat.connected))
    }
}
