//! Cases of secure sums: a process that dies at every step, a coordinator that shows two sets, a ledger that was put back.

use std::os::unix::fs::PermissionsExt;

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::domain::sum::StudyTerms;
use aquifer_shared::protocol::aggregation::MemberSet;
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::wire::{
    Advert, Confirm, Decision, Delivery, LedgerCopy, LedgerHeld, Message, Opening, Refusal,
    RefusalCode, Shares, Verdict, frame, read_body,
};
use serde_json::Value;

use super::group::Group;
use super::world::{Mirror, Node, Session, World, copy_ledger};

async fn json(world: &World, arguments: &[&str]) -> Value {
    let (code, out, error) = world.run(arguments).await;
    assert_eq!(code, Some(0), "{error}");
    serde_json::from_str(&out).unwrap()
}

async fn spent(world: &World) -> u64 {
    let budget = json(world, &["budget", "--json"]).await;
    budget["per_contract"]["spent"]["rho_micro"]
        .as_u64()
        .unwrap()
}

/// A node that accepted a study in shared-noise.
async fn accepted(world: &World) -> (Node, Session, StudyTerms, StudyHash) {
    let node = world.start();
    let mut session = world.welcome().await;
    let (terms, study, offer) = world.offer_shared(2);
    session.offer(&offer).await;
    (node, session, terms, study)
}

#[tokio::test]
async fn a_process_takes_part_in_a_secure_sum() {
    let world = World::new();
    let (_node, mut session, terms, study) = accepted(&world).await;
    let mut group = Group::new(&terms, study, (0, 0), &world.peers);
    group.run(&mut session, None).await;
    let sum = group.released.unwrap();
    assert_eq!(sum.dealers, MemberSet::of(1..=4));
    let scale = terms.rounds[0].sigma_share as i64;
    let noise: Vec<i64> = sum.cells.iter().map(|cell| cell - group.brought).collect();
    // Beyond 20 deviations with probability below exp(-200) a cell.
    assert!(noise.iter().all(|noise| noise.abs() < 20 * scale));
    assert!(
        noise.iter().filter(|noise| **noise == 0).count() < 50,
        "noise is in it"
    );
    let budget = json(&world, &["budget", "--json"]).await;
    let line = &budget["studies"][0];
    assert_eq!(line["trust"], "shared-noise");
    assert_eq!((&line["honest"], &line["attempts"]), (&2.into(), &1.into()));
    assert_eq!(line["spent"]["rho_micro"], 1_000);
    assert_eq!(line["floor"]["rho_micro"], 2_000);
    let listed = json(&world, &["studies", "list", "--json"]).await;
    assert_eq!(listed[0]["trust"], "shared-noise");
    let ledger = json(&world, &["ledger", "show", "--json"]).await;
    assert_eq!(ledger["peers"].as_array().unwrap().len(), 3);
    assert_eq!(ledger["peers"][0]["dealt"], true);
    assert_eq!(ledger["locked"], Value::Null);
}

/// Kills the process once it has sent a message of this kind; the others go on, and the next attempt has everybody.
async fn check_killed_after(kind: u8, charged: bool, in_sum: bool) {
    let world = World::new();
    let (node, mut session, terms, study) = accepted(&world).await;
    let mut group = Group::new(&terms, study, (0, 0), &world.peers);
    group.run(&mut session, Some(kind)).await;
    node.kill().await;
    drop(session);
    group.go_on_alone();
    let own = group.own;
    let sum = group.released.expect("three of four are enough");
    assert_eq!(sum.dealers.contains(own), in_sum);
    assert_eq!(spent(&world).await, if charged { 1_000 } else { 0 });
    let _node = world.start();
    let mut session = world.welcome().await;
    let decision: Decision = session.hear().await;
    assert_eq!(decision.verdict, Verdict::Accepted);
    if charged {
        session.ask_for(study, 0, 100).await;
        let refusal: Refusal = session.hear().await;
        assert_eq!(
            (refusal.code, refusal.detail),
            (RefusalCode::AlreadyCharged, 0)
        );
    }
    let mut next = Group::new(&terms, study, (0, 1), &world.peers);
    next.run(&mut session, None).await;
    assert_eq!(next.released.unwrap().dealers, MemberSet::of(1..=4));
    assert_eq!(next.refused, []);
    assert_eq!(spent(&world).await, if charged { 2_000 } else { 1_000 });
}

