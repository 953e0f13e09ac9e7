//! Members that break rules, accuse each other or are revoked: who is left out, what the log says, how a study ends.

use aquifer_shared::protocol::aggregation::Suspicion;
use aquifer_shared::protocol::wire::{Refusal, RefusalCode};

use super::node::Up;
use super::world::{Down, World};
use crate::core::event::{Event, Member, Note, Secure};

fn offences(world: &World) -> Vec<(Member, &'static str, Option<Member>)> {
    let offences = world.notes.iter().filter_map(|note| match note {
        Note::Offence { member, rule, by } => Some((*member, *rule, *by)),
        _ => None,
    });
    offences.collect()
}

fn left_out(world: &World) -> Vec<(Member, Suspicion)> {
    let left_out = world.notes.iter().filter_map(|note| match note {
        Note::LeftOut { member, why } => Some((*member, *why)),
        _ => None,
    });
    left_out.collect()
}

fn failures(world: &World) -> Vec<(u32, u32, bool, String)> {
    let failures = world.notes.iter().filter_map(|note| match note {
        Note::Failed {
            round,
            attempt,
            charged,
            failure,
            ..
        } => Some((*round, *attempt, *charged, failure.to_string())),
        _ => None,
    });
    failures.collect()
}

/// Members that got a task of an attempt.
fn asked(world: &World, round: u32, attempt: u32) -> Vec<Member> {
    let tasks = world.sent.iter().filter_map(|(member, down)| match down {
        Down::Task(task) if (task.round, task.attempt) == (round, attempt) => Some(*member),
        _ => None,
    });
    tasks.collect()
}

/// What one member says is changed, once or every time.
fn liar(
    member: Member,
    mut once: bool,
    change: impl Fn(&mut Secure) + 'static,
) -> impl FnMut(Member, Up) -> Option<Up> {
    let mut done = false;
    move |from, mut up| {
        if let Up::Secure(message) = &mut up
            && from == member
            && !done
        {
            let before = message.clone();
            change(message);
            done = once && *message != before;
            once = once || done;
        }
        Some(up)
    }
}

#[test]
fn a_dealer_whose_records_do_not_open_is_left_out_of_the_next_attempt() {
    let spoil = |message: &mut Secure| {
        if let Secure::Shares(shares) = message {
            shares
                .records
                .iter_mut()
                .for_each(|sealed| sealed.record[0] ^= 1);
        }
    };
    let world = World::new(8).answering(liar(2, true, spoil)).run().finish();
    world.check_published();
    assert_eq!(world.attempts(), [(0, 0), (0, 1), (1, 0), (2, 0)]);
    let (_, _, charged, reason) = &failures(&world)[0];
    assert!(*charged && reason.starts_with("bad-dealing"), "{reason}");
    assert_eq!(left_out(&world), [(2, Suspicion::Dealing)]);
    assert_eq!(asked(&world, 0, 1), [0, 1, 3, 4, 5, 6, 7]);
    assert_eq!(asked(&world, 1, 0).len(), 8);
    let rest = world.sum_of((0..8).filter(|member| *member != 2));
    assert_eq!(world.sums(), [rest, world.whole(), world.whole()]);
    let accused = offences(&world);
    assert!(
        accused.len() >= 2
            && accused.iter().all(|(member, rule, by)| {
                *member == 2 && *rule == "records-open" && by.is_some()
            })
    );
}

#[test]
fn one_liar_does_not_have_a_dealer_left_out() {
    let accuse = |from: Member, up: Up| match up {
        Up::Secure(Secure::Confirm(confirm)) if from == 4 => {
            let cannot = aquifer_shared::protocol::wire::Cannot {
                attempt: confirm.attempt,
                dealers: aquifer_shared::protocol::aggregation::MemberSet::of([3]),
            };
            Some(Up::Secure(Secure::Cannot(cannot)))
        }
        up => Some(up),
    };
    let world = World::new(8).answering(accuse).run().finish();
    world.check_published();
    assert_eq!(world.attempts(), [(0, 0), (1, 0), (2, 0)]);
    assert_eq!(left_out(&world), []);
    assert_eq!(offences(&world)[0], (2, "records-open", Some(4)));
}

