//! A model that is trained anew on real processes: asked for or on schedule, decided on by two people, and told to whoever was erased.

use std::path::Path;

use aquifer_shared::base::units::MicroRho;
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::{Outcome, command, run, wait_for};
use aquifer_tests::study::{list, state};
use serde_json::{Value, json};

use super::clocks::shifted;
use super::fixture::{STEP_MS, Small, check_says, has_program, policy};
use super::lives::{entered, entered_with, erased_by, printed};

/// Models are used for 90 days: five days after the release.
const RETRAIN: &str = "retrain = { lead_days = 85 }";

/// The line of a version in the list of models.
fn model(small: &Small, version: u64) -> Value {
    let listed = small.cluster.aquifer(["model", "list", "--json"]).unwrap();
    let listed = printed(&listed);
    let mut models = listed.as_array().unwrap().iter();
    let own = models.find(|own| own["version"] == version);
    own.unwrap().clone()
}

/// Studies that wait for an approver, in what `study list --json` printed.
fn waiting(listed: &Outcome) -> Vec<String> {
    let listed = printed(listed);
    let studies = list(&listed, "studies").unwrap().iter();
    let waiting = studies.filter(|own| own["state"] == "submitted");
    let named = waiting.map(|own| own["study"].as_str().unwrap().to_owned());
    named.collect()
}

/// An operator asks, an approver decides, units train; whose model it was is told.
fn retrained(small: &Small) {
    let retrain = [
        "model",
        "retrain",
        "churn@1",
        "--why",
        "an upheld objection",
    ];
    let operator = || small.cluster.aquifer(retrain).unwrap();
    let approver = small.cluster.as_approver(retrain).unwrap();
    check_says(&approver, 1, &["role approver", "operator"]);
    check_says(&operator(), 0, &["waits for an approver"]);
    check_says(&operator(), 1, &["is proposed already"]);
    assert_eq!(model(small, 1)["succession"]["state"], "retrain_proposed");
    let listed = small.cluster.aquifer(["study", "list", "--json"]).unwrap();
    let waiting = waiting(&listed);
    assert_eq!(waiting.len(), 1);
    let proposed = entered_with(small, "study.proposed", |own| own["succeeds"].is_string());
    assert_eq!(proposed["study"], json!(waiting[0]));
    assert_eq!(proposed["retrain_why"], "an upheld objection");
    assert_eq!(proposed["succeeds_version"], 1);
    let own = small.cluster.aquifer(["study", "approve", &waiting[0]]);
    check_says(&own.unwrap(), 1, &["role operator", "approver"]);
    let watch = small.cluster.watch(&waiting[0]).unwrap();
    small.cluster.approve(&waiting[0]).unwrap();
    let last = small.cluster.follow(&watch, STEP_MS, |_| {}).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    wait_for("the first version to be retired", STEP_MS, || {
        Ok((model(small, 1)["state"] == "retired").then_some(()))
    })
    .unwrap();
    let superseded = &model(small, 1)["succession"];
    assert_eq!(superseded["state"], "superseded");
    assert_eq!(superseded["version"], 2);
    let retired = entered(small, "model.retired");
    assert!(retired["why"].as_str().unwrap().contains("by churn@2"));
    let shown = small.cluster.aquifer(["model", "show", "churn@1"]).unwrap();
    check_says(&shown, 0, &["retraining", "superseded by version 2"]);
}

/// The last certificate of an erasure.
fn certificate(small: &Small, request: &str) -> Value {
    wait_for("the unit to close the erasure", STEP_MS, || {
        let listed = small.node(0, &["rights", "list", "--json"]);
        let listed: Value = serde_json::from_str(&listed.stdout)?;
        Ok((listed[0]["stage"] == "closed").then_some(()))
    })
    .unwrap();
    let close = ["rights", "close", "--request", request, "--json"];
    let closed = printed(&small.node(0, &close));
    closed["certificate"]["body"]["models_and_answers"][0].clone()
}

/// Six days later the coordinator proposes by itself what it was to propose after five; once, however often it starts.
fn check_day(small: &mut Small) {
    if !has_program("faketime") {
        return;
    }
    small.cluster.coordinator().stop().unwrap();
    let (directory, operator) = (
        small.cluster.coordinator_folder(),
        small.cluster.operator.clone(),
    );
    let log = small.folder.path().join("later.log");
    let later_list = |folder: &Path| {
        let mut asked = command("aquifer", ["study", "list", "--json", "--dir"]);
        run(asked.arg(folder).envs(shifted("+6d"))).unwrap()
    };
    let mut before: Option<Vec<String>> = None;
    for _ in 0..2 {
        let mut serve = command("aquifer-coordinator", ["serve", "--json", "--dir"]);
        serve.arg(&directory).envs(shifted("+6d"));
        let mut later = small
            .cluster
            .watcher()
            .start("later", &mut serve, &log)
            .unwrap();
        let ready = later.line(STEP_MS).unwrap();
        assert!(ready.is_some_and(|line| line.contains("listening")));
        let proposed = wait_for("the study to be proposed", STEP_MS, || {
            let proposed = waiting(&later_list(&operator));
            Ok((!proposed.is_empty()).then_some(proposed))
        });
        let proposed = proposed.unwrap();
        assert_eq!(proposed.len(), 1);
        assert!(before.is_none_or(|before| before == proposed));
        before = Some(proposed);
        later.stop().unwrap();
    }
}

#[test]
fn t2_a_model_is_superseded_by_one_without_the_erased() {
    let cap = MicroRho(2 * policy().cap.0);
    let mut small = Small::started(&Policy { cap, ..policy() });
    let last = small.cluster.run_study(&small.study(RETRAIN), STEP_MS);
    let last = last.unwrap();
    assert_eq!(state(&last), "published", "{last}");
    assert_eq!(model(&small, 1)["succession"]["state"], "retrain_scheduled");
    let scheduled = entered(&small, "model.retrain_scheduled");
    let on = &model(&small, 1)["succession"]["at"];
    assert_eq!(&scheduled["retrain_on_ms"], on);
    let listed = small.cluster.aquifer(["model", "list"]).unwrap();
    check_says(&listed, 0, &["churn@1: another version is proposed on"]);

    let erased = erased_by(&small);
    retrained(&small);
    let model = certificate(&small, erased["request"].as_str().unwrap());
    let found = (&model["action"], &model["retraining"], &model["model"]);
    let (action, done) = (json!("retrain_scheduled"), json!("superseded"));
    assert_eq!(found, (&action, &done, &json!("churn@1")));
    assert_eq!(model["superseded_by"], "churn@2");
    assert!(model["superseded_at"].is_string());
    check_day(&mut small);
}
