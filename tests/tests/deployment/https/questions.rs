//! Questions by `curl`: the same answers as any other way, and the same refusals.

use serde_json::{Value, json};

use super::super::questions::{BY_CONTRACT, URHO, listed};
use super::client::Door;

#[test]
fn analysts_ask_with_curl_and_pay_once() {
    let Some(door) = Door::open() else { return };
    let priced = door.asks("/v1/explain", BY_CONTRACT, json!({}));
    assert_eq!(priced.status, 200, "{priced:?}");
    assert!(priced.text.contains("20000 micro-rho"), "{priced:?}");
    assert_eq!(door.reports.spent(), [0; 4], "a price tag costs nothing");
    let first = door.asks("/v1/query", BY_CONTRACT, json!({"request_id": "monday"}));
    assert_eq!(
        (first.status, &*first.kind),
        (200, "application/json"),
        "{first:?}"
    );
    let first = first.json();
    assert_eq!(first["release"]["cached"], false);
    assert_eq!(door.reports.spent(), [URHO; 4]);
    let elsewhere = door.reports.answer(&[], BY_CONTRACT);
    for member in ["columns", "rows"] {
        assert_eq!(elsewhere[member], first[member], "both doors say the same");
    }
    let mut release = first["release"].clone();
    release["cached"] = true.into();
    assert_eq!(elsewhere["release"], release);
    let again = door.asks(
        "/v1/query",
        BY_CONTRACT,
        json!({"cache": "only", "intervals": "json"}),
    );
    let again = again.json();
    assert_eq!(again["release"]["release_id"], release["release_id"]);
    assert!(again["rows"][0]["n"].is_object(), "{again}");
    assert_eq!(door.reports.spent(), [URHO; 4]);
    check_lists(&door, &release);
}

/// What may be listed after one question.
#[track_caller]
fn check_lists(door: &Door, release: &Value) {
    let id = release["release_id"].as_str().unwrap();
    let one = door.get(&format!("/v1/releases/{id}")).json();
    assert_eq!(&one["release"], release);
    assert_eq!(one["purpose"], "reporting");
    assert_eq!(
        (&one["table"], &one["cells"]),
        (&json!("customers"), &json!(4))
    );
    let row = &listed(&door.reports, &["release", "list"])["rows"][0];
    assert_eq!(one["statement"], row["statement"], "one promise");
    let promised = one["statement"].as_str().unwrap();
    assert!(
        promised.contains("rho 0.02 (epsilon 0.9) so far"),
        "{promised}"
    );
    let all = door.get("/v1/releases").json();
    assert_eq!((&all["releases"][0], &all["next"]), (&one, &Value::Null));
    let older = door.get(&format!("/v1/releases?before={id}")).json();
    assert_eq!(older["releases"], json!([]));
    let absent = door.get(&format!("/v1/releases/{}", "0".repeat(64)));
    absent.is_problem(404, json!({"type": "urn:aquifer:problem:unknown"}));
    let share = &door.get("/v1/budget").json()["shares"][0];
    assert_eq!(share["standing"], release["standing"]);
    assert_eq!(
        share["rho_micro_left"].as_u64().unwrap() + share["rho_micro_used"].as_u64().unwrap(),
        1_000_000,
        "{share}"
    );
    let standing = &door.get("/v1/catalogue").json()["standing"][0];
    let table = &standing["tables"][0];
    assert_eq!(standing["standing"], release["standing"]);
    assert_eq!(
        (&table["name"], &table["privacy_unit"]),
        (&json!("customers"), &json!("customer_id"))
    );
    let columns = table["columns"].as_array().unwrap();
    let contract = columns
        .iter()
        .find(|column| column["name"] == "contract")
        .unwrap();
    assert_eq!(
        (&contract["type"], &contract["levels"][0]),
        (&json!("key"), &json!("month"))
    );
    let units = &door.get("/v1/nodes").json()["units"];
    assert_eq!(units.as_array().unwrap().len(), 4);
    assert_eq!(units[0]["connected"], true, "{units}");
    assert_eq!(units[0]["data_version"], "2026-11");
    assert_eq!(door.get("/v1/models").json(), json!({"models": []}));
    door.get("/v1/models/churn").is_problem(404, json!({}));
    let described = door.get("/v1/openapi.json").json();
    assert_eq!(described["openapi"], "3.1.0");
    assert_eq!(door.bare("/health", &[]).json(), json!({"state": "open"}));
}

#[test]
fn what_is_refused_is_refused_with_its_reason() {
    let Some(door) = Door::open() else { return };
    let refused = |sql: &str, more: Value, status: u16, members: Value| {
        for path in ["/v1/query", "/v1/explain"] {
            door.asks(path, sql, more.clone())
                .is_problem(status, members.clone());
        }
    };
    let place = json!({"sqlstate": "42803", "position": 8, "rule": "sql.grouping"});
    refused("SELECT * FROM customers", json!({}), 400, place);
    refused(
        "DELETE FROM customers",
        json!({}),
        400,
        json!({"sqlstate": "25006", "position": 1}),
    );
    refused(
        "SELECT COUNT(*) FROM invoices",
        json!({}),
        400,
        json!({"sqlstate": "42P01"}),
    );
    let other = json!({"purpose": "marketing"});
    let found = "no standing study is open for purpose \"marketing\"; there are reporting";
    let members = json!({"sqlstate": "QP004", "detail": found, "rule": "policy.purpose"});
    refused(BY_CONTRACT, other, 403, members);
    let named = json!({"standing": "weekly"});
    let found = "no standing study \"weekly\" is open for purpose reporting; open are reports";
    refused(
        BY_CONTRACT,
        named,
        403,
        json!({"sqlstate": "QP004", "detail": found}),
    );
    refused(
        BY_CONTRACT,
        json!({"rho_micro": 50_001}),
        403,
        json!({"sqlstate": "QP003"}),
    );
    refused(
        BY_CONTRACT,
        json!({"rho_share": 2}),
        400,
        json!({"sqlstate": "22023"}),
    );
    refused(
        BY_CONTRACT,
        json!({"scale": 0}),
        400,
        json!({"type": "urn:aquifer:problem:body"}),
    );
    let only = door.asks("/v1/query", BY_CONTRACT, json!({"cache": "only"}));
    only.is_problem(400, json!({"sqlstate": "55000"}));
    let long = format!(
        "SELECT COUNT(*) FROM customers /* {} */",
        "x".repeat(64 << 10)
    );
    refused(&long, json!({}), 400, json!({"sqlstate": "54001"}));
    assert_eq!(door.reports.spent(), [0; 4]);
    let first = door.asks("/v1/query", BY_CONTRACT, json!({"request_id": "monday"}));
    assert_eq!(first.status, 200, "{first:?}");
    let sql = "SELECT COUNT(*) AS n FROM customers";
    let other = door.asks("/v1/query", sql, json!({"request_id": "monday"}));
    other.is_problem(409, json!({"sqlstate": "QP007"}));
}
