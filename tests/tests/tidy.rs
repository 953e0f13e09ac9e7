//! The repository keeps its own rules.

use std::path::Path;

use aquifer_tests::forbidden::{self, Compiler, Sample};
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

/// Around the decision of each gate there is no way that compiles, in the domain, at the node and at the coordinator; and the way through
/// it does.
#[test]
fn l1_no_bypass() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut all = Vec::new();
    for (folder, least) in [("shared/src", 9), ("node/src", 3), ("coordinator/src", 5)] {
        let own = forbidden::samples(top, folder).unwrap();
        let refused = own.iter().filter(|sample| sample.error.is_some()).count();
        assert!(
            refused >= least,
            "{folder}: only {refused} that must not compile"
        );
        all.extend(own);
    }
    let through = all.iter().find(|sample| sample.error.is_none()).unwrap();
    let compiler = Compiler::find(through).unwrap();
    let planted = Sample {
        error: Some("E0308".to_owned()),
        ..through.clone()
    };
    let said = compiler.compile(&planted).unwrap();
    assert!(!planted.is_as_written(&said), "what compiles is noticed");
    let wrong = all.iter().filter_map(|sample| {
        let said = compiler.compile(sample).unwrap();
        let expected = sample.error.as_deref().unwrap_or("nothing");
        let is_wrong = !sample.is_as_written(&said);
        is_wrong.then(|| format!("{}: expected {expected}, found {said:?}", sample.place))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
