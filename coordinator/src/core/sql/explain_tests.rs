//! Prices and expected errors that can be worked out by hand.

use super::super::fixtures::{contract, query, standing};
use super::*;

fn explained(text: &str, price: u64, standing: &PublicTerms) -> Explanation {
    let contract = contract();
    let query = query(text);
    let table = contract.published(&query.question.table).unwrap();
    let left = Left {
        hard: Some(MicroRho(224_249)),
        share: Some(MicroRho(40_000)),
    };
    explain(&query, table, standing, MicroRho(price), 0.157, left).unwrap()
}

#[track_caller]
fn check_half(text: &str, price: u64, expected: f64) {
    let found = explained(text, price, &standing()).errors[0]
        .half_width
        .unwrap();
    assert!(
        (found / expected - 1.0).abs() < 0.01,
        "{text}: {found}, expected {expected}"
    );
}

const WORKED: &str =
    "SELECT contract, COUNT(*) AS n, AVG(monthly_charges) AS fee FROM customers GROUP BY contract";

#[test]
fn counts_have_the_published_errors() {
    // sigma 22.4 and 7.07: half-widths are 1.96 of that.
    check_half("SELECT COUNT(*) FROM customers", 1_000, 43.83);
    check_half("SELECT COUNT(*) FROM customers", 10_000, 13.86);
    // R = 20 rows of a customer: twenty times that.
    check_half("SELECT COUNT(*) FROM orders", 1_000, 876.5);
    // Three groups of a customer: sqrt(3) of it.
    check_half(
        "SELECT WITH DIFFERENTIAL_PRIVACY OPTIONS (max_groups_contributed = 3) COUNT(*) FROM orders GROUP BY shop",
        1_000,
        1_518.0,
    );
    check_half(
        "SELECT SUM(tenure) FROM customers",
        1_000,
        72.0 * 22.36 * 1.96 / 0.9_f64.sqrt(),
    );
}

#[test]
fn the_worked_example_of_the_specification() {
    let found = explained(WORKED, 1_000, &standing());
    assert_eq!((found.groups, found.cells), (4, 8));
    assert_eq!((found.hard_left, found.share_left), (Some(224), Some(40)));
    let rows = found.rows();
    let row = |name: &str| rows.iter().find(|row| row.0 == name).unwrap().1.as_str();
    assert_eq!(row("n, 95 %"), "+- 62.0");
    assert_eq!(
        row("fee, 95 %"),
        "n = 100: no use; n = 1000: +- 5.72; n = 10000: +- 0.535"
    );
    assert_eq!(row("price"), "rho 0.001 (1000 micro-rho), epsilon 0.157");
    assert_eq!(
        row("blocks"),
        "rows (500/1000), centred sum of monthly_charges (500/1000)"
    );
    assert_eq!(row("left of the hard budget"), "224 such questions");
    let json = found.to_json();
    assert_eq!(
        (&json["cells"], &json["rho_micro"]),
        (&json!(8), &json!(1_000))
    );
    assert_eq!(json["terms"]["trust_mode"], json!("shared-noise"));
}

#[test]
fn noise_at_every_node_is_wider_by_the_root_of_their_number() {
    let own = PublicTerms {
        mode: TrustMode::NodeNoise,
        nodes: 8,
        ..standing()
    };
    let text = "SELECT SUM(tenure) FROM customers";
    let one = explained(text, 1_000, &standing()).errors[0]
        .half_width
        .unwrap();
    let eight = explained(text, 1_000, &own).errors[0].half_width.unwrap();
    assert!((eight / one - 8_f64.sqrt()).abs() < 1e-6);
    // Six honest shares of eight: 8/6 of the variance.
    let share = NoiseShare {
        honest: 6,
        multiplicity: 1,
    };
    let shared = explained(
        text,
        1_000,
        &PublicTerms {
            share,
            nodes: 8,
            ..standing()
        },
    );
    let shared = shared.errors[0].half_width.unwrap();
    assert!((shared / one - (8.0_f64 / 6.0).sqrt()).abs() < 1e-6);
}

#[track_caller]
fn check_price(text: &str, left: Left, expected: Result<u64, &str>) {
    let query = query(text);
    let within = |epsilon: Epsilon, _| MicroRho((epsilon.get() * 10_000.0) as u64);
    let found = price(&query, &standing(), left, within);
    let found = found.map(|price| price.0).map_err(|refusal| refusal.state);
    assert_eq!(found, expected, "{text}");
}

#[test]
fn prices_follow_the_wish_within_the_owners_limits() {
    let options = |options: &str| {
        format!("SELECT WITH DIFFERENTIAL_PRIVACY OPTIONS ({options}) COUNT(*) FROM customers")
    };
    let none = Left::default();
    check_price("SELECT COUNT(*) FROM customers", none, Ok(1_000));
    check_price(&options("rho = 0.005"), none, Ok(5_000));
    check_price(&options("rho = 0.0050001"), none, Err("QP003"));
    check_price(&options("epsilon = 0.2"), none, Ok(2_000));
    check_price(&options("epsilon = 64"), none, Err("QP003"));
    check_price(&options("epsilon = 0.0001"), none, Err("22023"));
    let mut shared = query("SELECT COUNT(*) FROM customers");
    shared.price = PriceWish::Share(0.25);
    let within = |_, _| MicroRho(0);
    let priced = |left: u64| {
        let left = Left {
            share: Some(MicroRho(left)),
            ..none
        };
        price(&shared, &standing(), left, within)
            .map(|price| price.0)
            .map_err(|refusal| refusal.state)
    };
    assert_eq!(priced(8_000), Ok(2_000));
    assert_eq!(priced(1 << 40), Ok(5_000));
    assert_eq!(priced(20), Err("22023"));
}

#[test]
fn prices_without_a_scale_are_refused() {
    let contract = contract();
    let query = query("SELECT COUNT(*) FROM customers");
    let table = contract.published("customers").unwrap();
    let standing = PublicTerms {
        customers_max: 1 << 50,
        ..standing()
    };
    let found = explain(
        &query,
        table,
        &standing,
        MicroRho(1_000_000),
        1.0,
        Left::default(),
    );
    assert_eq!(found.unwrap_err().state, "22023");
}
