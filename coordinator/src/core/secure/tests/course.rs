//! The course of a study in which everybody keeps to the protocol, and in which up to d_max members are gone.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::Thresholds;
use aquifer_shared::protocol::aggregation::{Checks, Guard};
use aquifer_shared::protocol::wire::{RefusalCode, Verdict};

use super::world::{Down, World};
use crate::core::event::{Effect, Event, Member, Record};
use crate::core::fixtures::PHASE_MS;

/// A step of an attempt, by the message that asks for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Task,
    Roster,
    Delivery,
    Proof,
}

const STEPS: [Step; 4] = [Step::Task, Step::Roster, Step::Delivery, Step::Proof];

fn step_of(down: &Down) -> Option<Step> {
    Some(match down {
        Down::Task(_) => Step::Task,
        Down::Roster(_) => Step::Roster,
        Down::Delivery(_) => Step::Delivery,
        Down::Proof(_) => Step::Proof,
        Down::End(_) => return None,
    })
}

#[track_caller]
fn check_whole(members: usize) {
    let world = World::new(members).run();
    world.check_published();
    world.check_ends();
    assert_eq!(world.attempts(), [(0, 0), (1, 0), (2, 0)]);
    assert_eq!(world.sums(), [world.whole(); 3]);
    let updates = world.study.released().iter().map(|sum| sum.updates);
    assert!(updates.eq([members as u32; 3]));
    assert!(world.notes.is_empty());
    let charged = [(0, 0), (1, 0), (2, 0)];
    assert!(world.nodes.iter().all(|node| node.charged == charged));
}

#[test]
fn a_study_runs_from_approval_to_its_model() {
    check_whole(4);
    check_whole(8);
    check_whole(13);
}

#[test]
fn each_round_has_three_writes() {
    let world = World::new(4).run();
    // Approval, four decisions, the first opening; a round's roster, its set, its result with the next opening; the end.
    let course = [1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 2, 1, 1, 1, 1];
    assert_eq!(world.writes, course);
    let kinds = |record: &Record| match record {
        Record::GroupOpened { .. } => "opened",
        Record::Roster { .. } => "roster",
        Record::Set { .. } => "set",
        Record::Result { .. } => "result",
        _ => "other",
    };
    let round: Vec<&str> = world.journal[5..10].iter().map(kinds).collect();
    assert_eq!(round, ["opened", "roster", "set", "result", "opened"]);
}

#[test]
fn a_member_that_accepts_late_helps_from_then_on() {
    let mut world = World::new(4).approved();
    for member in 0..3 {
        world.say(Event::Decided(member, Verdict::Accepted));
    }
    world = world.routed(|_, _, down| step_of(down) != Some(Step::Task));
    world.sleep();
    assert_eq!(world.attempts(), [(0, 0)]);
    world = world.routed(super::world::ALL);
    world.say(Event::Decided(3, Verdict::Accepted));
    assert!(matches!(world.sent.last(), Some((3, Down::Task(_)))));
}

/// As many members as may fail stop at a step of the first attempt, and stay away.
#[track_caller]
fn check_absent(members: usize, step: Step) {
    let absent = usize::from(Thresholds::usual_absent(members));
    let world = World::new(members).routed(move |world, member, down| {
        if member >= absent || step_of(down) != Some(step) {
            return true;
        }
        world.kill(member);
        false
    });
    let world = world.run().finish();
    world.check_published();
    assert_eq!(world.attempts(), [(0, 0), (1, 0), (2, 0)], "{step:?}");
    let (whole, left) = (world.whole(), world.sum_of(absent..members));
    // Who has dealt is in the sum, also if it can no longer open it.
    let first = match step {
        Step::Task | Step::Roster => left,
        Step::Delivery | Step::Proof => whole,
    };
    assert_eq!(world.sums(), [first, left, left], "{step:?}");
}

#[test]
fn as_many_as_may_fail_can_fail_at_every_step() {
    for step in STEPS {
        check_absent(4, step);
        check_absent(8, step);
    }
}

/// So many stop at a step of the first attempt that it fails, and come back for the next.
#[track_caller]
fn check_too_many_absent(members: usize, gone: usize, step: Step) {
    let world = World::new(members).routed(move |world, member, down| {
        let first = world.attempts() == [(0, 0)];
        if !first || member >= gone || step_of(down) != Some(step) {
            return true;
        }
        world.kill(member);
        false
    });
    let mut world = world.run();
    while world.attempts() == [(0, 0)] && world.finished.is_empty() {
        let there = world.connected.iter().filter(|there| **there).count();
        world.sleep();
        if there < members && !world.notes.is_empty() {
            (0..gone).for_each(|member| world.connect(member));
        }
    }
    let world = world.finish();
    world.check_published();
    let expected = [(0, 0), (0, 1), (1, 0), (2, 0)];
    assert_eq!(world.attempts(), expected, "{step:?}");
    assert_eq!(world.sums(), [world.whole(); 3], "{step:?}");
}

#[test]
fn more_than_may_fail_cost_an_attempt() {
    for step in [Step::Task, Step::Roster] {
        check_too_many_absent(4, 2, step);
        check_too_many_absent(8, 3, step);
    }
    // Once all have dealt, Q confirmations are enough: three of four, five of eight.
    check_too_many_absent(4, 2, Step::Delivery);
    check_too_many_absent(8, 4, Step::Delivery);
}

