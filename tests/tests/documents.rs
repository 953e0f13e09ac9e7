//! The documents stay true: every command of the operations guide is run, in order, on two folders that stand for two machines.

#![cfg(test)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aquifer_tests::processes::{free_ports, program, run};
use aquifer_tests::random::Seeded;

const GUIDE: &str = include_str!("../../docs/operations.md");

/// The shell blocks of a document, in order.
fn shell_blocks(text: &str) -> Vec<&str> {
    let parts = text.split("```sh\n").skip(1);
    parts
        .filter_map(|part| part.split_once("\n```").map(|(block, _)| block))
        .collect()
}

/// 4 000 made-up customers whose risk falls with tenure.
fn customers() -> String {
    let (mut random, mut text) = (Seeded::new(20_261_124, 0), String::new());
    text.push_str("customer_id,tenure,charges,plan,churned\n");
    for id in 0..4_000 {
        let (tenure, charges) = (random.uniform() * 72.0, 20.0 + random.uniform() * 100.0);
        let plan = ["month", "year", "two years"][random.pick(&[0.6, 0.25, 0.15])];
        let leaves = random.uniform() < 0.6 - tenure / 150.0;
        let churned = if leaves { "yes" } else { "no" };
        writeln!(text, "c{id},{tenure:.1},{charges:.2},{plan},{churned}").unwrap();
    }
    text
}

fn programs() -> PathBuf {
    program("aquifer").parent().unwrap().to_owned()
}

#[test]
fn every_command_of_the_operations_guide_works() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("customers.csv"), customers()).unwrap();
    let mut script =
        String::from("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n");
    for block in shell_blocks(GUIDE) {
        script.push_str(block);
        script.push('\n');
    }
    let file = folder.path().join("guide.sh");
    fs::write(&file, script).unwrap();
    let [port, port_join] = free_ports().unwrap();
    let path = format!(
        "{}:{}",
        programs().display(),
        std::env::var("PATH").unwrap()
    );
    let outcome = run(Command::new("bash")
        .arg("-x")
        .arg(&file)
        .current_dir(folder.path())
        .env("PATH", path)
        .env("PORT", port.to_string())
        .env("PORT_JOIN", port_join.to_string()))
    .unwrap();
    outcome.success().unwrap();
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for document in [
        "README.md",
        "docs/privacy.md",
        "docs/protocol.md",
        "docs/operations.md",
    ] {
        let text = fs::read_to_string(root.join(document)).unwrap();
        let folder = root.join(document).parent().unwrap().to_owned();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let local = !link.contains("://") && !link.starts_with('#');
            assert!(
                !local || folder.join(link).exists(),
                "{document} links to {link}"
            );
        }
    }
}
