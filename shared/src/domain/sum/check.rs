//! The rules that study terms alone can break. Every node recomputes all of it before it accepts a study.

use super::{
    BadThresholds, NoiseShare, Part, Plan, RoundTerms, SUM_VERSION, Standing, StudyTerms,
    Thresholds, TrustMode,
};
use crate::base::limits::{
    ATTEMPT_TTL_MS_MAX, ATTEMPTS_MAX, CELLS_MAX, GROUP_MIN, MEMBERS_MAX, MULTIPLICITY_MAX,
    PUBLISHED_TABLES_MAX, ROUNDS_MAX, SHARES_BYTES_MAX, SHARING_BLOCKS_MAX, SIGMA_MIN, SUM_ABS_MAX,
    URHO_MAX,
};
use crate::base::units::MicroRho;

/// A rule of the private sum that terms break.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BrokenRule {
    /// A number is outside its range.
    #[error("{what} is {got}, expected {expected}")]
    Range {
        /// Field.
        what: &'static str,
        /// Found.
        got: u64,
        /// Expected.
        expected: &'static str,
    },
    /// A round's scale is not the smallest that its price allows.
    #[error("round {round} has sigma_share {got}, the rule gives {expected}")]
    Sigma {
        /// Which round, from 0.
        round: usize,
        /// Found.
        got: u64,
        /// Expected.
        expected: u64,
    },
    /// The price is too small or too large for a scale within limits.
    #[error(
        "round {round}: delta_sq {delta_sq} at {urho} needs a sigma_share outside {SIGMA_MIN}..2^36"
    )]
    Scale {
        /// Which round, from 0.
        round: usize,
        /// Its reach.
        delta_sq: u64,
        /// Its price.
        urho: MicroRho,
    },
    /// Caps do not cover the rounds.
    #[error("urho_cap is {cap}, one attempt of each round of a part costs {needed}")]
    Cap {
        /// Found.
        cap: MicroRho,
        /// Needed.
        needed: MicroRho,
    },
    /// A list is not in the order that makes it unique.
    #[error("the roster is not strictly rising")]
    Roster,
    /// Tolerances of secure aggregation that do not fit the roster or one of its groups.
    #[error(transparent)]
    Tolerances(#[from] BadThresholds),
    /// Fewer or more members must answer than the tolerances say.
    #[error("quorum is {got}; in shared-noise it follows from d_max: {expected}")]
    Quorum {
        /// Found.
        got: u16,
        /// Members without d_max of each group.
        expected: u16,
    },
    /// What one member deals in a sum does not fit a message.
    #[error(
        "round {round}: {cells} cells among {members} members make {blocks} blocks a member and {bytes} bytes of \
         shares, expected at most {SHARING_BLOCKS_MAX} blocks and {SHARES_BYTES_MAX} bytes"
    )]
    Shares {
        /// Which round, from 0.
        round: usize,
        /// Its cells.
        cells: u32,
        /// Members of the group.
        members: usize,
        /// Blocks of the vector.
        blocks: usize,
        /// Bytes of what one member deals.
        bytes: usize,
    },
}

