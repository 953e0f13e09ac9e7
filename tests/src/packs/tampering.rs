//! Packs that somebody tampered with: both verifiers find it, name the place, and agree on every check.

use aquifer_shared::domain::history::{Json, LEAF_BYTES};
use aquifer_shared::domain::pack::{Against, Body, Check, Files, State, verify};

use super::{Log, python};

const EVENTS: u64 = 10_000;
const CHECKPOINTS: u64 = 100;

fn honest() -> Log {
    Log::new(EVENTS, CHECKPOINTS)
}

/// With a manifest that fits, as one who tampers would make it.
pub(super) fn relisted(mut files: Files) -> Files {
    let manifest = files.manifest();
    files.put("MANIFEST", manifest.into_bytes()).unwrap();
    files
}

/// Changes a file and the manifest.
pub(super) fn with(files: &Files, path: &str, change: impl FnOnce(&mut Vec<u8>)) -> Files {
    let mut files = files.clone();
    let mut bytes = files.get(path).unwrap().to_vec();
    change(&mut bytes);
    files.put(path, bytes).unwrap();
    relisted(files)
}

/// Both verifiers say the same; the check fails, and its first finding is there.
#[track_caller]
pub(super) fn check_found(
    pack: &Files,
    previous: Option<&Files>,
    check: Check,
    file: &str,
    index: Option<u64>,
) {
    let against = Against {
        previous,
        ..Against::default()
    };
    let verdict = verify(pack, &against);
    let checked = verdict.of(check).unwrap();
    assert_eq!(checked.state, State::Failed, "{check:?}");
    let first = &checked.findings[0];
    assert_eq!(
        (first.file.as_str(), first.index),
        (file, index),
        "{first:?}"
    );
    let (told, code) = python::verify(pack, previous);
    assert_eq!(told, python::said(&verdict));
    assert_eq!(code, i32::from(verdict.code()));
}

fn checkpoint(size: u64) -> String {
    format!("checkpoints/{size:020}")
}

#[test]
fn r1_same_ledger_same_bytes() {
    let pack = honest().pack("2026Q4").unwrap();
    assert_eq!(pack, honest().pack("2026Q4").unwrap());
    let again = Log::new(EVENTS + 1, CHECKPOINTS).pack("2026Q4").unwrap();
    assert_ne!(pack, again);
}

#[test]
fn r1_python_agrees() {
    let log = honest();
    let (third, fourth) = (log.pack("2026Q3").unwrap(), log.pack("2026Q4").unwrap());
    for (pack, previous) in [(&third, None), (&fourth, None), (&fourth, Some(&third))] {
        let against = Against {
            previous,
            ..Against::default()
        };
        let verdict = verify(pack, &against);
        assert_eq!(verdict.code(), 0, "{verdict:?}");
        let not_run = verdict
            .0
            .iter()
            .filter(|one| matches!(one.state, State::NotRun(_)));
        assert_eq!(not_run.count(), if previous.is_some() { 3 } else { 4 });
        assert_eq!(python::verify(pack, previous), (python::said(&verdict), 0));
    }
}

#[test]
fn r1_alter_drop_reorder_fork_located_by_files() {
    let pack = honest().pack("2026Q3").unwrap();
    let line = |bytes: &[u8], index: usize| -> usize {
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        ends.map(|(at, _)| at + 1).nth(index - 1).unwrap()
    };
    // A payload says something else.
    let altered = with(&pack, "log/payloads", |bytes| {
        let at = line(bytes, 3_210);
        let end = line(bytes, 3_211) - 3;
        assert_ne!(bytes[at], b'\n');
        bytes[end] ^= 1;
    });
    check_found(&altered, None, Check::Payloads, "log/payloads", Some(3_210));
    // A leaf says something else.
    let altered = with(&pack, "log/leaves", |bytes| {
        bytes[3_210 * LEAF_BYTES + 100] ^= 1
    });
    check_found(&altered, None, Check::Tree, "log/leaves", Some(3_210));
    // A leaf is gone.
    let dropped = with(&pack, "log/leaves", |bytes| {
        bytes.drain(1_234 * LEAF_BYTES..1_235 * LEAF_BYTES);
    });
    check_found(&dropped, None, Check::Order, "log/leaves", Some(1_234));
    // Two are in another order.
    let reordered = with(&pack, "log/leaves", |bytes| {
        let (a, b) = bytes[40 * LEAF_BYTES..42 * LEAF_BYTES].split_at_mut(LEAF_BYTES);
        a.swap_with_slice(b);
    });
    check_found(&reordered, None, Check::Order, "log/leaves", Some(40));
    // A file is another than the manifest lists.
    let mut damaged = pack.clone();
    damaged.put("tests/results.json", b"{}".to_vec()).unwrap();
    check_found(&damaged, None, Check::Files, "tests/results.json", None);
    // A file is gone, another is too much.
    let mut strange = pack.clone();
    strange.put("log/more", Vec::new()).unwrap();
    check_found(&relisted(strange), None, Check::Format, "log/more", None);
}

