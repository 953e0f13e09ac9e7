//! From rows of customers to rows of an answer: without noise that is SQL on clamped data.

use proptest::prelude::*;

use super::super::fixtures::{Chance, contract, query, settings};
use super::super::{Intervals, Settings, Statement, compile};
use super::*;
use aquifer_shared::base::calendar;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::question::{BlockKind, RUN_CELLS, number};

/// Amount and day may be missing; age and shop never are.
#[derive(Clone, Copy, Debug)]
struct Order {
    amount: Option<i64>,
    age: i64,
    day: Option<i64>,
    shop: i64,
}

impl Order {
    fn value(&self, column: u16) -> Option<i64> {
        match column {
            0 => self.amount,
            1 => Some(self.age),
            2 => self.day,
            _ => Some(self.shop),
        }
    }
}

const CUSTOMERS_MAX: u64 = 2_000;
const QUIET: Noise = Noise {
    sigma_share: 0,
    nodes: 1,
};

/// The exact sum that nodes would open, of customers within the contract's bounds.
fn exact(query: &Query, table: &Published, customers: &[Vec<Order>]) -> Vec<i64> {
    let question = &query.question;
    let layout = Layout::of(question, table).unwrap();
    let scales = Scales::of(question, table, CUSTOMERS_MAX).unwrap();
    let mut cells = vec![0_i64; layout.cells()];
    for orders in customers {
        let mut figures = vec![0_i128; layout.cells()];
        for order in orders {
            if !question.filter.holds(&|column| order.value(column)) {
                continue;
            }
            let place = |key: &Key| {
                let column = key.column();
                let kind = &table.columns[usize::from(column)].kind;
                key.place(kind, order.value(column)).unwrap()
            };
            let places: Vec<usize> = question.keys.iter().map(place).collect();
            let group = layout.group(&places).unwrap();
            for (index, block) in question.blocks.iter().enumerate() {
                let value = block.kind.column().and_then(|column| order.value(column));
                let mut cell = layout.cells_of(group, index).start;
                if let BlockKind::Grid(column) = block.kind {
                    let column = number(&table.columns[usize::from(column)].kind).unwrap();
                    cell += value.map_or(0, |value| column.grid_cell(value));
                }
                if let BlockKind::Runs(column) = block.kind {
                    let column = number(&table.columns[usize::from(column)].kind).unwrap();
                    cell += value.map_or(0, |value| column.grid_cell(value) / RUN_CELLS);
                }
                let more = block.kind.of_row(table, value);
                figures[cell] = if block.kind == BlockKind::Units {
                    1
                } else {
                    figures[cell] + more
                };
            }
        }
        for group in 0..layout.groups() {
            for index in 0..question.blocks.len() {
                for cell in layout.cells_of(group, index) {
                    cells[cell] += scales.scaled(index, figures[cell]);
                }
            }
        }
    }
    cells
}

fn answered(text: &str, customers: &[Vec<Order>], floor: u64) -> Answer {
    let contract = contract();
    let query = query(text);
    let table = contract.published("orders").unwrap();
    let cells = exact(&query, table, customers);
    present(&query, table, &cells, QUIET, CUSTOMERS_MAX, floor).unwrap()
}

/// One row for each shop: name, rows, customers, then figures of the amounts.
fn naive(customers: &[Vec<Order>], kept: impl Fn(&Order) -> bool) -> Vec<(i64, i64, Vec<f64>)> {
    let of_shop = |shop: i64| {
        let of = customers.iter().map(|orders| {
            let chosen = orders
                .iter()
                .filter(|order| order.shop == shop && kept(order));
            chosen.copied().collect::<Vec<Order>>()
        });
        let of: Vec<Vec<Order>> = of.filter(|orders| !orders.is_empty()).collect();
        let rows: Vec<&Order> = of.iter().flatten().collect();
        let amounts = rows.iter().filter_map(|order| order.amount);
        (
            rows.len() as i64,
            of.len() as i64,
            amounts.map(|cents| cents as f64 / 100.0).collect(),
        )
    };
    (0..4).map(of_shop).collect()
}

