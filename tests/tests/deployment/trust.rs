//! Trust modes on real processes: what a study in `shared-noise` states, and what units demand of the others.

use std::fs;

use aquifer_shared::base::units::MicroRho;
use aquifer_tests::company::Company;
use aquifer_tests::measured::Model;
use aquifer_tests::policy::Policy;
use aquifer_tests::study::state;
use serde_json::Value;

use super::fixture::{STEP_MS, Small, check_says, one_study, policy};

/// Four units: as many as secure aggregation needs.
fn four(policy: &Policy) -> Small {
    let mut company = Company::synthetic(11, 8_000);
    company.keep_units(4);
    Small::of(company, policy)
}

/// The study file without a trust mode.
fn unsaid(small: &Small) -> String {
    let study = small.study("");
    let stated = "trust = \"node-noise\"\n";
    assert!(study.contains(stated));
    study.replace(stated, "")
}

#[test]
fn four_units_share_their_noise_and_the_release_says_so() {
    let mut small = four(&policy());
    small.cluster.start_nodes().unwrap();
    let last = small.cluster.run_study(&unsaid(&small), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    let model = Model::fetch(&small.cluster, "churn").unwrap();
    let privacy = &model.file["privacy"];
    assert_eq!(
        (model.trust(), privacy["honest"].as_u64()),
        ("shared-noise", Some(2))
    );
    let tolerated = (&privacy["absent_max"], &privacy["colluders_max"]);
    assert_eq!(tolerated, (&Value::from(1), &Value::from(1)));
    assert!(model.floor_epsilon().is_some());
    let budget = small.node(0, &["budget", "--json"]).success().unwrap();
    let budget: Value = serde_json::from_str(&budget).unwrap();
    let line = &budget["studies"][0];
    assert_eq!(line["spent"]["rho_micro"], one_study().0);
    assert_eq!(line["floor"]["rho_micro"], 2 * one_study().0);
    let card = small.cluster.aquifer(["model", "card", "churn"]).unwrap();
    check_says(
        &card,
        0,
        &[
            "at most 1 of 4 nodes collude",
            "up to 1 may be absent",
            "2 honest noise shares",
        ],
    );
    let replay = small.cluster.aquifer(["model", "replay", "churn"]).unwrap();
    check_says(&replay, 0, &[]);
}

/// What the last unit answers to the study after its `node.toml` was changed.
#[track_caller]
fn check_refused(change: impl FnOnce(&str) -> String, code: &str, detail: impl Fn(u64) -> bool) {
    let mut small = four(&policy());
    let path = small.cluster.nodes[3].folder.join("node.toml");
    let text = fs::read_to_string(&path).unwrap();
    let changed = change(&text);
    assert_ne!(changed, text);
    fs::write(&path, changed).unwrap();
    small.cluster.start_nodes().unwrap();
    let hash = small.cluster.submit(&unsaid(&small)).unwrap();
    let watch = small.cluster.watch(&hash).unwrap();
    small.cluster.approve(&hash).unwrap();
    let last = small.cluster.follow(&watch, STEP_MS, |_| {}).unwrap();
    let members = last["members"].as_array().unwrap().iter();
    let refused: Vec<&Value> = members
        .map(|member| &member["verdict"]["refused"])
        .filter(|refused| refused.is_object())
        .collect();
    let [refused] = refused[..] else {
        panic!("one unit refuses: {last}")
    };
    assert_eq!(refused["code"], code, "{refused}");
    assert!(detail(refused["detail"].as_u64().unwrap()), "{refused}");
    assert!(!refused["advice"].as_str().unwrap().is_empty());
    assert_eq!(small.spent(3), 0);
}

#[test]
fn a_unit_that_pins_nobody_takes_no_part() {
    let none = |text: &str| text.split("# Members").next().unwrap().to_owned();
    check_refused(none, "not-pinned", |member| (1..=4).contains(&member));
}

#[test]
fn an_operator_of_two_units_of_four_is_one_too_many() {
    let twins = |text: &str| {
        let (own, pins) = text.split_once("# Members").unwrap();
        let pins = pins
            .replace("operator = \"north\"", "operator = \"twins\"")
            .replace("operator = \"south\"", "operator = \"twins\"");
        format!("{own}# Members{pins}")
    };
    check_refused(twins, "operators", |member| (2..=4).contains(&member));
}

#[test]
fn a_unit_may_demand_more_honest_shares() {
    let demand = |text: &str| text.replacen("operator =", "honest_min = 3\noperator =", 1);
    check_refused(demand, "tolerances", |demand| demand == 1);
}

/// The coordinator is killed twice in the middle of a study of secure sums; what it had fixed it takes up again.
#[test]
fn a_coordinator_that_is_killed_goes_on_with_secure_sums() {
    let roomy = Policy {
        cap: MicroRho(4 * one_study().0),
        ..policy()
    };
    let mut small = four(&roomy);
    small.cluster.start_nodes().unwrap();
    let study = unsaid(&small) + "attempts_max = 4\nspare_attempts = 3\nslot_ms = 100\n";
    let hash = small.cluster.submit(&study).unwrap();
    small.cluster.approve(&hash).unwrap();
    for sums in [3, 7] {
        let watch = small.cluster.watch(&hash).unwrap();
        let mut done = 0;
        while done < sums {
            let line = watch.line(STEP_MS).unwrap().expect("the study still runs");
            let status: Value = serde_json::from_str(&line).unwrap();
            done = status["status"]["rounds_done"].as_u64().unwrap();
        }
        small.cluster.coordinator().kill().unwrap();
        small.cluster.start_coordinator().unwrap();
    }
    let watch = small.cluster.watch(&hash).unwrap();
    let last = small.cluster.follow(&watch, STEP_MS, |_| {}).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    let rounds = last["rounds"].as_array().unwrap();
    let again: u64 = rounds
        .iter()
        .map(|round| round["attempts"].as_u64().unwrap() - 1)
        .sum();
    assert!(again <= 2, "a restart costs an attempt at most: {last}");
    let shown = small
        .cluster
        .aquifer(["study", "show", &hash, "--json"])
        .unwrap();
    check_paid(
        &small,
        &serde_json::from_str(&shown.success().unwrap()).unwrap(),
    );
}

/// No unit paid for more than was opened; together they paid for every share that the sums hold. Units tell the larger of training and
/// hold-out, which are different customers.
#[track_caller]
fn check_paid(small: &Small, shown: &Value) {
    let terms = shown["terms"]["rounds"].as_array().unwrap();
    let rounds = shown["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), terms.len(), "{shown}");
    let total = |part: &str, key: &str| -> u64 {
        let of_part = rounds
            .iter()
            .zip(terms)
            .filter(|(_, terms)| terms["part"] == part);
        let prices = of_part.map(|(round, terms)| {
            round[key].as_u64().unwrap() * terms["rho_micro"].as_u64().unwrap()
        });
        prices.sum()
    };
    let spent: Vec<u64> = (0..4).map(|node| small.spent(node)).collect();
    let opened = total("training", "attempts").max(total("holdout", "attempts"));
    assert!(
        spent.iter().all(|spent| *spent <= opened),
        "{spent:?}, {shown}"
    );
    for part in ["training", "holdout"] {
        let held = total(part, "updates");
        assert!(
            held > 0 && spent.iter().sum::<u64>() >= held,
            "{spent:?}, {shown}"
        );
    }
}
