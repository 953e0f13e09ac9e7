//! One officer, two, a broken glass, records that were put back: what of it puts another policy of the coordinator in force.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use aquifer_shared::base::limits::GLASS_STEP_MS;
use aquifer_shared::domain::history::{Json, Kind};
use aquifer_shared::domain::law::change::{Accepted, OVERRIDE_MS, change_digest, change_of};
use aquifer_shared::protocol::witness::coordinator_origin;
use aquifer_shared::shell::at_rest::DatabaseKey;
use aquifer_shared::shell::history::{LogSigner, Place};
use aquifer_shared::shell::keys::Identity;
use aquifer_shared::shell::policy_record::{self, PolicyFault};
use aquifer_shared::shell::policy_text;
use aquifer_shared::shell::signed::line;
use tempfile::TempDir;

use super::*;

const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// A coordinator's files with three officers.
struct Site {
    folder: TempDir,
    history: History,
    officers: [Identity; 3],
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = Identity::generate().unwrap();
        let place = Place {
            folder: folder.path().join("history"),
            mark: folder.path().join("history.checkpoint"),
            takes_persons: false,
            key: DatabaseKey::new([7; 32]),
        };
        let signer = LogSigner::new(coordinator_origin(&key.public()), key);
        let history = History::open(place, signer, || NOW).await.unwrap();
        let officers = [(); 3].map(|()| Identity::generate().unwrap());
        let site = Self {
            folder,
            history,
            officers,
        };
        site.says(1, 3);
        site
    }

    /// Writes coordinator.toml with a setting, and the first of the officers.
    fn says(&self, days: u32, officers: usize) {
        let keys = self.officers[..officers].iter();
        let keys: Vec<String> = keys.map(|own| own.public().to_string()).collect();
        let text = format!("certificate_days = {days}\n[law]\nofficers = {keys:?}\n");
        fs::write(self.folder.path().join(CONFIG), text).unwrap();
    }

    fn written(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join(CONFIG)).unwrap();
        let table: toml::Table = toml::from_str(&text).unwrap();
        let keys = table["law"]["officers"].as_array().unwrap().iter();
        keys.map(|key| key.as_str().unwrap().to_owned()).collect()
    }

    /// A start.
    async fn starts(&self, reason: Option<&str>, now: Timestamp) -> anyhow::Result<()> {
        self.term(reason, now).await?;
        Ok(())
    }

    /// A start, and how long what it runs under is in force.
    async fn term(&self, reason: Option<&str>, now: Timestamp) -> anyhow::Result<Term> {
        let (path, officers) = (self.folder.path(), self.written());
        let text = Written::new(&fs::read_to_string(path.join(CONFIG))?);
        let standing = |known| standing((path, &text), &Gates::undeclared(), &officers, known);
        let (_, term) = hold(standing, &self.history, (reason, now)).await?;
        Ok(term)
    }

    fn record(&self) -> std::path::PathBuf {
        self.folder.path().join("policy.accepted")
    }

    /// A line for the change from what was accepted to what is written.
    fn signs(&self, signer: &Identity) {
        let text = fs::read_to_string(self.folder.path().join(CONFIG)).unwrap();
        let digest = policy_text::digest(&text, &PLACES, Hash32::default()).unwrap();
        let accepted = policy_record::accepted(self.folder.path()).unwrap();
        self.signs_from(signer, accepted.as_ref(), &digest);
    }

    /// A line for a change of what the history knows, where the record is gone.
    async fn signs_lost(&self, signer: &Identity) {
        let known = Known::of(&self.history).await.unwrap();
        let (path, officers) = (self.folder.path(), self.written());
        let text = Written::new(&fs::read_to_string(path.join(CONFIG)).unwrap());
        let standing = standing((path, &text), &Gates::undeclared(), &officers, known).unwrap();
        self.puts(signer, &standing.change());
    }

    fn signs_from(&self, signer: &Identity, before: Option<&Accepted>, digest: &Hash32) {
        self.puts(signer, &change_of(before, digest));
    }

    fn puts(&self, signer: &Identity, change: &Hash32) {
        let change = change_digest(change);
        let path = self.folder.path().join("policy.signed");
        let mut file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.as_mut().unwrap();
        file.write_all(line(signer, &change).as_bytes()).unwrap();
    }

    #[track_caller]
    fn refused(ended: anyhow::Result<()>, expected: &str) {
        let fault = ended.unwrap_err();
        assert!(fault.is::<PolicyFault>(), "{fault:#}");
        let text = fault.to_string();
        for part in [expected, "aquifer-coordinator policy status"] {
            assert!(text.contains(part), "{text}");
        }
        // Not where it was broken already.
        let again = text.contains("--break-glass");
        assert_eq!(again, expected != "run out", "{text}");
    }

    /// Kinds and payloads of the history.
    async fn told(&self) -> Vec<(Kind, Json)> {
        let size = self.history.settled().await.unwrap().size;
        let entries = self.history.read(0..size).await.unwrap();
        let each = entries.into_iter().map(|entry| {
            let (_, payload) = entry.opening.unwrap();
            (entry.leaf.kind, Json::parse(&payload).unwrap())
        });
        each.collect()
    }
}

