//! Cholesky factors of small symmetric matrices.

use ndarray::{Array1, Array2, ArrayView1};

/// Lower factor of a positive definite matrix.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cholesky {
    lower: Array2<f64>,
}

impl Cholesky {
    /// Factors a symmetric matrix; once more with `10⁻⁹·trace/m` on its diagonal where that fails.
    ///
    /// `None` where the matrix is not positive definite after that, or not finite.
    pub fn of(matrix: &Array2<f64>) -> Option<Self> {
        factor(matrix).or_else(|| {
            let ridge = 1e-9 * matrix.diag().sum() / matrix.nrows() as f64;
            let mut raised = matrix.clone();
            raised.diag_mut().mapv_inplace(|value| value + ridge);
            factor(&raised)
        })
    }

    /// `x` with `matrix · x = right`.
    pub fn solve(&self, right: ArrayView1<f64>) -> Array1<f64> {
        let mut x = self.forward(right);
        for i in (0..x.len()).rev() {
            for k in i + 1..x.len() {
                x[i] -= self.lower[[k, i]] * x[k];
            }
            x[i] /= self.lower[[i, i]];
        }
        x
    }

    /// `y` with `lower · y = right`; its squared length is `rightᵀ · matrix⁻¹ · right`.
    pub fn forward(&self, right: ArrayView1<f64>) -> Array1<f64> {
        let mut y = right.to_owned();
        for i in 0..y.len() {
            for k in 0..i {
                y[i] -= self.lower[[i, k]] * y[k];
            }
            y[i] /= self.lower[[i, i]];
        }
        y
    }
}

fn factor(matrix: &Array2<f64>) -> Option<Cholesky> {
    let size = matrix.nrows();
    let mut lower = Array2::zeros((size, size));
    for i in 0..size {
        for j in 0..=i {
            let mut rest = matrix[[i, j]];
            for k in 0..j {
                rest -= lower[[i, k]] * lower[[j, k]];
            }
            if i != j {
                lower[[i, j]] = rest / lower[[j, j]];
                continue;
            }
            if !(rest.is_finite() && rest > 0.0) {
                return None;
            }
            lower[[i, i]] = rest.sqrt();
        }
    }
    Some(Cholesky { lower })
}

#[cfg(test)]
mod tests {
    use ndarray::{array, aview1};

    use super::*;

    #[test]
    fn a_system_is_solved() {
        let matrix = array![[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        let x = array![1.0, -2.0, 0.5];
        let right = matrix.dot(&x);
        let found = Cholesky::of(&matrix).unwrap().solve(right.view());
        assert!((found - x).iter().all(|rest: &f64| rest.abs() < 1e-12));
    }

    #[test]
    fn a_singular_matrix_gets_one_ridge() {
        let singular = array![[1.0, 1.0], [1.0, 1.0]];
        let factor = Cholesky::of(&singular).unwrap();
        assert!(
            factor
                .solve(aview1(&[1.0, 1.0]))
                .iter()
                .all(|x| x.is_finite())
        );
    }

    #[test]
    fn others_are_refused() {
        assert_eq!(Cholesky::of(&array![[1.0, 2.0], [2.0, 1.0]]), None);
        assert_eq!(Cholesky::of(&array![[f64::NAN]]), None);
    }
}
