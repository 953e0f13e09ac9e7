//! Programs that nodes reported, in the sums of a pack: told alike by both verifiers, and found where a node is missing or named twice.

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::history::{Json, Kind};
use aquifer_shared::domain::pack::{Check, Files, demands_programs, verify};

use super::tampering::{check_found, with};
use super::{Log, PROGRAM, python};

/// The place of a sum whose nodes all run the same.
const SUM: usize = 1_606;
/// The place of the list of programs, in the quarter before.
const LIST: usize = 9;
const EARLIER: &str = "log/earlier";
const INCLUSION: &str = "proofs/inclusion";

fn log() -> Log {
    Log::new(2_000, 20)
}

fn report(pack: &Files) -> Json {
    Json::document(pack.get("report.json").unwrap(), 1 << 20).unwrap()
}

/// Both verifiers agree that all is well, and this is what the report says of the evidence.
#[track_caller]
fn check_evidence(log: &Log, expected: &str) -> Json {
    let pack = log.pack("2026Q4").unwrap();
    let verdict = verify(&pack, &Default::default());
    assert_eq!(verdict.code(), 0, "{verdict:?}");
    assert_eq!(python::verify(&pack, None), (python::said(&verdict), 0));
    let report = report(&pack);
    let evidence = report.get("evidence").unwrap();
    let state = evidence.get("node_programs").and_then(Json::as_text);
    assert_eq!(state, Some(expected));
    report.get("node_programs").unwrap().clone()
}

fn reported(lines: &[(&str, Hash32)]) -> Json {
    let line = |(nodes, program): &(&str, Hash32)| {
        Json::object([
            ("nodes", (*nodes).into()),
            ("sha256", program.to_string().into()),
        ])
    };
    Json::object([
        ("members", 4u32.into()),
        ("programs", Json::List(lines.iter().map(line).collect())),
    ])
}

/// Every sum names the program of each of its nodes.
fn spoken() -> Log {
    let mut log = log();
    let code = Kind::RoundAggregated.code().to_be_bytes();
    for index in 0..log.entries.len() {
        if log.entries[index].leaf[4..6] == code {
            log.say(index, &reported(&[("0-3", PROGRAM)]));
        }
    }
    log
}

#[test]
fn s3_digest_in_round_record_is_told_by_both_verifiers() {
    // Some sums of the log say nothing of programs.
    let rows = check_evidence(&log(), "evidence missing");
    let Json::List(rows) = rows else {
        panic!("{rows:?}")
    };
    let row = |row: &Json| {
        let text = |key: &str| row.get(key).unwrap().as_text().unwrap().to_owned();
        let sums = row.get("sums").unwrap().as_u64().unwrap();
        assert!(sums > 50);
        (text("sha256"), text("demanded"))
    };
    let found: Vec<_> = rows.iter().map(row).collect();
    // The list is from the quarter before: it stands until another is entered.
    let own = |program: u8| (Hash32([program; 32]).to_string(), "yes".to_owned());
    assert_eq!(found, [own(0xa1), own(0xa2)]);
    check_evidence(&spoken(), "evidence present");
}

/// A log whose list of the quarter before is this, or that has none.
fn listed(programs: Option<&[Hash32]>) -> Log {
    let mut log = spoken();
    let payload = match programs {
        Some(programs) => demands_programs(programs).payload,
        None => Json::object([("declares", "measures".into())]),
    };
    log.say(LIST, &payload);
    log
}

#[track_caller]
fn check_list(programs: Option<&[Hash32]>, expected: &str, row: &str) {
    let rows = check_evidence(&listed(programs), expected).to_text();
    assert!(rows.contains(row), "{rows}");
}

#[test]
fn s3_a_list_of_an_earlier_quarter_stands_in_the_next() {
    let other = Hash32([0xee; 32]);
    let (present, contradicted) = ("evidence present", "evidence contradicted");
    check_list(Some(&[PROGRAM, other]), present, "\"demanded\":\"yes\"");
    check_list(Some(&[other]), contradicted, "\"demanded\":\"no\"");
    check_list(Some(&[]), present, "\"demanded\":\"no list\"");
    check_list(None, present, "\"demanded\":\"no list\"");
}

