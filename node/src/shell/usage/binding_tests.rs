//! A usage ledger that was deleted or put back alone is known by the history. Tests are named by the ids of the features that they show.

use aquifer_shared::domain::history::Kind;
use aquifer_shared::protocol::witness::node_origin;
use aquifer_shared::shell::at_rest::DatabaseKey;
use aquifer_shared::shell::history::{LogSigner, Place};
use aquifer_shared::shell::keys::Identity;
use tokio::runtime::Runtime;

use super::*;
use crate::core::fixtures::NOW;
use crate::shell::steps::SaidPutBack;
use crate::shell::telling::Teller;
use crate::shell::usage::tests::{World, reference, study};
use crate::shell::views::{Answer, Query};

/// A unit with a usage ledger and an open history.
struct Unit {
    world: World,
    runtime: Runtime,
    history: History,
}

impl Unit {
    fn new() -> Self {
        let mut world = World::new();
        world.table(0, &[1, 2].map(reference));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let place = Place {
            folder: world.path().join("history"),
            mark: world.path().join("history.checkpoint"),
            takes_persons: true,
            key: DatabaseKey::new([7; 32]),
        };
        let identity = Identity::generate().unwrap();
        let signer = LogSigner::new(node_origin(&identity.public()), identity);
        let opened = History::open(place, signer, || NOW);
        let history = runtime.block_on(opened).unwrap();
        Self {
            world,
            runtime,
            history,
        }
    }

    fn bind(&self) -> anyhow::Result<()> {
        let bound = bind(&self.history, self.world.path());
        self.runtime.block_on(bound)
    }

    fn hold(&self, reason: Option<&str>) -> anyhow::Result<()> {
        let held = hold(&self.history, self.world.path(), (reason, NOW));
        self.runtime.block_on(held)
    }

    fn teller(&self) -> Teller {
        Teller::new(self.history.clone(), self.world.path())
    }

    /// What a running node, which looks again and again, ends by.
    fn looks(&self) -> Option<PutBack> {
        self.runtime.block_on(self.teller().look())
    }

    /// What a command of the desk hears before it believes the ledger.
    fn answers(&self) -> Answer {
        self.runtime.block_on(self.teller().answer(&Query::Hold))
    }

    /// A study is accepted, cut and charged.
    fn charges(&mut self, number: u8) {
        let study = self.world.accept(&study(number, "a"));
        self.world.cut(study, 0, 0, "++");
        self.world.charge(study, 0, NOW);
    }

    fn forgets(&self, person: u8) {
        let mut ledger = UsageLedger::open(self.world.path()).unwrap();
        ledger.forget_number(reference(person), i64::MAX).unwrap();
    }

    /// Stops who writes. All is in the file itself then: connections are closed some time after they were let go of.
    fn stops(&mut self) {
        self.world.stop();
        let UsageLedger {
            runtime,
            mut connection,
            ..
        } = UsageLedger::open(self.world.path()).unwrap();
        runtime.block_on(async {
            let all = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
            all.fetch_one(&mut connection).await.unwrap();
            sqlx::Connection::close(connection).await.unwrap();
        });
    }

    fn step(&self) -> Step {
        let mut ledger = UsageLedger::open(self.world.path()).unwrap();
        ledger.step().unwrap()
    }
}

/// A copy of the ledger is made; what comes `since` is known to the history; the copy is put back, and something happens `then`.
#[track_caller]
fn check_put_back(since: impl Fn(&mut Unit), then: impl Fn(&mut Unit), expected: Option<&str>) {
    let mut unit = Unit::new();
    unit.charges(1);
    unit.bind().unwrap();
    unit.stops();
    let path = unit.world.path().join(USAGE_FILE);
    let copy = std::fs::read(&path).unwrap();
    since(&mut unit);
    unit.bind().unwrap();
    unit.stops();
    std::fs::write(&path, copy).unwrap();
    then(&mut unit);
    let running = (unit.looks(), unit.answers());
    let found = (unit.hold(None), unit.bind());
    match (found, expected) {
        ((Ok(()), Ok(())), None) => assert_eq!(running, (None, Answer::Told)),
        ((Err(held), Err(bound)), Some(part)) => {
            check_running(running, part);
            for fault in [held, bound] {
                assert_eq!(fault.downcast_ref::<PutBack>().unwrap().code(), "usage");
                let text = fault.to_string();
                assert!(text.contains(part), "{text}");
                assert!(text.contains("Put the newest copy back"), "{text}");
            }
        }
        (found, _) => panic!("{found:?}"),
    }
}

/// A node that runs ends, and the desk is refused with the same words.
#[track_caller]
fn check_running((looks, answers): (Option<PutBack>, Answer), part: &str) {
    let text = looks.map(|put_back| put_back.to_string()).unwrap();
    assert!(text.contains(part), "{text}");
    let Answer::PutBack { code, why } = answers else {
        panic!("{answers:?}");
    };
    assert_eq!(why, text);
    let said = SaidPutBack::new(&code, why);
    assert_eq!((said.code(), said.to_string()), ("usage", text));
}

