//! What is planted in units' data is on no disk, in no log, in no memory of the coordinator and on no wire; keys are guarded and
//! rotated while programs run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use aquifer_shared::base::units::MicroRho;
use aquifer_shared::shell::at_rest::{AtRestConfig, Shape, Vault, open_sqlite};
use aquifer_tests::company::Company;
use aquifer_tests::measured::cap;
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::{command, run};
use aquifer_tests::relay::Relay;
use aquifer_tests::standing::{PURPOSE, publish_customers};
use aquifer_tests::study::state;
use aquifer_tests::traces::Traces;
use sqlx::Connection as _;

use super::fixture::{STEP_MS, Small, check_says, node_command, one_study, policy};
use super::questions::{BY_CONTRACT, Reports, STANDING};

/// An id, a level that no contract lists, a word in a number's place.
const WORDS: [&str; 3] = ["QXCANARY-ID-4711", "qxcanary-level", "qxcanary-number"];
/// A value of a numeric column, found nowhere else.
const NUMBER: f64 = 87.654_321;

fn traces() -> Traces {
    let mut words = WORDS.to_vec();
    let number = NUMBER.to_string();
    words.push(&number);
    Traces::of(&words, &[NUMBER])
}

/// Four units that train and answer, each with a customer whose values are known.
fn planted() -> (Company, Policy) {
    let mut company = Company::synthetic(11, 6_000);
    company.keep_units(4);
    publish_customers(&mut company).unwrap();
    for unit in 0..company.units.len() {
        let customer = company
            .customers
            .iter_mut()
            .find(|customer| customer.unit == unit);
        let customer = customer.unwrap();
        customer.id = format!("{}-{unit}", WORDS[0]);
        customer.values[1] = NUMBER.to_string();
        customer.values[8] = WORDS[1].to_owned();
    }
    let policy = Policy {
        cap: MicroRho(cap(one_study()).0 + 1_000_000),
        purposes: vec!["churn.train".to_owned(), PURPOSE.to_owned()],
        ..Policy::default()
    };
    (company, policy)
}

/// A model, an answer, scores and an objection, all with the planted customers among the others.
fn used(small: Small) -> Reports {
    let mut small = small;
    small.cluster.start_nodes().unwrap();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    STANDING.open(&small.cluster, &small.company).unwrap();
    let analyst = small.cluster.add_person("ada", "analyst").unwrap();
    let reports = Reports { small, analyst };
    let answer = reports.answer(&[], BY_CONTRACT);
    assert_eq!(answer["release"]["updates"], 4);
    reports
}

/// Rows that cannot be used, and a query that fails on the values themselves; all that is said about them.
fn broken(small: &Small) -> String {
    let folder = &small.cluster.nodes[0].folder;
    let (table, config) = (folder.join("customers.csv"), folder.join("node.toml"));
    let text = fs::read_to_string(&table).unwrap();
    let line = text.lines().find(|line| line.contains(WORDS[0])).unwrap();
    let spoilt = line.replace(&NUMBER.to_string(), WORDS[2]);
    fs::write(&table, format!("{text}{spoilt}\n")).unwrap();
    let mut said = String::new();
    let mut say = |arguments: &[&str]| {
        let outcome = node_command(folder, arguments);
        said += &(outcome.stdout + &outcome.stderr);
    };
    say(&["check"]);
    say(&["run"]);
    let query = "SELECT *, CAST(customer_id AS INT) AS n FROM customers";
    let changed = fs::read_to_string(&config)
        .unwrap()
        .replace("SELECT * FROM customers", query);
    fs::write(&config, changed).unwrap();
    say(&["check"]);
    say(&["run"]);
    said
}

/// Sources and scores are the unit's own.
fn own(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "csv")
}

#[test]
fn s1_no_plaintext_on_disk() {
    let (company, policy) = planted();
    let traces = traces();
    let mut reports = used(Small::on(company, &policy, &[]));
    let folder = reports.small.folder.path().to_owned();
    let out = folder.join("scores.csv");
    let score = ["score", "--model", "churn", "--out", &out.to_string_lossy()];
    check_says(&reports.small.node(0, &score), 0, &[]);
    assert!(
        fs::read_to_string(&out).unwrap().contains(WORDS[0]),
        "scores name customers"
    );
    let subject = format!("{}-0", WORDS[0]);
    let object = [
        "consent",
        "object",
        "--subject",
        &subject,
        "--purpose",
        "all",
    ];
    let said = reports.small.node(0, &object);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    assert_eq!(traces.find(said.stdout.as_bytes()), None);
    // The coordinator's memory, while it runs.
    let pid = reports.small.cluster.coordinator().pid();
    let (found, looked) = traces.in_memory(pid).unwrap();
    assert_eq!(found, None, "memory of the coordinator");
    assert!(looked > 4 << 20, "{looked} bytes are not its memory");
    let known = Traces::of(&[&reports.small.cluster.nodes[0].name.clone()], &[]);
    assert!(
        known.in_memory(pid).unwrap().0.is_some(),
        "what it knows is found"
    );
    // Files while all runs, and after all has ended.
    check_files(&traces, &folder);
    reports.small.cluster.stop().unwrap();
    let said = broken(&reports.small);
    assert_eq!(traces.find(said.as_bytes()), None, "{said}");
    check_files(&traces, &folder);
    // The search finds what is there, in every form.
    for (form, what) in traces.forms() {
        let control = folder.join("coordinator").join("control");
        fs::write(&control, [b"x", form, b"x"].concat()).unwrap();
        let (found, _) = traces.in_files(&folder, &own).unwrap();
        assert_eq!(found.len(), 1, "{what}: {found:?}");
        fs::remove_file(control).unwrap();
    }
}

