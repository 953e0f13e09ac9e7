//! The privacy statement of a model: what was protected, how well, from whom, and what was taken on trust.

use serde::{Deserialize, Serialize};

use super::error::{ModelError, check};
use super::{hex, words};
use crate::base::hash::labelled;
use crate::base::ids::Hash32;
use crate::base::limits::{MEMBERS_MAX, MULTIPLICITY_MAX, ROUNDS_MAX, SIGMA_MAX};
use crate::base::units::{Delta, MicroRho};
use crate::domain::sum::{self, Part, StudyTerms, Thresholds, TrustMode};

/// What was promised to the customers. Fields in the order of their keys.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Privacy {
    /// Nodes that may be missing from a sum; in shared-noise of each group.
    pub absent_max: u16,
    /// What must be true for the statement to hold, beside the mathematics.
    pub assumptions: Vec<String>,
    /// Nodes that may collude with each other and with the coordinator; in shared-noise of each group, else all others.
    pub colluders_max: u16,
    /// Delta, as a number in text.
    pub delta: String,
    /// Epsilon at that delta, rounded up at the fourth decimal, as a number in text.
    pub epsilon: String,
    /// Epsilon at that delta if more nodes collude, or the encryption between them breaks: each node's own noise alone.
    /// None in node-noise, which assumes neither.
    pub floor_epsilon: Option<String>,
    /// The zCDP cost behind it.
    pub floor_rho: Option<String>,
    /// Sizes of the groups that add up on their own; none in node-noise.
    pub groups: Vec<u16>,
    /// Honest noise shares that are certain in every sum and suffice; 1: each node's own.
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
    let parts = match terms.multiplicity {
        0..=1 => training.max(holdout),
        _ => training.checked_add(holdout)?,
    };
    parts.checked_add(part(Part::Everyone)?)
}

