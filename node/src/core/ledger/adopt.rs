//! How a node whose ledger has lost entries goes on: with the longer of two chains that it signed, and none of the spending of
//! the other forgotten.

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::protocol::chain::Head;

use super::entry::{ENTRY_BYTES_MAX, Entry};
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
    let common = own.iter().zip(mirror).take_while(|(a, b)| a == b).count();
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
    if branch.spent > MicroRho::ZERO || !mirror_wins {
        ledger.write_off(now, branch.spent, vec![given_up]);
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
        written_off: branch.spent,
        ledger,
    }))
}

/// What one chain says after it parted from another.
struct Branch {
    spent: MicroRho,
    charges: Vec<(StudyHash, u32, u32)>,
}

impl Branch {
    fn read(chain: &Ledger, common: usize, links: &[Vec<u8>]) -> Result<Self, LedgerFault> {
        let mut head = chain.head_at(common as u64).unwrap_or_default();
        let (mut spent, mut charges) = (MicroRho::ZERO, Vec::new());
        for bytes in links {
            let (link, next) = head.follow(bytes, ENTRY_BYTES_MAX)?;
            let seq = link.seq;
            let entry = Entry::from_link(link.kind, &link.body)
                .map_err(|source| LedgerFault::Entry { seq, source })?;
            let urho = match entry {
                Entry::Spend(spend) => {
                    charges.push((spend.study, spend.round, spend.attempt));
                    spend.urho
                }
                Entry::WriteOff(lost) => lost.urho,
                _ => MicroRho::ZERO,
            };
            let what = "a sum that does not fit";
            spent = spent
                .checked_add(urho)
                .ok_or(LedgerFault::Contradiction { seq, what })?;
            head = next;
        }
        Ok(Self { spent, charges })
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
