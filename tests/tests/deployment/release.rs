//! From tickets to a release, and everything that people then do with it.

use std::fs;
use std::path::Path;

use aquifer_tests::study::{list, state};
use serde_json::Value;

use super::fixture::{STEP_MS, Small, check_says, one_study, policy};

#[test]
fn a_study_ends_in_a_model_that_predicts_scores_and_replays() {
    let small = Small::started(&policy());
    let mut sums = Vec::new();
    let hash = small.cluster.submit(&small.study("")).unwrap();
    let watch = small.cluster.watch(&hash).unwrap();
    small.cluster.approve(&hash).unwrap();
    let last = small.cluster.follow(&watch, STEP_MS, |status| {
        sums.push(status["status"]["rounds_done"].as_u64())
    });
    let last = last.unwrap();
    assert_eq!(state(&last), "published", "{last}");
    assert!(
        sums.is_sorted() && sums.last() == Some(&Some(10)),
        "{sums:?}"
    );
    for node in 0..3 {
        assert_eq!(
            small.spent(node),
            one_study().0,
            "node {node} was charged the larger part, once"
        );
    }
    check_models(&small);
    check_predictions(&small);
    check_scores(&small);
    check_next_study_is_refused(&small);
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

fn check_models(small: &Small) {
    let listed = json(
        &small
            .cluster
            .aquifer(["model", "list", "--json"])
            .unwrap()
            .success()
            .unwrap(),
    );
    assert_eq!(list(&listed, "models").unwrap().len(), 1);
    let replay = small.cluster.aquifer(["model", "replay", "churn"]).unwrap();
    check_says(&replay, 0, &[]);
    let card = small.cluster.aquifer(["model", "card", "churn"]).unwrap();
    check_says(&card, 0, &["churn", "epsilon"]);
    let path = small.folder.path().join("model.json");
    let export = ["model", "export", "churn", "--out", &path.to_string_lossy()];
    check_says(&small.cluster.aquifer(export).unwrap(), 0, &[]);
    let file = json(&fs::read_to_string(&path).unwrap());
    assert_eq!(file["format"], "aquifer.additive/2");
    assert_eq!(file["privacy"]["mode"], "node-noise");
    assert_eq!(file["privacy"]["urho"], one_study().0);
}

fn check_predictions(small: &Small) {
    let input = r#"{"tenure": 2, "monthly_charge": 90, "contract": "month", "payment": "invoice"}"#;
    let arguments = [
        "predict",
        "--model",
        "churn",
        "--input",
        "hypothetical",
        "--explain",
        input,
    ];
    check_says(
        &small.cluster.aquifer(arguments).unwrap(),
        0,
        &["tenure", "contract"],
    );
    let unit = fs::read_to_string(small.cluster.nodes[0].folder.join("customers.csv")).unwrap();
    let with_ids = small.folder.path().join("with-ids.csv");
    fs::write(&with_ids, &unit).unwrap();
    let segment = small.folder.path().join("segment.csv");
    let without: Vec<&str> = unit.lines().filter_map(features).collect();
    fs::write(&segment, without.join("\n") + "\n").unwrap();
    let out = small.folder.path().join("predicted.csv");
    let predict = |file: &Path| {
        let (file, out) = (file.to_string_lossy(), out.to_string_lossy());
        let arguments = [
            "predict", "--model", "churn", "--input", "segment", "--file", &file, "--out", &out,
        ];
        small.cluster.aquifer(arguments).unwrap()
    };
    check_says(&predict(&with_ids), 1, &["customer_id"]);
    check_says(&predict(&segment), 0, &[]);
    let predicted = fs::read_to_string(&out).unwrap();
    assert_eq!(
        predicted.lines().count(),
        without.len(),
        "a header, and one line for each row"
    );
}

/// A line without id, label and split.
fn features(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(',')?;
    let (rest, _) = rest.rsplit_once(',')?;
    rest.rsplit_once(',').map(|(features, _)| features)
}

fn check_scores(small: &Small) {
    let score = |name: &str| {
        let out = small.folder.path().join(name);
        let arguments = ["score", "--model", "churn", "--out", &out.to_string_lossy()];
        (small.node(0, &arguments), out)
    };
    let (outcome, out) = score("scores.csv");
    check_says(&outcome, 0, &[]);
    let scores = fs::read_to_string(&out).unwrap();
    assert_eq!(scores.lines().count(), small.company.of_unit(0).count() + 1);
    check_says(&score("scores.csv").0, 1, &["never overwritten"]);
    let (outcome, out) = score("scores.parquet");
    check_says(&outcome, 0, &[]);
    let bytes = fs::read(&out).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    let (outcome, out) = score("scores.json");
    check_says(&outcome, 1, &["scores.json", ".csv or .parquet"]);
    assert!(!out.exists());
}

/// The cap covers one study.
fn check_next_study_is_refused(small: &Small) {
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "aborted");
    assert!(
        last["members"]
            .to_string()
            .to_lowercase()
            .contains("budget"),
        "{last}"
    );
    assert_eq!(small.spent(0), one_study().0);
}
