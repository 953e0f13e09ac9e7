//! Analysts' clients that flood the doors: thousands of connections, statements without end, words that never come. Others are
//! served, and the coordinator's memory stays what it was.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use aquifer_shared::base::limits::{
    HTTPS_CONNECTIONS_MAX, SQL_CONNECTIONS_PER_PARTY_MAX, SQL_GREETINGS_MAX,
    SQL_GREETINGS_PER_ADDRESS_MAX,
};
use aquifer_tests::processes::{run, wait_for};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use super::drivers::python;
use super::fixture::{check_says, has_program};
use super::https;
use super::psql::{Door, PURPOSE, Proof, from_elsewhere};
use super::questions::{BY_CONTRACT, Reports, Shape};
use super::slow::{Slow, TLS_REQUEST, drip, wait_closed};

/// The largest resident set that the coordinator ever had, in bytes.
fn peak(reports: &Reports) -> u64 {
    let pids = reports.small.cluster.pids();
    let pid = pids.last().unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

#[track_caller]
fn check_memory(reports: &Reports, before: u64) {
    let after = peak(reports);
    assert!(
        after < before + MEMORY_GROWTH_MAX,
        "{before} before, {after} after"
    );
}

const MEMORY_GROWTH_MAX: u64 = 64 << 20;
/// The last number of the addresses that a flood comes from.
const ADDRESSES: [u8; 11] = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
const CONNECTIONS: usize = 10_000;
/// Files that this process may need for other things.
const OTHER_FILES: usize = 256;

/// How many connections this process may hold, once it holds as many as the system allows.
fn connections_max() -> usize {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    let files = maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap());
    CONNECTIONS.min(files - OTHER_FILES)
}

/// So many connections, from all addresses by turns, each with the first byte of something.
fn flood(port: u16, first: u8, count: usize) -> Vec<TcpStream> {
    let addresses = ADDRESSES.iter().cycle().take(count);
    let connected = addresses.map(|last| {
        let mut stream = from_elsewhere(*last, port);
        // The door may have closed it already.
        let _ = stream.write_all(&[first]);
        stream.set_nonblocking(true).unwrap();
        stream
    });
    connected.collect()
}

