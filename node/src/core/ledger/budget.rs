//! What the entries add up to: prices per study, part and cap. Integers only; what does not fit is refused.
//!
//! Two studies share their split into training and hold-out only if they belong to one family with one rule, on one contract and
//! under one key of the node. Within such a group a customer is in one part; across groups it may be in either, so groups add up.
//! A column may have other content by the next study: studies that hold out by it add up one by one.

use std::collections::BTreeMap;

use aquifer_shared::base::ids::{Hash32, Name, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::{HoldOut, Part, StudyTerms, TrustMode};
use aquifer_shared::protocol::wire::Approval;
use serde::Serialize;

use super::Ledger;
use super::entry::{Close, EndReason, Parts, Spend};

/// What the unit allows in all; no defaults.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caps {
    /// Per contract (by name, all its versions), for good.
    pub per_contract: MicroRho,
    /// All contracts together, in any 365 days.
    pub per_year: MicroRho,
}

/// One study's account.
#[derive(Clone, Debug)]
pub(super) struct Account {
    /// Its terms, as accepted.
    pub terms: StudyTerms,
    /// The approvals that it was accepted with.
    pub approvals: Vec<Approval>,
    /// What was set aside.
    pub reserved: Parts,
    /// Under which key its customers are split.
    pub split: Hash32,
    /// What was paid, in order.
    pub spends: Vec<(u64, Spend)>,
    /// Attempts that are over.
    pub closes: Vec<Close>,
    /// Set once the rest of the reservation was returned.
    pub ended: Option<EndReason>,
    /// Entry that accepted it.
    pub seq: u64,
    /// What its approvers signed: the study itself, or the standing study behind a question.
    pub signed: Option<StudyHash>,
}

/// Which budget is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope<'a> {
    /// Everything that a contract has ever cost.
    Contract(&'a Name),
    /// Everything from this moment on, reservations included.
    Since(Timestamp),
}

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Count {
    /// Charges.
    Spent,
    /// Charges and what open studies may still charge.
    Committed,
}

/// Budget under one cap, in micro-rho.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct CapReport {
    /// The cap.
    pub cap: MicroRho,
    /// Charged.
    pub spent: MicroRho,
    /// Set aside by open studies and not charged yet.
    pub reserved: MicroRho,
    /// Left for new studies.
    pub left: MicroRho,
}

/// One study's part of the budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StudyReport {
    /// The study.
    pub study: StudyHash,
    /// Its name.
    pub name: Name,
    /// Its purpose.
    pub purpose: Name,
    /// Charged, part by part.
    pub spent: Parts,
    /// Set aside and not charged, part by part.
    pub reserved: Parts,
    /// Charged: the larger part, or both where they may share a customer.
    pub urho: MicroRho,
    /// Who must be honest for it.
    pub mode: TrustMode,
    /// Honest noise shares that it rests on; 1 in node-noise.
    pub honest: u16,
    /// What a customer loses in the worst case, if more members collude than the study allows for; none in node-noise.
    pub floor: Option<MicroRho>,
    /// Delta of its statement.
    pub delta: f64,
    /// At how many nodes a customer may be.
    pub multiplicity: u16,
    /// Attempts charged.
    pub attempts: u32,
    /// Set once it is over.
    pub ended: Option<EndReason>,
    /// How many questions that are over the line stands for; the study is what was signed for them then.
    pub questions: Option<u64>,
}

impl StudyReport {
    /// The line of questions under one standing study with one more.
    pub(super) fn with(&self, more: &Self) -> Option<Self> {
        let floor = match (self.floor, more.floor) {
            (Some(floor), Some(more)) => Some(floor.checked_add(more)?),
            _ => None,
        };
        Some(Self {
            spent: self.spent.checked_add(more.spent)?,
            urho: self.urho.checked_add(more.urho)?,
            floor,
            attempts: self.attempts.checked_add(more.attempts)?,
            questions: Some(self.questions.unwrap_or(0) + 1),
            ..self.clone()
        })
    }
}

