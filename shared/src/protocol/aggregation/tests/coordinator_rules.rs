//! What the coordinator takes from members, and whom it leaves out.

use super::world::*;
use crate::base::ids::StudyHash;
use crate::base::secret::Secret;
use crate::domain::sharing::P;
use crate::protocol::aggregation::seal::EphemeralKey;
use crate::protocol::aggregation::*;
use crate::protocol::wire::{Refusal, RefusalCode};

/// Member 3 does something else than it should: it is named and counts no further; the rest still makes the sum.
#[track_caller]
fn check_offends(change: fn(&Group, &mut Up), offence: Offence) {
    let group = Group::new(usual(8), 7);
    let world = World::new(8, 7).with_up(move |member, mut up| {
        if member == 3 {
            change(&group, &mut up);
        }
        vec![up]
    });
    let world = world.run();
    assert_eq!(world.audits, [Audit { member: 3, offence }]);
    let released = world.released.as_ref().expect("released");
    assert_eq!(released.cells, world.sum_of(released.dealers.iter()));
    assert!(!released.openers.contains(3));
    let deals = !matches!(offence, Offence::Advert(_) | Offence::Shares);
    assert_eq!(released.dealers.contains(3), deals);
    assert_eq!(world.now, timing().opened, "nobody waits for it");
}

#[test]
fn an_advert_counts_only_if_its_member_signed_it_for_this_task() {
    check_offends(
        |group, up| {
            let Up::Advert(advert) = up else { return };
            advert.task.0[0] ^= 1;
            advert.signature = group.signature(3, &advert_digest(advert));
        },
        Offence::Advert(Guard::SameTask),
    );
    check_offends(
        |_, up| {
            let Up::Advert(advert) = up else { return };
            advert.ledger.seq += 1;
        },
        Offence::Advert(Guard::AdvertSignature),
    );
    check_offends(
        |group, up| {
            let Up::Advert(advert) = up else { return };
            advert.signature = group.signature(4, &advert_digest(advert));
        },
        Offence::Advert(Guard::AdvertSignature),
    );
    check_offends(
        |group, up| {
            let Up::Advert(advert) = up else { return };
            advert.index = 4;
            advert.signature = group.signature(3, &advert_digest(advert));
        },
        Offence::Advert(Guard::RosterOrder),
    );
}

#[test]
fn an_advert_has_a_key_of_its_own_that_can_be_used() {
    check_offends(
        |group, up| {
            let Up::Advert(advert) = up else { return };
            advert.key = [0; 32];
            advert.signature = group.signature(3, &advert_digest(advert));
        },
        Offence::Advert(Guard::DistinctKeys),
    );
    check_offends(
        |group, up| {
            let Up::Advert(advert) = up else { return };
            // Member 1 was first.
            advert.key = EphemeralKey::new(&Secret::new([1; 32])).public();
            advert.signature = group.signature(3, &advert_digest(advert));
        },
        Offence::Advert(Guard::DistinctKeys),
    );
}

#[test]
fn shares_are_one_record_of_the_right_size_for_every_other_member() {
    fn check(change: fn(&mut Shares)) {
        thread_local! {
            static CHANGE: std::cell::Cell<fn(&mut Shares)> = const { std::cell::Cell::new(|_| {}) };
        }
        CHANGE.set(change);
        let changed = |_: &Group, up: &mut Up| {
            if let Up::Shares(shares) = up {
                CHANGE.get()(shares);
            }
        };
        check_offends(changed, Offence::Shares);
    }
    check(|shares| shares.records.truncate(6));
    check(|shares| shares.records.swap(0, 1));
    check(|shares| shares.records[0].index = 3);
    check(|shares| shares.records[6].index = 9);
    check(|shares| shares.records[0].record.truncate(39));
    check(|shares| shares.records[6].record.push(0));
    check(|shares| shares.roster.0[0] ^= 1);
    check(|shares| {
        let more = shares.records[6].clone();
        shares.records.push(more);
    });
}

