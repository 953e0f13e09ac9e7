//! The second verifier, run by the Python of this machine.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aquifer_shared::domain::pack::{Files, LogPolicy, State, Verdict};
use aquifer_shared::shell::pack_folder;
use serde_json::Value;

/// What both verifiers say of one check: state, how many findings, and where the first are.
pub type Said = (String, String, u64, Vec<(String, Option<u64>)>);

pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/verify-audit")
}

/// A verdict as it is compared.
pub fn said(verdict: &Verdict) -> Vec<Said> {
    let one = |checked: &aquifer_shared::domain::pack::Checked| {
        let state = match checked.state {
            State::Passed => "passed",
            State::Failed => "failed",
            State::NotRun(_) => "not run",
        };
        let places = checked
            .findings
            .iter()
            .map(|one| (one.file.clone(), one.index));
        let name = checked.check.name().to_owned();
        (
            name,
            state.to_owned(),
            checked.found as u64,
            sorted(places.collect()),
        )
    };
    verdict.0.iter().map(one).collect()
}

/// The same from what the script prints.
pub fn said_in_json(told: &Value) -> Vec<Said> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one = |checked: &Value| {
        let places = checked["findings"].as_array().unwrap().iter();
        let places = places.map(|one| (text(&one["file"]), one["index"].as_u64()));
        let found = checked["found"].as_u64().unwrap();
        (
            text(&checked["check"]),
            text(&checked["state"]),
            found,
            sorted(places.collect()),
        )
    };
    told.as_array().unwrap().iter().map(one).collect()
}

fn sorted(mut places: Vec<(String, Option<u64>)>) -> Vec<(String, Option<u64>)> {
    places.sort();
    places
}

/// Runs the script on packs (the second of which is the one before), with its exit code.
pub fn verify(pack: &Files, previous: Option<&Files>) -> (Vec<Said>, i32) {
    verify_with(pack, previous.map(|files| ("--previous", files)), None)
}

/// The same with another pack under an option, and keys under another.
pub fn verify_with(
    pack: &Files,
    other: Option<(&str, &Files)>,
    keys: Option<(&str, &LogPolicy)>,
) -> (Vec<Said>, i32) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("python3");
    let own = folder.path().join("pack");
    pack_folder::write(&own, pack).unwrap();
    command.arg(script()).arg("--json").arg(&own);
    if let Some((option, files)) = other {
        let place = folder.path().join("other");
        pack_folder::write(&place, files).unwrap();
        command.arg(option).arg(&place);
    }
    if let Some((option, policy)) = keys {
        let place = folder.path().join("keys");
        fs::write(&place, policy.to_text()).unwrap();
        command.arg(option).arg(&place);
    }
    let output = command.output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("{}", String::from_utf8_lossy(&output.stderr));
    });
    (said_in_json(&told["checks"]), output.status.code().unwrap())
}

/// Runs lines of Python that have the script as `v`, with lines on standard input; gives what it prints.
pub fn run(code: &str, file: &[u8], input: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let given = folder.path().join("given");
    fs::write(&given, file).unwrap();
    run_at(code, &given, input)
}

pub fn run_at(code: &str, given: &Path, input: &str) -> String {
    let code = format!("{LOAD}{code}");
    let mut child = Command::new("python3")
        .args(["-c", &code])
        .arg(script())
        .arg(given)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

const LOAD: &str = "
import importlib.machinery, importlib.util, json, sys
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader('verify_audit', sys.argv[1])
v = importlib.util.module_from_spec(importlib.util.spec_from_loader('verify_audit', loader))
loader.exec_module(v)
";

#[test]
fn published_signatures_and_figures_hold() {
    let output = Command::new("python3")
        .arg(script())
        .arg("--self-test")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn r1_python_agrees_on_epsilon() {
    let mut random = crate::random::Seeded::new(20_261_126, 7);
    let mut cases = vec![
        (1, 1),
        (1, 10_000_000_000),
        (1 << 30, 1),
        (125_000, 10_000_000),
    ];
    for _ in 0..2_000 {
        let rho = random.next_u64() >> (34 + random.next_u64() % 29);
        let delta = 1 + (random.next_u64() >> (31 + random.next_u64() % 32)) % 10_000_000_000;
        cases.push((rho, delta));
    }
    let input: String = cases
        .iter()
        .map(|(rho, delta)| format!("{rho} {delta}\n"))
        .collect();
    let code = "
for line in sys.stdin:
    print(v.epsilon_micro(*map(int, line.split())))
";
    let found = run(code, b"", &input);
    let expected = cases
        .iter()
        .map(|(rho, delta)| aquifer_shared::domain::pack::epsilon_micro(*rho, *delta));
    let expected: Vec<String> = expected.map(|epsilon| epsilon.to_string()).collect();
    let found: Vec<&str> = found.lines().collect();
    for ((case, found), expected) in cases.iter().zip(&found).zip(&expected) {
        assert_eq!(found, expected, "{case:?}");
    }
    assert_eq!(found.len(), cases.len());
}

#[test]
fn the_accountant_of_nodes_agrees_to_its_fourth_decimal() {
    use aquifer_shared::base::units::{Delta, MicroRho};
    for rho in [1_000, 30_560, 125_000, 500_000, 3_000_000] {
        let delta = Delta::try_from(1e-5).unwrap();
        let theirs = aquifer_shared::shell::noise::epsilon(MicroRho(rho), delta);
        let ours = aquifer_shared::domain::pack::epsilon_micro(rho, 10_000_000) as f64 / 1e6;
        assert!((theirs - ours).abs() < 1.1e-4, "{rho}: {theirs} and {ours}");
    }
}
