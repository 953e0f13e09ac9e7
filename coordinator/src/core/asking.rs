//! From a checked question to the study that answers it: terms under a standing study, and what makes two questions the same.
//!
//! Pure: prices, identities and the time come in as arguments. Spends nothing.

use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::ids::{Hash32, Name, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Published;
use aquifer_shared::domain::question::Question;
use aquifer_shared::domain::sum::{Plan, Standing, StudyTerms, study_hash};
use aquifer_shared::protocol::codec::encode;

/// What an analyst wants to pay, and under which standing study.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// Terms of the standing study, as approved.
    pub standing: &'a StudyTerms,
    /// The table that the question reads.
    pub table: &'a Published,
    /// The checked question.
    pub question: &'a Question,
    /// Data version of each member, in the order of the roster.
    pub data: &'a [Name],
    /// Price of one attempt; the standing study's default where there is none.
    pub urho: Option<MicroRho>,
}

/// Why a question has no study.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoStudy {
    /// More than the approvers allow for one question.
    #[error("the question costs {got} with its repeated attempts, one question may cost {max}")]
    AboveMaximum {
        /// Found.
        got: MicroRho,
        /// Allowed.
        max: MicroRho,
    },
    /// Too little for any scale within limits, or more cells than fit.
    #[error("at {0} no noise within limits fits the question")]
    Unpriced(MicroRho),
    /// What was read is no standing study.
    #[error("no standing study")]
    NotStanding,
}

/// What must be the same for a stored answer to answer again: plan, purpose, state of the data, roster and trust.
#[must_use]
pub fn answer_key(standing: &StudyTerms, question: &Question, data: &[Name]) -> Hash32 {
    let roster = (
        &standing.roster,
        standing.mode,
        standing.d_max,
        standing.c_max,
    );
    labelled(
        "aquifer/answer/1",
        &[
            &encode(question),
            &standing.contract_hash.0,
            standing.purpose.as_str().as_bytes(),
            &encode(&data.to_vec()),
            &encode(&roster),
        ],
    )
}

/// What a question says of its standing study.
#[must_use]
pub fn standing_of(terms: &StudyTerms) -> Option<&Standing> {
    match &terms.plan {
        Plan::Question { standing, .. } => Some(standing),
        Plan::Additive { .. } | Plan::Synthetic { .. } => None,
    }
}

/// The price of one attempt of a question.
///
/// # Errors
///
/// More than one question may cost.
pub fn price(standing: &StudyTerms, wish: Option<MicroRho>) -> Result<MicroRho, NoStudy> {
    let allowed = standing_of(standing).ok_or(NoStudy::NotStanding)?;
    let urho = wish.unwrap_or(allowed.urho_question_default);
    let max = allowed.urho_question_max;
    match urho.checked_mul(standing.attempts_max.into()) {
        Some(all) if all <= max => Ok(urho),
        all => Err(NoStudy::AboveMaximum {
            got: all.unwrap_or(MicroRho(u64::MAX)),
            max,
        }),
    }
}

/// The terms of the study that answers a question, with their encoding and identity.
///
/// # Errors
///
/// A price that the standing study rules out, or that buys no scale.
pub fn study_of(
    wish: &Wish<'_>,
    study_id: [u8; 16],
    now: Timestamp,
) -> Result<(StudyTerms, Vec<u8>, StudyHash), NoStudy> {
    let standing = wish.standing;
    let allowed = standing_of(standing).ok_or(NoStudy::NotStanding)?;
    let urho = price(standing, wish.urho)?;
    let share = standing.noise_share().ok_or(NoStudy::NotStanding)?;
    let round = wish
        .question
        .round(wish.table, standing.customers_max, urho, share)
        .ok_or(NoStudy::Unpriced(urho))?;
    let slot_ms = wish.question.slot_ms(wish.table, standing.customers_max);
    let cap = urho
        .checked_mul(standing.attempts_max.into())
        .ok_or(NoStudy::Unpriced(urho))?;
    let terms = StudyTerms {
        study_id,
        plan: Plan::Question {
            question: encode(wish.question),
            data: wish.data.to_vec(),
            standing: allowed.clone(),
        },
        rounds: vec![round],
        urho_cap: cap,
        urho,
        slot_ms,
        phase_ms: (2 * slot_ms).max(PHASE_MS_MIN),
        expires: allowed.expires.min(now.after_ms(QUESTION_LIFE_MS)),
        ..standing.clone()
    };
    let bytes = encode(&terms);
    let hash = study_hash(&bytes);
    Ok((terms, bytes, hash))
}

/// How long a question may take from submission to answer; what nodes set aside is free again after that at the latest.
const QUESTION_LIFE_MS: u64 = 10 * 60 * 1_000;
/// Stragglers are waited for at least this long.
const PHASE_MS_MIN: u32 = 2_000;
