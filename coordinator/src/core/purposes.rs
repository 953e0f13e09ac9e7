//! Why questions may be asked now, and what is said to whoever states another purpose, or none.

use std::collections::BTreeSet;

use aquifer_shared::base::ids::Name;
use aquifer_shared::protocol::ask::Objection;

/// The refusal of a purpose for which no standing study is open; `open` are those of the studies that are.
#[must_use]
pub fn not_open<'a>(found: &str, open: impl Iterator<Item = &'a Name>) -> Box<Objection> {
    let found: String = found.chars().take(FOUND_MAX).collect();
    let message = format!(
        "no standing study is open for purpose {found:?}; {}",
        there_are(&listed(open))
    );
    said("QP004", message, OTHERS.to_owned())
}

/// The refusal of a session that asks before it has said why.
#[must_use]
pub fn not_stated<'a>(open: impl Iterator<Item = &'a Name>) -> Box<Objection> {
    let open = listed(open);
    let message = format!("no purpose is stated; {}", there_are(&open));
    let first = open.first().map_or("...", |name| name.as_str());
    let hint = format!("SET aquifer.purpose = '{first}', or in the options of the connection");
    said("55000", message, hint)
}

/// The refusal of a named standing study, where others are open for the purpose.
#[must_use]
pub fn not_named<'a>(
    standing: &str,
    purpose: &Name,
    open: impl Iterator<Item = &'a Name>,
) -> Box<Objection> {
    let standing: String = standing.chars().take(FOUND_MAX).collect();
    let open: Vec<&str> = listed(open).iter().map(|name| name.as_str()).collect();
    let message = format!(
        "no standing study {standing:?} is open for purpose {purpose}; open are {}",
        open.join(", ")
    );
    said("QP004", message, OTHERS.to_owned())
}

fn listed<'a>(open: impl Iterator<Item = &'a Name>) -> Vec<&'a Name> {
    let names: BTreeSet<&Name> = open.collect();
    names.into_iter().collect()
}

fn there_are(open: &[&Name]) -> String {
    let shown: Vec<&str> = open
        .iter()
        .take(SHOWN_MAX)
        .map(|name| name.as_str())
        .collect();
    match open.len().checked_sub(SHOWN_MAX) {
        _ if open.is_empty() => "none is open for any other".to_owned(),
        Some(more) if more > 0 => format!("there are {}, and {more} more", shown.join(", ")),
        _ => format!("there are {}", shown.join(", ")),
    }
}

fn said(state: &str, message: String, hint: String) -> Box<Objection> {
    Box::new(Objection {
        sqlstate: state.to_owned(),
        message,
        hint,
        position: None,
        rule: Some("policy.purpose".to_owned()),
    })
}

const OTHERS: &str = "state one that is open (`aquifer catalogue` and aquifer.purposes list them), or ask an operator for a standing study with plan = questions";
/// Characters of what was stated that are repeated.
const FOUND_MAX: usize = 80;
/// Purposes that are listed.
const SHOWN_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<Name> {
        let name = |number: usize| format!("purpose-{number}").parse().unwrap();
        (0..count).map(name).collect()
    }

    #[track_caller]
    fn check(found: &str, open: usize, expected: &str) {
        let open = names(open);
        let refusal = not_open(found, open.iter().chain(&open));
        assert_eq!(
            refusal.message,
            format!("no standing study is open for purpose {expected}")
        );
        assert!(refusal.hint.contains("operator") && refusal.sqlstate == "QP004");
    }

    #[test]
    fn what_there_is_is_said_of_what_there_is_not() {
        check("nothing", 2, "\"nothing\"; there are purpose-0, purpose-1");
        check("nothing", 0, "\"nothing\"; none is open for any other");
        let ten = "\"x\"; there are purpose-0, purpose-1, purpose-2, purpose-3, purpose-4, purpose-5, purpose-6, purpose-7, and 2 more";
        check("x", 10, ten);
        check("x", 8, &ten.replace(", and 2 more", ""));
    }

    #[test]
    fn whoever_states_none_is_shown_how() {
        let open = names(2);
        let refusal = not_stated(open.iter());
        assert_eq!(
            refusal.message,
            "no purpose is stated; there are purpose-0, purpose-1"
        );
        assert!(
            refusal
                .hint
                .starts_with("SET aquifer.purpose = 'purpose-0'")
        );
        assert!(not_stated([].iter()).hint.contains("'...'"));
        let refusal = not_named("weekly", &open[0], open.iter());
        assert!(
            refusal
                .message
                .ends_with("purpose purpose-0; open are purpose-0, purpose-1")
        );
    }
}
