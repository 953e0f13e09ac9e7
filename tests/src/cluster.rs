//! A whole deployment on loopback in one folder: a coordinator, its people, and one node per unit, as separate processes.
//!
//! Everything goes through the commands that people use; nothing here reaches into a program.

mod coordinator;
mod studies;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::company::Company;
use crate::law;
use crate::namespaces::Namespaces;
use crate::policy::Policy;
use crate::processes::{Outcome, Process, Watcher, command, free_ports, run, wait_for};
use crate::study::list;

/// How long a process may take until it is ready.
const READY_MS: u64 = 20_000;

/// A deployment.
pub struct Cluster {
    /// Holds every directory and log.
    pub folder: PathBuf,
    /// Directory of the person who operates.
    pub operator: PathBuf,
    /// Directory of the person who approves.
    pub approver: PathBuf,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Measures and stops; declared after the processes' owners, so that it outlives them.
    coordinator: Option<Process>,
    /// Addresses of the coordinator: for sessions, for tickets.
    addresses: [String; 2],
    watcher: Watcher,
    /// Hosts of their own, if they have any: the coordinator and its people on the first, each node on one of the others.
    hosts: Option<Namespaces>,
    /// What the coordinator and the nodes log, where it is not the usual.
    log_filter: Option<&'static str>,
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
        Self::start_with(folder, &[])
    }

    /// The same with further arguments for `init`.
    ///
    /// # Errors
    ///
    /// A command that failed: which, and what it printed.
    pub fn start_with(folder: &Path, more: &[&str]) -> Result<Self> {
        let addresses = free_ports()?.map(|port| format!("127.0.0.1:{port}"));
        Self::start_at(folder, addresses, None, more)
    }

    /// The same on hosts of their own.
    ///
    /// # Errors
    ///
    /// A command that failed: which, and what it printed.
    pub fn start_on(folder: &Path, hosts: Namespaces) -> Result<Self> {
        let address = Namespaces::address(0);
        let addresses = [7_400, 7_401].map(|port| format!("{address}:{port}"));
        Self::start_at(folder, addresses, Some(hosts), &[])
    }

    fn start_at(
        folder: &Path,
        addresses: [String; 2],
        hosts: Option<Namespaces>,
        more: &[&str],
    ) -> Result<Self> {
        let mut cluster = Self {
            folder: folder.to_owned(),
            operator: folder.join("operator"),
            approver: folder.join("approver"),
            nodes: Vec::new(),
            coordinator: None,
            addresses,
            watcher: Watcher::new(),
            hosts,
            log_filter: None,
        };
        let [main, join] = cluster.addresses.clone();
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
        cluster.approver = cluster.add_person("eve", "approver")?;
        Ok(cluster)
    }

    /// Where the coordinator takes sessions.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.addresses[0]
    }

    /// The hosts, if the deployment has hosts of its own.
    #[must_use]
    pub fn hosts(&self) -> Option<&Namespaces> {
        self.hosts.as_ref()
    }

    /// What the coordinator and the nodes log from their next start on, as `AQUIFER_LOG` says it.
    pub fn log(&mut self, filter: &'static str) {
        self.log_filter = Some(filter);
    }

    /// A command of one of the programs, on the coordinator's host (0) or on a node's (from 1).
    fn command<S: AsRef<OsStr>>(
        &self,
        host: usize,
        name: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let command = command(name, arguments);
        match &self.hosts {
            Some(hosts) => hosts.on(host, &command),
            None => command,
        }
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
        run(self
            .command(0, "aquifer-coordinator", arguments)
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
        run(self
            .command(0, "aquifer", arguments)
            .arg("--dir")
            .arg(&self.operator))
    }

    /// Runs a command of `aquifer` as the approver to its end.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn as_approver<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Outcome> {
        run(self
            .command(0, "aquifer", arguments)
            .arg("--dir")
            .arg(&self.approver))
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
        let mut join = self.command(0, "aquifer", ["join", &ticket, "--dir"]);
        let joined = run(join.arg(&folder))?;
        joined
            .success()
            .with_context(|| format!("aquifer join as {name}"))?;
        Ok(folder)
    }

    /// The approver's identity key, in hexadecimal digits.
    ///
    /// # Errors
    ///
    /// The command failed, or printed something else.
    pub fn approver_key(&self) -> Result<String> {
        let printed = self
            .as_approver(["whoami", "--json"])?
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
        let host = self.nodes.len() + 1;
        let mut join = self.command(host, "aquifer-node", ["join", &ticket, "--dir"]);
        let joined = run(join.arg(&folder))?;
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
        let key = self.approver_key()?;
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
        self.declare(|folder| law::write_central(folder, &company.contract, &policy.purposes))?;
        self.pin_members()
    }

    /// Writes `[law]` of the coordinator, in place of what is there, and starts it again: it is read once.
    ///
    /// # Errors
    ///
    /// A file could not be written, or the coordinator did not become ready.
    pub fn declare(&mut self, write: impl FnOnce(&Path) -> Result<String>) -> Result<()> {
        let folder = self.coordinator_folder();
        let path = folder.join("coordinator.toml");
        let text = fs::read_to_string(&path)?;
        let own = text.split("\n[law]\n").next().unwrap_or_default();
        fs::write(&path, format!("{own}\n{}", write(&folder)?))?;
        self.coordinator().stop()?;
        self.start_coordinator()
    }

    /// Adds the members to every node's file, as `aquifer nodes --pins` prints them; in place of those that are there.
    ///
    /// # Errors
    ///
    /// The command failed, or a file could not be written.
    pub fn pin_members(&self) -> Result<()> {
        let pins = self.aquifer(["nodes", "--pins"])?;
        let pins = pins.success().context("aquifer nodes --pins")?;
        let (head, _) = pins.split_once('\n').context("pins start with a remark")?;
        for node in &self.nodes {
            let path = node.folder.join("node.toml");
            let text = fs::read_to_string(&path)?;
            let own = text.split(head).next().unwrap_or_default();
            fs::write(&path, format!("{own}{pins}"))?;
        }
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
        let mut run = self.command(index + 1, "aquifer-node", ["run", "--dir"]);
        run.envs(self.log_filter.map(|filter| ("AQUIFER_LOG", filter)));
        let node = &mut self.nodes[index];
        run.arg(&node.folder);
        let log = self.folder.join(format!("{}.log", node.name));
        node.process = Some(self.watcher.start(&node.name, &mut run, &log)?);
        Ok(())
    }

    /// Sends a node that does not run to another address of the coordinator.
    ///
    /// # Errors
    ///
    /// Its file of the coordinator cannot be read or written.
    pub fn send_node_to(&self, index: usize, address: &str) -> Result<()> {
        let path = self.nodes[index].folder.join("coordinator.json");
        let mut file: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        file["address"] = Value::from(address);
        Ok(fs::write(&path, file.to_string())?)
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
