//! The unit's record of processing, out of a history as the node writes it. Tests are named by the ids of the features that they show.

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::facts::{FactsConfig, is_known};
use aquifer_shared::domain::history::{Event, Json, Kind};
use aquifer_shared::domain::law::Transfer;
use aquifer_shared::domain::sum::StudyTerms;
use aquifer_shared::protocol::witness::node_origin;
use aquifer_shared::shell::at_rest::DatabaseKey;
use aquifer_shared::shell::history::{History, LogSigner, Place};
use aquifer_shared::shell::keys::Identity;

use super::*;
use crate::core::chronicle::Chronicler;
use crate::core::fixtures::{NOW, name, synthetic};
use crate::core::intake::exporting;
use crate::shell::audit::{NotVerified, read_all};
use crate::shell::declarations::declared;
use crate::shell::declarations::tests::{FACTS, unit};
use crate::shell::usage::tests::{World, study};

/// 2026-11-25.
const TODAY: Timestamp = Timestamp(20_782 * 24 * 3_600 * 1_000);

/// What a node enters at a start.
fn declarations() -> Vec<Event> {
    let facts: FactsConfig = toml::from_str(FACTS).unwrap();
    declared(Some(&facts), Some(&unit(Transfer::Within)), TODAY).unwrap()
}

/// What a node enters of a study that it accepts and is charged for once.
fn charged(terms: &StudyTerms) -> Vec<Event> {
    let mut world = World::new();
    let study = world.accept(terms);
    world.charge(study, 0, NOW);
    let mut chronicler = Chronicler::default();
    let said = world.links.iter().flat_map(|link| chronicler.entered(link));
    said.map(|(_, event)| event).collect()
}

/// A history with what it says of itself.
#[derive(Clone)]
struct Read {
    head: Head,
    entries: Vec<Entry>,
}

impl Read {
    /// Its record, or why there is none.
    fn record(&self, json: bool) -> Result<(String, Vec<String>), (&'static str, String)> {
        match read_all(&self.head, self.entries.clone(), Documented::of) {
            Ok(read) => record(read, json),
            Err(fault) => {
                assert!(fault.is::<NotVerified>(), "{fault:#}");
                Err(("log", format!("{fault:#}")))
            }
        }
    }
}

/// A history of these events, published.
fn published(events: Vec<Event>) -> Read {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::generate().unwrap();
    let (key, origin) = (identity.public(), node_origin(&identity.public()));
    let place = Place {
        folder: folder.path().join("history"),
        mark: folder.path().join("history.checkpoint"),
        takes_persons: true,
        key: DatabaseKey::new([7; 32]),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let signer = LogSigner::new(origin.clone(), identity);
        let history = History::open(place, signer, || TODAY).await.unwrap();
        history.append(events).await.unwrap();
        history.publish_padded().await.unwrap();
        let size = history.edge().borrow().size;
        let head = Head {
            origin,
            key,
            published: history.published().await.unwrap(),
            checkpoints: Vec::new(),
        };
        let entries = history.read(0..size).await.unwrap();
        let copy = Read { head, entries };
        history.close().await;
        copy
    })
}

/// The lines of a record without its heading, and the alarms.
fn lines(events: Vec<Event>) -> (Vec<String>, Vec<String>) {
    let (text, alarms) = published(events).record(false).unwrap();
    let lines = text.lines().skip(1).map(str::to_owned);
    (lines.collect(), alarms)
}

