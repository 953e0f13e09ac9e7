//! From a study file to the terms that every party hashes and signs: prices, scales, roster, slots.
//!
//! Pure: accounting, identity of the study and the time come in as arguments. Registers nothing.

use std::collections::BTreeSet;

use aquifer_shared::base::ids::{Hash32, IdentityKey, Name, StudyHash};
use aquifer_shared::base::limits::{NAME_BYTES_MAX, QUESTIONS_RUNNING_MAX, STUDY_LIFE_MS_MAX};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::{Delta, Epsilon, MicroRho, OutOfRange};
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::predictor::arithmetic::COUNT;
use aquifer_shared::domain::predictor::plan::{RESIDUAL_ROUNDS, Shape, additive_rounds, clip_for};
use aquifer_shared::domain::sum::{
    BrokenRule, HoldOut, NoiseShare, Part, Plan, RoundTerms, SLOTS_MS, SUM_VERSION, StudyTerms,
    TrustMode, smallest_slot_ms, study_hash,
};
use aquifer_shared::protocol::codec::encode;

use super::expand_notes::notes;
use super::expand_standing::standing;
use super::expand_trust::trust;
use super::study_file::{HoldOutChoice, Nodes, PlanChoice, StudyFile};

/// How rho and (epsilon, delta) convert; the shell passes OpenDP's.
#[derive(Clone, Copy, Debug)]
pub struct Accountant {
    /// The largest price whose epsilon at this delta is within the target.
    pub largest_urho: fn(Epsilon, Delta) -> MicroRho,
    /// Epsilon of a price at this delta, rounded up.
    pub epsilon: fn(MicroRho, Delta) -> f64,
}

/// A study ready to be signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Expanded {
    /// Its terms.
    pub terms: StudyTerms,
    /// Their encoding, as it is hashed and travels.
    pub bytes: Vec<u8>,
    /// The study's identity.
    pub hash: StudyHash,
    /// Names of the members, in the order of the roster.
    pub members: Vec<Name>,
    /// What the submitter should know.
    pub notes: Vec<String>,
}

/// Why a study file does not become a study.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ExpandError {
    /// The file names another contract.
    #[error("the study is for contract {wanted}, the contract file is {found}")]
    Contract {
        /// In the study file.
        wanted: String,
        /// In the contract file.
        found: String,
    },
    /// The file pins another hash.
    #[error("the study pins contract hash {wanted}, the contract file has {found}")]
    ContractHash {
        /// In the study file.
        wanted: Hash32,
        /// Of the contract file.
        found: Hash32,
    },
    /// A member that the registry does not have.
    #[error("node {0} is not in the registry, or was revoked; `aquifer nodes` lists them")]
    UnknownNode(Name),
    /// A member that is named twice.
    #[error("node {0} is named twice")]
    TwiceNamed(Name),
    /// Nobody to ask.
    #[error("no node has joined, invite one first")]
    NoNodes,
    /// A number that does not fit the rest of the file or the contract.
    #[error("{key} is {got}, expected {expected}")]
    Value {
        /// Key in the study file.
        key: &'static str,
        /// Found.
        got: String,
        /// Expected.
        expected: String,
    },
    /// A number outside its range.
    #[error(transparent)]
    Range(#[from] OutOfRange),
    /// The price does not carry the rounds.
    #[error("{urho} cannot be split into {rounds} sums with scales within limits; raise epsilon")]
    Price {
        /// For one part of one node.
        urho: MicroRho,
        /// How many sums.
        rounds: usize,
    },
    /// The plan is for measuring only.
    #[error("plan synthetic needs `synthetic = true`, so that nodes can refuse it")]
    NotMarked,
    /// The result breaks a rule of the private sum.
    #[error(transparent)]
    Rule(#[from] BrokenRule),
}

impl ExpandError {
    /// Stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Contract { .. } | Self::ContractHash { .. } => "contract-differs",
            Self::UnknownNode(_) | Self::TwiceNamed(_) | Self::NoNodes => "roster",
            Self::Value { .. } | Self::Range(_) => "value",
            Self::Price { .. } => "price",
            Self::NotMarked => "synthetic",
            Self::Rule(_) => "rule",
        }
    }
}

