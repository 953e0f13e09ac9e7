//! What a receipt says: what a person said about a purpose, as JSON-LD in the shape of ISO/IEC TS 27560 with terms of DPV.

use std::collections::BTreeMap;

use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::limits::CONSENT_RECEIPT_EVENTS_MAX;
use aquifer_shared::domain::history::Json;
use aquifer_shared::domain::law::{Action, Basis, Consent, Person, Purpose};
use aquifer_shared::shell::noise::epsilon;
use serde_json::{Map, Value, json};

use super::show::Counter;
use super::time::written;
use crate::core::consent::{ConsentEvent, Effect, EventKind, Register, Scope, SubjectRef};
use crate::shell::rights::{House, retention, rights};

/// What a receipt about a purpose says, but for when it is issued; none where nothing was said about it. `models` are those that the
/// person's record may have contributed to, by when they were released.
///
/// # Privacy
///
/// About one person, for the person and the desk. Neither the source's id nor the keyed reference is in it.
pub(super) fn facts(
    counter: &Counter,
    (subject, events): (SubjectRef, &[ConsentEvent]),
    purpose: &Purpose,
    models: &[(i64, Value)],
) -> Option<Value> {
    let mut about: Vec<&ConsentEvent> =
        events.iter().filter(|own| concerns(own, purpose)).collect();
    about.sort_by_key(|own| (own.event_at, own.kind.precedence(), own.order));
    let last = *about.last()?;
    let person = state(counter, subject, purpose, events)?;
    let left_out = about.len().saturating_sub(CONSENT_RECEIPT_EVENTS_MAX);
    let shown = about.iter().skip(left_out);
    let mut body = json!({
        "@context": context(),
        "@type": "dpv:ConsentReceipt",
        "consent_id": consent_id(counter, subject, purpose),
        "controller": {"place": counter.gatekeeper.people().controller.as_str(), "answers_for_it": purpose.owner},
        "purpose": {
            "id": purpose.id, "title": purpose.title, "description": purpose.description_plain, "@type": purpose.dpv_purpose,
        },
        "legal_basis": legal_basis(person.basis),
        "data_categories": categories(counter, purpose),
        "recipients": recipients(purpose.action),
        "storage": storage(counter),
        "withdrawal_method": WITHDRAWAL,
        "rights": rights(),
        "authority": AUTHORITY,
        "state": status(&person, &about),
        "consent": person.consent.to_string(),
        "blocked": person.block.to_string(),
        "event_at": written(last.event_at),
        "events": shown.map(|own| event(counter, own)).collect::<Vec<Value>>(),
        "events_left_out": left_out,
    });
    if let Some(grant) = about.iter().rfind(|own| own.kind.effect() == Effect::Grant) {
        body["notice"] = notice(counter, grant);
        body["valid_until"] = json!(grant.valid_until.map(written));
    }
    if matches!(last.kind.effect(), Effect::End | Effect::Block) {
        body["effective_at"] = json!(written(last.event_at));
        body["next_round_excluded_from"] = json!(written(last.recorded_at));
        let before = models.iter().filter(|(at, _)| *at <= last.recorded_at);
        body["models_released_before"] = before.map(|(_, own)| own.clone()).collect();
    }
    Some(body)
}

/// The receipt of these facts, as it is issued at a time.
pub(super) fn content(facts: &Json, at: i64) -> Json {
    let issued_at = written(at);
    let parts = [facts.to_text().into_bytes(), issued_at.clone().into_bytes()];
    let id = labelled(
        "aquifer/consent-receipt/v1",
        &parts.each_ref().map(|own| &own[..]),
    );
    let mut content = facts.clone();
    if let Json::Object(fields) = &mut content {
        fields.insert("issued_at".to_owned(), issued_at.into());
        fields.insert("receipt_id".to_owned(), id.to_string().into());
    }
    content
}

/// How long what is kept, at this unit.
fn storage(counter: &Counter) -> Vec<String> {
    let names = BTreeMap::new();
    let house = House {
        book: counter.gatekeeper.book(),
        place: counter.gatekeeper.people().place,
        names: &names,
        epsilon,
    };
    retention(&house, counter.at)
}

/// Whether an event is about a purpose.
fn concerns(event: &ConsentEvent, purpose: &Purpose) -> bool {
    match &event.scope {
        Scope::Purpose(name) => *name == purpose.id,
        Scope::DirectMarketing => purpose.direct_marketing,
        Scope::SaleOrShare => purpose.sale_or_share,
        Scope::All => true,
    }
}

