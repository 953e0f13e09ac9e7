//! Values of a polynomial at some points as a linear map of its values at others (Lagrange).

use super::field::{Element, P};

/// One row for each target, one column for each point that determines the polynomial.
#[derive(Debug)]
pub(super) struct Matrix {
    width: usize,
    entries: Vec<Element>,
}

impl Matrix {
    /// The map from values at `points` to values at `targets`; all of them are distinct.
    pub(super) fn lagrange(points: &[Element], targets: &[Element]) -> Self {
        let (width, weights) = (points.len(), weights(points));
        let mut entries = vec![Element::ZERO; targets.len() * width];
        // An entry is the product of all distances of its target but one: those before it times those after it. Targets
        // are the inner loop, so that no product waits for the one before it.
        let mut products = vec![Element::ONE; targets.len()];
        for (at, &point) in points.iter().enumerate() {
            let column = entries.iter_mut().skip(at).step_by(width);
            for ((entry, product), &target) in column.zip(&mut products).zip(targets) {
                *entry = *product * weights[at];
                *product = *product * (target - point);
            }
        }
        products.fill(Element::ONE);
        for (at, &point) in points.iter().enumerate().rev() {
            let column = entries.iter_mut().skip(at).step_by(width);
            for ((entry, product), &target) in column.zip(&mut products).zip(targets) {
                *entry = *entry * *product;
                *product = *product * (target - point);
            }
        }
        Self { width, entries }
    }

    /// The rows in the order of the targets.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[Element]> {
        self.entries.chunks_exact(self.width)
    }

    /// One row.
    pub(super) fn row(&self, target: usize) -> &[Element] {
        &self.entries[target * self.width..][..self.width]
    }
}

/// One value for each block: a row times the block's column of values, where `columns` holds one block after the other.
pub(super) fn times(row: &[Element], columns: &[Element], out: &mut [Element]) {
    debug_assert_eq!(columns.len(), row.len() * out.len());
    for (out, column) in out.iter_mut().zip(columns.chunks_exact(row.len())) {
        *out = dot(row, column);
    }
}

fn dot(row: &[Element], column: &[Element]) -> Element {
    if row.len() <= LAZY {
        return lazy_dot(row, column);
    }
    let parts = row.chunks(LAZY).zip(column.chunks(LAZY));
    parts.fold(Element::ZERO, |sum, (row, column)| {
        sum + lazy_dot(row, column)
    })
}

/// The product of at most [`LAZY`] pairs, reduced once.
fn lazy_dot(row: &[Element], column: &[Element]) -> Element {
    debug_assert!(row.len() <= LAZY);
    let products = row.iter().zip(column);
    let products = products.map(|(a, b)| u128::from(a.value()) * u128::from(b.value()));
    Element::folded(products.sum())
}

/// So many products of two elements add up below 2^128.
const LAZY: usize = 64;
const _: () = assert!((P as u128 - 1) * (P as u128 - 1) <= u128::MAX / LAZY as u128);

/// 1/Π(xᵢ − xⱼ) over j ≠ i, for every i.
fn weights(points: &[Element]) -> Vec<Element> {
    let mut products = vec![Element::ONE; points.len()];
    for (other_at, &other) in points.iter().enumerate() {
        for (at, (product, &point)) in products.iter_mut().zip(points).enumerate() {
            if at != other_at {
                *product = *product * (point - other);
            }
        }
    }
    invert(&mut products);
    products
}

/// Inverts every element, none of them zero, with one inversion (Montgomery 1987).
fn invert(elements: &mut [Element]) {
    let mut product = Element::ONE;
    let mut before = Vec::with_capacity(elements.len());
    for &element in &*elements {
        before.push(product);
        product = product * element;
    }
    let mut inverse = product.inverse();
    for (element, before) in elements.iter_mut().zip(before).rev() {
        (*element, inverse) = (inverse * before, inverse * *element);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(value: u64) -> Element {
        Element::new(value).unwrap()
    }

    fn values(elements: &[Element]) -> Vec<u64> {
        elements.iter().map(|element| element.value()).collect()
    }

    #[test]
    fn a_parabola_goes_on() {
        let matrix = Matrix::lagrange(&[1, 2, 5].map(element), &[3, 10, 0].map(element));
        let mut found = [Element::ZERO; 1];
        let found = matrix.rows().map(|row| {
            times(row, &[1, 4, 25].map(element), &mut found);
            found[0]
        });
        assert_eq!(values(&found.collect::<Vec<_>>()), [9, 100, 0]);
    }

    #[test]
    fn inverses_of_many_are_those_of_each() {
        let mut many = [2, 3, P - 1, 77].map(element);
        let each = many.map(Element::inverse);
        invert(&mut many);
        assert_eq!(values(&many), values(&each));
    }

    #[track_caller]
    fn check_dot(length: usize) {
        // p − 1 = −1: the product of each pair is 1, and as large as it gets before it is reduced.
        let largest = vec![element(P - 1); length];
        assert_eq!(dot(&largest, &largest).value(), length as u64);
    }

    #[test]
    fn the_largest_products_add_up() {
        [0, 1, 63, 64, 65, 127, 128, 129]
            .iter()
            .for_each(|&length| check_dot(length));
    }
}
