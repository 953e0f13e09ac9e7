//! Evidence of real processes: every attempt's price is in the log, a pack recomputes epsilon from it, documents are made of it alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use aquifer_shared::base::calendar::civil_of;
use aquifer_shared::base::units::{Delta, MicroRho};
use aquifer_shared::domain::facts::{forbidden, is_known};
use aquifer_shared::shell::noise::epsilon;
use aquifer_tests::company::Company;
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::{Outcome, command, program, run, wait_for};
use aquifer_tests::standing::{PURPOSE, publish_customers};
use aquifer_tests::study::state;
use serde_json::Value;

use super::digests::own_digest;
use super::fixture::{DELTA, STEP_MS, Small, check_says};
use super::histories::of_coordinator;
use super::questions::{BY_CONTRACT, STANDING};

const DOCUMENT: &str = include_str!("../../../docs/facts.md");

/// Units that learn and answer; a model is released, and a question answered. And a data protection officer.
fn deployment() -> (Small, PathBuf) {
    let mut company = Company::synthetic(11, 6_000);
    company.keep_units(4);
    publish_customers(&mut company).unwrap();
    let policy = Policy {
        cap: MicroRho(1_000_000_000),
        purposes: vec!["churn.train".to_owned(), PURPOSE.to_owned()],
        ..Policy::default()
    };
    let mut small = Small::of(company, &policy);
    let officer = small.cluster.add_person("dora", "dpo").unwrap();
    small.cluster.start_nodes().unwrap();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    STANDING.open(&small.cluster, &small.company).unwrap();
    let analyst = small.cluster.add_person("ada", "analyst").unwrap();
    let mut asked = command("aquifer", ["query", BY_CONTRACT, "--purpose", PURPOSE]);
    let answered = run(asked.arg("--dir").arg(analyst)).unwrap();
    check_says(&answered, 0, &["month"]);
    (small, officer)
}

/// All entries of the coordinator's log.
pub fn entries(small: &Small) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let from = all.len().to_string();
        let shown = of_coordinator(small, &["show", "--from", &from]);
        all.extend(shown["entries"].as_array().unwrap().iter().cloned());
        if all.len() as u64 >= shown["size"].as_u64().unwrap() {
            return all;
        }
    }
}

/// Payloads of a kind.
fn payloads(entries: &[Value], kind: &str) -> Vec<Value> {
    let own = entries.iter().filter(|entry| entry["kind"] == kind);
    own.map(|entry| serde_json::from_str(entry["payload"].as_str().unwrap()).unwrap())
        .collect()
}

fn quarter() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let day = i32::try_from(since.as_secs() / 86_400).unwrap();
    let (year, month, _) = civil_of(day);
    format!("{year}Q{}", month.div_ceil(3))
}

/// The pack of the quarter so far, in a folder of the name that the document uses.
fn packed(small: &Small, size: usize) -> PathBuf {
    wait_for("the members to sign all of it", STEP_MS, || {
        let shown = of_coordinator(small, &["checkpoint"]);
        let note = shown["cosigned"].as_str().unwrap_or_default();
        let signed = note.lines().nth(1).and_then(|line| line.parse().ok());
        Ok(signed.filter(|signed: &usize| *signed >= size))
    })
    .unwrap();
    let (folder, home) = (
        small.folder.path().join("2026Q4"),
        small.cluster.coordinator_folder(),
    );
    let (quarter, purposes) = (quarter(), home.join("purposes.toml"));
    let made = small.cluster.aquifer([
        "audit",
        "pack",
        "--quarter",
        &quarter,
        "--purposes",
        &purposes.to_string_lossy(),
        "--packs",
        &home.join("packs").to_string_lossy(),
        "--out",
        &folder.to_string_lossy(),
    ]);
    check_says(&made.unwrap(), 0, &["SHA-256 of its manifest"]);
    folder
}