/// What is quoted to people: every node that holds the customer counts ([`StudyTerms::quoted`]).
#[must_use]
pub fn quoted(terms: &StudyTerms, sums: &[SumRecord<'_>]) -> Option<MicroRho> {
    terms.quoted(charged(terms, sums)?)
}

impl Privacy {
    /// The statement of a study's released sums; `epsilon` converts a price at a delta.
    ///
    /// `None` where a price does not fit, or where tolerances do not.
    #[must_use]
    pub fn of(
        terms: &StudyTerms,
        sums: &[SumRecord<'_>],
        epsilon: fn(MicroRho, Delta) -> f64,
    ) -> Option<Self> {
        let charged = charged(terms, sums)?;
        let (quoted, floor) = (terms.quoted(charged)?, terms.floor(charged));
        let in_text = |price| format!("{:.4}", epsilon(price, terms.delta));
        let (absent_max, colluders_max) = tolerated(terms)?;
        Some(Self {
            absent_max,
            assumptions: words::assumptions(terms),
            colluders_max,
            delta: format!("{:e}", terms.delta.get()),
            epsilon: in_text(quoted),
            floor_epsilon: floor.map(in_text),
            floor_rho: floor.map(rho),
            groups: groups(terms)?,
            honest: terms.honest()?,
            mechanism: words::mechanism(terms.mode).to_owned(),
            mode: terms.mode,
            multiplicity: terms.multiplicity,
            neighbours: words::NEIGHBOURS.to_owned(),
            nodes: u16::try_from(terms.roster.len()).ok()?,
            released_sums_hash: released_sums_hash(sums),
            rho: rho(quoted),
            rounds: rounds(terms, sums),
            unit: words::unit(terms.multiplicity),
            urho: charged.0,
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

    /// Fewest and most nodes whose noise is in one sum.
    #[must_use]
    pub fn survivors(&self) -> Option<(u32, u32)> {
        let updates = self.rounds.iter().map(|round| round.updates);
        updates.clone().min().zip(updates.max())
    }

    /// The statement in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        words::sentence(self)
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
        let numbers = [
            ("delta", Some(&self.delta)),
            ("epsilon", Some(&self.epsilon)),
            ("rho", Some(&self.rho)),
            ("floor_epsilon", self.floor_epsilon.as_ref()),
            ("floor_rho", self.floor_rho.as_ref()),
        ];
        for (what, text) in numbers {
            let Some(text) = text else { continue };
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
        let multiplicity = (1..=MULTIPLICITY_MAX).contains(&self.multiplicity);
        check(multiplicity, "multiplicity", self.multiplicity, "1 to 64")?;
        let survivors_min = match self.mode {
            TrustMode::NodeNoise => self.check_own()?,
            TrustMode::SharedNoise => self.check_shared()?,
        };
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
            let updates = (survivors_min..=u32::from(self.nodes)).contains(&round.updates);
            check(
                updates,
                "updates of a round",
                round.updates,
                "from the nodes that must be there to all of them",
            )
        })
    }

    /// Each node's own noise: nobody else need be honest. Returns the fewest updates of a sum.
    fn check_own(&self) -> Result<u32, ModelError> {
        check(self.honest == 1, "honest", self.honest, "1 in node-noise")?;
        let none = self.groups.is_empty() && self.floor_epsilon.is_none();
        check(
            none && self.floor_rho.is_none(),
            "groups and floor",
            "present",
            "none in node-noise",
        )?;
        let others = self.nodes - 1;
        let (absent, colluders) = (self.absent_max, self.colluders_max);
        check(
            absent <= others,
            "absent_max",
            absent,
            "fewer than the nodes",
        )?;
        check(
            colluders == others,
            "colluders_max",
            colluders,
            "all other nodes in node-noise",
        )?;
        Ok(1)
    }

    /// Tolerances that fit every group, and a floor. Returns the fewest updates of a sum.
    fn check_shared(&self) -> Result<u32, ModelError> {
        let expected = groups_of(self.nodes.into());
        check(
            self.groups == expected,
            "groups",
            format!("{:?}", self.groups),
            "those of the number of nodes",
        )?;
        let groups = self.groups.iter();
        let groups: Result<Vec<Thresholds>, _> = groups
            .map(|size| Thresholds::new((*size).into(), self.absent_max, self.colluders_max))
            .collect();
        let fitting = groups.is_ok();
        check(
            fitting,
            "absent_max and colluders_max",
            "others",
            "tolerances that fit every group",
        )?;
        let groups = groups.unwrap_or_default();
        let honest = groups.iter().map(|group| group.honest()).min();
        check(
            honest == Some(self.honest),
            "honest",
            self.honest,
            "the nodes of the smallest group without absent and colluding ones",
        )?;
        let stated = self.floor_epsilon.is_some() && self.floor_rho.is_some();
        check(stated, "floor", "none", "one in shared-noise")?;
        let dealers: usize = groups.iter().map(|group| group.dealers_min()).sum();
        Ok(dealers as u32)
    }
}

/// Nodes that may be missing, and nodes that may collude.
fn tolerated(terms: &StudyTerms) -> Option<(u16, u16)> {
    let nodes = u16::try_from(terms.roster.len()).ok()?;
    match terms.mode {
        TrustMode::NodeNoise => Some((nodes.checked_sub(terms.quorum)?, nodes.checked_sub(1)?)),
        TrustMode::SharedNoise => Some((terms.d_max, terms.c_max)),
    }
}

fn groups(terms: &StudyTerms) -> Option<Vec<u16>> {
    match terms.mode {
        TrustMode::NodeNoise => Some(Vec::new()),
        TrustMode::SharedNoise => Some(groups_of(terms.roster.len())),
    }
}

fn groups_of(nodes: usize) -> Vec<u16> {
    let groups = sum::groups(nodes).into_iter();
    groups.map(|group| group.len() as u16).collect()
}

fn rounds(terms: &StudyTerms, sums: &[SumRecord<'_>]) -> Vec<RoundStatement> {
    let released = terms.rounds.iter().zip(sums);
    released
        .map(|(round, sum)| RoundStatement {
            attempts: sum.attempts,
            delta_sq: round.delta_sq,
            part: round.part,
            scale: round.sigma_share,
            updates: sum.updates,
            urho: round.urho.0,
        })
        .collect()
}

/// A price as rho, in text.
fn rho(price: MicroRho) -> String {
    format!("{}.{:06}", price.0 / 1_000_000, price.0 % 1_000_000)
}

const ASSUMPTIONS_MAX: usize = 64;
const TEXT_BYTES_MAX: usize = 1_024;
