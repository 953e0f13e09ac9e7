//! What a member refuses, and what it does not change its mind about.

use super::world::*;
use crate::base::secret::Secret;
use crate::domain::sharing::P;
use crate::protocol::aggregation::seal::{Context, End, EphemeralKey};
use crate::protocol::aggregation::*;
use crate::protocol::wire::RefusalCode;

/// Eight members; the one under test is 2.
struct Scene {
    group: Group,
    members: Vec<Member>,
    roster: Roster,
    shares: Vec<(u16, Shares)>,
}

const OWN: u16 = 2;

impl Scene {
    /// Everybody is ready; those from 1 to `called` are in the roster.
    fn ready(called: u16) -> Self {
        let group = Group::new(usual(8), 7);
        let member = |own| group.member(own, group.input(own));
        let members: Vec<Member> = (1..=8).map(member).collect();
        let adverts = members.iter().take(called.into());
        let adverts = adverts.map(|member| member.advert().clone()).collect();
        Self {
            group,
            members,
            roster: Roster { adverts },
            shares: Vec::new(),
        }
    }

    /// Everybody in the roster has dealt.
    fn dealt(called: u16) -> Self {
        let mut scene = Self::ready(called);
        for own in 1..=called {
            let roster = scene.roster.clone();
            assert!(matches!(
                scene.admit(own, roster),
                Ok(OnRoster::Charge { .. })
            ));
            let frame = scene.at(own).deal().unwrap();
            scene.shares.push((own, shares_of(&frame)));
        }
        scene
    }

    /// Member 2 has confirmed that 1 to 7 dealt, of 8.
    fn confirmed() -> Self {
        let mut scene = Self::dealt(8);
        scene.deliver(1..=7).unwrap();
        let sign = scene.group.sign(OWN);
        scene.own().confirm(&sign).unwrap();
        scene
    }

    fn at(&mut self, own: u16) -> &mut Member {
        &mut self.members[usize::from(own) - 1]
    }

    fn own(&mut self) -> &mut Member {
        self.at(OWN)
    }

    fn admit(&mut self, own: u16, roster: Roster) -> Result<OnRoster, MemberRefusal> {
        let fresh = Secret::new([0x40 + own as u8; 32]);
        self.at(own).on_roster(roster, fresh, &|_, _| false)
    }

    fn delivery(&self, dealers: impl IntoIterator<Item = u16>) -> Delivery {
        let dealers = MemberSet::of(dealers);
        let dealt = self
            .shares
            .iter()
            .filter(|(dealer, _)| dealers.contains(*dealer));
        let records = dealt
            .filter(|(dealer, _)| *dealer != OWN)
            .map(|(dealer, shares)| {
                let mut records = shares.records.iter();
                let record = records.find(|sealed| sealed.index == OWN).unwrap();
                Sealed {
                    index: *dealer,
                    record: record.record.clone(),
                }
            });
        Delivery {
            attempt: self.group.setting.attempt,
            roster: roster_hash(&self.roster),
            dealers,
            records: records.collect(),
        }
    }

    fn deliver(
        &mut self,
        dealers: impl IntoIterator<Item = u16>,
    ) -> Result<OnDelivery, MemberRefusal> {
        let delivery = self.delivery(dealers);
        self.own().on_delivery(delivery)
    }

    /// Confirmations of some members over a set.
    fn proof(
        &self,
        members: impl IntoIterator<Item = u16>,
        dealers: impl IntoIterator<Item = u16>,
    ) -> Proof {
        let (attempt, roster) = (self.group.setting.attempt, roster_hash(&self.roster));
        let digest = confirm_digest(&attempt, &roster, &MemberSet::of(dealers));
        let members = members.into_iter();
        let confirmations = members.map(|member| (member, self.group.signature(member, &digest)));
        Proof {
            attempt,
            confirmations: confirmations.collect(),
        }
    }

    fn open(&mut self, proof: &Proof) -> Result<Opening, MemberRefusal> {
        let sign = self.group.sign(OWN);
        self.own().on_proof(proof, &sign)
    }

    fn sign_again(&self, advert: &mut Advert) {
        advert.signature = self.group.signature(advert.index, &advert_digest(advert));
    }

