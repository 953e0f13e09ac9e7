//! A small finished study for tests: contract, terms, sums, and the model that they give.

use aquifer_coordinator::core::expand::{Accountant, Expanded, expand, shapes};
use aquifer_coordinator::core::learning::learn;
use aquifer_coordinator::core::study_file::StudyFile;
use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::predictor::evaluation;
use aquifer_shared::domain::predictor::gate::{Rival, decide};
use aquifer_shared::domain::predictor::model::{Finished, ModelFile, SumRecord};
use aquifer_shared::domain::predictor::plan::total_sigma;
use aquifer_shared::protocol::ask::{ReleasedSum, SumsBundle};
use aquifer_shared::shell::noise;

const CONTRACT: &str = r#"
[contract]
name = "customers"
version = 1

[table.customers]
privacy_unit = "customer_no"
label = { column = "left", positive = "yes" }

[table.customers.column.tenure]
low = 0
high = 64
unit = "months"

[table.customers.column.plan]
levels = ["basic", "plus"]
"#;

const STUDY: &str = r#"
name = "churn"
purpose = "churn.train"
contract = { name = "customers", version = 1 }
plan = "additive"
epsilon = 4.0
customers_max = 40000
population = 80000
"#;

/// A study of two nodes whose sums hold 32 000 customers; short tenures and plan `basic` leave more often.
pub(crate) fn finished() -> (ModelFile, SumsBundle) {
    let contract = Contract::parse(CONTRACT).unwrap();
    let expanded = expanded(2, "");
    let sums = sums();
    let learner = learn(&expanded.terms, &shapes(&contract), &sums)
        .unwrap()
        .unwrap();
    let fitted = learner.finish().unwrap();
    let last = expanded.terms.rounds.last().unwrap();
    let sigma = total_sigma(last.sigma_share, 2);
    let reading = evaluation::read(&sums[9].cells, sigma, fitted.base, fitted.clip).unwrap();
    let verdict = decide(expanded.terms.gate, &reading, Rival::BaseRate, 0);
    let records: Vec<SumRecord<'_>> = sums
        .iter()
        .map(|sum| SumRecord {
            attempts: 1,
            updates: sum.updates,
            cells: &sum.cells,
        })
        .collect();
    let file = ModelFile::of(&Finished {
        study: expanded.hash,
        terms: &expanded.terms,
        contract: &contract,
        fitted: &fitted,
        reading: &reading,
        verdict: &verdict,
        sums: &records,
        epsilon: noise::epsilon,
        version: 1,
        created: Timestamp(1_800_000_000_000),
        retire_by: Some(Timestamp(1_807_776_000_000)),
    });
    let bundle = SumsBundle {
        terms: expanded.bytes,
        contract: CONTRACT.to_owned(),
        sums,
    };
    (file.unwrap(), bundle)
}

/// The sample study for this many nodes, with further lines in its file.
pub(crate) fn expanded(nodes: usize, more: &str) -> Expanded {
    let contract = Contract::parse(CONTRACT).unwrap();
    let node = |index: usize| {
        let name = format!("node-{index}").parse().unwrap();
        (name, IdentityKey([index as u8; 32]))
    };
    let registry: Vec<_> = (0..nodes).map(node).collect();
    let accountant = Accountant {
        largest_urho: noise::largest_urho,
        epsilon: noise::epsilon,
    };
    let file = StudyFile::parse(&format!("{STUDY}{more}")).unwrap();
    expand(
        &file,
        &contract,
        &registry,
        [7; 16],
        Timestamp(1_000),
        accountant,
    )
    .unwrap()
}

/// Counts; residuals that fade from round to round; an evaluation that ranks well.
fn sums() -> Vec<ReleasedSum> {
    let sum = |round, cells| ReleasedSum {
        round,
        updates: 2,
        cells,
    };
    let mut tenure = vec![500 * 256; 64];
    tenure.push(0);
    let counts = [tenure, vec![16_000 * 256, 16_000 * 256, 0]].concat();
    let first = sum(0, counts.clone());
    let contract = Contract::parse(CONTRACT).unwrap();
    let expanded = expanded(2, "");
    let mut released = vec![first];
    for round in 1..9 {
        let learner = learn(&expanded.terms, &shapes(&contract), &released)
            .unwrap()
            .unwrap();
        let state = learner.state();
        let (missing, levels) = (state.curves.len() - 4, 3);
        let size = 4_096 * 4_000 / (1 << round);
        let slope =
            |bin: usize| size * (missing as i64 - 1 - 2 * bin as i64) / (missing as i64).pow(2);
        let mut cells: Vec<i64> = (0..missing).map(slope).collect();
        cells.push(0);
        cells.extend([size / 2, -size / 2, 0].iter().take(levels));
        cells.resize(state.curves.len(), 0);
        released.push(sum(round, cells));
    }
    let evaluation = (0..32_i64).flat_map(|bin| {
        let middle = (bin - 16).abs();
        let customers = (600 - 40 * middle).max(0) * 256;
        [customers * (32 - bin) / 32, customers * bin / 32]
    });
    released.push(sum(9, evaluation.collect()));
    released
}
