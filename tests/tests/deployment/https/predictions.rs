//! Predictions by `curl`: the same as those of `aquifer predict`, one at a time and in batches.

use serde_json::{Value, json};

use super::super::fixture::{STEP_MS, Small, has_program, policy};
use super::client::{Client, free_port};

const INPUT: &str =
    r#"{"tenure": 2, "monthly_charge": 90, "contract": "month", "payment": "invoice"}"#;

#[test]
fn c3_coordinator_refuses_real_customers_and_predicts_for_made_up_ones() {
    if !has_program("curl") {
        return;
    }
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let (company, init) = (
        super::super::fixture::company(),
        ["--listen-https", &address],
    );
    let mut small = Small::on(company, &policy(), &init);
    small.cluster.start_nodes().unwrap();
    small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    let client = Client::of(port, &small.cluster.add_person("ada", "analyst").unwrap());
    let model = &client.get("/v1/models").json()["models"][0];
    assert_eq!(
        (&model["name"], &model["version"]),
        (&json!("churn"), &json!(1))
    );
    let file = client.get("/v1/models/churn@1").json();
    assert_eq!(file["format"], "aquifer.additive/1");
    let ask = "/v1/predict?model=churn&input=hypothetical";
    let one = client
        .post(&format!("{ask}&explain=true"), "application/json", INPUT)
        .json();
    let arguments = [
        "predict",
        "--model",
        "churn",
        "--input",
        "hypothetical",
        "--explain",
        "--json",
        INPUT,
    ];
    let same = small.cluster.aquifer(arguments).unwrap().success().unwrap();
    let same: Value = serde_json::from_str(&same).unwrap();
    for member in [
        "probability",
        "score",
        "decision",
        "base",
        "contributions",
        "warnings",
        "notes",
    ] {
        assert_eq!(one[member], same[member], "{member}");
    }
    assert_eq!(one["hash"], model["hash"]);
    check_batches(&client, ask, &one);
    check_refusals(&client, ask);
    for unit in 0..3 {
        assert!(small.spent(unit) > 0);
    }
}

fn check_batches(client: &Client, ask: &str, one: &Value) {
    let lines = format!("{INPUT}\n").repeat(10_000);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("batch.ndjson");
    let send = |lines: &str, kind: &str| {
        std::fs::write(&file, lines).unwrap();
        client.post(ask, kind, &format!("@{}", file.display()))
    };
    let batch = send(&lines, NDJSON);
    assert_eq!((batch.status, &*batch.kind), (200, NDJSON));
    let said: Vec<Value> = batch
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(said.len(), 10_000);
    for (place, line) in said.iter().enumerate() {
        assert_eq!(line["line"], place + 1);
        assert_eq!(line["probability"], one["probability"]);
    }
    send(&format!("{lines}{INPUT}"), NDJSON).is_problem(413, json!({}));
    send("", NDJSON).is_problem(400, json!({}));
    send(&format!("{INPUT}\n\n{INPUT}"), NDJSON).is_problem(400, json!({}));
    send(&" ".repeat(9 << 20), NDJSON).is_problem(413, json!({}));
    let third = send(
        &format!("{INPUT}\n{INPUT}\n{{\"tenure\": \"CANARY\"}}"),
        NDJSON,
    );
    third.is_problem(400, json!({}));
    assert!(
        third.text.contains("line 3") && !third.text.contains("CANARY"),
        "{third:?}"
    );
}

fn check_refusals(client: &Client, ask: &str) {
    let json_kind = "application/json";
    let policy = json!({"sqlstate": "QP004"});
    let real = client.post("/v1/predict?model=churn&input=real", json_kind, INPUT);
    real.is_problem(403, policy.clone());
    let named = client.post(ask, json_kind, r#"{"customer_id": "c1", "tenure": 2}"#);
    named.is_problem(403, policy);
    for bad in [
        "[]",
        r#"{"tenure": 2, "tenure": 3}"#,
        r#"{"shoe_size": 44}"#,
        "{",
    ] {
        client.post(ask, json_kind, bad).is_problem(400, json!({}));
    }
    for (query, status) in [
        ("model=none&input=segment", 404),
        ("model=churn", 400),
        ("model=churn&input=segment&threshold=2", 400),
        ("model=churn&input=segment&customer=c1", 400),
    ] {
        let refused = client.post(&format!("/v1/predict?{query}"), json_kind, INPUT);
        refused.is_problem(status, json!({}));
    }
    client
        .post(ask, "text/csv", INPUT)
        .is_problem(415, json!({}));
}

const NDJSON: &str = "application/x-ndjson";
