//! Charges: right prices, below every cap, durable first, never fewer than before.
//!
//! Recomputes scales and tolerances by itself; of the node's code it uses only the encoding of entries.

use std::collections::BTreeMap;
use std::rc::Rc;

use aquifer_node::core::ledger::{ENTRY_BYTES_MAX, Entry, Spend};
use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::domain::sum::{Part, StudyTerms, TrustMode};
use aquifer_shared::protocol::chain::{Head, Link};
use aquifer_shared::protocol::codec::decode;

use super::Invariant;
use super::violation::Breach;
use crate::simulator::scenario::Scenario;
use crate::simulator::study::Subject;

/// What nodes have paid, as their disks say.
#[derive(Debug)]
pub(super) struct Accounts {
    terms: StudyTerms,
    honest: u16,
    nodes: Vec<Account>,
}

/// Who still knows of entries that a node's disk has forgotten.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KnownBy {
    /// The witness file: the node must not start.
    Witness,
    /// The coordinator's mirror: the node must not charge.
    Mirror,
    /// Nobody but perhaps its peers, by their marks.
    Peers,
}

#[derive(Debug, Default)]
struct Account {
    /// What the entries on disk add up to.
    book: Entries,
    /// Most entries that were ever on disk.
    most: u64,
    /// Charges that were ever on disk.
    ever: BTreeMap<(u32, u32), u64>,
    /// The disk has forgotten entries, and somebody knows.
    forgot: Option<KnownBy>,
    /// It ever forgot some.
    forgetful: bool,
}

/// What entries add up to.
#[derive(Debug, Default)]
struct Entries {
    count: u64,
    /// Charges with their prices.
    charges: BTreeMap<(u32, u32), u64>,
    written_off: u64,
    /// Where peers stood, and whether they dealt there, by their places in the roster.
    marks: BTreeMap<u16, (Head, bool)>,
}

impl Entries {
    /// Takes one entry; a charge comes back, as it may break a rule.
    fn take(&mut self, bytes: &[u8]) -> Result<Option<Spend>, String> {
        let link: Link =
            decode("entry", bytes, ENTRY_BYTES_MAX).map_err(|error| format!("no link: {error}"))?;
        let entry = Entry::from_link(link.kind, &link.body)
            .map_err(|error| format!("no entry: {error}"))?;
        self.count += 1;
        match entry {
            Entry::Spend(spend) => {
                self.charges
                    .insert((spend.round, spend.attempt), spend.urho.0);
                return Ok(Some(spend));
            }
            Entry::WriteOff(body) => self.written_off += body.lost.urho.0,
            Entry::PeerMarks(marks) => {
                for (place, head) in marks.stood {
                    let known = self.marks.entry(place).or_insert((head, false));
                    if known.0.seq < head.seq {
                        *known = (head, false);
                    }
                }
                for place in marks.dealt {
                    if let Some((_, dealt)) = self.marks.get_mut(&place) {
                        *dealt = true;
                    }
                }
            }
            _ => {}
        }
        Ok(None)
    }
}

impl Accounts {
    pub(super) fn new(scenario: &Scenario, subject: &Subject) -> Self {
        let honest = match scenario.wish.trust {
            TrustMode::NodeNoise => 1,
            TrustMode::SharedNoise => scenario.honest(),
        };
        Self {
            terms: subject.terms.clone(),
            honest,
            nodes: (0..scenario.nodes).map(|_| Account::default()).collect(),
        }
    }

    fn mark(&self, node: usize, peer: &IdentityKey) -> Option<&(Head, bool)> {
        let place = u16::try_from(self.terms.member(peer)?).ok()?;
        self.nodes[node].book.marks.get(&place)
    }

