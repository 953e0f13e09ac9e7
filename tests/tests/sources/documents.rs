//! What `docs/sources.md` shows is what a node takes.

use aquifer_node::shell::config::NodeConfig;

use super::server::{Postgres, unit_on};
use super::unit::{Unit, check_counts, check_refused};

const PAGE: &str = include_str!("../../../docs/sources.md");

/// Blocks of the page in a language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let start = format!("```{language}\n");
    let parts = PAGE.split(&start).skip(1);
    parts
        .filter_map(|part| part.split_once("\n```").map(|block| block.0))
        .collect()
}

#[test]
fn every_table_of_the_page_is_taken() {
    let found = blocks("toml");
    assert_eq!(found.len(), 3);
    for block in found {
        let tables = block.replacen("[data.tables]\n", "", 1);
        let unit = Unit::with(&tables);
        let config = NodeConfig::load(unit.path()).map_err(|error| error.to_string());
        assert!(
            config.is_ok_and(|config| !config.data.tables.is_empty()),
            "{block}"
        );
    }
}

#[test]
fn the_role_of_the_page_can_read_and_nothing_else() {
    let Some(server) = Postgres::start("localhost") else {
        return;
    };
    server.run(
        "CREATE SCHEMA crm; CREATE TABLE crm.customers AS SELECT 'c1' AS customer_id, 3 AS tenure_months, 1.5 AS charges, \
         'year' AS plan, 'yes' AS churned, 'NL' AS country \
         UNION SELECT 'c2', 4, 2.5, 'month', 'no', 'NL' UNION SELECT 'c3', 5, 3.5, 'month', 'no', 'BE'; CREATE TABLE crm.other AS SELECT 'c' AS customer_id, 1 AS tenure, \
         'year' AS plan, 'yes' AS churned",
    );
    let [role] = blocks("sql")[..] else {
        panic!("one block of SQL");
    };
    server.run(role);
    let table = blocks("toml")[1];
    let query = table.split("\"\"\"").nth(1).unwrap();
    let parts = server.parts().replace("\"reader\"", "\"aquifer_node\"");
    let unit =
        unit_on(&parts, "SELECT * FROM customers", query).secret("password", "choose another");
    check_counts(&unit, 2, 2, 1);
    let other = unit_on(&parts, "SELECT * FROM customers", "SELECT * FROM crm.other");
    let other = other.secret("password", "choose another");
    check_refused(&other, &["permission denied"]);
}
