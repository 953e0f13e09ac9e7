//! Studies go on through faults of the network and of processes: to their end, every sum whole, every node charged for it once.

use std::time::Duration;

use aquifer_shared::domain::sum::{StudyTerms, TrustMode};

use super::network::{CENTRE, Traffic, Weather};
use super::study::{Disk, Journal, PRICE, ROUNDS, join, open, terms};
use super::world::{Centre, Entry, Log, Member, Running, World};

const DAY: Duration = Duration::from_secs(86_400);
const STORM: Weather = Weather {
    loss: 0.05,
    doubled: 0.02,
    delay_ms: 20,
    jitter_ms: 40,
};

/// A coordinator and its nodes, in the middle of a study.
struct Company<'a> {
    world: &'a World,
    terms: StudyTerms,
    members: Vec<Member>,
    disks: Vec<Disk>,
    journal: Journal,
    nodes: Vec<Option<Running>>,
    centre: Option<Centre>,
}

impl<'a> Company<'a> {
    fn new(world: &'a World, count: u8, mode: TrustMode) -> Self {
        let members: Vec<Member> = (2..2 + count)
            .map(|number| world.member(number, DAY))
            .collect();
        let terms = terms(&members, mode);
        let journal = Journal::default();
        let centre = Some(open(world, &terms, &journal));
        let mut company = Self {
            world,
            terms,
            nodes: members.iter().map(|_| None).collect(),
            disks: members.iter().map(|_| Disk::default()).collect(),
            members,
            journal,
            centre,
        };
        (0..count.into()).for_each(|node| company.start(node));
        company
    }

    fn start(&mut self, node: usize) {
        let (member, disk) = (&self.members[node], &self.disks[node]);
        self.nodes[node] = Some(join(self.world, &self.terms, member, disk));
    }

    fn kill(&mut self, node: usize) {
        let running = self.nodes[node].take().unwrap();
        self.world.kill(&self.members[node], running);
    }

    fn restart(&mut self, node: usize) {
        self.kill(node);
        self.start(node);
    }

    fn restart_centre(&mut self) {
        self.world.kill_centre(self.centre.take().unwrap());
        self.centre = Some(open(self.world, &self.terms, &self.journal));
    }

    /// How often a node's shares have come.
    fn dealt(&self, node: usize) -> usize {
        let name = &self.members[node].name;
        self.world.log.count("hub", &format!("shares {name}"))
    }

    async fn until_sums(&self, count: usize) {
        let enough = |_: &Log| self.journal.sums().len() >= count;
        self.world.until("sums", seconds(120), enough).await;
    }

    /// What holds of every study, whatever happened to it; how many dealers are in each sum.
    fn check(&self) -> Vec<usize> {
        let bits = |member: &Member| 1_i64 << member.number();
        let all: i64 = self.members.iter().map(bits).sum();
        let sums = self.journal.sums();
        for (count, cell) in &sums {
            // Each node adds a bit of its own: nobody is in a sum twice.
            assert_eq!(cell.count_ones() as usize, *count, "{cell:b}");
            assert_eq!(cell & !all, 0, "{cell:b}");
        }
        for (member, disk) in self.members.iter().zip(&self.disks) {
            let within = |sum: &&(usize, i64)| sum.1 & bits(member) != 0;
            let paid_for = sums.iter().filter(within).count() as u64;
            let (spent, tries) = (disk.spent(member, &self.terms).0, 2 * u64::from(ROUNDS));
            let name = &member.name;
            assert!(
                spent >= PRICE.0 * paid_for,
                "{name}: {spent} for {paid_for}"
            );
            assert!(spent <= PRICE.0 * tries, "{name}: {spent}");
        }
        sums.into_iter().map(|(count, _)| count).collect()
    }
}

/// What a study came to.
struct Told {
    /// Dealers in each sum.
    sums: Vec<usize>,
    published: bool,
    /// All that was seen and sent on the way.
    history: (Vec<Entry>, Traffic),
}

