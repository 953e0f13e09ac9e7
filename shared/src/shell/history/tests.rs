//! What must hold on a real file system.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::*;
use crate::domain::history::{Json, Kind};
use crate::domain::tlog::{
    Checkpoint, SignedNote, leaf_hash, verify_consistency, verify_inclusion,
};
use crate::shell::at_rest::{Shape, open_sqlite};
use crate::shell::keys::Identity;

struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Identity::generate()
            .unwrap()
            .save(&folder.path().join("log.key"))
            .unwrap();
        Self { folder }
    }

    fn place(&self) -> Place {
        Place {
            folder: self.folder.path().join("history"),
            mark: self.folder.path().join("elsewhere/history.checkpoint"),
            takes_persons: true,
            key: DatabaseKey::new([7; 32]),
        }
    }

    fn signer(&self) -> LogSigner {
        let key = Identity::load(&self.folder.path().join("log.key")).unwrap();
        LogSigner::new("aquifer/test".to_owned(), key)
    }

    async fn open(&self) -> Result<History, HistoryFault> {
        History::open(self.place(), self.signer(), || NOW).await
    }
}

const NOW: Timestamp = Timestamp(1_790_000_000_000);

fn spent(urho: u64) -> Event {
    let payload = Json::object([("rho_micro", Json::from(urho))]);
    Event::of_program(Kind::BudgetSpent, payload)
}

fn many(count: u64) -> Vec<Event> {
    (0..count).map(spent).collect()
}

