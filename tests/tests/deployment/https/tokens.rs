//! Tokens: forged, of a lower role, expired, revoked.

use aquifer_tests::cluster::Cluster;
use aquifer_tests::processes::{command, wait_for};
use serde_json::json;

use super::super::clocks::shifted;
use super::super::fixture::{check_says, has_program};
use super::super::questions::BY_CONTRACT;
use super::client::{Client, Door, free_port};

#[test]
fn only_a_good_token_opens_the_door() {
    let Some(door) = Door::open() else { return };
    let list = "/v1/catalogue";
    let refused = |token: &str| {
        let members = json!({"sqlstate": "28000"});
        door.with(token, list, &[]).is_problem(401, members);
    };
    door.bare(list, &[])
        .is_problem(401, json!({"sqlstate": "28000"}));
    let said = door.bare(list, &["-D", "-"]).text;
    assert!(said.contains("www-authenticate: Bearer"), "{said}");
    let header = format!("Authorization: Bearer {}", door.token);
    let twice = door.bare(list, &["-H", &header, "-H", &header]);
    twice.is_problem(401, json!({}));
    let basic = door.bare(list, &["-u", &format!("ada:{}", door.token)]);
    basic.is_problem(401, json!({}));
    let forged = format!("aqt_{}", "A".repeat(43));
    let nearly = &door.token[..door.token.len() - 1];
    for bad in ["", "aqt_", &forged, nearly, &door.token[4..]] {
        refused(bad);
    }
    assert_eq!(door.get(list).status, 200);
    let reader = door.new_token("reader", &["--role", "auditor"]);
    assert_eq!(door.with(&reader, list, &[]).status, 200);
    let body = json!({"sql": BY_CONTRACT, "purpose": "reporting"}).to_string();
    for path in ["/v1/query", "/v1/explain"] {
        let lower = door.with(&reader, path, &["--json", &body]);
        lower.is_problem(403, json!({"sqlstate": "42501"}));
    }
}

#[test]
fn tokens_end_when_they_are_revoked_or_their_party_is() {
    let Some(door) = Door::open() else { return };
    let list = "/v1/catalogue";
    let body = json!({"sql": BY_CONTRACT, "purpose": "reporting"}).to_string();
    let refused = |token: &str| {
        let members = json!({"sqlstate": "28000"});
        door.with(token, list, &[]).is_problem(401, members);
    };
    let reader = door.new_token("reader", &["--role", "auditor"]);
    check_says(
        &door.tokens(&["issue", "reader"]),
        1,
        &["has a token reader already"],
    );
    check_says(
        &door.tokens(&["issue", "chief", "--role", "operator"]),
        1,
        &["more than ada"],
    );
    check_says(
        &door.tokens(&["issue", "old", "--expires-in", "91d"]),
        1,
        &["at most 90 days"],
    );
    check_says(
        &door.tokens(&["list"]),
        0,
        &["notebook", "reader", "auditor", "good"],
    );
    check_says(&door.tokens(&["revoke", "reader"]), 0, &["is revoked"]);
    refused(&reader);
    let cluster = &door.reports.small.cluster;
    let operators = cluster.aquifer(["token", "issue", "desk"]).unwrap();
    let operators = operators.success().unwrap();
    assert_eq!(door.with(operators.trim(), list, &[]).status, 200);
    let higher = door.with(operators.trim(), "/v1/query", &["--json", &body]);
    higher.is_problem(403, json!({"sqlstate": "42501"}));
    check_says(
        &door.tokens(&["revoke", "desk", "--owner", "ops"]),
        1,
        &["ops"],
    );
    check_says(
        &cluster.aquifer(["token", "list"]).unwrap(),
        0,
        &["ada", "notebook", "desk"],
    );
    let other = door.new_token("script", &[]);
    let revoked = cluster.aquifer(["token", "revoke", "script", "--owner", "ada"]);
    check_says(&revoked.unwrap(), 0, &["script of ada is revoked"]);
    refused(&other);
    let ended = cluster.coordinator_command(["revoke", "ada"]).unwrap();
    ended.success().unwrap();
    refused(&door.token);
    assert_eq!(door.reports.spent(), [0; 4]);
}

#[test]
fn tokens_end_when_their_time_has_come() {
    if !has_program("curl") || !has_program("faketime") {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let address = format!("127.0.0.1:{port}");
    let mut cluster = Cluster::start_with(folder.path(), &["--listen-https", &address]).unwrap();
    let client = Client::of(port, &cluster.add_person("ada", "analyst").unwrap());
    let short = client.new_token("short", &["--expires-in", "1d"]);
    let list = "/v1/catalogue";
    assert_eq!(client.with(&short, list, &[]).status, 200);
    cluster.coordinator().stop().unwrap();
    let mut late = command("aquifer-coordinator", ["serve", "--dir"]);
    late.arg(cluster.coordinator_folder()).envs(shifted("+2d"));
    let log = folder.path().join("late.log");
    let watcher = cluster.watcher();
    let mut late = watcher.start("late", &mut late, &log).unwrap();
    // The certificate of two days from now is not good yet.
    let insecure = ["-k"];
    let up = || client.curl("/health", &insecure).output();
    wait_for("the door to open again", 20_000, || {
        Ok(up()?.status.success().then_some(()))
    })
    .unwrap();
    let ended = client.with(&short, list, &insecure);
    ended.is_problem(401, json!({"sqlstate": "28000"}));
    assert_eq!(client.with(&client.token, list, &insecure).status, 200);
    late.stop().unwrap();
}
