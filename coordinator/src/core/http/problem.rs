//! Refusals as problem documents (RFC 9457), each with the status that its SQLSTATE stands for.

use aquifer_shared::protocol::ask::Objection;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request is refused. Nothing was spent, unless `sqlstate` is QP008.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem: `urn:aquifer:problem:` with its SQLSTATE, or a word where it has none.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Box<str>,
    /// The kind of problem, for people.
    pub title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What was found and what was expected.
    #[schema(value_type = String)]
    pub detail: Box<str>,
    /// SQLSTATE, where a statement or a limit is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub sqlstate: Option<Box<str>>,
    /// Place in the statement in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub position: Option<u32>,
    /// What to write instead, or whom to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub hint: Option<Box<str>>,
    /// The rule that says no, by its stable name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub rule: Option<Box<str>>,
}

/// Every status that a problem may have, and when.
pub const STATUSES: [(u16, &str); 13] = [
    (
        400,
        "the statement or another part of the request is refused",
    ),
    (401, "there is no token, or it is no longer good"),
    (403, "the token's role or a policy does not allow it"),
    (404, "there is no such thing"),
    (405, "the path has other methods"),
    (408, "the request did not come to its end in time"),
    (409, "the request id stands for another question"),
    (413, "the body is too long"),
    (415, "the body is of another type"),
    (429, "a budget, a share or a limit is used up"),
    (431, "the headers are too long"),
    (500, "attempts were charged and brought no answer"),
    (
        503,
        "too few units serve their tables, or the coordinator cannot answer now",
    ),
];

impl Problem {
    /// A problem that has no SQLSTATE.
    #[must_use]
    pub fn of(status: u16, word: &str, detail: impl Into<String>, hint: &str) -> Self {
        Self {
            kind: kind(word).into(),
            title: title(status),
            status,
            detail: detail.into().into(),
            sqlstate: None,
            position: None,
            hint: (!hint.is_empty()).then(|| hint.into()),
            rule: None,
        }
    }

    /// A refusal with a SQLSTATE, and no place in a statement.
    #[must_use]
    pub fn state(sqlstate: &str, detail: impl Into<String>, hint: &str) -> Self {
        let status = status_of(sqlstate);
        Self {
            sqlstate: Some(sqlstate.into()),
            ..Self::of(status, sqlstate, detail, hint)
        }
    }

    /// A refused statement that `before` characters were put in front of.
    #[must_use]
    pub fn objection(objection: &Objection, before: u32) -> Self {
        let place = objection
            .position
            .and_then(|place| place.checked_sub(before));
        Self {
            position: place.filter(|place| *place > 0),
            rule: objection.rule.as_deref().map(Box::from),
            ..Self::state(
                &objection.sqlstate,
                objection.message.clone(),
                &objection.hint,
            )
        }
    }

    /// What the hub refuses without a SQLSTATE, by its code.
    #[must_use]
    pub fn refused(code: &str, message: String) -> Self {
        let status = match code {
            "role" | "law" | "out-of-use" => 403,
            "unknown" => 404,
            "busy" => 429,
            "store" | "random" => 503,
            _ => 400,
        };
        Self::of(status, code, message, "")
    }
}

fn kind(word: &str) -> String {
    format!("urn:aquifer:problem:{word}")
}

fn title(status: u16) -> &'static str {
    let known = STATUSES.iter().find(|(known, _)| *known == status);
    known.map_or("the request is refused", |(_, title)| title)
}

fn status_of(sqlstate: &str) -> u16 {
    match sqlstate {
        "28000" => 401,
        "42501" | "QP003" | "QP004" | "QP005" | "QP009" => 403,
        "QP007" => 409,
        "QP001" | "QP002" | "53300" | "53400" => 429,
        "QP008" => 500,
        "QP006" | "57014" | "57P01" | "58000" => 503,
        _ => 400,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_status(sqlstate: &str, expected: u16) {
        let problem = Problem::state(sqlstate, "no", "");
        assert_eq!(problem.status, expected, "{sqlstate}");
        assert!(problem.kind.ends_with(sqlstate));
        assert!(STATUSES.iter().any(|(status, _)| *status == expected));
    }

    #[test]
    fn every_sqlstate_has_its_status() {
        for statement in [
            "42601", "42P01", "42703", "42883", "42804", "42803", "0A000", "22023", "42704",
            "54001", "25006", "55000",
        ] {
            check_status(statement, 400);
        }
        check_status("28000", 401);
        for state in ["42501", "QP003", "QP004", "QP005", "QP009"] {
            check_status(state, 403);
        }
        check_status("QP007", 409);
        for state in ["QP001", "QP002", "53300", "53400"] {
            check_status(state, 429);
        }
        check_status("QP008", 500);
        for state in ["QP006", "57014"] {
            check_status(state, 503);
        }
    }

    #[test]
    fn places_are_those_of_the_text_that_was_sent() {
        let at = |position| {
            let objection = Objection {
                sqlstate: "42703".to_owned(),
                message: "no such column".to_owned(),
                hint: String::new(),
                position,
                rule: Some("sql.names".to_owned()),
            };
            Problem::objection(&objection, 8)
        };
        assert_eq!(at(Some(15)).position, Some(7));
        assert_eq!(at(Some(8)).position, None, "in what was put in front");
        assert_eq!(at(None).position, None);
        assert_eq!(at(None).hint, None);
        assert_eq!(at(None).rule.as_deref(), Some("sql.names"));
    }
}
