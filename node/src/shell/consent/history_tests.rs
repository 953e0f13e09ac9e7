//! What the node's history is told of consents, and what an erasure leaves of it there. Tests are named by the ids of the features that
//! they show.

use std::path::Path;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::facts::is_known;
use aquifer_shared::domain::history::{ActorKind, Event, Json, Kind};
use aquifer_shared::domain::pack::{read_proof, verify_receipt};
use aquifer_shared::domain::tlog::{Checkpoint, SignedNote};
use aquifer_shared::protocol::witness::node_origin;
use aquifer_shared::shell::at_rest::DatabaseKey;
use aquifer_shared::shell::history::{Entry, History, LogSigner, Place};
use aquifer_shared::shell::keys::Identity;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::desk::entry;
use super::entering::{enter, hold, known};
use super::issued::Issued;
use super::ledger::{ConsentFault, ConsentLedger, EventKey, LEDGER_FILE};
use super::outbox::Told;
use super::receipt_command::{issue, signed};
use super::show::Counter;
use crate::core::consent::{
    AgeSaid, ConsentEvent, EventKind, Notice, Scope, SubjectKey, SubjectRef,
};
use crate::core::fixtures::{NOW, gatekeeper};
use crate::shell::audit::MadePack;
use crate::shell::steps::{PutBack, Step};
use crate::shell::telling::{Proof, Teller};
use crate::shell::views::{Answer, Query};

const AT: i64 = NOW.0.cast_signed();
const DAY: i64 = 24 * 3_600 * 1_000;

/// A unit with a consent ledger and an open history in one directory.
struct Unit {
    folder: TempDir,
    runtime: Runtime,
    key: SubjectKey,
    identity: Vec<u8>,
}

