//! What is audited: shape of the made-up data, number of canaries and guesses, and the study that a claim buys.

use std::error::Error;
use std::fmt;

use anyhow::{Context, Result};
use aquifer_shared::base::limits::AUDIT_CANARIES_MAX;
use aquifer_shared::base::units::{Delta, Epsilon};
use aquifer_shared::domain::audit_bound::{Claim, ceiling};
use aquifer_shared::domain::predictor::arithmetic::COUNT;
use aquifer_shared::domain::predictor::plan::{Shape, additive_rounds, clip_for, total_sigma};
use aquifer_shared::domain::sum::{NoiseShare, Part, RoundTerms, Thresholds, TrustMode};
use aquifer_shared::shell::noise::largest_urho;

/// Shape and size of an audit.
#[derive(Clone, Copy, Debug)]
pub struct Design {
    /// Columns, each a list of levels.
    pub features: usize,
    /// Levels of each column.
    pub levels: usize,
    /// Ordinary customers in training; by default so many that most levels keep a bin of their own.
    pub customers: Option<usize>,
    /// m: canaries.
    pub canaries: usize,
    /// r: coins that are guessed; the others are passed over.
    pub guesses: usize,
    /// Trust mode.
    pub trust: TrustMode,
    /// Nodes.
    pub nodes: usize,
    /// Residual sums.
    pub residual_rounds: u16,
    /// Delta of the claims.
    pub delta: Delta,
}

/// A design that cannot be audited.
#[derive(Clone, Debug, PartialEq)]
pub enum BadDesign {
    /// A number outside its range.
    Outside {
        /// The thing.
        what: &'static str,
        /// Found.
        got: usize,
        /// Least allowed.
        least: usize,
        /// Most allowed.
        most: usize,
    },
    /// All guesses right would not falsify the claim.
    OutOfReach {
        /// Guesses.
        guesses: usize,
        /// Largest epsilon that they could falsify.
        ceiling: f64,
        /// The claim.
        claim: f64,
    },
}

impl fmt::Display for BadDesign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside {
                what,
                got,
                least,
                most,
            } => write!(f, "{what} is {got}, expected {least} to {most}"),
            Self::OutOfReach {
                guesses,
                ceiling,
                claim,
            } => write!(
                f,
                "{guesses} guesses can falsify an epsilon of {ceiling:.2} at most and say nothing of {claim}: ask for more"
            ),
        }
    }
}

impl Error for BadDesign {}

/// The study that a claim buys, as every party would compute it.
#[derive(Clone, Debug)]
pub struct Study {
    /// Shape and size.
    pub design: Design,
    /// The claimed epsilon.
    pub claim: Epsilon,
    /// Columns as the learner sees them.
    pub shapes: Vec<Shape>,
    /// Residual bound.
    pub clip: u32,
    /// The sums that read training customers; those for evaluation read others and are not audited.
    pub rounds: Vec<RoundTerms>,
    /// Nodes whose updates are in a sum.
    pub dealers: usize,
    /// Nodes whose noise the attacker does not know; canaries are at these.
    pub honest: usize,
}

impl Design {
    /// The study of a claimed epsilon.
    ///
    /// # Errors
    ///
    /// Numbers outside their ranges, tolerances that do not fit, or too few guesses to falsify the claim at all.
    pub fn study(self, claim: Epsilon) -> Result<Study> {
        self.check()?;
        let ceiling = ceiling(self.claim(claim.get()), self.guesses);
        if ceiling < claim.get() {
            return Err(BadDesign::OutOfReach {
                guesses: self.guesses,
                ceiling,
                claim: claim.get(),
            }
            .into());
        }
        let (share, dealers) = self.tolerances()?;
        // The last cell of a column is for values that are missing; here none are.
        let shape = Shape {
            ordered: false,
            cells: self.levels + 1,
        };
        let shapes = vec![shape; self.features];
        let (urho, clip) = (largest_urho(claim, self.delta), clip_for(claim));
        let rounds = additive_rounds(&shapes, urho, clip, self.residual_rounds, share);
        let mut rounds = rounds.context("the claim gives no scale of noise within limits")?;
        rounds.retain(|round| round.part == Part::Training);
        let honest = match self.trust {
            TrustMode::NodeNoise => self.nodes,
            TrustMode::SharedNoise => share.honest.into(),
        };
        Ok(Study {
            design: self,
            claim,
            shapes,
            clip,
            rounds,
            dealers,
            honest,
        })
    }