#[tokio::test]
async fn killed_after_its_advert_it_has_paid_nothing() {
    check_killed_after(Advert::KIND, false, false).await;
}

#[tokio::test]
async fn killed_after_its_shares_its_part_stays_in_the_sum() {
    check_killed_after(Shares::KIND, true, true).await;
}

#[tokio::test]
async fn killed_after_its_confirmation_the_sum_is_opened_without_it() {
    check_killed_after(Confirm::KIND, true, true).await;
}

#[tokio::test]
async fn killed_after_its_opening_it_has_paid_once() {
    check_killed_after(Opening::KIND, true, true).await;
}

#[tokio::test]
async fn a_lost_session_resends_the_same_bytes() {
    let world = World::new();
    let (_node, mut session, terms, study) = accepted(&world).await;
    let mut group = Group::new(&terms, study, (0, 0), &world.peers);
    for kind in [Advert::KIND, Shares::KIND, Confirm::KIND] {
        group.run(&mut session, Some(kind)).await;
        session.lose();
        session = world.welcome().await;
        let _: Decision = session.hear().await;
        group.reconnect(&mut session).await;
    }
    group.run(&mut session, None).await;
    assert_eq!(group.released.unwrap().openers, MemberSet::of(1..=4));
    assert_eq!(spent(&world).await, 1_000);
}

