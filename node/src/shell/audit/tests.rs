//! Cuts are found again from the consent ledger, whatever was changed in between is noticed.

use aquifer_shared::base::ids::{Hash32, IdentityKey, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::history::{Event, Json, Kind, Leaf, payload_commit};
use aquifer_shared::domain::sum::attempt_id;
use aquifer_shared::shell::at_rest::{Shape, open_sqlite};
use aquifer_shared::shell::history::Entry;

use super::log::{Head, NotVerified, read_all};
use super::replay::{Cuts, Line, Wanted, lines};
use crate::core::consent::{AgeSaid, ConsentEvent, EventKind, Scope, kind_of};
use crate::core::fixtures::{NOW, gatekeeper};
use crate::shell::at_rest;
use crate::shell::consent::{ConsentLedger, EventKey, Told};
use crate::shell::usage::tests::{World, reference, study};
use crate::shell::usage::{USAGE_FILE, UsageLedger, told};

const AT: i64 = NOW.0.cast_signed();

/// Reads a history of which nothing was published.
fn read_cuts(entries: Vec<Entry>) -> anyhow::Result<Cuts> {
    let head = Head {
        origin: "aquifer.example/node".to_owned(),
        key: IdentityKey([1; 32]),
        published: None,
        checkpoints: Vec::new(),
    };
    read_all(&head, entries, |_| Ok(Cuts::default()))
}

/// A unit with three customers and a study; every cut is charged and told as the node tells it.
struct Unit {
    world: World,
    study: StudyHash,
    events: Vec<Event>,
}

impl Unit {
    fn new() -> Self {
        let mut world = World::new();
        world.table(0, &[1, 2, 3].map(reference));
        let study = world.accept(&study(1, "a"));
        Self {
            world,
            study,
            events: Vec::new(),
        }
    }

    fn says(&self, person: u8, kind: EventKind) {
        let mut ledger = ConsentLedger::open(self.world.path()).unwrap();
        let event = ConsentEvent {
            subject: reference(person),
            scope: Scope::All,
            kind,
            explicit: false,
            notice: None,
            event_at: AT,
            recorded_at: 0,
            valid_from: None,
            valid_until: None,
            age: AgeSaid::Adult,
            place: None,
            order: 0,
        };
        let mut next = Some((EventKey([person; 16]), event));
        let keep = |_: &_| {
            let told = Told {
                kind: kind_of(kind),
                subject: Some(reference(person)),
                payload: Json::object([]),
            };
            Ok::<_, anyhow::Error>(Some(told))
        };
        ledger.write(|| AT, |_| Ok(next.take()), keep).unwrap();
    }

    /// A cut of a round in which those with a `+` were eligible, so many events after the ledger's start.
    fn cut(&mut self, round: u32, who: &str, upto: i64) {
        self.world.cut(self.study, round, 0, who);
        self.world.charge(self.study, round, NOW);
        let payload = Json::object([
            (
                "attempt",
                attempt_id(&self.study, round, 0).to_string().into(),
            ),
            ("columns", Json::List(vec!["tenure".into()])),
            ("consent_upto", upto.into()),
            ("cut_at", (AT + 1_000).into()),
            ("gate", "train".into()),
            ("purpose", "churn.train".into()),
            ("study", self.study.to_string().into()),
        ]);
        self.events.push(Event {
            policy: gatekeeper().book().digest(),
            ..Event::of_program(Kind::RoundCut, payload)
        });
        let (keyed, last) = told(self.world.path()).unwrap();
        self.events
            .extend(keyed.into_iter().map(|(_, event)| event));
        let mut usage = UsageLedger::open(self.world.path()).unwrap();
        usage.heard(last).unwrap();
    }

    fn entries(&self) -> Vec<Entry> {
        let entry = |(seq, event): (u64, &Event)| {
            let payload = event.payload.to_payload().unwrap();
            let salt = [7; 32];
            let leaf = Leaf {
                kind: event.kind,
                seq,
                event_id: [seq as u8; 16],
                recorded_at: Timestamp(NOW.0 + seq),
                actor_kind: event.actor_kind,
                actor_role: event.actor_role,
                policy: event.policy,
                payload_commit: payload_commit(&salt, &payload),
            };
            let opening = Some((salt, payload));
            Entry { leaf, opening }
        };
        (0..).zip(&self.events).map(entry).collect()
    }

    fn cuts(&self) -> Cuts {
        read_cuts(self.entries()).unwrap()
    }

    fn lines(&self) -> Vec<Line> {
        let all = Wanted::default();
        lines(self.world.path(), (&self.cuts(), all), &gatekeeper()).unwrap()
    }

    /// Evidence, and the range, of each cut.
    #[track_caller]
    fn check(&self, expected: &[(&str, Option<(u64, u64)>)]) {
        let lines = self.lines();
        let found: Vec<(&str, Option<(u64, u64)>)> = lines
            .iter()
            .map(|line| (line.evidence, line.eligible_min.zip(line.eligible_max)))
            .collect();
        assert_eq!(found, expected, "{lines:?}");
    }

    fn write(&self, statement: &'static str) {
        let key = at_rest::vault(self.world.path()).unwrap();
        let key = key.database(at_rest::USAGE);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let path = self.world.path().join(USAGE_FILE);
            let patience = Shape::Shared(std::time::Duration::from_secs(5));
            let mut connection = open_sqlite(&path, &key, patience).await.unwrap();
            let query = sqlx::query(statement);
            query.execute(&mut connection).await.unwrap();
        });
    }
}

