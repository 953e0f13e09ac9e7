//! Where the ledgers of other members stood: a peer whose ledger was put back to an older copy is behind its mark.
//!
//! Marks are kept per peer and study. Studies that run at the same time see a peer's ledger in any order, so marks of another
//! study count only once they are older than twice the life of an attempt. Questions that are over leave one run of marks for each
//! peer.

use std::collections::{BTreeMap, BTreeSet};

use aquifer_shared::base::ids::{IdentityKey, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::chain::Head;

use super::Ledger;
use super::entry::{Entry, PeerMarks};

/// All marks.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    of: BTreeMap<(IdentityKey, StudyHash), Vec<Mark>>,
    /// Of studies that nobody asks for any more.
    past: BTreeMap<IdentityKey, Past>,
    /// Marks older than this need no other mark before them.
    window_ms: u64,
}

/// Marks of one peer from many studies: rising in time and in rank.
#[derive(Clone, Debug, Default)]
struct Past {
    marks: Vec<Mark>,
    studies: usize,
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
        let marks = self.of.entry((peer, study)).or_default();
        let mark = Mark { at, head, dealt };
        if marks.last().is_none_or(|last| last.rank() < mark.rank()) {
            marks.push(mark);
        }
        let old = |mark: &&Mark| at.since_ms(mark.at) > self.window_ms;
        let old = marks.iter().take_while(old).count();
        marks.drain(..old.saturating_sub(1));
    }

    /// Puts the marks of a study that is over to those of others.
    pub fn fold(&mut self, study: &StudyHash, roster: &[IdentityKey]) {
        for peer in roster {
            let Some(marks) = self.of.remove(&(*peer, *study)) else {
                continue;
            };
            let past = self.past.entry(*peer).or_default();
            past.studies += 1;
            past.take(marks, self.window_ms);
        }
    }

    /// Where a peer's ledger stood last in a study.
    pub fn last_head(&self, study: &StudyHash, peer: &IdentityKey) -> Option<Head> {
        Some(self.of.get(&(*peer, *study))?.last()?.head)
    }

    /// The marks of a peer, by study.
    fn of_peer(&self, peer: &IdentityKey) -> impl Iterator<Item = (&StudyHash, &Vec<Mark>)> {
        let all = (*peer, StudyHash([0; 32]))..=(*peer, StudyHash([u8::MAX; 32]));
        self.of.range(all).map(|((_, study), marks)| (study, marks))
    }
}

impl Past {
    fn take(&mut self, marks: Vec<Mark>, window_ms: u64) {
        self.marks.extend(marks);
        self.marks.sort_by_key(|mark| mark.at);
        // An earlier mark of a higher rank counts wherever this one does, and asks for more.
        let mut highest = (0, false);
        self.marks.retain(|mark| {
            let counts = mark.rank() >= highest;
            highest = highest.max(mark.rank());
            counts
        });
        self.marks
            .dedup_by(|later, mark| (later.head, later.dealt) == (mark.head, mark.dealt));
        let newest = self.marks.last().map_or(Timestamp(0), |mark| mark.at);
        let old = |mark: &&Mark| newest.since_ms(mark.at) > window_ms;
        let old = self.marks.iter().take_while(old).count();
        if let Some(last) = old.checked_sub(1).map(|last| self.marks[last].head.seq) {
            let below = self
                .marks
                .iter()
                .take_while(|mark| mark.head.seq < last)
                .count();
            self.marks.drain(..below);
        }
    }

    /// Whether a position contradicts a mark that is old enough to count.
    fn contradicts(&self, head: &Head, counts: impl Fn(&Mark) -> bool) -> bool {
        let mut counting = self.marks.iter().rev().filter(|mark| counts(mark));
        let Some(last) = counting.next() else {
            return false;
        };
        // Those before it ask for less, unless they are of the same number.
        let same = counting.take_while(|mark| mark.head.seq == last.head.seq);
        std::iter::once(last)
            .chain(same)
            .any(|mark| mark.is_contradicted_by(head))
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
        let present = self.present(now);
        let ttl_ms = self.terms(study).map_or(0, |terms| terms.attempt_ttl_ms);
        let old = |mark: &Mark| present.since_ms(mark.at) > window_ms(ttl_ms);
        let past = self.marks.past.get(peer);
        if past.is_some_and(|past| past.contradicts(head, old)) {
            return true;
        }
        self.marks.of_peer(peer).any(|(of, marks)| {
            let counts = |mark: &&Mark| of == study || old(mark);
            let counting = marks.iter().rev().find(counts);
            counting.is_some_and(|mark| mark.is_contradicted_by(head))
        })
    }

