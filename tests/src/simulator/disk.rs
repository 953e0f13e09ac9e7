//! A node's volumes: the journal with the updates that charges paid for, the witness beside it, and a backup of both.
//!
//! Keeps what was acknowledged, and forgets, tears and flips as faults say. What is read at a start is judged by the node's
//! own code.

use std::collections::BTreeMap;
use std::rc::Rc;

use aquifer_node::core::ledger::{
    Adoption, AttemptOutcome, Batch, Beside, ENTRY_BYTES_MAX, Entry, Ledger, LedgerFault,
    LockReason, SeenBy,
};
use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::protocol::chain::{Head, Link};
use aquifer_shared::protocol::codec::decode;

use crate::random::Seeded;

/// What a journal holds.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    entries: Vec<Rc<[u8]>>,
    updates: BTreeMap<(StudyHash, u32, u32), Rc<[u8]>>,
    /// Entries before the last write.
    before: usize,
}

/// Journal, witness, backup.
#[derive(Clone, Debug, Default)]
pub struct Volumes {
    /// The journal as it is on disk.
    pub journal: Journal,
    /// What the witness file names.
    pub witness: Option<Head>,
    backup: Option<(Journal, Option<Head>)>,
}

/// A journal that must not be used.
#[derive(Debug)]
pub enum Unusable {
    /// The node's own check.
    Fault(LedgerFault),
    /// The ledger disagrees with what was seen of it.
    Locked(LockReason),
}

impl Journal {
    /// Writes a batch: all of it.
    pub fn write(&mut self, batch: &Batch) {
        self.before = self.entries.len();
        for record in &batch.records {
            self.entries.push(record.bytes.as_slice().into());
            match &record.beside {
                Beside::Nothing => {}
                Beside::Store {
                    study,
                    round,
                    attempt,
                    update,
                } => {
                    let place = (*study, *round, *attempt);
                    self.updates.insert(place, update.as_slice().into());
                }
                Beside::Drop(study) => self.updates.retain(|(of, ..), _| of != study),
            }
        }
    }

    /// The last charge and what came after it are taken out: a bug that is planted.
    pub fn refund(&mut self) {
        let is_charge = |entry: &Rc<[u8]>| kind_of(entry) == Some(CHARGE_KIND);
        if let Some(last) = self.entries.iter().rposition(is_charge) {
            self.entries.truncate(last);
        }
    }

    /// Another past takes the place of this one.
    pub fn adopt(&mut self, adoption: &Adoption) {
        self.entries.truncate(adoption.keep as usize);
        let links = adoption
            .links
            .iter()
            .map(|(_, link)| link.as_slice().into());
        self.entries.extend(links);
        self.before = self.entries.len();
        self.updates
            .retain(|place, _| !adoption.dropped.contains(place));
    }

    /// The entries, in order.
    #[must_use]
    pub fn entries(&self) -> &[Rc<[u8]>] {
        &self.entries
    }

    /// Entries after one, as many as a message to the mirror takes.
    #[must_use]
    pub fn links_after(&self, after: u64) -> Vec<Vec<u8>> {
        let links = self.entries.iter().skip(after as usize);
        links.take(LINKS_MAX).map(|link| link.to_vec()).collect()
    }

    /// A stored update.
    #[must_use]
    pub fn update(&self, place: (StudyHash, u32, u32)) -> Option<Vec<u8>> {
        self.updates.get(&place).map(|update| update.to_vec())
    }

    /// The last write was acknowledged but is gone.
    pub fn lose_last_write(&mut self) {
        self.entries.truncate(self.before);
    }

    /// One bit of an entry, or of a stored update, is another.
    pub fn flip(&mut self, numbers: &mut Seeded) {
        let updates = self.updates.values_mut();
        let mut all: Vec<&mut Rc<[u8]>> = self.entries.iter_mut().chain(updates).collect();
        if all.is_empty() {
            return;
        }
        let which = numbers.next_u64() as usize % all.len();
        let mut bytes = all[which].to_vec();
        let bit = numbers.next_u64() as usize % (8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        *all[which] = bytes.into();
    }
}

impl Volumes {
    /// The backup of tonight.
    pub fn back_up(&mut self) {
        self.backup = Some((self.journal.clone(), self.witness));
    }

    /// The journal is that of the backup; false if there is none.
    pub fn restore(&mut self, witness_too: bool) -> bool {
        let Some((journal, witness)) = self.backup.clone() else {
            return false;
        };
        self.journal = journal;
        if witness_too {
            self.witness = witness;
        }
        true
    }

    /// Reads the journal without looking at the witness: a bug that is planted.
    ///
    /// # Errors
    ///
    /// The node may not start with it.
    pub fn open_unwitnessed(&mut self) -> Result<Ledger, Unusable> {
        let entries = self.journal.entries().iter().map(|entry| &**entry);
        let ledger = Ledger::open(entries).map_err(Unusable::Fault)?;
        self.witness = Some(ledger.durable());
        Ok(ledger)
    }

    /// Reads the journal as a node does when it starts, and holds it against the witness.
    ///
    /// # Errors
    ///
    /// The node may not start with it.
    pub fn open(&mut self) -> Result<Ledger, Unusable> {
        let entries = self.journal.entries().iter().map(|entry| &**entry);
        let ledger = Ledger::open(entries).map_err(Unusable::Fault)?;
        let seen = match self.witness {
            None if self.journal.entries.is_empty() => Ok(()),
            None => Err(LockReason::Missing {
                ledger: ledger.durable().seq,
            }),
            Some(head) => ledger.held_against(head, SeenBy::Witness),
        };
        seen.map_err(Unusable::Locked)?;
        self.witness = Some(ledger.durable());
        Ok(ledger)
    }
}

/// The kind of an entry.
fn kind_of(entry: &[u8]) -> Option<u8> {
    let link = decode::<Link>("entry", entry, ENTRY_BYTES_MAX).ok()?;
    Some(link.kind)
}

/// A batch without its charges: what a disk that loses them keeps.
#[must_use]
pub fn without_charges(mut batch: Batch) -> Batch {
    batch
        .records
        .retain(|record| kind_of(&record.bytes) != Some(CHARGE_KIND));
    batch
}

/// What a write that was torn leaves of a batch: its first entries, if any, never all.
#[must_use]
pub fn torn(mut batch: Batch, numbers: &mut Seeded) -> Batch {
    let kept = numbers.next_u64() as usize % batch.records.len().max(1);
    batch.records.truncate(kept);
    batch
}

/// Whether a batch says that a charged attempt ended without a sum.
#[must_use]
pub fn ends_in_vain(batch: &Batch) -> bool {
    let in_vain = |bytes: &[u8]| {
        let link = decode::<Link>("entry", bytes, ENTRY_BYTES_MAX).ok()?;
        match Entry::from_link(link.kind, &link.body).ok()? {
            Entry::Close(close) => Some(close.outcome != AttemptOutcome::Released),
            _ => None,
        }
    };
    let mut records = batch.records.iter();
    records.any(|record| in_vain(&record.bytes) == Some(true))
}

const LINKS_MAX: usize = 64;
const CHARGE_KIND: u8 = 2;
