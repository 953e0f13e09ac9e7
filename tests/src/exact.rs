//! Exact quality of predictions, for whoever owns all the data: demo, bench and tests.

/// Area under the ROC curve of (score, is positive); ties count half. `None` where a class is empty.
#[must_use]
pub fn auc(scored: &[(f64, bool)]) -> Option<f64> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positive = sorted.iter().filter(|(_, label)| *label).count() as f64;
    let negative = sorted.len() as f64 - positive;
    if positive == 0.0 || negative == 0.0 {
        return None;
    }
    let (mut below, mut wins) = (0.0, 0.0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let ones = tied.iter().filter(|(_, label)| *label).count() as f64;
        let zeros = tied.len() as f64 - ones;
        wins += ones * (below + zeros / 2.0);
        below += zeros;
    }
    Some(wins / (positive * negative))
}

/// Mean negative log-likelihood of (probability, is positive); `None` without predictions.
#[must_use]
pub fn log_loss(predicted: &[(f64, bool)]) -> Option<f64> {
    let loss = |&(probability, label): &(f64, bool)| {
        -if label {
            probability
        } else {
            1.0 - probability
        }
        .ln()
    };
    let total: f64 = predicted.iter().map(loss).sum();
    (!predicted.is_empty()).then(|| total / predicted.len() as f64)
}

/// Mean and standard deviation (with n − 1) of some figures; `None` without figures.
#[must_use]
pub fn mean_and_deviation(figures: &[f64]) -> Option<(f64, f64)> {
    let count = figures.len() as f64;
    let mean = (!figures.is_empty()).then(|| figures.iter().sum::<f64>() / count)?;
    let squares: f64 = figures.iter().map(|figure| (figure - mean).powi(2)).sum();
    Some((mean, (squares / (count - 1.0).max(1.0)).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_counts_ordered_pairs() {
        assert_eq!(auc(&[(0.1, false), (0.9, true)]), Some(1.0));
        assert_eq!(auc(&[(0.5, false), (0.5, true)]), Some(0.5));
        assert_eq!(
            auc(&[(0.1, true), (0.2, false), (0.3, true), (0.4, false)]),
            Some(0.25)
        );
        assert_eq!(auc(&[(0.1, true)]), None);
    }

    #[test]
    fn log_loss_is_the_mean() {
        assert_eq!(
            log_loss(&[(0.5, true), (0.5, false)]),
            Some(std::f64::consts::LN_2)
        );
        assert_eq!(log_loss(&[]), None);
    }
}