fn state(
    counter: &Counter,
    subject: SubjectRef,
    purpose: &Purpose,
    events: &[ConsentEvent],
) -> Option<Person> {
    let mut register = Register::default();
    register.take_all(events.iter().cloned()).ok()?;
    let defaults = counter.gatekeeper.defaults(&purpose.id);
    let number = register.known(subject)?;
    Some(register.person(number, purpose, counter.at, (&defaults, &counter.notices)))
}

/// The same for all receipts of one person and purpose, and nothing to anybody without the key of the unit.
fn consent_id(counter: &Counter, subject: SubjectRef, purpose: &Purpose) -> String {
    let of = format!("{:032x}\n{}", subject.0, purpose.id);
    let half = counter.key.event("receipt", &of);
    half.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keys of the receipt as terms: it expands without a network.
fn context() -> Value {
    json!({
        "@vocab": "urn:aquifer:consent#",
        "dpv": "https://w3id.org/dpv#",
        "purpose": "dpv:hasPurpose",
        "controller": "dpv:hasDataController",
        "legal_basis": {"@id": "dpv:hasLegalBasis", "@type": "@vocab"},
        "data_categories": "dpv:hasPersonalData",
        "recipients": "dpv:hasRecipient",
        "notice": "dpv:hasNotice",
        "state": {"@id": "dpv:hasConsentStatus", "@type": "@vocab"},
    })
}

fn legal_basis(basis: Option<Basis>) -> Value {
    let Some(basis) = basis else {
        return Value::Null;
    };
    match basis {
        Basis::Consent => json!("dpv:Consent"),
        Basis::Contract => json!("dpv:Contract"),
        Basis::LegitimateInterests => json!("dpv:LegitimateInterest"),
        other => json!(other.to_string()),
    }
}

fn categories(counter: &Counter, purpose: &Purpose) -> Vec<String> {
    let columns = purpose.features_allowed.iter().chain([&purpose.target]);
    let columns: Vec<&str> = columns.map(String::as_str).collect();
    let all = counter.gatekeeper.categories(&columns);
    all.iter().map(|category| category.to_string()).collect()
}

fn recipients(action: Action) -> Vec<&'static str> {
    match action {
        Action::Train | Action::Query => vec![SUMS],
        Action::Score => Vec::new(),
    }
}

/// The state as DPV has it; none where nothing was asked or said of consent itself.
fn status(person: &Person, about: &[&ConsentEvent]) -> Option<&'static str> {
    let said = about
        .iter()
        .rfind(|own| matches!(own.kind.effect(), Effect::Grant | Effect::End))
        .or_else(|| about.iter().rfind(|own| own.kind == EventKind::Requested))?;
    if person.consent == Consent::Expired {
        return Some("dpv:ConsentExpired");
    }
    Some(match said.kind {
        EventKind::Given | EventKind::ParentalGiven => "dpv:ConsentGiven",
        EventKind::Renewed => "dpv:RenewedConsentGiven",
        EventKind::Refused => "dpv:ConsentRefused",
        EventKind::Withdrawn => "dpv:ConsentWithdrawn",
        EventKind::Expired => "dpv:ConsentExpired",
        EventKind::Invalidated => "dpv:ConsentInvalidated",
        EventKind::TerminatedByController => "dpv:ConsentRevoked",
        EventKind::Requested => "dpv:ConsentRequested",
        EventKind::Objected | EventKind::OptOutSignal | EventKind::ObjectionWithdrawn => {
            return None;
        }
    })
}

fn notice(counter: &Counter, event: &ConsentEvent) -> Value {
    let shown = event.notice.and_then(|number| counter.notices.get(number));
    shown.map_or(Value::Null, |shown| {
        json!({
            "id": shown.id, "version": shown.version, "lang": shown.lang, "sha256": shown.sha256.to_string(),
        })
    })
}

fn event(counter: &Counter, event: &ConsentEvent) -> Value {
    let mut told = Map::new();
    let mut tell = |key: &str, value: Value| told.insert(key.to_owned(), value);
    tell("kind", json!(event.kind.word()));
    tell("about", json!(event.scope.word()));
    tell("event_at", json!(written(event.event_at)));
    tell("recorded_at", json!(written(event.recorded_at)));
    if event.kind.effect() == Effect::Grant {
        tell("explicit", json!(event.explicit));
        tell("notice", notice(counter, event));
    }
    Value::Object(told)
}

const WITHDRAWAL: &str = "ask the unit that holds your contract; it counts from the next round on";
const SUMS: &str =
    "the coordinator and the other units, who get noisy sums over many customers and no record";
const AUTHORITY: &str = "you can complain to the data protection authority where you live or work";
