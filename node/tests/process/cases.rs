//! Cases: what a coordinator, an operator and a failing machine do to the process.

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::domain::sum::{attempt_id, task_hash};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{
    CloseReason, Decision, End, Message, Refusal, RefusalCode, StudyEnd, StudyOutcome, TaskBody,
    Update, Verdict, read_body,
};
use serde_json::Value;

use super::world::{NO_HASH, World, copy_ledger, outcome};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Spent, reserved and left under the contract's cap.
fn contract_line(budget: &Value) -> [u64; 3] {
    ["spent", "reserved", "left"]
        .map(|key| budget["per_contract"][key]["rho_micro"].as_u64().unwrap())
}

async fn budget(world: &World) -> [u64; 3] {
    let (code, out, error) = world.run(&["budget", "--json"]).await;
    assert_eq!(code, Some(0), "{error}");
    contract_line(&json(&out))
}

#[tokio::test]
async fn killed_between_rounds_it_sends_the_same_bytes_and_pays_once() {
    let world = World::new();
    let node = world.start();
    let mut session = world.welcome().await;
    let (study, offer) = world.offer(3);
    session.offer(&offer).await;
    let first = session.ask(study, 0).await;
    node.kill().await;
    drop(session);
    let node = world.start();
    let mut session = world.welcome().await;
    assert_eq!(session.hello.ledger_seq, 2, "reservation and charge");
    let decision: Decision = session.hear().await;
    assert_eq!(
        decision.verdict,
        Verdict::Accepted,
        "it says again what it decided"
    );
    assert_eq!(session.ask(study, 0).await, first);
    check_update(study, 0, &first);
    let second = session.ask(study, 1).await;
    check_update(study, 1, &second);
    assert_eq!(budget(&world).await, [2_000, 1_000, 17_000]);
    let end = End {
        attempt: attempt_id(&study, 1, 0),
        released: true,
        release: NO_HASH,
    };
    session.say(&end).await;
    let outcome = StudyOutcome::Aborted;
    session.say(&StudyEnd { study, outcome }).await;
    while budget(&world).await != [2_000, 0, 18_000] {}
    assert!(node.terminate().await.success());
    assert_eq!(
        budget(&world).await,
        [2_000, 0, 18_000],
        "told by the ledger"
    );
}

#[track_caller]
fn check_update(study: StudyHash, round: u32, (kind, body): &(u8, Vec<u8>)) {
    let update: Update = read_body(*kind, body).unwrap();
    let asked = encode(&TaskBody::Synthetic(100));
    assert_eq!(update.attempt, attempt_id(&study, round, 0));
    assert_eq!(update.task, task_hash(&study, round, &asked));
    assert_eq!(update.cells.len(), 100);
    let silent = update.cells.iter().filter(|cell| **cell == 0).count();
    assert!(silent < 50, "noise is in it");
}

#[tokio::test]
async fn another_task_for_a_charged_attempt_is_refused() {
    let world = World::new();
    let _node = world.start();
    let mut session = world.welcome().await;
    let (study, offer) = world.offer(3);
    session.offer(&offer).await;
    session.ask(study, 0).await;
    session.ask_for(study, 0, 50).await;
    let refusal: Refusal = session.hear().await;
    assert_eq!(refusal.code, RefusalCode::AlreadyCharged);
}

#[tokio::test]
async fn a_study_over_budget_is_refused_with_what_is_left() {
    let world = World::new();
    let _node = world.start();
    let mut session = world.welcome().await;
    let (_, offer) = world.offer(21);
    session.say(&offer).await;
    let decision: Decision = session.hear().await;
    let refused = Verdict::Refused(RefusalCode::Budget, 20_000);
    assert_eq!(decision.verdict, refused);
}

#[tokio::test]
async fn a_person_approves_while_the_node_runs() {
    let world = World::new();
    world.change_config("[policy]", "[policy]\napproval = \"person\"");
    let _node = world.start();
    let mut session = world.welcome().await;
    let (_, offer) = world.offer(3);
    session.say(&offer).await;
    let decision: Decision = session.hear().await;
    assert_eq!(decision.verdict, Verdict::Held);
    let (_, listed, _) = world.run(&["studies", "list", "--json"]).await;
    assert_eq!(json(&listed)[0]["state"], "waiting");
    let (code, told, _) = world.run(&["studies", "approve", "transport"]).await;
    assert_eq!(code, Some(0), "{told}");
    let decision: Decision = session.hear().await;
    assert_eq!(decision.verdict, Verdict::Accepted);
    let (code, _, error) = world.run(&["studies", "approve", "unknown"]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("no study \"unknown\""), "{error}");
}

#[tokio::test]
async fn a_person_approves_while_the_node_is_down() {
    let world = World::new();
    world.change_config("[policy]", "[policy]\napproval = \"person\"");
    let node = world.start();
    let mut session = world.welcome().await;
    let (_, offer) = world.offer(3);
    session.say(&offer).await;
    let _: Decision = session.hear().await;
    node.kill().await;
    let (code, _, error) = world.run(&["studies", "approve", "transport"]).await;
    assert_eq!(code, Some(0), "{error}");
    let _node = world.start();
    let mut session = world.welcome().await;
    let decision: Decision = session.hear().await;
    assert_eq!(decision.verdict, Verdict::Accepted);
}

