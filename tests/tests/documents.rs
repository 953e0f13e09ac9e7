//! The documents stay true: every command of the guides is run, in order, on two folders that stand for two machines.

#![cfg(test)]

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use aquifer_node::shell::config::SAMPLE;
use aquifer_shared::base::units::{Delta, MicroRho};
use aquifer_shared::domain::history::{Json, Kind};
use aquifer_shared::domain::law::Basis;
use aquifer_shared::domain::sum::Thresholds;
use aquifer_shared::shell::noise::{epsilon, largest_urho};
use aquifer_shared::shell::pack_folder;
use aquifer_tests::company::Company;
use aquifer_tests::law;
use aquifer_tests::packs::Log;
use aquifer_tests::processes::{free_ports, program, run};
use aquifer_tests::random::Seeded;
use serde_json::Value;

const GUIDE: &str = include_str!("../../docs/operations.md");
const TABLES: &str = include_str!("../../docs/published-tables.md");
const ANALYSTS: &str = include_str!("../../docs/analysts.md");
const QUESTIONS: &str = include_str!("../../docs/questions.md");
const CONSENT: &str = include_str!("../../docs/consent.md");
const PRIVACY: &str = include_str!("../../docs/privacy.md");

/// The shell blocks of a document, in order.
fn shell_blocks(text: &str) -> Vec<&str> {
    let parts = text.split("```sh\n").skip(1);
    parts
        .filter_map(|part| part.split_once("\n```").map(|(block, _)| block))
        .collect()
}

/// 4 000 made-up customers whose risk falls with tenure.
fn customers() -> String {
    let (mut random, mut text) = (Seeded::new(20_261_124, 0), String::new());
    text.push_str("customer_id,tenure,charges,plan,churned\n");
    for id in 0..4_000 {
        let (tenure, charges) = (random.uniform() * 72.0, 20.0 + random.uniform() * 100.0);
        let plan = ["month", "year", "two years"][random.pick(&[0.6, 0.25, 0.15])];
        let leaves = random.uniform() < 0.6 - tenure / 150.0;
        let churned = if leaves { "yes" } else { "no" };
        writeln!(text, "c{id},{tenure:.1},{charges:.2},{plan},{churned}").unwrap();
    }
    text
}

fn programs() -> PathBuf {
    program("aquifer").parent().unwrap().to_owned()
}

#[test]
fn every_command_of_the_guides_works() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("customers.csv"), customers()).unwrap();
    let mut script =
        String::from("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n");
    for block in [GUIDE, TABLES, QUESTIONS, ANALYSTS]
        .into_iter()
        .flat_map(shell_blocks)
    {
        script.push_str(block);
        script.push('\n');
    }
    let file = folder.path().join("guide.sh");
    fs::write(&file, script).unwrap();
    let [port, port_join] = free_ports().unwrap();
    let doors = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    let [port_sql, port_https] = doors.map(|free| free.local_addr().unwrap().port());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    // The second is where scripts/setup puts Python with the drivers.
    let path = format!(
        "{}:{}:{}",
        programs().display(),
        root.join("target/tools/bin").display(),
        std::env::var("PATH").unwrap()
    );
    let outcome = run(Command::new("bash")
        .arg("-x")
        .arg(&file)
        .current_dir(folder.path())
        .env("PATH", path)
        .env("PORT", port.to_string())
        .env("PORT_JOIN", port_join.to_string())
        .env("PORT_SQL", port_sql.to_string())
        .env("PORT_HTTPS", port_https.to_string()))
    .unwrap();
    check_says_something(&outcome.success().unwrap());
}

/// The guides' question about shops came out as figures for each of them.
fn check_says_something(printed: &str) {
    for (shop, expected) in [("north", 3_000.0), ("south", 1_000.0), ("web", 2_000.0)] {
        let mut rows = printed
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let found = rows.find(|row| row.len() == 8 && row[0] == shop && row[7] == "false");
        let row = found.unwrap_or_else(|| panic!("no figures for {shop} in:\n{printed}"));
        let [orders, amount] = [1, 4].map(|place| row[place].parse::<f64>().unwrap());
        // Deviations of about 50 orders, and of at most 13 euro around 94: outside less than once in a billion runs.
        assert!((orders - expected).abs() < 330.0, "{row:?}");
        assert!((5.0..185.0).contains(&amount), "{row:?}");
    }
}

