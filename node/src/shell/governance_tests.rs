//! A node's policy beside a history: records that are gone, glasses that run out, and what the history hears first.

use std::fs;

use aquifer_shared::base::limits::GLASS_STEP_MS;
use aquifer_shared::domain::law::change::OVERRIDE_MS;
use aquifer_shared::protocol::witness::node_origin;
use aquifer_shared::shell::at_rest::DatabaseKey;
use aquifer_shared::shell::history::{LogSigner, Place};
use aquifer_shared::shell::keys::Identity;
use aquifer_shared::shell::policy_record::PolicyFault;
use aquifer_shared::shell::signed::line;
use tempfile::TempDir;

use super::*;
use crate::shell::history::enter_links;
use crate::shell::usage::tests::{World, study};

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
        self.history_in("history").await
    }

    /// A history that begins while this unit has a past.
    async fn begins_anew(&self) -> History {
        self.history_in("anew").await
    }

    async fn history_in(&self, name: &str) -> History {
        let key = Identity::generate().unwrap();
        let place = Place {
            folder: self.elsewhere.path().join(name),
            mark: self.elsewhere.path().join(format!("{name}.mark")),
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

/// Scores are asked for where the history is gone, and one file is left of what was.
#[track_caller]
fn check_left(file: &str) {
    let unit = Unit::new();
    let (directory, config) = (unit.folder.path(), unit.config());
    fs::write(directory.join(file), "").unwrap();
    refused(stands(directory, (&config, None), NOW), "missing");
}

#[test]
fn s1_a_history_that_was_moved_away_gives_no_policy() {
    for file in ["usage.db", "consent.db", "history.checkpoint", RECORD] {
        check_left(file);
    }
    // A record that somebody has written, whose signers are nobody.
    let unit = Unit::new();
    let (directory, config) = (unit.folder.path(), unit.config());
    let record = Accepted {
        digest: digest(&config, None).unwrap(),
        officers: Vec::new(),
        at: NOW,
        signers: Vec::new(),
        signed: None,
        overrides: Vec::new(),
        exceptions: Vec::new(),
    };
    fs::write(directory.join(RECORD), serde_json::to_vec(&record).unwrap()).unwrap();
    refused(stands(directory, (&config, None), NOW), "missing");
}

/// Entries of a ledger with a study.
fn of_a_ledger() -> Vec<Vec<u8>> {
    let mut world = World::new();
    world.accept(&study(1, "a"));
    world.links.clone()
}

#[tokio::test]
async fn s1_a_history_that_begins_beside_a_ledger_takes_a_glass() {
    let unit = Unit::new();
    let history = unit.history().await;
    unit.starts(&history, None, NOW).await.unwrap();
    // Another history begins, beside the record and a ledger with an entry.
    let begun = unit.begins_anew().await;
    let links = tokio::task::spawn_blocking(of_a_ledger).await.unwrap();
    enter_links(&begun, &links).await.unwrap();
    for _ in 0..2 {
        refused(unit.starts(&begun, None, NOW).await, "does not know it");
    }
    let broken = unit.starts(&begun, Some("the disk is gone"), NOW).await;
    assert!(broken.unwrap().term.ends(), "for a day");
    // The history that knows the policy knows its ledger, too.
    enter_links(&history, &links).await.unwrap();
    unit.loses_record();
    refused(unit.starts(&history, None, NOW).await, "missing");
}

#[tokio::test]
async fn s1_a_record_that_cannot_be_read_is_lost() {
    let unit = Unit::new();
    let history = unit.history().await;
    unit.starts(&history, None, NOW).await.unwrap();
    let long = "x".repeat(2 << 20);
    for text in ["", "{\"digest\"", "\u{0}", long.as_str()] {
        fs::write(unit.folder.path().join(RECORD), text).unwrap();
        refused(unit.starts(&history, None, NOW).await, "newest copy");
    }
    unit.both_sign(&history).await;
    unit.starts(&history, None, NOW).await.unwrap();
    let accepted = policy_record::accepted(unit.folder.path()).unwrap();
    assert_eq!(accepted.unwrap().signers.len(), 2, "it is whole again");
}

/// A glass is broken by a clock that stands still, and the node starts and ends again and again: how often it starts, up to a limit.
async fn starts_until_refused(ends: bool, limit: u64) -> u64 {
    let unit = Unit::new();
    let history = unit.history().await;
    unit.starts(&history, None, NOW).await.unwrap();
    unit.says(2);
    let mut held = unit.starts(&history, Some("fire"), NOW).await;
    for number in 1..=limit {
        let running = match held {
            Ok(running) => running,
            over => {
                refused(over, "run out");
                return number - 1;
            }
        };
        running.term.check(NOW).unwrap();
        if ends {
            running.term.end(&history).await;
        }
        held = unit.starts(&history, None, NOW).await;
    }
    limit
}

#[tokio::test]
async fn s1_a_clock_that_stands_still_makes_no_broken_glass_last() {
    // Killed each time: each start costs what is charged ahead.
    let most = OVERRIDE_MS / GLASS_STEP_MS;
    assert_eq!(starts_until_refused(false, most + 9).await, most);
    // Ended in order, a moment after it began.
    assert_eq!(starts_until_refused(true, most + 9).await, most + 9);
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
async fn s1_a_running_node_takes_no_other_policy() {
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
    // The history hears of it at the next start.
    unit.both_sign(&history).await;
    refused(stands(), "start aquifer-node again");
    unit.says(1);
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
