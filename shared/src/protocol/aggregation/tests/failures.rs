//! Too many are missing, somebody comes back, the coordinator starts again.

use super::world::*;
use crate::base::time::Timestamp;
use crate::protocol::aggregation::*;

/// The failure where these members send nothing from a step on.
#[track_caller]
fn check_fails(missing: &'static [u16], at: fn(&Up) -> bool, failure: Failure, charged: bool) {
    let world = World::new(8, 7).with_up(move |member, up| {
        let gone = missing.contains(&member) && at(&up);
        if gone { vec![] } else { vec![up] }
    });
    let world = world.run();
    let failed = world.failed.expect("failed");
    assert_eq!((failed.failure, failed.charged), (failure, charged));
    assert_eq!(failed.suspects, []);
    assert_eq!(world.charged.is_empty(), !charged);
}

#[test]
fn too_few_members_at_any_step_end_the_attempt() {
    check_fails(
        &[1, 2, 3],
        |up| matches!(up, Up::Advert(_)),
        Failure::TooFewAdverts { got: 5, needed: 6 },
        false,
    );
    check_fails(
        &[1, 2, 3],
        |up| matches!(up, Up::Shares(_)),
        Failure::TooFewDealers { got: 5, needed: 6 },
        true,
    );
    check_fails(
        &[1, 2, 3, 4],
        |up| matches!(up, Up::Confirm(_)),
        Failure::TooFewConfirmations { got: 4, needed: 5 },
        true,
    );
    check_fails(
        &[1, 2, 3, 4],
        |up| matches!(up, Up::Opening(_)),
        Failure::TooFewOpenings { got: 4, needed: 5 },
        true,
    );
}

#[test]
fn an_attempt_that_cannot_succeed_ends_before_its_time() {
    let mut world = World::new(8, 7);
    world.up = Box::new(|member, up| match up {
        Up::Advert(_) | Up::Refused(_) => vec![up],
        // Dead: the next process knows nothing of the attempt.
        _ if member <= 3 => vec![],
        _ => vec![up],
    });
    world.settle();
    for member in 1..=3 {
        world.members.remove(&member);
        world.event(AssemblyEvent::Disconnected(member));
        world.event(AssemblyEvent::Connected(member));
    }
    world.settle();
    let failed = world.failed.expect("failed");
    assert_eq!(failed.failure, Failure::TooFewDealers { got: 5, needed: 6 });
    assert_eq!(world.now, timing().opened);
}

/// All members lose their sessions while a message of this kind is under way, and come back: the same bytes, the same sum.
#[track_caller]
fn check_comes_back(lost: fn(&Up) -> bool, lost_down: fn(&Down) -> bool) {
    let mut world = World::new(8, 7);
    world.up = Box::new(move |_, up| if lost(&up) { vec![] } else { vec![up] });
    world.down = Box::new(move |_, down| if lost_down(&down) { vec![] } else { vec![down] });
    world.settle();
    assert!(world.released.is_none() && world.failed.is_none());
    world.up = Box::new(|_, up| vec![up]);
    world.down = Box::new(|_, down| vec![down]);
    for member in 1..=8 {
        world.event(AssemblyEvent::Disconnected(member));
    }
    world.now = Timestamp(40_000);
    world.event(AssemblyEvent::Tick);
    for member in 1..=8 {
        world.event(AssemblyEvent::Connected(member));
    }
    let world = world.run();
    let released = world.released.as_ref().expect("released");
    assert_eq!(released.cells, world.sum_of(released.dealers.iter()));
    assert!(released.dealers.len() >= 6);
    assert_eq!(world.refusals, []);
    for (at, (member, up)) in world.sent.iter().enumerate() {
        let kind = std::mem::discriminant(up);
        let again = world.sent[at..]
            .iter()
            .filter(|(other, again)| other == member && std::mem::discriminant(again) == kind);
        again.for_each(|(_, again)| assert_eq!(again, up));
    }
}

#[test]
fn messages_that_are_lost_come_again_byte_for_byte() {
    let (none_up, none_down) = (|_: &Up| false, |_: &Down| false);
    check_comes_back(|up| matches!(up, Up::Shares(_)), none_down);
    check_comes_back(|up| matches!(up, Up::Confirm(_)), none_down);
    check_comes_back(|up| matches!(up, Up::Opening(_)), none_down);
    check_comes_back(none_up, |down| matches!(down, Down::Roster(_)));
    check_comes_back(none_up, |down| matches!(down, Down::Delivery(_)));
    check_comes_back(none_up, |down| matches!(down, Down::Proof(_)));
}

#[test]
fn a_member_that_started_again_while_adverts_came_in_is_asked_again() {
    let mut world = World::new(8, 7);
    world.up = Box::new(|member, up| match up {
        Up::Advert(_) if member == 8 => vec![],
        _ => vec![up],
    });
    world.settle();
    // Its new process has a new key; the newer advert counts.
    let input = world.inputs[&1].clone();
    let fresh = world
        .group
        .member_with(&world.group.setting, 1, input, [0x99; 32]);
    world.members.insert(1, fresh);
    world.event(AssemblyEvent::Disconnected(1));
    world.event(AssemblyEvent::Connected(1));
    let world = world.run();
    let released = world.released.as_ref().expect("released");
    assert_eq!(released.dealers, MemberSet::of(1..=7));
    assert_eq!(released.cells, world.sum_of(1..=7));
}

