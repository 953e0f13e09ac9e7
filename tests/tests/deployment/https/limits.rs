//! Limits of requests: versions, lengths, types, places, and time.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use aquifer_tests::processes::wait_for;
use serde_json::json;

use super::super::fixture::has_program;
use super::super::slow::Slow;
use super::client::Door;

#[test]
fn requests_have_limits() {
    let Some(door) = Door::open() else { return };
    let old = door
        .curl("/health", &["--tls-max", "1.2"])
        .output()
        .unwrap();
    assert_eq!(old.status.code(), Some(35), "{old:?}");
    let plain = format!("http://127.0.0.1:{}/health", door.port);
    let plain = Command::new("curl").args(["-sS", &plain]).output().unwrap();
    assert!(!plain.status.success(), "{plain:?}");
    let folder = door.reports.small.folder.path();
    let file = folder.join("long.json");
    let long = json!({"sql": "x".repeat(100 << 20), "purpose": "reporting"});
    std::fs::write(&file, long.to_string()).unwrap();
    let header = format!("Authorization: Bearer {}", door.token);
    let (file, whole) = (format!("@{}", file.display()), ["-H", &header, "--json"]);
    let long = door.bare("/v1/query", &[&whole[..], &[&file]].concat());
    long.is_problem(413, json!({}));
    let chunked = ["-H", "Transfer-Encoding: chunked"];
    let long = door.bare("/v1/query", &[&whole[..], &[&file], &chunked].concat());
    long.is_problem(413, json!({}));
    let nobody = door.bare("/v1/query", &["--json", &file]);
    nobody.is_problem(401, json!({}));
    let many: Vec<String> = (0..80).map(|number| format!("X-{number}: x")).collect();
    let many: Vec<&str> = many.iter().flat_map(|header| ["-H", header]).collect();
    assert_eq!(door.bare("/health", &many).status, 431);
    // The door may close before it has read everything.
    let wide = format!("X-Wide: {}", "x".repeat(64 << 10));
    let wide = door.curl("/health", &["-H", &wide]).output().unwrap();
    let said = String::from_utf8_lossy(&wide.stdout);
    assert!(!said.contains("\n200 "), "{said}");
    let text = door.post("/v1/query", "text/plain", "{}");
    text.is_problem(415, json!({}));
    let none = door.get("/v1/query");
    none.is_problem(405, json!({}));
    door.get("/v2/query").is_problem(404, json!({}));
    assert_eq!(door.get("/v1/nodes").status, 200);
    assert_eq!(door.reports.spent(), [0; 4]);
}

#[test]
fn whoever_dawdles_is_sent_away_and_keeps_nobody_else_out() {
    let Some(door) = Door::open() else { return };
    if !has_program("openssl") {
        return;
    }
    let silent = || TcpStream::connect(("127.0.0.1", door.port)).unwrap();
    let mut held: Vec<TcpStream> = (0..200).map(|_| silent()).collect();
    let other = door.bare("/health", &["--interface", "127.0.0.2"]);
    assert_eq!(other.status, 200, "one address has its own places alone");
    let mut refused = held.pop().unwrap();
    // No place is left for this one, and nothing can be said before TLS.
    let left = refused.read(&mut [0; 1]);
    assert!(!matches!(left, Ok(1..)), "{left:?}");
    drop(held);
    let served = || (door.curl("/health", &[]).output().ok()?.status.success()).then_some(());
    wait_for("places to be free again", 20_000, || Ok(served())).unwrap();
    let place = format!("127.0.0.1:{}", door.port);
    let mut slow = Command::new("openssl");
    let slow = slow.args([
        "s_client",
        "-quiet",
        "-servername",
        "aquifer",
        "-connect",
        &place,
    ]);
    let piped = slow
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut slow = piped.spawn().unwrap();
    let mut input = slow.stdin.take().unwrap();
    input
        .write_all(b"GET /health HTTP/1.1\r\nHost: aquifer\r\nX-Slow: ")
        .unwrap();
    let mut said = String::new();
    slow.stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(!said.contains("200 OK"), "the door closes it: {said}");
    drop(input);
    slow.wait().unwrap();
}

/// The beginning of a request with the analyst's token.
fn head(door: &Door, request: &str) -> String {
    let token = &door.token;
    format!("{request} HTTP/1.1\r\nHost: aquifer\r\nAuthorization: Bearer {token}\r\n")
}

/// More than buffers between client and door hold.
const UNREAD_BYTES: usize = 12 << 20;

#[test]
fn bodies_that_do_not_come_and_answers_that_are_not_read_are_given_up() {
    let Some(mut door) = Door::open() else { return };
    if !has_program("openssl") {
        return;
    }
    let cluster = &mut door.reports.small.cluster;
    cluster.log("info,aquifer_coordinator=debug");
    cluster.coordinator().stop().unwrap();
    cluster.start_coordinator().unwrap();
    let mut deaf = Slow::connect(door.port, &[]);
    let described = head(&door, "GET /v1/openapi.json") + "\r\n";
    let length = door.get("/v1/openapi.json").text.len();
    for _ in 0..UNREAD_BYTES / length {
        deaf.say(described.as_bytes());
    }
    let mut slow = Slow::connect(door.port, &[]);
    let begun = head(&door, "POST /v1/query");
    let body = "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"sql\": \"S";
    slow.say((begun + body).as_bytes());
    let said = slow.waits();
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert!(said.contains("did not come to its end"), "{said}");
    assert_eq!(door.get("/v1/nodes").status, 200);
    let log = door.reports.small.cluster.folder.join("coordinator.log");
    wait_for("the one who reads nothing to be left", 120_000, || {
        let log = std::fs::read_to_string(&log)?;
        Ok(log
            .contains("the connection of an HTTPS client broke")
            .then_some(()))
    })
    .unwrap();
    assert_eq!(door.reports.spent(), [0; 4]);
}
