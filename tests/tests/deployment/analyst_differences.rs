//! An analyst who asks two questions that differ by one value: what one shows beside the other is noise of its own in every cell, so that
//! their difference tells of nobody.

use aquifer_tests::standing::Standing;
use serde_json::json;

use super::https::client::Door;
use super::questions::{STANDING, URHO};

const BINS: usize = 72;
/// Where the sum of the squares of 72 standard normal draws lies but for once in 4,000,000 at each end (chi-squared with 72 degrees of
/// freedom). It is looked at twice: false alarms below 1e-6 in all. The product's noise has no seed.
const SQUARES: [f64; 2] = [26.854, 149.213];

/// Counts of customers by months of tenure, the noise left in: every cell, negative ones too.
#[track_caller]
fn counts(door: &Door, condition: &str) -> Vec<f64> {
    let sql = format!(
        "SELECT width_bucket(tenure, 0, 72, 72) AS month, COUNT(*) AS n FROM customers WHERE {condition} GROUP BY month"
    );
    let more = json!({"standing": "all-cells", "negative_counts": true, "intervals": "off"});
    let answer = door.asks("/v1/query", &sql, more).json();
    assert_eq!(answer["release"]["cached"], false, "{answer}");
    let rows = answer["rows"].as_array().unwrap().iter();
    let inside = rows.filter(|row| (1..=BINS as i64).contains(&row["month"].as_i64().unwrap_or(0)));
    let found: Vec<f64> = inside.map(|row| row["n"].as_f64().unwrap()).collect();
    assert_eq!(found.len(), BINS, "{answer}");
    found
}

/// What noise has made of the true counts of the customers with such a tenure.
#[track_caller]
fn noise(door: &Door, condition: &str, counted: impl Fn(usize) -> bool) -> Vec<f64> {
    let company = &door.reports.small.company;
    let place = company.contract.position("tenure").unwrap();
    let mut found = counts(door, condition);
    for customer in &company.customers {
        let tenure: usize = customer.values[place].parse().unwrap();
        if tenure < BINS && counted(tenure) {
            found[tenure] -= 1.0;
        }
    }
    found
}

#[test]
fn two_questions_that_differ_by_one_value_have_fresh_and_independent_noise() {
    let Some(door) = Door::open() else { return };
    let all_cells = Standing {
        name: "all-cells",
        cohort_floor: 0,
        ..STANDING
    };
    let small = &door.reports.small;
    all_cells.open(&small.cluster, &small.company).unwrap();
    let all = noise(&door, "tenure >= 0", |_| true);
    let but = noise(&door, "tenure >= 0 AND tenure <> 41", |tenure| tenure != 41);
    assert_eq!(door.reports.spent(), [2 * URHO; 4]);
    // Four shares of noise are in the sum where two honest ones are certain.
    let sigma = (1.0 / (2.0 * URHO as f64 * 1e-6)).sqrt() * (4.0_f64 / 2.0).sqrt();
    let squares = |of: fn(f64, f64) -> f64| -> f64 {
        let cells = all.iter().zip(&but);
        let cells = cells.map(|(all, but)| of(*all, *but) / (sigma * 2.0_f64.sqrt()));
        cells.map(|cell| cell * cell).sum()
    };
    // Noise that is the same in both leaves nothing of the first, noise with its sign turned nothing of the second.
    for (name, found) in [
        ("difference", squares(|all, but| all - but)),
        ("sum", squares(|all, but| all + but)),
    ] {
        println!("{name}: {found:.1} for {BINS} cells");
        let [low, high] = SQUARES;
        assert!((low..high).contains(&found), "{name}: {found:.1} squares");
    }
}