impl Unit {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let notice = Notice {
            id: "privacy".parse().unwrap(),
            version: 1,
            lang: "en".into(),
            sha256: Hash32([1; 32]),
            material: true,
            signer: None,
        };
        let mut ledger = ConsentLedger::open(folder.path()).unwrap();
        ledger.add_notices(&[notice]).unwrap();
        Self {
            folder,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            key: SubjectKey::new(&[5; 32]),
            identity: Identity::generate().unwrap().to_bytes().unwrap().to_vec(),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn identity(&self) -> Identity {
        Identity::from_bytes(&self.identity, self.path()).unwrap()
    }

    fn history(&self) -> History {
        let place = Place {
            folder: self.path().join("history"),
            mark: self.path().join("history.checkpoint"),
            takes_persons: true,
            key: DatabaseKey::new([7; 32]),
        };
        let key = self.identity();
        let signer = LogSigner::new(node_origin(&key.public()), key);
        let opened = History::open(place, signer, || Timestamp(AT.cast_unsigned()));
        self.runtime.block_on(opened).unwrap()
    }

    fn ledger(&self) -> ConsentLedger {
        ConsentLedger::open(self.path()).unwrap()
    }

    /// The ledger's file, once everything of its log is in it: who drops a connection does not wait for that.
    fn settled(&self) -> Vec<u8> {
        let mut ledger = self.ledger();
        self.runtime.block_on(async {
            let emptied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
            let emptied = emptied.fetch_one(&mut ledger.connection).await.unwrap();
            assert_eq!(sqlx::Row::get::<i64, _>(&emptied, 0), 0, "nobody reads");
            sqlx::Connection::close(ledger.connection).await.unwrap();
        });
        std::fs::read(self.path().join(LEDGER_FILE)).unwrap()
    }

    fn counter(&self) -> Counter {
        let mut ledger = self.ledger();
        Counter {
            key: self.key.clone(),
            notices: ledger.notices().unwrap(),
            ledger,
            gatekeeper: gatekeeper(),
            at: AT,
        }
    }

    fn subject(&self, id: &str) -> SubjectRef {
        self.key.subject(id)
    }

    fn event(&self, id: &str, kind: EventKind, order: u64) -> ConsentEvent {
        ConsentEvent {
            subject: self.subject(id),
            scope: Scope::of_word("churn.train").unwrap(),
            kind,
            explicit: true,
            notice: (kind == EventKind::Given).then_some(0),
            event_at: AT - DAY + order.cast_signed(),
            recorded_at: AT,
            valid_from: None,
            valid_until: None,
            age: AgeSaid::Adult,
            place: None,
            order,
        }
    }

    /// At the desk, one event.
    fn says(&self, id: &str, kind: EventKind, number: u64) {
        let event = self.event(id, kind, number);
        let key = EventKey::of(&self.key, "desk", &number.to_string());
        let mut next = Some((key, event.clone()));
        let written = self.ledger().write::<ConsentFault>(
            || AT,
            |_| Ok(next.take()),
            |written| Ok(Some(entry(event, written))),
        );
        written.unwrap();
    }

    /// By an import of so many customers.
    fn import(&self, customers: u64) {
        let mut events = (0..customers).map(|number| {
            let id = format!("canary-{number}");
            let key = EventKey::of(&self.key, "crm", &id);
            (key, self.event(&id, EventKind::Given, number))
        });
        let written = self.ledger().write::<ConsentFault>(
            || AT,
            |_| Ok(events.next()),
            |written| {
                Ok(Some(Told {
                    kind: Kind::ImportBatch,
                    subject: None,
                    payload: Json::Object(written.facts("crm")),
                }))
            },
        );
        written.unwrap();
    }

    fn enter(&self, history: &History) {
        self.runtime.block_on(enter(history, self.path())).unwrap();
    }

    fn entries(&self, history: &History) -> Vec<Entry> {
        let size = history.edge().borrow().size;
        self.runtime.block_on(history.read(0..size)).unwrap()
    }

    fn close(&self, history: History) {
        self.runtime.block_on(history.close());
    }

    fn publish(&self, history: &History) -> u64 {
        let padded = self.runtime.block_on(history.publish_padded()).unwrap();
        let note = SignedNote::parse(&padded.note).unwrap();
        Checkpoint::parse(&note.text).unwrap().size
    }

    /// The receipt about training, and its proof once there is one.
    fn receipt(&self, id: &str, history: &History) -> (Issued, Option<Proof>) {
        let subject = self.subject(id);
        let mut counter = self.counter();
        let due = issue(&mut counter, subject, Some("churn.train"), &[]).unwrap();
        assert_eq!(due.len(), 1);
        self.enter(history);
        let of = (due[0].purpose.as_str(), &due[0].facts);
        let issued = counter.ledger.issued(subject, of).unwrap().unwrap();
        let teller = Teller::new(history.clone(), self.path());
        let proof = teller.prove(issued.place.unwrap());
        let proof = self.runtime.block_on(proof).unwrap();
        (issued, proof)
    }
}

fn kinds(entries: &[Entry]) -> Vec<&'static str> {
    entries.iter().map(|own| own.leaf.kind.name()).collect()
}

fn payload(entry: &Entry) -> Option<String> {
    let (_, payload) = entry.opening.as_ref()?;
    Some(String::from_utf8(payload.clone()).unwrap())
}

