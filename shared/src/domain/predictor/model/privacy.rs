//! The privacy statement of a model: what was protected, how well, from whom, and what was taken on trust.

use serde::{Deserialize, Serialize};

use super::error::{ModelError, check};
use super::hex;
use crate::base::hash::labelled;
use crate::base::ids::Hash32;
use crate::base::limits::{MEMBERS_MAX, MULTIPLICITY_MAX, ROUNDS_MAX, SIGMA_MAX};
use crate::base::units::MicroRho;
use crate::domain::sum::{Part, StudyTerms, TrustMode};

/// What was promised to the customers. Fields in the order of their keys.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Privacy {
    /// What must be true for the statement to hold, beside the mathematics.
    pub assumptions: Vec<String>,
    /// Delta, as a number in text.
    pub delta: String,
    /// Epsilon at that delta, rounded up at the fourth decimal, as a number in text.
    pub epsilon: String,
    /// Nodes whose noise alone must suffice; 1: each node's own.
    pub honest: u16,
    /// Where the noise comes from.
    pub mechanism: String,
    /// Trust mode.
    pub mode: TrustMode,
    /// At how many nodes one customer may appear.
    pub multiplicity: u16,
    /// What the unit may do: the two worlds that cannot be told apart.
    pub neighbours: String,
    /// Nodes of the study.
    pub nodes: u16,
    /// Hash over all released sums.
    #[serde(with = "hex::hash")]
    pub released_sums_hash: Hash32,
    /// The zCDP cost that epsilon was computed from, as a number in text: multiplicity included.
    pub rho: String,
    /// Every sum that was released.
    pub rounds: Vec<RoundStatement>,
    /// Who is protected.
    pub unit: String,
    /// What one node charged one customer at most, in micro-rho, repeated attempts included.
    pub urho: u64,
}

/// One released sum.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RoundStatement {
    /// Attempts that nodes may have charged.
    pub attempts: u32,
    /// Largest sum of squares of one customer's vector.
    pub delta_sq: u64,
    /// Which customers it read.
    pub part: Part,
    /// Scale of each node's noise.
    pub scale: u64,
    /// Nodes' updates, each with its own noise, in the sum.
    pub updates: u32,
    /// Price of one attempt.
    pub urho: u64,
}

/// A released sum as the statement's hash covers it.
#[derive(Clone, Copy, Debug)]
pub struct SumRecord<'a> {
    /// Attempts opened.
    pub attempts: u32,
    /// Updates in it.
    pub updates: u32,
    /// The integers.
    pub cells: &'a [i64],
}

/// Where the noise comes from.
pub const MECHANISM: &str = "discrete Gaussian (OpenDP 0.16)";
/// Who is protected.
pub const UNIT: &str = "one customer at one node";
/// What the two worlds differ in.
pub const NEIGHBOURS: &str = "add or remove";

