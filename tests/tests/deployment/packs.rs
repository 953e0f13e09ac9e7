//! Audit packs of real processes: who made them, of which parts, under which clocks; both verifiers agree.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use aquifer_shared::base::calendar::civil_of;
use aquifer_shared::base::hash::sha256;
use aquifer_tests::processes::{command, program, run, wait_for};
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
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/verify-audit");
    let verified = || {
        let rust = run(command("aquifer", ["audit", "verify", "--json"]).arg(&pack)).unwrap();
        let python = Command::new("python3")
            .arg(&script)
            .arg("--json")
            .arg(&pack)
            .output()
            .unwrap();
        let told = [rust.stdout.as_bytes(), &python.stdout]
            .map(|told| serde_json::from_slice::<Value>(told).unwrap()["code"].clone());
        assert_eq!(rust.code, python.status.code());
        assert_eq!(told[0], told[1]);
        told[0].as_u64().unwrap()
    };
    assert_eq!(verified(), 0);
    // Another signature under the statement: first the manifest tells, then, with a manifest that fits, the log's key.
    let path = pack.join("provenance.dsse.json");
    let statement = fs::read_to_string(&path).unwrap();
    fs::write(&path, statement.replacen("\"sig\":\"", "\"sig\":\"AAAA", 1)).unwrap();
    assert_eq!(verified(), 11);
    let listed = run(Command::new("bash").current_dir(&pack).args(["-c", RELIST])).unwrap();
    check_says(&listed, 0, &[]);
    assert_eq!(verified(), 27);
}

/// Makes the manifest again, as one who tampers would.
const RELIST: &str = "find . -type f ! -name MANIFEST | sed 's|^./||' | LC_ALL=C sort | xargs sha256sum > ../M && mv ../M MANIFEST";
