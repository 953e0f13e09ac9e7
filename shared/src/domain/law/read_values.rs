//! Reads values of a rule pack with their provenance.

use super::kind::Kind;
use super::pack::PackKind;
use super::rule::{Confidence, Origin, Provenance};
use super::words::Word;
use crate::base::document::{Field, Read, Section};
use crate::base::limits::LAW_TEXT_BYTES_MAX;

pub(super) fn value(field: &Field<'_>, kind: Kind) -> Read<u64> {
    match kind {
        Kind::Whole(low, high) => {
            let bound = |end: u64| i64::try_from(end).unwrap_or(i64::MAX);
            Ok(field.integer(bound(low), bound(high))?.unsigned_abs())
        }
        Kind::Ladder(words) => {
            let found = field.text()?;
            let rung = words.iter().position(|word| *word == found);
            let expected = || format!("is {found:?}, expected {}", words.join(", "));
            rung.map(|rung| rung as u64)
                .ok_or_else(|| field.problem_here(&expected()))
        }
        Kind::List(list) => field.items()?.iter().try_fold(0, |bits, item| {
            let found = item.text()?;
            let expected = || format!("holds {found:?}, expected {}", list.expected());
            let bit = list
                .bit(found)
                .ok_or_else(|| item.problem_here(&expected()))?;
            if bits & bit != 0 {
                return Err(item.problem_here(&format!("holds {found:?} twice")));
            }
            Ok(bits | bit)
        }),
    }
}

pub(super) fn provenance(section: &mut Section<'_>, kind: PackKind) -> Read<Provenance> {
    let from = section.required("valid_from")?;
    let (origin, reference) = (section.required("origin")?, section.required("ref")?);
    let (valid_from, to) = (from.date()?, section.required("valid_to")?);
    let reviewed = section.required("reviewed_on")?;
    let source = section.required("source_url")?;
    let confidence = section.required("confidence")?;
    let read = Provenance {
        origin: word(&origin)?,
        reference: long_text(&reference)?,
        valid_from,
        valid_to: none_or(&to, Field::date)?,
        reviewed_on: none_or(&reviewed, Field::date)?,
        reviewer: none_or(&section.required("reviewer")?, Field::name)?,
        source_url: none_or(&source, long_text)?,
        confidence: word(&confidence)?,
    };
    if kind == PackKind::House && read.origin != Origin::OrgPolicy {
        return Err(origin.problem_here("is not org_policy, expected that of all a house decides"));
    }
    if read.valid_to.is_some_and(|last| last < valid_from) {
        return Err(to.problem_here("is before valid_from, expected the same day or a later one"));
    }
    if read.reviewer.is_some() != read.reviewed_on.is_some() {
        return Err(reviewed.problem_here(
            "and reviewer differ in being none, expected a day with a name, or neither",
        ));
    }
    if read.confidence == Confidence::Primary && read.reviewer.is_none() {
        return Err(confidence.problem_here(
            "is primary without a reviewer, expected secondary or unchecked until somebody signs",
        ));
    }
    let https = |url: &str| url.starts_with("https://");
    let sourced = read
        .source_url
        .as_deref()
        .map_or(read.origin == Origin::OrgPolicy, https);
    if !sourced {
        return Err(source.problem_here(
            "is no https address, expected one for what a law or an authority says",
        ));
    }
    Ok(read)
}

pub(super) fn word<T: Word>(field: &Field<'_>) -> Read<T> {
    let found = field.text()?;
    let expected = || format!("is {found:?}, expected {}", T::expected());
    T::from_word(found).ok_or_else(|| field.problem_here(&expected()))
}

/// `"none"`, or a value: what is not known is said, not left out.
pub(super) fn none_or<'a, T>(
    field: &Field<'a>,
    read: impl Fn(&Field<'a>) -> Read<T>,
) -> Read<Option<T>> {
    if field.is_text() && field.text()? == "none" {
        return Ok(None);
    }
    read(field).map(Some)
}

pub(super) fn long_text(field: &Field<'_>) -> Read<String> {
    let found = field.text()?;
    let plain = !found.is_empty() && found.trim() == found && !found.chars().any(char::is_control);
    if !plain || found.len() > LAW_TEXT_BYTES_MAX {
        let expected = format!(
            "is empty, untrimmed, or no plain text, expected 1 to {LAW_TEXT_BYTES_MAX} bytes of it"
        );
        return Err(field.problem_here(&expected));
    }
    Ok(found.to_owned())
}