/// Hash over released sums in order: number of updates and integers of each.
#[must_use]
pub fn released_sums_hash(sums: &[SumRecord<'_>]) -> Hash32 {
    let mut bytes = Vec::new();
    bytes.extend((sums.len() as u64).to_le_bytes());
    for sum in sums {
        bytes.extend(sum.updates.to_le_bytes());
        bytes.extend((sum.cells.len() as u64).to_le_bytes());
        sum.cells
            .iter()
            .for_each(|cell| bytes.extend(cell.to_le_bytes()));
    }
    labelled("aquifer/model/1/sums", &[&bytes])
}

/// What one node charged one customer at most: the dearer part, or both where a customer may be in both.
///
/// Every attempt counts that a node may have charged. `None` where the sum does not fit.
#[must_use]
pub fn charged(terms: &StudyTerms, sums: &[SumRecord<'_>]) -> Option<MicroRho> {
    let part = |part: Part| {
        let rounds = terms
            .rounds
            .iter()
            .zip(sums)
            .filter(|(round, _)| round.part == part);
        rounds
            .map(|(round, sum)| round.urho.checked_mul(sum.attempts.into()))
            .try_fold(MicroRho::ZERO, |total, price| total.checked_add(price?))
    };
    let (training, holdout) = (part(Part::Training)?, part(Part::HoldOut)?);
    if terms.multiplicity > 1 {
        return training.checked_add(holdout);
    }
    Some(training.max(holdout))
}

/// What is quoted to people: every node that holds the customer charged.
///
/// # Privacy
///
/// In node-noise each copy of a customer has noise of its own, so copies add up: multiplicity times the charge.
#[must_use]
pub fn quoted(terms: &StudyTerms, sums: &[SumRecord<'_>]) -> Option<MicroRho> {
    charged(terms, sums)?.checked_mul(terms.multiplicity.into())
}

impl Privacy {
    /// The statement of a study's released sums. `epsilon` belongs to [`quoted`] at the study's delta.
    ///
    /// `None` where the price does not fit, or where sums are missing.
    #[must_use]
    pub fn of(terms: &StudyTerms, sums: &[SumRecord<'_>], epsilon: f64) -> Option<Self> {
        let rounds = terms
            .rounds
            .iter()
            .zip(sums)
            .map(|(round, sum)| RoundStatement {
                attempts: sum.attempts,
                delta_sq: round.delta_sq,
                part: round.part,
                scale: round.sigma_share,
                updates: sum.updates,
                urho: round.urho.0,
            });
        let quoted = quoted(terms, sums)?.0;
        Some(Self {
            assumptions: assumptions(terms),
            delta: format!("{:e}", terms.delta.get()),
            epsilon: format!("{epsilon:.4}"),
            honest: 1,
            mechanism: MECHANISM.to_owned(),
            mode: terms.mode,
            multiplicity: terms.multiplicity,
            neighbours: NEIGHBOURS.to_owned(),
            nodes: u16::try_from(terms.roster.len()).ok()?,
            released_sums_hash: released_sums_hash(sums),
            rho: format!("{}.{:06}", quoted / 1_000_000, quoted % 1_000_000),
            rounds: rounds.collect(),
            unit: UNIT.to_owned(),
            urho: charged(terms, sums)?.0,
        })
    }

    /// Epsilon as a number.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        self.epsilon.parse().unwrap_or(f64::INFINITY)
    }

    /// Delta as a number.
    #[must_use]
    pub fn delta(&self) -> f64 {
        self.delta.parse().unwrap_or(1.0)
    }

    /// The statement in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (epsilon, delta) = (&self.epsilon, &self.delta);
        format!(
            "differential privacy with epsilon {epsilon} at delta {delta} for {} ({}), each of {} nodes adding its own \
             noise: {}",
            self.unit, self.neighbours, self.nodes, self.mechanism
        )
    }

    pub(super) fn check(&self) -> Result<(), ModelError> {
        let texts = [&self.mechanism, &self.neighbours, &self.unit];
        let texts = texts.into_iter().chain(&self.assumptions);
        let long = texts
            .map(String::len)
            .find(|length| *length > TEXT_BYTES_MAX);
        check(
            long.is_none(),
            "length of a text of the statement",
            long.unwrap_or(0),
            "at most 1024",
        )?;
        let count = self.assumptions.len();
        check(
            count <= ASSUMPTIONS_MAX,
            "number of assumptions",
            count,
            "at most 64",
        )?;
        for (what, text) in [
            ("delta", &self.delta),
            ("epsilon", &self.epsilon),
            ("rho", &self.rho),
        ] {
            let value = text.parse::<f64>().unwrap_or(f64::NAN);
            let fits = value.is_finite() && value >= 0.0 && text.len() <= 32;
            check(fits, what, text, "a number of 0 or more, in text")?;
        }
        let nodes = usize::from(self.nodes);
        check(
            (1..=MEMBERS_MAX).contains(&nodes),
            "nodes",
            nodes,
            "1 to 1024",
        )?;
        let honest = (1..=self.nodes).contains(&self.honest);
        check(honest, "honest", self.honest, "1 to the number of nodes")?;
        let multiplicity = (1..=MULTIPLICITY_MAX).contains(&self.multiplicity);
        check(multiplicity, "multiplicity", self.multiplicity, "1 to 64")?;
        let rounds = self.rounds.len();
        check(
            (1..=ROUNDS_MAX).contains(&rounds),
            "number of rounds",
            rounds,
            "1 to 1000",
        )?;
        self.rounds.iter().try_for_each(|round| {
            check(
                round.scale <= SIGMA_MAX,
                "scale of a round",
                round.scale,
                "at most 2^36",
            )?;
            let updates = (1..=u32::from(self.nodes)).contains(&round.updates);
            check(
                updates,
                "updates of a round",
                round.updates,
                "1 to the number of nodes",
            )
        })
    }
}

fn assumptions(terms: &StudyTerms) -> Vec<String> {
    let copies = match terms.multiplicity {
        1 => "a customer appears at one node only: declared in the contract, not checked across nodes".to_owned(),
        more => format!(
            "a customer appears at no more than {more} nodes: declared in the contract, not checked across nodes"
        ),
    };
    let mut all = vec![
        "every node runs the published program; its own administrators see its data lawfully".to_owned(),
        copies,
        "every row of a node's mapped table was eligible under the basis that the node's operator states in its \
         configuration: this version does not check consent row by row"
            .to_owned(),
        "rows without a label were left out at the node; sizes declared in the study are public".to_owned(),
        "the totals of a business unit are not protected, only its customers".to_owned(),
    ];
    if terms.multiplicity == 1 {
        let rule = "training and evaluation read different customers, by a rule at the node: each customer is charged for \
                    one of the two";
        all.push(rule.to_owned());
    }
    all
}

const ASSUMPTIONS_MAX: usize = 64;
const TEXT_BYTES_MAX: usize = 1_024;