    #[track_caller]
    fn check_erased(&mut self) {
        assert_eq!(
            format!("{:?}", self.own()).split(", ").nth(1),
            Some("erased)")
        );
        let roster = self.roster.clone();
        assert_not_live(self.admit(OWN, roster).map(drop));
        assert_not_live(self.deliver(1..=7).map(drop));
        let proof = self.proof(1..=8, 1..=7);
        assert_not_live(self.open(&proof).map(drop));
        let sign = self.group.sign(OWN);
        assert_eq!(self.own().deal(), None);
        assert_eq!(self.own().confirm(&sign), None);
    }
}

#[track_caller]
fn assert_not_live(found: Result<(), MemberRefusal>) {
    let refusal = found.unwrap_err();
    assert_eq!(
        (refusal.code, refusal.broken),
        (RefusalCode::NotLive, Broken::Live)
    );
    assert!(!refusal.ends && refusal.evidence.is_none());
}

#[track_caller]
fn check_roster(change: impl Fn(&Scene, &mut Vec<Advert>), guard: Guard, peer: Option<u16>) {
    let mut scene = Scene::ready(8);
    let mut roster = scene.roster.clone();
    change(&scene, &mut roster.adverts);
    let refusal = scene.admit(OWN, roster).unwrap_err();
    assert_eq!((refusal.broken, refusal.peer), (Broken::Rule(guard), peer));
    assert_eq!(
        (refusal.code, refusal.detail),
        (RefusalCode::RosterInvalid, 0)
    );
    assert!(refusal.ends && !scene.own().is_charged());
    scene.check_erased();
    // It is this rule that refuses it.
    blind(guard, || {
        let mut scene = Scene::ready(8);
        let mut roster = scene.roster.clone();
        change(&scene, &mut roster.adverts);
        match scene.admit(OWN, roster) {
            Ok(_) => assert!(scene.own().deal().is_some()),
            Err(refusal) => assert_ne!(refusal.broken, Broken::Rule(guard)),
        }
    });
}

#[test]
fn a_roster_has_the_own_advert_byte_for_byte() {
    check_roster(
        |_, adverts| adverts.retain(|advert| advert.index != OWN),
        Guard::OwnAdvert,
        None,
    );
    let other_key = |scene: &Scene, adverts: &mut Vec<Advert>| {
        adverts[1].key = EphemeralKey::new(&Secret::new([0x77; 32])).public();
        scene.sign_again(&mut adverts[1]);
    };
    check_roster(other_key, Guard::OwnAdvert, None);
    let other_ledger = |scene: &Scene, adverts: &mut Vec<Advert>| {
        adverts[1].ledger.seq += 1;
        scene.sign_again(&mut adverts[1]);
    };
    check_roster(other_ledger, Guard::OwnAdvert, None);
}

#[test]
fn a_roster_is_large_enough_and_in_order() {
    check_roster(|_, adverts| adverts.truncate(5), Guard::RosterSize, None);
    check_roster(|_, adverts| adverts.swap(3, 4), Guard::RosterOrder, None);
    check_roster(
        |_, adverts| adverts[7] = adverts[6].clone(),
        Guard::RosterOrder,
        None,
    );
    check_roster(|_, adverts| adverts[7].index = 9, Guard::RosterOrder, None);
    check_roster(
        |scene, adverts| {
            let mut stranger = adverts[0].clone();
            stranger.index = 8;
            adverts.push(stranger);
            scene.sign_again(&mut adverts[8]);
        },
        Guard::RosterOrder,
        None,
    );
    check_roster(
        |_, adverts| adverts[0].index = u16::MAX,
        Guard::RosterOrder,
        None,
    );
}

#[test]
fn adverts_are_for_this_task_and_signed_by_their_members() {
    let other_task = |scene: &Scene, adverts: &mut Vec<Advert>| {
        adverts[4].task.0[0] ^= 1;
        scene.sign_again(&mut adverts[4]);
    };
    check_roster(other_task, Guard::SameTask, Some(5));
    let other_attempt = |scene: &Scene, adverts: &mut Vec<Advert>| {
        adverts[4].attempt = other_attempt();
        scene.sign_again(&mut adverts[4]);
    };
    check_roster(other_attempt, Guard::SameTask, Some(5));
    check_roster(
        |_, adverts| adverts[4].signature.0[0] ^= 1,
        Guard::AdvertSignature,
        Some(5),
    );
    check_roster(
        |_, adverts| adverts[4].key[0] ^= 1,
        Guard::AdvertSignature,
        Some(5),
    );
    let by_another = |scene: &Scene, adverts: &mut Vec<Advert>| {
        adverts[4].signature = scene.group.signature(6, &advert_digest(&adverts[4]));
    };
    check_roster(by_another, Guard::AdvertSignature, Some(5));
}

