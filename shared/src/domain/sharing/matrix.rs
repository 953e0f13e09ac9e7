//! Values of a polynomial at some points as a linear map of its values at others (Lagrange).

use super::field::Element;

/// One row for each target, one column for each point that determines the polynomial.
#[derive(Debug)]
pub(super) struct Matrix {
    width: usize,
    entries: Vec<Element>,
}

impl Matrix {
    /// The map from values at `points` to values at `targets`; all of them are distinct.
    pub(super) fn lagrange(points: &[Element], targets: &[Element]) -> Self {
        let weights = weights(points);
        let width = points.len();
        let mut entries = Vec::with_capacity(targets.len() * width);
        let mut before = vec![Element::ONE; width];
        for &target in targets {
            // The product of all distances but one: those before it times those after it.
            let mut product = Element::ONE;
            for (before, &point) in before.iter_mut().zip(points) {
                *before = product;
                product = product * (target - point);
            }
            let mut after = Element::ONE;
            let row = entries.len();
            entries.resize(row + width, Element::ZERO);
            for at in (0..width).rev() {
                entries[row + at] = before[at] * after * weights[at];
                after = after * (target - points[at]);
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
    let parts = row.chunks(LAZY).zip(column.chunks(LAZY));
    let parts = parts.map(|(row, column)| {
        let products = row.iter().zip(column);
        let products = products.map(|(a, b)| u128::from(a.value()) * u128::from(b.value()));
        Element::folded(products.sum())
    });
    parts.fold(Element::ZERO, |sum, part| sum + part)
}

/// So many products of two elements add up below 2^128.
const LAZY: usize = 64;

/// 1/Π(xᵢ − xⱼ) over j ≠ i, for every i.
fn weights(points: &[Element]) -> Vec<Element> {
    let product = |at: usize| {
        let others = points
            .iter()
            .enumerate()
            .filter(move |(other, _)| *other != at);
        others.fold(Element::ONE, |product, (_, &other)| {
            product * (points[at] - other)
        })
    };
    (0..points.len()).map(|at| product(at).inverse()).collect()
}
