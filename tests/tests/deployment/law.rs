//! Rules of law on real processes: what the coordinator's packs deny at once, and what a unit with stricter ones denies for itself.

use std::fs;

use aquifer_tests::law;
use aquifer_tests::study::state;
use serde_json::Value;

use super::fixture::{STEP_MS, Small, check_says, node_command, policy};

#[test]
fn a_study_is_denied_at_submission_with_its_rule() {
    let small = Small::prepared(&policy());
    let study = small.study("");
    for (purpose, cause, whom) in [
        ("marketing.query", "purpose_unknown", "owner of the purpose"),
        ("predictions.score", "wrong_action", "owner of the purpose"),
    ] {
        let relabelled = study.replace("churn.train", purpose);
        let outcome = small.cluster.try_submit(&relabelled).unwrap();
        check_says(&outcome, 1, &["\"law\"", cause, "house/on_unknown@", whom]);
    }
    // A purpose of the same action, bound to other columns.
    let contract = small.company.contract.clone();
    let mut cluster = small.cluster;
    let narrow = |folder: &std::path::Path| {
        let section = law::write_central(folder, &contract, &["churn.train".to_owned()])?;
        let path = folder.join("purposes.toml");
        let text = fs::read_to_string(&path)?;
        let column = &contract.columns[0].name;
        let fewer = text.replace(&format!("{column:?}"), "\"another\"");
        assert_ne!(text, fewer);
        fs::write(&path, fewer)?;
        Ok(section)
    };
    cluster.declare(narrow).unwrap();
    let outcome = cluster.try_submit(&study).unwrap();
    check_says(&outcome, 1, &["\"law\"", "column_not_allowed"]);
}

#[test]
fn a_study_that_rules_deny_since_ends_when_the_coordinator_starts_again() {
    let mut small = Small::prepared(&policy());
    let hash = small.cluster.submit(&small.study("")).unwrap();
    let contract = small.company.contract.clone();
    let others = ["other.train".to_owned()];
    small
        .cluster
        .declare(|folder| law::write_central(folder, &contract, &others))
        .unwrap();
    let shown = small.cluster.aquifer(["study", "show", &hash, "--json"]);
    let shown: Value = serde_json::from_str(&shown.unwrap().success().unwrap()).unwrap();
    assert_eq!(state(&shown), "aborted", "{shown}");
    assert!(shown.to_string().contains("purpose_unknown"), "{shown}");
    let late = small.cluster.as_approver(["study", "approve", &hash]);
    check_says(&late.unwrap(), 1, &["ended already"]);
}

#[test]
fn a_node_with_stricter_packs_refuses_and_names_the_rule() {
    let mut small = Small::prepared(&policy());
    let node = &small.cluster.nodes[0];
    let (name, pack) = (node.name.clone(), node.folder.join("packs/house.toml"));
    let stricter = fs::read_to_string(&pack).unwrap();
    let place = stricter.find("key = \"cohort_min_train\"").unwrap();
    let (before, after) = stricter.split_at(place);
    let after = after.replacen("value = 1\n", "value = 1000000000\n", 1);
    fs::write(&pack, format!("{before}{after}")).unwrap();
    small.cluster.start_nodes().unwrap();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "aborted", "{last}");
    let members = last["members"].to_string().to_lowercase();
    assert!(members.contains("law"), "{members}");
    assert_eq!(small.spent(0), 0);
    let log = fs::read_to_string(small.folder.path().join(format!("{name}.log"))).unwrap();
    for word in [
        "cohort_too_small",
        "house/cohort_min_train@",
        "ask the approver",
    ] {
        assert!(log.contains(word), "{word} in {log}");
    }
    let checked = small.node(0, &["check"]);
    check_says(
        &checked,
        0,
        &["churn.train at train: deny", "cohort_too_small"],
    );
    let checked = small.node(1, &["check"]);
    check_says(&checked, 0, &["churn.train at train: allow"]);
}

#[test]
fn a_unit_lists_its_packs_and_decides_made_up_cases() {
    let small = Small::prepared(&policy());
    let folder = &small.cluster.nodes[0].folder;
    let node = |arguments: &[&str]| node_command(folder, arguments);
    check_says(&node(&["laws", "list"]), 0, &["gdpr", "house"]);
    let house = node(&["laws", "list", "house"]);
    check_says(&house, 0, &["cohort_min_train", "org_policy"]);
    check_says(&node(&["laws", "status"]), 0, &["NOT REVIEWED"]);
    let case = small.folder.path().join("case.toml");
    let text = "gate = \"train\"\npurpose = \"churn.train\"\ncolumns = []\ncategories = [\"contract\"]\ncontroller = \"DE\"\n\
                dpia = \"absent\"\nabout = \"run\"\nplace = [\"DE\"]\ntransfer = \"within\"\npopulation = 5000\n\
                epsilon_micro = 500000\ndelta_pico = 1000\n";
    fs::write(&case, text).unwrap();
    let file = case.to_string_lossy().into_owned();
    let check = |json: &[&str]| {
        let arguments = [&["policy", "check", "--what-if", &file], json].concat();
        node(&arguments)
    };
    check_says(&check(&[]), 0, &["allow at gate train"]);
    check_says(&check(&["--json"]), 0, &["decision_id"]);
    fs::write(&case, text.replace("churn.train", "churn.score")).unwrap();
    check_says(&check(&[]), 1, &["wrong_action"]);
}
