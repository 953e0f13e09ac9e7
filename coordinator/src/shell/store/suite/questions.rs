//! What a store must do for questions of analysts, whichever database is below it.

use aquifer_shared::base::ids::{Hash32, IdentityKey, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::protocol::ask::ReleasedSum;

use super::super::{Asked, Closing, Store, StoredAnswer, StoredStudy};

const KEY: Hash32 = Hash32([0x61; 32]);
const STANDING: StudyHash = StudyHash([0x63; 32]);

fn asked(analyst: &str, request: &str, study: u8, urho: u64, at: u64) -> Asked {
    Asked {
        analyst: analyst.parse().unwrap(),
        request: request.to_owned(),
        plan: KEY,
        study: StudyHash([study; 32]),
        standing: STANDING,
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
        question: true,
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
    let bob = "bob".parse().unwrap();
    let check = async |person, standing, window, expected: (u64, u64)| {
        let used = store.share_used(person, &standing, Timestamp(window));
        let expected = (MicroRho(expected.0), MicroRho(expected.1));
        assert_eq!(used.await.unwrap(), expected);
    };
    check(Some(&bob), STANDING, 0, (0, 30)).await;
    check(Some(&bob), STANDING, 200, (10, 20)).await;
    check(Some(&bob), STANDING, 201, (30, 0)).await;
    check(Some(&bob), StudyHash([0x64; 32]), 0, (0, 0)).await;
    // Everybody: with what ada asked at 100.
    check(None, STANDING, 100, (10, 60)).await;
}

pub(super) async fn a_question_costs_what_it_came_to(store: &Store) {
    let ada = "ada".parse().unwrap();
    let used = async || {
        let used = store.share_used(Some(&ada), &STANDING, Timestamp(0));
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
    let mut listed = studies.filter(|one| one.hash == study.hash);
    assert_eq!(
        listed.next(),
        None,
        "a question that has ended is not read at start"
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

pub(super) async fn request_ids_are_counted_and_dropped_in_time(store: &Store) {
    let dora = "dora".parse().unwrap();
    for (request, at) in [("d1", 50), ("d2", 150), ("d2", 160), ("d3", 170)] {
        let new = store.add_asked(&asked("dora", request, 0x95, 0, at)).await;
        assert_eq!(new.unwrap(), at != 160);
    }
    let count = async |before| {
        let ids = store.request_ids(Timestamp(before)).await.unwrap();
        ids.into_iter()
            .find(|(name, _)| *name == dora)
            .map(|(_, ids)| ids)
    };
    assert_eq!(count(0).await, Some(3));
    assert_eq!(count(150).await, Some(2));
    assert_eq!(store.asked(&dora, "d1").await.unwrap(), None);
}

pub(super) async fn questions_that_ended_are_not_read_again_but_settled(store: &Store) {
    let asked = asked("eve", "e1", 0x99, 70, 300);
    assert!(store.add_question(&study(0x99), &asked, &[]).await.unwrap());
    let number = StudyHash([0x99; 32]);
    let known = async || {
        let studies = store.studies().await.unwrap();
        studies.iter().any(|study| study.hash == number)
    };
    let open = async || {
        let open = store.unsettled().await.unwrap();
        open.iter().any(|study| study.hash == number)
    };
    assert_eq!((known().await, open().await), (true, false));
    assert_eq!(
        store.asker(&number).await.unwrap(),
        Some("eve".parse().unwrap())
    );
    store.end_study(&number, Timestamp(310)).await.unwrap();
    assert_eq!((known().await, open().await), (false, true));
    store.settle_asked(&number, MicroRho(35)).await.unwrap();
    assert_eq!((known().await, open().await), (false, false));
}

pub(super) async fn the_last_data_version_of_a_node_is_kept(store: &Store) {
    let node = IdentityKey([0x31; 32]);
    assert_eq!(store.data_versions().await.unwrap(), []);
    for version in ["2026-11", "2026-12"] {
        let version = version.parse().unwrap();
        store.set_data_version(&node, &version).await.unwrap();
        assert_eq!(store.data_versions().await.unwrap(), [(node, version)]);
    }
}

pub(super) async fn the_last_program_of_a_node_is_kept(store: &Store) {
    let node = IdentityKey([0x31; 32]);
    assert_eq!(store.programs().await.unwrap(), []);
    for program in [Hash32([1; 32]), Hash32([2; 32])] {
        store.set_program(&node, &program).await.unwrap();
        assert_eq!(store.programs().await.unwrap(), [(node, program)]);
    }
}
