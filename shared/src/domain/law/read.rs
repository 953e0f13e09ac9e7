//! Reads a rule pack. Nothing is optional, nothing is guessed; every problem is reported with its line and column.

use super::key::{Key, Kind};
use super::pack::{PackKind, Parts};
use super::place::Place;
use super::rule::{Confidence, Origin, Provenance, Rule};
use super::words::Word;
use crate::base::document::{Field, Read, Section, tables};
use crate::base::limits::{LAW_PLACES_MAX, LAW_RULES_MAX, LAW_TEXT_BYTES_MAX};

pub(super) fn pack(text: &str) -> Read<Parts> {
    let document = tables(text)?;
    let mut root = Section::new(text, "the file", 0, document.get_ref());
    let mut head = root.required("pack")?.section("[pack]")?;
    let scope = root.required("scope")?;
    let rules = root.required("rule")?;
    root.finish(&["pack", "scope", "rule"])?;

    let id = head.required("id")?;
    let id = id
        .text()?
        .parse()
        .map_err(|error| id.problem(format!("{error}")))?;
    let title = long_text(&head.required("title")?)?;
    let kind: PackKind = word(&head.required("kind")?)?;
    head.finish(&["id", "title", "kind"])?;

    let mut of_scope = scope.section("[scope]")?;
    let places = places(&of_scope.required("value")?, kind)?;
    let provenance = provenance(&mut of_scope, kind)?;
    of_scope.finish(&["value and its provenance"])?;
    Ok(Parts {
        id,
        title,
        kind,
        places,
        scope: provenance,
        rules: read_rules(&rules, kind)?,
    })
}

fn read_rules(list: &Field<'_>, kind: PackKind) -> Read<Vec<Rule>> {
    let items = list.items()?;
    let count = items.len();
    if count > LAW_RULES_MAX {
        return Err(list.problem(format!("{count} rules, expected at most {LAW_RULES_MAX}")));
    }
    let mut rules: Vec<Rule> = Vec::with_capacity(count);
    for item in items {
        let rule = rule(&item, kind)?;
        let same = |other: &&Rule| (other.key, other.place) == (rule.key, rule.place);
        let twice = rules
            .iter()
            .filter(same)
            .any(|other| other.provenance.meets(&rule.provenance));
        if twice {
            let id = rule.id("").split_off(1);
            return Err(item.problem(format!(
                "{id} holds on a day on which another rule sets the same, expected one value a day"
            )));
        }
        rules.push(rule);
    }
    let general = |key: &Key| {
        rules
            .iter()
            .any(|rule| rule.key == *key && rule.place.is_none())
    };
    if let Some(missing) = kind.must_set().iter().find(|key| !general(key)) {
        return Err(list.problem(format!(
            "no rule sets {missing}, expected one in each pack of kind {kind}"
        )));
    }
    if let Some(rule) = rules.iter().find(|rule| !general(&rule.key)) {
        let (key, place) = (
            rule.key,
            rule.place
                .map_or_else(String::new, |place| place.to_string()),
        );
        return Err(list.problem(format!(
            "{key} is set for {place} alone, expected a rule without a place as well"
        )));
    }
    Ok(rules)
}

fn rule(item: &Field<'_>, kind: PackKind) -> Read<Rule> {
    let mut section = item.section("[[rule]]")?;
    let key: Key = word(&section.required("key")?)?;
    let place = section.optional("place");
    let place = place.as_ref().map(read_place).transpose()?;
    let value = value(&section.required("value")?, key.kind())?;
    let provenance = provenance(&mut section, kind)?;
    section.finish(&["key", "place", "value and its provenance"])?;
    Ok(Rule {
        key,
        place,
        value,
        provenance,
    })
}

fn value(field: &Field<'_>, kind: Kind) -> Read<u64> {
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

fn provenance(section: &mut Section<'_>, kind: PackKind) -> Read<Provenance> {
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

fn places(field: &Field<'_>, kind: PackKind) -> Read<Vec<Place>> {
    let items = field.items()?;
    if kind == PackKind::House {
        let everywhere = matches!(&items[..], [one] if one.text() == Ok("*"));
        let expected = "is not [\"*\"], expected that for the policy of the house";
        return everywhere
            .then(Vec::new)
            .ok_or_else(|| field.problem_here(expected));
    }
    if !(1..=LAW_PLACES_MAX).contains(&items.len()) {
        return Err(field.problem_here(&format!(
            "has {} places, expected 1 to {LAW_PLACES_MAX}",
            items.len()
        )));
    }
    let mut places = Vec::with_capacity(items.len());
    for item in &items {
        let place = read_place(item)?;
        if places.contains(&place) {
            return Err(item.problem_here(&format!("holds {place} twice")));
        }
        places.push(place);
    }
    Ok(places)
}

fn read_place(field: &Field<'_>) -> Read<Place> {
    field
        .text()?
        .parse()
        .map_err(|error| field.problem(format!("{error}")))
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