/// Who signs a change of the coordinator's policy (officers by number, and somebody who is none), and why it is not in force.
#[track_caller]
fn check_signed(signers: &[usize], expected: Option<&str>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (ended, told) = runtime.block_on(async {
        let site = Site::new().await;
        site.starts(None, NOW).await.unwrap();
        site.starts(None, NOW).await.unwrap();
        assert!(site.told().await.is_empty(), "the first is taken as it is");
        site.says(2, 3);
        let stranger = Identity::generate().unwrap();
        for number in signers {
            site.signs(site.officers.get(*number).unwrap_or(&stranger));
        }
        let ended = site.starts(None, NOW).await;
        if ended.is_ok() {
            site.starts(None, NOW).await.unwrap();
        }
        (ended, site.told().await)
    });
    match expected {
        Some(expected) => {
            Site::refused(ended, expected);
            assert!(told.is_empty());
        }
        None => {
            ended.unwrap();
            assert_eq!(told.len(), 1, "once: {told:?}");
            assert_eq!(told[0].0, Kind::PackChanged);
            let Some(Json::List(named)) = told[0].1.get("signers") else {
                panic!("{told:?}");
            };
            assert!(named.len() >= 2, "{told:?}");
        }
    }
}

#[test]
fn s1_a_change_of_the_coordinators_policy_needs_two_of_its_officers() {
    const STRANGER: usize = 9;
    check_signed(&[], Some("0 of its officers"));
    check_signed(&[1], Some("1 of its officers"));
    check_signed(&[1, 1, 1], Some("1 of its officers"));
    check_signed(&[STRANGER, STRANGER], Some("0 of its officers"));
    check_signed(&[0, STRANGER], Some("1 of its officers"));
    check_signed(&[0, 2], None);
    check_signed(&[0, 1, 2], None);
}

#[tokio::test]
async fn s1_one_officer_cannot_become_all_of_them() {
    let site = Site::new().await;
    site.starts(None, NOW).await.unwrap();
    // Without officers, one person could change everything.
    site.says(1, 0);
    site.signs(&site.officers[1]);
    Site::refused(site.starts(None, NOW).await, "1 of its officers");
    fs::remove_file(site.folder.path().join("policy.accepted")).unwrap();
    Site::refused(site.starts(None, NOW).await, "missing");
}

#[tokio::test]
async fn s1_a_broken_glass_is_in_the_coordinators_history_and_runs_out() {
    let site = Site::new().await;
    site.starts(None, NOW).await.unwrap();
    site.says(2, 3);
    site.starts(Some("the store burns"), NOW).await.unwrap();
    let told = site.told().await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, Kind::OverrideGranted);
    let reason = told[0].1.get("reason").and_then(Json::as_text);
    assert_eq!(reason, Some("the store burns"));
    let late = NOW.after_ms(OVERRIDE_MS);
    site.starts(None, late).await.unwrap();
    Site::refused(site.starts(None, late.after_ms(1)).await, "run out");
}

