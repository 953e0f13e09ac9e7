//! The catalogue through the real door, with real clients: what they find, that no node hears of it, and that it costs nothing.

use std::path::Path;

use serde_json::Value;

use super::fixture::{Small, check_says, company, has_program, policy};
use super::psql::{Door, PURPOSE, Proof};
use super::questions::{BY_CONTRACT, Reports, URHO, listed};

#[test]
fn psql_finds_what_there_is_to_ask_about() {
    let Some(door) = Door::open() else { return };
    let shows = |command: &str, words: &[&str]| check_says(&door.asks(&[command]), 0, words);
    shows("\\d", &["public|customers|table|aquifer"]);
    shows("\\dt", &["public|customers|table|aquifer"]);
    shows("\\dt+", &["privacy unit customer_id"]);
    shows(
        "\\d customers",
        &["Table \"public.customers\"", "contract|text|"],
    );
    shows("\\d+ customers", &["levels month"]);
    shows(
        "\\d aquifer.budget",
        &["View \"aquifer.budget\"", "left_urho|bigint"],
    );
    shows("\\l", &["aquifer|"]);
    shows("\\df", &["public|predict|TABLE(score"]);
    shows("\\dn", &["public|aquifer", "aquifer|aquifer"]);
    shows("\\dv", &["Did not find any relations"]);
    shows("\\dv aquifer.*", &["aquifer|stored_answers|view|aquifer"]);
    shows("\\du", &["ada|", "aquifer|Cannot login"]);
    shows("SELECT version()", &["PostgreSQL 15.0 (Aquifer"]);
    shows("SELECT current_setting('search_path')", &["public"]);
    let set = "SELECT set_config('aquifer.purpose', 'reporting', false)";
    check_says(
        &door.asks(&[set, "SHOW aquifer.purpose"]),
        0,
        &["reporting"],
    );
    let unknown = door.asks(&["\\d invoices"]);
    check_says(&unknown, 1, &["Did not find any relation"]);
    assert_eq!(door.reports.spent(), [0; 4]);
}

/// Statements of a client that take no values, as they were recorded.
fn recorded(client: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let path = root.join(format!("coordinator/golden/catalogue/{client}.txt"));
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("\n### ").skip(1);
    let statement = |block: &str| {
        let (asked, _) = block.split_once("\n=>\n")?;
        let (_, sql) = asked.split_once('\n')?;
        let numbers = sql
            .replace("{orders}", "1")
            .replace("{aquifer.models}", "2");
        (!sql.contains("\n:values ")).then_some(numbers)
    };
    blocks.filter_map(statement).collect()
}

#[test]
fn catalogue_cannot_reach_data() {
    let Some(mut door) = Door::open() else { return };
    let before = door.reports.spent();
    for node in &mut door.reports.small.cluster.nodes {
        // Ends with its process.
        drop(node.process.take());
    }
    let mut statements = Vec::new();
    for client in ["psql15", "pgjdbc42", "sqlalchemy2", "metabase", "dbeaver"] {
        statements.extend(recorded(client));
    }
    assert!(statements.len() > 60, "{}", statements.len());
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    check_says(&door.asks(&statements), 0, &[]);
    let own = [
        "contract_columns",
        "purposes",
        "models",
        "budget",
        "releases",
        "stored_answers",
        "nodes",
    ];
    let own = own.map(|table| format!("SELECT * FROM aquifer.{table}"));
    check_says(
        &door.asks(&own.each_ref().map(|sql| &**sql)),
        0,
        &["tenure", "reports"],
    );
    let mixed = [
        (
            "SELECT count(*) FROM customers, pg_catalog.pg_class",
            "0A000",
        ),
        (
            "SELECT (SELECT count(*) FROM customers) FROM pg_class",
            "0A000",
        ),
        ("SELECT * FROM pg_class, secrets", "42P01"),
        ("SELECT * FROM aquifer.budgets", "perhaps aquifer.budget;"),
        ("SELECT relnam FROM pg_class", "perhaps relname;"),
        ("SELECT pg_read_file('/etc/passwd')", "42883"),
        ("SELECT * FROM customers", "42803"),
    ];
    for (sql, state) in mixed {
        check_says(&door.asks(&[PURPOSE, sql]), 1, &[state]);
    }
    assert_eq!(door.reports.spent(), before, "ledgers are as they were");
}

/// Parts of what the first release promises: of rho 0.02, under a standing study of rho 1.
const PROMISED: [&str; 6] = [
    "Adding or removing one customer of one unit, with all rows, changes the chance of any outcome of this release by at most a factor \
     e^0.9, but for a probability 1e-6 (rho 0.02; nobody is left out by sampling). A customer is one customer_id, of whom R = 1 rows in \
     each of G = 1 groups of the contract count at most; ",
    "Each unit in the sum adds a discrete Gaussian (OpenDP 0.16) of scale ",
    "; 4 of 4 units are in it. In shared-noise each unit adds a share",
    ": at most 1 of a group of units collude, with the coordinator or without it; ",
    "The data are of version 2026-11. ",
    "have cost a customer rho 0.02 (epsilon 0.9) so far, and may cost rho 1 (epsilon 7.7663); ",
];

