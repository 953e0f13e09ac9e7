//! Exact AUC of private models on the public data sets, in both trust modes, against the floors at delta 1e-6.
//!
//! Trains in this process with the production cores and the shipped noise; `study` checks that real processes agree.

use anyhow::Result;
use aquifer_shared::base::units::Epsilon;
use aquifer_shared::domain::predictor::plan::clip_for;
use aquifer_shared::domain::sum::NoiseShare;
use aquifer_shared::shell::noise::OpenDpNoise;
use aquifer_shared::shell::report::{Table, Tone};
use aquifer_tests::company::Company;
use aquifer_tests::exact::mean_and_deviation;
use aquifer_tests::measured::price;
use aquifer_tests::training::{Encoded, usual_share};
use serde_json::{Value, json};

use crate::options::Options;

/// Floors of the mean of five runs, by data set and epsilon.
type Floors = [(&'static str, [f64; 4]); 3];

const OWN_FLOORS: Floors = [
    ("adult", [0.8883, 0.8973, 0.9024, 0.9056]),
    ("bank", [0.7399, 0.7591, 0.7664, 0.7710]),
    ("telco", [0.7923, 0.8100, 0.8210, 0.8312]),
];
const SHARED_FLOORS: Floors = [
    ("adult", [0.8989, 0.9039, 0.9056, 0.9080]),
    ("bank", [0.7608, 0.7708, 0.7720, 0.7740]),
    ("telco", [0.8173, 0.8289, 0.8344, 0.8367]),
];
const EPSILONS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];
const DELTA: f64 = 1e-6;
/// Units that are missing from every sum where two of eight are gone.
const GONE: usize = 2;

/// A way to run the studies.
struct Case {
    trust: &'static str,
    gone: usize,
    floors: Option<Floors>,
}

const CASES: [Case; 3] = [
    Case {
        trust: "node-noise",
        gone: 0,
        floors: Some(OWN_FLOORS),
    },
    Case {
        trust: "shared-noise",
        gone: 0,
        floors: Some(SHARED_FLOORS),
    },
    // No floor is published for the customers of six units.
    Case {
        trust: "shared-noise",
        gone: GONE,
        floors: None,
    },
];

/// Measures every data set, split, trust mode and epsilon.
pub fn measure(options: &Options) -> Result<Value> {
    let runs = options.times(5, 1);
    let headings = [
        "data set",
        "units by",
        "trust",
        "units",
        "epsilon",
        "AUC, mean",
        "sd",
        "floor",
        "log-loss",
        "",
    ];
    let mut table = Table::new(&headings);
    let mut figures = Vec::new();
    for (name, _) in OWN_FLOORS {
        let Some(path) = options.data_set(name) else {
            continue;
        };
        for split in ["unit_iid", "unit_region"] {
            let encoded = Encoded::of(&Company::read(&path, split)?)?;
            for case in &CASES {
                for (index, epsilon) in EPSILONS.into_iter().enumerate() {
                    let found = repeat(&encoded, case, epsilon, runs)?;
                    let floor = case.floor(name, index);
                    table.toned_row(row(name, split, case, epsilon, &found, floor));
                    figures.push(json!({
                        "dataset": name, "split": split, "trust": case.trust, "units": found.units, "epsilon": epsilon,
                        "delta": DELTA, "runs": runs, "auc_mean": found.auc, "auc_sd": found.deviation, "floor": floor,
                        "log_loss_mean": found.log_loss, "reached": floor.map(|floor| found.auc >= floor),
                    }));
                }
            }
        }
    }
    table.print()?;
    Ok(Value::Array(figures))
}

impl Case {
    fn floor(&self, name: &str, index: usize) -> Option<f64> {
        let floors = self.floors?;
        let (_, floors) = floors.iter().find(|(known, _)| *known == name)?;
        floors.get(index).copied()
    }

    fn share(&self, units: usize) -> Result<NoiseShare> {
        match self.trust {
            "shared-noise" => usual_share(units),
            _ => Ok(NoiseShare::OWN),
        }
    }
}

fn row(
    name: &str,
    split: &str,
    case: &Case,
    epsilon: f64,
    found: &Found,
    floor: Option<f64>,
) -> Vec<(String, Tone)> {
    let verdict = match floor {
        None => ("", Tone::Plain),
        Some(floor) if found.auc >= floor => ("reached", Tone::Good),
        Some(_) => ("BELOW", Tone::Bad),
    };
    let plain = [
        name.to_owned(),
        split.to_owned(),
        case.trust.to_owned(),
        found.units.to_string(),
        epsilon.to_string(),
        format!("{:.4}", found.auc),
        format!("{:.4}", found.deviation),
        floor.map_or("-".to_owned(), |floor| format!("{floor:.4}")),
        format!("{:.4}", found.log_loss),
    ];
    let cells = plain.into_iter().map(|cell| (cell, Tone::Plain));
    cells.chain([(verdict.0.to_owned(), verdict.1)]).collect()
}

struct Found {
    units: usize,
    auc: f64,
    deviation: f64,
    log_loss: f64,
}

fn repeat(encoded: &Encoded, case: &Case, epsilon: f64, runs: usize) -> Result<Found> {
    let members: Vec<usize> = (0..encoded.units() - case.gone).collect();
    let share = case.share(encoded.units())?;
    let (urho, clip) = (
        price(epsilon, DELTA)?,
        clip_for(Epsilon::try_from(epsilon)?),
    );
    let (mut aucs, mut losses) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let quality =
            encoded.quality(&encoded.train(&members, urho, clip, share, &mut OpenDpNoise)?)?;
        aucs.push(quality.auc);
        losses.push(quality.log_loss);
    }
    let (auc, deviation) = mean_and_deviation(&aucs).unwrap_or((f64::NAN, f64::NAN));
    let (log_loss, _) = mean_and_deviation(&losses).unwrap_or((f64::NAN, f64::NAN));
    Ok(Found {
        units: members.len(),
        auc,
        deviation,
        log_loss,
    })
}
