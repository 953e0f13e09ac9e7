//! Questions that are over: what they came to, without what they were.
//!
//! A unit answers questions by the ten thousand, each with terms and signatures of its own. Once one is over and every attempt of it
//! is closed, its account is folded into totals, so that memory and the time of an event follow what is open. The entries on disk
//! stay as they are, and the same totals come out of them at every start.

use std::collections::{BTreeMap, BTreeSet};

use aquifer_shared::base::ids::{Name, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::{Part, Plan};

use super::Ledger;
use super::budget::{Account, StudyReport, floor_of};
use super::entry::{EndReason, Parts};

/// What folded questions came to. A sum that does not fit is none, and nothing is left then.
#[derive(Clone, Debug)]
pub(super) struct Folded {
    /// Those that may still be offered again.
    ended: BTreeMap<StudyHash, Ended>,
    /// The same by the moment after which they are refused by themselves.
    expiring: BTreeSet<(Timestamp, StudyHash)>,
    /// By standing study.
    standing: BTreeMap<StudyHash, StudyReport>,
    /// By contract: charged, and what of it rests on nobody.
    contracts: BTreeMap<Name, (Option<MicroRho>, Option<MicroRho>)>,
    /// In order of time: everything that was charged up to then.
    charges: Option<Vec<(Timestamp, MicroRho)>>,
}

/// A question that is over and has not expired.
#[derive(Clone, Copy, Debug)]
struct Ended {
    reason: EndReason,
    /// Entry that accepted it.
    seq: u64,
}

impl Default for Folded {
    fn default() -> Self {
        Self {
            ended: BTreeMap::new(),
            expiring: BTreeSet::new(),
            standing: BTreeMap::new(),
            contracts: BTreeMap::new(),
            charges: Some(Vec::new()),
        }
    }
}

impl Folded {
    /// Why a question is over, and the entry that accepted it; none after it has expired.
    pub fn ended(&self, study: &StudyHash) -> Option<(EndReason, u64)> {
        let ended = self.ended.get(study)?;
        Some((ended.reason, ended.seq))
    }

    /// Charged for questions on a contract.
    pub fn of_contract(&self, name: &Name) -> Option<MicroRho> {
        let known = self.contracts.get(name);
        known.map_or(Some(MicroRho::ZERO), |(charged, _)| *charged)
    }

    /// What of that rests on nobody but this node.
    pub fn floor_of_contract(&self, name: &Name) -> Option<MicroRho> {
        let known = self.contracts.get(name);
        known.map_or(Some(MicroRho::ZERO), |(_, floor)| *floor)
    }

    /// Charged from a moment on.
    pub fn since(&self, start: Timestamp) -> Option<MicroRho> {
        let charges = self.charges.as_ref()?;
        let all = charges.last().map_or(MicroRho::ZERO, |(_, all)| *all);
        let before = charges.partition_point(|(at, _)| *at < start);
        let before = before.checked_sub(1).map(|last| charges[last].1);
        Some(all.left_after(before.unwrap_or_default()))
    }

    /// Charged for questions under a standing study.
    pub fn of_standing(&self, standing: &StudyHash) -> MicroRho {
        let known = self.standing.get(standing);
        known.map_or(MicroRho::ZERO, |report| report.spent.everyone)
    }

    /// One line for each standing study.
    pub fn reports(&self) -> impl Iterator<Item = StudyReport> {
        self.standing.values().cloned()
    }

    /// How many questions may still be offered again.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        self.ended.len()
    }

    /// Forgets what has expired: policy refuses it by itself from then on.
    pub fn forget(&mut self, present: Timestamp) {
        while let Some((expires, study)) = self.expiring.first().copied()
            && expires < present
        {
            self.expiring.pop_first();
            self.ended.remove(&study);
        }
    }

    fn add(&mut self, study: StudyHash, account: &Account, standing: StudyHash) -> Option<()> {
        let reason = account.ended?;
        let report = account.report(study)?;
        let (seq, expires) = (account.seq, account.terms.expires);
        let charged = report.spent.everyone;
        let line = match self.standing.get(&standing) {
            Some(known) => known.with(&report)?,
            None => StudyReport {
                study: standing,
                questions: Some(1),
                ended: None,
                ..report
            },
        };
        self.standing.insert(standing, line);
        self.ended.insert(study, Ended { reason, seq });
        self.expiring.insert((expires, study));
        let floor = floor_of(&account.terms, Parts::only(Part::Everyone, charged));
        let nothing = (Some(MicroRho::ZERO), Some(MicroRho::ZERO));
        let contract = account.terms.contract_name.clone();
        let (all, floors) = self.contracts.entry(contract).or_insert(nothing);
        *all = all.and_then(|all| all.checked_add(charged));
        *floors = floors
            .zip(floor)
            .and_then(|(all, one)| all.checked_add(one));
        for (_, spend) in &account.spends {
            self.charges = self
                .charges
                .take()
                .and_then(|all| with(all, spend.at, spend.urho));
        }
        Some(())
    }
}

/// Charges with one more; late ones come last, so that hardly any has to be moved.
fn with(
    mut charges: Vec<(Timestamp, MicroRho)>,
    at: Timestamp,
    urho: MicroRho,
) -> Option<Vec<(Timestamp, MicroRho)>> {
    let after = charges.partition_point(|(known, _)| *known <= at);
    let before = after.checked_sub(1).map(|last| charges[last]);
    let (last, sum) = before.unwrap_or_default();
    if before.is_none() || last != at {
        charges.insert(after, (at, sum));
    }
    let from = charges.partition_point(|(known, _)| *known < at);
    for (_, sum) in &mut charges[from..] {
        *sum = sum.checked_add(urho)?;
    }
    Some(charges)
}

impl Ledger {
    /// Folds a question's account, if it is over and nothing more can be written about it.
    pub(super) fn fold(&mut self, study: &StudyHash) {
        let Some(account) = self.accounts.get(study) else {
            return;
        };
        let question = matches!(account.terms.plan, Plan::Question { .. });
        let standing = account.signed.filter(|signed| signed != study);
        let Some(standing) = standing.filter(|_| question && account.is_settled()) else {
            return;
        };
        // What does not fit stays as it is, and counts as it did.
        if self.folded.add(*study, account, standing).is_some()
            && let Some(account) = self.accounts.remove(study)
        {
            self.marks.fold(study, &account.terms.roster);
        }
    }
}

impl Account {
    /// Over, with every charge closed, and all of them for everybody.
    fn is_settled(&self) -> bool {
        let mut spends = self.spends.iter().map(|(_, spend)| spend);
        self.ended.is_some()
            && spends.all(|spend| {
                spend.part == Part::Everyone && self.is_closed(spend.round, spend.attempt)
            })
    }
}

#[cfg(test)]
#[path = "folded_tests.rs"]
mod tests;
