//! `rights access`: looks up what there is about one person.

use std::collections::BTreeMap;
use std::path::Path;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::history::{Json, Kind};
use aquifer_shared::domain::law::{Person, Purpose};
use aquifer_shared::shell::noise::epsilon;
use aquifer_shared::shell::report::Outcome;
use serde_json::Value;

use super::pack::{House, Pack, PurposeLine, bounds, retention, rights, run_line};
use super::scores::{ScoreLine, of_person};
use crate::core::consent::{ConsentEvent, Register, SubjectRef};
use crate::shell::config::NodeConfig;
use crate::shell::consent::Told;
use crate::shell::consent::show::{Counter, event_json, is_eligible, nobody};
use crate::shell::consent::time::written;
use crate::shell::telling::tell_soon;
use crate::shell::usage::{UsageLedger, UsedRun};

/// Whom and where to look.
pub struct Asked<'a> {
    /// The customer's id in the source.
    pub id: &'a str,
    /// A file of scores.
    pub scores: Option<&'a Path>,
}

/// What was found.
pub enum Found {
    /// The pack.
    Pack(Box<Pack>),
    /// The person was erased; the mark that keeps them out stands until then.
    Erased(String),
}

/// Looks up everything about a person that this unit keeps for studies.
///
/// # Errors
///
/// A ledger, node.toml or the file of scores cannot be read.
///
/// # Privacy
///
/// About one person, for the person and the desk. The id is not in the pack.
pub fn look(directory: &Path, asked: &Asked<'_>) -> anyhow::Result<Found> {
    let mut usage = super::usage::open(directory)?;
    let mut desk = Counter::open(directory)?;
    let subject = desk.key.subject(asked.id);
    if let Some(until) = desk.ledger.erased_until(subject, desk.at)? {
        return Ok(Found::Erased(written(until)));
    }
    let events = desk.ledger.of_person(subject)?;
    let scores = asked.scores.map(|path| of_person(path, asked.id));
    let names = names(directory)?;
    let pack = assemble(
        &desk,
        (&mut usage, subject),
        (&events, scores.transpose()?),
        &names,
    )?;
    Ok(Found::Pack(Box::new(pack)))
}

/// Writes down that a person was answered, for the history.
///
/// # Errors
///
/// The consent ledger cannot be written.
///
/// # Privacy
///
/// Under the keyed reference, by which an erasure finds it.
pub(super) fn answered(
    directory: &Path,
    (id, right): (&str, &str),
    shown: Outcome,
) -> anyhow::Result<Outcome> {
    if matches!(shown, Outcome::Done) {
        let mut desk = Counter::open(directory)?;
        let payload = [("event_at", Json::from(desk.at)), ("right", right.into())];
        let told = Told {
            kind: Kind::RequestFulfilled,
            subject: Some(desk.key.subject(id)),
            payload: Json::object(payload),
        };
        desk.ledger.tell(&told, desk.at)?;
        tell_soon(directory);
    }
    Ok(shown)
}

/// Puts a pack together.
pub(super) fn assemble(
    desk: &Counter,
    (usage, subject): (&mut UsageLedger, SubjectRef),
    (events, scores): (&[ConsentEvent], Option<Vec<ScoreLine>>),
    names: &BTreeMap<aquifer_shared::base::ids::IdentityKey, String>,
) -> anyhow::Result<Pack> {
    let (runs, lost) = usage.of_person(subject, desk.at)?;
    let lives = usage.lives()?;
    let line =
        |house: &House<'_>, own: &UsedRun| run_line(house, own, lives.get(&Hash32(own.run.0)));
    let people = desk.gatekeeper.people();
    let house = House {
        book: desk.gatekeeper.book(),
        place: people.place,
        names,
        epsilon,
    };
    let told: Vec<Value> = events
        .iter()
        .map(|event| event_json(event, &desk.notices))
        .collect();
    Ok(Pack {
        made_at: written(desk.at),
        controller: people.controller.as_str().to_owned(),
        purposes: purposes(desk, subject, events)?,
        events: told,
        runs: runs.iter().map(|own| line(&house, own)).collect(),
        bound: bounds(&house, &runs, lost),
        scores,
        retention: retention(&house, desk.at),
        rights: rights(),
    })
}

/// Names of units by their keys, as the unit pinned them.
pub(super) fn names(
    directory: &Path,
) -> anyhow::Result<BTreeMap<aquifer_shared::base::ids::IdentityKey, String>> {
    let pins = NodeConfig::load(directory)?.trust().pins;
    let names = pins
        .into_iter()
        .map(|(key, pin)| (key, pin.name.to_string()));
    Ok(names.collect())
}

fn purposes(
    desk: &Counter,
    subject: SubjectRef,
    events: &[ConsentEvent],
) -> anyhow::Result<Vec<PurposeLine>> {
    let mut register = Register::default();
    register.take_all(events.iter().cloned())?;
    let number = register.known(subject);
    let line = |purpose: &Purpose| {
        let defaults = desk.gatekeeper.defaults(&purpose.id);
        let with = (&defaults, &desk.notices);
        let known = number.map(|number| register.person(number, purpose, desk.at, with));
        let person: Person = known.unwrap_or_else(|| nobody(&defaults));
        PurposeLine {
            id: purpose.id.to_string(),
            title: purpose.title.clone(),
            description: purpose.description_plain.clone(),
            action: purpose.action.to_string(),
            basis: person.basis.map(|basis| basis.to_string()),
            consent: person.consent.to_string(),
            blocked: person.block.to_string(),
            eligible: is_eligible(desk, purpose, &person),
            owner: purpose.owner.clone(),
        }
    };
    let purposes = desk.gatekeeper.book().purposes().iter();
    Ok(purposes.map(line).collect())
}