/// Closes a log: the file is closed when its task ends.
async fn closed(history: History) {
    let edge = history.edge();
    drop(history);
    while edge.has_changed().is_ok() {
        tokio::task::yield_now().await;
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

async fn check_proofs(history: &History) {
    let edge = *history.edge().borrow();
    let entries = history.read(0..edge.size).await.unwrap();
    assert_eq!(entries.len() as u64, edge.size);
    for index in [0, 1, edge.size / 2, edge.size - 1] {
        let proof = history.prove(index, edge.size).await.unwrap();
        let leaf = leaf_hash(&entries[index as usize].leaf.to_bytes());
        verify_inclusion(&leaf, (index, edge.size), &proof, &edge.root).unwrap();
    }
    for old in [0, 1, edge.size / 3, edge.size - 1, edge.size] {
        let root = history.root_at(old).await.unwrap();
        let proof = history.consistency(old, edge.size).await.unwrap();
        verify_consistency((old, &root), (edge.size, &edge.root), &proof).unwrap();
    }
    assert_eq!(history.verify().await.unwrap(), edge);
}

#[tokio::test]
async fn what_was_appended_is_proved_before_and_after_a_restart() {
    let home = Home::new();
    for (round, count) in [3, 252, 2, 700, 66_000].into_iter().enumerate() {
        let history = home.open().await.unwrap();
        let before = history.edge().borrow().size;
        let places = history.append(many(count)).await.unwrap();
        assert_eq!(places, (before..before + count).collect::<Vec<_>>());
        if round != 4 || cfg!(not(debug_assertions)) {
            check_proofs(&history).await;
        }
        closed(history).await;
    }
    let history = home.open().await.unwrap();
    check_proofs(&history).await;
}

#[tokio::test]
async fn a_checkpoint_is_a_signed_note_of_size_and_root() {
    let home = Home::new();
    let history = home.open().await.unwrap();
    history.append(many(5)).await.unwrap();
    let note = SignedNote::parse(&history.checkpoint().1).unwrap();
    note.verify("aquifer/test", &home.signer().public())
        .unwrap();
    let checkpoint = Checkpoint::parse(&note.text).unwrap();
    assert_eq!(
        (checkpoint.origin.as_str(), checkpoint.size),
        ("aquifer/test", 5)
    );
    assert_eq!(checkpoint.root, history.edge().borrow().root);
}

#[tokio::test]
async fn who_appends_at_once_is_written_together_and_gets_its_own_places() {
    let home = Home::new();
    let history = home.open().await.unwrap();
    let one = |urho| {
        let history = history.clone();
        tokio::spawn(async move { history.append(vec![spent(urho)]).await.unwrap()[0] })
    };
    let tasks: Vec<_> = (0..300).map(one).collect();
    let mut places = Vec::new();
    for task in tasks {
        places.push(task.await.unwrap());
    }
    let entries = history.read(0..300).await.unwrap();
    for (urho, place) in (0_u64..).zip(&places) {
        let (_, payload) = entries[*place as usize].opening.clone().unwrap();
        let json = Json::parse(&payload).unwrap();
        assert_eq!(json.get("rho_micro").unwrap().as_u64(), Some(urho));
    }
    places.sort_unstable();
    assert_eq!(places, (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_nobody_waits_for_is_written_soon_and_before_whoever_asks() {
    let home = Home::new();
    let history = home.open().await.unwrap();
    for number in 0..3 {
        history.note(None, spent(number)).await;
    }
    assert_eq!(history.settled().await.unwrap().size, 3);
    history.note(None, spent(3)).await;
    assert_eq!(history.read(0..9).await.unwrap().len(), 4);
    history.note(None, spent(4)).await;
    let mut edge = history.edge();
    edge.wait_for(|edge| edge.size == 5).await.unwrap();
    history.note(None, spent(5)).await;
    closed(history).await;
    let again = home.open().await.unwrap();
    assert_eq!(again.edge().borrow().size, 6);
}

#[tokio::test]
async fn what_is_said_twice_by_one_key_is_there_once() {
    let home = Home::new();
    let history = home.open().await.unwrap();
    let keyed = |key: &str| (key.to_owned(), spent(1));
    let first = history
        .append_once(vec![keyed("a"), keyed("b"), keyed("a")])
        .await
        .unwrap();
    assert_eq!(first, [0, 1, 0]);
    closed(history).await;
    let history = home.open().await.unwrap();
    let again = history
        .append_once(vec![keyed("b"), keyed("c")])
        .await
        .unwrap();
    assert_eq!(again, [1, 2]);
}

#[tokio::test]
async fn an_erased_payload_is_in_no_file_and_every_proof_still_holds() {
    let home = Home::new();
    let history = home.open().await.unwrap();
    let payload = Json::object([("subject", Json::from("CANARY-7f3a"))]);
    let event = Event::of_program(Kind::ConsentGiven, payload);
    history
        .append(vec![spent(1), event, spent(2)])
        .await
        .unwrap();
    history.append(many(500)).await.unwrap();
    history.erase(1).await.unwrap();
    check_proofs(&history).await;
    assert_eq!(history.read(1..2).await.unwrap()[0].opening, None);
    assert!(matches!(
        history.erase(900).await,
        Err(HistoryFault::Range { .. })
    ));
    closed(history).await;
    for entry in fs::read_dir(home.place().folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"CANARY"));
    }
    check_proofs(&home.open().await.unwrap()).await;
}

#[tokio::test]
async fn what_is_about_persons_does_not_enter_a_log_that_leaves_the_unit() {
    let home = Home::new();
    let place = Place {
        takes_persons: false,
        key: DatabaseKey::new([7; 32]),
        ..home.place()
    };
    let history = History::open(place, home.signer(), || NOW).await.unwrap();
    for kind in Kind::ALL
        .iter()
        .filter(|kind| kind.persons() == Persons::Some)
    {
        let event = Event::of_program(*kind, Json::object([]));
        let refused = history.append(vec![event]).await;
        assert!(
            matches!(refused, Err(HistoryFault::AboutPersons { .. })),
            "{kind}"
        );
    }
    assert_eq!(history.edge().borrow().size, 0);
}

#[tokio::test]
async fn a_second_opener_is_refused() {
    let home = Home::new();
    let first = home.open().await.unwrap();
    assert!(matches!(
        home.open().await,
        Err(HistoryFault::Database { .. })
    ));
    drop(first);
}

/// Fills a log, spoils it, and opens it again.
async fn reopened(spoil: impl FnOnce(&Home)) -> Result<History, HistoryFault> {
    let home = Home::new();
    let history = home.open().await.unwrap();
    history.append(many(300)).await.unwrap();
    closed(history).await;
    copy_all(&home.place().folder, &home.folder.path().join("backup"));
    let history = home.open().await.unwrap();
    history.append(many(300)).await.unwrap();
    closed(history).await;
    spoil(&home);
    home.open().await
}

#[tokio::test]
async fn a_restored_backup_is_refused() {
    let restored = reopened(|home| {
        let folder = home.place().folder;
        fs::remove_dir_all(&folder).unwrap();
        copy_all(&home.folder.path().join("backup"), &folder);
    });
    let fault = restored.await.unwrap_err();
    assert!(
        matches!(
            fault,
            HistoryFault::Short {
                found: 300,
                expected: 600,
                ..
            }
        ),
        "{fault}"
    );
    assert!(fault.is_refusal());
}

#[tokio::test]
async fn a_deleted_log_is_refused() {
    let deleted = reopened(|home| fs::remove_dir_all(home.place().folder).unwrap());
    let fault = deleted.await.unwrap_err();
    assert!(
        matches!(
            fault,
            HistoryFault::Short {
                found: 0,
                expected: 600,
                ..
            }
        ),
        "{fault}"
    );
}

#[tokio::test]
async fn a_deleted_mark_is_refused() {
    let deleted = reopened(|home| fs::remove_file(home.place().mark).unwrap());
    let fault = deleted.await.unwrap_err();
    assert!(
        matches!(fault, HistoryFault::NoMark { found: 600, .. }),
        "{fault}"
    );
}

#[tokio::test]
async fn a_mark_of_another_key_is_refused() {
    let fault = reopened(|home| {
        fs::remove_file(home.folder.path().join("log.key")).unwrap();
        let other = Identity::generate().unwrap();
        other.save(&home.folder.path().join("log.key")).unwrap();
    });
    let fault = fault.await.unwrap_err();
    assert!(matches!(fault, HistoryFault::OtherKey { .. }), "{fault}");
}

#[tokio::test]
async fn garbage_in_place_of_a_mark_is_refused_and_half_of_it_is_not() {
    let spoiled = |bytes: &'static [u8], at: usize| {
        reopened(move |home| {
            let mut mark = fs::read(home.place().mark).unwrap();
            mark[at..at + bytes.len()].copy_from_slice(bytes);
            fs::write(home.place().mark, mark).unwrap();
        })
    };
    assert!(spoiled(b"torn", 40).await.is_ok());
    assert!(spoiled(b"torn", 1_064).await.is_ok());
    let both = reopened(|home| fs::write(home.place().mark, [0; 2_048]).unwrap());
    assert!(matches!(both.await, Err(HistoryFault::BadMark { .. })));
}

async fn change(home: &Home, statement: &'static str) {
    use sqlx::Connection as _;
    let path = home.place().folder.join("history.sqlite");
    let wait = std::time::Duration::from_secs(60);
    let opened = open_sqlite(&path, &home.place().key, Shape::Log(wait)).await;
    let mut connection = opened.unwrap();
    sqlx::query(statement)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn cut_changed_and_dropped_entries_are_noticed() {
    for (statement, at_once) in [
        ("DELETE FROM entries WHERE seq >= 590", true),
        ("DELETE FROM entries WHERE seq = 595", true),
        (
            "UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE seq = 594) WHERE seq = 595",
            true,
        ),
        ("DELETE FROM entries WHERE seq = 77", false),
        (
            "UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE seq = 78) WHERE seq = 77",
            false,
        ),
        ("UPDATE entries SET payload = x'7b7d' WHERE seq = 77", false),
        (
            "UPDATE tiles SET hashes = (SELECT hashes FROM tiles WHERE id = 1) WHERE id = 0",
            true,
        ),
    ] {
        let home = Home::new();
        let history = home.open().await.unwrap();
        history.append(many(600)).await.unwrap();
        closed(history).await;
        change(&home, statement).await;
        match home.open().await {
            Err(_) => assert!(at_once, "{statement}"),
            Ok(history) => {
                assert!(!at_once, "{statement}");
                let fault = history.verify().await.unwrap_err();
                assert!(
                    matches!(fault, HistoryFault::Damaged { index: 77, .. }),
                    "{statement}: {fault}"
                );
            }
        }
    }
}

/// After every 512 bytes of what a commit writes to the disk.
#[tokio::test]
async fn r1_crash_at_every_write_leaves_a_valid_log() {
    let home = Home::new();
    let (folder, mark) = (home.place().folder, home.place().mark);
    let wal = folder.join("history.sqlite-wal");
    let history = home.open().await.unwrap();
    history.append(many(250)).await.unwrap();
    // Moved to the file, so that what follows is all in the journal.
    history.erase(0).await.unwrap();
    let mut crashed = 0;
    for count in [1, 5, 2, 300] {
        let (before, mark_before) = (*history.edge().borrow(), fs::read(&mark).unwrap());
        let from = fs::metadata(&wal).map_or(0, |wal| wal.len());
        history.append(many(count)).await.unwrap();
        let after = *history.edge().borrow();
        let whole = fs::read(&wal).unwrap();
        for end in (from..=whole.len() as u64).step_by(512) {
            let other = Home::new();
            copy_all(&folder, &other.place().folder);
            fs::copy(
                home.folder.path().join("log.key"),
                other.folder.path().join("log.key"),
            )
            .unwrap();
            fs::create_dir_all(other.place().mark.parent().unwrap()).unwrap();
            fs::write(other.place().mark, &mark_before).unwrap();
            let journal = other.place().folder.join("history.sqlite-wal");
            fs::write(journal, &whole[..end as usize]).unwrap();
            // What the journal's index in memory said is gone with the process.
            let _ = fs::remove_file(other.place().folder.join("history.sqlite-shm"));
            let reopened = other.open().await.unwrap();
            let found = *reopened.edge().borrow();
            assert!(
                found == before || found == after,
                "{count} at {end}: {found:?}"
            );
            assert_eq!(reopened.verify().await.unwrap(), found);
            let next = reopened.append(many(1)).await.unwrap();
            assert_eq!(next, [found.size]);
            closed(reopened).await;
            crashed += 1;
        }
    }
    assert!(crashed > 40, "{crashed}");
}

#[tokio::test]
async fn r1_tree_size_hides_consent_count() {
    let mut sizes = Vec::new();
    for counts in [[0, 0, 0], [1, 255, 17], [256, 3, 0]] {
        let home = Home::new();
        let history = home.open().await.unwrap();
        let mut seen = Vec::new();
        for count in counts {
            let consents = (0..count).map(|number: u64| {
                let payload = Json::object([("number", Json::from(number))]);
                Event::of_program(Kind::ConsentWithdrawn, payload)
            });
            history.append(consents.collect()).await.unwrap();
            let padded = history.publish_padded().await.unwrap();
            let note = SignedNote::parse(&padded.note).unwrap();
            seen.push(Checkpoint::parse(&note.text).unwrap().size);
            assert_eq!(history.published().await.unwrap(), Some(padded.note));
        }
        check_proofs(&history).await;
        sizes.push(seen);
    }
    assert_eq!(sizes, vec![vec![256, 512, 768]; 3]);
}

#[tokio::test]
async fn more_events_than_ever_double_the_leaves_of_a_period_and_that_is_recorded() {
    let home = Home::new();
    let history = home.open().await.unwrap();
    history.append(many(600)).await.unwrap();
    let padded = history.publish_padded().await.unwrap();
    assert_eq!((padded.edge.size, padded.quota), (1_024, 1_024));
    let pad = &history.read(600..601).await.unwrap()[0];
    assert_eq!(pad.leaf.kind, Kind::LogPad);
    let (_, payload) = pad.opening.clone().unwrap();
    assert_eq!(payload, b"{\"leaves_per_period\":1024}");
    closed(history).await;
    let history = home.open().await.unwrap();
    assert_eq!(history.publish_padded().await.unwrap().edge.size, 2_048);
}

static CLOCK: AtomicU64 = AtomicU64::new(NOW.0);

#[tokio::test]
async fn a_clock_set_back_by_a_year_does_not_set_back_the_log() {
    let home = Home::new();
    let clock = || Timestamp(CLOCK.load(Ordering::Relaxed));
    let open = || History::open(home.place(), home.signer(), clock);
    let history = open().await.unwrap();
    history.append(many(1)).await.unwrap();
    CLOCK.fetch_sub(365 * 86_400_000, Ordering::Relaxed);
    history.append(many(1)).await.unwrap();
    closed(history).await;
    let history = open().await.unwrap();
    history.append(many(1)).await.unwrap();
    let entries = history.read(0..3).await.unwrap();
    assert!(entries.iter().all(|entry| entry.leaf.recorded_at == NOW));
}

static DAYS: AtomicU64 = AtomicU64::new(NOW.0);

#[tokio::test]
async fn the_last_checkpoint_of_each_day_is_kept() {
    let (home, day_ms) = (Home::new(), 86_400_000);
    let clock = || Timestamp(DAYS.load(Ordering::Relaxed));
    let history = History::open(home.place(), home.signer(), clock);
    let history = history.await.unwrap();
    let mut notes = Vec::new();
    for later in [0, 0, 2 * day_ms] {
        DAYS.fetch_add(later, Ordering::Relaxed);
        notes.push(history.publish_padded().await.unwrap().note);
    }
    let first = NOW.0 / day_ms;
    let kept = history.published_in(first - 1..first + 3).await.unwrap();
    assert_eq!(kept, notes[1..]);
    let between = history.published_in(first + 1..first + 2).await.unwrap();
    assert!(between.is_empty());
}

#[tokio::test]
async fn tiles_are_those_of_c2sp() {
    let home = Home::new();
    let history = home.open().await.unwrap();
    history.append(many(600)).await.unwrap();
    let folder = home.folder.path().join("tiles");
    let edge = history.export(folder.clone()).await.unwrap();
    let length = |path: &str| fs::metadata(folder.join(path)).unwrap().len();
    assert_eq!(length("tile/0/000"), 8_192);
    assert_eq!(length("tile/0/002.p/88"), 88 * 32);
    assert_eq!(length("tile/1/000.p/2"), 64);
    assert_eq!(length("tile/entries/002.p/88"), 88 * 110);
    let note = fs::read_to_string(folder.join("checkpoint")).unwrap();
    assert!(note.contains("\n600\n") && edge.size == 600);
    assert!(history.export(folder).await.is_err());
}
