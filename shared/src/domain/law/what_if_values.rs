//! Values of a made-up case as they are written.

use super::facts::Age;
use super::place::Place;
use super::vocabulary::Category;
use super::words::{Set, Word};
use crate::base::calendar;

pub(super) fn word<T: Word>(text: &str) -> Result<T, String> {
    T::from_word(text).ok_or_else(|| format!("is {text:?}, expected {}", T::expected()))
}

pub(super) fn one_of(text: &str, words: [&str; 2]) -> Result<usize, String> {
    let found = words.iter().position(|word| *word == text);
    found.ok_or_else(|| format!("is {text:?}, expected {} or {}", words[0], words[1]))
}

pub(super) fn yes(text: &str) -> Result<bool, String> {
    Ok(one_of(text, ["false", "true"])? == 1)
}

/// `unknown`, or a value.
pub(super) fn known<T>(
    text: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if text == "unknown" {
        return Ok(None);
    }
    read(text).map(Some)
}

pub(super) fn place(text: &str) -> Result<Place, String> {
    text.parse().map_err(|error| format!("{error}"))
}

pub(super) fn places(text: &str) -> Result<Vec<Place>, String> {
    Ok(known(text, |text| list(text).map(place).collect())?.unwrap_or_default())
}

pub(super) fn categories(text: &str) -> Result<Set<Category>, String> {
    let words: Result<Vec<Category>, String> = list(text).map(word).collect();
    Ok(Set::of(&words?))
}

pub(super) fn number(text: &str, most: u64) -> Result<u64, String> {
    let read = text.parse().ok().filter(|number| *number <= most);
    read.ok_or_else(|| {
        format!("is {text:?}, expected a whole number of at most {most}, or unknown")
    })
}

pub(super) fn day(text: &str) -> Result<i32, String> {
    let read = calendar::parse(text).filter(|day| *day >= 0);
    read.ok_or_else(|| format!("is {text:?}, expected a date like 2026-01-31, from 1970 on"))
}

pub(super) fn age(text: &str) -> Result<Age, String> {
    Ok(match text {
        "adult" => Age::Adult,
        "minor" => Age::Minor,
        "minor_with_guardian" => Age::MinorWithGuardian,
        "unknown" => Age::Unknown,
        years => {
            let years = years.parse().ok().filter(|years| *years <= 130);
            let expected = "expected years up to 130, adult, minor, minor_with_guardian or unknown";
            Age::Years(years.ok_or_else(|| format!("is {text:?}, {expected}"))?)
        }
    })
}

pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}
