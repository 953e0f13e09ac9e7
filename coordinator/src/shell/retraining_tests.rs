//! Models that are trained anew, on a hub with a real store: proposed once, by nobody alone, and what it supersedes is used no more. Tests are
//! named by the ids of the features that they show.

use std::sync::Arc;

use aquifer_shared::base::ids::{Role, StudyHash};
use aquifer_shared::domain::predictor::model::{Fate, Succession};
use aquifer_shared::protocol::ask::{Request, Response, StudyState};
use aquifer_shared::shell::keys::Identity;

use super::clock::now;
use super::hub::Hub;
use super::lawful::Law;
use super::requests_tests::{STUDY, World, check_done, check_refused, release_of};
use crate::core::gates_fixtures::{declared, gates_with, purposes};

const DAY_MS: u64 = 24 * 3_600 * 1_000;
/// Models are used for 90 days.
const RETRAIN: &str = "retrain = { lead_days = 14 }\n";

/// A hub with a released model of a study that has ended, made so many days ago.
async fn world(days: u64, more: &str) -> (World, StudyHash) {
    let mut world = World::new().await;
    let submitted = world.submit_file(&format!("{STUDY}{more}")).await;
    let Response::Submitted { study, .. } = submitted else {
        panic!("{submitted:?}");
    };
    check_done(world.abort(study).await, "stopped");
    release_of(&world, 1, now().0 - days * DAY_MS, study).await;
    (world, study)
}

/// Studies that wait for an approver.
async fn waiting(world: &mut World) -> Vec<StudyHash> {
    let Response::Studies(all) = world.ask(Role::Operator, Request::StudyList).await else {
        panic!("no studies");
    };
    let waiting = all.iter().filter(|one| one.state == StudyState::Submitted);
    waiting.map(|one| one.study).collect()
}

/// What becomes of the place of the model of a study.
async fn planned(world: &mut World, study: StudyHash) -> Succession {
    let Response::ModelPlans(plans) = world.ask(Role::Auditor, Request::ModelPlans).await else {
        panic!("no plans");
    };
    let own = plans.iter().find(|own| own.study == study);
    own.unwrap().succession
}

fn retrain(which: &str) -> Request {
    Request::ModelRetrain {
        model: which.to_owned(),
        why: "an objection was upheld".to_owned(),
    }
}

#[tokio::test]
async fn t2_a_study_is_proposed_again_once_when_its_day_comes() {
    let (mut world, study) = world(77, RETRAIN).await;
    assert!(matches!(
        planned(&mut world, study).await,
        Succession::Scheduled(_)
    ));
    world.hub.look_at_models().await;
    let proposed = waiting(&mut world).await;
    assert_eq!(proposed.len(), 1);
    assert!(matches!(
        planned(&mut world, study).await,
        Succession::Proposed(_)
    ));
    let live = &world.hub.studies[&proposed[0]];
    assert_eq!(live.terms.name.as_str(), "churn");
    let left = live.terms.expires.since_ms(now()) / DAY_MS;
    assert_eq!(left, 12, "it waits until the model's last moment");
    world.hub.look_at_models().await;
    assert_eq!(waiting(&mut world).await, proposed);
    // Nor is it proposed again by a coordinator that starts anew.
    let (front, store) = (world.hub.front.clone(), world.hub.store.clone());
    let release = Arc::new(Identity::generate().unwrap());
    world.hub = Hub::load(front, store, release).await.unwrap();
    world.hub.look_at_models().await;
    assert_eq!(waiting(&mut world).await, proposed);
    // Nobody approves it whose word it rests on, in whatever role; and it is approved by nobody else but an approver.
    let own = world.approve_as("ops", proposed[0]).await;
    check_refused(own, "own-study", "two people");
    assert_eq!(waiting(&mut world).await, proposed);
    check_done(world.approve_as("eve", proposed[0]).await, "approved");
}

#[tokio::test]
async fn a_study_is_not_proposed_before_its_day_nor_without_a_schedule() {
    for (days, more) in [(75, RETRAIN), (77, ""), (200, "")] {
        let (mut world, _) = world(days, more).await;
        world.hub.look_at_models().await;
        assert_eq!(waiting(&mut world).await, [], "{days} {more}");
    }
    // A coordinator that was away when the day came proposes it late.
    let (mut late, _) = world(200, RETRAIN).await;
    late.hub.look_at_models().await;
    assert_eq!(waiting(&mut late).await.len(), 1);
}

