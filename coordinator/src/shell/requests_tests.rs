//! Questions to a hub with a real store: who may do what, and what a study that has ended answers.

use std::sync::Arc;

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{Hash32, IdentityKey, Role, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::model::{Fate, ModelFile};
use aquifer_shared::protocol::ask::{CanaryRecord, Look, Request, Response, StudyState};
use aquifer_shared::protocol::wire::{Verdict, approve_digest};
use aquifer_shared::shell::at_rest::DatabaseKey;
use aquifer_shared::shell::certificates::CertificateAuthority;
use aquifer_shared::shell::keys::Identity;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::clock::now;
use super::front::{Command, Front};
use super::hub::Hub;
use super::lawful::Law;
use super::registry::Registry;
use super::requests::{MODEL_READERS, barred};
use super::store::{Party, Store, StoredModel, Ticketed};
use crate::core::event::Event;
use crate::core::finished::finished;
use crate::core::gates_fixtures::{
    CONTRACT, allowed_to_release, declared, gates, gates_with, purposes,
};

pub(super) const STUDY: &str = r#"
name = "churn"
purpose = "churn.train"
contract = { name = "customers", version = 1 }
plan = "additive"
epsilon = 1.0
customers_max = 10000
population = 80000
"#;

/// A hub over a new store in which one node is registered, and people who ask.
pub(super) struct World {
    pub(super) hub: Hub,
    person: Identity,
    _commands: mpsc::Receiver<Command>,
    _folder: TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(
            "sqlite://store.db",
            folder.path(),
            &DatabaseKey::new([7; 32]),
        )
        .await
        .unwrap();
        register(&store, &party("north", Role::Node, IdentityKey([7; 32]))).await;
        let authority = CertificateAuthority::create(&"aquifer".parse().unwrap(), now()).unwrap();
        let registry = Registry::load(store.clone()).await.unwrap();
        let (sender, commands) = mpsc::channel(8);
        let (mirror, _) = mpsc::channel(8);
        let authority = Arc::new(authority);
        let front = Front::new(registry, store.clone(), authority, 30, sender, mirror)
            .under(Law::logged(gates()));
        let release = Arc::new(Identity::generate().unwrap());
        Self {
            hub: Hub::load(Arc::new(front), store, release).await.unwrap(),
            person: Identity::generate().unwrap(),
            _commands: commands,
            _folder: folder,
        }
    }

    pub(super) async fn ask(&mut self, role: Role, request: Request) -> Response {
        let name = if role == Role::Operator { "ops" } else { "eve" };
        self.ask_as(name, role, request).await
    }

    pub(super) async fn ask_as(&mut self, name: &str, role: Role, request: Request) -> Response {
        let asker = party(name, role, self.person.public());
        let (answers, _replies) = mpsc::channel(8);
        self.hub.respond(&asker, request, &answers).await.unwrap()
    }

    async fn submit(&mut self) -> StudyHash {
        match self.submit_file(STUDY).await {
            Response::Submitted { study, .. } => study,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn submit_file(&mut self, study: &str) -> Response {
        let request = Request::StudySubmit {
            study: study.to_owned(),
            contract: CONTRACT.to_owned(),
            dry_run: false,
        };
        self.ask(Role::Operator, request).await
    }

    async fn approve(&mut self, study: StudyHash) -> Response {
        self.approve_as("eve", study).await
    }

    pub(super) async fn approve_as(&mut self, name: &str, study: StudyHash) -> Response {
        let signature = self.person.sign(&approve_digest(&study));
        let request = Request::StudyApprove { study, signature };
        self.ask_as(name, Role::Approver, request).await
    }

    pub(super) async fn abort(&mut self, study: StudyHash) -> Response {
        let request = Request::StudyAbort(study.to_string());
        self.ask(Role::Operator, request).await
    }

    /// Approvals that a study has.
    async fn approvals(&mut self, study: StudyHash) -> usize {
        let request = Request::StudyShow(study.to_string());
        match self.ask(Role::Operator, request).await {
            Response::Study(detail) => detail.approvals.len(),
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn party(name: &str, role: Role, identity: IdentityKey) -> Party {
    Party {
        name: name.parse().unwrap(),
        role,
        identity,
        fingerprint: Hash32(identity.0),
        fingerprint_before: Hash32::default(),
        certificate_until: Timestamp(u64::from(u32::MAX)),
        revoked: false,
        last_seen: Timestamp(0),
        ledger_seq: 0,
        software: String::new(),
    }
}

async fn register(store: &Store, party: &Party) {
    let (secret, expires) = (sha256(party.name.as_str().as_bytes()), Timestamp(100));
    let ticket = Ticketed {
        name: party.name.clone(),
        role: party.role,
        expires,
        used_by: None,
    };
    store.add_ticket(secret, &ticket).await.unwrap();
    store.redeem(secret, party, Timestamp(1)).await.unwrap();
}

#[track_caller]
pub(super) fn check_refused(response: Response, code: &str, words: &str) {
    match response {
        Response::Refused {
            code: found,
            message,
        } => {
            assert_eq!(found, code, "{message}");
            assert!(message.contains(words), "{message}");
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[track_caller]
pub(super) fn check_done(response: Response, words: &str) {
    match response {
        Response::Done(text) => assert!(text.contains(words), "{text}"),
        other => panic!("expected {words:?}, got {other:?}"),
    }
}

#[tokio::test]
async fn a_study_is_approved_while_it_waits() {
    let mut world = World::new().await;
    let study = world.submit().await;
    check_done(world.approve(study).await, "approved");
    assert_eq!(world.approvals(study).await, 1);
}

#[tokio::test]
async fn l1_a_study_under_way_is_decided_again_before_each_sum() {
    let mut world = World::new().await;
    let study = world.submit().await;
    check_done(world.approve(study).await, "approved");
    world.hub.handle(study, Event::Connected(0)).await;
    // Meanwhile the purpose was not looked at again in time.
    let late = purposes().replace("2099-12-31", "2020-12-31");
    let gates = gates_with(&late, declared(), |_, text| text.to_owned());
    let front = Arc::get_mut(&mut world.hub.front).expect("nobody else holds it");
    front.law = Law::logged(gates);
    let accepted = Event::Decided(0, Verdict::Accepted);
    world.hub.handle(study, accepted).await;
    let request = Request::StudyShow(study.to_string());
    let Response::Study(detail) = world.ask(Role::Operator, request).await else {
        panic!("no study");
    };
    let status = detail.status;
    assert_eq!(status.state, StudyState::Aborted);
    assert!(
        status.reason.contains("ended by the rules of law"),
        "{status:?}"
    );
    assert!(status.reason.contains("review_overdue"), "{status:?}");
    let live = &world.hub.studies[&study];
    assert!(live.granted().is_none(), "no unit is asked");
    assert!(live.machine.released().is_empty());
}

#[tokio::test]
async fn a_study_that_may_go_on_goes_on() {
    let mut world = World::new().await;
    let study = world.submit().await;
    check_done(world.approve(study).await, "approved");
    world.hub.handle(study, Event::Connected(0)).await;
    let accepted = Event::Decided(0, Verdict::Accepted);
    world.hub.handle(study, accepted).await;
    let live = &world.hub.studies[&study];
    assert!(live.granted().is_some());
    assert_eq!(live.machine.state(), StudyState::Running);
}

#[tokio::test]
async fn nobody_approves_a_study_of_their_own() {
    let mut world = World::new().await;
    let study = world.submit().await;
    let own = world.approve_as("ops", study).await;
    check_refused(own, "own-study", "two people");
    let signature = world.person.sign(&approve_digest(&study));
    let request = Request::StudyApprove { study, signature };
    check_refused(world.ask(Role::Operator, request).await, "role", "approver");
    assert_eq!(world.approvals(study).await, 0);
}

/// Requests with what each role may do: `+` yes, `-` no, in the order node, operator, approver, analyst, auditor, dpo.
#[test]
fn s1_roles_have_least_rights() {
    let study = StudyHash([5; 32]);
    let name = || "churn".parse().unwrap();
    let table = [
        (
            "-+----",
            Request::StudySubmit {
                study: String::new(),
                contract: String::new(),
                dry_run: true,
            },
        ),
        ("-+----", Request::StudyAbort(String::new())),
        (
            "-+----",
            Request::ModelRetrain {
                model: String::new(),
                why: String::new(),
            },
        ),
        ("++++++", Request::ModelPlans),
        (
            "--+---",
            Request::StudyApprove {
                study,
                signature: Vec::new(),
            },
        ),
        (
            "--+---",
            Request::ModelRelease {
                model: String::new(),
                publish: true,
            },
        ),
        (
            "--+---",
            Request::ModelEnd {
                model: String::new(),
                recall: false,
                why: String::new(),
            },
        ),
        (
            "-++--+",
            Request::ModelEnd {
                model: String::new(),
                recall: true,
                why: String::new(),
            },
        ),
        (
            "----++",
            Request::ModelAudited {
                model: String::new(),
                result: CanaryRecord::default(),
            },
        ),
        ("++++++", Request::ModelUse(String::new())),
        ("++++++", Request::ModelLives),
        ("---+--", Request::Look(Look::Budget)),
        ("-+++++", Request::Look(Look::Columns)),
        ("-+++++", Request::Look(Look::Releases)),
        ("-+++++", Request::StudyList),
        ("-+++++", Request::StudyShow(String::new())),
        ("-+++++", Request::StudyWatch(String::new())),
        ("-+++++", Request::Nodes),
        ("-+++++", Request::TokenList),
        (
            "-+++++",
            Request::TokenRevoke {
                owner: None,
                name: name(),
            },
        ),
        ("++++++", Request::ModelList),
        ("++++++", Request::ModelFetch(String::new())),
        ("++++++", Request::ModelSums(String::new())),
        ("++++++", Request::ContractShow(String::new())),
        ("++++++", Request::Renew { csr: Vec::new() }),
        ("+-----", Request::Ledger { from: 0 }),
    ];
    let roles = [
        Role::Node,
        Role::Operator,
        Role::Approver,
        Role::Analyst,
        Role::Auditor,
        Role::Dpo,
    ];
    for (rights, request) in table {
        for (right, role) in rights.chars().zip(roles) {
            let barred = barred(&party("eve", role, IdentityKey([9; 32])), &request);
            assert_eq!(barred.is_some(), right == '-', "{role} {request:?}");
        }
    }
}

/// A released version of the sample model, made at this time.
async fn release(world: &World, version: u32, made: u64) {
    release_of(world, version, made, StudyHash([version as u8; 32])).await;
}

/// The same, of a study.
pub(super) async fn release_of(world: &World, version: u32, made: u64, study: StudyHash) {
    let (file, _) = finished();
    let by = made + 90 * 24 * 3_600 * 1_000;
    let file = file
        .to_json()
        .replace("\"created\":1800000000000", &format!("\"created\":{made}"))
        .replace(
            "\"retire_by\":1807776000000",
            &format!("\"retire_by\":{by}"),
        );
    let model = StoredModel {
        name: "churn".parse().unwrap(),
        version,
        study,
        published: true,
        file,
        created: Timestamp(made),
        fate: Fate::InUse,
        fate_since: Timestamp(0),
    };
    let allowed = allowed_to_release();
    world
        .hub
        .store
        .add_model(&model, Some(allowed))
        .await
        .unwrap();
}

#[tokio::test]
async fn t2_a_model_past_its_date_is_not_predicted_with() {
    let mut world = World::new().await;
    let used = |which: &str| Request::ModelUse(which.to_owned());
    let end = |which: &str, recall| Request::ModelEnd {
        model: which.to_owned(),
        recall,
        why: "drift".to_owned(),
    };
    check_refused(
        world.ask(Role::Analyst, used("churn")).await,
        "unknown",
        "churn",
    );
    release(&world, 1, 1_500_000_000_000).await;
    let by = "was to be retired by 2017-10-12";
    for role in MODEL_READERS {
        check_refused(world.ask(*role, used("churn")).await, "out-of-use", by);
        // It may be read all the same.
        let fetched = world
            .ask(*role, Request::ModelFetch("churn".to_owned()))
            .await;
        assert!(matches!(fetched, Response::Model(_)));
    }
    // The newest that is used, and not one that is newer and out of use.
    release(&world, 2, now().0).await;
    release(&world, 3, now().0).await;
    let version = async |world: &mut World, which| match world.ask(Role::Node, used(which)).await {
        Response::Model(file) => ModelFile::parse(&file).unwrap().card().created,
        other => panic!("{other:?}"),
    };
    assert!(version(&mut world, "churn").await > Timestamp(1_500_000_000_000));
    check_refused(
        world.ask(Role::Approver, end("churn", false)).await,
        "version",
        "NAME@VERSION",
    );
    check_done(
        world.ask(Role::Approver, end("churn@3", false)).await,
        "churn@3: retired",
    );
    check_refused(
        world.ask(Role::Approver, end("churn@3", false)).await,
        "not-in-use",
        "not in use",
    );
    check_refused(
        world.ask(Role::Node, used("churn@3")).await,
        "out-of-use",
        "was retired on",
    );
    assert!(version(&mut world, "churn").await > Timestamp(1_500_000_000_000));
    check_refused(
        world.ask(Role::Node, used("churn@1")).await,
        "out-of-use",
        by,
    );
    // Two people, whoever they are; one twice is one.
    let eve = party("eve", Role::Dpo, world.person.public());
    register(&world.hub.store, &eve).await;
    check_done(
        world.ask_as("eve", Role::Dpo, end("churn@2", true)).await,
        "second person",
    );
    check_refused(
        world
            .ask_as("eve", Role::Approver, end("churn@2", true))
            .await,
        "two-people",
        "another",
    );
    check_done(
        world
            .ask_as("ops", Role::Operator, end("churn@2", true))
            .await,
        "recalled",
    );
    check_refused(
        world.ask(Role::Node, used("churn")).await,
        "out-of-use",
        "churn@3 was retired",
    );
}

#[tokio::test]
async fn a_recall_needs_two_people_who_may_when_the_second_asks() {
    let mut world = World::new().await;
    release(&world, 1, now().0).await;
    let recall = || Request::ModelEnd {
        model: "churn@1".to_owned(),
        recall: true,
        why: "drift".to_owned(),
    };
    let eve = party("eve", Role::Approver, world.person.public());
    register(&world.hub.store, &eve).await;
    let asked = world.ask_as("eve", Role::Approver, recall()).await;
    check_done(asked, "waits until");
    assert!(world.hub.store.revoke(&eve.name).await.unwrap());
    let second = world.ask_as("ops", Role::Operator, recall()).await;
    check_done(second, "waits until");
    let used = Request::ModelUse("churn@1".to_owned());
    let used = world.ask(Role::Analyst, used).await;
    assert!(matches!(used, Response::Model(_)), "{used:?}");
}

#[tokio::test]
async fn a_study_that_has_ended_is_neither_approved_nor_stopped() {
    let mut world = World::new().await;
    let study = world.submit().await;
    check_done(world.abort(study).await, "stopped");
    check_refused(world.approve(study).await, "ended", "has ended already");
    assert_eq!(world.approvals(study).await, 0);
    check_refused(world.abort(study).await, "ended", "has ended already");
}

#[tokio::test]
async fn an_approval_needs_a_study_and_the_askers_own_signature() {
    let mut world = World::new().await;
    check_refused(
        world.approve(StudyHash([5; 32])).await,
        "unknown",
        "no study",
    );
    let study = world.submit().await;
    let signature = Identity::generate().unwrap().sign(&approve_digest(&study));
    let request = Request::StudyApprove { study, signature };
    check_refused(
        world.ask(Role::Approver, request).await,
        "signature",
        "your identity key",
    );
    assert_eq!(world.approvals(study).await, 0);
}

#[tokio::test]
async fn a_role_does_what_is_its_own() {
    let mut world = World::new().await;
    let study = world.submit().await;
    let stop = || Request::StudyAbort(study.to_string());
    for role in [
        Role::Analyst,
        Role::Auditor,
        Role::Dpo,
        Role::Approver,
        Role::Node,
    ] {
        check_refused(world.ask(role, stop()).await, "role", "operator");
    }
    check_refused(
        world.ask(Role::Node, Request::StudyList).await,
        "role",
        "analyst",
    );
    assert!(matches!(
        world.ask(Role::Analyst, Request::StudyList).await,
        Response::Studies(_)
    ));
}