#[test]
fn ephemeral_keys_differ_and_can_be_used() {
    let same = |scene: &Scene, adverts: &mut Vec<Advert>| {
        adverts[4].key = adverts[3].key;
        scene.sign_again(&mut adverts[4]);
    };
    check_roster(same, Guard::DistinctKeys, Some(5));
    let zero = |scene: &Scene, adverts: &mut Vec<Advert>| {
        adverts[4].key = [0; 32];
        scene.sign_again(&mut adverts[4]);
    };
    check_roster(zero, Guard::DistinctKeys, Some(5));
}

#[test]
fn a_peer_whose_ledger_is_behind_is_named() {
    let mut scene = Scene::ready(8);
    let (roster, keys) = (scene.roster.clone(), scene.group.setting.members.clone());
    let behind = move |key: &_, head: &crate::protocol::chain::Head| {
        assert_ne!(key, &keys[1], "nobody asks about the own ledger");
        let index = keys.iter().position(|other| other == key).unwrap() as u16 + 1;
        assert_eq!(*head, ledger_of(index));
        index == 5
    };
    let refusal = scene
        .own()
        .on_roster(roster, Secret::new([1; 32]), &behind)
        .unwrap_err();
    assert_eq!((refusal.code, refusal.detail), (RefusalCode::PeerBehind, 5));
    assert_eq!(refusal.broken, Broken::Rule(Guard::PeerMarks));
    assert_eq!(refusal.to_string(), "peer-marks does not hold");
    scene.check_erased();
}

#[test]
fn a_charge_names_the_roster_and_the_ledgers_of_the_others() {
    let mut scene = Scene::ready(7);
    let (roster, keys) = (scene.roster.clone(), scene.group.setting.members.clone());
    let others = [1, 3, 4, 5, 6, 7_u16];
    let expected = OnRoster::Charge {
        roster: roster_hash(&roster),
        marks: others
            .map(|other| (keys[usize::from(other) - 1], ledger_of(other)))
            .to_vec(),
    };
    assert_eq!(scene.admit(OWN, roster.clone()), Ok(expected));
    assert!(scene.own().is_charged());
    assert_eq!(scene.admit(OWN, roster), Ok(OnRoster::Wait));
}

#[track_caller]
fn check_second_roster(scene: fn() -> Scene) {
    // Where the rule is overlooked, it deals once more.
    blind(Guard::OneRoster, || {
        let mut scene = scene();
        let (first, mut second) = (scene.roster.clone(), scene.roster.clone());
        second.adverts.pop();
        let again = scene.admit(OWN, second).unwrap();
        let charging = scene.own().deal().is_some();
        assert!(charging || matches!(again, OnRoster::Resend(_)));
        assert!(matches!(scene.admit(OWN, first), Ok(OnRoster::Resend(_))));
    });
    let mut scene = scene();
    let held = scene.roster.clone();
    let mut shown = held.clone();
    shown.adverts.pop();
    let refusal = scene.admit(OWN, shown.clone()).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::Equivocation);
    assert_eq!(refusal.broken, Broken::Rule(Guard::OneRoster));
    assert!(refusal.ends && scene.own().is_charged());
    assert_eq!(
        refusal.evidence.as_deref(),
        Some(&Evidence::Rosters { held, shown })
    );
    scene.check_erased();
}

#[test]
fn a_second_roster_is_evidence_and_ends_the_attempt() {
    check_second_roster(|| {
        let mut charging = Scene::ready(8);
        let roster = charging.roster.clone();
        charging.admit(OWN, roster).unwrap();
        charging
    });
    check_second_roster(|| Scene::dealt(8));
    check_second_roster(Scene::confirmed);
}

#[test]
fn the_same_roster_again_brings_the_same_frame() {
    let mut scene = Scene::ready(8);
    let roster = scene.roster.clone();
    scene.admit(OWN, roster.clone()).unwrap();
    let frame = scene.own().deal().unwrap();
    assert_eq!(scene.own().deal(), None);
    // The bytes that were drawn for it do not matter any more.
    let again = scene
        .own()
        .on_roster(roster, Secret::new([9; 32]), &|_, _| true);
    assert_eq!(again, Ok(OnRoster::Resend(frame)));
    let mut scene = Scene::confirmed();
    let roster = scene.roster.clone();
    assert_eq!(scene.admit(OWN, roster), Ok(OnRoster::Wait));
}

