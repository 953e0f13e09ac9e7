//! Which rows of a customer count first: a keyed hash decides, never the order of values.
//!
//! The order is fixed when a table is encoded and the same in every question. It rests on the customer and on the content of the
//! row, so that reading the same rows in another order changes nothing.

use aquifer_shared::base::hash::{labelled, sha256};
use aquifer_shared::base::secret::Secret;

use crate::core::consent::SubjectKey;

/// The keys of one published table: the unit's own for its customers, and one for rows that is derived from the node's.
pub struct ChoiceKey {
    customers: SubjectKey,
    rows: Secret<[u8; 16]>,
}

/// Names a customer; means nothing without the key.
pub(super) type Tag = u128;

impl ChoiceKey {
    /// Derives the key of a table.
    ///
    /// # Privacy
    ///
    /// Without the node's key nobody can tell which rows of a customer count.
    #[must_use]
    pub fn derive(node_key: &[u8; 32], subjects: &SubjectKey, table: &str) -> Self {
        let derive = |label| labelled(label, &[node_key, table.as_bytes()]).0;
        let mut rows = [0; 16];
        rows.copy_from_slice(&derive("aquifer/published-rows/1")[..16]);
        Self {
            customers: subjects.clone(),
            rows: Secret::new(rows),
        }
    }

    /// The tag of a customer: the reference under which the unit knows the person, the same in all tables.
    pub(super) fn tag(&self, customer: &str) -> Tag {
        self.customers.subject(customer).0
    }

    /// What decides between the rows of a customer: the smallest count first. `nth` counts rows of equal content.
    pub(super) fn rank(&self, tag: Tag, nth: u32, content: &[u8], buffer: &mut Vec<u8>) -> u128 {
        buffer.clear();
        buffer.extend_from_slice(self.rows.expose());
        buffer.extend_from_slice(&tag.to_be_bytes());
        buffer.extend_from_slice(&nth.to_be_bytes());
        buffer.extend_from_slice(content);
        first_half(&sha256(buffer).0)
    }
}

fn first_half(hash: &[u8; 32]) -> u128 {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    u128::from_be_bytes(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_ranks_depend_on_all_that_they_name() {
        let buffer = &mut Vec::new();
        let derive = |node: u8, subjects: u8, table| {
            ChoiceKey::derive(&[node; 32], &SubjectKey::new(&[subjects; 32]), table)
        };
        let key = derive(1, 1, "orders");
        let (tag, rank) = (key.tag("a"), key.rank(7, 0, b"x", buffer));
        assert_eq!((tag, rank), (key.tag("a"), key.rank(7, 0, b"x", buffer)));
        assert_ne!(tag, key.tag("b"));
        assert_ne!(tag, derive(1, 2, "orders").tag("a"));
        for other in [
            key.rank(8, 0, b"x", buffer),
            key.rank(7, 1, b"x", buffer),
            key.rank(7, 0, b"y", buffer),
            derive(2, 1, "orders").rank(7, 0, b"x", buffer),
            derive(1, 1, "visits").rank(7, 0, b"x", buffer),
        ] {
            assert_ne!(rank, other);
        }
        assert_eq!(
            tag,
            derive(2, 1, "visits").tag("a"),
            "one person in all tables"
        );
    }
}
