//! What the gates would say at this unit for each declared purpose: part of `aquifer-node check`, for its own people.
//!
//! From declarations alone: nobody is counted here, and what a study will cost is not known yet.

use std::collections::BTreeSet;
use std::fmt::Write;

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::law::{Action, Decision, Gate, Purpose, Verdict, proxy};
use serde::Serialize;

use super::score_exports::Exported;
use crate::core::gatekeeper::{Figures, Gatekeeper};
use crate::core::intake::Wanted;

/// What the rules of law say.
#[derive(Debug, Default, Serialize)]
pub struct LawReport {
    /// Whether each table may be read.
    tables: Vec<TableReport>,
    /// One line for each purpose; none where nothing is declared.
    gates: Vec<GateReport>,
    /// Files of scores that are kept for too long.
    expired_scores: Vec<Exported>,
    #[serde(skip)]
    problems: Vec<String>,
    declared: bool,
}

/// Whether a table may be read, and for which purposes.
#[derive(Debug, Serialize)]
struct TableReport {
    table: String,
    purposes: Vec<String>,
    /// Why not, where it may not.
    denied: Option<String>,
}

/// What a gate would say for a purpose.
#[derive(Debug, Serialize)]
struct GateReport {
    purpose: String,
    gate: String,
    verdict: String,
    /// Why it is no, with rules, references, remedy and whom to ask.
    reasons: Vec<String>,
}

impl LawReport {
    /// Looks at all purposes.
    #[must_use]
    pub fn of(
        gatekeeper: Option<&Gatekeeper>,
        contract: &Contract,
        customers_max: u64,
        expired: Vec<Exported>,
        now: Timestamp,
    ) -> Self {
        let mut problems: Vec<String> = expired.iter().map(kept_too_long).collect();
        let Some(gatekeeper) = gatekeeper else {
            return Self {
                expired_scores: expired,
                problems,
                ..Self::default()
            };
        };
        problems.extend(untagged(gatekeeper, contract));
        let purposes = gatekeeper.book().purposes().iter();
        let gates = purposes.map(|purpose| {
            let decision = decided(gatekeeper, purpose, contract, customers_max, now);
            GateReport::of(purpose, &decision)
        });
        let published = contract.published.iter().map(Wanted::published);
        let tables = [Wanted::training(contract)].into_iter().chain(published);
        let tables = tables.map(|wanted| TableReport::of(gatekeeper, &wanted, now));
        Self {
            tables: tables.collect(),
            gates: gates.collect(),
            expired_scores: expired,
            problems,
            declared: true,
        }
    }

    /// What should not stay as it is.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        self.problems.iter().cloned()
    }

    /// For people.
    ///
    /// # Errors
    ///
    /// Never for a string.
    pub fn write(&self, out: &mut String) -> std::fmt::Result {
        if !self.declared {
            return writeln!(
                out,
                "\nlaw: node.toml has no [people], so only synthetic studies are taken"
            );
        }
        writeln!(
            out,
            "\nlaw: what the gates would say, before the price of a study or question is known"
        )?;
        for table in &self.tables {
            let (name, purposes) = (&table.table, table.purposes.join(", "));
            match &table.denied {
                None => writeln!(out, "  table {name} at ingest: allow, for {purposes}")?,
                Some(why) => writeln!(out, "  table {name} at ingest: deny\n    {why}")?,
            }
        }
        for gate in &self.gates {
            writeln!(out, "  {} at {}: {}", gate.purpose, gate.gate, gate.verdict)?;
            for reason in &gate.reasons {
                writeln!(out, "    {reason}")?;
            }
        }
        Ok(())
    }
}

impl TableReport {
    fn of(gatekeeper: &Gatekeeper, wanted: &Wanted<'_>, now: Timestamp) -> Self {
        let table = wanted.table().to_owned();
        let (purposes, denied) = match gatekeeper.admit(wanted, now) {
            Ok(intake) => (intake.purposes().map(ToString::to_string).collect(), None),
            Err(shut) => (Vec::new(), Some(shut.to_string())),
        };
        Self {
            table,
            purposes,
            denied,
        }
    }
}