/// Expands a study file; `registry` holds the nodes that have joined and are not revoked.
///
/// # Privacy
///
/// The epsilon of the file bounds what one customer loses in all. Where a customer may be at m nodes, in node-noise each
/// node gets an m-th of the price; in shared-noise the scale is made for m copies. In both, training and evaluation then share
/// the price because they may read the same customer.
///
/// # Errors
///
/// The first thing that does not fit.
pub fn expand(
    file: &StudyFile,
    contract: &Contract,
    registry: &[(Name, IdentityKey)],
    study_id: [u8; 16],
    now: Timestamp,
    accountant: Accountant,
) -> Result<Expanded, ExpandError> {
    check_contract(file, contract)?;
    check_public_sizes(file)?;
    let multiplicity = multiplicity(file, contract)?;
    let roster = roster(&file.nodes, registry)?;
    let (total, epsilon) = price(file, accountant)?;
    let trust = trust(file, roster.len())?;
    let share = share_of_one_node(total, multiplicity, trust.mode, &file.plan);
    let noise_share = trust.noise_share(multiplicity);
    let expires = expires(file, now)?;
    let (plan, rounds) = match &file.plan {
        PlanChoice::Questions(wish) => {
            let standing = standing(file, wish, contract, (study_id, share, expires))?;
            (standing, Vec::new())
        }
        _ => rounds(file, contract, share, epsilon, noise_share)?,
    };
    let slot_ms = slot_ms(file, contract)?;
    let mut terms = StudyTerms {
        version: SUM_VERSION,
        study_id,
        name: file.name.clone(),
        family: file.family.as_ref().unwrap_or(&contract.name).clone(),
        purpose: file.purpose.clone(),
        contract_name: contract.name.clone(),
        contract_version: contract.version,
        contract_hash: contract.hash(),
        plan,
        mode: trust.mode,
        roster: roster.iter().map(|(_, key)| *key).collect(),
        d_max: trust.d_max,
        c_max: trust.c_max,
        multiplicity,
        urho_cap: cap(&rounds, file.spare_attempts).ok_or(ExpandError::Price {
            urho: share,
            rounds: rounds.len(),
        })?,
        rounds,
        attempts_max: file.attempts_max,
        urho: share,
        delta: file.delta,
        population: file.population,
        customers_max: file.customers_max,
        holdout: match &file.plan {
            // A question reads everybody.
            PlanChoice::Questions(_) => HoldOut::Fraction(0),
            _ => holdout(&file.holdout)?,
        },
        slot_ms,
        phase_ms: phase_ms(file, contract, slot_ms, trust.mode)?,
        attempt_ttl_ms: ATTEMPT_TTL_MS,
        expires,
        quorum: trust.quorum,
        gate: file.gate,
        expected_gain_ppm: file.expected_gain.ppm(),
        synthetic: file.synthetic,
    };
    terms.urho = terms.price().unwrap_or(share);
    if terms.is_standing() {
        terms = terms.template();
    }
    terms.check()?;
    let bytes = encode(&terms);
    Ok(Expanded {
        hash: study_hash(&bytes),
        notes: notes(&terms, file.trust.is_some(), accountant),
        members: roster.into_iter().map(|(name, _)| name).collect(),
        bytes,
        terms,
    })
}

/// What a customer loses at most at all its nodes together: the price behind the study's epsilon.
#[must_use]
pub fn quoted_urho(terms: &StudyTerms) -> Option<MicroRho> {
    terms.quoted(terms.urho)
}

fn check_contract(file: &StudyFile, contract: &Contract) -> Result<(), ExpandError> {
    let wanted = &file.contract;
    if (&wanted.name, wanted.version) != (&contract.name, contract.version) {
        return Err(ExpandError::Contract {
            wanted: format!("{} version {}", wanted.name, wanted.version),
            found: format!("{} version {}", contract.name, contract.version),
        });
    }
    let found = contract.hash();
    match wanted.hash {
        Some(wanted) if wanted != found => Err(ExpandError::ContractHash { wanted, found }),
        _ => Ok(()),
    }
}

fn check_public_sizes(file: &StudyFile) -> Result<(), ExpandError> {
    if file.population == 0 {
        return Err(value("population", 0, "at least 1"));
    }
    let delta_max = 1.0 / (10.0 * file.population as f64);
    if file.delta.get() > delta_max {
        let expected = format!("at most {delta_max:e}, which is 1 / (10 · population)");
        return Err(value("delta", file.delta.get(), expected));
    }
    Ok(())
}

fn multiplicity(file: &StudyFile, contract: &Contract) -> Result<u16, ExpandError> {
    let stated = file.multiplicity.unwrap_or(contract.multiplicity);
    if stated >= contract.multiplicity {
        return Ok(stated);
    }
    let expected = format!("at least the contract's {}", contract.multiplicity);
    Err(value("multiplicity", stated, expected))
}

