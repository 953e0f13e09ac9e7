//! A study over units whose customers are in PostgreSQL, in an object store and in JSON files; no secret of a source is anywhere after it.

use std::fs;
use std::path::Path;

use aquifer_shared::base::units::MicroRho;
use aquifer_tests::cluster::Cluster;
use aquifer_tests::company::Company;
use aquifer_tests::measured::{cap, price};
use aquifer_tests::policy::Policy;
use aquifer_tests::study::{Study, state};
use serde_json::{Map, Value};

use super::s3_server::Store;
use super::server::Postgres;
use super::unit::CANARIES;

const EPSILON: f64 = 8.0;
const DELTA: f64 = 1e-6;
/// How long a study may stand still, in milliseconds.
const STEP_MS: u64 = 120_000;

#[test]
fn units_with_other_sources_release_one_model() {
    let mut company = Company::synthetic(11, 6_000);
    company.keep_units(3);
    plant(&mut company);
    let Some(server) = Postgres::start("localhost") else {
        return;
    };
    let folder = tempfile::Builder::new().prefix("aq-").tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path()).unwrap();
    let price: MicroRho = price(EPSILON, DELTA).unwrap();
    let policy = Policy {
        cap: cap(price),
        ..Policy::default()
    };
    cluster.add_units(&company, &policy).unwrap();
    let folders = [0, 1, 2].map(|unit: usize| cluster.nodes[unit].folder.clone());
    in_postgres(&server, &folders[0]);
    let objects = tempfile::tempdir().unwrap();
    fs::rename(
        folders[1].join("customers.csv"),
        objects.path().join("c.csv"),
    )
    .unwrap();
    let Some(store) = Store::start(objects.path(), true) else {
        return;
    };
    let credentials = format!(
        "aws_access_key_id = {}\naws_secret_access_key = {}\n",
        store.key, store.secret
    );
    super::unit::write_secret(&folders[1].join("credentials"), &credentials);
    point(&folders[1], &store.table("c.csv"));
    as_json(&folders[2]);
    cluster.log("trace");
    cluster.start_nodes().unwrap();
    let study = Study {
        name: "churn",
        epsilon: EPSILON,
        delta: DELTA,
        trust: Some("node-noise"),
        more: "",
    };
    let last = cluster.run_study(&study.file(&company), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    cluster.stop().unwrap();
    let secrets = [
        CANARIES[0],
        CANARIES[1],
        CANARIES[2],
        &store.key,
        &store.secret,
    ];
    check_files(folder.path(), &secrets);
}

/// An id and a level that are found nowhere else, in every unit.
fn plant(company: &mut Company) {
    for unit in 0..company.units.len() {
        let mut customers = company.customers.iter_mut();
        let customer = customers.find(|customer| customer.unit == unit).unwrap();
        customer.id = format!("{}-{unit}", CANARIES[0]);
        customer.values[8] = CANARIES[1].to_owned();
    }
}

/// Points the unit's table at another place.
fn point(folder: &Path, table: &str) {
    let path = folder.join("node.toml");
    let config = fs::read_to_string(&path).unwrap();
    let config = config.replace("customers = \"customers.csv\"", table);
    assert!(config.contains(table));
    fs::write(path, config).unwrap();
}

/// Moves the unit's customers into a table of texts on the server.
fn in_postgres(server: &Postgres, folder: &Path) {
    let file = folder.join("customers.csv");
    let text = fs::read_to_string(&file).unwrap();
    let columns: Vec<String> = header(&text).map(|name| format!("{name:?} text")).collect();
    server.run(&format!(
        "CREATE TABLE unit ({}); GRANT SELECT ON unit TO reader",
        columns.join(", ")
    ));
    server.run(&format!("\\copy unit FROM '{}' CSV HEADER", file.display()));
    fs::remove_file(file).unwrap();
    super::unit::write_secret(&folder.join("password"), CANARIES[2]);
    let parts = server.parts();
    let table =
        format!("customers.postgres = {{ {parts} }}\ncustomers.query = \"SELECT * FROM unit\"");
    point(folder, &table);
}

/// Turns the unit's customers into NDJSON in two partitions.
fn as_json(folder: &Path) {
    let file = folder.join("customers.csv");
    let text = fs::read_to_string(&file).unwrap();
    let names: Vec<&str> = header(&text).collect();
    let mut parts = [String::new(), String::new()];
    for (index, line) in text.lines().skip(1).enumerate() {
        let pairs = names.iter().zip(line.split(','));
        let pairs = pairs.map(|(name, value)| ((*name).to_owned(), Value::from(value)));
        let object: Map<String, Value> = pairs.collect();
        parts[index % 2].push_str(&format!("{}\n", Value::from(object)));
    }
    for (index, part) in parts.iter().enumerate() {
        let below = folder.join(format!("customers/part={index}"));
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join("c.json"), part).unwrap();
    }
    fs::remove_file(file).unwrap();
    point(folder, "customers = \"customers\"");
}

fn header(text: &str) -> impl Iterator<Item = &str> {
    text.lines().next().unwrap_or_default().split(',')
}

/// Every file but the tables and the secrets themselves; the logs among them.
fn check_files(folder: &Path, secrets: &[&str]) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            check_files(&path, secrets);
        } else if path.is_file() && !["c.json", "password", "credentials"].contains(&&*name) {
            let bytes = fs::read(&path).unwrap();
            for secret in secrets {
                let found = bytes
                    .windows(secret.len())
                    .any(|part| part == secret.as_bytes());
                assert!(!found, "{} holds {secret}", path.display());
            }
        }
    }
}
