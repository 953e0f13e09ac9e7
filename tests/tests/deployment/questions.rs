//! Analysts ask on real processes: private answers, stored answers for free, prices, refusals, hard budgets.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use aquifer_shared::base::units::MicroRho;
use aquifer_tests::company::Company;
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::{Outcome, command, run};
use aquifer_tests::standing::{PURPOSE, Standing, publish_customers};
use serde_json::{Value, json};

use super::fixture::{Small, check_says};

/// Price of one attempt at a question, and what one question may cost with both its attempts.
pub const URHO: u64 = 20_000;
const QUESTION_URHO_MAX: u64 = 100_000;
const CUSTOMERS: usize = 4_000;

/// What may be asked here.
pub const STANDING: Standing<'static> = Standing {
    name: "reports",
    nodes: "\"all\"",
    tables: &["customers"],
    urho_max: QUESTION_URHO_MAX,
    urho_default: URHO,
    urho: 1_000_000,
    cohort_floor: 50,
    plan: "",
};

/// Units that publish their customers to analysts, a standing study that is open, and an analyst.
pub struct Reports {
    pub small: Small,
    pub analyst: PathBuf,
}

/// What is different from one deployment to another.
#[derive(Clone, Copy)]
pub struct Shape<'a> {
    pub units: usize,
    /// What a unit allows per year.
    pub cap: u64,
    /// Further arguments for `aquifer-coordinator init`.
    pub init: &'a [&'a str],
    /// Further entries of the plan.
    pub plan: &'a str,
    /// What is done to the customers and their contract.
    pub edit: fn(&mut Company),
    /// Tables that may be asked about.
    pub tables: &'a [&'a str],
    /// Lines that map those that are not the training table.
    pub published: &'a str,
    /// What the coordinator logs.
    pub log: Option<&'static str>,
}

impl Default for Shape<'_> {
    fn default() -> Self {
        Self {
            units: 4,
            cap: 1_000_000,
            init: &[],
            plan: "",
            edit: |_| {},
            tables: STANDING.tables,
            published: "",
            log: None,
        }
    }
}

impl Reports {
    pub fn open(units: usize, cap: u64) -> Self {
        Self::shaped(&Shape {
            units,
            cap,
            ..Shape::default()
        })
    }

    pub fn shaped(shape: &Shape<'_>) -> Self {
        let mut company = Company::synthetic(5, CUSTOMERS);
        company.keep_units(shape.units);
        publish_customers(&mut company).unwrap();
        (shape.edit)(&mut company);
        let policy = Policy {
            cap: MicroRho(shape.cap),
            purposes: vec![PURPOSE.to_owned()],
            published: shape.published.to_owned(),
            ..Policy::default()
        };
        let mut small = Small::on(company, &policy, shape.init);
        if let Some(filter) = shape.log {
            small.cluster.log(filter);
            small.cluster.coordinator().stop().unwrap();
            small.cluster.start_coordinator().unwrap();
        }
        small.cluster.start_nodes().unwrap();
        let standing = Standing {
            tables: shape.tables,
            plan: shape.plan,
            ..STANDING
        };
        standing.open(&small.cluster, &small.company).unwrap();
        let analyst = small.cluster.add_person("ada", "analyst").unwrap();
        Self { small, analyst }
    }

    pub fn ask<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Outcome {
        self.ask_as(&self.analyst, arguments)
    }

