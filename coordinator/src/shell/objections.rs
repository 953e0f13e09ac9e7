//! Statements that are refused, with SQLSTATE and hint; and why a study brought no answer.

use aquifer_shared::protocol::ask::{Objection, Response};
use aquifer_shared::protocol::wire::{RefusalCode, Verdict};

use super::live::Live;
use crate::core::asking::{NoStudy, objection};
use crate::core::event::Ending;
use crate::core::sql::Refusal;

/// Why a study of a question ended without an answer.
pub(super) fn failed(live: &Live) -> Response {
    let reason = live
        .machine
        .ending()
        .map(Ending::reason)
        .unwrap_or_default();
    let refusals =
        (0..live.terms.roster.len()).filter_map(|member| match live.machine.member(member)?.0? {
            Verdict::Refused(code, _) => Some(*code),
            _ => None,
        });
    let refusals: Vec<RefusalCode> = refusals.collect();
    let opened: u32 = live
        .machine
        .rounds()
        .iter()
        .map(|round| round.attempts)
        .sum();
    let exhausted =
        |code: &RefusalCode| matches!(code, RefusalCode::Budget | RefusalCode::StandingBudget);
    if opened > 0 {
        let hint = "up to the price of each attempt was charged; ask again under a new request id";
        return object(
            "QP008",
            &format!("no answer after {opened} attempts: {reason}"),
            hint,
        );
    }
    if refusals.iter().any(exhausted) {
        let hint = "ask for a stored answer, or wait until the units' owners allow more";
        return object(
            "QP001",
            &format!("the units' budgets are used up: {reason}"),
            hint,
        );
    }
    object(
        "QP006",
        &reason,
        "nothing was charged; `aquifer study show` of the standing study tells who takes part",
    )
}

pub(super) fn refusal_response(refusal: &Refusal) -> Response {
    Response::Objection(Box::new(objection(refusal)))
}

pub(super) fn no_study(no: &NoStudy) -> Response {
    let (state, hint) = match no {
        NoStudy::Unpriced(_) => ("QP003", "name a larger price, or ask for fewer cells"),
        NoStudy::NotStanding => ("QP004", "ask the operator"),
    };
    object(state, &no.to_string(), hint)
}

/// A refusal of a statement.
pub(super) fn object(sqlstate: &str, message: &str, hint: &str) -> Response {
    Response::Objection(Box::new(Objection {
        sqlstate: sqlstate.to_owned(),
        message: message.to_owned(),
        hint: hint.to_owned(),
        position: None,
        rule: rule_of(sqlstate).map(str::to_owned),
    }))
}

/// The rule behind a refusal that is not of the statement's text, stable.
fn rule_of(sqlstate: &str) -> Option<&'static str> {
    Some(match sqlstate {
        "QP001" => "budget.units",
        "QP002" => "budget.share",
        "QP003" => "budget.question",
        "QP004" => "policy.purpose",
        "QP006" => "units.quorum",
        "QP007" | "QP008" => "request.id",
        "QP009" => "law.decision",
        "42501" => "policy.tables",
        "53300" | "53400" => "limits.queue",
        "55000" => "settings.cache",
        _ => return None,
    })
}
