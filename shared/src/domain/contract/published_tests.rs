//! Tables for analysts: read, refused, written and hashed.

use super::*;
use crate::base::calendar;

const ORDERS: &str = r#"
[contract]
name = "shop"
version = 1

[table.customers]
privacy_unit = "customer_id"
label = { column = "left", positive = "yes" }
size_band = [400, 2000]
description = "who buys"

[table.customers.column.plan]
levels = ["basic", "plus"]
unknown = "none"
description = "what they pay for"

[table.customers.column.charges]
low = 0
high = 72.5
unit = "euro"

[table.orders]
privacy_unit = "customer_id"
rows_per_group_max = 20
groups_per_unit_max = 12
size_band = [100, 2000]

[table.orders.column.amount]
low = -10.0
high = 150
step = 0.5
digits = 2
grid = 40
on_null = 0.00
unit = "euro"

[table.orders.column.day]
first = 2024-01-01
last = 2024-12-31

[table.orders.column.shop]
levels = ["north", "south"]
"#;

fn orders() -> Contract {
    Contract::parse(ORDERS).unwrap()
}

#[track_caller]
fn check_refused(from: &str, to: &str, place: (usize, usize), expected: &str) {
    assert!(ORDERS.contains(from), "{from}");
    let error = Contract::parse(&ORDERS.replacen(from, to, 1)).unwrap_err();
    assert_eq!((error.line, error.column), place, "{error}");
    assert!(error.problem.contains(expected), "{error}");
}

#[test]
fn tables_of_many_rows_are_read() {
    let contract = orders();
    let table = contract.published("orders").unwrap();
    assert_eq!(
        (table.rows_per_group_max, table.groups_per_unit_max),
        (20, 12)
    );
    assert_eq!(table.size_band, (100, 2_000));
    assert_eq!(table.rows_per_unit_max, 20 * 12);
    let amount = NumberColumn {
        digits: 2,
        low: -1_000,
        high: 15_000,
        step: 50,
        grid: 40,
        unit: "euro".to_owned(),
        on_null: Some(0),
    };
    assert_eq!(table.columns[0].kind, PublishedKind::Number(amount));
    let first = calendar::parse("2024-01-01").unwrap();
    let day = PublishedKind::Date {
        first,
        last: first + 365,
    };
    assert_eq!(table.columns[1].kind, day);
    assert_eq!(table.position("shop"), Some(2));
    assert_eq!(contract.published("order"), None);
}

#[test]
fn the_training_table_is_published_where_it_has_a_size() {
    let contract = orders();
    let table = &contract.published[0];
    assert_eq!(
        (table.name.as_str(), table.rows_per_group_max),
        ("customers", 1)
    );
    assert_eq!(
        (table.groups_per_unit_max, table.description.as_str()),
        (1, "who buys")
    );
    assert_eq!(table.rows_per_unit_max, 1);
    // Numbers first, as among the features; a step of a thousandth or less, on a quantum that holds it.
    let charges = NumberColumn {
        digits: 2,
        low: 0,
        high: 7_250,
        step: 1,
        grid: 64,
        unit: "euro".to_owned(),
        on_null: None,
    };
    assert_eq!(table.columns[0].kind, PublishedKind::Number(charges));
    assert_eq!(table.columns[1].description, "what they pay for");
    let hidden = ORDERS.replace("size_band = [400, 2000]\ndescription = \"who buys\"\n", "");
    let hidden = hidden.replace(
        "unknown = \"none\"\ndescription = \"what they pay for\"\n",
        "",
    );
    assert_eq!(Contract::parse(&hidden).unwrap().published.len(), 1);
}

#[test]
fn a_usual_step_is_a_power_of_ten_within_a_thousandth() {
    for (high, step, digits) in [
        ("1000", 1, 0),
        ("999", 1, 1),
        ("8684.8", 10, 1),
        ("1e6", 1_000, 0),
        ("0.5", 1, 4),
    ] {
        let text = ORDERS.replace("high = 72.5", &format!("high = {high}"));
        let contract = Contract::parse(&text).unwrap();
        let PublishedKind::Number(number) = &contract.published[0].columns[0].kind else {
            panic!("a number");
        };
        assert_eq!((number.step, number.digits), (step, digits), "{high}");
    }
}

#[test]
fn what_is_written_reads_back() {
    let contract = orders();
    assert_eq!(Contract::parse(&contract.to_toml()).unwrap(), contract);
    let stated = ORDERS.replace("[100, 2000]", "[100, 2000]\nrows_per_unit_max = 7");
    let contract = Contract::parse(&stated).unwrap();
    assert_eq!(contract.published[1].rows_per_unit_max, 7);
    assert_eq!(Contract::parse(&contract.to_toml()).unwrap(), contract);
}

/// Whatever can count in one answer, at least 16 and at most 4,096; stating the usual number changes no hash.
#[test]
fn the_usual_number_of_kept_rows_follows_from_what_counts() {
    for (rows, groups, usual) in [
        (1, 1, 16),
        (4, 3, 16),
        (20, 12, 240),
        (65_536, 16_384, 4_096),
    ] {
        assert_eq!(published::rows_per_unit_usual(rows, groups), usual);
    }
    let stated = ORDERS.replace("[100, 2000]", "[100, 2000]\nrows_per_unit_max = 240");
    assert_eq!(Contract::parse(&stated).unwrap().hash(), orders().hash());
}

