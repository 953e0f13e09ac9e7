//! Packs of a unit's own log: about persons, without witnesses. Both verifiers read them alike, and find what was changed.

use aquifer_shared::domain::history::{Json, Kind, LEAF_BYTES};
use aquifer_shared::domain::pack::{Against, COORDINATOR, Check, Files, LogPolicy, State, verify};
use aquifer_shared::domain::tlog::root;

use super::tampering::{check_found, relisted, with};
use super::{Log, ORIGIN, Signer, python};

const RIGHTS: &str = "rights/clocks.json";

fn unit() -> Log {
    Log::of_unit(4_000, 40)
}

fn json(pack: &Files, path: &str) -> Json {
    Json::document(pack.get(path).unwrap(), 1 << 20).unwrap()
}

#[test]
fn r1_same_ledger_same_bytes_at_a_unit() {
    let pack = unit().pack("2026Q4").unwrap();
    assert_eq!(pack, unit().pack("2026Q4").unwrap());
    assert_ne!(pack, unit().pack("2026Q3").unwrap());
}

#[test]
fn r1_python_agrees_on_packs_of_a_unit() {
    let log = unit();
    let (third, fourth) = (log.pack("2026Q3").unwrap(), log.pack("2026Q4").unwrap());
    for (pack, previous) in [(&third, None), (&fourth, None), (&fourth, Some(&third))] {
        let policy = log.policy();
        for policy in [None, Some(&policy)] {
            let verdict = verify(
                pack,
                &Against {
                    policy,
                    previous,
                    ..Against::default()
                },
            );
            assert_eq!(verdict.code(), 0, "{verdict:?}");
            for check in [Check::PersonalData, Check::Witnesses] {
                let state = verdict.of(check).unwrap().state;
                assert!(matches!(state, State::NotRun(_)), "{check:?}: {state:?}");
            }
            assert_eq!(python::verify(pack, previous), (python::said(&verdict), 0));
        }
    }
}

/// What a pack says of itself where it is about persons.
#[test]
fn r1_a_pack_of_a_unit_says_that_it_stays_there() {
    let pack = unit().pack("2026Q4").unwrap();
    let (report, rights) = (json(&pack, "report.json"), json(&pack, RIGHTS));
    let notice = report.get("notice").and_then(Json::as_text).unwrap();
    assert!(notice.contains("stays at the unit"), "{notice}");
    let evidence = report.get("evidence").unwrap();
    for what in ["node_programs", "witnesses"] {
        let state = evidence.get(what).and_then(Json::as_text);
        assert_eq!(state, Some("in packs of the coordinator"), "{what}");
    }
    let program = report.get("program").unwrap();
    let name = program.get("name").and_then(Json::as_text);
    assert_eq!(name, Some("aquifer-node"));
    let counted = rights.get("counts").unwrap();
    let expected = report.get("events").unwrap().get("request.received");
    assert_eq!(counted.get("request.received"), expected);
    assert!(expected.and_then(Json::as_u64) > Some(50), "{expected:?}");
    let notice = rights.get("notice").and_then(Json::as_text).unwrap();
    assert!(notice.contains("stay at the unit"), "{notice}");
}

#[test]
fn r1_alter_drop_reorder_fork_located_at_a_unit() {
    let pack = unit().pack("2026Q3").unwrap();
    let altered = with(&pack, "log/payloads", |bytes| {
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let end = ends.map(|(at, _)| at).nth(1_210).unwrap();
        bytes[end - 2] ^= 1;
    });
    check_found(&altered, None, Check::Payloads, "log/payloads", Some(1_210));
    let altered = with(&pack, "log/leaves", |bytes| {
        bytes[1_210 * LEAF_BYTES + 100] ^= 1
    });
    check_found(&altered, None, Check::Tree, "log/leaves", Some(1_210));
    let dropped = with(&pack, "log/leaves", |bytes| {
        bytes.drain(1_234 * LEAF_BYTES..1_235 * LEAF_BYTES);
    });
    check_found(&dropped, None, Check::Order, "log/leaves", Some(1_234));
    let reordered = with(&pack, "log/leaves", |bytes| {
        let (a, b) = bytes[40 * LEAF_BYTES..42 * LEAF_BYTES].split_at_mut(LEAF_BYTES);
        a.swap_with_slice(b);
    });
    check_found(&reordered, None, Check::Order, "log/leaves", Some(40));
    // The unit makes its log again, with checkpoints that it signs itself: the pack before tells.
    let mut other = unit();
    other.say(1_000, &Json::object([("subject", "somebody else".into())]));
    let other = other.pack("2026Q4").unwrap();
    let verdict = verify(&other, &Default::default());
    assert_eq!(verdict.code(), 0, "nothing in it tells: {verdict:?}");
    let against = Against {
        previous: Some(&pack),
        ..Against::default()
    };
    let verdict = verify(&other, &against);
    assert_eq!(verdict.code(), Check::Previous.number(), "{verdict:?}");
    let code = i32::from(verdict.code());
    let found = python::verify(&other, Some(&pack));
    assert_eq!(found, (python::said(&verdict), code));
}

/// A pack of a coordinator that was shown these checkpoints of the unit.
fn shown(unit: &Log, sizes: &[u64]) -> Log {
    let mut log = Log::new(1_000, 10);
    let kind = Kind::CheckpointPublished;
    for (size, place) in sizes.iter().zip(900..) {
        let root = root(&unit.tree(), 0..*size).unwrap();
        let payload = Json::object([
            ("log", unit.log.key.key.to_string().into()),
            ("root", root.to_string().into()),
            ("size", (*size).into()),
        ]);
        log.say(place, &payload);
        let leaf = &mut log.entries[place].leaf;
        leaf[4..6].copy_from_slice(&kind.code().to_be_bytes());
        leaf[42] = kind.retention() as u8;
    }
    log
}