#[test]
fn dealing_depends_on_the_bytes_drawn_after_the_roster_and_on_the_roster() {
    let dealt = |called: u16, fresh: u8| {
        let mut scene = Scene::ready(called);
        let roster = scene.roster.clone();
        scene
            .own()
            .on_roster(roster, Secret::new([fresh; 32]), &|_, _| false)
            .unwrap();
        shares_of(&scene.own().deal().unwrap()).records
    };
    assert_eq!(dealt(8, 1), dealt(8, 1));
    assert_ne!(dealt(8, 1), dealt(8, 2));
    assert_ne!(dealt(8, 1)[0], dealt(7, 1)[0]);
}

#[track_caller]
fn check_delivery(called: u16, dealers: &[u16], change: fn(&mut Delivery), guard: Guard) {
    let mut scene = Scene::dealt(called);
    let mut delivery = scene.delivery(dealers.iter().copied());
    change(&mut delivery);
    let refusal = scene.own().on_delivery(delivery).unwrap_err();
    assert_eq!(
        (refusal.code, refusal.broken),
        (RefusalCode::RosterInvalid, Broken::Rule(guard))
    );
    assert!(!refusal.ends);
    // Nothing has changed.
    let marked = scene.deliver(1..=called);
    assert!(matches!(marked, Ok(OnDelivery::Mark { .. })));
    blind(guard, || {
        let mut scene = Scene::dealt(called);
        let mut delivery = scene.delivery(dealers.iter().copied());
        change(&mut delivery);
        let marked = scene.own().on_delivery(delivery);
        assert!(matches!(marked, Ok(OnDelivery::Mark { .. })));
    });
}

#[test]
fn a_set_belongs_to_the_roster_and_is_large_enough() {
    let all = &[1, 2, 3, 4, 5, 6, 7];
    check_delivery(
        8,
        all,
        |delivery| delivery.roster.0[0] ^= 1,
        Guard::DeliveredRoster,
    );
    check_delivery(
        7,
        all,
        |delivery| delivery.dealers.insert(8),
        Guard::DealersInRoster,
    );
    check_delivery(
        8,
        all,
        |delivery| delivery.dealers.insert(100),
        Guard::DealersInRoster,
    );
    check_delivery(8, &[1, 2, 3, 4, 5], |_| {}, Guard::DealersMin);
    check_delivery(8, &[], |_| {}, Guard::DealersMin);
}

/// Member 2 cannot open what came from these dealers, and says so; then the true records come.
#[track_caller]
fn check_cannot(change: impl Fn(&Scene, &mut Delivery), dealers: &[u16]) {
    let mut scene = Scene::dealt(8);
    let mut delivery = scene.delivery(1..=8);
    change(&scene, &mut delivery);
    let expected = OnDelivery::Cannot(Cannot {
        attempt: scene.group.setting.attempt,
        dealers: MemberSet::of(dealers.iter().copied()),
    });
    assert_eq!(scene.own().on_delivery(delivery), Ok(expected));
    assert!(matches!(scene.deliver(1..=8), Ok(OnDelivery::Mark { .. })));
    blind(Guard::RecordsOpen, || {
        let mut scene = Scene::dealt(8);
        let mut delivery = scene.delivery(1..=8);
        change(&scene, &mut delivery);
        let marked = scene.own().on_delivery(delivery);
        assert!(matches!(marked, Ok(OnDelivery::Mark { .. })));
        let (sign, proof) = (scene.group.sign(OWN), scene.proof(1..=8, 1..=8));
        assert!(scene.own().confirm(&sign).is_some() && scene.open(&proof).is_ok());
    });
}

#[test]
fn records_that_are_missing_or_do_not_open_are_named() {
    check_cannot(|_, delivery| delivery.records[0].record[0] ^= 1, &[1]);
    check_cannot(
        |_, delivery| delivery.records.retain(|sealed| sealed.index != 3),
        &[3],
    );
    check_cannot(|_, delivery| delivery.records[1].record.truncate(39), &[3]);
    check_cannot(|_, delivery| delivery.records[1].record.clear(), &[3]);
    check_cannot(
        |_, delivery| delivery.records.clear(),
        &[1, 3, 4, 5, 6, 7, 8],
    );
    let swap = |_: &Scene, delivery: &mut Delivery| {
        let (one, two) = delivery.records.split_at_mut(1);
        std::mem::swap(&mut one[0].record, &mut two[0].record);
    };
    check_cannot(swap, &[1, 3]);
    // The record that member 1 dealt to member 3.
    let for_another = |scene: &Scene, delivery: &mut Delivery| {
        delivery.records[0].record = scene.shares[0].1.records[1].record.clone();
    };
    check_cannot(for_another, &[1]);
}

