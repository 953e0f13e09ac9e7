//! From a checked question to the study that answers it: terms under a standing study, and what makes two questions the same.
//!
//! Pure: prices, identities and the time come in as arguments. Spends nothing.

use std::collections::BTreeSet;

use aquifer_shared::base::calendar;
use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::ids::{Hash32, Name, StudyHash};
use aquifer_shared::base::limits::QUESTION_BYTES_MAX;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Published;
use aquifer_shared::domain::question::Question;
use aquifer_shared::domain::sum::{Plan, Standing, StudyTerms, study_hash};
use aquifer_shared::protocol::ask::{
    Answer, AnswerColumn, AnswerKind, AnswerValue, Objection, ReleaseLine, ReleasedSum,
};
use aquifer_shared::protocol::codec::{decode, encode};

use super::expand::Accountant;
use super::sql::{self, Noise, PublicTerms, Query, Refusal, Value, ValueKind, present};

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
    /// Price of one attempt.
    pub urho: MicroRho,
}

/// Why a question has no study.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoStudy {
    /// Too little for any scale within limits, or more cells than fit.
    #[error("at {0} no noise within limits fits the question")]
    Unpriced(MicroRho),
    /// What was read is no standing study.
    #[error("no standing study")]
    NotStanding,
}

/// What a request id stands for: plan, purpose, roster and trust, whatever the state of the data.
#[must_use]
pub fn plan_key(standing: &StudyTerms, question: &Question) -> Hash32 {
    answer_key(standing, question, &[])
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

/// The question that a study answers.
#[must_use]
pub fn question_of(terms: &StudyTerms) -> Option<Question> {
    match &terms.plan {
        Plan::Question { question, .. } => decode("question", question, QUESTION_BYTES_MAX).ok(),
        Plan::Additive { .. } | Plan::Synthetic { .. } => None,
    }
}

/// The public terms under which a question is asked, as its price tag needs them.
///
/// # Errors
///
/// What was read is no standing study.
pub fn public_terms(
    standing: &StudyTerms,
    table: &Published,
    question: &Question,
    data: &[Name],
) -> Result<PublicTerms, NoStudy> {
    let allowed = standing_of(standing).ok_or(NoStudy::NotStanding)?;
    let versions: BTreeSet<&str> = data.iter().map(Name::as_str).collect();
    let versions: Vec<&str> = versions.into_iter().collect();
    Ok(PublicTerms {
        mode: standing.mode,
        share: standing.noise_share().ok_or(NoStudy::NotStanding)?,
        nodes: u32::try_from(standing.roster.len()).unwrap_or(u32::MAX),
        customers_max: standing.customers_max,
        price_usual: allowed.urho_question_default,
        // What is signed covers repeated attempts.
        price_max: MicroRho(allowed.urho_question_max.0 / attempts(standing)),
        delta: standing.delta,
        cohort_floor: allowed.cohort_floor.into(),
        slot_ms: question.slot_ms(table, standing.customers_max),
        data_version: versions.join(", "),
    })
}

/// Attempts that a question may cost.
#[must_use]
pub fn attempts(standing: &StudyTerms) -> u64 {
    standing.attempts_max.max(1).into()
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
    let urho = wish.urho;
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

/// Rows for one asker from the released sum of a question, with what was paid; none where they do not belong together.
///
/// `floor` is that of the asker's standing study: the larger counts, hers or that of the study which answered. `attempts` is how many were paid, `made` says whether the answer was there before, and when it was released.
#[must_use]
pub fn answer_of(
    (study, attempts): (StudyHash, u32),
    terms: &StudyTerms,
    sum: &ReleasedSum,
    (query, floor): (&Query, u32),
    table: &Published,
    made: (bool, Timestamp),
    accountant: Accountant,
) -> Option<Answer> {
    let standing = standing_of(terms)?;
    let noise = Noise {
        sigma_share: terms.rounds.first()?.sigma_share,
        nodes: sum.updates,
    };
    let floor = floor.max(standing.cohort_floor);
    let shown = present(
        query,
        table,
        &sum.cells,
        noise,
        terms.customers_max,
        floor.into(),
    )
    .ok()?;
    let release = release((study, attempts), terms, sum, made, accountant)?;
    let mut notices = vec![notice(&release)];
    if shown.suppressed > 0 {
        notices.push(format!(
            "suppressed groups: {}; a noisy count below the cohort floor of {floor}, or noise that leaves nothing to say",
            shown.suppressed
        ));
    }
    Some(Answer {
        release: Some(release),
        ..rows(shown, notices)
    })
}

/// What was paid for an answer, and by whom it was given; none where the terms are another study's.
#[must_use]
pub fn release(
    (study, attempts): (StudyHash, u32),
    terms: &StudyTerms,
    sum: &ReleasedSum,
    (stored, created): (bool, Timestamp),
    accountant: Accountant,
) -> Option<ReleaseLine> {
    let Plan::Question { data, .. } = &terms.plan else {
        return None;
    };
    let mut data_versions = data.clone();
    data_versions.sort();
    data_versions.dedup();
    let quoted = terms.quoted(terms.urho.checked_mul(attempts.max(1).into())?)?;
    Some(ReleaseLine {
        study,
        standing: study_hash(&encode(&terms.template())),
        urho: quoted.0,
        epsilon: (accountant.epsilon)(quoted, terms.delta),
        delta: terms.delta.get(),
        stored,
        mode: terms.mode,
        members: terms.roster.len() as u32,
        updates: sum.updates,
        data_versions,
        created,
    })
}

fn notice(release: &ReleaseLine) -> String {
    let versions: Vec<&str> = release.data_versions.iter().map(Name::as_str).collect();
    let paid = match release.stored {
        true => "nothing charged, cached".to_owned(),
        false => format!(
            "rho {} charged at each of {} units, fresh",
            release.urho as f64 / 1e6,
            release.members
        ),
    };
    format!(
        "release {}: {paid}; {} of {} units in the sum, data version {}",
        release.study.short(),
        release.updates,
        release.members,
        versions.join(", ")
    )
}

/// Columns as they travel.
#[must_use]
pub fn columns(shown: Vec<sql::AnswerColumn>) -> Vec<AnswerColumn> {
    let kind = |kind| match kind {
        ValueKind::Text => AnswerKind::Text,
        ValueKind::Json => AnswerKind::Json,
        ValueKind::Date => AnswerKind::Day,
        ValueKind::Whole => AnswerKind::Whole,
        ValueKind::Real => AnswerKind::Number,
        ValueKind::Truth => AnswerKind::Truth,
    };
    let columns = shown.into_iter().map(|column| AnswerColumn {
        name: column.name,
        kind: kind(column.kind),
    });
    columns.collect()
}

/// Rows as they travel.
#[must_use]
pub fn rows(shown: sql::Answer, notices: Vec<String>) -> Answer {
    let value = |value| match value {
        Value::Null => AnswerValue::Null,
        Value::Text(text) | Value::Json(text) => AnswerValue::Text(text),
        Value::Date(day) => AnswerValue::Text(calendar::written(day)),
        Value::Whole(number) => AnswerValue::Whole(number),
        Value::Real(number) => AnswerValue::Number(number),
        Value::Truth(truth) => AnswerValue::Truth(truth),
    };
    let rows = shown.rows.into_iter();
    Answer {
        columns: columns(shown.columns),
        rows: rows
            .map(|row| row.into_iter().map(value).collect())
            .collect(),
        notices,
        release: None,
    }
}

/// A refused statement as it travels.
#[must_use]
pub fn objection(refusal: &Refusal) -> Objection {
    Objection {
        sqlstate: refusal.state.to_owned(),
        message: refusal.message.clone(),
        hint: refusal.hint.clone(),
        position: refusal
            .position
            .and_then(|position| position.try_into().ok()),
        rule: Some(refusal.rule.id().to_owned()),
    }
}
