//! A published table with several rows of a customer, in PostgreSQL, in an object store (Parquet) and in JSON: the same findings as from CSV,
//! and answers in which no customer counts for more than the contract says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use aquifer_shared::base::calendar;
use aquifer_shared::base::units::MicroRho;
use aquifer_tests::cluster::Cluster;
use aquifer_tests::company::Company;
use aquifer_tests::orders::{self, AMOUNT_MAX, Bounds, Order, SHOPS};
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::{command, run};
use aquifer_tests::standing::{PURPOSE, Standing};
use arrow::array::{Array, Date32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use super::s3_server::Store;
use super::server::Postgres;
use super::unit::{CANARIES, write_secret};

const UNITS: usize = 3;
const BOUNDS: Bounds = Bounds {
    rows: 2,
    groups: 2,
    kept: 16,
};
/// Orders of the one customer who has many, all in one shop.
const MANY: usize = 10_000;
const URHO: u64 = 1_000_000;
const STANDING: Standing<'static> = Standing {
    name: "orders",
    nodes: "\"all\"",
    tables: &["orders"],
    urho_max: 2 * URHO,
    urho_default: URHO,
    urho: 8 * URHO,
    cohort_floor: 0,
    plan: "",
};

/// Orders of a unit. Where a customer has more than count, they are alike, so that which of them count makes no difference to a total.
fn orders_of(company: &Company, unit: usize) -> Vec<Order> {
    let mut all = Vec::new();
    for (index, customer) in company.of_unit(unit).enumerate() {
        let euro = Some(10 + index as u32 % 90);
        let mut order = |shop, amount, day| {
            all.push(Order {
                customer: customer.id.clone(),
                shop,
                amount,
                pieces: 1,
                day,
            });
        };
        match index % 6 {
            _ if index == 0 => (0..MANY).for_each(|_| order("web", Some(400), "2026-05-05")),
            0 => {}
            1 => order("north", euro, "2026-01-15"),
            2 => (0..3).for_each(|_| order("south", euro, "2026-02-01")),
            3 => {
                let days = ["2026-01-15", "2026-02-15", "2026-03-15"];
                let each = SHOPS.into_iter().zip(days);
                each.for_each(|(shop, day)| order(shop, euro, day));
            }
            4 => (0..4).for_each(|nth| order(["north", "web"][nth % 2], euro, "2026-03-31")),
            _ => {
                order("market", None, "2025-12-24");
                order("market", Some(900), "2030-01-01");
            }
        }
    }
    all
}

/// Orders customer by customer.
fn by_customer(orders: &[Order]) -> Vec<Vec<&Order>> {
    let mut customers: BTreeMap<&str, Vec<&Order>> = BTreeMap::new();
    for order in orders {
        customers.entry(&order.customer).or_default().push(order);
    }
    customers.into_values().collect()
}

/// Count and sum.
type Totals = [f64; 2];

/// What a question adds up to: of the rows of a customer that it is about, R in each of G groups.
fn totals(
    orders: &[Order],
    asked: fn(&Order) -> bool,
    group: fn(&Order) -> &str,
    bounds: Bounds,
) -> Totals {
    let (mut count, mut sum) = (0.0, 0.0);
    for own in by_customer(orders) {
        let mut groups: BTreeMap<&str, u32> = BTreeMap::new();
        for order in own.into_iter().filter(|order| asked(order)) {
            let known = groups.contains_key(group(order));
            if !known && groups.len() == bounds.groups as usize {
                continue;
            }
            let counted = groups.entry(group(order)).or_default();
            if *counted < bounds.rows {
                *counted += 1;
                count += 1.0;
                sum += f64::from(order.amount.unwrap_or(0).min(AMOUNT_MAX));
            }
        }
    }
    [count, sum]
}

/// What a unit says of its orders to its own people.
fn report(folder: &Path) -> Value {
    let mut check = command("aquifer-node", ["check", "--json", "--dir"]);
    let printed = run(check.arg(folder)).unwrap().success().unwrap();
    let report: Value = serde_json::from_str(&printed).unwrap();
    report["published"][0].clone()
}

