//! What nodes bring: exact sums and noise, chosen so that a missing or doubled node shows in the digits of a result.
//!
//! A synthetic sum reads no customer: there the vector that stands for noise is all that a node brings, so where noise is off
//! it carries the digits.

use aquifer_shared::base::hash::sha256;
use aquifer_shared::domain::sum::Part;
use aquifer_shared::protocol::wire::TaskBody;

use super::scenario::{Kind, NoiseChoice, Scenario};
use crate::random::Seeded;

/// The `serial`-th noise vector of a node.
#[must_use]
pub fn noise(scenario: &Scenario, node: usize, serial: u64, sigma: u64, cells: usize) -> Vec<i64> {
    if scenario.wish.noise == NoiseChoice::Zero {
        return match scenario.kind {
            Kind::Synthetic => (0..cells).map(|cell| digit(node, cell)).collect(),
            Kind::Additive => vec![0; cells],
        };
    }
    let stream = (node as u64) << 32 | serial;
    // Where a synthetic sum has other customers, nodes bring other vectors.
    let customers = match scenario.kind {
        Kind::Synthetic => scenario.wish.customers,
        Kind::Additive => 0,
    };
    let mut random = Seeded::new(scenario.seed ^ customers << 40, !stream);
    let draw = |_| (random.normal() * sigma as f64).round() as i64;
    (0..cells).map(draw).collect()
}

/// The exact sum of a node's customers for a task of the additive plan; `cells` is its length.
#[must_use]
pub fn exact(
    scenario: &Scenario,
    node: usize,
    (round, part): (u32, Part),
    body: &TaskBody,
    cells: usize,
) -> Vec<i64> {
    // Plausible counts, so that the learner goes on; the digits are far below them.
    let base = match (body, part) {
        (TaskBody::Residuals(_), _) => 0,
        (_, Part::Training) => 1_000 * 256,
        (_, Part::HoldOut | Part::Everyone) => 100 * 256,
    };
    // Other customers live at two nodes; all nodes together have the same sums.
    let moved = match node {
        0 => scenario.wish.customers as i64,
        1 => -(scenario.wish.customers as i64),
        _ => 0,
    };
    let cell = |cell: usize| {
        let unit = 1 << (node % 16);
        base + unit * (1 + i64::from(round % 3)) + moved * (cell as i64 % 5)
    };
    (0..cells).map(cell).collect()
}

/// The `serial`-th 32 bytes that a node draws: never the same for any two.
#[must_use]
pub fn fresh(seed: u64, node: usize, serial: u64) -> [u8; 32] {
    let numbers = [seed, node as u64, serial, 0x0f5e_5b17];
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    sha256(&bytes).0
}

/// One bit for each node, another one in each cell; beyond 48 nodes every second cell holds a number of its own instead.
fn digit(node: usize, cell: usize) -> i64 {
    if node >= 48 || cell % 2 == 1 {
        let mut random = Seeded::new(node as u64, cell as u64);
        return (random.next_u64() >> 16) as i64;
    }
    1 << ((node + cell) % 48)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::scenario::Wish;

    #[test]
    fn digits_tell_nodes_apart() {
        for nodes in [4, 16, 48] {
            let sum: i64 = (0..nodes).map(|node| digit(node, 0)).sum();
            assert_eq!(sum, (1_i64 << nodes) - 1);
        }
        assert_ne!(digit(1, 0) + digit(1, 0), digit(1, 0) + digit(2, 0));
    }

    #[test]
    fn noise_is_new_every_time_and_the_same_for_a_seed() {
        let scenario = Scenario::draw(3, &Wish::default());
        let draw = |node, serial| noise(&scenario, node, serial, 1_000, 20);
        assert_eq!(draw(1, 1), draw(1, 1));
        assert_ne!(draw(1, 1), draw(1, 2));
        assert_ne!(draw(1, 1), draw(2, 1));
    }
}
