//! The private vector sum: study terms, its rules, and the integers that fix noise and price.
//!
//! Every node recomputes everything here before it accepts a study. Draws no noise, spends nothing.

mod check;
#[cfg(test)]
mod gaussian_sum_tests;
mod noise_share;
mod standing;
mod thresholds;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::base::hash::labelled;
use crate::base::ids::{AttemptId, Hash32, IdentityKey, Name, StudyHash};
use crate::base::limits::{DELTA_SQ_MAX, SIGMA_MAX, SIGMA_MIN, URHO_MAX};
use crate::base::time::Timestamp;
use crate::base::units::{Delta, MicroRho};

pub use check::BrokenRule;
pub use noise_share::NoiseShare;
pub use standing::{Outside, Standing, Window};
pub use thresholds::{BadThresholds, Thresholds, groups};

/// Version of the protocol that these terms belong to; anything else is refused.
pub const SUM_VERSION: u16 = 1;

/// Who must be honest for the stated rho.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrustMode {
    /// Each node adds the whole noise: each update is private on its own.
    NodeNoise,
    /// Secure aggregation: each node adds a share of the noise, and only the sum over the nodes can be opened.
    SharedNoise,
}

/// Which disjoint set of customers a round reads; caps and charges are kept per part.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Customers that the model learns from.
    Training,
    /// Customers kept out of training, for evaluation.
    HoldOut,
    /// All customers, whichever of the other two they are in: questions of analysts.
    Everyone,
}

/// What one customer contributes to a round, and its price.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RoundTerms {
    /// The customers it reads.
    pub part: Part,
    /// Largest number of cells of the vector.
    pub cells_max: u32,
    /// Largest absolute value of one customer in one cell.
    pub cell_abs_max: u32,
    /// Largest sum of squares of one customer's vector.
    pub delta_sq: u64,
    /// The charge.
    pub urho: MicroRho,
    /// Scale of each node's discrete Gaussian (its sigma, in integers of the sum).
    pub sigma_share: u64,
}

/// Which customers are kept for evaluation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HoldOut {
    /// A keyed hash of the customer falls below this share, in 1/1 000 000.
    Fraction(u32),
    /// A column of the mapped table: rows whose value is `test` (or a true boolean) are held out.
    Column(String),
}

/// What happens to a candidate model whose quality is not shown.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// Publish with the warning `not_evaluated` where there is too little data to tell.
    #[default]
    Open,
    /// Hold for a person in that case.
    Strict,
}

/// The learner or question behind the rounds, with its public constants.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Plan {
    /// The additive predictor: a counting sum, residual sums, one evaluation sum.
    Additive {
        /// Residual bound in integers per unit of residual (3072 or 4096).
        clip: u32,
        /// Residual rounds.
        rounds: u16,
    },
    /// Synthetic counting sums for measuring the transport; reads no customer and is refused unless policy allows it.
    Synthetic {
        /// Cells of each sum.
        cells: u32,
        /// Number of sums.
        rounds: u16,
    },
    /// One question of an analyst under a standing study: one sum over all customers.
    Question {
        /// Encoded question, as nodes check it against their contract; empty in the standing study itself.
        question: Vec<u8>,
        /// Data version of each member, in the order of the roster; none in the standing study itself. A node whose version is
        /// another one does not answer.
        data: Vec<Name>,
        /// What the approvers signed.
        standing: Standing,
    },
}

/// A study as every party sees, hashes and signs it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StudyTerms {
    /// [`SUM_VERSION`].
    pub version: u16,
    /// Drawn at submission.
    pub study_id: [u8; 16],
    /// Short name; the model is published under it.
    pub name: Name,
    /// Studies of one family share their hold-out.
    pub family: Name,
    /// Why the data may be used.
    pub purpose: Name,
    /// Contract name.
    pub contract_name: Name,
    /// Contract version.
    pub contract_version: u32,
    /// Contract hash.
    pub contract_hash: Hash32,
    /// What is computed.
    pub plan: Plan,
    /// Trust mode; never changes.
    pub mode: TrustMode,
    /// Identity keys of the members, strictly rising; fixed for the study.
    pub roster: Vec<IdentityKey>,
    /// Members of a group that may fail; 0 in node-noise.
    pub d_max: u16,
    /// Members of a group that may collude; 0 in node-noise.
    pub c_max: u16,
    /// At how many nodes one customer may appear.
    pub multiplicity: u16,
    /// All rounds in order.
    pub rounds: Vec<RoundTerms>,
    /// Attempts per round.
    pub attempts_max: u16,
    /// All charged attempts of one part together.
    pub urho_cap: MicroRho,
    /// The study's total at its stated epsilon: the larger part, without spare attempts.
    pub urho: MicroRho,
    /// Delta of the statement.
    pub delta: Delta,
    /// Public size of the whole population.
    pub population: u64,
    /// Customers per node, public, declared with room.
    pub customers_max: u64,
    /// Who is kept for evaluation.
    pub holdout: HoldOut,
    /// Answers leave at multiples of this after the question.
    pub slot_ms: u32,
    /// How long the coordinator waits for stragglers.
    pub phase_ms: u32,
    /// How long an attempt may live at a node.
    pub attempt_ttl_ms: u32,
    /// Nodes refuse rounds after this.
    pub expires: Timestamp,
    /// Members that a release needs; in shared-noise exactly those that `d_max` leaves, over all groups.
    pub quorum: u16,
    /// What happens without a quality figure.
    pub gate: Gate,
    /// Gain in log-loss over the previous model that the study expects, in 1/1 000 000; 0 if it declares none.
    pub expected_gain_ppm: u32,
    /// Made-up data: slots of 0 and the synthetic plan are allowed where a node's policy says so.
    pub synthetic: bool,
}

