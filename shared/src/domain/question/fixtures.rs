//! A contract and a question for tests.

use super::{Block, BlockKind, Filter, Key, Period, Question};
use crate::domain::contract::{Contract, Published};

/// `orders`: 0 amount (missing values skipped), 1 age (missing is 40), 2 day, 3 shop (north, south, other); `people`: R = G = 1.
pub(super) const CONTRACT: &str = r#"
[contract]
name = "shop"
version = 1
[table.people]
privacy_unit = "id"
label = { column = "left", positive = "yes" }
size_band = [400, 2000]
[table.people.column.plan]
levels = ["basic", "plus"]
[table.orders]
privacy_unit = "id"
rows_per_group_max = 20
groups_per_unit_max = 12
size_band = [100, 2000]
[table.orders.column.amount]
low = -10
high = 150
step = 0.5
digits = 2
grid = 40
[table.orders.column.age]
low = 18
high = 91
step = 1
on_null = 40
[table.orders.column.day]
first = 2024-01-15
last = 2024-12-31
[table.orders.column.shop]
levels = ["north", "south"]
"#;

pub(super) fn contract() -> Contract {
    Contract::parse(CONTRACT).unwrap()
}

pub(super) fn orders() -> Published {
    contract().published("orders").unwrap().clone()
}

/// Months by shops, four blocks.
pub(super) fn question() -> Question {
    let block = |kind| Block { kind, weight: 250 };
    let kinds = [
        BlockKind::Rows,
        BlockKind::Values(0),
        BlockKind::Centred(0),
        BlockKind::Grid(0),
    ];
    Question {
        table: "orders".to_owned(),
        keys: vec![Key::Level(3), Key::Period(2, Period::Month)],
        filter: Filter::Ranges(1, vec![(18, 30), (41, 91)]),
        groups_max: 12,
        blocks: kinds.map(block).to_vec(),
    }
}
