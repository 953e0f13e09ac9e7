//! What a store must do for questions of analysts, whichever database is below it.

use aquifer_shared::base::ids::{Hash32, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::protocol::ask::ReleasedSum;

use super::super::{Asked, Closing, Store, StoredAnswer, StoredStudy};

const KEY: Hash32 = Hash32([0x61; 32]);

fn asked(analyst: &str, request: &str, study: u8, urho: u64, at: u64) -> Asked {
    Asked {
        analyst: analyst.parse().unwrap(),
        request: request.to_owned(),
        key: KEY,
        study: StudyHash([study; 32]),
        purpose: "reporting".parse().unwrap(),
        urho: MicroRho(urho),
        at: Timestamp(at),
    }
}

fn study(number: u8) -> StoredStudy {
    StoredStudy {
        hash: StudyHash([number; 32]),
        name: "reports".parse().unwrap(),
        terms: vec![number],
        contract_hash: Hash32([0x62; 32]),
        submitted: Timestamp(10),
        ended: Timestamp(0),
    }
}

fn answer(number: u8, urho: u64) -> StoredAnswer {
    StoredAnswer {
        study: StudyHash([number; 32]),
        key: KEY,
        urho: MicroRho(urho),
        terms: vec![number],
        attempts: 2,
        sum: ReleasedSum {
            round: 0,
            updates: 4,
            cells: vec![-3, 5],
        },
        created: Timestamp(20),
    }
}

pub(super) async fn a_question_and_its_study_are_kept_both_or_neither(store: &Store) {
    let first = asked("ada", "monday", 0x91, 40, 100);
    assert!(
        store
            .add_question(&study(0x91), &first, &[vec![7]])
            .await
            .unwrap()
    );
    let second = asked("ada", "monday", 0x92, 40, 101);
    assert!(
        !store
            .add_question(&study(0x92), &second, &[vec![8]])
            .await
            .unwrap()
    );
    let known = store.studies().await.unwrap();
    let known = |number| known.iter().any(|one| one.hash == StudyHash([number; 32]));
    assert_eq!((known(0x91), known(0x92)), (true, false));
    for (number, records) in [(0x91, vec![vec![7]]), (0x92, vec![])] {
        let found = store.records(&StudyHash([number; 32])).await.unwrap();
        assert_eq!(found, records);
    }
    let name = "ada".parse().unwrap();
    assert_eq!(store.asked(&name, "monday").await.unwrap(), Some(first));
    let other = "bob".parse().unwrap();
    assert_eq!(store.asked(&other, "monday").await.unwrap(), None);
}

pub(super) async fn shares_count_by_person_purpose_and_time(store: &Store) {
    for (request, study, urho, at) in [("b1", 0x93, 10, 50), ("b2", 0x94, 20, 200)] {
        let asked = asked("bob", request, study, urho, at);
        assert!(
            store
                .add_question(&self::study(study), &asked, &[])
                .await
                .unwrap()
        );
    }
    let purpose = "reporting".parse().unwrap();
    let bob = "bob".parse().unwrap();
    let check = async |person, opened, window, expected: (u64, u64)| {
        let used = store.share_used(person, &purpose, Timestamp(opened), Timestamp(window));
        let expected = (MicroRho(expected.0), MicroRho(expected.1));
        assert_eq!(used.await.unwrap(), expected);
    };
    check(Some(&bob), 0, 0, (0, 30)).await;
    check(Some(&bob), 0, 200, (10, 20)).await;
    check(Some(&bob), 51, 51, (0, 20)).await;
    check(Some(&bob), 201, 300, (0, 0)).await;
    // Everybody: with what ada asked at 100.
    check(None, 0, 100, (10, 60)).await;
}

pub(super) async fn a_question_costs_what_it_came_to(store: &Store) {
    let (purpose, ada) = ("reporting".parse().unwrap(), "ada".parse().unwrap());
    let used = async || {
        let used = store.share_used(Some(&ada), &purpose, Timestamp(0), Timestamp(0));
        used.await.unwrap().1
    };
    let number = StudyHash([0x91; 32]);
    store.settle_asked(&number, MicroRho(20)).await.unwrap();
    assert_eq!(used().await, MicroRho(20));
    store
        .add_asked(&asked("ada", "again", 0x91, 0, 102))
        .await
        .unwrap();
    store.settle_asked(&number, MicroRho(20)).await.unwrap();
    assert_eq!(used().await, MicroRho(20), "whoever joined in pays nothing");
    // Nothing was charged and nothing answered: both numbers are free again.
    store.settle_asked(&number, MicroRho::ZERO).await.unwrap();
    assert_eq!(used().await, MicroRho::ZERO);
    for request in ["monday", "again"] {
        assert_eq!(store.asked(&ada, request).await.unwrap(), None);
    }
}

/// Keeps an answer with one record of its study.
async fn close(store: &Store, first: u64, answer: StoredAnswer, paid: u64) {
    let study = answer.study;
    let closing = Closing {
        answer,
        paid: MicroRho(paid),
        ended: Timestamp(21),
    };
    let record = [vec![first as u8]];
    let closed = store.append(&study, first, &record, &[], Some(&closing));
    closed.await.unwrap();
}

pub(super) async fn an_answer_its_cost_and_its_end_are_kept_together(store: &Store) {
    let asked = asked("eve", "tuesday", 0x98, 40, 300);
    let first = [vec![0]];
    let (study, name) = (study(0x98), "eve".parse().unwrap());
    assert!(store.add_question(&study, &asked, &first).await.unwrap());
    let mut own = answer(0x98, 20);
    own.key = Hash32([0x98; 32]);
    close(store, 1, own.clone(), 20).await;
    // A write whose answer was lost is made again.
    close(store, 1, own.clone(), 20).await;
    let kept = store.asked(&name, "tuesday").await.unwrap().unwrap();
    assert_eq!(kept.urho, MicroRho(20));
    let studies = store.studies().await.unwrap().into_iter();
    let ended = studies.filter(|one| one.hash == study.hash);
    assert_eq!(
        ended.map(|one| one.ended).collect::<Vec<_>>(),
        [Timestamp(21)]
    );
    assert_eq!(store.answer_of(&study.hash).await.unwrap(), Some(own));
    assert_eq!(store.records(&study.hash).await.unwrap().len(), 2);
}

pub(super) async fn the_dearest_answer_answers(store: &Store) {
    assert_eq!(store.answer_to(&KEY).await.unwrap(), None);
    for (number, urho) in [(0x95, 20), (0x96, 50), (0x97, 30)] {
        for (first, urho) in [(0, urho), (1, 1_000)] {
            close(store, first, answer(number, urho), 0).await;
        }
    }
    assert_eq!(store.answer_to(&KEY).await.unwrap(), Some(answer(0x96, 50)));
    let of = StudyHash([0x95; 32]);
    assert_eq!(store.answer_of(&of).await.unwrap(), Some(answer(0x95, 20)));
    // An answered question stays under its number, whatever it cost.
    let kept = asked("ada", "kept", 0x95, 0, 103);
    store.add_asked(&kept).await.unwrap();
    store.settle_asked(&of, MicroRho::ZERO).await.unwrap();
    let ada = "ada".parse().unwrap();
    assert_eq!(store.asked(&ada, "kept").await.unwrap(), Some(kept));
}
