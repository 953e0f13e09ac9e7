//! Drivers as they are: those of Python and the one of Java ask with bound values, numbers, texts and days, in text and in binary, and
//! get the same answers at one price.

use std::path::{Path, PathBuf};
use std::process::Command;

use aquifer_shared::domain::contract::Contract;
use aquifer_tests::company::Company;
use aquifer_tests::processes::run;
use serde_json::{Value, json};

use super::fixture::{check_says, has_program};
use super::psql::Door;
use super::questions::{Shape, URHO};

/// A second table of the same customers, with a day: one for each contract, none where the contract is another.
const VISITS: &str = "visits = \"SELECT customer_id, contract, CASE contract WHEN 'month' THEN DATE '2024-02-10' \
     WHEN 'one year' THEN DATE '2024-05-20' WHEN 'two years' THEN DATE '2024-11-30' END AS day FROM customers\"";

fn with_visits(company: &mut Company) {
    let limit = company.customers_max();
    let table = format!(
        "\n[table.visits]\nprivacy_unit = \"customer_id\"\nrows_per_group_max = 1\ngroups_per_unit_max = 1\n\
         rows_per_unit_max = 1\nsize_band = [1, {limit}]\n[table.visits.column.contract]\n\
         levels = [\"month\", \"one year\", \"two years\"]\nunknown = \"other\"\n\
         [table.visits.column.day]\nfirst = 2024-01-01\nlast = 2024-12-31\n"
    );
    company.contract = Contract::parse(&(company.contract.to_toml() + &table)).unwrap();
}

/// A door to both tables.
fn open() -> Option<Door> {
    Door::shaped(Shape {
        edit: with_visits,
        tables: &["customers", "visits"],
        published: VISITS,
        ..Shape::default()
    })
}

/// Python with the drivers, as `scripts/setup` puts it there; none where it was not run, which fails in CI.
pub fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let python = root.join("target/tools/bin/python");
    if python.exists() {
        return Some(python);
    }
    println!("SKIPPED: no {}", python.display());
    assert!(
        std::env::var_os("CI").is_none(),
        "{python:?} is needed in CI"
    );
    None
}

#[test]
fn drivers_of_python_get_the_same_answer_and_pay_once() {
    let (Some(door), Some(python)) = (open(), python()) else {
        return;
    };
    let mut script = Command::new(python);
    script.args([
        "-c",
        include_str!("clients.py"),
        &door.port.to_string(),
        "ada",
    ]);
    script
        .arg(door.reports.analyst.join("ca.pem"))
        .env("PGPASSWORD", &door.password);
    let printed = run(&mut script).unwrap().success().unwrap();
    let found: Value = serde_json::from_str(&printed).unwrap();
    let rows = &found["psycopg"]["rows"];
    assert_eq!(rows.as_array().unwrap().len(), 4, "{found}");
    for (driver, got) in [
        ("psycopg", "binary"),
        ("asyncpg", "rows"),
        ("asyncpg", "in_parts"),
        ("sqlalchemy", "rows"),
    ] {
        assert_eq!(&found[driver][got], rows, "{driver} {got}");
    }
    let seen = &found["sqlalchemy"];
    let expected = json!([["customers", "visits"], "TEXT", [true, false]]);
    assert_eq!(
        json!([seen["tables"], seen["contract"], seen["known"]]),
        expected
    );
    let counts = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row[1].is_i64());
    assert!(counts.count() >= 2, "{rows}");
    let notices = found["psycopg"]["notices"].to_string();
    assert!(
        notices.contains("fresh") && notices.contains("cached"),
        "{notices}"
    );
    let refused = json!(["42803", "8", "rule sql.grouping"]);
    assert_eq!(found["psycopg"]["refused"], refused);
    assert_eq!(found["psycopg"]["failed"], "INERROR");
    let number = [701, 701, 701];
    let counted = [20, 20, 20];
    let types = [&[25][..], &counted, &number, &[16]].concat();
    assert_eq!(found["psycopg"]["types"], json!(types));
    check_months(&found);
    assert_eq!(
        door.reports.spent(),
        [2 * URHO; 4],
        "sixteen askings, two questions"
    );
}

/// Days come back as days, the same through every driver, and so does what is in JSON.
#[track_caller]
fn check_months(found: &Value) {
    let rows = &found["psycopg"]["months"];
    for (driver, got) in [
        ("psycopg", "binary_months"),
        ("asyncpg", "months"),
        ("asyncpg", "prepared_months"),
    ] {
        assert_eq!(&found[driver][got], rows, "{driver} {got}");
    }
    assert_eq!(
        found["psycopg"]["month_types"],
        json!([1082, 20, 20, 20, 16])
    );
    assert_eq!(
        json!([found["asyncpg"]["bound"], found["asyncpg"]["month_types"]]),
        json!([["date", "date"], ["date", "int8", "int8", "int8", "bool"]])
    );
    let rows = rows.as_array().unwrap();
    let names: Vec<&Value> = rows.iter().map(|row| &row[0]).collect();
    let months = (1..=12).map(|month| json!(format!("2024-{month:02}-01")));
    let months: Vec<Value> = months.chain([Value::Null]).collect();
    assert_eq!(names, months.iter().collect::<Vec<_>>());
    let counted = rows.iter().filter(|row| row[1].is_i64());
    let counted: Vec<&Value> = counted.map(|row| &row[0]).collect();
    assert_eq!(counted, ["2024-02-01", "2024-05-01", "2024-11-01"]);
    let in_json = rows.iter().map(|row| {
        let [value, low, high] = [&row[1], &row[2], &row[3]];
        let figure = json!({"value": value, "low": low, "high": high});
        json!([
            row[0],
            if value.is_null() { Value::Null } else { figure },
            row[4]
        ])
    });
    let in_json = Value::Array(in_json.collect());
    for (driver, got) in [
        ("psycopg", "json"),
        ("psycopg", "binary_json"),
        ("asyncpg", "json"),
    ] {
        assert_eq!(found[driver][got], in_json, "{driver} {got}");
    }
}

#[test]
fn jdbc_finds_tables_and_asks() {
    let Some(door) = open() else { return };
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
    let months = "SELECT date_trunc('month', day) AS month, COUNT(*) AS n FROM visits WHERE day BETWEEN ? AND ? GROUP BY month";
    let mut client = Command::new("java");
    client
        .arg("-cp")
        .arg(driver)
        .arg(source)
        .args([&door.port.to_string(), "ada"]);
    client
        .arg(door.reports.analyst.join("ca.pem"))
        .args([question, months]);
    let outcome = run(client.env("PGPASSWORD", &door.password)).unwrap();
    let words = [
        "schema public\n",
        "schema aquifer\n",
        "table customers TABLE ",
        "table visits TABLE ",
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
    let printed = |kind: &str| -> Vec<&str> {
        let lines = outcome.stdout.lines();
        lines.filter_map(|line| line.strip_prefix(kind)).collect()
    };
    let text = printed("text ");
    assert_eq!((text.len(), text[12]), (13, "null null null"));
    assert!(text[1].starts_with("2024-02-01 {\"high\":"), "{text:?}");
    assert_eq!(printed("binary "), text);
    assert_eq!(door.reports.spent(), [2 * URHO; 4]);
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
