//! What the scripts refuse before they install or build anything.

#![cfg(test)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use aquifer_tests::processes::{Outcome, run};

fn setup(first_on_path: &Path, arguments: &[&str]) -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", first_on_path.display());
    run(Command::new(root.join("scripts/setup"))
        .args(arguments)
        .env("PATH", path))
    .unwrap()
}

/// A folder with compilers that say this of themselves.
fn compilers(says: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["rustc", "cargo"] {
        let file = folder.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{says}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

#[track_caller]
fn check_refused(says: &str, expected: &[&str]) {
    let folder = compilers(says);
    let outcome = setup(folder.path(), &["--build-only"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    for words in expected {
        assert!(
            outcome.stderr.contains(words),
            "expected {words:?} in {}",
            outcome.stderr
        );
    }
}

#[test]
fn a_compiler_that_is_too_old_is_refused_with_the_reason() {
    let reason = "expected 1.95 or newer: the query engine and edition 2024";
    check_refused(
        "echo rustc 1.85.1",
        &["found rustc 1.85.1", reason, "rustup update"],
    );
    check_refused("echo rustc 1.94.9-nightly", &[reason]);
    check_refused("echo something else", &["found something else", reason]);
    check_refused(
        "echo no default toolchain >&2; exit 1",
        &["no default toolchain"],
    );
}

#[test]
fn an_unknown_option_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = setup(folder.path(), &["--build-onyl"]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("unknown option --build-onyl"),
        "{}",
        outcome.stderr
    );
}

/// Nothing is missing where these tests were built.
#[test]
fn where_all_is_there_nothing_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = setup(folder.path(), &["--build-only"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(outcome.stdout, "");
}

/// What the script says of a run with these cases.
fn results(cases: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("junit.xml");
    fs::write(
        &file,
        format!("<testsuites><testsuite>{cases}</testsuite></testsuites>"),
    )
    .unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    run(Command::new(root.join("scripts/test-results")).arg(file)).unwrap()
}

#[test]
fn results_of_tests_are_those_of_features_and_a_skipped_one_says_nothing() {
    let outcome = results(
        "<testcase name=\"packs::r1_same\"/><testcase name=\"r1_other\"><failure/></testcase>\
         <testcase name=\"a_plain_test\"/><testcase name=\"s1_late\"><system-err>SKIPPED: no pg</system-err></testcase>\
         <testcase name=\"a::c3_twice\"><failure/></testcase><testcase name=\"b::c3_twice\"/>\
         <testcase name=\"c7_contradictory_duplicates_are_quarantined_and_the_strictest_is_kept\"/>",
    );
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let expected = "{\"c3_twice\":\"failed\",\"c7_contradictory_duplicates_are_quarantined_and_the_strictest_is\":\"passed\",\
                    \"r1_other\":\"failed\",\"r1_same\":\"passed\"}\n";
    assert_eq!(outcome.stdout, expected);
}

#[test]
fn a_report_of_tests_that_is_none_is_refused() {
    let outcome = results("<testcase");
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("junit.xml"), "{}", outcome.stderr);
}
