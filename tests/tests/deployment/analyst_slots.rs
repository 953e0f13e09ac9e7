//! An analyst with a clock: fresh answers take at least the slot that their price names, also where one customer has all rows that a unit keeps.

use aquifer_shared::base::units::MicroRho;
use aquifer_tests::company::Company;
use aquifer_tests::orders::{self, Bounds};
use aquifer_tests::policy::Policy;
use aquifer_tests::standing::{PURPOSE, Standing};

use super::fixture::{Small, check_says, has_program};
use super::psql::{self, Door};
use super::questions::{Reports, STANDING};

const QUESTIONS: u64 = 50;
const UNITS: usize = 3;
const URHO: u64 = 1_000;
/// So many rows are declared that slots are far longer than questions over the rows that are there.
const BOUNDS: Bounds = Bounds {
    rows: 1_024,
    groups: 4,
    kept: 4_096,
};

/// Units with orders, those of one customer at the bounds, and a standing study that is open.
fn shops(listen: &[&str]) -> Reports {
    let mut company = Company::synthetic(5, 2_000);
    company.keep_units(UNITS);
    orders::publish(&mut company, BOUNDS).unwrap();
    let policy = Policy {
        cap: MicroRho(STANDING.urho),
        purposes: vec![PURPOSE.to_owned()],
        tables: orders::TABLE.to_owned(),
        published: orders::MAPPING.to_owned(),
        ..Policy::default()
    };
    let mut small = Small::on(company, &policy, listen);
    let one = small.company.customers[0].id.clone();
    for (unit, node) in small.cluster.nodes.iter().enumerate() {
        let rows = orders::of_unit(&small.company, unit, &one, BOUNDS);
        orders::write_csv(&rows, &node.folder.join("orders.csv")).unwrap();
    }
    small.cluster.start_nodes().unwrap();
    let standing = Standing {
        tables: &["orders"],
        urho_default: URHO,
        ..STANDING
    };
    standing.open(&small.cluster, &small.company).unwrap();
    let analyst = small.cluster.add_person("ada", "analyst").unwrap();
    Reports { small, analyst }
}

#[test]
fn no_fresh_answer_comes_before_the_slot_that_its_price_names() {
    if !has_program("psql") {
        return;
    }
    let door = Door::of(shops);
    // The client's own clock, from sending a statement to its last row.
    let mut statements = format!("{};\n", psql::PURPOSE);
    for amount in 1..=QUESTIONS {
        let sql = format!(
            "SELECT shop, COUNT(*) AS n FROM orders WHERE amount >= {amount} GROUP BY shop;\n"
        );
        statements += &format!("EXPLAIN {sql}\\timing on\n{sql}\\timing off\n");
    }
    let outcome = door.asks_file(&statements);
    check_says(&outcome, 0, &[]);
    let fresh = outcome.stderr.matches("fresh").count();
    assert_eq!(fresh as u64, QUESTIONS, "{}", outcome.stderr);
    assert_eq!(door.reports.spent(), [QUESTIONS * URHO; UNITS]);
    let number = |text: &str| text.split(' ').next().unwrap().parse::<f64>().unwrap();
    let said = |start: &str| -> Vec<f64> {
        let lines = outcome.stdout.lines();
        let said = lines.filter_map(|line| line.strip_prefix(start));
        said.map(number).collect()
    };
    let (slots, times) = (said("slot|"), said("Time: "));
    assert_eq!([slots.len(), times.len()], [QUESTIONS as usize; 2]);
    for (question, (time, slot)) in times.iter().zip(&slots).enumerate() {
        assert!(time >= slot, "{question}: {time} ms, the slot is {slot} ms");
    }
    let least = times.iter().copied().reduce(f64::min).unwrap();
    println!(
        "{QUESTIONS} answers, the first after {least} ms; slot {} ms",
        slots[0]
    );
}
