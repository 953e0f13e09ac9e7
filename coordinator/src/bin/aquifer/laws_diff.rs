//! `aquifer laws diff`: what changes between two sets of rule packs, and which changes may allow more.

use std::path::Path;

use aquifer_shared::domain::law::{Difference, Pack, Place, Rule, Turn, differences};
use aquifer_shared::shell::report::{self, Outcome, Table, Tone};
use serde_json::{Value, json};

use crate::client::Session;
use aquifer_shared::shell::law_packs::{self, Held};
use aquifer_shared::shell::laws_view::until;

/// Compares a folder with another, or with the packs that come along.
///
/// # Errors
///
/// A folder cannot be read, or a pack in it is broken.
pub(crate) fn run(session: &Session, from: Option<&Path>, to: &Path) -> anyhow::Result<Outcome> {
    let changes = changes(&law_packs::all(from)?, &law_packs::all(Some(to))?);
    let laxer = changes
        .iter()
        .filter(|change| change.may_allow_more)
        .count();
    if session.json {
        let each: Vec<Value> = changes.iter().map(Change::to_json).collect();
        report::print_json(&json!({"may_allow_more": laxer, "changes": each}))?;
    } else if changes.is_empty() {
        report::print("no differences\n")?;
    } else {
        let mut table = Table::new(&["RULE", "CHANGE", "FROM", "TO", "MAY ALLOW MORE"]);
        for change in changes {
            let warned = match change.may_allow_more {
                true => ("yes", Tone::Warning),
                false => ("no", Tone::Plain),
            };
            let plain = [change.rule, change.what, change.from, change.to];
            let plain = plain.into_iter().map(|cell| (cell, Tone::Plain));
            table.toned_row(plain.chain([(warned.0.to_owned(), warned.1)]));
        }
        table.print()?;
    }
    if laxer == 0 {
        return Ok(Outcome::Done);
    }
    Ok(report::refused(&format!(
        "changes that may allow what was denied: {laxer}; have them reviewed"
    )))
}

/// A row of `aquifer laws diff`.
#[derive(Debug, Default)]
struct Change {
    rule: String,
    what: String,
    from: String,
    to: String,
    may_allow_more: bool,
}

/// What differs between two sets of packs. A pack that comes or goes may open places or lift limits.
fn changes(from: &[Held], to: &[Held]) -> Vec<Change> {
    let mut ids: Vec<&str> = from
        .iter()
        .chain(to)
        .map(|one| one.pack.id().as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let of = |held: &'_ [Held], id: &str| held.iter().position(|one| one.pack.id().as_str() == id);
    let mut changes = Vec::new();
    for id in ids {
        let whole = |what: &str| Change {
            rule: id.to_owned(),
            what: what.to_owned(),
            may_allow_more: true,
            ..Change::default()
        };
        match (of(from, id), of(to, id)) {
            (Some(before), Some(after)) => {
                let (before, after) = (&from[before].pack, &to[after].pack);
                let found = differences(before, after);
                changes.extend(found.iter().map(|one| Change::of(before, one)));
            }
            (None, _) => changes.push(whole("added")),
            (Some(_), None) => changes.push(whole("removed")),
        }
    }
    changes
}

impl Change {
    fn of(before: &Pack, difference: &Difference) -> Self {
        let codes = |places: &[Place]| -> String {
            let codes: Vec<&str> = places.iter().map(Place::as_str).collect();
            codes.join(" ")
        };
        let said = |rule: &Rule| {
            let one = &rule.provenance;
            format!("{}, until {}", one.reference, until(one))
        };
        let (what, from, to) = match difference {
            Difference::Scope { from, to } => ("scope".to_owned(), codes(from), codes(to)),
            Difference::Added(rule) => ("added".to_owned(), String::new(), rule.written()),
            Difference::Removed(rule) => ("removed".to_owned(), rule.written(), String::new()),
            Difference::Changed {
                from,
                to,
                turn: Turn::Provenance,
            } => (Turn::Provenance.to_string(), said(from), said(to)),
            Difference::Changed { from, to, turn } => {
                (turn.to_string(), from.written(), to.written())
            }
        };
        let id = before.id();
        let rule = difference.rule().map(|rule| rule.id(id.as_str()));
        Self {
            rule: rule.unwrap_or_else(|| format!("{id}/scope")),
            what,
            from,
            to,
            may_allow_more: difference.may_allow_more(before),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "rule": self.rule,
            "change": self.what,
            "from": self.from,
            "to": self.to,
            "may_allow_more": self.may_allow_more,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use aquifer_shared::domain::law::vendored;

    use super::*;

    /// Changes of a folder with one file, as rule, change, and whether it may allow more.
    #[track_caller]
    fn check_changes(file: usize, from: &str, to: &str, expected: &[(&str, &str, bool)]) {
        let folder = tempfile::tempdir().unwrap();
        let text = vendored::PACKS[file].1.replacen(from, to, 1);
        fs::write(folder.path().join("ours.toml"), text).unwrap();
        let (before, after) = (
            law_packs::all(None).unwrap(),
            law_packs::all(Some(folder.path())).unwrap(),
        );
        let found = changes(&before, &after);
        let found: Vec<(&str, &str, bool)> = found
            .iter()
            .map(|one| (&*one.rule, &*one.what, one.may_allow_more))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn changes_of_a_folder_are_told() {
        check_changes(2, "value = 200", "value = 200", &[]);
        check_changes(
            2,
            "value = 200",
            "value = 500",
            &[("house/cohort_min_train@2018-01-01", "stricter", false)],
        );
        check_changes(
            2,
            "value = 200",
            "value = 20",
            &[("house/cohort_min_train@2018-01-01", "laxer", true)],
        );
        check_changes(
            1,
            "\"NO\"]",
            "\"NO\", \"CH\"]",
            &[("gdpr/scope", "scope", true)],
        );
        check_changes(
            3,
            "id = \"lgpd\"",
            "id = \"brazil\"",
            &[("brazil", "added", true)],
        );
    }

    #[test]
    fn a_pack_that_goes_may_allow_more() {
        let all = law_packs::all(None).unwrap();
        let found = changes(&all, &all[1..]);
        assert_eq!(
            (found.len(), &*found[0].what, found[0].may_allow_more),
            (1, "removed", true)
        );
    }
}
