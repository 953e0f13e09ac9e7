//! The notebook answers its question end to end, with pandas and two plots.

use std::fs;

use aquifer_tests::processes::{command, run};

use super::drivers::python;
use super::fixture::check_says;

#[test]
fn a_notebook_answers_a_business_question() {
    let Some(python) = python() else { return };
    let out = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/notebook.py");
    let mut notebook = command("notebook", ["--script", script, "--customers", "20000"]);
    notebook.arg("--python").arg(python);
    let ended = run(notebook.arg("--out").arg(out.path())).unwrap();
    let words = [
        "Customers on contract \"month\" leave most",
        "euro a month",
        "rho 0.005 charged at each of 8 units, fresh",
    ];
    check_says(&ended, 0, &words);
    for plot in ["leavers-by-contract.png", "leavers-by-support-calls.png"] {
        let bytes = fs::read(out.path().join(plot)).unwrap();
        assert!(
            bytes.starts_with(b"\x89PNG") && bytes.len() > 5_000,
            "{plot}"
        );
    }
}