impl GateReport {
    fn of(purpose: &Purpose, decision: &Decision) -> Self {
        let reasons = decision.reasons();
        Self {
            purpose: purpose.id.to_string(),
            gate: decision.gate().to_string(),
            verdict: match decision.verdict() {
                Verdict::Allow => "allow".to_owned(),
                Verdict::Deny => "deny".to_owned(),
            },
            reasons: reasons.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Decides about all that the purpose could be used for: the training table, or the columns it lists.
fn decided(
    gatekeeper: &Gatekeeper,
    purpose: &Purpose,
    contract: &Contract,
    customers_max: u64,
    now: Timestamp,
) -> Decision {
    let figures = Figures::unspent(customers_max);
    let id = purpose.id.as_str();
    let features = contract.columns.iter().map(|column| column.name.as_str());
    let table: Vec<&str> = features.chain([contract.label.column.as_str()]).collect();
    let listed: Vec<&str> = purpose
        .features_allowed
        .iter()
        .map(String::as_str)
        .collect();
    match purpose.action {
        Action::Train => gatekeeper.run(Gate::Train, id, &table, figures, now),
        Action::Query => gatekeeper.run(Gate::Query, id, &listed, figures, now),
        Action::Score => gatekeeper.score(id, &table, None, now),
    }
}

/// Columns that must be tagged before anything is done with them.
fn untagged(gatekeeper: &Gatekeeper, contract: &Contract) -> Vec<String> {
    let tables = contract.published.iter();
    let published = tables.flat_map(|table| table.columns.iter().map(|column| &column.name));
    let columns = contract.columns.iter().map(|column| &column.name);
    let columns: BTreeSet<&str> = columns.chain(published).map(String::as_str).collect();
    let columns: Vec<&str> = columns.into_iter().collect();
    let found = proxy::untagged(&columns, &gatekeeper.people().columns).into_iter();
    found
        .map(|(column, suggested)| {
            format!(
                "column {column:?} sounds like {suggested}: say in [people.columns] what it is about; until then its use is denied"
            )
        })
        .collect()
}

fn kept_too_long(one: &Exported) -> String {
    let (file, last) = (one.file.display(), &one.delete_by);
    format!("scores in {file} were to be deleted by {last}: delete the file and its copies")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use aquifer_shared::domain::law::{Category, Purposes, Rulebook, Set, Transfer, vendored};

    use super::*;
    use crate::core::gatekeeper::People;

    const PURPOSES: &str = include_str!("../../../shared/laws/examples/start.toml");
    /// 2026-11-25.
    const NOW: Timestamp = Timestamp(20_782 * 24 * 3_600 * 1_000);

    fn gatekeeper() -> Gatekeeper {
        let purposes = Purposes::parse(PURPOSES).unwrap();
        let people = People {
            controller: "DE".parse().unwrap(),
            place: "DE".parse().unwrap(),
            adult: true,
            transfer: Transfer::Within,
            basis: BTreeMap::new(),
            categories: Set::of(&[Category::Contract]),
            columns: BTreeMap::new(),
            dpia_current: Vec::new(),
            reviewers: BTreeMap::new(),
        };
        Gatekeeper::new(
            Rulebook::new(vendored::packs().unwrap(), purposes).unwrap(),
            people,
        )
    }

    #[track_caller]
    fn check(column: &str, customers_max: u64, problems: usize, lines: &[&str]) {
        let contract = format!(
            "[contract]\nname = \"customers\"\nversion = 1\n[table.customers]\nprivacy_unit = \"id\"\n\
             label = {{ column = \"churned\", positive = \"yes\" }}\n[table.customers.column.{column}]\nlow = 0\nhigh = 9\n"
        );
        let contract = Contract::parse(&contract).unwrap();
        let held = gatekeeper();
        let report = LawReport::of(Some(&held), &contract, customers_max, Vec::new(), NOW);
        let mut text = String::new();
        report.write(&mut text).unwrap();
        assert_eq!(report.problems().count(), problems, "{text}");
        for line in lines {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn each_purpose_has_its_answer() {
        let all = [
            "churn.train at train: allow",
            "churn.score at score: allow",
            "reporting at query: allow",
        ];
        check("tenure", 5_000, 0, &all);
        let read = ["table customers at ingest: allow, for churn.train"];
        check("tenure", 100, 0, &read);
        let few = [
            "churn.train at train: deny",
            "cohort_too_small",
            "house/cohort_min_train@2018-01-01",
            "ask the approver",
            "reporting at query: allow",
        ];
        check("tenure", 100, 0, &few);
        let shut = ["table customers at ingest: deny", "column_not_allowed"];
        check("shoes", 5_000, 0, &shut);
        check("religion", 5_000, 1, &["category_unknown"]);
    }

    #[test]
    fn without_declarations_it_says_what_is_taken() {
        let report = LawReport::default();
        let mut text = String::new();
        report.write(&mut text).unwrap();
        assert!(text.contains("no [people]"), "{text}");
    }
}