/// Lets a fault happen after the third sum and follows the study to its end.
#[track_caller]
fn tell(
    (count, mode): (u8, TrustMode),
    weather: Weather,
    fault: impl AsyncFnOnce(&mut Company<'_>),
) -> Told {
    let mut world = World::new(5);
    world.network.set(weather);
    let sums = world.run(async |world| {
        let mut company = Company::new(world, count, mode);
        company.until_sums(3).await;
        fault(&mut company).await;
        let ended = |log: &Log| log.count("hub", "ended") > 0;
        world.until("the end", seconds(300), ended).await;
        company.check()
    });
    Told {
        published: world.log.count("hub", "ended published") == 1,
        sums,
        history: (world.log.entries(), world.network.traffic()),
    }
}

const FOUR: (u8, TrustMode) = (4, TrustMode::NodeNoise);
const FOUR_SHARED: (u8, TrustMode) = (4, TrustMode::SharedNoise);
const EIGHT_SHARED: (u8, TrustMode) = (8, TrustMode::SharedNoise);

/// In both trust modes the study ends published; returns how many dealers are in each sum.
#[track_caller]
fn check_published(weather: Weather, fault: impl AsyncFn(&mut Company<'_>)) -> [Vec<usize>; 2] {
    [FOUR, FOUR_SHARED].map(|kind| {
        let told = tell(kind, weather, &fault);
        assert!(told.published, "{kind:?}: {:?}", told.sums);
        assert_eq!(told.sums.len(), usize::from(ROUNDS), "{kind:?}");
        told.sums
    })
}

const ALL: [usize; ROUNDS as usize] = [4; ROUNDS as usize];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn in_fine_weather_all_are_in_every_sum() {
    let sums = check_published(Weather::FINE, async |_: &mut Company<'_>| {});
    assert_eq!(sums, [ALL, ALL]);
}

#[test]
fn a_study_ends_through_loss_and_reordering() {
    let storm = Weather {
        loss: 0.1,
        doubled: 0.05,
        ..STORM
    };
    check_published(storm, async |_: &mut Company<'_>| {});
}

#[test]
fn a_coordinator_that_restarts_asks_again() {
    let sums = check_published(Weather::FINE, async |company: &mut Company<'_>| {
        company.restart_centre();
    });
    assert_eq!(sums[0], ALL, "the same bytes");
}

#[test]
fn a_node_that_restarts_is_asked_again() {
    let sums = check_published(Weather::FINE, async |company: &mut Company<'_>| {
        company.restart(1);
    });
    assert_eq!(sums[0], ALL);
    assert_eq!(sums[1].last(), Some(&4));
}

#[test]
fn a_node_behind_a_partition_is_missed_and_comes_back() {
    let sums = check_published(Weather::FINE, async |company: &mut Company<'_>| {
        let network = &company.world.network;
        network.cut_both(company.members[0].address, CENTRE);
        company.until_sums(company.journal.sums().len() + 2).await;
        network.heal();
    });
    for sums in sums {
        assert!(sums.contains(&3), "{sums:?}");
        assert_eq!(sums.last(), Some(&4), "{sums:?}");
    }
}

/// For a while no node is heard by the coordinator.
fn through_silence(silence: Duration) -> Told {
    tell(FOUR, Weather::FINE, async |company| {
        for member in &company.members {
            company.world.network.cut(member.address, CENTRE);
        }
        company.world.pass(silence).await;
        company.world.network.heal();
    })
}

#[test]
fn a_silence_shorter_than_two_attempts_is_ridden_out() {
    assert!(through_silence(seconds(5)).published);
}

#[test]
fn a_silence_longer_than_all_attempts_ends_the_study_with_a_reason() {
    assert!(!through_silence(seconds(45)).published);
}

fn everything_at_once(kind: (u8, TrustMode)) -> Told {
    tell(kind, STORM, async |company| {
        company.restart(0);
        company.restart_centre();
        let (world, last) = (company.world, &company.members[3]);
        world.network.cut(CENTRE, last.address);
        world.pass(seconds(10)).await;
        company.restart(2);
        company.restart_centre();
        world.network.heal();
    })
}

#[test]
fn everything_at_once_ends_in_the_same_way_on_every_run() {
    for kind in [FOUR, FOUR_SHARED] {
        let (first, again) = (everything_at_once(kind), everything_at_once(kind));
        assert_eq!(first.history, again.history, "{kind:?}");
        assert!(first.sums.len() >= 3);
    }
}

#[test]
fn two_of_eight_that_die_after_their_shares_in_every_round_are_in_every_sum() {
    let told = tell(EIGHT_SHARED, Weather::FINE, async |company| {
        while company.journal.sums().len() < usize::from(ROUNDS) {
            let dealt = [0, 1].map(|node| company.dealt(node));
            let both = |_: &Log| [0, 1].iter().all(|&node| company.dealt(node) > dealt[node]);
            let next = |log: &Log| both(log) || log.count("hub", "ended") > 0;
            company.world.until("shares", seconds(60), next).await;
            [0, 1].into_iter().for_each(|node| company.restart(node));
        }
    });
    assert!(told.published);
    assert_eq!(told.sums, [8; ROUNDS as usize]);
}

#[test]
fn two_of_eight_that_are_gone_for_good_leave_the_sums_of_six() {
    let told = tell(EIGHT_SHARED, Weather::FINE, async |company| {
        [6, 7].into_iter().for_each(|node| company.kill(node));
    });
    assert!(told.published);
    assert_eq!(told.sums[4..], [6; ROUNDS as usize - 4]);
}

#[test]
fn three_of_eight_that_are_gone_end_the_study_with_a_reason() {
    let told = tell(EIGHT_SHARED, Weather::FINE, async |company| {
        [5, 6, 7].into_iter().for_each(|node| company.kill(node));
    });
    assert!(!told.published);
    assert!(told.sums.len() < usize::from(ROUNDS));
}
