//! Noise and accounting by OpenDP: the discrete Gaussian that nodes add, its privacy map, and what rho means in (epsilon, delta).
//!
//! The source of randomness is OpenSSL's private generator and cannot be seeded. Nothing here spends or remembers budget.

use opendp::combinators::ConcentratedMeasure;
use opendp::core::Measurement;
use opendp::domains::{AtomDomain, VectorDomain};
use opendp::error::{Error, Fallible};
use opendp::measurements::make_gaussian;
use opendp::measures::{PrivacyProfile, ZeroConcentratedDivergence};
use opendp::metrics::L2Distance;

use super::remembered::Remembered;
use crate::base::limits::{CELLS_MAX, DELTA_SQ_MAX, SIGMA_MAX, SIGMA_MIN};
use crate::base::units::{Delta, Epsilon, MicroRho};
use crate::domain::sum::{NoiseShare, RoundTerms, StudyTerms};

/// Where noise comes from: OpenDP in every program, recorded or zero vectors in tests only.
pub trait Noise: Send {
    /// `cells` independent draws from the discrete Gaussian of this scale.
    ///
    /// # Privacy
    ///
    /// A vector that is added to an exact sum must be used for that sum alone.
    ///
    /// # Errors
    ///
    /// A scale or a length outside the product's limits, or a source that failed: nothing may be sent then.
    fn draw(&mut self, sigma: u64, cells: usize) -> Result<Vec<i64>, NoiseFault>;
}

/// OpenDP's exact sampler on the operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenDpNoise;

/// Noise could not be drawn, or a price does not cover its noise.
#[derive(Debug, thiserror::Error)]
pub enum NoiseFault {
    /// A scale outside the limits.
    #[error("the noise scale is {got}, expected {SIGMA_MIN} to 2^36")]
    Scale {
        /// Found.
        got: u64,
    },
    /// A vector outside the limits.
    #[error("{got} cells of noise, expected 1 to {CELLS_MAX}")]
    Cells {
        /// Found.
        got: usize,
    },
    /// A squared reach outside the limits.
    #[error("the squared reach of a customer is {got}, expected 1 to 2^48")]
    Reach {
        /// Found.
        got: u64,
    },
    /// The sampler or its privacy map failed.
    #[error("the noise library failed ({reason})")]
    Library {
        /// Its kind of error, without values.
        reason: String,
    },
    /// The library's own map charges more than the plan.
    #[error(
        "round {round} is priced {price}: one node's noise may cost rho {ceiling:e} by itself, the noise library's map \
         gives {map:e}"
    )]
    Underpriced {
        /// Which round, from 0.
        round: usize,
        /// The plan's price.
        price: MicroRho,
        /// What the price allows to one node's noise, as rho.
        ceiling: f64,
        /// The library's price, as rho.
        map: f64,
    },
    /// Tolerances that do not fit the roster.
    #[error("the study's tolerances leave no honest noise")]
    NoHonestNoise,
}

type Gaussian = Measurement<
    VectorDomain<AtomDomain<i64>>,
    L2Distance<f64>,
    ZeroConcentratedDivergence,
    Vec<i64>,
>;

impl Noise for OpenDpNoise {
    fn draw(&mut self, sigma: u64, cells: usize) -> Result<Vec<i64>, NoiseFault> {
        if !(1..=CELLS_MAX).contains(&cells) {
            return Err(NoiseFault::Cells { got: cells });
        }
        let drawn = gaussian(sigma)?.invoke(&vec![0; cells]).map_err(library)?;
        assert_eq!(drawn.len(), cells, "one draw per cell");
        Ok(drawn)
    }
}

/// rho of one release with this scale for customers of this squared reach, by OpenDP's own map, rounded up.
///
/// # Errors
///
/// Numbers outside the product's limits, or a failing map.
pub fn map_rho(sigma: u64, delta_sq: u64) -> Result<f64, NoiseFault> {
    if !(1..=DELTA_SQ_MAX).contains(&delta_sq) {
        return Err(NoiseFault::Reach { got: delta_sq });
    }
    MAPS.of((sigma, delta_sq), || {
        gaussian(sigma)?.map(&sqrt_up(delta_sq)).map_err(library)
    })
}

