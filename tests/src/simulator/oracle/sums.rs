//! Releases: each is exactly the sum of what its members brought, noise included, nobody missing and nobody twice.

use std::collections::HashMap;

use aquifer_shared::base::ids::AttemptId;

use super::{Breach, Invariant};
use crate::simulator::scenario::{Kind, NoiseChoice, Scenario};

/// What nodes brought.
#[derive(Debug)]
pub(super) struct Sums {
    kind: Kind,
    noise: NoiseChoice,
    nodes: Vec<Brought>,
}

#[derive(Debug, Default)]
struct Brought {
    /// Exact sums by attempt.
    exact: HashMap<AttemptId, Vec<i64>>,
    /// Noise that the node's machine has and that is in no attempt yet.
    noise: Vec<Vec<i64>>,
    /// Exact sum plus noise, by attempt.
    noisy: HashMap<AttemptId, Vec<i64>>,
}

impl Sums {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            kind: scenario.kind,
            noise: scenario.wish.noise,
            nodes: (0..scenario.nodes).map(|_| Brought::default()).collect(),
        }
    }

    pub(super) fn exact(&mut self, node: usize, attempt: AttemptId, sum: &[i64]) {
        self.nodes[node].exact.insert(attempt, sum.to_vec());
    }

    pub(super) fn noise(&mut self, node: usize, noise: &[i64]) {
        self.nodes[node].noise.push(noise.to_vec());
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
        let zeros = vec![0; cells.len()];
        let exact = match self.kind {
            Kind::Synthetic => &zeros,
            Kind::Additive => brought.exact.get(&attempt).unwrap_or(&zeros),
        };
        let rest = cells.iter().zip(exact).map(|(noisy, exact)| noisy - exact);
        let rest: Vec<i64> = rest.collect();
        let used = brought.noise.iter().position(|noise| noise.starts_with(&rest));
        let Some(used) = used else {
            let what = format!("node {node} sends a sum with noise that it did not just draw");
            return Err(Breach(Invariant::NoReuse, what));
        };
        if self.noise == NoiseChoice::Seeded {
            brought.noise.drain(..=used);
        }
        brought.noisy.insert(attempt, cells.to_vec());
        Ok(())
    }

    /// A sum of these members is released.
    pub(super) fn release(
        &mut self,
        attempt: AttemptId,
        members: &[u32],
        cells: &[i64],
    ) -> Result<(), Breach> {
        let mut expected = vec![0_i64; cells.len()];
        for member in members {
            let noisy = self.nodes[*member as usize].noisy.get(&attempt);
            let Some(noisy) = noisy.filter(|noisy| noisy.len() == cells.len()) else {
                let what = format!("member {member} is in a released sum and brought nothing to it");
                return Err(Breach(Invariant::ExactSum, what));
            };
            let both = expected.iter_mut().zip(noisy);
            both.for_each(|(sum, noisy)| *sum += noisy);
        }
        let wrong = expected.iter().zip(cells).position(|(sum, cell)| sum != cell);
        let Some(wrong) = wrong else { return Ok(()) };
        let (found, sum) = (cells[wrong], expected[wrong]);
        let what = format!("cell {wrong} of a release is {found}, its members {members:?} sum to {sum}");
        Err(Breach(Invariant::ExactSum, what))
    }
}
