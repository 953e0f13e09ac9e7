//! Members and coordinators that do what they can: nothing wrong is released, nobody opens twice.

use std::cell::RefCell;
use std::rc::Rc;

use super::world::*;
use crate::base::secret::Secret;
use crate::protocol::aggregation::*;

/// Members whose opening is wrong, though they sign it; those in `silent` do not open.
fn wrong_openings(wrong: &'static [u16], silent: &'static [u16]) -> World {
    let (group, roster) = (
        Group::new(usual(8), 7),
        Rc::new(RefCell::new(Hash32::default())),
    );
    let seen = roster.clone();
    let mut world = World::new(8, 7).with_up(move |member, mut up| {
        let Up::Opening(opening) = &mut up else {
            return vec![up];
        };
        if silent.contains(&member) {
            return vec![];
        }
        if wrong.contains(&member) {
            opening.elements[1] ^= u64::from(member);
            let dealers = MemberSet::of(1..=8);
            let digest = opening_digest(
                &opening.attempt,
                &roster.borrow(),
                &dealers,
                &opening.elements,
            );
            opening.signature = group.signature(member, &digest);
        }
        vec![up]
    });
    world.down = Box::new(move |_, down| {
        if let Down::Roster(roster) = &down {
            *seen.borrow_mut() = roster_hash(roster);
        }
        vec![down]
    });
    world.run()
}

use crate::base::ids::Hash32;

#[test]
fn one_wrong_opening_is_named_and_left_out() {
    for wrong in [&[1], &[5], &[8]] {
        let world = wrong_openings(wrong, &[]);
        let released = world.released.as_ref().unwrap();
        assert_eq!(released.left_out, Some(wrong[0]));
        assert!(!released.openers.contains(wrong[0]) && released.openers.len() == 7);
        assert_eq!(released.cells, world.sum_of(1..=8));
        let expected = Audit {
            member: wrong[0],
            offence: Offence::WrongOpening,
        };
        assert_eq!(world.audits, [expected]);
    }
    // w is 4: with six openings one may still be told from the others.
    let world = wrong_openings(&[5], &[1, 2]);
    assert_eq!(world.released.unwrap().left_out, Some(5));
}

#[test]
fn wrong_openings_that_cannot_be_told_apart_release_nothing() {
    let fails = |wrong, silent, openers| {
        let failed = wrong_openings(wrong, silent).failed.unwrap();
        assert_eq!(failed.failure, Failure::InconsistentOpenings { openers });
        assert!(failed.charged && failed.suspects.is_empty());
    };
    fails(&[5], &[1, 2, 3], 5);
    fails(&[2, 5], &[], 8);
    fails(&[1, 2, 3], &[], 8);
}

/// Member 1 spoils its records for these receivers.
fn bad_records(receivers: &'static [u16]) -> World {
    let world = World::new(8, 7).with_up(move |member, mut up| {
        if let (1, Up::Shares(shares)) = (member, &mut up) {
            let spoilt = shares.records.iter_mut();
            let spoilt = spoilt.filter(|sealed| receivers.contains(&sealed.index));
            spoilt.for_each(|sealed| sealed.record[0] ^= 1);
        }
        vec![up]
    });
    world.run()
}

#[test]
fn a_bad_record_for_as_many_as_may_lie_stops_nothing() {
    let world = bad_records(&[4]);
    let released = world.released.as_ref().unwrap();
    assert_eq!(released.cells, world.sum_of(1..=8));
    assert!(!released.openers.contains(4));
    let expected = Audit {
        member: 1,
        offence: Offence::Accused { by: 4 },
    };
    assert_eq!(world.audits, [expected]);
}

#[test]
fn a_dealer_named_by_more_than_may_lie_is_left_out() {
    // The first five confirmations would open the sum; so the accusations come from the first members.
    let failed = bad_records(&[2, 3]).failed.unwrap();
    let failure = Failure::BadDealing { got: 2, allowed: 1 };
    assert_eq!((failed.failure, failed.charged), (failure, true));
    assert_eq!(failed.suspects, [(1, Suspicion::Dealing)]);
}

/// Member 1 deals differently to some; the second frame is of a machine with the same key.
fn two_dealings(other: fn(&Group) -> Member, mixed: fn(u16) -> bool) -> World {
    let roster = Rc::new(RefCell::new(None::<Roster>));
    let (seen, group) = (roster.clone(), Group::new(usual(8), 7));
    let mut world = World::new(8, 7).with_up(move |member, mut up| {
        if let (1, Up::Shares(shares)) = (member, &mut up) {
            let mut machine = other(&group);
            let roster = roster.borrow_mut().take().unwrap();
            machine
                .on_roster(roster, Secret::new([7; 32]), &|_, _| false)
                .unwrap();
            let others = shares_of(&machine.deal().unwrap());
            for (sealed, other) in shares.records.iter_mut().zip(others.records) {
                if mixed(sealed.index) {
                    sealed.record = other.record;
                }
            }
        }
        vec![up]
    });
    world.down = Box::new(move |member, down| {
        if let (1, Down::Roster(roster)) = (member, &down) {
            *seen.borrow_mut() = Some(roster.clone());
        }
        vec![down]
    });
    world.run()
}

