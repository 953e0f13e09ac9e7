//! The price tag of a question: what it would cost and how exact its answer would be. Public numbers only; spends nothing.

use aquifer_shared::base::ids::Name;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Published;
use aquifer_shared::domain::sum::{RoundTerms, StudyTerms, TrustMode};
use aquifer_shared::protocol::ask::{Answer, AnswerColumn, AnswerKind, AnswerValue};

use super::asking::{NoStudy, standing_of};
use super::expand::Accountant;
use super::sql::{self, Noise, Query};

/// What a price tag is about.
#[derive(Clone, Copy, Debug)]
pub struct Priced<'a> {
    /// Terms of the standing study.
    pub standing: &'a StudyTerms,
    /// The table that the question reads.
    pub table: &'a Published,
    /// The statement.
    pub query: &'a Query,
    /// Price of one attempt.
    pub urho: MicroRho,
    /// Data version of each member.
    pub data: &'a [Name],
    /// Whether a stored answer makes it free.
    pub stored: bool,
    /// What is left of the asker's share.
    pub left: MicroRho,
}

/// Property, value, remark.
type Line = (&'static str, String, String);

/// Rows of property, value and remark.
///
/// # Errors
///
/// A price that buys no scale.
pub fn price_tag(priced: &Priced<'_>, accountant: Accountant) -> Result<Answer, NoStudy> {
    let (standing, query) = (priced.standing, priced.query);
    let share = standing.noise_share().ok_or(NoStudy::NotStanding)?;
    let customers_max = standing.customers_max;
    let round = query
        .question
        .round(priced.table, customers_max, priced.urho, share);
    let round = round.ok_or(NoStudy::Unpriced(priced.urho))?;
    let mut lines = about(priced, &round);
    lines.push(cost(priced, accountant));
    lines.extend(limits(priced)?);
    let column = |name: &str| AnswerColumn {
        name: name.to_owned(),
        kind: AnswerKind::Text,
    };
    let row = |(property, value, remark): Line| {
        vec![
            AnswerValue::Text(property.to_owned()),
            AnswerValue::Text(value),
            AnswerValue::Text(remark),
        ]
    };
    let mut rows: Vec<_> = lines.into_iter().map(row).collect();
    rows.extend(errors_of(standing, priced.table, query, round.sigma_share));
    Ok(Answer {
        columns: ["property", "value", "remark"].map(column).to_vec(),
        rows,
        notices: Vec::new(),
        release: None,
    })
}

/// What is asked, of whom.
fn about(priced: &Priced<'_>, round: &RoundTerms) -> Vec<Line> {
    let (standing, question) = (priced.standing, &priced.query.question);
    let mut versions: Vec<&str> = priced.data.iter().map(Name::as_str).collect();
    versions.sort_unstable();
    versions.dedup();
    let trust = match standing.mode {
        TrustMode::NodeNoise => "node-noise",
        TrustMode::SharedNoise => "shared-noise",
    };
    let purpose = format!("purpose {}", standing.purpose);
    let units = format!("{} units, {trust}", standing.roster.len());
    let groups = format!(
        "a customer counts in at most {} groups",
        question.groups_max
    );
    vec![
        ("plan", priced.query.plan.to_string(), purpose),
        ("data version", versions.join(", "), units),
        ("cells", round.cells_max.to_string(), groups),
    ]
}

fn cost(priced: &Priced<'_>, accountant: Accountant) -> Line {
    let standing = priced.standing;
    let quoted = standing.quoted(priced.urho).unwrap_or(priced.urho);
    let (epsilon, delta) = (
        (accountant.epsilon)(quoted, standing.delta),
        standing.delta.get(),
    );
    let remark = format!(
        "{} micro-rho, epsilon {epsilon:.4} at delta {delta:e}; as often again for a repeated attempt",
        quoted.0
    );
    ("price", format!("rho {}", quoted.0 as f64 / 1e6), remark)
}

/// What stands against asking, and how often it may be asked.
fn limits(priced: &Priced<'_>) -> Result<[Line; 4], NoStudy> {
    let standing = priced.standing;
    let allowed = standing_of(standing).ok_or(NoStudy::NotStanding)?;
    let all = priced.urho.0.max(1) * u64::from(standing.attempts_max.max(1));
    let share = format!(
        "such questions by your share of {} micro-rho",
        allowed.urho_max.0
    );
    let (stored, free) = if priced.stored {
        ("yes", "free")
    } else {
        ("none", "")
    };
    let floor = format!("cohort floor {}", allowed.cohort_floor);
    let slot_ms = priced
        .query
        .question
        .slot_ms(priced.table, standing.customers_max);
    let slot = "answers leave at multiples of this".to_owned();
    Ok([
        ("remaining", (priced.left.0 / all).to_string(), share),
        ("stored answer", stored.to_owned(), free.to_owned()),
        ("rules", floor, format!("standing study {}", standing.name)),
        ("slot", format!("{slot_ms} ms"), slot),
    ])
}

/// How exact each figure will be if every unit takes part.
fn errors_of(
    standing: &StudyTerms,
    table: &Published,
    query: &Query,
    sigma_share: u64,
) -> Vec<Vec<AnswerValue>> {
    let nodes = u32::try_from(standing.roster.len()).unwrap_or(u32::MAX);
    let noise = Noise { sigma_share, nodes };
    let errors = sql::expected_errors(query, table, noise, standing.customers_max);
    let errors = errors.unwrap_or_default().into_iter().map(|error| {
        let text = error.to_text();
        let cells = [
            format!("{}, 95 %", error.name),
            text,
            "noise only".to_owned(),
        ];
        cells.map(AnswerValue::Text).to_vec()
    });
    errors.collect()
}
