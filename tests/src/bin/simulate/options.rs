//! What can be asked of the simulator.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use aquifer_shared::base::limits::{CELLS_MAX, MEMBERS_MAX, ROUNDS_MAX};
use aquifer_shared::domain::sum::TrustMode;
use aquifer_tests::simulator::faults::{Chosen, FaultId, Profile};
use aquifer_tests::simulator::plant::Plant;
use aquifer_tests::simulator::scenario::{Kind, NoiseChoice, Wish};
use clap::{Parser, ValueEnum};

/// Simulates studies of the production state machines under a virtual clock, with faults, and watches their promises.
///
/// One seed is one history, the same on every machine. Ends with code 2 if a promise was broken.
#[derive(Debug, Parser)]
#[command(name = "simulate", after_help = EXAMPLES)]
pub struct Options {
    /// Seeds, the last one excluded.
    #[arg(long, value_name = "A..B", default_value = "0..100")]
    pub seeds: Seeds,
    /// Faults: none, network, crashes, disk, byzantine-coordinator, byzantine-node or all.
    #[arg(long, value_name = "PROFILE", default_value = "all")]
    pub faults: Profile,
    /// Only these faults, as a failing seed names them (fault:party:chance, with commas between).
    #[arg(long, value_name = "FAULTS", value_delimiter = ',')]
    pub only: Vec<FaultId>,
    /// Members of each study, 4 to 1024; drawn from 4 to 16 where none are given.
    #[arg(long, value_name = "N")]
    pub nodes: Option<usize>,
    /// Sums of each study.
    #[arg(long, value_name = "R", default_value_t = 5)]
    pub rounds: u16,
    /// Cells of each sum; drawn from 1 to 40 where none are given.
    #[arg(long, value_name = "CELLS")]
    pub cells: Option<u32>,
    /// Trust mode.
    #[arg(long, value_name = "MODE", default_value = "shared-noise")]
    pub trust: Trust,
    /// What is added up; drawn where none is given.
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<Plan>,
    /// Noise from the seed, or none: then nodes bring digits that tell them apart.
    #[arg(long, value_name = "NOISE", default_value = "seeded")]
    pub noise: Noise,
    /// Holds sums of all sizes against the plain sums, noise off: 4 to 128 members with 1 to 1,000,000 cells and 1,000
    /// members in groups, or up to --nodes and --cells.
    #[arg(long, conflicts_with_all = ["seeds", "faults", "only", "rounds", "trust", "plan", "noise", "plant"])]
    pub exact: bool,
    /// Threads.
    #[arg(long, value_name = "T", default_value_t = 2)]
    pub threads: usize,
    /// Computes equal signature checks again each time, as separate machines would.
    #[arg(long)]
    pub check_every_signature: bool,
    /// Plants a bug, to see it noticed: for example no-one-set or forgotten-fsync.
    #[arg(long, value_name = "BUG")]
    pub plant: Option<Plant>,
    /// Ends after so many broken promises.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub findings: usize,
    /// Histories that may be run to make a failing one smaller.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub shrink: usize,
    /// Writes all counts to a file as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A range of seeds.
#[derive(Clone, Debug)]
pub struct Seeds(pub Range<u64>);

/// See [`TrustMode`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Trust {
    /// Each update is private on its own.
    NodeNoise,
    /// Only the sum over the nodes can be opened.
    SharedNoise,
}

/// See [`Kind`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Plan {
    /// Sums of any length.
    Synthetic,
    /// The additive predictor.
    Additive,
}

/// See [`NoiseChoice`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Noise {
    /// None.
    Zero,
    /// From the seed.
    Seeded,
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = text.split_once("..").and_then(|(from, to)| {
            let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
            Some(from..to)
        });
        let range: Option<Range<u64>> = range;
        range
            .filter(|range| !range.is_empty())
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no range of seeds, expected as in 0..100"))
    }
}

impl Options {
    /// What is to be simulated.
    ///
    /// # Errors
    ///
    /// Which option is outside its range, and what is expected.
    pub fn wish(&self) -> Result<Wish, String> {
        let trust = match self.trust {
            Trust::NodeNoise => TrustMode::NodeNoise,
            Trust::SharedNoise => TrustMode::SharedNoise,
        };
        let least = if trust == TrustMode::SharedNoise {
            4
        } else {
            1
        };
        check(
            "--nodes",
            self.nodes.map(|nodes| nodes as u64),
            least,
            MEMBERS_MAX as u64,
        )?;
        check("--rounds", Some(self.rounds.into()), 1, ROUNDS_MAX as u64)?;
        check("--cells", self.cells.map(u64::from), 1, CELLS_MAX as u64)?;
        check("--threads", Some(self.threads as u64), 1, 1_024)?;
        let additive = matches!(self.plan, Some(Plan::Additive));
        if additive && self.rounds < 3 {
            return Err(format!(
                "--rounds is {}, expected 3 or more with --plan additive",
                self.rounds
            ));
        }
        if additive && self.cells.is_some() {
            return Err(
                "--cells does not go with --plan additive: its contract fixes them".to_owned(),
            );
        }
        let chosen = match self.only.as_slice() {
            [] => Chosen::ByRate(self.faults, 1.0),
            ids => Chosen::Only(ids.iter().copied().collect::<BTreeSet<_>>()),
        };
        let plan = self.plan.map(|plan| match plan {
            Plan::Synthetic => Kind::Synthetic,
            Plan::Additive => Kind::Additive,
        });
        Ok(Wish {
            nodes: self.nodes,
            rounds: self.rounds,
            cells: self.cells,
            trust,
            plan: plan.or(self.cells.map(|_| Kind::Synthetic)),
            noise: match self.noise {
                Noise::Zero => NoiseChoice::Zero,
                Noise::Seeded => NoiseChoice::Seeded,
            },
            chosen,
            plant: self.plant,
            customers: 0,
            remember_signatures: !self.check_every_signature,
        })
    }
}

fn check(option: &str, value: Option<u64>, least: u64, most: u64) -> Result<(), String> {
    match value {
        Some(value) if !(least..=most).contains(&value) => {
            Err(format!("{option} is {value}, expected {least} to {most}"))
        }
        _ => Ok(()),
    }
}

const EXAMPLES: &str = "Examples:
  scripts/simulate --seeds 0..1000
  scripts/simulate --seeds 0..20000 --faults all --json figures.json
  scripts/simulate --nodes 8 --rounds 20 --faults byzantine-coordinator
  scripts/simulate --nodes 1000 --rounds 10 --cells 1000 --seeds 0..1 --faults none
  scripts/simulate --exact
  scripts/simulate --seeds 17..18 --faults none --only loss:3:17,cut:2:4";
