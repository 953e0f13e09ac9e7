//! What must hold for a study, whatever its members and its process do.

use super::super::event::{Abort, Ending, Event, Record};
use super::super::fixtures::Habit::{Forged, Prompt, Refuses, Short, Silent};
use super::super::fixtures::{
    CELLS, EXPIRES, Habit, MEMBERS, OFFER_MS, PHASE_MS, ROUNDS, TTL_MS, World, update, update_of,
};
use super::super::resume::Durables;
use super::*;
use aquifer_shared::domain::sum::attempt_id;
use aquifer_shared::protocol::ask::StudyState;
use aquifer_shared::protocol::wire::{Refusal, RefusalCode, StudyOutcome};

const ALL: [Habit; MEMBERS] = [Prompt; MEMBERS];

#[track_caller]
fn check_finished(world: &World, ending: &Ending) {
    assert_eq!(world.finished, std::slice::from_ref(ending));
    assert_eq!(world.study.ending(), Some(ending));
    assert_eq!(world.study.next_wakeup(), None);
    let last = world.journal.last();
    assert!(matches!(last, Some(Record::Ended { .. })), "{last:?}");
}

#[track_caller]
fn check_aborted(world: &World, code: &str) {
    let [Ending::Aborted(abort)] = &world.finished[..] else {
        panic!("{:?}", world.finished);
    };
    assert_eq!(abort.code(), code);
    assert_eq!(world.study.state(), StudyState::Aborted);
}

#[test]
fn a_study_runs_from_approval_to_its_model() {
    let world = World::running(ALL);
    check_finished(&world, &Ending::Published);
    assert_eq!(world.opened(), [(0, 0), (1, 0), (2, 0)]);
    assert_eq!(world.updates(), [4, 4, 4]);
    assert!(
        world
            .study
            .released()
            .iter()
            .all(|sum| sum.cells == [1_111; 3])
    );
    assert_eq!(world.ends.len(), MEMBERS * usize::from(ROUNDS));
    assert!(world.ends.iter().all(|(_, end)| end.released));
    let outcomes = world.study_ends.iter().map(|(_, end)| end.outcome);
    assert!(outcomes.eq([StudyOutcome::Published; MEMBERS]));
    assert_eq!(world.concluded, 1);
}

#[test]
fn a_result_and_the_next_open_are_one_append() {
    let world = World::running(ALL);
    // Approval, four decisions, Open(0), two of Result and Open, the last Result, the end.
    assert_eq!(world.appends, [0, 1, 2, 3, 4, 5, 6, 8, 10, 11, 12]);
    assert!(matches!(world.journal[6], Record::Result { round: 0, .. }));
    assert!(matches!(
        world.journal[7],
        Record::Open {
            round: 1,
            attempt: 0,
            ..
        }
    ));
}

#[test]
fn nothing_is_offered_before_approval() {
    let mut world = World::new().accepted();
    assert_eq!(world.study.state(), StudyState::Submitted);
    assert!(world.journal.is_empty());
    world.now = EXPIRES.after_ms(1);
    world.say(Event::Tick);
    check_aborted(&world, "expired");
}

#[test]
fn the_same_approver_counts_once() {
    let world = World::new().approved().approved();
    assert_eq!((world.journal.len(), world.study.approvals().len()), (1, 1));
}

#[test]
fn a_quorum_of_acceptances_starts_at_the_deadline() {
    let mut world = World::new().approved();
    for member in 0..3 {
        world.say(Event::Decided(member, Verdict::Accepted));
    }
    assert_eq!(world.study.state(), StudyState::Offered);
    assert_eq!(
        world.study.next_wakeup(),
        Some(world.now.after_ms(OFFER_MS))
    );
    world.sleep();
    check_finished(&world, &Ending::Published);
    assert_eq!(world.updates(), [3, 3, 3]);
}

