//! Tests of the whole: golden cells, the unknown, the lattice, effects, validity, ages, broken files, speed.

mod ages;
mod effects;
mod format;
mod golden;
mod lattice;
mod speed;
mod unknown;
mod validity;

use std::sync::LazyLock;

use super::*;
use crate::base::calendar;
use crate::base::time::Timestamp;

const GOLDEN: &str = include_str!("golden.txt");
const PURPOSES: &str = include_str!("../../../../laws/examples/purposes.toml");

/// Not used by cases that name their day.
const NEVER: Timestamp = Timestamp(0);

fn book() -> Rulebook {
    static BOOK: LazyLock<Rulebook> = LazyLock::new(|| book_with(|_, text| text.to_owned()));
    BOOK.clone()
}

/// The vendored packs, each changed.
fn book_with(change: impl Fn(&str, &str) -> String) -> Rulebook {
    let pack = |(name, text): &(&str, &str)| Pack::parse(&change(name, text)).unwrap();
    let packs = vendored::PACKS.iter().map(pack).collect();
    Rulebook::new(packs, Purposes::parse(PURPOSES).unwrap()).unwrap()
}

/// The base case of a kind, as the golden table states it, with what differs.
fn case(kind: &str, differs: &str) -> WhatIf {
    let start = format!("# base {kind} ");
    let base = GOLDEN
        .lines()
        .find_map(|line| line.strip_prefix(&start))
        .unwrap();
    let mut case = WhatIf::default();
    for pair in base.split_whitespace().chain(differs.split_whitespace()) {
        let (key, value) = pair.split_once('=').unwrap();
        case.set(key, value)
            .unwrap_or_else(|problem| panic!("{pair}: {problem}"));
    }
    case
}

fn decided(book: &Rulebook, kind: &str, differs: &str) -> Decision {
    case(kind, differs).decide(book, NEVER)
}

fn day(text: &str) -> i32 {
    calendar::parse(text).unwrap()
}

#[track_caller]
fn check_decided(book: &Rulebook, kind: &str, differs: &str, expected: &[Cause]) {
    let decision = decided(book, kind, differs);
    assert_eq!(decision.causes(), Set::of(expected), "{kind} {differs}");
}
