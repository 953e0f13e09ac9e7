//! What a store must do, whichever database is below it.

mod questions;
mod secure;

use std::path::Path;

use aquifer_shared::base::ids::{Hash32, IdentityKey, Name, Role, StudyHash};
use aquifer_shared::base::limits::RECALL_WISH_DAYS;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::model::Fate;
use aquifer_shared::shell::at_rest::DatabaseKey;

use super::postgres::Server;
use super::{
    Party, Recall, Redeemed, SqlPassword, Store, StoreFault, StoredModel, StoredStudy, Ticketed,
    Token,
};
use crate::core::gates_fixtures::allowed_to_release;
use crate::core::psql::scram::Verifier;

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

fn named(name: &str, key: u8, fingerprint: u8) -> Party {
    Party {
        identity: IdentityKey([key; 32]),
        fingerprint: Hash32([fingerprint; 32]),
        ..joiner(name)
    }
}

async fn invite(store: &Store, secret: u8, name: &str, expires: u64) {
    let ticket = Ticketed {
        name: name.parse().unwrap(),
        role: Role::Node,
        expires: Timestamp(expires),
        used_by: None,
    };
    store
        .add_ticket(Hash32([secret; 32]), &ticket)
        .await
        .unwrap();
}

#[track_caller]
fn check(found: Redeemed, expected: Redeemed) {
    assert_eq!(found, expected);
}

async fn redeem(store: &Store, secret: u8, joiner: &Party, now: u64) -> Redeemed {
    store
        .redeem(Hash32([secret; 32]), joiner, Timestamp(now))
        .await
        .unwrap()
}

async fn party(store: &Store, name: &str) -> Option<Party> {
    let all = store.parties().await.unwrap();
    all.into_iter().find(|party| party.name.as_str() == name)
}

async fn a_ticket_is_good_once(store: &Store) {
    invite(store, 1, "north", 100).await;
    invite(store, 2, "south", 100).await;
    let (north, south) = (named("north", 7, 8), named("south", 17, 18));
    let reader = Party {
        role: Role::Auditor,
        ..north.clone()
    };
    check(redeem(store, 1, &south, 1).await, Redeemed::Invalid);
    check(redeem(store, 1, &reader, 1).await, Redeemed::Invalid);
    check(redeem(store, 2, &south, 101).await, Redeemed::Expired);
    check(redeem(store, 9, &north, 1).await, Redeemed::Invalid);
    assert_eq!(store.parties().await.unwrap(), []);
    check(redeem(store, 1, &north, 100).await, Redeemed::Done);
    check(
        redeem(store, 1, &named("north", 27, 28), 1).await,
        Redeemed::Invalid,
    );
    let ticket = store.ticket(Hash32([1; 32])).await.unwrap().unwrap();
    assert_eq!(ticket.used_by, Some(north.identity));
    assert_eq!(party(store, "north").await, Some(north));
}

async fn a_joiner_whose_answer_was_lost_asks_again(store: &Store) {
    let before = store.revision().await.unwrap();
    check(
        redeem(store, 1, &named("north", 7, 9), 100).await,
        Redeemed::Done,
    );
    assert!(store.revision().await.unwrap() > before);
    let north = party(store, "north").await.unwrap();
    assert_eq!(north.fingerprint, Hash32([9; 32]));
    assert_eq!(north.fingerprint_before, Hash32([8; 32]));
    check(
        redeem(store, 1, &named("north", 7, 10), 101).await,
        Redeemed::Expired,
    );
    assert_eq!(party(store, "north").await, Some(north));
}

async fn a_key_is_bound_to_one_name(store: &Store) {
    invite(store, 3, "east", 100).await;
    check(
        redeem(store, 3, &named("east", 7, 30), 1).await,
        Redeemed::Invalid,
    );
    assert_eq!(party(store, "east").await, None);
    check(
        redeem(store, 3, &named("east", 37, 30), 1).await,
        Redeemed::Done,
    );
}

