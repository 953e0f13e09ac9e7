//! Exact AUC of private models on the public data sets, against the floors for `node-noise` at delta 1e-6.
//!
//! Trains in this process with the production cores and the shipped noise; `study` checks that real processes agree.

use anyhow::Result;
use aquifer_shared::base::units::Epsilon;
use aquifer_shared::domain::predictor::plan::clip_for;
use aquifer_shared::shell::noise::OpenDpNoise;
use aquifer_shared::shell::report::{Table, Tone};
use aquifer_tests::company::Company;
use aquifer_tests::exact::mean_and_deviation;
use aquifer_tests::measured::price;
use aquifer_tests::training::Encoded;
use serde_json::{Value, json};

use crate::options::Options;

/// Data set, and the floor of the mean of five runs at each epsilon.
pub const FLOORS: [(&str, [f64; 4]); 3] = [
    ("adult", [0.8883, 0.8973, 0.9024, 0.9056]),
    ("bank", [0.7399, 0.7591, 0.7664, 0.7710]),
    ("telco", [0.7923, 0.8100, 0.8210, 0.8312]),
];
const EPSILONS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];
const DELTA: f64 = 1e-6;

/// Measures every data set, split and epsilon.
pub fn measure(options: &Options) -> Result<Value> {
    let runs = options.times(5, 1);
    let headings = [
        "data set",
        "units by",
        "epsilon",
        "AUC, mean",
        "sd",
        "floor",
        "log-loss",
        "",
    ];
    let mut table = Table::new(&headings);
    let mut figures = Vec::new();
    for (name, floors) in FLOORS {
        let Some(path) = options.data_set(name) else {
            continue;
        };
        for split in ["unit_iid", "unit_region"] {
            let encoded = Encoded::of(&Company::read(&path, split)?)?;
            for (epsilon, floor) in EPSILONS.into_iter().zip(floors) {
                let found = repeat(&encoded, epsilon, runs)?;
                let reached = found.auc >= floor;
                let verdict = if reached {
                    ("reached", Tone::Good)
                } else {
                    ("BELOW", Tone::Bad)
                };
                let plain = [
                    name.to_owned(),
                    split.to_owned(),
                    epsilon.to_string(),
                    format!("{:.4}", found.auc),
                    format!("{:.4}", found.deviation),
                    format!("{floor:.4}"),
                    format!("{:.4}", found.log_loss),
                ];
                let cells = plain.into_iter().map(|cell| (cell, Tone::Plain));
                table.toned_row(cells.chain([(verdict.0.to_owned(), verdict.1)]));
                figures.push(json!({
                    "dataset": name, "split": split, "epsilon": epsilon, "delta": DELTA, "runs": runs,
                    "auc_mean": found.auc, "auc_sd": found.deviation, "floor": floor, "log_loss_mean": found.log_loss,
                    "reached": reached,
                }));
            }
        }
    }
    table.print()?;
    Ok(Value::Array(figures))
}

struct Found {
    auc: f64,
    deviation: f64,
    log_loss: f64,
}

fn repeat(encoded: &Encoded, epsilon: f64, runs: usize) -> Result<Found> {
    let members: Vec<usize> = (0..encoded.units()).collect();
    let (urho, clip) = (
        price(epsilon, DELTA)?,
        clip_for(Epsilon::try_from(epsilon)?),
    );
    let (mut aucs, mut losses) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let quality = encoded.quality(&encoded.train(&members, urho, clip, &mut OpenDpNoise)?)?;
        aucs.push(quality.auc);
        losses.push(quality.log_loss);
    }
    let (auc, deviation) = mean_and_deviation(&aucs).unwrap_or((f64::NAN, f64::NAN));
    let (log_loss, _) = mean_and_deviation(&losses).unwrap_or((f64::NAN, f64::NAN));
    Ok(Found {
        auc,
        deviation,
        log_loss,
    })
}
