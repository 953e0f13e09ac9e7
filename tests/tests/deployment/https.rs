//! Analysts ask with `curl`: over TLS 1.3 only, with a token, and with the same answers as any other way.

use std::net::TcpListener;
use std::process::Command;

use aquifer_tests::processes::{Outcome, run};
use serde_json::{Value, json};

use super::fixture::has_program;
use super::questions::{BY_CONTRACT, Reports, URHO};

/// Four units with an open standing study, and a door for HTTPS clients.
struct Door {
    reports: Reports,
    port: u16,
    token: String,
}

/// What a request came to.
#[derive(Debug)]
struct Reply {
    status: u16,
    kind: String,
    text: String,
}

impl Reply {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// It is a problem document with these.
    #[track_caller]
    fn is_problem(&self, status: u16, members: Value) {
        assert_eq!(
            (self.status, &*self.kind),
            (status, "application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], status);
        for (name, value) in members.as_object().unwrap() {
            assert_eq!(&problem[name], value, "{name} of {problem}");
        }
    }
}

impl Door {
    /// None where this machine has no `curl`.
    fn open() -> Option<Self> {
        has_program("curl").then(Self::opened)
    }

    fn opened() -> Self {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let address = format!("127.0.0.1:{port}");
        let reports = Reports::on(4, 1_000_000, &["--listen-https", &address]);
        let token = String::new();
        let mut door = Self {
            reports,
            port,
            token,
        };
        door.token = door.new_token("notebook", &[]);
        door
    }

    fn token_command(&self, arguments: &[&str]) -> Outcome {
        let arguments = [&["token"], arguments].concat();
        let mut command = aquifer_tests::processes::command("aquifer", arguments);
        run(command.arg("--dir").arg(&self.reports.analyst)).unwrap()
    }

    fn new_token(&self, name: &str, more: &[&str]) -> String {
        let issued = self.token_command(&[&["issue", name], more].concat());
        issued.success().unwrap().trim().to_owned()
    }

    fn curl(&self, path: &str, arguments: &[&str]) -> Command {
        let port = self.port;
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-w", "\n%{http_code} %{content_type}", "--cacert"])
            .arg(self.reports.analyst.join("ca.pem"))
            .args(["--resolve", &format!("aquifer:{port}:127.0.0.1")])
            .args(arguments)
            .arg(format!("https://aquifer:{port}{path}"));
        curl
    }

    /// A request without any token of its own accord.
    #[track_caller]
    fn bare(&self, path: &str, arguments: &[&str]) -> Reply {
        let printed = run(&mut self.curl(path, arguments)).unwrap();
        let printed = printed.success().unwrap();
        let (text, last) = printed.rsplit_once('\n').unwrap();
        let (status, kind) = last.split_once(' ').unwrap();
        Reply {
            status: status.parse().unwrap(),
            kind: kind.to_owned(),
            text: text.to_owned(),
        }
    }

    #[track_caller]
    fn with(&self, token: &str, path: &str, arguments: &[&str]) -> Reply {
        let header = format!("Authorization: Bearer {token}");
        self.bare(path, &[&["-H", &header], arguments].concat())
    }

    #[track_caller]
    fn get(&self, path: &str) -> Reply {
        self.with(&self.token, path, &[])
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Reply {
        self.with(&self.token, path, &["--json", &body.to_string()])
    }

    /// Asks for the purpose that there is.
    #[track_caller]
    fn asks(&self, path: &str, sql: &str, more: Value) -> Reply {
        let mut body = json!({"sql": sql, "purpose": "reporting"});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.post(path, &body)
    }
}

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
    refused(BY_CONTRACT, other, 403, json!({"sqlstate": "QP004"}));
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