#[test]
fn a_malformed_dealing_releases_nothing() {
    let same = |group: &Group| group.member(1, group.input(1));
    let failed = two_dealings(same, |receiver| receiver > 4).failed.unwrap();
    assert_eq!(failed.failure, Failure::InconsistentOpenings { openers: 8 });
    assert_eq!(failed.suspects, []);
}

#[test]
fn a_sum_outside_its_range_releases_nothing() {
    let world = World::new(8, 7).with_input(2, vec![0, 0, 0, 0, 1 << 59, 0, 0]);
    let failed = world.run().failed.unwrap();
    assert_eq!(failed.failure, Failure::OutOfRange { cell: 4 });
    // Three cells to a polynomial: 7 cells leave room for two more.
    let longer = |group: &Group| {
        let mut setting = group.setting.clone();
        setting.cells = 9;
        let mut input = group.input(1);
        input.extend([0, 3]);
        group.member_with(&setting, 1, input, [1; 32])
    };
    // Its own share is of the first dealing: it is the one that is left out.
    let failed = two_dealings(longer, |_| true).failed.unwrap();
    assert_eq!(failed.failure, Failure::OutOfRange { cell: 8 });
}

#[test]
fn a_coordinator_that_shows_two_rosters_gets_one_sum_of_one_roster() {
    let mut world = World::new(8, 7);
    world.down = Box::new(|member, mut down| {
        if let (1..=2, Down::Roster(roster)) = (member, &mut down) {
            roster.adverts.pop();
        }
        vec![down]
    });
    let world = world.run();
    let released = world.released.as_ref().unwrap();
    assert_eq!(released.dealers, MemberSet::of(3..=8));
    assert_eq!(released.cells, world.sum_of(3..=8));
    assert!(!released.openers.contains(1) && !released.openers.contains(2));
}

/// The coordinator leaves the victim, 8, out of the set that it shows to some, and sends everybody every confirmation.
#[track_caller]
fn check_two_sets(shown: fn(u16) -> bool, opened: bool) {
    let proofs = Rc::new(RefCell::new(Vec::<(u16, Signature64)>::new()));
    let (collected, attempt) = (proofs.clone(), Group::new(usual(8), 7).setting.attempt);
    let mut world = World::new(8, 7).with_up(move |member, up| {
        if let Up::Confirm(confirm) = &up {
            collected.borrow_mut().push((member, confirm.signature));
        }
        vec![up]
    });
    world.down = Box::new(move |member, mut down| {
        if let Down::Delivery(delivery) = &mut down
            && shown(member)
        {
            let dealers = delivery.dealers.without(&MemberSet::of([8]));
            delivery.dealers = dealers;
            delivery.records.retain(|sealed| sealed.index != 8);
        }
        vec![down]
    });
    let mut world = world.run();
    assert_eq!(world.released.is_some(), opened);
    let forged = Proof {
        attempt,
        confirmations: proofs.borrow().clone(),
    };
    let openings = |world: &World| {
        let opened = world
            .sent
            .iter()
            .filter(|(_, up)| matches!(up, Up::Opening(_)));
        MemberSet::of(opened.map(|(member, _)| *member))
    };
    let before = openings(&world);
    for member in (1..=8).filter(|member| shown(*member)) {
        world.on_down(member, Down::Proof(forged.clone()));
        let (refused, refusal) = world.refusals.last().unwrap();
        assert_eq!(*refused, member);
        let broken = refusal.broken;
        assert!(matches!(
            broken,
            Broken::Rule(Guard::ProofSignatures | Guard::ProofQuorum)
        ));
    }
    world.settle();
    assert_eq!(openings(&world), before);
    assert!(!before.iter().any(shown));
}

#[test]
fn a_coordinator_that_shows_two_sets_opens_one_or_none() {
    check_two_sets(|member| member <= 3, true);
    check_two_sets(|member| member <= 4, false);
    check_two_sets(|member| member % 2 == 0, false);
}

#[test]
fn a_coordinator_that_changes_its_mind_ends_the_attempt_at_every_member() {
    let mut world = World::new(8, 7);
    world.down = Box::new(|_, down| {
        let mut all = vec![down.clone()];
        if let Down::Delivery(mut delivery) = down {
            delivery.dealers = delivery.dealers.without(&MemberSet::of([8]));
            all.push(Down::Delivery(delivery));
        }
        all
    });
    let world = world.run();
    assert!(world.released.is_none() && world.members.is_empty());
    let equivocated = world
        .refusals
        .iter()
        .filter(|(_, refusal)| refusal.evidence.is_some());
    assert_eq!(equivocated.count(), 8);
    assert!(
        !world
            .sent
            .iter()
            .any(|(_, up)| matches!(up, Up::Opening(_)))
    );
}