/// Smallest `s` with `2·h·urho·s² > delta_sq·m²·10⁶` (strict), or `None` outside `SIGMA_MIN..=SIGMA_MAX`.
///
/// In node-noise `h` and `m` count as 1 (private sum, rule 2). Integers throughout, rounded against us.
///
/// # Privacy
///
/// A discrete Gaussian of scale `s` on integers of squared L2 reach `delta_sq` is `delta_sq/(2s²)`-zCDP (Canonne, Kamath,
/// Steinke 2020), which the strict inequality keeps below `urho·10⁻⁶`.
#[must_use]
pub fn sigma_share(delta_sq: u64, multiplicity: u16, honest: u16, urho: MicroRho) -> Option<u64> {
    let bounded = delta_sq <= DELTA_SQ_MAX && (1..=URHO_MAX).contains(&urho.0) && honest > 0;
    if !bounded || delta_sq == 0 {
        return None;
    }
    let reach = u128::from(delta_sq) * u128::from(multiplicity).pow(2) * 1_000_000;
    let scale = (reach / (2 * u128::from(honest) * u128::from(urho.0))).isqrt() + 1;
    let scale = u64::try_from(scale).ok()?;
    (SIGMA_MIN..=SIGMA_MAX).contains(&scale).then_some(scale)
}

/// The slots that a study may have, rising; 0 is for studies marked synthetic only.
pub const SLOTS_MS: [u32; 9] = [20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];
/// Cells per second that a node is taken to add up when slots are chosen; public, and slower than nodes are.
pub const CELLS_PER_SECOND: u64 = 40_000_000;

/// The smallest slot that is at least twice the computing time of the declared sizes; the largest where none is.
///
/// # Privacy
///
/// A function of public sizes only: the moment of an answer then hides how many customers were really added up.
#[must_use]
pub fn smallest_slot_ms(customers_max: u64, features: u64) -> u32 {
    slot_ms(customers_max, features, CELLS_PER_SECOND)
}

/// As [`smallest_slot_ms`], for another number of cells in a second.
#[must_use]
pub(crate) fn slot_ms(customers_max: u64, columns: u64, cells_per_second: u64) -> u32 {
    let cells = u128::from(customers_max) * u128::from(columns);
    let needed = (2 * 1_000 * cells).div_ceil(u128::from(cells_per_second));
    let fits = |slot: &u32| u128::from(*slot) >= needed;
    SLOTS_MS.into_iter().find(fits).unwrap_or(10_000)
}

/// The identity of a study: hash of the bytes of its terms as they travelled.
#[must_use]
pub fn study_hash(terms_bytes: &[u8]) -> StudyHash {
    StudyHash(labelled("aquifer/sum/1/study", &[terms_bytes]).0)
}

/// The identity of one attempt at one round.
#[must_use]
pub fn attempt_id(study: &StudyHash, round: u32, attempt: u32) -> AttemptId {
    let parts: [&[u8]; 3] = [&study.0, &round.to_le_bytes(), &attempt.to_le_bytes()];
    AttemptId(labelled("aquifer/sum/1/attempt", &parts).0)
}

/// What a node was asked to compute, bound into its signature.
#[must_use]
pub fn task_hash(study: &StudyHash, round: u32, body: &[u8]) -> Hash32 {
    labelled(
        "aquifer/sum/1/task",
        &[&study.0, &round.to_le_bytes(), body],
    )
}

impl StudyTerms {
    /// Price of one attempt of every round of a part.
    #[must_use]
    pub fn part_price(&self, part: Part) -> Option<MicroRho> {
        let of_part = self.rounds.iter().filter(|round| round.part == part);
        of_part
            .map(|round| round.urho)
            .try_fold(MicroRho::ZERO, MicroRho::checked_add)
    }

