//! Tables in an S3-compatible store.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::certificates::certificates_for;
use super::files::{csv, json, parquet};
use super::s3_server::{Store, write};
use super::unit::{CANARIES, Unit, check_counts, check_refused};

/// The command refuses with these words, and tells neither key nor secret.
#[track_caller]
fn check_store_refused(store: &Store, unit: &Unit, words: &[&str]) {
    check_refused(unit, words);
    let said = unit.check(&[]).stderr;
    assert!(
        !said.contains(&store.secret) && !said.contains(&store.key),
        "{said}"
    );
}

/// Objects that are good, and some that are not.
fn fill(folder: &Path) {
    let (whole, cut) = (parquet(200_000), parquet(100));
    let bad_json = format!(
        "{{\"customer_id\":\"{}\",\"tenure\":{}}}\n",
        CANARIES[0], CANARIES[1]
    );
    let cut_csv = [csv(2), CANARIES[0].as_bytes().to_vec()].concat();
    write(
        folder,
        &[
            ("csv/a.csv", &csv(200_000)),
            ("csv/old/b.csv", b"x"),
            ("json/b.jsonl", &json(0)),
            ("json/a.json", &json(200_000)),
            ("parts/part=1/a.parquet", &whole),
            ("parts/part=2/a.parquet", &parquet(0)),
            ("parts/_SUCCESS", b""),
            ("one.csv", &csv(1)),
            ("cut/a.parquet", &cut[..cut.len() - 9]),
            ("bad/a.json", bad_json.as_bytes()),
            ("short/a.csv", &cut_csv),
            ("note.txt", b""),
        ],
    );
}

#[test]
fn objects_of_every_size_and_format_are_tables() {
    let files = tempfile::tempdir().unwrap();
    fill(files.path());
    let Some(store) = Store::start(files.path(), false) else {
        return;
    };
    for key in [
        "csv/",
        "csv/a.csv",
        "json/",
        "parts/",
        "parts/part=1/a.parquet",
    ] {
        check_counts(&store.unit(key), 200_000, 200_000, 66_667);
    }
    let one = store.unit("one.csv").check(&[]);
    assert!(
        one.stdout.contains("1 in the mapped table, 1 customers"),
        "{one:?}"
    );
    let refused = |key: &str, words: &[&str]| check_store_refused(&store, &store.unit(key), words);
    refused("cut/", &["s3://customers/cut/a.parquet", "cut off"]);
    refused(
        "bad/",
        &["s3://customers/bad/a.json", "line 1: no JSON at byte"],
    );
    refused(
        "short/a.csv",
        &["s3://customers/short/a.csv", "line 4: 1 fields"],
    );
    refused("none/", &["s3://customers/none/", "at least one"]);
    refused(
        "none.csv",
        &["s3://customers/none.csv", "no such bucket or object"],
    );
    refused("note.txt", &["does not end in .csv"]);
    let elsewhere = store
        .table("csv/")
        .replace("s3://customers/", "s3://other/");
    check_store_refused(
        &store,
        &store.unit_on(&elsewhere),
        &["s3://other/csv/", "no such bucket"],
    );
}

#[test]
fn credentials_are_in_a_private_file_or_in_the_environment() {
    let files = tempfile::tempdir().unwrap();
    write(
        files.path(),
        &[("csv/a.csv", &csv(100)), ("json/a.json", &json(100))],
    );
    let Some(store) = Store::start(files.path(), false) else {
        return;
    };
    let wrong = format!(
        "aws_access_key_id = {}\naws_secret_access_key = {}",
        store.key, CANARIES[2]
    );
    let wrong = store.unit("csv/").secret("credentials", &wrong);
    check_store_refused(
        &store,
        &wrong,
        &["s3://customers/csv/", "refuses the credentials"],
    );
    let unknown = format!(
        "aws_access_key_id = {}\naws_secret_access_key = {}",
        CANARIES[3], CANARIES[2]
    );
    let unknown = store.unit("csv/").secret("credentials", &unknown);
    check_store_refused(&store, &unknown, &["refuses the credentials"]);
    let nonsense = store.unit("csv/").secret("credentials", CANARIES[2]);
    check_store_refused(&store, &nonsense, &["a line is not `name = value`"]);
    let open = store.unit("csv/");
    fs::set_permissions(
        open.path().join("credentials"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    check_store_refused(&store, &open, &["credentials", "644"]);
    let file = "credentials_file = \"credentials\"";
    let environment = store.table("csv/").replace(file, "environment = true");
    let environment = store.unit_on(&environment);
    check_refused(&environment, &["lacks AWS_ACCESS_KEY_ID"]);
    let environment = environment
        .environment("AWS_ACCESS_KEY_ID", &store.key)
        .environment("AWS_SECRET_ACCESS_KEY", &store.secret);
    check_counts(&environment, 100, 100, 34);
    // Another key of the same store for each of two tables.
    let second = store
        .table("csv/")
        .replace("customers.s3", "others.s3")
        .replace("\"credentials\"", "\"second\"");
    let both = store.unit_on(&format!("{}\n{second}", store.table("json/")));
    let both = both.secret(
        "second",
        &format!(
            "aws_access_key_id = x\naws_secret_access_key = {}",
            CANARIES[2]
        ),
    );
    check_store_refused(
        &store,
        &both,
        &["s3://customers/csv/", "refuses the credentials"],
    );
}

#[test]
fn stores_are_reached_over_tls_that_is_trusted() {
    let files = tempfile::tempdir().unwrap();
    write(
        files.path(),
        &[("c.csv", &csv(1_000)), ("c.parquet", &parquet(1_000))],
    );
    let Some(store) = Store::start(files.path(), true) else {
        return;
    };
    check_counts(&store.unit("c.csv"), 1_000, 1_000, 334);
    check_counts(&store.unit("c.parquet"), 1_000, 1_000, 334);
    let table = store.table("c.csv");
    let refused = |from: &str, to: &str, words: &[&str]| {
        assert!(table.contains(from), "{table}");
        check_store_refused(&store, &store.unit_on(&table.replace(from, to)), words);
    };
    let ca = format!("ca_file = {:?}", store.certificates.authority);
    refused(&ca, "environment = false", &["certificate is not trusted"]);
    let foreign = certificates_for("localhost", files.path()).authority;
    refused(
        &ca,
        &format!("ca_file = {foreign:?}"),
        &["certificate is not trusted"],
    );
    refused("//localhost", "//127.0.0.1", &["another host name"]);
    refused(
        "//localhost",
        "//nowhere.invalid",
        &[
            "table \"customers\"",
            "there is no host \"nowhere.invalid\"",
        ],
    );
    refused("https://", "http://", &["expected https"]);
    let port = store.endpoint.rsplit(':').next().unwrap();
    refused(port, "1", &["nobody answers"]);
    let plain = table
        .replace("https://", "http://")
        .replace(&ca, "allow_http = true");
    check_store_refused(&store, &store.unit_on(&plain), &["s3://customers/c.csv"]);
    refused(
        &ca,
        "ca_file = \"credentials\"",
        &["credentials", "no certificate in PEM form"],
    );
}