async fn a_name_is_bound_until_it_is_revoked(store: &Store) {
    invite(store, 4, "north", 100).await;
    check(
        redeem(store, 4, &named("north", 47, 48), 1).await,
        Redeemed::Invalid,
    );
    let before = store.revision().await.unwrap();
    assert!(store.revoke(&"north".parse().unwrap()).await.unwrap());
    assert!(!store.revoke(&"nobody".parse().unwrap()).await.unwrap());
    assert!(store.revision().await.unwrap() > before);
    assert!(party(store, "north").await.unwrap().revoked);
    check(
        redeem(store, 1, &named("north", 7, 9), 1).await,
        Redeemed::Invalid,
    );
    check(
        redeem(store, 4, &named("north", 47, 48), 1).await,
        Redeemed::Invalid,
    );
    invite(store, 14, "north", 100).await;
    invite(store, 15, "north", 100).await;
    check(
        redeem(store, 14, &named("north", 47, 48), 1).await,
        Redeemed::Invalid,
    );
    check(
        redeem(store, 15, &named("north", 47, 48), 1).await,
        Redeemed::Done,
    );
    check(
        redeem(store, 1, &named("north", 7, 9), 1).await,
        Redeemed::Invalid,
    );
    assert_eq!(party(store, "north").await, Some(named("north", 47, 48)));
}

async fn a_renewed_certificate_leaves_the_one_that_was_shown(store: &Store) {
    let name = "north".parse().unwrap();
    let (own, before) = (IdentityKey([47; 32]), IdentityKey([7; 32]));
    let renew = |key: IdentityKey, fresh: u8, shown: u8| {
        let (fresh, shown) = (Hash32([fresh; 32]), Hash32([shown; 32]));
        let name = &name;
        async move {
            store
                .renew((name, &key), fresh, shown, Timestamp(2_000))
                .await
        }
    };
    renew(own, 49, 48).await.unwrap();
    // The answer was lost: the node still shows the first.
    renew(own, 50, 48).await.unwrap();
    // A session of the name's former holder, and a certificate that was replaced.
    for (key, shown) in [(before, 9), (before, 48), (own, 49), (own, 9)] {
        let refused = renew(key, 51, shown).await.unwrap_err();
        assert!(matches!(refused, StoreFault::Replaced { .. }), "{refused}");
    }
    store.seen(&name, Timestamp(5), 42, "0.1.0").await.unwrap();
    let expected = Party {
        fingerprint: Hash32([50; 32]),
        fingerprint_before: Hash32([48; 32]),
        certificate_until: Timestamp(2_000),
        last_seen: Timestamp(5),
        ledger_seq: 42,
        software: "0.1.0".into(),
        ..named("north", 47, 48)
    };
    assert_eq!(party(store, "north").await, Some(expected));
}

