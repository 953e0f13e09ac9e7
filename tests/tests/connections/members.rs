//! Who is not welcome any more stays out: revoked, expired, replaced; with or without a partition in between.

use std::time::Duration;

use aquifer_shared::base::time::Timestamp;

use super::chatter::{join, open};
use super::network::CENTRE;
use super::world::{World, start};

const DAY: Duration = Duration::from_secs(86_400);
const NODE: &str = "unit-2";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_revoked_node_is_put_out_and_never_comes_back() {
    let mut world = World::new(1);
    world.run(async |world| {
        let member = world.member(2, DAY);
        let other = world.member(3, DAY);
        let centre = open(world);
        let _others = join(world, &other);
        let _running = join(world, &member);
        world
            .until("both", seconds(5), |log| log.count("hub", "opened") == 2)
            .await;
        world.revoke(&member, &centre).await;
        world
            .until("the end", seconds(1), |log| log.count(NODE, "over") == 1)
            .await;
        // A person starts it again, and again.
        for times in 2..4 {
            let _running = join(world, &member);
            world
                .until("the end", seconds(5), |log| {
                    log.count(NODE, "over") == times
                })
                .await;
        }
        world.pass(seconds(120)).await;
    });
    let log = &world.log;
    assert_eq!(log.count("hub", "opened unit-2"), 1);
    assert_eq!(
        log.count("hub", "closed unit-3"),
        0,
        "the other is not touched"
    );
    assert!(
        log.entries()
            .iter()
            .any(|entry| entry.what.contains("revoked; ask the operator"))
    );
}

#[test]
fn a_node_that_is_revoked_behind_a_partition_is_refused_when_it_heals() {
    let mut world = World::new(1);
    world.run(async |world| {
        let member = world.member(2, DAY);
        let centre = open(world);
        let _running = join(world, &member);
        world
            .until("the node", seconds(5), |log| log.count(NODE, "up") == 1)
            .await;
        world.network.cut_both(member.address, CENTRE);
        world.pass(seconds(5)).await;
        world.revoke(&member, &centre).await;
        world.pass(seconds(60)).await;
        world.network.heal();
        world
            .until("the end", seconds(21), |log| log.count(NODE, "over") == 1)
            .await;
    });
    assert_eq!(world.log.count("hub", "opened"), 1);
}

/// A certificate of 30 days that ends in five minutes.
fn nearly_over() -> Timestamp {
    Timestamp(start().0 - 30 * 86_400_000 + 300_000)
}

#[test]
fn a_certificate_that_cannot_be_renewed_ends_its_session_and_every_later_one() {
    let mut world = World::new(1);
    let member = world.renewable(2, 30, nearly_over());
    world.run(async |world| {
        let _centre = open(world);
        world.outside(world.store().clone().close());
        let _running = join(world, &member);
        world
            .until("the node", seconds(5), |log| log.count(NODE, "up") == 1)
            .await;
        world.pass(seconds(280)).await;
        assert_eq!(world.log.count(NODE, "over"), 0);
        world
            .until("the end", seconds(30), |log| log.count(NODE, "over") == 1)
            .await;
        let _again = join(world, &member);
        world
            .until("the end", seconds(5), |log| log.count(NODE, "over") == 2)
            .await;
    });
    let log = &world.log;
    assert_eq!(log.count("hub", "opened"), 1);
    assert!(
        log.entries()
            .iter()
            .any(|entry| entry.what.contains("has expired"))
    );
}

#[test]
fn a_node_that_renewed_goes_on_when_its_first_certificate_ends() {
    let mut world = World::with_store(1);
    let member = world.renewable(2, 30, nearly_over());
    let certificate = || std::fs::read_to_string(member.folder().join("certificate.pem")).unwrap();
    let first = certificate();
    world.run(async |world| {
        let _centre = open(world);
        world.network.clock.keep_pace(true);
        let _running = join(world, &member);
        world
            .until("a renewal", seconds(20), |_| certificate() != first)
            .await;
        world.network.clock.keep_pace(false);
        world.pass(seconds(280)).await;
        assert_eq!(world.log.count(NODE, "up"), 1, "the session goes on");
        world
            .until("another", seconds(60), |log| log.count(NODE, "up") == 2)
            .await;
        world.pass(seconds(60)).await;
    });
    assert_eq!(world.log.count(NODE, "over"), 0, "{}", world.log.tale());
}

#[test]
fn of_two_sessions_of_one_node_the_later_one_stays() {
    let mut world = World::new(1);
    world.run(async |world| {
        let member = world.member(2, DAY);
        let _centre = open(world);
        let _first = join(world, &member);
        world
            .until("the node", seconds(5), |log| log.count("hub", "heard") > 3)
            .await;
        let _second = join(world, &member);
        world
            .until("the first one's end", seconds(5), |log| {
                log.count(NODE, "over") == 1
            })
            .await;
        world.pass(seconds(60)).await;
    });
    let log = &world.log;
    assert_eq!(
        (log.count("hub", "opened"), log.count("hub", "closed")),
        (2, 1)
    );
    assert!(
        log.entries()
            .iter()
            .any(|entry| entry.what.contains("another session with this identity"))
    );
}
