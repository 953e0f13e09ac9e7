//! Closed vocabularies: enums whose variants are written as one word in files, and sets of them. No open list anywhere.

use std::fmt;
use std::marker::PhantomData;

/// A closed list of words, of at most 64.
pub trait Word: Copy + Eq + 'static {
    /// All of them, in declared order.
    const ALL: &'static [Self];

    /// As it is written in files.
    fn word(self) -> &'static str;

    /// Its place in [`Word::ALL`].
    fn index(self) -> u32;

    /// Reads a word; `None` for any other text.
    #[must_use]
    fn from_word(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.word() == text)
    }

    /// All words, for messages.
    #[must_use]
    fn expected() -> String {
        let words: Vec<&str> = Self::ALL.iter().map(|known| known.word()).collect();
        words.join(", ")
    }
}

/// Declares an enum with its words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum $name { $($(#[$about])* $variant),+ }

        impl $crate::domain::law::words::Word for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            fn index(self) -> u32 {
                self as u32
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad($crate::domain::law::words::Word::word(*self))
            }
        }
    };
}
pub(super) use words;

/// A set of words.
pub struct Set<T> {
    bits: u64,
    of: PhantomData<T>,
}

impl<T: Word> Set<T> {
    /// The empty set.
    pub const EMPTY: Self = Self {
        bits: 0,
        of: PhantomData,
    };

    /// The set of these words.
    #[must_use]
    pub fn of(words: &[T]) -> Self {
        let mut set = Self::EMPTY;
        words.iter().for_each(|word| set.insert(*word));
        set
    }

    /// Adds a word.
    pub fn insert(&mut self, word: T) {
        self.bits |= 1 << word.index();
    }

    /// Whether the word is in it.
    #[must_use]
    pub fn contains(self, word: T) -> bool {
        self.bits >> word.index() & 1 == 1
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// Whether both hold a common word.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.bits & other.bits != 0
    }

    /// Its words in declared order.
    pub fn iter(self) -> impl Iterator<Item = T> {
        let all = T::ALL.iter().copied();
        all.filter(move |word| self.contains(*word))
    }

    pub(super) fn bits(self) -> u64 {
        self.bits
    }

    /// Bits without a word are dropped.
    pub(super) fn from_bits(bits: u64) -> Self {
        let of = PhantomData;
        let known = u64::MAX >> (64 - T::ALL.len());
        let bits = bits & known;
        Self { bits, of }
    }
}

impl<T> Clone for Set<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Set<T> {}

impl<T> PartialEq for Set<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bits == other.bits
    }
}

impl<T> Eq for Set<T> {}

impl<T: Word> fmt::Display for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(Word::word).collect();
        f.pad(&words.join(", "))
    }
}

impl<T: Word> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}