#[test]
fn refusals_below_the_quorum_end_the_study_at_once() {
    let mut world = World::new().approved();
    world.say(Event::Decided(0, Verdict::Accepted));
    for member in 1..3 {
        world.say(Event::Decided(
            member,
            Verdict::Refused(RefusalCode::Budget, 7),
        ));
    }
    let abort = Abort::TooFewAccepted {
        accepted: 1,
        members: 4,
        quorum: 3,
    };
    check_finished(&world, &Ending::Aborted(abort));
    assert!(world.tasks.is_empty());
}

#[test]
fn silence_below_the_quorum_ends_the_study_at_the_deadline() {
    let mut world = World::new().approved();
    world.say(Event::Decided(0, Verdict::Accepted));
    world.sleep();
    check_aborted(&world, "too_few_accepted");
}

#[test]
fn people_may_take_longer_than_the_deadline() {
    let mut world = World::new().approved();
    for member in 0..3 {
        world.say(Event::Decided(member, Verdict::Held));
    }
    world.sleep();
    assert_eq!(world.study.state(), StudyState::Offered);
    assert_eq!(world.study.next_wakeup(), Some(EXPIRES.after_ms(1)));
    for member in 0..3 {
        world.say(Event::Decided(member, Verdict::Accepted));
    }
    check_finished(&world, &Ending::Published);
}

#[test]
fn a_member_that_accepts_late_helps_from_then_on() {
    let mut world = World::new()
        .habits([Prompt, Prompt, Silent, Prompt])
        .approved();
    for member in 0..3 {
        world.say(Event::Decided(member, Verdict::Accepted));
    }
    world.sleep();
    assert_eq!(world.tasks.len(), 3);
    world.say(Event::Decided(3, Verdict::Accepted));
    assert_eq!(world.tasks[3].0, 3);
    world.sleep();
    assert_eq!(world.updates(), [3]);
}

#[test]
fn stragglers_are_waited_for_until_the_phase_ends() {
    let mut world = World::running([Prompt, Prompt, Prompt, Silent]);
    let opened = world.now;
    assert_eq!(world.study.next_wakeup(), Some(opened.after_ms(PHASE_MS)));
    world.now = opened.after_ms(PHASE_MS - 1);
    world.say(Event::Tick);
    assert!(world.study.released().is_empty());
    world.sleep();
    assert_eq!(world.updates(), [3]);
    assert_eq!(world.study.released()[0].cells, [111; 3]);
}

#[test]
fn a_quorum_that_is_missed_costs_an_attempt() {
    let mut world = World::running([Prompt, Prompt, Silent, Silent]);
    world.sleep();
    assert_eq!(world.opened(), [(0, 0), (0, 1)]);
    assert!(world.ends.iter().all(|(_, end)| !end.released));
    world.habits = ALL;
    for member in 2..4 {
        world.connect(member);
    }
    check_finished(&world, &Ending::Published);
    assert_eq!(world.opened(), [(0, 0), (0, 1), (1, 0), (2, 0)]);
}

#[test]
fn attempts_run_out() {
    let mut world = World::running([Prompt, Prompt, Silent, Silent]);
    world.sleep();
    world.sleep();
    check_aborted(&world, "attempts_used_up");
    assert_eq!(world.opened(), [(0, 0), (0, 1)]);
}

#[test]
fn a_repeated_update_counts_once() {
    let mut world = World::running([Prompt, Prompt, Silent, Silent]);
    let task = world.tasks[0].1.clone();
    for _ in 0..3 {
        let again = world.sent(0, &update(0, &task, CELLS));
        world.say(again);
    }
    assert!(world.study.released().is_empty());
    let third = world.sent(2, &update(2, &task, CELLS));
    world.say(third);
    world.sleep();
    assert_eq!(world.study.released()[0].cells, [111; 3]);
}

