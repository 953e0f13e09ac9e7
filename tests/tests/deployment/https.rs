//! Analysts ask with `curl`: over TLS 1.3 only, with a token, and with the same answers as any other way.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use aquifer_tests::processes::{Outcome, command, run, wait_for};
use aquifer_tests::study::list;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::fixture::{check_says, has_program};
use super::questions::{BY_CONTRACT, Reports, URHO};

/// Four units with an open standing study, and a door for HTTPS clients.
struct Door {
    reports: Reports,
    client: Client,
}

/// An analyst with a token.
pub struct Client {
    port: u16,
    folder: PathBuf,
    token: String,
}

/// What a request came to.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub kind: String,
    pub text: String,
}

impl Reply {
    /// What `curl` printed.
    fn read(printed: &str) -> Self {
        let (text, last) = printed.rsplit_once('\n').unwrap();
        let (status, kind) = last.split_once(' ').unwrap();
        Self {
            status: status.parse().unwrap(),
            kind: kind.to_owned(),
            text: text.to_owned(),
        }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// It is a problem document with these.
    #[track_caller]
    pub fn is_problem(&self, status: u16, members: Value) {
        assert_eq!(
            (self.status, &*self.kind),
            (status, "application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], status);
        for (name, value) in members.as_object().unwrap() {
            assert_eq!(&problem[name], value, "{name} of {problem}");
        }
    }
}

/// A free TCP port on loopback.
pub fn free_port() -> u16 {
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    free.local_addr().unwrap().port()
}

impl Door {
    /// None where this machine has no `curl`.
    fn open() -> Option<Self> {
        has_program("curl").then(|| Self::opened(&[]))
    }

    fn opened(more: &[&str]) -> Self {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let reports = Reports::on(
            4,
            1_000_000,
            &[&["--listen-https", &address], more].concat(),
        );
        let client = Client::of(port, &reports.analyst);
        Self { reports, client }
    }
}

impl Deref for Door {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Client {
    /// The analyst with this directory, with a token.
    pub fn of(port: u16, folder: &Path) -> Self {
        let (folder, token) = (folder.to_owned(), String::new());
        let mut client = Self {
            port,
            folder,
            token,
        };
        client.token = client.new_token("notebook", &[]);
        client
    }

    fn tokens(&self, arguments: &[&str]) -> Outcome {
        let arguments = [&["token"], arguments].concat();
        run(command("aquifer", arguments).arg("--dir").arg(&self.folder)).unwrap()
    }

    fn new_token(&self, name: &str, more: &[&str]) -> String {
        let issued = self.tokens(&[&["issue", name], more].concat());
        issued.success().unwrap().trim().to_owned()
    }

    fn curl(&self, path: &str, arguments: &[&str]) -> Command {
        let port = self.port;
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-w", "\n%{http_code} %{content_type}", "--cacert"])
            .arg(self.folder.join("ca.pem"))
            .args(["--resolve", &format!("aquifer:{port}:127.0.0.1")])
            .args(arguments)
            .arg(format!("https://aquifer:{port}{path}"));
        curl
    }

    /// The request that asks for the purpose that there is.
    fn asking(&self, path: &str, sql: &str, more: &Value) -> Command {
        let mut body = json!({"sql": sql, "purpose": "reporting"});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let header = format!("Authorization: Bearer {}", self.token);
        self.curl(path, &["-H", &header, "--json", &body.to_string()])
    }

    /// A request without any token of its own accord.
    #[track_caller]
    fn bare(&self, path: &str, arguments: &[&str]) -> Reply {
        let printed = run(&mut self.curl(path, arguments)).unwrap();
        Reply::read(&printed.success().unwrap())
    }

    #[track_caller]
    pub fn with(&self, token: &str, path: &str, arguments: &[&str]) -> Reply {
        let header = format!("Authorization: Bearer {token}");
        self.bare(path, &[&["-H", &header], arguments].concat())
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.with(&self.token, path, &[])
    }

    /// A body of this type.
    #[track_caller]
    pub fn post(&self, path: &str, kind: &str, body: &str) -> Reply {
        let kind = format!("Content-Type: {kind}");
        self.with(&self.token, path, &["-H", &kind, "--data-binary", body])
    }

    #[track_caller]
    fn asks(&self, path: &str, sql: &str, more: Value) -> Reply {
        let printed = run(&mut self.asking(path, sql, &more)).unwrap();
        Reply::read(&printed.success().unwrap())
    }
}

#[test]
fn analysts_ask_with_curl_and_pay_once() {
    let Some(door) = Door::open() else { return };
    let priced = door.asks("/v1/explain", BY_CONTRACT, json!({}));
    assert_eq!(priced.status, 200, "{priced:?}");
    assert!(priced.text.contains("20000 micro-rho"), "{priced:?}");
    assert_eq!(door.reports.spent(), [0; 4], "a price tag costs nothing");
    let first = door.asks("/v1/query", BY_CONTRACT, json!({"request_id": "monday"}));
    assert_eq!(
        (first.status, &*first.kind),
        (200, "application/json"),
        "{first:?}"
    );
    let first = first.json();
    assert_eq!(first["release"]["cached"], false);
    assert_eq!(door.reports.spent(), [URHO; 4]);
    let elsewhere = door.reports.answer(&[], BY_CONTRACT);
    for member in ["columns", "rows"] {
        assert_eq!(elsewhere[member], first[member], "both doors say the same");
    }
    let mut release = first["release"].clone();
    release["cached"] = true.into();
    assert_eq!(elsewhere["release"], release);
    let again = door.asks(
        "/v1/query",
        BY_CONTRACT,
        json!({"cache": "only", "intervals": "json"}),
    );
    let again = again.json();
    assert_eq!(again["release"]["release_id"], release["release_id"]);
    assert!(again["rows"][0]["n"].is_object(), "{again}");
    assert_eq!(door.reports.spent(), [URHO; 4]);
    check_lists(&door, &release);
}

/// What may be listed after one question.
#[track_caller]
fn check_lists(door: &Door, release: &Value) {
    let id = release["release_id"].as_str().unwrap();
    let one = door.get(&format!("/v1/releases/{id}")).json();
    assert_eq!(&one["release"], release);
    assert_eq!(one["purpose"], "reporting");
    assert_eq!(
        (&one["table"], &one["cells"]),
        (&json!("customers"), &json!(4))
    );
    let all = door.get("/v1/releases").json();
    assert_eq!((&all["releases"][0], &all["next"]), (&one, &Value::Null));
    let older = door.get(&format!("/v1/releases?before={id}")).json();
    assert_eq!(older["releases"], json!([]));
    let absent = door.get(&format!("/v1/releases/{}", "0".repeat(64)));
    absent.is_problem(404, json!({"type": "urn:aquifer:problem:unknown"}));
    let share = &door.get("/v1/budget").json()["shares"][0];
    assert_eq!(share["standing"], release["standing"]);
    assert_eq!(
        share["rho_micro_left"].as_u64().unwrap() + share["rho_micro_used"].as_u64().unwrap(),
        1_000_000,
        "{share}"
    );
    let standing = &door.get("/v1/catalogue").json()["standing"][0];
    let table = &standing["tables"][0];
    assert_eq!(standing["standing"], release["standing"]);
    assert_eq!(
        (&table["name"], &table["privacy_unit"]),
        (&json!("customers"), &json!("customer_id"))
    );
    let columns = table["columns"].as_array().unwrap();
    let contract = columns
        .iter()
        .find(|column| column["name"] == "contract")
        .unwrap();
    assert_eq!(
        (&contract["type"], &contract["levels"][0]),
        (&json!("key"), &json!("month"))
    );
    let units = &door.get("/v1/nodes").json()["units"];
    assert_eq!(units.as_array().unwrap().len(), 4);
    assert_eq!(units[0]["connected"], true, "{units}");
    assert_eq!(units[0]["data_version"], "2026-11");
    assert_eq!(door.get("/v1/models").json(), json!({"models": []}));
    door.get("/v1/models/churn").is_problem(404, json!({}));
    let described = door.get("/v1/openapi.json").json();
    assert_eq!(described["openapi"], "3.1.0");
    assert_eq!(door.bare("/health", &[]).json(), json!({"state": "open"}));
}

#[test]
fn what_is_refused_is_refused_with_its_reason() {
    let Some(door) = Door::open() else { return };
    let refused = |sql: &str, more: Value, status: u16, members: Value| {
        for path in ["/v1/query", "/v1/explain"] {
            door.asks(path, sql, more.clone())
                .is_problem(status, members.clone());
        }
    };
    let place = json!({"sqlstate": "42803", "position": 8, "rule": "sql.grouping"});
    refused("SELECT * FROM customers", json!({}), 400, place);
    refused(
        "DELETE FROM customers",
        json!({}),
        400,
        json!({"sqlstate": "25006", "position": 1}),
    );
    refused(
        "SELECT COUNT(*) FROM invoices",
        json!({}),
        400,
        json!({"sqlstate": "42P01"}),
    );
    let other = json!({"purpose": "marketing"});
    refused(BY_CONTRACT, other, 403, json!({"sqlstate": "QP004"}));
    refused(
        BY_CONTRACT,
        json!({"rho_micro": 50_001}),
        403,
        json!({"sqlstate": "QP003"}),
    );
    refused(
        BY_CONTRACT,
        json!({"rho_share": 2}),
        400,
        json!({"sqlstate": "22023"}),
    );
    refused(
        BY_CONTRACT,
        json!({"scale": 0}),
        400,
        json!({"type": "urn:aquifer:problem:body"}),
    );
    let only = door.asks("/v1/query", BY_CONTRACT, json!({"cache": "only"}));
    only.is_problem(400, json!({"sqlstate": "55000"}));
    let long = format!(
        "SELECT COUNT(*) FROM customers /* {} */",
        "x".repeat(64 << 10)
    );
    refused(&long, json!({}), 400, json!({"sqlstate": "54001"}));
    assert_eq!(door.reports.spent(), [0; 4]);
    let first = door.asks("/v1/query", BY_CONTRACT, json!({"request_id": "monday"}));
    assert_eq!(first.status, 200, "{first:?}");
    let sql = "SELECT COUNT(*) AS n FROM customers";
    let other = door.asks("/v1/query", sql, json!({"request_id": "monday"}));
    other.is_problem(409, json!({"sqlstate": "QP007"}));
}

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
    let wide = format!("X-Wide: {}", "x".repeat(32 << 10));
    assert_eq!(door.bare("/health", &["-H", &wide]).status, 431);
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
    let started = || -> Child {
        let mut asking = door.asking("/v1/query", BY_CONTRACT, &json!({}));
        asking.stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut gone = started();
    let asked = || {
        let studies = cluster.aquifer(["study", "list", "--json"]).ok()?.stdout;
        let studies: Value = serde_json::from_str(&studies).ok()?;
        (list(&studies, "studies")?.len() == 2).then_some(())
    };
    wait_for("the question to be a study", 20_000, || Ok(asked())).unwrap();
    gone.kill().unwrap();
    gone.wait().unwrap();
    // One place is that of the client who has gone.
    let mut clients: Vec<Child> = (0..66).map(|_| started()).collect();
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
    let reply = |client: Child| {
        let printed = client.wait_with_output().unwrap().stdout;
        Reply::read(&String::from_utf8(printed).unwrap())
    };
    let replies: Vec<Reply> = clients.into_iter().map(reply).collect();
    let (answered, many): (Vec<_>, Vec<_>) =
        replies.into_iter().partition(|reply| reply.status == 200);
    many.iter()
        .for_each(|reply| reply.is_problem(429, json!({"sqlstate": "53400"})));
    assert_eq!((answered.len(), many.len()), (63, 3));
    let spent = door.reports.spent();
    assert!(spent.iter().all(|spent| *spent >= URHO), "{spent:?}");
    let again = door
        .asks("/v1/query", BY_CONTRACT, json!({"cache": "only"}))
        .json();
    for reply in answered {
        let release = &reply.json()["release"];
        assert_eq!(release["release_id"], again["release"]["release_id"]);
    }
    assert_eq!(door.reports.spent(), spent, "asked once, whoever waits");
}