#[tokio::test]
async fn a_second_process_on_the_same_ledger_is_refused() {
    let world = World::new();
    let _node = world.start();
    let _session = world.welcome().await;
    let (code, _, error) = world.run(&["run"]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("in use by another process"), "{error}");
}

#[tokio::test]
async fn an_old_ledger_locks_until_the_newer_one_is_adopted() {
    let world = World::new();
    let ledger = world.directory().join("ledger.sqlite");
    let (old, newer) = (
        world.directory().join("old"),
        world.directory().join("newer"),
    );
    let node = world.start();
    let mut session = world.welcome().await;
    let (study, offer) = world.offer(3);
    session.offer(&offer).await;
    assert!(node.terminate().await.success());
    copy_ledger(&ledger, &old);
    let node = world.start();
    let mut session = world.welcome().await;
    let _: Decision = session.hear().await;
    session.ask(study, 0).await;
    assert!(node.terminate().await.success());
    copy_ledger(&ledger, &newer);
    copy_ledger(&old, &ledger);
    for command in ["run", "budget"] {
        let (code, _, error) = world.run(&[command]).await;
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains("ledger-behind"), "{error}");
    }
    let (code, ..) = world.run(&["ledger", "adopt"]).await;
    assert_eq!(code, Some(1), "only a newer copy helps");
    let newer = newer.display().to_string();
    let (code, _, error) = world.run(&["ledger", "adopt", &newer]).await;
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(budget(&world).await, [1_000, 2_000, 17_000]);
}

#[tokio::test]
async fn a_lost_witness_locks_until_the_budget_is_written_off() {
    let world = World::new();
    let node = world.start();
    drop(world.welcome().await);
    assert!(node.terminate().await.success());
    assert_eq!(budget(&world).await, [0, 0, 20_000]);
    let (study, offer) = world.offer(3);
    let node = world.start();
    let mut session = world.welcome().await;
    session.offer(&offer).await;
    session.ask(study, 0).await;
    node.kill().await;
    std::fs::remove_file(world.witness()).unwrap();
    let (code, _, error) = world.run(&["ledger", "write-off"]).await;
    assert_eq!(code, Some(1), "{error}");
    let (code, _, error) = world.run(&["ledger", "write-off", "--yes"]).await;
    assert_eq!(code, Some(0), "{error}");
    // What the study had set aside can be spent no more, or the cap would be passed.
    assert_eq!(budget(&world).await, [21_000, 0, 0]);
}

#[tokio::test]
async fn without_room_on_the_disk_nothing_is_sent() {
    let world = World::new();
    let node = world.start();
    let mut session = world.welcome().await;
    let (study, offer) = world.offer(20);
    session.offer(&offer).await;
    session.ask(study, 0).await;
    node.kill().await;
    // `ulimit -f` counts kilobytes; the log of the ledger grows by some of them with every round.
    let mut starved = std::process::Command::new("bash");
    starved.args(["-c", "ulimit -f 128; exec \"$0\" run"]);
    starved.arg(env!("CARGO_BIN_EXE_aquifer-node"));
    starved.env("AQUIFER_NODE_DIR", world.directory());
    let ended = tokio::spawn(outcome(starved));
    let mut session = world.welcome().await;
    let _: Decision = session.hear().await;
    let mut answered = 0;
    for round in 1..20 {
        session.ask_for(study, round, 100).await;
        match session.frame_or_end().await {
            Some((Update::KIND, _)) => answered += 1,
            _ => break,
        }
    }
    let (code, _, error) = ended.await.unwrap();
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("no room to write the ledger"), "{error}");
    let [spent, ..] = budget(&world).await;
    assert!(
        answered > 0 && spent >= 1_000 * (1 + answered),
        "{answered} {spent}"
    );
    assert!(spent <= 1_000 * (2 + answered), "{answered} {spent}");
}

#[tokio::test]
async fn a_revoked_node_stops_and_says_so() {
    let world = World::new();
    let node = world.command(&["run"]);
    let ended = tokio::spawn(outcome(node));
    let session = world.welcome().await;
    session.end(CloseReason::Revoked);
    let (code, _, error) = ended.await.unwrap();
    assert_eq!(code, Some(1));
    assert!(error.contains("revoked"), "{error}");
}

#[tokio::test]
async fn a_coordinator_that_restarts_is_found_again() {
    let world = World::new();
    let node = world.start();
    world.welcome().await.end(CloseReason::Shutdown);
    let _session = world.welcome().await;
    assert!(node.terminate().await.success());
}

#[tokio::test]
async fn a_wrong_message_ends_the_session_for_good() {
    let world = World::new();
    let node = world.start();
    let mut session = world.welcome().await;
    let hello = session.hello.clone();
    session.say(&hello).await;
    assert_eq!(node.ended().await, Some(2));
}

#[tokio::test]
async fn an_unknown_key_in_the_config_is_named_with_its_place() {
    let world = World::new();
    world.change_config("approvers =", "approver =");
    let (code, _, error) = world.run(&["run"]).await;
    assert_eq!(code, Some(2));
    assert!(
        error.contains("node.toml, line 15, column 1: unknown field `approver`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_read_only_directory_is_refused_by_name() {
    let world = World::new();
    let Some(mut unprivileged) = world.read_only(&["run"]) else {
        eprintln!("SKIPPED: neither an ordinary user nor setpriv to become one");
        return;
    };
    unprivileged.env("AQUIFER_NODE_DIR", world.directory());
    let (code, _, error) = outcome(unprivileged).await;
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("read-only for this user"), "{error}");
}