#[track_caller]
fn check_files(traces: &Traces, folder: &Path) {
    let (found, looked) = traces.in_files(folder, &own).unwrap();
    assert!(found.is_empty(), "{found:#?}");
    assert!(looked > 60, "only {looked} files");
    for name in [
        "coordinator/store.sqlite",
        "coordinator/ca.key",
        "coordinator/release.key",
    ] {
        check_hidden(&folder.join(name));
    }
}

#[track_caller]
fn check_hidden(file: &Path) {
    let bytes = fs::read(file).unwrap();
    let plain = [
        b"SQLite format 3".as_slice(),
        b"-----BEGIN",
        b"0\x51\x02\x01\x01",
    ];
    assert!(
        !plain.iter().any(|start| bytes.starts_with(start)),
        "{}",
        file.display()
    );
}

#[test]
fn a3_canary_ids_not_on_wire() {
    let (company, policy) = planted();
    let traces = traces();
    let small = Small::on(company, &policy, &[]);
    let server = small.cluster.address().parse().unwrap();
    let mut relays = Vec::new();
    for node in 0..small.cluster.nodes.len() {
        let relay = Relay::keeping(server).unwrap();
        small
            .cluster
            .send_node_to(node, &relay.address().to_string())
            .unwrap();
        relays.push(relay);
    }
    let mut reports = used(small);
    reports.small.cluster.stop().unwrap();
    for relay in &relays {
        let mut datagrams = relay.kept();
        assert!(
            datagrams.len() > 50_000,
            "only {} bytes passed",
            datagrams.len()
        );
        assert_eq!(traces.find(&datagrams), None);
        datagrams.extend_from_slice(WORDS[0].as_bytes());
        assert!(
            traces.find(&datagrams).is_some(),
            "what is on the wire is found"
        );
    }
    // What was inside the encrypted messages, as far as anybody keeps it: the coordinator's records of rounds, copies of ledgers,
    // sums and answers; the nodes' ledgers with what they sent.
    let folder = reports.small.cluster.coordinator_folder();
    check_inside(&traces, &folder, "store.sqlite", "store");
    for node in &reports.small.cluster.nodes {
        check_inside(&traces, &node.folder, "ledger.sqlite", "ledger");
    }
}

/// Decrypts a database with its key, and looks into it.
#[track_caller]
fn check_inside(traces: &Traces, folder: &Path, file: &str, role: &str) {
    let vault = Vault::open(folder, &AtRestConfig::default()).unwrap();
    let plain = tempfile::tempdir().unwrap();
    let plain = plain.path().join("plain");
    // The connection makes no files; an empty one is a database.
    fs::write(&plain, b"").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let key = vault.database(role);
        let opened = open_sqlite(&folder.join(file), &key, Shape::Exclusive).await;
        let mut opened = opened.unwrap();
        let attach = sqlx::query("ATTACH DATABASE $1 AS plain KEY ''").bind(plain.to_str());
        attach.execute(&mut opened).await.unwrap();
        let export = sqlx::query("SELECT sqlcipher_export('plain')");
        export.execute(&mut opened).await.unwrap();
        opened.close().await.unwrap();
    });
    let bytes = fs::read(&plain).unwrap();
    assert!(bytes.starts_with(b"SQLite format 3") && bytes.len() > 10_000);
    assert_eq!(traces.find(&bytes), None, "{file} of {}", folder.display());
}