#[test]
fn a_confirmation_is_signed_over_the_set() {
    check_offends(
        |_, up| {
            let Up::Confirm(confirm) = up else { return };
            confirm.signature.0[0] ^= 1;
        },
        Offence::Confirm,
    );
    check_offends(
        |group, up| {
            let Up::Confirm(confirm) = up else { return };
            confirm.dealers = MemberSet::of(1..=7);
            let digest = confirm_digest(&confirm.attempt, &confirm.roster, &confirm.dealers);
            confirm.signature = group.signature(3, &digest);
        },
        Offence::Confirm,
    );
    check_offends(
        |group, up| {
            let Up::Confirm(confirm) = up else { return };
            confirm.roster.0[0] ^= 1;
            let digest = confirm_digest(&confirm.attempt, &confirm.roster, &confirm.dealers);
            confirm.signature = group.signature(3, &digest);
        },
        Offence::Confirm,
    );
}

#[test]
fn only_dealers_of_the_set_are_accused() {
    fn accuse(up: &mut Up, dealers: MemberSet) {
        if let Up::Confirm(confirm) = up {
            let attempt = confirm.attempt;
            *up = Up::Cannot(Cannot { attempt, dealers });
        }
    }
    check_offends(|_, up| accuse(up, MemberSet::of([9])), Offence::Cannot);
    check_offends(|_, up| accuse(up, MemberSet::of([3])), Offence::Cannot);
    check_offends(|_, up| accuse(up, MemberSet::default()), Offence::Cannot);
}

#[test]
fn an_opening_is_signed_and_made_of_elements() {
    fn sign(group: &Group, opening: &mut Opening) {
        // The roster is the same whatever an opening says; it is taken from a run of the same group.
        let world = World::new(8, 7).run();
        let roster = world.kept.iter().find_map(|durable| match durable {
            Durable::Roster(roster) => Some(roster_hash(roster)),
            Durable::Set { .. } => None,
        });
        let (roster, dealers) = (roster.unwrap(), MemberSet::of(1..=8));
        let digest = opening_digest(&opening.attempt, &roster, &dealers, &opening.elements);
        opening.signature = group.signature(3, &digest);
    }
    check_offends(
        |_, up| {
            let Up::Opening(opening) = up else { return };
            opening.signature.0[0] ^= 1;
        },
        Offence::Opening,
    );
    check_offends(
        |_, up| {
            let Up::Opening(opening) = up else { return };
            opening.elements[0] ^= 1;
        },
        Offence::Opening,
    );
    check_offends(
        |group, up| {
            let Up::Opening(opening) = up else { return };
            opening.elements[2] = P;
            sign(group, opening);
        },
        Offence::Opening,
    );
    check_offends(
        |group, up| {
            let Up::Opening(opening) = up else { return };
            opening.elements.pop();
            sign(group, opening);
        },
        Offence::Opening,
    );
}

#[test]
fn who_sends_nonsense_is_left_out_of_the_next_attempt() {
    let world = World::new(8, 7).with_up(|member, mut up| {
        match &mut up {
            Up::Advert(advert) if member == 3 => advert.signature.0[0] ^= 1,
            Up::Shares(shares) if member == 6 => shares.records.truncate(2),
            Up::Shares(_) if member == 7 => return vec![],
            _ => {}
        }
        vec![up]
    });
    let failed = world.run().failed.unwrap();
    assert_eq!(failed.failure, Failure::TooFewDealers { got: 5, needed: 6 });
    let expected = [(3, Suspicion::Message), (6, Suspicion::Message)];
    assert_eq!(failed.suspects, expected);
}

fn refusal(attempt: crate::base::ids::AttemptId, code: RefusalCode, detail: u64) -> Refusal {
    Refusal {
        attempt,
        study: StudyHash([0x11; 32]),
        code,
        detail,
    }
}

