//! Rule packs and their freshness, printed for those who answer for them: at the centre and at a unit alike.

use std::path::Path;

use serde_json::{Value, json};

use super::law_packs::{self, Broken, Held, NOTICE, day_of};
use super::report::{self, Outcome, Table, Tone};
use crate::base::calendar;
use crate::base::time::Timestamp;
use crate::domain::law::{Pack, PackKind, Provenance, Rule, Status};

/// Whether a file breaks the format, which is refused and no failure.
///
/// # Errors
///
/// All other errors.
pub fn broken(as_json: bool, ended: anyhow::Result<Outcome>) -> anyhow::Result<Outcome> {
    match ended {
        Err(error) if error.is::<Broken>() => {
            report::refuse(as_json, "format", &report::chain(&error))
        }
        ended => ended,
    }
}

/// Prints the packs in force, or every value of one, or its text.
///
/// # Errors
///
/// A folder cannot be read.
pub fn list(
    as_json: bool,
    folder: Option<&Path>,
    asked: Option<&str>,
    text: bool,
) -> anyhow::Result<Outcome> {
    let held = law_packs::all(folder)?;
    let Some(asked) = asked else {
        return list_packs(as_json, &held);
    };
    let Some(found) = held.iter().find(|one| one.pack.id().as_str() == asked) else {
        let ids: Vec<&str> = held.iter().map(|one| one.pack.id().as_str()).collect();
        let why = format!("there is no pack {asked:?}, expected {}", ids.join(", "));
        return report::refuse(as_json, "pack", &why);
    };
    if text {
        report::print(&found.text)?;
        return Ok(Outcome::Done);
    }
    if as_json {
        report::print_json(&pack_json(&found.pack))?;
        return Ok(Outcome::Done);
    }
    report::print(&format!(
        "{}\ndigest {}\n\n{}",
        found.pack.title(),
        found.pack.digest(),
        rules_table(&found.pack).to_text()
    ))?;
    report::note(NOTICE);
    Ok(Outcome::Done)
}

/// Every value of a pack, with what it rests on beneath it.
fn rules_table(pack: &Pack) -> Table {
    let mut table = Table::new(&[
        "RULE",
        "VALUE, ORIGIN AND REFERENCE, CONFIDENCE, REVIEWER AND LAST DAY",
    ]);
    for rule in pack.rules() {
        let one = &rule.provenance;
        let reviewer = one.reviewer.as_deref().unwrap_or("none");
        table.row([
            rule.id(pack.id().as_str()),
            format!(
                "{}\n{}: {}\n{}, reviewer {reviewer}, until {}",
                rule.written(),
                one.origin,
                one.reference,
                one.confidence,
                until(one)
            ),
        ]);
    }
    table.wrap(&[1]);
    table
}

fn list_packs(as_json: bool, held: &[Held]) -> anyhow::Result<Outcome> {
    if as_json {
        let packs: Vec<Value> = held.iter().map(|one| pack_json(&one.pack)).collect();
        report::print_json(&json!({ "packs": packs }))?;
        return Ok(Outcome::Done);
    }
    packs_table(held).print()?;
    report::note(NOTICE);
    Ok(Outcome::Done)
}

fn packs_table(held: &[Held]) -> Table {
    let mut table = Table::new(&["PACK", "KIND", "RULES", "PLACES", "TITLE"]);
    for Held { pack, .. } in held {
        table.row([
            pack.id().to_string(),
            pack.kind().to_string(),
            pack.rules().len().to_string(),
            places(pack),
            pack.title().to_owned(),
        ]);
    }
    table.wrap(&[3, 4]);
    table
}

/// Prints what nobody has reviewed, what has expired and what soon will; refused if something has expired.
///
/// # Errors
///
/// A folder cannot be read.
pub fn status(as_json: bool, folder: Option<&Path>, now: Timestamp) -> anyhow::Result<Outcome> {
    let held = law_packs::all(folder)?;
    let day = day_of(now);
    let each: Vec<(&Pack, Status)> = held
        .iter()
        .map(|one| (&one.pack, Status::of(&one.pack, day)))
        .collect();
    let stale: Vec<&str> = each
        .iter()
        .flat_map(|(_, status)| &status.stale)
        .map(String::as_str)
        .collect();
    if as_json {
        let packs: Vec<Value> = each
            .iter()
            .map(|(pack, status)| status_json(pack, status))
            .collect();
        report::print_json(
            &json!({"on": calendar::written(day), "stale": !stale.is_empty(), "packs": packs}),
        )?;
    } else {
        print_status(day, &each)?;
    }
    if stale.is_empty() {
        return Ok(Outcome::Done);
    }
    let shown = stale.join(", ");
    Ok(report::refused(&format!(
        "pack.stale: {shown}: decisions where these apply are no; have the packs brought up to date"
    )))
}