/// Checks with OpenDP's map that every round's price covers its noise.
///
/// # Privacy
///
/// One node's noise is a share: h of them together, for a customer with m copies in the sum, must cost no more than the
/// price, so one of them may cost `h·urho/m²` by itself. In node-noise h and m are 1.
///
/// # Errors
///
/// The first round whose map exceeds that by more than a relative 2^-40, or whose map fails; tolerances that do not fit.
pub fn check_charge(terms: &StudyTerms) -> Result<(), NoiseFault> {
    let share = terms.noise_share().ok_or(NoiseFault::NoHonestNoise)?;
    let mut seen: Option<RoundTerms> = None;
    for (index, round) in terms.rounds.iter().enumerate() {
        let known = seen.is_some_and(|last| {
            (last.sigma_share, last.delta_sq, last.urho)
                == (round.sigma_share, round.delta_sq, round.urho)
        });
        if !known {
            check_price(index, round, share)?;
            seen = Some(*round);
        }
    }
    Ok(())
}

fn check_price(index: usize, round: &RoundTerms, share: NoiseShare) -> Result<(), NoiseFault> {
    let map = map_rho(round.sigma_share, round.delta_sq)?;
    let copies = f64::from(share.multiplicity);
    let ceiling = f64::from(share.honest) * round.urho.as_rho() / (copies * copies);
    if map <= ceiling * (1.0 + MAP_TOLERANCE) {
        return Ok(());
    }
    Err(NoiseFault::Underpriced {
        round: index,
        price: round.urho,
        ceiling,
        map,
    })
}

/// Epsilon at this delta, by OpenDP, rounded up at the 4th decimal; infinite where it has no answer.
///
/// # Privacy
///
/// Everything released under `rho` together is (epsilon, delta)-differentially private (Canonne, Kamath, Steinke 2020).
#[must_use]
pub fn epsilon(rho: MicroRho, delta: Delta) -> f64 {
    if rho == MicroRho::ZERO {
        return 0.0;
    }
    let exact = EPSILONS.of((rho, delta.get().to_bits()), || {
        profile(rho).and_then(|profile| profile.epsilon(delta.get()))
    });
    exact.map_or(f64::INFINITY, |exact| (exact * 1e4).ceil() / 1e4)
}