    /// Somebody else asks.
    pub fn ask_as<S: AsRef<OsStr>>(
        &self,
        folder: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Outcome {
        let mut asked = command("aquifer", arguments);
        asked.args(["--purpose", "reporting", "--dir"]);
        run(asked.arg(folder)).unwrap()
    }

    /// The answer to a question, as JSON.
    #[track_caller]
    pub fn answer(&self, more: &[&str], sql: &str) -> Value {
        let arguments = [&["query", sql, "--json"], more].concat();
        let printed = self.ask(arguments).success().unwrap();
        serde_json::from_str(&printed).unwrap()
    }

    pub fn spent(&self) -> Vec<u64> {
        let units = 0..self.small.cluster.nodes.len();
        units.map(|unit| self.small.spent(unit)).collect()
    }

    /// Customers with a value in a column.
    fn count(&self, column: &str, value: &str) -> f64 {
        let place = self.small.company.contract.position(column).unwrap();
        let customers = self.small.company.customers.iter();
        let with = customers.filter(|customer| customer.values[place] == value);
        with.count() as f64
    }
}

pub const BY_CONTRACT: &str = "SELECT contract, COUNT(*) AS n FROM customers GROUP BY contract";

/// Every count is near the true one: `sigma` in customers; six deviations, false alarms below 1e-8 a count.
#[track_caller]
fn check_counts(reports: &Reports, answer: &Value, sigma: f64) {
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4, "three levels and the rest: {answer}");
    for row in rows {
        let level = row["contract"].as_str().unwrap();
        if level == "other" {
            assert_eq!(
                (&row["suppressed"], &row["n"]),
                (&Value::from(true), &Value::Null)
            );
            continue;
        }
        let (n, low, high) = (&row["n"], &row["n_low"], &row["n_high"]);
        let off = n.as_f64().unwrap() - reports.count("contract", level);
        assert!(
            off.abs() < 6.0 * sigma,
            "{level} is {off} off, sigma {sigma}: {row}"
        );
        let half = (high.as_f64().unwrap() - low.as_f64().unwrap()) / 2.0;
        assert!((half / (1.96 * sigma) - 1.0).abs() < 0.1, "{row}");
    }
}

#[test]
fn analysts_ask_in_sql_and_pay_once() {
    let reports = Reports::open(4, 1_000_000);
    let nothing = vec![0; 4];
    check_says(
        &reports.ask(["explain", BY_CONTRACT]),
        0,
        &["20000 micro-rho", "shared-noise", "none"],
    );
    assert_eq!(reports.spent(), nothing, "a price tag costs nothing");
    let first = reports.answer(&[], BY_CONTRACT);
    // Four shares of noise are in the sum where two honest ones are certain.
    let sigma = (1.0 / (2.0 * URHO as f64 * 1e-6)).sqrt() * (4.0_f64 / 2.0).sqrt();
    check_counts(&reports, &first, sigma);
    assert_eq!(first["release"]["cached"], false);
    assert_eq!(first["release"]["updates"], 4);
    assert_eq!(first["release"]["data_versions"][0], "2026-11");
    assert_eq!(reports.spent(), vec![URHO; 4]);
    let spelled =
        "select count(*) as customers, contract from customers group by 2 order by 1 desc limit 3;";
    let again = reports.answer(&[], spelled);
    assert_eq!(again["release"]["cached"], true);
    assert_eq!(
        again["release"]["release_id"],
        first["release"]["release_id"]
    );
    assert_eq!(
        reports.spent(),
        vec![URHO; 4],
        "the same question in other words is free"
    );
    let dearer = reports.answer(&["--rho-micro", "40000"], BY_CONTRACT);
    assert_eq!(dearer["release"]["cached"], false);
    assert_eq!(
        reports.spent(),
        vec![3 * URHO; 4],
        "a dearer answer is paid for in full"
    );
}

/// What a command of the analyst lists, as JSON.
#[track_caller]
pub fn listed(reports: &Reports, arguments: &[&str]) -> Value {
    let looked = command("aquifer", [arguments, &["--json", "--dir"]].concat())
        .arg(&reports.analyst)
        .output();
    let looked = looked.unwrap();
    assert!(looked.status.success(), "{arguments:?}");
    serde_json::from_slice(&looked.stdout).unwrap()
}

#[test]
fn commands_list_tables_shares_and_past_answers_for_free() {
    let reports = Reports::open(4, 1_000_000);
    let columns = &listed(&reports, &["catalogue"])["rows"];
    let contract = columns.as_array().unwrap().iter();
    let mut contract = contract.filter(|row| row["column_name"] == "contract");
    assert_eq!(contract.next().unwrap()["table_name"], "customers");
    let before = &listed(&reports, &["budget"])["rows"][0];
    assert_eq!(before["used_urho"], 0);
    assert_eq!(listed(&reports, &["release", "list"])["rows"], json!([]));
    let answer = reports.answer(&[], BY_CONTRACT);
    let after = &listed(&reports, &["budget"])["rows"][0];
    assert_eq!(after["used_urho"], URHO);
    let id = answer["release"]["release_id"].as_str().unwrap();
    let shown = listed(&reports, &["release", "show", &id[..8]]);
    assert_eq!(
        (&shown["release_id"], &shown["urho"]),
        (&json!(id), &json!(URHO))
    );
    let again = reports.answer(&[], shown["sql"].as_str().unwrap());
    assert_eq!(again["release"]["cached"], true, "{shown}");
    assert_eq!(reports.spent(), [URHO; 4]);
    let cluster = &reports.small.cluster;
    check_says(
        &cluster.aquifer(["budget"]).unwrap(),
        1,
        &["role", "analyst"],
    );
    let none = cluster.aquifer(["release", "show", "0123456789"]).unwrap();
    check_says(&none, 1, &["aquifer release list"]);
}

