//! Receipts: what a person said about a purpose, as JSON-LD in the shape of ISO/IEC TS 27560 with terms of DPV.

use std::path::Path;

use aquifer_shared::base::hash::labelled;
use aquifer_shared::domain::law::{Action, Basis, Consent, Person, Purpose};
use aquifer_shared::shell::report::{self, Outcome};
use serde_json::{Map, Value, json};

use super::show::Counter;
use super::time::written;
use crate::core::consent::{ConsentEvent, Effect, EventKind, Register, Scope, SubjectRef};

/// Prints the receipts of a person: one for each purpose that something was said about.
///
/// # Errors
///
/// The ledger or node.toml cannot be read.
///
/// # Privacy
///
/// About one person, for the person and the desk: standard output only. Neither the source's id nor the keyed reference is in it.
pub(super) fn print(
    directory: &Path,
    id: &str,
    purpose: Option<&str>,
    json: bool,
) -> anyhow::Result<Outcome> {
    let mut counter = Counter::open(directory)?;
    let subject = counter.key.subject(id);
    if let Some(refused) = counter.refuse_erased(subject, json)? {
        return Ok(refused);
    }
    let events = counter.ledger.of_person(subject)?;
    let purposes = counter.gatekeeper.book().purposes().iter();
    let wanted = purposes.filter(|own| purpose.is_none_or(|name| own.id.as_str() == name));
    let receipts: Vec<Value> = wanted
        .filter_map(|own| receipt(&counter, subject, own, &events, |_| None))
        .collect();
    if receipts.is_empty() {
        let why = "nothing is written down about this customer and purpose: no receipt";
        return report::refuse(json, "nothing", why);
    }
    for receipt in &receipts {
        match json {
            true => report::print_json(receipt)?,
            false => report::print(&format!("{receipt:#}\n"))?,
        }
    }
    Ok(Outcome::Done)
}

/// The receipt about a purpose, if anything was said about it; `proof` gives what shows that an event is in the history.
pub(super) fn receipt(
    counter: &Counter,
    subject: SubjectRef,
    purpose: &Purpose,
    events: &[ConsentEvent],
    proof: impl Fn(&ConsentEvent) -> Option<Value>,
) -> Option<Value> {
    let mut about: Vec<&ConsentEvent> =
        events.iter().filter(|own| concerns(own, purpose)).collect();
    about.sort_by_key(|own| (own.event_at, own.kind.precedence(), own.order));
    let last = *about.last()?;
    let person = state(counter, subject, purpose, events)?;
    let mut body = json!({
        "@context": context(),
        "@type": "dpv:ConsentReceipt",
        "consent_id": consent_id(counter, subject, purpose),
        "issued_at": written(counter.at),
        "controller": {"place": counter.gatekeeper.people().controller.as_str(), "answers_for_it": purpose.owner},
        "purpose": {
            "id": purpose.id, "title": purpose.title, "description": purpose.description_plain, "@type": purpose.dpv_purpose,
        },
        "legal_basis": legal_basis(person.basis),
        "data_categories": categories(counter, purpose),
        "recipients": recipients(purpose.action),
        "withdrawal_method": WITHDRAWAL,
        "state": status(&person, &about),
        "consent": person.consent.to_string(),
        "blocked": person.block.to_string(),
        "event_at": written(last.event_at),
        "events": about.iter().map(|own| event(counter, own, &proof)).collect::<Vec<Value>>(),
    });
    if let Some(grant) = about.iter().rfind(|own| own.kind.effect() == Effect::Grant) {
        body["notice"] = notice(counter, grant);
        body["valid_until"] = json!(grant.valid_until.map(written));
    }
    if matches!(last.kind.effect(), Effect::End | Effect::Block) {
        body["effective_at"] = json!(written(last.event_at));
        body["next_round_excluded_from"] = json!(written(last.recorded_at));
    }
    let id = labelled("aquifer/consent-receipt/v1", &[body.to_string().as_bytes()]);
    body["receipt_id"] = json!(id.to_string());
    Some(body)
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

fn event(
    counter: &Counter,
    event: &ConsentEvent,
    proof: impl Fn(&ConsentEvent) -> Option<Value>,
) -> Value {
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
    if let Some(proof) = proof(event) {
        tell("tlog_proof", proof);
    }
    Value::Object(told)
}

const WITHDRAWAL: &str = "ask the unit that holds your contract; it counts from the next round on";
const SUMS: &str =
    "the coordinator and the other units, who get noisy sums over many customers and no record";