#[test]
fn the_first_update_of_a_member_counts() {
    let mut world = World::running([Prompt, Prompt, Silent, Silent]);
    let task = world.tasks[0].1.clone();
    let other = world.sent(0, &update_of(0, &task, vec![5; CELLS as usize]));
    world.say(other);
    let third = world.sent(2, &update(2, &task, CELLS));
    world.say(third);
    world.sleep();
    assert_eq!(world.study.released()[0].cells, [111; 3]);
}

#[test]
fn late_updates_change_nothing() {
    let mut world = World::running([Prompt, Prompt, Prompt, Silent]);
    let task = world.tasks[0].1.clone();
    world.sleep();
    let (released, journal) = (world.updates(), world.journal.len());
    let late = world.sent(3, &update(3, &task, CELLS));
    world.say(late);
    assert_eq!((world.updates(), world.journal.len()), (released, journal));
}

#[track_caller]
fn check_left_out(habit: Habit) {
    let world = World::running([Prompt, habit, Prompt, Prompt]);
    check_finished(&world, &Ending::Published);
    assert_eq!(world.updates(), [3, 3, 3]);
    assert_eq!(world.study.released()[0].cells, [1_101; 3]);
}

#[test]
fn malformed_updates_leave_their_member_out() {
    check_left_out(Short);
    check_left_out(Forged);
    check_left_out(Refuses(RefusalCode::Budget));
    check_left_out(Refuses(RefusalCode::Withdrawn));
}

#[test]
fn an_update_for_another_task_is_malformed() {
    let mut world = World::running([Silent; MEMBERS]);
    let mut task = world.tasks[0].1.clone();
    task.body.push(0);
    let event = world.sent(0, &update(0, &task, CELLS));
    world.say(event);
    let right = world.tasks[0].1.clone();
    let event = world.sent(0, &update(0, &right, CELLS));
    world.say(event);
    for member in 1..4 {
        let event = world.sent(member, &update(member, &right, CELLS));
        world.say(event);
    }
    assert_eq!(world.study.released()[0].cells, [1_110; 3]);
}

#[test]
fn members_that_withdraw_end_a_study_without_charging_the_others_again() {
    let withdraws = Refuses(RefusalCode::Withdrawn);
    let world = World::running([Prompt, withdraws, withdraws, Prompt]);
    check_aborted(&world, "too_few_left");
    assert_eq!(world.opened(), [(0, 0)]);
}

#[test]
fn a_withdrawal_from_the_whole_study_holds_for_later_rounds() {
    let mut world = World::running([Prompt, Prompt, Prompt, Silent]);
    let refusal = Refusal {
        attempt: Default::default(),
        study: world.study.hash(),
        code: RefusalCode::Withdrawn,
        detail: 0,
    };
    world.say(Event::Refused(3, refusal));
    check_finished(&world, &Ending::Published);
    assert!(
        world
            .tasks
            .iter()
            .filter(|(member, _)| *member == 3)
            .count()
            == 1
    );
}

#[test]
fn attempt_numbers_continue_above_what_a_member_reports() {
    let mut world = World::with(|terms| {
        terms.attempts_max = 4;
        terms.quorum = 4;
    });
    world = world.habits([Silent; MEMBERS]).approved().accepted();
    let task = world.tasks[0].1.clone();
    let refusal = world.refusal(&task, RefusalCode::AlreadyCharged, 2);
    world.say(Event::Refused(0, refusal));
    assert_eq!(world.opened(), [(0, 0), (0, 3)]);
}

#[test]
fn a_refusal_for_another_study_or_attempt_is_ignored() {
    let mut world = World::running([Silent; MEMBERS]);
    let task = world.tasks[0].1.clone();
    let mut refusal = world.refusal(&task, RefusalCode::Withdrawn, 0);
    refusal.study.0[0] ^= 1;
    world.say(Event::Refused(0, refusal.clone()));
    refusal.study.0[0] ^= 1;
    refusal.attempt = attempt_id(&task.study, 7, 7);
    world.say(Event::Refused(0, refusal));
    world.habits = ALL;
    world.connect(0);
    assert_eq!(world.tasks.last().unwrap(), &(0, task));
}