#[test]
fn r1_every_cut_is_found_again() {
    let mut unit = Unit::new();
    unit.cut(0, "+++", 0);
    unit.says(2, EventKind::Objected);
    unit.cut(1, "+-+", 1);
    unit.says(3, EventKind::Objected);
    unit.cut(2, "+--", 2);
    // A set that was there before is noted once.
    unit.cut(3, "+--", 2);
    let found = |count| ("present", Some((count, count)));
    unit.check(&[found(3), found(2), found(1), found(1)]);
    let only = Wanted {
        entry: Some(2),
        ..Wanted::default()
    };
    let path = unit.world.path();
    let some = lines(path, (&unit.cuts(), only), &gatekeeper()).unwrap();
    assert_eq!((some.len(), some[0].set_entry), (1, Some(3)));
    let other = Wanted {
        study: Some("zz"),
        ..Wanted::default()
    };
    let none = lines(path, (&unit.cuts(), other), &gatekeeper()).unwrap();
    assert!(none.is_empty());
}

#[test]
fn r1_somebody_who_objected_and_was_counted_is_found() {
    let mut unit = Unit::new();
    unit.says(2, EventKind::Objected);
    unit.cut(0, "+++", 1);
    unit.check(&[("contradicted", Some((2, 2)))]);
    assert_eq!(unit.lines()[0].denied, Some(1));
}

#[test]
fn r1_erased_persons_give_a_range() {
    let mut unit = Unit::new();
    unit.says(3, EventKind::Objected);
    unit.cut(0, "++-", 1);
    let mut ledger = ConsentLedger::open(unit.world.path()).unwrap();
    ledger.erase(reference(2), AT + 2_000, i64::MAX).unwrap();
    let mut usage = UsageLedger::open(unit.world.path()).unwrap();
    usage.forget_number(reference(2), i64::MAX).unwrap();
    unit.check(&[("present", Some((1, 2)))]);
    assert_eq!(unit.lines()[0].erased, Some(1));
}

#[test]
fn r1_a_usage_ledger_that_was_changed_is_found() {
    let mut unit = Unit::new();
    unit.says(2, EventKind::Objected);
    unit.cut(0, "+++", 1);
    // Who was counted against their will is taken out of the record.
    unit.world.stop();
    unit.write("UPDATE masks SET absent = x'0000000000000003010002'");
    unit.check(&[("contradicted", None)]);
    unit.write("DELETE FROM cuts");
    unit.check(&[("missing", None)]);
}

#[test]
fn what_cannot_be_taken_again_is_missing() {
    let mut unit = Unit::new();
    unit.cut(0, "+++", 0);
    unit.events[0].policy = Hash32([9; 32]);
    unit.check(&[("missing", None)]);
    // The sum is charged, and nothing tells its cut any more.
    unit.events[0].payload = Json::object([("attempt", "0".into())]);
    unit.check(&[("missing", None), ("missing", None)]);
    unit.events.remove(1);
    unit.check(&[("missing", None)]);
}

#[test]
fn r1_a_charged_sum_whose_cut_was_lost_is_listed() {
    let mut unit = Unit::new();
    unit.cut(0, "+++", 0);
    unit.cut(1, "+++", 0);
    unit.events.remove(0);
    unit.check(&[("missing", None), ("present", Some((3, 3)))]);
    assert_eq!(unit.lines()[0].set_entry, Some(0));
}

#[test]
fn a_history_that_does_not_verify_is_not_used() {
    let mut unit = Unit::new();
    unit.cut(0, "+++", 0);
    assert!(read_cuts(unit.entries()).is_ok());
    let mut entries = unit.entries();
    entries.swap(0, 1);
    assert!(read_cuts(entries).unwrap_err().is::<NotVerified>());
    let mut entries = unit.entries();
    entries[0].opening = Some(([7; 32], b"{}".to_vec()));
    let fault = read_cuts(entries).unwrap_err();
    assert!(fault.is::<NotVerified>());
    assert!(format!("{fault:#}").contains("entry 0"), "{fault:#}");
}
