//! Reads a rule pack. Nothing is optional, nothing is guessed; every problem is reported with its line and column.

use super::key::Key;
use super::pack::{PackKind, Parts};
use super::place::Place;
use super::read_values::{long_text, provenance, value, word};
use super::rule::Rule;
use crate::base::document::{Field, Read, Section, tables};
use crate::base::limits::{LAW_PLACES_MAX, LAW_RULES_MAX};

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
