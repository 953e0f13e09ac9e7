//! Real processes: started, measured, and stopped whatever happens.
//!
//! A [`Watcher`] knows every process that was started through it; it samples their memory and stops them all.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How often memory is sampled, where nobody says otherwise.
pub const SAMPLE_MS: u64 = 50;
/// How long a process may take to stop after it was asked to.
const STOP_MS: u64 = 5_000;
/// Unit of the times in `/proc/PID/stat`: fixed by the kernel's interface on all machines that we build for.
const TICKS_PER_SECOND: f64 = 100.0;
/// How often a condition outside this process is looked at.
const LOOK_MS: u64 = 10;

/// The programs under test: `AQUIFER_BIN_DIR`, or the folder that cargo built this program into.
///
/// # Panics
///
/// If this program has no path.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("AQUIFER_BIN_DIR") {
        return Path::new(&folder).join(name);
    }
    let own = std::env::current_exe().expect("the system knows the path of this program");
    let folder = own.parent().expect("a program is in a folder");
    let folder = if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    folder.join(name)
}

/// What a finished command printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// The standard output of a command that must succeed.
    ///
    /// # Errors
    ///
    /// The command ended otherwise: with what it printed.
    pub fn success(self) -> Result<String> {
        if self.code == Some(0) {
            return Ok(self.stdout);
        }
        bail!(
            "exit code {:?}: {}{}",
            self.code,
            self.stdout,
            self.stderr.trim_end()
        )
    }
}

/// Runs a command to its end.
///
/// # Errors
///
/// It could not be started.
pub fn run(command: &mut Command) -> Result<Outcome> {
    let shown = format!("{:?}", command.get_program());
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {shown}"))?;
    Ok(Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Looks at a condition until it gives a value.
///
/// # Errors
///
/// The condition's own error, or no value within `limit_ms`.
pub fn wait_for<T>(
    what: &str,
    limit_ms: u64,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + Duration::from_millis(limit_ms);
    loop {
        if let Some(value) = look()? {
            return Ok(value);
        }
        if Instant::now() > end {
            bail!("waited {limit_ms} ms for {what}");
        }
        thread::park_timeout(Duration::from_millis(LOOK_MS));
    }
}

/// What one process used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Largest proportional set size seen, in bytes.
    pub pss_peak: u64,
    /// Last proportional set size seen, in bytes.
    pub pss_last: u64,
    /// User and system time from its start, in seconds.
    pub cpu_seconds: f64,
}

/// What all processes used.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By name of the process; those that ran one after the other under one name are added up.
    pub each: BTreeMap<String, Usage>,
    /// Largest sum over all processes at one moment, in bytes.
    pub pss_peak_together: u64,
}

impl Report {
    /// CPU time of all processes.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        self.each.values().map(|usage| usage.cpu_seconds).sum()
    }
}

#[derive(Default)]
struct Books {
    live: BTreeMap<u32, String>,
    report: Report,
    finished_cpu: BTreeMap<String, f64>,
    /// Times when a sample is due that pass without one, after each that brings one.
    passes: u32,
}

/// Knows, measures and stops processes.
pub struct Watcher {
    books: Arc<Mutex<Books>>,
    stop: Option<Sender<()>>,
    sampler: Option<JoinHandle<()>>,
}

impl Default for Watcher {
    fn default() -> Self {
        Self::new()
    }
}

impl Watcher {
    /// Starts sampling.
    #[must_use]
    pub fn new() -> Self {
        let books = Arc::new(Mutex::new(Books::default()));
        let (stop, stopped) = channel();
        let sampled = Arc::clone(&books);
        let sampler = thread::spawn(move || sample_until(&stopped, &sampled));
        Self {
            books,
            stop: Some(stop),
            sampler: Some(sampler),
        }
    }