/// The whole budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BudgetReport {
    /// Contract that the caps are shown for.
    pub contract: Name,
    /// Its cap.
    pub per_contract: CapReport,
    /// The yearly cap.
    pub per_year: CapReport,
    /// Studies in the order of their acceptance; then questions that are over, one line for each standing study.
    pub studies: Vec<StudyReport>,
}

impl Account {
    /// Charges, part by part, from a moment on.
    pub fn spent(&self, since: Timestamp) -> Option<Parts> {
        let counted = self.spends.iter().filter(|(_, spend)| spend.at >= since);
        counted
            .map(|(_, spend)| Parts::only(spend.part, spend.urho))
            .try_fold(Parts::default(), Parts::checked_add)
    }

    /// What may still be charged, part by part.
    pub fn outstanding(&self) -> Option<Parts> {
        if self.ended.is_some() {
            return Some(Parts::default());
        }
        Some(self.reserved.left_after(self.spent(Timestamp(0))?))
    }

    fn counted(&self, scope: Scope, count: Count) -> Option<Parts> {
        let since = match scope {
            Scope::Contract(name) if *name != self.terms.contract_name => {
                return Some(Parts::default());
            }
            Scope::Contract(_) => Timestamp(0),
            Scope::Since(start) => start,
        };
        let spent = self.spent(since)?;
        match count {
            Count::Spent => Some(spent),
            Count::Committed => spent.checked_add(self.outstanding()?),
        }
    }

    pub fn report(&self, study: StudyHash) -> Option<StudyReport> {
        let spent = self.spent(Timestamp(0))?;
        let urho = combine(spent, adds(&self.terms))?;
        Some(StudyReport {
            study,
            name: self.terms.name.clone(),
            purpose: self.terms.purpose.clone(),
            spent,
            reserved: self.outstanding()?,
            urho,
            mode: self.terms.mode,
            honest: self.terms.honest().unwrap_or(1),
            floor: self.terms.floor(urho),
            delta: self.terms.delta.get(),
            multiplicity: self.terms.multiplicity,
            attempts: u32::try_from(self.spends.len()).ok()?,
            ended: self.ended,
            questions: None,
        })
    }
}

impl Ledger {
    /// Spent, reserved and left, by cap and by study; `None` where a sum does not fit (nothing is left then).
    #[must_use]
    pub fn report(&self, now: Timestamp, caps: Caps, contract: &Name) -> Option<BudgetReport> {
        let mut studies: Vec<_> = self.accounts.iter().collect();
        studies.sort_by_key(|(_, account)| account.seq);
        let reports = studies
            .into_iter()
            .map(|(study, account)| account.report(*study));
        Some(BudgetReport {
            contract: contract.clone(),
            per_contract: self.cap_report(Scope::Contract(contract), caps.per_contract)?,
            per_year: self.cap_report(Scope::Since(Self::year_start(now)), caps.per_year)?,
            studies: reports
                .chain(self.folded.reports().map(Some))
                .collect::<Option<_>>()?,
        })
    }

    /// What these caps leave for new studies of everybody under a contract; nothing where a sum does not fit.
    #[must_use]
    pub fn left(&self, now: Timestamp, caps: Caps, contract: &Name) -> MicroRho {
        let year = Scope::Since(Self::year_start(now));
        let scopes = [
            (Scope::Contract(contract), caps.per_contract),
            (year, caps.per_year),
        ];
        let left = scopes.map(|(scope, cap)| self.cap_report(scope, cap));
        let left = left.map(|report| report.map_or(MicroRho::ZERO, |report| report.left));
        left[0].min(left[1])
    }

    /// What customers would lose if every other member colluded: all studies on a contract, charged and set aside, and what was
    /// written off; `None` where a sum does not fit.
    #[must_use]
    pub fn floor_committed(&self, contract: &Name) -> Option<MicroRho> {
        let over = self.folded.floor_of_contract(contract)?;
        let nothing = self.floor_written_off()?.checked_add(over)?;
        let accounts = self.accounts.values();
        let on_it = accounts.filter(|account| account.terms.contract_name == *contract);
        on_it.into_iter().try_fold(nothing, |sum, account| {
            let spent = account.spent(Timestamp(0))?;
            let parts = spent.checked_add(account.outstanding()?)?;
            sum.checked_add(floor_of(&account.terms, parts)?)
        })
    }

