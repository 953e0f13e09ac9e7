//! Who is kept for evaluation: a keyed hash of the customer, or a column of the mapped table.
//!
//! Fixed per study family, so that training and evaluation of all its studies see disjoint customers.

use aquifer_shared::base::ids::Name;
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

    /// Number of rows of both parts together.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.held_out.expose().rows()
    }
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