#[tokio::test]
async fn two_sets_are_refused_and_kept_as_evidence() {
    let world = World::new();
    let (_node, mut session, terms, study) = accepted(&world).await;
    let mut group = Group::new(&terms, study, (0, 0), &world.peers);
    group.run(&mut session, Some(Shares::KIND)).await;
    group.run(&mut session, Some(Confirm::KIND)).await;
    let confirm = group.confirmed.clone().unwrap();
    let second = Delivery {
        attempt: confirm.attempt,
        roster: confirm.roster,
        dealers: MemberSet::of(confirm.dealers.iter().filter(|dealer| *dealer != 1)),
        records: Vec::new(),
    };
    session.say(&second).await;
    let refusal: Refusal = session.hear().await;
    assert_eq!(refusal.code, RefusalCode::Equivocation);
    assert_eq!(refusal.study, study);
    let path = world.directory().join("evidence.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let line: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(line["rule"], "one-set");
    assert_eq!(line["study"], study.to_string());
    assert_eq!(line["shown"]["sets"][1], serde_json::json!([2, 3, 4]));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(spent(&world).await, 1_000);
}

#[tokio::test]
async fn a_peer_whose_ledger_was_put_back_is_named_in_log_and_evidence() {
    let world = World::new();
    let node = world.start_logged();
    let mut session = world.welcome().await;
    let (terms, study, offer) = world.offer_shared(2);
    session.offer(&offer).await;
    let mut group = Group::new(&terms, study, (0, 0), &world.peers);
    group.run(&mut session, None).await;
    assert!(group.released.is_some());
    // They stand where they stood before they dealt.
    let mut again = Group::with_ledgers(&terms, study, (0, 1), &world.peers, 10);
    again.run(&mut session, Some(Refusal::KIND)).await;
    let (code, index) = again.refused[0];
    assert_eq!(code, RefusalCode::PeerBehind);
    assert_eq!(spent(&world).await, 1_000, "the second is not paid for");
    assert!(node.terminate().await.success());
    let log = std::fs::read_to_string(world.log()).unwrap();
    let line = log.lines().find(|line| line.contains("refusal")).unwrap();
    let key = terms.roster[index as usize - 1];
    let number = world
        .peers
        .iter()
        .position(|peer| peer.public() == key)
        .unwrap()
        + 1;
    for said in [
        study.short(),
        "peer-marks".into(),
        format!("peer={index}"),
        format!("unit-{number}"),
    ] {
        assert!(line.contains(&said), "{said} in {line}");
    }
    let text = std::fs::read_to_string(world.directory().join("evidence.jsonl")).unwrap();
    let evidence: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(evidence["peer"]["key"], key.to_string());
    assert!(evidence["shown"]["advert"].is_string());
}

/// A node whose ledger, and perhaps its witness, was put back to before its first sum, and the mirror that saw more.
async fn rolled_back(world: &World, witness_too: bool) -> (StudyTerms, StudyHash, Mirror) {
    let ledger = world.directory().join("ledger.sqlite");
    let old = world.directory().join("old");
    let (node, mut session, terms, study) = accepted(world).await;
    assert!(node.terminate().await.success());
    drop(session);
    copy_ledger(&ledger, &old);
    let witness = std::fs::read(world.witness()).unwrap();
    let node = world.start();
    session = world.welcome().await;
    let _: Decision = session.hear().await;
    let mut mirror = Mirror::default();
    session.say(&mirror.held()).await;
    mirror.take(session.hear::<LedgerCopy>().await);
    let mut group = Group::new(&terms, study, (0, 0), &world.peers);
    group.run(&mut session, Some(Shares::KIND)).await;
    // One that the node has signed between the first entry and the last.
    mirror.take(session.hear::<LedgerCopy>().await);
    group.run(&mut session, None).await;
    assert!(group.released.is_some());
    for copy in group.copies.drain(..) {
        mirror.take(copy);
    }
    // Entries are gathered for a moment.
    while mirror.held().head.seq < 4 {
        mirror.take(session.hear::<LedgerCopy>().await);
    }
    assert!(node.terminate().await.success());
    while let Some((kind, body)) = session.frame_or_end().await {
        mirror.take(read_body(kind, &body).unwrap());
    }
    copy_ledger(&old, &ledger);
    if witness_too {
        std::fs::write(world.witness(), witness).unwrap();
        assert_eq!(spent(world).await, 0, "forgotten");
    }
    (terms, study, mirror)
}

/// The node hears of the mirror and locks.
async fn locked(world: &World, study: StudyHash, mirror: &Mirror) {
    let node = world.start();
    let mut session = world.welcome().await;
    let _: Decision = session.hear().await;
    session.say(&mirror.held()).await;
    session.ask_for(study, 1, 100).await;
    let refusal: Refusal = session.hear().await;
    assert_eq!(refusal.code, RefusalCode::Locked);
    let budget = json(world, &["budget", "--json"]).await;
    let reason = budget["locked"].as_str().unwrap();
    assert!(
        reason.contains("mirror, signed by this node, has seen"),
        "{reason}"
    );
    let ledger = json(world, &["ledger", "show", "--json"]).await;
    assert_eq!(ledger["locked"], budget["locked"]);
    let (code, _, error) = world.run(&["studies", "refuse", "transport"]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("ledger-behind"), "{error}");
    assert!(node.terminate().await.success());
}

#[tokio::test]
async fn a_mirror_that_saw_more_locks_until_its_entries_are_adopted() {
    let world = World::new();
    let (terms, study, mut mirror) = rolled_back(&world, true).await;
    locked(&world, study, &mirror).await;
    let (code, out, error) = world.run_asking(&["ledger", "adopt"], &mirror).await;
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("the ledger goes on from entry"), "{out}");
    assert_eq!(spent(&world).await, 1_000, "remembered");
    let (code, _, error) = world.run_asking(&["ledger", "adopt"], &mirror).await;
    assert_eq!(code, Some(1));
    assert!(
        error.contains("agrees with its witness and with the coordinator's mirror"),
        "{error}"
    );
    let _node = world.start();
    let mut session = world.welcome().await;
    let _: Decision = session.hear().await;
    session.say(&mirror.held()).await;
    let mut group = Group::new(&terms, study, (1, 0), &world.peers);
    group.run(&mut session, None).await;
    assert!(group.released.is_some());
    group.copies.drain(..).for_each(|copy| mirror.take(copy));
    assert_eq!(spent(&world).await, 2_000);
}