/// Suspects where these members say that the ledger of 5 is behind, and 8 is silent.
#[track_caller]
fn check_behind(accusers: &'static [u16], detail: u64, suspects: &[(u16, Suspicion)]) {
    let world = World::new(8, 7).with_up(move |member, up| {
        let Up::Shares(shares) = &up else {
            return vec![up];
        };
        let code = RefusalCode::PeerBehind;
        match member {
            8 | 7 => vec![],
            _ if accusers.contains(&member) => {
                vec![Up::Refused(refusal(shares.attempt, code, detail))]
            }
            _ => vec![up],
        }
    });
    let world = world.run();
    assert_eq!(world.failed.unwrap().suspects, suspects);
    let by = |by: &u16| Audit {
        member: detail as u16,
        offence: Offence::Behind { by: *by },
    };
    let expected: Vec<Audit> = accusers.iter().map(by).collect();
    assert!(world.audits == expected || !(1..=8).contains(&detail));
}

#[test]
fn a_ledger_is_behind_if_more_say_so_than_may_lie() {
    check_behind(&[1, 2], 5, &[(5, Suspicion::Ledger)]);
    check_behind(&[1, 2, 3], 5, &[(5, Suspicion::Ledger)]);
    check_behind(&[1], 5, &[]);
    check_behind(&[1, 2], 0, &[]);
    check_behind(&[1, 2], 9, &[]);
    check_behind(&[1, 2], u64::MAX, &[]);
}

#[test]
fn refusals_count_if_they_are_meant_for_the_attempt() {
    let mut world = World::new(8, 7);
    world.up = Box::new(|member, up| if member <= 2 { vec![] } else { vec![up] });
    world.settle();
    let (attempt, zero) = (
        world.group.setting.attempt,
        crate::base::ids::AttemptId([0; 32]),
    );
    let code = RefusalCode::Budget;
    world.event(AssemblyEvent::Refused(1, refusal(other_attempt(), code, 0)));
    world.event(AssemblyEvent::Refused(1, refusal(attempt, code, 0)));
    assert!(world.kept.is_empty(), "member 2 may still come");
    world.event(AssemblyEvent::Refused(2, refusal(zero, code, 0)));
    assert_eq!(world.kept.len(), 1);
    assert_eq!(world.now, timing().opened);
    // Who refused is not asked again, and others are not counted twice.
    world.event(AssemblyEvent::Refused(9, refusal(attempt, code, 0)));
    let released = world.run().released.unwrap();
    assert_eq!(released.dealers, MemberSet::of(3..=8));
}

#[test]
fn too_many_refusals_end_the_attempt_at_once() {
    let mut world = World::new(8, 7);
    world.up = Box::new(|member, up| if member <= 3 { vec![] } else { vec![up] });
    world.settle();
    let attempt = world.group.setting.attempt;
    for member in 1..=3 {
        let refusal = refusal(attempt, RefusalCode::Budget, 0);
        world.event(AssemblyEvent::Refused(member, refusal));
    }
    let failed = world.failed.unwrap();
    assert_eq!(failed.failure, Failure::TooFewAdverts { got: 5, needed: 6 });
    assert!(!failed.charged);
}

#[test]
fn who_was_not_asked_is_not_counted() {
    let mut world = World::new(8, 7);
    let (setting, all) = (world.group.setting.clone(), MemberSet::of(1..=8));
    world.assembly = Assembly::start(setting, timing(), MemberSet::of(1..=7), all);
    world.settle();
    assert_eq!(world.audits, []);
    let world = world.run();
    assert_eq!(world.released.unwrap().dealers, MemberSet::of(1..=7));
    // A latecomer gets its task.
    let mut world = World::new(8, 7);
    let setting = world.group.setting.clone();
    world.assembly = Assembly::start(setting, timing(), MemberSet::of(1..=7), all);
    world.event(AssemblyEvent::Asked(8));
    let world = world.run();
    assert_eq!(world.released.unwrap().dealers, all);
}