/// Whoever holds the log's key makes everything again, but has no witness.
#[test]
fn r1_alter_drop_reorder_fork_located_against_the_signer() {
    let every = EVENTS / CHECKPOINTS;
    let original = honest().pack("2026Q3").unwrap();
    let tampered = |change: &dyn Fn(&mut Log)| {
        let mut log = honest();
        change(&mut log);
        let renewed = log.pack("2026Q3").unwrap();
        // With the checkpoints as they were cosigned, the tree tells where.
        let mut mixed = renewed;
        for (path, bytes) in original
            .iter()
            .filter(|(path, _)| path.starts_with("checkpoints/"))
        {
            mixed.put(path, bytes.to_vec()).unwrap();
        }
        relisted(mixed)
    };
    let altered = tampered(&|log| log.say(3_210, &Json::object([("gate", "score".into())])));
    check_found(
        &altered,
        None,
        Check::Tree,
        &checkpoint(3_210 / every * every + every),
        Some(3_210 / every * every),
    );
    let dropped = tampered(&|log| {
        log.entries.remove(1_234);
        let last = log.entries.last().unwrap().clone();
        log.entries.push(last);
        log.renumber();
        let id = log.entries.len() - 1;
        log.entries[id].leaf[31] ^= 0x55;
    });
    check_found(&dropped, None, Check::Tree, &checkpoint(1_300), Some(1_200));
    let reordered = tampered(&|log| {
        let (a, b) = (log.entries[40].leaf, log.entries[41].leaf);
        let bodies = (log.entries[40].body.clone(), log.entries[41].body.clone());
        (log.entries[40].leaf, log.entries[41].leaf) = (b, a);
        (log.entries[41].body, log.entries[40].body) = bodies;
        log.renumber();
    });
    check_found(&reordered, None, Check::Tree, &checkpoint(100), Some(0));
    // With checkpoints of its own it has no quorum.
    let mut alone = honest();
    alone.say(3_210, &Json::object([("gate", "score".into())]));
    alone.cosigning = 2;
    let alone = alone.pack("2026Q3").unwrap();
    let end = alone
        .iter()
        .filter(|(path, _)| path.starts_with("checkpoints/"))
        .last()
        .unwrap()
        .0
        .to_owned();
    let size = end
        .trim_start_matches("checkpoints/")
        .trim_start_matches('0')
        .parse()
        .unwrap();
    check_found(&alone, None, Check::Witnesses, &end, Some(size));
}

/// Even with all witnesses, the pack before tells.
#[test]
fn r1_alter_drop_reorder_fork_located_against_the_pack_before() {
    let log = honest();
    let (third, fourth) = (log.pack("2026Q3").unwrap(), log.pack("2026Q4").unwrap());
    let first = 5_000;
    assert!(fourth.get(&checkpoint(first)).is_some());
    let mut forked = honest();
    forked.say(1_000, &Json::object([("gate", "score".into())]));
    let forked = forked.pack("2026Q4").unwrap();
    check_found(
        &forked,
        Some(&third),
        Check::Previous,
        &checkpoint(first),
        Some(first),
    );
    // The same quarter again, from another history: the entry itself.
    let mut other = honest();
    other.say(1_000, &Json::object([("gate", "score".into())]));
    let other = other.pack("2026Q3").unwrap();
    let against = Against {
        previous: Some(&third),
        ..Against::default()
    };
    let verdict = verify(&other, &against);
    let places = &verdict.of(Check::Previous).unwrap().findings;
    assert!(
        places
            .iter()
            .any(|one| one.index == Some(1_100) && one.file.starts_with("checkpoints/"))
    );
    assert_eq!(
        python::verify(&other, Some(&third)).0,
        python::said(&verdict)
    );
    // An older pack in place of a newer one.
    check_found(&third, Some(&fourth), Check::Previous, "report.json", None);
    check_found(&third, Some(&third), Check::Previous, "report.json", None);
}

#[test]
fn an_event_that_is_replayed_is_found() {
    let mut log = honest();
    let (leaf, body) = (log.entries[77].leaf, log.entries[77].body.clone());
    let at = log.entries[2_000].leaf[32..40].to_vec();
    log.entries[2_000].leaf = leaf;
    log.entries[2_000].leaf[32..40].copy_from_slice(&at);
    log.entries[2_000].body = body;
    log.renumber();
    check_found(
        &log.pack("2026Q3").unwrap(),
        None,
        Check::Order,
        "log/leaves",
        Some(2_000),
    );
}

#[test]
fn a_clock_that_was_set_back_is_found() {
    let mut log = honest();
    let early = log.entries[5].leaf[32..40].to_vec();
    log.entries[900].leaf[32..40].copy_from_slice(&early);
    check_found(
        &log.pack("2026Q3").unwrap(),
        None,
        Check::Order,
        "log/leaves",
        Some(900),
    );
}

