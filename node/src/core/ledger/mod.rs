//! The spending record of a node: what was set aside, what was paid, what is left. Never refunds.
//!
//! State is a fold over chained entries. Appending is proposing: an entry counts at once (so nothing is overspent while the
//! disk works), but only [`Ledger::confirm`] makes it durable, and only a durable charge yields a [`Charge`].

mod adopt;
mod batch;
mod budget;
mod charge;
mod entry;
mod fold;
mod folded;
mod lock;
mod marks;
mod questions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use aquifer_shared::base::ids::{Hash32, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::{StudyTerms, study_hash};
use aquifer_shared::protocol::aggregation::Checks;
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::Approval;

pub(super) use budget::floor_of;
use budget::{Account, Count, Scope, YEAR_MS, total};
use folded::Folded;
use marks::Marks;

pub use adopt::{Adoption, adopt, common, head_of};
pub use batch::{Batch, Beside, LedgerFault, Record, Shortfall, Standing, Waiting};
pub use budget::{BudgetReport, CapReport, Caps, StudyReport, reservation};
pub use charge::{Charge, Payment};
pub use entry::{
    AttemptOutcome, Close, Decline, ENTRY_BYTES_MAX, EndReason, Entry, Hold, Lost, Paid, Parts,
    PeerMarks, Reserve, Return, Spend, WriteOff, read_terms,
};
pub use lock::{LockReason, SeenBy};
pub use marks::PeerReport;
pub use questions::signed;

/// The ledger in memory.
#[derive(Debug)]
pub struct Ledger {
    checks: Checks,
    head: Head,
    durable: Head,
    /// Hash of every entry, from the first.
    hashes: Vec<Hash32>,
    outbox: Vec<Record>,
    in_flight: Option<Head>,
    latest: Timestamp,
    /// Of studies, and of questions until they are over.
    accounts: BTreeMap<StudyHash, Account>,
    folded: Folded,
    /// Those accounts that have not ended.
    open: BTreeSet<StudyHash>,
    waiting: BTreeMap<StudyHash, Waiting>,
    /// Studies that waited for a person until they were over, and the entry that says so.
    over: BTreeMap<StudyHash, (EndReason, u64)>,
    written_off: Vec<WriteOff>,
    marks: Marks,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            checks: Checks::STRICT,
            head: Head::default(),
            durable: Head::default(),
            hashes: Vec::new(),
            outbox: Vec::new(),
            in_flight: None,
            latest: Timestamp::default(),
            accounts: BTreeMap::new(),
            folded: Folded::default(),
            open: BTreeSet::new(),
            waiting: BTreeMap::new(),
            over: BTreeMap::new(),
            written_off: Vec::new(),
            marks: Marks::default(),
        }
    }
}

impl Ledger {
    /// The state that durable entries, in order, add up to.
    ///
    /// # Errors
    ///
    /// A broken chain, an unreadable entry, or one that overspends: such a ledger must not be used.
    pub fn open<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, LedgerFault> {
        let mut ledger = Self::default();
        for bytes in entries {
            ledger.follow(bytes)?;
        }
        Ok(ledger)
    }

    /// Takes the next durable entry at start.
    ///
    /// # Errors
    ///
    /// As [`Ledger::open`].
    pub fn follow(&mut self, bytes: &[u8]) -> Result<(), LedgerFault> {
        let (link, head) = self.head.follow(bytes, ENTRY_BYTES_MAX)?;
        let seq = link.seq;
        let entry = Entry::from_link(link.kind, &link.body)
            .map_err(|source| LedgerFault::Entry { seq, source })?;
        self.apply(seq, entry)
            .map_err(|what| LedgerFault::Contradiction { seq, what })?;
        (self.head, self.durable) = (head, head);
        self.hashes.push(head.hash);
        Ok(())
    }

    /// The same ledger with rules judged otherwise: for simulations of what their loss would do.
    #[must_use]
    pub fn judged_by(self, checks: Checks) -> Self {
        Self { checks, ..self }
    }

    /// Whether the chain passes through this position.
    #[must_use]
    pub fn contains(&self, head: Head) -> bool {
        self.head_at(head.seq) == Some(head)
    }

    /// Position of the chain at this number of entries.
    #[must_use]
    pub fn head_at(&self, seq: u64) -> Option<Head> {
        let Some(before) = seq.checked_sub(1) else {
            return Some(Head::default());
        };
        let hash = *self.hashes.get(usize::try_from(before).ok()?)?;
        Some(Head { seq, hash })
    }

    /// Whether the operator gave up another past that came up to this position; then, how many entries it has in common with
    /// this one, as far as that is known.
    #[must_use]
    pub fn given_up(&self, head: Head) -> Option<u64> {
        let gave_up = |entry: &&WriteOff| entry.given_up.contains(&head);
        let found = self.written_off.iter().rev().find(gave_up);
        found.map(|entry| entry.common)
    }

