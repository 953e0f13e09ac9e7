//! After real sums, nothing that a coordinator keeps holds an exact number of a unit's customers: not its store, its history or its log.
//!
//! The messages of units are looked through field by field elsewhere; this looks at what became of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::predictor::arithmetic::COUNT;
use aquifer_shared::shell::at_rest::{AtRestConfig, Shape, Vault, open_sqlite};
use aquifer_tests::company::Company;
use aquifer_tests::policy::Policy;
use aquifer_tests::standing::{PURPOSE, publish_customers};
use aquifer_tests::study::state;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};
use tokio::runtime::Builder;

use super::evidence::entries;
use super::fixture::{STEP_MS, Small};
use super::questions::{BY_CONTRACT, Reports, STANDING};

/// Exact numbers of five digits: no port, day or price that is written anywhere has them, and few noisy figures are as long.
struct Exact(BTreeSet<u64>);

impl Exact {
    /// Customers of each unit, and those that it trains with.
    fn of(company: &Company) -> Self {
        let mut all = BTreeSet::new();
        for unit in 0..company.units.len() {
            let trained = company.of_unit(unit).filter(|one| !one.held_out);
            all.extend([company.of_unit(unit).count(), trained.count()]);
        }
        let public = company.customers_max();
        let all: BTreeSet<u64> = all.into_iter().map(|number| number as u64).collect();
        assert!(!all.contains(&public), "what is declared is no secret");
        assert!(all.len() == 2 * company.units.len(), "{all:?}");
        let long = |number: &u64| (10_000..32_768).contains(number);
        assert!(all.iter().all(long), "{all:?}");
        Self(all)
    }

    /// Whole words that are numbers; durations are none.
    fn in_text(&self, text: &str) -> Option<u64> {
        let words = text.split(|own: char| !(own.is_ascii_alphanumeric() || "_.=".contains(own)));
        let number = |word: &str| {
            let (name, value) = word.rsplit_once('=').unwrap_or(("", word));
            let value = value.parse::<f64>().ok()?;
            (value.fract() == 0.0 && !name.ends_with("_ms")).then_some(value as u64)
        };
        words.filter_map(number).find(|own| self.0.contains(own))
    }

    /// Numbers of a document, and words of its texts; lists of numbers are tables of a model or of an answer, which are noisy.
    fn in_json(&self, value: &Value) -> Option<u64> {
        match value {
            Value::Object(fields) => fields.values().find_map(|own| self.in_json(own)),
            Value::Array(all) => {
                let others = all.iter().filter(|own| !own.is_number());
                others.into_iter().find_map(|own| self.in_json(own))
            }
            Value::String(text) => self.in_text(text),
            other => self.in_text(&other.to_string()),
        }
    }

    /// Numbers of eight bytes, and counts as messages write them. Shorter ones are left to the look at every field of a message.
    fn in_bytes(&self, bytes: &[u8]) -> Option<u64> {
        let is_in = |part: &[u8]| bytes.windows(part.len()).any(|own| own == part);
        let forms = |number: &u64| {
            let scaled = number * COUNT.unsigned_abs();
            let whole = [*number, scaled];
            let whole = whole.map(|own| [own.to_le_bytes(), own.to_be_bytes()]);
            let varint = [varint(scaled), varint(scaled << 1)];
            whole.as_flattened().iter().any(|own| is_in(own)) || varint.iter().any(|own| is_in(own))
        };
        self.0.iter().copied().find(forms)
    }

    /// A value of a database, as it lies there.
    fn in_value(&self, kind: &str, bytes: &[u8]) -> Option<u64> {
        let text = str::from_utf8(bytes).ok().filter(|_| kind != "blob");
        let Some(text) = text else {
            return self.in_bytes(bytes);
        };
        match serde_json::from_str::<Value>(text) {
            Ok(json) => self.in_json(&json),
            Err(_) => self.in_text(text),
        }
    }

