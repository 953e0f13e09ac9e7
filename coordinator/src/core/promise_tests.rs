//! What a release promises is complete, and no more than its numbers say.

use aquifer_shared::base::ids::{Hash32, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::facts::forbidden;
use aquifer_shared::protocol::ask::ReleasedSum;
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::shell::noise;

use super::*;
use crate::core::asking::release;
use crate::core::fixtures::{asking, terms};
use crate::core::sql::{Settings, Statement, compile};

const ACCOUNTANT: Accountant = Accountant {
    largest_urho: noise::largest_urho,
    epsilon: noise::epsilon,
};

fn contract() -> Contract {
    Contract::parse(include_str!("../../golden/contract.toml")).unwrap()
}

fn question(text: &str) -> Question {
    let settings = Settings {
        purpose: Some("contracts.reporting".to_owned()),
        ..Settings::default()
    };
    match compile(text, &settings, &contract(), Some(&[])) {
        Ok(Statement::Query(query)) => query.question,
        other => panic!("{text}: {other:?}"),
    }
}

fn line(terms: &StudyTerms, updates: u32) -> ReleaseLine {
    let sum = ReleasedSum {
        round: 0,
        updates,
        cells: Vec::new(),
    };
    let made = (false, Timestamp(3));
    release((StudyHash([1; 32]), 1), terms, &sum, made, ACCOUNTANT).unwrap()
}

fn said(text: &str, change: impl FnOnce(&mut StudyTerms)) -> String {
    let question = question(text);
    let mut terms = asking(encode(&question));
    change(&mut terms);
    let contract = contract();
    let table = contract.published(&question.table).unwrap();
    let line = line(&terms, 3);
    let said = promise(&terms, &line, table, MicroRho(60_000), ACCOUNTANT).unwrap();
    assert_eq!(forbidden(&said), None, "{said}");
    said
}

/// Epsilon of rho 0.02, 0.06 and 1 at 1e-6: 0.899935 and 7.766217 are golden values of the specification.
#[test]
fn with_noise_of_each_unit_nobody_else_need_be_honest() {
    let text = "SELECT shop, AVG(amount), SUM(age) FROM orders GROUP BY shop";
    let rho_06 = (ACCOUNTANT.epsilon)(MicroRho(60_000), 1e-6.try_into().unwrap());
    assert!((1.6..1.7).contains(&rho_06), "{rho_06}");
    let expected = format!(
        "Adding or removing one customer of one unit, with all rows, changes the chance of any outcome of this release by at most a \
         factor e^0.9, but for a probability 1e-6 (rho 0.02; nobody is left out by sampling). \
         A customer is one customer_id, of whom R = 20 rows in each of G = 4 groups of the contract count at most, amount from -10 \
         to 150, age from 18 to 91; what is outside is clamped, which no interval covers. \
         Each unit in the sum adds a discrete Gaussian (OpenDP 0.16) of scale 1234 in the integers of the sum; 3 of 4 units are in it. \
         In node-noise each unit adds the whole noise: nobody else need be honest. \
         The data are of version 2026-11. \
         All questions of everybody under standing study reports, this one among them, have cost a customer rho 0.06 (epsilon \
         {rho_06}) so far, and may cost rho 1 (epsilon 7.7663); other studies add up in each unit's ledger."
    );
    assert_eq!(said(text, |_| {}), expected);
}

#[test]
fn with_shared_noise_it_says_who_must_be_honest_and_what_is_left() {
    let said = said("SELECT COUNT(*) FROM customers", |terms| {
        terms.mode = TrustMode::SharedNoise;
        (terms.d_max, terms.c_max, terms.quorum) = (1, 1, 3);
    });
    // Two honest shares of rho 0.02: each alone is worth 0.04.
    let floor = (ACCOUNTANT.epsilon)(MicroRho(40_000), 1e-6.try_into().unwrap());
    for words in [
        "In shared-noise each unit adds a share of the noise and only the sum is opened: at most 1 of a group of units collude",
        &format!("if more do, or the encryption between units breaks, epsilon is {floor}."),
        "Each unit in the sum adds a discrete Gaussian (OpenDP 0.16) of scale 1234",
        "A customer is one customer_id, of whom R = 1 rows in each of G = 1 groups of the contract count at most; what",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
}

#[test]
fn copies_at_several_units_are_all_in_the_price() {
    let said = said("SELECT COUNT(*) FROM customers", |terms| {
        terms.multiplicity = 2;
    });
    for words in [
        "one customer of up to 2 units,",
        "(rho 0.04; ",
        "have cost a customer rho 0.12 (",
        "may cost rho 2 (epsilon 11.6886)",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
}

#[test]
fn what_is_no_question_promises_nothing() {
    let question = question("SELECT COUNT(*) FROM customers");
    let contract = contract();
    let table = contract.published("customers").unwrap();
    let line = line(&asking(encode(&question)), 4);
    let other = StudyTerms {
        contract_hash: Hash32([1; 32]),
        ..terms()
    };
    assert_eq!(
        promise(&other, &line, table, MicroRho::ZERO, ACCOUNTANT),
        None
    );
}
