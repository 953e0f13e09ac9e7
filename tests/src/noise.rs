//! Twins of the shipped noise for tests: seeded, recorded, none. They exist in this crate only, so no shipped program can
//! switch its noise off.

use aquifer_shared::shell::noise::{Noise, NoiseFault};

use crate::random::Seeded;

/// Gaussian draws from a seed, rounded: the same on every run, protects nobody.
#[derive(Clone, Debug)]
pub struct SeededNoise(Seeded);

impl SeededNoise {
    /// The draws of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Seeded::new(seed, 0))
    }
}

impl Noise for SeededNoise {
    fn draw(&mut self, sigma: u64, cells: usize) -> Result<Vec<i64>, NoiseFault> {
        let draws = (0..cells).map(|_| (self.0.normal() * sigma as f64).round() as i64);
        Ok(draws.collect())
    }
}

/// Zeros: exact sums, for parity with golden vectors.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNoise;

impl Noise for NoNoise {
    fn draw(&mut self, _sigma: u64, cells: usize) -> Result<Vec<i64>, NoiseFault> {
        Ok(vec![0; cells])
    }
}

/// Given vectors, one for each draw.
#[derive(Clone, Debug)]
pub struct RecordedNoise(std::vec::IntoIter<Vec<i64>>);

impl RecordedNoise {
    /// The vectors in the order of the draws.
    #[must_use]
    pub fn new(vectors: Vec<Vec<i64>>) -> Self {
        Self(vectors.into_iter())
    }
}

impl Noise for RecordedNoise {
    /// # Panics
    ///
    /// If no vector is left, or the next one has another length: then the test asks for another study than was recorded.
    fn draw(&mut self, _sigma: u64, cells: usize) -> Result<Vec<i64>, NoiseFault> {
        let next = self.0.next().expect("a vector is left for this draw");
        assert_eq!(next.len(), cells, "length of a recorded vector");
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_draw_what_they_say() {
        assert_eq!(NoNoise.draw(16, 2).unwrap(), [0, 0]);
        assert_eq!(
            RecordedNoise::new(vec![vec![3, 4]]).draw(16, 2).unwrap(),
            [3, 4]
        );
        let draw = |seed| SeededNoise::new(seed).draw(1_000, 50).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).iter().all(|draw| draw.abs() < 6_000));
    }
}
