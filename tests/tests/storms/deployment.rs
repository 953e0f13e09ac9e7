//! A deployment in bad weather, the faults that befall it, and what must hold of it whatever happened.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use aquifer_shared::base::units::MicroRho;
use aquifer_tests::cluster::Cluster;
use aquifer_tests::company::Company;
use aquifer_tests::measured::price;
use aquifer_tests::namespaces::Namespaces;
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::{Process, command, run, wait_for};
use aquifer_tests::random::Seeded;
use aquifer_tests::relay::{Relay, Weather};
use aquifer_tests::study::{ENDS, Study, list, state};
use serde_json::Value;
use tempfile::TempDir;

const EPSILON: f64 = 8.0;
const DELTA: f64 = 1e-6;
const CUSTOMERS: usize = 6_000;
/// How long a study may stand still.
const STEP_MS: u64 = 60_000;
/// Prices of a study that each node sets aside at most: one, and one for each spare attempt of its dearest round.
const CAP_PRICES: u64 = 3;
/// Sums of a study, the evaluation included.
pub const SUMS: u64 = 10;
/// How long each step of a sum waits for those who are away.
pub const PHASE_MS: u64 = 4_000;
/// The usual log, and every step of a secure sum.
const STEPS: &str = "info,aquifer_coordinator=debug";

/// Fields drop in order: processes end before their network and their folder go.
pub struct Deployment {
    pub cluster: Cluster,
    pub relays: Vec<Relay>,
    pub company: Company,
    /// Target of its studies.
    epsilon: f64,
    random: Seeded,
    /// The study, and whoever watches it.
    study: String,
    watch: Option<Process>,
    _folder: TempDir,
}

fn synthetic(nodes: usize) -> Company {
    let mut company = Company::synthetic(11, CUSTOMERS);
    company.keep_units(nodes);
    company
}

impl Deployment {
    /// Nodes on loopback in fine weather; the coordinator's log tells every step of a secure sum.
    pub fn told(nodes: usize, seed: u64) -> Self {
        Self::told_of(synthetic(nodes), EPSILON, seed)
    }

    /// The same with these units' customers, and another target.
    pub fn told_of(company: Company, epsilon: f64, seed: u64) -> Self {
        let folder = tempfile::Builder::new().prefix("aq-").tempdir().unwrap();
        let mut cluster = Cluster::start(folder.path()).unwrap();
        cluster.log(STEPS);
        cluster.coordinator().stop().unwrap();
        cluster.start_coordinator().unwrap();
        let mut made = Self::of(cluster, folder, (company, epsilon), seed);
        made.cluster.start_nodes().unwrap();
        made
    }

    /// Nodes on loopback, each with a relay of its own between it and the coordinator.
    pub fn behind_relays(nodes: usize, weather: Weather, seed: u64) -> Self {
        let folder = tempfile::Builder::new().prefix("aq-").tempdir().unwrap();
        let cluster = Cluster::start(folder.path()).unwrap();
        let mut made = Self::of(cluster, folder, (synthetic(nodes), EPSILON), seed);
        let server = made.cluster.address().parse().unwrap();
        for node in 0..nodes {
            let relay = Relay::start(server, weather, seed + node as u64).unwrap();
            let address = relay.address().to_string();
            made.cluster.send_node_to(node, &address).unwrap();
            made.relays.push(relay);
        }
        made.cluster.start_nodes().unwrap();
        made
    }

    /// Nodes on hosts of their own, joined by a bridge.
    pub fn on_hosts(word: &str, nodes: usize, loss_percent: u32, seed: u64) -> Self {
        let folder = tempfile::Builder::new().prefix("aq-").tempdir().unwrap();
        let hosts = Namespaces::new(word, nodes + 1).unwrap();
        let cluster = Cluster::start_on(folder.path(), hosts).unwrap();
        let mut made = Self::of(cluster, folder, (synthetic(nodes), EPSILON), seed);
        made.hosts().set_loss(loss_percent).unwrap();
        made.cluster.start_nodes().unwrap();
        made
    }

    fn of(
        mut cluster: Cluster,
        folder: TempDir,
        (company, epsilon): (Company, f64),
        seed: u64,
    ) -> Self {
        let cap = MicroRho(CAP_PRICES * price(epsilon, DELTA).unwrap().0);
        let policy = Policy {
            cap,
            ..Policy::default()
        };
        cluster.add_units(&company, &policy).unwrap();
        Self {
            cluster,
            relays: Vec::new(),
            company,
            epsilon,
            random: Seeded::new(seed, 1_000),
            study: String::new(),
            watch: None,
            _folder: folder,
        }
    }

    pub fn hosts(&self) -> &Namespaces {
        self.cluster.hosts().unwrap()
    }

    /// Submits and approves a study; each step of a sum waits this long for those who are away.
    pub fn begin(&mut self, trust: &str, phase_ms: u64) {
        let more =
            format!("slot_ms = 200\nphase_ms = {phase_ms}\nattempts_max = 3\nspare_attempts = 2");
        let study = Study {
            name: "churn",
            epsilon: self.epsilon,
            delta: DELTA,
            trust: Some(trust),
            more: &more,
        };
        let file = study.file(&self.company);
        self.study = self.cluster.submit(&file).unwrap();
        self.watch = Some(self.cluster.watch(&self.study).unwrap());
        self.cluster.approve(&self.study).unwrap();
    }