fn order() -> impl Strategy<Value = Order> {
    let first = i64::from(calendar::parse("2024-01-15").unwrap());
    let day = proptest::option::of((0_i64..=351).prop_map(move |day| first + day));
    (
        proptest::option::weighted(0.9, -1_000_i64..=15_000),
        18_i64..=91,
        day,
        0_i64..4,
    )
        .prop_map(|(amount, age, day, shop)| Order {
            amount,
            age,
            day,
            shop,
        })
}

fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Real(value) => Some(*value),
        Value::Whole(value) => Some(*value as f64),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn without_noise_answers_are_sql_on_clamped_data(
        customers in proptest::collection::vec(proptest::collection::vec(order(), 0..8), 0..40),
    ) {
        let text = "SELECT shop, COUNT(*), COUNT(DISTINCT customer_id), COUNT(amount), SUM(amount), AVG(amount), \
            VARIANCE(amount), STDDEV(amount), MEDIAN(amount) FROM orders \
            WHERE NOT (age > 60 OR amount BETWEEN 20 AND 20.5) AND day IS NOT NULL GROUP BY shop";
        let kept = |order: &Order| {
            let amount = order.amount.map(|cents| (2_000..=2_050).contains(&cents));
            order.age <= 60 && amount == Some(false) && order.day.is_some()
        };
        let quiet = Settings { intervals: Intervals::Off, ..settings() };
        let Ok(Statement::Query(query)) = compile(text, &quiet, &contract(), None) else {
            panic!("a query");
        };
        let contract = contract();
        let table = contract.published("orders").unwrap();
        let cells = exact(&query, table, &customers);
        let answer = present(&query, table, &cells, QUIET, CUSTOMERS_MAX, 0).unwrap();
        prop_assert_eq!(answer.rows.len(), 4);
        for (row, (rows, units, amounts)) in answer.rows.iter().zip(naive(&customers, kept)) {
            prop_assert_eq!(&row[1], &Value::Whole(rows));
            prop_assert_eq!(&row[2], &Value::Whole(units));
            prop_assert_eq!(&row[3], &Value::Whole(amounts.len() as i64));
            // Each customer's figures are rounded towards zero: less than 2·h·R·2^-20 each.
            let count = amounts.len() as f64;
            let sum: f64 = amounts.iter().sum();
            prop_assert!((real(&row[4]).unwrap() - sum).abs() <= 0.02 * (units as f64 + 1.0), "{row:?} {sum}");
            if amounts.is_empty() {
                prop_assert_eq!(&row[5], &Value::Null);
                prop_assert_eq!(row.last(), Some(&Value::Truth(true)));
                continue;
            }
            let mean = sum / count;
            let variance = amounts.iter().map(|amount| (amount - mean).powi(2)).sum::<f64>() / count;
            prop_assert!((real(&row[5]).unwrap() - mean).abs() < 0.05, "{row:?} {mean}");
            prop_assert!((real(&row[6]).unwrap() - variance).abs() < 5.0, "{row:?} {variance}");
            prop_assert!((real(&row[7]).unwrap().powi(2) - real(&row[6]).unwrap()).abs() < 1e-6);
            prop_assert_eq!(row.last(), Some(&Value::Truth(false)));
        }
    }
}

fn some() -> Vec<Vec<Order>> {
    let day = calendar::parse("2024-05-05").map(i64::from);
    let order = |shop: i64, amount: i64| Order {
        amount: Some(amount),
        age: 30,
        day,
        shop,
    };
    let mut customers = vec![vec![order(0, 1_000), order(0, 3_000)]; 60];
    customers.extend(vec![vec![order(1, 500)]; 100]);
    customers.extend(vec![vec![order(2, 9_000)]; 3]);
    customers
}

fn texts(answer: &Answer) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::Text(text) | Value::Json(text) => text.clone(),
        Value::Date(day) => calendar::written(*day),
        Value::Whole(value) => value.to_string(),
        Value::Real(value) => format!("{value:.1}"),
        Value::Truth(truth) => truth.to_string(),
    };
    let row = |row: &Vec<Value>| row.iter().map(text).collect::<Vec<_>>().join(" ");
    answer.rows.iter().map(row).collect()
}

#[track_caller]
fn check_rows(text: &str, floor: u64, expected: &[&str]) {
    assert_eq!(texts(&answered(text, &some(), floor)), expected, "{text}");
}

