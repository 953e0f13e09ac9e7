//! The newest durable entries of a ledger: what a mirror asks for is almost always the last few, which need not be read from the disk again.

use std::collections::VecDeque;

/// Some entries without a gap, up to the newest that was written by this process.
#[derive(Debug, Default)]
pub struct Recent {
    /// Number and bytes, oldest first.
    links: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
}

impl Recent {
    /// Takes entries that are durable now, in order.
    pub fn add<'a>(&mut self, links: impl Iterator<Item = (u64, &'a Vec<u8>)>) {
        for (seq, link) in links {
            if self.links.back().is_some_and(|(last, _)| last + 1 != seq) {
                *self = Self::default();
            }
            self.bytes += link.len();
            self.links.push_back((seq, link.clone()));
        }
        while self.links.len() > LINKS_MAX || self.bytes > BYTES_MAX {
            let oldest = self.links.pop_front();
            self.bytes -= oldest.map_or(0, |(_, link)| link.len());
        }
    }

    /// All after a number: as many as these bytes allow, and at least one if there are any; none where one of them is not held.
    pub fn after(&self, after: u64, bytes_max: usize) -> Option<Vec<Vec<u8>>> {
        let (oldest, _) = self.links.front()?;
        let skipped = usize::try_from(after.checked_sub(oldest - 1)?).ok()?;
        let mut bytes = 0_usize;
        let fits = |(place, link): &(usize, &(u64, Vec<u8>))| {
            bytes = bytes.saturating_add(link.1.len());
            *place == 0 || bytes <= bytes_max
        };
        let links = self.links.iter().skip(skipped).enumerate();
        Some(
            links
                .take_while(fits)
                .map(|(_, (_, link))| link.clone())
                .collect(),
        )
    }
}

/// Entries that are held at most: those of some questions.
const LINKS_MAX: usize = 64;
/// Their bytes at most.
const BYTES_MAX: usize = 256 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn recent(seqs: impl Iterator<Item = u64>) -> Recent {
        let mut recent = Recent::default();
        for seq in seqs {
            recent.add(std::iter::once((seq, &vec![seq as u8; 10])));
        }
        recent
    }

    #[track_caller]
    fn check(recent: &Recent, (after, bytes_max): (u64, usize), expected: Option<&[u8]>) {
        let found = recent.after(after, bytes_max);
        let firsts = found.map(|links| links.iter().map(|link| link[0]).collect::<Vec<u8>>());
        assert_eq!(firsts.as_deref(), expected, "after {after}");
    }

    #[test]
    fn what_is_held_is_given_and_what_is_not_is_read() {
        check(&Recent::default(), (0, 100), None);
        let some = recent(5..9);
        check(&some, (3, 100), None);
        check(&some, (4, 100), Some(&[5, 6, 7, 8]));
        check(&some, (6, 100), Some(&[7, 8]));
        check(&some, (8, 100), Some(&[]));
        // As many as the bytes allow, and at least one.
        check(&some, (4, 25), Some(&[5, 6]));
        check(&some, (4, 1), Some(&[5]));
        // A number that was never given: nothing is there.
        check(&some, (50, 100), Some(&[]));
    }

    #[test]
    fn a_gap_begins_anew_and_there_is_a_limit() {
        check(&recent((1..4).chain(9..11)), (0, 100), None);
        check(&recent((1..4).chain(9..11)), (8, 100), Some(&[9, 10]));
        let many = recent(1..101);
        check(&many, (36, 10), Some(&[37]));
        check(&many, (35, 10), None);
        let mut large = Recent::default();
        large.add([(1, &vec![1; BYTES_MAX]), (2, &vec![2; 10])].into_iter());
        check(&large, (1, 100), Some(&[2]));
        check(&large, (0, 100), None);
    }
}
