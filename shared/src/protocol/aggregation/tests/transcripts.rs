//! Attempts in which everybody is honest and at most as many members are missing as may be.

use super::world::*;
use crate::protocol::aggregation::*;

#[test]
fn four_members_and_no_noise_have_the_published_transcript() {
    let world = World::new(4, 5).run();
    let released = world.released.as_ref().unwrap();
    assert_eq!(released.cells, world.sum_of(1..=4));
    assert_eq!(released.dealers, MemberSet::of(1..=4));
    assert_eq!(released.openers, MemberSet::of(1..=4));
    assert_eq!(world.transcript.to_string(), TRANSCRIPT);
}

/// Nothing of the message kind leaves these members: the step at which they die.
fn check_missing(missing: &'static [u16], at: fn(&Up) -> bool, dealers: &[u16], openers: &[u16]) {
    let world = World::new(8, 7);
    let world = world.with_up(move |member, up| {
        let gone = missing.contains(&member) && at(&up);
        if gone { vec![] } else { vec![up] }
    });
    let world = world.run();
    let released = world.released.as_ref().expect("released");
    assert_eq!(released.dealers, MemberSet::of(dealers.iter().copied()));
    assert_eq!(released.openers, MemberSet::of(openers.iter().copied()));
    assert_eq!(released.cells, world.sum_of(dealers.iter().copied()));
    assert_eq!(world.refusals, []);
}

#[test]
fn two_of_eight_may_be_missing_from_the_start() {
    let rest = &[1, 2, 4, 5, 7, 8];
    check_missing(&[3, 6], |up| matches!(up, Up::Advert(_)), rest, rest);
}

#[test]
fn two_of_eight_may_die_before_they_deal() {
    let rest = &[1, 2, 4, 5, 7, 8];
    // What is delivered to them they can still add up and open.
    let all = &[1, 2, 3, 4, 5, 6, 7, 8];
    check_missing(&[3, 6], |up| matches!(up, Up::Shares(_)), rest, all);
}

#[test]
fn who_dies_after_dealing_stays_in_the_sum() {
    let all = &[1, 2, 3, 4, 5, 6, 7, 8];
    let dies = |up: &Up| matches!(up, Up::Confirm(_) | Up::Opening(_));
    check_missing(&[1, 8], dies, all, &[2, 3, 4, 5, 6, 7]);
    check_missing(
        &[1, 4, 8],
        |up| matches!(up, Up::Opening(_)),
        all,
        &[2, 3, 5, 6, 7],
    );
}

#[test]
fn groups_of_other_sizes_open_their_sum() {
    for (members, cells) in [(5, 3), (16, 12), (33, 40), (128, 90)] {
        let world = World::new(members, cells).run();
        let released = world.released.as_ref().unwrap();
        assert_eq!(
            released.cells,
            world.sum_of(1..=members as u16),
            "{members} members"
        );
    }
}

#[test]
fn what_is_charged_is_asked_for_before_it_is_dealt() {
    let world = World::new(4, 5).run();
    assert_eq!(world.charged, MemberSet::of(1..=4));
    assert!(matches!(
        world.kept[..],
        [Durable::Roster(_), Durable::Set { .. }]
    ));
}

#[test]
fn cells_may_be_anything_below_the_bound() {
    let edge = (1_i64 << 59) - 1;
    let world = World::new(4, 4);
    let world = world.with_input(1, vec![edge, -edge, 0, 0]);
    let world = (2..=4).fold(world, |world, member| world.with_input(member, vec![0; 4]));
    let world = world.run();
    assert_eq!(world.released.unwrap().cells, [edge, -edge, 0, 0]);
}

const TRANSCRIPT: &str = "56390bab0a2c6f9b7684f1a9177d11cea3c9257bc8dc4ca1a25a613833b758bc";
