//! A coordinator that dies after any write, that lost its journal, or whose journal no study wrote.

use std::collections::BTreeSet;

use aquifer_shared::protocol::aggregation::{Checks, Guard};

use super::world::{Down, World};
use crate::core::event::{Event, Member, Note, Record};
use crate::core::fixtures::ROUNDS;
use crate::core::resume::Durables;
use crate::core::study::{Conditions, Study};

#[track_caller]
fn check_numbers(world: &World) {
    let attempts = world.attempts();
    let once: BTreeSet<_> = attempts.iter().collect();
    assert_eq!(
        once.len(),
        attempts.len(),
        "a number was used twice: {attempts:?}"
    );
    assert!(attempts.is_sorted(), "{attempts:?}");
}

/// Up to the write of this number the process lives; then it starts again from what is durable.
fn dying_after(members: usize, writes: usize) -> World {
    let mut world = World::new(members);
    world.writes_left = writes;
    world = world.run();
    assert!(world.is_dead(), "{writes}");
    world.writes_left = usize::MAX;
    world.restart();
    world.accepted().finish()
}

#[test]
fn a_restart_at_every_write_changes_no_release() {
    for members in [4, 8] {
        let whole = World::new(members).run();
        for writes in 1..whole.writes.len() {
            let world = dying_after(members, writes);
            world.check_published();
            check_numbers(&world);
            assert_eq!(world.sums(), whole.sums(), "{writes}");
        }
    }
}

#[test]
fn a_roster_or_a_set_that_is_durable_goes_on() {
    let whole = World::new(4).run();
    let position = |is: fn(&Record) -> bool| whole.journal.iter().position(is).unwrap() + 1;
    let roster = position(|record| matches!(record, Record::Roster { .. }));
    let set = position(|record| matches!(record, Record::Set { .. }));
    for records in [roster, set] {
        // Every write before the first result has one record.
        let world = dying_after(4, records);
        assert_eq!(world.attempts(), [(0, 0), (1, 0), (2, 0)]);
        assert!(world.nodes.iter().all(|node| node.charged.len() == 3));
    }
}

#[test]
fn an_opening_without_a_roster_has_failed_uncharged() {
    let opened = World::new(4).run();
    let opened = opened
        .journal
        .iter()
        .position(|record| matches!(record, Record::GroupOpened { .. }));
    let world = dying_after(4, opened.unwrap() + 1);
    assert_eq!(world.attempts(), [(0, 0), (0, 1), (1, 0), (2, 0)]);
    let interrupted = |note: &Note| matches!(note, Note::Failed { charged: false, .. });
    assert!(world.notes.iter().any(interrupted));
    assert!(world.nodes.iter().all(|node| node.charged.len() == 3));
}

#[test]
fn the_same_roster_and_the_same_set_are_sent_again() {
    let mut world = World::new(4).routed(|_, _, down| !matches!(down, Down::Delivery(_)));
    world = world.run();
    let (sent, journal) = (world.sent.len(), world.journal.len());
    world.restart();
    let again: Vec<_> = world.sent[sent..].to_vec();
    assert_eq!(again.len(), 4);
    for (member, down) in again {
        let Down::Delivery(delivery) = down else {
            panic!("{down:?}");
        };
        let before = world.sent[..sent].iter().find_map(|(to, down)| match down {
            Down::Delivery(before) if *to == member => Some(before),
            _ => None,
        });
        assert_eq!(before, Some(&delivery));
    }
    assert_eq!(world.journal.len(), journal);
}

/// Every write is followed by a restart, one after the other, in one study.
#[test]
fn a_process_that_dies_after_each_write_still_ends_its_study() {
    let mut world = World::new(4);
    world.writes_left = 1;
    world = world.approved();
    for _ in 0..60 {
        if !world.finished.is_empty() {
            break;
        }
        if !world.is_dead() {
            world.sleep();
            continue;
        }
        world.writes_left = 1;
        world.restart();
        world = world.accepted();
    }
    check_numbers(&world);
    assert!(world.study.ending().is_some());
    assert!(world.spool.is_empty());
}

#[test]
fn a_spool_that_is_not_whole_is_no_set() {
    let mut world = World::new(4)
        .routed(|world, _, down| !matches!(down, Down::Delivery(_)) || world.attempts().len() > 1);
    world = world.run();
    world.spool.pop_first();
    world.restart();
    let world = world.finish();
    world.check_published();
    assert_eq!(world.attempts(), [(0, 0), (0, 1), (1, 0), (2, 0)]);
    assert!(world.nodes.iter().all(|node| node.charged.len() == 4));
}

