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
use crate::domain::sum::{
    self, Gate, HoldOut, NoiseShare, Plan, SUM_VERSION, StudyTerms, Thresholds, TrustMode,
};

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
    file_of(&terms(), 8, reading)
}

/// A file of these terms, of whose nodes `updates` are in every sum.
fn file_of(
    terms: &StudyTerms,
    updates: u32,
    reading: impl FnOnce(Reading) -> Reading,
) -> ModelFile {
    let (fitted, mut sums) = fitted();
    let (evaluation, found) = evaluation(&fitted);
    let reading = reading(found);
    sums.push(evaluation);
    let records: Vec<SumRecord> = sums
        .iter()
        .map(|cells| SumRecord {
            attempts: 1,
            updates,
            cells,
        })
        .collect();
    let verdict = decide(Gate::Open, &reading, Rival::BaseRate, 0);
    ModelFile::of(&Finished {
        study: StudyHash([9; 32]),
        terms,
        contract: &contract(),
        fitted: &fitted,
        reading: &reading,
        verdict: &verdict,
        sums: &records,
        epsilon: |price, _| price.0 as f64 / 24_355.0,
        version: 3,
        created: Timestamp(1_700_000_000_000),
    })
    .unwrap()
}

fn file() -> ModelFile {
    file_with(|reading| reading).signed([0xab; 64])
}

/// The same study in shared-noise, with the usual tolerances of its smallest group.
fn shared(members: usize) -> StudyTerms {
    let smallest = sum::groups(members).iter().map(|group| group.len()).min();
    let smallest = smallest.unwrap();
    let mut terms = terms();
    terms.mode = TrustMode::SharedNoise;
    terms.roster = (0..members)
        .map(|key| IdentityKey([key as u8; 32]))
        .collect();
    terms.d_max = Thresholds::usual_absent(smallest);
    terms.c_max = Thresholds::usual_colluders(smallest);
    terms.quorum = (members - sum::groups(members).len() * usize::from(terms.d_max)) as u16;
    let share = terms.noise_share().unwrap();
    terms.rounds = additive_rounds(&shapes(), MicroRho(24_355), 3_072, 8, share).unwrap();
    terms
}

fn shared_file(updates: u32) -> ModelFile {
    file_of(&shared(8), updates, |reading| reading).signed([0xab; 64])
}

#[test]
fn a_statement_of_shared_noise_names_its_assumptions_and_its_floor() {
    let file = shared_file(6);
    assert_eq!(ModelFile::parse(&file.to_json()).unwrap(), file);
    let privacy = file.privacy();
    let tolerances = (privacy.absent_max, privacy.colluders_max, privacy.honest);
    assert_eq!(
        (tolerances, privacy.groups.as_slice()),
        ((2, 1, 5), &[8][..])
    );
    assert_eq!(privacy.survivors(), Some((6, 6)));
    assert_eq!(
        (privacy.epsilon.as_str(), privacy.rho.as_str()),
        ("1.0000", "0.024355")
    );
    assert_eq!(privacy.floor_epsilon.as_deref(), Some("5.0000"));
    assert_eq!(privacy.floor_rho.as_deref(), Some("0.121775"));
    let sentence = privacy.sentence();
    for expected in [
        "epsilon 1.0000 at delta 1e-6",
        "at most 1 of 8 nodes collude",
        "epsilon 5.0000 if more do",
        "5 honest shares",
    ] {
        assert!(sentence.contains(expected), "{expected} in {sentence}");
    }
    let assumed = privacy.assumptions.join("\n");
    assert!(assumed.contains("X25519") && assumed.contains("the coordinator itself need not"));
    assert!(!assumed.contains("copies"));
}

#[test]
fn a_statement_of_node_noise_makes_no_such_assumption() {
    let file = file();
    let privacy = file.privacy();
    let tolerances = (privacy.absent_max, privacy.colluders_max, privacy.honest);
    assert_eq!(tolerances, (2, 7, 1));
    assert!(privacy.groups.is_empty() && privacy.floor_epsilon.is_none());
    assert!(!privacy.assumptions.join("\n").contains("collude"));
    assert!(
        privacy
            .sentence()
            .contains("each of 8 nodes adding its own noise")
    );
}

#[test]
fn groups_and_copies_are_stated() {
    let mut terms = shared(129);
    terms.multiplicity = 2;
    let privacy = Privacy::of(&terms, &[], |_, _| 1.0).unwrap();
    assert_eq!(
        (privacy.groups.as_slice(), privacy.honest),
        (&[64, 65][..], 40)
    );
    assert!(
        privacy
            .sentence()
            .contains("of any of 2 groups (129 nodes in all)")
    );
    assert!(privacy.sentence().contains("one customer at up to 2 nodes"));
    assert!(privacy.assumptions[1].contains("one noise covers all copies"));
    terms.mode = TrustMode::NodeNoise;
    let privacy = Privacy::of(&terms, &[], |_, _| 1.0).unwrap();
    assert!(privacy.assumptions[1].contains("each copy has noise of its own"));
}

#[test]
fn a_statement_of_shared_noise_that_does_not_fit_is_refused() {
    let json = shared_file(8).to_json();
    let check = |from: &str, to: &str, expected: &str| {
        assert!(json.contains(from), "{from}");
        let error = ModelFile::parse(&json.replacen(from, to, 1))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("\"honest\":5", "\"honest\":6", "honest");
    check("\"honest\":5", "\"honest\":1", "honest");
    check("\"groups\":[8]", "\"groups\":[4,4]", "groups");
    check("\"groups\":[8]", "\"groups\":[]", "groups");
    check("\"colluders_max\":1", "\"colluders_max\":0", "tolerances");
    check("\"absent_max\":2", "\"absent_max\":4", "tolerances");
    check(
        "\"floor_epsilon\":\"5.0000\"",
        "\"floor_epsilon\":null",
        "floor",
    );
    check(
        "\"floor_epsilon\":\"5.0000\"",
        "\"floor_epsilon\":\"none\"",
        "floor_epsilon",
    );
    check("\"updates\":8", "\"updates\":5", "updates");
    check("\"nodes\":8", "\"nodes\":3", "groups");
    check(
        "\"mode\":\"shared-noise\"",
        "\"mode\":\"node-noise\"",
        "honest",
    );
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
    check_refused("\"honest\":1", "\"honest\":5", "honest");
    check_refused("\"groups\":[]", "\"groups\":[8]", "groups and floor");
    check_refused(
        "\"colluders_max\":7",
        "\"colluders_max\":1",
        "colluders_max",
    );
    check_refused("\"absent_max\":2", "\"absent_max\":8", "absent_max");
    check_refused("\"nodes\":8", "\"nodes\":0", "nodes");
    check_refused("node-noise", "shared-noise", "groups");
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
fn t1_explanation_matches_score() {
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
    let both = training + 24_355;
    assert_eq!(privacy::quoted(&terms, &sums), Some(MicroRho(2 * both)));
    // In shared-noise the scale is made for both copies, and the charge is their price.
    let mut shared = shared(8);
    shared.multiplicity = 2;
    assert_eq!(privacy::quoted(&shared, &sums), Some(MicroRho(both)));
    assert_eq!(
        shared.floor(MicroRho(both)).unwrap().0,
        (5 * both).div_ceil(2)
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