fn print_status(day: i32, each: &[(&Pack, Status)]) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        "PACK",
        "RULES",
        "NOT REVIEWED",
        "NOT CHECKED",
        "EXPIRED",
        "SOON OVER",
    ]);
    let toned = |count: usize, tone: Tone| {
        (
            count.to_string(),
            if count == 0 { Tone::Good } else { tone },
        )
    };
    for (pack, status) in each {
        table.toned_row([
            (pack.id().to_string(), Tone::Plain),
            (pack.rules().len().to_string(), Tone::Plain),
            toned(status.unreviewed, Tone::Warning),
            toned(status.unchecked, Tone::Warning),
            toned(status.stale.len(), Tone::Bad),
            toned(status.ending.len(), Tone::Warning),
        ]);
    }
    report::print(&format!(
        "on {}\n\n{}",
        calendar::written(day),
        table.to_text()
    ))?;
    for (rule, last) in each.iter().flat_map(|(_, status)| &status.ending) {
        report::print(&format!(
            "soon over: {rule}, last day {}\n",
            calendar::written(*last)
        ))?;
    }
    report::note(NOTICE);
    Ok(())
}

/// The last day of a rule.
#[must_use]
pub fn until(one: &Provenance) -> String {
    one.valid_to
        .map_or_else(|| "none".to_owned(), calendar::written)
}

fn places(pack: &Pack) -> String {
    if pack.kind() == PackKind::House {
        return "everywhere".to_owned();
    }
    let codes: Vec<&str> = pack.places().iter().map(|place| place.as_str()).collect();
    codes.join(" ")
}

fn pack_json(pack: &Pack) -> Value {
    let rules: Vec<Value> = pack
        .rules()
        .iter()
        .map(|rule| rule_json(pack, rule))
        .collect();
    let places: Vec<&str> = pack.places().iter().map(|place| place.as_str()).collect();
    json!({
        "id": pack.id(),
        "title": pack.title(),
        "kind": pack.kind().to_string(),
        "digest": pack.digest().to_string(),
        "places": places,
        "rules": rules,
    })
}

fn rule_json(pack: &Pack, rule: &Rule) -> Value {
    let one = &rule.provenance;
    json!({
        "id": rule.id(pack.id().as_str()),
        "key": rule.key.to_string(),
        "place": rule.place.map(|place| place.to_string()),
        "value": rule.written(),
        "origin": one.origin.to_string(),
        "ref": one.reference,
        "valid_from": calendar::written(one.valid_from),
        "valid_to": one.valid_to.map(calendar::written),
        "reviewed_on": one.reviewed_on.map(calendar::written),
        "reviewer": one.reviewer,
        "source_url": one.source_url,
        "confidence": one.confidence.to_string(),
    })
}

fn status_json(pack: &Pack, status: &Status) -> Value {
    let ending: Vec<Value> = status
        .ending
        .iter()
        .map(|(rule, last)| json!({"rule": rule, "last_day": calendar::written(*last)}))
        .collect();
    json!({
        "id": pack.id(),
        "digest": pack.digest().to_string(),
        "values": pack.rules().len() + 1,
        "unreviewed": status.unreviewed,
        "unchecked": status.unchecked,
        "stale": status.stale,
        "ending": ending,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_fits(table: &Table, expected: &[&str]) {
        let text = table.to_text();
        for line in text.lines() {
            assert!(line.chars().count() <= usize::from(report::WIDTH), "{line}");
        }
        for words in expected {
            assert!(text.contains(words), "{words}\n{text}");
        }
    }

    #[test]
    fn tables_fit_a_terminal_of_a_hundred_columns() {
        let held = law_packs::all(None).unwrap();
        check_fits(
            &packs_table(&held),
            &["uk-gdpr", "AT BE BG", "Data Protection"],
        );
        for one in &held {
            let first = one.pack.rules()[0].id(one.pack.id().as_str());
            check_fits(&rules_table(&one.pack), &[&first, "reviewer none"]);
        }
    }

    #[test]
    fn every_value_is_shown_with_its_provenance() {
        let held = law_packs::all(None).unwrap();
        let shown = pack_json(&held[1].pack);
        let first = &shown["rules"][0];
        assert_eq!(
            (&first["key"], &first["value"], &first["ref"]),
            (
                &json!("consent_model"),
                &json!("opt_in"),
                &json!("GDPR 4(11), 7")
            )
        );
        for field in [
            "origin",
            "valid_from",
            "valid_to",
            "reviewed_on",
            "reviewer",
            "source_url",
            "confidence",
        ] {
            assert!(first.get(field).is_some(), "{field}");
        }
    }
}