#[test]
fn keys_are_rotated_while_a_study_runs() {
    let mut small = Small::started(&policy());
    let (node, coordinator) = (
        small.cluster.nodes[0].folder.clone(),
        small.cluster.coordinator_folder(),
    );
    let key = |folder: &Path| fs::read(folder.join("at-rest.key")).unwrap();
    let old = [key(&node), key(&coordinator)];
    let ended = AtomicBool::new(false);
    let rotate = || {
        check_says(
            &node_command(&node, &["keys", "rotate"]),
            0,
            &["holds a new key"],
        );
        let mut rotated = command("aquifer-coordinator", ["keys", "rotate", "--json", "--dir"]);
        let outcome = run(rotated.arg(&coordinator)).unwrap();
        check_says(&outcome, 0, &["\"rotated\":true"]);
    };
    std::thread::scope(|scope| {
        let rotating = scope.spawn(|| {
            rotate();
            while !ended.load(Ordering::Relaxed) {
                rotate();
            }
        });
        let last = small.cluster.run_study(&small.study(""), STEP_MS);
        ended.store(true, Ordering::Relaxed);
        rotating.join().unwrap();
        let last = last.unwrap();
        assert_eq!(state(&last), "published", "{last}");
    });
    let spent = small.spent(0);
    small.cluster.stop().unwrap();
    // With the keys that are in place now, all goes on; the first ones open nothing.
    small.cluster.start_coordinator().unwrap();
    small.cluster.start_nodes().unwrap();
    assert_eq!(small.spent(0), spent);
    small.cluster.stop().unwrap();
    for (folder, old) in [&node, &coordinator].into_iter().zip(old) {
        assert_ne!(key(folder), old);
        fs::write(folder.join("at-rest.key"), old).unwrap();
    }
    check_says(&small.node(0, &["budget"]), 2, &["opens with"]);
    let serve = small.cluster.coordinator_command(["serve"]).unwrap();
    check_says(&serve, 2, &["opens with"]);
}

#[test]
fn a_key_moves_to_another_place_and_may_come_from_a_command() {
    let small = Small::prepared(&policy());
    let folder = &small.cluster.nodes[0].folder;
    let spent = small.spent(0);
    let elsewhere = small.folder.path().join("keys");
    fs::create_dir(&elsewhere).unwrap();
    mode(&elsewhere, 0o700);
    let file = elsewhere.join("north.key");
    let line = format!("key_file = {:?}", file.to_str().unwrap());
    check_says(
        &small.node(0, &["keys", "rotate", "--to", &line]),
        0,
        &["both open", "[at_rest]"],
    );
    let config = folder.join("node.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\n[at_rest]\n{line}\n")).unwrap();
    assert_eq!(small.spent(0), spent);
    fs::remove_file(folder.join("at-rest.key")).unwrap();
    assert_eq!(small.spent(0), spent, "the old key is not needed");
    let digits: String = fs::read(&file)
        .unwrap()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    fs::write(elsewhere.join("digits"), digits).unwrap();
    let command = format!("key_command = [\"cat\", {:?}]", elsewhere.join("digits"));
    fs::write(&config, format!("{text}\n[at_rest]\n{command}\n")).unwrap();
    assert_eq!(small.spent(0), spent);
    fs::write(
        &config,
        format!("{text}\n[at_rest]\nkey_command = [\"false\"]\n"),
    )
    .unwrap();
    check_says(
        &small.node(0, &["budget"]),
        2,
        &["key command `false`", "exit code"],
    );
    fs::write(
        &config,
        format!("{text}\n[at_rest]\nkey_env = \"AQUIFER_NO_SUCH_KEY\"\n"),
    )
    .unwrap();
    check_says(
        &small.node(0, &["budget"]),
        2,
        &["AQUIFER_NO_SUCH_KEY is missing"],
    );
    fs::write(&config, format!("{text}\n[at_rest]\nkey = \"00\"\n")).unwrap();
    check_says(
        &small.node(0, &["budget"]),
        2,
        &["[at_rest]", "unknown field"],
    );
}

#[test]
fn s1_what_is_open_to_others_is_refused_with_what_to_type() {
    let small = Small::prepared(&policy());
    let node = small.cluster.nodes[0].folder.clone();
    let coordinator = small.cluster.coordinator_folder();
    assert_eq!(small.node(0, &["budget"]).code, Some(0));
    let run = |folder: &Path| match folder == node {
        true => small.node(0, &["run"]),
        false => small.cluster.coordinator_command(["serve"]).unwrap(),
    };
    for folder in [&node, &coordinator] {
        mode(folder, 0o750);
        let chmod = format!("chmod 700 {}", folder.display());
        check_says(&run(folder), 1, &["mode 0750", "0700", &chmod]);
        mode(folder, 0o700);
        let key = folder.join("at-rest.key");
        mode(&key, 0o640);
        let chmod = format!("chmod 600 {}", key.display());
        check_says(&run(folder), 1, &["mode 0640", "0600", &chmod]);
        mode(&key, 0o600);
    }
    assert_eq!(small.node(0, &["budget"]).code, Some(0));
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
