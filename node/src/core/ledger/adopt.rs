//! How a node whose ledger has lost entries goes on: with the longer of two chains that it signed, and none of the spending of
//! the other forgotten.

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::protocol::chain::Head;

use super::entry::{ENTRY_BYTES_MAX, Entry, Lost};
use super::{Ledger, LedgerFault};

/// What has to be changed in the store.
#[derive(Debug)]
pub struct Adoption {
    /// Entries that stay, from the first.
    pub keep: u64,
    /// Entries that follow them.
    pub links: Vec<(u64, Vec<u8>)>,
    /// Charges of this node's own past that go; the mirror's past takes their place.
    pub dropped: Vec<(StudyHash, u32, u32)>,
    /// What the shorter chain had spent and the longer one did not know.
    pub written_off: MicroRho,
    /// The ledger as it is then.
    pub ledger: Ledger,
}

/// Joins this node's entries and those that its mirror holds; none where the mirror holds nothing that is not here.
///
/// The longer chain wins, the mirror's where they are equally long. What the other spent after they part is written off under
/// every cap.
///
/// # Errors
///
/// One of them is no ledger, or what was spent does not fit a number.
pub fn adopt(
    now: Timestamp,
    own: &[Vec<u8>],
    mirror: &[Vec<u8>],
) -> Result<Option<Adoption>, LedgerFault> {
    let open = |links: &[Vec<u8>]| Ledger::open(links.iter().map(Vec::as_slice));
    let (own_ledger, mirror_ledger) = (open(own)?, open(mirror)?);
    let common = common(own, mirror) as usize;
    if common == mirror.len() {
        return Ok(None);
    }
    let mirror_wins = mirror.len() >= own.len();
    let (mut ledger, loser, lost) = if mirror_wins {
        (mirror_ledger, own_ledger, &own[common..])
    } else {
        (own_ledger, mirror_ledger, &mirror[common..])
    };
    let branch = Branch::read(&loser, common, lost)?;
    let given_up = loser.durable();
    // The mirror has to be told that the past which it holds was given up.
    if branch.lost != Lost::default() || !mirror_wins {
        ledger.write_off(now, branch.lost, vec![given_up], common as u64);
    }
    let (keep, followed) = if mirror_wins {
        (common, &mirror[common..])
    } else {
        (own.len(), &mirror[..0])
    };
    let mut links: Vec<(u64, Vec<u8>)> = (keep as u64 + 1..).zip(followed.to_vec()).collect();
    if let Some(batch) = ledger.next_batch() {
        links.extend(
            batch
                .records
                .into_iter()
                .map(|record| (record.seq, record.bytes)),
        );
        ledger.confirm(batch.head);
    }
    Ok(Some(Adoption {
        keep: keep as u64,
        links,
        dropped: if mirror_wins {
            branch.charges
        } else {
            Vec::new()
        },
        written_off: branch.lost.urho,
        ledger,
    }))
}

/// How many entries two chains have in common, from the first.
#[must_use]
pub fn common(own: &[Vec<u8>], other: &[Vec<u8>]) -> u64 {
    let same = |(own, other): &(&Vec<u8>, &Vec<u8>)| own == other;
    own.iter().zip(other).take_while(same).count() as u64
}

/// What one chain says after it parted from another.
struct Branch {
    lost: Lost,
    charges: Vec<(StudyHash, u32, u32)>,
}

impl Branch {
    fn read(chain: &Ledger, common: usize, links: &[Vec<u8>]) -> Result<Self, LedgerFault> {
        let mut head = chain.head_at(common as u64).unwrap_or_default();
        let (mut lost, mut charges) = (Lost::default(), Vec::new());
        for bytes in links {
            let (link, next) = head.follow(bytes, ENTRY_BYTES_MAX)?;
            let seq = link.seq;
            let entry = Entry::from_link(link.kind, &link.body)
                .map_err(|source| LedgerFault::Entry { seq, source })?;
            let more = match entry {
                Entry::Spend(spend) => {
                    charges.push((spend.study, spend.round, spend.attempt));
                    spend.as_lost()
                }
                Entry::WriteOff(body) => Some(body.lost),
                _ => Some(Lost::default()),
            };
            let what = "a sum that does not fit";
            lost = more
                .and_then(|more| lost.checked_add(more))
                .ok_or(LedgerFault::Contradiction { seq, what })?;
            head = next;
        }
        Ok(Self { lost, charges })
    }
}