/// A record of member 1 for member 2 that is sealed well, whatever it holds.
fn sealed_by_one(scene: &Scene, plain: &[u8]) -> Vec<u8> {
    let context = Context {
        attempt: scene.group.setting.attempt,
        roster: roster_hash(&scene.roster),
    };
    let peer = End {
        index: OWN,
        key: scene.roster.adverts[1].key,
    };
    let key = EphemeralKey::new(&Secret::new([1; 32]));
    let mut record = [plain, &[0; SEAL_BYTES]].concat();
    key.pair(context, 1, peer).unwrap().seal(&mut record);
    record
}

#[test]
fn records_that_open_to_something_else_are_named() {
    let check = |plain: Vec<u8>, dealers: &[u16]| {
        let change = move |scene: &Scene, delivery: &mut Delivery| {
            delivery.records[0].record = sealed_by_one(scene, &plain);
        };
        check_cannot(change, dealers);
    };
    let words = |words: [u64; 3]| words.map(u64::to_le_bytes).concat();
    check(words([0, P, 0]), &[1]);
    check(words([0, 0, u64::MAX]), &[1]);
    check(vec![0; 16], &[1]);
    check(vec![0; 32], &[1]);
    check(vec![], &[1]);
    let mut scene = Scene::dealt(8);
    let mut delivery = scene.delivery(1..=8);
    delivery.records[0].record = sealed_by_one(&scene, &words([0, P - 1, 7]));
    assert!(matches!(
        scene.own().on_delivery(delivery),
        Ok(OnDelivery::Mark { .. })
    ));
}

#[test]
fn records_that_nobody_asked_for_change_nothing() {
    let mut scene = Scene::dealt(8);
    let mut delivery = scene.delivery(1..=8);
    delivery.dealers = MemberSet::of(1..=7);
    for index in [0, 1, 2, 9, u16::MAX] {
        let record = vec![0; 40];
        delivery.records.push(Sealed { index, record });
    }
    assert!(matches!(
        scene.own().on_delivery(delivery),
        Ok(OnDelivery::Mark { .. })
    ));
}

#[test]
fn a_set_is_marked_then_confirmed_once() {
    let mut scene = Scene::dealt(8);
    let keys = scene.group.setting.members.clone();
    let sign = scene.group.sign(OWN);
    assert_eq!(scene.own().confirm(&sign), None);
    let expected = OnDelivery::Mark {
        dealers: MemberSet::of(1..=7),
        peers: [0, 2, 3, 4, 5, 6].map(|place: usize| keys[place]).to_vec(),
    };
    assert_eq!(scene.deliver(1..=7), Ok(expected));
    assert_eq!(scene.deliver(1..=7), Ok(OnDelivery::Wait));
    let proof = scene.proof(1..=8, 1..=7);
    assert_not_live(scene.open(&proof).map(drop));
    let confirm = scene.own().confirm(&sign).unwrap();
    assert_eq!(
        scene.deliver(1..=7),
        Ok(OnDelivery::Resend(confirm.clone()))
    );
    assert_eq!(scene.own().confirm(&sign).as_ref(), Some(&confirm));
    scene.open(&proof).unwrap();
    assert_eq!(scene.deliver(1..=7), Ok(OnDelivery::Resend(confirm)));
}

#[track_caller]
fn check_second_set(scene: fn() -> Scene) {
    blind(Guard::OneSet, || {
        let mut scene = scene();
        let marked = scene.deliver(1..=8);
        assert!(matches!(marked, Ok(OnDelivery::Mark { .. })));
        let sign = scene.group.sign(OWN);
        let confirm = scene.own().confirm(&sign).unwrap();
        assert_eq!(confirm.dealers, MemberSet::of(1..=8));
    });
    let mut scene = scene();
    let refusal = scene.deliver(1..=8).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::Equivocation);
    assert_eq!(refusal.broken, Broken::Rule(Guard::OneSet));
    let expected = Evidence::Sets {
        roster: roster_hash(&scene.roster),
        held: MemberSet::of(1..=7),
        shown: MemberSet::of(1..=8),
    };
    assert_eq!(refusal.evidence.as_deref(), Some(&expected));
    assert!(refusal.ends);
    scene.check_erased();
}

