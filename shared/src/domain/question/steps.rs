//! A condition as a list of steps, so that decoding needs no recursion: each joint follows its parts.

use serde::{Deserialize, Serialize};

use super::Filter;
use crate::base::limits::{FILTER_DEPTH_MAX, TERMS_MAX};

/// One step; a joint takes that many parts from those before it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum Step {
    /// [`Filter::All`].
    All,
    /// [`Filter::Nothing`].
    Nothing,
    /// [`Filter::Levels`].
    Levels(u16, Vec<u16>),
    /// [`Filter::Ranges`].
    Ranges(u16, Vec<(i64, i64)>),
    /// [`Filter::Missing`].
    Missing(u16),
    /// [`Filter::Every`].
    Every(u8),
    /// [`Filter::Either`].
    Either(u8),
}

impl From<Filter> for Vec<Step> {
    fn from(filter: Filter) -> Self {
        let mut steps = Self::new();
        push(filter, &mut steps);
        steps
    }
}

fn push(filter: Filter, steps: &mut Vec<Step>) {
    let joint = |parts: &Vec<Filter>| u8::try_from(parts.len()).unwrap_or(u8::MAX);
    let step = match filter {
        Filter::All => Step::All,
        Filter::Nothing => Step::Nothing,
        Filter::Levels(column, places) => Step::Levels(column, places),
        Filter::Ranges(column, ranges) => Step::Ranges(column, ranges),
        Filter::Missing(column) => Step::Missing(column),
        Filter::Every(parts) => {
            let step = Step::Every(joint(&parts));
            parts.into_iter().for_each(|part| push(part, steps));
            step
        }
        Filter::Either(parts) => {
            let step = Step::Either(joint(&parts));
            parts.into_iter().for_each(|part| push(part, steps));
            step
        }
    };
    steps.push(step);
}

impl TryFrom<Vec<Step>> for Filter {
    type Error = &'static str;

    fn try_from(steps: Vec<Step>) -> Result<Self, Self::Error> {
        // Every joint has two parts or more, so there are fewer joints than conditions.
        if steps.len() >= 2 * TERMS_MAX {
            return Err("a condition has too many steps");
        }
        let mut parts: Vec<(usize, Self)> = Vec::new();
        for step in steps {
            let next = match step {
                Step::All => (0, Self::All),
                Step::Nothing => (0, Self::Nothing),
                Step::Levels(column, places) => (0, Self::Levels(column, places)),
                Step::Ranges(column, ranges) => (0, Self::Ranges(column, ranges)),
                Step::Missing(column) => (0, Self::Missing(column)),
                Step::Every(count) => joined(&mut parts, count, Self::Every)?,
                Step::Either(count) => joined(&mut parts, count, Self::Either)?,
            };
            parts.push(next);
        }
        match parts.pop() {
            Some((_, filter)) if parts.is_empty() => Ok(filter),
            _ => Err("a condition has parts that nothing joins"),
        }
    }
}

/// The last parts as one, with its depth.
fn joined(
    parts: &mut Vec<(usize, Filter)>,
    count: u8,
    join: fn(Vec<Filter>) -> Filter,
) -> Result<(usize, Filter), &'static str> {
    let start = parts.len().checked_sub(count.into());
    let start = start
        .filter(|_| count > 1)
        .ok_or("a joint has too few parts")?;
    let taken = parts.split_off(start);
    let depth = taken.iter().map(|(depth, _)| *depth).max().unwrap_or(0) + 1;
    if depth > FILTER_DEPTH_MAX {
        return Err("a condition is nested too deeply");
    }
    Ok((
        depth,
        join(taken.into_iter().map(|(_, part)| part).collect()),
    ))
}
