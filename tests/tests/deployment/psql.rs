//! Analysts ask with `psql`: over TLS only, with a certificate or a password, and with the same answers as any other way.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use aquifer_tests::processes::{Outcome, command, run, wait_for};
use aquifer_tests::study::list;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::net::TcpSocket;
use tokio::runtime::Builder;

use super::fixture::{check_says, has_program};
use super::questions::{BY_CONTRACT, Reports, Shape, URHO};

/// Four units with an open standing study, and a door for SQL clients.
pub struct Door {
    pub reports: Reports,
    pub port: u16,
    pub password: String,
}

/// How a client proves who it is.
pub enum Proof<'a> {
    Password(&'a str),
    Certificate,
}

impl Door {
    /// None where this machine has no `psql`.
    pub fn open() -> Option<Self> {
        Self::shaped(Shape::default())
    }

    pub fn shaped(shape: Shape<'_>) -> Option<Self> {
        has_program("psql").then(|| Self::opened(shape))
    }

    fn opened(shape: Shape<'_>) -> Self {
        Self::of(|init| Reports::shaped(&Shape { init, ..shape }))
    }

    /// The door of a deployment that is made with these arguments of `init`.
    pub fn of(made: impl FnOnce(&[&str]) -> Reports) -> Self {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let address = format!("127.0.0.1:{port}");
        let reports = made(&["--listen-sql", &address]);
        let mut door = Self {
            reports,
            port,
            password: String::new(),
        };
        door.password = door.new_password("ada");
        door
    }

    pub fn new_password(&self, name: &str) -> String {
        let cluster = &self.reports.small.cluster;
        let printed = cluster.coordinator_command(["sql-password", name]).unwrap();
        printed.success().unwrap().trim().to_owned()
    }

    /// `psql` as this user, with more about the connection.
    pub fn client(&self, user: &str, proof: &Proof<'_>, more: &str) -> Command {
        let folder = self.reports.analyst.display();
        let mut place = format!(
            "host=aquifer hostaddr=127.0.0.1 port={} dbname=aquifer user={user} \
             sslmode=verify-full sslrootcert={folder}/ca.pem {more} ",
            self.port
        );
        if let Proof::Certificate = proof {
            place += &format!("sslcert={folder}/certificate.pem sslkey={folder}/tls.key");
        }
        let mut client = Command::new("psql");
        let quiet = [
            "-X",
            "-A",
            "-w",
            "-v",
            "ON_ERROR_STOP=1",
            "-v",
            "VERBOSITY=verbose",
        ];
        client
            .args(quiet)
            .args(["-d", &place])
            .env_remove("PGOPTIONS");
        if let Proof::Password(password) = proof {
            client.env("PGPASSWORD", password);
        }
        client
    }

    pub fn run(&self, mut client: Command, statements: &[&str]) -> Outcome {
        for statement in statements {
            client.args(["-c", statement]);
        }
        run(&mut client).unwrap()
    }

    /// Statements of the analyst, in one session.
    pub fn asks(&self, statements: &[&str]) -> Outcome {
        let client = self.client("ada", &Proof::Password(&self.password), "");
        self.run(client, statements)
    }

    /// Statements of the analyst from a file, as long as it is.
    pub fn asks_file(&self, statements: &str) -> Outcome {
        let file = self.reports.small.folder.path().join("statements.sql");
        fs::write(&file, statements).unwrap();
        let mut client = self.client("ada", &Proof::Password(&self.password), "");
        client.args(["-q", "-f"]).arg(&file);
        self.run(client, &[])
    }
}

pub const PURPOSE: &str = "SET aquifer.purpose = 'reporting'";

#[test]
fn analysts_ask_with_psql_and_pay_once() {
    let Some(door) = Door::open() else { return };
    let priced = door.asks(&[PURPOSE, &format!("EXPLAIN {BY_CONTRACT}")]);
    check_says(&priced, 0, &["SET", "20000 micro-rho", "shared-noise"]);
    assert_eq!(door.reports.spent(), [0; 4], "a price tag costs nothing");
    let first = door.asks(&[PURPOSE, BY_CONTRACT]);
    let columns = "contract|n|n_low|n_high|suppressed";
    check_says(
        &first,
        0,
        &[
            "NOTICE:",
            "rho 0.02 charged",
            "fresh",
            columns,
            "other||||t",
            "(4 rows)",
        ],
    );
    assert_eq!(door.reports.spent(), [URHO; 4]);
    let again = format!("{PURPOSE}; BEGIN; {BY_CONTRACT} ORDER BY 1; ROLLBACK;");
    check_says(
        &door.asks(&[&again]),
        0,
        &["nothing charged, cached", "ROLLBACK"],
    );
    let elsewhere = door.reports.answer(&[], BY_CONTRACT);
    assert_eq!(
        elsewhere["release"]["cached"], true,
        "both doors lead to the same answer"
    );
    for row in elsewhere["rows"].as_array().unwrap() {
        if let Some(count) = row["n"].as_i64() {
            let line = format!("{}|{count}|", row["contract"].as_str().unwrap());
            assert!(first.stdout.contains(&line), "{line} in {}", first.stdout);
        }
    }
    let none = door.asks(&[PURPOSE, "SELECT COUNT(*) AS n FROM customers LIMIT 0"]);
    check_says(&none, 0, &["n|n_low|n_high|suppressed", "(0 rows)"]);
    assert_eq!(door.reports.spent(), [URHO; 4]);
}

