//! What the coordinator tells, as JSON for programs and in words for people: hashes as digits, moments as dates.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::model::{Life, Succession};
use aquifer_shared::domain::sum::{HoldOut, Plan, RoundTerms, StudyTerms};
use aquifer_shared::protocol::ask::{
    MemberStatus, ModelEntry, NodeEntry, StudyDetail, StudyState, StudyStatus,
};
use aquifer_shared::protocol::wire::Verdict;
use aquifer_shared::shell::report::Tone;
use serde_json::{Value, json};

use crate::refusals::{Meaning, meaning};

/// A line of the list of studies.
pub(crate) fn status_json(status: &StudyStatus) -> Value {
    json!({
        "study": status.study.to_string(),
        "name": status.name,
        "purpose": status.purpose,
        "state": status.state,
        "reason": status.reason,
        "rounds_done": status.rounds_done,
        "rounds_total": status.rounds_total,
        "rho_micro": status.urho,
        "epsilon": status.epsilon,
        "delta": status.delta,
        "submitted": status.submitted,
        "ended": some_moment(status.ended),
    })
}

/// All about a study.
pub(crate) fn detail_json(detail: &StudyDetail) -> Value {
    let approvals = detail.approvals.iter();
    let approvals: Vec<String> = approvals.map(|one| one.key.to_string()).collect();
    json!({
        "status": status_json(&detail.status),
        "approvals": approvals,
        "members": detail.members.iter().map(member_json).collect::<Vec<_>>(),
        "rounds": detail.rounds.iter().map(|round| json!({
            "round": round.round,
            "attempts": round.attempts,
            "updates": round.updates,
            "took_ms": round.took_ms,
        })).collect::<Vec<_>>(),
    })
}

/// The terms of a study.
pub(crate) fn terms_json(terms: &StudyTerms) -> Value {
    let roster: Vec<String> = terms.roster.iter().map(ToString::to_string).collect();
    json!({
        "version": terms.version,
        "name": terms.name,
        "family": terms.family,
        "purpose": terms.purpose,
        "contract": {
            "name": terms.contract_name,
            "version": terms.contract_version,
            "hash": terms.contract_hash.to_string(),
        },
        "plan": terms.plan,
        "trust": terms.mode,
        "roster": roster,
        "groups": terms.groups().iter().map(|group| group.len()).collect::<Vec<_>>(),
        "d_max": terms.d_max,
        "c_max": terms.c_max,
        "honest": terms.honest(),
        "rho_micro_quoted": terms.quoted(terms.urho),
        "rho_micro_floor": terms.floor(terms.urho),
        "multiplicity": terms.multiplicity,
        "rounds": terms.rounds.iter().map(round_json).collect::<Vec<_>>(),
        "attempts_max": terms.attempts_max,
        "rho_micro_cap": terms.urho_cap,
        "rho_micro": terms.urho,
        "delta": terms.delta,
        "population": terms.population,
        "customers_max": terms.customers_max,
        "holdout": terms.holdout,
        "slot_ms": terms.slot_ms,
        "phase_ms": terms.phase_ms,
        "attempt_ttl_ms": terms.attempt_ttl_ms,
        "expires": terms.expires,
        "quorum": terms.quorum,
        "gate": terms.gate,
        "expected_gain_ppm": terms.expected_gain_ppm,
        "synthetic": terms.synthetic,
    })
}

/// A line of the list of models.
pub(crate) fn model_json(
    model: &ModelEntry,
    (life, plan): (Option<Life>, Succession),
    now: Timestamp,
) -> Value {
    json!({
        "name": model.name,
        "version": model.version,
        "study": model.study.to_string(),
        "published": model.published,
        "model_hash": model.model_hash.to_string(),
        "epsilon": model.epsilon,
        "delta": model.delta,
        "auc": model.auc,
        "created": model.created,
        "retire_by": life.map(|life| life.retire_by),
        "state": life.map(|life| life.state(now)),
        "succession": succession_json(plan),
        "warnings": model.warnings,
    })
}

/// What becomes of a model's place.
pub(crate) fn succession_json(plan: Succession) -> Value {
    let version = match plan {
        Succession::Superseded { version, .. } => Some(version),
        _ => None,
    };
    json!({"state": plan.word(), "at": plan.at(), "version": version})
}

/// A unit or a person.
pub(crate) fn node_json(node: &NodeEntry) -> Value {
    json!({
        "name": node.name,
        "role": node.role,
        "identity": node.key.to_string(),
        "connected": node.connected,
        "revoked": node.revoked,
        "certificate_until": node.certificate_until,
        "last_seen": some_moment(node.last_seen),
        "ledger_seq": node.ledger_seq,
        "software": node.software,
    })
}

/// A state in one word, and what it says to the eye.
pub(crate) fn state_cell(state: StudyState) -> (String, Tone) {
    let (text, tone) = match state {
        StudyState::Submitted => ("submitted", Tone::Warning),
        StudyState::Offered => ("offered", Tone::Plain),
        StudyState::Open => ("open", Tone::Good),
        StudyState::Running => ("running", Tone::Plain),
        StudyState::Published => ("published", Tone::Good),
        StudyState::Held => ("held", Tone::Warning),
        StudyState::Aborted => ("aborted", Tone::Bad),
        StudyState::Damaged => ("damaged", Tone::Bad),
    };
    (text.to_owned(), tone)
}

