//! How many right guesses a claim allows: the binomial bound of one-run audits.
//!
//! Steinke, Nasr and Jagielski 2023: of r guesses about m independent fair coins, whoever sees the output of a program that is
//! (epsilon, delta)-private for adding or removing one customer gets more than v right with at most the chance that
//! Binomial(r, e^epsilon / (1 + e^epsilon)) does, and a term in delta. Whoever audits and whoever enters an audit compute it here.

/// A chance of this much, or less, that a true claim would give so many right guesses falsifies the claim.
pub const SIGNIFICANCE: f64 = 0.05;

/// What is claimed, and about how many coins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// The claimed epsilon.
    pub epsilon: f64,
    /// The claimed delta.
    pub delta: f64,
    /// m: coins that were thrown, guessed or not.
    pub canaries: usize,
}

impl Claim {
    /// The claim as a record says it.
    #[must_use]
    pub fn of_integers(epsilon_micro: u64, delta_pico: u64, canaries: usize) -> Self {
        Self {
            epsilon: epsilon_micro as f64 / MICRO,
            delta: delta_pico as f64 / PICO,
            canaries,
        }
    }

    /// The same in the integers of a record, so that whoever reads the record finds the same figures.
    #[must_use]
    pub fn rounded(self) -> Self {
        let (epsilon, delta) = (self.epsilon * MICRO, self.delta * PICO);
        Self::of_integers(epsilon.round() as u64, delta.round() as u64, self.canaries)
    }
}

/// The largest chance that the claim leaves to `correct` or more right of `guesses`, at most 1.
#[must_use]
pub fn chance(claim: Claim, guesses: usize, correct: usize) -> f64 {
    Guesses::of(claim, guesses).chance(claim, correct)
}

/// The smallest number of right guesses that falsifies the claim; `None` where not even all right do.
#[must_use]
pub fn threshold(claim: Claim, guesses: usize) -> Option<usize> {
    let table = Guesses::of(claim, guesses);
    // The chance falls from the most likely number on, and is far above the bound in front of it.
    let (mut least, mut most) = (0, guesses + 1);
    while least < most {
        let middle = usize::midpoint(least, most);
        if table.chance(claim, middle) <= SIGNIFICANCE {
            most = middle;
        } else {
            least = middle + 1;
        }
    }
    (least <= guesses).then_some(least)
}

/// Whether this is the largest epsilon, in whole millionths, that `correct` right of `guesses` falsify.
#[must_use]
pub fn is_falsified_up_to(
    claim: Claim,
    guesses: usize,
    correct: usize,
    epsilon_micro: u64,
) -> bool {
    let falsify = |micro: u64| {
        let epsilon = micro as f64 / MICRO;
        chance(Claim { epsilon, ..claim }, guesses, correct) <= SIGNIFICANCE
    };
    // A millionth to either side, as halving stops where doubles do.
    let holds = epsilon_micro == 0 || falsify(epsilon_micro - 1);
    holds && !falsify(epsilon_micro.saturating_add(2))
}