    /// Notes that these members of a study dealt, where their ledgers stood in its roster. With it, the number of the entry
    /// that says so.
    pub fn mark_dealt(&mut self, now: Timestamp, study: StudyHash, peers: &[IdentityKey]) -> u64 {
        let stood = |peer: &&IdentityKey| self.marks.last_head(&study, peer).is_some();
        let dealt = peers.iter().filter(stood);
        let dealt = dealt.filter_map(|peer| self.place(&study, peer)).collect();
        self.append_marks(now, study, Vec::new(), dealt)
    }

    /// Notes where the ledgers of other members of a study stand. With it, the number of the entry that says so.
    pub(super) fn note_peers(
        &mut self,
        now: Timestamp,
        study: StudyHash,
        heads: &[(IdentityKey, Head)],
    ) -> u64 {
        let place = |(peer, head): &(IdentityKey, Head)| Some((self.place(&study, peer)?, *head));
        let stood = heads.iter().filter_map(place).collect();
        self.append_marks(now, study, stood, Vec::new())
    }

    /// A peer's place in a study's roster.
    fn place(&self, study: &StudyHash, peer: &IdentityKey) -> Option<u16> {
        u16::try_from(self.terms(study)?.member(peer)?).ok()
    }

    fn append_marks(
        &mut self,
        now: Timestamp,
        study: StudyHash,
        stood: Vec<(u16, Head)>,
        dealt: Vec<u16>,
    ) -> u64 {
        let at = self.present(now);
        self.append(Entry::PeerMarks(PeerMarks {
            at,
            study,
            stood,
            dealt,
        }));
        self.head.seq
    }

    /// The highest position at which each peer's ledger was seen.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerReport> {
        let open = self.marks.of.keys().map(|(peer, _)| peer);
        let peers: BTreeSet<&IdentityKey> = open.chain(self.marks.past.keys()).collect();
        let report = |peer: &IdentityKey| {
            let marks = self.marks.of_peer(peer);
            let past = self.marks.past.get(peer);
            let highest = marks
                .filter_map(|(_, marks)| marks.last())
                .chain(past.and_then(|past| past.marks.last()))
                .max_by_key(|mark| mark.rank())?;
            Some(PeerReport {
                peer: *peer,
                head: highest.head,
                dealt: highest.dealt,
                at: highest.at,
                studies: self.marks.of_peer(peer).count() + past.map_or(0, |past| past.studies),
            })
        };
        peers.into_iter().filter_map(report).collect()
    }
}