/// The findings are those of the rows.
#[track_caller]
fn check_report(report: &Value, orders: &[Order]) {
    let customers = by_customer(orders);
    let over = |limit: u32| {
        let over = customers
            .iter()
            .map(|own| own.len().saturating_sub(limit as usize));
        let over: Vec<usize> = over.filter(|more| *more > 0).collect();
        (over.len(), over.iter().sum::<usize>())
    };
    let groups = |of: fn(&Order) -> &str| {
        let more = customers.iter().filter(|own| {
            let found: BTreeSet<&str> = own.iter().map(|order| of(order)).collect();
            found.len() > BOUNDS.groups as usize
        });
        more.count()
    };
    let ((customers_kept, rows_kept), (customers_rows, rows_rows)) =
        (over(BOUNDS.kept), over(BOUNDS.rows));
    assert_eq!(
        (customers_kept, rows_kept),
        (1, MANY - BOUNDS.kept as usize)
    );
    let expected = json!({
        "customers_over_kept": customers_kept, "rows_not_kept": rows_kept,
        "customers_over_rows": customers_rows, "rows_left_out": rows_rows,
        "customers_over_groups": [["shop", groups(|order| order.shop)], ["day", groups(|order| &order.day[..7])]],
    });
    assert_eq!(report["excess"], expected, "{report:#}");
    assert_eq!(
        (&report["rows"], &report["customers"]),
        (&json!(orders.len()), &json!(customers.len()))
    );
    let rows = |which: fn(&Order) -> bool| orders.iter().filter(|order| which(order)).count();
    let found = |column: &str, what: &str| {
        let columns = report["columns"].as_array().unwrap();
        let mut columns = columns.iter().filter(|found| found["column"] == column);
        columns.next().unwrap()[what]["rows"].clone()
    };
    let outside = rows(|order| !(FIRST..=LAST).contains(&order.day));
    assert!(outside > 0);
    for (column, what, expected) in [
        ("day", "out_of_range", outside),
        ("day", "missing", 0),
        ("amount", "missing", rows(|order| order.amount.is_none())),
        (
            "amount",
            "out_of_range",
            rows(|order| order.amount > Some(AMOUNT_MAX)),
        ),
        (
            "shop",
            "unknown_level",
            rows(|order| !SHOPS.contains(&order.shop)),
        ),
    ] {
        assert_eq!(found(column, what), expected, "{what} of {column}");
    }
}

/// The calendar of the contract; days are written so that they compare as texts.
const FIRST: &str = "2025-01-01";
const LAST: &str = "2026-12-31";