/// Members by rising key.
fn roster(
    nodes: &Nodes,
    registry: &[(Name, IdentityKey)],
) -> Result<Vec<(Name, IdentityKey)>, ExpandError> {
    let mut members = match nodes {
        Nodes::All => registry.to_vec(),
        Nodes::Named(names) => named(names, registry)?,
    };
    if members.is_empty() {
        return Err(ExpandError::NoNodes);
    }
    members.sort_by_key(|(_, key)| *key);
    Ok(members)
}

fn named(
    names: &[Name],
    registry: &[(Name, IdentityKey)],
) -> Result<Vec<(Name, IdentityKey)>, ExpandError> {
    let mut seen = BTreeSet::new();
    let find = |name: &Name| registry.iter().find(|(known, _)| known == name).cloned();
    let mut members = Vec::with_capacity(names.len());
    for name in names {
        if !seen.insert(name) {
            return Err(ExpandError::TwiceNamed(name.clone()));
        }
        members.push(find(name).ok_or_else(|| ExpandError::UnknownNode(name.clone()))?);
    }
    Ok(members)
}

/// Price and epsilon of the whole study.
fn price(file: &StudyFile, accountant: Accountant) -> Result<(MicroRho, Epsilon), ExpandError> {
    match (file.epsilon, file.urho) {
        (Some(epsilon), None) => Ok(((accountant.largest_urho)(epsilon, file.delta), epsilon)),
        (None, Some(urho)) => {
            let urho = MicroRho(urho);
            let epsilon = (accountant.epsilon)(urho, file.delta);
            Ok((urho, Epsilon::try_from(epsilon)?))
        }
        _ => Err(value("epsilon", "not alone", "one of epsilon and urho")),
    }
}

/// What one part may cost at one node.
fn share_of_one_node(
    total: MicroRho,
    multiplicity: u16,
    mode: TrustMode,
    plan: &PlanChoice,
) -> MicroRho {
    let copies = match mode {
        TrustMode::NodeNoise => u64::from(multiplicity.max(1)),
        // One noise covers all copies; its scale is made for them.
        TrustMode::SharedNoise => 1,
    };
    let parts = match plan {
        // A customer at several nodes may be in training at one and held out at another.
        PlanChoice::Additive if multiplicity > 1 => 2,
        _ => 1,
    };
    MicroRho(total.0 / (copies * parts))
}

fn rounds(
    file: &StudyFile,
    contract: &Contract,
    share: MicroRho,
    epsilon: Epsilon,
    noise_share: NoiseShare,
) -> Result<(Plan, Vec<RoundTerms>), ExpandError> {
    match &file.plan {
        PlanChoice::Additive => {
            let (clip, residual_rounds) = (clip_for(epsilon), RESIDUAL_ROUNDS);
            let rounds =
                additive_rounds(&shapes(contract), share, clip, residual_rounds, noise_share);
            let plan = Plan::Additive {
                clip,
                rounds: residual_rounds,
            };
            let refused = ExpandError::Price {
                urho: share,
                rounds: usize::from(residual_rounds) + 2,
            };
            Ok((plan, rounds.ok_or(refused)?))
        }
        PlanChoice::Questions(_) => unreachable!("a standing study has no rounds"),
        PlanChoice::Synthetic { .. } if !file.synthetic => Err(ExpandError::NotMarked),
        PlanChoice::Synthetic { cells, rounds } => {
            let round =
                synthetic_round(*cells, *rounds, share, noise_share).ok_or(ExpandError::Price {
                    urho: share,
                    rounds: (*rounds).into(),
                })?;
            let plan = Plan::Synthetic {
                cells: *cells,
                rounds: *rounds,
            };
            Ok((plan, vec![round; (*rounds).into()]))
        }
    }
}

/// Features of a contract as plans see them.
#[must_use]
pub fn shapes(contract: &Contract) -> Vec<Shape> {
    let shapes = contract.shapes().into_iter();
    shapes
        .map(|(ordered, cells)| Shape { ordered, cells })
        .collect()
}

/// A counting sum of one cell per customer.
fn synthetic_round(
    cells: u32,
    rounds: u16,
    share: MicroRho,
    noise_share: NoiseShare,
) -> Option<RoundTerms> {
    let urho = MicroRho(share.0.checked_div(rounds.into())?);
    let cell_abs_max = COUNT as u32;
    let delta_sq = u64::from(cell_abs_max).pow(2);
    Some(RoundTerms {
        part: Part::Training,
        cells_max: cells,
        cell_abs_max,
        delta_sq,
        urho,
        sigma_share: noise_share.scale(delta_sq, urho)?,
    })
}

