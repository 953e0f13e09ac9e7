//! Made-up customers as CSV, NDJSON and Parquet, on this machine.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use super::s3_server::write;
use super::unit::{CANARIES, Unit, check_counts, check_refused};

/// The values of customer `n`: every third has left.
fn customer(n: usize) -> (String, i64, &'static str, &'static str) {
    let (plan, churned) = (["month", "year"][n % 2], ["yes", "no", "no"][n % 3]);
    (format!("c{n}"), n as i64 % 10, plan, churned)
}

pub fn csv(rows: usize) -> Vec<u8> {
    let mut text = String::from("customer_id,tenure,plan,churned\n");
    for (id, tenure, plan, churned) in (0..rows).map(customer) {
        writeln!(text, "{id},{tenure},{plan},{churned}").unwrap();
    }
    text.into_bytes()
}

pub fn json(rows: usize) -> Vec<u8> {
    let mut text = String::new();
    for (id, tenure, plan, churned) in (0..rows).map(customer) {
        writeln!(text, "{{\"customer_id\":\"{id}\",\"tenure\":{tenure},\"plan\":\"{plan}\",\"churned\":\"{churned}\"}}").unwrap();
    }
    text.into_bytes()
}

pub fn parquet(rows: usize) -> Vec<u8> {
    let all: Vec<_> = (0..rows).map(customer).collect();
    let texts = |text: fn(&(String, i64, &'static str, &'static str)) -> String| -> Arc<dyn Array> {
        Arc::new(StringArray::from_iter_values(all.iter().map(text)))
    };
    let tenure: Int64Array = all.iter().map(|customer| customer.1).collect();
    let columns: [(&str, Arc<dyn Array>); 4] = [
        ("customer_id", texts(|customer| customer.0.clone())),
        ("tenure", Arc::new(tenure)),
        ("plan", texts(|customer| customer.2.to_owned())),
        ("churned", texts(|customer| customer.3.to_owned())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// A unit with these files in its folder.
fn unit(table: &str, files: &[(&str, &[u8])]) -> Unit {
    let unit = Unit::with(&format!("customers = {table:?}"));
    write(unit.path(), files);
    unit
}

#[test]
fn tables_of_every_size_and_format_are_checked() {
    for (name, content) in [
        ("c.csv", csv as fn(usize) -> Vec<u8>),
        ("c.ndjson", json),
        ("c.parquet", parquet),
    ] {
        check_counts(
            &unit(name, &[(name, &content(200_000))]),
            200_000,
            200_000,
            66_667,
        );
        let one = unit(name, &[(name, &content(1))]).check(&[]);
        assert!(
            one.stdout.contains("1 in the mapped table, 1 customers"),
            "{one:?}"
        );
        let folder = format!("t/part=1/{name}");
        let files = [
            (folder.as_str(), content(3)),
            (&*folder.replace("=1", "=2"), content(0)),
        ];
        let files = files.each_ref().map(|file| (file.0, &*file.1));
        check_counts(&unit("t", &files), 3, 3, 1);
    }
    let none = unit("c.csv", &[("c.csv", &csv(0))]).check(&[]);
    assert!(
        none.stdout.contains("no row has a customer and a label"),
        "{none:?}"
    );
}

#[test]
fn what_is_wrong_with_a_line_is_told_without_its_values() {
    let planted = |line: &str| [&json(3), line.as_bytes()].concat();
    let (id, value) = (CANARIES[0], CANARIES[1]);
    let good = format!(
        "{{\"customer_id\":\"{id}\",\"tenure\":\"{value}\",\"plan\":[\"{value}\"],\"churned\":\"no\",\"{value}\":1}}"
    );
    check_counts(&unit("c.json", &[("c.json", &planted(&good))]), 4, 4, 1);
    for (line, expected) in [
        (good.replace("\"no\"", value), "line 4: no JSON at byte"),
        (
            good.replace('}', ""),
            "line 4: the JSON object does not end on this line",
        ),
        (format!("[{good}]"), "line 4: a JSON array"),
        (format!("\"{value}\""), "line 4: expected a JSON object"),
    ] {
        check_refused(
            &unit("c.json", &[("c.json", &planted(&line))]),
            &["c.json", expected],
        );
    }
    let cut = parquet(100);
    let cut = unit("c.parquet", &[("c.parquet", &cut[..cut.len() / 2])]);
    check_refused(&cut, &["c.parquet", "cut off"]);
    check_refused(
        &unit("t", &[("t/a.txt", b"")]),
        &["at least one and all of one kind"],
    );
}