    /// Noise of this scale covers the price of some round: 2·h·urho·s² > delta_sq·m²·10^6.
    pub(super) fn check_scale(&self, node: usize, sigma: u64) -> Result<(), Breach> {
        let multiplicity = match self.terms.mode {
            TrustMode::NodeNoise => 1,
            TrustMode::SharedNoise => u128::from(self.terms.multiplicity),
        };
        let covers = self.terms.rounds.iter().any(|round| {
            let noise = 2 * u128::from(self.honest) * u128::from(round.urho.0);
            let noise = noise * u128::from(sigma).pow(2);
            let reach = u128::from(round.delta_sq) * multiplicity.pow(2) * 1_000_000;
            round.sigma_share == sigma && noise > reach
        });
        if covers {
            return Ok(());
        }
        let what = format!("node {node} draws noise of scale {sigma}, which covers no round");
        Err(Breach(Invariant::NoisePresent, what))
    }

    /// An entry is on disk.
    pub(super) fn entry(&mut self, node: usize, bytes: &[u8]) -> Result<(), Breach> {
        let breach = |what| Breach(Invariant::Budget, what);
        let account = &mut self.nodes[node];
        let last = account
            .book
            .charges
            .last_key_value()
            .map(|(place, _)| *place);
        let spend = account.book.take(bytes);
        let spend = spend.map_err(|what| breach(format!("node {node} wrote {what}")))?;
        account.most = account.most.max(account.book.count);
        let Some(spend) = spend else { return Ok(()) };
        let place = (spend.round, spend.attempt);
        account.ever.insert(place, spend.urho.0);
        if last >= Some(place) {
            return Err(breach(format!(
                "node {node} charges {place:?} after {last:?}"
            )));
        }
        if account.forgot == Some(KnownBy::Mirror) {
            let what =
                format!("node {node} charges although its mirror knows of charges that it forgot");
            return Err(Breach(Invariant::Rollback, what));
        }
        self.check_price(node, &spend)?;
        self.check_caps(node)
    }

    /// A node's journal holds this many entries after a write: all that were ever written, but for what its disk forgot.
    pub(super) fn check_kept(&self, node: usize, entries: u64) -> Result<(), Breach> {
        let written = self.nodes[node].book.count;
        if entries == written {
            return Ok(());
        }
        let what = format!("node {node} keeps {entries} entries of {written} that it wrote");
        Err(Breach(Invariant::Budget, what))
    }

    fn check_price(&self, node: usize, spend: &Spend) -> Result<(), Breach> {
        let round = self.terms.rounds.get(spend.round as usize);
        let right = round.is_some_and(|round| {
            (spend.urho, spend.part) == (round.urho, round.part)
                && (spend.sigma_share, spend.delta_sq) == (round.sigma_share, round.delta_sq)
        });
        let right = right
            && spend.honest == self.honest
            && spend.multiplicity == self.terms.multiplicity
            && spend.attempt < u32::from(self.terms.attempts_max);
        if right {
            return Ok(());
        }
        let what = format!(
            "node {node} charged attempt {} of round {} at a price, scale or part that is not the study's",
            spend.attempt, spend.round
        );
        Err(Breach(Invariant::Budget, what))
    }

    /// All charges that were ever durable stay below the cap, unless entries were forgotten and nobody could notice.
    fn check_caps(&self, node: usize) -> Result<(), Breach> {
        let account = &self.nodes[node];
        let charges = if account.forgetful {
            &account.book.charges
        } else {
            &account.ever
        };
        for part in [Part::Training, Part::HoldOut] {
            let of_part = charges
                .iter()
                .filter(|((round, _), _)| self.terms.rounds[*round as usize].part == part);
            let spent: u64 = of_part.map(|(_, urho)| urho).sum();
            if spent > self.terms.urho_cap.0 {
                let cap = self.terms.urho_cap;
                let what =
                    format!("node {node} charged {spent} micro-rho in {part:?}, the cap is {cap}");
                return Err(Breach(Invariant::Budget, what));
            }
        }
        Ok(())
    }

    /// Something leaves that a charge must have paid for.
    pub(super) fn check_charged(
        &self,
        node: usize,
        place: Option<(u32, u32)>,
    ) -> Result<(), Breach> {
        let charged = place.is_some_and(|place| self.nodes[node].ever.contains_key(&place));
        if charged {
            return Ok(());
        }
        let what =
            format!("node {node} has no durable charge for {place:?}, and bytes of it are out");
        Err(Breach(Invariant::ChargeFirst, what))
    }

