//! Paying for attempts: what a charge covers, and the proof that it is durable.

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{Hash32, IdentityKey, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::RoundTerms;
use aquifer_shared::protocol::aggregation::Guard;
use aquifer_shared::protocol::chain::Head;

use super::budget::Account;
use super::entry::{AttemptOutcome, Close, Entry, Paid, Spend};
use super::{Beside, Ledger, Shortfall};

/// Proof that a spend is durable. Only [`Ledger::charge`] makes one, once the journal has it on disk.
#[derive(Debug)]
#[must_use = "the budget is spent even if nothing is sent"]
pub struct Charge {
    study: StudyHash,
    round: u32,
    attempt: u32,
    task: Hash32,
    pays: Paid,
}

/// What an attempt is paid for with.
#[derive(Debug)]
pub enum Payment {
    /// node-noise: this frame, which is stored with the charge.
    Update(Vec<u8>),
    /// shared-noise: shares among the members of a roster.
    Shares {
        /// The roster's hash.
        roster: Hash32,
        /// Where the ledgers of its other members stand: marks in the same transaction.
        marks: Vec<(IdentityKey, Head)>,
    },
}

impl Charge {
    /// Whether it pays for sending exactly this update.
    #[must_use]
    pub fn covers(&self, update: &[u8]) -> bool {
        self.pays == Paid::Update(sha256(update))
    }

    /// Whether it pays for shares among the members of this roster.
    #[must_use]
    pub fn covers_shares(&self, roster: &Hash32) -> bool {
        self.pays == Paid::Shares(*roster)
    }

    /// Whether it pays for shares, among whichever roster.
    #[must_use]
    pub fn pays_shares(&self) -> bool {
        matches!(self.pays, Paid::Shares(_))
    }

    /// The task that was answered.
    #[must_use]
    pub fn task(&self) -> Hash32 {
        self.task
    }

    /// Study, round and attempt.
    #[must_use]
    pub fn attempt(&self) -> (StudyHash, u32, u32) {
        (self.study, self.round, self.attempt)
    }
}

impl Ledger {
    /// Round and attempt of a study's last charge.
    #[must_use]
    pub fn last_charged(&self, study: &StudyHash) -> Option<(u32, u32)> {
        let last = self.accounts.get(study)?.spends.last()?;
        Some((last.1.round, last.1.attempt))
    }

    /// Hash of the task that an attempt was charged for, durable or not.
    #[must_use]
    pub fn charged_task(&self, study: &StudyHash, round: u32, attempt: u32) -> Option<Hash32> {
        self.spend_of(study, round, attempt)
            .map(|(_, spend)| spend.task)
    }

    /// Proof of a charge, if it is durable.
    #[must_use]
    pub fn charge(&self, study: &StudyHash, round: u32, attempt: u32) -> Option<Charge> {
        let (seq, spend) = self.spend_of(study, round, attempt)?;
        let durable = *seq <= self.durable.seq;
        let durable = self.checks.hold(Guard::ChargeFirst, durable);
        durable.then_some(Charge {
            study: *study,
            round,
            attempt,
            task: spend.task,
            pays: spend.pays,
        })
    }

    /// Charged attempts without a close, after a start.
    #[must_use]
    pub fn unclosed(&self) -> Vec<(StudyHash, u32, u32)> {
        let mut found = Vec::new();
        for (study, account) in &self.accounts {
            for (_, spend) in &account.spends {
                if !account.is_closed(spend.round, spend.attempt) {
                    found.push((*study, spend.round, spend.attempt));
                }
            }
        }
        found
    }

    /// Pays for an attempt: for an update that is ready and stored with the charge, or for shares among a roster, whose other
    /// members' positions are marked with it.
    ///
    /// # Errors
    ///
    /// The study's reservation does not cover it, or it is not open; nothing changed.
    pub fn spend(
        &mut self,
        now: Timestamp,
        attempt: (StudyHash, u32, u32),
        task: Hash32,
        payment: Payment,
    ) -> Result<(), Shortfall> {
        let (study, round, number) = attempt;
        self.covers(&study, round)?;
        let (account, priced) = self.priced(&study, round)?;
        let honest = account.terms.honest().ok_or(NOTHING)?;
        let pays = match &payment {
            Payment::Update(update) => Paid::Update(sha256(update)),
            Payment::Shares { roster, .. } => Paid::Shares(*roster),
        };
        let spend = Entry::Spend(Spend {
            at: self.present(now),
            study,
            round,
            attempt: number,
            part: priced.part,
            urho: priced.urho,
            honest,
            sigma_share: priced.sigma_share,
            delta_sq: priced.delta_sq,
            multiplicity: account.terms.multiplicity,
            task,
            pays,
        });
        match payment {
            Payment::Update(update) => {
                let attempt = number;
                let store = Beside::Store {
                    study,
                    round,
                    attempt,
                    update,
                };
                self.append_with(spend, store);
            }
            Payment::Shares { marks, .. } => {
                self.append(spend);
                self.note_peers(now, study, &marks);
            }
        }
        Ok(())
    }

    /// Whether a study's reservation covers one more attempt of a round.
    ///
    /// # Errors
    ///
    /// What is left, where it does not.
    pub fn covers(&self, study: &StudyHash, round: u32) -> Result<(), Shortfall> {
        let (account, priced) = self.priced(study, round)?;
        let left = account.outstanding().ok_or(NOTHING)?.of(priced.part);
        if self.checks.hold(Guard::WithinBudget, priced.urho <= left) {
            return Ok(());
        }
        Err(Shortfall { left })
    }

    /// Notes how a charged attempt ended; an attempt that was never charged or is closed is left alone.
    pub fn close(
        &mut self,
        now: Timestamp,
        (study, round, attempt): (StudyHash, u32, u32),
        outcome: AttemptOutcome,
    ) {
        let charged = self.charged_task(&study, round, attempt).is_some();
        let closed = self
            .accounts
            .get(&study)
            .is_some_and(|account| account.is_closed(round, attempt));
        if charged && !closed {
            let at = self.present(now);
            self.append(Entry::Close(Close {
                at,
                study,
                round,
                attempt,
                outcome,
            }));
        }
    }

    fn priced(&self, study: &StudyHash, round: u32) -> Result<(&Account, RoundTerms), Shortfall> {
        let account = self.accounts.get(study).ok_or(NOTHING)?;
        let priced = account.terms.rounds.get(round as usize).ok_or(NOTHING)?;
        Ok((account, *priced))
    }

    fn spend_of(&self, study: &StudyHash, round: u32, attempt: u32) -> Option<&(u64, Spend)> {
        let spends = &self.accounts.get(study)?.spends;
        let wanted = |(_, spend): &&(u64, Spend)| (spend.round, spend.attempt) == (round, attempt);
        spends.iter().rev().find(wanted)
    }
}

/// What is left of what is not there.
const NOTHING: Shortfall = Shortfall {
    left: MicroRho::ZERO,
};