    /// Starts a process; what it prints on standard error goes to the end of `log`, its standard output is read line by line.
    ///
    /// # Errors
    ///
    /// It could not be started, or the log could not be opened.
    pub fn start(&self, name: &str, command: &mut Command, log: &Path) -> Result<Process> {
        let opened = fs::OpenOptions::new().create(true).append(true).open(log);
        let opened = opened.with_context(|| format!("cannot open {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(opened);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let (lines, read) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        lock(&self.books).live.insert(child.id(), name.to_owned());
        Ok(Process {
            name: name.to_owned(),
            child,
            lines: read,
            books: Arc::clone(&self.books),
            done: None,
        })
    }

    /// What all processes used until now.
    #[must_use]
    pub fn report(&self) -> Report {
        sample(&self.books);
        lock(&self.books).report.clone()
    }

    /// Forgets what was seen, for a figure that starts now; CPU time still counts from each process's start.
    pub fn forget_peaks(&self) {
        let mut books = lock(&self.books);
        books.report.pss_peak_together = 0;
        books
            .report
            .each
            .values_mut()
            .for_each(|usage| usage.pss_peak = 0);
    }

    /// Samples once in so many times as usual: looking at ten processes takes a tenth of a core.
    pub fn sample_rarely(&self, times: u32) {
        lock(&self.books).passes = times.saturating_sub(1);
    }

    /// Something that stops every process, for another thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.books))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(sampler) = self.sampler.take() {
            // A sampler that panicked has printed why; there is nothing left to do for it.
            drop(sampler.join());
        }
    }
}

/// Stops every process of a [`Watcher`].
pub struct Stopper(Arc<Mutex<Books>>);

impl Stopper {
    /// Asks all to stop; whoever holds a [`Process`] still waits for its end.
    pub fn stop_all(&self) {
        let live: Vec<u32> = lock(&self.0).live.keys().copied().collect();
        live.into_iter().for_each(|pid| signal(pid, Signal::TERM));
    }
}

/// A running process; dropped, it is stopped.
pub struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    books: Arc<Mutex<Books>>,
    done: Option<ExitStatus>,
}

impl Process {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its standard output; none at its end.
    ///
    /// # Errors
    ///
    /// No line within `limit_ms`.
    pub fn line(&self, limit_ms: u64) -> Result<Option<String>> {
        match self.lines.recv_timeout(Duration::from_millis(limit_ms)) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => bail!("{}: no line within {limit_ms} ms", self.name),
        }
    }

    /// Ends it at once, as a power cut would.
    ///
    /// # Errors
    ///
    /// It cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        signal(self.pid(), Signal::KILL);
        self.wait(STOP_MS).map(drop)
    }

    /// Asks it to stop and waits for its end.
    ///
    /// # Errors
    ///
    /// It cannot be waited for.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if self.done.is_none() {
            signal(self.pid(), Signal::TERM);
        }
        match self.wait(STOP_MS) {
            Ok(status) => Ok(status),
            Err(_) => {
                signal(self.pid(), Signal::KILL);
                self.wait(STOP_MS)
            }
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// It still runs after `limit_ms`.
    pub fn wait(&mut self, limit_ms: u64) -> Result<ExitStatus> {
        if let Some(status) = self.done {
            return Ok(status);
        }
        let pid = self.pid();
        wait_for(&format!("the end of {}", self.name), limit_ms, || {
            Ok(is_over(pid).then_some(()))
        })?;
        // Between its end and this wait the system still tells what it used.
        lock(&self.books).close(pid);
        let status = self.child.wait()?;
        self.done = Some(status);
        Ok(status)
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.done.is_none() && !is_over(self.pid())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{}: {error:#}", self.name);
        }
    }
}

impl Books {
    fn close(&mut self, pid: u32) {
        let Some(name) = self.live.remove(&pid) else {
            return;
        };
        let cpu = cpu_seconds(pid).unwrap_or(0.0);
        let finished = self.finished_cpu.entry(name.clone()).or_default();
        *finished += cpu;
        self.report.each.entry(name).or_default().cpu_seconds = *finished;
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // One that has ended already needs no signal: the error says no more than that.
    let _ = pid.map(|pid| kill_process(pid, signal));
}

fn sample_until(stopped: &Receiver<()>, books: &Mutex<Books>) {
    let tick = Duration::from_millis(SAMPLE_MS);
    let mut passed = 0;
    while stopped.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
        if passed < lock(books).passes {
            passed += 1;
            continue;
        }
        passed = 0;
        sample(books);
    }
}