/// The largest epsilon that `correct` right of `guesses` falsify; 0 where they falsify none.
#[must_use]
pub fn falsified_up_to(claim: Claim, guesses: usize, correct: usize) -> f64 {
    let falsify = |epsilon| chance(Claim { epsilon, ..claim }, guesses, correct) <= SIGNIFICANCE;
    if !falsify(0.0) {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, EPSILON_MAX);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if falsify(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The largest epsilon that so many guesses could falsify: where all of them are right.
#[must_use]
pub fn ceiling(claim: Claim, guesses: usize) -> f64 {
    falsified_up_to(claim, guesses, guesses)
}

/// The binomial distribution of right guesses.
struct Guesses {
    /// Chance of exactly so many.
    masses: Vec<f64>,
    /// Chance of so many or more.
    tails: Vec<f64>,
}

impl Guesses {
    fn of(claim: Claim, guesses: usize) -> Self {
        let wrong = (-claim.epsilon).exp().ln_1p();
        let (ln_right, ln_wrong) = (-wrong, -claim.epsilon - wrong);
        let mut ways = 0.0;
        let mut masses = Vec::with_capacity(guesses + 1);
        for right in 0..=guesses {
            let missed = guesses - right;
            masses.push((ways + right as f64 * ln_right + missed as f64 * ln_wrong).exp());
            ways += (missed as f64).ln() - (right as f64 + 1.0).ln();
        }
        let mut tail = 0.0;
        let mut tails: Vec<f64> = masses
            .iter()
            .rev()
            .map(|mass| {
                tail += mass;
                tail
            })
            .collect();
        tails.reverse();
        Self { masses, tails }
    }

    /// The delta term: 2·m·delta times the largest mean chance of the i counts below `correct`, over all i.
    fn chance(&self, claim: Claim, correct: usize) -> f64 {
        let (mut below, mut largest) = (0.0, 0.0_f64);
        for (step, mass) in self.masses[..correct].iter().rev().enumerate() {
            below += mass;
            largest = largest.max(below / (step + 1) as f64);
        }
        let term = 2.0 * claim.canaries as f64 * claim.delta * largest;
        (self.tails[correct] + term).min(1.0)
    }
}

const MICRO: f64 = 1e6;
const PICO: f64 = 1e12;
/// No study states more.
const EPSILON_MAX: f64 = 64.0;
/// Of the range of epsilon, to the last bit of a double.
const HALVINGS: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn pure(epsilon: f64) -> Claim {
        Claim {
            epsilon,
            delta: 0.0,
            canaries: 0,
        }
    }

    #[track_caller]
    fn check_thresholds(epsilon: f64, expected: [Option<usize>; 3]) {
        let found = [100, 500, 1_000].map(|guesses| threshold(pure(epsilon), guesses));
        assert_eq!(found, expected);
    }

    #[test]
    fn r3_thresholds_are_the_published_ones() {
        check_thresholds(0.5, [Some(71), Some(330), Some(649)]);
        check_thresholds(1.0, [Some(81), Some(383), Some(755)]);
        check_thresholds(2.0, [Some(94), Some(453), Some(898)]);
        check_thresholds(3.0, [Some(99), Some(485), Some(964)]);
        check_thresholds(4.0, [None, Some(497), Some(990)]);
        check_thresholds(8.0, [None, None, None]);
    }

    #[track_caller]
    fn check_ceiling(guesses: usize, expected: &str) {
        assert_eq!(format!("{:.2}", ceiling(pure(0.0), guesses)), expected);
    }

    #[test]
    fn r3_ceilings_are_the_published_ones() {
        check_ceiling(50, "2.78");
        check_ceiling(100, "3.49");
        check_ceiling(200, "4.19");
        check_ceiling(500, "5.11");
        check_ceiling(1_000, "5.81");
        check_ceiling(2_000, "6.50");
    }

    #[test]
    fn a_fair_coin_falsifies_nothing() {
        assert_eq!(falsified_up_to(pure(0.0), 100, 50), 0.0);
        assert_eq!(ceiling(pure(0.0), 1), 0.0);
        assert!(chance(pure(1.0), 100, 0) >= 1.0 - 1e-12);
        assert_eq!(threshold(pure(64.0), 100), None);
    }

    /// The threshold that a look at every number gives.
    fn one_by_one(claim: Claim, guesses: usize) -> Option<usize> {
        let falsify = |correct: &usize| chance(claim, guesses, *correct) <= SIGNIFICANCE;
        (0..=guesses).rev().take_while(falsify).last()
    }

    #[test]
    fn halving_misses_no_threshold() {
        for guesses in [1, 2, 3, 40, 101, 250] {
            for (epsilon, delta) in [
                (0.0, 0.0),
                (0.3, 1e-5),
                (1.0, 1e-4),
                (2.0, 1e-6),
                (4.0, 0.01),
            ] {
                let claim = Claim {
                    epsilon,
                    delta,
                    canaries: 1_000,
                };
                let found = threshold(claim, guesses);
                assert_eq!(found, one_by_one(claim, guesses), "{claim:?} {guesses}");
                let all = (0..=guesses)
                    .filter(|correct| chance(claim, guesses, *correct) <= SIGNIFICANCE);
                assert_eq!(all.min(), found, "what is above falsifies too");
            }
        }
    }

    #[test]
    fn a_largest_epsilon_is_known_from_its_neighbours() {
        let claim = Claim {
            delta: 1e-6,
            canaries: 4_000,
            ..pure(1.0)
        };
        for correct in [200, 260, 383, 450, 500] {
            let largest = (falsified_up_to(claim, 500, correct) * 1e6).floor() as u64;
            assert!(is_falsified_up_to(claim, 500, correct, largest));
            assert!(!is_falsified_up_to(claim, 500, correct, largest + 3));
            assert!(largest < 3 || !is_falsified_up_to(claim, 500, correct, largest - 3));
        }
    }

    #[test]
    fn a_claim_in_integers_is_read_as_it_is_written() {
        let claim = Claim {
            epsilon: 1.0 / 3.0,
            delta: 1e-5 / 3.0,
            canaries: 7,
        };
        assert_eq!(claim.rounded(), Claim::of_integers(333_333, 3_333_333, 7));
        assert_eq!(claim.rounded().rounded(), claim.rounded());
    }

    #[test]
    fn delta_makes_a_claim_harder_to_falsify() {
        let claim = |delta| Claim {
            delta,
            canaries: 1_000,
            ..pure(1.0)
        };
        // By hand: two guesses, both right; P[0] = (1 − q)², P[1] = 2q(1 − q), the mean of both is larger than P[1] alone or not.
        let q = 1.0_f64.exp() / (1.0 + 1.0_f64.exp());
        let (none, one) = ((1.0 - q).powi(2), 2.0 * q * (1.0 - q));
        let expected = q * q + 2.0 * 1_000.0 * 1e-6 * one.max(f64::midpoint(none, one));
        assert!((chance(claim(1e-6), 2, 2) - expected).abs() < 1e-12);
        assert_eq!(threshold(claim(0.0), 100), Some(81));
        assert!(threshold(claim(1e-4), 100) > Some(81));
        assert_eq!(threshold(claim(0.01), 100), None);
    }
}
