//! A small seeded generator, so that every made-up customer is the same on every machine and in every version.

/// SplitMix64 (Steele, Lea and Flood 2014): a counter and a mixing function. For test data only, never for noise that protects.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// A generator of its own for a seed and a stream number.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut mixed = Self(seed);
        let start = mixed.next_u64();
        Self(start ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.uniform()).ln()
    }

    /// Poisson with this (small) mean (Knuth's product of uniforms).
    pub fn poisson(&mut self, mean: f64) -> u32 {
        let floor = (-mean).exp();
        let (mut count, mut product) = (0, self.uniform());
        while product > floor {
            product *= self.uniform();
            count += 1;
        }
        count
    }

    /// Index drawn in proportion to the weights.
    pub fn pick(&mut self, weights: &[f64]) -> usize {
        let mut left = self.uniform() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_what_follows() {
        let mut known = Seeded(1_234_567);
        assert_eq!(known.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(known.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn moments_are_right() {
        // Seeded, so there is no false alarm: the figures are the same on every run.
        let mut random = Seeded::new(7, 0);
        let draws: Vec<f64> = (0..20_000).map(|_| random.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let square = draws.iter().map(|draw| draw * draw).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (square - 1.0).abs() < 0.05);
        let counts: u32 = (0..20_000).map(|_| random.poisson(1.5)).sum();
        assert!((f64::from(counts) / 20_000.0 - 1.5).abs() < 0.05);
    }
}
