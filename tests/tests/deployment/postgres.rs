//! A coordinator whose store is PostgreSQL: the same commands, the same resumption, nothing in a file beside it.

use std::fs;
use std::path::Path;
use std::process::Command;

use aquifer_tests::postgres::{Server, programs};
use aquifer_tests::processes::{run, wait_for};
use tempfile::TempDir;

use super::fixture::{STEP_MS, Small, check_says, company, has_program, policy};
use super::kills::{check_released_and_charged_once, kill_and_restart_all, study_with};

/// A database of this test's own, on a server that was named or that this process starts.
struct Database {
    url: String,
    _server: Option<Server>,
    _folder: TempDir,
}

impl Database {
    /// None where there is no PostgreSQL, which is said loudly, and is a failure where `CI` is set.
    fn new(name: &str) -> Option<Self> {
        if !has_program("setpriv") {
            return None;
        }
        let Some(programs) = programs() else {
            println!("SKIPPED: no PostgreSQL in /usr/lib/postgresql");
            assert!(
                std::env::var_os("CI").is_none(),
                "PostgreSQL is needed in CI"
            );
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let (any, server) = match std::env::var("AQUIFER_TEST_POSTGRES") {
            Ok(url) => (url, None),
            Err(_) => start(&programs, &folder),
        };
        let name = format!("aquifer_{}_{name}", std::process::id());
        let create = || {
            let mut create = Command::new(programs.join("createdb"));
            run(create.args(["--maintenance-db", &any, &name])).unwrap()
        };
        // A server that was started a moment ago may not answer yet.
        wait_for("the database", STEP_MS, || {
            Ok((create().code == Some(0)).then_some(()))
        })
        .unwrap();
        let (before, query) = any.split_once('?').unwrap_or((&any, ""));
        let (server_url, _) = before.rsplit_once('/').unwrap();
        Some(Self {
            url: format!("{server_url}/{name}?{query}"),
            _server: server,
            _folder: folder,
        })
    }
}

fn start(programs: &Path, folder: &TempDir) -> (String, Option<Server>) {
    let path = folder.path();
    Server::init(programs, path).unwrap();
    let server = Server::start(programs, path, &["-h", ""]).unwrap();
    let url = format!(
        "postgres://aquifer@localhost/postgres?host={}",
        path.display()
    );
    (url, Some(server))
}

#[test]
fn a_coordinator_on_postgresql_resumes_and_releases() {
    let Some(database) = Database::new("deployment") else {
        return;
    };
    let mut small = Small::on(company(), &policy(), &["--store", &database.url]);
    small.cluster.start_nodes().unwrap();
    let last = study_with(&mut small, kill_and_restart_all);
    check_released_and_charged_once(&small, &last);
    let replay = small.cluster.aquifer(["model", "replay", "churn"]).unwrap();
    check_says(&replay, 0, &["churn@1 replayed"]);
    let name = small.cluster.nodes[0].name.clone();
    let revoke = small
        .cluster
        .coordinator_command(["revoke", &name])
        .unwrap();
    check_says(&revoke, 0, &["revoked"]);
    let files = fs::read_dir(small.cluster.coordinator_folder())
        .unwrap()
        .flatten();
    let stores = files.filter(|entry| entry.file_name().to_string_lossy().contains("sqlite"));
    assert_eq!(stores.count(), 0, "nothing is kept in a file");
}
