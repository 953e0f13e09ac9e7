//! Clients that go away: the charge stands, the answer is kept, and their places stay taken until then.

use std::process::{Child, Stdio};

use aquifer_tests::processes::wait_for;
use aquifer_tests::study::list;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::super::questions::{BY_CONTRACT, URHO};
use super::client::{Door, Reply};

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn a_client_that_goes_away_pays_and_keeps_its_place_until_the_answer() {
    let Some(door) = Door::open() else { return };
    let cluster = &door.reports.small.cluster;
    let nodes = || {
        cluster
            .nodes
            .iter()
            .filter_map(|node| Some(node.process.as_ref()?.pid()))
    };
    nodes().for_each(|pid| signal(pid, Signal::STOP));
    let started = |more: Value| -> Child {
        let mut asking = door.asking("/v1/query", BY_CONTRACT, &more);
        asking.stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut gone = started(json!({}));
    let asked = || {
        let studies = cluster.aquifer(["study", "list", "--json"]).ok()?.stdout;
        let studies: Value = serde_json::from_str(&studies).ok()?;
        (list(&studies, "studies")?.len() == 2).then_some(())
    };
    wait_for("the question to be a study", 20_000, || Ok(asked())).unwrap();
    gone.kill().unwrap();
    gone.wait().unwrap();
    // One place is that of the client who has gone; all others have one request id.
    let mut clients: Vec<Child> = (0..66)
        .map(|_| started(json!({"request_id": "storm"})))
        .collect();
    let mut refused = 0;
    wait_for("three to be one too many", 60_000, || {
        for client in &mut clients {
            refused += usize::from(client.try_wait()?.is_some());
        }
        let ended = refused >= 3;
        refused = if ended { refused } else { 0 };
        Ok(ended.then_some(()))
    })
    .unwrap();
    nodes().for_each(|pid| signal(pid, Signal::CONT));
    let replies: Vec<Reply> = clients.into_iter().map(reply_of).collect();
    let (answered, many): (Vec<_>, Vec<_>) =
        replies.into_iter().partition(|reply| reply.status == 200);
    many.iter()
        .for_each(|reply| reply.is_problem(429, json!({"sqlstate": "53400"})));
    assert_eq!((answered.len(), many.len()), (63, 3));
    let spent = door.reports.spent();
    assert!(spent.iter().all(|spent| *spent >= URHO), "{spent:?}");
    check_one_release(&door, &answered, json!({"cache": "only"}));
    check_one_release(&door, &answered, json!({"request_id": "storm"}));
    assert_eq!(door.reports.spent(), spent, "asked once, whoever waits");
}

/// All of these, and who asks again with more, have one release.
#[track_caller]
fn check_one_release(door: &Door, answered: &[Reply], more: Value) {
    let again = door.asks("/v1/query", BY_CONTRACT, more).json();
    for reply in answered {
        let release = &reply.json()["release"];
        assert_eq!(release["release_id"], again["release"]["release_id"]);
    }
    let releases = door.get("/v1/releases").json();
    assert_eq!(releases["releases"].as_array().unwrap().len(), 1);
}

#[test]
fn sixty_four_at_once_under_one_request_id_are_one_question() {
    let Some(door) = Door::open() else { return };
    let clients: Vec<Child> = (0..64)
        .map(|_| {
            let more = json!({"request_id": "storm"});
            let mut asking = door.asking("/v1/query", BY_CONTRACT, &more);
            asking.stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let replies: Vec<Reply> = clients.into_iter().map(reply_of).collect();
    replies
        .iter()
        .for_each(|reply| assert_eq!(reply.status, 200, "{reply:?}"));
    check_one_release(&door, &replies, json!({"request_id": "storm"}));
    assert_eq!(door.reports.spent(), [URHO; 4], "one charge");
}

fn reply_of(client: Child) -> Reply {
    let printed = client.wait_with_output().unwrap().stdout;
    Reply::read(&String::from_utf8(printed).unwrap())
}
