//! How much of the rows the bounds of a published table leave out, for the unit's own people.

use aquifer_shared::domain::contract::published::{Published, PublishedKind};
use aquifer_shared::domain::question::{Key, Period};
use serde::Serialize;

use super::keys::GroupKey;
use super::table::RowTable;

/// Customers with more than may count.
///
/// # Privacy
///
/// Exact counts for the unit's own people; never a value, and never sent.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Excess {
    /// Customers with more rows than are kept.
    pub customers_over_kept: u64,
    /// Rows of theirs beyond those: they count in no answer.
    pub rows_not_kept: u64,
    /// Customers with more rows than count in one group.
    pub customers_over_rows: u64,
    /// Rows of theirs that are too many where all fall into one group, those that are not kept among them.
    pub rows_left_out: u64,
    /// By key (and date by month): customers in more groups than count.
    pub customers_over_groups: Vec<(String, u64)>,
}

/// Counts over the whole table.
#[must_use]
pub fn excess(table: &RowTable, published: &Published) -> Excess {
    let starts = table.starts(0..table.customers());
    let over = starts.windows(2).map(|own| own[1] - own[0]);
    let over = over.map(|rows| rows.saturating_sub(published.rows_per_group_max));
    let (mut customers, mut rows) = (0, 0);
    over.filter(|more| *more > 0).for_each(|more| {
        customers += 1;
        rows += u64::from(more);
    });
    let columns = (0..).zip(&published.columns);
    let keys = columns.filter_map(|(index, column)| match column.kind {
        PublishedKind::Key { .. } => Some((&column.name, Key::Level(index))),
        PublishedKind::Date { .. } => Some((&column.name, Key::Period(index, Period::Month))),
        PublishedKind::Number(_) => None,
    });
    let dropped = table.dropped();
    Excess {
        customers_over_kept: dropped.customers,
        rows_not_kept: dropped.rows,
        customers_over_rows: customers,
        rows_left_out: rows + dropped.rows,
        customers_over_groups: keys
            .map(|(name, key)| (name.clone(), over_groups(table, published, &key)))
            .collect(),
    }
}

fn over_groups(table: &RowTable, published: &Published, key: &Key) -> u64 {
    let kinds: Vec<&PublishedKind> = published
        .columns
        .iter()
        .map(|column| &column.kind)
        .collect();
    let key = GroupKey::of(key, &kinds);
    let (mut groups, mut customers) = (Vec::new(), 0);
    for own in table.starts(0..table.customers()).windows(2) {
        groups.clear();
        let codes = table.codes(key.column);
        codes.each(own[0] as usize..own[1] as usize, |_, code| {
            groups.push(key.cuts.range_of(code));
        });
        groups.sort_unstable();
        groups.dedup();
        customers += u64::from(groups.len() > published.groups_per_unit_max as usize);
    }
    customers
}