#[tokio::test]
async fn s1_where_the_coordinator_listens_is_for_one_person() {
    let site = Site::new().await;
    site.starts(None, NOW).await.unwrap();
    let path = site.folder.path().join(CONFIG);
    let text = fs::read_to_string(&path).unwrap();
    let places = "listen = \"127.0.0.1:1\"\nstore = \"sqlite://other.sqlite\"\n";
    fs::write(&path, format!("{places}{text}")).unwrap();
    site.starts(None, NOW).await.unwrap();
    fs::write(&path, format!("{places}{text}places = [\"DE\"]\n")).unwrap();
    Site::refused(site.starts(None, NOW).await, "0 of its officers");
}

/// Somebody changes the record of three officers, and starts the coordinator; why it is refused, if it is.
async fn check_record(edit: impl FnOnce(&std::path::Path), expected: Option<&str>) {
    let site = Site::new().await;
    site.starts(None, NOW).await.unwrap();
    edit(&site.record());
    let ended = site.starts(None, NOW).await;
    match expected {
        Some(expected) => Site::refused(ended, expected),
        None => ended.unwrap(),
    }
}

/// The record with another value.
fn changed(path: &std::path::Path, key: &str, value: serde_json::Value) {
    let text = fs::read_to_string(path).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    record[key] = value;
    fs::write(path, record.to_string()).unwrap();
}

#[tokio::test]
async fn s1_a_record_that_the_history_does_not_know_counts_for_nothing() {
    let json = |text: &str| serde_json::from_str(text).unwrap();
    let gone = "not the one that the history knows";
    check_record(|_| {}, None).await;
    check_record(|path| fs::remove_file(path).unwrap(), Some(gone)).await;
    check_record(|path| changed(path, "officers", json("[]")), Some(gone)).await;
    check_record(|path| changed(path, "at", json("9")), Some(gone)).await;
    let later = json("1890000000000");
    check_record(|path| changed(path, "at", later), Some(gone)).await;
    let digest = serde_json::to_value(Hash32([9; 32])).unwrap();
    let own = serde_json::json!({"digest": digest, "reason": "none", "at": 1});
    let overridden = serde_json::json!([own]);
    check_record(|path| changed(path, "overrides", overridden), Some(gone)).await;
}

#[tokio::test]
async fn s1_an_old_record_gives_no_officer_back() {
    let site = Site::new().await;
    site.starts(None, NOW).await.unwrap();
    let old = fs::read(site.record()).unwrap();
    // The first two, then the first alone with the second gone, sign what comes next.
    site.says(1, 2);
    site.signs(&site.officers[1]);
    site.signs(&site.officers[2]);
    site.starts(None, NOW).await.unwrap();
    let second = fs::read(site.record()).unwrap();
    let text = String::from_utf8(second.clone()).unwrap();
    assert!(
        text.contains("lines"),
        "signatures stay in the record: {text}"
    );
    site.says(2, 2);
    site.signs(&site.officers[0]);
    site.signs(&site.officers[1]);
    site.starts(None, NOW).await.unwrap();
    // Back to where the third was an officer: they sign with the first, and it counts for nothing.
    fs::write(site.record(), &old).unwrap();
    site.says(3, 3);
    site.signs(&site.officers[2]);
    site.signs(&site.officers[0]);
    Site::refused(site.starts(None, NOW).await, "not the one");
    // What a crash between history and file leaves is the record before: the history's counts.
    fs::write(site.record(), &second).unwrap();
    Site::refused(site.starts(None, NOW).await, "0 of its officers");
}

#[tokio::test]
async fn s1_two_officers_mend_a_lost_record() {
    let site = Site::new().await;
    site.starts(None, NOW).await.unwrap();
    fs::remove_file(site.record()).unwrap();
    site.signs_lost(&site.officers[0]).await;
    Site::refused(site.starts(None, NOW).await, "missing");
    site.signs_lost(&site.officers[1]).await;
    site.starts(None, NOW).await.unwrap();
    site.starts(None, NOW).await.unwrap();
    let told = site.told().await;
    assert_eq!((told.len(), told[0].0), (1, Kind::PackChanged));
}

