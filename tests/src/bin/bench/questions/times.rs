//! Times of many answers, and what half and 99 of 100 of them stay below.

use serde_json::{Value, json};

/// Milliseconds, rising.
#[derive(Clone, Debug)]
pub struct Times(Vec<f64>);

impl Times {
    /// In any order.
    pub fn of(mut taken: Vec<f64>) -> Self {
        taken.sort_by(f64::total_cmp);
        Self(taken)
    }

    /// What this share of them stays below (the nearest rank).
    pub fn below(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        let found = self.0.get(rank.saturating_sub(1));
        found.copied().unwrap_or(f64::NAN)
    }

    /// The largest difference of the two distribution functions.
    pub fn distance(&self, other: &Self) -> f64 {
        let share = |times: &Self, limit: f64| {
            times.0.partition_point(|time| *time <= limit) as f64 / times.0.len() as f64
        };
        let limits = self.0.iter().chain(&other.0);
        let gaps = limits.map(|limit| (share(self, *limit) - share(other, *limit)).abs());
        gaps.fold(0.0, f64::max)
    }

    /// For the file of figures.
    pub fn to_json(&self) -> Value {
        json!({
            "answers": self.0.len(), "p1_ms": self.below(0.01), "p10_ms": self.below(0.1), "p50_ms": self.below(0.5),
            "p90_ms": self.below(0.9), "p99_ms": self.below(0.99), "max_ms": self.below(1.0),
        })
    }
}
