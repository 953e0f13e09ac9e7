//! A study rebuilt from its records after a restart, and what others may see of it.
//!
//! The same records give the same study, up to what members have to say again.

use aquifer_shared::base::ids::{AttemptId, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::plan::Shape;
use aquifer_shared::domain::sum::StudyTerms;
use aquifer_shared::protocol::ask::{ReleasedSum, RoundStatus, StudyState};
use aquifer_shared::protocol::wire::{Approval, Verdict};

use super::event::{Effect, Ending, Member, Record};
use super::gather::stopped;
use super::round::Attempt;
use super::study::{BadTerms, Stage, Study};

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

/// The attempt that was last opened and has no result.
type LastOpen = Option<(u32, u32, Timestamp)>;

impl Study {
    /// The study that wrote these records. Nobody is connected yet; waiting starts anew. Say [`super::event::Event::Tick`] once.
    ///
    /// An open attempt goes on as the same attempt with the same task: nodes answer it with stored bytes, free of charge.
    ///
    /// # Errors
    ///
    /// Bad terms, or records that no study has written.
    pub fn resume(
        now: Timestamp,
        bytes: Vec<u8>,
        shapes: &[Shape],
        offer_ms: u64,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Self, ResumeError> {
        let mut study = Self::new(bytes, shapes, offer_ms)?;
        let mut open = None;
        for (index, record) in records.into_iter().enumerate() {
            study
                .replay(now, record, &mut open)
                .ok_or(ResumeError::Record { index })?;
        }
        study.durable = study.sums.len();
        study.take_up(now, open);
        Ok(study)
    }

    fn replay(&mut self, now: Timestamp, record: Record, open: &mut LastOpen) -> Option<()> {
        let over = matches!(self.stage, Stage::Ended(_));
        match record {
            _ if over => return None,
            Record::Approved { approval, .. } => {
                self.approvals.push(approval);
                self.stage = self.offered(now);
            }
            Record::Decision { member, verdict } => {
                self.seats.get_mut(member as usize)?.verdict = Some(verdict);
            }
            Record::Open { round, attempt, at } => {
                let next = round as usize == self.sums.len()
                    && (round as usize) < self.terms.rounds.len()
                    && open.is_none_or(|(_, before, _)| attempt > before);
                *open = Some((round, attempt, at)).filter(|_| next);
                let (round, attempt, _) = (*open)?;
                self.note_open(round, attempt);
            }
            Record::Result {
                round,
                attempt,
                members,
                cells,
                at,
            } => {
                let (_, _, opened) = open.take_if(|open| (open.0, open.1) == (round, attempt))?;
                let sum = ReleasedSum {
                    round,
                    updates: members.len() as u32,
                    cells,
                };
                self.note_result(&sum, at.since_ms(opened));
                self.sums.push(sum);
            }
            Record::Ended { ending, .. } => self.stage = Stage::Ended(ending),
        }
        Some(())
    }

    /// Goes on where the records stop.
    fn take_up(&mut self, now: Timestamp, open: LastOpen) {
        if matches!(self.stage, Stage::Ended(_)) {
            return;
        }
        if self.sums.len() == self.terms.rounds.len() {
            self.stage = Stage::Concluding;
            return self.push(Effect::Conclude);
        }
        let Some((round, number, _)) = open else {
            return;
        };
        match self.learning.next_task(&self.sums) {
            Ok(body) => {
                let place = (round, number);
                let attempt = Attempt::start(now, &self.hash, &self.terms, place, body);
                self.stage = Stage::Gathering(Box::new(attempt));
            }
            Err(stop) => self.end(now, stopped(&stop)),
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
            Stage::Offered { .. } => StudyState::Offered,
            Stage::Gathering(_) | Stage::Concluding => StudyState::Running,
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

    /// Whether this is the attempt that gathers updates now.
    #[must_use]
    pub fn is_live(&self, attempt: &AttemptId) -> bool {
        matches!(&self.stage, Stage::Gathering(live) if live.is(attempt))
    }

    /// What a member said, and whether it has a session; `None` outside the roster.
    #[must_use]
    pub fn member(&self, member: Member) -> Option<(Option<&Verdict>, bool)> {
        let seat = self.seats.get(member)?;
        Some((seat.verdict.as_ref(), seat.connected))
    }
}