/// A unit that has joined and says what it declares of its customers, as the guide for operators shows it.
fn unit(folder: &Path) {
    let purposes = ["churn.train", "churn.score"].map(|name| name.to_owned());
    let company = Company::synthetic(3, 40);
    let people = law::write(folder, &company.contract, &purposes, Basis::Consent).unwrap();
    fs::write(folder.join("node.toml"), format!("{SAMPLE}\n{people}")).unwrap();
}

#[test]
fn every_command_about_consent_works() {
    let folder = tempfile::tempdir().unwrap();
    let north = folder.path().join("north");
    fs::DirBuilder::new().mode(0o700).create(&north).unwrap();
    unit(&north);
    let blocks = shell_blocks(CONSENT).join("\n");
    let file = folder.path().join("consent.sh");
    fs::write(&file, format!("set -euo pipefail\n{blocks}\n")).unwrap();
    let path = std::env::var("PATH").unwrap();
    let outcome = run(Command::new("bash")
        .arg("-x")
        .arg(&file)
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", programs().display()))
        .env("UNIT", &north))
    .unwrap();
    let said = outcome.success().unwrap();
    for word in ["withdrawn", "dpv:ConsentGiven", "dpv:ConsentWithdrawn"] {
        assert!(said.contains(word), "expected {word:?} in:\n{said}");
    }
}

/// Cells of the rows of a table that follows this heading line.
fn rows<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, table) = text.split_once(heading).expect("the table is there");
    let lines = table.lines().skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// Epsilon of `times` the price of a stated epsilon, rounded up at the second decimal.
fn of_price(stated: f64, delta: f64, times: u64) -> String {
    let delta = Delta::try_from(delta).unwrap();
    let price = largest_urho(stated.try_into().unwrap(), delta);
    let found = epsilon(MicroRho(price.0 * times), delta);
    // The fourth decimal is rounded up already.
    format!("{:.2}", (found * 100.0 - 1e-6).ceil() / 100.0)
}

#[test]
fn the_floors_of_the_privacy_page_are_those_of_the_accountant() {
    let found = rows(PRIVACY, "| members | h | floor of epsilon 1 at delta 1e-6");
    assert_eq!(found.len(), 5);
    for row in found {
        let members: usize = row[0].parse().unwrap();
        let (absent, colluders) = (
            Thresholds::usual_absent(members),
            Thresholds::usual_colluders(members),
        );
        let honest = Thresholds::new(members, absent, colluders)
            .unwrap()
            .honest();
        let floor = |stated, delta| of_price(stated, delta, honest.into());
        let expected = [floor(1.0, 1e-6), floor(4.0, 1e-6), floor(1.0, 1e-5)];
        assert_eq!(
            (row[1], &row[2..]),
            (
                &*honest.to_string(),
                &expected.each_ref().map(|text| &**text)[..]
            )
        );
    }
}

#[test]
fn undeclared_copies_cost_what_the_privacy_page_says() {
    let found = rows(PRIVACY, "| the customer is really at |");
    assert_eq!(found.len(), 2);
    for (row, copies) in found.into_iter().zip(2..) {
        assert_eq!(row[0], format!("{copies} units"));
        let (own, shared) = (
            of_price(1.0, 1e-6, copies),
            of_price(1.0, 1e-6, copies * copies),
        );
        assert_eq!((row[1], row[2]), (&*own, &*shared));
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for document in [
        "README.md",
        "docs/privacy.md",
        "docs/protocol.md",
        "docs/operations.md",
        "docs/sources.md",
        "docs/CHANGELOG.md",
        "docs/analysts.md",
        "docs/published-tables.md",
        "docs/questions.md",
        "docs/sql.md",
        "docs/laws.md",
        "docs/audit.md",
        "docs/consent.md",
        "docs/facts.md",
    ] {
        let text = fs::read_to_string(root.join(document)).unwrap();
        let folder = root.join(document).parent().unwrap().to_owned();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let local = !link.contains("://") && !link.starts_with('#');
            assert!(
                !local || folder.join(link).exists(),
                "{document} links to {link}"
            );
        }
    }
}