#[test]
fn t1_a_unit_has_its_record_of_processing() {
    let events = [declarations(), charged(&study(1, "a"))].concat();
    let (lines, alarms) = lines(events);
    assert!(alarms.is_empty(), "{alarms:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
    // Parties, the purpose, measures, the reservation, the charge: each with its entry.
    let train = lines.iter().find(|line| line.contains("churn.train"));
    let train = train.unwrap();
    assert!(train.ends_with("\"1 3 4 6 7\""), "{train}");
    assert!(train.contains("\"DE: consent\""), "{train}");
    assert!(train.contains("Head office: sums of many people"));
    assert!(train.contains("aquifer"), "the log is named: {train}");
    let score = lines.iter().find(|line| line.contains("churn.score"));
    assert!(score.unwrap().contains("\"never\""));
}

#[test]
fn t1_processing_that_a_unit_did_not_declare_is_an_alarm() {
    let other = StudyTerms {
        purpose: name("made.up"),
        ..study(1, "a")
    };
    let (_, alarms) = lines([declarations(), charged(&other)].concat());
    assert!(
        alarms[0].contains("made.up") && alarms.len() == 1,
        "{alarms:?}"
    );
    // Declared too late.
    let (_, alarms) = lines([charged(&study(1, "a")), declarations()].concat());
    assert!(
        alarms[0].contains("before purpose churn.train"),
        "{alarms:?}"
    );
    // A file of scores.
    let decision = unit(Transfer::Within).score("retention.score", &["tenure"], None, TODAY);
    let denied = exporting("customers", &decision);
    let mut allowed = denied.clone();
    let Json::Object(fields) = &mut allowed.payload else {
        unreachable!()
    };
    fields.insert("verdict".to_owned(), "allow".into());
    let (_, alarms) = lines([declarations(), vec![denied]].concat());
    assert!(
        alarms.is_empty(),
        "what is denied is no processing: {alarms:?}"
    );
    let (_, alarms) = lines([declarations(), vec![allowed]].concat());
    assert!(alarms[0].contains("retention.score"), "{alarms:?}");
}

#[test]
fn made_up_studies_are_no_processing() {
    let (lines, alarms) = lines([declarations(), charged(&synthetic(3))].concat());
    assert!(alarms.is_empty(), "{alarms:?}");
    assert!(lines.iter().all(|line| line.contains("\"never\"")));
}

#[test]
fn t1_a_unit_has_the_same_bytes_and_known_terms() {
    let copy = published([declarations(), charged(&study(1, "a"))].concat());
    for json in [false, true] {
        let (text, _) = copy.record(json).unwrap();
        assert_eq!(copy.record(json).unwrap().0, text);
        let terms = text.split('"').filter(|part| part.starts_with("dpv:"));
        terms.for_each(|term| assert!(is_known(term), "{term}"));
    }
}

#[test]
fn t1_a_changed_history_of_a_unit_gives_no_record() {
    let whole = published([declarations(), charged(&study(1, "a"))].concat());
    let refused = |change: &dyn Fn(&mut Read)| {
        let mut copy = whole.clone();
        change(&mut copy);
        copy.record(false).unwrap_err().0
    };
    assert_eq!(refused(&|copy| copy.entries.swap(1, 2)), "log");
    assert_eq!(refused(&|copy| drop(copy.entries.pop())), "log");
    assert_eq!(refused(&|copy| copy.head.published = None), "log");
    let note = |copy: &mut Read| copy.head.published = Some("no note".to_owned());
    assert_eq!(refused(&note), "log");
    let payload = |copy: &mut Read| {
        copy.entries[1].opening.as_mut().unwrap().1[9] ^= 1;
    };
    assert_eq!(refused(&payload), "log");
    let leaf = |copy: &mut Read| copy.entries[3].leaf.policy = Hash32([9; 32]);
    assert_eq!(refused(&leaf), "log");
}

#[test]
fn what_was_never_declared_is_missing() {
    let undeclared = published(charged(&study(1, "a")));
    let (code, why) = undeclared.record(false).unwrap_err();
    assert_eq!(code, "missing");
    assert!(why.contains("parties") && why.contains(Kind::PackLoaded.name()));
}

#[test]
fn what_fills_a_history_up_is_checked_and_not_kept() {
    let copy = published(declarations());
    let pads = copy.entries.iter().map(|own| own.leaf.kind);
    let pads = pads.filter(|kind| *kind == Kind::LogPad).count();
    let read = read_all(&copy.head, copy.entries.clone(), Documented::of).unwrap();
    let log = read.log().unwrap().unwrap();
    assert!(pads > 200, "{pads}");
    assert_eq!(log.facts().len() + pads, copy.entries.len());
}