/// What a member said.
pub(crate) fn verdict_cell(verdict: Option<&Verdict>) -> (String, Tone) {
    match verdict {
        None => ("asked".to_owned(), Tone::Plain),
        Some(Verdict::Accepted) => ("accepted".to_owned(), Tone::Good),
        Some(Verdict::Held) => ("waits for a person".to_owned(), Tone::Warning),
        Some(Verdict::Refused(code, 0)) => (format!("refused: {}", code_text(code)), Tone::Bad),
        Some(Verdict::Refused(code, detail)) => (
            format!("refused: {} ({detail})", code_text(code)),
            Tone::Bad,
        ),
    }
}

/// Epsilon at its delta: `epsilon 1.0000 at delta 1e-6`.
pub(crate) fn privacy(epsilon: f64, delta: f64) -> String {
    format!("epsilon {epsilon:.4} at delta {delta:e}")
}

/// The hold-out rule in words.
pub(crate) fn holdout(rule: &HoldOut) -> String {
    match rule {
        HoldOut::Fraction(ppm) => format!(
            "{} % of the customers, by keyed hash",
            f64::from(*ppm) / 1e4
        ),
        HoldOut::Column(column) => format!("by column {column}"),
    }
}

/// The plan in words.
pub(crate) fn plan(plan: &Plan) -> String {
    match plan {
        Plan::Additive { clip, rounds } => {
            format!("additive predictor, {rounds} residual rounds, clip {clip}")
        }
        Plan::Synthetic { cells, rounds } => format!("synthetic, {rounds} sums of {cells} cells"),
        Plan::Question {
            question, standing, ..
        } => match question.is_empty() {
            true => "standing: questions of analysts".to_owned(),
            false => format!("question under {}", standing.name),
        },
    }
}

/// A moment as `2026-11-24 04:13:48 UTC`; a dash for none.
pub(crate) fn moment(at: Timestamp) -> String {
    if at.0 == 0 {
        return "-".to_owned();
    }
    let seconds = at.0 / 1_000;
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(day);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// A number of milliseconds in a unit that fits.
pub(crate) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{:.1} s", ms as f64 / 1e3),
        120_000..7_200_000 => format!("{:.0} min", ms as f64 / 6e4),
        7_200_000..172_800_000 => format!("{:.1} h", ms as f64 / 3.6e6),
        _ => format!("{:.1} days", ms as f64 / 8.64e7),
    }
}

fn round_json(round: &RoundTerms) -> Value {
    json!({
        "part": round.part,
        "cells_max": round.cells_max,
        "cell_abs_max": round.cell_abs_max,
        "delta_sq": round.delta_sq,
        "rho_micro": round.urho,
        "sigma_share": round.sigma_share,
    })
}

fn member_json(member: &MemberStatus) -> Value {
    let verdict = match &member.verdict {
        None => Value::Null,
        Some(Verdict::Accepted) => json!("accepted"),
        Some(Verdict::Held) => json!("held"),
        Some(Verdict::Refused(code, detail)) => {
            let Meaning { what, advice } = meaning(*code);
            json!({"refused": {"code": code, "detail": detail, "meaning": what, "advice": advice}})
        }
    };
    json!({
        "name": member.name,
        "identity": member.key.to_string(),
        "verdict": verdict,
        "connected": member.connected,
    })
}

/// The fixed code of a refusal, as programs see it.
pub(crate) fn code_text<T: serde::Serialize>(code: &T) -> String {
    match serde_json::to_value(code) {
        Ok(Value::String(text)) => text,
        _ => "unknown".to_owned(),
    }
}

fn some_moment(at: Timestamp) -> Option<u64> {
    (at.0 > 0).then_some(at.0)
}

/// Year, month and day of a day since 1970-01-01, proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date
/// algorithms").
fn date(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_moment(ms: u64, expected: &str) {
        assert_eq!(moment(Timestamp(ms)), expected);
    }

    #[test]
    fn moments_are_dates() {
        check_moment(0, "-");
        check_moment(1_000, "1970-01-01 00:00:01 UTC");
        check_moment(951_782_400_000, "2000-02-29 00:00:00 UTC");
        check_moment(1_764_000_000_000, "2025-11-24 16:00:00 UTC");
        check_moment(4_107_542_399_999, "2100-02-28 23:59:59 UTC");
        check_moment(4_107_542_400_000, "2100-03-01 00:00:00 UTC");
    }

    #[test]
    fn durations_have_a_unit_that_fits() {
        let shown = [7, 1_500, 600_000, 7_200_000, 259_200_000].map(duration);
        assert_eq!(shown, ["7 ms", "1.5 s", "10 min", "2.0 h", "3.0 days"]);
    }

    #[test]
    fn refusals_show_their_code() {
        use aquifer_shared::protocol::wire::RefusalCode;
        let (text, tone) = verdict_cell(Some(&Verdict::Refused(RefusalCode::Budget, 7)));
        assert_eq!((text.as_str(), tone), ("refused: budget (7)", Tone::Bad));
    }
}