#[test]
fn a_second_set_is_evidence_and_ends_the_attempt() {
    check_second_set(|| {
        let mut marking = Scene::dealt(8);
        marking.deliver(1..=7).unwrap();
        marking
    });
    check_second_set(Scene::confirmed);
    check_second_set(|| {
        let mut opened = Scene::confirmed();
        let proof = opened.proof(1..=8, 1..=7);
        opened.open(&proof).unwrap();
        opened
    });
}

#[test]
fn the_set_of_another_roster_is_no_second_set() {
    let mut scene = Scene::confirmed();
    let mut delivery = scene.delivery(1..=8);
    delivery.roster.0[0] ^= 1;
    let refusal = scene.own().on_delivery(delivery).unwrap_err();
    assert_eq!(refusal.broken, Broken::Rule(Guard::DeliveredRoster));
    assert!(!refusal.ends);
}

/// Q is 5 of 8.
#[track_caller]
fn check_proof(change: impl Fn(&Scene, &mut Vec<(u16, Signature64)>), guard: Guard) {
    let mut scene = Scene::confirmed();
    let mut proof = scene.proof(1..=5, 1..=7);
    change(&scene, &mut proof.confirmations);
    let refusal = scene.open(&proof).unwrap_err();
    assert_eq!(
        (refusal.code, refusal.broken),
        (RefusalCode::ProofInvalid, Broken::Rule(guard))
    );
    assert!(!refusal.ends);
    let proof = scene.proof(1..=5, 1..=7);
    assert!(scene.open(&proof).is_ok());
    blind(guard, || {
        let mut scene = Scene::confirmed();
        let mut proof = scene.proof(1..=5, 1..=7);
        change(&scene, &mut proof.confirmations);
        assert!(scene.open(&proof).is_ok());
    });
}

#[test]
fn a_proof_has_a_quorum_of_distinct_members() {
    check_proof(|_, proof| proof.truncate(4), Guard::ProofQuorum);
    check_proof(|_, proof| proof.clear(), Guard::ProofQuorum);
    check_proof(|_, proof| proof[4] = proof[3], Guard::ProofQuorum);
    check_proof(|_, proof| *proof = vec![proof[0]; 100], Guard::ProofQuorum);
    check_proof(|_, proof| proof[4].0 = 0, Guard::ProofQuorum);
    check_proof(|_, proof| proof[4].0 = 9, Guard::ProofQuorum);
    check_proof(|_, proof| proof[4].0 = u16::MAX, Guard::ProofQuorum);
}

#[test]
fn confirmations_are_signed_over_the_own_set() {
    check_proof(|_, proof| proof[4].1.0[0] ^= 1, Guard::ProofSignatures);
    check_proof(|_, proof| proof[4].0 = 6, Guard::ProofSignatures);
    let over_another_set = |scene: &Scene, proof: &mut Vec<(u16, Signature64)>| {
        proof[4] = scene.proof([5], 1..=8).confirmations[0];
    };
    check_proof(over_another_set, Guard::ProofSignatures);
    let swapped = |_: &Scene, proof: &mut Vec<(u16, Signature64)>| {
        let one = proof[0].1;
        proof[0].1 = std::mem::replace(&mut proof[1].1, one);
    };
    check_proof(swapped, Guard::ProofSignatures);
}

#[test]
fn members_outside_the_roster_do_not_count_in_a_proof() {
    let mut scene = Scene::dealt(6);
    scene.deliver(1..=6).unwrap();
    let sign = scene.group.sign(OWN);
    scene.own().confirm(&sign).unwrap();
    let proof = scene.proof([1, 2, 3, 7, 8], 1..=6);
    let refusal = scene.open(&proof).unwrap_err();
    assert_eq!(refusal.broken, Broken::Rule(Guard::ProofQuorum));
    let proof = scene.proof([1, 2, 3, 5, 6], 1..=6);
    assert!(scene.open(&proof).is_ok());
}