#[test]
fn rows_come_in_the_contracts_order_with_all_groups() {
    let text = "SELECT shop, COUNT(*) AS n FROM orders GROUP BY shop";
    let expected = [
        "north 120 120 120 false",
        "south 100 100 100 false",
        "west's 3 3 3 false",
        "other 0 0 0 false",
    ];
    check_rows(text, 0, &expected);
    check_rows(
        text,
        50,
        &[
            expected[0],
            expected[1],
            "west's - - - true",
            "other - - - true",
        ],
    );
}

#[test]
fn order_limit_and_having_work_on_released_values() {
    let text = "SELECT shop, COUNT(*) AS n FROM orders GROUP BY shop";
    let row = |shop: &str, n: u32| format!("{shop} {n} {n} {n} false");
    check_rows(
        &format!("{text} ORDER BY n LIMIT 2"),
        0,
        &[&row("other", 0), &row("west's", 3)],
    );
    check_rows(
        &format!("{text} ORDER BY 1 DESC LIMIT 1 OFFSET 1"),
        0,
        &[&row("south", 100)],
    );
    check_rows(
        &format!("{text} HAVING COUNT(*) BETWEEN 50 AND 110"),
        0,
        &[&row("south", 100)],
    );
    check_rows(
        &format!("{text} HAVING n > 0 AND shop <> 'north' AND AVG(amount) > 10"),
        0,
        &[&row("west's", 3)],
    );
    // Suppressed rows are neither above nor below anything, and come last, or first where the largest is.
    check_rows(
        &format!("{text} HAVING n < 1000"),
        50,
        &[&row("north", 120), &row("south", 100)],
    );
    check_rows(
        &format!("{text} HAVING n IS NULL ORDER BY shop"),
        50,
        &["other - - - true", "west's - - - true"],
    );
    check_rows(
        &format!("{text} ORDER BY n DESC LIMIT 1"),
        50,
        &["west's - - - true"],
    );
    check_rows(
        &format!("{text} ORDER BY n DESC NULLS LAST LIMIT 1"),
        50,
        &[&row("north", 120)],
    );
    check_rows(&format!("{text} LIMIT 0"), 50, &[]);
}

#[test]
fn wrapped_queries_pass_on_what_they_name() {
    let text = "SELECT \"t\".\"n\" AS many, t.shop FROM (SELECT shop, COUNT(*) AS n FROM orders GROUP BY shop ORDER BY n DESC LIMIT 3) t \
        ORDER BY t.n LIMIT 2";
    check_rows(text, 0, &["3 west's", "100 south"]);
    let names: Vec<String> = columns(&query(text))
        .into_iter()
        .map(|column| column.name)
        .collect();
    assert_eq!(names, ["many", "shop"]);
}

#[test]
fn keys_have_their_own_types() {
    check_rows(
        "SELECT date_trunc('quarter', day) q, COUNT(*) FROM orders GROUP BY q HAVING COUNT(*) > 1 OR q IS NULL",
        0,
        &["2024-04-01 223 223 223 false", "- 0 0 0 false"],
    );
    check_rows(
        "SELECT width_bucket(amount, 0, 100, 2) b, COUNT(*) s FROM orders GROUP BY b HAVING s > 1",
        0,
        &["1 220 220 220 false", "2 3 3 3 false"],
    );
    use ValueKind::{Date, Real, Text, Truth, Whole};
    let query = query(
        "SELECT date_trunc('month', day), shop, width_bucket(age, 18, 91, 2) b, COUNT(*), AVG(amount) a FROM orders GROUP BY 1, 2, 3",
    );
    let kinds: Vec<ValueKind> = columns(&query).iter().map(|column| column.kind).collect();
    assert_eq!(
        kinds,
        [
            Date, Text, Whole, Whole, Whole, Whole, Real, Real, Real, Truth
        ]
    );
}

#[test]
fn sum_mean_and_count_of_a_row_agree() {
    let answer = answered(
        "SELECT COUNT(amount), SUM(amount), AVG(amount) FROM orders WHERE shop = 'north'",
        &some(),
        0,
    );
    let [count, sum, mean] = [0, 3, 6].map(|place| real(&answer.rows[0][place]).unwrap());
    assert!((sum - count * mean).abs() < 1e-6, "{answer:?}");
}

