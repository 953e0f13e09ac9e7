//! Every line of the node's table in shared-noise, and every failure that the node has to live with.

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sharing::{Element, Packing, read};
use aquifer_shared::domain::sum::{StudyTerms, attempt_id};
use aquifer_shared::protocol::aggregation::{
    Advert, Checks, Delivery, Evidence, Guard, MemberSet, Proof, Roster, advert_digest, is_signed,
    roster_hash,
};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{
    End, RefusalCode, StudyEnd, StudyOutcome, Task, TaskBody, Verdict,
};

use super::shared_world::{Company, fresh};
use super::*;
use crate::core::fixtures::{NODE, PEER, key, public, shared_synthetic};
use crate::core::ledger::Standing;

const PRICE: MicroRho = MicroRho(1_000);

fn company() -> Company {
    Company::new(4)
}

/// A company that has dealt among everybody, and its roster.
fn dealt() -> (Company, Roster) {
    let mut company = company();
    company.ask_all(0, 0);
    let roster = company.roster_of(&company.everybody());
    company.show(&roster);
    (company, roster)
}

/// Signs an advert again, as its member.
fn signed(mut advert: Advert, seed: u8) -> Advert {
    let signature = key(seed).sign(&advert_digest(&advert).0);
    advert.signature.0 = signature.as_ref().try_into().unwrap();
    advert
}

/// How a node's attempt was closed, if it was.
fn outcome(company: &mut Company, round: u32, attempt: u32) -> Option<AttemptOutcome> {
    company.pass(2_000);
    let study = company.study;
    let ledger = company.own().node.ledger();
    drop(ledger.charge(&study, round, attempt)?);
    let open = ledger.unclosed().contains(&(study, round, attempt));
    (!open).then(|| last_close(company))
}

fn last_close(company: &mut Company) -> AttemptOutcome {
    use crate::core::ledger::{ENTRY_BYTES_MAX, Entry};
    let disk = &company.own().disk;
    let mut head = Head::default();
    let entries = disk.iter().map(|bytes| {
        let (link, next) = head.follow(bytes, ENTRY_BYTES_MAX).unwrap();
        head = next;
        Entry::from_link(link.kind, &link.body).unwrap()
    });
    let closes = entries.filter_map(|entry| match entry {
        Entry::Close(close) => Some(close.outcome),
        _ => None,
    });
    closes.last().unwrap()
}

#[test]
fn the_sum_of_all_is_opened_and_nothing_else() {
    for members in [4, 5, 8] {
        let mut company = Company::new(members);
        company.aggregate(0, 0);
        let thresholds = company.terms.thresholds(members.into()).unwrap();
        let openings = company.nodes.iter().zip(1_u16..).map(|(node, index)| {
            let opening = node.openings().pop().unwrap();
            (index, Element::list(&opening.elements).unwrap())
        });
        let openings: Vec<(u16, Vec<Element>)> = openings.collect();
        let openings = openings.iter().map(|(index, list)| (*index, &list[..]));
        let packing = Packing::new(
            members.into(),
            thresholds.packed(),
            thresholds.colluders_max(),
        );
        let sum = read(packing.unwrap(), 3, &openings.collect()).unwrap();
        let noise = company.noise(&company.everybody(), 1);
        assert_eq!(sum.sum, [noise; 3]);
        let now = company.now;
        assert!(company.nodes.iter().all(|node| node.spent(now) == PRICE));
    }
}

#[test]
fn an_advert_leaves_at_the_end_of_its_slot_and_repeats_itself() {
    let terms = StudyTerms {
        slot_ms: 100,
        ..shared_synthetic(4, 2)
    };
    let mut company = Company::of(terms, Judges::STRICT);
    let (ask, arrived) = (company.task(0, 0), company.now);
    company.tell(Event::Task(ask.clone(), fresh(1))).unwrap();
    company.tell(Event::Task(ask.clone(), fresh(2))).unwrap();
    company.pass(99);
    assert!(company.own().adverts().is_empty(), "not before its slot");
    let wakeup = company.own().node.next_wakeup();
    assert_eq!(wakeup, Some(arrived.after_ms(100)));
    company.pass(1);
    company.tell(Event::Task(ask, fresh(3))).unwrap();
    let adverts = company.own().adverts();
    assert_eq!(adverts.len(), 2);
    assert_eq!(adverts[0], adverts[1], "byte-identical, whatever is fresh");
    let digest = advert_digest(&adverts[0]);
    assert!(is_signed(&public(NODE), &digest, &adverts[0].signature));
    assert_eq!(adverts[0].ledger, company.own().node.ledger().durable());
    assert_eq!(adverts[0].index, company.index());
    let now = company.now;
    assert_eq!(
        company.own().spent(now),
        MicroRho::ZERO,
        "an advert costs nothing"
    );
}

