//! Hosts of their own on one machine: network namespaces joined by a bridge that loses datagrams, as far as the machine allows.
//!
//! Whatever happens to the process that made them, they are removed: a guard outside of it waits for its end.

use std::fmt;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::processes::run;

/// Removes what this process made, once its standard input ends; deaf to signals that end a whole group of processes.
const GUARD: &str = "trap '' INT TERM HUP; cat >/dev/null
for name in \"$@\"; do ip netns pids \"$name\" 2>/dev/null | xargs -r kill -9; ip netns del \"$name\"; done 2>/dev/null";
/// Where the first host is; the next one has the next address.
const FIRST: &str = "10.77.0.1";

/// Hosts 0, 1, … on one bridge. Dropped, they are gone with all that ran there.
pub struct Namespaces {
    /// The namespace of the bridge.
    bridge: String,
    hosts: Vec<String>,
    guard: Child,
    /// Closed, it wakes the guard.
    alive: Option<ChildStdin>,
}

/// Why a machine has no network namespaces for a test.
#[derive(Clone, Debug)]
pub enum Obstacle {
    /// A program that `scripts/setup` installs.
    Missing(&'static str),
    /// The machine does not allow it, and no installation mends that.
    Forbidden(String),
}

/// As `scripts/test` looks for it: a missing program fails in CI, what the machine forbids does not.
impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(program) => write!(f, "SKIPPED: {program} is not installed"),
            Self::Forbidden(why) => write!(f, "SKIPPED (as allowed): no network namespaces: {why}"),
        }
    }
}

impl Namespaces {
    /// Why there are none on this machine; none if there are.
    #[must_use]
    pub fn obstacle() -> Option<Obstacle> {
        if !rustix::process::geteuid().is_root() {
            let why = "only root makes network namespaces";
            return Some(Obstacle::Forbidden(why.to_owned()));
        }
        for program in ["ip", "nft", "setsid"] {
            let found = run(Command::new("sh").args(["-c", &format!("command -v {program}")]));
            if !found.is_ok_and(|found| found.code == Some(0)) {
                return Some(Obstacle::Missing(program));
            }
        }
        let tried = Self::new("try", 1).and_then(|tried| tried.set_loss(1));
        let error = tried.err()?;
        Some(Obstacle::Forbidden(format!("{error:#}")))
    }

    /// Makes this many hosts; `word` goes into their names.
    ///
    /// # Errors
    ///
    /// The machine does not allow it: what was tried, and what it said.
    pub fn new(word: &str, hosts: usize) -> Result<Self> {
        ensure!(
            (1..=100).contains(&hosts),
            "{hosts} hosts, expected 1 to 100"
        );
        let tag = format!("aq-{}-{word}", std::process::id());
        let bridge = format!("{tag}-bridge");
        let hosts: Vec<String> = (0..hosts).map(|host| format!("{tag}-{host}")).collect();
        let mut guard = Command::new("setsid");
        guard
            .args(["sh", "-c", GUARD, "guard"])
            .args(&hosts)
            .arg(&bridge);
        guard
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut guard = guard.spawn().context("cannot start the guard")?;
        let alive = guard.stdin.take();
        let made = Self {
            bridge,
            hosts,
            guard,
            alive,
        };
        made.connect()?;
        Ok(made)
    }

    fn connect(&self) -> Result<()> {
        let bridge = &self.bridge;
        ip(&["netns", "add", bridge])?;
        ip(&["-n", bridge, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", bridge, "link", "set", "bridge", "up"])?;
        for (number, host) in self.hosts.iter().enumerate() {
            let (port, address) = (port(number), format!("{}/24", Self::address(number)));
            ip(&["netns", "add", host])?;
            let ends = ["link", "add", "eth0", "type", "veth", "peer", "name", &port];
            ip(&[&["-n", host][..], &ends, &["netns", bridge]].concat())?;
            ip(&["-n", bridge, "link", "set", &port, "master", "bridge", "up"])?;
            ip(&["-n", host, "address", "add", &address, "dev", "eth0"])?;
            ip(&["-n", host, "link", "set", "eth0", "up"])?;
            ip(&["-n", host, "link", "set", "lo", "up"])?;
        }
        Ok(())
    }

    /// A host's address.
    #[must_use]
    pub fn address(host: usize) -> String {
        let (net, first) = FIRST.rsplit_once('.').unwrap_or_default();
        let first: usize = first.parse().unwrap_or_default();
        format!("{net}.{}", first + host)
    }

    /// The same command on a host. The process keeps its id: signals reach the program itself.
    #[must_use]
    pub fn on(&self, host: usize, command: &Command) -> Command {
        let mut there = Command::new("ip");
        there.args(["netns", "exec", &self.hosts[host]]);
        there.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => there.env(name, value),
                None => there.env_remove(name),
            };
        }
        there
    }