#[tokio::test]
async fn t2_a_model_is_trained_anew_at_once_where_somebody_asks() {
    let (mut world, study) = world(5, "").await;
    for role in [Role::Approver, Role::Analyst, Role::Dpo, Role::Node] {
        check_refused(
            world.ask(role, retrain("churn@1")).await,
            "role",
            "operator",
        );
    }
    let ask = async |world: &mut World, which| world.ask(Role::Operator, retrain(which)).await;
    check_refused(ask(&mut world, "churn").await, "version", "NAME@VERSION");
    check_refused(ask(&mut world, "churn@9").await, "unknown", "churn@9");
    let bare = Request::ModelRetrain {
        model: "churn@1".to_owned(),
        why: " ".to_owned(),
    };
    check_refused(world.ask(Role::Operator, bare).await, "why", "--why");
    check_done(ask(&mut world, "churn@1").await, "waits for an approver");
    let first = waiting(&mut world).await;
    assert_eq!(first.len(), 1);
    let own = world.approve_as("ops", first[0]).await;
    check_refused(own, "own-study", "two people");
    check_refused(ask(&mut world, "churn@1").await, "proposed", "already");
    check_done(world.abort(first[0]).await, "stopped");
    let ended = planned(&mut world, study).await;
    assert!(matches!(ended, Succession::Ended(_)), "{ended:?}");
    check_done(ask(&mut world, "churn@1").await, "waits for an approver");
    let second = waiting(&mut world).await;
    assert!(second.len() == 1 && second != first);
    // Of a study that was submitted before files were kept.
    release_of(&world, 2, now().0, StudyHash([9; 32])).await;
    world.hub.agenda.forget();
    check_refused(ask(&mut world, "churn@2").await, "study-file", "not kept");
    check_done(world.abort(second[0]).await, "stopped");
    check_refused(ask(&mut world, "churn@1").await, "not-newest", "churn@1");
}

#[tokio::test]
async fn t2_what_is_superseded_is_used_no_more() {
    let (mut world, study) = world(77, RETRAIN).await;
    world.hub.look_at_models().await;
    let proposed = waiting(&mut world).await[0];
    let fates = async |world: &World| {
        let models = world.hub.store.models().await.unwrap();
        let mut fates: Vec<_> = models.iter().map(|own| (own.version, own.fate)).collect();
        fates.sort_by_key(|(version, _)| *version);
        fates
    };
    world.hub.look_at_models().await;
    assert_eq!(fates(&world).await, [(1, Fate::InUse)]);
    check_done(world.abort(proposed).await, "stopped");
    release_of(&world, 2, now().0, proposed).await;
    world.hub.tell_lives().await;
    let superseded = planned(&mut world, study).await;
    assert!(
        matches!(superseded, Succession::Superseded { version: 2, .. }),
        "{superseded:?}"
    );
    // Units are told first what took its place.
    world.hub.look_at_models().await;
    let used = (2, Fate::InUse);
    assert_eq!(fates(&world).await, [(1, Fate::InUse), used]);
    world.hub.look_at_models().await;
    assert_eq!(fates(&world).await, [(1, Fate::Retired), used]);
    // The other has the same file, and a day of its own.
    let next = planned(&mut world, proposed).await;
    assert!(matches!(next, Succession::Scheduled(at) if at > now()));
    assert_eq!(waiting(&mut world).await, []);
}

#[tokio::test]
async fn a_schedule_proposes_nothing_that_the_rules_deny() {
    let (mut world, study) = world(77, RETRAIN).await;
    let late = purposes().replace("2099-12-31", "2020-12-31");
    let gates = gates_with(&late, declared(), |_, text| text.to_owned());
    let front = Arc::get_mut(&mut world.hub.front).expect("nobody else holds it");
    front.law = Law::logged(gates);
    for _ in 0..2 {
        world.hub.look_at_models().await;
        assert_eq!(waiting(&mut world).await, []);
    }
    let planned = planned(&mut world, study).await;
    assert!(matches!(planned, Succession::Scheduled(_)), "tried later");
    check_refused(
        world.ask(Role::Operator, retrain("churn@1")).await,
        "law",
        "review_overdue",
    );
}

#[tokio::test]
async fn a_file_says_no_more_days_than_a_model_has() {
    let mut world = World::new().await;
    for (more, words) in [
        ("retrain = { lead_days = 90 }\n", "from 1 to 89"),
        ("retrain = { lead_days = 0 }\n", "lead_days is 0"),
    ] {
        let refused = world.submit_file(&format!("{STUDY}{more}")).await;
        check_refused(refused, "value", words);
    }
    let Response::Submitted { notes, .. } = world.submit_file(&format!("{STUDY}{RETRAIN}")).await
    else {
        panic!("not submitted");
    };
    assert!(notes.iter().any(|note| note.contains("14 days before")));
}
