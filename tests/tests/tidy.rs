//! The repository keeps its own rules.

use std::path::Path;

use aquifer_tests::tidy;

#[test]
fn the_repository_is_tidy() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let files = tidy::read_repository(top).unwrap();
    assert!(files.len() > 20, "only {} files were found", files.len());
    let found = tidy::check(files);
    let report: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(report.is_empty(), "\n{}\n", report.join("\n"));
}