#[track_caller]
fn check_task(change: impl FnOnce(&mut Company) -> Task, expected: (RefusalCode, u64)) {
    let mut company = company();
    let ask = change(&mut company);
    company.tell(Event::Task(ask, fresh(1))).unwrap();
    let (code, detail, ..) = company.own().refusals().pop().unwrap();
    assert_eq!((code, detail), expected);
    let now = company.now;
    assert!(company.own().adverts().is_empty());
    assert_eq!(company.own().spent(now), MicroRho::ZERO);
}

#[test]
fn a_task_that_breaks_a_rule_is_refused_before_anything_is_computed() {
    check_task(
        |company| Task {
            study: StudyHash([9; 32]),
            ..company.task(0, 0)
        },
        (RefusalCode::StudyUnknown, 0),
    );
    check_task(|company| company.task(2, 0), (RefusalCode::TermsDiffer, 0));
    check_task(
        |company| company.task(0, 2),
        (RefusalCode::AttemptsUsedUp, 0),
    );
    check_task(
        |company| Task {
            body: encode(&TaskBody::Synthetic(5)),
            ..company.task(0, 0)
        },
        (RefusalCode::TermsDiffer, 0),
    );
    check_task(
        |company| {
            company.now = company.terms.expires.after_ms(1);
            company.task(0, 0)
        },
        (RefusalCode::Expired, 0),
    );
    check_task(
        |company| {
            company.own().rules.policy.purposes.clear();
            let now = company.now;
            company.own().restart(now);
            company.task(0, 0)
        },
        (RefusalCode::PurposeUnknown, 0),
    );
}

#[test]
fn a_task_that_the_reservation_does_not_cover_is_refused() {
    let mut company = company();
    for attempt in [(0, 0), (0, 1), (1, 0)] {
        company.aggregate(attempt.0, attempt.1);
    }
    company.ask_all(1, 1);
    let refused = company.own().refusals().pop().unwrap();
    let rule = "within-budget".to_owned();
    assert_eq!(refused, (RefusalCode::Budget, 0, rule, None));
    let now = company.now;
    assert_eq!(company.own().spent(now), MicroRho(3_000));
    assert_eq!(company.own().adverts().len(), 3);
}

#[test]
fn a_task_of_a_charged_attempt_names_the_last_charge() {
    let (mut company, _) = dealt();
    let ask = company.task(0, 0);
    company.tell(Event::Task(ask, fresh(1))).unwrap();
    company.aggregate(1, 1);
    for attempt in [(0, 0), (0, 1), (1, 1)] {
        let ask = company.task(attempt.0, attempt.1);
        company.tell(Event::Task(ask, fresh(1))).unwrap();
    }
    let charged = |detail| {
        let rule = "rising-attempt".to_owned();
        (RefusalCode::AlreadyCharged, detail, rule, None)
    };
    let last = (1 << 32) | 1;
    let live = (RefusalCode::NotLive, 0, String::new(), None);
    // Attempt (0, 1) was never charged, and is below the live one.
    let expected = [charged(0), charged(last), live, charged(last)];
    assert_eq!(company.own().refusals(), expected);
}

#[test]
fn without_randomness_the_node_is_unfit_and_nothing_is_charged() {
    let mut company = company();
    let ask = company.task(0, 0);
    company.tell(Event::Task(ask, None)).unwrap();
    assert_eq!(company.own().refusals()[0].0, RefusalCode::Unfit);
    company.ask_all(0, 0);
    let roster = company.roster_of(&company.everybody());
    company.tell(Event::Roster(roster.clone(), None)).unwrap();
    assert_eq!(company.own().refusals()[1].0, RefusalCode::Unfit);
    company.show(&roster);
    assert_eq!(
        company.own().refusals()[2].0,
        RefusalCode::NotLive,
        "erased"
    );
    let now = company.now;
    assert_eq!(company.own().spent(now), MicroRho::ZERO);
}

