//! Normal numbers from a fixed seed, for asking how far noise alone moves a figure that was computed from a public release.
//!
//! Never for protecting anybody: noise that guards customers comes from the exact sampler at the node.

/// SplitMix64 (Steele, Lea, Flood 2014) through the Box-Muller transform.
pub(super) struct Normals {
    state: u64,
    spare: Option<f64>,
}

impl Normals {
    /// Always the same sequence.
    pub fn new() -> Self {
        Self {
            state: 0,
            spare: None,
        }
    }

    /// The next number, of mean 0 and deviation 1.
    pub fn draw(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let length = (-2.0 * self.uniform().ln()).sqrt();
        let angle = std::f64::consts::TAU * self.uniform();
        self.spare = Some(length * angle.sin());
        length * angle.cos()
    }

    /// The next number above 0 and at most 1.
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_normal() {
        let mut normals = Normals::new();
        let drawn: Vec<f64> = (0..20_000).map(|_| normals.draw()).collect();
        let moment = |power| drawn.iter().map(|x| x.powi(power)).sum::<f64>() / 20_000.0;
        assert!(moment(1).abs() < 0.03 && (moment(2) - 1.0).abs() < 0.04);
        assert!((moment(4) - 3.0).abs() < 0.25);
    }
}
