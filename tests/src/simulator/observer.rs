//! What an adversary can compute from the shares and openings in its hands: decided by linear algebra over the field, not sampled.
//!
//! In one block every element that it holds is a linear form in the honest dealers' secrets and random values. Random values
//! are eliminated; the forms that are left are all that it learns. Knows the points of the published sharing; uses none of
//! the product's code for it but the field.

use std::collections::BTreeMap;

use aquifer_shared::domain::sharing::{Element, P};

/// The numbers of a sharing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Sharing {
    /// k: secrets in one polynomial.
    pub packed: usize,
    /// c: random values in one polynomial.
    pub random: usize,
}

/// An honest member's dealing: by whom, and the how-manieth of that member.
pub type Dealing = (u16, u16);

/// Something in the adversary's hands: the sum of some honest dealings at one member's point.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Form {
    /// The member whose point it is, from 1.
    pub at: u16,
    /// What is added up.
    pub of: Vec<Dealing>,
}

/// What the adversary learns about secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Learned {
    /// Nothing.
    Nothing,
    /// So many forms, each with equal weights on all of these dealers.
    OneSum {
        /// How many, at most k.
        forms: usize,
        /// The honest dealers.
        of: Vec<u16>,
    },
    /// Something else.
    More {
        /// How many forms.
        forms: usize,
        /// Why they are more than one sum.
        why: String,
    },
}

/// Decides what forms give away.
#[must_use]
pub fn learned(sharing: Sharing, forms: &[Form]) -> Learned {
    let (matrix, dealers) = Matrix::new(sharing, forms);
    let rest = matrix.without_randoms();
    judge(sharing, &rest, &dealers)
}

/// One row for each form; first a column for each random value, then one for each secret.
struct Matrix {
    randoms: usize,
    rows: Vec<Vec<Element>>,
}

impl Matrix {
    fn new(sharing: Sharing, forms: &[Form]) -> (Self, Vec<u16>) {
        let mut dealings: BTreeMap<Dealing, usize> = BTreeMap::new();
        let mut dealers: BTreeMap<u16, usize> = BTreeMap::new();
        for dealing in forms.iter().flat_map(|form| &form.of) {
            let next = dealings.len();
            dealings.entry(*dealing).or_insert(next);
            let next = dealers.len();
            dealers.entry(dealing.0).or_insert(next);
        }
        let (k, c) = (sharing.packed, sharing.random);
        let randoms = dealings.len() * c;
        let row = |form: &Form| {
            let weights = weights(sharing, form.at);
            let mut row = vec![Element::ZERO; randoms + dealers.len() * k];
            for dealing in &form.of {
                let (random, secret) = (dealings[dealing] * c, randoms + dealers[&dealing.0] * k);
                add(&mut row[secret..secret + k], &weights[..k]);
                add(&mut row[random..random + c], &weights[k..]);
            }
            row
        };
        let rows = forms.iter().map(row).collect();
        let mut order: Vec<(usize, u16)> =
            dealers.iter().map(|(dealer, at)| (*at, *dealer)).collect();
        order.sort_unstable();
        let dealers = order.into_iter().map(|(_, dealer)| dealer).collect();
        (Self { randoms, rows }, dealers)
    }

    /// A basis of the forms in secrets alone that the rows span.
    fn without_randoms(mut self) -> Vec<Vec<Element>> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let mut done = 0;
        let mut first_pure = None;
        for column in 0..columns {
            if column == self.randoms {
                first_pure = Some(done);
            }
            let pivot =
                (done..self.rows.len()).find(|row| self.rows[*row][column] != Element::ZERO);
            let Some(pivot) = pivot else { continue };
            self.rows.swap(done, pivot);
            self.clear_below(done, column);
            done += 1;
        }
        let first_pure = first_pure.unwrap_or(done);
        self.rows.truncate(done);
        let pure = self.rows.split_off(first_pure);
        pure.into_iter()
            .map(|row| row[self.randoms..].to_vec())
            .collect()
    }

    fn clear_below(&mut self, pivot: usize, column: usize) {
        let inverse = self.rows[pivot][column].inverse();
        let (head, below) = self.rows.split_at_mut(pivot + 1);
        let pivot = &head[pivot];
        for row in below {
            if row[column] == Element::ZERO {
                continue;
            }
            let factor = row[column] * inverse;
            for (cell, of_pivot) in row[column..].iter_mut().zip(&pivot[column..]) {
                *cell = *cell - factor * *of_pivot;
            }
        }
    }
}

/// Whether forms in secrets are one sum: each puts the same weights on every dealer that occurs at all.
fn judge(sharing: Sharing, forms: &[Vec<Element>], dealers: &[u16]) -> Learned {
    let k = sharing.packed;
    let Some(first) = forms.first() else {
        return Learned::Nothing;
    };
    let more = |why: String| Learned::More {
        forms: forms.len(),
        why,
    };
    if forms.len() > k {
        return more(format!("{} forms are known, one sum has {k}", forms.len()));
    }
    let occurs = |form: &[Element], at: usize| {
        form[at * k..][..k]
            .iter()
            .any(|cell| *cell != Element::ZERO)
    };
    let of: Vec<usize> = (0..dealers.len()).filter(|at| occurs(first, *at)).collect();
    for form in forms {
        let weights = &form[of[0] * k..][..k];
        for (at, dealer) in dealers.iter().enumerate() {
            let own = &form[at * k..][..k];
            let expected = if of.contains(&at) {
                weights
            } else {
                &[Element::ZERO; MEMBERS][..k]
            };
            if own != expected {
                return more(format!(
                    "a form weighs member {dealer} otherwise than member {}",
                    dealers[of[0]]
                ));
            }
        }
    }
    let mut of: Vec<u16> = of.into_iter().map(|at| dealers[at]).collect();
    of.sort_unstable();
    Learned::OneSum {
        forms: forms.len(),
        of,
    }
}

