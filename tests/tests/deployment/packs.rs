//! Audit packs of real processes, of the coordinator and of a unit: who made them, of which parts, under which clocks; both verifiers agree.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use aquifer_shared::base::calendar::civil_of;
use aquifer_shared::base::hash::sha256;
use aquifer_shared::shell::pack_folder;
use aquifer_tests::processes::{command, program, run, wait_for};
use aquifer_tests::study::state;
use serde_json::Value;

use super::fixture::{STEP_MS, Small, check_says, policy};

fn quarter() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let day = i32::try_from(since.as_secs() / 86_400).unwrap();
    let (year, month, _) = civil_of(day);
    format!("{year}Q{}", month.div_ceil(3))
}

fn wait_cosigned(small: &Small) {
    wait_for("cosignatures of all nodes", STEP_MS, || {
        let shown = small.cluster.aquifer(["history", "checkpoint"])?;
        let all = shown.stdout.matches("aquifer/node/").count() == 3;
        Ok(all.then_some(()))
    })
    .unwrap();
}

/// Makes a pack with the rules of the coordinator, and results of one test.
fn pack(small: &Small, name: &str) -> std::path::PathBuf {
    let (folder, home) = (small.folder.path(), small.cluster.coordinator_folder());
    let results = folder.join("results.json");
    fs::write(&results, "{\"r1_same_ledger_same_bytes\":\"passed\"}").unwrap();
    let out = folder.join(name);
    let mut arguments = vec!["audit".to_owned(), "pack".to_owned()];
    for (flag, value) in [
        ("--quarter", Path::new(&quarter())),
        ("--purposes", &home.join("purposes.toml")),
        ("--packs", &home.join("packs")),
        ("--tests", &results),
        ("--out", &out),
    ] {
        arguments.extend([flag.to_owned(), value.to_string_lossy().into_owned()]);
    }
    let made = small.cluster.aquifer(&arguments).unwrap();
    check_says(&made, 0, &["SHA-256 of its manifest"]);
    assert!(!made.stderr.contains("clocks"), "{}", made.stderr);
    out
}

fn json(pack: &Path, file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(pack.join(file)).unwrap()).unwrap()
}

fn check_program(pack: &Path) {
    let report = json(pack, "report.json");
    let own = fs::read(program("aquifer-coordinator")).unwrap();
    assert_eq!(report["program"]["sha256"], sha256(&own).to_string());
    let limits = report["program"]["limits"].as_str().unwrap();
    assert!(limits.contains("self-reported"), "{limits}");
    for what in ["program", "rights", "tests", "witnesses", "policies"] {
        assert_eq!(report["evidence"][what], "evidence present", "{what}");
    }
    let parts = json(pack, "sbom.cdx.json");
    let lock = include_str!("../../../Cargo.lock");
    assert_eq!(
        parts["components"].as_array().unwrap().len(),
        lock.matches("[[package]]").count()
    );
    let clocks = json(pack, "rights/clocks.json");
    assert_eq!(clocks["counts"], Value::Null);
    let clocks = clocks["clocks"].as_array().unwrap();
    let gdpr = |clock: &&Value| clock["pack"] == "gdpr" && clock["clock"] == "clock_request_days";
    assert_eq!(clocks.iter().find(gdpr).unwrap()["value"], "28");
}

#[test]
fn r1_a_pack_names_the_program_that_runs_and_both_verifiers_agree() {
    let small = Small::started(&policy());
    small.cluster.wait_connected().unwrap();
    wait_cosigned(&small);
    let pack = pack(&small, "pack");
    check_program(&pack);
    assert_eq!(verified(&pack), 0);
    check_keys(&small, &pack);
    // Another signature under the statement: first the manifest tells, then, with a manifest that fits, the log's key.
    let path = pack.join("provenance.dsse.json");
    let statement = fs::read_to_string(&path).unwrap();
    fs::write(&path, statement.replacen("\"sig\":\"", "\"sig\":\"AAAA", 1)).unwrap();
    assert_eq!(verified(&pack), 11);
    relist(&pack);
    assert_eq!(verified(&pack), 27);
}