#[test]
fn sessions_have_settings() {
    let Some(door) = Door::open() else { return };
    let mut client = door.client("ada", &Proof::Certificate, "");
    client.env(
        "PGOPTIONS",
        "-c aquifer.purpose=reporting -c aquifer.intervals=off",
    );
    let shown = [
        "SHOW aquifer.purpose",
        "SHOW aquifer.intervals",
        BY_CONTRACT,
    ];
    let outcome = door.run(client, &shown);
    check_says(&outcome, 0, &["reporting", "off", "contract|n|suppressed"]);
    // Whoever has the pooled connection next finds what it came with.
    let mut client = door.client("ada", &Proof::Certificate, "");
    client.env("PGOPTIONS", "-c aquifer.purpose=reporting");
    let pooled = [
        "SET aquifer.request_id = 'mine'",
        "DISCARD ALL",
        "SHOW aquifer.purpose",
        "SHOW aquifer.request_id",
    ];
    let outcome = door.run(client, &pooled);
    check_says(&outcome, 0, &["DISCARD ALL", "reporting"]);
    assert!(!outcome.stdout.contains("mine"), "{}", outcome.stdout);
    let mut client = door.client("ada", &Proof::Certificate, "");
    client.env("PGOPTIONS", "-c aquifer.scale=0");
    check_says(&door.run(client, &["SHOW all"]), 2, &["aquifer.scale"]);
    let mut client = door.client("ada", &Proof::Certificate, "");
    client.env("PGOPTIONS", "-c aquifer.purpose=reprting");
    let words = ["purpose \"reprting\"; there are reporting", "operator"];
    check_says(&door.run(client, &["SHOW all"]), 2, &words);
    assert_eq!(door.reports.spent(), [URHO; 4]);
}

#[test]
fn what_is_refused_is_refused_with_its_reason() {
    let Some(door) = Door::open() else { return };
    let refused =
        |statements: &[&str], words: &[&str]| check_says(&door.asks(statements), 1, words);
    refused(&[BY_CONTRACT], &["55000", "HINT:  SET aquifer.purpose"]);
    let place = [
        "42803",
        "LINE 1: SELECT * FROM customers",
        "DETAIL:  rule sql.",
    ];
    refused(&[PURPOSE, "SELECT * FROM customers"], &place);
    refused(
        &[PURPOSE, "SELECT COUNT(*) FROM invoices"],
        &["42P01", "customers"],
    );
    let second = format!("{PURPOSE}; DROP TABLE customers");
    refused(
        &[&second],
        &["25006", "LINE 1: SET aquifer.purpose = 'reporting'; DROP"],
    );
    refused(&["SET aquifer.scale = 0"], &["42704"]);
    // At SET, not at the first question; what was set before stays.
    for set in [
        "SET aquifer.purpose = 'marketing'",
        "SELECT set_config('aquifer.purpose', 'marketing', false)",
    ] {
        let words = [
            "QP004",
            "purpose \"marketing\"; there are reporting",
            "HINT:",
        ];
        refused(&[set], &words);
    }
    let kept = [PURPOSE, "RESET aquifer.purpose", "SHOW aquifer.purpose"];
    check_says(&door.asks(&kept), 0, &["SET"]);
    refused(
        &[PURPOSE, "SET aquifer.cache = 'only'", BY_CONTRACT],
        &["55000"],
    );
    let long = format!(
        "SELECT COUNT(*) FROM customers /* {} */",
        "x".repeat(64 << 10)
    );
    refused(&[PURPOSE, &long], &["54001"]);
    assert_eq!(door.reports.spent(), [0; 4]);
}

#[test]
fn nobody_comes_in_without_tls_and_a_proof() {
    let Some(door) = Door::open() else { return };
    let comes = |user: &str, proof: &Proof<'_>, more: &str, code: i32, words: &[&str]| {
        let client = door.client(user, proof, more);
        check_says(&door.run(client, &["SHOW server_version"]), code, words);
    };
    let right = Proof::Password(&door.password);
    comes("ada", &right, "channel_binding=require", 0, &["15.0"]);
    comes("ada", &right, "channel_binding=disable", 0, &["15.0"]);
    comes(
        "ada",
        &right,
        "ssl_max_protocol_version=TLSv1.2",
        2,
        &["SSL error"],
    );
    comes("ada", &Proof::Certificate, "", 0, &["15.0"]);
    comes("ada", &right, "sslmode=disable", 2, &["over TLS only"]);
    let wrong = "the password does not fit the user, or it has expired";
    comes("ada", &Proof::Password("aq_wrong"), "", 2, &[wrong]);
    comes("eve", &right, "", 2, &[wrong]);
    comes("ops", &right, "", 2, &[wrong]);
    comes("ops", &Proof::Certificate, "", 2, &["not the one whom"]);
    let operator = door
        .reports
        .small
        .cluster
        .coordinator_command(["sql-password", "ops"]);
    check_says(&operator.unwrap(), 1, &["not a registered analyst"]);
    let before = door.password.clone();
    let after = door.new_password("ada");
    comes("ada", &Proof::Password(&before), "", 2, &[wrong]);
    comes("ada", &Proof::Password(&after), "", 0, &["15.0"]);
}

