//! A whole deployment on loopback in one folder: a coordinator, its people, and one node per unit, as separate processes.
//!
//! Everything goes through the commands that people use; nothing here reaches into a program.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::company::Company;
use crate::policy::Policy;
use crate::processes::{Outcome, Process, Watcher, command, free_ports, run, wait_for};
use crate::study::{ENDS, WATCH, list, state};

/// How long a process may take until it is ready.
const READY_MS: u64 = 20_000;

/// A deployment.
pub struct Cluster {
    /// Holds every directory and log.
    pub folder: PathBuf,
    /// Directory of the person who operates and approves.
    pub operator: PathBuf,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Measures and stops; declared after the processes' owners, so that it outlives them.
    coordinator: Option<Process>,
    ports: [u16; 2],
    watcher: Watcher,
}

/// One node.
pub struct Node {
    /// Name of the unit.
    pub name: String,
    /// Its directory.
    pub folder: PathBuf,
    /// Its process, while it runs.
    pub process: Option<Process>,
}

impl Cluster {
    /// Makes the authority, starts the coordinator, and lets the operator join.
    ///
    /// # Errors
    ///
    /// A command that failed: which, and what it printed.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::start_on(folder, &[])
    }

    /// The same with further arguments for `init`.
    ///
    /// # Errors
    ///
    /// A command that failed: which, and what it printed.
    pub fn start_on(folder: &Path, more: &[&str]) -> Result<Self> {
        let mut cluster = Self {
            folder: folder.to_owned(),
            operator: folder.join("operator"),
            nodes: Vec::new(),
            coordinator: None,
            ports: free_ports()?,
            watcher: Watcher::new(),
        };
        let [main, join] = cluster.ports.map(|port| format!("127.0.0.1:{port}"));
        let addresses = [
            "--listen",
            &main,
            "--listen-join",
            &join,
            "--address",
            &main,
            "--address-join",
            &join,
        ];
        cluster
            .coordinator_command(["init"].iter().chain(&addresses).chain(more))?
            .success()
            .context("aquifer-coordinator init")?;
        cluster.start_coordinator()?;
        cluster.operator = cluster.add_person("ops", "operator")?;
        Ok(cluster)
    }

    /// Starts the coordinator (again).
    ///
    /// # Errors
    ///
    /// It did not become ready.
    pub fn start_coordinator(&mut self) -> Result<()> {
        let folder = self.coordinator_folder();
        let mut serve = command("aquifer-coordinator", ["serve", "--json", "--dir"]);
        serve.arg(folder);
        let log = self.folder.join("coordinator.log");
        let process = self.watcher.start("coordinator", &mut serve, &log)?;
        let ready = process.line(READY_MS).with_context(|| tail(&log))?;
        ensure!(
            ready.is_some_and(|line| line.contains("listening")),
            "the coordinator did not start: {}",
            tail(&log)
        );
        self.coordinator = Some(process);
        Ok(())
    }

    /// The running coordinator.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn coordinator(&mut self) -> &mut Process {
        self.coordinator.as_mut().expect("the coordinator runs")
    }

    /// The coordinator's directory.
    #[must_use]
    pub fn coordinator_folder(&self) -> PathBuf {
        self.folder.join("coordinator")
    }

    /// What the processes used.
    #[must_use]
    pub fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// Runs a command of `aquifer-coordinator` to its end.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn coordinator_command<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Outcome> {
        run(command("aquifer-coordinator", arguments)
            .arg("--dir")
            .arg(self.coordinator_folder()))
    }

    /// Runs a command of `aquifer` as the operator to its end.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn aquifer<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Outcome> {
        run(command("aquifer", arguments)
            .arg("--dir")
            .arg(&self.operator))
    }

    /// Prints a ticket.
    ///
    /// # Errors
    ///
    /// The command failed.
    pub fn ticket(&self, name: &str, role: &str) -> Result<String> {
        let printed = self
            .coordinator_command(["invite", name, "--role", role])?
            .success();
        let printed = printed.with_context(|| format!("aquifer-coordinator invite {name}"))?;
        let ticket = printed
            .lines()
            .map(str::trim)
            .find(|line| line.len() > 100 && !line.contains(' '));
        Ok(ticket
            .with_context(|| format!("no ticket in {printed:?}"))?
            .to_owned())
    }

    /// Lets a person join; returns the person's directory.
    ///
    /// # Errors
    ///
    /// A command failed.
    pub fn add_person(&self, name: &str, role: &str) -> Result<PathBuf> {
        let (ticket, folder) = (self.ticket(name, role)?, self.folder.join(name));
        let joined = run(command("aquifer", ["join", &ticket, "--dir"]).arg(&folder))?;
        joined
            .success()
            .with_context(|| format!("aquifer join as {name}"))?;
        Ok(folder)
    }

    /// The operator's identity key, in hexadecimal digits.
    ///
    /// # Errors
    ///
    /// The command failed, or printed something else.
    pub fn operator_key(&self) -> Result<String> {
        let printed = self
            .aquifer(["whoami", "--json"])?
            .success()
            .context("aquifer whoami")?;
        let value: Value = serde_json::from_str(&printed)?;
        let key = value.get("identity").and_then(Value::as_str);
        Ok(key.context("whoami names no identity")?.to_owned())
    }

    /// Lets a node join, without data yet.
    ///
    /// # Errors
    ///
    /// A command failed.
    pub fn join_node(&self, name: &str) -> Result<PathBuf> {
        let (ticket, folder) = (self.ticket(name, "node")?, self.folder.join(name));
        let joined = run(command("aquifer-node", ["join", &ticket, "--dir"]).arg(&folder))?;
        joined
            .success()
            .with_context(|| format!("aquifer-node join as {name}"))?;
        Ok(folder)
    }

    /// Lets one node per unit join and gives each its data, contract and policy; starts none.
    ///
    /// # Errors
    ///
    /// A command failed, or a file could not be written.
    pub fn add_units(&mut self, company: &Company, policy: &Policy) -> Result<()> {
        let key = self.operator_key()?;
        for (unit, name) in company.units.iter().enumerate() {
            let folder = self.join_node(name)?;
            company.write_unit(unit, &folder.join("customers.csv"))?;
            policy.write(&self.folder, &folder, company, &key)?;
            self.nodes.push(Node {
                name: name.clone(),
                folder,
                process: None,
            });
        }
        fs::write(self.contract(), company.contract.to_toml())?;
        Ok(())
    }

    /// The contract as the operator holds it.
    #[must_use]
    pub fn contract(&self) -> PathBuf {
        self.folder.join("contract.toml")
    }

    /// Starts a node (again).
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn start_node(&mut self, index: usize) -> Result<()> {
        let node = &mut self.nodes[index];
        let mut run = command("aquifer-node", ["run", "--dir"]);
        run.arg(&node.folder);
        let log = self.folder.join(format!("{}.log", node.name));
        node.process = Some(self.watcher.start(&node.name, &mut run, &log)?);
        Ok(())
    }

    /// Starts every node and waits until the coordinator has welcomed all.
    ///
    /// # Errors
    ///
    /// A node ended, or did not connect in time.
    pub fn start_nodes(&mut self) -> Result<()> {
        (0..self.nodes.len()).try_for_each(|index| self.start_node(index))?;
        self.wait_connected()
    }

    /// Waits until every running node is connected.
    ///
    /// # Errors
    ///
    /// A node ended, or did not connect in time.
    pub fn wait_connected(&self) -> Result<()> {
        let running: Vec<&Node> = self
            .nodes
            .iter()
            .filter(|node| node.process.is_some())
            .collect();
        wait_for("the nodes to connect", READY_MS, || {
            for node in &running {
                let alive = node.process.as_ref().is_some_and(Process::is_running);
                ensure!(
                    alive,
                    "{} has ended: {}",
                    node.name,
                    self.log_tail(&node.name)
                );
            }
            let connected = self.connected()?;
            Ok(running
                .iter()
                .all(|node| connected.contains(&node.name))
                .then_some(()))
        })
    }

    /// Names of the nodes that have a session.
    ///
    /// # Errors
    ///
    /// The command failed.
    pub fn connected(&self) -> Result<Vec<String>> {
        let printed = self
            .aquifer(["nodes", "--json"])?
            .success()
            .context("aquifer nodes")?;
        let value: Value = serde_json::from_str(&printed)?;
        let entries = list(&value, "nodes").context("aquifer nodes --json is a list")?;
        let connected = entries
            .iter()
            .filter(|entry| entry["connected"] == Value::Bool(true) && entry["role"] == "node");
        Ok(connected
            .filter_map(|entry| entry["name"].as_str())
            .map(str::to_owned)
            .collect())
    }

    /// Submits a study; returns its hash.
    ///
    /// # Errors
    ///
    /// The command failed.
    pub fn submit(&self, study: &str) -> Result<String> {
        let printed = self
            .try_submit(study)?
            .success()
            .context("aquifer study submit")?;
        let value: Value = serde_json::from_str(&printed)?;
        let hash = value.get("study").and_then(Value::as_str);
        Ok(hash
            .with_context(|| format!("submit names no study: {printed}"))?
            .to_owned())
    }

    /// Submits a study and tells how that ended.
    ///
    /// # Errors
    ///
    /// The command could not be started.
    pub fn try_submit(&self, study: &str) -> Result<Outcome> {
        let path = self.folder.join("study.toml");
        fs::write(&path, study)?;
        let (path, contract) = (path.to_string_lossy(), self.contract());
        self.aquifer([
            "study",
            "submit",
            &path,
            "--contract",
            &contract.to_string_lossy(),
            "--json",
        ])
    }

    /// Approves a study as the operator.
    ///
    /// # Errors
    ///
    /// The command failed.
    pub fn approve(&self, study: &str) -> Result<()> {
        self.aquifer(["study", "approve", study])?
            .success()
            .context("aquifer study approve")
            .map(drop)
    }

    /// Starts to watch a study: one line of JSON for each change.
    ///
    /// # Errors
    ///
    /// The command could not be started.
    pub fn watch(&self, study: &str) -> Result<Process> {
        let mut watch = command("aquifer", ["study", "watch", study, "--json", "--dir"]);
        watch.arg(&self.operator);
        self.watcher
            .start(WATCH, &mut watch, &self.folder.join("watch.log"))
    }

    /// Follows a study until it ends; `see` gets every status on the way. Returns the last one.
    ///
    /// # Errors
    ///
    /// Watching failed, or nothing changed within `limit_ms`.
    pub fn follow(
        &self,
        watch: &Process,
        limit_ms: u64,
        mut see: impl FnMut(&Value),
    ) -> Result<Value> {
        let mut last = Value::Null;
        while let Some(line) = watch.line(limit_ms)? {
            last =
                serde_json::from_str(&line).with_context(|| format!("watch printed {line:?}"))?;
            see(&last);
            if ENDS.contains(&state(&last)) {
                return Ok(last);
            }
        }
        bail!(
            "watching ended early, last state {:?}: {}",
            state(&last),
            tail(&self.folder.join("watch.log"))
        )
    }

    /// Submits, approves and follows a study to its end.
    ///
    /// # Errors
    ///
    /// Any of the steps failed.
    pub fn run_study(&self, study: &str, limit_ms: u64) -> Result<Value> {
        let hash = self.submit(study)?;
        let watch = self.watch(&hash)?;
        self.approve(&hash)?;
        self.follow(&watch, limit_ms, |_| {})
    }

    /// The last lines that a process wrote to its log.
    #[must_use]
    pub fn log_tail(&self, name: &str) -> String {
        tail(&self.folder.join(format!("{name}.log")))
    }

    /// Process ids of everything that runs.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let nodes = self.nodes.iter().filter_map(|node| node.process.as_ref());
        nodes.chain(&self.coordinator).map(Process::pid).collect()
    }

    /// Leaves everything running when this value goes.
    pub fn leave(&mut self) {
        let nodes = self.nodes.iter_mut().filter_map(|node| node.process.take());
        nodes
            .chain(self.coordinator.take())
            .for_each(std::mem::forget);
    }

    /// Stops everything, nodes first.
    ///
    /// # Errors
    ///
    /// A process that cannot be waited for.
    pub fn stop(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.process
                .take()
                .map_or(Ok(()), |mut process| process.stop().map(drop))?;
        }
        self.coordinator
            .take()
            .map_or(Ok(()), |mut process| process.stop().map(drop))
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
