//! Studies that the rules say no to: at submission with line and column, or by the nodes with a code.

use std::fs;

use aquifer_shared::base::units::MicroRho;
use aquifer_tests::measured::cap;
use aquifer_tests::policy::Policy;
use aquifer_tests::study::state;

use super::fixture::{STEP_MS, Small, check_says, one_study, policy};

#[test]
fn impossible_numbers_are_refused_where_they_stand() {
    let small = Small::prepared(&policy());
    let good = small.study("");
    for (from, to, said) in [
        ("epsilon = 8.0", "epsilon = nan", "epsilon"),
        ("epsilon = 8.0", "epsilon = -1.0", "epsilon"),
        ("epsilon = 8.0", "epsilon = 0.0", "epsilon"),
        ("epsilon = 8.0", "epsilon = inf", "epsilon"),
        ("delta = 1e-6", "delta = 0.5", "delta"),
        ("delta = 1e-6", "delta = nan", "delta"),
        ("population = 10000", "population = 9000000", "population"),
        ("epsilon = 8.0", "epsilon = 8.0\nurho = 5", "urho"),
        ("epsilon = 8.0", "epsilom = 8.0", "epsilom"),
        ("plan = \"additive\"", "plan = \"magic\"", "magic"),
        ("node-noise", "shared-noise", "shared-noise"),
    ] {
        assert!(good.contains(from));
        let outcome = small.cluster.try_submit(&good.replace(from, to)).unwrap();
        check_says(&outcome, 1, &[said]);
    }
    let outcome = small
        .cluster
        .try_submit("name = \"x\"\n\nepsilon = = 1\n")
        .unwrap();
    check_says(&outcome, 1, &["line 3"]);
}

#[track_caller]
fn check_nodes_refuse(small: &Small, study: &str, code: &str) {
    let last = small.cluster.run_study(study, STEP_MS).unwrap();
    assert_eq!(state(&last), "aborted", "{last}");
    let members = last["members"].to_string().to_lowercase();
    assert!(members.contains(code), "{members}");
    assert_eq!(small.spent(0), 0);
}

#[test]
fn nodes_refuse_what_their_policy_does_not_allow() {
    let small = Small::started(&policy());
    let study = small.study("");
    check_nodes_refuse(
        &small,
        &study.replace("churn.train", "marketing.train"),
        "purpose",
    );
    check_nodes_refuse(
        &small,
        &study.replace(
            "holdout = { column = \"split\" }",
            "holdout = { column = \"vip\" }",
        ),
        "hold",
    );
    check_nodes_refuse(
        &small,
        &small.study("slot_ms = 0\nsynthetic = true"),
        "synthetic",
    );
}

/// The operator has a newer contract than the units.
#[test]
fn a_study_on_another_version_of_the_contract_is_refused() {
    let small = Small::started(&policy());
    let newer = fs::read_to_string(small.cluster.contract()).unwrap();
    assert!(newer.contains("version = 1"));
    fs::write(
        small.cluster.contract(),
        newer.replacen("version = 1", "version = 2", 1),
    )
    .unwrap();
    let study = small.study("").replacen("version = 1", "version = 2", 1);
    check_nodes_refuse(&small, &study, "contract");
    // The file and the study do not agree: nothing is registered.
    let outcome = small.cluster.try_submit(&small.study("")).unwrap();
    check_says(&outcome, 1, &["version 1", "version 2"]);
}

#[test]
fn a_person_at_the_unit_says_no() {
    let small = Small::started(&Policy {
        approval: "person",
        ..policy()
    });
    let hash = small.cluster.submit(&small.study("")).unwrap();
    let watch = small.cluster.watch(&hash).unwrap();
    small.cluster.approve(&hash).unwrap();
    aquifer_tests::processes::wait_for("the node to hold the study", STEP_MS, || {
        let listed = small.node(0, &["studies", "list"]).stdout;
        Ok(listed.contains("churn").then_some(()))
    })
    .unwrap();
    check_says(&small.node(0, &["studies", "refuse", &hash]), 0, &[]);
    let last = small.cluster.follow(&watch, STEP_MS, |_| {}).unwrap();
    assert_eq!(state(&last), "aborted", "{last}");
    assert!(last["members"].to_string().contains("person"), "{last}");
    assert_eq!(small.spent(0), 0);
    // The node hears of the end: nobody changes their mind about a study that is over.
    aquifer_tests::processes::wait_for("the node to hear of the end", STEP_MS, || {
        let listed = small.node(0, &["studies", "list"]).stdout;
        Ok((!listed.contains("churn")).then_some(()))
    })
    .unwrap();
    let late = small.node(0, &["studies", "approve", &hash]);
    check_says(&late, 1, &["no study", "waits or runs here"]);
    let approved = small
        .cluster
        .as_approver(["study", "approve", &hash])
        .unwrap();
    check_says(&approved, 1, &["has ended already", "[ended]"]);
}

#[test]
fn a_study_over_the_cap_is_refused_before_any_sum() {
    let cap = MicroRho(cap(one_study()).0 - 1);
    let small = Small::started(&Policy { cap, ..policy() });
    check_nodes_refuse(&small, &small.study(""), "budget");
}

#[test]
fn a_study_waits_for_the_person_at_the_unit() {
    let small = Small::started(&Policy {
        approval: "person",
        ..policy()
    });
    let hash = small.cluster.submit(&small.study("")).unwrap();
    let watch = small.cluster.watch(&hash).unwrap();
    small.cluster.approve(&hash).unwrap();
    let held = |node: usize| {
        small
            .node(node, &["studies", "list"])
            .stdout
            .contains("churn")
    };
    aquifer_tests::processes::wait_for("every node to hold the study", STEP_MS, || {
        Ok((0..3).all(held).then_some(()))
    })
    .unwrap();
    for node in 0..3 {
        check_says(&small.node(node, &["studies", "approve", &hash]), 0, &[]);
    }
    let last = small.cluster.follow(&watch, STEP_MS, |_| {}).unwrap();
    assert_eq!(state(&last), "published", "{last}");
}
