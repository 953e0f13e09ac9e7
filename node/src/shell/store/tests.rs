//! What must hold on a real file system.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use aquifer_shared::base::ids::Hash32;

use super::*;
use crate::core::fixtures::{NOW, offer, rules, synthetic};
use crate::core::ledger::Payment;

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger.sqlite")
    }

    fn witness(&self) -> PathBuf {
        self.folder.path().join("witness/ledger.witness")
    }

    async fn open(&self) -> Result<(Store, Ledger), StoreFault> {
        Store::open(&self.ledger(), &self.witness()).await
    }
}

fn study() -> StudyHash {
    offer(&synthetic(3)).0
}

async fn write(store: &mut Store, ledger: &mut Ledger) -> Result<(), StoreFault> {
    let batch = ledger.next_batch().expect("something to write");
    let head = store.append(&batch).await?;
    ledger.confirm(head);
    Ok(())
}

/// A ledger with a reservation and one charge.
async fn filled(place: &Place) -> Head {
    let (mut store, mut ledger) = place.open().await.unwrap();
    let terms = synthetic(3);
    let (study, offer) = offer(&terms);
    let caps = rules().policy.caps;
    let accepted = (offer.terms.as_slice(), &terms, offer.approvals.as_slice());
    ledger.reserve(NOW, caps, accepted, false).unwrap();
    write(&mut store, &mut ledger).await.unwrap();
    ledger
        .spend(
            NOW,
            (study, 0, 0),
            Hash32([9; 32]),
            Payment::Update(vec![1, 2, 3]),
        )
        .unwrap();
    write(&mut store, &mut ledger).await.unwrap();
    store.close().await.unwrap();
    ledger.durable()
}

#[tokio::test]
async fn what_was_written_is_there_again() {
    let place = Place::new();
    let head = filled(&place).await;
    let (mut store, ledger) = place.open().await.unwrap();
    assert_eq!(ledger.durable(), head);
    assert!(ledger.charge(&study(), 0, 0).unwrap().covers(&[1, 2, 3]));
    let update = store.recall(&study(), 0, 0).await.unwrap();
    assert_eq!(update, Some(vec![1, 2, 3]));
    assert_eq!(store.recall(&study(), 0, 1).await.unwrap(), None);
}

#[tokio::test]
async fn a_second_opener_is_refused() {
    let place = Place::new();
    let first = place.open().await.unwrap();
    let second = place.open().await;
    assert!(matches!(second, Err(StoreFault::InUse { .. })));
    drop(first);
}

#[tokio::test]
async fn only_the_owner_can_read_the_ledger() {
    let place = Place::new();
    filled(&place).await;
    let mode = std::fs::metadata(place.ledger()).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[tokio::test]
async fn the_end_of_a_study_drops_its_updates() {
    let place = Place::new();
    filled(&place).await;
    let (mut store, mut ledger) = place.open().await.unwrap();
    ledger.give_back(NOW, study(), crate::core::ledger::EndReason::Published);
    write(&mut store, &mut ledger).await.unwrap();
    assert_eq!(store.recall(&study(), 0, 0).await.unwrap(), None);
}

#[tokio::test]
async fn an_old_ledger_is_locked() {
    let place = Place::new();
    let (store, _) = place.open().await.unwrap();
    store.close().await.unwrap();
    std::fs::copy(place.ledger(), place.folder.path().join("old")).unwrap();
    let head = filled(&place).await;
    std::fs::copy(place.folder.path().join("old"), place.ledger()).unwrap();
    let StoreFault::Locked { reason, .. } = place.open().await.unwrap_err() else {
        panic!("locked")
    };
    let (ledger, seen, by) = (0, head.seq, SeenBy::Witness);
    assert_eq!(reason, LockReason::Behind { ledger, seen, by });
}

#[tokio::test]
async fn a_witness_that_is_behind_is_brought_up() {
    let place = Place::new();
    let head = filled(&place).await;
    Witness::create(&place.witness(), Head::default()).unwrap();
    place.open().await.unwrap();
    assert_eq!(Witness::open(&place.witness()).unwrap().unwrap().1, head);
}

#[tokio::test]
async fn another_past_is_locked() {
    let place = Place::new();
    filled(&place).await;
    let (seq, hash) = (1, Hash32([5; 32]));
    Witness::create(&place.witness(), Head { seq, hash }).unwrap();
    let StoreFault::Locked { reason, .. } = place.open().await.unwrap_err() else {
        panic!("locked")
    };
    let by = SeenBy::Witness;
    assert_eq!(reason, LockReason::Forked { seq, by });
}

#[tokio::test]
async fn a_missing_witness_locks_until_the_operator_overrules() {
    let place = Place::new();
    filled(&place).await;
    std::fs::remove_file(place.witness()).unwrap();
    let StoreFault::Locked { reason, .. } = place.open().await.unwrap_err() else {
        panic!("locked")
    };
    assert_eq!(reason, LockReason::Missing { ledger: 2 });
    let opened = Unwitnessed::open(&place.ledger(), &place.witness()).await;
    drop(opened.unwrap().overrule().unwrap());
    assert!(place.open().await.is_ok());
}

#[tokio::test]
async fn a_changed_entry_is_noticed() {
    let place = Place::new();
    filled(&place).await;
    let mut connection = connect(&place.ledger()).await.unwrap();
    sqlx::query("UPDATE entries SET bytes = zeroblob(60) WHERE seq = 1")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    assert!(matches!(place.open().await, Err(StoreFault::Ledger(_))));
}

#[tokio::test]
async fn another_file_is_no_ledger() {
    let place = Place::new();
    std::fs::write(place.ledger(), "name,age\nx,7\n".repeat(500)).unwrap();
    assert!(matches!(
        place.open().await,
        Err(StoreFault::NotALedger { .. })
    ));
}

#[tokio::test]
async fn after_a_failed_write_nothing_more_is_written() {
    let place = Place::new();
    filled(&place).await;
    let (mut store, mut ledger) = place.open().await.unwrap();
    // A table that is gone stands for any write that fails half way.
    sqlx::query("DROP TABLE updates")
        .execute(&mut store.connection)
        .await
        .unwrap();
    ledger
        .spend(
            NOW,
            (study(), 1, 0),
            Hash32([9; 32]),
            Payment::Update(vec![4]),
        )
        .unwrap();
    assert!(write(&mut store, &mut ledger).await.is_err());
    let count: i64 = sqlx::query("SELECT COUNT(*) FROM entries")
        .fetch_one(&mut store.connection)
        .await
        .unwrap()
        .get(0);
    assert_eq!(count, 2, "the half-written batch was rolled back");
    let batch = Batch {
        records: Vec::new(),
        head: ledger.durable(),
    };
    let again = store.append(&batch).await;
    assert!(matches!(again, Err(StoreFault::Stopped { .. })));
}

#[tokio::test]
async fn a_write_off_unlocks_and_leaves_nothing() {
    let place = Place::new();
    filled(&place).await;
    std::fs::remove_file(place.witness()).unwrap();
    let opened = Unwitnessed::open(&place.ledger(), &place.witness()).await;
    let caps = rules().policy.caps;
    let opened = opened.unwrap();
    let given_up = Vec::new();
    opened
        .write_off(NOW, caps.per_contract, given_up)
        .await
        .unwrap();
    let (_, ledger) = place.open().await.unwrap();
    let report = ledger.report(NOW, caps, &rules().contract.name).unwrap();
    assert_eq!(report.per_contract.left, MicroRho::ZERO);
    assert_eq!(report.per_year.left, MicroRho::ZERO);
}
