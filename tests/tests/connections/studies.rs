//! Studies go on through faults of the network and of processes: to their end, every sum whole, every node charged for it once.

use std::time::Duration;

use super::network::{CENTRE, Traffic, Weather};
use super::study::{Disk, Journal, PRICE, ROUNDS, join, open, terms};
use super::world::{Centre, Entry, Log, Member, Running, World};

const DAY: Duration = Duration::from_secs(86_400);

/// Four nodes and their coordinator, in the middle of a study.
struct Running4<'a> {
    world: &'a World,
    members: [Member; 4],
    disks: [Disk; 4],
    journal: Journal,
    nodes: Vec<Option<Running>>,
    centre: Option<Centre>,
}

impl Running4<'_> {
    fn restart_centre(&mut self) {
        self.world.kill_centre(self.centre.take().unwrap());
        self.centre = Some(open(self.world, &terms(&self.members, 3), &self.journal));
    }

    fn restart(&mut self, node: usize) {
        let running = self.nodes[node].take().unwrap();
        self.world.kill(&self.members[node], running);
        let running = join(self.world, &self.members[node], &self.disks[node]);
        self.nodes[node] = Some(running);
    }
}

/// Lets a fault happen after the third sum, and the study ends published. Returns how many updates are in each sum.
#[track_caller]
fn published_through(
    weather: Weather,
    limit: Duration,
    fault: impl AsyncFnOnce(&mut Running4<'_>),
) -> Vec<usize> {
    let (sums, _) = study_through(weather, limit, fault);
    assert_eq!(sums.len(), usize::from(ROUNDS), "{sums:?}");
    sums
}

/// Lets a fault happen after the third sum and follows the study to its end. Returns how many updates are in each sum, and all
/// that was seen and sent on the way.
#[track_caller]
fn study_through(
    weather: Weather,
    limit: Duration,
    fault: impl AsyncFnOnce(&mut Running4<'_>),
) -> (Vec<usize>, (Vec<Entry>, Traffic)) {
    let mut world = World::new(5);
    world.network.set(weather);
    let members = [2, 3, 4, 5].map(|number| world.member(number, DAY));
    let (disks, journal): ([Disk; 4], Journal) = Default::default();
    world.run(async |world| {
        let centre = open(world, &terms(&members, 3), &journal);
        let nodes = members.iter().zip(&disks);
        let nodes = nodes.map(|(member, disk)| Some(join(world, member, disk)));
        let mut running = Running4 {
            world,
            nodes: nodes.collect(),
            members: members.clone(),
            disks: disks.clone(),
            journal: journal.clone(),
            centre: Some(centre),
        };
        let third = |_: &_| journal.sums().len() >= 3;
        world
            .until("three sums", Duration::from_secs(60), third)
            .await;
        fault(&mut running).await;
        let ended = |log: &Log| log.count("hub", "ended") > 0;
        world.until("the end", limit, ended).await;
    });
    let sums = journal.sums();
    // Else it ended with a reason, and what was released before that holds as well.
    if world.log.count("hub", "ended published") == 1 {
        assert_eq!(sums.len(), usize::from(ROUNDS));
    }
    for (count, cell) in &sums {
        // Each node adds a bit of its own: nobody is in a sum twice.
        assert_eq!(cell.count_ones() as usize, *count, "{cell:b}");
        assert_eq!(cell & !0b11_1100, 0, "{cell:b}");
    }
    for (member, disk) in members.iter().zip(&disks) {
        let bit = 1_i64 << member.number();
        let paid_for = sums.iter().filter(|(_, cell)| cell & bit != 0).count() as u64;
        let (spent, tries) = (disk.spent(member).0, 2 * u64::from(ROUNDS));
        assert!(
            spent >= PRICE.0 * paid_for,
            "{}: {spent} for {paid_for}",
            member.name
        );
        assert!(spent <= PRICE.0 * tries, "{}: {spent}", member.name);
    }
    let counts = sums.into_iter().map(|(count, _)| count).collect();
    (counts, (world.log.entries(), world.network.traffic()))
}

const ALL: [usize; ROUNDS as usize] = [4; ROUNDS as usize];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn in_fine_weather_all_are_in_every_sum() {
    let sums = published_through(Weather::FINE, seconds(60), async |_| {});
    assert_eq!(sums, ALL);
}

#[test]
fn a_study_ends_through_loss_and_reordering() {
    let storm = Weather {
        loss: 0.1,
        doubled: 0.05,
        delay_ms: 30,
        jitter_ms: 60,
    };
    published_through(storm, seconds(120), async |_| {});
}

#[test]
fn a_coordinator_that_restarts_asks_again_and_gets_the_same_bytes() {
    let sums = published_through(Weather::FINE, seconds(120), async |running| {
        running.restart_centre();
    });
    assert_eq!(sums, ALL);
}

#[test]
fn a_node_that_restarts_is_asked_again() {
    let sums = published_through(Weather::FINE, seconds(120), async |running| {
        running.restart(1);
    });
    assert_eq!(sums, ALL);
}

#[test]
fn a_node_behind_a_partition_is_missed_and_comes_back() {
    let sums = published_through(Weather::FINE, seconds(240), async |running| {
        let world = running.world;
        world.network.cut_both(running.members[0].address, CENTRE);
        let done = running.journal.sums().len();
        let two_more = |_: &_| running.journal.sums().len() >= done + 2;
        world.until("sums without it", seconds(60), two_more).await;
        world.network.heal();
    });
    assert!(sums.contains(&3), "{sums:?}");
    assert_eq!(sums.last(), Some(&4), "{sums:?}");
}

/// For `cut`, no node is heard by the coordinator.
fn through_silence(cut: Duration) -> usize {
    let (sums, _) = study_through(Weather::FINE, seconds(240), async |running| {
        let world = running.world;
        for member in &running.members {
            world.network.cut(member.address, CENTRE);
        }
        world.pass(cut).await;
        world.network.heal();
    });
    sums.len()
}

#[test]
fn a_silence_shorter_than_two_attempts_is_ridden_out() {
    assert_eq!(through_silence(seconds(5)), usize::from(ROUNDS));
}

#[test]
fn a_silence_longer_than_all_attempts_ends_the_study_with_a_reason() {
    assert!(through_silence(seconds(45)) < usize::from(ROUNDS));
}

fn everything_at_once() -> (Vec<usize>, (Vec<Entry>, Traffic)) {
    let storm = Weather {
        loss: 0.05,
        doubled: 0.02,
        delay_ms: 20,
        jitter_ms: 40,
    };
    study_through(storm, seconds(300), async |running| {
        running.restart(0);
        running.restart_centre();
        let (world, last) = (running.world, &running.members[3]);
        world.network.cut(CENTRE, last.address);
        world.pass(seconds(10)).await;
        running.restart(2);
        running.restart_centre();
        running.world.network.heal();
    })
}

#[test]
fn everything_at_once_still_ends_and_in_the_same_way_on_every_run() {
    let (first, again) = (everything_at_once(), everything_at_once());
    assert_eq!(first.0.len(), usize::from(ROUNDS));
    assert_eq!(first.1, again.1);
}
