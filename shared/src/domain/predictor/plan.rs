//! The additive study as a list of private sums: reach, price and scale of each.

use super::arithmetic::{COUNT, EVALUATION_BINS, Q};
use crate::base::units::{Epsilon, MicroRho};
use crate::domain::sum::{NoiseShare, Part, RoundTerms};

/// Residual rounds of a study.
pub const RESIDUAL_ROUNDS: u16 = 8;
/// Share of the price that goes to the counting round, in hundredths.
const COUNTING_HUNDREDTHS: u64 = 12;
/// Residual bound up to epsilon 1: clipping costs less than the noise that it saves.
pub const CLIP_TIGHT: u32 = 3_072;
/// Residual bound above epsilon 1: no clipping.
pub const CLIP_WIDE: u32 = 4_096;

/// A feature column as the plan sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shape {
    /// Numeric: bins are neighbours. Otherwise a list of levels.
    pub ordered: bool,
    /// Fine cells, the one for *missing* (or *not in the list*) included.
    pub cells: usize,
}

/// The residual bound for a study's epsilon.
#[must_use]
pub fn clip_for(epsilon: Epsilon) -> u32 {
    if epsilon.get() <= 1.0 {
        CLIP_TIGHT
    } else {
        CLIP_WIDE
    }
}

/// Standard deviation of the whole noise in a cell of a released sum, in the sum's integers: every update brought its own.
#[must_use]
pub fn total_sigma(sigma_share: u64, updates: u32) -> f64 {
    sigma_share as f64 * f64::from(updates).sqrt()
}

/// All rounds of an additive study: counts, residuals, evaluation. `share` says what each node's noise is a share of.
///
/// `None` where the price is too small or too large for scales within limits, or where there is no feature.
///
/// # Privacy
///
/// One customer adds one vector per round of its part; `delta_sq` is the largest sum of squares of that vector, and every
/// node enforces it by clamping. The evaluation reads other customers than the rounds before it.
#[must_use]
pub fn additive_rounds(
    shapes: &[Shape],
    urho: MicroRho,
    clip: u32,
    residual_rounds: u16,
    share: NoiseShare,
) -> Option<Vec<RoundTerms>> {
    let features = u64::try_from(shapes.len())
        .ok()
        .filter(|features| *features > 0)?;
    let rounds = u64::from(residual_rounds);
    if rounds == 0 || !(1..=Q as u32).contains(&clip) {
        return None;
    }
    let cells = shapes.iter().map(|shape| shape.cells).sum::<usize>();
    let counting = urho.checked_mul(COUNTING_HUNDREDTHS)?.0 / 100;
    let residual = urho.checked_mul(100 - COUNTING_HUNDREDTHS)?.0 / (100 * rounds);
    let round = |part, cells: usize, abs: u32, columns: u64, price: u64| {
        let (delta_sq, urho) = (columns * u64::from(abs).pow(2), MicroRho(price));
        let sigma_share = share.scale(delta_sq, urho)?;
        let cells_max = u32::try_from(cells).ok()?;
        Some(RoundTerms {
            part,
            cells_max,
            cell_abs_max: abs,
            delta_sq,
            urho,
            sigma_share,
        })
    };
    let training = |abs, price| round(Part::Training, cells, abs, features, price);
    let mut plan = vec![training(COUNT as u32, counting)?];
    plan.push(training(clip.min(Q as u32 / 2), residual)?);
    for _ in 1..residual_rounds {
        plan.push(training(clip, residual)?);
    }
    plan.push(round(
        Part::HoldOut,
        2 * EVALUATION_BINS,
        COUNT as u32,
        1,
        urho.0,
    )?);
    Some(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(shapes: &[Shape], urho: MicroRho, share: NoiseShare) -> Option<Vec<RoundTerms>> {
        additive_rounds(shapes, urho, CLIP_TIGHT, RESIDUAL_ROUNDS, share)
    }

    #[test]
    fn the_published_plan_of_telco() {
        let shapes = [Shape {
            ordered: true,
            cells: 65,
        }; 19];
        let plan = rounds(&shapes, MicroRho(24_355), NoiseShare::OWN).unwrap();
        let prices: Vec<u64> = plan.iter().map(|round| round.urho.0).collect();
        assert_eq!(
            prices,
            [
                2_922, 2_679, 2_679, 2_679, 2_679, 2_679, 2_679, 2_679, 2_679, 24_355
            ]
        );
        let reach: Vec<u64> = plan.iter().map(|round| round.delta_sq).collect();
        assert_eq!(
            (reach[0], reach[1], reach[2], reach[9]),
            (1_245_184, 79_691_776, 179_306_496, 65_536)
        );
    }

    #[test]
    fn shared_noise_changes_scales_alone() {
        let shapes = [Shape {
            ordered: true,
            cells: 65,
        }; 19];
        let shared = NoiseShare {
            honest: 5,
            multiplicity: 1,
        };
        let own = rounds(&shapes, MicroRho(24_355), NoiseShare::OWN).unwrap();
        let shared = rounds(&shapes, MicroRho(24_355), shared).unwrap();
        assert_eq!(shared[0].sigma_share, 6_528);
        for (own, shared) in own.iter().zip(&shared) {
            assert!(5 * shared.sigma_share.pow(2) >= own.sigma_share.pow(2) - 2 * own.sigma_share);
            let sigma_share = own.sigma_share;
            assert_eq!(
                RoundTerms {
                    sigma_share,
                    ..*shared
                },
                *own
            );
        }
    }

    #[test]
    fn an_unaffordable_plan_is_none() {
        let shapes = [Shape {
            ordered: true,
            cells: 65,
        }];
        assert_eq!(rounds(&shapes, MicroRho(0), NoiseShare::OWN), None);
        assert_eq!(rounds(&shapes, MicroRho(1 << 40), NoiseShare::OWN), None);
        assert_eq!(rounds(&[], MicroRho(24_355), NoiseShare::OWN), None);
    }
}