    /// Waits for this many sums, or for the study's end if that comes first; the status then.
    pub fn wait_for_sums(&mut self, sums: u64) -> Value {
        let mut status = Value::Null;
        let reached = |status: &Value| {
            status["status"]["rounds_done"].as_u64() >= Some(sums) || ENDS.contains(&state(status))
        };
        while !reached(&status) {
            let watch = match self.watch.take() {
                Some(watch) => watch,
                None => self.cluster.watch(&self.study).unwrap(),
            };
            // Without a line the coordinator went away: somebody else watches on.
            if let Some(line) = watch.line(STEP_MS).unwrap() {
                status = serde_json::from_str(&line).unwrap();
                self.watch = Some(watch);
            }
        }
        status
    }

    /// A number below this, by the seed.
    pub fn draw(&mut self, below: u64) -> u64 {
        self.random.next_u64() % below
    }

    /// Lets a moment of up to a slot pass, by the seed: what happens next may fall between any two messages.
    pub fn moment(&mut self) {
        let end = Instant::now() + Duration::from_millis(self.draw(250));
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            thread::park_timeout(left);
        }
    }

    /// How often a node's message of this kind has come.
    fn came(&self, node: usize, step: &str) -> usize {
        let log = fs::read_to_string(self.cluster.folder.join("coordinator.log")).unwrap();
        let (name, step) = (
            format!("node={} ", self.cluster.nodes[node].name),
            format!("step=\"{step}\""),
        );
        let line = |line: &&str| line.contains(&name) && line.contains(&step);
        log.lines().filter(line).count()
    }

    /// Waits until each of these nodes has sent this as often.
    pub fn wait_for(&self, nodes: &[usize], step: &str, times: usize) {
        wait_for(&format!("{step} {times}"), STEP_MS, || {
            let all = nodes.iter().all(|node| self.came(*node, step) >= times);
            Ok(all.then_some(()))
        })
        .unwrap();
    }

    /// Kills a node as a power cut would.
    pub fn kill_node(&mut self, node: usize) {
        let process = self.cluster.nodes[node].process.take();
        process.unwrap().kill().unwrap();
    }

    /// Kills a node as a power cut would, and starts it again.
    pub fn restart_node(&mut self, node: usize) {
        self.kill_node(node);
        self.cluster.start_node(node).unwrap();
    }

    /// Kills the coordinator as a power cut would, and starts it again.
    pub fn restart_coordinator(&mut self) {
        self.cluster.coordinator().kill().unwrap();
        self.cluster.start_coordinator().unwrap();
        self.watch = None;
    }

    /// Follows the study to its end; what was released was paid for, and no node is above its cap. How many updates or dealers are
    /// in each sum; none if nothing was published.
    #[track_caller]
    pub fn check_end(&mut self) -> Option<Vec<u64>> {
        let last = self.wait_for_sums(u64::MAX);
        let ending = state(&last).to_owned();
        assert!(ENDS.contains(&&*ending), "{last}");
        let reason = last["status"]["reason"].as_str().unwrap_or_default();
        assert_eq!(ending == "published", reason.is_empty(), "{last}");
        let shown = self
            .cluster
            .aquifer(["study", "show", &self.study, "--json"]);
        let shown: Value = serde_json::from_str(&shown.unwrap().success().unwrap()).unwrap();
        let rounds = list(&shown["rounds"], "rounds").unwrap();
        let each = rounds.iter();
        let each = each.map(|round| round["updates"].as_u64().unwrap());
        let each: Vec<u64> = each.collect();
        let released: u64 = each.iter().sum();
        let mut charged = 0;
        for node in &self.cluster.nodes {
            let mut budget = command("aquifer-node", ["budget", "--json", "--dir"]);
            let printed = run(budget.arg(&node.folder)).unwrap().success().unwrap();
            let budget: Value = serde_json::from_str(&printed).unwrap();
            let of_contract = &budget["per_contract"];
            let rho = |what: &str| of_contract[what]["rho_micro"].as_u64().unwrap();
            assert!(rho("spent") <= rho("cap"), "{}: {budget}", node.name);
            let studies = budget["studies"].as_array().unwrap();
            charged += studies
                .iter()
                .map(|study| study["attempts"].as_u64().unwrap())
                .sum::<u64>();
        }
        assert!(
            charged >= released,
            "{charged} charges for {released} updates: {shown}"
        );
        if ending == "published" {
            assert_eq!(rounds.len() as u64, SUMS, "{shown}");
        }
        println!("{ending} {reason}: {each:?} released, {charged} charged");
        (ending == "published").then_some(each)
    }

    /// A study with one node and the coordinator killed on the way, at moments that the seed draws.
    pub fn study_with_kills(&mut self, trust: &str) -> Option<Vec<u64>> {
        self.begin(trust, PHASE_MS);
        let (first, second) = (1 + self.draw(3), 5 + self.draw(3));
        let node = self.draw(self.cluster.nodes.len() as u64) as usize;
        println!("node {node} is killed after sum {first}, the coordinator after sum {second}");
        self.wait_for_sums(first);
        self.moment();
        self.restart_node(node);
        self.wait_for_sums(second);
        self.moment();
        self.restart_coordinator();
        self.check_end()
    }
}