/// Points the unit's orders at another place.
fn point(folder: &Path, table: &str) {
    let path = folder.join("node.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(orders::TABLE));
    fs::write(path, text.replace(orders::TABLE, &format!("{table}\n"))).unwrap();
    fs::remove_file(folder.join("orders.csv")).unwrap();
}

fn in_postgres(server: &Postgres, folder: &Path) {
    server.run(
        "CREATE TABLE orders (customer_id text, shop text, amount numeric(9,2), pieces smallint, day date); \
         GRANT SELECT ON orders TO reader",
    );
    let file = folder.join("orders.csv");
    server.run(&format!(
        "\\copy orders FROM '{}' CSV HEADER",
        file.display()
    ));
    write_secret(&folder.join("password"), CANARIES[2]);
    let parts = server.parts();
    let table = format!("orders.postgres = {{ {parts} }}\norders.query = \"SELECT * FROM orders\"");
    point(folder, &table);
}

fn in_store(store: &Store, folder: &Path) {
    let (key, secret) = (&store.key, &store.secret);
    let credentials = format!("aws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    write_secret(&folder.join("credentials"), &credentials);
    let table = store.table("orders.parquet");
    point(folder, &table.replace("customers.s3", "orders.s3"));
}

fn as_parquet(orders: &[Order]) -> Vec<u8> {
    let texts = |text: fn(&Order) -> &str| -> Arc<dyn Array> {
        Arc::new(StringArray::from_iter_values(orders.iter().map(text)))
    };
    let amounts: Int64Array = orders
        .iter()
        .map(|order| order.amount.map(i64::from))
        .collect();
    let pieces: Int64Array = orders
        .iter()
        .map(|order| Some(i64::from(order.pieces)))
        .collect();
    let days: Date32Array = orders
        .iter()
        .map(|order| calendar::parse(order.day))
        .collect();
    let columns: [(&str, Arc<dyn Array>); 5] = [
        ("customer_id", texts(|order| &order.customer)),
        ("shop", texts(|order| order.shop)),
        ("amount", Arc::new(amounts)),
        ("pieces", Arc::new(pieces)),
        ("day", Arc::new(days)),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn as_json(orders: &[Order], folder: &Path) {
    let lines = orders.iter().map(|order| {
        let Order {
            customer,
            shop,
            amount,
            pieces,
            day,
        } = order;
        let line = json!({"customer_id": customer, "shop": shop, "amount": amount, "pieces": pieces, "day": day});
        format!("{line}\n")
    });
    fs::write(folder.join("orders.json"), lines.collect::<String>()).unwrap();
    point(folder, "orders = \"orders.json\"");
}

/// Totals over all rows of an answer, and how many rows there are.
fn ask(analyst: &Path, sql: &str) -> (Totals, f64) {
    let mut asked = command(
        "aquifer",
        ["query", sql, "--json", "--purpose", PURPOSE, "--dir"],
    );
    let printed = run(asked.arg(analyst)).unwrap().success().unwrap();
    let answer: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(answer["release"]["updates"], UNITS, "{answer}");
    let rows = answer["rows"].as_array().unwrap();
    let total = |name: &str| -> f64 { rows.iter().map(|row| row[name].as_f64().unwrap()).sum() };
    ([total("n"), total("euro")], rows.len() as f64)
}

/// An answer is near what counts, and far from what there is.
#[track_caller]
fn check_answer(
    (analyst, all): (&Path, &[Order]),
    sql: &str,
    asked: fn(&Order) -> bool,
    group: Option<fn(&Order) -> &str>,
) {
    let (found, rows) = ask(analyst, sql);
    let groups = group.map_or(1, |_| BOUNDS.groups);
    let bounds = Bounds { groups, ..BOUNDS };
    let none = Bounds {
        rows: u32::MAX,
        groups: u32::MAX,
        ..BOUNDS
    };
    let group = group.unwrap_or(|_| "");
    let (clipped, unclipped) = (
        totals(all, asked, group, bounds),
        totals(all, asked, group, none),
    );
    // Each of the two figures has half of the price, and each unit adds noise of its own to every row of the answer.
    let rho = URHO as f64 * 1e-6;
    let scale = (f64::from(groups) / (2.0 * rho * 0.5)).sqrt() * (UNITS as f64 * rows).sqrt();
    let reach = [1.0, f64::from(AMOUNT_MAX)].map(|most| most * f64::from(BOUNDS.rows));
    for (place, name) in ["COUNT(*)", "SUM(amount)"].into_iter().enumerate() {
        let sigma = reach[place] * scale;
        let (off, far) = (
            found[place] - clipped[place],
            found[place] - unclipped[place],
        );
        println!("{sql}: {name} is {off} off, sigma {sigma}; {far} from all rows");
        // Six deviations: false alarms below 1e-8 a figure. OpenDP's noise has no seed.
        assert!(
            off.abs() < 6.0 * sigma,
            "{name} is {off} off, sigma {sigma}"
        );
        assert!(far.abs() > 100.0 * sigma, "{name} is {far} from all rows");
    }
}

/// Units whose orders are CSV, with what each says of them.
fn units_with_csv(folder: &Path, company: &Company, units: &[Vec<Order>]) -> (Cluster, Vec<Value>) {
    let mut cluster = Cluster::start(folder).unwrap();
    let policy = Policy {
        cap: MicroRho(STANDING.urho),
        purposes: vec![PURPOSE.to_owned()],
        tables: orders::TABLE.to_owned(),
        published: orders::MAPPING.to_owned(),
        ..Policy::default()
    };
    cluster.add_units(company, &policy).unwrap();
    let reports = cluster.nodes.iter().zip(units).map(|(node, orders)| {
        orders::write_csv(orders, &node.folder.join("orders.csv")).unwrap();
        report(&node.folder)
    });
    let reports = reports.collect();
    (cluster, reports)
}

#[test]
fn tables_of_several_rows_are_bounded_in_the_same_way_whatever_their_source() {
    let mut company = Company::synthetic(11, 2_400);
    company.keep_units(UNITS);
    orders::publish(&mut company, BOUNDS).unwrap();
    let units = [0, 1, 2].map(|unit| orders_of(&company, unit));
    let Some(server) = Postgres::start("localhost") else {
        return;
    };
    let objects = tempfile::tempdir().unwrap();
    fs::write(objects.path().join("orders.parquet"), as_parquet(&units[1])).unwrap();
    let Some(store) = Store::start(objects.path(), true) else {
        return;
    };
    let folder = tempfile::Builder::new().prefix("aq-").tempdir().unwrap();
    let (mut cluster, as_csv) = units_with_csv(folder.path(), &company, &units);
    let folders = [0, 1, 2].map(|unit: usize| cluster.nodes[unit].folder.clone());
    in_postgres(&server, &folders[0]);
    in_store(&store, &folders[1]);
    as_json(&units[2], &folders[2]);
    for (unit, folder) in folders.iter().enumerate() {
        let found = report(folder);
        check_report(&found, &units[unit]);
        assert_eq!(found, as_csv[unit], "as from CSV");
    }
    cluster.start_nodes().unwrap();
    STANDING.open(&cluster, &company).unwrap();
    let analyst = cluster.add_person("ada", "analyst").unwrap();
    let all = units.concat();
    let (asked, figures) = ((&*analyst, &*all), "COUNT(*) AS n, SUM(amount) AS euro");
    let sql = format!("SELECT {figures} FROM orders");
    check_answer(asked, &sql, |_| true, None);
    let sql = format!("SELECT shop, {figures} FROM orders GROUP BY shop");
    check_answer(asked, &sql, |_| true, Some(shop));
    let sql = format!("SELECT {figures} FROM orders WHERE day >= DATE '2026-04-01'");
    check_answer(asked, &sql, |order| order.day >= "2026-04-01", None);
}

/// The group of an order by shop, as answers have it.
fn shop(order: &Order) -> &str {
    if SHOPS.contains(&order.shop) {
        order.shop
    } else {
        "other"
    }
}
