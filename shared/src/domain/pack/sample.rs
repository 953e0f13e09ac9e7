//! Decisions that an auditor's seed chooses: nobody who built the pack could know which.

use super::entry::raw;
use super::open::Pack;
use crate::base::hash::labelled;
use crate::base::ids::Hash32;
use crate::base::limits::{PACK_SAMPLE_MAX, PACK_SEED_BYTES_MAX};
use crate::domain::history::{Json, Kind};

/// A seed or a count that no sample has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a sample has a seed of 1 to {PACK_SEED_BYTES_MAX} bytes, and at most {PACK_SAMPLE_MAX} decisions"
)]
pub struct BadSample;

/// The decisions with the smallest `SHA-256(label ‖ root ‖ index ‖ seed)`, as the file of a sample lists them.
///
/// The root is that of the pack's last checkpoint: the pack was fixed before the seed was known, if it was given before.
///
/// # Errors
///
/// No seed, or too long a one; too many decisions.
pub fn sample(pack: &Pack, seed: &str, count: usize) -> Result<Json, BadSample> {
    let fits =
        (1..=PACK_SEED_BYTES_MAX).contains(&seed.len()) && (1..=PACK_SAMPLE_MAX).contains(&count);
    fits.then_some(()).ok_or(BadSample)?;
    let contents = &pack.contents;
    let root = contents
        .points
        .last()
        .map_or_else(Hash32::default, |point| point.checkpoint.root);
    let decisions = (contents.first..).zip(&contents.leaves);
    let decisions = decisions.filter(|(_, leaf)| raw::kind(leaf) == Kind::PolicyDecision.code());
    let mut ranked: Vec<(Hash32, u64)> = decisions
        .map(|(index, _)| {
            let parts: [&[u8]; 3] = [&root.0, &index.to_be_bytes(), seed.as_bytes()];
            (labelled("aquifer/pack/sample/v1", &parts), index)
        })
        .collect();
    let population = ranked.len() as u64;
    ranked.sort_unstable();
    let mut chosen: Vec<u64> = ranked
        .into_iter()
        .take(count)
        .map(|(_, index)| index)
        .collect();
    chosen.sort_unstable();
    Ok(Json::object([
        ("count", (count as u64).into()),
        (
            "indexes",
            Json::List(chosen.into_iter().map(Json::from).collect()),
        ),
        ("population", population.into()),
        ("root", root.to_string().into()),
        ("seed", seed.into()),
    ]))
}
