//! Bad files at a node: each gets an error that says where, what was found, what was expected; nothing is lost.

use std::fs;
use std::path::PathBuf;

use aquifer_tests::cluster::Cluster;
use tempfile::TempDir;

use super::fixture::{check_says, company, node_command, policy};

struct Unit {
    folder: PathBuf,
    _cluster: Cluster,
    _home: TempDir,
}

fn unit() -> Unit {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(home.path()).unwrap();
    let mut company = company();
    company.keep_units(1);
    cluster.add_units(&company, &policy()).unwrap();
    let folder = cluster.nodes[0].folder.clone();
    Unit {
        folder,
        _cluster: cluster,
        _home: home,
    }
}

#[test]
fn unreadable_tables_are_told_apart() {
    let unit = unit();
    let path = unit.folder.join("customers.csv");
    let good = fs::read_to_string(&path).unwrap();
    check_says(&node_command(&unit.folder, &["check"]), 0, &[]);
    let second = good.lines().nth(1).unwrap();
    let short = second.rsplit_once(',').unwrap().0;
    for (bytes, said) in [
        (Vec::new(), "empty"),
        (
            b"\x7fELF\x02\x01\x01\x00\xff\xfe\x00\x01".to_vec(),
            "customers.csv",
        ),
        (good.replacen(second, short, 1).into_bytes(), "line 2"),
        (format!("{good}{second}\n").into_bytes(), "repeated"),
        (good.replacen("tenure", "tenor", 1).into_bytes(), "tenure"),
    ] {
        fs::write(&path, bytes).unwrap();
        let outcome = node_command(&unit.folder, &["check"]);
        let text = format!("{}{}", outcome.stdout, outcome.stderr).to_lowercase();
        assert_ne!(outcome.code, Some(0), "{text}");
        assert!(text.contains(said), "expected {said:?} in:\n{text}");
        check_runs_not(&unit, said);
    }
    fs::remove_file(&path).unwrap();
    check_says(
        &node_command(&unit.folder, &["check"]),
        2,
        &["customers.csv"],
    );
}

/// The node does not start on such a table either.
fn check_runs_not(unit: &Unit, said: &str) {
    let outcome = node_command(&unit.folder, &["run"]);
    assert!(matches!(outcome.code, Some(1 | 2)), "{said}: {outcome:?}");
}

#[test]
fn a_config_that_is_wrong_is_refused_where_it_is_wrong() {
    let unit = unit();
    let path = unit.folder.join("node.toml");
    let good = fs::read_to_string(&path).unwrap();
    for (from, to, said) in [
        ("[policy]", "[policy]\nrho_mikro = 5", "rho_mikro"),
        (
            "rho_micro_per_year",
            "# rho_micro_per_year",
            "rho_micro_per_year",
        ),
        ("customers_max = ", "customers_max = -", "line 5"),
        ("approvers = [\"", "approvers = [\"zz", "IdentityKey"),
        (
            "contract = \"contract.toml\"",
            "contract = \"none.toml\"",
            "none.toml",
        ),
        ("[ledger]", "[ledger", "line"),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(&path, good.replacen(from, to, 1)).unwrap();
        let outcome = node_command(&unit.folder, &["run"]);
        assert!(matches!(outcome.code, Some(1 | 2)), "{outcome:?}");
        assert!(
            outcome.stderr.contains(said),
            "expected {said:?} in:\n{}",
            outcome.stderr
        );
    }
}
