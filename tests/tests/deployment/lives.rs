//! The life of a model on real processes: its date is public, its end is told to units, and nobody predicts with it afterwards.

use std::fs;
use std::path::Path;

use aquifer_shared::domain::audit_bound::{Claim, ceiling, threshold};
use aquifer_shared::shell::at_rest::{AtRestConfig, Shape, Vault, open_sqlite};
use aquifer_tests::processes::{Outcome, command, run, wait_for};
use aquifer_tests::study::state;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::runtime::Builder;

use super::fixture::{STEP_MS, Small, check_says, company, has_program, policy};
use super::histories::of_coordinator;
use super::https::client::{Client, Reply, free_port};
use super::psql::Door;
use super::questions::Reports;

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
    let record = |claim: f64, lenient: usize| {
        let (canaries, guesses) = (80_000, 40_000);
        let own = Claim {
            epsilon: claim,
            delta,
            canaries,
        };
        let own = own.rounded();
        let record = json!([{
            "canaries": canaries, "ceiling_micro": (ceiling(own, guesses) * 1e6) as u64,
            "claim_micro": (own.epsilon * 1e6).round() as u64, "correct": guesses / 2,
            "delta_pico": (own.delta * 1e12).round() as u64, "falsified": 0, "falsified_up_to_micro": 0,
            "guesses": guesses, "noise_shared": 0, "tested": 1, "threshold": threshold(own, guesses).unwrap() + lenient,
        }]);
        fs::write(&path, record.to_string()).unwrap();
    };
    let audit = ["model", "audit", "churn@1", "--result"];
    let by = |folder: &Path| {
        let mut asked = command("aquifer", audit);
        run(asked.arg(&path).arg("--dir").arg(folder)).unwrap()
    };
    record(claim / 2.0, 0);
    check_says(&by(&auditor), 1, &["--claims"]);
    record(claim, 1);
    check_says(&by(&auditor), 1, &["a threshold of", "is falsified from"]);
    record(claim, 0);
    let shown = path.to_string_lossy();
    let operator = [&audit[..], &[&*shown]].concat();
    let operator = small.cluster.aquifer(operator).unwrap();
    check_says(&operator, 1, &["role operator", "auditor"]);
    check_says(&by(&auditor), 0, &["not falsified at this sample size"]);
    let entry = entered(small, "audit.canary_result");
    assert_eq!(
        (&entry["model"], &entry["guesses"]),
        (&json!("churn"), &json!(40_000))
    );
}

fn check_recall(small: &Small) {
    let recall = ["model", "recall", "churn@1", "--why", "a column was wrong"];
    let operator = || small.cluster.aquifer(recall).unwrap();
    let approver = || small.cluster.as_approver(recall).unwrap();
    check_says(
        &operator(),
        0,
        &["recall waits until", "for a second person"],
    );
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

/// The model of a stopped coordinator, made so long ago that it is out of date.
fn aged(small: &Small, card: &Value) {
    let folder = small.cluster.coordinator_folder();
    let vault = Vault::open(&folder, &AtRestConfig::default()).unwrap();
    let (made, by) = (
        card["created"].as_u64().unwrap(),
        card["retire_by"].as_u64().unwrap(),
    );
    let age = by - made + 24 * 3_600 * 1_000;
    let dated = |key: &str, moment: u64| format!("\"{key}\":{moment}");
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let key = vault.database("store");
        let opened = open_sqlite(&folder.join("store.sqlite"), &key, Shape::Exclusive).await;
        let mut opened = opened.unwrap();
        let older = "UPDATE models SET file = replace(replace(file, $1, $2), $3, $4) WHERE instr(file, $1) AND instr(file, $3)";
        let older = sqlx::query(older)
            .bind(dated("created", made))
            .bind(dated("created", made - age))
            .bind(dated("retire_by", by))
            .bind(dated("retire_by", by - age));
        let done = older.execute(&mut opened).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
        opened.close().await.unwrap();
    });
}

/// The ways to predict with the model, and what each says once it may not be used.
struct Ways {
    door: Door,
    client: Client,
}

impl Ways {
    fn open() -> Self {
        let port = free_port();
        let https = format!("127.0.0.1:{port}");
        let door = Door::of(|init| {
            let init = [init, &["--listen-https", &https]].concat();
            let mut small = Small::on(company(), &policy(), &init);
            small.cluster.start_nodes().unwrap();
            let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
            assert_eq!(state(&last), "published", "{last}");
            let analyst = small.cluster.add_person("ada", "analyst").unwrap();
            Reports { small, analyst }
        });
        let client = Client::of(port, &door.reports.analyst);
        Self { door, client }
    }

    fn in_sql(&self, model: &str) -> Outcome {
        let sql =
            format!("SELECT probability FROM predict('{model}', tenure => 5, contract => 'month')");
        self.door.asks(&[&sql])
    }

    fn in_https(&self, model: &str) -> Reply {
        let ask = format!("/v1/predict?model={model}&input=hypothetical");
        self.client.post(&ask, "application/json", INPUT)
    }

    #[track_caller]
    fn check_used(&self) {
        check_says(&self.in_sql("churn"), 0, &["(1 row)"]);
        assert_eq!(self.in_https("churn").status, 200);
        check_says(
            &predict(&self.door.reports.small, &["--model", "churn"]),
            0,
            &[],
        );
    }

    #[track_caller]
    fn check_refused(&self, why: &str) {
        for model in ["churn", "churn@1"] {
            let sql = self.in_sql(model);
            check_says(&sql, 1, &["QP009", why, "aquifer.models says until when"]);
            let https = self.in_https(model);
            https.is_problem(403, json!({"type": "urn:aquifer:problem:out-of-use"}));
            assert!(https.text.contains(why), "{https:?}");
            let small = &self.door.reports.small;
            check_says(&predict(small, &["--model", model]), 1, &[why]);
        }
    }
}

#[test]
fn t2_a_model_past_its_date_is_refused_to_every_client() {
    if !(has_program("psql") && has_program("curl")) {
        return;
    }
    let mut ways = Ways::open();
    ways.check_used();
    let file = ways.client.get("/v1/models/churn@1").json();
    ways.door
        .reports
        .small
        .cluster
        .coordinator()
        .stop()
        .unwrap();
    aged(&ways.door.reports.small, &file["card"]);
    ways.door.reports.small.cluster.start_coordinator().unwrap();
    ways.check_refused("was to be retired by");
    let state = "SELECT state FROM aquifer.models WHERE model = 'churn'";
    check_says(&ways.door.asks(&[state]), 0, &["expired"]);
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