/// Keys from elsewhere than the pack, as coordinator and units print them; those of another log do not fit.
fn check_keys(small: &Small, pack: &Path) {
    let keys = small.folder.path().join("keys.txt");
    let with = |text: &str| {
        fs::write(&keys, text).unwrap();
        verified_with(pack, &["--policy", keys.to_str().unwrap()])
    };
    let show = ["history", "show", "--keys"];
    let printed = small.cluster.aquifer(show).unwrap().success().unwrap();
    assert_eq!(with(&printed), 0);
    assert_eq!(with(&small.node(0, &show).success().unwrap()), 0);
    let units = small.node(0, &["history", "show", "--keys", "--json"]);
    let units: Value = serde_json::from_str(&units.success().unwrap()).unwrap();
    assert_eq!(with(units["unit"]["policy"].as_str().unwrap()), 13);
}

/// What both verifiers end with.
fn verified(pack: &Path) -> u64 {
    verified_with(pack, &[])
}

fn verified_with(pack: &Path, more: &[&str]) -> u64 {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/verify-audit");
    let mut verify = command("aquifer", ["audit", "verify", "--json"]);
    let rust = run(verify.arg(pack).args(more)).unwrap();
    let python = Command::new("python3")
        .arg(&script)
        .arg("--json")
        .arg(pack)
        .args(more)
        .output()
        .unwrap();
    let told = [rust.stdout.as_bytes(), &python.stdout]
        .map(|told| serde_json::from_slice::<Value>(told).unwrap()["code"].clone());
    assert_eq!(rust.code, python.status.code());
    assert_eq!(told[0], told[1]);
    told[0].as_u64().unwrap()
}

fn relist(pack: &Path) {
    let listed = run(Command::new("bash").current_dir(pack).args(["-c", RELIST])).unwrap();
    check_says(&listed, 0, &[]);
}

/// Makes the pack of the first unit's own history; none where nothing is published yet.
fn of_unit(small: &Small, name: &str) -> Option<PathBuf> {
    let out = small.folder.path().join(name);
    let place = out.to_str().unwrap();
    let made = small.node(
        0,
        &["audit", "pack", "--quarter", &quarter(), "--out", place],
    );
    if made.code == Some(1) {
        check_says(
            &made,
            1,
            &["no checkpoint covers an entry", "publish_every_minutes"],
        );
        return None;
    }
    check_says(
        &made,
        0,
        &["SHA-256 of its manifest", "it stays at the unit"],
    );
    assert!(!made.stderr.contains("will fail"), "{}", made.stderr);
    Some(out)
}

/// Rules that were changed since the decisions: they are named, or check 20 fails.
fn check_rules_from_before(small: &Small) {
    let purposes = small.cluster.nodes[0].folder.join("purposes.toml");
    let before = small.folder.path().join("before.toml");
    fs::copy(&purposes, &before).unwrap();
    let text = fs::read_to_string(&before).unwrap();
    fs::write(&purposes, format!("{text}\n# changed\n")).unwrap();
    for (name, more, says) in [
        ("changed", &[][..], true),
        (
            "named",
            &["--purposes", before.to_str().unwrap()][..],
            false,
        ),
    ] {
        let out = small.folder.path().join(name);
        let quarter = quarter();
        let out = out.to_str().unwrap();
        let pack = ["audit", "pack", "--quarter", &quarter, "--out", out];
        let made = small.node(0, &[&pack[..], more].concat());
        check_says(&made, 0, &["it stays at the unit"]);
        let lacks = made.stderr.contains("check policy will fail");
        assert_eq!(lacks, says, "{}", made.stderr);
    }
}

/// A pack of the first unit in which all of its charges are.
fn of_whole_unit(small: &Small) -> PathBuf {
    let spent = small.spent(0);
    assert!(spent > 0);
    wait_for("all charges to be published", PUBLISHED_MS, || {
        let Some(out) = of_unit(small, "unit") else {
            return Ok(None);
        };
        if json(&out, "report.json")["budget"]["year"]["rho_micro"] == spent {
            return Ok(Some(out));
        }
        fs::remove_dir_all(&out)?;
        Ok(None)
    })
    .unwrap()
}