    /// Position of the last entry that is on disk.
    #[must_use]
    pub fn durable(&self) -> Head {
        self.durable
    }

    /// The present, which never runs backwards: a clock set back frees no budget.
    #[must_use]
    pub fn present(&self, now: Timestamp) -> Timestamp {
        now.max(self.latest)
    }

    /// Where a study stands, entries on their way to the disk included.
    #[must_use]
    pub fn standing(&self, study: &StudyHash) -> Standing {
        if let Some(account) = self.accounts.get(study) {
            return account.ended.map_or(Standing::Accepted, Standing::Ended);
        }
        if let Some((reason, _)) = self.folded.ended(study) {
            return Standing::Ended(reason);
        }
        match self.waiting.get(study) {
            Some(waiting) if waiting.declined => Standing::Declined,
            Some(_) => Standing::Held,
            None => match self.over.get(study) {
                Some((reason, _)) => Standing::Ended(*reason),
                None => Standing::Unknown,
            },
        }
    }

    /// Whether the entry that gave a study its standing is on disk.
    #[must_use]
    pub fn is_durable(&self, study: &StudyHash) -> bool {
        let accepted = self.accounts.get(study).map(|account| account.seq);
        let accepted = accepted.or_else(|| Some(self.folded.ended(study)?.1));
        let seq = accepted.or_else(|| self.waiting.get(study).map(|waiting| waiting.seq));
        let seq = seq.or_else(|| self.over.get(study).map(|(_, seq)| *seq));
        seq.is_some_and(|seq| seq <= self.durable.seq)
    }

    /// Terms of an accepted study; none of a question that is over.
    #[must_use]
    pub fn terms(&self, study: &StudyHash) -> Option<&StudyTerms> {
        self.accounts.get(study).map(|account| &account.terms)
    }

    /// Approvals that a study was accepted with, and under which key its customers are split.
    #[must_use]
    pub fn accepted_with(&self, study: &StudyHash) -> Option<(&[Approval], Hash32)> {
        let account = self.accounts.get(study)?;
        Some((&account.approvals, account.split))
    }

    /// Studies whose budget is set aside.
    pub fn open_studies(&self) -> impl Iterator<Item = (&StudyHash, &StudyTerms)> {
        let open = self.open.iter();
        open.filter_map(|study| Some((study, &self.accounts.get(study)?.terms)))
    }

