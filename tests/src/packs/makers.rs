//! Who made a pack, of which parts, and what it repeats for readers: changed, replayed or signed by another, both verifiers find it.

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::history::Json;
use aquifer_shared::domain::pack::{Check, Files, Statement, envelope, signed_statement, verify};

use super::tampering::{check_found, relisted, with};
use super::{Log, Signer};

const SBOM: &str = "sbom.cdx.json";
const PROVENANCE: &str = "provenance.dsse.json";
const RIGHTS: &str = "rights/clocks.json";
const EXCEPTIONS: &str = "exceptions/alarms";

fn log() -> Log {
    Log::new(2_000, 20)
}

fn text(pack: &Files, path: &str) -> String {
    String::from_utf8(pack.get(path).unwrap().to_vec()).unwrap()
}

fn json(pack: &Files, path: &str) -> Json {
    Json::document(pack.get(path).unwrap(), 1 << 20).unwrap()
}

/// Another text in place of one, with a manifest that fits.
fn put(pack: &Files, path: &str, from: &str, to: &str) -> Files {
    let before = text(pack, path);
    assert!(before.contains(from), "{from} in {before}");
    with(pack, path, |bytes| {
        *bytes = before.replacen(from, to, 1).into_bytes();
    })
}

fn signed(pack: &Files, provenance: String) -> Files {
    let mut pack = pack.clone();
    pack.put(PROVENANCE, provenance.into_bytes()).unwrap();
    relisted(pack)
}

fn end(pack: &Files) -> u64 {
    let report = json(pack, "report.json");
    report.get("end").and_then(Json::as_u64).unwrap()
}

#[test]
fn r1_a_pack_names_its_maker_its_parts_and_the_clocks_in_force() {
    let pack = log().pack("2026Q4").unwrap();
    assert_eq!(verify(&pack, &Default::default()).code(), 0);
    let report = json(&pack, "report.json");
    let program = report.get("program").unwrap();
    let said = |key: &str| program.get(key).and_then(Json::as_text).unwrap();
    assert_eq!(said("sha256"), Hash32([0x5a; 32]).to_string());
    assert!(said("limits").contains("self-reported"), "{program:?}");
    assert!(said("limits").contains("no remote attestation"));
    assert_eq!(said("source_revision").len(), 40);
    let evidence = report.get("evidence").unwrap();
    for what in ["program", "rights"] {
        let state = evidence.get(what).and_then(Json::as_text);
        assert_eq!(state, Some("evidence present"), "{what}");
    }
    let rights = json(&pack, RIGHTS);
    assert_eq!(rights.get("counts"), Some(&Json::Null));
    let Some(Json::List(clocks)) = rights.get("clocks") else {
        panic!("{rights:?}")
    };
    let clocks: Vec<&str> = clocks
        .iter()
        .map(|clock| clock.get("clock").and_then(Json::as_text).unwrap())
        .collect();
    assert_eq!(clocks, ["clock_request_days", "clock_breach_hours"]);
    assert!(text(&pack, EXCEPTIONS).contains(" override.granted {\"why\":\"drill\"}\n"));
}

#[test]
fn a_revision_that_the_build_was_not_told_is_not_made_up() {
    let log = log();
    let pack = log.pack("2026Q4").unwrap();
    let made = log.made(end(&pack), |said| said.revision = None);
    let pack = signed(&pack, made.provenance);
    // The report still names one: it is not what the statement says.
    check_found(&pack, None, Check::Report, "report.json", None);
}

#[track_caller]
fn check_statement(change: impl FnOnce(&mut Statement)) {
    let log = log();
    let pack = log.pack("2026Q4").unwrap();
    let made = log.made(end(&pack), change);
    let pack = signed(&pack, made.provenance);
    check_found(&pack, None, Check::Provenance, PROVENANCE, None);
}

#[test]
fn r1_a_statement_about_another_end_is_found() {
    check_statement(|said| said.size -= 1);
}

#[test]
fn r1_a_statement_about_another_history_is_found() {
    check_statement(|said| said.root = Hash32([7; 32]));
}