/// The largest price whose (unrounded) epsilon at this delta is within the target; zero where not even 1 micro-rho is.
#[must_use]
pub fn largest_urho(target: Epsilon, delta: Delta) -> MicroRho {
    let within = |urho: u64| {
        let found = profile(MicroRho(urho)).and_then(|profile| profile.delta(target.get()));
        found.is_ok_and(|found| found <= delta.get())
    };
    let (mut low, mut high) = (0, EPSILON_URHO_MAX);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if within(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    MicroRho(low)
}

fn profile(rho: MicroRho) -> Fallible<PrivacyProfile> {
    ZeroConcentratedDivergence::convert(rho.as_rho())
}

fn gaussian(sigma: u64) -> Result<Gaussian, NoiseFault> {
    if !(SIGMA_MIN..=SIGMA_MAX).contains(&sigma) {
        return Err(NoiseFault::Scale { got: sigma });
    }
    let domain = VectorDomain::new(AtomDomain::<i64>::default());
    make_gaussian(domain, L2Distance::default(), sigma as f64, None).map_err(library)
}

/// The smallest double found that is not below the root; squares up to 2^48 are exact.
fn sqrt_up(square: u64) -> f64 {
    let root = (square as f64).sqrt();
    let whole = root as u64;
    if root.fract() == 0.0 && whole * whole == square {
        return root;
    }
    root.next_up()
}

fn library(error: Error) -> NoiseFault {
    NoiseFault::Library {
        reason: format!("{:?}", error.variant),
    }
}

/// Both are computed with big numbers, which takes longer than all the rest of a question.
static MAPS: Remembered<(u64, u64), f64> = Remembered::new();
static EPSILONS: Remembered<(MicroRho, u64), f64> = Remembered::new();

/// How far OpenDP's map may be above the integer price: its own outward rounding, nothing else.
const MAP_TOLERANCE: f64 = 1.0 / (1_u64 << 40) as f64;
/// Above any price whose epsilon is at most 64.
const EPSILON_URHO_MAX: u64 = 1 << 27;

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::domain::sum::sigma_share;

    #[track_caller]
    fn check_epsilon(urho: u64, expected: f64) {
        let delta = Delta::try_from(1e-5).unwrap();
        let found = epsilon(MicroRho(urho), delta);
        assert!(
            found >= expected && found < expected + 2e-4,
            "{urho}: {found}"
        );
    }

    #[test]
    fn a1_accountant_matches_reference_within_what_the_library_adds() {
        check_epsilon(125_000, 2.165_716);
        check_epsilon(500_000, 4.728_387);
        check_epsilon(30_560, 1.000_061);
        check_epsilon(30_556, 0.9999);
        check_epsilon(224_249, 2.9999);
    }

    #[test]
    fn published_floors() {
        // A study quoted at epsilon 1 with the usual tolerances of 4, 8, 16, 64 and 128 members.
        for (honest, expected) in [(2, 1.46), (5, 2.42), (10, 3.57), (40, 7.97), (80, 12.13)] {
            let found = epsilon(MicroRho(honest * 30_560), Delta::try_from(1e-5).unwrap());
            assert!((found - expected).abs() < 0.01, "{honest}: {found}");
        }
    }

    #[test]
    fn the_dearest_floor_has_an_epsilon() {
        let dearest = MicroRho(126 * EPSILON_URHO_MAX);
        let found = epsilon(dearest, Delta::try_from(1e-6).unwrap());
        assert!(found.is_finite() && found > dearest.as_rho(), "{found}");
    }

    #[test]
    fn nothing_spent_is_epsilon_zero() {
        assert_eq!(epsilon(MicroRho::ZERO, Delta::try_from(1e-6).unwrap()), 0.0);
    }

    #[derive(Deserialize)]
    struct Golden {
        rows: Vec<Row>,
    }

    #[derive(Deserialize)]
    struct Row {
        epsilon: f64,
        delta: f64,
        micro_rho: u64,
    }

    #[test]
    fn the_largest_price_is_the_published_one() {
        let golden: Golden =
            serde_json::from_str(include_str!("../../golden/accounting.json")).unwrap();
        assert_eq!(golden.rows.len(), 18);
        for row in golden.rows {
            let (target, delta) = (
                row.epsilon.try_into().unwrap(),
                row.delta.try_into().unwrap(),
            );
            let found = largest_urho(target, delta);
            assert_eq!(found, MicroRho(row.micro_rho), "{target:?} {delta:?}");
        }
    }

    #[track_caller]
    fn check_map(delta_sq: u64, urho: u64) {
        let sigma = sigma_share(delta_sq, 1, 1, MicroRho(urho)).unwrap();
        let map = map_rho(sigma, delta_sq).unwrap();
        let price = MicroRho(urho).as_rho();
        assert!(map <= price * (1.0 + MAP_TOLERANCE), "{map} {price}");
        assert!(map >= delta_sq as f64 / (2.0 * (sigma as f64).powi(2)));
    }

    #[test]
    fn the_integer_price_covers_the_librarys_map() {
        check_map(851_968, 3_361);
        check_map(65_536, 125_000);
        check_map(19 * 3_072 * 3_072, 2_679);
        check_map((1 << 48) - 1, 1_000_000);
        check_map(1 << 20, 1);
    }

    /// `Ok` with the smallest scale that the rule gives, `Underpriced` with less noise: by the whole distance to one fewer
    /// where the scale is small enough for the tolerance to see it.
    #[track_caller]
    fn check_priced(delta_sq: u64, urho: u64, share: NoiseShare) {
        let scale = share.scale(delta_sq, MicroRho(urho)).unwrap();
        let round = |sigma_share| RoundTerms {
            part: crate::domain::sum::Part::Training,
            cells_max: 10,
            cell_abs_max: 256,
            delta_sq,
            urho: MicroRho(urho),
            sigma_share,
        };
        check_price(0, &round(scale), share).unwrap();
        let less = check_price(0, &round(scale - 2), share);
        assert!(
            matches!(less, Err(NoiseFault::Underpriced { .. })),
            "{less:?}"
        );
    }

    #[test]
    fn too_little_noise_is_underpriced() {
        check_priced(65_536, 125_000, NoiseShare::OWN);
        for (honest, multiplicity) in [(2, 1), (5, 1), (80, 1), (5, 2), (1, 3), (80, 64)] {
            let share = NoiseShare {
                honest,
                multiplicity,
            };
            check_priced(851_968, 3_361, share);
            check_priced(19 * 3_072 * 3_072, 2_679, share);
        }
    }

    #[test]
    fn a_share_is_no_whole_noise() {
        let share = NoiseShare {
            honest: 5,
            multiplicity: 1,
        };
        let round = RoundTerms {
            part: crate::domain::sum::Part::Training,
            cells_max: 10,
            cell_abs_max: 256,
            delta_sq: 65_536,
            urho: MicroRho(10_000),
            sigma_share: share.scale(65_536, MicroRho(10_000)).unwrap(),
        };
        check_price(0, &round, share).unwrap();
        assert!(check_price(0, &round, NoiseShare::OWN).is_err());
    }

    #[test]
    fn draws_outside_the_limits_are_refused() {
        let mut noise = OpenDpNoise;
        assert!(matches!(
            noise.draw(15, 1),
            Err(NoiseFault::Scale { got: 15 })
        ));
        assert!(matches!(
            noise.draw(SIGMA_MAX + 1, 1),
            Err(NoiseFault::Scale { .. })
        ));
        assert!(matches!(noise.draw(16, 0), Err(NoiseFault::Cells { .. })));
        assert!(matches!(
            noise.draw(16, CELLS_MAX + 1),
            Err(NoiseFault::Cells { .. })
        ));
    }

    /// False-alarm rate at most 6e-10 in all: the discrete Gaussian is sub-Gaussian with variance proxy sigma² (Canonne, Kamath,
    /// Steinke 2020), so by Chernoff's bound the mean fails with probability at most 2·exp(-49/2) = 4.6e-11 and the variance with
    /// at most exp(-23.4) + exp(-25.7) = 7.6e-11 (t = 0.07, 20 000 draws); the chi-square over 20 classes passes 110 with
    /// probability at most exp(-28.8) = 3e-13. The source cannot be seeded.
    #[test]
    fn draws_follow_the_discrete_gaussian() {
        let (sigma, count) = (50_u64, 20_000_usize);
        let drawn = OpenDpNoise.draw(sigma, count).unwrap();
        let (scale, n) = (sigma as f64, count as f64);
        let mean = drawn.iter().sum::<i64>() as f64 / n;
        assert!(mean.abs() <= 7.0 * scale / n.sqrt(), "mean {mean}");
        let square = drawn.iter().map(|draw| draw * draw).sum::<i64>() as f64 / n;
        let ratio = square / (scale * scale);
        assert!((ratio - 1.0).abs() <= 0.07, "variance ratio {ratio}");
        assert!(chi_square(&drawn, scale) <= 110.0);
    }

    /// Chi-square statistic against exact class probabilities: classes of about equal weight, 20 in all.
    fn chi_square(drawn: &[i64], sigma: f64) -> f64 {
        let reach = (sigma * 12.0) as i64;
        let weight = |x: i64| (-(x as f64).powi(2) / (2.0 * sigma * sigma)).exp();
        let total: f64 = (-reach..=reach).map(weight).sum();
        let (mut statistic, mut mass, mut observed, mut classes) = (0.0, 0.0, 0_usize, 0);
        for x in -reach..=reach {
            mass += weight(x) / total;
            observed += drawn.iter().filter(|draw| **draw == x).count();
            if (mass >= 0.05 && classes < 19) || x == reach {
                let expected = mass * drawn.len() as f64;
                statistic += (observed as f64 - expected).powi(2) / expected;
                (mass, observed, classes) = (0.0, 0, classes + 1);
            }
        }
        statistic
    }
}