/// Answers to a text about the same customers, each with noise of its own: of so many rows in the first block.
struct Shaken {
    contract: Contract,
    query: Query,
    exact: Vec<i64>,
    noise: Noise,
    chance: Chance,
}

impl Shaken {
    fn of(text: &str, settings: &Settings, customers: &[Vec<Order>], rows: f64) -> Self {
        let contract = contract();
        let table = contract.published("orders").unwrap();
        let Ok(Statement::Query(query)) = compile(text, settings, &contract, None) else {
            panic!("{text}");
        };
        let scales = Scales::of(&query.question, table, CUSTOMERS_MAX).unwrap();
        Self {
            exact: exact(&query, table, customers),
            noise: Noise {
                sigma_share: (rows / scales.unit(0)).round() as u64,
                nodes: 1,
            },
            query: *query,
            chance: Chance(17),
            contract,
        }
    }

    fn answer(&mut self) -> Answer {
        let table = self.contract.published("orders").unwrap();
        let sigma = self.noise.sigma();
        let cells = self.exact.iter();
        let cells = cells.map(|cell| cell + (sigma * self.chance.normal()).round() as i64);
        let cells: Vec<i64> = cells.collect();
        present(&self.query, table, &cells, self.noise, CUSTOMERS_MAX, 0).unwrap()
    }
}

/// North as in [`some`], whoever is in the south at the upper bound, three in the west, nobody elsewhere.
fn at_the_bound() -> Vec<Vec<Order>> {
    let mut customers = some();
    let orders = customers.iter_mut().flatten();
    let south = orders.filter(|order| order.shop == 1);
    south.for_each(|order| order.amount = Some(15_000));
    customers
}

const THREE: &str =
    "SELECT shop, COUNT(amount), SUM(amount), AVG(amount) FROM orders GROUP BY shop";

#[test]
fn sum_mean_and_count_of_a_row_agree_to_the_last_digit_under_noise() {
    let (mut valued, mut moved, mut without) = (0, 0, 0);
    for rows in [0.3, 3.0, 30.0] {
        let mut shaken = Shaken::of(THREE, &settings(), &at_the_bound(), rows);
        for row in (0..1_000).flat_map(|_| shaken.answer().rows) {
            let [count, sum, mean] = [1, 4, 7].map(|place| {
                let found = [place, place + 1, place + 2].map(|place| real(&row[place]));
                let [value, low, high] = found;
                assert!(low <= value && value <= high, "{row:?}");
                value
            });
            let (count, sum) = (count.unwrap(), sum.unwrap());
            assert!(count >= 0.0, "{row:?}");
            let Some(mean) = mean else {
                without += 1;
                continue;
            };
            valued += 1;
            moved += u32::from(mean == 150.0 || mean == -10.0);
            assert!((-10.0..=150.0).contains(&mean) && count >= 1.0, "{row:?}");
            assert_eq!(sum, mean * count, "{row:?}");
        }
    }
    // All kinds of rows were there.
    assert!(
        valued > 5_000 && moved > 500 && without > 1_000,
        "{valued} {moved} {without}"
    );
}

/// Of 10,000 sound intervals, fewer than 94 or more than 96 of 100 hold the truth in fewer than 1 of 100,000 runs; those of means are
/// wider.
#[test]
fn intervals_hold_the_truth_where_rounding_counts_matters() {
    for rows in [0.3, 1.0] {
        let mut shaken = Shaken::of(THREE, &settings(), &some(), rows);
        let (mut sums, mut means) = (0, 0);
        for _ in 0..10_000 {
            let row = &shaken.answer().rows[0];
            let holds = |place: usize, truth: f64| {
                let [low, high] = [place + 1, place + 2].map(|place| real(&row[place]).unwrap());
                u32::from((low..=high).contains(&truth))
            };
            sums += holds(4, 2_400.0);
            means += holds(7, 20.0);
        }
        assert!((9_400..=9_600).contains(&sums), "{rows}: {sums}");
        assert!(means >= 9_500, "{rows}: {means}");
    }
}

