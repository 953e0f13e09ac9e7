//! What a start enters that a crash lost, what is declared, and that each is entered once.

use std::sync::Arc;

use aquifer_shared::base::ids::{Hash32, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::history::{Json, Kind};
use aquifer_shared::domain::sum::study_hash;
use aquifer_shared::protocol::ask::ReleasedSum;
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::shell::at_rest::DatabaseKey;
use aquifer_shared::shell::certificates::CertificateAuthority;

use super::*;
use crate::core::fixtures::terms;
use crate::core::gates_fixtures::CONTRACT;
use crate::shell::front::Front;
use crate::shell::registry::Registry;
use crate::shell::store::{Asked, Closing, Store, StoredStudy};

const ANSWERED: StudyHash = StudyHash([9; 32]);
const AT: Timestamp = Timestamp(5);

struct World {
    _folder: tempfile::TempDir,
    store: Store,
    history: History,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let stored = DatabaseKey::new([7; 32]);
    let store = Store::open("sqlite://store.sqlite", folder.path(), &stored).await;
    let key = Identity::generate().unwrap();
    let signer = LogSigner::new(coordinator_origin(&key.public()), key);
    let place = Place {
        folder: folder.path().join("history"),
        mark: folder.path().join("history.checkpoint"),
        takes_persons: false,
        key: DatabaseKey::new([7; 32]),
    };
    World {
        store: store.unwrap(),
        history: History::open(place, signer, now).await.unwrap(),
        _folder: folder,
    }
}

impl World {
    /// A coordinator that starts.
    async fn hub(&self) -> Hub {
        let registry = Registry::load(self.store.clone()).await.unwrap();
        let authority = CertificateAuthority::create(&"aquifer".parse().unwrap(), now()).unwrap();
        let (commands, _) = mpsc::channel(1);
        let (copies, _) = mpsc::channel(1);
        let (store, authority) = (self.store.clone(), Arc::new(authority));
        let front = Front::new(registry, store, authority, 30, commands, copies);
        front.attach(Chronicle {
            history: self.history.clone(),
            witnesses: mpsc::channel(1).0,
        });
        let release = Arc::new(Identity::generate().unwrap());
        Hub::load(Arc::new(front), self.store.clone(), release)
            .await
            .unwrap()
    }

    async fn kinds(&self) -> Vec<Kind> {
        let size = self.history.checkpoint().0.size;
        let entries = self.history.read(0..size).await.unwrap();
        entries.iter().map(|entry| entry.leaf.kind).collect()
    }

    async fn count(&self, kind: Kind) -> usize {
        let kinds = self.kinds().await;
        kinds.into_iter().filter(|own| *own == kind).count()
    }

    /// A study whose first round has two attempts.
    async fn begin(&self) -> StudyHash {
        let bytes = encode(&terms());
        let study = StoredStudy {
            hash: study_hash(&bytes),
            name: "load".parse().unwrap(),
            terms: bytes,
            contract_hash: Contract::parse(CONTRACT).unwrap().hash(),
            submitted: AT,
            ended: Timestamp(0),
            question: false,
        };
        let name = "customers".parse().unwrap();
        let added = self.store.add_study(&study, &name, 1, CONTRACT).await;
        added.unwrap();
        let opened = [0, 1].map(|attempt| {
            encode(&Record::Open {
                round: 0,
                attempt,
                at: AT,
            })
        });
        let appended = self.store.append(&study.hash, 0, &opened, &[], None).await;
        appended.unwrap();
        study.hash
    }

    /// A question that was answered by its second attempt, and forgotten.
    async fn answer(&self) {
        let study = StoredStudy {
            hash: ANSWERED,
            name: "reports".parse().unwrap(),
            terms: encode(&terms()),
            contract_hash: Hash32([1; 32]),
            submitted: AT,
            ended: Timestamp(0),
            question: true,
        };
        let asked = Asked {
            analyst: "ada".parse().unwrap(),
            request: "monday".to_owned(),
            plan: Hash32([2; 32]),
            study: ANSWERED,
            standing: StudyHash([3; 32]),
            purpose: "measure".parse().unwrap(),
            urho: MicroRho(1),
            at: AT,
        };
        let added = self.store.add_question(&study, &asked, &[]).await;
        assert!(added.unwrap());
        let closing = Closing {
            answer: StoredAnswer {
                study: ANSWERED,
                key: Hash32([2; 32]),
                urho: MicroRho(1),
                terms: study.terms,
                attempts: 2,
                sum: ReleasedSum {
                    round: 0,
                    updates: 4,
                    cells: vec![1],
                },
                created: AT,
            },
            paid: MicroRho(2),
            ended: AT,
        };
        let closed = self.store.append(&ANSWERED, 0, &[], &[], Some(&closing));
        closed.await.unwrap();
    }
}

#[tokio::test]
async fn what_a_crash_lost_is_entered_at_the_next_start_and_once() {
    let world = world().await;
    world.begin().await;
    world.answer().await;
    for _ in 0..2 {
        let hub = world.hub().await;
        hub.catch_up().await.unwrap();
        assert_eq!(world.count(Kind::BudgetSpent).await, 4);
        assert_eq!(world.count(Kind::StudyProposed).await, 1);
        assert_eq!(world.count(Kind::QueryPlanned).await, 1);
    }
}

#[tokio::test]
async fn what_a_question_without_answer_has_cost_is_on_disk_before_it_is_forgotten() {
    let world = world().await;
    let study = world.begin().await;
    let hub = world.hub().await;
    hub.tell_cost(&hub.studies[&study]).await;
    assert_eq!(world.kinds().await, [Kind::BudgetSpent; 2]);
    hub.tell_cost(&hub.studies[&study]).await;
    assert_eq!(world.kinds().await.len(), 2);
}

#[tokio::test]
async fn declarations_are_entered_when_they_change() {
    let world = world().await;
    let hub = world.hub().await;
    let declared = |what: &str| {
        let payload = Json::object([("declares", what.into())]);
        vec![Event::of_program(Kind::PackLoaded, payload)]
    };
    for (what, expected) in [("a", 1), ("a", 1), ("b", 2), ("a", 3)] {
        hub.declare(declared(what)).await.unwrap();
        assert_eq!(world.kinds().await.len(), expected, "{what}");
    }
    // Once, that nothing is declared any more.
    for _ in 0..2 {
        hub.declare(Vec::new()).await.unwrap();
        assert_eq!(world.kinds().await.len(), 4);
    }
}
