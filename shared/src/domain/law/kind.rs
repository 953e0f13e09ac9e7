//! How values of rules are written: numbers in a range, words from lax to strict, lists of words.

use super::vocabulary::{Basis, Category, ScreenedUse, Signal};
use super::words::{Set, Word};

/// How a value is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A whole number in a range.
    Whole(u64, u64),
    /// One word, from lax to strict.
    Ladder(&'static [&'static str]),
    /// A list of words of a vocabulary.
    List(List),
}

/// Whose words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum List {
    Bases,
    Categories,
    ScreenedUses,
    Signals,
}

impl List {
    /// The bit of a word; `None` for any other text.
    pub(super) fn bit(self, text: &str) -> Option<u64> {
        fn bit<T: Word>(text: &str) -> Option<u64> {
            T::from_word(text).map(|word| 1 << word.index())
        }
        match self {
            Self::Bases => bit::<Basis>(text),
            Self::Categories => bit::<Category>(text),
            Self::ScreenedUses => bit::<ScreenedUse>(text),
            Self::Signals => bit::<Signal>(text),
        }
    }

    pub(super) fn expected(self) -> String {
        match self {
            Self::Bases => Basis::expected(),
            Self::Categories => Category::expected(),
            Self::ScreenedUses => ScreenedUse::expected(),
            Self::Signals => Signal::expected(),
        }
    }

    pub(super) fn written(self, bits: u64) -> String {
        match self {
            Self::Bases => Set::<Basis>::from_bits(bits).to_string(),
            Self::Categories => Set::<Category>::from_bits(bits).to_string(),
            Self::ScreenedUses => Set::<ScreenedUse>::from_bits(bits).to_string(),
            Self::Signals => Set::<Signal>::from_bits(bits).to_string(),
        }
    }
}