    /// What one customer is charged at most if no attempt is repeated: the larger part where the parts are disjoint,
    /// their sum where a customer may be in both (multiplicity above 1); and what reads everybody.
    #[must_use]
    pub fn price(&self) -> Option<MicroRho> {
        let (training, holdout) = (
            self.part_price(Part::Training)?,
            self.part_price(Part::HoldOut)?,
        );
        let parts = match self.multiplicity {
            0..=1 => training.max(holdout),
            _ => training.checked_add(holdout)?,
        };
        parts.checked_add(self.part_price(Part::Everyone)?)
    }

    /// What is quoted to people where one node charged this much: every node that holds a copy of the customer counts.
    ///
    /// # Privacy
    ///
    /// In node-noise each copy has noise of its own, so copies add up. In shared-noise one noise covers all copies: the scale
    /// is made for them, and the charge is the price of all.
    #[must_use]
    pub fn quoted(&self, charged: MicroRho) -> Option<MicroRho> {
        match self.mode {
            TrustMode::NodeNoise => charged.checked_mul(self.multiplicity.into()),
            TrustMode::SharedNoise => Some(charged),
        }
    }

    /// What still holds where the assumptions of shared-noise fail, for this charge: none in node-noise, which makes none.
    #[must_use]
    pub fn floor(&self, charged: MicroRho) -> Option<MicroRho> {
        if self.mode == TrustMode::NodeNoise {
            return None;
        }
        self.noise_share()?.floor(charged)
    }

    /// The groups of the roster that add up on their own, as ranges of it; one where each update is private by itself.
    #[must_use]
    pub fn groups(&self) -> Vec<Range<usize>> {
        match self.mode {
            TrustMode::NodeNoise => std::iter::once(0..self.roster.len()).collect(),
            TrustMode::SharedNoise => groups(self.roster.len()),
        }
    }

    /// Tolerances of a group with this many members.
    ///
    /// # Errors
    ///
    /// The stated tolerances do not fit such a group; always in node-noise, which tolerates by its quorum.
    pub fn thresholds(&self, members: usize) -> Result<Thresholds, BadThresholds> {
        Thresholds::new(members, self.d_max, self.c_max)
    }

    /// Honest noise shares that are certain in every released sum of a group: what `sigma_share` rests on.
    #[must_use]
    pub fn honest(&self) -> Option<u16> {
        if self.mode == TrustMode::NodeNoise {
            return Some(1);
        }
        let groups = self.groups().into_iter();
        let honest = groups.map(|group| Some(self.thresholds(group.len()).ok()?.honest()));
        honest.min().flatten()
    }

    /// What each node's noise is a share of; `None` where the tolerances do not fit the roster.
    #[must_use]
    pub fn noise_share(&self) -> Option<NoiseShare> {
        match self.mode {
            TrustMode::NodeNoise => Some(NoiseShare::OWN),
            TrustMode::SharedNoise => Some(NoiseShare {
                honest: self.honest()?,
                multiplicity: self.multiplicity,
            }),
        }
    }

    /// Index of a member in the roster, from 0.
    #[must_use]
    pub fn member(&self, key: &IdentityKey) -> Option<usize> {
        self.roster.binary_search(key).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_sigma(
        delta_sq: u64,
        multiplicity: u16,
        honest: u16,
        urho: u64,
        expected: Option<u64>,
    ) {
        assert_eq!(
            sigma_share(delta_sq, multiplicity, honest, MicroRho(urho)),
            expected
        );
    }

    #[test]
    fn published_scales() {
        check_sigma(851_968, 1, 5, 3_361, Some(5_035));
        check_sigma(851_968, 1, 1, 3_361, Some(11_259));
        check_sigma(851_968, 2, 5, 3_361, Some(10_070));
        check_sigma(479_232, 1, 5, 3_361, Some(3_777));
    }

    #[test]
    fn equality_is_not_enough() {
        check_sigma(65_536, 1, 1, 125_000, Some(513));
    }

    #[test]
    fn too_fine_a_scale_is_refused() {
        check_sigma(1, 1, 1, 125_000, None);
        check_sigma(0, 1, 1, 1, None);
        check_sigma(65_536, 1, 1, 0, None);
    }

    #[test]
    fn slots_cover_twice_the_declared_computing_time() {
        let slots = [(10_000, 14), (50_000, 19), (1_000_000, 20), (u64::MAX, 512)];
        let found = slots.map(|(customers, features)| smallest_slot_ms(customers, features));
        assert_eq!(found, [20, 50, 1_000, 10_000]);
    }

    #[test]
    fn the_published_attempt_id() {
        let id = attempt_id(&StudyHash([0x11; 32]), 3, 0);
        assert_eq!(
            id.to_string(),
            "68860e92a6b2aa6014fda7e442ab7a1ce1e95af7a884c0aa3de8963f5d5ae91e"
        );
    }
}