#[test]
fn r1_a_statement_about_another_log_is_found() {
    check_statement(|said| said.origin.push('x'));
}

#[test]
fn r1_a_statement_about_other_parts_is_found() {
    check_statement(|said| said.sbom = Hash32([7; 32]));
}

#[test]
fn r1_a_statement_with_a_revision_that_is_none_is_found() {
    check_statement(|said| said.revision = Some("main".to_owned()));
}

#[test]
fn r1_a_statement_with_a_version_that_is_none_is_found() {
    check_statement(|said| said.version = "0.1 of today".to_owned());
}

#[test]
fn r1_a_statement_of_the_pack_before_is_found() {
    let log = log();
    let (third, fourth) = (log.pack("2026Q3").unwrap(), log.pack("2026Q4").unwrap());
    let replayed = signed(&fourth, text(&third, PROVENANCE));
    check_found(&replayed, Some(&third), Check::Provenance, PROVENANCE, None);
}

#[test]
fn r1_a_statement_signed_by_another_is_found() {
    let log = log();
    let pack = log.pack("2026Q4").unwrap();
    let stranger = Signer::of_log(&log.log.key.name, 77);
    let mut said = String::new();
    drop(log.made(end(&pack), |own| said = own.to_json().to_text()));
    let signature = stranger.sign(signed_statement(&said).as_bytes());
    for key in [&stranger.key, &log.log.key] {
        let forged = signed(&pack, envelope(&said, key, &signature));
        check_found(&forged, None, Check::Provenance, PROVENANCE, None);
    }
    let lower = put(&pack, PROVENANCE, "\"keyid\":\"", "\"keyid\":\"x");
    check_found(&lower, None, Check::Provenance, PROVENANCE, None);
}

#[test]
fn r1_parts_that_were_changed_are_found() {
    let pack = log().pack("2026Q4").unwrap();
    for (from, to) in [
        ("\"version\":\"0.3.1\"", "\"version\":\"0.3.2\""),
        ("near@0.3.1\",\"hashes\"", "near@0.3.2\",\"hashes\""),
        ("\"content\":\"0011", "\"content\":\"1100"),
    ] {
        let changed = put(&pack, SBOM, from, to);
        check_found(&changed, None, Check::Provenance, PROVENANCE, None);
    }
    for (from, to) in [
        ("\"specVersion\":\"1.6\"", "\"specVersion\":\"1.4\""),
        ("near@0.3.1\",\"hashes\"", "near@0.3.2\",\"hashes\""),
        ("\"name\":\"near\"", "\"name\":\"\""),
        ("\"content\":\"0011", "\"content\":\"001"),
        ("{\"bomFormat\"", "{ \"bomFormat\""),
    ] {
        let changed = put(&pack, SBOM, from, to);
        check_found(&changed, None, Check::Sbom, SBOM, None);
    }
}

#[test]
fn r1_clocks_and_alarms_that_were_changed_are_found() {
    let pack = log().pack("2026Q4").unwrap();
    let longer = put(&pack, RIGHTS, "\"value\":\"28\"", "\"value\":\"280\"");
    check_found(&longer, None, Check::Extracts, RIGHTS, None);
    let counted = put(&pack, RIGHTS, "\"counts\":null", "\"counts\":17");
    check_found(&counted, None, Check::Extracts, RIGHTS, None);
    let quiet = put(&pack, EXCEPTIONS, "override.granted", "override.denied");
    check_found(&quiet, None, Check::Extracts, EXCEPTIONS, None);
    let silent = with(&pack, EXCEPTIONS, Vec::clear);
    check_found(&silent, None, Check::Extracts, EXCEPTIONS, None);
}

#[test]
fn a_file_that_is_missing_is_named() {
    let pack = log().pack("2026Q4").unwrap();
    for missing in [SBOM, PROVENANCE, RIGHTS, EXCEPTIONS] {
        let mut rest = Files::default();
        for (path, bytes) in pack.iter().filter(|(path, _)| *path != missing) {
            rest.put(path, bytes.to_vec()).unwrap();
        }
        check_found(&relisted(rest), None, Check::Format, missing, None);
    }
}
