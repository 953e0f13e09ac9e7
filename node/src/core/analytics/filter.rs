//! Which rows of a block count: a condition as a list of steps on masks, without a branch per row.

use std::ops::Range;

use aquifer_shared::domain::contract::published::Published;
use aquifer_shared::domain::question::Filter;

use super::codes::Codes;
use super::coding::{codes_between, missing_code};
use super::table::RowTable;

/// A condition, ready to run. Masks are 1 where a row counts, else 0.
pub(super) struct Sieve {
    steps: Vec<Step>,
    depth: usize,
}

/// What is done to a stack of masks.
enum Step {
    /// Pushes a mask of ones or zeros.
    All(bool),
    /// Pushes: rows whose code (below the list's length) is listed.
    Listed(usize, Vec<u8>),
    /// Pushes: rows whose code is in one of these closed ranges.
    Between(usize, Vec<(u64, u64)>),
    /// Joins the last masks: all of them.
    Every(usize),
    /// Joins the last masks: any of them.
    Either(usize),
}

/// Masks of one thread.
pub(super) struct Masks(Vec<Vec<u8>>);

impl Masks {
    /// The mask of the block that was sieved last.
    pub(super) fn kept(&self) -> &[u8] {
        &self.0[0]
    }

    /// The same, to take rows out of it.
    pub(super) fn kept_mut(&mut self) -> &mut [u8] {
        &mut self.0[0]
    }
}

impl Sieve {
    /// The question's condition; the caller has checked it against the table.
    pub(super) fn of(filter: &Filter, published: &Published) -> Self {
        let mut steps = Vec::new();
        let depth = compile(filter, published, &mut steps);
        Self { steps, depth }
    }

    /// Room for blocks of up to so many rows.
    pub(super) fn masks(&self, rows: usize) -> Masks {
        Masks(vec![Vec::with_capacity(rows); self.depth])
    }

    /// Runs the condition over some rows.
    pub(super) fn run(&self, table: &RowTable, rows: Range<usize>, masks: &mut Masks) {
        let mut height = 0;
        for step in &self.steps {
            match step {
                Step::All(_) | Step::Listed(..) | Step::Between(..) => {
                    let mask = &mut masks.0[height];
                    mask.clear();
                    mask.resize(rows.len(), 0);
                    step.fill(table, rows.clone(), mask);
                    height += 1;
                }
                Step::Every(count) => {
                    masks.join(height, *count, |mask, other| *mask &= other);
                    height -= count - 1;
                }
                Step::Either(count) => {
                    masks.join(height, *count, |mask, other| *mask |= other);
                    height -= count - 1;
                }
            }
        }
    }
}

impl Masks {
    fn join(&mut self, height: usize, count: usize, with: impl Fn(&mut u8, u8)) {
        let (first, others) = self.0[height - count..height].split_at_mut(1);
        for other in others {
            let pairs = first[0].iter_mut().zip(other.iter());
            pairs.for_each(|(mask, other)| with(mask, *other));
        }
    }
}

impl Step {
    fn fill(&self, table: &RowTable, rows: Range<usize>, mask: &mut [u8]) {
        match self {
            Self::All(all) => mask.fill(u8::from(*all)),
            Self::Listed(column, listed) => {
                let codes = table.codes(*column);
                codes.each(rows, |row, code| mask[row] = listed[code as usize]);
            }
            Self::Between(column, ranges) => {
                let codes = table.codes(*column);
                ranges
                    .iter()
                    .for_each(|range| within(codes, rows.clone(), *range, mask));
            }
            Self::Every(_) | Self::Either(_) => {}
        }
    }
}

fn within(codes: &Codes, rows: Range<usize>, (low, high): (u64, u64), mask: &mut [u8]) {
    let inside = |code: u64| u8::from((low..=high).contains(&code));
    codes.each(rows, |row, code| mask[row] |= inside(code));
}

/// Appends the steps of a condition; how many masks it needs at once.
fn compile(filter: &Filter, published: &Published, steps: &mut Vec<Step>) -> usize {
    let kind = |column: &u16| &published.columns[usize::from(*column)].kind;
    let mut join = |parts: &[Filter], step: fn(usize) -> Step| {
        let depths = parts
            .iter()
            .enumerate()
            .map(|(before, part)| before + compile(part, published, steps));
        let depth = depths.max().unwrap_or(1);
        steps.push(step(parts.len()));
        depth
    };
    match filter {
        Filter::Every(parts) => return join(parts, Step::Every),
        Filter::Either(parts) => return join(parts, Step::Either),
        Filter::All => steps.push(Step::All(true)),
        Filter::Nothing => steps.push(Step::All(false)),
        Filter::Levels(column, levels) => {
            let count = kind(column).levels().unwrap_or(0) as u16;
            let listed = (0..count).map(|level| u8::from(levels.contains(&level)));
            steps.push(Step::Listed(usize::from(*column), listed.collect()));
        }
        Filter::Ranges(column, ranges) => {
            let ranges = ranges
                .iter()
                .map(|range| codes_between(kind(column), *range));
            steps.push(Step::Between(usize::from(*column), ranges.collect()));
        }
        Filter::Missing(column) => {
            let missing = missing_code(kind(column)).map(|code| (code, code));
            steps.push(Step::Between(
                usize::from(*column),
                missing.into_iter().collect(),
            ));
        }
    }
    1
}