async fn records_are_appended_all_or_none(store: &Store) {
    let study = StoredStudy {
        hash: StudyHash([5; 32]),
        name: "churn".parse().unwrap(),
        terms: vec![0, 255, 1],
        contract_hash: Hash32([6; 32]),
        submitted: Timestamp(10),
        ended: Timestamp(0),
        question: false,
    };
    let contract = "customers".parse().unwrap();
    store.add_study(&study, &contract, 2, "text").await.unwrap();
    store.add_study(&study, &contract, 2, "text").await.unwrap();
    assert_eq!(store.studies().await.unwrap(), std::slice::from_ref(&study));
    store
        .append(&study.hash, 0, &[vec![1], vec![2, 0]], &[], None)
        .await
        .unwrap();
    let overtaken = |fault: StoreFault| matches!(fault, StoreFault::Overtaken { .. });
    for other in [vec![vec![3]], vec![vec![2, 0], vec![3]]] {
        let tried = store.append(&study.hash, 1, &other, &[], None).await;
        assert!(overtaken(tried.unwrap_err()), "{other:?}");
    }
    // The same again, as after a commit whose answer was lost.
    let again = [vec![1], vec![2, 0]];
    store
        .append(&study.hash, 0, &again, &[], None)
        .await
        .unwrap();
    let part = store.append(&study.hash, 0, &again[..1], &[], None).await;
    assert!(overtaken(part.unwrap_err()));
    assert!(
        store
            .append(&study.hash, 2, &[vec![3], vec![4]], &[], None)
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

fn model(study: u8, version: u32) -> StoredModel {
    StoredModel {
        name: "churn".parse().unwrap(),
        version,
        study: StudyHash([study; 32]),
        published: false,
        file: format!("{{\"study\":{study}}}"),
        created: Timestamp(30),
        fate: Fate::InUse,
        fate_since: Timestamp(0),
    }
}

async fn a_study_has_one_model_and_a_number_one_study(store: &Store) {
    let (first, name) = (model(5, 1), model(5, 1).name);
    assert_eq!(store.next_version(&name).await.unwrap(), 1);
    assert_eq!(store.add_model(&first, None).await.unwrap(), first);
    assert_eq!(store.add_model(&model(5, 2), None).await.unwrap(), first);
    let taken = store.add_model(&model(6, 1), None).await.unwrap_err();
    assert!(matches!(taken, StoreFault::Taken { version: 1, .. }));
    assert_eq!(store.next_version(&name).await.unwrap(), 2);
    assert_eq!(
        store.add_model(&model(6, 2), None).await.unwrap(),
        model(6, 2)
    );
    assert_eq!(store.model_of(&first.study).await.unwrap(), Some(first));
    assert_eq!(store.model_of(&StudyHash([7; 32])).await.unwrap(), None);
}

async fn a_held_model_is_published_or_dropped_for_good(store: &Store) {
    let name = model(5, 1).name;
    assert!(
        store
            .decide_model(&name, 1, Some(allowed_to_release()))
            .await
            .unwrap()
    );
    assert!(!store.decide_model(&name, 1, None).await.unwrap());
    assert!(store.decide_model(&name, 2, None).await.unwrap());
    assert!(
        !store
            .decide_model(&name, 2, Some(allowed_to_release()))
            .await
            .unwrap()
    );
    let listed = store.models().await.unwrap();
    assert_eq!(
        listed
            .iter()
            .map(|one| (one.version, one.published))
            .collect::<Vec<_>>(),
        [(1, true)]
    );
    // The number of a dropped model is never given out again, nor is its study's model made twice.
    assert_eq!(store.next_version(&name).await.unwrap(), 3);
    assert_eq!(
        store.add_model(&model(6, 3), None).await.unwrap(),
        model(6, 2)
    );
    store
        .audit(Timestamp(1), "ops", "release", "churn@1")
        .await
        .unwrap();
}

async fn a_released_model_is_retired_once_and_recalled_by_two(store: &Store) {
    let churn = model(5, 1).name;
    let [ada, bob] = [("ada", 0xa1), ("bob", 0xb2)].map(|(name, key)| Recaller::new(name, key));
    ada.enrolled(store, Role::Dpo).await;
    let fates = async || {
        let models = store.models().await.unwrap().into_iter();
        models
            .map(|own| (own.fate, own.fate_since.0))
            .collect::<Vec<_>>()
    };
    let recall = async |version, by: &Recaller, at| {
        let asked = store.recall_model((&churn, version), (&by.name, &by.key), Timestamp(at));
        asked.await.unwrap()
    };
    // The second version was dropped: nothing of it is used.
    assert!(
        !store
            .retire_model((&churn, 2), Timestamp(40))
            .await
            .unwrap()
    );
    assert_eq!(recall(2, &ada, 40).await, Recall::NotReleased);
    assert_eq!(recall(1, &ada, 40).await, Recall::Asked);
    assert_eq!(recall(1, &ada, 41).await, Recall::SamePerson);
    assert_eq!(fates().await, [(Fate::InUse, 0)]);
    assert!(
        store
            .retire_model((&churn, 1), Timestamp(42))
            .await
            .unwrap()
    );
    assert!(
        !store
            .retire_model((&churn, 1), Timestamp(43))
            .await
            .unwrap()
    );
    assert_eq!(fates().await, [(Fate::Retired, 42)]);
    // What is retired already can be recalled still.
    assert_eq!(recall(1, &bob, 44).await, Recall::Done);
    assert_eq!(recall(1, &ada, 45).await, Recall::NotReleased);
    assert_eq!(fates().await, [(Fate::Recalled, 44)]);
    assert!(
        !store
            .retire_model((&churn, 1), Timestamp(46))
            .await
            .unwrap()
    );
}

/// Somebody who may want a model recalled.
struct Recaller {
    name: Name,
    key: IdentityKey,
}

impl Recaller {
    fn new(name: &str, key: u8) -> Self {
        let (name, key) = (name.parse().unwrap(), IdentityKey([key; 32]));
        Self { name, key }
    }

    async fn enrolled(&self, store: &Store, role: Role) {
        let mut secret = self.key.0;
        secret[31] = role as u8;
        let ticket = Ticketed {
            name: self.name.clone(),
            role,
            expires: Timestamp(100),
            used_by: None,
        };
        store.add_ticket(Hash32(secret), &ticket).await.unwrap();
        let party = Party {
            role,
            ..named(self.name.as_str(), self.key.0[0], self.key.0[0])
        };
        let done = store.redeem(Hash32(secret), &party, Timestamp(1)).await;
        check(done.unwrap(), Redeemed::Done);
    }
}

async fn a_wish_to_recall_lapses_with_time_key_and_role(store: &Store) {
    let churn = model(5, 1).name;
    let allowed = Some(allowed_to_release());
    store.add_model(&model(9, 9), allowed).await.unwrap();
    let [ada, bob, eve] =
        [("ada", 0xa3), ("bob", 0xb2), ("eve", 0xe5)].map(|(name, key)| Recaller::new(name, key));
    let recall = async |by: &Recaller, at| {
        let asked = store.recall_model((&churn, 9), (&by.name, &by.key), Timestamp(at));
        asked.await.unwrap()
    };
    let end = 1_000 + RECALL_WISH_DAYS * 24 * 3_600 * 1_000;
    // Nobody with this key is registered: the wish waits for nobody.
    assert_eq!(recall(&eve, 1_000).await, Recall::Asked);
    bob.enrolled(store, Role::Operator).await;
    assert_eq!(recall(&bob, 1_000).await, Recall::Asked, "eve is nobody");
    assert_eq!(recall(&bob, end).await, Recall::SamePerson);
    assert_eq!(recall(&bob, end + 1).await, Recall::Asked, "entered anew");
    // Whoever has gone since, or came back with another key or role, wants nothing any more.
    assert!(store.revoke(&bob.name).await.unwrap());
    eve.enrolled(store, Role::Approver).await;
    assert_eq!(recall(&eve, end + 2).await, Recall::Asked, "bob is gone");
    assert!(store.revoke(&eve.name).await.unwrap());
    Recaller::new("eve", 0xe6)
        .enrolled(store, Role::Approver)
        .await;
    assert_eq!(recall(&bob, end + 3).await, Recall::Asked, "another eve");
    Recaller::new("bob", 0xb2)
        .enrolled(store, Role::Auditor)
        .await;
    let ada_was = party(store, "ada").await.unwrap();
    assert!(store.revoke(&ada_was.name).await.unwrap());
    ada.enrolled(store, Role::Dpo).await;
    assert_eq!(recall(&ada, end + 4).await, Recall::Asked, "bob may not");
    // A wish that stands is joined to its last millisecond.
    let last = end + 4 + RECALL_WISH_DAYS * 24 * 3_600 * 1_000;
    assert_eq!(recall(&eve, last).await, Recall::Done);
}

async fn a_password_is_kept_until_it_is_withdrawn(store: &Store) {
    let name: Name = "ada".parse().unwrap();
    let password = |salt| SqlPassword {
        name: "ada".parse().unwrap(),
        identity: IdentityKey([7; 32]),
        verifier: Verifier::of("secret", [salt; 16]),
        expires: Timestamp(5),
    };
    assert_eq!(store.password(&name).await.unwrap(), None);
    assert!(!store.withdraw_password(&name).await.unwrap());
    for salt in [1, 2] {
        let before = store.revision().await.unwrap();
        store.set_password(&password(salt)).await.unwrap();
        let kept = store.password(&name).await.unwrap();
        assert_eq!(kept, Some(password(salt)), "the last one alone");
        assert!(
            store.revision().await.unwrap() > before,
            "a running server notices"
        );
    }
    assert!(store.withdraw_password(&name).await.unwrap());
    assert_eq!(store.password(&name).await.unwrap(), None);
}

async fn a_token_is_kept_until_it_is_withdrawn(store: &Store) {
    let (ada, notebook): (Name, Name) = ("ada".parse().unwrap(), "notebook".parse().unwrap());
    let token = |secret, identity| Token {
        hash: Hash32([secret; 32]),
        owner: "ada".parse().unwrap(),
        name: "notebook".parse().unwrap(),
        identity: IdentityKey([identity; 32]),
        role: Role::Analyst,
        issued: Timestamp(1),
        expires: Timestamp(50),
    };
    let at = Timestamp(10);
    assert!(!store.withdraw_token(&ada, &notebook).await.unwrap());
    assert!(store.add_token(&token(1, 7), at).await.unwrap());
    assert!(
        !store.add_token(&token(2, 7), at).await.unwrap(),
        "one of a name"
    );
    let found = async |secret| store.token(&Hash32([secret; 32])).await.unwrap();
    assert_eq!(found(1).await, Some(token(1, 7)));
    assert_eq!(found(2).await, None);
    let mut near = [1; 32];
    near[31] = 0;
    assert_eq!(
        store.token(&Hash32(near)).await.unwrap(),
        None,
        "a handle is not enough"
    );
    assert!(
        store.add_token(&token(3, 8), at).await.unwrap(),
        "a namesake begins anew"
    );
    assert_eq!(store.tokens().await.unwrap(), [token(3, 8)]);
    assert!(
        store.add_token(&token(4, 8), Timestamp(51)).await.unwrap(),
        "after its end"
    );
    assert!(store.withdraw_token(&ada, &notebook).await.unwrap());
    assert_eq!(found(4).await, None);
}

/// Any key will do.
fn key() -> DatabaseKey {
    DatabaseKey::new([7; 32])
}

async fn check_store(url: &str, dir: &Path) {
    let store = Store::open(url, dir, &key()).await.unwrap();
    assert!(store.is_empty().await.unwrap());
    a_ticket_is_good_once(&store).await;
    a_password_is_kept_until_it_is_withdrawn(&store).await;
    a_token_is_kept_until_it_is_withdrawn(&store).await;
    a_joiner_whose_answer_was_lost_asks_again(&store).await;
    a_key_is_bound_to_one_name(&store).await;
    a_name_is_bound_until_it_is_revoked(&store).await;
    a_renewed_certificate_leaves_the_one_that_was_shown(&store).await;
    records_are_appended_all_or_none(&store).await;
    a_study_has_one_model_and_a_number_one_study(&store).await;
    a_held_model_is_published_or_dropped_for_good(&store).await;
    a_released_model_is_retired_once_and_recalled_by_two(&store).await;
    a_wish_to_recall_lapses_with_time_key_and_role(&store).await;
    secure::what_dealers_dealt_lives_as_long_as_its_attempt(&store).await;
    secure::a_spool_is_written_with_its_records_or_not_at_all(&store).await;
    secure::a_mirror_follows_its_node(&store).await;
    secure::what_contradicts_a_mirror_is_kept_apart(&store).await;
    secure::lost_entries_make_room_when_they_are_written_off(&store).await;
    secure::a_mirror_is_read_in_pieces(&store).await;
    questions::a_question_and_its_study_are_kept_both_or_neither(&store).await;
    questions::shares_count_by_person_purpose_and_time(&store).await;
    questions::a_question_costs_what_it_came_to(&store).await;
    questions::an_answer_its_cost_and_its_end_are_kept_together(&store).await;
    questions::the_dearest_answer_answers(&store).await;
    questions::request_ids_are_counted_and_dropped_in_time(&store).await;
    questions::questions_that_ended_are_not_read_again_but_settled(&store).await;
    questions::the_last_data_version_of_a_node_is_kept(&store).await;
    questions::the_last_program_of_a_node_is_kept(&store).await;
    store.close().await;
    let again = Store::open(url, dir, &key()).await.unwrap();
    assert_eq!(again.models().await.unwrap().len(), 2);
    assert!(!again.is_empty().await.unwrap());
    sqlx::query("UPDATE schema_version SET number = number + 1")
        .execute(&again.pool)
        .await
        .unwrap();
    again.close().await;
    let newer = Store::open(url, dir, &key()).await.unwrap_err();
    assert!(matches!(newer, StoreFault::Newer { found: 11 }));
}

#[tokio::test]
async fn on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    check_store("sqlite://store.sqlite", dir.path()).await;
}

#[tokio::test]
async fn on_postgresql() {
    let dir = tempfile::tempdir().unwrap();
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.new_database("suite").await;
    check_store(&url, dir.path()).await;
}

/// Only one of several coordinators that start at once makes the tables.
#[tokio::test]
async fn a_new_database_is_opened_by_many_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.new_database("many").await;
    let opened = (0..8).map(|_| {
        let (url, dir) = (url.clone(), dir.path().to_owned());
        tokio::spawn(async move { Store::open(&url, &dir, &key()).await })
    });
    for opening in opened.collect::<Vec<_>>() {
        opening.await.unwrap().unwrap().close().await;
    }
}

