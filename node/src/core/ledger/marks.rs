//! Where the ledgers of other members stood: a peer whose ledger was put back to an older copy is behind its mark.
//!
//! Marks are kept per peer and study. Studies that run at the same time see a peer's ledger in any order, so marks of another
//! study count only once they are older than twice the life of an attempt.

use std::collections::BTreeMap;

use aquifer_shared::base::ids::{IdentityKey, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::chain::Head;

use super::Ledger;
use super::entry::{Entry, PeerMarks};

/// All marks.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    by_peer: BTreeMap<IdentityKey, BTreeMap<StudyHash, Vec<Mark>>>,
    /// Marks older than this need no other mark before them.
    window_ms: u64,
}

/// A peer's ledger stood here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Mark {
    at: Timestamp,
    head: Head,
    dealt: bool,
}

/// The highest position at which a peer's ledger was seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerReport {
    /// The peer.
    pub peer: IdentityKey,
    /// Its ledger's position.
    pub head: Head,
    /// Whether it dealt there, so that its ledger must have grown since.
    pub dealt: bool,
    /// When it was noted.
    pub at: Timestamp,
    /// In how many studies it was met.
    pub studies: usize,
}

impl Mark {
    /// Whether a position contradicts this mark.
    fn is_contradicted_by(&self, head: &Head) -> bool {
        let behind = head.seq < self.head.seq || (self.dealt && head.seq == self.head.seq);
        behind || (head.seq == self.head.seq && head.hash != self.head.hash)
    }

    fn rank(&self) -> (u64, bool) {
        (self.head.seq, self.dealt)
    }
}

impl Marks {
    /// Keeps enough of the past for studies whose attempts live this long.
    pub fn remember_for(&mut self, attempt_ttl_ms: u32) {
        self.window_ms = self.window_ms.max(window_ms(attempt_ttl_ms));
    }

    /// Takes a mark; one that says less than the last of its study is not needed.
    pub fn note(
        &mut self,
        at: Timestamp,
        (study, peer): (StudyHash, IdentityKey),
        head: Head,
        dealt: bool,
    ) {
        let studies = self.by_peer.entry(peer).or_default();
        let marks = studies.entry(study).or_default();
        let mark = Mark { at, head, dealt };
        if marks.last().is_none_or(|last| last.rank() < mark.rank()) {
            marks.push(mark);
        }
        let old = |mark: &&Mark| at.since_ms(mark.at) > self.window_ms;
        let old = marks.iter().take_while(old).count();
        marks.drain(..old.saturating_sub(1));
    }

    fn last(&self, study: &StudyHash, peer: &IdentityKey) -> Option<&Mark> {
        self.by_peer.get(peer)?.get(study)?.last()
    }
}

impl Ledger {
    /// Whether a peer's ledger, at this position in a roster of this study, is behind or beside a mark.
    ///
    /// In the same study its number must be above the mark's if it dealt there, else not below it, and the same number needs
    /// the same hash. Marks of other studies count likewise once they are older than twice the life of an attempt.
    #[must_use]
    pub fn behind(
        &self,
        now: Timestamp,
        study: &StudyHash,
        peer: &IdentityKey,
        head: &Head,
    ) -> bool {
        let Some(studies) = self.marks.by_peer.get(peer) else {
            return false;
        };
        let present = self.present(now);
        let ttl_ms = self.terms(study).map_or(0, |terms| terms.attempt_ttl_ms);
        studies.iter().any(|(of, marks)| {
            let counts =
                |mark: &&Mark| of == study || present.since_ms(mark.at) > window_ms(ttl_ms);
            let counting = marks.iter().rev().find(counts);
            counting.is_some_and(|mark| mark.is_contradicted_by(head))
        })
    }

    /// Notes that these members of a study dealt, where their ledgers stood in its roster. With it, the number of the entry
    /// that says so.
    pub fn mark_dealt(&mut self, now: Timestamp, study: StudyHash, peers: &[IdentityKey]) -> u64 {
        let known = peers.iter().filter_map(|peer| {
            let mark = self.marks.last(&study, peer)?;
            Some((*peer, mark.head))
        });
        let marks = known.collect();
        self.note_peers(now, study, marks, true)
    }

    /// Notes where the ledgers of other members stand. With it, the number of the entry that says so.
    pub(super) fn note_peers(
        &mut self,
        now: Timestamp,
        study: StudyHash,
        marks: Vec<(IdentityKey, Head)>,
        dealt: bool,
    ) -> u64 {
        let at = self.present(now);
        self.append(Entry::PeerMarks(PeerMarks {
            at,
            study,
            marks,
            dealt,
        }));
        self.head.seq
    }

    /// The highest position at which each peer's ledger was seen.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerReport> {
        let report = |(peer, studies): (&IdentityKey, &BTreeMap<_, Vec<Mark>>)| {
            let marks = studies.values().filter_map(|marks| marks.last());
            let highest = marks.max_by_key(|mark| mark.rank())?;
            Some(PeerReport {
                peer: *peer,
                head: highest.head,
                dealt: highest.dealt,
                at: highest.at,
                studies: studies.len(),
            })
        };
        self.marks.by_peer.iter().filter_map(report).collect()
    }
}

/// Twice the life of an attempt.
fn window_ms(attempt_ttl_ms: u32) -> u64 {
    2 * u64::from(attempt_ttl_ms)
}