/// Both verifiers hold a pack of a unit against one of the coordinator, whose keys are these or came along, and find this: index, or
/// nothing.
#[track_caller]
fn check_held(
    pack: &Files,
    (coordinator, policy): (&Files, Option<&LogPolicy>),
    expected: Option<Option<u64>>,
) {
    let against = Against {
        coordinator: Some(coordinator),
        coordinator_policy: policy,
        ..Against::default()
    };
    let verdict = verify(pack, &against);
    let checked = verdict.of(Check::Held).unwrap();
    let found = checked.findings.first().map(|one| one.index);
    assert_eq!(found, expected, "{checked:?}");
    match (expected, policy) {
        (Some(_), _) => assert_eq!(checked.state, State::Failed),
        (None, Some(_)) => assert_eq!(checked.state, State::Passed),
        (None, None) => {
            let itself = |why: &str| why.starts_with("self-consistent only");
            assert!(matches!(checked.state, State::NotRun(why) if itself(why)));
        }
    }
    let keys = policy.map(|keys| ("--coordinator-policy", keys));
    let (told, code) = python::verify_with(pack, Some(("--coordinator", coordinator)), keys);
    assert_eq!(told, python::said(&verdict));
    assert_eq!(code, i32::from(verdict.code()));
}

#[test]
fn r1_a_unit_that_makes_its_log_again_is_found_by_what_the_coordinator_holds() {
    let log = unit();
    let pack = log.pack("2026Q4").unwrap();
    let coordinator = shown(&log, &[2_500, 4_000]);
    let policy = coordinator.policy();
    let keys = Some(&policy);
    let coordinator = coordinator.pack("2026Q4").unwrap();
    check_held(&pack, (&coordinator, keys), None);
    check_held(&pack, (&coordinator, None), None);
    let mut again = unit();
    again.say(3_000, &Json::object([("subject", "somebody else".into())]));
    let again = again.pack("2026Q4").unwrap();
    assert_eq!(verify(&again, &Default::default()).code(), 0);
    check_held(&again, (&coordinator, keys), Some(Some(4_000)));
    check_held(&again, (&coordinator, None), Some(Some(4_000)));
    let earlier = shown(&log, &[2_500]).pack("2026Q4").unwrap();
    check_held(&pack, (&earlier, keys), Some(Some(4_000)));
    let mut alone = shown(&log, &[2_500, 4_000]);
    alone.cosigning = 2;
    check_held(&pack, (&alone.pack("2026Q4").unwrap(), keys), Some(None));
}

/// A unit that makes its log again can make one for the coordinator too: its own log, or one under the coordinator's name.
#[test]
fn r1_a_log_that_the_unit_made_itself_is_not_the_coordinators() {
    let log = unit();
    let pack = log.pack("2026Q4").unwrap();
    let real = shown(&log, &[]).policy();
    let mut own = shown(&log, &[4_000]);
    own.log = Signer::of_log(&log.log.key.name, 9);
    own.witnesses.clear();
    own.cosigning = 0;
    let policy = own.policy();
    let own = own.pack("2026Q4").unwrap();
    assert_eq!(verify(&own, &Against::default()).code(), 0);
    for keys in [None, Some(&policy), Some(&real)] {
        check_held(&pack, (&own, keys), Some(None));
    }
    let mut under_its_name = shown(&log, &[4_000]);
    under_its_name.log = Signer::of_log(ORIGIN, 77);
    let under_its_name = under_its_name.pack("2026Q4").unwrap();
    check_held(&pack, (&under_its_name, Some(&real)), Some(None));
    check_held(&pack, (&under_its_name, None), None);
}

#[test]
fn r1_counts_of_requests_that_were_changed_are_found() {
    let pack = unit().pack("2026Q4").unwrap();
    let fewer = with(&pack, RIGHTS, |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let from = "\"request.received\":";
        assert!(text.contains(from), "{text}");
        *bytes = text
            .replacen(from, "\"request.received\":1", 1)
            .into_bytes();
    });
    check_found(&fewer, None, Check::Extracts, RIGHTS, None);
}

#[test]
fn r1_a_statement_of_the_other_program_is_found() {
    let log = unit();
    let mut pack = log.pack("2026Q4").unwrap();
    let end = json(&pack, "report.json").get("end").and_then(Json::as_u64);
    let made = log.made(end.unwrap(), |said| said.name = COORDINATOR.to_owned());
    let path = "provenance.dsse.json";
    pack.put(path, made.provenance.into_bytes()).unwrap();
    check_found(&relisted(pack), None, Check::Provenance, path, None);
}

/// What a unit's log may have, a coordinator's may not.
#[test]
fn entries_about_persons_are_found_in_a_log_of_another_name() {
    let mut log = unit();
    log.log = Signer::of_log(ORIGIN, 1);
    let first = log.entries.iter().position(|entry| entry.leaf[43] != 0);
    let first = first.map(|index| index as u64);
    let pack = log.pack("2026Q3").unwrap();
    check_found(&pack, None, Check::PersonalData, "log/leaves", first);
}

/// A charge that says too little to recompute epsilon gives no pack.
#[test]
fn a_charge_that_says_too_little_is_named() {
    let mut log = unit();
    let spent = Kind::BudgetSpent.code().to_be_bytes();
    let is_spend = |entry: &aquifer_shared::domain::pack::Entry| entry.leaf[4..6] == spent;
    let index = log.entries.iter().position(is_spend).unwrap();
    log.say(index, &Json::object([("rho_micro", 5u32.into())]));
    let error = log.pack("2026Q3").unwrap_err().to_string();
    assert!(error.contains("field purpose"), "{error}");
}