const PACKS: &str = include_str!("../../docs/audit-pack.md");

/// On made-up packs: the commands about packs that are there, in order, each must pass. Those that ask a coordinator are run with
/// real processes (`deployment::packs`).
#[test]
fn every_command_about_packs_works() {
    let folder = tempfile::tempdir().unwrap();
    let log = aquifer_tests::packs::Log::new(6_000, 60);
    for quarter in ["2026Q3", "2026Q4"] {
        let pack = log.pack(quarter).unwrap();
        aquifer_shared::shell::pack_folder::write(&folder.path().join(quarter), &pack).unwrap();
    }
    fs::write(folder.path().join("keys.txt"), log.policy().to_text()).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::os::unix::fs::symlink(root.join("scripts"), folder.path().join("scripts")).unwrap();
    let commands = PACKS.lines().filter_map(|line| line.strip_prefix("    "));
    let commands: Vec<&str> = commands
        .filter(|line| line.starts_with("aquifer ") || line.starts_with("scripts/"))
        .filter(|line| !line.contains(" audit pack ") && !line.contains(" history show "))
        .collect();
    assert_eq!(commands.len(), 5, "{commands:?}");
    let results = folder.path().join("target/nextest/default");
    fs::create_dir_all(&results).unwrap();
    fs::write(
        results.join("junit.xml"),
        "<testsuites><testcase name=\"r1_a\"/></testsuites>",
    )
    .unwrap();
    let path = format!(
        "{}:{}",
        programs().display(),
        std::env::var("PATH").unwrap()
    );
    for command in commands {
        let outcome = run(Command::new("bash")
            .args(["-c", command])
            .current_dir(folder.path())
            .env("PATH", &path))
        .unwrap();
        assert_eq!(
            outcome.code,
            Some(0),
            "{command}: {}{}",
            outcome.stdout,
            outcome.stderr
        );
    }
}

/// A program that reads a record reads one document: what was not declared is in it.
#[test]
fn t1_a_record_with_alarms_is_one_document() {
    let mut log = Log::new(6_000, 60);
    let parties = [
        "controller",
        "controller_contact",
        "processor",
        "processor_contact",
        "dpo",
        "role",
        "authority",
    ];
    let parties = parties.map(|key| (key.to_owned(), Json::from("made up")));
    let declares = ("declares".to_owned(), Json::from("parties"));
    let parties = parties.into_iter().chain([declares]).collect();
    let measures = [
        ("declares", "measures".into()),
        ("measures", Json::List(Vec::new())),
    ];
    declare(&mut log, 10, &Json::Object(parties));
    declare(&mut log, 11, &Json::object(measures));
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("2026Q3");
    pack_folder::write(&pack, &log.pack("2026Q3").unwrap()).unwrap();
    let mut command = Command::new(program("aquifer"));
    command
        .args(["facts", "ropa", "--json", "--log"])
        .arg(&pack);
    let outcome = run(&mut command).unwrap();
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.code, Some(1), "{said}");
    let record: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let alarms = record["aq:alarms"].as_array().unwrap();
    assert!(!alarms.is_empty());
    let first = alarms[0].as_str().unwrap();
    assert!(first.contains("not declared") && outcome.stderr.contains(first));
}

/// Puts a declaration in place of an entry.
fn declare(log: &mut Log, index: usize, payload: &Json) {
    let kind = Kind::PackLoaded;
    log.say(index, payload);
    let leaf = &mut log.entries[index].leaf;
    leaf[4..6].copy_from_slice(&kind.code().to_be_bytes());
    leaf[42] = kind.retention() as u8;
}
