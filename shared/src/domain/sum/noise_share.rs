//! What each node's noise is a share of: the numbers beside reach and price that fix its scale.

use super::sigma_share;
use crate::base::units::MicroRho;

/// How many honest shares make up the noise that a price pays for, and how many copies of a customer it must cover.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoiseShare {
    /// h: honest shares that are certain in every released sum.
    pub honest: u16,
    /// m: copies of one customer under one noise.
    pub multiplicity: u16,
}

impl NoiseShare {
    /// node-noise: each node adds the whole noise for its own copy of a customer.
    pub const OWN: Self = Self {
        honest: 1,
        multiplicity: 1,
    };

    /// Scale of one node's discrete Gaussian ([`sigma_share`]).
    ///
    /// # Privacy
    ///
    /// `honest` such shares together make the sum `urho`-zCDP for a customer with `multiplicity` copies in it.
    #[must_use]
    pub fn scale(self, delta_sq: u64, urho: MicroRho) -> Option<u64> {
        sigma_share(delta_sq, self.multiplicity, self.honest, urho)
    }

    /// What a customer with `multiplicity` copies loses if each copy is protected by its own node's noise alone:
    /// `h·urho/m`, rounded up. `None` where it does not fit.
    ///
    /// # Privacy
    ///
    /// The floor: it holds even if everybody else colludes, or the encryption breaks. One share alone is
    /// `h·urho/m²`-zCDP for one copy, and the noises of m nodes are independent.
    #[must_use]
    pub fn floor(self, urho: MicroRho) -> Option<MicroRho> {
        let whole = urho.checked_mul(self.honest.into())?;
        let copies = u64::from(self.multiplicity.max(1));
        Some(MicroRho(whole.0.div_ceil(copies)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_share_of_five_has_a_fifth_of_the_variance() {
        let of_five = NoiseShare {
            honest: 5,
            multiplicity: 1,
        };
        assert_eq!(of_five.scale(851_968, MicroRho(3_361)), Some(5_035));
        assert_eq!(
            NoiseShare::OWN.scale(851_968, MicroRho(3_361)),
            Some(11_259)
        );
        let twice = NoiseShare {
            multiplicity: 2,
            ..of_five
        };
        assert_eq!(twice.scale(851_968, MicroRho(3_361)), Some(10_070));
    }

    #[test]
    fn the_floor_is_what_one_share_gives() {
        let share = |honest, multiplicity| NoiseShare {
            honest,
            multiplicity,
        };
        assert_eq!(share(5, 1).floor(MicroRho(24_355)), Some(MicroRho(121_775)));
        assert_eq!(share(5, 2).floor(MicroRho(24_355)), Some(MicroRho(60_888)));
        assert_eq!(NoiseShare::OWN.floor(MicroRho(7)), Some(MicroRho(7)));
        assert_eq!(share(5, 1).floor(MicroRho(u64::MAX)), None);
    }
}
