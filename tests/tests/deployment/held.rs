//! A model that the gate holds: nobody uses it before a person has decided.

use aquifer_tests::company::Company;
use aquifer_tests::measured::Model;
use aquifer_tests::processes::{Outcome, command, run};
use aquifer_tests::study::state;

use super::fixture::{STEP_MS, Small, check_says, policy};

/// Customers of the hold-out do the contrary of what the others do: what was learnt is worse than nothing.
fn contrary() -> Company {
    // Enough of them that the evaluation tells.
    let mut company = Company::synthetic(11, 40_000);
    company.keep_units(3);
    let positive = company.contract.label.positive.clone();
    let others = company.customers.iter().map(|customer| &customer.label);
    let other = others
        .clone()
        .find(|label| **label != positive)
        .unwrap()
        .clone();
    for customer in company
        .customers
        .iter_mut()
        .filter(|customer| customer.held_out)
    {
        let changed = if customer.label == positive {
            &other
        } else {
            &positive
        };
        customer.label = changed.clone();
    }
    company
}

#[test]
fn a_model_that_is_no_better_waits_for_a_person() {
    let mut small = Small::of(contrary(), &policy());
    small.cluster.start_nodes().unwrap();
    let analyst = small.cluster.add_person("ada", "analyst").unwrap();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "held", "{last}");
    let operator = |arguments: &[&str]| small.cluster.aquifer(arguments).unwrap();
    let ada = |arguments: &[&str]| -> Outcome {
        run(command("aquifer", arguments).arg("--dir").arg(&analyst)).unwrap()
    };
    let score = |name: &str| {
        let out = small.folder.path().join(name);
        small.node(
            0,
            &[
                "score",
                "--model",
                "churn@1",
                "--out",
                &out.to_string_lossy(),
            ],
        )
    };
    let card = ["model", "card", "churn@1"];
    check_says(
        &operator(&["study", "watch", "churn"]),
        1,
        &["held", "the base rate"],
    );
    check_says(&operator(&["model", "list"]), 0, &["churn@1", "held"]);
    check_says(
        &operator(&["model", "card", "churn"]),
        1,
        &["no published model"],
    );
    check_says(&operator(&card), 0, &["the base rate"]);
    check_says(
        &operator(&["model", "replay", "churn@1"]),
        0,
        &["churn@1 replayed"],
    );
    assert!(
        Model::fetch(&small.cluster, "churn@1")
            .unwrap()
            .private_auc()
            .unwrap()
            < 0.5
    );
    check_says(&ada(&card), 1, &["no published model"]);
    check_says(&score("held.csv"), 1, &["no published model"]);
    check_says(&ada(&["model", "release", "churn@1"]), 1, &["role analyst"]);
    check_says(
        &operator(&["model", "release", "churn@1"]),
        1,
        &["role operator", "approver"],
    );
    let approver = |arguments: &[&str]| small.cluster.as_approver(arguments).unwrap();
    check_says(
        &approver(&["model", "release", "churn@1"]),
        0,
        &["release done"],
    );
    check_says(&ada(&card), 0, &["churn"]);
    check_says(&score("released.csv"), 0, &[]);
    check_says(
        &approver(&["model", "drop", "churn@1"]),
        1,
        &["is not held"],
    );
}
