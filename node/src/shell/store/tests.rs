//! What must hold on a real file system.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::shell::at_rest::DatabaseKey;

use super::*;
use crate::core::fixtures::{NOW, SPLIT, offer, rules, synthetic};
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
        Store::open(&self.ledger(), &self.witness(), &key()).await
    }
}

fn key() -> DatabaseKey {
    DatabaseKey::new([7; 32])
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
    ledger.reserve(NOW, caps, SPLIT, accepted, false).unwrap();
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
    let opened = Unwitnessed::open(&place.ledger(), &place.witness(), &key()).await;
    drop(opened.unwrap().overrule().unwrap());
    assert!(place.open().await.is_ok());
}

#[tokio::test]
async fn a_changed_entry_is_noticed() {
    let place = Place::new();
    filled(&place).await;
    let mut connection = connect(&place.ledger(), &key()).await.unwrap();
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
    let opened = Unwitnessed::open(&place.ledger(), &place.witness(), &key()).await;
    let caps = rules().policy.caps;
    let opened = opened.unwrap();
    let given_up = (Vec::new(), 0);
    opened
        .write_off(NOW, caps.per_contract, given_up)
        .await
        .unwrap();
    let (_, ledger) = place.open().await.unwrap();
    let report = ledger.report(NOW, caps, &rules().contract.name).unwrap();
    assert_eq!(report.per_contract.left, MicroRho::ZERO);
    assert_eq!(report.per_year.left, MicroRho::ZERO);
}

#[tokio::test]
async fn links_are_read_in_bounded_pages() {
    let place = Place::new();
    filled(&place).await;
    let (mut store, _) = place.open().await.unwrap();
    let all = store.links_after(0, usize::MAX).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(store.links_after(0, 1).await.unwrap(), all[..1]);
    assert_eq!(store.links_after(1, 1).await.unwrap(), all[1..]);
    assert!(store.links_after(2, 1).await.unwrap().is_empty());
}

/// A place whose ledger was put back to before its charge, and the entries that it had.
async fn rolled_back(place: &Place) -> (Vec<Vec<u8>>, Head) {
    let (store, _) = place.open().await.unwrap();
    store.close().await.unwrap();
    std::fs::copy(place.ledger(), place.folder.path().join("old")).unwrap();
    let head = filled(place).await;
    let mut opened = Unwitnessed::open(&place.ledger(), &place.witness(), &key())
        .await
        .unwrap();
    let entries = opened.entries().await.unwrap();
    opened.retire().await.unwrap();
    std::fs::copy(place.folder.path().join("old"), place.ledger()).unwrap();
    (entries, head)
}

#[tokio::test]
async fn a_mirror_brings_lost_entries_back() {
    let place = Place::new();
    let (entries, head) = rolled_back(&place).await;
    let mut present = Unwitnessed::open(&place.ledger(), &place.witness(), &key())
        .await
        .unwrap();
    assert_eq!(present.witnessed(), Some(head));
    let own = present.entries().await.unwrap();
    let adoption = crate::core::ledger::adopt(NOW, &own, &entries)
        .unwrap()
        .unwrap();
    present.adopt(adoption, head).await.unwrap();
    let (mut store, ledger) = place.open().await.unwrap();
    assert_eq!(ledger.durable(), head);
    let update = store.recall(&study(), 0, 0).await.unwrap();
    assert_eq!(update, None, "a mirror holds no updates");
}

#[tokio::test]
async fn a_past_that_loses_against_the_mirror_takes_its_updates_along() {
    let place = Place::new();
    let (entries, head) = rolled_back(&place).await;
    std::fs::remove_file(place.witness()).unwrap();
    // Charged once more in the past that was forgotten: another entry in the same place.
    let (mut store, mut ledger) = place.open().await.unwrap();
    let terms = synthetic(3);
    let (study, offer) = offer(&terms);
    let caps = rules().policy.caps;
    let accepted = (offer.terms.as_slice(), &terms, offer.approvals.as_slice());
    ledger.reserve(NOW, caps, SPLIT, accepted, true).unwrap();
    ledger
        .spend(
            NOW,
            (study, 0, 0),
            Hash32([8; 32]),
            Payment::Update(vec![9]),
        )
        .unwrap();
    write(&mut store, &mut ledger).await.unwrap();
    store.close().await.unwrap();
    let mut present = Unwitnessed::open(&place.ledger(), &place.witness(), &key())
        .await
        .unwrap();
    let own = present.entries().await.unwrap();
    let adoption = crate::core::ledger::adopt(NOW, &own, &entries)
        .unwrap()
        .unwrap();
    assert_eq!(adoption.written_off, MicroRho(1_000));
    present.adopt(adoption, head).await.unwrap();
    let (mut store, mut ledger) = place.open().await.unwrap();
    assert!(ledger.contains(head));
    assert_eq!(store.recall(&study, 0, 0).await.unwrap(), None);
    let report = ledger.report(NOW, caps, &rules().contract.name).unwrap();
    assert_eq!(
        report.per_contract.spent,
        MicroRho(2_000),
        "both charges count"
    );
    let payment = Payment::Update(vec![7]);
    let attempt = (study, 1, 0);
    ledger
        .spend(NOW, attempt, Hash32([8; 32]), payment)
        .unwrap();
    write(&mut store, &mut ledger).await.unwrap();
}

#[tokio::test]
async fn a_witness_of_a_past_that_was_given_up_is_made_anew() {
    let place = Place::new();
    filled(&place).await;
    let lost = Head {
        seq: 40,
        hash: Hash32([4; 32]),
    };
    let opened = Unwitnessed::open(&place.ledger(), &place.witness(), &key())
        .await
        .unwrap();
    opened
        .write_off(NOW, MicroRho(1), (vec![lost], 0))
        .await
        .unwrap();
    // As after a crash between ledger and witness.
    Witness::create(&place.witness(), lost).unwrap();
    let (store, ledger) = place.open().await.unwrap();
    store.close().await.unwrap();
    let witnessed = Witness::open(&place.witness()).unwrap().unwrap().1;
    assert_eq!(witnessed, ledger.durable());
}

#[tokio::test]
async fn what_was_set_aside_before_a_write_off_is_not_spent_after_it() {
    let place = Place::new();
    filled(&place).await;
    std::fs::remove_file(place.witness()).unwrap();
    let opened = Unwitnessed::open(&place.ledger(), &place.witness(), &key()).await;
    let caps = rules().policy.caps;
    let written_off = opened
        .unwrap()
        .write_off(NOW, caps.per_contract, (Vec::new(), 0))
        .await;
    written_off.unwrap();
    let (_, mut ledger) = place.open().await.unwrap();
    let report = ledger.report(NOW, caps, &rules().contract.name).unwrap();
    assert_eq!(report.per_contract.reserved, MicroRho::ZERO);
    assert!(ledger.covers(&study(), 1).is_err());
    let task = (study(), 1, 0);
    let payment = Payment::Update(vec![4]);
    assert!(ledger.spend(NOW, task, Hash32([9; 32]), payment).is_err());
}
