//! The life of a model on real processes: its date is public, its end is told to units, and nobody predicts with it afterwards.

use std::fs;
use std::path::Path;

use aquifer_tests::processes::{Outcome, command, run, wait_for};
use aquifer_tests::study::state;
use serde_json::{Value, json};

use super::fixture::{STEP_MS, Small, check_says, policy};
use super::histories::of_coordinator;

const INPUT: &str =
    r#"{"tenure": 2, "monthly_charge": 90, "contract": "month", "payment": "invoice"}"#;

pub fn printed(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

fn predict(small: &Small, from: &[&str]) -> Outcome {
    let rest = ["--input", "hypothetical", INPUT];
    let arguments = [&["predict"], from, &rest].concat();
    small.cluster.aquifer(arguments).unwrap()
}

fn score(small: &Small, name: &str) -> Outcome {
    let out = small.folder.path().join(name);
    let out = out.to_string_lossy();
    small.node(0, &["score", "--model", "churn", "--out", &out])
}

/// Payloads of a kind in the coordinator's history; what nobody waits for is on disk a moment later.
pub fn entered(small: &Small, kind: &str) -> Value {
    entered_with(small, kind, |_| true)
}

/// The same of the first that fits.
pub fn entered_with(small: &Small, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
    wait_for("an entry of the history", STEP_MS, || {
        let shown = of_coordinator(small, &["show"]);
        let entries = shown["entries"].as_array().unwrap().iter();
        let own = entries.filter(|entry| entry["kind"] == kind);
        let payloads = own.map(|entry| entry["payload"].as_str().unwrap());
        let mut payloads = payloads.map(|payload| serde_json::from_str(payload).unwrap());
        Ok(payloads.find(&fits))
    })
    .unwrap()
}

/// A person is erased at a unit, which knows the model's date by then; the coordinator hears nothing of it.
fn erased(small: &Small) -> Value {
    erased_by(small)["certificate"]["body"]["models_and_answers"][0].clone()
}

/// The same: all that the command prints.
pub fn erased_by(small: &Small) -> Value {
    let id = small.company.of_unit(0).next().unwrap().id.clone();
    wait_for("the unit to know the model's date", STEP_MS, || {
        let access = small.node(0, &["rights", "access", "--subject", &id, "--json"]);
        let pack: Value = serde_json::from_str(&access.stdout)?;
        Ok(pack["runs"][0]["model_used_until"]
            .is_string()
            .then_some(()))
    })
    .unwrap();
    let erase = ["rights", "erase", "--subject", &id, "--ground", "child"];
    let more = ["--verified-by", "desk", "--json"];
    let erased = small.node(0, &[&erase[..], &more].concat());
    check_says(&erased, 0, &[]);
    printed(&erased)
}

/// What an audit of another claim, or by somebody else, comes to; and one of the model's own.
fn check_audit(small: &Small, file: &Value) {
    let auditor = small.cluster.add_person("vera", "auditor").unwrap();
    let path = small.folder.path().join("audit.json");
    let claim: f64 = file["privacy"]["epsilon"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let delta: f64 = file["privacy"]["delta"].as_str().unwrap().parse().unwrap();
    let record = |claim: f64| {
        let record = json!([{
            "canaries": 4_000, "ceiling_micro": 99_000_000, "claim_micro": (claim * 1e6).round() as u64,
            "correct": 250, "delta_pico": (delta * 1e12).round() as u64, "falsified": 0,
            "falsified_up_to_micro": 0, "guesses": 500, "noise_shared": 0, "tested": 1, "threshold": 499,
        }]);
        fs::write(&path, record.to_string()).unwrap();
    };
    let audit = ["model", "audit", "churn@1", "--result"];
    let by = |folder: &Path| {
        let mut asked = command("aquifer", audit);
        run(asked.arg(&path).arg("--dir").arg(folder)).unwrap()
    };
    record(claim / 2.0);
    check_says(&by(&auditor), 1, &["--claims"]);
    record(claim);
    let shown = path.to_string_lossy();
    let operator = [&audit[..], &[&*shown]].concat();
    let operator = small.cluster.aquifer(operator).unwrap();
    check_says(&operator, 1, &["role operator", "auditor"]);
    check_says(&by(&auditor), 0, &["not falsified at this sample size"]);
    let entry = entered(small, "audit.canary_result");
    assert_eq!(
        (&entry["model"], &entry["guesses"]),
        (&json!("churn"), &json!(500))
    );
}

fn check_recall(small: &Small) {
    let recall = ["model", "recall", "churn@1", "--why", "a column was wrong"];
    let operator = || small.cluster.aquifer(recall).unwrap();
    let approver = || small.cluster.as_approver(recall).unwrap();
    check_says(&operator(), 0, &["waits for a second person"]);
    check_says(&operator(), 1, &["takes two people"]);
    check_says(&predict(small, &["--model", "churn"]), 0, &[]);
    check_says(&approver(), 0, &["recalled"]);
    check_says(&approver(), 1, &["is not in use"]);
    let retire = ["model", "retire", "churn@1", "--why", "drift"];
    let operator = small.cluster.aquifer(retire).unwrap();
    check_says(&operator, 1, &["role operator", "approver"]);
    let approver = small.cluster.as_approver(retire).unwrap();
    check_says(&approver, 1, &["is not in use"]);
    let entry = entered(small, "model.recalled");
    assert_eq!(entry["why"], "a column was wrong");
}

#[test]
fn t2_a_recalled_model_predicts_no_more_and_certificates_say_so() {
    let small = Small::started(&policy());
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    let operator = |arguments: &[&str]| small.cluster.aquifer(arguments).unwrap();
    let path = small.folder.path().join("churn.json");
    let path = path.to_string_lossy();
    check_says(
        &operator(&["model", "export", "churn", "--out", &path]),
        0,
        &[],
    );
    let file: Value = serde_json::from_str(&fs::read_to_string(&*path).unwrap()).unwrap();
    let (made, by) = (&file["card"]["created"], &file["card"]["retire_by"]);
    let days = (by.as_u64().unwrap() - made.as_u64().unwrap()) / (24 * 3_600 * 1_000);
    assert_eq!(days, 90, "by the policy of the house");
    check_says(&operator(&["model", "list"]), 0, &["RETIRE BY"]);
    let released = entered(&small, "model.released");
    assert_eq!(&released["retire_by_ms"], by);

    let model = erased(&small);
    assert_eq!(
        (&model["model"], &model["model_state"]),
        (&json!("churn@1"), &json!("in-use"))
    );
    assert_eq!(model["by"], model["model_retire_by"]);
    check_audit(&small, &file);
    check_recall(&small);

    let why = &["was recalled on"];
    check_says(&predict(&small, &["--model", "churn"]), 1, why);
    check_says(&predict(&small, &["--model", "churn@1"]), 1, why);
    check_says(&score(&small, "late.csv"), 1, why);
    check_says(&operator(&["model", "list"]), 0, &["recalled"]);
    check_says(&operator(&["model", "card", "churn"]), 0, &["retire by"]);
    wait_for("the unit to close the erasure", STEP_MS, || {
        let listed = small.node(0, &["rights", "list", "--json"]);
        let listed: Value = serde_json::from_str(&listed.stdout)?;
        Ok((listed[0]["stage"] == "closed").then_some(()))
    })
    .unwrap();
}
