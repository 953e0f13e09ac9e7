//! Model files: what is written reads back, what was changed is refused, and what they predict.

use super::*;
use crate::base::ids::{IdentityKey, StudyHash};
use crate::base::time::Timestamp;
use crate::base::units::{Delta, MicroRho};
use crate::domain::contract::Contract;
use crate::domain::predictor::arithmetic::{COUNT, F};
use crate::domain::predictor::evaluation::{Reading, TooLittle, read};
use crate::domain::predictor::gate::{Rival, decide};
use crate::domain::predictor::learner::{Fitted, Learner};
use crate::domain::predictor::plan::{Shape, additive_rounds};
use crate::domain::predictor::prediction::{Predictor, Value};
use crate::domain::sum::{Gate, HoldOut, NoiseShare, Plan, SUM_VERSION, StudyTerms, TrustMode};

const CONTRACT: &str = r#"
[contract]
name = "customers"
version = 2
[table.customers]
privacy_unit = "customer"
label = { column = "left", positive = "yes" }
actionable = ["plan"]
[table.customers.column.tenure]
low = 0
high = 72
unit = "months"
[table.customers.column.plan]
levels = ["basic", "plus", "rare"]
"#;

fn contract() -> Contract {
    Contract::parse(CONTRACT).unwrap()
}

fn shapes() -> Vec<Shape> {
    let shapes = contract().shapes().into_iter();
    shapes
        .map(|(ordered, cells)| Shape { ordered, cells })
        .collect()
}

fn terms() -> StudyTerms {
    let rounds = additive_rounds(&shapes(), MicroRho(24_355), 3_072, 8, NoiseShare::OWN).unwrap();
    let name = |text: &str| text.parse().unwrap();
    StudyTerms {
        version: SUM_VERSION,
        study_id: [7; 16],
        name: name("churn"),
        family: name("churn"),
        purpose: name("churn.train"),
        contract_name: name("customers"),
        contract_version: 2,
        contract_hash: contract().hash(),
        plan: Plan::Additive {
            clip: 3_072,
            rounds: 8,
        },
        mode: TrustMode::NodeNoise,
        roster: (1..=8).map(|key| IdentityKey([key; 32])).collect(),
        d_max: 0,
        c_max: 0,
        multiplicity: 1,
        rounds,
        attempts_max: 2,
        urho_cap: MicroRho(48_710),
        urho: MicroRho(24_355),
        delta: Delta::try_from(1e-6).unwrap(),
        population: 50_000,
        customers_max: 10_000,
        holdout: HoldOut::Fraction(150_000),
        slot_ms: 100,
        phase_ms: 10_000,
        attempt_ttl_ms: 60_000,
        expires: Timestamp(1),
        quorum: 6,
        gate: Gate::Open,
        expected_gain_ppm: 0,
        synthetic: false,
    }
}

/// 1 000 customers in each of two plans and two tenures, with made-up residuals.
fn fitted() -> (Fitted, Vec<Vec<i64>>) {
    let mut counts = vec![0; 65 + 4];
    for (cell, count) in [(4, 1_000), (40, 1_000), (65, 999), (66, 999), (67, 2)] {
        counts[cell] = count * COUNT;
    }
    let mut learner =
        Learner::after_counts(&shapes(), &counts, 20.0 * COUNT as f64, 3_072).unwrap();
    let mut sums = vec![counts];
    for round in 0..8_i64 {
        let sum = [-500_000, 300_000, 0, -600_000, 400_000, 0].map(|sum| sum / (1 + round));
        learner.step(&sum, 40_000.0).unwrap();
        sums.push(sum.to_vec());
    }
    (learner.finish().unwrap(), sums)
}

fn evaluation(fitted: &Fitted) -> (Vec<i64>, Reading) {
    let mut sums = vec![0; 64];
    for bin in 8..16 {
        sums[2 * bin] = 400 * COUNT;
        sums[2 * bin + 1] = 20 * COUNT;
        sums[2 * bin + 17] = 400 * COUNT;
    }
    let reading = read(&sums, 5.0 * COUNT as f64, fitted.base, fitted.clip).unwrap();
    (sums, reading)
}

fn file_with(reading: impl FnOnce(Reading) -> Reading) -> ModelFile {
    let (fitted, mut sums) = fitted();
    let (evaluation, found) = evaluation(&fitted);
    let reading = reading(found);
    sums.push(evaluation);
    let records: Vec<SumRecord> = sums
        .iter()
        .map(|cells| SumRecord {
            attempts: 1,
            updates: 8,
            cells,
        })
        .collect();
    let verdict = decide(Gate::Open, &reading, Rival::BaseRate, 0);
    ModelFile::of(&Finished {
        study: StudyHash([9; 32]),
        terms: &terms(),
        contract: &contract(),
        fitted: &fitted,
        reading: &reading,
        verdict: &verdict,
        sums: &records,
        epsilon: 1.0,
        version: 3,
        created: Timestamp(1_700_000_000_000),
    })
    .unwrap()
}

