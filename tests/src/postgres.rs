//! PostgreSQL servers of a test's own: the installed programs, run as a user that may run them, ended with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Result;
use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::processes::run;

/// A server that runs until it is dropped.
pub struct Server(Child);

/// Folder of the newest installed version's programs.
#[must_use]
pub fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|entry| entry.path()).max_by_key(number)?;
    Some(newest.join("bin"))
}

impl Server {
    /// Makes a new cluster in the folder `data` below `folder`; the role `aquifer` may do everything.
    ///
    /// # Errors
    ///
    /// A command failed.
    pub fn init(programs: &Path, folder: &Path) -> Result<()> {
        if geteuid().is_root() {
            run(Command::new("chown").arg("postgres").arg(folder))?.success()?;
        }
        let mut init = as_postgres(programs, folder, "initdb");
        init.args(["-U", "aquifer", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        run(&mut init)?.success()?;
        Ok(())
    }

    /// Starts the server on that cluster, with a socket in `folder`.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn start(programs: &Path, folder: &Path, more: &[&str]) -> Result<Self> {
        let mut server = as_postgres(programs, folder, "postgres");
        server.arg("-F").arg("-k").arg(folder).args(more);
        server
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Self(server.spawn()?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only where it has gone already.
        let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
        let _ = self.0.wait();
    }
}

/// The server refuses to run as root, and must not outlive a test that was killed.
fn as_postgres(programs: &Path, folder: &Path, program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if geteuid().is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    }
    command
        .arg("--")
        .arg(programs.join(program))
        .current_dir("/");
    command.arg("-D").arg(folder.join("data"));
    command
}