#[test]
fn every_field_of_a_table_enters_the_hash() {
    let changes = [
        ("[400, 2000]", "[401, 2000]"),
        ("who buys", "who sells"),
        ("\"none\"", "\"nothing\""),
        ("they pay", "she pays"),
        ("max = 20", "max = 21"),
        ("max = 12", "max = 13"),
        ("[100, 2000]", "[100, 2001]"),
        ("[100, 2000]", "[100, 2000]\nrows_per_unit_max = 241"),
        ("low = -10.0", "low = -10.01"),
        ("high = 150", "high = 150.01"),
        ("step = 0.5", "step = 0.05"),
        ("digits = 2", "digits = 3"),
        ("grid = 40", "grid = 41"),
        ("on_null = 0.00", "on_null = 0.01"),
        ("on_null = 0.00", "on_null = \"skip\""),
        ("2024-01-01", "2024-01-02"),
        ("2024-12-31", "2024-12-30"),
        ("\"south\"", "\"east\""),
        ("column.shop", "column.store"),
        (
            "table.customers.column.plan",
            "table.customers.column.tariff",
        ),
    ];
    let mut hashes = vec![orders().hash()];
    for (from, to) in changes {
        assert!(ORDERS.contains(from), "{from}");
        hashes.push(
            Contract::parse(&ORDERS.replacen(from, to, 1))
                .unwrap()
                .hash(),
        );
    }
    let euro = ORDERS.replace(
        "on_null = 0.00\nunit = \"euro\"",
        "on_null = 0.00\nunit = \"dollar\"",
    );
    hashes.push(Contract::parse(&euro).unwrap().hash());
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), changes.len() + 2);
}

#[test]
fn bounds_that_mean_nothing_are_refused() {
    check_refused("low = -10.0", "low = 150", (28, 22), "low below high");
    check_refused(
        "low = -10.0",
        "low = -10.001",
        (28, 22),
        "low is finer than 10^-2",
    );
    check_refused("step = 0.5", "step = 0.005", (28, 22), "step is finer");
    check_refused("step = 0.5", "step = 0", (28, 22), "step is not above 0");
    check_refused("step = 0.5", "step = 161", (28, 22), "at most high - low");
    check_refused("grid = 40", "grid = 65", (33, 8), "2 to 64");
    check_refused("grid = 40", "grid = 1", (33, 8), "2 to 64");
    check_refused(
        "on_null = 0.00",
        "on_null = 151",
        (28, 22),
        "outside low and high",
    );
    check_refused(
        "on_null = 0.00",
        "on_null = \"zero\"",
        (34, 11),
        "\"skip\" or a number",
    );
    check_refused("high = 150", "high = 1e12", (28, 22), "2^40");
    check_refused("digits = 2", "digits = 10", (32, 10), "0 to 9");
    check_refused("high = 150", "high = nan", (30, 8), "no decimal number");
    check_refused("2024-01-01", "2025-01-01", (37, 22), "first is after last");
    check_refused("2024-01-01", "\"2024-01-01\"", (38, 9), "without quotes");
    check_refused(
        "2024-01-01",
        "2024-01-01T00:00:00",
        (38, 9),
        "without quotes",
    );
    check_refused("last = 2024-12-31\n", "", (37, 22), "no \"last\"");
}

#[test]
fn tables_without_bounds_on_customers_are_refused() {
    check_refused(
        "rows_per_group_max = 20\n",
        "",
        (22, 8),
        "no \"rows_per_group_max\"",
    );
    check_refused(
        "rows_per_group_max = 20",
        "rows_per_group_max = 0",
        (24, 22),
        "1 to 65536",
    );
    check_refused(
        "groups_per_unit_max = 12",
        "groups_per_unit_max = 16385",
        (25, 23),
        "1 to 16384",
    );
    check_refused(
        "[100, 2000]",
        "[100, 2000]\nrows_per_unit_max = 4097",
        (27, 21),
        "1 to 4096",
    );
    check_refused("[100, 2000]", "[100]", (26, 13), "[fewest, most]");
    check_refused("[100, 2000]", "[200, 100]", (26, 13), "falls");
    check_refused("[100, 2000]", "[0, 100]", (26, 14), "1 to 4294967296");
    check_refused(
        "description = \"who buys\"",
        "rows_per_group_max = 1",
        (10, 1),
        "unknown key",
    );
    let orders = "[table.orders]\nweight = 1";
    check_refused("[table.orders]", orders, (23, 1), "multiplies");
}

#[test]
fn columns_have_one_type_and_one_meaning() {
    let unit = "[table.orders.column.customer_id]";
    check_refused(
        "[table.orders.column.shop]",
        unit,
        (23, 1),
        "is the privacy unit",
    );
    let other = "levels = [\"north\", \"other\"]";
    check_refused(
        "levels = [\"north\", \"south\"]",
        other,
        (42, 1),
        "unknown is \"other\"",
    );
    check_refused(
        "levels = [\"north\", \"south\"]",
        "",
        (41, 22),
        "low and high, levels",
    );
    let both = "first = 2024-01-01\nlow = 1";
    check_refused("first = 2024-01-01", both, (39, 1), "unknown key \"low\"");
    let long = format!(
        "levels = [\"north\"]\ndescription = \"{}\"",
        "x".repeat(1_025)
    );
    check_refused(
        "levels = [\"north\", \"south\"]",
        &long,
        (43, 1),
        "at most 1024",
    );
    check_refused("label =", "labels =", (6, 2), "no table with a label");
}