/// Twice the life of an attempt.
fn window_ms(attempt_ttl_ms: u32) -> u64 {
    2 * u64::from(attempt_ttl_ms)
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::Hash32;
    use aquifer_shared::base::units::MicroRho;

    use super::*;
    use crate::core::fixtures::{NOW, PEER, SPLIT, offer, public, shared_synthetic};
    use crate::core::ledger::{Caps, Payment};

    const TTL_MS: u64 = 120_000;

    fn head(seq: u64) -> Head {
        Head {
            seq,
            hash: Hash32([seq as u8; 32]),
        }
    }

    /// A ledger with two studies of one roster.
    fn ledger() -> (Ledger, [StudyHash; 2]) {
        let mut ledger = Ledger::default();
        let studies = [1, 2].map(|number| {
            let mut terms = shared_synthetic(4, 2);
            terms.study_id = [number; 16];
            let (study, offer) = offer(&terms);
            let caps = Caps {
                per_contract: MicroRho(u64::MAX),
                per_year: MicroRho(u64::MAX),
            };
            let accepted = (offer.terms.as_slice(), &terms, offer.approvals.as_slice());
            ledger.reserve(NOW, caps, SPLIT, accepted, false).unwrap();
            study
        });
        (ledger, studies)
    }

    /// Whether a peer is behind in the first study after these marks: (study, milliseconds after the start, number, dealt).
    #[track_caller]
    fn check_behind(marks: &[(usize, u64, u64, bool)], (at, shown): (u64, Head), expected: bool) {
        let (mut ledger, studies) = ledger();
        for (study, at, seq, dealt) in marks {
            let (now, study) = (NOW.after_ms(*at), studies[*study]);
            ledger.note_peers(now, study, &[(public(PEER), head(*seq))]);
            if *dealt {
                ledger.mark_dealt(now, study, &[public(PEER)]);
            }
        }
        let behind = |ledger: &Ledger| {
            let other = ledger.behind(NOW.after_ms(at), &studies[0], &public(PEER + 1), &head(0));
            assert!(!other, "nothing is known of another peer");
            ledger.behind(NOW.after_ms(at), &studies[0], &public(PEER), &shown)
        };
        assert_eq!(behind(&ledger), expected, "{marks:?} {shown:?}");
        let batch = ledger.next_batch().unwrap();
        let entries = batch.records.iter().map(|record| record.bytes.as_slice());
        let again = Ledger::open(entries).unwrap();
        assert_eq!(behind(&again), expected, "after a start");
    }

    #[test]
    fn in_one_study_a_peer_never_falls_below_its_mark() {
        check_behind(&[(0, 0, 10, false)], (0, head(10)), false);
        check_behind(&[(0, 0, 10, false)], (0, head(11)), false);
        check_behind(&[(0, 0, 10, false)], (0, head(9)), true);
        check_behind(&[(0, 0, 10, false), (0, 5, 12, false)], (5, head(11)), true);
    }

    #[test]
    fn the_same_number_needs_the_same_hash() {
        let forked = Head {
            hash: Hash32([99; 32]),
            ..head(10)
        };
        check_behind(&[(0, 0, 10, false)], (0, forked), true);
    }

    #[test]
    fn a_peer_that_dealt_has_grown() {
        // Only the last charge was rolled back: the position is that of the roster before.
        check_behind(&[(0, 0, 10, false), (0, 1, 10, true)], (2, head(10)), true);
        check_behind(&[(0, 0, 10, false), (0, 1, 10, true)], (2, head(11)), false);
    }

    #[test]
    fn a_mark_that_says_less_changes_nothing() {
        check_behind(&[(0, 0, 10, true), (0, 1, 10, false)], (2, head(10)), true);
        check_behind(&[(0, 0, 10, false), (0, 1, 8, true)], (2, head(9)), true);
    }

    #[test]
    fn studies_at_the_same_time_come_in_any_order() {
        check_behind(&[(1, 0, 10, true)], (0, head(7)), false);
        check_behind(&[(1, 0, 10, true)], (2 * TTL_MS, head(7)), false);
        check_behind(&[(1, 0, 10, true)], (2 * TTL_MS + 1, head(7)), true);
        check_behind(&[(1, 0, 10, true)], (2 * TTL_MS + 1, head(10)), true);
        check_behind(&[(1, 0, 10, false)], (2 * TTL_MS + 1, head(10)), false);
    }

    #[test]
    fn newer_marks_of_another_study_do_not_hide_older_ones() {
        let marks = [(1, 0, 10, true), (1, 100, 12, true), (1, 240_050, 20, true)];
        check_behind(&marks, (2 * TTL_MS + 60, head(11)), false);
        check_behind(&marks, (2 * TTL_MS + 60, head(10)), true);
        check_behind(&marks, (2 * TTL_MS + 101, head(12)), true);
        check_behind(&marks, (2 * TTL_MS + 101, head(19)), false);
    }

    #[test]
    fn a_clock_set_back_hides_no_mark() {
        let (mut ledger, studies) = ledger();
        ledger.note_peers(NOW, studies[1], &[(public(PEER), head(10))]);
        ledger.mark_dealt(NOW, studies[1], &[public(PEER)]);
        let later = NOW.after_ms(2 * TTL_MS + 1);
        ledger.note_peers(later, studies[0], &[]);
        let long_ago = Timestamp(5);
        assert!(ledger.behind(long_ago, &studies[0], &public(PEER), &head(10)));
    }

    /// Marks of studies that are over ask for the same as before.
    #[test]
    fn what_is_over_still_contradicts_a_peer_that_fell_back() {
        let forked = Head {
            hash: Hash32([99; 32]),
            ..head(12)
        };
        let marks = [
            (0, 0, 10, true),
            (0, 100, 12, true),
            (1, 50, 11, true),
            (1, 200, 12, false),
        ];
        let after = 2 * TTL_MS + 1;
        let shown = [head(9), head(10), head(11), head(12), head(13), forked];
        let ages = [0, after, after + 50, after + 100, after + 200];
        // A third study asks while the two that met the peer run, and once they are over.
        let (mut ledger, studies) = ledger();
        for (study, at, seq, dealt) in marks {
            let now = NOW.after_ms(at);
            ledger.note_peers(now, studies[study], &[(public(PEER), head(seq))]);
            if dealt {
                ledger.mark_dealt(now, studies[study], &[public(PEER)]);
            }
        }
        let mut third = shared_synthetic(4, 2);
        third.study_id = [3; 16];
        let (study, offer) = offer(&third);
        let wide = Caps {
            per_contract: MicroRho(u64::MAX),
            per_year: MicroRho(u64::MAX),
        };
        let accepted = (offer.terms.as_slice(), &third, offer.approvals.as_slice());
        ledger.reserve(NOW, wide, SPLIT, accepted, false).unwrap();
        let behind = |ledger: &Ledger| {
            let each = ages
                .iter()
                .flat_map(|age| shown.iter().map(move |head| (*age, *head)));
            let each = each
                .map(|(age, head)| ledger.behind(NOW.after_ms(age), &study, &public(PEER), &head));
            each.collect::<Vec<bool>>()
        };
        let (before, peers) = (behind(&ledger), ledger.peers());
        assert!(before.contains(&true) && before.contains(&false));
        for study in studies {
            ledger.marks.fold(&study, &third.roster);
            assert_eq!(behind(&ledger), before);
        }
        assert_eq!(ledger.peers(), peers);
        assert!(ledger.marks.of.is_empty());
    }

    #[test]
    fn only_what_can_still_count_is_kept() {
        let (mut ledger, studies) = ledger();
        for seq in 0..1_000 {
            let now = NOW.after_ms(seq * 10_000);
            ledger.note_peers(now, studies[0], &[(public(PEER), head(seq))]);
        }
        let kept = &ledger.marks.of[&(public(PEER), studies[0])];
        assert_eq!(kept.len(), 26, "240 seconds of them, and one before");
    }

    #[test]
    fn those_who_dealt_are_marked_where_the_roster_had_them() {
        let (mut ledger, studies) = ledger();
        let marks = vec![(public(PEER), head(10)), (public(PEER + 1), head(20))];
        let payment = Payment::Shares {
            roster: Hash32([5; 32]),
            marks,
        };
        let attempt = (studies[0], 0, 0);
        ledger
            .spend(NOW, attempt, Hash32([6; 32]), payment)
            .unwrap();
        ledger.mark_dealt(NOW, studies[0], &[public(PEER), public(PEER + 2)]);
        let behind = |peer, seq| ledger.behind(NOW, &studies[0], &public(peer), &head(seq));
        assert!(behind(PEER, 10) && !behind(PEER, 11));
        assert!(!behind(PEER + 1, 20) && behind(PEER + 1, 19));
        let peers = ledger.peers();
        let found: Vec<_> = peers
            .iter()
            .map(|peer| (peer.head.seq, peer.dealt))
            .collect();
        assert!(
            found.contains(&(10, true)) && found.contains(&(20, false)),
            "{found:?}"
        );
    }
}