#[tokio::test]
async fn a_database_that_is_gone_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut server) = Server::start() else {
        return;
    };
    let url = server.new_database("gone").await;
    let store = Store::open(&url, dir.path(), &key()).await.unwrap();
    if server.crash() {
        let fault = store
            .append(&StudyHash([5; 32]), 0, &[vec![1]], &[], None)
            .await
            .unwrap_err();
        assert!(matches!(fault, StoreFault::Database { .. }), "{fault}");
        assert!(Store::open(&url, dir.path(), &key()).await.is_err());
    }
}

/// What SQLite says when the disk is full or read-only, with rows there before and a write that must change nothing.
async fn check_unwritable(before: &'static str, after: &'static str) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open("sqlite://store.sqlite", dir.path(), &key())
        .await
        .unwrap();
    let study = StudyHash([5; 32]);
    store
        .append(&study, 0, &[vec![1]], &[], None)
        .await
        .unwrap();
    invite(&store, 1, "north", 100).await;
    sqlx::query(before).execute(&store.pool).await.unwrap();
    let big = vec![vec![2; 1 << 20], vec![3; 1 << 20]];
    let fault = store.append(&study, 1, &big, &[], None).await.unwrap_err();
    assert!(
        matches!(
            fault,
            StoreFault::Database {
                what: "append to a study",
                ..
            }
        ),
        "{fault}"
    );
    assert_eq!(store.records(&study).await.unwrap(), [vec![1]]);
    assert_eq!(
        store
            .ticket(Hash32([1; 32]))
            .await
            .unwrap()
            .unwrap()
            .used_by,
        None
    );
    sqlx::query(after).execute(&store.pool).await.unwrap();
    store.append(&study, 1, &big, &[], None).await.unwrap();
    check(redeem(&store, 1, &joiner("north"), 1).await, Redeemed::Done);
    store.close().await;
    let again = Store::open("sqlite://store.sqlite", dir.path(), &key())
        .await
        .unwrap();
    assert_eq!(again.records(&study).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_full_disk_is_a_fault_and_loses_nothing() {
    check_unwritable(
        "PRAGMA max_page_count = 64",
        "PRAGMA max_page_count = 100000",
    )
    .await;
}

#[tokio::test]
async fn a_read_only_store_is_a_fault_and_loses_nothing() {
    check_unwritable("PRAGMA query_only = ON", "PRAGMA query_only = OFF").await;
}

/// A store as the first release made it gets the tables that came later, and keeps what it has.
#[tokio::test]
async fn an_older_store_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let key = key();
    let open = || Store::open("sqlite://store.sqlite", dir.path(), &key);
    let store = open().await.unwrap();
    invite(&store, 1, "north", 100).await;
    for table in [
        "spool",
        "ledger_heads",
        "ledger_links",
        "ledger_forks",
        "answers",
        "asked",
        "data_versions",
        "node_programs",
        "sql_passwords",
        "tokens",
    ] {
        let drop = sqlx::AssertSqlSafe(format!("DROP TABLE {table}"));
        sqlx::raw_sql(drop).execute(&store.pool).await.unwrap();
    }
    for (table, column) in [
        ("studies", "question"),
        ("models", "fate"),
        ("models", "fate_since"),
        ("models", "recall_by"),
        ("models", "recall_key"),
        ("models", "recall_at"),
    ] {
        let younger = sqlx::AssertSqlSafe(format!("ALTER TABLE {table} DROP COLUMN {column}"));
        sqlx::raw_sql(younger).execute(&store.pool).await.unwrap();
    }
    let older = "UPDATE schema_version SET number = 1";
    sqlx::query(older).execute(&store.pool).await.unwrap();
    store.close().await;
    let store = open().await.unwrap();
    assert_eq!(store.spool(&StudyHash([5; 32])).await.unwrap(), []);
    assert!(store.ticket(Hash32([1; 32])).await.unwrap().is_some());
    assert_eq!(store.schema().await.unwrap(), Some(10));
}

#[tokio::test]
async fn a_store_that_is_up_to_date_is_only_read() {
    let dir = tempfile::tempdir().unwrap();
    let key = key();
    let open = || Store::open("sqlite://store.sqlite", dir.path(), &key);
    open().await.unwrap().close().await;
    let file = dir.path().join("store.sqlite");
    let (bytes, time) = (
        std::fs::read(&file).unwrap(),
        file.metadata().unwrap().modified().unwrap(),
    );
    open().await.unwrap().close().await;
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    assert_eq!(file.metadata().unwrap().modified().unwrap(), time);
}
