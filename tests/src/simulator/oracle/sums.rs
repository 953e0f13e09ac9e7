//! Releases: each is exactly the sum of what its members brought, noise included, nobody missing and nobody twice.
//!
//! Which noise vector a node's machine put into a secure sum cannot be seen from outside. Vectors are used in the order in
//! which they came, so there are one or two that it can be; a release must fit some choice of them, each used once ever.

use std::collections::HashMap;
use std::rc::Rc;

use aquifer_shared::base::ids::AttemptId;
use aquifer_shared::domain::sharing::P;

use super::Invariant;
use super::violation::Breach;
use crate::simulator::scenario::{Kind, NoiseChoice, Scenario};

/// What nodes brought.
#[derive(Debug)]
pub(super) struct Sums {
    kind: Kind,
    noise: NoiseChoice,
    nodes: Vec<Brought>,
    /// Sums of groups by round: members and cells of all so far.
    parts: HashMap<u32, (Vec<u32>, Vec<i64>)>,
}

type Vector = Rc<[i64]>;

#[derive(Debug, Default)]
struct Brought {
    /// Exact sums by attempt.
    exact: HashMap<AttemptId, Vector>,
    /// Noise that the node's machine was given and that is in no attempt yet, as far as is known.
    noise: Vec<Vector>,
    /// What may be the noise of an attempt.
    possible: HashMap<AttemptId, Vec<Vector>>,
    /// Exact sum plus noise where it was seen in the clear.
    noisy: HashMap<AttemptId, Vector>,
}

impl Sums {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            kind: scenario.kind,
            noise: scenario.wish.noise,
            nodes: (0..scenario.nodes).map(|_| Brought::default()).collect(),
            parts: HashMap::new(),
        }
    }

    pub(super) fn exact(&mut self, node: usize, attempt: AttemptId, sum: &[i64]) {
        self.nodes[node].exact.insert(attempt, sum.into());
    }

    pub(super) fn noise(&mut self, node: usize, noise: &[i64]) {
        self.nodes[node].noise.push(noise.into());
    }

    /// A node stopped: what its machine had in memory is gone.
    pub(super) fn stop(&mut self, node: usize) {
        self.nodes[node].noise.clear();
    }

    /// A node's update in the clear: exact sum plus one noise vector that was in no attempt before.
    pub(super) fn update(
        &mut self,
        node: usize,
        attempt: AttemptId,
        cells: &[i64],
    ) -> Result<(), Breach> {
        let brought = &mut self.nodes[node];
        if brought.noisy.contains_key(&attempt) {
            return Ok(());
        }
        let exact = brought
            .exact
            .get(&attempt)
            .filter(|_| self.kind == Kind::Additive);
        let at = |cell: usize| {
            exact
                .and_then(|exact| exact.get(cell))
                .copied()
                .unwrap_or(0)
        };
        let rest: Vec<i64> = cells
            .iter()
            .enumerate()
            .map(|(cell, noisy)| noisy - at(cell))
            .collect();
        let Some(used) = brought
            .noise
            .iter()
            .position(|noise| noise.starts_with(&rest))
        else {
            let what = format!("node {node} sends a sum with noise that it did not just draw");
            return Err(Breach(Invariant::NoReuse, what));
        };
        if self.noise == NoiseChoice::Seeded {
            brought.noise.drain(..=used);
        }
        brought.noisy.insert(attempt, cells.into());
        Ok(())
    }

    /// A node is ready in a secure sum: one of the vectors that it has is in it.
    pub(super) fn advert(&mut self, node: usize, attempt: AttemptId) {
        let brought = &mut self.nodes[node];
        brought.possible.insert(attempt, brought.noise.clone());
        // Whichever it is: what is in a later attempt comes after it.
        let used = usize::from(self.noise == NoiseChoice::Seeded && !brought.noise.is_empty());
        brought.noise.drain(..used);
    }

    /// A sum of these members is released.
    pub(super) fn release(
        &mut self,
        attempt: AttemptId,
        members: &[u32],
        cells: &[i64],
    ) -> Result<(), Breach> {
        let mut rest = cells.to_vec();
        let mut open = Vec::new();
        for member in members {
            let brought = &self.nodes[*member as usize];
            if let Some(noisy) = brought.noisy.get(&attempt) {
                subtract(&mut rest, noisy);
                continue;
            }
            let possible = brought
                .possible
                .get(&attempt)
                .filter(|possible| !possible.is_empty());
            let Some(possible) = possible else {
                let what =
                    format!("member {member} is in a released sum and brought nothing to it");
                return Err(Breach(Invariant::ExactSum, what));
            };
            if self.kind == Kind::Additive {
                subtract(
                    &mut rest,
                    brought.exact.get(&attempt).map_or(&[], |exact| exact),
                );
            }
            open.push((*member as usize, possible.clone()));
        }
        let Some(chosen) = choose(&mut rest, &open) else {
            let cell = rest.iter().position(|cell| *cell != 0).unwrap_or_default();
            let what = format!(
                "cell {cell} of a release is {} off the sum of what its members {members:?} brought",
                rest[cell]
            );
            return Err(Breach(Invariant::ExactSum, what));
        };
        for ((node, possible), choice) in open.iter().zip(chosen) {
            self.settle(*node, attempt, &possible[choice]);
        }
        Ok(())
    }

    /// The sum of one of several groups is released.
    pub(super) fn part(&mut self, round: u32, members: &[u32], cells: &[i64]) {
        let (all, sum) = self.parts.entry(round).or_default();
        all.extend(members);
        all.sort_unstable();
        sum.resize(cells.len(), 0);
        sum.iter_mut()
            .zip(cells)
            .for_each(|(sum, cell)| *sum += cell);
    }

    /// The sum of all groups of a round is released.
    pub(super) fn total(
        &mut self,
        round: u32,
        members: &[u32],
        cells: &[i64],
    ) -> Result<(), Breach> {
        let expected = self.parts.remove(&round);
        if expected.is_some_and(|(all, sum)| all == members && sum == cells) {
            return Ok(());
        }
        let what = format!("the release of round {round} is not the sum of its groups");
        Err(Breach(Invariant::ExactSum, what))
    }

    /// This vector was in a released sum: it and those before it may never be used again.
    fn settle(&mut self, node: usize, attempt: AttemptId, used: &Vector) {
        let brought = &mut self.nodes[node];
        brought.exact.remove(&attempt);
        brought.possible.remove(&attempt);
        if self.noise == NoiseChoice::Zero {
            return;
        }
        let at = brought
            .noise
            .iter()
            .position(|noise| Rc::ptr_eq(noise, used));
        brought.noise.drain(..at.map_or(0, |at| at + 1));
        for possible in brought.possible.values_mut() {
            possible.retain(|noise| !Rc::ptr_eq(noise, used));
        }
    }
}