#[test]
fn a_sum_can_be_opened_by_few_once_everybody_has_dealt() {
    // Eight members, Q = 5 confirmations, w + 1 = 5 openings: three may stop after they dealt, and come back for the next task.
    let world = World::new(8).routed(|world, member, down| {
        let stops = member < 3 && step_of(down) == Some(Step::Delivery);
        if stops {
            world.kill(member);
        }
        !stops
    });
    let mut world = world.run();
    for released in 1..=3 {
        assert_eq!(world.study.released().len(), released);
        (0..3).for_each(|member| world.connect(member));
    }
    world.check_published();
    assert_eq!(world.sums(), [world.whole(); 3]);
    assert_eq!(world.now, Timestamp(1_000), "nobody is waited for");
}

#[test]
fn no_attempt_number_is_used_while_too_few_are_there() {
    let mut world = World::new(8).approved();
    (0..3).for_each(|member| world.disconnect(member));
    for member in 0..8 {
        world.say(Event::Decided(member, Verdict::Accepted));
    }
    assert_eq!(world.attempts(), []);
    world.connect(2);
    assert_eq!(world.attempts(), [(0, 0)]);
    let world = world.finish();
    world.check_published();
    assert_eq!(world.sums(), [world.sum_of(2..8); 3]);
}

#[test]
fn members_that_do_not_come_end_the_study() {
    let mut world = World::new(8).approved();
    (0..3).for_each(|member| world.disconnect(member));
    for member in 0..8 {
        world.say(Event::Decided(member, Verdict::Accepted));
    }
    let world = world.finish();
    world.check_aborted("too_few_left", "5 nodes are left");
    assert_eq!(world.attempts(), []);
}

#[test]
fn stragglers_are_waited_for_until_the_phase_ends() {
    let world =
        World::new(8).routed(|_, member, down| member > 0 || step_of(down) != Some(Step::Task));
    let mut world = world.run();
    let opened = Timestamp(1_000);
    assert_eq!(world.study.next_wakeup(), Some(opened.after_ms(PHASE_MS)));
    world.sleep();
    assert_eq!(world.study.released().len(), 1);
    assert_eq!(world.sums(), [world.sum_of(1..8)]);
}

#[track_caller]
fn check_refused(refusing: &[Member], verdict: &Verdict, code: Option<&str>) {
    let mut world = World::new(8).approved();
    for member in 0..8 {
        let verdict = match refusing.contains(&member) {
            true => verdict.clone(),
            false => Verdict::Accepted,
        };
        world.say(Event::Decided(member, verdict));
    }
    let world = world.finish();
    match code {
        None => {
            world.check_published();
            let rest = (0..8).filter(|member| !refusing.contains(member));
            assert_eq!(world.sums(), [world.sum_of(rest); 3]);
        }
        Some(code) => world.check_aborted(code, "of 8 nodes accepted, secure aggregation needs 6"),
    }
}

#[test]
fn a_study_starts_if_enough_accept() {
    let refused = Verdict::Refused(RefusalCode::TrustMode, 0);
    check_refused(&[0, 5], &refused, None);
    check_refused(&[0, 1, 5], &refused, Some("too_few_accepted"));
}

#[test]
fn a_sum_is_released_only_when_it_is_durable() {
    let mut world = World::new(4).approved();
    // Up to the set of the first round.
    world.writes_left = 4 + 3;
    let world = world.accepted();
    assert!(world.is_dead());
    assert!(world.study.released().is_empty());
    assert!(world.nodes.iter().all(|node| node.ends.is_empty()));
}

#[test]
fn a_coordinator_that_overlooks_a_rule_can_be_seen_doing_so() {
    let early = |guard, condition| condition || guard == Guard::ResultFirst;
    let mut world = World::with(4, Checks::judged_by(early), |_| {}).approved();
    let mut told = false;
    for member in 0..4 {
        world
            .study
            .handle(world.now, Event::Decided(member, Verdict::Accepted));
    }
    // The world checks that nothing leaves before it is durable.
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.say(Event::Tick);
        told = true;
    }));
    assert!(caught.is_err() && !told);
}

#[test]
fn a_member_that_was_away_hears_how_the_round_ended() {
    let mut world =
        World::new(4).routed(|_, member, down| member != 3 || !matches!(down, Down::End(_)));
    world = world.run();
    world.check_published();
    assert!(world.nodes[3].ends.is_empty());
}

#[test]
fn nothing_leaves_after_the_study_was_stopped() {
    let mut world = World::new(4).routed(|_, _, down| step_of(down) != Some(Step::Delivery));
    world = world.run();
    assert_eq!(world.spool.len(), 4);
    world.say(Event::Abort("wrong file".to_owned()));
    world.check_aborted("stopped_by_person", "wrong file");
    assert!(world.nodes.iter().all(|node| node.ends.len() == 1));
    assert!(world.nodes.iter().all(|node| !node.ends[0].released));
    assert_eq!(world.study.next_wakeup(), None);
    assert_eq!(world.study.poll_effect(), None::<Effect>);
}