/// The store was put back to a state before the round; the members have paid for attempts that it does not know.
#[track_caller]
fn check_lost_journal(known: usize, attempts: &[(u32, u32)], expected: &[(u32, u32)]) {
    let mut world = World::new(4).approved().accepted();
    world.journal.truncate(known);
    for node in &mut world.nodes {
        node.die();
        node.charged = attempts.to_vec();
        node.ends.clear();
    }
    world.finished.clear();
    world.restart();
    let world = world.accepted().finish();
    world.check_published();
    assert_eq!(world.attempts(), expected);
}

#[test]
fn numbers_continue_above_what_members_report_after_a_lost_journal() {
    // Approval and four decisions are left.
    let next = [(0, 0), (0, 3), (1, 0), (2, 0)];
    check_lost_journal(5, &[(0, 0), (0, 1), (0, 2)], &next);
    let next = [(0, 0), (0, 1), (1, 0), (2, 0)];
    check_lost_journal(5, &[(0, 0)], &next);
}

#[test]
fn a_round_that_members_have_left_behind_never_comes_back() {
    let mut world = World::new(4).approved().accepted();
    world.journal.truncate(5);
    world.finished.clear();
    world.nodes.iter_mut().for_each(|node| node.die());
    world.restart();
    let world = world.accepted().finish();
    world.check_aborted("too_few_left", "2 nodes are left");
}

#[test]
fn a_number_is_used_again_only_where_the_rule_is_overlooked() {
    let blind = |guard, condition| condition || guard == Guard::FreshAttempt;
    let lost = |world: &mut World, _: Member, down: &Down| {
        !matches!(down, Down::Roster(_)) || world.attempts().len() > 1
    };
    let world = World::with(4, Checks::judged_by(blind), |_| {}).routed(lost);
    let world = world.run().finish();
    assert_eq!(world.attempts()[..2], [(0, 0), (0, 0)]);
    let world = World::new(4).routed(lost).run().finish();
    assert_eq!(world.attempts()[..2], [(0, 0), (0, 1)]);
}

#[test]
fn members_hear_of_a_result_that_the_process_could_not_tell() {
    // Up to the first result, which is durable but of which nobody has heard.
    let mut world = World::new(4);
    world.writes_left = 5 + 4;
    world = world.routed(|_, _, down| !matches!(down, Down::End(_)));
    world = world.run();
    assert!(world.is_dead());
    assert!(world.nodes.iter().all(|node| node.ends.is_empty()));
    world.writes_left = usize::MAX;
    world = world.routed(super::world::ALL);
    world.restart();
    let world = world.finish();
    world.check_published();
    assert!(world.nodes.iter().all(|node| node.ends[0].released));
    assert!(
        world
            .nodes
            .iter()
            .all(|node| node.ends.len() >= usize::from(ROUNDS))
    );
}

#[test]
fn a_finished_study_stays_finished() {
    let mut world = World::new(4).run();
    world.restart();
    assert_eq!(world.finished.len(), 1);
    world.say(Event::Tick);
    assert_eq!(world.study.next_wakeup(), None);
}

#[test]
fn records_that_no_study_wrote_are_refused() {
    let world = World::new(4).run();
    let terms = aquifer_shared::protocol::codec::encode(world.study.terms());
    let refused = |change: &dyn Fn(&mut Vec<Record>)| {
        let mut records = world.journal.clone();
        change(&mut records);
        let spool = Vec::new();
        let conditions = Conditions::strict(1);
        let durable = Durables { records, spool };
        Study::resume(world.now, terms.clone(), &[], conditions, durable).is_err()
    };
    assert!(!refused(&|_| {}));
    // Without the first opening, roster, set or result; a roster twice; an opening of the other trust mode.
    for index in 5..9 {
        assert!(refused(&|records| drop(records.remove(index))), "{index}");
    }
    assert!(refused(&|records| records.insert(7, records[6].clone())));
    let open = Record::Open {
        round: 0,
        attempt: 0,
        at: world.now,
    };
    assert!(refused(&|records| records.insert(5, open.clone())));
    // A result of others than the set; an opening of a group that does not exist.
    assert!(refused(&|records| {
        if let Record::Result { members, .. } = &mut records[8] {
            members.pop();
        }
    }));
    assert!(refused(&|records| {
        if let Record::GroupOpened { group, .. } = &mut records[5] {
            *group = 1;
        }
    }));
}
