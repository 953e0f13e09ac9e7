//! What the desk of a unit writes down for one person.

use std::path::Path;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::history::Json;
use aquifer_shared::shell::keys::random_bytes32;
use aquifer_shared::shell::report::{self, Outcome};

use super::batch::Written;
use super::command::{book, moment, open};
use super::ledger::EventKey;
use super::outbox::Told;
use crate::core::consent::{AgeSaid, ConsentEvent, EventKind, Scope, kind_of, told};
use crate::shell::telling::tell_soon;

/// Writes down what a person said at the desk: the kind, and the scope in words.
///
/// # Errors
///
/// The ledger or node.toml cannot be used: nothing was written.
///
/// # Privacy
///
/// The id becomes a keyed reference; it is neither kept nor printed.
pub(in crate::shell) fn at_the_desk(
    directory: &Path,
    subject: &str,
    (kind, purpose): (EventKind, &str),
    json: bool,
) -> anyhow::Result<Outcome> {
    let Some(scope) = Scope::of_word(purpose) else {
        let why = format!(
            "purpose is {purpose:?}, expected the name of a purpose, direct_marketing, sale_or_share or all"
        );
        return report::refuse(json, "purpose", &why);
    };
    if let Some(why) = undeclared(directory, &scope)? {
        return report::refuse(json, "purpose", &why);
    }
    let (key, mut ledger) = open(directory)?;
    let subject = key.subject(subject);
    let at = ledger.latest()?.max(moment());
    // After all that is known of the person: a source whose clock is ahead does not have the last word.
    let said = ledger.of_person(subject)?;
    let at = said.iter().map(|event| event.event_at).fold(at, i64::max);
    let number = Hash32(random_bytes32()?);
    let event_key = EventKey::of(&key, DESK, &number.to_string());
    let event = ConsentEvent {
        subject,
        scope,
        kind,
        explicit: false,
        notice: None,
        event_at: at,
        recorded_at: at,
        valid_from: None,
        valid_until: None,
        age: AgeSaid::Unsaid,
        place: None,
        order: event_key.order(),
    };
    let mut next = Some((event_key, event.clone()));
    let mut erased = false;
    ledger.write::<anyhow::Error>(
        moment,
        |_| Ok(next.take()),
        |written| {
            erased = written.erased > 0;
            Ok((!erased).then(|| entry(event, written)))
        },
    )?;
    if erased {
        return report::refuse(
            json,
            "erased",
            "this person was erased; nothing is kept of them",
        );
    }
    tell_soon(directory);
    let word = kind.word();
    if json {
        report::print_json(
            &serde_json::json!({"recorded": word, "purpose": purpose, "at_ms": at}),
        )?;
    } else {
        report::print(&format!(
            "recorded: {word}, purpose {purpose}; it counts from the next round on\n"
        ))?;
    }
    Ok(Outcome::Done)
}

/// What the history is told of one event.
pub(super) fn entry(event: ConsentEvent, written: &Written) -> Told {
    let event = ConsentEvent {
        recorded_at: written.recorded_at,
        ..event
    };
    let mut payload = told(&event);
    if let Json::Object(fields) = &mut payload {
        fields.insert("root".to_owned(), written.root.to_string().into());
        fields.insert("source".to_owned(), DESK.into());
    }
    Told {
        kind: kind_of(event.kind),
        subject: Some(event.subject),
        payload,
    }
}

/// Why nothing can be said about a purpose: a name with a mistake in it must not pass for an objection.
fn undeclared(directory: &Path, scope: &Scope) -> anyhow::Result<Option<String>> {
    let Scope::Purpose(name) = scope else {
        return Ok(None);
    };
    let Some(book) = book(directory)? else {
        return Ok(None);
    };
    if book.purpose(name.as_str()).is_some() {
        return Ok(None);
    }
    let known: Vec<&str> = book.purposes().iter().map(|own| own.id.as_str()).collect();
    Ok(Some(format!(
        "purpose {name} is not declared, expected direct_marketing, sale_or_share, all, or one of {}",
        known.join(", ")
    )))
}

/// Source of what is said at the desk.
const DESK: &str = "desk";