#[test]
fn figures_that_were_made_smaller_are_found() {
    let pack = honest().pack("2026Q4").unwrap();
    let lower = |path: &str, from: &str, to: &str| {
        with(&pack, path, |bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            assert!(text.contains(from));
            *bytes = text.replacen(from, to, 1).into_bytes();
        })
    };
    let eps = lower("report.json", "\"eps_micro\":", "\"eps_micro\":1");
    check_found(&eps, None, Check::Budget, "report.json", None);
    let spend = lower("budget/spends", "\"times\":2", "\"times\":1");
    let index = String::from_utf8(pack.get("budget/spends").unwrap().to_vec()).unwrap();
    let index = index
        .lines()
        .find(|line| line.contains("\"times\":2"))
        .unwrap();
    let index = index.split(' ').next().unwrap().parse().unwrap();
    check_found(&spend, None, Check::Budget, "budget/spends", Some(index));
    let counts = lower(
        "report.json",
        "\"policy.decision\":",
        "\"policy.decision\":1",
    );
    check_found(&counts, None, Check::Report, "report.json", None);
    let page = lower("report.html", "evidence present", "evidence overwhelming");
    check_found(&page, None, Check::Report, "report.html", None);
    let words = lower("VERIFY.md", "--policy KEYS", "--json");
    check_found(&words, None, Check::Report, "VERIFY.md", None);
}

#[test]
fn a_spend_whose_payload_was_erased_is_found() {
    let mut log = honest();
    log.entries[17].body = Body::Erased;
    let error = log.pack("2026Q3").unwrap_err();
    assert!(
        error.to_string().contains("a spend without payload"),
        "{error}"
    );
}

#[test]
fn rules_that_nobody_has_are_found() {
    let mut log = honest();
    log.entries[1_600].leaf[50] ^= 1;
    check_found(
        &log.pack("2026Q3").unwrap(),
        None,
        Check::Policy,
        "log/leaves",
        Some(1_600),
    );
    let pack = honest().pack("2026Q3").unwrap();
    let text = pack
        .iter()
        .map(|(path, _)| path)
        .find(|path| path.ends_with(".toml"))
        .unwrap()
        .to_owned();
    let other = with(&pack, &text, |bytes| bytes.push(b'#'));
    check_found(&other, None, Check::Policy, &text, None);
}

#[test]
fn entries_about_persons_and_unknown_kinds_are_found() {
    let mut log = honest();
    log.entries[30].leaf[43] = 1;
    log.entries[31].leaf[4] = 0x7f;
    let pack = log.pack("2026Q3").unwrap();
    check_found(&pack, None, Check::PersonalData, "log/leaves", Some(30));
    check_found(&pack, None, Check::Kinds, "log/leaves", Some(30));
}

#[test]
fn a_sample_is_what_its_seed_chooses() {
    use aquifer_shared::domain::pack::{SAMPLE_FILE, open, sample};
    let pack = honest().pack("2026Q4").unwrap();
    let opened = open(&pack).unwrap();
    let chosen = sample(&opened, "dice 4 1 6", 25).unwrap();
    assert_ne!(chosen, sample(&opened, "dice 4 1 5", 25).unwrap());
    let mut with_sample = pack.clone();
    with_sample
        .put(SAMPLE_FILE, chosen.to_text().into_bytes())
        .unwrap();
    let verdict = verify(&with_sample, &Against::default());
    assert_eq!(verdict.of(Check::Sample).unwrap().state, State::Passed);
    assert_eq!(
        python::verify(&with_sample, None),
        (python::said(&verdict), 0)
    );
    let other = chosen.to_text().replace("dice 4 1 6", "dice 4 1 7");
    with_sample.put(SAMPLE_FILE, other.into_bytes()).unwrap();
    check_found(&with_sample, None, Check::Sample, SAMPLE_FILE, None);
}

#[test]
fn entries_of_a_pack_are_proved_one_by_one() {
    use aquifer_shared::domain::pack::{open, read_proof};
    use aquifer_shared::domain::tlog::{Checkpoint, SignedNote, leaf_hash, verify_inclusion};
    let log = honest();
    let pack = open(&log.pack("2026Q4").unwrap()).unwrap();
    for index in [17, 5_000, 5_001, 7_777, 9_999] {
        let text = pack.prove(index).unwrap();
        let (own, proof, note) = read_proof(&text).unwrap();
        let checkpoint = Checkpoint::parse(&SignedNote::parse(note).unwrap().text).unwrap();
        let leaf = leaf_hash(&log.entries[index as usize].leaf);
        assert_eq!(
            verify_inclusion(&leaf, (own, checkpoint.size), &proof, &checkpoint.root),
            Ok(())
        );
    }
    assert_eq!(pack.prove(16), None);
    assert_eq!(pack.prove(10_000), None);
}

#[test]
fn a_quarter_without_a_checkpoint_has_no_pack() {
    let log = Log::new(100, 4);
    for quarter in ["2026Q1", "2027Q1"] {
        assert!(log.pack(quarter).is_err(), "{quarter}");
    }
}