#[test]
fn whoever_is_revoked_is_sent_away() {
    let Some(door) = Door::open() else { return };
    let mut client = door.client("ada", &Proof::Password(&door.password), "");
    let piped = client
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut session = piped.spawn().unwrap();
    let mut input = session.stdin.take().unwrap();
    input
        .write_all(b"SHOW server_version \\watch 0.1\n")
        .unwrap();
    drop(input);
    let mut shown = [0; 14];
    session
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut shown)
        .unwrap();
    let cluster = &door.reports.small.cluster;
    let revoked = cluster.coordinator_command(["revoke", "ada"]).unwrap();
    revoked.success().unwrap();
    let ended = session.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(
        !ended.status.success() && said.contains("no longer good"),
        "{said}"
    );
    for proof in [Proof::Password(&door.password), Proof::Certificate] {
        let client = door.client("ada", &proof, "");
        assert_eq!(door.run(client, &["SHOW server_version"]).code, Some(2));
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn giving_up_ends_the_wait_and_not_the_question() {
    let Some(door) = Door::open() else { return };
    let cluster = &door.reports.small.cluster;
    let nodes = || {
        cluster
            .nodes
            .iter()
            .filter_map(|node| Some(node.process.as_ref()?.pid()))
    };
    nodes().for_each(|pid| signal(pid, Signal::STOP));
    let mut client = door.client("ada", &Proof::Password(&door.password), "");
    client.args(["-c", PURPOSE, "-c", BY_CONTRACT]);
    let session = client
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = || {
        let studies = cluster.aquifer(["study", "list", "--json"]).ok()?.stdout;
        let studies: Value = serde_json::from_str(&studies).ok()?;
        (list(&studies, "studies")?.len() == 2).then_some(())
    };
    wait_for("the question to be a study", 20_000, || Ok(asked())).unwrap();
    let bob = cluster.add_person("bob", "analyst").unwrap();
    let seen = |folder: &Path| {
        let mut listed = command("aquifer", ["study", "list", "--json", "--dir"]);
        let listed = run(listed.arg(folder)).unwrap().success().unwrap();
        let studies: Value = serde_json::from_str(&listed).unwrap();
        list(&studies, "studies").unwrap().len()
    };
    let own = seen(&door.reports.analyst);
    assert_eq!((own, seen(&bob)), (2, 1), "what others ask is not listed");
    signal(session.id(), Signal::INT);
    let ended = session.wait_with_output().unwrap();
    nodes().for_each(|pid| signal(pid, Signal::CONT));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(
        said.contains("57014") && said.contains("its answer is kept"),
        "{said}"
    );
    let answer = door.reports.answer(&[], BY_CONTRACT);
    let spent = door.reports.spent();
    assert!(spent.iter().all(|spent| *spent >= URHO), "{spent:?}");
    let again = door.reports.answer(&[], BY_CONTRACT);
    assert_eq!(
        again["release"]["release_id"],
        answer["release"]["release_id"]
    );
    assert_eq!(door.reports.spent(), spent, "asked once, whoever waits");
}

/// A connection from another address of this machine, the one that ends with this number.
pub fn from_elsewhere(last: u8, port: u16) -> TcpStream {
    let runtime = Builder::new_current_thread().enable_io().build().unwrap();
    let connected = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into())?;
        let server = (Ipv4Addr::LOCALHOST, port).into();
        socket.connect(server).await?.into_std()
    });
    let stream = connected.unwrap();
    stream.set_nonblocking(false).unwrap();
    stream
}

/// What the door says to these bytes until it closes.
fn said_to(door: &Door, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", door.port)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut said = Vec::new();
    // The door may close before it has read everything.
    let _ = stream.read_to_end(&mut said);
    said
}

#[test]
fn garbage_and_floods_change_nothing_for_others() {
    let Some(door) = Door::open() else { return };
    let held: Vec<TcpStream> = (0..100).map(|_| from_elsewhere(2, door.port)).collect();
    assert_eq!(said_to(&door, b"GET / HTTP/1.1\r\n\r\n"), b"");
    assert_eq!(said_to(&door, b"\x7f\xff\xff\xff"), b"");
    let startup = b"\0\0\0\x12\0\x03\0\0user\0ada\0\0";
    let said = said_to(&door, startup);
    assert!(said.starts_with(b"E"), "{said:?}");
    // A password after a request for TLS that never comes.
    assert_eq!(
        said_to(&door, b"\0\0\0\x08\x04\xd2\x16\x2fp\0\0\0\x0bsecret\0")[0],
        b'S'
    );
    check_says(&door.asks(&["SHOW server_version"]), 0, &["15.0"]);
    drop(held);
}