impl StudyTerms {
    /// Checks every rule of the private sum that the terms alone can break.
    ///
    /// # Errors
    ///
    /// The first broken rule.
    pub fn check(&self) -> Result<(), BrokenRule> {
        self.check_ranges()?;
        if !self.roster.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(BrokenRule::Roster);
        }
        let (groups, share) = self.check_tolerances()?;
        if let Plan::Question { standing, .. } = &self.plan {
            self.check_standing(standing)?;
        }
        for (index, round) in self.rounds.iter().enumerate() {
            self.check_round(index, round, share)?;
            groups
                .iter()
                .try_for_each(|group| check_shares(index, round.cells_max, *group))?;
        }
        self.check_cap()
    }

    fn check_ranges(&self) -> Result<(), BrokenRule> {
        let members = self.roster.len() as u64;
        in_range("version", self.version.into(), 1, SUM_VERSION.into(), "1")?;
        let rounds = self.rounds.len() as u64;
        let (low, high, expected) = match self.is_standing() {
            true => (
                0,
                0,
                "0: questions under a standing study are studies of their own",
            ),
            false => (1, ROUNDS_MAX as u64, "1 to 1000"),
        };
        in_range("number of rounds", rounds, low, high, expected)?;
        let multiplicity = u64::from(self.multiplicity);
        let multiplicity_max = u64::from(MULTIPLICITY_MAX);
        in_range("multiplicity", multiplicity, 1, multiplicity_max, "1 to 64")?;
        let attempts = u64::from(self.attempts_max);
        in_range("attempts_max", attempts, 1, ATTEMPTS_MAX.into(), "1 to 4")?;
        let (ttl_ms, phase_ms) = (self.attempt_ttl_ms.into(), self.phase_ms.into());
        let ttl_ms_max = ATTEMPT_TTL_MS_MAX.into();
        in_range("attempt_ttl_ms", ttl_ms, 1, ttl_ms_max, "1 to 600000")?;
        let phase_ms_min = u64::from(!self.is_standing());
        in_range(
            "phase_ms",
            phase_ms,
            phase_ms_min,
            ttl_ms,
            "1 to attempt_ttl_ms",
        )?;
        in_range(
            "customers_max",
            self.customers_max,
            1,
            SUM_ABS_MAX,
            "1 to 2^50",
        )?;
        let (members_max, what) = (MEMBERS_MAX as u64, "number of members");
        if self.mode == TrustMode::SharedNoise {
            let expected = "4 to 1024 in shared-noise";
            return in_range(what, members, GROUP_MIN as u64, members_max, expected);
        }
        in_range(what, members, 1, members_max, "1 to 1024")?;
        in_range("d_max", self.d_max.into(), 0, 0, "0 in node-noise")?;
        in_range("c_max", self.c_max.into(), 0, 0, "0 in node-noise")?;
        let (quorum, expected) = (u64::from(self.quorum), "1 to the number of members");
        in_range("quorum", quorum, 1, members, expected)
    }

    /// Tolerances of every group, none in node-noise; and what each node's noise is a share of.
    fn check_tolerances(&self) -> Result<(Vec<Thresholds>, NoiseShare), BrokenRule> {
        if self.mode == TrustMode::NodeNoise {
            return Ok((Vec::new(), NoiseShare::OWN));
        }
        let groups = self.groups().into_iter();
        let groups: Vec<Thresholds> = groups
            .map(|group| self.thresholds(group.len()))
            .collect::<Result<_, _>>()?;
        let dealers: usize = groups.iter().map(|group| group.dealers_min()).sum();
        let expected = u16::try_from(dealers).unwrap_or(u16::MAX);
        if self.quorum != expected {
            let got = self.quorum;
            return Err(BrokenRule::Quorum { got, expected });
        }
        let honest = groups.iter().map(|group| group.honest()).min();
        let share = NoiseShare {
            honest: honest.expect("a roster of 4 has a group"),
            multiplicity: self.multiplicity,
        };
        Ok((groups, share))
    }

    fn check_standing(&self, standing: &Standing) -> Result<(), BrokenRule> {
        let (default, max) = (standing.urho_question_default, standing.urho_question_max);
        if !(MicroRho(1)..=max).contains(&default)
            || max > standing.urho_max
            || standing.urho_max.0 > URHO_MAX
        {
            return Err(BrokenRule::Range {
                what: "price of a question by default",
                got: default.0,
                expected: "1 to the price of one question, that at most the price of all, that at most 2^40",
            });
        }
        // A question that names no price costs the default in each attempt, and sets all attempts aside.
        let attempts = self.attempts_max.into();
        if default.checked_mul(attempts).is_none_or(|all| all > max) {
            return Err(BrokenRule::Range {
                what: "price of a question by default",
                got: default.0,
                expected: "with all its attempts at most the price of one question",
            });
        }
        let (share, all) = (standing.urho_share, standing.urho_max);
        if !(MicroRho(1)..=all).contains(&share) {
            return Err(BrokenRule::Range {
                what: "share of one analyst",
                got: share.0,
                expected: "1 to the price of all questions",
            });
        }
        let tables = standing.tables.len();
        let rising = standing.tables.windows(2).all(|pair| pair[0] < pair[1]);
        if !(1..=PUBLISHED_TABLES_MAX).contains(&tables) || !rising {
            return Err(BrokenRule::Range {
                what: "number of tables",
                got: tables as u64,
                expected: "1 to 64, strictly rising by name",
            });
        }
        Ok(())
    }

    fn check_round(
        &self,
        index: usize,
        round: &RoundTerms,
        share: NoiseShare,
    ) -> Result<(), BrokenRule> {
        let range = |what, got, expected| {
            Err(BrokenRule::Range {
                what,
                got,
                expected,
            })
        };
        if !(1..=CELLS_MAX as u32).contains(&round.cells_max) {
            return range("cells_max", round.cells_max.into(), "1 to 2^20");
        }
        let sum_abs = self.customers_max.checked_mul(round.cell_abs_max.into());
        if sum_abs.is_none_or(|sum| sum > SUM_ABS_MAX) || round.cell_abs_max == 0 {
            return range(
                "cell_abs_max",
                round.cell_abs_max.into(),
                "at most 2^50 / customers_max",
            );
        }
        let (delta_sq, urho) = (round.delta_sq, round.urho);
        let expected = share.scale(delta_sq, urho).ok_or(BrokenRule::Scale {
            round: index,
            delta_sq,
            urho,
        })?;
        if round.sigma_share != expected {
            return Err(BrokenRule::Sigma {
                round: index,
                got: round.sigma_share,
                expected,
            });
        }
        Ok(())
    }

    fn check_cap(&self) -> Result<(), BrokenRule> {
        let unreachable = MicroRho(u64::MAX);
        let parts = [Part::Training, Part::HoldOut, Part::Everyone]
            .map(|part| self.part_price(part).unwrap_or(unreachable));
        let needed = parts.into_iter().max().unwrap_or(unreachable);
        if self.urho_cap < needed || self.urho_cap.0 > URHO_MAX {
            return Err(BrokenRule::Cap {
                cap: self.urho_cap,
                needed,
            });
        }
        Ok(())
    }
}

fn in_range(
    what: &'static str,
    got: u64,
    low: u64,
    high: u64,
    expected: &'static str,
) -> Result<(), BrokenRule> {
    if (low..=high).contains(&got) {
        return Ok(());
    }
    Err(BrokenRule::Range {
        what,
        got,
        expected,
    })
}

/// A record stays below 4 MiB, and all records of a member travel in one message.
fn check_shares(round: usize, cells: u32, group: Thresholds) -> Result<(), BrokenRule> {
    let (members, blocks) = (group.members(), group.blocks(cells as usize));
    let bytes = SHARES_HEAD_BYTES + (members - 1) * (8 * blocks + SHARE_HEAD_BYTES);
    if blocks <= SHARING_BLOCKS_MAX && bytes <= SHARES_BYTES_MAX {
        return Ok(());
    }
    Err(BrokenRule::Shares {
        round,
        cells,
        members,
        blocks,
        bytes,
    })
}

/// Attempt, roster and count before the records.
const SHARES_HEAD_BYTES: usize = 72;
/// Index, length and authenticator of a record.
const SHARE_HEAD_BYTES: usize = 26;

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