fn file() -> ModelFile {
    file_with(|reading| reading).signed([0xab; 64])
}

#[test]
fn what_is_written_reads_back() {
    let file = file();
    let again = ModelFile::parse(&file.to_json()).unwrap();
    assert_eq!(again, file);
    assert_eq!(again.to_json(), file.to_json());
    assert_eq!(again.signing_digest(), file.signing_digest());
    assert_eq!(file.signature(), Some(&[0xab; 64]));
    assert!(file.card().quality.is_some() && file.card().warnings.is_empty());
    assert_eq!(file.privacy().urho, 24_355);
    assert_eq!(
        (file.privacy().rho.as_str(), file.privacy().delta()),
        ("0.024355", 1e-6)
    );
}

#[test]
fn keys_are_sorted_and_the_hashed_part_has_no_floats() {
    let json = file().to_json();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    fn check(value: &serde_json::Value, hashed: bool) {
        match value {
            serde_json::Value::Number(number) => assert!(!hashed || number.is_i64()),
            serde_json::Value::Array(all) => all.iter().for_each(|one| check(one, hashed)),
            serde_json::Value::Object(all) => {
                assert!(all.keys().is_sorted());
                all.iter()
                    .for_each(|(key, one)| check(one, hashed || key == "model"));
            }
            _ => {}
        }
    }
    check(&value, false);
    let resorted = serde_json::to_string(&value).unwrap();
    assert_eq!(resorted, json);
    let model = serde_json::to_string(&value["model"]).unwrap();
    assert_eq!(sha256(model.as_bytes()), file().model_hash());
}

#[test]
fn too_little_data_leaves_no_figure() {
    let file = file_with(|_| Reading::TooLittle(TooLittle::Impossible));
    let card = file.card();
    assert_eq!(
        (card.quality.is_none(), card.warnings.as_slice()),
        (true, &["not_evaluated".to_owned()][..])
    );
    assert!(
        card.quality_reason
            .as_ref()
            .unwrap()
            .contains("too little data")
    );
    assert_eq!(ModelFile::parse(&file.to_json()).unwrap(), file);
}

#[test]
fn the_signature_covers_all_but_itself() {
    let file = file();
    let digest = file.signing_digest();
    assert_eq!(file.clone().signed([1; 64]).signing_digest(), digest);
    let other = |from: &str, to: &str| {
        let json = file.to_json();
        assert!(json.contains(from), "{from}");
        ModelFile::parse(&json.replacen(from, to, 1))
            .unwrap()
            .signing_digest()
    };
    assert_ne!(other("\"version\":3", "\"version\":4"), digest);
    assert_ne!(
        other("\"epsilon\":\"1.0000\"", "\"epsilon\":\"0.5000\""),
        digest
    );
}

#[track_caller]
fn check_refused(from: &str, to: &str, expected: &str) {
    let json = file().to_json();
    assert!(json.contains(from), "{from}");
    let error = ModelFile::parse(&json.replacen(from, to, 1)).unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string);
    let text = format!("{error}: {}", source.unwrap_or_default());
    assert!(text.contains(expected), "{text}");
}

#[test]
fn what_this_version_would_not_write_is_refused() {
    check_refused("additive/1", "additive/2", "format");
    check_refused("\"label\"", "\"labels\"", "unknown field");
    check_refused("\"pairs\":[]", "\"pairs\":[1]", "does not read");
    check_refused(
        "\"recalibration\":null",
        "\"recalibration\":1",
        "does not read",
    );
    check_refused(
        "\"version\":3",
        "\"version\":3,\"version\":3",
        "duplicate field",
    );
    check_refused("\"clip\":3072", "\"clip\":0", "clip");
    check_refused("\"clip\":3072", "\"clip\":3071", "model_hash");
    check_refused("\"clip\":3072", "\"clip\":3072.0", "does not read");
    check_refused("\"curve\":[", "\"curve\":[0,", "curve entries");
    check_refused("\"curve\":[", "\"curve\":[524289,", "of feature");
    check_refused(
        "\"bin_of_cell\":[0,",
        "\"bin_of_cell\":[",
        "number of cells",
    );
    check_refused(
        "\"bin_of_cell\":[0,",
        "\"bin_of_cell\":[1,",
        "order of the bins",
    );
    check_refused("\"edges\":[\"3f", "\"edges\":[\"7f", "edges");
    check_refused("\"kind\":\"ordered\"", "\"kind\":\"levels\"", "set of keys");
    check_refused("\"rounds\":\"8 of 8\"", "\"rounds\":\"7 of 8\"", "rounds");
    check_refused("\"bin_counts\":[[", "\"bin_counts\":[[1.0,", "bin_counts");
    check_refused("\"updates\":8", "\"updates\":9", "updates");
    check_refused("\"delta\":\"1e-6\"", "\"delta\":\"none\"", "delta");
    check_refused("\"signature\":\"ab", "\"signature\":\"AB", "signature");
    let long = " ".repeat(MODEL_BYTES_MAX + 1);
    assert!(matches!(
        ModelFile::parse(&long),
        Err(ModelError::TooLong { .. })
    ));
}