/// Weights of a polynomial's values at ω_1..ω_w (secrets first) in its value at a member's point (Lagrange); ω_j = p − j.
fn weights(sharing: Sharing, member: u16) -> Vec<Element> {
    let element = |value: u64| Element::new(value).expect("below p");
    let width = sharing.packed + sharing.random;
    let points: Vec<Element> = (1..=width as u64).map(|j| element(P - j)).collect();
    let target = element(member.into());
    let weight = |own: &Element| {
        let others = points.iter().filter(|point| *point != own);
        let (above, below) = others.fold((Element::ONE, Element::ONE), |(above, below), point| {
            (above * (target - *point), below * (*own - *point))
        });
        above * below.inverse()
    };
    points.iter().map(weight).collect()
}

fn add(row: &mut [Element], weights: &[Element]) {
    row.iter_mut()
        .zip(weights)
        .for_each(|(cell, weight)| *cell = *cell + *weight);
}

/// No packing is wider than a group.
const MEMBERS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    /// n, k, c of the usual tolerances.
    const SIZES: [(u16, usize, usize); 5] =
        [(4, 1, 1), (5, 1, 1), (8, 3, 1), (12, 4, 1), (16, 5, 2)];

    fn shares(members: u16, corrupt: &[u16]) -> Vec<Form> {
        let honest = (1..=members).filter(|member| !corrupt.contains(member));
        let of = |dealer| {
            corrupt.iter().map(move |at| Form {
                at: *at,
                of: vec![(dealer, 0)],
            })
        };
        honest.flat_map(of).collect()
    }

    fn openings(openers: &[u16], set: &[u16]) -> Vec<Form> {
        let of: Vec<Dealing> = set.iter().map(|dealer| (*dealer, 0)).collect();
        let open = |at: &u16| Form {
            at: *at,
            of: of.clone(),
        };
        openers.iter().map(open).collect()
    }

    fn colluders(members: u16, c: usize) -> Vec<u16> {
        (members - c as u16 + 1..=members).collect()
    }

    #[test]
    fn unopened_shares_tell_nothing() {
        for (n, k, c) in SIZES {
            let sharing = Sharing {
                packed: k,
                random: c,
            };
            assert_eq!(
                learned(sharing, &shares(n, &colluders(n, c))),
                Learned::Nothing,
                "{n}"
            );
        }
    }

    #[test]
    fn an_opened_set_tells_its_sum() {
        for (n, k, c) in SIZES {
            let (sharing, corrupt) = (
                Sharing {
                    packed: k,
                    random: c,
                },
                colluders(n, c),
            );
            let honest: Vec<u16> = (1..=n - c as u16).collect();
            let mut forms = shares(n, &corrupt);
            forms.extend(openings(&honest, &honest));
            let expected = Learned::OneSum {
                forms: k,
                of: honest,
            };
            assert_eq!(learned(sharing, &forms), expected, "{n}");
        }
    }

    #[test]
    fn one_colluder_more_than_provided_for_is_noticed() {
        for (n, k, c) in SIZES {
            let sharing = Sharing {
                packed: k,
                random: c,
            };
            let found = learned(sharing, &shares(n, &colluders(n, c + 1)));
            assert!(
                matches!(found, Learned::More { .. } | Learned::OneSum { .. }),
                "{n}: {found:?}"
            );
            assert!(
                !matches!(found, Learned::OneSum { of, .. } if of.len() > 1),
                "{n}"
            );
        }
    }

    #[test]
    fn two_sets_isolate_a_victim() {
        for (n, k, c) in SIZES {
            let (sharing, corrupt) = (
                Sharing {
                    packed: k,
                    random: c,
                },
                colluders(n, c),
            );
            let honest: Vec<u16> = (1..=n - c as u16).collect();
            let mut forms = shares(n, &corrupt);
            forms.extend(openings(&honest, &honest));
            forms.extend(openings(&honest, &honest[1..]));
            let found = learned(sharing, &forms);
            assert!(
                matches!(found, Learned::More { forms, .. } if forms == 2 * k),
                "{n}: {found:?}"
            );
        }
    }

    #[test]
    fn the_same_secret_dealt_twice_is_one_secret() {
        let sharing = Sharing {
            packed: 1,
            random: 1,
        };
        // Two dealings of one secret: one share of each tells nothing, two of either tell it.
        let form = |at, dealing| Form {
            at,
            of: vec![(1, dealing)],
        };
        assert_eq!(
            learned(sharing, &[form(2, 0), form(3, 1)]),
            Learned::Nothing
        );
        let found = learned(sharing, &[form(2, 0), form(3, 0)]);
        assert_eq!(
            found,
            Learned::OneSum {
                forms: 1,
                of: vec![1]
            }
        );
    }
}