/// How many of these the door listens to.
fn open(held: &[TcpStream]) -> usize {
    let waits = |stream: &&TcpStream| {
        let read = stream.peek(&mut [0]);
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    held.iter().filter(waits).count()
}

/// Ten thousand strangers at once, and ever new ones, take all the places that a door has; who comes from elsewhere is let in all the same.
fn check_flood(reports: &Reports, (port, first, places): (u16, u8, usize), asks: impl Fn()) {
    asks();
    let before = peak(reports);
    let count = connections_max();
    println!("{count} connections at once");
    let mut held = flood(port, first, count);
    for _ in 0..5 {
        held.drain(..places * 2);
        held.extend(flood(port, first, places * 2));
        wait_for("the door to be full", 10_000, || {
            Ok((open(&held) == places).then_some(()))
        })
        .unwrap();
        asks();
    }
    drop(held);
    check_memory(reports, before);
}

#[test]
fn ten_thousand_connections_leave_room_for_analysts() {
    let Some(door) = Door::open() else { return };
    let asks = || check_says(&door.asks(&[PURPOSE, BY_CONTRACT]), 0, &["charged"]);
    check_flood(&door.reports, (door.port, b'\0', SQL_GREETINGS_MAX), asks);
}

#[test]
fn ten_thousand_connections_leave_room_over_https() {
    let Some(door) = https::client::Door::open() else {
        return;
    };
    let asks = || assert_eq!(door.get("/v1/budget").status, 200);
    // The beginning of TLS.
    let place = (door.port, b'\x16', HTTPS_CONNECTIONS_MAX);
    check_flood(&door.reports, place, asks);
}

#[test]
fn an_analyst_has_so_many_sessions_and_no_more() {
    let (Some(door), Some(python)) = (Door::open(), python()) else {
        return;
    };
    let cluster = &door.reports.small.cluster;
    cluster.add_person("bob", "analyst").unwrap();
    let mut script = Command::new(python);
    script.args(["-c", include_str!("crowd.py"), &door.port.to_string()]);
    script.arg(SQL_CONNECTIONS_PER_PARTY_MAX.to_string());
    script.arg(door.reports.analyst.join("ca.pem"));
    script.args(["ada", &door.password, "bob", &door.new_password("bob")]);
    let printed = run(&mut script).unwrap().success().unwrap();
    let found: Value = serde_json::from_str(&printed).unwrap();
    let expected =
        json!({"one_more": "53300", "another": "15.0", "after": "15.0", "one_more_again": "53300"});
    assert_eq!(found, expected);
}

#[test]
fn a_hundred_megabytes_of_sql_are_not_read() {
    let Some(door) = Door::open() else { return };
    check_says(&door.asks(&["SHOW server_version"]), 0, &["15.0"]);
    let before = peak(&door.reports);
    let file = door.reports.small.folder.path().join("long.sql");
    let statement = format!("{PURPOSE};\nSELECT COUNT(*) FROM customers WHERE age IN (30");
    let mut writer = std::io::BufWriter::new(fs::File::create(&file).unwrap());
    writer.write_all(statement.as_bytes()).unwrap();
    for _ in 0..100 {
        writer.write_all(&b",31".repeat(350_000)).unwrap();
    }
    writer.write_all(b");").unwrap();
    writer.flush().unwrap();
    drop(writer);
    let mut client = door.client("ada", &Proof::Password(&door.password), "");
    client.args(["-q", "-f"]).arg(&file).stdin(Stdio::null());
    let said = door.run(client, &[]);
    // Whoever is still sending when the door closes may not hear why.
    let reasons = ["54000", "closed the connection", "Broken pipe", "reset by"];
    let told = reasons.iter().any(|reason| said.stderr.contains(reason));
    let beginning: String = said.stderr.chars().take(1_000).collect();
    assert!(said.code != Some(0) && told, "{:?} {beginning}", said.code);
    check_memory(&door.reports, before);
    check_says(&door.asks(&["SHOW server_version"]), 0, &["15.0"]);
    assert_eq!(door.reports.spent(), [0; 4]);
}

/// How often the coordinator has logged this.
fn logged(reports: &Reports, words: &str) -> usize {
    let log = reports.small.cluster.folder.join("coordinator.log");
    fs::read_to_string(log).unwrap().matches(words).count()
}

/// A session that asks for megabyte after megabyte and reads none of it.
fn unread(door: &Door, folder: &Path) -> Slow {
    let mut session = Slow::session(door.port, "bob", folder);
    let text = "x".repeat(1_000);
    let sql = format!("SELECT '{text}' AS x FROM pg_type a, pg_type b LIMIT 2000\0");
    let length = u32::try_from(4 + sql.len()).unwrap();
    for _ in 0..UNREAD_STATEMENTS {
        session.say(b"Q");
        session.say(&length.to_be_bytes());
        session.say(sql.as_bytes());
    }
    session
}

/// Two megabytes each: more than buffers between the two hold.
const UNREAD_STATEMENTS: usize = 20;

/// All places of the address that clients come from are taken by those who say nothing; it is served again when they are sent away.
fn check_silence(door: &Door) {
    let silent = || TcpStream::connect(("127.0.0.1", door.port)).unwrap();
    let held: Vec<_> = (0..SQL_GREETINGS_PER_ADDRESS_MAX)
        .map(|_| silent())
        .collect();
    let refused = door.asks(&["SHOW server_version"]);
    assert_eq!(refused.code, Some(2), "no place is left: {refused:?}");
    held.into_iter().for_each(wait_closed);
    check_says(&door.asks(&["SHOW server_version"]), 0, &["15.0"]);
}

#[test]
fn whoever_dawdles_is_sent_away_and_keeps_nobody_else_out() {
    let log = Some("info,aquifer_coordinator=debug");
    let shape = Shape {
        log,
        ..Shape::default()
    };
    let Some(door) = Door::shaped(shape).filter(|_| has_program("openssl")) else {
        return;
    };
    let (port, ada) = (door.port, &door.reports.analyst);
    let bob = door.reports.small.cluster.add_person("bob", "analyst");
    let mut deaf = unread(&door, &bob.unwrap());
    thread::scope(|scope| {
        let plain = scope.spawn(|| {
            let mut stream = from_elsewhere(2, port);
            stream.write_all(TLS_REQUEST).unwrap();
            stream.read_exact(&mut [0]).unwrap();
            // A greeting of TLS with 512 bytes to come.
            let greeting = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";
            drip(stream, &[&greeting[..], &[7; 50]].concat());
        });
        let nameless = scope.spawn(|| {
            let client = Slow::connect(port, &["-starttls", "postgres"]);
            client.drips(&[&b"\0\0\x01\0\0\x03\0\0"[..], &[b'u'; 50]].concat())
        });
        let known = scope.spawn(|| {
            let client = Slow::session(port, "ada", ada);
            client.drips(&[&b"Q\0\0\x01\0"[..], &[b' '; 85]].concat())
        });
        check_says(&door.asks(&["SHOW server_version"]), 0, &["15.0"]);
        check_silence(&door);
        assert!(deaf.is_open());
        plain.join().unwrap();
        assert_eq!(nameless.join().unwrap(), "");
        let said = known.join().unwrap();
        assert!(said.contains("did not come to its end in time"), "{said}");
    });
    let in_time = logged(&door.reports, "did not say who it is in time");
    assert_eq!(in_time, SQL_GREETINGS_PER_ADDRESS_MAX + 2);
    wait_for("the one who reads nothing to be left", 120_000, || {
        let left = logged(&door.reports, "a SQL client has left party=bob");
        Ok((left == 1).then_some(()))
    })
    .unwrap();
    assert!(deaf.waits().len() < UNREAD_STATEMENTS * 2_000_000);
}
