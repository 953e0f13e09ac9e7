//! What a sum of prices means in (epsilon, delta), in integers rounded against us.
//!
//! A search over the order, in floating point; the second verifier does the same in decimals of fifty digits and must end at the same integer.

/// The smallest integer of micro-epsilon that is not below what `rho_micro` means at `delta_pico`; 0 where nothing was spent.
///
/// # Privacy
///
/// For every order a > 1, rho-zCDP gives epsilon = a rho + (ln(1/delta) - ln a) / (a - 1) + ln(1 - 1/a) (Canonne, Kamath, Steinke
/// 2020, proposition 12). Each order gives a bound; the search takes the smallest.
#[must_use]
pub fn epsilon_micro(rho_micro: u64, delta_pico: u64) -> u64 {
    if rho_micro == 0 {
        return 0;
    }
    let rho = rho_micro as f64 / 1e6;
    let delta_log = (delta_pico.max(1) as f64 / 1e12).ln();
    // At order 1 + e^u.
    let bound = |u: f64| {
        let over = u.exp();
        let order = 1.0 + over;
        order * rho + (-delta_log - over.ln_1p()) / over - (1.0 / over).ln_1p()
    };
    let (mut low, mut high) = (-LOG_ORDER_MAX, LOG_ORDER_MAX);
    for _ in 0..STEPS {
        let third = (high - low) / 3.0;
        if bound(low + third) < bound(high - third) {
            high -= third;
        } else {
            low += third;
        }
    }
    (bound((low + high) / 2.0).max(0.0) * 1e6).ceil() as u64
}

/// Orders from 1 + 1e-17 to 1e17.
const LOG_ORDER_MAX: f64 = 40.0;
/// Until nothing is left between the ends.
const STEPS: u32 = 120;

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest integer that covers the reference: at epsilons from 1 on within 1e-6 of it, relative.
    #[track_caller]
    fn check_epsilon(rho_micro: u64, delta_pico: u64, reference: f64) {
        let found = epsilon_micro(rho_micro, delta_pico);
        assert_eq!(found, (reference * 1e6).ceil() as u64, "{rho_micro}");
        let relative = (found as f64 / 1e6 - reference) / reference;
        assert!(reference < 1.0 || relative < 1e-6, "{relative}");
    }

    /// Canonne, Kamath, Steinke 2020, proposition 12: the least bound, at the order where its derivative is 0, in decimals of 60 digits. The
    /// first two are the values that descriptions of zCDP print.
    #[test]
    fn a1_accountant_matches_reference() {
        check_epsilon(125_000, 10_000_000, 2.165_715_545_175);
        check_epsilon(500_000, 10_000_000, 4.728_386_984_943);
        check_epsilon(30_560, 10_000_000, 1.000_060_633_625);
        check_epsilon(1_000, 10_000_000, 0.157_335_393_161);
        check_epsilon(3_000_000, 10_000_000, 13.774_455_066_670);
        check_epsilon(125_000, 1_000_000, 2.419_093_176_867);
        check_epsilon(1_000_000, 1_000, 9.521_463_671_792);
        check_epsilon(100_000_000, 100, 194.024_020_821_524);
        check_epsilon(1, 1_000_000, 0.004_496_493_981);
        check_epsilon(0, 1_000_000, 0.0);
    }
}
