//! What the public data sets must reach without noise, with columns that move together, and however they are spread.

use aquifer_shared::domain::predictor::learner::Learner;
use aquifer_shared::protocol::wire::TaskBody;
use aquifer_tests::company::{Company, SPLIT_COLUMN};
use aquifer_tests::random::Seeded;

use crate::customers::{Customers, Shared, Without, company, customers};
use aquifer_tests::given::shared;

/// The published noise-free figures, to their last digit.
#[track_caller]
fn check_noise_free(name: &str, auc: f64, log_loss: f64) {
    let Some(company) = company(name) else { return };
    let customers = customers(&company);
    let rounds = customers.rounds(24_355, 4_096);
    let found = customers.exact(&customers.learn(&rounds, 4_096, &mut Without));
    assert!((found[0] - auc).abs() < 1e-6, "{found:?}");
    assert!((found[1] - log_loss).abs() < 5.1e-5, "{found:?}");
}

#[test]
fn all_of_telco() {
    check_noise_free("telco", 0.838_306, 0.419_0);
}

#[test]
fn all_of_bank() {
    check_noise_free("bank", 0.777_301, 0.285_8);
}

#[test]
fn all_of_adult() {
    check_noise_free("adult", 0.910_128, 0.309_9);
}

/// Telco with every column three times: features that move together must not overshoot together.
fn correlated() -> Option<Customers> {
    let mut company = company("telco")?;
    let once = company.contract.columns.clone();
    for copy in ["second", "third"] {
        company
            .contract
            .columns
            .extend(once.iter().cloned().map(|mut column| {
                column.name = format!("{} {copy}", column.name);
                column
            }));
    }
    for customer in &mut company.customers {
        let once = std::mem::take(&mut customer.values);
        customer.values = [once.clone(), once.clone(), once].concat();
    }
    Some(customers(&company))
}

#[test]
fn correlated_columns_without_noise() {
    let Some(customers) = correlated() else {
        return;
    };
    let rounds = customers.rounds(24_355, 4_096);
    let [auc, log_loss, _] = customers.exact(&customers.learn(&rounds, 4_096, &mut Without));
    assert!(log_loss <= 0.43 && auc >= 0.835, "{auc} {log_loss}");
}

/// One seed; the reference's mean is 0.4205.
#[test]
fn correlated_columns_with_shared_noise() {
    let Some(customers) = correlated() else {
        return;
    };
    let rounds = customers.rounds(311_064, 4_096);
    let mut noise = Shared {
        rounds: rounds.clone(),
        seeded: Seeded::new(5, 0),
    };
    let [auc, log_loss, _] = customers.exact(&customers.learn(&rounds, 4_096, &mut noise));
    assert!(log_loss <= 0.425, "{auc} {log_loss}");
}

/// However customers are spread over nodes, their sums add up to the same.
#[test]
fn any_split_over_nodes_gives_the_same_sums() {
    let Some(shared) = shared() else { return };
    let path = shared.join("data/telco");
    let sums = |column: &str| {
        let company = Company::read(&path, column).unwrap();
        let units = 0..company.units.len();
        let nodes = units.map(|unit| {
            customers(&Company {
                name: company.name.clone(),
                contract: company.contract.clone(),
                units: company.units.clone(),
                customers: company.of_unit(unit).cloned().collect(),
            })
        });
        let nodes: Vec<Customers> = nodes.collect();
        let rounds = nodes[0].rounds(24_355, 3_072);
        let total = |round: usize, body: &TaskBody| {
            let sums = nodes
                .iter()
                .map(|node| node.sum(body, &rounds[round], 3_072));
            sums.reduce(|a, b| a.iter().zip(b).map(|(a, b)| a + b).collect())
                .unwrap()
        };
        let counts = total(0, &TaskBody::Counts);
        let mut learner = Learner::after_counts(&nodes[0].shapes, &counts, 0.0, 3_072).unwrap();
        let mut all = vec![counts];
        for round in 1..=3 {
            let residuals = total(round, &TaskBody::Residuals(learner.state()));
            learner.step(&residuals, 0.0).unwrap();
            all.push(residuals);
        }
        all
    };
    let together = sums(SPLIT_COLUMN);
    assert_eq!(sums("unit_iid"), together);
    assert_eq!(sums("unit_region"), together);
}