/// Position behind the last link of a chain.
///
/// # Errors
///
/// The chain is broken.
pub fn head_of(links: &[Vec<u8>]) -> Result<Head, LedgerFault> {
    let mut head = Head::default();
    for bytes in links {
        head = head.follow(bytes, ENTRY_BYTES_MAX)?.1;
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::Hash32;

    use super::*;
    use crate::core::fixtures::{NOW, SPLIT, name, offer, rules, shared_synthetic, synthetic};
    use crate::core::ledger::{AttemptOutcome, Caps, Payment};

    /// A reservation, then charges of these rounds, one entry each.
    fn chain(rounds: &[u32]) -> Vec<Vec<u8>> {
        let mut ledger = Ledger::default();
        let terms = synthetic(3);
        let (study, offer) = offer(&terms);
        let accepted = (offer.terms.as_slice(), &terms, offer.approvals.as_slice());
        ledger.reserve(NOW, caps(), SPLIT, accepted, false).unwrap();
        for round in rounds {
            let payment = Payment::Update(vec![1]);
            let task = Hash32([9; 32]);
            ledger
                .spend(NOW, (study, *round, 0), task, payment)
                .unwrap();
        }
        links(ledger)
    }

    fn links(mut ledger: Ledger) -> Vec<Vec<u8>> {
        let records = ledger.next_batch().unwrap().records;
        records.into_iter().map(|record| record.bytes).collect()
    }

    fn caps() -> Caps {
        rules().policy.caps
    }

    fn study() -> StudyHash {
        offer(&synthetic(3)).0
    }

    fn spent(ledger: &Ledger) -> u64 {
        let report = ledger.report(NOW, caps(), &name("churn")).unwrap();
        report.per_contract.spent.0
    }

    /// Entries kept, entries after that, what is written off and spent in all.
    #[track_caller]
    fn check(own: &[Vec<u8>], mirror: &[Vec<u8>], expected: Option<(u64, usize, u64, u64)>) {
        let adoption = adopt(NOW, own, mirror).unwrap();
        let found = adoption.as_ref().map(|adoption| {
            let lost = adoption.written_off.0;
            let (keep, followed) = (adoption.keep, adoption.links.len());
            (keep, followed, lost, spent(&adoption.ledger))
        });
        assert_eq!(found, expected);
        let Some(adoption) = adoption else { return };
        let kept = own[..adoption.keep as usize].iter();
        let whole: Vec<_> = kept
            .chain(adoption.links.iter().map(|(_, link)| link))
            .collect();
        let again = Ledger::open(whole.into_iter().map(Vec::as_slice)).unwrap();
        assert_eq!(again.durable(), adoption.ledger.durable());
        let mirrored = head_of(mirror).unwrap();
        let common = common(own, mirror);
        assert!(again.contains(mirrored) || again.given_up(mirrored) == Some(common));
    }

    #[test]
    fn a_mirror_that_is_ahead_brings_what_was_lost() {
        check(&chain(&[0]), &chain(&[0, 1, 2]), Some((2, 2, 0, 3_000)));
        check(&[], &chain(&[0]), Some((0, 2, 0, 1_000)));
    }

    #[test]
    fn a_mirror_that_holds_no_more_changes_nothing() {
        check(&chain(&[0, 1]), &chain(&[0]), None);
        check(&chain(&[0, 1]), &chain(&[0, 1]), None);
        check(&chain(&[0]), &[], None);
    }

    #[test]
    fn what_the_shorter_past_spent_is_written_off() {
        // Own past: round 1 instead of rounds 0 and 2.
        check(&chain(&[1]), &chain(&[0, 2]), Some((1, 3, 1_000, 3_000)));
        // Equally long: the mirror's.
        check(&chain(&[1]), &chain(&[0]), Some((1, 2, 1_000, 2_000)));
        // Own past is longer: it stays, and the mirror's charge is written off.
        check(&chain(&[1, 2]), &chain(&[0]), Some((3, 1, 1_000, 3_000)));
    }

    #[test]
    fn stored_updates_of_a_past_that_goes_are_named() {
        let adoption = adopt(NOW, &chain(&[1]), &chain(&[0, 2])).unwrap().unwrap();
        assert_eq!(adoption.dropped, [(study(), 1, 0)]);
        let kept = adopt(NOW, &chain(&[1, 2]), &chain(&[0])).unwrap().unwrap();
        assert_eq!(kept.dropped, []);
    }

    #[test]
    fn an_own_past_that_spent_nothing_goes_without_a_trace() {
        let own = chain(&[0]);
        let mut closed = Ledger::open(own.iter().map(Vec::as_slice)).unwrap();
        closed.close(NOW, (study(), 0, 0), AttemptOutcome::Lost);
        let own = [own, links(closed)].concat();
        check(&own, &chain(&[0, 1, 2]), Some((2, 2, 0, 3_000)));
    }

    /// A study in shared-noise, charged by one side alone: its floor is not forgotten either.
    #[test]
    fn the_floor_of_what_was_lost_is_written_off_as_well() {
        let terms = shared_synthetic(8, 2);
        let (study, offer) = offer(&terms);
        let accepted = (offer.terms.as_slice(), &terms, offer.approvals.as_slice());
        let mut ledger = Ledger::default();
        ledger.reserve(NOW, caps(), SPLIT, accepted, false).unwrap();
        let before = links(ledger);
        let charged = |round: u32| {
            let mut ledger = Ledger::open(before.iter().map(Vec::as_slice)).unwrap();
            let (roster, marks) = (Hash32([round as u8; 32]), Vec::new());
            let payment = Payment::Shares { roster, marks };
            let task = Hash32([9; 32]);
            ledger.spend(NOW, (study, round, 0), task, payment).unwrap();
            [before.clone(), links(ledger)].concat()
        };
        let adoption = adopt(NOW, &charged(0), &charged(1)).unwrap().unwrap();
        let urho = terms.rounds[0].urho;
        assert_eq!(adoption.written_off, urho);
        let floor = terms.floor(urho);
        assert!(floor > Some(urho));
        assert_eq!(adoption.ledger.floor_written_off(), floor);
    }

    #[test]
    fn a_mirror_that_is_no_ledger_is_refused() {
        let mut broken = chain(&[0, 1]);
        broken.remove(1);
        assert!(adopt(NOW, &chain(&[0]), &broken).is_err());
    }
}
