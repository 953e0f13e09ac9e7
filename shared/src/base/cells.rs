//! Public cells: how a raw value becomes a small number that everybody can compute alike.
//!
//! A numeric column has 64 cells and one for *missing*; a categorical column one per level and one for *missing or not
//! in the list*. Nothing here is learnt from data.

use serde::{Deserialize, Serialize};

use super::limits::NUMERIC_CELLS;

/// Inner edges of a numeric column's 64 cells, strictly rising.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct NumericCells {
    edges: Vec<f64>,
}

/// Levels of a categorical column, in the contract's order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LevelCells {
    levels: Vec<String>,
}

/// The scale on which a numeric column is cut into equal parts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// The value itself.
    #[default]
    Linear,
    /// ln(1 + v), for v ≥ 0.
    Log1p,
    /// sign(v) · ln(1 + |v|).
    SignedLog1p,
}

impl Transform {
    fn there(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log1p => value.ln_1p(),
            Self::SignedLog1p => value.abs().ln_1p().copysign(value),
        }
    }

    fn back(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log1p => value.exp_m1(),
            Self::SignedLog1p => value.abs().exp_m1().copysign(value),
        }
    }
}

impl NumericCells {
    /// Edges `T⁻¹(T(low) + (T(high) − T(low))·j/64)`, j = 1..63.
    ///
    /// `None` where the bounds are not finite and rising, where `log1p` meets a negative bound, or where the range is too
    /// narrow for 63 distinct edges inside it (so clipping a value to the range never changes its cell).
    #[must_use]
    pub fn between(low: f64, high: f64, transform: Transform) -> Option<Self> {
        let plain = low.is_finite() && high.is_finite() && low < high;
        if !plain || (transform == Transform::Log1p && low < 0.0) {
            return None;
        }
        let (from, to) = (transform.there(low), transform.there(high));
        let edge = |j: usize| transform.back(from + (to - from) * j as f64 / NUMERIC_CELLS as f64);
        let cells = Self::from_edges((1..NUMERIC_CELLS).map(edge).collect())?;
        let inside = low < cells.edges[0] && cells.edges[NUMERIC_CELLS - 2] <= high;
        inside.then_some(cells)
    }

    /// Edges as a model file or a contract's hash carries them; `None` unless 63 finite, strictly rising numbers.
    #[must_use]
    pub fn from_edges(edges: Vec<f64>) -> Option<Self> {
        let finite = edges.len() == NUMERIC_CELLS - 1 && edges.iter().all(|edge| edge.is_finite());
        (finite && edges.windows(2).all(|pair| pair[0] < pair[1])).then_some(Self { edges })
    }

    /// The edges.
    #[must_use]
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// Number of cells, the one for *missing* included.
    #[must_use]
    pub fn count(&self) -> usize {
        NUMERIC_CELLS + 1
    }

    /// The cell of a value: the number of edges at or below it; the last cell for *missing* and NaN.
    ///
    /// Values beyond the column's range, infinite ones included, fall into the outermost cells.
    #[must_use]
    pub fn cell_of(&self, value: Option<f64>) -> usize {
        match value {
            Some(value) if !value.is_nan() => self.edges.partition_point(|edge| *edge <= value),
            _ => NUMERIC_CELLS,
        }
    }
}

impl LevelCells {
    /// Levels in their order; the caller has checked that they are distinct.
    #[must_use]
    pub fn new(levels: Vec<String>) -> Self {
        Self { levels }
    }

    /// The levels.
    #[must_use]
    pub fn levels(&self) -> &[String] {
        &self.levels
    }

    /// Number of cells, the one for *missing or not in the list* included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.levels.len() + 1
    }

    /// The cell of a value (trimmed); the last cell for *missing or not in the list*.
    #[must_use]
    pub fn cell_of(&self, value: Option<&str>) -> usize {
        let find = |text: &str| self.levels.iter().position(|level| level == text.trim());
        value.and_then(find).unwrap_or(self.levels.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenure() -> NumericCells {
        NumericCells::between(0.0, 72.0, Transform::Linear).unwrap()
    }

    #[test]
    fn a_value_on_an_edge_belongs_to_the_cell_above() {
        assert_eq!(tenure().cell_of(Some(1.125)), 1);
        assert_eq!(tenure().cell_of(Some(1.124_999)), 0);
    }

    #[test]
    fn missing_is_a_cell_of_its_own_and_infinite_values_are_clipped() {
        assert_eq!(tenure().cell_of(None), 64);
        assert_eq!(tenure().cell_of(Some(f64::NAN)), 64);
        assert_eq!(tenure().cell_of(Some(f64::INFINITY)), 63);
        assert_eq!(tenure().cell_of(Some(f64::NEG_INFINITY)), 0);
    }

    #[test]
    fn impossible_ranges_are_refused() {
        assert_eq!(NumericCells::between(1.0, 1.0, Transform::Linear), None);
        assert_eq!(NumericCells::between(-1.0, 1.0, Transform::Log1p), None);
        assert_eq!(
            NumericCells::between(0.0, f64::INFINITY, Transform::Linear),
            None
        );
        assert_eq!(NumericCells::between(0.0, 1e-322, Transform::Linear), None);
    }

    #[test]
    fn unknown_levels_share_the_last_cell() {
        let cells = LevelCells::new(vec!["No".into(), "Yes".into()]);
        assert_eq!(
            [Some(" Yes "), Some("Maybe"), None].map(|v| cells.cell_of(v)),
            [1, 2, 2]
        );
    }
}
