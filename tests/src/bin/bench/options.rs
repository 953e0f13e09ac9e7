//! What can be asked of the bench.

use std::path::{Path, PathBuf};

use aquifer_shared::shell::report::note;
use clap::{Parser, ValueEnum};

/// Measures speed, memory, bytes and quality of the product on this machine.
#[derive(Debug, Parser)]
#[command(name = "bench", after_help = EXAMPLES)]
pub struct Options {
    /// Only this part; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<Part>,
    /// Fewer repetitions: for a look, not for a report.
    #[arg(long)]
    pub quick: bool,
    /// Folder of the public data sets.
    #[arg(long, value_name = "DIR", default_value = "../shared/data")]
    pub data: PathBuf,
    /// Writes plots of growing sizes into this folder, as SVG.
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,
    /// Writes all figures to a file as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Part {
    /// Disk, memory and noise of this machine.
    Machine,
    /// One round over 1,000,000 customers.
    Million,
    /// The arithmetic of secure aggregation.
    Sharing,
    /// Rounds without training.
    Rounds,
    /// Secure aggregation beside updates that are private on their own.
    Aggregation,
    /// How secure aggregation grows with nodes and cells.
    Scale,
    /// From the start of a node to its first contribution.
    Cold,
    /// Whole studies with real processes.
    Study,
    /// AUC against the published floors.
    Quality,
    /// Questions of analysts with real processes.
    Questions,
    /// How exact answers are, beside a central implementation.
    Accuracy,
    /// A question over a Parquet table of 10,000,000 rows at one node.
    Parquet,
    /// Consent of 1,000,000 persons: reading, folding, cuts, and training beside.
    Consent,
    /// The report of one person over 1,000 studies.
    Rights,
    /// An audit pack of a year, checked by both verifiers.
    Pack,
    /// Times of answers with and without one customer.
    Timing,
    /// A transparency log of 1,000,000 entries.
    History,
}

impl Part {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Million => "million",
            Self::Sharing => "sharing",
            Self::Rounds => "rounds",
            Self::Aggregation => "aggregation",
            Self::Scale => "scale",
            Self::Cold => "cold",
            Self::Study => "study",
            Self::Quality => "quality",
            Self::Questions => "questions",
            Self::Accuracy => "accuracy",
            Self::Parquet => "parquet",
            Self::Consent => "consent",
            Self::Rights => "rights",
            Self::Pack => "pack",
            Self::Timing => "timing",
            Self::History => "history",
        }
    }
}

impl Options {
    /// The parts to measure, in order.
    pub fn parts(&self) -> Vec<Part> {
        if self.only.is_empty() {
            return Part::value_variants().to_vec();
        }
        self.only.clone()
    }

    /// One of two numbers of repetitions.
    pub fn times(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// A public data set, or nothing with a word about it.
    pub fn data_set(&self, name: &str) -> Option<PathBuf> {
        let path = self.data.join(name);
        if Path::new(&format!("{}.csv", path.display())).exists() {
            return Some(path);
        }
        note(&format!(
            "SKIPPED: no {name}.csv in {}, so nothing was measured on it",
            self.data.display()
        ));
        None
    }
}

const EXAMPLES: &str = "Examples:
  scripts/bench
  scripts/bench --only rounds --only machine
  scripts/bench --quick --json figures.json";