    /// From now on the bridge loses this share of the datagrams, each way, at random.
    ///
    /// # Errors
    ///
    /// The machine's packet filter does not allow it.
    pub fn set_loss(&self, percent: u32) -> Result<()> {
        self.filter(&format!(
            "meta l4proto udp numgen random mod 100 < {percent} counter drop"
        ))
    }

    /// From now on the bridge passes nothing to or from these hosts, and all else.
    ///
    /// # Errors
    ///
    /// The machine's packet filter does not allow it.
    pub fn cut(&self, hosts: &[usize]) -> Result<()> {
        let ports: Vec<String> = hosts.iter().map(|host| port(*host)).collect();
        let set = ports.join(", ");
        self.filter(&format!(
            "iifname {{ {set} }} drop\noifname {{ {set} }} drop"
        ))
    }

    /// Lets everything pass again.
    ///
    /// # Errors
    ///
    /// The machine's packet filter does not allow it.
    pub fn heal(&self) -> Result<()> {
        self.filter("")
    }

    /// Datagrams that the bridge lost since [`Namespaces::set_loss`].
    ///
    /// # Errors
    ///
    /// The machine's packet filter does not tell.
    pub fn lost(&self) -> Result<u64> {
        let mut list = Command::new("ip");
        list.args([
            "netns",
            "exec",
            &self.bridge,
            "nft",
            "list",
            "table",
            "bridge",
            "loss",
        ]);
        let listed = run(&mut list)?.success()?;
        let count = listed.split("packets ").nth(1);
        let count = count.and_then(|rest| rest.split(' ').next()?.parse().ok());
        count.with_context(|| format!("no counter in {listed:?}"))
    }

    fn filter(&self, rules: &str) -> Result<()> {
        let text = format!(
            "table bridge loss\ndelete table bridge loss\ntable bridge loss {{\nchain forward {{\n\
             type filter hook forward priority 0; policy accept;\n{rules}\n}}\n}}\n"
        );
        let mut nft = Command::new("ip");
        nft.args(["netns", "exec", &self.bridge, "nft", "-f", "-"]);
        nft.stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut nft = nft.spawn().context("cannot start ip")?;
        let input = nft.stdin.take().context("standard input is piped")?;
        { input }.write_all(text.as_bytes())?;
        let output = nft.wait_with_output()?;
        if !output.status.success() {
            bail!("nft: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        drop(self.alive.take());
        // The guard ends as soon as it has removed everything.
        if let Err(error) = self.guard.wait() {
            eprintln!("namespaces: {error}");
        }
    }
}

/// The bridge's port to a host.
fn port(host: usize) -> String {
    format!("port{host}")
}

fn ip(arguments: &[&str]) -> Result<()> {
    let done = run(Command::new("ip").args(arguments))?;
    done.success()
        .with_context(|| format!("ip {}", arguments.join(" ")))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> String {
        run(Command::new("ip").args(["netns", "list"]))
            .unwrap()
            .stdout
    }

    /// A closed port answers at once, a host that is cut off does not.
    fn hears(made: &Namespaces) -> bool {
        let asks = format!(": </dev/tcp/{}/9", Namespaces::address(1));
        let mut knock = Command::new("timeout");
        knock.args(["1", "bash", "-c", &asks]);
        run(&mut made.on(0, &knock)).unwrap().code == Some(1)
    }

    #[test]
    fn hosts_hear_each_other_until_they_are_cut_off_and_leave_nothing_behind() {
        if let Some(obstacle) = Namespaces::obstacle() {
            return println!("{obstacle}");
        }
        let made = Namespaces::new("unit", 2).unwrap();
        let tag = format!("aq-{}-unit", std::process::id());
        assert!(names().contains(&tag));
        assert!(hears(&made));
        made.cut(&[1]).unwrap();
        assert!(!hears(&made));
        made.heal().unwrap();
        assert!(hears(&made));
        made.set_loss(50).unwrap();
        assert_eq!(made.lost().unwrap(), 0);
        drop(made);
        assert!(!names().contains(&tag));
    }
}