#[test]
fn duplicates_strangers_and_other_attempts_change_nothing() {
    let mut world = World::new(8, 7).run();
    let sent = std::mem::take(&mut world.sent);
    let mut again = World::new(8, 7).with_up(move |member, up| {
        let mut all = vec![up.clone(), up.clone()];
        // What others sent, and what was sent later, under this member's name.
        all.extend(
            sent.iter()
                .filter(|(other, _)| *other == member)
                .map(|(_, up)| up.clone()),
        );
        for attempt in [&mut all[1]] {
            match attempt {
                Up::Advert(advert) => advert.attempt = other_attempt(),
                Up::Shares(shares) => shares.attempt = other_attempt(),
                Up::Confirm(confirm) => confirm.attempt = other_attempt(),
                Up::Opening(opening) => opening.attempt = other_attempt(),
                Up::Cannot(cannot) => cannot.attempt = other_attempt(),
                Up::Refused(refused) => refused.attempt = other_attempt(),
            }
        }
        all
    });
    for stranger in [0, 9, u16::MAX] {
        again.event(AssemblyEvent::Connected(stranger));
        again.event(AssemblyEvent::Asked(stranger));
        again.event(AssemblyEvent::Disconnected(stranger));
        let advert = again.group.member(1, again.group.input(1)).advert().clone();
        again.event(AssemblyEvent::Advert(stranger, advert));
    }
    let again = again.run();
    assert_eq!(again.audits, []);
    assert_eq!(again.released, world.released);
}

#[test]
fn slow_members_are_waited_for_until_the_deadline_of_the_step() {
    let world = World::new(8, 7).with_up(|member, up| match up {
        Up::Shares(_) if member == 4 => vec![],
        _ => vec![up],
    });
    let world = world.run();
    assert_eq!(world.now.since_ms(timing().opened), 2_000);
    assert_eq!(
        world.released.unwrap().dealers,
        MemberSet::of([1, 2, 3, 5, 6, 7, 8])
    );
}

#[test]
fn an_attempt_lives_no_longer_than_it_may() {
    let mut world = World::new(8, 7);
    world.up = Box::new(|member, up| match up {
        Up::Advert(_) => vec![up],
        _ if member <= 4 => vec![],
        _ => vec![up],
    });
    let world = world.run();
    let failed = world.failed.unwrap();
    assert_eq!(failed.failure, Failure::TooFewDealers { got: 4, needed: 6 });
    assert_eq!(world.now.since_ms(timing().opened), 60_000);
}

#[test]
fn members_that_are_away_are_waited_for_while_they_are_needed() {
    let mut world = World::new(8, 7);
    let (setting, all) = (world.group.setting.clone(), MemberSet::of(1..=8));
    world.up = Box::new(|member, up| if member <= 3 { vec![] } else { vec![up] });
    world.assembly = Assembly::start(setting, timing(), all, MemberSet::of(4..=8));
    world.settle();
    assert_eq!(
        world.assembly.next_wakeup(),
        Some(timing().opened.after_ms(60_000))
    );
    world.now = timing().opened.after_ms(50_000);
    world.event(AssemblyEvent::Tick);
    world.event(AssemblyEvent::Connected(3));
    // Now that enough are here, a step has its usual length.
    assert_eq!(
        world.assembly.next_wakeup(),
        Some(timing().opened.after_ms(52_000))
    );
    world.up = Box::new(|_, up| vec![up]);
    let released = world.run().released.unwrap();
    assert_eq!(released.dealers, MemberSet::of(3..=8));
}

#[test]
fn audits_name_members_and_rules_alone() {
    let audit = |offence| Audit { member: 5, offence }.to_string();
    assert_eq!(
        audit(Offence::Behind { by: 2 }),
        "peer-marks (member 5, says member 2)"
    );
    assert_eq!(
        audit(Offence::Advert(Guard::SameTask)),
        "same-task (member 5)"
    );
    assert_eq!(
        Failure::BadDealing { got: 2, allowed: 1 }.to_string(),
        "bad-dealing: 2 members cannot open the records of one dealer, at most 1 may be lying"
    );
}
