//! What a store must do, whichever database is below it.

use std::path::Path;

use aquifer_shared::base::ids::{Hash32, IdentityKey, Role, StudyHash};
use aquifer_shared::base::time::Timestamp;

use super::{Party, Redeemed, Store, StoredModel, StoredStudy, Ticketed};

fn joiner(name: &str) -> Party {
    Party {
        name: name.parse().unwrap(),
        role: Role::Node,
        identity: IdentityKey([7; 32]),
        fingerprint: Hash32([8; 32]),
        fingerprint_before: Hash32::default(),
        certificate_until: Timestamp(1_000),
        revoked: false,
        last_seen: Timestamp(0),
        ledger_seq: 0,
        software: String::new(),
    }
}

async fn invite(store: &Store, secret: u8, name: &str, expires: u64) {
    let ticket = Ticketed {
        name: name.parse().unwrap(),
        role: Role::Node,
        expires: Timestamp(expires),
        used: false,
    };
    store
        .add_ticket(Hash32([secret; 32]), &ticket)
        .await
        .unwrap();
}

async fn redeem(store: &Store, secret: u8, joiner: &Party, now: u64) -> Redeemed {
    store
        .redeem(Hash32([secret; 32]), joiner, Timestamp(now))
        .await
        .unwrap()
}

async fn a_ticket_is_good_once(store: &Store) {
    invite(store, 1, "north", 100).await;
    invite(store, 2, "south", 100).await;
    assert_eq!(
        redeem(store, 1, &joiner("south"), 1).await,
        Redeemed::Invalid
    );
    assert_eq!(
        redeem(store, 2, &joiner("south"), 100).await,
        Redeemed::Expired
    );
    assert_eq!(redeem(store, 1, &joiner("north"), 1).await, Redeemed::Done);
    assert_eq!(
        redeem(store, 1, &joiner("north"), 1).await,
        Redeemed::Invalid
    );
    assert_eq!(
        redeem(store, 9, &joiner("north"), 1).await,
        Redeemed::Invalid
    );
    assert!(store.ticket(Hash32([1; 32])).await.unwrap().unwrap().used);
}

async fn a_name_is_bound_until_it_is_revoked(store: &Store) {
    invite(store, 3, "north", 100).await;
    assert_eq!(
        redeem(store, 3, &joiner("north"), 1).await,
        Redeemed::Invalid
    );
    let before = store.revision().await.unwrap();
    assert!(store.revoke(&"north".parse().unwrap()).await.unwrap());
    assert!(!store.revoke(&"nobody".parse().unwrap()).await.unwrap());
    assert!(store.revision().await.unwrap() > before);
    assert!(store.parties().await.unwrap()[0].revoked);
    invite(store, 4, "north", 100).await;
    assert_eq!(redeem(store, 4, &joiner("north"), 1).await, Redeemed::Done);
}

async fn a_renewed_certificate_leaves_the_old_one_known(store: &Store) {
    let name = "north".parse().unwrap();
    store
        .renew(&name, Hash32([9; 32]), Hash32([8; 32]), Timestamp(2_000))
        .await
        .unwrap();
    store.seen(&name, Timestamp(5), 42, "0.1.0").await.unwrap();
    let party = store.parties().await.unwrap().remove(0);
    assert_eq!(
        (party.fingerprint, party.fingerprint_before),
        (Hash32([9; 32]), Hash32([8; 32]))
    );
    assert_eq!(
        (party.last_seen, party.ledger_seq, party.certificate_until),
        (Timestamp(5), 42, Timestamp(2_000))
    );
}

async fn records_are_appended_all_or_none(store: &Store) {
    let study = StoredStudy {
        hash: StudyHash([5; 32]),
        name: "churn".parse().unwrap(),
        terms: vec![0, 255, 1],
        contract_hash: Hash32([6; 32]),
        submitted: Timestamp(10),
        ended: Timestamp(0),
    };
    let contract = "customers".parse().unwrap();
    store.add_study(&study, &contract, 2, "text").await.unwrap();
    store.add_study(&study, &contract, 2, "text").await.unwrap();
    assert_eq!(store.studies().await.unwrap(), std::slice::from_ref(&study));
    store
        .append(&study.hash, 0, &[vec![1], vec![2, 0]])
        .await
        .unwrap();
    assert!(store.append(&study.hash, 1, &[vec![3]]).await.is_err());
    assert!(
        store
            .append(&study.hash, 2, &[vec![3], vec![4]])
            .await
            .is_ok()
    );
    assert_eq!(
        store.records(&study.hash).await.unwrap(),
        [vec![1], vec![2, 0], vec![3], vec![4]]
    );
    store.end_study(&study.hash, Timestamp(20)).await.unwrap();
    assert_eq!(store.studies().await.unwrap()[0].ended, Timestamp(20));
    assert_eq!(
        store
            .contract(&study.contract_hash)
            .await
            .unwrap()
            .as_deref(),
        Some("text")
    );
    assert_eq!(
        store
            .contract_by_name("customers", Some(2))
            .await
            .unwrap()
            .as_deref(),
        Some("text")
    );
    assert_eq!(
        store
            .contract_by_name("customers", None)
            .await
            .unwrap()
            .as_deref(),
        Some("text")
    );
    assert_eq!(
        store.contract_by_name("customers", Some(1)).await.unwrap(),
        None
    );
}

async fn a_held_model_is_published_or_dropped(store: &Store) {
    let name = "churn".parse().unwrap();
    let model = StoredModel {
        name,
        version: store.next_version(&"churn".parse().unwrap()).await.unwrap(),
        study: StudyHash([5; 32]),
        published: false,
        file: "{}".into(),
        created: Timestamp(30),
    };
    store.add_model(&model).await.unwrap();
    assert_eq!(model.version, 1);
    assert_eq!(store.next_version(&model.name).await.unwrap(), 2);
    assert_eq!(
        store.model_of(&model.study).await.unwrap(),
        Some(model.clone())
    );
    assert!(store.decide_model(&model.name, 1, true).await.unwrap());
    assert!(!store.decide_model(&model.name, 1, false).await.unwrap());
    assert!(store.models().await.unwrap()[0].published);
    store
        .audit(Timestamp(1), "ops", "release", "churn@1")
        .await
        .unwrap();
}

async fn check_store(url: &str, dir: &Path) {
    let store = Store::open(url, dir).await.unwrap();
    a_ticket_is_good_once(&store).await;
    a_name_is_bound_until_it_is_revoked(&store).await;
    a_renewed_certificate_leaves_the_old_one_known(&store).await;
    records_are_appended_all_or_none(&store).await;
    a_held_model_is_published_or_dropped(&store).await;
    store.close().await;
    let again = Store::open(url, dir).await.unwrap();
    assert_eq!(again.models().await.unwrap().len(), 1);
    again.close().await;
}

#[tokio::test]
async fn on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    check_store("sqlite://store.sqlite", dir.path()).await;
}

/// The URL of an empty database of a real PostgreSQL server: `scripts/test` starts one and names it.
#[tokio::test]
async fn on_postgresql() {
    let dir = tempfile::tempdir().unwrap();
    match std::env::var("AQUIFER_TEST_POSTGRES") {
        Ok(url) => check_store(&url, dir.path()).await,
        Err(_) if std::env::var_os("CI").is_some() => {
            panic!("AQUIFER_TEST_POSTGRES is not set: scripts/test starts a server and sets it")
        }
        Err(_) => eprintln!(
            "SKIPPED: AQUIFER_TEST_POSTGRES is not set, the store was not tested on PostgreSQL"
        ),
    }
}
