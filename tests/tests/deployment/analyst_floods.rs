//! Analysts' clients that flood the door: thousands of connections, statements without end, words that never come. Others are
//! served, and the coordinator's memory stays what it was.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Stdio;

use super::fixture::check_says;
use super::psql::{Door, PURPOSE, Proof, from_elsewhere};
use super::questions::BY_CONTRACT;

/// Resident memory of the coordinator, in bytes.
fn memory(door: &mut Door) -> u64 {
    let pid = door.reports.small.cluster.coordinator().pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

const MEMORY_GROWTH_MAX: u64 = 64 << 20;

#[test]
fn ten_thousand_connections_leave_room_for_analysts() {
    let Some(mut door) = Door::open() else { return };
    check_says(&door.asks(&[PURPOSE, BY_CONTRACT]), 0, &["fresh"]);
    let before = memory(&mut door);
    // At most a thousand at a time, as far as this process may hold files; each says the first byte of something.
    for _ in 0..10 {
        let held: Vec<TcpStream> = (0..1_000)
            .map(|_| {
                let mut stream = from_elsewhere(&door);
                // The door may be full and have closed it already.
                let _ = stream.write_all(b"\0");
                stream
            })
            .collect();
        // While they are there, those who come from elsewhere are let in.
        let answer = door.asks(&[PURPOSE, BY_CONTRACT]);
        check_says(&answer, 0, &["nothing charged, cached"]);
        drop(held);
    }
    let after = memory(&mut door);
    assert!(
        after < before + MEMORY_GROWTH_MAX,
        "{before} before, {after} after"
    );
}

#[test]
fn a_hundred_megabytes_of_sql_are_not_read() {
    let Some(mut door) = Door::open() else { return };
    let before = memory(&mut door);
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
    assert_ne!(said.code, Some(0), "{}", said.stderr.len());
    let after = memory(&mut door);
    assert!(
        after < before + MEMORY_GROWTH_MAX,
        "{before} before, {after} after"
    );
    check_says(&door.asks(&["SHOW server_version"]), 0, &["15.0"]);
    assert_eq!(door.reports.spent(), [0; 4]);
}