#[test]
fn a_wrong_opening_is_named_and_its_member_left_out_of_the_next_attempt() {
    let mut world = World::new(8);
    let pair = world.nodes[5].pair.clone();
    let first = std::cell::Cell::new(true);
    let (mut roster, mut dealers) = (None, None);
    world = world.answering(move |from, mut up| {
        if let Up::Secure(Secure::Confirm(confirm)) = &up {
            (roster, dealers) = (Some(confirm.roster), Some(confirm.dealers));
        }
        if let Up::Secure(Secure::Opening(opening)) = &mut up
            && from == 5
            && first.take()
        {
            opening.elements[0] = (opening.elements[0] + 1) % ((1 << 61) - 1);
            let digest = aquifer_shared::protocol::aggregation::opening_digest(
                &opening.attempt,
                &roster.unwrap(),
                &dealers.unwrap(),
                &opening.elements,
            );
            opening.signature.0 = pair.sign(&digest.0).as_ref().try_into().unwrap();
        }
        Some(up)
    });
    let world = world.run().finish();
    world.check_published();
    assert_eq!(world.attempts(), [(0, 0), (1, 0), (2, 0)]);
    assert_eq!(offences(&world), [(5, "spare-openings", None)]);
    assert_eq!(left_out(&world), [(5, Suspicion::Opening)]);
    assert_eq!(asked(&world, 1, 0).len(), 7);
    assert_eq!(asked(&world, 2, 0).len(), 8);
    let (whole, rest) = (world.whole(), world.whole() - world.nodes[5].part);
    assert_eq!(world.sums(), [whole, rest, whole]);
}

#[test]
fn a_peer_that_is_behind_is_left_out_until_it_has_a_session_again() {
    let mut world = World::new(8);
    let key = super::world::key_of(&world.nodes[6].pair);
    for node in 0..2 {
        world.nodes[node].behind = vec![key];
    }
    let mut world = world.run();
    // Two of eight refuse the roster; the six others go on, which is just enough.
    assert_eq!(world.attempts(), [(0, 0), (1, 0), (2, 0)]);
    world.check_published();
    assert_eq!(left_out(&world)[0], (6, Suspicion::Ledger));
    assert_eq!(asked(&world, 1, 0), [0, 1, 2, 3, 4, 5, 7]);
    assert_eq!(asked(&world, 2, 0), [0, 1, 2, 3, 4, 5, 7]);
    let offences = offences(&world);
    assert_eq!(
        offences,
        [(6, "peer-marks", Some(0)), (6, "peer-marks", Some(1))]
    );
    world.connect(6);
}

#[test]
fn suspects_are_asked_all_the_same_where_too_few_are_left() {
    // Four members, one may be missing: with one gone, nobody can be done without.
    let spoil = |message: &mut Secure| {
        if let Secure::Shares(shares) = message {
            shares
                .records
                .iter_mut()
                .for_each(|sealed| sealed.record[0] ^= 1);
        }
    };
    let mut world = World::new(4).answering(liar(2, true, spoil));
    world = world.approved();
    world.disconnect(0);
    let refused = aquifer_shared::protocol::wire::Verdict::Refused(RefusalCode::Budget, 0);
    world.say(Event::Decided(0, refused));
    for member in 1..4 {
        let accepted = aquifer_shared::protocol::wire::Verdict::Accepted;
        world.say(Event::Decided(member, accepted));
    }
    let world = world.finish();
    world.check_published();
    assert_eq!(left_out(&world), []);
    assert_eq!(asked(&world, 0, 1), [1, 2, 3]);
}

#[test]
fn messages_that_no_honest_member_sends_are_named_once() {
    let forge = |message: &mut Secure| {
        if let Secure::Advert(advert) = message {
            advert.signature.0[0] ^= 1;
        }
    };
    let mut world = World::new(8).answering(liar(3, false, forge)).run();
    assert_eq!(offences(&world), [(3, "advert-signature", None); 3]);
    world.check_published();
    // Again and again within one attempt: one line.
    let forged = world.sent.iter().any(|(member, _)| *member == 3);
    assert!(forged);
    world.disconnect(3);
}