#[test]
fn t2_a_usage_ledger_that_was_put_back_alone_is_refused() {
    let nothing = |_: &mut Unit| {};
    let forgets = |unit: &mut Unit| unit.forgets(1);
    let charges = |unit: &mut Unit| {
        unit.world.start();
        unit.charges(2);
    };
    let goes_on = |unit: &mut Unit| unit.forgets(2);
    let deleted = |unit: &mut Unit| {
        std::fs::remove_file(unit.world.path().join(USAGE_FILE)).unwrap();
    };
    let begun_anew = |unit: &mut Unit| {
        deleted(unit);
        goes_on(unit);
    };
    check_put_back(nothing, nothing, None);
    check_put_back(nothing, goes_on, None);
    check_put_back(forgets, nothing, Some("ends at step 1"));
    check_put_back(charges, nothing, Some("ends at step 1"));
    check_put_back(nothing, deleted, Some("is missing"));
    check_put_back(nothing, begun_anew, Some("ends at step 0"));
}

#[test]
fn t2_a_copy_that_went_on_by_itself_is_refused() {
    let mut unit = Unit::new();
    unit.charges(1);
    unit.bind().unwrap();
    unit.stops();
    let path = unit.world.path().join(USAGE_FILE);
    let copy = std::fs::read(&path).unwrap();
    unit.forgets(1);
    unit.bind().unwrap();
    unit.stops();
    std::fs::write(&path, copy).unwrap();
    // Another change, and a step of it, under no history: the number is the same, the step is not.
    unit.forgets(2);
    let mut ledger = UsageLedger::open(unit.world.path()).unwrap();
    ledger.advance(None).unwrap();
    drop(ledger);
    let fault = unit.hold(None).unwrap_err().to_string();
    assert!(fault.contains("has another step 2"), "{fault}");
}

#[test]
fn t2_a_usage_ledger_that_was_put_back_is_taken_with_a_reason_that_the_history_keeps() {
    let mut unit = Unit::new();
    unit.charges(1);
    unit.bind().unwrap();
    unit.stops();
    std::fs::remove_file(unit.world.path().join(USAGE_FILE)).unwrap();
    assert!(unit.hold(None).is_err());
    unit.hold(Some("the disk is gone")).unwrap();
    let read = unit.history.read(0..1);
    let entry = unit.runtime.block_on(read).unwrap().pop().unwrap();
    assert_eq!(entry.leaf.kind, Kind::OverrideGranted);
    let said = String::from_utf8(entry.opening.unwrap().1).unwrap();
    assert!(said.contains(r#""reason":"the disk is gone""#), "{said}");
    assert!(said.contains(r#""what":"usage.db""#), "{said}");
    // From here on it is the ledger that is known.
    unit.world.start();
    unit.bind().unwrap();
    unit.hold(None).unwrap();
}

#[test]
fn a_directory_that_never_had_a_ledger_has_none_to_lose() {
    let unit = Unit::new();
    unit.hold(None).unwrap();
    let other = tempfile::tempdir().unwrap();
    let nothing = async {
        hold(&unit.history, other.path(), (None, NOW)).await?;
        bind(&unit.history, other.path()).await
    };
    unit.runtime.block_on(nothing).unwrap();
}

#[test]
fn steps_are_made_of_changes_alone_and_old_ones_go() {
    let mut unit = Unit::new();
    unit.bind().unwrap();
    let first = unit.step();
    unit.bind().unwrap();
    assert_eq!(unit.step(), first, "nothing changed");
    for number in 1..=5 {
        unit.charges(number);
        unit.bind().unwrap();
    }
    assert_eq!(unit.step().number(), first.number() + 5);
    unit.stops();
    let mut ledger = UsageLedger::open(unit.world.path()).unwrap();
    let count = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM steps");
    let count = ledger
        .runtime
        .block_on(count.fetch_one(&mut ledger.connection));
    assert!(count.unwrap() <= 2);
}

#[test]
fn t2_who_asks_hears_which_ledger_was_put_back() {
    use crate::shell::telling::Teller;
    use crate::shell::views::{Answer, Query};

    let mut unit = Unit::new();
    unit.charges(1);
    unit.bind().unwrap();
    unit.stops();
    std::fs::remove_file(unit.world.path().join(USAGE_FILE)).unwrap();
    let teller = Teller::new(unit.history.clone(), unit.world.path());
    let answer = unit.runtime.block_on(teller.answer(&Query::Tell));
    let Answer::PutBack { code, why } = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(code, "usage");
    assert!(why.contains("is missing"), "{why}");
}
