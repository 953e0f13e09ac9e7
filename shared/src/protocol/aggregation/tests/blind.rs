//! Bytes that were changed on the way, and machines that overlook a rule: whatever happens, nothing panics.

use super::world::*;
use crate::protocol::aggregation::*;
use crate::protocol::wire::{HEADER_BYTES, Message, frame, read_body};

/// Splitmix64: for the places at which bytes are changed.
#[derive(Clone)]
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % limit as u64) as usize
    }

    /// The message that other bytes stand for, if any.
    fn change<M: Message>(&mut self, message: &M) -> Option<M> {
        let mut bytes = frame(message);
        for _ in 0..=self.below(3) {
            let at = HEADER_BYTES + self.below(bytes.len() - HEADER_BYTES);
            bytes[at] = match self.below(3) {
                0 => bytes[at] ^ (1 << self.below(8)),
                1 => self.below(256) as u8,
                _ => [0, 1, 0xff][self.below(3)],
            };
        }
        read_body(bytes[1], &bytes[HEADER_BYTES..]).ok()
    }

    fn change_up(&mut self, up: &Up) -> Option<Up> {
        Some(match up {
            Up::Advert(message) => Up::Advert(self.change(message)?),
            Up::Shares(message) => Up::Shares(self.change(message)?),
            Up::Confirm(message) => Up::Confirm(self.change(message)?),
            Up::Cannot(message) => Up::Cannot(self.change(message)?),
            Up::Opening(message) => Up::Opening(self.change(message)?),
            Up::Refused(message) => Up::Refused(self.change(message)?),
        })
    }

    fn change_down(&mut self, down: &Down) -> Option<Down> {
        Some(match down {
            Down::Task => Down::Task,
            Down::Roster(message) => Down::Roster(self.change(message)?),
            Down::Delivery(message) => Down::Delivery(self.change(message)?),
            Down::Proof(message) => Down::Proof(self.change(message)?),
        })
    }
}

/// A run in which one message in `rate` is changed, and as many come twice, once changed.
fn changed(seed: u64, rate: usize) -> World {
    let (mut up_random, mut down_random) = (Seeded(seed), Seeded(seed ^ u64::MAX));
    let mut world = World::new(8, 7).with_up(move |_, up| match up_random.below(rate) {
        0 => up_random.change_up(&up).into_iter().collect(),
        1 => [Some(up.clone()), up_random.change_up(&up)]
            .into_iter()
            .flatten()
            .collect(),
        _ => vec![up],
    });
    world.down = Box::new(move |_, down| match down_random.below(rate) {
        0 => down_random.change_down(&down).into_iter().collect(),
        1 => [Some(down.clone()), down_random.change_down(&down)]
            .into_iter()
            .flatten()
            .collect(),
        _ => vec![down],
    });
    world.run()
}

#[test]
fn changed_bytes_never_panic_and_never_change_a_sum() {
    let mut released = 0;
    for seed in 0..60 {
        let world = changed(seed, [12, 40][seed as usize % 2]);
        if let Some(sum) = &world.released {
            assert_eq!(sum.cells, world.sum_of(sum.dealers.iter()), "seed {seed}");
            released += 1;
        }
    }
    assert!(
        (10..60).contains(&released),
        "{released} of 60 were released"
    );
}

#[test]
fn no_rule_that_is_overlooked_makes_a_machine_panic() {
    let guards = [
        Guard::OwnAdvert,
        Guard::RosterSize,
        Guard::RosterOrder,
        Guard::AdvertSignature,
        Guard::SameTask,
        Guard::DistinctKeys,
        Guard::PeerMarks,
        Guard::OneRoster,
        Guard::DeliveredRoster,
        Guard::DealersInRoster,
        Guard::DealersMin,
        Guard::RecordsOpen,
        Guard::OneSet,
        Guard::ProofQuorum,
        Guard::ProofSignatures,
        Guard::CountedAdvert,
        Guard::SetFirst,
        Guard::SpareOpenings,
        Guard::SumInRange,
    ];
    for guard in guards {
        for seed in 100..108 {
            blind(guard, || changed(seed, 8));
        }
    }
}

#[test]
fn without_the_spare_openings_a_wrong_one_would_be_read() {
    let spoil = |world: World| {
        world.with_up(|member, mut up| {
            if let (1, Up::Shares(shares)) = (member, &mut up) {
                shares.records[0].record[0] ^= 1;
            }
            vec![up]
        })
    };
    let wrong = blind(Guard::RecordsOpen, || spoil(World::new(4, 5)).run());
    let failure = wrong.failed.map(|failed| failed.failure);
    assert!(matches!(
        failure,
        None | Some(Failure::InconsistentOpenings { .. })
    ));
}

#[test]
fn without_the_order_of_records_the_roster_leaves_before_it_is_durable() {
    let group = Group::new(usual(4), 5);
    let all = MemberSet::of(1..=4);
    blind(Guard::SetFirst, || {
        let mut assembly = Assembly::start(group.setting.clone(), timing(), all, all);
        for own in 1..=4 {
            let advert = group.member(own, group.input(own)).advert().clone();
            assembly.handle(timing().opened, AssemblyEvent::Advert(own, advert));
        }
        let first = assembly.poll_effect();
        assert!(matches!(first, Some(AssemblyEffect::Persist(_))));
        assert!(matches!(
            assembly.poll_effect(),
            Some(AssemblyEffect::Roster(1, _))
        ));
    });
}

#[test]
fn without_the_range_a_sum_is_released_that_nobody_sent() {
    let world = blind(Guard::SumInRange, || {
        let input = vec![0, 0, 0, 0, 1 << 59, 0, 0];
        World::new(8, 7).with_input(2, input).run()
    });
    let released = world.released.as_ref().unwrap();
    assert_ne!(released.cells, world.sum_of(1..=8));
}