    /// Where they stand in the tables of a database, and how many values there are.
    async fn in_database(&self, opened: &mut SqliteConnection) -> (Vec<String>, usize) {
        let (mut found, mut looked) = (Vec::new(), 0);
        let columns = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'";
        for place in sqlx::query(columns).fetch_all(&mut *opened).await.unwrap() {
            let (table, column): (String, String) = (place.get(0), place.get(1));
            let values = format!(
                "SELECT typeof(\"{column}\"), CAST(\"{column}\" AS BLOB) FROM \"{table}\" WHERE \"{column}\" IS NOT NULL"
            );
            let rows = sqlx::raw_sql(AssertSqlSafe(values)).fetch_all(&mut *opened);
            for row in rows.await.unwrap() {
                looked += 1;
                let (kind, bytes): (String, Vec<u8>) = (row.get(0), row.get(1));
                let own = self.in_value(&kind, &bytes);
                found.extend(own.map(|own| format!("{own} in {table}.{column}")));
            }
        }
        (found, looked)
    }
}

/// As messages and records write a number.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A model that units train each with its own noise, and an answer that they give with shared noise.
fn summed() -> Small {
    let mut company = Company::synthetic(17, 160_000);
    company.keep_units(4);
    publish_customers(&mut company).unwrap();
    let policy = Policy {
        cap: MicroRho(1_000_000_000),
        purposes: vec!["churn.train".to_owned(), PURPOSE.to_owned()],
        ..Policy::default()
    };
    let mut small = Small::of(company, &policy);
    small.cluster.coordinator().stop().unwrap();
    small.cluster.log("info,aquifer_coordinator=trace");
    small.cluster.start_coordinator().unwrap();
    small.cluster.start_nodes().unwrap();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    STANDING.open(&small.cluster, &small.company).unwrap();
    let analyst = small.cluster.add_person("ada", "analyst").unwrap();
    let reports = Reports { small, analyst };
    let answer = reports.answer(&[], BY_CONTRACT);
    assert_eq!(answer["release"]["updates"], 4);
    reports.small
}

#[track_caller]
fn check_store(exact: &Exact, folder: &Path) {
    let vault = Vault::open(folder, &AtRestConfig::default()).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let key = vault.database("store");
        let opened = open_sqlite(&folder.join("store.sqlite"), &key, Shape::Exclusive).await;
        let mut opened = opened.unwrap();
        let (found, looked) = exact.in_database(&mut opened).await;
        assert!(found.is_empty(), "{found:?}");
        assert!(looked > 300, "only {looked} values");
        // What is there is found, whatever it is kept as.
        let (first, last) = (exact.0.first().unwrap(), exact.0.last().unwrap());
        let plant = format!(
            "CREATE TABLE planted (a, b, c, d); \
             INSERT INTO planted VALUES ({first}, 'took {last} rows', '{{\"a\": [{{\"b\": {first}}}]}}', x'00{:016x}00')",
            last * COUNT.unsigned_abs()
        );
        let plant = sqlx::raw_sql(AssertSqlSafe(plant));
        plant.execute(&mut opened).await.unwrap();
        let (found, _) = exact.in_database(&mut opened).await;
        assert_eq!(found.len(), 4, "{found:?}");
        opened.close().await.unwrap();
    });
}

/// False alarms: a noisy figure outside of lists that happens to have such five digits, below one in a hundred runs.
#[test]
fn a4_no_exact_count_in_coordinator_after_sums() {
    let mut small = summed();
    let exact = Exact::of(&small.company);
    let all = entries(&small);
    assert!(all.len() > 30, "{} entries", all.len());
    for entry in &all {
        let payload = entry["payload"].as_str().unwrap_or("null");
        let payload = serde_json::from_str(payload).unwrap();
        assert_eq!(exact.in_json(&payload), None, "{entry}");
    }
    let folder = small.cluster.coordinator_folder();
    small.cluster.stop().unwrap();
    let log = fs::read_to_string(small.folder.path().join("coordinator.log")).unwrap();
    assert!(log.lines().count() > 20, "{log}");
    for line in log.lines() {
        assert_eq!(exact.in_text(line), None, "{line}");
    }
    check_store(&exact, &folder);
    let number = exact.0.first().unwrap();
    for said in [
        format!("sum: {number}, done"),
        format!("rows={number} took_ms=3"),
        format!("a total of {number}.0"),
    ] {
        assert_eq!(exact.in_text(&said), Some(*number), "{said}");
    }
    assert_eq!(exact.in_text(&format!("took_ms={number}")), None);
    let said = json!({"sums": [{"members": 4, "customers": number}]});
    assert_eq!(exact.in_json(&said), Some(*number));
    let varints = varint((number * COUNT.unsigned_abs()) << 1);
    assert_eq!(exact.in_bytes(&varints), Some(*number));
}
