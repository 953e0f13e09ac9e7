//! A node's policy beside a history: records that are gone, glasses that run out, and what the history hears first.

use std::fs;

use aquifer_shared::domain::law::change::OVERRIDE_MS;
use aquifer_shared::protocol::witness::node_origin;
use aquifer_shared::shell::at_rest::DatabaseKey;
use aquifer_shared::shell::history::{LogSigner, Place};
use aquifer_shared::shell::keys::Identity;
use aquifer_shared::shell::policy_record::PolicyFault;
use aquifer_shared::shell::signed::line;
use tempfile::TempDir;

use super::*;

const NOW: Timestamp = Timestamp(1_790_000_000_000);
const SITE: IdentityKey = IdentityKey([7; 32]);
const RECORD: &str = "policy.accepted";

/// A node's files with two officers; its history elsewhere.
struct Unit {
    folder: TempDir,
    elsewhere: TempDir,
    officers: [Identity; 2],
}

impl Unit {
    fn new() -> Self {
        let unit = Self {
            folder: tempfile::tempdir().unwrap(),
            elsewhere: tempfile::tempdir().unwrap(),
            officers: [(); 2].map(|()| Identity::generate().unwrap()),
        };
        unit.says(1);
        unit
    }

    /// Another cap per year.
    fn says(&self, cap: u32) {
        let keys = self.officers.each_ref().map(|own| own.public().to_string());
        let text = format!(
            "[data]\ncontract = \"c\"\nquery = \"q\"\nbasis = \"b\"\ncustomers_max = 9\ntables = {{}}\n[ledger]\nwitness = \"w\"\n[policy]\n\
             rho_micro_per_contract = 1\nrho_micro_per_year = {cap}\npurposes = []\napprovers = []\nofficers = {keys:?}\n"
        );
        fs::write(self.folder.path().join(CONFIG_FILE), text).unwrap();
    }

    fn config(&self) -> NodeConfig {
        NodeConfig::load(self.folder.path()).unwrap()
    }

    async fn history(&self) -> History {
        let key = Identity::generate().unwrap();
        let place = Place {
            folder: self.elsewhere.path().join("history"),
            mark: self.elsewhere.path().join("mark"),
            takes_persons: true,
            key: DatabaseKey::new([7; 32]),
        };
        let signer = LogSigner::new(node_origin(&key.public()), key);
        History::open(place, signer, || NOW).await.unwrap()
    }

    /// A start.
    async fn starts(
        &self,
        history: &History,
        reason: Option<&str>,
        now: Timestamp,
    ) -> anyhow::Result<InForce> {
        let found = (reason, history, now);
        hold(
            self.folder.path(),
            (&self.config(), None),
            (&SITE, 0),
            found,
        )
        .await
    }

    async fn both_sign(&self, history: &History) {
        let known = Known::of(history).await.unwrap();
        let standing = standing(self.folder.path(), (&self.config(), None), known).unwrap();
        let change = aquifer_shared::domain::law::change::change_digest(&standing.change());
        let lines = self.officers.each_ref().map(|own| line(own, &change));
        fs::write(self.folder.path().join("policy.signed"), lines.concat()).unwrap();
    }

    fn loses_record(&self) {
        fs::remove_file(self.folder.path().join(RECORD)).unwrap();
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(ended: anyhow::Result<T>, expected: &str) {
    let fault = ended.unwrap_err();
    assert!(fault.is::<PolicyFault>(), "{fault:#}");
    assert!(fault.to_string().contains(expected), "{fault:#}");
}

#[test]
fn s1_a_missing_record_is_no_first_start_where_there_is_a_past() {
    let unit = Unit::new();
    let (directory, config) = (unit.folder.path(), unit.config());
    let stands = || stands(directory, (&config, None), NOW);
    assert!(stands().is_ok(), "nothing was ever started here");
    fs::write(config.ledger_path(directory), "").unwrap();
    refused(stands(), "missing");
}

#[tokio::test]
async fn s1_a_change_is_in_the_history_before_its_record_is_kept() {
    let unit = Unit::new();
    let history = unit.history().await;
    let first = unit.starts(&history, None, NOW).await.unwrap();
    assert!(!first.term.ends());
    unit.says(2);
    refused(unit.starts(&history, None, NOW).await, "0 of its officers");
    assert_eq!(history.checkpoint().0.size, 0);
    unit.both_sign(&history).await;
    let second = unit.starts(&history, None, NOW).await.unwrap();
    // Durable already: nothing is on its way.
    assert_eq!(history.checkpoint().0.size, 1);
    assert_eq!(second.accepted.signers.len(), 2);
    assert!(history.kept("policy").await.unwrap().is_some());
}

#[tokio::test]
async fn s1_a_lost_record_takes_two_officers_or_a_day() {
    let unit = Unit::new();
    let history = unit.history().await;
    unit.starts(&history, None, NOW).await.unwrap();
    unit.loses_record();
    refused(unit.starts(&history, None, NOW).await, "missing");
    unit.both_sign(&history).await;
    unit.starts(&history, None, NOW).await.unwrap();
    unit.loses_record();
    unit.says(99);
    let broken = unit.starts(&history, Some("a wider cap"), NOW).await;
    let term = broken.unwrap().term;
    let end = NOW.after_ms(OVERRIDE_MS);
    assert!(term.check(end).is_ok() && term.check(end.after_ms(1)).is_err());
    let late = end.after_ms(1);
    refused(unit.starts(&history, None, late).await, "run out");
    refused(unit.starts(&history, Some("again"), late).await, "run out");
}

#[tokio::test]
async fn s1_a_running_node_takes_signed_changes_alone() {
    let unit = Unit::new();
    let history = unit.history().await;
    let held = unit.starts(&history, None, NOW).await.unwrap();
    unit.loses_record();
    let stands = || {
        let config = unit.config();
        still_stands(unit.folder.path(), (&config, None), (&held.accepted, NOW))
    };
    assert!(stands().is_ok(), "nothing has changed");
    unit.says(2);
    refused(stands(), "0 of its officers");
    unit.both_sign(&history).await;
    assert!(stands().is_ok());
}

#[test]
fn s1_what_is_digested_is_what_was_read() {
    let unit = Unit::new();
    let read = unit.config();
    unit.says(2);
    let (one, two) = (digest(&read, None), digest(&unit.config(), None));
    assert_ne!(one.unwrap(), two.unwrap());
    unit.says(1);
    assert_eq!(
        digest(&read, None).unwrap(),
        digest(&unit.config(), None).unwrap()
    );
}

#[test]
fn an_officer_is_named_once() {
    let unit = Unit::new();
    let path = unit.folder.path().join(CONFIG_FILE);
    let [one, two] = unit.officers.each_ref().map(|own| own.public().to_string());
    let text = fs::read_to_string(&path).unwrap().replace(&two, &one);
    fs::write(&path, text).unwrap();
    let fault = NodeConfig::load(unit.folder.path()).unwrap_err();
    assert!(fault.to_string().contains("named twice"), "{fault}");
}