    /// The claim as the bound wants it, and as records say it.
    #[must_use]
    pub fn claim(&self, epsilon: f64) -> Claim {
        let claim = Claim {
            epsilon,
            delta: self.delta.get(),
            canaries: self.canaries,
        };
        claim.rounded()
    }

    fn check(&self) -> Result<(), BadDesign> {
        let nodes_min = match self.trust {
            TrustMode::NodeNoise => 1,
            TrustMode::SharedNoise => 4,
        };
        for (what, got, least, most) in [
            ("the number of features", self.features, 1, 256),
            ("the number of levels", self.levels, 2, 1_000),
            (
                "the number of canaries",
                self.canaries,
                2,
                AUDIT_CANARIES_MAX as usize,
            ),
            ("the number of guesses", self.guesses, 2, self.canaries),
            ("the number of nodes", self.nodes, nodes_min, 128),
            (
                "the number of residual sums",
                self.residual_rounds.into(),
                1,
                64,
            ),
            (
                "the number of customers",
                self.customers.unwrap_or(1_000),
                1_000,
                10_000_000,
            ),
        ] {
            if !(least..=most).contains(&got) {
                return Err(BadDesign::Outside {
                    what,
                    got,
                    least,
                    most,
                });
            }
        }
        Ok(())
    }

    /// What each node's noise is a share of, and how many nodes are in a sum: as few as the tolerances allow, because the claim
    /// must hold then too.
    fn tolerances(&self) -> Result<(NoiseShare, usize)> {
        if self.trust == TrustMode::NodeNoise {
            return Ok((NoiseShare::OWN, self.nodes));
        }
        let (absent, colluders) = (
            Thresholds::usual_absent(self.nodes),
            Thresholds::usual_colluders(self.nodes),
        );
        let thresholds = Thresholds::new(self.nodes, absent, colluders)?;
        let share = NoiseShare {
            honest: thresholds.honest(),
            multiplicity: 1,
        };
        Ok((share, thresholds.dealers_min()))
    }
}

impl Study {
    /// Ordinary customers in training.
    #[must_use]
    pub fn customers(&self) -> usize {
        let sigma = total_sigma(self.rounds[0].sigma_share, self.dealers as u32) / COUNT as f64;
        let wanted = LEVEL_SIGMAS * sigma * self.design.levels as f64;
        self.design.customers.unwrap_or(wanted.ceil() as usize)
    }

    /// Which node a canary is at.
    #[must_use]
    pub fn node_of(&self, canary: usize) -> usize {
        canary % self.honest
    }

    /// Vectors that the attacker sees of one sum: every node's where each is private by itself, else their total.
    #[must_use]
    pub fn views(&self) -> usize {
        match self.design.trust {
            TrustMode::NodeNoise => self.dealers,
            TrustMode::SharedNoise => 1,
        }
    }

    /// The vector that a node's update is seen in.
    #[must_use]
    pub fn view_of(&self, node: usize) -> usize {
        node.min(self.views() - 1)
    }

    /// Standard deviation of what the attacker does not know in a cell of one vector, as claimed.
    #[must_use]
    pub fn sigma(&self, round: &RoundTerms) -> f64 {
        let unknown = self.honest / self.views();
        total_sigma(round.sigma_share, unknown as u32)
    }
}

/// Customers of a level, in standard deviations of the noise of a count; from four on a level keeps its bin.
const LEVEL_SIGMAS: f64 = 6.0;
