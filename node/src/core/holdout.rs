//! Who is kept for evaluation: a keyed hash of the customer, or a column of the mapped table.
//!
//! Fixed per study family, so that training and evaluation of all its studies see disjoint customers.

use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::ids::{Hash32, Name};
use aquifer_shared::base::secret::Personal;
use aquifer_shared::domain::sum::{HoldOut, Part};
use aws_lc_rs::hmac;

use super::table::{Bits, Table};

/// Which customers belong to which part.
///
/// # Privacy
///
/// Membership is about people: it cannot be printed and never leaves the node.
#[derive(Clone, Debug)]
pub struct Split {
    held_out: Personal<Bits>,
}

/// The study names a hold-out column that the unit's mapping does not declare.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the study holds out by column {asked:?}, node.toml declares {declared:?}")]
pub struct NoHoldOutColumn {
    /// Named by the study.
    pub asked: String,
    /// Named by `holdout_column`.
    pub declared: Option<String>,
}

impl Split {
    /// Splits the customers of a table by the rule of a study's family.
    ///
    /// # Errors
    ///
    /// The rule names a column that is not the unit's hold-out column.
    ///
    /// # Privacy
    ///
    /// Without the node's key nobody can tell on which side a customer is.
    pub fn of(
        table: &Table,
        key: &[u8; 32],
        family: &Name,
        rule: &HoldOut,
    ) -> Result<Self, NoHoldOutColumn> {
        let held_out = match rule {
            HoldOut::Fraction(ppm) => Personal::new(by_hash(table, key, family, *ppm)),
            HoldOut::Column(asked) => match table.held_out() {
                Some(column) if column.name == *asked => column.rows.clone(),
                declared => {
                    return Err(NoHoldOutColumn {
                        asked: asked.clone(),
                        declared: declared.map(|column| column.name.clone()),
                    });
                }
            },
        };
        Ok(Self { held_out })
    }

    /// Whether a row belongs to a part.
    #[must_use]
    pub fn contains(&self, part: Part, row: usize) -> bool {
        self.held_out.expose().get(row) == (part == Part::HoldOut)
    }

    /// -1 for every row from `start` that belongs to a part, 0 for the others.
    pub(super) fn masks(&self, part: Part, start: usize, out: &mut [i32]) {
        let (held_out, invert) = (self.held_out.expose(), part == Part::Training);
        for (row, mask) in (start..).zip(out) {
            *mask = -i32::from(held_out.get(row) != invert);
        }
    }

    /// Number of rows of both parts together.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.held_out.expose().rows()
    }
}

/// Under which key customers are split: the ledger tells by it whether two studies split them alike.
///
/// # Privacy
///
/// A hash of 32 random bytes, from which neither they nor any customer can be found.
#[must_use]
pub fn split_of(key: &[u8; 32]) -> Hash32 {
    labelled("aquifer/holdout-key/1", &[key])
}

fn by_hash(table: &Table, key: &[u8; 32], family: &Name, ppm: u32) -> Bits {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let held_out = |row| is_held_out(&key, family, table.customer(row), ppm);
    (0..table.rows()).map(held_out).collect()
}

fn is_held_out(key: &hmac::Key, family: &Name, customer: &str, ppm: u32) -> bool {
    let mut context = hmac::Context::with_key(key);
    context.update(family.as_str().as_bytes());
    context.update(customer.as_bytes());
    let tag = context.sign();
    let mut first = [0; 8];
    first.copy_from_slice(&tag.as_ref()[..8]);
    u128::from(u64::from_be_bytes(first)) * 1_000_000 < u128::from(ppm) << 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::table::TableBuilder;

    fn table(customers: usize, held_out: Option<&str>) -> Table {
        let mut builder = TableBuilder::new(vec![2], held_out);
        for row in 0..customers {
            let id = format!("customer-{row}");
            builder.push([0], false, &id, row % 3 == 0).unwrap();
        }
        builder.finish()
    }

    fn family(name: &str) -> Name {
        name.parse().unwrap()
    }

    fn held_out(split: &Split) -> Vec<bool> {
        let rows = 0..split.rows();
        rows.map(|row| split.contains(Part::HoldOut, row)).collect()
    }

    fn by_fraction(key: u8, name: &str, ppm: u32) -> Vec<bool> {
        let rule = HoldOut::Fraction(ppm);
        held_out(&Split::of(&table(2_000, None), &[key; 32], &family(name), &rule).unwrap())
    }

    #[test]
    fn the_published_membership() {
        // HMAC-SHA256 computed independently: key 07…07, message "churn" + id.
        let table = table(20, None);
        let rule = HoldOut::Fraction(150_000);
        let split = Split::of(&table, &[7; 32], &family("churn"), &rule).unwrap();
        let rows: Vec<usize> = (0..20)
            .filter(|row| split.contains(Part::HoldOut, *row))
            .collect();
        assert_eq!(rows, [2, 11, 18]);
    }

    #[test]
    fn the_share_is_kept_and_each_key_and_family_has_its_own() {
        let count = |rows: &[bool]| rows.iter().filter(|held_out| **held_out).count();
        let rows = by_fraction(1, "churn", 150_000);
        assert!((230..370).contains(&count(&rows)), "{}", count(&rows));
        assert_eq!(rows, by_fraction(1, "churn", 150_000));
        assert_ne!(rows, by_fraction(2, "churn", 150_000));
        assert_ne!(rows, by_fraction(1, "upsell", 150_000));
        assert_eq!(count(&by_fraction(1, "churn", 0)), 0);
        assert_eq!(count(&by_fraction(1, "churn", 1_000_000)), 2_000);
    }

    #[test]
    fn each_key_has_a_mark_of_its_own() {
        let mark = |byte| split_of(&[byte; 32]);
        assert_eq!(mark(1), mark(1));
        assert_ne!(mark(1), mark(2));
        assert_ne!(mark(1), Hash32([1; 32]), "the key itself is not told");
    }

    #[test]
    fn a_column_may_fix_it() {
        let table = table(9, Some("split"));
        let of = |asked: &str| {
            let rule = HoldOut::Column(asked.to_owned());
            Split::of(&table, &[0; 32], &family("churn"), &rule)
        };
        let split = of("split").unwrap();
        assert_eq!(held_out(&split).iter().filter(|bit| **bit).count(), 3);
        assert!(split.contains(Part::Training, 1) && !split.contains(Part::Training, 3));
        assert_eq!(of("other").unwrap_err().declared.as_deref(), Some("split"));
    }

    #[test]
    fn masks_say_what_contains_says() {
        let split = Split::of(
            &table(200, Some("s")),
            &[0; 32],
            &family("f"),
            &HoldOut::Column("s".into()),
        );
        let split = split.unwrap();
        for part in [Part::Training, Part::HoldOut] {
            let mut masks = [7; 130];
            split.masks(part, 70, &mut masks);
            for (row, mask) in (70..).zip(masks) {
                assert_eq!(mask == -1, split.contains(part, row));
                assert!(mask == -1 || mask == 0);
            }
        }
    }
}
