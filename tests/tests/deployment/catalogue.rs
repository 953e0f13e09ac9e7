//! The catalogue through the real door, with real clients: what they find, that no node hears of it, and that it costs nothing.

use std::path::Path;
use std::process::Command;

use aquifer_tests::processes::run;
use serde_json::{Value, json};

use super::fixture::{Small, check_says, company, has_program, policy};
use super::psql::{Door, PURPOSE, Proof, python};
use super::questions::{BY_CONTRACT, Reports, URHO};

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

#[test]
fn past_answers_are_listed_and_free() {
    let Some(door) = Door::open() else { return };
    let last =
        "SELECT contract, n FROM aquifer.last_answer WHERE NOT suppressed ORDER BY n DESC LIMIT 1";
    let outcome = door.asks(&[PURPOSE, BY_CONTRACT, last]);
    check_says(&outcome, 0, &["contract|n\n", "(1 row)"]);
    assert_eq!(door.reports.spent(), [URHO; 4]);
    let listed = door.asks(&["SELECT table_name, sql, statement FROM aquifer.stored_answers"]);
    let sql = "SELECT contract, COUNT(*) FROM customers GROUP BY 1";
    check_says(
        &listed,
        0,
        &[sql, "Adding or removing one customer", "(1 row)"],
    );
    let again = door.asks(&[PURPOSE, "SET aquifer.cache = 'only'", sql]);
    check_says(&again, 0, &["nothing charged, cached"]);
    let releases = door.asks(&["SELECT urho, trust_mode, units FROM aquifer.releases"]);
    check_says(&releases, 0, &["20000|shared-noise|4"]);
    assert_eq!(door.reports.spent(), [URHO; 4]);
}

#[test]
fn jdbc_finds_tables_and_asks() {
    let Some(door) = Door::open() else { return };
    let driver = Path::new("/usr/share/java/postgresql.jar");
    if !has_program("java") || !driver.exists() {
        println!("SKIPPED: no {}", driver.display());
        assert!(
            std::env::var_os("CI").is_none(),
            "the driver is needed in CI"
        );
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deployment/Tables.java");
    let question = "SELECT contract, COUNT(*) AS n FROM customers WHERE age >= ? GROUP BY contract";
    let mut client = Command::new("java");
    client
        .arg("-cp")
        .arg(driver)
        .arg(source)
        .args([&door.port.to_string(), "ada"]);
    client
        .arg(door.reports.analyst.join("ca.pem"))
        .arg(question);
    let outcome = run(client.env("PGPASSWORD", &door.password)).unwrap();
    let words = [
        "schema public\n",
        "schema aquifer\n",
        "table customers TABLE ",
        "view models VIEW\n",
        "column contract text 12 levels month",
        "function predict\n",
        "types true\n",
        "row other null\n",
        "bound customers\n",
        "budget t\n",
        "refused 42803\n",
    ];
    check_says(&outcome, 0, &words);
    for nothing in ["key ", "foreign ", "index "] {
        assert!(
            !outcome.stdout.contains(&format!("\n{nothing}")),
            "{}",
            outcome.stdout
        );
    }
    assert_eq!(door.reports.spent(), [URHO; 4]);
}

#[test]
fn pandas_reads_answers_and_the_catalogue() {
    let (Some(door), Some(python)) = (Door::open(), python()) else {
        return;
    };
    let mut script = Command::new(python);
    let port = door.port.to_string();
    script.args(["-c", include_str!("pandas_client.py"), &port, "ada"]);
    script
        .arg(door.reports.analyst.join("ca.pem"))
        .env("PGPASSWORD", &door.password);
    let printed = run(&mut script).unwrap().success().unwrap();
    let found: Value = serde_json::from_str(&printed).unwrap();
    let counts = found["counts"].as_array().unwrap();
    assert!(counts.len() >= 2, "{found}");
    let sum: f64 = counts.iter().filter_map(Value::as_f64).sum();
    assert_eq!(found["last"], sum);
    assert_eq!(found["again"], found["counts"]);
    assert_eq!(json!([found["used"], found["releases"]]), json!([URHO, 1]));
    assert_eq!(found["reflected"], json!(["customers"]));
    assert_eq!(found["keys"], json!([[], [], []]));
    assert!(
        found["columns"]
            .as_array()
            .unwrap()
            .contains(&"contract".into()),
        "{found}"
    );
    assert!(
        found["comment"].as_str().unwrap().contains("privacy unit"),
        "{found}"
    );
    assert!(
        found["views"]
            .as_array()
            .unwrap()
            .contains(&"models".into()),
        "{found}"
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