/// Every byte changed, every prefix: refused or read, never a panic; whatever is read predicts.
#[test]
fn mutations_never_panic() {
    let original = file();
    let json = original.to_json().into_bytes();
    let mut read = 0;
    for (at, flip) in (0..json.len()).zip([1, 4, 0x20].into_iter().cycle()) {
        let mut bytes = json.clone();
        bytes[at] ^= flip;
        let parsed = str::from_utf8(&bytes).ok().map(ModelFile::parse);
        if let Some(Ok(file)) = parsed {
            let predictor = Predictor::of(&file).unwrap();
            let cells = predictor.cells(|_| Value::Missing);
            assert!((0.0..=1.0).contains(&predictor.predict(&cells, None).probability));
            let same = file.signing_digest() == original.signing_digest();
            assert!(!same || file.signature() != original.signature());
            read += 1;
        }
    }
    assert!(read > 0);
    for end in 0..json.len() {
        assert!(ModelFile::parse(str::from_utf8(&json[..end]).unwrap()).is_err());
    }
}

#[test]
fn raw_values_are_predicted_and_explained() {
    let predictor = Predictor::of(&file()).unwrap();
    let cells = predictor.cells(|name| match name {
        "tenure" => Value::Text(" 45.1 "),
        "plan" => Value::Text("basic"),
        other => panic!("{other}"),
    });
    assert_eq!(cells, [40, 0]);
    let prediction = predictor.predict(&cells, Some(0.5));
    let explanation = predictor.explain(&cells, Some(prediction.probability + 0.001));
    let sum: f64 = explanation
        .contributions
        .iter()
        .map(|own| own.log_odds)
        .sum();
    assert!((explanation.base + sum - prediction.score).abs() < 1e-12);
    assert_eq!(prediction.decision, Some(prediction.probability >= 0.5));
    let [tenure, plan] = explanation.contributions.as_slice() else {
        panic!("{explanation:?}")
    };
    assert!(
        tenure
            .sentence()
            .starts_with("tenure of 5.625 months or more: "),
        "{}",
        tenure.sentence()
    );
    assert_eq!(
        (plan.feature.as_str(), plan.value.as_str()),
        ("plan", "basic")
    );
    let curve = predictor.curve(0);
    assert_eq!(curve[1].value, "5.625 months or more");
    assert_eq!(
        (curve[1].log_odds, curve[1].customers),
        (tenure.log_odds, 1_000.0)
    );
    assert_eq!(curve[2].value, "missing");
    let change = explanation.counterfactual.unwrap();
    assert_eq!(
        (change.feature.as_str(), change.from.as_str()),
        ("plan", "basic")
    );
    assert!(change.probability > prediction.probability);
}

#[test]
fn values_that_do_not_fit_count_as_missing_and_are_named() {
    let predictor = Predictor::of(&file()).unwrap();
    let value = |name: &str| match name {
        "tenure" => Value::Text("long"),
        _ => Value::Number(7.0),
    };
    assert_eq!(predictor.cells(value), [64, 3]);
    let notes = predictor.notes(value);
    assert!(notes[0].starts_with("tenure") && notes[1].starts_with("plan") && notes.len() == 2);
    assert!(predictor.notes(|_| Value::Missing).is_empty());
    let infinite = predictor.cells(|_| Value::Number(f64::INFINITY));
    assert_eq!(infinite, [63, 3]);
    assert_eq!(predictor.cells(|_| Value::Number(f64::NAN)), [64, 3]);
}

#[test]
fn repeated_attempts_and_copies_are_charged() {
    let mut terms = terms();
    let cells = [0];
    let record = |attempts| SumRecord {
        attempts,
        updates: 8,
        cells: &cells,
    };
    let mut sums = [record(1); 10];
    assert_eq!(privacy::charged(&terms, &sums), Some(MicroRho(24_355)));
    sums[0].attempts = 3;
    let training = 2_922 * 3 + 8 * 2_679;
    assert_eq!(privacy::charged(&terms, &sums), Some(MicroRho(training)));
    terms.multiplicity = 2;
    assert_eq!(
        privacy::quoted(&terms, &sums),
        Some(MicroRho(2 * (training + 24_355)))
    );
}

#[test]
fn released_sums_have_a_hash_of_their_own() {
    let record = |updates, cells| SumRecord {
        attempts: 1,
        updates,
        cells,
    };
    let hash = |sums: &[SumRecord]| privacy::released_sums_hash(sums);
    let one = hash(&[record(8, &[1, 2][..])]);
    assert_ne!(one, hash(&[record(7, &[1, 2][..])]));
    assert_ne!(one, hash(&[record(8, &[1][..]), record(8, &[2][..])]));
}

#[test]
fn the_state_is_what_nodes_score_with() {
    let state = file().additive().state();
    assert_eq!(state.bin_of_cell.len(), 69);
    assert!(i64::from(state.base).abs() < 16 * F);
    assert_eq!(
        state.curves.len(),
        file().model().sizes().iter().sum::<usize>()
    );
}