fn sample(books: &Mutex<Books>) {
    let live: Vec<(u32, String)> = lock(books)
        .live
        .iter()
        .map(|(pid, name)| (*pid, name.clone()))
        .collect();
    let mut together = 0;
    for (pid, name) in live {
        let (Some(pss), Some(cpu)) = (pss_bytes(pid), cpu_seconds(pid)) else {
            continue;
        };
        together += pss;
        let mut books = lock(books);
        let finished = books.finished_cpu.get(&name).copied().unwrap_or(0.0);
        let usage = books.report.each.entry(name).or_default();
        usage.pss_last = pss;
        usage.pss_peak = usage.pss_peak.max(pss);
        usage.cpu_seconds = usage.cpu_seconds.max(finished + cpu);
    }
    let mut books = lock(books);
    books.report.pss_peak_together = books.report.pss_peak_together.max(together);
}

/// Proportional set size, from the kernel's own sum over all mappings.
fn pss_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The fields of `/proc/PID/stat` after the name, which may hold anything.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = text.rsplit_once(')')?;
    Some(after.split_whitespace().map(str::to_owned).collect())
}

/// User and system time of a process and of the children it has waited for.
fn cpu_seconds(pid: u32) -> Option<f64> {
    let fields = stat_fields(pid)?;
    let ticks = fields
        .get(11..15)?
        .iter()
        .map(|field| field.parse::<u64>().unwrap_or(0));
    Some(ticks.sum::<u64>() as f64 / TICKS_PER_SECOND)
}

/// It is gone, or a zombie that waits to be asked for its status.
fn is_over(pid: u32) -> bool {
    stat_fields(pid).is_none_or(|fields| {
        fields
            .first()
            .is_none_or(|state| state == "Z" || state == "X")
    })
}

/// Free loopback ports for UDP, found by asking the system for them.
///
/// # Errors
///
/// The system has none.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut sockets = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let socket = std::net::UdpSocket::bind(("127.0.0.1", 0))?;
        *port = socket.local_addr()?.port();
        sockets.push(socket);
    }
    Ok(ports)
}

/// Bytes that crossed the loopback device since the machine started, headers included; each packet counts once.
///
/// # Errors
///
/// The system does not tell.
pub fn loopback_bytes() -> Result<u64> {
    let text = fs::read_to_string("/proc/net/dev")?;
    let line = text
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("lo:"));
    let sent = line.and_then(|line| line.split_whitespace().nth(8)?.parse().ok());
    sent.context("/proc/net/dev names no loopback device")
}

/// A command of one of the programs under test.
#[must_use]
pub fn command<S: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program(name));
    command.args(arguments);
    for variable in ["AQUIFER_DIR", "AQUIFER_NODE_DIR", "AQUIFER_COORDINATOR_DIR"] {
        command.env_remove(variable);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("60");
        command
    }

    #[test]
    fn processes_are_measured_and_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let watcher = Watcher::new();
        let mut one = watcher
            .start("one", &mut sleeper(), &folder.path().join("one.log"))
            .unwrap();
        wait_for("a sample", 5_000, || {
            Ok((watcher.report().each.len() == 1).then_some(()))
        })
        .unwrap();
        assert!(watcher.report().pss_peak_together > 0);
        assert!(one.is_running());
        assert!(!one.stop().unwrap().success());
        assert!(!one.is_running());
    }

    #[test]
    fn a_dropped_process_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let watcher = Watcher::new();
        let one = watcher
            .start("one", &mut sleeper(), &folder.path().join("one.log"))
            .unwrap();
        let pid = one.pid();
        drop(one);
        assert!(is_over(pid));
    }

    #[test]
    fn another_thread_can_stop_all() {
        let folder = tempfile::tempdir().unwrap();
        let watcher = Watcher::new();
        let mut one = watcher
            .start("one", &mut sleeper(), &folder.path().join("one.log"))
            .unwrap();
        watcher.stopper().stop_all();
        one.wait(5_000).unwrap();
    }

    #[test]
    fn lines_are_read_until_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let watcher = Watcher::new();
        let mut command = Command::new("echo");
        let one = watcher
            .start("one", command.arg("hello"), &folder.path().join("one.log"))
            .unwrap();
        assert_eq!(one.line(5_000).unwrap().as_deref(), Some("hello"));
        assert_eq!(one.line(5_000).unwrap(), None);
    }

    #[test]
    fn a_failed_command_says_what_it_printed() {
        let outcome = run(Command::new("sh").args(["-c", "echo no >&2; exit 3"])).unwrap();
        assert_eq!(
            outcome.clone().success().unwrap_err().to_string(),
            "exit code Some(3): no"
        );
    }
}
