//! What the ledger says: of one person, and in counts for the unit's own people.

use std::collections::BTreeMap;
use std::path::Path;

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::law::{Action, Gate, Person, Purpose};
use aquifer_shared::shell::report::{self, Outcome, Table};
use serde_json::{Value, json};

use super::command::moment;
use super::ledger::{ConsentLedger, Position};
use super::time::written;
use crate::core::consent::{ConsentEvent, NoticeBook, Register, SubjectKey, SubjectRef};
use crate::core::gatekeeper::Gatekeeper;
use crate::shell::config::NodeConfig;
use crate::shell::subject_key;

/// Prints what is known of a person.
///
/// # Errors
///
/// The ledger or node.toml cannot be read.
///
/// # Privacy
///
/// About one person, for the person and the desk: standard output only.
pub(super) fn person(directory: &Path, id: &str, json: bool) -> anyhow::Result<Outcome> {
    let mut desk = Counter::open(directory)?;
    let subject = desk.key.subject(id);
    if let Some(refused) = desk.refuse_erased(subject, json)? {
        return Ok(refused);
    }
    let events = desk.ledger.of_person(subject)?;
    let mut register = Register::default();
    register.take_all(events.iter().cloned())?;
    let number = register.known(subject);
    let states: Vec<(&Purpose, bool, Option<Person>)> = desk
        .gatekeeper
        .book()
        .purposes()
        .iter()
        .map(|purpose| {
            let defaults = desk.gatekeeper.defaults(&purpose.id);
            let with = (&defaults, &desk.notices);
            let known = number.map(|number| register.person(number, purpose, desk.at, with));
            let person = known.unwrap_or_else(|| nobody(&defaults));
            (purpose, is_eligible(&desk, purpose, &person), known)
        })
        .collect();
    if json {
        let purposes = states.iter().map(|(purpose, eligible, person)| {
            json!({
                "purpose": purpose.id,
                "eligible": eligible,
                "consent": person.map(|person| person.consent.to_string()),
                "blocked": person.map(|person| person.block.to_string()),
            })
        });
        let purposes: Vec<Value> = purposes.collect();
        let events: Vec<Value> = events
            .iter()
            .map(|event| event_json(event, &desk.notices))
            .collect();
        report::print_json(&json!({"purposes": purposes, "events": events}))?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["PURPOSE", "ELIGIBLE", "CONSENT", "BLOCKED"]);
    for (purpose, eligible, person) in &states {
        table.row([
            purpose.id.to_string(),
            if *eligible { "yes" } else { "no" }.to_owned(),
            person.map_or("none".into(), |person| person.consent.to_string()),
            person.map_or("none".into(), |person| person.block.to_string()),
        ]);
    }
    table.print()?;
    let mut table = Table::new(&["AT", "WHAT", "PURPOSE", "NOTICE", "WRITTEN DOWN"]);
    for event in &events {
        let notice = event.notice.and_then(|number| desk.notices.get(number));
        table.row([
            written(event.event_at),
            event.kind.word().to_owned(),
            event.scope.word().to_owned(),
            notice.map_or(String::new(), |notice| {
                format!("{} {}", notice.id, notice.version)
            }),
            written(event.recorded_at),
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

/// Prints how many are eligible for each purpose, of those in the ledger.
///
/// # Errors
///
/// The ledger or node.toml cannot be read.
///
/// # Privacy
///
/// Exact counts of people: for the unit's own people, and never for a message.
pub(super) fn status(directory: &Path, json: bool) -> anyhow::Result<Outcome> {
    let mut desk = Counter::open(directory)?;
    let mut register = Register::default();
    let mut seen = Position::default();
    loop {
        let (events, last) = desk.ledger.since(seen)?;
        if events.is_empty() {
            break;
        }
        register.gather(events)?;
        seen = last;
    }
    register.settle();
    let mut lines = Vec::new();
    for purpose in desk.gatekeeper.book().purposes() {
        let defaults = desk.gatekeeper.defaults(&purpose.id);
        let with = (&defaults, &desk.notices);
        let mut states: BTreeMap<String, u64> = BTreeMap::new();
        let cut = register.cut(purpose, desk.at, with, |person| {
            is_eligible(&desk, purpose, person)
        });
        for number in 0..register.persons() {
            let person = register.person(number as u32, purpose, desk.at, with);
            *states.entry(person.consent.to_string()).or_default() += 1;
        }
        lines.push((purpose.id.clone(), cut.eligible.ones(), states));
    }
    if json {
        let lines = lines.iter().map(|(purpose, eligible, states)| {
            json!({"purpose": purpose, "eligible": eligible, "consent": states})
        });
        let lines: Vec<Value> = lines.collect();
        report::print_json(
            &json!({"persons": register.persons(), "events": register.events(), "purposes": lines}),
        )?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["PURPOSE", "IN THE LEDGER", "ELIGIBLE", "CONSENT"]);
    for (purpose, eligible, states) in &lines {
        let states: Vec<String> = states
            .iter()
            .map(|(state, count)| format!("{state} {count}"))
            .collect();
        table.row([
            purpose.to_string(),
            register.persons().to_string(),
            eligible.to_string(),
            states.join(", "),
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

/// Where the unit's own people look things up.
pub(in crate::shell) struct Counter {
    pub(in crate::shell) key: SubjectKey,
    pub(in crate::shell) ledger: ConsentLedger,
    pub(in crate::shell) notices: NoticeBook,
    pub(in crate::shell) gatekeeper: Gatekeeper,
    /// Now, and never before what is written down.
    pub(in crate::shell) at: i64,
}

impl Counter {
    pub(in crate::shell) fn open(directory: &Path) -> anyhow::Result<Self> {
        let gatekeeper = NodeConfig::load(directory)?.gatekeeper(directory)?;
        let gatekeeper = gatekeeper.ok_or_else(|| {
            anyhow::anyhow!("node.toml has no [people]: purposes are not declared, so nobody is eligible for any")
        })?;
        let key = subject_key::load(directory)?;
        let mut ledger = ConsentLedger::open(directory)?;
        let at = ledger.latest()?.max(moment());
        Ok(Self {
            key,
            notices: ledger.notices()?,
            ledger,
            gatekeeper,
            at,
        })
    }

    /// The end of a command about a person who was erased.
    pub(in crate::shell) fn refuse_erased(
        &mut self,
        subject: SubjectRef,
        json: bool,
    ) -> anyhow::Result<Option<Outcome>> {
        let until = self.ledger.erased_until(subject, self.at)?;
        let refused = until.map(|until| {
            let until = written(until);
            let why = format!(
                "this person was erased; nothing is kept of them but a mark that keeps them out until {until}"
            );
            report::refuse(json, "erased", &why)
        });
        refused.transpose()
    }
}

/// Of whom nothing is written down.
pub(in crate::shell) fn nobody(defaults: &crate::core::consent::Defaults) -> Person {
    use aquifer_shared::domain::law::{Age, Block, Consent};
    Person {
        place: defaults.place,
        basis: defaults.basis,
        consent: Consent::None,
        consented_on: None,
        block: Block::None,
        notice: None,
        age: if defaults.adult {
            Age::Adult
        } else {
            Age::Unknown
        },
    }
}

pub(in crate::shell) fn is_eligible(desk: &Counter, purpose: &Purpose, person: &Person) -> bool {
    let gate = match purpose.action {
        Action::Train => Gate::Train,
        Action::Query => Gate::Query,
        Action::Score => Gate::Score,
    };
    let columns: Vec<&str> = purpose
        .features_allowed
        .iter()
        .map(String::as_str)
        .collect();
    let at = Timestamp(u64::try_from(desk.at).unwrap_or(0));
    let gatekeeper = &desk.gatekeeper;
    gatekeeper.is_eligible(gate, purpose.id.as_str(), &columns, person, at)
}

pub(in crate::shell) fn event_json(event: &ConsentEvent, notices: &NoticeBook) -> Value {
    let notice = event.notice.and_then(|number| notices.get(number));
    json!({
        "kind": event.kind.word(),
        "purpose": event.scope.word(),
        "event_at": written(event.event_at),
        "recorded_at": written(event.recorded_at),
        "valid_until": event.valid_until.map(written),
        "explicit": event.explicit,
        "notice": notice.map(|notice| json!({"id": notice.id, "version": notice.version, "lang": notice.lang})),
    })
}