#[test]
fn invalid_confirmations_beside_a_quorum_do_no_harm() {
    let mut scene = Scene::confirmed();
    let mut proof = scene.proof(1..=6, 1..=7);
    proof.confirmations[0].1.0[9] ^= 1;
    assert!(scene.open(&proof).is_ok());
    let mut twice = scene.proof([5, 5, 1, 2, 3, 4], 1..=7);
    twice.confirmations[0].1.0[9] ^= 1;
    assert!(scene.open(&twice).is_ok());
}

#[test]
fn an_opening_is_the_same_for_every_proof() {
    let mut scene = Scene::confirmed();
    let (one, other) = (scene.proof(1..=5, 1..=7), scene.proof(4..=8, 1..=7));
    let opening = scene.open(&one).unwrap();
    assert_eq!(scene.open(&other), Ok(opening.clone()));
    assert_eq!(scene.open(&one), Ok(opening.clone()));
    let bad = scene.proof(1..=4, 1..=7);
    let refusal = scene.open(&bad).unwrap_err();
    assert_eq!(refusal.broken, Broken::Rule(Guard::ProofQuorum));
    let (attempt, roster) = (scene.group.setting.attempt, roster_hash(&scene.roster));
    let digest = opening_digest(&attempt, &roster, &MemberSet::of(1..=7), &opening.elements);
    assert!(scene.group.setting.is_by(OWN, &digest, &opening.signature));
}

#[test]
fn who_is_not_in_the_set_confirms_and_opens() {
    let mut scene = Scene::dealt(8);
    let others = [1, 3, 4, 5, 6, 7, 8];
    assert!(
        matches!(scene.deliver(others), Ok(OnDelivery::Mark { peers, .. }) if peers.len() == 7)
    );
    let sign = scene.group.sign(OWN);
    scene.own().confirm(&sign).unwrap();
    let proof = scene.proof(1..=5, others);
    assert!(scene.open(&proof).is_ok());
}

#[test]
fn what_comes_out_of_turn_changes_nothing() {
    let (mut scene, mut dealt) = (Scene::ready(8), Scene::dealt(8));
    let (delivery, proof) = (dealt.delivery(1..=8), dealt.proof(1..=8, 1..=8));
    assert_eq!(scene.own().deal(), None);
    assert_not_live(scene.own().on_delivery(delivery.clone()).map(drop));
    assert_not_live(scene.open(&proof).map(drop));
    let roster = scene.roster.clone();
    scene.admit(OWN, roster).unwrap();
    assert_not_live(scene.own().on_delivery(delivery).map(drop));
    assert_not_live(scene.open(&proof).map(drop));
    assert!(scene.own().deal().is_some());
    assert_not_live(dealt.open(&proof).map(drop));
    assert!(matches!(dealt.deliver(1..=8), Ok(OnDelivery::Mark { .. })));
}

#[test]
fn messages_of_another_attempt_change_nothing() {
    let mut scene = Scene::ready(8);
    let mut roster = scene.roster.clone();
    roster.adverts[0].attempt = other_attempt();
    assert_not_live(scene.admit(OWN, roster).map(drop));
    assert_not_live(scene.admit(OWN, Roster { adverts: vec![] }).map(drop));
    let mut scene = Scene::confirmed();
    let mut delivery = scene.delivery(1..=8);
    delivery.attempt = other_attempt();
    assert_not_live(scene.own().on_delivery(delivery).map(drop));
    let mut proof = scene.proof(1..=8, 1..=7);
    proof.attempt = other_attempt();
    assert_not_live(scene.open(&proof).map(drop));
    proof.attempt = scene.group.setting.attempt;
    assert!(scene.open(&proof).is_ok());
}

#[test]
fn nothing_secret_is_printed() {
    let scene = Scene::dealt(8);
    let printed = format!("{:?}", scene.members);
    assert_eq!(printed.matches("dealt").count(), 8);
    assert!(printed.len() < 8 * 100, "{printed}");
    let (group, elements) = (&scene.group, vec![123_456_789; 3]);
    let opening = Opening {
        attempt: group.setting.attempt,
        elements,
        signature: Signature64([0; 64]),
    };
    let contribution = Contribution {
        noisy: Secret::new(vec![123_456_789]),
        ledger: ledger_of(1),
        fresh: Secret::new([123; 32]),
    };
    let printed = format!("{opening:?} {contribution:?} {:?}", scene.delivery(1..=8));
    assert!(!printed.contains("123"), "{printed}");
}