    /// A sum of these members is released.
    pub(super) fn check_members(&self, members: &[u32]) -> Result<(), Breach> {
        let rising = members.windows(2).all(|pair| pair[0] < pair[1]);
        let enough = members.len() >= usize::from(self.terms.quorum);
        if rising && enough {
            return Ok(());
        }
        let needed = self.terms.quorum;
        let what = format!(
            "a sum of members {members:?} is released, expected {needed} or more, each once"
        );
        Err(Breach(Invariant::NoisePresent, what))
    }

    /// A node goes on from what its disk holds.
    pub(super) fn start(&mut self, node: usize, head: Head) -> Result<(), Breach> {
        let account = &self.nodes[node];
        if account.forgot == Some(KnownBy::Witness) {
            let what = format!(
                "node {node} starts at entry {} with a witness that knows more",
                head.seq
            );
            return Err(Breach(Invariant::Rollback, what));
        }
        if head.seq == account.book.count {
            return Ok(());
        }
        let count = account.book.count;
        let what = format!(
            "node {node} starts with {} entries, its disk holds {count}",
            head.seq
        );
        Err(Breach(Invariant::Budget, what))
    }

    /// A node noticed that it may not go on.
    pub(super) fn lock(&mut self, node: usize) {
        self.nodes[node].forgot = None;
    }

    /// A node's disk is put back to these entries; `known` says who knows of more.
    pub(super) fn rollback(&mut self, node: usize, entries: &[Rc<[u8]>], known: KnownBy) {
        let account = &mut self.nodes[node];
        let forgets = (entries.len() as u64) < account.most;
        account.forgot = forgets.then_some(known);
        account.forgetful |= forgets;
        account.book = read(entries);
    }

    /// A node's operator let it go on with these entries: nothing that was ever spent is forgotten.
    pub(super) fn adoption(&mut self, node: usize, entries: &[Rc<[u8]>]) -> Result<(), Breach> {
        let account = &mut self.nodes[node];
        account.book = read(entries);
        (account.most, account.forgot) = (account.book.count, None);
        let known = &account.book.charges;
        let missing = account
            .ever
            .iter()
            .filter(|(place, _)| !known.contains_key(place));
        let missing: u64 = missing.map(|(_, urho)| urho).sum();
        if missing <= account.book.written_off || account.forgetful {
            return Ok(());
        }
        let what =
            format!("node {node} goes on without charges of {missing} micro-rho that it once had");
        Err(Breach(Invariant::Rollback, what))
    }

    /// A node confirms a set: that these peers dealt is durable.
    pub(super) fn check_marked(
        &self,
        node: usize,
        peers: &[(IdentityKey, Head)],
    ) -> Result<(), Breach> {
        let marked = |(key, head): &(IdentityKey, Head)| {
            let mark = self.mark(node, key);
            mark.is_some_and(|(known, dealt)| known.seq > head.seq || (*known == *head && *dealt))
        };
        if peers.iter().all(marked) {
            return Ok(());
        }
        let what =
            format!("node {node} confirms a set before it is durable that its members dealt");
        Err(Breach(Invariant::Rollback, what))
    }

    /// Whether a node may deal with a peer whose ledger stands at this position.
    pub(super) fn check_mark(
        &self,
        node: usize,
        (peer, key): (u16, &IdentityKey),
        head: &Head,
    ) -> Result<(), Breach> {
        let Some((mark, dealt)) = self.mark(node, key) else {
            return Ok(());
        };
        let behind = head.seq < mark.seq || (*dealt && head.seq == mark.seq);
        let beside = head.seq == mark.seq && head.hash != mark.hash;
        if !behind && !beside {
            return Ok(());
        }
        let what = format!(
            "node {node} deals with member {peer} whose ledger stands at {}, its mark is {} (dealt: {dealt})",
            head.seq, mark.seq
        );
        Err(Breach(Invariant::Rollback, what))
    }
}

fn read(entries: &[Rc<[u8]>]) -> Entries {
    let mut book = Entries::default();
    for entry in entries {
        // An entry that does not read any more is the node's business at its next start.
        let _ = book.take(entry);
    }
    book
}
