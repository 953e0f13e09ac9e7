//! Sets of persons by number, in chunks that are written on their own: each as bits, as a list or as stretches, whichever is shortest.

use std::collections::{BTreeMap, BTreeSet};

/// Numbers in one chunk.
pub const CHUNK: u32 = 1 << 16;

/// A set of numbers of persons.
///
/// # Privacy
///
/// Membership is about people: it has no `Debug`, and stays at the node.
#[derive(Clone, Default, PartialEq)]
pub struct Ordinals {
    pub(super) chunks: BTreeMap<u32, Box<[u64]>>,
}

impl Ordinals {
    /// Adds numbers; says which chunks changed.
    pub fn add(&mut self, numbers: impl IntoIterator<Item = u32>) -> BTreeSet<u32> {
        let mut changed = BTreeSet::new();
        for number in numbers {
            let (chunk, low) = (number / CHUNK, (number % CHUNK) as usize);
            let words = self.chunks.entry(chunk).or_insert_with(empty);
            let (word, bit) = (&mut words[low / 64], 1 << (low % 64));
            if *word & bit == 0 {
                *word |= bit;
                changed.insert(chunk);
            }
        }
        changed
    }

    /// Whether a number is in it.
    #[must_use]
    pub fn has(&self, number: u32) -> bool {
        let low = (number % CHUNK) as usize;
        let words = self.chunks.get(&(number / CHUNK));
        words.is_some_and(|words| words[low / 64] >> (low % 64) & 1 == 1)
    }

    /// A chunk as it is written.
    #[must_use]
    pub fn chunk(&self, chunk: u32) -> Vec<u8> {
        self.chunks
            .get(&chunk)
            .map_or(vec![LIST], |words| write(words))
    }

    /// Takes a chunk as it was written; false where it is none.
    #[must_use]
    pub fn take(&mut self, chunk: u32, bytes: &[u8]) -> bool {
        let Some(words) = read(bytes) else {
            return false;
        };
        self.chunks.insert(chunk, words);
        true
    }
}

/// Whether a chunk as it was written has a number; none where it is no chunk.
#[must_use]
pub fn chunk_has(bytes: &[u8], number: u32) -> Option<bool> {
    let low = u16::try_from(number % CHUNK).ok()?;
    let (form, body) = bytes.split_first()?;
    match *form {
        BITS if body.len() == BYTES => Some(body[usize::from(low) / 8] >> (low % 8) & 1 == 1),
        LIST => Some(pairs(body)?.any(|found| found == low)),
        STRETCHES => {
            let numbers: Vec<u16> = pairs(body)?.collect();
            let (stretches, rest) = numbers.as_chunks::<2>();
            let has = |[first, last]: &[u16; 2]| (*first..=*last).contains(&low);
            rest.is_empty().then(|| stretches.iter().any(has))
        }
        _ => None,
    }
}

fn write(words: &[u64]) -> Vec<u8> {
    let stretches = stretches(words);
    let ones: usize = words.iter().map(|word| word.count_ones() as usize).sum();
    if 4 * stretches.len() <= (2 * ones).min(BYTES) {
        let ends = stretches.iter().flat_map(|(first, last)| [*first, *last]);
        return numbers(STRETCHES, ends);
    }
    if 2 * ones <= BYTES {
        let all = stretches.iter().flat_map(|(first, last)| *first..=*last);
        return numbers(LIST, all);
    }
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    [BITS].into_iter().chain(bytes).collect()
}

fn numbers(form: u8, all: impl Iterator<Item = u16>) -> Vec<u8> {
    [form]
        .into_iter()
        .chain(all.flat_map(u16::to_be_bytes))
        .collect()
}

fn read(bytes: &[u8]) -> Option<Box<[u64]>> {
    let (form, body) = bytes.split_first()?;
    let mut words = empty();
    let mut set = |low: u16| words[usize::from(low) / 64] |= 1 << (low % 64);
    match *form {
        BITS if body.len() == BYTES => {
            let (eights, _) = body.as_chunks::<8>();
            return Some(
                eights
                    .iter()
                    .map(|eight| u64::from_le_bytes(*eight))
                    .collect(),
            );
        }
        LIST => pairs(body)?.for_each(&mut set),
        STRETCHES => {
            let numbers: Vec<u16> = pairs(body)?.collect();
            let (stretches, rest) = numbers.as_chunks::<2>();
            if !rest.is_empty() {
                return None;
            }
            let all = stretches.iter().flat_map(|[first, last]| *first..=*last);
            all.for_each(&mut set);
        }
        _ => return None,
    }
    Some(words)
}

fn pairs(body: &[u8]) -> Option<impl Iterator<Item = u16>> {
    let (pairs, rest) = body.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|pair| u16::from_be_bytes(*pair)))
}

/// First and last number of each stretch without a gap.
fn stretches(words: &[u64]) -> Vec<(u16, u16)> {
    let mut all: Vec<(u16, u16)> = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let mut left = *word;
        while left != 0 {
            let start = left.trailing_zeros();
            let length = (left >> start).trailing_ones();
            let first = (place * 64) as u32 + start;
            let last = (first + length - 1) as u16;
            match all.last_mut() {
                Some((_, end)) if u32::from(*end) + 1 == first => *end = last,
                _ => all.push((first as u16, last)),
            }
            left &= match start + length {
                64.. => 0,
                done => u64::MAX << done,
            };
        }
    }
    all
}

pub(super) fn empty() -> Box<[u64]> {
    vec![0; BYTES / 8].into()
}

const BYTES: usize = CHUNK as usize / 8;
const BITS: u8 = 0;
const LIST: u8 = 1;
const STRETCHES: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(numbers: &[u32], form: u8) {
        let mut set = Ordinals::default();
        set.add(numbers.iter().copied());
        let bytes = set.chunk(0);
        assert_eq!(bytes[0], form);
        let mut back = Ordinals::default();
        assert!(back.take(0, &bytes) && back == set);
        let all: BTreeSet<u32> = numbers.iter().copied().collect();
        for number in (0..CHUNK)
            .step_by(97)
            .chain(numbers.iter().copied().step_by(61))
        {
            let expected = all.contains(&number);
            assert_eq!(chunk_has(&bytes, number), Some(expected), "{number}");
            assert_eq!(set.has(number), expected);
        }
    }

    #[test]
    fn a_chunk_is_written_in_its_shortest_form() {
        check(&[1, 7, 9, 65_535], LIST);
        check(&(3..60_000).collect::<Vec<u32>>(), STRETCHES);
        check(&(0..CHUNK).collect::<Vec<u32>>(), STRETCHES);
        check(
            &(0..CHUNK)
                .filter(|n| n % 3 == 0 || n % 5 == 1)
                .collect::<Vec<u32>>(),
            BITS,
        );
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for bytes in [&[][..], &[9], &[BITS, 1], &[LIST, 1], &[STRETCHES, 0, 1]] {
            assert_eq!(chunk_has(bytes, 0), None);
            assert!(!Ordinals::default().take(0, bytes));
        }
    }

    #[test]
    fn chunks_that_change_are_named() {
        let mut set = Ordinals::default();
        assert_eq!(set.add([1, CHUNK + 1]), [0, 1].into());
        assert_eq!(set.add([1, CHUNK + 2]), [1].into());
        assert!(set.has(CHUNK + 2) && !set.has(2));
    }
}
