//! With noise off a sum is the plain sum of what the nodes brought, bit for bit: all sizes, one study each.
//!
//! The watchers hold every release against the plain sum; a size is exact where its sum is released and nothing is broken.

use aquifer_shared::domain::sum::TrustMode;
use aquifer_shared::protocol::aggregation::carries;

use super::faults::{Chosen, Profile};
use super::scenario::{Kind, NoiseChoice, Scenario, Wish};
use super::world::run;

/// What came of a size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The release is the plain sum.
    Exact,
    /// So many cells do not fit into the messages of so few members: such studies are refused.
    TooMany,
}

/// The sum of so many nodes with so many cells.
///
/// # Errors
///
/// What is wrong with the release, and the command that shows it again.
pub fn check(nodes: usize, cells: u32) -> Result<Verdict, String> {
    let wish = Wish {
        nodes: Some(nodes),
        cells: Some(cells),
        rounds: 1,
        trust: TrustMode::SharedNoise,
        noise: NoiseChoice::Zero,
        plan: Some(Kind::Synthetic),
        chosen: Chosen::ByRate(Profile::None, 1.0),
        ..Wish::default()
    };
    let scenario = Scenario::draw(SEED, &wish);
    let carried = |thresholds| carries(thresholds, cells as usize);
    if !scenario.thresholds().is_some_and(carried) {
        return Ok(Verdict::TooMany);
    }
    let history = run(&scenario);
    let again = wish.command(SEED);
    match history.violation {
        Some(violation) => Err(format!("{violation}: {again}")),
        None if history.released != 1 => Err(format!("no sum is released: {again}")),
        None => Ok(Verdict::Exact),
    }
}

/// Sizes of studies: one group from the smallest to the largest, and several.
pub const NODES: [usize; 10] = [4, 5, 6, 8, 12, 16, 33, 64, 128, 1_000];
/// Cells, to the most that a study may have.
pub const CELLS: [u32; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
/// The most cells of studies of several groups: the machine holds all groups at once.
pub const CELLS_OF_GROUPS_MAX: u32 = 1_000;
const SEED: u64 = 1;