#[test]
fn a_member_that_returns_gets_the_live_task_again() {
    let mut world = World::running([Prompt, Prompt, Silent, Silent]);
    let task = world.tasks[2].1.clone();
    world.disconnect(2);
    world.habits[2] = Prompt;
    world.connect(2);
    assert_eq!(world.tasks.last().unwrap(), &(2, task));
    world.sleep();
    assert_eq!(world.updates(), [3]);
}

#[test]
fn an_attempt_outlives_its_phase_while_too_few_are_connected() {
    let mut world = World::running([Prompt, Prompt, Silent, Silent]);
    let opened = world.now;
    world.disconnect(2);
    world.disconnect(3);
    assert_eq!(world.study.next_wakeup(), Some(opened.after_ms(TTL_MS)));
    world.now = opened.after_ms(TTL_MS / 2);
    world.habits[2] = Prompt;
    world.connect(2);
    assert_eq!(world.opened(), [(0, 0)]);
    world.sleep();
    assert_eq!(world.updates(), [3]);
}

#[test]
fn nobody_outlives_an_attempt() {
    let mut world = World::running([Silent; MEMBERS]);
    (0..MEMBERS).for_each(|member| world.disconnect(member));
    world.sleep();
    world.sleep();
    check_aborted(&world, "attempts_used_up");
    assert_eq!(world.now, Timestamp(1_000).after_ms(2 * TTL_MS));
}

#[test]
fn a_study_expires_in_the_middle() {
    let mut world = World::running([Silent; MEMBERS]);
    world.now = EXPIRES.after_ms(1);
    world.say(Event::Tick);
    check_aborted(&world, "expired");
    assert_eq!(world.study_ends.len(), MEMBERS);
    assert!(world.ends.iter().all(|(_, end)| !end.released));
}

#[test]
fn a_person_stops_a_study_once() {
    let mut world = World::running([Silent; MEMBERS]);
    world.say(Event::Abort("wrong file".to_owned()));
    world.say(Event::Abort("again".to_owned()));
    let abort = Abort::ByPerson("wrong file".to_owned());
    check_finished(&world, &Ending::Aborted(abort));
    world.connect(1);
    assert_eq!(world.study_ends.len(), MEMBERS + 1);
    world.say(Event::Decided(1, Verdict::Held));
    assert!(matches!(world.journal.last(), Some(Record::Ended { .. })));
}

#[test]
fn nothing_is_written_after_the_end() {
    let mut world = World::running([Silent; MEMBERS]);
    let now = world.now;
    world
        .study
        .handle(now, Event::Abort("wrong file".to_owned()));
    let refused = Verdict::Refused(RefusalCode::Withdrawn, 0);
    world.study.handle(now, Event::Decided(1, refused));
    let effect = world.study.poll_effect();
    assert!(matches!(effect, Some(Effect::Persist { .. })), "{effect:?}");
    assert_eq!(world.study.poll_effect(), None);
}

#[test]
fn a_sum_that_is_not_durable_is_not_released() {
    let mut world = World::running([Prompt, Prompt, Prompt, Silent]);
    let task = world.tasks[0].1.clone();
    let last = world.sent(3, &update(3, &task, CELLS));
    world.study.handle(world.now, last);
    let effect = world.study.poll_effect();
    assert!(matches!(effect, Some(Effect::Persist { .. })), "{effect:?}");
    assert_eq!(world.study.poll_effect(), None);
    assert!(world.study.released().is_empty());
}

#[test]
fn a_sum_out_of_range_is_not_released() {
    let mut world = World::running([Silent; MEMBERS]);
    let task = world.tasks[0].1.clone();
    let large = (1_i64 << 59) - 1;
    for member in 0..MEMBERS {
        let event = world.sent(member, &update_of(member, &task, vec![large; 3]));
        world.say(event);
    }
    assert!(world.study.released().is_empty());
    assert_eq!(world.opened(), [(0, 0), (0, 1)]);
}