    fn cap_report(&self, scope: Scope, cap: MicroRho) -> Option<CapReport> {
        let spent = self.total(None, scope, Count::Spent)?;
        let committed = self.total(None, scope, Count::Committed)?;
        Some(CapReport {
            cap,
            spent,
            reserved: committed.left_after(spent),
            left: cap.left_after(committed),
        })
    }
}

/// What a study sets aside: per part its cap, or the price of all its attempts where that is less.
#[must_use]
pub fn reservation(terms: &StudyTerms) -> Option<Parts> {
    let of = |part| -> Option<MicroRho> {
        let all = terms.part_price(part)?;
        Some(
            all.checked_mul(terms.attempts_max.into())?
                .min(terms.urho_cap),
        )
    };
    Some(Parts {
        training: of(Part::Training)?,
        holdout: of(Part::HoldOut)?,
        everyone: of(Part::Everyone)?,
    })
}

/// Everything that accounts, and perhaps one more reservation, come to under a scope.
pub(super) fn total<'a>(
    accounts: impl Iterator<Item = &'a Account>,
    extra: Option<(&'a StudyTerms, Hash32, Parts)>,
    scope: Scope,
    count: Count,
) -> Option<MicroRho> {
    let mut groups: BTreeMap<Split<'_>, Parts> = BTreeMap::new();
    for account in accounts {
        let split = Split::of(&account.terms, account.split, account.seq);
        add(&mut groups, split, account.counted(scope, count)?)?;
    }
    if let Some((terms, key, parts)) = extra {
        add(&mut groups, Split::of(terms, key, u64::MAX), parts)?;
    }
    let prices = groups
        .into_iter()
        .map(|(split, parts)| combine(parts, split.adds));
    prices.into_iter().try_fold(MicroRho::ZERO, |sum, price| {
        price.and_then(|price| sum.checked_add(price))
    })
}

fn add<'a>(groups: &mut BTreeMap<Split<'a>, Parts>, split: Split<'a>, parts: Parts) -> Option<()> {
    let group = groups.entry(split).or_default();
    *group = group.checked_add(parts)?;
    Some(())
}

/// A set of studies with the same split of customers.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Split<'a> {
    /// Another contract may name customers by another unit, and so split them otherwise.
    contract: Hash32,
    rule: Rule<'a>,
    adds: bool,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Rule<'a> {
    /// By a keyed hash: family, share, and which key.
    Hash(&'a Name, u32, Hash32),
    /// By a column, as it was for the study that was accepted by this entry.
    Column(u64),
}

impl<'a> Split<'a> {
    fn of(terms: &'a StudyTerms, key: Hash32, seq: u64) -> Self {
        let rule = match &terms.holdout {
            HoldOut::Fraction(ppm) => Rule::Hash(&terms.family, *ppm, key),
            HoldOut::Column(_) => Rule::Column(seq),
        };
        let adds = adds(terms);
        Self {
            contract: terms.contract_hash,
            rule,
            adds,
        }
    }
}

/// A customer at several nodes may be in training at one and held out at another.
fn adds(terms: &StudyTerms) -> bool {
    terms.multiplicity > 1
}

/// The price of these parts if this node's noise alone protected its customers; studies add up whatever part a customer is in.
pub(in super::super) fn floor_of(terms: &StudyTerms, parts: Parts) -> Option<MicroRho> {
    let charged = combine(parts, adds(terms))?;
    match terms.mode {
        TrustMode::NodeNoise => Some(charged),
        TrustMode::SharedNoise => terms.floor(charged),
    }
}

fn combine(parts: Parts, adds: bool) -> Option<MicroRho> {
    let apart = match adds {
        true => parts.training.checked_add(parts.holdout)?,
        false => parts.training.max(parts.holdout),
    };
    apart.checked_add(parts.everyone)
}

/// The rolling year of [`Caps::per_year`].
pub(super) const YEAR_MS: u64 = 365 * 24 * 3_600 * 1_000;