#[test]
fn a_late_dealer_is_not_in_the_sum_but_opens_it() {
    let mut world = World::new(8, 7);
    world.up = Box::new(|member, up| match up {
        Up::Shares(_) if member == 2 => vec![],
        _ => vec![up],
    });
    world.down = Box::new(|member, down| match down {
        Down::Delivery(_) if member <= 3 => vec![],
        _ => vec![down],
    });
    world.settle();
    world.now = Timestamp(10_000);
    world.event(AssemblyEvent::Tick);
    world.settle();
    world.up = Box::new(|_, up| vec![up]);
    world.down = Box::new(|_, down| vec![down]);
    let roster = world.kept.iter().find_map(|durable| match durable {
        Durable::Roster(roster) => Some((**roster).clone()),
        Durable::Set { .. } => None,
    });
    world.on_down(2, Down::Roster(roster.unwrap()));
    world.settle();
    world.event(AssemblyEvent::Connected(1));
    let world = world.run();
    let released = world.released.as_ref().expect("released");
    assert!(!released.dealers.contains(2) && released.openers.contains(2));
    assert_eq!(released.cells, world.sum_of(released.dealers.iter()));
}

/// Starts the coordinator again when so much is durable.
#[track_caller]
fn check_resumes(durable: usize, lost: fn(&Down) -> bool) {
    let mut world = World::new(8, 7);
    world.down = Box::new(move |_, down| if lost(&down) { vec![] } else { vec![down] });
    world.settle();
    assert_eq!(world.kept.len(), durable);
    let roster = |kept: &Durable| match kept {
        Durable::Roster(roster) => (**roster).clone(),
        Durable::Set { .. } => panic!("the roster comes first"),
    };
    let kept = match &world.kept[..] {
        [] => Kept::Open,
        [one] => Kept::Roster(roster(one)),
        [one, Durable::Set { dealers, spool }, ..] => Kept::Set {
            roster: roster(one),
            dealers: *dealers,
            spool: spool
                .iter()
                .map(|(dealer, shares)| (*dealer, (**shares).clone()))
                .collect(),
        },
        _ => panic!("a set comes second"),
    };
    world.down = Box::new(|_, down| vec![down]);
    let setting = world.group.setting.clone();
    world.assembly = Assembly::resume(Timestamp(5_000), setting, timing(), kept);
    world.now = Timestamp(5_000);
    for member in 1..=8 {
        world.event(AssemblyEvent::Connected(member));
    }
    let world = world.run();
    let released = world.released.as_ref().expect("released");
    assert_eq!(released.cells, world.sum_of(1..=8));
    assert_eq!(world.refusals, []);
}

#[test]
fn a_coordinator_that_starts_again_goes_on_from_what_is_durable() {
    check_resumes(1, |down| matches!(down, Down::Roster(_)));
    check_resumes(2, |down| matches!(down, Down::Delivery(_)));
    check_resumes(2, |down| matches!(down, Down::Proof(_)));
}

#[test]
fn a_coordinator_that_kept_too_little_has_failed() {
    let group = Group::new(usual(8), 7);
    let resume = |kept| {
        let mut assembly =
            Assembly::resume(Timestamp(5_000), group.setting.clone(), timing(), kept);
        assert_eq!(assembly.next_wakeup(), None);
        match assembly.poll_effect() {
            Some(AssemblyEffect::Failed(failed)) => (failed.failure, failed.charged),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(resume(Kept::Open), (Failure::Interrupted, false));
    let spool = Vec::new();
    let (roster, dealers) = (Roster { adverts: vec![] }, MemberSet::of(1..=8));
    let kept = Kept::Set {
        roster,
        dealers,
        spool,
    };
    assert_eq!(resume(kept), (Failure::Interrupted, true));
}

#[test]
fn nothing_is_sent_before_it_is_durable() {
    let group = Group::new(usual(4), 5);
    let all = MemberSet::of(1..=4);
    let mut assembly = Assembly::start(group.setting.clone(), timing(), all, all);
    let mut members: Vec<Member> = (1..=4)
        .map(|own| group.member(own, group.input(own)))
        .collect();
    let now = timing().opened;
    for (own, member) in (1..).zip(&members) {
        assembly.handle(now, AssemblyEvent::Advert(own, member.advert().clone()));
    }
    let Some(AssemblyEffect::Persist(Durable::Roster(roster))) = assembly.poll_effect() else {
        panic!("the roster comes first")
    };
    assembly.handle(now, AssemblyEvent::Connected(1));
    assembly.handle(now.after_ms(30_000), AssemblyEvent::Tick);
    assert_eq!(
        (assembly.poll_effect(), assembly.next_wakeup()),
        (None, None)
    );
    assembly.handle(now, AssemblyEvent::Persisted);
    for (own, member) in (1..).zip(&mut members) {
        let expected = AssemblyEffect::Roster(own, roster.clone());
        assert_eq!(assembly.poll_effect(), Some(expected));
        let fresh = crate::base::secret::Secret::new([own as u8; 32]);
        member
            .on_roster((*roster).clone(), fresh, &|_, _| false)
            .unwrap();
        let shares = shares_of(&member.deal().unwrap());
        assembly.handle(now, AssemblyEvent::Shares(own, shares));
    }
    let effect = assembly.poll_effect();
    assert!(matches!(
        effect,
        Some(AssemblyEffect::Persist(Durable::Set { .. }))
    ));
    assembly.handle(now, AssemblyEvent::Connected(1));
    assert_eq!((assembly.poll_effect(), assembly.delivery(1)), (None, None));
    assembly.handle(now, AssemblyEvent::Persisted);
    assert_eq!(assembly.poll_effect(), Some(AssemblyEffect::Deliver(1)));
    // Said twice, it changes nothing.
    assembly.handle(now, AssemblyEvent::Persisted);
    let rest = std::iter::from_fn(|| assembly.poll_effect()).count();
    assert_eq!(rest, 3);
}