    /// Studies, open or waiting, whose time is over.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> Vec<StudyHash> {
        let present = self.present(now);
        let open = self.open_studies();
        let waiting = self
            .waiting
            .iter()
            .map(|(study, waiting)| (study, &waiting.terms));
        open.chain(waiting)
            .filter(|(_, terms)| present > terms.expires)
            .map(|(study, _)| *study)
            .collect()
    }

    /// Studies that wait for a person or were declined.
    pub fn waiting(&self) -> impl Iterator<Item = (&StudyHash, &Waiting)> {
        self.waiting.iter()
    }

    /// A study that waits for a person or was declined.
    #[must_use]
    pub fn waiting_for(&self, study: &StudyHash) -> Option<&Waiting> {
        self.waiting.get(study)
    }

    /// Sets budget aside for a study that policy accepts, under the present key of the hold-out.
    ///
    /// # Errors
    ///
    /// A cap would be passed; nothing changed.
    pub fn reserve(
        &mut self,
        now: Timestamp,
        caps: Caps,
        split: Hash32,
        offer: (&[u8], &StudyTerms, &[Approval]),
        by_person: bool,
    ) -> Result<(), Shortfall> {
        let (bytes, terms, approvals) = offer;
        let parts = self.affordable(now, caps, split, terms)?;
        self.append(Entry::Reserve(Reserve {
            at: self.present(now),
            terms: bytes.to_vec(),
            approvals: approvals.to_vec(),
            parts,
            split,
            by_person,
        }));
        Ok(())
    }

    /// What a study would set aside, with customers split under this key.
    ///
    /// # Errors
    ///
    /// A cap would be passed, or a sum does not fit.
    pub fn affordable(
        &self,
        now: Timestamp,
        caps: Caps,
        split: Hash32,
        terms: &StudyTerms,
    ) -> Result<Parts, Shortfall> {
        let nothing = Shortfall {
            left: MicroRho::ZERO,
        };
        let parts = reservation(terms).ok_or(nothing)?;
        let year = Scope::Since(Self::year_start(now));
        for (scope, cap) in [
            (Scope::Contract(&terms.contract_name), caps.per_contract),
            (year, caps.per_year),
        ] {
            let with = self.total(Some((terms, split, parts)), scope, Count::Committed);
            if with.is_none_or(|with| with > cap) {
                let committed = self.total(None, scope, Count::Committed).ok_or(nothing)?;
                let left = cap.left_after(committed);
                return Err(Shortfall { left });
            }
        }
        Ok(parts)
    }

    /// What the rolling year comes to, everything set aside included, with a study that is offered or accepted already.
    #[must_use]
    pub fn year_with(&self, now: Timestamp, split: Hash32, terms: &StudyTerms) -> Option<MicroRho> {
        let year = Scope::Since(Self::year_start(now));
        let known = self.accounts.contains_key(&study_hash(&encode(terms)));
        let extra = match known {
            true => None,
            false => Some((terms, split, reservation(terms)?)),
        };
        self.total(extra, year, Count::Committed)
    }

    /// Keeps a study for a person.
    pub fn hold(&mut self, now: Timestamp, bytes: &[u8], approvals: &[Approval]) {
        let at = self.present(now);
        self.append(Entry::Hold(Hold {
            at,
            terms: bytes.to_vec(),
            approvals: approvals.to_vec(),
        }));
    }

    /// A person says no to a study that waits.
    pub fn decline(&mut self, now: Timestamp, study: StudyHash) {
        let at = self.present(now);
        self.append(Entry::Decline(Decline { at, study }));
    }

    /// Ends an open or waiting study: what it did not spend is free for others, what it stored is dropped.
    pub fn give_back(&mut self, now: Timestamp, study: StudyHash, reason: EndReason) {
        let standing = self.standing(&study);
        if !matches!(standing, Standing::Unknown | Standing::Ended(_)) {
            let at = self.present(now);
            let entry = Entry::Return(Return { at, study, reason });
            self.append_with(entry, Beside::Drop(study));
        }
    }

    /// Counts this much as spent under every cap: the operator gives up other pasts of this ledger, which came up to these
    /// positions and have this many entries in common with it.
    pub fn write_off(&mut self, now: Timestamp, lost: Lost, given_up: Vec<Head>, common: u64) {
        let at = self.present(now);
        self.append(Entry::WriteOff(WriteOff {
            at,
            lost,
            given_up,
            common,
        }));
    }

    /// Whether entries wait for a transaction.
    #[must_use]
    pub fn has_outbox(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Whether a transaction is under way.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Entries for the next transaction, unless one is under way or there are none.
    pub fn next_batch(&mut self) -> Option<Batch> {
        if self.in_flight.is_some() || self.outbox.is_empty() {
            return None;
        }
        self.in_flight = Some(self.head);
        Some(Batch {
            records: std::mem::take(&mut self.outbox),
            head: self.head,
        })
    }

    /// The journal has everything up to this head on disk.
    ///
    /// # Panics
    ///
    /// If that is not the head of the batch under way: the journal wrote something else.
    pub fn confirm(&mut self, head: Head) {
        assert_eq!(self.in_flight, Some(head), "the journal confirms its batch");
        self.in_flight = None;
        self.durable = head;
    }

    /// What was written off, as it counts under the cap of the floor; `None` where a sum does not fit.
    #[must_use]
    pub fn floor_written_off(&self) -> Option<MicroRho> {
        let lost = self.written_off.iter().map(|entry| entry.lost.floor);
        lost.into_iter()
            .try_fold(MicroRho::ZERO, MicroRho::checked_add)
    }

    /// Start of the rolling year: a year before what the clock says now. One that was wrong and too far ahead for a while has
    /// left late dates in the ledger; by those, everything before would be older than a year for good.
    fn year_start(now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_sub(YEAR_MS))
    }

    fn total(
        &self,
        extra: Option<(&StudyTerms, Hash32, Parts)>,
        scope: Scope,
        count: Count,
    ) -> Option<MicroRho> {
        let since = match scope {
            Scope::Contract(_) => Timestamp(0),
            Scope::Since(start) => start,
        };
        let lost = self.written_off.iter().filter(|entry| entry.at >= since);
        let lost = lost
            .map(|entry| entry.lost.urho)
            .try_fold(MicroRho::ZERO, MicroRho::checked_add)?;
        // A question reads everybody: its price adds to all others.
        let folded = match scope {
            Scope::Contract(name) => self.folded.of_contract(name),
            Scope::Since(start) => self.folded.since(start),
        };
        total(self.accounts.values(), extra, scope, count)?
            .checked_add(folded?)?
            .checked_add(lost)
    }

    fn append(&mut self, entry: Entry) {
        self.append_with(entry, Beside::Nothing);
    }

    fn append_with(&mut self, entry: Entry, beside: Beside) {
        let (kind, body) = entry.to_link();
        let (bytes, head) = self.head.append(kind, body);
        let seq = head.seq;
        self.apply(seq, entry)
            .expect("own entries follow from the state: checked by the caller");
        self.head = head;
        self.hashes.push(head.hash);
        self.outbox.push(Record { seq, bytes, beside });
    }
}
