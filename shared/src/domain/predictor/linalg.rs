//! The little linear algebra that a step needs: symmetric positive definite systems by Cholesky.

use ndarray::{Array1, Array2};

/// Added to the diagonal, relative to its mean, when the first factorization fails.
const RIDGE: f64 = 1e-9;

/// Lower triangle `L` with `L·Lᵀ = a`, or `None` where `a` is not positive definite.
fn factor(a: &Array2<f64>) -> Option<Array2<f64>> {
    let n = a.nrows();
    let mut lower = Array2::zeros((n, n));
    for row in 0..n {
        for column in 0..=row {
            let done: f64 = (0..column)
                .map(|k| lower[[row, k]] * lower[[column, k]])
                .sum();
            let left = a[[row, column]] - done;
            if row == column {
                if !left.is_finite() || left <= 0.0 {
                    return None;
                }
                lower[[row, row]] = left.sqrt();
            } else {
                lower[[row, column]] = left / lower[[column, column]];
            }
        }
    }
    Some(lower)
}

/// Factor of a symmetric positive definite matrix; tries once more with a small ridge.
pub(crate) fn cholesky(a: &Array2<f64>) -> Option<Array2<f64>> {
    factor(a).or_else(|| {
        let n = a.nrows();
        let ridge = RIDGE * a.diag().sum() / n as f64;
        factor(&(a + &(Array2::<f64>::eye(n) * ridge)))
    })
}

/// Solves `L·Lᵀ·x = b`.
pub(crate) fn solve(lower: &Array2<f64>, b: &Array1<f64>) -> Array1<f64> {
    let n = lower.nrows();
    let mut x = b.clone();
    for row in 0..n {
        let done: f64 = (0..row).map(|k| lower[[row, k]] * x[k]).sum();
        x[row] = (x[row] - done) / lower[[row, row]];
    }
    for row in (0..n).rev() {
        let done: f64 = (row + 1..n).map(|k| lower[[k, row]] * x[k]).sum();
        x[row] = (x[row] - done) / lower[[row, row]];
    }
    x
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_solution_solves() {
        let a = array![[4.0, 1.0], [1.0, 3.0]];
        let x = solve(&cholesky(&a).unwrap(), &array![1.0, 2.0]);
        let gap = a.dot(&x) - array![1.0, 2.0];
        assert!(gap.iter().all(|entry| entry.abs() < 1e-14));
    }

    #[test]
    fn an_indefinite_matrix_has_no_factor() {
        assert!(cholesky(&array![[1.0, 2.0], [2.0, 1.0]]).is_none());
        assert!(cholesky(&array![[f64::NAN]]).is_none());
    }

    #[test]
    fn a_ridge_rescues_a_singular_matrix() {
        assert!(cholesky(&array![[1.0, 1.0], [1.0, 1.0]]).is_some());
    }
}
