//! `audit`, the command behind `scripts/audit-privacy`: what it prints, how it ends, and that its guide is true.

use std::process::{Command, Output};

use serde_json::Value;

const GUIDE: &str = include_str!("../../../docs/audit.md");
/// Words that no audit may use of a claim.
const NEVER: [&str; 5] = ["proves", "proven", "guarantee", "passed", "certif"];

fn audit(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_audit"));
    command.args(arguments.split_whitespace());
    command.output().expect("the program starts")
}

/// What was printed, on both ways; with nothing that an audit may not say.
#[track_caller]
fn check_ends(arguments: &str, code: i32) -> (String, String) {
    let output = audit(arguments);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments}: {printed}{told}"
    );
    for word in NEVER {
        let said = format!("{printed}{told}").to_lowercase();
        assert!(!said.contains(word), "{arguments}: {word} in {said}");
    }
    (printed, told)
}

/// Power and false alarms are those of the audit's own tests: below one in 1 000 for these sizes.
#[test]
fn every_command_of_the_guide_ends_as_it_says() {
    let (_, block) = GUIDE.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let commands: Vec<&str> = block.lines().collect();
    assert_eq!(commands.len(), 3);
    for command in commands {
        let arguments = command.strip_prefix("scripts/audit-privacy ").unwrap();
        let faulty = arguments.contains("--fault");
        let (printed, told) = check_ends(arguments, i32::from(faulty));
        if arguments.contains("--json") {
            let records: Value = serde_json::from_str(&printed).unwrap();
            let records = records.as_array().unwrap();
            assert_eq!(records.len(), 2);
            assert!(
                records
                    .iter()
                    .all(|record| record["falsified"] == 0 && record["tested"] == 1)
            );
            assert!(!printed.contains('.'), "integers only: {printed}");
            continue;
        }
        assert!(
            printed.contains("LARGEST EPSILON IT COULD FALSIFY"),
            "{printed}"
        );
        assert!(printed.contains("3.4"), "{printed}");
        let words = "not falsified at this sample size";
        // Once of the claim, once of the noise.
        assert_eq!(
            printed.matches(words).count(),
            if faulty { 1 } else { 2 },
            "{printed}"
        );
        assert_eq!(told.contains("1 of 1 claims falsified"), faulty, "{told}");
    }
}

#[test]
fn shared_noise_is_told_by_the_command() {
    let sizes = "--claims 1 --features 16 --levels 16 --canaries 200 --guesses 100 --rounds 1";
    for (fault, pair) in [("shared-nodes", "two nodes"), ("shared-cells", "two cells")] {
        let (printed, _) = check_ends(&format!("{sizes} --fault {fault}"), 1);
        let line = printed.lines().last().unwrap();
        assert!(
            line.contains("independent is falsified") && line.contains(pair),
            "{line}"
        );
    }
}

#[track_caller]
fn check_refused(arguments: &str, code: i32, why: &str) {
    let (printed, told) = check_ends(arguments, code);
    assert_eq!(printed, "", "{arguments}");
    assert!(told.contains(why), "{arguments}: {told}");
}

#[test]
fn bad_arguments_are_refused_before_anything_runs() {
    check_refused("--claims 1,8", 1, "say nothing of 8");
    check_refused("--claims 0", 1, "expected a number above 0");
    check_refused("--guesses 5000", 1, "guesses is 5000, expected 2 to 4000");
    check_refused(
        "--trust shared-noise --nodes 3",
        1,
        "nodes is 3, expected 4 to 128",
    );
    check_refused(
        "--claims 1 --nodes 1 --fault shared-nodes",
        1,
        "expected 2 to 128",
    );
    check_refused("--fault half", 2, "expected one of quarter, tenth");
    check_refused("--delta 1", 2, "delta");
}

#[test]
fn help_has_examples() {
    let output = audit("--help");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("scripts/audit-privacy --claims 1 --fault quarter"),
        "{printed}"
    );
}