/// The pack with another list from before it: one that nobody entered, none, or two.
#[test]
fn s3_a_list_that_was_changed_or_left_out_is_found() {
    let other = Hash32([0xee; 32]);
    let log = listed(Some(&[other]));
    let (third, pack) = (log.pack("2026Q3").unwrap(), log.pack("2026Q4").unwrap());
    let index = Some(LIST as u64);
    let earlier = |pack: &Files| String::from_utf8(pack.get(EARLIER).unwrap().to_vec()).unwrap();
    let text = earlier(&pack);
    let line = text.lines().find(|line| line.contains("declares")).unwrap();
    let with_text = |text: String| with(&pack, EARLIER, |bytes| *bytes = text.into_bytes());
    // Changed: not what the leaf commits to.
    let own = text.replace(&other.to_string(), &PROGRAM.to_string());
    check_found(&with_text(own), None, Check::Payloads, EARLIER, index);
    // Left out: the pack before tells.
    let none = text.replace(&format!("{line}\n"), "");
    let none = without_proof(with_text(none), LIST);
    check_found(&none, Some(&third), Check::Previous, EARLIER, index);
    // A pack of a log that has another list from before.
    let fork = listed(Some(&[PROGRAM])).pack("2026Q4").unwrap();
    let forged = with_text(earlier(&fork));
    check_found(&forged, None, Check::Proofs, INCLUSION, index);
}

/// The pack without the proof of an entry.
fn without_proof(pack: Files, index: usize) -> Files {
    with(&pack, INCLUSION, |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let lines = text
            .lines()
            .filter(|line| !line.starts_with(&format!("{index} ")));
        *bytes = lines
            .flat_map(|line| [line, "\n"])
            .collect::<String>()
            .into_bytes();
    })
}

/// The list stands in the pack before any of its sums, or changes between them.
#[test]
fn s3_a_program_that_was_not_demanded_is_told() {
    let kind = Kind::PackLoaded.code().to_be_bytes();
    let mut log = listed(None);
    let declare = |log: &mut Log, index: usize, programs: &[Hash32]| {
        log.say(index, &demands_programs(programs).payload);
        log.entries[index].leaf[4..6].copy_from_slice(&kind);
        log.entries[index].leaf[42] = 2;
    };
    declare(&mut log, 1_210, &[PROGRAM]);
    check_evidence(&log, "evidence present");
    declare(&mut log, 1_610, &[Hash32([0xee; 32])]);
    let rows = check_evidence(&log, "evidence contradicted");
    let text = rows.to_text();
    for state in ["\"yes\"", "\"no\"", "\"no list\""] {
        assert!(text.contains(state), "{text}");
    }
    // Nothing is demanded any more.
    declare(&mut log, 1_611, &[]);
    check_evidence(&log, "evidence present");
}

#[track_caller]
fn check_bad(payload: &Json) {
    let mut log = log();
    log.say(SUM, payload);
    let pack = log.pack("2026Q4").unwrap();
    let index = Some(SUM as u64);
    check_found(&pack, None, Check::Programs, "log/payloads", index);
}

#[test]
fn s3_a_sum_that_leaves_a_node_out_or_names_it_twice_is_found() {
    let (one, two) = (Hash32([1; 32]), Hash32([2; 32]));
    check_bad(&reported(&[("0-2", one)]));
    check_bad(&reported(&[("0-3", one), ("3", two)]));
    check_bad(&reported(&[("0-1", two), ("2-3", one)]));
    check_bad(&reported(&[("0-1", one), ("2-3", one)]));
    check_bad(&reported(&[("0 1 2 3", one)]));
    check_bad(&reported(&[("0-1 1 2", one)]));
    check_bad(&reported(&[("1021-1024", one)]));
    check_bad(&reported(&[("", one)]));
    check_bad(&reported(&[]));
    let Json::Object(mut fields) = reported(&[("0-2", one)]) else {
        panic!("an object")
    };
    fields.insert("programs_unknown".to_owned(), "2".into());
    check_bad(&Json::Object(fields.clone()));
    fields.insert("programs_unknown".to_owned(), Json::Null);
    check_bad(&Json::Object(fields.clone()));
    fields.insert("programs_unknown".to_owned(), "3".into());
    let whole = Json::Object(fields.clone());
    fields.remove("programs");
    check_bad(&Json::Object(fields));
    let mut log = listed(None);
    log.say(SUM, &whole);
    check_evidence(&log, "evidence missing");
}
