//! Sets of persons held against each other, as bytes, and bound by a digest.

use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::ids::Hash32;

use super::ordinals::{CHUNK, Ordinals, empty};

impl Ordinals {
    /// Whether nobody is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut words = self.chunks.values().flat_map(|words| words.iter());
        words.all(|word| *word == 0)
    }

    /// Those whom another set has not.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let left = self.chunks.iter().map(|(chunk, words)| {
            let mut left = words.clone();
            if let Some(others) = other.chunks.get(chunk) {
                let pairs = left.iter_mut().zip(others.iter());
                pairs.for_each(|(own, other)| *own &= !other);
            }
            (*chunk, left)
        });
        Self {
            chunks: left.filter(|(_, words)| has_some(words)).collect(),
        }
    }

    /// Takes in those of another set.
    pub fn join(&mut self, other: &Self) {
        for (chunk, words) in &other.chunks {
            let own = self.chunks.entry(*chunk).or_insert_with(empty);
            let pairs = own.iter_mut().zip(words.iter());
            pairs.for_each(|(own, other)| *own |= other);
        }
    }

    /// The numbers, the smallest first.
    ///
    /// # Privacy
    ///
    /// Membership is about people: stays at the node.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.chunks.iter().flat_map(|(chunk, words)| {
            let bits = (0..CHUNK).filter(|low| words[*low as usize / 64] >> (low % 64) & 1 == 1);
            bits.map(move |low| chunk * CHUNK + low)
        })
    }

    /// `SHA-256(u8(19) ‖ "aquifer/eligible/v1" ‖ …)` over the number of every chunk in which somebody is, and its bits.
    ///
    /// # Privacy
    ///
    /// Numbers of persons are given by the unit alone; who can guess a whole set knows it from the digest. It stays at the node.
    #[must_use]
    pub fn digest(&self) -> Hash32 {
        let some = self.chunks.iter().filter(|(_, words)| has_some(words));
        let bytes = some.flat_map(|(chunk, words)| {
            let words = words.iter().flat_map(|word| word.to_le_bytes());
            chunk.to_be_bytes().into_iter().chain(words)
        });
        labelled("aquifer/eligible/v1", &[&bytes.collect::<Vec<u8>>()])
    }

    /// The whole set as bytes: of every chunk its number, its length and the chunk as it is written on its own.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (chunk, _) in self.chunks.iter().filter(|(_, words)| has_some(words)) {
            let own = self.chunk(*chunk);
            bytes.extend(chunk.to_be_bytes());
            bytes.extend((own.len() as u32).to_be_bytes());
            bytes.extend(own);
        }
        bytes
    }

    /// Reads what [`Ordinals::to_bytes`] wrote; none where it is no set.
    #[must_use]
    pub fn of_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut set = Self::default();
        while !bytes.is_empty() {
            let (chunk, rest) = bytes.split_first_chunk::<4>()?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (own, rest) = rest.split_at_checked(length)?;
            set.take(u32::from_be_bytes(*chunk), own).then_some(())?;
            bytes = rest;
        }
        Some(set)
    }
}

fn has_some(words: &[u64]) -> bool {
    words.iter().any(|word| *word != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[u32]) -> Ordinals {
        let mut set = Ordinals::default();
        set.add(numbers.iter().copied());
        set
    }

    #[track_caller]
    fn check(own: &[u32], other: &[u32], without: &[u32], joined: &[u32]) {
        let (own, other) = (set(own), set(other));
        let left = own.without(&other);
        assert_eq!(left.numbers().collect::<Vec<u32>>(), without);
        assert_eq!(left.is_empty(), without.is_empty());
        let mut both = own.clone();
        both.join(&other);
        assert_eq!(both.numbers().collect::<Vec<u32>>(), joined);
        let back = Ordinals::of_bytes(&both.to_bytes()).unwrap();
        assert_eq!(back.digest(), both.digest());
        assert_eq!(left.digest(), set(without).digest());
    }

    #[test]
    fn sets_are_taken_apart_and_put_together() {
        check(&[], &[], &[], &[]);
        check(&[1, 2, 70_000], &[2, 70_000], &[1], &[1, 2, 70_000]);
        check(&[5], &[5, CHUNK], &[], &[5, CHUNK]);
        check(&[CHUNK, 3], &[], &[3, CHUNK], &[3, CHUNK]);
    }

    #[test]
    fn another_set_has_another_digest() {
        assert_ne!(set(&[1]).digest(), set(&[2]).digest());
        assert_ne!(set(&[1]).digest(), set(&[CHUNK + 1]).digest());
        assert_ne!(set(&[]).digest(), set(&[0]).digest());
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let bytes = set(&[1, 70_000]).to_bytes();
        assert!(Ordinals::of_bytes(&bytes[..bytes.len() - 1]).is_none());
        assert!(Ordinals::of_bytes(&bytes[..3]).is_none());
        assert!(Ordinals::of_bytes(&[0, 0, 0, 0, 0, 0, 0, 1, 9]).is_none());
        assert!(Ordinals::of_bytes(&[]).unwrap().is_empty());
    }
}