#[test]
fn past_answers_are_listed_and_free() {
    let Some(door) = Door::open() else { return };
    let last =
        "SELECT contract, n FROM aquifer.last_answer WHERE NOT suppressed ORDER BY n DESC LIMIT 1";
    let outcome = door.asks(&[PURPOSE, BY_CONTRACT, last]);
    check_says(&outcome, 0, &["contract|n\n", "(1 row)"]);
    assert_eq!(door.reports.spent(), [URHO; 4]);
    let sql = "SELECT contract, COUNT(*) FROM customers GROUP BY 1";
    let stored = door.asks(&["SELECT table_name, sql, statement FROM aquifer.stored_answers"]);
    let promised = &listed(&door.reports, &["release", "list"])["rows"][0]["statement"];
    check_says(&stored, 0, &[sql, promised.as_str().unwrap(), "(1 row)"]);
    check_says(&stored, 0, &PROMISED);
    let again = door.asks(&[PURPOSE, "SET aquifer.cache = 'only'", sql]);
    check_says(&again, 0, &["nothing charged, cached"]);
    let releases = door.asks(&["SELECT urho, trust_mode, units FROM aquifer.releases"]);
    check_says(&releases, 0, &["20000|shared-noise|4"]);
    // Rho 0.02 is epsilon 0.899935 at 1e-6, a golden value of the accountant; what is told is rounded up to 0.0001.
    let told = "SELECT rho, round(epsilon * 1e6), delta, units_in_sum, data_versions FROM aquifer.releases";
    check_says(
        &door.asks(&[told]),
        0,
        &["\n0.02|900000|0.000001|4|2026-11\n"],
    );
    assert_eq!(door.reports.spent(), [URHO; 4]);
}

#[test]
fn predictions_in_sql_are_those_of_the_command_and_free() {
    if !has_program("psql") {
        return;
    }
    let door = Door::of(|listen| {
        let mut small = Small::on(company(), &policy(), listen);
        small.cluster.start_nodes().unwrap();
        let study = small.study("");
        small.cluster.run_study(&study, 240_000).unwrap();
        let analyst = small.cluster.add_person("ada", "analyst").unwrap();
        Reports { small, analyst }
    });
    let before: Vec<u64> = (0..3).map(|node| door.reports.small.spent(node)).collect();
    let object = r#"{"tenure": 5, "contract": "month"}"#;
    let predict = [
        "predict",
        "--model",
        "churn",
        "--input",
        "hypothetical",
        object,
        "--json",
    ];
    let printed = door.reports.small.cluster.aquifer(predict).unwrap();
    let printed: Value = serde_json::from_str(&printed.success().unwrap()).unwrap();
    let score = printed["score"].as_f64().unwrap();
    let call = "FROM predict('churn', tenure => 5, contract => 'month')";
    let rounded = format!("SELECT round(score * 1000) AS score, version, clipped, input {call}");
    let line = format!("{}|1||hypothetical", (score * 1000.0).round());
    check_says(&door.asks(&[&rounded]), 0, &[&line]);
    let flagged = "SELECT clipped, input FROM predict('churn', tenure => 1e6, input => 'segment')";
    check_says(&door.asks(&[flagged]), 0, &["tenure|segment"]);
    let unknown = "SELECT notes FROM predict('churn', contract => 'never heard of')";
    check_says(
        &door.asks(&[unknown]),
        0,
        &["contract: the value is not one of its levels"],
    );
    let shapes = "SELECT feature, value, log_odds FROM aquifer.model_shapes WHERE model = 'churn' AND feature = 'contract'";
    check_says(&door.asks(&[shapes]), 0, &["contract|"]);
    let importances =
        "SELECT feature FROM aquifer.model_importances ORDER BY importance DESC LIMIT 1";
    check_says(&door.asks(&[importances]), 0, &["(1 row)"]);
    let refused = [
        (
            "SELECT * FROM predict('churn', tenure => 5, input => 'real')",
            "QP004",
        ),
        (
            "SELECT * FROM predict('churn', customer_id => 'c1')",
            "QP004",
        ),
        (
            "SELECT * FROM predict('churn', shoe_size => 5, tenure => 1)",
            "42703",
        ),
        ("SELECT * FROM predict('none', tenure => 5)", "42704"),
    ];
    for (sql, state) in refused {
        check_says(&door.asks(&[sql]), 1, &[state]);
    }
    let client = door.client("ada", &Proof::Certificate, "");
    check_says(
        &door.run(client, &["SELECT count(*) FROM aquifer.models"]),
        0,
        &["1"],
    );
    let after: Vec<u64> = (0..3).map(|node| door.reports.small.spent(node)).collect();
    assert_eq!(after, before);
}