/// Both verifiers find nothing to object to.
fn check_verified(pack: &Path) {
    let verified = run(command("aquifer", ["audit", "verify"]).arg(pack)).unwrap();
    check_says(&verified, 0, &["budget"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/verify-audit");
    let verified = run(Command::new("python3").arg(script).arg(pack)).unwrap();
    check_says(&verified, 0, &["budget"]);
}

/// Evidence is there, and epsilon follows from it: what nodes have charged, what the model's file states.
fn check_report(small: &Small, pack: &Path, study: &str) {
    let report = fs::read_to_string(pack.join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    for what in [
        "budget",
        "decisions",
        "node_programs",
        "policies",
        "witnesses",
    ] {
        assert_eq!(report["evidence"][what], "evidence present", "{what}");
    }
    let programs = report["node_programs"].as_array().unwrap();
    assert_eq!(programs.len(), 1, "{programs:?}");
    assert_eq!(programs[0]["sha256"], own_digest());
    assert_eq!(programs[0]["demanded"], "no list");
    let year = &report["budget"]["year"];
    for node in 0..4 {
        assert_eq!(year["rho_micro"], small.spent(node), "node {node}");
    }
    let studies = report["budget"]["studies"].as_array().unwrap();
    let own = studies.iter().find(|one| one["study"] == study).unwrap();
    let path = small.folder.path().join("model.json");
    let export = ["model", "export", "churn", "--out", &path.to_string_lossy()];
    check_says(&small.cluster.aquifer(export).unwrap(), 0, &[]);
    let file: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let rho = own["rho_micro"].as_u64().unwrap();
    let stated: f64 = file["privacy"]["rho"].as_str().unwrap().parse().unwrap();
    assert_eq!(rho, (stated * 1e6).round() as u64);
    let (found, delta) = (
        own["eps_micro"].as_u64().unwrap() as f64 / 1e6,
        Delta::try_from(DELTA).unwrap(),
    );
    // The accountant of the file rounds up at the fourth decimal.
    let expected = epsilon(MicroRho(rho), delta);
    assert!((found - expected).abs() < 2e-4, "{found} {expected}");
}

/// A command of the document, as a person types it.
fn typed(small: &Small, line: &str) -> Outcome {
    let programs = program("aquifer").parent().unwrap().to_owned();
    let path = std::env::var("PATH").unwrap();
    run(Command::new("bash")
        .args(["-c", line])
        .current_dir(small.folder.path())
        .env("PATH", format!("{}:{path}", programs.display())))
    .unwrap()
}

fn commands() -> Vec<&'static str> {
    let lines = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("    "));
    let lines: Vec<&str> = lines.filter(|line| line.starts_with("aquifer ")).collect();
    assert_eq!(lines.len(), 7);
    lines
}

/// What an officer concludes of the model's file: it counts once it is signed.
fn assess(small: &Small, file: &Value, officer: &Path) {
    let folder = small.folder.path();
    let text = format!(
        "model = \"churn\"\nversion = 1\nfile_sha256 = {file}\nconclusion = \"{CONCLUSION}\"\nreference = \"folder 7\"\n"
    );
    fs::write(folder.join("churn-1.toml"), text).unwrap();
    let line = commands()
        .into_iter()
        .find(|line| line.contains("--assessment"));
    let line = line.unwrap();
    let asks = "`aquifer policy sign ";
    let unsigned = typed(small, line);
    check_says(
        &unsigned,
        1,
        &["no dpo of the log signed", "1 are registered", asks],
    );
    let said = format!("{}{}", unsigned.stdout, unsigned.stderr);
    let digest = said.split_once(asks).unwrap().1.get(..64).unwrap();
    let sign = |folder: &Path| {
        let mut asked = command("aquifer", ["policy", "sign", digest, "--dir"]);
        run(asked.arg(folder)).unwrap().success().unwrap()
    };
    let signatures = folder.join("churn-1.signed");
    // Another role's signature is none of an officer.
    let other = small.cluster.add_person("otto", "auditor").unwrap();
    fs::write(&signatures, sign(&other)).unwrap();
    check_says(&typed(small, line), 1, &["no dpo of the log signed"]);
    fs::write(&signatures, sign(officer)).unwrap();
}

const CONCLUSION: &str = "about nobody, at this bound and with this access";

/// The documents, by name; each command is run twice and gives the same bytes.
fn documents(small: &Small) -> Vec<(&'static str, String)> {
    let made = |line: &'static str| {
        let name = line.rsplit(' ').next().unwrap();
        let path = small.folder.path().join(name);
        let once = || {
            check_says(&typed(small, line), 0, &[]);
            let text = fs::read_to_string(&path).unwrap();
            fs::remove_file(&path).unwrap();
            text
        };
        let text = once();
        assert_eq!(text, once(), "{name}");
        assert_eq!(forbidden(&text), None, "{name}");
        (name, text)
    };
    commands().into_iter().map(made).collect()
}

