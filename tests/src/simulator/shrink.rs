//! A failing history made small: fewer sums, fewer nodes, fewer cells, and only the faults without which it does not fail.

use std::collections::BTreeSet;

use super::faults::{Chosen, FaultId};
use super::oracle::Violation;
use super::scenario::{Scenario, Wish};
use super::world::{History, run};

/// What is left of a failing history.
#[derive(Clone, Debug, PartialEq)]
pub struct Shrunk {
    /// The seed.
    pub seed: u64,
    /// The smaller wish that still breaks the same promise.
    pub wish: Wish,
    /// How it is broken.
    pub violation: Violation,
    /// Histories that were run to find it.
    pub runs: usize,
}

struct Shrinker {
    seed: u64,
    best: Wish,
    violation: Violation,
    runs: usize,
    runs_max: usize,
}

/// Shrinks the history of a seed that broke a promise, with at most this many more histories.
///
/// The result breaks the same promise; it is the history itself where nothing smaller does.
#[must_use]
pub fn shrink(seed: u64, wish: &Wish, failed: &History, runs_max: usize) -> Option<Shrunk> {
    let violation = failed.violation.clone()?;
    let mut shrinker = Shrinker {
        seed,
        best: wish.clone(),
        violation,
        runs: 0,
        runs_max,
    };
    shrinker.fewer_rounds();
    let faults: Vec<FaultId> = failed.struck.clone();
    if shrinker.fails_with(|wish| wish.chosen = Chosen::Only(faults.iter().copied().collect())) {
        shrinker.fewer_faults();
        shrinker.fewer_nodes();
        shrinker.fewer_faults();
    }
    shrinker.fewer_rounds();
    shrinker.fails_with(|wish| wish.cells = Some(1));
    Some(Shrunk {
        seed,
        wish: shrinker.best,
        violation: shrinker.violation,
        runs: shrinker.runs,
    })
}

impl Shrinker {
    /// Whether a changed wish breaks the same promise; if so, it is the best one.
    fn fails_with(&mut self, change: impl FnOnce(&mut Wish)) -> bool {
        let mut wish = self.best.clone();
        change(&mut wish);
        if wish == self.best || self.runs >= self.runs_max {
            return false;
        }
        self.runs += 1;
        let history = run(&Scenario::draw(self.seed, &wish));
        let same = |violation: &Violation| violation.invariant == self.violation.invariant;
        let Some(violation) = history.violation.filter(same) else {
            return false;
        };
        // What did not strike is not part of it.
        if let Chosen::Only(ids) = &mut wish.chosen {
            let struck: BTreeSet<FaultId> = history.struck.into_iter().collect();
            ids.retain(|id| struck.contains(id));
        }
        (self.best, self.violation) = (wish, violation);
        true
    }

    fn fewer_rounds(&mut self) {
        // Not one by one: a study may have hundreds.
        let mut rounds = 1;
        while rounds < self.best.rounds {
            if self.fails_with(|wish| wish.rounds = rounds) {
                return;
            }
            rounds += rounds.div_ceil(2);
        }
    }

    fn fewer_nodes(&mut self) {
        let most = Scenario::draw(self.seed, &self.best).nodes;
        for nodes in 4..most {
            if self.fails_with(|wish| wish.nodes = Some(nodes)) {
                return;
            }
        }
    }

    /// Halves, quarters, and at last single faults are left out (Zeller and Hildebrandt 2002).
    fn fewer_faults(&mut self) {
        let mut parts = 2;
        while let Chosen::Only(ids) = &self.best.chosen {
            let all: Vec<FaultId> = ids.iter().copied().collect();
            if all.is_empty() || self.runs >= self.runs_max {
                return;
            }
            let size = all.len().div_ceil(parts);
            let smaller = all.chunks(size).any(|part| {
                let rest = all.iter().filter(|id| !part.contains(id));
                let rest = rest.copied().collect();
                self.fails_with(|wish| wish.chosen = Chosen::Only(rest))
            });
            if !smaller {
                if size == 1 {
                    return;
                }
                parts = (parts * 2).min(all.len());
            }
        }
    }
}