#[test]
fn c1_what_is_written_down_is_in_the_history_once() {
    let unit = Unit::new();
    unit.import(3);
    unit.says("ada-lovelace", EventKind::Given, 100);
    unit.says("ada-lovelace", EventKind::Withdrawn, 101);
    let history = unit.history();
    unit.enter(&history);
    let expected = ["import.batch", "consent.given", "consent.withdrawn"];
    let entries = unit.entries(&history);
    assert_eq!(kinds(&entries), expected);
    let batch = payload(&entries[0]).unwrap();
    assert!(batch.contains(r#""events":3"#) && batch.contains(r#""kinds":{"given":3}"#));
    let withdrawn = payload(&entries[2]).unwrap();
    assert!(withdrawn.contains(r#""kind":"withdrawn""#), "{withdrawn}");
    for entry in &entries {
        let text = payload(entry).unwrap();
        assert!(
            !text.contains("canary") && !text.contains("ada-lovelace"),
            "{text}"
        );
    }
    // Again, and after a restart: nothing more.
    unit.enter(&history);
    unit.close(history);
    let history = unit.history();
    unit.enter(&history);
    assert_eq!(unit.entries(&history).len(), 3);
}

#[test]
fn c1_a_crash_between_history_and_ledger_enters_nothing_twice() {
    let unit = Unit::new();
    unit.says("ada-lovelace", EventKind::Given, 1);
    unit.says("ben", EventKind::Given, 2);
    let history = unit.history();
    // The history has the first, and the ledger does not know yet.
    let open = unit.ledger().open_entries().unwrap();
    let first = vec![open[0].keyed(Hash32::default()).unwrap()];
    unit.runtime.block_on(history.append_once(first)).unwrap();
    unit.enter(&history);
    let entries = unit.entries(&history);
    assert_eq!(kinds(&entries), ["consent.given", "consent.given"]);
    assert!(unit.ledger().open_entries().unwrap().is_empty());
}

#[test]
fn l1_a_decision_is_entered_under_the_rules_that_it_was_made_by() {
    let unit = Unit::new();
    let history = unit.history();
    let decided = Event {
        policy: Hash32([3; 32]),
        ..Event::of_program(
            Kind::PolicyDecision,
            Json::object([("export", true.into())]),
        )
    };
    unit.ledger().tell_decided(&decided, AT).unwrap();
    unit.says("ben", EventKind::Given, 1);
    let open = unit.ledger().open_entries().unwrap();
    // Whatever rules are in the files by now.
    let now = Hash32([9; 32]);
    let keyed = open.iter().map(|own| own.keyed(now).unwrap().1);
    let keyed: Vec<Event> = keyed.collect();
    assert_eq!(keyed[0], decided);
    assert_eq!(
        (keyed[1].policy, keyed[1].actor_kind),
        (now, ActorKind::Person)
    );
    unit.enter(&history);
    let leaf = unit.entries(&history).remove(0).leaf;
    assert_eq!(
        (leaf.policy, leaf.actor_kind),
        (decided.policy, ActorKind::Program)
    );
    let mut ledger = unit.ledger();
    let left = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM decided");
    let left = left.fetch_one(&mut ledger.connection);
    assert_eq!(ledger.runtime.block_on(left).unwrap(), 0);
}

/// Erases `ada`, of whom there is a consent and a receipt, when the history knows this much of them.
#[track_caller]
fn check_erased(unit: &Unit, history: &History) {
    let subject = unit.subject("ada-lovelace");
    let erased = unit.ledger().erase(subject, AT, AT + DAY).unwrap();
    assert_eq!((erased.events, erased.receipts, erased.entries), (1, 1, 2));
    unit.enter(history);
    let reference = format!("{:032x}", subject.0);
    for entry in unit.entries(history) {
        let about_others = payload(&entry).unwrap_or_default();
        assert!(!about_others.contains(&reference));
        let about_her = entry.leaf.kind == Kind::ReceiptIssued;
        assert!(!about_her || entry.opening.is_none());
    }
    let mut ledger = unit.ledger();
    assert!(ledger.open_entries().unwrap().is_empty());
    let query = "SELECT COUNT(*) FROM outbox WHERE subject IS NOT NULL";
    let count = sqlx::query_scalar::<_, i64>(query).fetch_one(&mut ledger.connection);
    assert_eq!(ledger.runtime.block_on(count).unwrap(), 1, "ben's");
    // The tree is what it was.
    unit.runtime.block_on(history.verify()).unwrap();
    // And nothing comes back about her.
    let told = Told {
        kind: Kind::RequestFulfilled,
        subject: Some(subject),
        payload: Json::object([]),
    };
    assert_eq!(ledger.tell(&told, AT).unwrap(), None);
}

fn with_ada_and_ben() -> Unit {
    let unit = Unit::new();
    unit.says("ada-lovelace", EventKind::Given, 1);
    unit.says("ben", EventKind::Given, 2);
    let subject = unit.subject("ada-lovelace");
    let issued = issue(&mut unit.counter(), subject, Some("churn.train"), &[]);
    assert_eq!(issued.unwrap().len(), 1);
    unit
}

#[test]
fn erasure_takes_payload_and_salt_out_of_the_history() {
    let unit = with_ada_and_ben();
    let history = unit.history();
    unit.enter(&history);
    assert_eq!(unit.entries(&history).len(), 3);
    check_erased(&unit, &history);
    let entries = unit.entries(&history);
    let erased = entries.iter().filter(|own| own.opening.is_none());
    assert_eq!((entries.len(), erased.count()), (3, 2));
}

#[test]
fn erasure_finds_what_a_crash_left_in_the_history() {
    let unit = with_ada_and_ben();
    let history = unit.history();
    let open = unit.ledger().open_entries().unwrap();
    let all = open
        .iter()
        .map(|own| own.keyed(Hash32::default()).unwrap())
        .collect();
    unit.runtime.block_on(history.append_once(all)).unwrap();
    check_erased(&unit, &history);
    let entries = unit.entries(&history);
    let erased = entries.iter().filter(|own| own.opening.is_none());
    assert_eq!((entries.len(), erased.count()), (3, 2));
}

#[test]
fn what_is_erased_before_it_is_entered_never_is() {
    let unit = with_ada_and_ben();
    let history = unit.history();
    check_erased(&unit, &history);
    assert_eq!(kinds(&unit.entries(&history)), ["consent.given"]);
}

#[test]
fn r1_tree_size_hides_consent_count() {
    let mut sizes = Vec::new();
    for (customers, said) in [(0, 0), (1, 200), (5_000, 3)] {
        let unit = Unit::new();
        unit.import(customers);
        for number in 0..said {
            unit.says("ada-lovelace", EventKind::Withdrawn, 10_000 + number);
        }
        let history = unit.history();
        unit.enter(&history);
        sizes.push([unit.publish(&history), unit.publish(&history)]);
    }
    assert_eq!(sizes, [[256, 512]; 3]);
}

#[test]
fn c1_receipt_is_proved_once_the_history_is_published_and_keeps_its_bytes() {
    let unit = Unit::new();
    unit.says("ada-lovelace", EventKind::Given, 1);
    unit.says("ada-lovelace", EventKind::Withdrawn, 2);
    let history = unit.history();
    let (_, early) = unit.receipt("ada-lovelace", &history);
    assert!(early.is_none(), "no checkpoint of it is published");
    assert_eq!(unit.publish(&history), 256);
    let file = |(issued, proof): (Issued, Option<Proof>)| {
        signed(&issued, proof.unwrap(), &unit.identity()).unwrap()
    };
    let first = file(unit.receipt("ada-lovelace", &history));
    let verdict = verify_receipt(first.as_bytes(), None);
    assert_eq!(verdict.code(), 0, "{verdict:?}");
    assert!(
        !first.contains("ada-lovelace")
            && !first.contains(&format!("{:032x}", unit.subject("ada-lovelace").0))
    );
    assert_eq!(
        file(unit.receipt("ada-lovelace", &history)),
        first,
        "the same bytes"
    );
    // One receipt was issued, however often it was asked for.
    let issued = |entries: &[Entry]| {
        let receipts = entries
            .iter()
            .filter(|own| own.leaf.kind == Kind::ReceiptIssued);
        receipts.count()
    };
    assert_eq!(issued(&unit.entries(&history)), 1);
    let value: Value = serde_json::from_str(&first).unwrap();
    let (entry, _, checkpoint) = read_proof(value["proof"].as_str().unwrap()).unwrap();
    assert_eq!(entry, 2);
    assert!(checkpoint.contains("\n256\n"), "{checkpoint}");
    // Something else is said: another receipt, to be published first.
    unit.says("ada-lovelace", EventKind::Given, 3);
    let (_, later) = unit.receipt("ada-lovelace", &history);
    assert!(later.is_none());
    assert_eq!(issued(&unit.entries(&history)), 2);
}

#[test]
fn c1_any_flipped_byte_of_an_issued_receipt_fails() {
    let unit = Unit::new();
    unit.says("ada-lovelace", EventKind::Given, 1);
    let history = unit.history();
    unit.receipt("ada-lovelace", &history);
    unit.publish(&history);
    let (issued, proof) = unit.receipt("ada-lovelace", &history);
    let file = signed(&issued, proof.unwrap(), &unit.identity()).unwrap();
    for place in 0..file.len() {
        let mut flipped = file.clone().into_bytes();
        flipped[place] ^= 1;
        assert_ne!(verify_receipt(&flipped, None).code(), 0, "byte {place}");
    }
    // Another key, another content: nothing is signed that does not hold.
    let (issued, proof) = unit.receipt("ada-lovelace", &history);
    assert!(
        signed(
            &issued,
            proof.clone().unwrap(),
            &Identity::generate().unwrap()
        )
        .is_err()
    );
    let altered = Issued {
        content: issued.content.replace("churn.train", "churn.score"),
        ..issued
    };
    assert!(signed(&altered, proof.unwrap(), &unit.identity()).is_err());
}

/// Names with a prefix, wherever they are in a value.
fn terms(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with("dpv:") => found.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|own| terms(own, found)),
        Value::Object(all) => all.values().for_each(|own| terms(own, found)),
        _ => {}
    }
}

#[test]
fn c1_every_iri_is_known() {
    let mut found = Vec::new();
    for (number, kind) in (0..).zip(EventKind::ALL) {
        let unit = Unit::new();
        unit.says("ada-lovelace", EventKind::Given, number);
        unit.says("ada-lovelace", *kind, 100 + number);
        let subject = unit.subject("ada-lovelace");
        let mut counter = unit.counter();
        for due in issue(&mut counter, subject, None, &[]).unwrap() {
            let of = (due.purpose.as_str(), &due.facts);
            let issued = counter.ledger.issued(subject, of).unwrap().unwrap();
            let content: Value = serde_json::from_str(&issued.content).unwrap();
            terms(&content, &mut found);
        }
    }
    found.sort();
    found.dedup();
    assert!(found.len() > 12, "{found:?}");
    let unknown: Vec<&String> = found.iter().filter(|own| !is_known(own)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn a_pack_that_was_made_is_in_the_history_once() {
    let unit = Unit::new();
    let pack = MadePack {
        folder: unit.path().join("pack"),
        quarter: "2026Q4".to_owned(),
        manifest: "00".repeat(32),
        read_at: AT,
    };
    pack.note(unit.path()).unwrap();
    let history = unit.history();
    let teller = Teller::new(history.clone(), unit.path());
    for _ in 0..2 {
        unit.runtime.block_on(teller.tell()).unwrap();
        let entries = unit.entries(&history);
        let told = entries.iter().map(|own| own.leaf.kind);
        let told = told.filter(|kind| *kind == Kind::ReportGenerated);
        assert_eq!(told.count(), 1);
    }
}

/// Holds the ledger against the history after a statement that a person with the key of the file could run.
#[track_caller]
fn check_verified(statement: &'static str, expected: [u64; 6]) {
    let unit = Unit::new();
    unit.import(2_000);
    unit.says("ada-lovelace", EventKind::Withdrawn, 9_000);
    let history = unit.history();
    unit.enter(&history);
    let mut ledger = unit.ledger();
    let changed = sqlx::query(statement).execute(&mut ledger.connection);
    ledger.runtime.block_on(changed).unwrap();
    let teller = Teller::new(history, unit.path());
    let found = ledger.verify(|entries| {
        let entries = entries.to_vec();
        match unit
            .runtime
            .block_on(teller.answer(&Query::Payloads { entries }))
        {
            Answer::Payloads(payloads) => Ok(payloads),
            other => panic!("{other:?}"),
        }
    });
    let found = found.unwrap();
    let figures = [
        found.held,
        found.altered,
        found.gone,
        found.batches,
        found.contradicted,
        found.open,
    ];
    assert_eq!(figures, expected, "{statement}");
}

#[test]
fn c1_a_record_that_was_changed_later_is_found() {
    check_verified("SELECT 1", [2_001, 0, 0, 2, 0, 0]);
    check_verified(
        "UPDATE events SET bytes = (SELECT bytes FROM events WHERE seq = 1500) WHERE seq = 1100",
        [2_000, 1, 0, 2, 0, 0],
    );
    check_verified(
        "UPDATE events SET salt = zeroblob(32) WHERE seq = 7",
        [2_000, 1, 0, 2, 0, 0],
    );
    check_verified(
        "DELETE FROM events WHERE seq = 2001",
        [2_000, 0, 1, 2, 0, 0],
    );
    // Commitments that were made to fit are not those of the history.
    check_verified(
        "UPDATE commitments SET hashes = zeroblob(32) WHERE batch = 2",
        [2_000, 1, 0, 1, 1, 0],
    );
    check_verified(
        "DELETE FROM commitments WHERE batch = 2",
        [2_000, 1, 0, 1, 1, 0],
    );
}

fn hold_it(unit: &Unit, history: &History, reason: Option<&str>) -> anyhow::Result<()> {
    let held = hold(history, unit.path(), (reason, NOW));
    unit.runtime.block_on(held)
}

/// Ada agrees, and a copy of the ledger is made; what comes `since` is told; the copy is put back, and something happens `then`.
#[track_caller]
fn check_put_back(since: impl Fn(&Unit), then: impl Fn(&Unit), expected: Option<&str>) {
    let unit = Unit::new();
    unit.says("ada-lovelace", EventKind::Given, 1);
    let history = unit.history();
    unit.enter(&history);
    let ledger = unit.path().join(LEDGER_FILE);
    let copy = std::fs::read(&ledger).unwrap();
    since(&unit);
    unit.enter(&history);
    std::fs::write(&ledger, copy).unwrap();
    then(&unit);
    let held = hold_it(&unit, &history, None);
    let size = unit.entries(&history).len();
    let entered = unit.runtime.block_on(enter(&history, unit.path()));
    match expected {
        None => assert!(held.is_ok() && entered.is_ok(), "{held:?} {entered:?}"),
        Some(expected) => {
            for fault in [held.unwrap_err(), entered.unwrap_err()] {
                assert!(fault.is::<PutBack>(), "{fault:#}");
                let text = fault.to_string();
                assert!(text.contains(expected), "{text}");
                assert!(text.contains("Put the newest copy back"), "{text}");
            }
            assert_eq!(unit.entries(&history).len(), size, "nothing of it is told");
        }
    }
}

#[test]
fn c2_a_ledger_that_was_put_back_alone_is_refused() {
    let nothing = |_: &Unit| {};
    let withdraws = |unit: &Unit| unit.says("ada-lovelace", EventKind::Withdrawn, 2);
    let erased = |unit: &Unit| {
        let subject = unit.subject("ada-lovelace");
        unit.ledger().erase(subject, AT, AT + DAY).unwrap();
    };
    let goes_on = |unit: &Unit| (3..9).for_each(|at| unit.says("ben", EventKind::Given, at));
    let deleted = |unit: &Unit| std::fs::remove_file(unit.path().join(LEDGER_FILE)).unwrap();
    let begun_anew = |unit: &Unit| {
        deleted(unit);
        goes_on(unit);
    };
    check_put_back(nothing, nothing, None);
    check_put_back(nothing, goes_on, None);
    check_put_back(withdraws, nothing, Some("ends at step 2"));
    check_put_back(erased, nothing, Some("ends at step 2"));
    check_put_back(withdraws, goes_on, Some("has another step 3"));
    check_put_back(nothing, deleted, Some("is missing"));
    check_put_back(nothing, begun_anew, Some("has another step 2"));
}

#[test]
fn c2_a_ledger_that_was_put_back_is_taken_with_a_reason_that_the_history_keeps() {
    let unit = Unit::new();
    unit.says("ada-lovelace", EventKind::Given, 1);
    let history = unit.history();
    unit.enter(&history);
    std::fs::remove_file(unit.path().join(LEDGER_FILE)).unwrap();
    assert!(hold_it(&unit, &history, None).is_err());
    hold_it(&unit, &history, Some("the disk is gone")).unwrap();
    let entries = unit.entries(&history);
    let last = entries.last().unwrap();
    assert_eq!(last.leaf.kind, Kind::OverrideGranted);
    let said = payload(last).unwrap();
    assert!(said.contains(r#""reason":"the disk is gone""#), "{said}");
    assert!(said.contains(r#""step":0,"step_known":2"#), "{said}");
    // From here on it is the ledger that is known.
    unit.says("ben", EventKind::Given, 3);
    unit.enter(&history);
    hold_it(&unit, &history, None).unwrap();
    assert_eq!(unit.entries(&history).len(), entries.len() + 1);
}

#[test]
fn c2_a_ledger_from_before_steps_is_bound_when_it_is_opened() {
    let unit = Unit::new();
    unit.says("ada-lovelace", EventKind::Given, 1);
    let history = unit.history();
    let mut old = unit.ledger();
    unit.runtime.block_on(async {
        for statement in ["DROP TABLE steps", "PRAGMA wal_checkpoint(TRUNCATE)"] {
            let done = sqlx::query(statement).execute(&mut old.connection);
            done.await.unwrap();
        }
        sqlx::Connection::close(old.connection).await.unwrap();
    });
    let path = unit.path().join(LEDGER_FILE);
    let copy = std::fs::read(&path).unwrap();
    // Nobody writes to it: it is opened, and the history hears of it.
    hold_it(&unit, &history, None).unwrap();
    let known = unit.runtime.block_on(known(&history)).unwrap();
    assert_eq!(known.map(Step::number), Some(1));
    hold_it(&unit, &history, None).unwrap();
    unit.settled();
    std::fs::write(&path, copy).unwrap();
    let fault = hold_it(&unit, &history, None).unwrap_err();
    assert!(fault.is::<PutBack>(), "{fault:#}");
    std::fs::remove_file(&path).unwrap();
    assert!(hold_it(&unit, &history, None).is_err());
    // A ledger that is new has nothing to be bound.
    let new = tempfile::tempdir().unwrap();
    let step = ConsentLedger::open(new.path()).unwrap().step().unwrap();
    assert_eq!(step.number(), 0);
}

/// Ada agrees and withdraws; the ledger is held against the history, something happens to its file, and it is attached.
#[track_caller]
fn check_attached(then: impl Fn(&Path, &[u8]), goes_on: bool) {
    let unit = Unit::new();
    unit.says("ada-lovelace", EventKind::Given, 1);
    let path = unit.path().join(LEDGER_FILE);
    let before = unit.settled();
    unit.says("ada-lovelace", EventKind::Withdrawn, 2);
    let history = unit.history();
    hold_it(&unit, &history, None).unwrap();
    unit.settled();
    then(&path, &before);
    let known = unit.runtime.block_on(known(&history)).unwrap();
    match super::attach(unit.path(), known) {
        Ok(mut news) => assert!(goes_on && news().unwrap().events.len() >= 2),
        Err(fault) => assert!(!goes_on && fault.is::<PutBack>(), "{fault:#}"),
    }
}

#[test]
fn c2_a_ledger_that_is_exchanged_before_it_is_attached_is_refused() {
    check_attached(|_, _| {}, true);
    check_attached(|path, before| std::fs::write(path, before).unwrap(), false);
    check_attached(|path, _| std::fs::remove_file(path).unwrap(), false);
    let renamed = |path: &Path, before: &[u8]| {
        let beside = path.with_extension("other");
        std::fs::write(&beside, before).unwrap();
        std::fs::rename(beside, path).unwrap();
    };
    check_attached(renamed, false);
}

#[test]
fn a_ledger_that_is_replaced_under_a_running_node_is_not_read_on() {
    let unit = Unit::new();
    unit.says("ada-lovelace", EventKind::Given, 1);
    let mut news = super::attach(unit.path(), None).unwrap();
    assert_eq!(news().unwrap().events.len(), 1);
    let ledger = unit.path().join(LEDGER_FILE);
    let copy = unit.path().join("copy.db");
    std::fs::copy(&ledger, &copy).unwrap();
    std::fs::rename(&copy, &ledger).unwrap();
    let fault = news().err().unwrap().to_string();
    assert!(fault.contains("replaced while it is in use"), "{fault}");
}

#[test]
fn c2_a_ledger_that_is_written_over_under_a_running_node_is_not_read_on() {
    let unit = Unit::new();
    unit.says("ada-lovelace", EventKind::Given, 1);
    let ledger = unit.path().join(LEDGER_FILE);
    let backup = unit.settled();
    unit.says("ada-lovelace", EventKind::Withdrawn, 2);
    let mut news = super::attach(unit.path(), None).unwrap();
    assert_eq!(news().unwrap().events.len(), 2);
    unit.settled();
    std::fs::write(&ledger, backup).unwrap();
    unit.says("ada-lovelace", EventKind::Objected, 3);
    assert!(news().is_err(), "the objection has a number that was read");
}