/// The process dies after every append of a study and goes on from what is durable.
#[test]
fn a_restart_at_every_append_changes_no_release() {
    let whole = World::running(ALL);
    for appends in 1..whole.appends.len() {
        let mut world = World::new();
        world.appends_left = appends;
        world = world.approved().accepted();
        world.restart(world.journal.len());
        // Nodes whose decision was lost say it again when they are offered the study again.
        world = world.accepted();
        assert_eq!(world.study.ending(), Some(&Ending::Published), "{appends}");
        assert_eq!(world.opened(), whole.opened(), "{appends}");
        assert_eq!(world.study.released(), whole.study.released(), "{appends}");
    }
}

/// Every append is followed by a restart, one after the other, in one study.
#[test]
fn a_process_that_dies_after_each_append_still_finishes() {
    let mut world = World::new();
    world.appends_left = 1;
    world = world.approved();
    for _ in 0..40 {
        if world.finished.len() == 1 {
            break;
        }
        world.restart(world.journal.len());
        world.appends_left = 1;
        world = world.accepted();
    }
    assert_eq!(world.study.ending(), Some(&Ending::Published));
    assert_eq!(world.opened(), [(0, 0), (1, 0), (2, 0)]);
}

#[test]
fn a_restart_goes_on_with_the_same_attempt_and_task() {
    let mut world = World::running([Prompt, Prompt, Silent, Silent]);
    let task = world.tasks[0].1.clone();
    let before = world.tasks.len();
    world.restart(world.journal.len());
    assert!(
        world.tasks[before..]
            .iter()
            .all(|(_, again)| *again == task)
    );
    assert_eq!(world.tasks.len(), before + MEMBERS);
    assert_eq!(world.opened(), [(0, 0)]);
    world.sleep();
    world.restart(world.journal.len());
    assert_eq!(world.tasks.last().unwrap().1.attempt, 1);
    assert_eq!(world.opened(), [(0, 0), (0, 1)]);
}

#[test]
fn a_finished_study_stays_finished() {
    let mut world = World::running(ALL);
    world.restart(world.journal.len());
    assert_eq!(world.study.state(), StudyState::Published);
    assert_eq!(world.study_ends.len(), 2 * MEMBERS);
    assert_eq!((world.concluded, world.finished.len()), (1, 1));
}

#[test]
fn records_that_no_study_wrote_are_refused() {
    let world = World::running(ALL);
    let refused = |journal: Vec<Record>| {
        let durable = Durables {
            records: journal,
            spool: Vec::new(),
        };
        let conditions = Conditions::strict(OFFER_MS);
        Study::resume(world.now, world.bytes.clone(), &[], conditions, durable).is_err()
    };
    let without = |index: usize| {
        let mut journal = world.journal.clone();
        journal.remove(index);
        journal
    };
    assert!(!refused(world.journal.clone()));
    // Without Open(0); without Result(0); something after the end.
    assert!(refused(without(5)) && refused(without(6)));
    let mut longer = world.journal.clone();
    longer.push(world.journal[0].clone());
    assert!(refused(longer));
    let stray = Record::Decision {
        member: 4,
        verdict: Verdict::Held,
    };
    assert!(refused(vec![stray]));
}

#[test]
fn bytes_that_are_no_terms_are_refused() {
    assert!(Study::new(vec![1, 2, 3], &[], Conditions::strict(OFFER_MS)).is_err());
    let mut terms = World::new().study.terms().clone();
    terms.rounds[0].sigma_share += 1;
    let bytes = aquifer_shared::protocol::codec::encode(&terms);
    assert!(matches!(
        Study::new(bytes, &[], Conditions::strict(OFFER_MS)),
        Err(BadTerms::Rule(_))
    ));
}