#[test]
fn noise_is_used_once_even_where_nothing_was_charged() {
    let mut company = company();
    let mut seen = Vec::new();
    for (round, attempt) in [(0, 0), (0, 1), (1, 0)] {
        company.aggregate(round, attempt);
        seen.push(company.own().openings().pop().unwrap().elements);
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

/// A roster that breaks a rule: refused with rule and member, erased, nothing charged.
#[track_caller]
fn check_roster(
    change: impl FnOnce(&mut Company, &mut Roster) -> Option<usize>,
    (code, rule): (RefusalCode, &str),
) -> Company {
    let mut company = company();
    company.ask_all(0, 0);
    let mut roster = company.roster_of(&company.everybody());
    let about = change(&mut company, &mut roster);
    company
        .tell(Event::Roster(roster.clone(), fresh(9)))
        .unwrap();
    let peer = about.map(|node| Peer {
        index: node as u16 + 1,
        key: company.nodes[node].key,
    });
    let found = company.own().refusals();
    let detail = match code {
        RefusalCode::PeerBehind => u64::from(peer.unwrap().index),
        _ => 0,
    };
    assert_eq!(found, [(code, detail, rule.to_owned(), peer)]);
    assert!(company.own().shares().is_empty());
    let now = company.now;
    assert_eq!(company.own().spent(now), MicroRho::ZERO);
    let right = company.roster_of(&company.everybody());
    company.tell(Event::Roster(right, fresh(9))).unwrap();
    assert_eq!(
        company.own().refusals()[1].0,
        RefusalCode::NotLive,
        "erased"
    );
    company
}

#[test]
fn a_roster_that_breaks_a_rule_ends_the_attempt_unpaid() {
    let code = RefusalCode::RosterInvalid;
    let seed_of = |company: &Company, node: usize| {
        let key = company.nodes[node].key;
        (PEER..).find(|seed| public(*seed) == key).unwrap()
    };
    check_roster(
        |company, roster| {
            // Another key of its own, signed by itself: a roster of another past.
            let own = company.own;
            roster.adverts[own].key[5] ^= 1;
            roster.adverts[own] = signed(roster.adverts[own].clone(), NODE);
            None
        },
        (code, "own-advert"),
    );
    check_roster(
        |company, roster| {
            let (own, peer) = (company.own, company.peer(0));
            roster.adverts = vec![
                roster.adverts[own.min(peer)].clone(),
                roster.adverts[own.max(peer)].clone(),
            ];
            None
        },
        (code, "roster-size"),
    );
    check_roster(
        |_, roster| {
            roster.adverts.swap(1, 2);
            None
        },
        (code, "roster-order"),
    );
    check_roster(
        |company, roster| {
            let peer = company.peer(1);
            roster.adverts[peer].signature.0[7] ^= 1;
            Some(peer)
        },
        (code, "advert-signature"),
    );
    check_roster(
        |company, roster| {
            let peer = company.peer(1);
            roster.adverts[peer].task = Hash32([7; 32]);
            roster.adverts[peer] = signed(roster.adverts[peer].clone(), seed_of(company, peer));
            Some(peer)
        },
        (code, "same-task"),
    );
    check_roster(
        |company, roster| {
            let (peer, other) = (company.peer(1), company.peer(2));
            roster.adverts[other].key = roster.adverts[peer].key;
            roster.adverts[other] = signed(roster.adverts[other].clone(), seed_of(company, other));
            Some(other)
        },
        (code, "distinct-keys"),
    );
}

#[test]
fn a_peer_whose_ledger_was_put_back_is_refused_named_and_noted() {
    let company = {
        let mut company = company();
        company.aggregate(0, 0);
        company.ask_all(1, 0);
        let peer = company.peer(2);
        let mut roster = company.roster_of(&company.everybody());
        // Its charge of the first round is gone: it stands where it stood before.
        let key = company.nodes[peer].key;
        let seed = (PEER..).find(|seed| public(*seed) == key).unwrap();
        let before = company.nodes[peer].adverts()[0].ledger;
        roster.adverts[peer].ledger = before;
        roster.adverts[peer] = signed(roster.adverts[peer].clone(), seed);
        company
            .tell(Event::Roster(roster.clone(), fresh(9)))
            .unwrap();
        let index = peer as u16 + 1;
        let (detail, rule) = (u64::from(index), "peer-marks".to_owned());
        let about = Some(Peer { index, key });
        let refused = company.own().refusals().pop().unwrap();
        assert_eq!(refused, (RefusalCode::PeerBehind, detail, rule, about));
        let Some(Audit::Attempt { exhibit, peer, .. }) = company.own().audits.pop() else {
            panic!("noted");
        };
        let advert = Box::new(roster.adverts[usize::from(index) - 1].clone());
        assert_eq!((exhibit, peer), (Exhibit::Advert(advert), about));
        company
    };
    let now = company.now;
    let own = &company.nodes[company.own];
    assert_eq!(own.spent(now), PRICE, "the first round alone");
}

#[test]
fn shares_leave_only_once_charge_and_marks_are_durable() {
    let mut company = company();
    company.ask_all(0, 0);
    let roster = company.roster_of(&company.everybody());
    company.own().held = Some(Vec::new());
    company
        .tell(Event::Roster(roster.clone(), fresh(9)))
        .unwrap();
    company
        .tell(Event::Roster(roster.clone(), fresh(8)))
        .unwrap();
    assert!(company.own().shares().is_empty());
    let batch = &company.own().held.as_ref().unwrap()[0];
    assert_eq!(
        batch.records.len(),
        2,
        "charge and marks in one transaction"
    );
    let now = company.now;
    company.own().release(now);
    let shares = company.own().shares().pop().unwrap();
    assert_eq!(shares.roster, roster_hash(&roster));
    assert_eq!(shares.records.len(), 3);
    company.tell(Event::Roster(roster, fresh(7))).unwrap();
    let all = company.own().shares();
    assert!(all.len() == 2 && all[0] == all[1], "byte-identical");
    assert_eq!(company.own().spent(now), PRICE, "paid once");
}

#[test]
fn a_second_roster_is_refused_kept_as_evidence_and_paid_once() {
    let (mut company, held) = dealt();
    let fewer: Vec<usize> = (0..4).filter(|node| *node != company.peer(0)).collect();
    let shown = company.roster_of(&fewer);
    company
        .tell(Event::Roster(shown.clone(), fresh(9)))
        .unwrap();
    let refused = company.own().refusals().pop().unwrap();
    let rule = "one-roster".to_owned();
    assert_eq!(refused, (RefusalCode::Equivocation, 0, rule, None));
    let (study, evidence) = (
        company.study,
        Evidence::Rosters {
            held: held.clone(),
            shown,
        },
    );
    let expected = Audit::Attempt {
        study,
        round: 0,
        attempt: 0,
        broken: Broken::Rule(Guard::OneRoster),
        peer: None,
        exhibit: Exhibit::Two(Box::new(evidence)),
    };
    assert_eq!(company.own().audits, [expected]);
    company.show(&held);
    assert_eq!(
        company.own().refusals()[1].0,
        RefusalCode::NotLive,
        "erased"
    );
    assert_eq!(company.own().shares().len(), 1);
    let now = company.now;
    assert_eq!(company.own().spent(now), PRICE);
    assert_eq!(outcome(&mut company, 0, 0), Some(AttemptOutcome::Failed));
}

#[test]
fn a_confirmation_leaves_only_once_the_marks_are_durable() {
    let (mut company, roster) = dealt();
    company.own().held = Some(Vec::new());
    let dealers = [0, 1, 3];
    let delivery = company.delivery(&roster, &dealers, company.own);
    company.tell(Event::Delivery(delivery.clone())).unwrap();
    company.tell(Event::Delivery(delivery.clone())).unwrap();
    assert!(company.own().confirms().is_empty());
    let now = company.now;
    company.own().release(now);
    company.tell(Event::Delivery(delivery)).unwrap();
    let confirms = company.own().confirms();
    assert!(confirms.len() == 2 && confirms[0] == confirms[1]);
    assert_eq!(confirms[0].dealers, MemberSet::of([1, 2, 4]));
    let peers = company.own().node.ledger().peers();
    for node in (0..4).filter(|node| *node != company.own) {
        let mark = peers
            .iter()
            .find(|mark| mark.peer == company.nodes[node].key);
        assert_eq!(mark.unwrap().dealt, dealers.contains(&node), "node {node}");
    }
}

/// A delivery that breaks a rule changes nothing: the right one is confirmed after it.
#[track_caller]
fn check_delivery(
    change: impl FnOnce(&mut Delivery, usize),
    expected: Result<&[u16], (RefusalCode, &str)>,
) {
    let (mut company, roster) = dealt();
    let right = company.delivery(&roster, &[0, 1, 2, 3], company.own);
    let mut wrong = right.clone();
    change(&mut wrong, company.peer(0));
    company.tell(Event::Delivery(wrong)).unwrap();
    match expected {
        Ok(dealers) => {
            let cannot = company.own().cannots().pop().unwrap();
            assert_eq!(cannot.dealers, MemberSet::of(dealers.iter().copied()));
        }
        Err((code, rule)) => {
            let refused = company.own().refusals().pop().unwrap();
            assert_eq!(refused, (code, 0, rule.to_owned(), None));
        }
    }
    assert!(company.own().confirms().is_empty());
    company.tell(Event::Delivery(right)).unwrap();
    assert_eq!(company.own().confirms().len(), 1);
}

#[test]
fn a_delivery_that_breaks_a_rule_changes_nothing() {
    let first = company().peer(0) as u16 + 1;
    let code = RefusalCode::RosterInvalid;
    check_delivery(
        |delivery, _| delivery.roster = Hash32([1; 32]),
        Err((code, "delivered-roster")),
    );
    check_delivery(
        |delivery, _| delivery.dealers.insert(5),
        Err((code, "dealers-in-roster")),
    );
    check_delivery(
        |delivery, _| delivery.dealers = MemberSet::of([1, 2]),
        Err((code, "dealers-min")),
    );
    let spoil = |delivery: &mut Delivery, peer: usize| {
        let records = &mut delivery.records;
        let sealed = records
            .iter_mut()
            .find(|sealed| sealed.index == peer as u16 + 1);
        sealed.unwrap().record[3] ^= 1;
    };
    check_delivery(spoil, Ok(&[first]));
    let swap = |delivery: &mut Delivery, _| {
        let records = &mut delivery.records;
        let taken = std::mem::take(&mut records[0].record);
        records[0].record = std::mem::replace(&mut records[1].record, taken);
    };
    let others: Vec<u16> = (1..=4)
        .filter(|index| *index != company().index())
        .collect();
    check_delivery(swap, Ok(&others[..2]));
    let short = |delivery: &mut Delivery, _| {
        let records = &mut delivery.records;
        records[0].record.pop();
    };
    check_delivery(short, Ok(&[first]));
    check_delivery(|delivery, _| drop(delivery.records.remove(0)), Ok(&[first]));
}

#[test]
fn a_second_set_is_refused_and_kept_as_evidence() {
    let (mut company, roster) = dealt();
    company.deliver(&roster, &[0, 1, 2, 3]);
    let other = company.delivery(&roster, &[0, 1, 2], company.own);
    company.tell(Event::Delivery(other)).unwrap();
    let refused = company.own().refusals().pop().unwrap();
    let rule = "one-set".to_owned();
    assert_eq!(refused, (RefusalCode::Equivocation, 0, rule, None));
    let Some(Audit::Attempt { exhibit, .. }) = company.own().audits.pop() else {
        panic!("noted");
    };
    let sets = Evidence::Sets {
        roster: roster_hash(&roster),
        held: MemberSet::of([1, 2, 3, 4]),
        shown: MemberSet::of([1, 2, 3]),
    };
    assert_eq!(exhibit, Exhibit::Two(Box::new(sets)));
    let proof = company.proof(&roster, &[0, 1, 2, 3]);
    company.tell(Event::Proof(proof)).unwrap();
    assert!(company.own().openings().is_empty(), "erased");
    assert_eq!(outcome(&mut company, 0, 0), Some(AttemptOutcome::Failed));
}

#[test]
fn only_a_proof_by_a_quorum_opens() {
    let (mut company, roster) = dealt();
    let right = |company: &Company| company.proof(&roster, &[0, 1, 2, 3]);
    let early = Proof {
        attempt: roster.attempt().unwrap(),
        confirmations: Vec::new(),
    };
    company.tell(Event::Proof(early)).unwrap();
    company.deliver(&roster, &[0, 1, 2, 3]);
    let mut forged = right(&company);
    forged.confirmations.truncate(3);
    forged.confirmations[1].1.0[9] ^= 1;
    let mut twice = right(&company);
    twice.confirmations.truncate(2);
    twice.confirmations.push(twice.confirmations[1]);
    let mut few = right(&company);
    few.confirmations.truncate(2);
    for proof in [forged, twice, few] {
        company.tell(Event::Proof(proof)).unwrap();
    }
    assert!(company.own().openings().is_empty());
    let codes: Vec<_> = company
        .own()
        .refusals()
        .into_iter()
        .map(|found| found.0)
        .collect();
    let invalid = RefusalCode::ProofInvalid;
    assert_eq!(codes, [RefusalCode::NotLive, invalid, invalid, invalid]);
    let mut other = right(&company);
    other.confirmations.remove(0);
    for proof in [right(&company), right(&company), other] {
        company.tell(Event::Proof(proof)).unwrap();
    }
    let openings = company.own().openings();
    assert_eq!(openings.len(), 3);
    assert!(openings.iter().all(|opening| *opening == openings[0]));
}

#[test]
fn a_member_that_is_not_in_the_set_confirms_and_opens_all_the_same() {
    let (mut company, roster) = dealt();
    let others: Vec<usize> = (0..4).filter(|node| *node != company.own).collect();
    company.deliver(&roster, &others);
    let proof = company.proof(&roster, &company.everybody());
    company.tell(Event::Proof(proof)).unwrap();
    assert_eq!(company.own().confirms().len(), 1);
    assert_eq!(company.own().openings().len(), 1);
}

/// After an attempt is over nothing of it is answered.
#[track_caller]
fn check_over(company: &mut Company, roster: &Roster, expected: AttemptOutcome) {
    let answered = company.own().sent.len();
    let delivery = company.delivery(roster, &[0, 1, 2, 3], company.own);
    let proof = Proof {
        attempt: roster.attempt().unwrap(),
        confirmations: Vec::new(),
    };
    let later = [
        Event::Roster(roster.clone(), fresh(9)),
        Event::Delivery(delivery),
        Event::Proof(proof),
    ];
    for event in later {
        company.tell(event).unwrap();
    }
    let refusals = company.own().refusals();
    let said = company.own().sent.len() - answered;
    let refused = &refusals[refusals.len() - 3..];
    assert_eq!(said, 3);
    assert!(
        refused.iter().all(|found| found.0 == RefusalCode::NotLive),
        "{refused:?}"
    );
    assert_eq!(outcome(company, 0, 0), Some(expected));
    let now = company.now;
    assert_eq!(company.own().spent(now), PRICE, "never refunded");
}

#[test]
fn an_end_closes_and_erases() {
    for (released, expected) in [
        (true, AttemptOutcome::Released),
        (false, AttemptOutcome::Failed),
    ] {
        let (mut company, roster) = dealt();
        let end = End {
            attempt: roster.attempt().unwrap(),
            released,
            release: Hash32::default(),
        };
        company.tell(Event::End(end)).unwrap();
        check_over(&mut company, &roster, expected);
    }
}

#[test]
fn an_attempt_of_which_nothing_is_heard_is_given_up() {
    let (mut company, roster) = dealt();
    company.pass(119_999);
    let refusals = company.own().refusals().len();
    company.pass(1);
    check_over(&mut company, &roster, AttemptOutcome::Unknown);
    assert_eq!(refusals, 0);
}

#[test]
fn a_withdrawn_or_expired_study_ends_its_attempt() {
    let (mut withdrawn, roster) = dealt();
    let (study, now) = (withdrawn.study, withdrawn.now);
    withdrawn.own().node.decide(now, study, false).unwrap();
    withdrawn.pass(0);
    let (mut expired, _) = dealt();
    expired.now = expired.terms.expires;
    expired.pass(1);
    for (mut company, code) in [
        (withdrawn, EndReason::Withdrawn),
        (expired, EndReason::Expired),
    ] {
        company
            .tell(Event::Roster(roster.clone(), fresh(9)))
            .unwrap();
        assert_eq!(
            company.own().refusals().pop().unwrap().0,
            RefusalCode::NotLive
        );
        assert_eq!(last_close(&mut company), AttemptOutcome::Unknown);
        let standing = company.own().node.ledger().standing(&study);
        assert_eq!(standing, Standing::Ended(code));
    }
}

#[test]
fn a_higher_attempt_erases_the_live_one_first() {
    let (mut company, roster) = dealt();
    company.ask_all(0, 1);
    check_over(&mut company, &roster, AttemptOutcome::Unknown);
    // The new one is not disturbed, and what is asked for below it is refused.
    let below = company.task(0, 0);
    company.tell(Event::Task(below, fresh(1))).unwrap();
    let second = company.roster_of(&company.everybody());
    company.show(&second);
    assert_eq!(company.own().shares().len(), 2);
    // Even one that is refused erases.
    let ask = company.task(7, 0);
    company.tell(Event::Task(ask, fresh(1))).unwrap();
    company.show(&second);
    let codes: Vec<_> = company
        .own()
        .refusals()
        .into_iter()
        .map(|found| found.0)
        .collect();
    let tail = &codes[codes.len() - 2..];
    assert_eq!(tail, [RefusalCode::TermsDiffer, RefusalCode::NotLive]);
}

#[test]
fn messages_of_no_attempt_name_the_study_where_it_is_known() {
    let mut company = company();
    let study = company.study;
    let known = attempt_id(&study, 1, 1);
    for attempt in [known, AttemptId([3; 32])] {
        let confirmations = Vec::new();
        let proof = Proof {
            attempt,
            confirmations,
        };
        company.tell(Event::Proof(proof)).unwrap();
    }
    let empty = Roster {
        adverts: Vec::new(),
    };
    company.tell(Event::Roster(empty, fresh(1))).unwrap();
    let refusals = company
        .own()
        .sent
        .iter()
        .filter_map(|message| match message {
            Outgoing::Refusal(refused) => Some((refused.refusal.study, refused.refusal.code)),
            _ => None,
        });
    let nobody = (StudyHash::default(), RefusalCode::NotLive);
    let expected = [(study, RefusalCode::NotLive), nobody, nobody];
    assert_eq!(refusals.collect::<Vec<_>>(), expected);
}

#[test]
fn after_a_restart_nothing_resumes_and_the_charge_is_lost() {
    let (mut company, roster) = dealt();
    let now = company.now;
    company.own().restart(now);
    check_over(&mut company, &roster, AttemptOutcome::Lost);
    let ask = company.task(0, 0);
    company.tell(Event::Task(ask, fresh(1))).unwrap();
    let refused = company.own().refusals().pop().unwrap();
    assert_eq!((refused.0, refused.1), (RefusalCode::AlreadyCharged, 0));
    company.aggregate(0, 1);
    assert_eq!(company.own().openings().len(), 1);
}

#[test]
fn an_attempt_that_was_not_charged_may_be_begun_again_with_another_key() {
    let mut company = company();
    company.ask_all(0, 0);
    let (now, ask) = (company.now, company.task(0, 0));
    company.own().restart(now);
    company.tell(Event::Task(ask, fresh(77))).unwrap();
    let adverts = company.own().adverts();
    assert_ne!(adverts[0].key, adverts[1].key);
    let roster = company.roster_of(&company.everybody());
    company.show(&roster);
    assert_eq!(company.own().shares().len(), 1);
}

/// Runs two sums among four, where the node under test dies once at one effect and comes back.
fn run_with_crash(fuse: usize, after: bool) -> (Company, bool) {
    let mut company = company();
    company.own().fuse = Some((fuse, after));
    let mut died = false;
    for round in 0..2 {
        company.ask_all(round, 0);
        died |= revive(&mut company);
        let there: Vec<usize> = (0..4)
            .filter(|node| company.nodes[*node].adverts().len() > round as usize)
            .collect();
        let roster = company.roster_of(&there);
        company.show(&roster);
        died |= revive(&mut company);
        let dealt: Vec<usize> = there
            .into_iter()
            .filter(|node| {
                let shares = company.nodes[*node].shares();
                shares
                    .iter()
                    .any(|shares| shares.roster == roster_hash(&roster))
            })
            .collect();
        company.deliver(&roster, &dealt);
        died |= revive(&mut company);
        let proof = company.proof(&roster, &[0, 1, 2, 3]);
        let now = company.now;
        for node in 0..4 {
            let _ = company.nodes[node].tell(now, Event::Proof(proof.clone()));
        }
        died |= revive(&mut company);
    }
    company.pass(2_000);
    (company, died)
}

fn revive(company: &mut Company) -> bool {
    let now = company.now;
    let own = company.own();
    let dead = own.fuse.is_some_and(|(left, _)| left > usize::MAX / 2);
    if dead {
        own.restart(now);
    }
    dead
}

#[test]
fn a1_crash_forgets_no_spend_of_shares() {
    for after in [false, true] {
        for fuse in 0.. {
            let (mut company, died) = run_with_crash(fuse, after);
            check_history(&mut company);
            if !died {
                assert!(fuse > 10, "the fuse covers both sums");
                break;
            }
        }
    }
}

/// What must hold whenever the process died.
#[track_caller]
fn check_history(company: &mut Company) {
    let (now, study) = (company.now, company.study);
    let own = company.own();
    let ledger = own.node.ledger();
    let charged = [0, 1].map(|round| ledger.charge(&study, round, 0).is_some());
    let count = charged.into_iter().filter(|charged| *charged).count() as u64;
    assert_eq!(
        own.spent(now),
        MicroRho(1_000 * count),
        "each attempt is paid once"
    );
    assert!(ledger.unclosed().len() <= 1, "what was under way is closed");
    for (round, charged) in (0..).zip(charged) {
        let id = attempt_id(&study, round, 0);
        let shares: Vec<_> = own
            .shares()
            .into_iter()
            .filter(|s| s.attempt == id)
            .collect();
        assert!(charged || shares.is_empty(), "no share without a charge");
        assert!(
            shares.windows(2).all(|pair| pair[0] == pair[1]),
            "byte-identical"
        );
        let confirms: Vec<_> = own
            .confirms()
            .into_iter()
            .filter(|c| c.attempt == id)
            .collect();
        assert!(confirms.len() <= 1 && confirms.len() <= shares.len());
    }
    let others = company.nodes.iter().filter(|node| node.key != public(NODE));
    for node in others {
        assert_eq!(node.openings().len(), 2, "three of four are enough");
    }
}

#[test]
fn a_disk_that_fails_stops_everything_before_it_is_sent() {
    for steps in 0..2 {
        let mut company = company();
        company.ask_all(0, 0);
        let roster = company.roster_of(&company.everybody());
        if steps == 1 {
            company.show(&roster);
        }
        company.own().fails = true;
        company.show(&roster);
        let delivery = match steps {
            0 => None,
            _ => Some(company.delivery(&roster, &[0, 1, 2, 3], company.own)),
        };
        let own = company.own().shares().len() + company.own().confirms().len();
        if let Some(delivery) = delivery {
            company.tell(Event::Delivery(delivery)).unwrap();
        }
        assert!(company.own().node.is_unfit());
        let said = company.own().shares().len() + company.own().confirms().len();
        assert_eq!(said, own, "nothing more");
        let ask = company.task(0, 1);
        company.tell(Event::Task(ask, fresh(1))).unwrap();
        assert_eq!(
            company.own().refusals().pop().unwrap().0,
            RefusalCode::Unfit
        );
    }
}

#[test]
fn failing_noise_ends_the_attempt_unpaid() {
    let mut company = company();
    let (study, terms) = (company.study, company.terms.rounds[0]);
    let kind = NoiseKind {
        sigma: terms.sigma_share,
        cells: terms.cells_max,
    };
    let now = company.now;
    company.own().restart(now);
    let own = company.own();
    let ask = Task {
        study,
        round: 0,
        attempt: 0,
        body: encode(&TaskBody::Synthetic(3)),
    };
    own.node.handle(now, Event::Task(ask, fresh(1)));
    let noise = None;
    own.node.handle(now, Event::Drawn { study, kind, noise });
    own.node
        .effects
        .retain(|effect| matches!(effect, Effect::Send(_)));
    assert_eq!(company.own().refusals(), []);
    company.pass(u64::from(company.terms.slot_ms));
    assert_eq!(
        company.own().refusals().pop().unwrap().0,
        RefusalCode::Unfit
    );
    assert_eq!(company.own().spent(now), MicroRho::ZERO);
}

#[test]
fn the_end_of_a_study_frees_the_rest_and_forgets_its_attempts() {
    let (mut company, roster) = dealt();
    let (study, outcome) = (company.study, StudyOutcome::Aborted);
    company
        .tell(Event::StudyEnd(StudyEnd { study, outcome }))
        .unwrap();
    company.tell(Event::Roster(roster, fresh(9))).unwrap();
    assert_eq!(
        company.own().refusals().pop().unwrap().0,
        RefusalCode::NotLive
    );
    let standing = company.own().node.ledger().standing(&study);
    assert_eq!(standing, Standing::Ended(EndReason::Aborted));
    assert!(company.own().node.ledger().unclosed().is_empty());
}

#[test]
fn a_large_study_adds_up_in_groups() {
    let terms = shared_synthetic(129, 1);
    let sizes: Vec<usize> = terms
        .groups()
        .into_iter()
        .map(|group| group.len())
        .collect();
    assert_eq!(sizes, [64, 65]);
    let mut company = Company::of(terms, Judges::STRICT);
    let ask = company.task(0, 0);
    company.tell(Event::Task(ask, fresh(1))).unwrap();
    company.pass(0);
    let place = company.own;
    let index = if place < 64 { place } else { place - 64 } as u16 + 1;
    assert_eq!(company.own().adverts()[0].index, index);
}

/// What the loss of one rule of the participant's own would do.
#[track_caller]
fn check_needed(
    judge: fn(Guard, bool) -> bool,
    script: fn(&mut Company),
    wrong: fn(&mut Company) -> bool,
) {
    for (checks, expected) in [(Checks::STRICT, false), (Checks::judged_by(judge), true)] {
        let judges = Judges {
            checks,
            ..Judges::STRICT
        };
        let mut company = Company::of(shared_synthetic(4, 2), judges);
        script(&mut company);
        assert_eq!(wrong(&mut company), expected);
    }
}

#[test]
fn each_rule_of_the_participant_is_needed() {
    // Shares leave although the charge is not on disk.
    check_needed(
        |guard, holds| holds || guard == Guard::ChargeFirst,
        |company| {
            company.ask_all(0, 0);
            company.own().held = Some(Vec::new());
            let roster = company.roster_of(&company.everybody());
            company.show(&roster);
        },
        |company| !company.own().shares().is_empty(),
    );
    // A confirmation leaves although the marks are not on disk.
    check_needed(
        |guard, holds| holds || guard == Guard::MarksFirst,
        |company| {
            company.ask_all(0, 0);
            let roster = company.roster_of(&company.everybody());
            company.show(&roster);
            company.own().held = Some(Vec::new());
            company.deliver(&roster, &[0, 1, 2, 3]);
        },
        |company| !company.own().confirms().is_empty(),
    );
    // A charged attempt is begun again, with another roster.
    check_needed(
        |guard, holds| holds || guard == Guard::RisingAttempt,
        |company| {
            company.aggregate(0, 0);
            let now = company.now;
            let (attempt, released, release) =
                (attempt_id(&company.study, 0, 0), false, Hash32::default());
            for node in &mut company.nodes {
                let end = End {
                    attempt,
                    released,
                    release,
                };
                node.tell(now, Event::End(end)).unwrap();
            }
            let ask = company.task(0, 0);
            company.tell(Event::Task(ask, fresh(77))).unwrap();
            company.pass(0);
        },
        |company| company.own().adverts().len() > 1,
    );
    // More is charged than was set aside.
    check_needed(
        |guard, holds| holds || guard == Guard::WithinBudget,
        |company| {
            for (round, attempt) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                company.ask_all(round, attempt);
                if company.own().adverts().len() == 4 || (round, attempt) != (1, 1) {
                    let roster = company.roster_of(&company.everybody());
                    company.tell(Event::Roster(roster, fresh(9))).unwrap();
                }
            }
        },
        |company| {
            let now = company.now;
            company.own().spent(now) > company.terms.urho_cap
        },
    );
    // A round has more attempts than the terms allow.
    check_needed(
        |guard, holds| holds || guard == Guard::TermsHold,
        |company| {
            let ask = company.task(0, 5);
            company.tell(Event::Task(ask, fresh(1))).unwrap();
            company.pass(0);
        },
        |company| !company.own().adverts().is_empty(),
    );
    // A peer whose ledger was put back takes part.
    check_needed(
        |guard, holds| holds || guard == Guard::PeerMarks,
        |company| {
            company.aggregate(0, 0);
            company.ask_all(1, 0);
            let peer = company.peer(0);
            let key = company.nodes[peer].key;
            let seed = (PEER..).find(|seed| public(*seed) == key).unwrap();
            let mut roster = company.roster_of(&company.everybody());
            roster.adverts[peer].ledger = Head::default();
            roster.adverts[peer] = signed(roster.adverts[peer].clone(), seed);
            company.tell(Event::Roster(roster, fresh(9))).unwrap();
        },
        |company| company.own().shares().len() > 1,
    );
}

#[test]
fn a_study_in_shared_noise_is_accepted_from_pinned_members_alone() {
    let terms = shared_synthetic(4, 2);
    let (_, offered) = crate::core::fixtures::offer(&terms);
    for known in [true, false] {
        let mut rules = crate::core::fixtures::rules();
        rules.policy.trust = crate::core::fixtures::pinned(&terms);
        if !known {
            rules.policy.trust.pins.pop_first();
        }
        let sign = crate::core::fixtures::sign();
        let now = crate::core::fixtures::NOW;
        let mut node = Participant::new(now, rules, Ledger::default(), sign, Judges::STRICT);
        node.handle(now, Event::Offer(offered.clone()));
        let mut verdicts = Vec::new();
        while let Some(effect) = node.poll_effect() {
            match effect {
                Effect::Journal(batch) => node.handle(now, Event::Journaled(batch.head)),
                Effect::Send(Outgoing::Decision(decision)) => verdicts.push(decision.verdict),
                _ => {}
            }
        }
        let refused = matches!(verdicts[0], Verdict::Refused(RefusalCode::NotPinned, _));
        let accepted = verdicts == [Verdict::Accepted];
        assert_eq!((accepted, refused), (known, !known));
    }
}
