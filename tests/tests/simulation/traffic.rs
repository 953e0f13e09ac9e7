//! What a sum costs on the wire: the bytes that parties really send, held against the table of message sizes.

use aquifer_shared::domain::sum::{Thresholds, TrustMode};
use aquifer_shared::protocol::wire::{
    Advert, Confirm, Delivery, End, Message, Opening, Proof, Roster, Shares, Task,
};
use aquifer_tests::simulator::faults::Profile;
use aquifer_tests::simulator::scenario::{Kind, Scenario, Wish};

use crate::{check_unbroken, history, wish};

const ROUNDS: u16 = 10;

/// Bytes of one sum of all members by docs/protocol.md, frame headers left out.
fn table(members: u64, cells: usize, thresholds: Thresholds) -> u64 {
    let blocks = thresholds.blocks(cells) as u64;
    let shares = 72 + (members - 1) * (8 * blocks + 26);
    let proof = 40 + 66 * thresholds.confirmations() as u64;
    let task = 48 + TASK_BODY_BYTES;
    let each = [
        task,
        202,
        8 + 202 * members,
        shares,
        shares,
        144,
        proof,
        104 + 8 * blocks,
        65,
    ];
    members * each.iter().sum::<u64>()
}

/// A tag and a number.
const TASK_BODY_BYTES: u64 = 5;

/// Per cent by which a calm study differs from the table.
#[track_caller]
fn check_bytes(nodes: usize, cells: u32) {
    let calm = Wish {
        nodes: Some(nodes),
        cells: Some(cells),
        rounds: ROUNDS,
        plan: Some(Kind::Synthetic),
        ..wish(TrustMode::SharedNoise, Profile::None)
    };
    let found = history(1, &calm);
    check_unbroken(1, &calm, &found);
    assert_eq!(
        (found.released, found.attempts),
        (ROUNDS.into(), ROUNDS.into())
    );
    let scenario = Scenario::draw(1, &calm);
    let thresholds = Thresholds::new(nodes, scenario.absent_max, scenario.colluders_max).unwrap();
    let expected = u64::from(ROUNDS) * table(nodes as u64, cells as usize, thresholds);
    let kinds = [
        Task::KIND,
        Advert::KIND,
        Roster::KIND,
        Shares::KIND,
        Delivery::KIND,
        Confirm::KIND,
        Proof::KIND,
        Opening::KIND,
        End::KIND,
    ];
    let bytes = kinds.iter().filter_map(|kind| found.traffic.get(kind));
    let bytes: u64 = bytes.map(|(_, bytes)| bytes).sum();
    let off = 100.0 * (bytes as f64 / expected as f64 - 1.0);
    println!(
        "{nodes} nodes, {cells} cells: {bytes} bytes in {ROUNDS} sums, {off:+.2} % of the table"
    );
    assert!(
        off.abs() < 5.0,
        "{bytes} bytes, by the table {expected}: {:?}",
        found.traffic
    );
}

#[test]
fn sums_take_the_bytes_of_the_table() {
    check_bytes(4, 1);
    check_bytes(8, 350);
    check_bytes(8, 1_000);
    check_bytes(16, 5_000);
    check_bytes(32, 100);
}