#[test]
fn every_attempt_used_up_ends_the_study_with_the_last_reason() {
    let mute = |_: &mut World, _: Member, down: &Down| !matches!(down, Down::Delivery(_));
    let world = World::new(4).routed(mute).run().finish();
    assert_eq!(world.attempts(), [(0, 0), (0, 1), (0, 2), (0, 3)]);
    world.check_aborted("attempts_used_up", "too-few-confirmations: 0 members");
    assert!(world.nodes.iter().all(|node| node.charged.len() == 4));
    assert!(failures(&world).iter().all(|(_, _, charged, _)| *charged));
}

#[test]
fn a_revoked_member_is_refused_from_the_next_task_on() {
    let mut revoked = false;
    let world = World::new(8).routed(move |world, _, down| {
        let second = matches!(down, Down::Proof(_)) && world.attempts().len() == 2;
        if second && !std::mem::replace(&mut revoked, true) {
            world.disconnect(1);
            world.say(Event::Revoked(1));
        }
        true
    });
    let world = world.run().finish();
    world.check_published();
    assert_eq!(asked(&world, 1, 0).len(), 8);
    assert_eq!(asked(&world, 2, 0), [0, 2, 3, 4, 5, 6, 7]);
    let (whole, rest) = (world.whole(), world.whole() - world.nodes[1].part);
    assert_eq!(world.sums(), [whole, whole, rest]);
    // Nobody waited for it.
    assert_eq!(world.now.0, 1_000);
}

#[test]
fn members_that_withdraw_end_the_study() {
    let mut world = World::new(8).routed(|_, _, down| !matches!(down, Down::Delivery(_)));
    world = world.run();
    for member in 0..3 {
        let refusal = Refusal {
            attempt: Default::default(),
            study: world.study.hash(),
            code: RefusalCode::Withdrawn,
            detail: 0,
        };
        world.say(Event::Refused(member, refusal));
    }
    let world = world.finish();
    world.check_aborted(
        "too_few_left",
        "5 nodes are left, secure aggregation needs 6",
    );
}

#[test]
fn the_budget_of_a_member_ends_in_mid_study() {
    let broke = |from: Member, up: Up| match up {
        Up::Secure(Secure::Advert(advert)) if from == 0 => Some(Up::Refused(Refusal {
            attempt: advert.attempt,
            study: aquifer_shared::base::ids::StudyHash::default(),
            code: RefusalCode::Budget,
            detail: 0,
        })),
        up => Some(up),
    };
    let mut world = World::new(4);
    let study = world.study.hash();
    world = world.answering(move |from, up| {
        let mut up = broke(from, up)?;
        if let Up::Refused(refusal) = &mut up {
            refusal.study = study;
        }
        Some(up)
    });
    let world = world.run();
    world.check_published();
    assert_eq!(world.sums(), [world.sum_of(1..4); 3]);
    assert_eq!(world.now.0, 1_000, "nobody waits for a member that refused");
}

/// A member that lies about what it has paid for, in a round whose first attempt fails.
#[test]
fn one_liar_does_not_use_up_the_attempts_of_a_round() {
    let lie = |from: Member, up: Up| match up {
        Up::Secure(Secure::Advert(advert)) if from == 5 => {
            Some(Up::Refused(aquifer_shared::protocol::wire::Refusal {
                attempt: advert.attempt,
                study: Default::default(),
                code: RefusalCode::AlreadyCharged,
                detail: 3,
            }))
        }
        up => Some(up),
    };
    let lost = |world: &mut World, _: Member, down: &Down| {
        !matches!(down, Down::Roster(_)) || world.attempts().len() > 1
    };
    let mut world = World::new(8);
    let study = world.study.hash();
    let lie = move |from, up| match lie(from, up) {
        Some(Up::Refused(mut refusal)) => {
            refusal.study = study;
            Some(Up::Refused(refusal))
        }
        up => up,
    };
    world = world.answering(lie).routed(lost).run().finish();
    assert_eq!(world.attempts(), [(0, 0), (0, 1), (1, 0), (2, 0)]);
    world.check_published();
}