#[test]
fn a_request_id_stands_for_one_question() {
    let reports = Reports::open(4, 1_000_000);
    let first = reports.answer(&["--request-id", "monday"], BY_CONTRACT);
    let again = reports.answer(
        &["--request-id", "monday", "--rho-micro", "40000"],
        BY_CONTRACT,
    );
    assert_eq!(
        first["release"]["release_id"],
        again["release"]["release_id"]
    );
    assert_eq!(reports.spent(), vec![URHO; 4]);
    let other = reports.ask([
        "query",
        "SELECT COUNT(*) FROM customers",
        "--request-id",
        "monday",
    ]);
    check_says(&other, 1, &["QP007"]);
}

#[test]
fn what_may_not_be_asked_is_refused_and_costs_nothing() {
    let reports = Reports::open(4, 1_000_000);
    let refused = |sql: &str, code: &str| check_says(&reports.ask(["query", sql]), 1, &[code]);
    refused("SELECT * FROM customers", "42803");
    refused("SELECT customer_id FROM customers", "42");
    refused("SELECT COUNT(*) FROM invoices", "42P01");
    refused(
        "SELECT COUNT(*) FROM customers WHERE contract = 'week'",
        "22023",
    );
    refused("SELECT MAX(age) FROM customers", "0A000");
    refused("DELETE FROM customers", "25006");
    refused("SELECT COUNT(*) FROM", "42601");
    let dear = (QUESTION_URHO_MAX / 2 + 1).to_string();
    check_says(
        &reports.ask(["query", BY_CONTRACT, "--rho-micro", &dear]),
        1,
        &["QP003"],
    );
    check_says(
        &reports.ask(["query", BY_CONTRACT, "--stored-only"]),
        1,
        &["55000"],
    );
    let operator = reports
        .small
        .cluster
        .aquifer(["query", BY_CONTRACT, "--purpose", "reporting"]);
    check_says(&operator.unwrap(), 1, &["analyst"]);
    assert_eq!(reports.spent(), [0; 4]);
}

#[test]
fn the_units_budgets_are_hard() {
    // Room for one question with both its attempts, and for one attempt beside what was charged.
    let reports = Reports::open(4, 2 * URHO + 10);
    reports.answer(&[], BY_CONTRACT);
    let second = reports.ask(["query", "SELECT COUNT(*) FROM customers"]);
    check_says(&second, 1, &["QP001"]);
    assert_eq!(reports.spent(), [URHO; 4]);
}

#[test]
fn three_units_answer_each_with_noise_of_its_own() {
    let reports = Reports::open(3, 1_000_000);
    let answer = reports.answer(&[], BY_CONTRACT);
    let sigma = (1.0 / (2.0 * URHO as f64 * 1e-6)).sqrt() * 3.0_f64.sqrt();
    check_counts(&reports, &answer, sigma);
    assert_eq!(answer["release"]["trust"], "node-noise");
    let means = "SELECT AVG(age) AS age, STDDEV(age) AS spread, MEDIAN(tenure) AS middle, SUM(support_calls) AS calls, \
                 COUNT(DISTINCT customer_id) AS n FROM customers WHERE contract IN ('month', 'one year') AND age >= 30";
    let answer = reports.answer(&[], means);
    let row = &answer["rows"][0];
    let between = |name: &str, low: f64, high: f64| {
        let value = row[name].as_f64().unwrap();
        assert!((low..high).contains(&value), "{name} is {value}: {row}");
    };
    between("age", 30.0, 100.0);
    between("middle", 0.0, 120.0);
    assert!(row["n"].as_f64().unwrap() > 500.0, "{row}");
}