#[tokio::test]
async fn what_the_witness_misses_the_mirror_brings_back() {
    let world = World::new();
    let (_, _, mirror) = rolled_back(&world, false).await;
    let (code, _, error) = world.run(&["run"]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("its witness has seen entry"), "{error}");
    let ledger = json(&world, &["ledger", "show", "--json"]).await;
    assert!(ledger["locked"].as_str().unwrap().contains("its witness"));
    // A mirror that has seen less than the witness is no help.
    let (code, _, error) = world
        .run_asking(&["ledger", "adopt"], &mirror.up_to(3))
        .await;
    assert_eq!(code, Some(1));
    assert!(
        error.contains("does not satisfy the witness either"),
        "{error}"
    );
    let (code, _, error) = world.run_asking(&["ledger", "adopt"], &mirror).await;
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(spent(&world).await, 1_000);
}

#[tokio::test]
async fn a_mirror_that_saw_more_locks_until_the_budget_is_written_off() {
    let world = World::new();
    let (_, study, mut mirror) = rolled_back(&world, true).await;
    locked(&world, study, &mirror).await;
    let (code, _, error) = world.run_asking(&["ledger", "write-off"], &mirror).await;
    assert_eq!(code, Some(1), "{error}");
    let write_off = ["ledger", "write-off", "--yes"];
    let (code, _, error) = world.run_asking(&write_off, &mirror).await;
    assert_eq!(code, Some(0), "{error}");
    let _node = world.start();
    let mut session = world.welcome().await;
    session.say(&mirror.held()).await;
    mirror.take(session.hear().await);
    // The study went with what was written off.
    session.ask_for(study, 1, 100).await;
    let refusal: Refusal = session.hear().await;
    assert_eq!(refusal.code, RefusalCode::Withdrawn);
    let ledger = json(&world, &["ledger", "show", "--json"]).await;
    assert_eq!(ledger["locked"], Value::Null);
    assert_eq!(ledger["entries"], mirror.head().seq, "the mirror follows");
    let budget = json(&world, &["budget", "--json"]).await;
    assert_eq!(budget["per_contract"]["left"]["rho_micro"], 0);
}

#[tokio::test]
async fn a_mirror_that_lies_locks_nothing() {
    let world = World::new();
    let (_node, mut session, terms, study) = accepted(&world).await;
    let head = Head {
        seq: 90,
        ..Head::default()
    };
    let signature = world.peers[0].sign(&aquifer_shared::protocol::wire::ledger_digest(&head));
    session.say(&LedgerHeld { head, signature }).await;
    let mut group = Group::new(&terms, study, (0, 0), &world.peers);
    group.run(&mut session, None).await;
    assert!(group.released.is_some());
    let text = std::fs::read_to_string(world.directory().join("evidence.jsonl")).unwrap();
    assert!(text.contains("mirror-unsigned"), "{text}");
}

#[tokio::test]
async fn an_unanswered_mirror_changes_nothing() {
    let world = World::new();
    let (node, session, ..) = accepted(&world).await;
    assert!(node.terminate().await.success());
    drop(session);
    let mirror = Mirror::default();
    let (code, _, error) = world.run_asking(&["ledger", "adopt"], &mirror).await;
    assert_eq!(code, Some(1), "{error}");
    let mut forged = Mirror::default();
    forged.take(LedgerCopy {
        links: vec![frame(&mirror.held())],
        signature: vec![1; 64],
    });
    let (code, _, error) = world.run_asking(&["ledger", "adopt"], &forged).await;
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("which this node has not signed"), "{error}");
}
