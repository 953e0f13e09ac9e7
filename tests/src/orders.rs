//! Orders of a company's customers: a published table with several rows of a customer, for tests and measurements.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use aquifer_shared::domain::contract::Contract;

use crate::company::Company;

/// Line of `[data.tables]` for a unit whose orders are a file beside `node.toml`.
pub const TABLE: &str = "orders = \"orders.csv\"\n";
/// Line of `[data.published]`.
pub const MAPPING: &str = "orders = \"SELECT customer_id, shop, amount, pieces, day FROM orders\"";
/// Shops of the contract; any other counts as `other`.
pub const SHOPS: [&str; 3] = ["north", "south", "web"];
/// Euro at most: what is more counts as this.
pub const AMOUNT_MAX: u32 = 500;

/// How much of one customer counts.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Rows in one group: R.
    pub rows: u32,
    /// Groups: G.
    pub groups: u32,
    /// Rows that a unit keeps at all.
    pub kept: u32,
}

/// One order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Order {
    /// Whose it is.
    pub customer: String,
    /// Where.
    pub shop: &'static str,
    /// Euro; nothing where the table has no value.
    pub amount: Option<u32>,
    /// Pieces.
    pub pieces: u32,
    /// The day, as `YYYY-MM-DD`.
    pub day: &'static str,
}

/// Publishes the table in the contract of a company.
///
/// # Errors
///
/// Bounds that no contract may have.
pub fn publish(company: &mut Company, bounds: Bounds) -> Result<()> {
    let mut text = company.contract.to_toml();
    let Bounds { rows, groups, kept } = bounds;
    write!(
        text,
        "\n[table.orders]\nprivacy_unit = \"customer_id\"\nrows_per_group_max = {rows}\ngroups_per_unit_max = {groups}\n\
         rows_per_unit_max = {kept}\nsize_band = [1, {}]\ndescription = \"what customers ordered\"\n\
         [table.orders.column.shop]\nlevels = {SHOPS:?}\nunknown = \"other\"\n\
         [table.orders.column.amount]\nlow = 0\nhigh = {AMOUNT_MAX}\nstep = 1\nunit = \"euro\"\n\
         [table.orders.column.pieces]\nlow = 0\nhigh = 20\nstep = 1\n\
         [table.orders.column.day]\nfirst = 2025-01-01\nlast = 2026-12-31\n",
        company.customers_max()
    )?;
    company.contract = Contract::parse(&text).context("the published table of orders")?;
    Ok(())
}

/// Writes the orders of a unit as CSV.
///
/// # Errors
///
/// A file that cannot be written.
pub fn write_csv(orders: &[Order], path: &Path) -> io::Result<()> {
    let mut text = String::from("customer_id,shop,amount,pieces,day\n");
    for order in orders {
        let amount = order.amount.map_or(String::new(), |euro| euro.to_string());
        let Order {
            customer,
            shop,
            pieces,
            day,
            ..
        } = order;
        let _ = writeln!(text, "{customer},{shop},{amount},{pieces},{day}");
    }
    fs::write(path, text)
}

/// Orders of a unit: one or two of each customer, and of the one who is named, where it is this unit's, as many as are kept, in as many shops as
/// there are. Those of a customer depend on its name alone.
#[must_use]
pub fn of_unit(company: &Company, unit: usize, one: &str, bounds: Bounds) -> Vec<Order> {
    let orders = company.of_unit(unit).flat_map(|customer| {
        let letters = customer.id.bytes().map(usize::from);
        let number = letters.fold(0, |number, letter| (number * 31 + letter) % 65_521);
        let is_one = customer.id == one;
        let count = if is_one {
            bounds.kept as usize
        } else {
            1 + number % 2
        };
        (0..count).map(move |nth| Order {
            customer: customer.id.clone(),
            shop: ["north", "south", "web", "market"][(number + nth) % 4],
            amount: Some(((number * 37 + nth * 53) % 500) as u32),
            pieces: (1 + (number + nth) % 20) as u32,
            day: ["2025-11-30", "2026-03-01", "2026-08-15"][nth % 3],
        })
    });
    orders.collect()
}
