//! Several groups: each has attempts of its own, the round's result is the sum over theirs.

use aquifer_shared::base::hash::sha256;
use aquifer_shared::protocol::aggregation::Checks;
use aquifer_shared::protocol::ask::ReleasedSum;
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{RefusalCode, Verdict};

use super::world::{Down, World};
use crate::core::event::{Event, Member, Record};
use crate::core::fixtures::ROUNDS;

fn two_groups() -> World {
    World::grouped(8, vec![0..4, 4..8], Checks::STRICT, |_| {})
}

/// In round 1 the deliveries of the second group are lost once.
fn failing_once() -> World {
    two_groups().routed(|world, member, down| {
        let lost = member >= 4
            && matches!(down, Down::Delivery(_))
            && world.opened().last().map(|last| last.0) == Some(1)
            && !world.opened().contains(&(1, 1, 1));
        !lost
    })
}

#[test]
fn the_result_is_the_sum_over_the_groups() {
    let world = two_groups().run();
    world.check_published();
    assert_eq!(world.sums(), [world.whole(); 3]);
    let expected = (0..3).flat_map(|round| [(round, 0, 0), (round, 1, 0)]);
    assert!(world.opened().into_iter().eq(expected));
    let updates = world.study.released().iter().map(|sum| sum.updates);
    assert!(updates.eq([8; 3]));
}

#[test]
fn members_hear_of_their_own_groups_sum() {
    let world = two_groups().run();
    for (member, node) in world.nodes.iter().enumerate() {
        let group = if member < 4 { 0..4 } else { 4..8 };
        let cells = vec![world.sum_of(group); 3];
        let hash = |round| {
            let (updates, cells) = (4, cells.clone());
            sha256(&encode(&ReleasedSum {
                round,
                updates,
                cells,
            }))
        };
        let released = node.ends.iter().map(|end| end.release);
        assert!(released.eq((0..u32::from(ROUNDS)).map(hash)));
    }
}

#[test]
fn a_group_that_fails_tries_again_alone() {
    let world = failing_once().run().finish();
    world.check_published();
    assert_eq!(world.sums(), [world.whole(); 3]);
    let expected = [
        (0, 0, 0),
        (0, 1, 0),
        (1, 0, 0),
        (1, 1, 0),
        (1, 1, 1),
        (2, 0, 0),
        (2, 1, 0),
    ];
    assert_eq!(world.opened(), expected);
    let paid = |member: Member| world.nodes[member].charged.len();
    assert!((0..4).all(|member| paid(member) == 3));
    assert!((4..8).all(|member| paid(member) == 4));
    let attempts = world.study.rounds().iter().map(|round| round.attempts);
    assert!(attempts.eq([1, 2, 1]));
}

#[test]
fn the_sum_of_a_group_waits_durably_for_the_others() {
    let world = failing_once().run();
    let summed = |record: &&Record| matches!(record, Record::GroupSum { round: 1, .. });
    assert_eq!(world.journal.iter().filter(summed).count(), 1);
    // Its members know already, and what they dealt is deleted.
    assert!(world.nodes[..4].iter().all(|node| node.ends.len() == 2));
    assert!(world.spool.keys().all(|(group, _)| *group == 1));
    assert_eq!(world.study.released().len(), 1);
}

#[test]
fn a_restart_keeps_the_sum_of_a_group() {
    let mut world = failing_once().run();
    world.restart();
    // Members of the group that is done hear it again.
    assert!(world.nodes[..4].iter().all(|node| node.ends.len() >= 3));
    let world = world.finish();
    world.check_published();
    assert_eq!(world.sums(), [world.whole(); 3]);
    assert!((0..4).all(|member| world.nodes[member].charged.len() == 3));
}

/// The process dies after each write of a study with two groups, and goes on from what is durable.
#[test]
fn a_restart_at_every_write_changes_no_release() {
    let whole = two_groups().run();
    for writes in 10..whole.writes.len() {
        let mut world = two_groups();
        world.writes_left = writes;
        world = world.run();
        assert!(world.is_dead());
        world.writes_left = usize::MAX;
        world.restart();
        let world = world.accepted().finish();
        world.check_published();
        assert_eq!(world.sums(), whole.sums(), "{writes}");
        let opened = world.opened();
        let once = opened.iter().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(once.len(), opened.len(), "{writes}");
    }
}

#[test]
fn too_few_in_one_group_end_the_study() {
    let mut world = two_groups().approved();
    for member in 0..8 {
        let verdict = match member {
            5 | 6 => Verdict::Refused(RefusalCode::Budget, 0),
            _ => Verdict::Accepted,
        };
        world.say(Event::Decided(member, verdict));
    }
    let world = world.finish();
    world.check_aborted("too_few_accepted", "group 1: 1 of 4 nodes accepted");
}

#[test]
fn a_group_whose_attempts_are_used_up_ends_the_study() {
    let lost =
        |_: &mut World, member: Member, down: &Down| member < 4 || !matches!(down, Down::Roster(_));
    let world = two_groups().routed(lost).run().finish();
    world.check_aborted(
        "attempts_used_up",
        "group 1: 4 attempts failed, the last one as too-few-dealers",
    );
    assert!((0..4).all(|member| world.nodes[member].charged.len() == 1));
}