fn check_unit(pack: &Path) {
    let report = json(pack, "report.json");
    let own = fs::read(program("aquifer-node")).unwrap();
    assert_eq!(report["program"]["name"], "aquifer-node");
    assert_eq!(report["program"]["sha256"], sha256(&own).to_string());
    for what in ["budget", "decisions", "policies", "program", "rights"] {
        assert_eq!(report["evidence"][what], "evidence present", "{what}");
    }
    for kind in ["round.cut", "budget.spent", "consent.objected", "log.pad"] {
        assert!(report["events"][kind].as_u64() > Some(0), "{kind}");
    }
    let mode = fs::metadata(pack).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// A pack of the coordinator that is made later holds the checkpoints of the unit's.
fn check_held(small: &Small, unit: &Path) {
    let held = small.folder.path().join("held");
    let keys = small.folder.path().join("keys.txt");
    wait_for("the coordinator to hold the checkpoint", STEP_MS, || {
        if held.exists() {
            fs::remove_dir_all(&held)?;
        }
        pack(small, "held");
        let mut verify = command("aquifer", ["audit", "verify"]);
        let outcome = run(verify.arg(unit).arg("--coordinator").arg(&held))?;
        if outcome.code == Some(0) {
            check_says(&outcome, 0, &["self-consistent only"]);
            fs::copy(held.join("tlog-policy"), &keys)?;
        }
        Ok((outcome.code == Some(0)).then_some(()))
    })
    .unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/verify-audit");
    let mut python = Command::new("python3");
    python.arg(script);
    for mut verify in [python, command("aquifer", ["audit", "verify"])] {
        verify.arg(unit).arg("--coordinator").arg(&held);
        verify.arg("--coordinator-policy").arg(&keys);
        let outcome = run(&mut verify).unwrap();
        check_says(&outcome, 0, &["held"]);
        assert!(!outcome.stdout.contains("self-consistent"));
    }
}

#[test]
fn r1_a_unit_makes_its_own_pack_and_both_verifiers_agree() {
    let mut small = Small::prepared(&policy());
    let path = small.cluster.nodes[0].folder.join("node.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text = format!("{text}\n[history]\npublish_every_minutes = 1\n");
    fs::write(&path, text).unwrap();
    let id = small.company.of_unit(0).next().unwrap().id.clone();
    let object = ["consent", "object", "--subject", &id, "--purpose", "all"];
    check_says(&small.node(0, &object), 0, &["objected"]);
    small.cluster.start_nodes().unwrap();
    small.cluster.wait_connected().unwrap();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    let pack = of_whole_unit(&small);
    check_unit(&pack);
    assert_eq!(verified(&pack), 0);
    check_held(&small, &pack);
    // The same history, by a command alone: the same bytes.
    let mut process = small.cluster.nodes[0].process.take().unwrap();
    process.stop().unwrap();
    let again = ["first", "second"].map(|name| of_unit(&small, name).unwrap());
    let again = again.map(|pack| pack_folder::read(&pack).unwrap());
    assert_eq!(again[0], again[1]);
    check_rules_from_before(&small);
    // A charge says that it paid for something else.
    let path = pack.join("log/payloads");
    let payloads = fs::read_to_string(&path).unwrap();
    let other = payloads.replacen("\"pays\":\"update\"", "\"pays\":\"shares\"", 1);
    assert_ne!(payloads, other);
    fs::write(&path, other).unwrap();
    relist(&pack);
    assert_eq!(verified(&pack), 18);
}

/// More than the minute between two checkpoints, twice: what happens in the last moments is in the next but one.
const PUBLISHED_MS: u64 = 150_000;

/// Makes the manifest again, as one who tampers would.
const RELIST: &str = "find . -type f ! -name MANIFEST | sed 's|^./||' | LC_ALL=C sort | xargs sha256sum > ../M && mv ../M MANIFEST";
