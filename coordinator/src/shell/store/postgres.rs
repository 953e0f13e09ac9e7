//! A real PostgreSQL server for tests: of its own, in a folder of its own, reached through a socket in it, gone afterwards.
//!
//! `AQUIFER_TEST_POSTGRES` names a server that runs already. Without that and without Debian's package there is none.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use sqlx::{Connection, Executor};

/// A server that this process started, or one that was there.
pub(super) struct Server {
    url: String,
    own: Option<Own>,
}

struct Own {
    process: Child,
    // Held for its drop: the folder goes after the server.
    _folder: tempfile::TempDir,
}

impl Server {
    /// The server to test on; none where none can be had, which is said loudly, and is a failure where `CI` is set.
    pub(super) fn start() -> Option<Self> {
        if let Ok(url) = std::env::var("AQUIFER_TEST_POSTGRES") {
            return Some(Self { url, own: None });
        }
        let Some(binaries) = binaries() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "no PostgreSQL in /usr/lib/postgresql: install it, or set AQUIFER_TEST_POSTGRES"
            );
            eprintln!("SKIPPED: no PostgreSQL here, the store was not tested on it");
            return None;
        };
        Some(start(&binaries))
    }

    /// The URL of a new, empty database.
    pub(super) async fn new_database(&self, name: &str) -> String {
        let name = format!("aquifer_{}_{name}", std::process::id());
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&self.url).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        connection.execute(sqlx::raw_sql(create)).await.unwrap();
        connection.close().await.unwrap();
        let (before, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let (server, _) = before.rsplit_once('/').unwrap();
        format!("{server}/{name}?{query}")
    }

    /// Stops the server at once, as a crash would; says whether it was this process's to stop.
    pub(super) fn crash(&mut self) -> bool {
        let Some(own) = &mut self.own else {
            return false;
        };
        own.stop(Signal::QUIT);
        true
    }
}

impl Own {
    fn stop(&mut self, signal: Signal) {
        if let Ok(None) = self.process.try_wait() {
            let pid = Pid::from_child(&self.process);
            // Fails only where it has gone meanwhile.
            let _ = kill_process(pid, signal);
            let _ = self.process.wait();
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.stop(Signal::INT);
    }
}

fn start(binaries: &Path) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let (path, data) = (folder.path(), folder.path().join("data"));
    let socket = path.to_str().unwrap().to_owned();
    if geteuid().is_root() {
        run(Command::new("chown").arg("postgres").arg(path));
    }
    let mut init = as_postgres(&binaries.join("initdb"));
    init.arg("-D").arg(&data);
    init.args(["-U", "aquifer", "-A", "trust", "-E", "UTF8", "--no-sync"]);
    run(&mut init);
    let mut server = as_postgres(&binaries.join("postgres"));
    server
        .arg("-D")
        .arg(&data)
        .args(["-h", "", "-k", &socket, "-F"]);
    let process = quiet(&mut server).spawn().unwrap();
    let mut own = Own {
        process,
        _folder: folder,
    };
    let mut ready = Command::new(binaries.join("pg_isready"));
    ready.args(["-q", "-h", &socket, "-U", "aquifer"]);
    while !ready.status().unwrap().success() {
        assert!(
            own.process.try_wait().unwrap().is_none(),
            "it ended at once"
        );
    }
    let url = format!("postgres://aquifer@localhost/postgres?host={socket}");
    Server {
        url,
        own: Some(own),
    }
}

/// The newest installed version.
fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions
        .filter_map(|entry| Some(entry.ok()?.path()))
        .max_by_key(number)?;
    let binaries = newest.join("bin");
    binaries.join("initdb").exists().then_some(binaries)
}

/// The server refuses to run as root, and must not outlive a test that was killed.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if geteuid().is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    }
    command.arg("--").arg(program).current_dir("/");
    command
}

fn quiet(command: &mut Command) -> &mut Command {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
}

#[track_caller]
fn run(command: &mut Command) {
    let done = quiet(command).status().unwrap();
    assert!(done.success(), "{command:?} ended with {done}");
}