/// The counts of all shops together, on average of 2,000 answers less the truth, in standard errors.
fn off_in_total(negative_counts: bool) -> f64 {
    let settings = Settings {
        negative_counts,
        intervals: Intervals::Off,
        ..settings()
    };
    let text = "SELECT shop, COUNT(*) AS n FROM orders GROUP BY shop";
    let mut shaken = Shaken::of(text, &settings, &some(), 30.0);
    let totals = (0..2_000).map(|_| {
        let answer = shaken.answer();
        let counts = answer.rows.iter().map(|row| real(&row[1]).unwrap());
        counts.sum::<f64>()
    });
    let mean = totals.sum::<f64>() / 2_000.0;
    // Four groups, each with the noise of 30 rows.
    (mean - 223.0) / (60.0 / 2_000.0_f64.sqrt())
}

/// A false alarm in 1 of 10^6 seeds.
#[test]
fn groups_add_up_without_bias_where_negative_counts_are_shown() {
    let (shown, cut) = (off_in_total(true), off_in_total(false));
    assert!(shown.abs() < 4.9, "{shown} standard errors");
    assert!(cut > 10.0, "groups of nobody count as something: {cut}");
}

/// Without noise, of customers who have no more rows than count in one group.
#[test]
fn groups_add_up_to_the_total_that_is_asked_for_alone() {
    let text =
        "SELECT COUNT(*) AS n, COUNT(amount) AS m, SUM(amount) AS s, AVG(amount) AS a FROM orders";
    let total = |answer: &Answer, place: usize| -> f64 {
        let values = answer.rows.iter().filter_map(|row| real(&row[place]));
        values.sum()
    };
    let alone = answered(text, &some(), 0);
    let text = text.replace("SELECT", "SELECT shop,") + " GROUP BY shop";
    let groups = answered(&text, &some(), 0);
    assert_eq!(total(&groups, 1), total(&alone, 0));
    assert_eq!(total(&groups, 4), total(&alone, 3));
    let (sum, of_groups) = (total(&alone, 6), total(&groups, 7));
    // Each customer's figures are rounded towards zero.
    assert!((sum - of_groups).abs() < 1.0, "{sum} {of_groups}");
}

#[test]
fn intervals_can_be_one_json_column_or_nothing() {
    let contract = contract();
    let table = contract.published("orders").unwrap();
    let shown = |intervals| {
        let settings = Settings {
            intervals,
            ..settings()
        };
        let Ok(Statement::Query(query)) = compile(
            "SELECT COUNT(*) AS n FROM orders",
            &settings,
            &contract,
            None,
        ) else {
            panic!("a query");
        };
        let cells = exact(&query, table, &some());
        texts(&present(&query, table, &cells, QUIET, CUSTOMERS_MAX, 0).unwrap())
    };
    assert_eq!(
        shown(Intervals::Json),
        ["{\"high\":223,\"low\":223,\"value\":223} false"]
    );
    assert_eq!(shown(Intervals::Off), ["223 false"]);
}

#[test]
fn counts_below_zero_are_shown_where_they_are_wanted() {
    let contract = contract();
    let table = contract.published("orders").unwrap();
    let shown = |negative_counts| {
        let settings = Settings {
            negative_counts,
            ..settings()
        };
        let Ok(Statement::Query(query)) = compile(
            "SELECT COUNT(*) AS n FROM orders",
            &settings,
            &contract,
            None,
        ) else {
            panic!("a query");
        };
        let scales = Scales::of(&query.question, table, CUSTOMERS_MAX).unwrap();
        let cells = [-(10.0 / scales.unit(0)) as i64];
        let noise = Noise {
            sigma_share: (4.0 / scales.unit(0)) as u64,
            nodes: 4,
        };
        texts(&present(&query, table, &cells, noise, CUSTOMERS_MAX, 0).unwrap())
    };
    assert_eq!(shown(false), ["0 0 5 false"]);
    assert_eq!(shown(true), ["-10 -25 5 false"]);
}

#[test]
fn cells_of_another_question_are_refused() {
    let contract = contract();
    let table = contract.published("orders").unwrap();
    let query = query("SELECT COUNT(*) FROM orders");
    let found = present(&query, table, &[1, 2], QUIET, CUSTOMERS_MAX, 0);
    assert_eq!(
        found,
        Err(OtherCells {
            found: 2,
            expected: 1
        })
    );
}
