//! Made-up cases, decided and printed with the rules and the references behind the answer: at the centre and at a unit alike.

use std::path::Path;

use serde_json::{Value, json};

use super::documents::read_document;
use super::law_packs::{Broken, NOTICE};
use super::report::{self, Outcome};
use crate::base::time::Timestamp;
use crate::domain::law::{Decision, Ground, Purposes, Reason, Rulebook, Verdict, WhatIf};

/// Decides the case in a file and prints the answer; refused where it is no.
///
/// # Errors
///
/// The file cannot be read, or [`Broken`].
pub fn check(
    as_json: bool,
    case: &Path,
    book: &Rulebook,
    now: Timestamp,
) -> anyhow::Result<Outcome> {
    let read = WhatIf::parse(&read_document(case)?);
    let read = read.map_err(|problem| Broken::new(case, problem))?;
    tell(as_json, &read.decide(book, now))
}

/// Reads a file of purposes.
///
/// # Errors
///
/// The file cannot be read, or [`Broken`].
pub fn purposes(path: &Path) -> anyhow::Result<Purposes> {
    let declared = Purposes::parse(&read_document(path)?);
    Ok(declared.map_err(|problem| Broken::new(path, problem))?)
}

fn tell(as_json: bool, decision: &Decision) -> anyhow::Result<Outcome> {
    let reasons = decision.reasons();
    if as_json {
        report::print_json(&decision_json(decision, &reasons))?;
    } else {
        let rules: String = decision
            .grounds()
            .iter()
            .map(|ground| format!("  {ground}\n"))
            .collect();
        report::print(&format!(
            "{} at gate {}, of a {}\nobligations   {}\npolicy        {}\ndecision      {}\nlooked at\n{rules}",
            decision.verdict(),
            decision.gate(),
            decision.subject(),
            decision.obligations(),
            decision.policy_digest(),
            decision.id(),
        ))?;
    }
    report::note(NOTICE);
    if decision.verdict() == Verdict::Allow {
        return Ok(Outcome::Done);
    }
    let told: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    Ok(report::refused(&told.join("\n  ")))
}

fn decision_json(decision: &Decision, reasons: &[Reason]) -> Value {
    let grounds = |grounds: &[Ground]| -> Vec<Value> {
        let each = grounds.iter();
        each.map(|one| json!({"rule": one.rule_id, "ref": one.reference}))
            .collect()
    };
    let reasons: Vec<Value> = reasons
        .iter()
        .map(|reason| {
            json!({
                "cause": reason.cause.to_string(),
                "found": reason.cause.found(),
                "remedy": reason.cause.remedy(),
                "ask": reason.ask().to_string(),
                "rules": grounds(&reason.grounds),
            })
        })
        .collect();
    let obligations: Vec<String> = decision
        .obligations()
        .iter()
        .map(|one| one.to_string())
        .collect();
    json!({
        "verdict": decision.verdict().to_string(),
        "gate": decision.gate().to_string(),
        "subject": decision.subject().to_string(),
        "decision_id": decision.id().to_string(),
        "policy_digest": decision.policy_digest().to_string(),
        "inputs_digest": decision.inputs_digest().to_string(),
        "obligations": obligations,
        "reasons": reasons,
        "rules": grounds(&decision.grounds()),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::law_packs;
    use super::*;
    use crate::domain::law::{Cause, Set};

    const PURPOSES: &str = include_str!("../../laws/examples/purposes.toml");
    const CASE: &str = include_str!("../../laws/examples/case.toml");

    fn decide(case: &Path, purposes: &Path, now: Timestamp) -> anyhow::Result<Decision> {
        let packs = law_packs::all(None)?.into_iter().map(|one| one.pack);
        let book = Rulebook::new(packs.collect(), super::purposes(purposes)?)?;
        let read = WhatIf::parse(&read_document(case)?);
        let read = read.map_err(|problem| Broken::new(case, problem))?;
        Ok(read.decide(&book, now))
    }

    #[track_caller]
    fn check_decided(case: &str, expected: &[Cause]) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::write(&file, text).unwrap();
            file
        };
        let (case, purposes) = (at("case.toml", case), at("purposes.toml", PURPOSES));
        let decision = decide(&case, &purposes, Timestamp(0)).unwrap();
        assert_eq!(decision.causes(), Set::of(expected));
    }

    #[test]
    fn the_example_is_allowed_and_what_differs_is_denied() {
        check_decided(CASE, &[]);
        check_decided(&CASE.replace("\"FR\"", "\"JP\""), &[Cause::PlaceUncovered]);
        check_decided(
            &CASE.replace("population = 5000", "population = 100"),
            &[Cause::CohortTooSmall],
        );
        check_decided(
            &CASE.replace("transfer = \"within\"\n", ""),
            &[Cause::TransferUnknown],
        );
    }

    #[test]
    fn a_broken_case_names_its_file_and_place() {
        let folder = tempfile::tempdir().unwrap();
        let (case, purposes) = (
            folder.path().join("case.toml"),
            folder.path().join("purposes.toml"),
        );
        fs::write(&purposes, PURPOSES).unwrap();
        fs::write(&case, "gate = \"training\"\n").unwrap();
        let error = decide(&case, &purposes, Timestamp(0)).unwrap_err();
        assert!(error.is::<Broken>());
        assert!(error.to_string().ends_with("case.toml: line 1, column 8: gate is \"training\", expected ingest, train, query, score, release"), "{error}");
    }
}
