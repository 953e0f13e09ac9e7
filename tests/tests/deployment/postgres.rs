//! A coordinator whose store is PostgreSQL: the same commands, the same resumption, nothing in a file beside it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use aquifer_tests::processes::{run, wait_for};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use super::fixture::{STEP_MS, Small, check_says, company, has_program, policy};
use super::kills::{check_released_and_charged_once, kill_and_restart_all, study_with};

/// A database of this test's own, on a server that was named or that this process starts.
struct Database {
    url: String,
    server: Option<Child>,
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
            server,
            _folder: folder,
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // Fails only where it has gone already.
            let _ = kill_process(Pid::from_child(server), Signal::INT);
            let _ = server.wait();
        }
    }
}

/// Folder of the newest installed version's programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|entry| entry.path()).max_by_key(number)?;
    Some(newest.join("bin"))
}

fn start(programs: &std::path::Path, folder: &TempDir) -> (String, Option<Child>) {
    let (path, data) = (folder.path(), folder.path().join("data"));
    // The server refuses to run as root, and must not outlive a test that was killed.
    let as_postgres = |program: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "INT"]);
        if geteuid().is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
        }
        command
            .arg("--")
            .arg(programs.join(program))
            .current_dir("/");
        command.arg("-D").arg(&data);
        command
    };
    if geteuid().is_root() {
        run(Command::new("chown").arg("postgres").arg(path))
            .unwrap()
            .success()
            .unwrap();
    }
    let mut init = as_postgres("initdb");
    init.args(["-U", "aquifer", "-A", "trust", "-E", "UTF8", "--no-sync"]);
    run(&mut init).unwrap().success().unwrap();
    let mut server = as_postgres("postgres");
    server.args(["-h", "", "-F", "-k"]).arg(path);
    server
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let url = format!(
        "postgres://aquifer@localhost/postgres?host={}",
        path.display()
    );
    (url, Some(server.spawn().unwrap()))
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
