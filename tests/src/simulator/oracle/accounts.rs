//! Charges: right prices, below every cap, durable first, never fewer than before.
//!
//! Recomputes scales and tolerances by itself; of the node's code it uses only the encoding of entries.

use std::collections::BTreeMap;

use aquifer_node::core::ledger::{ENTRY_BYTES_MAX, Entry, Spend};
use aquifer_shared::domain::sum::{StudyTerms, TrustMode};
use aquifer_shared::protocol::chain::{Head, Link};
use aquifer_shared::protocol::codec::decode;

use super::{Breach, Invariant};
use crate::simulator::scenario::Scenario;
use crate::simulator::study::Subject;

/// What nodes have paid, as their disks say.
#[derive(Debug)]
pub(super) struct Accounts {
    terms: StudyTerms,
    honest: u16,
    nodes: Vec<Account>,
}

#[derive(Debug, Default)]
struct Account {
    /// Entries on disk.
    entries: u64,
    /// Charges on disk: price and number of the entry.
    charges: BTreeMap<(u32, u32), (u64, u64)>,
    /// Charges that were ever on disk.
    ever: BTreeMap<(u32, u32), u64>,
    /// The disk was put back to what it was earlier.
    forgot: bool,
}

impl Accounts {
    pub(super) fn new(scenario: &Scenario, subject: &Subject) -> Self {
        let (n, d, c) = (
            scenario.nodes as u16,
            scenario.absent_max,
            scenario.colluders_max,
        );
        let honest = match scenario.wish.trust {
            TrustMode::NodeNoise => 1,
            TrustMode::SharedNoise => n - d - c,
        };
        Self {
            terms: subject.terms.clone(),
            honest,
            nodes: (0..scenario.nodes).map(|_| Account::default()).collect(),
        }
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
        let link: Link = decode("entry", bytes, ENTRY_BYTES_MAX)
            .map_err(|error| breach(format!("node {node} wrote no link: {error}")))?;
        let entry = Entry::from_link(link.kind, &link.body)
            .map_err(|error| breach(format!("node {node} wrote no entry: {error}")))?;
        let account = &mut self.nodes[node];
        account.entries += 1;
        let Entry::Spend(spend) = entry else {
            return Ok(());
        };
        let place = (spend.round, spend.attempt);
        let last = account.charges.last_key_value().map(|(place, _)| *place);
        if last >= Some(place) {
            let what = format!("node {node} charges {place:?} after {last:?}");
            return Err(breach(what));
        }
        let charge = (spend.urho.0, account.entries);
        account.charges.insert(place, charge);
        account.ever.insert(place, spend.urho.0);
        self.check_price(node, &spend)?;
        self.check_caps(node)
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

    fn check_caps(&self, node: usize) -> Result<(), Breach> {
        let account = &self.nodes[node];
        for part in [
            aquifer_shared::domain::sum::Part::Training,
            aquifer_shared::domain::sum::Part::HoldOut,
        ] {
            let of_part = account.charges.iter().filter(|((round, _), _)| {
                self.terms.rounds[*round as usize].part == part
            });
            let spent: u64 = of_part.map(|(_, (urho, _))| urho).sum();
            if spent > self.terms.urho_cap.0 {
                let cap = self.terms.urho_cap;
                let what = format!("node {node} charged {spent} micro-rho in {part:?}, the cap is {cap}");
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
        let what = format!("node {node} has no durable charge for {place:?}, and bytes of it are out");
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
        let what = format!("a sum of members {members:?} is released, expected {needed} or more, each once");
        Err(Breach(Invariant::NoisePresent, what))
    }

    /// A node goes on from what its disk holds.
    pub(super) fn start(&mut self, node: usize, head: Head) -> Result<(), Breach> {
        let account = &self.nodes[node];
        if account.forgot {
            let what = format!("node {node} starts at entry {} with a witness that knows more", head.seq);
            return Err(Breach(Invariant::Rollback, what));
        }
        if head.seq == account.entries {
            return Ok(());
        }
        let what = format!(
            "node {node} starts with {} entries, its disk holds {}",
            head.seq, account.entries
        );
        Err(Breach(Invariant::Budget, what))
    }

    /// A node may not start.
    pub(super) fn lock(&mut self, node: usize) {
        self.nodes[node].forgot = false;
    }

    /// A node's disk is put back to so many entries.
    pub(super) fn rollback(&mut self, node: usize, entries: usize) {
        let account = &mut self.nodes[node];
        let entries = entries as u64;
        account.forgot |= entries < account.entries;
        account.entries = entries;
        account.charges.retain(|_, (_, entry)| *entry <= entries);
    }
}
