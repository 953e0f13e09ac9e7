//! One officer, two, a broken glass, records that were put back: what of it puts another policy of the coordinator in force.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use aquifer_shared::domain::history::{Json, Kind};
use aquifer_shared::domain::law::change::{OVERRIDE_MS, change_digest, change_of};
use aquifer_shared::protocol::witness::coordinator_origin;
use aquifer_shared::shell::at_rest::DatabaseKey;
use aquifer_shared::shell::history::{LogSigner, Place};
use aquifer_shared::shell::keys::Identity;
use aquifer_shared::shell::policy_record::PolicyFault;
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
        let (path, officers) = (self.folder.path(), self.written());
        let standing = |kept: Option<&str>| standing(path, &Gates::undeclared(), &officers, kept);
        hold(standing, &self.history, (reason, now)).await?;
        Ok(())
    }

    /// A line for the change from what was accepted to what is written.
    fn signs(&self, signer: &Identity) {
        let text = fs::read_to_string(self.folder.path().join(CONFIG)).unwrap();
        let digest = policy_record::digest(&text, &PLACES, Hash32::default()).unwrap();
        let accepted = policy_record::accepted(self.folder.path()).unwrap();
        let change = change_digest(&change_of(accepted.as_ref(), &digest));
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
        for part in [
            expected,
            "aquifer-coordinator policy status",
            "--break-glass",
        ] {
            assert!(text.contains(part), "{text}");
        }
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