/// The dearer part with its spare attempts, each at the part's dearest round.
fn cap(rounds: &[RoundTerms], spare_attempts: u16) -> Option<MicroRho> {
    let of_part = |part| {
        let prices = || rounds.iter().filter(|round| round.part == part);
        let once = prices()
            .map(|round| round.urho)
            .try_fold(MicroRho::ZERO, MicroRho::checked_add)?;
        let dearest = prices().map(|round| round.urho).max();
        let spare = dearest
            .unwrap_or(MicroRho::ZERO)
            .checked_mul(spare_attempts.into())?;
        once.checked_add(spare)
    };
    let parts = of_part(Part::Training)?.max(of_part(Part::HoldOut)?);
    Some(parts.max(of_part(Part::Everyone)?))
}

fn holdout(choice: &HoldOutChoice) -> Result<HoldOut, ExpandError> {
    match choice {
        HoldOutChoice::Fraction(share) => Ok(HoldOut::Fraction(share.ppm())),
        HoldOutChoice::Column(column) if column.trim().is_empty() => {
            Err(value("holdout.column", "empty", "the name of a column"))
        }
        HoldOutChoice::Column(column) if column.len() > NAME_BYTES_MAX => {
            let got = format!("{} bytes long", column.len());
            Err(value("holdout.column", &got, "at most 128 bytes"))
        }
        HoldOutChoice::Column(column) => Ok(HoldOut::Column(column.clone())),
    }
}

fn slot_ms(file: &StudyFile, contract: &Contract) -> Result<u32, ExpandError> {
    let smallest = smallest_slot_ms(file.customers_max, contract.columns.len() as u64);
    match file.slot_ms {
        None => Ok(smallest),
        Some(slot) if file.synthetic && slot <= SLOT_MS_MAX => Ok(slot),
        Some(slot) if SLOTS_MS.contains(&slot) && slot >= smallest => Ok(slot),
        Some(slot) => {
            let fitting = SLOTS_MS.iter().filter(|slot| **slot >= smallest);
            let fitting: Vec<String> = fitting.map(u32::to_string).collect();
            let expected = format!("one of {} for these sizes", fitting.join(", "));
            Err(value("slot_ms", slot, expected))
        }
    }
}

fn phase_ms(
    file: &StudyFile,
    contract: &Contract,
    slot_ms: u32,
    mode: TrustMode,
) -> Result<u32, ExpandError> {
    // Where analysts ask, a round's slots begin after those of the questions before it.
    let questions_ms = QUESTIONS_MS * u32::from(!contract.published.is_empty());
    let smallest = slot_ms.max(1);
    let usual = (2 * slot_ms).max(PHASE_MS_MIN) + questions_ms;
    let phase = file.phase_ms.unwrap_or(usual);
    let (largest, why) = match mode {
        TrustMode::NodeNoise => (ATTEMPT_TTL_MS, "an attempt's life"),
        TrustMode::SharedNoise => (
            ATTEMPT_TTL_MS / 4,
            "an attempt's life over the four steps of shared-noise",
        ),
    };
    if (smallest..=largest).contains(&phase) {
        return Ok(phase);
    }
    let expected = format!("from {smallest} (the slot) to {largest} ({why})");
    Err(value("phase_ms", phase, expected))
}

fn expires(file: &StudyFile, now: Timestamp) -> Result<Timestamp, ExpandError> {
    let hours = file.expires_in_hours.unwrap_or(LIFE_HOURS);
    let relative = now.after_ms(u64::from(hours) * 3_600_000);
    let expires = file.expires.map_or(relative, Timestamp);
    if now < expires && expires <= now.after_ms(STUDY_LIFE_MS_MAX) {
        return Ok(expires);
    }
    let key = if file.expires.is_some() {
        "expires"
    } else {
        "expires_in_hours"
    };
    let got = file.expires.unwrap_or(hours.into());
    Err(value(key, got, "later than now, within a year"))
}

pub(super) fn value(
    key: &'static str,
    got: impl ToString,
    expected: impl Into<String>,
) -> ExpandError {
    ExpandError::Value {
        key,
        got: got.to_string(),
        expected: expected.into(),
    }
}

/// How long an attempt may live at a node.
const ATTEMPT_TTL_MS: u32 = 120_000;
/// Stragglers are waited for at least this long unless the study says otherwise.
const PHASE_MS_MIN: u32 = 2_000;
/// So much longer where analysts may have as many questions under way as they may, in slots of 50 ms.
const QUESTIONS_MS: u32 = 50 * QUESTIONS_RUNNING_MAX as u32;
/// Longest slot.
const SLOT_MS_MAX: u32 = 10_000;
/// Life of a study that states none.
pub(super) const LIFE_HOURS: u32 = 24;

#[cfg(test)]
#[path = "expand_tests.rs"]
mod tests;