fn check_documents(documents: &[(&str, String)], rho_micro: u64) {
    let text = |name: &str| {
        let found = documents.iter().find(|(own, _)| *own == name);
        found.unwrap().1.as_str()
    };
    let card: Value = serde_json::from_str(text("churn.cdx.json")).unwrap();
    let properties = card["components"][0]["modelCard"]["properties"]
        .as_array()
        .unwrap();
    let value = |name: &str| {
        let found = properties.iter().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("{name}"))["value"]
            .as_str()
            .unwrap()
    };
    assert_eq!(value("aquifer:rho_micro"), rho_micro.to_string());
    assert_eq!(value("aquifer:tuning_rho_micro"), "0");
    assert_eq!(value("aquifer:empirical_audit"), "not run");
    assert_eq!(value("aquifer:anonymity"), "not_claimed");
    // Names of the units that took part stand behind what they reported.
    let reported = value("aquifer:node_program");
    assert!(reported.starts_with(&own_digest()) && !reported.contains("roster"));
    assert!(value("aquifer:node_program_limits").contains("no remote attestation"));
    for property in properties {
        let name = property["name"].as_str().unwrap();
        let has_digit = |text: &Value| text.to_string().bytes().any(|byte| byte.is_ascii_digit());
        if !name.ends_with(":entries") && has_digit(&property["value"]) {
            assert_ne!(value(&format!("{name}:entries")), "", "{name}");
        }
    }
    assert!(value("aquifer:retire_by").contains("(UTC): no prediction is made with it afterwards"));
    let dossier = text("dossier.html");
    for part in [
        "evidence missing: empirical audit: not run",
        "not_claimed",
        "needs human judgement",
    ] {
        assert!(dossier.contains(part), "{part}: {dossier}");
    }
    let assessed = text("assessed.html");
    for part in ["assessed", CONCLUSION, "folder 7"] {
        assert!(
            assessed.contains(part) && !dossier.contains(CONCLUSION),
            "{part}: {assessed}"
        );
    }
    let notice = text("notice.md");
    for word in ["privacy@units.example", "churn.train", "reporting", "[log "] {
        assert!(notice.contains(word), "{word}: {notice}");
    }
    for name in ["record.csv", "record.jsonld"] {
        assert!(!text(name).contains("ALARM"), "{}", text(name));
        assert!(text(name).contains("declared") && text(name).contains("churn.train"));
    }
    let terms = text("record.jsonld").split('"');
    let terms = terms.filter(|part| part.starts_with("dpv:"));
    terms.for_each(|term| assert!(is_known(term), "{term}"));
}

/// One byte of the pack is another: no document.
fn check_altered(small: &Small, pack: &Path) {
    for file in ["log/payloads", "log/leaves", "budget/spends"] {
        let path = pack.join(file);
        let whole = fs::read(&path).unwrap();
        let mut altered = whole.clone();
        let middle = altered.len() / 2;
        altered[middle] ^= 1;
        fs::write(&path, altered).unwrap();
        for line in commands() {
            check_says(&typed(small, line), 1, &["does not verify"]);
        }
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn t1_packs_recompute_epsilon_and_documents_are_made_of_them() {
    let (mut small, officer) = deployment();
    // What nobody waits for is on disk a moment later.
    let all = wait_for("the answer to be entered", STEP_MS, || {
        let all = entries(&small);
        let answered = !payloads(&all, "query.answered").is_empty();
        Ok(answered.then_some(all))
    })
    .unwrap();
    let spends = payloads(&all, "budget.spent");
    let released = payloads(&all, "model.released");
    assert_eq!(released.len(), 1);
    let study = released[0]["study"].as_str().unwrap().to_owned();
    let of = |purpose: &str| {
        let own = spends.iter().filter(|one| one["purpose"] == purpose);
        own.count()
    };
    assert!(of("churn.train") >= 10 && of(PURPOSE) >= 1, "{spends:?}");
    assert_eq!(of("churn.train") + of(PURPOSE), spends.len());
    let pack = packed(&small, all.len());
    check_verified(&pack);
    check_report(&small, &pack, &study);
    let rho = released[0]["disclosure"]["rho_micro"].as_u64().unwrap();
    assess(&small, &released[0]["file_sha256"], &officer);
    let documents = documents(&small);
    check_documents(&documents, rho);
    let mut made = documents.iter().map(|(_, text)| text);
    let of_processor = made.nth(5).unwrap();
    assert_eq!(documents[5].0, "record.jsonld");
    for node in &small.cluster.nodes {
        assert!(of_processor.contains(&node.name), "{}", node.name);
    }
    check_altered(&small, &pack);
    // What is in the log already is not entered again.
    small.cluster.coordinator().stop().unwrap();
    small.cluster.start_coordinator().unwrap();
    let again = entries(&small);
    for kind in ["budget.spent", "model.released", "pack.loaded"] {
        assert_eq!(payloads(&again, kind), payloads(&all, kind), "{kind}");
    }
}