/// A choice of one vector for each node that leaves nothing of `rest`; what the first choice leaves is in `rest` if there is none.
fn choose(rest: &mut [i64], open: &[(usize, Vec<Vector>)]) -> Option<Vec<usize>> {
    open.iter()
        .for_each(|(_, possible)| subtract(rest, &possible[0]));
    let mut chosen = vec![0; open.len()];
    if is_zero(rest) {
        return Some(chosen);
    }
    // Rarely more than a handful of nodes have a choice at all.
    let doubtful: Vec<usize> = (0..open.len()).filter(|at| open[*at].1.len() > 1).collect();
    let doubtful = &doubtful[..doubtful.len().min(DOUBTFUL_MAX)];
    let first = |vector: &Vector| vector.first().copied().unwrap_or(0);
    let mut left = rest[0];
    loop {
        // The next choice in counting order, the first cell kept up to date.
        let mut carry = true;
        for at in doubtful {
            let possible = &open[*at].1;
            left += first(&possible[chosen[*at]]);
            chosen[*at] = (chosen[*at] + 1) % possible.len();
            left -= first(&possible[chosen[*at]]);
            if chosen[*at] != 0 {
                carry = false;
                break;
            }
        }
        if carry {
            return None;
        }
        if left % P as i64 == 0 && fits(rest, open, &chosen) {
            return Some(chosen);
        }
    }
}

fn fits(rest: &[i64], open: &[(usize, Vec<Vector>)], chosen: &[usize]) -> bool {
    let mut rest = rest.to_vec();
    for ((_, possible), choice) in open.iter().zip(chosen) {
        let cells = rest.iter_mut().enumerate();
        let at = |vector: &Vector, cell: usize| vector.get(cell).copied().unwrap_or(0);
        cells.for_each(|(cell, left)| {
            *left += at(&possible[0], cell) - at(&possible[*choice], cell)
        });
    }
    is_zero(&rest)
}

fn subtract(rest: &mut [i64], vector: &[i64]) {
    let both = rest.iter_mut().zip(vector);
    both.for_each(|(cell, part)| *cell = cell.wrapping_sub(*part));
}

/// Nothing is left but whole turns around the field, as vectors beyond any honest one make them.
fn is_zero(rest: &[i64]) -> bool {
    rest.iter().all(|cell| cell % P as i64 == 0)
}

/// Nodes whose vector may be another than the oldest one.
const DOUBTFUL_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(cells: [i64; 2]) -> Vector {
        cells.into()
    }

    #[track_caller]
    fn check(cells: [i64; 2], open: &[&[[i64; 2]]], expected: Option<&[usize]>) {
        let possible = |of: &&[[i64; 2]]| of.iter().map(|cells| vector(*cells)).collect();
        let open: Vec<(usize, Vec<Vector>)> = open.iter().map(possible).enumerate().collect();
        assert_eq!(choose(&mut cells.to_vec(), &open).as_deref(), expected);
    }

    #[test]
    fn the_oldest_vectors_are_tried_first_and_others_after_them() {
        check([3, 30], &[&[[1, 10]], &[[2, 20], [5, 5]]], Some(&[0, 0]));
        check([6, 15], &[&[[1, 10]], &[[2, 20], [5, 5]]], Some(&[0, 1]));
        check(
            [9, 8],
            &[&[[1, 10], [4, 3]], &[[2, 20], [5, 5]]],
            Some(&[1, 1]),
        );
    }

    #[test]
    fn no_choice_fits_a_wrong_sum() {
        check([7, 15], &[&[[1, 10]], &[[2, 20], [5, 5]]], None);
        check([6, 16], &[&[[1, 10]], &[[2, 20], [5, 5]]], None);
        check([1, 1], &[], None);
    }
}