#[tokio::test]
async fn s1_a_lost_record_and_a_broken_glass_are_no_change_for_good() {
    let site = Site::new().await;
    site.starts(None, NOW).await.unwrap();
    site.says(2, 0);
    fs::remove_file(site.record()).unwrap();
    let term = site.term(Some("the disk is gone"), NOW).await.unwrap();
    assert!(term.ends());
    let end = NOW.after_ms(OVERRIDE_MS);
    assert!(term.check(end).is_ok());
    assert!(term.check(end.after_ms(1)).is_err(), "while it runs");
    let told = site.told().await;
    assert_eq!((told.len(), told[0].0), (1, Kind::OverrideGranted));
    let late = end.after_ms(1);
    Site::refused(site.starts(None, late).await, "run out");
    Site::refused(site.starts(Some("again"), late).await, "run out");
    // The officers of before sign the next change.
    site.says(3, 3);
    site.signs(&site.officers[1]);
    site.signs(&site.officers[2]);
    site.starts(None, late).await.unwrap();
}

#[tokio::test]
async fn s1_a_glass_is_broken_once_and_a_clock_brings_no_day_back() {
    let site = Site::new().await;
    site.starts(None, NOW).await.unwrap();
    site.says(2, 3);
    // The clock of the day is a month ahead of the history's.
    let broken = NOW.after_ms(30 * OVERRIDE_MS);
    assert!(site.term(Some("fire"), broken).await.unwrap().ends());
    // Started again with the reason: the same day.
    // As long as this test may take on a busy machine: the day is counted by the time that programs run as well.
    let within = broken.after_ms(OVERRIDE_MS - 600_000);
    let term = site.term(Some("fire"), within).await.unwrap();
    assert!(term.check(broken.after_ms(OVERRIDE_MS)).is_ok());
    assert!(term.check(broken.after_ms(OVERRIDE_MS + 1)).is_err());
    assert_eq!(site.told().await.len(), 1);
    // The history knows for how long a program ran under it, whatever the clock says.
    for _ in 2..OVERRIDE_MS / GLASS_STEP_MS {
        site.starts(None, within).await.unwrap();
    }
    Site::refused(site.starts(None, within).await, "run out");
    // A clock that is set back before what the history has: the day counts from there.
    site.says(4, 3);
    let term = site.term(Some("flood"), Timestamp(5)).await.unwrap();
    assert!(term.check(NOW).is_ok());
    let end = NOW.after_ms(OVERRIDE_MS + 1);
    assert!(term.check(end).is_err());
}

#[test]
fn an_officer_is_named_once() {
    let key = Identity::generate().unwrap().public();
    let text = |keys: &[String]| {
        format!(
            "address = \"a:1\"\naddress_join = \"a:2\"\n[law]\ncontroller = \"DE\"\nplaces = [\"DE\"]\n\
             purposes = \"p\"\ncategories = []\nofficers = {keys:?}\n"
        )
    };
    let own = key.to_string();
    let parsed = super::super::config::Config::parse;
    assert!(parsed(&text(std::slice::from_ref(&own))).is_ok());
    let twice = parsed(&text(&[own.clone(), own])).unwrap_err();
    assert!(twice.to_string().contains("named twice"), "{twice}");
}

#[tokio::test]
async fn s1_what_is_digested_is_what_was_read() {
    let site = Site::new().await;
    let officers = site.written();
    let path = site.folder.path();
    let text = Written::new(&fs::read_to_string(path.join(CONFIG)).unwrap());
    // Exchanged after it was read.
    site.says(9, 0);
    let read = standing(
        (path, &text),
        &Gates::undeclared(),
        &officers,
        Known::default(),
    )
    .unwrap();
    site.says(1, 3);
    let now = Written::new(&fs::read_to_string(path.join(CONFIG)).unwrap());
    let same = standing(
        (path, &now),
        &Gates::undeclared(),
        &officers,
        Known::default(),
    )
    .unwrap();
    assert_eq!(read.change(), same.change());
}
