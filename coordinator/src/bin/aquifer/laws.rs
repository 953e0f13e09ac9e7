//! `aquifer laws`: rule packs, their freshness and their changes, for those who answer for them.

use std::path::Path;

use aquifer_shared::base::calendar;
use aquifer_shared::domain::law::{
    Difference, Pack, PackKind, Place, Provenance, Rule, Status, Turn, differences,
};
use aquifer_shared::shell::report::{self, Outcome, Table, Tone};
use serde_json::{Value, json};

use crate::client::Session;
use crate::law_args::LawsCommand;
use crate::law_packs::{self, Broken, Held, NOTICE, day_of, moment_of};

/// Carries out a command about rule packs.
///
/// # Errors
///
/// A folder cannot be read.
pub(crate) fn run(session: &Session, command: &LawsCommand) -> anyhow::Result<Outcome> {
    let ended = match command {
        LawsCommand::List { pack, text, packs } => {
            list(session, packs.packs.as_deref(), pack.as_deref(), *text)
        }
        LawsCommand::Status { packs, on } => status(session, packs.packs.as_deref(), *on),
        LawsCommand::Diff { to, from } => diff(session, from.as_deref(), to),
    };
    broken(session, ended)
}

/// A file that breaks the format is refused, not a failure.
///
/// # Errors
///
/// All other errors.
pub(crate) fn broken(session: &Session, ended: anyhow::Result<Outcome>) -> anyhow::Result<Outcome> {
    match ended {
        Err(error) if error.is::<Broken>() => {
            report::refuse(session.json, "format", &report::chain(&error))
        }
        ended => ended,
    }
}

fn list(
    session: &Session,
    folder: Option<&Path>,
    asked: Option<&str>,
    text: bool,
) -> anyhow::Result<Outcome> {
    let held = law_packs::all(folder)?;
    let Some(asked) = asked else {
        return list_packs(session, &held);
    };
    let Some(found) = held.iter().find(|one| one.pack.id().as_str() == asked) else {
        let ids: Vec<&str> = held.iter().map(|one| one.pack.id().as_str()).collect();
        let why = format!("there is no pack {asked:?}, expected {}", ids.join(", "));
        return report::refuse(session.json, "pack", &why);
    };
    if text {
        report::print(&found.text)?;
        return Ok(Outcome::Done);
    }
    if session.json {
        report::print_json(&pack_json(&found.pack))?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&[
        "RULE",
        "VALUE",
        "ORIGIN",
        "REFERENCE",
        "UNTIL",
        "CONFIDENCE",
        "REVIEWER",
    ]);
    for rule in found.pack.rules() {
        let one = &rule.provenance;
        table.row([
            rule.id(asked),
            rule.written(),
            one.origin.to_string(),
            one.reference.clone(),
            until(one),
            one.confidence.to_string(),
            one.reviewer.clone().unwrap_or_else(|| "none".to_owned()),
        ]);
    }
    report::print(&format!(
        "{}\ndigest {}\n\n{}",
        found.pack.title(),
        found.pack.digest(),
        table.to_text()
    ))?;
    report::note(NOTICE);
    Ok(Outcome::Done)
}

fn list_packs(session: &Session, held: &[Held]) -> anyhow::Result<Outcome> {
    if session.json {
        let packs: Vec<Value> = held.iter().map(|one| pack_json(&one.pack)).collect();
        report::print_json(&json!({ "packs": packs }))?;
        return Ok(Outcome::Done);
    }
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
    table.print()?;
    report::note(NOTICE);
    Ok(Outcome::Done)
}

fn status(session: &Session, folder: Option<&Path>, on: Option<i32>) -> anyhow::Result<Outcome> {
    let held = law_packs::all(folder)?;
    let day = day_of(moment_of(on));
    let each: Vec<(&Pack, Status)> = held
        .iter()
        .map(|one| (&one.pack, Status::of(&one.pack, day)))
        .collect();
    let stale: Vec<&str> = each
        .iter()
        .flat_map(|(_, status)| &status.stale)
        .map(String::as_str)
        .collect();
    if session.json {
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

fn diff(session: &Session, from: Option<&Path>, to: &Path) -> anyhow::Result<Outcome> {
    let (from, to) = (law_packs::all(from)?, law_packs::all(Some(to))?);
    let of = |held: &[Held], id: &str| {
        held.iter()
            .find(|one| one.pack.id().as_str() == id)
            .map(|one| one.pack.clone())
    };
    let mut ids: Vec<String> = from
        .iter()
        .chain(&to)
        .map(|one| one.pack.id().to_string())
        .collect();
    ids.sort();
    ids.dedup();
    let (mut rows, mut laxer) = (Vec::new(), 0);
    for id in &ids {
        match (of(&from, id), of(&to, id)) {
            (Some(before), Some(after)) => {
                let found = differences(&before, &after);
                laxer += found
                    .iter()
                    .filter(|one| one.may_allow_more(&before))
                    .count();
                rows.extend(found.iter().map(|one| row(id, one)));
            }
            (None, Some(_)) => {
                rows.push([id.clone(), "added".to_owned(), String::new(), String::new()])
            }
            (Some(_), None) => {
                laxer += 1;
                rows.push([
                    id.clone(),
                    "removed".to_owned(),
                    String::new(),
                    String::new(),
                ]);
            }
            (None, None) => {}
        }
    }
    if session.json {
        let changes: Vec<Value> = rows.iter().map(|[rule, what, from, to]| json!({"rule": rule, "change": what, "from": from, "to": to})).collect();
        report::print_json(&json!({"laxer": laxer, "changes": changes}))?;
    } else if rows.is_empty() {
        report::print("no differences\n")?;
    } else {
        let mut table = Table::new(&["RULE", "CHANGE", "FROM", "TO"]);
        rows.into_iter().for_each(|row| table.row(row));
        table.print()?;
    }
    if laxer == 0 {
        return Ok(Outcome::Done);
    }
    Ok(report::refused(&format!(
        "{laxer} changes may allow what was denied; have them reviewed"
    )))
}

fn row(pack: &str, difference: &Difference) -> [String; 4] {
    let id = difference
        .rule()
        .map_or_else(|| format!("{pack}/scope"), |rule| rule.id(pack));
    let codes = |places: &[Place]| -> String {
        let codes: Vec<&str> = places.iter().map(Place::as_str).collect();
        codes.join(" ")
    };
    match difference {
        Difference::Scope { from, to } => [id, "scope".to_owned(), codes(from), codes(to)],
        Difference::Added(rule) => [id, "added".to_owned(), String::new(), rule.written()],
        Difference::Removed(rule) => [id, "removed".to_owned(), rule.written(), String::new()],
        Difference::Changed {
            from,
            to,
            turn: Turn::Provenance,
        } => {
            let said = |rule: &Rule| {
                format!(
                    "{}, until {}",
                    rule.provenance.reference,
                    until(&rule.provenance)
                )
            };
            [id, Turn::Provenance.to_string(), said(from), said(to)]
        }
        Difference::Changed { from, to, turn } => {
            [id, turn.to_string(), from.written(), to.written()]
        }
    }
}

fn until(one: &Provenance) -> String {
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
