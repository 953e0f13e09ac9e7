//! Every rule of the terms, kept and broken.

use super::super::{Gate, HoldOut, Outside, Plan, groups};
use super::*;
use crate::base::ids::{Hash32, IdentityKey, Name};
use crate::base::limits::{GROUP_MAX, SHARES_BYTES_MAX};
use crate::base::time::Timestamp;

fn key(member: usize) -> IdentityKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(member as u64 + 1).to_be_bytes());
    IdentityKey(bytes)
}

fn round(cells_max: u32, share: NoiseShare) -> RoundTerms {
    let (delta_sq, urho) = (851_968, MicroRho(3_361));
    RoundTerms {
        part: Part::Training,
        cells_max,
        cell_abs_max: 256,
        delta_sq,
        urho,
        sigma_share: share.scale(delta_sq, urho).unwrap(),
    }
}

/// A study of one round in node-noise.
fn own(members: usize) -> StudyTerms {
    let name = |text: &str| text.parse::<Name>().unwrap();
    StudyTerms {
        version: SUM_VERSION,
        study_id: [1; 16],
        name: name("study"),
        family: name("family"),
        purpose: name("purpose"),
        contract_name: name("contract"),
        contract_version: 1,
        contract_hash: Hash32([2; 32]),
        plan: Plan::Synthetic {
            cells: 350,
            rounds: 1,
        },
        mode: TrustMode::NodeNoise,
        roster: (0..members).map(key).collect(),
        d_max: 0,
        c_max: 0,
        multiplicity: 1,
        rounds: vec![round(350, NoiseShare::OWN)],
        attempts_max: 2,
        urho_cap: MicroRho(3_361),
        urho: MicroRho(3_361),
        delta: 1e-6.try_into().unwrap(),
        population: 10_000,
        customers_max: 1_000,
        holdout: HoldOut::Fraction(150_000),
        slot_ms: 20,
        phase_ms: 2_000,
        attempt_ttl_ms: 120_000,
        expires: Timestamp(1),
        quorum: members as u16,
        gate: Gate::Open,
        expected_gain_ppm: 0,
        synthetic: true,
    }
}

/// The same in shared-noise, with these tolerances.
fn shared_with(members: usize, d_max: u16, c_max: u16, cells: u32) -> StudyTerms {
    let mut terms = own(members);
    (terms.mode, terms.d_max, terms.c_max) = (TrustMode::SharedNoise, d_max, c_max);
    let all = groups(members);
    let absent = all.len() * usize::from(d_max);
    terms.quorum = (members - absent) as u16;
    terms.rounds = vec![round(cells, terms.noise_share().unwrap_or(NoiseShare::OWN))];
    terms
}

/// With the usual tolerances of the smallest group.
fn shared(members: usize, cells: u32) -> StudyTerms {
    let smallest = groups(members).iter().map(|group| group.len()).min();
    let smallest = smallest.unwrap();
    let (d, c) = (
        Thresholds::usual_absent(smallest),
        Thresholds::usual_colluders(smallest),
    );
    shared_with(members, d, c, cells)
}

#[track_caller]
fn check_broken(mut terms: StudyTerms, change: impl FnOnce(&mut StudyTerms), expected: &str) {
    assert_eq!(terms.check(), Ok(()));
    change(&mut terms);
    let found = terms.check().unwrap_err().to_string();
    assert!(found.contains(expected), "{found}");
}

#[test]
fn both_modes_are_valid_for_every_roster_that_they_take() {
    for members in [1, 2, 3, 4, 8, 1_024] {
        assert_eq!(own(members).check(), Ok(()), "{members}");
    }
    for members in (4..=260).chain([1_000, 1_024]) {
        assert_eq!(shared(members, 350).check(), Ok(()), "{members}");
    }
}

#[test]
fn node_noise_has_no_tolerances() {
    check_broken(own(8), |terms| terms.d_max = 2, "d_max is 2, expected 0");
    check_broken(own(8), |terms| terms.c_max = 1, "c_max is 1, expected 0");
    check_broken(own(8), |terms| terms.quorum = 9, "quorum is 9");
    check_broken(own(8), |terms| terms.roster.clear(), "members is 0");
}

#[test]
fn shared_noise_has_tolerances_that_fit_every_group() {
    let few = |terms: &mut StudyTerms| terms.roster.truncate(3);
    check_broken(shared(4, 350), few, "expected 4 to 1024 in shared-noise");
    let many = |terms: &mut StudyTerms| terms.roster = (0..1_025).map(key).collect();
    check_broken(shared(8, 350), many, "expected 4 to 1024 in shared-noise");
    check_broken(shared(8, 350), |terms| terms.c_max = 0, "c_max is 0");
    check_broken(shared(8, 350), |terms| terms.d_max = 4, "8 members cannot");
    check_broken(shared(8, 350), |terms| terms.c_max = 4, "8 members cannot");
    // 64 and 65 members: what fits 65 must fit 64 as well.
    assert_eq!(shared_with(129, 31, 1, 350).check(), Ok(()));
    let odd = |terms: &mut StudyTerms| terms.d_max = 32;
    check_broken(shared_with(129, 31, 1, 350), odd, "64 members cannot");
}

#[test]
fn the_quorum_of_shared_noise_follows_from_its_tolerances() {
    assert_eq!(shared(8, 350).quorum, 6);
    assert_eq!(shared(1_000, 350).quorum, 8 * (125 - 31));
    let fewer = |terms: &mut StudyTerms| terms.quorum = 5;
    check_broken(
        shared(8, 350),
        fewer,
        "quorum is 5; in shared-noise it follows from d_max: 6",
    );
    let more = |terms: &mut StudyTerms| terms.quorum = 8;
    check_broken(shared(8, 350), more, "quorum is 8");
}

#[test]
fn scales_are_those_of_the_honest_shares() {
    assert_eq!(shared(8, 350).rounds[0].sigma_share, 5_035);
    assert_eq!(own(8).rounds[0].sigma_share, 11_259);
    let less = |terms: &mut StudyTerms| terms.rounds[0].sigma_share -= 1;
    check_broken(shared(8, 350), less, "5034, the rule gives 5035");
    let whole = |terms: &mut StudyTerms| terms.rounds[0].sigma_share = 11_259;
    check_broken(shared(8, 350), whole, "11259, the rule gives 5035");
    // One more colluder, one honest share less: the old scale is too small.
    let colluder = |terms: &mut StudyTerms| (terms.d_max, terms.c_max) = (2, 2);
    check_broken(shared(8, 350), colluder, "the rule gives 5630");
    // A customer at two nodes moves a common sum twice as far; in node-noise each copy has noise of its own.
    let copies = |terms: &mut StudyTerms| terms.multiplicity = 2;
    check_broken(shared(8, 350), copies, "the rule gives 10070");
    let mut twice = own(8);
    twice.multiplicity = 2;
    assert_eq!(twice.check(), Ok(()));
    let dear = |terms: &mut StudyTerms| terms.rounds[0].urho = MicroRho(1 << 40);
    check_broken(shared(8, 350), dear, "outside 16..2^36");
}

#[test]
fn the_scale_of_groups_is_that_of_the_smallest() {
    let terms = shared(129, 350);
    let sizes = groups(129).into_iter().map(|group| group.len());
    assert_eq!(sizes.collect::<Vec<_>>(), [64, 65]);
    assert_eq!(terms.honest(), Some(64 - 16 - 8));
    assert_eq!(shared(1_000, 350).honest(), Some(125 - 31 - 15));
}

#[test]
fn what_a_member_deals_fits_a_record_and_a_message() {
    assert_eq!(shared(4, 524_286).check(), Ok(()));
    let wider = |terms: &mut StudyTerms| terms.rounds[0].cells_max += 1;
    check_broken(shared(4, 524_286), wider, "524287 blocks a member");
    // Much tolerance leaves few cells to a block: 127 records of a million cells would be two messages.
    let strict = shared_with(128, 32, 63, 456_000);
    let million = |terms: &mut StudyTerms| terms.rounds[0].cells_max = 1 << 20;
    check_broken(strict, million, "128 members make 61681 blocks a member");
    // The usual tolerances carry a million cells from 5 members on.
    for members in 5..=GROUP_MAX {
        assert_eq!(shared(members, 1_000_000).check(), Ok(()), "{members}");
    }
}

#[test]
fn the_largest_message_of_shares_is_nearly_full() {
    let terms = shared_with(128, 32, 63, 456_000);
    let group = terms.thresholds(128).unwrap();
    let blocks = group.blocks(456_000);
    let bytes = SHARES_HEAD_BYTES + 127 * (8 * blocks + SHARE_HEAD_BYTES);
    assert!(bytes <= SHARES_BYTES_MAX && bytes > SHARES_BYTES_MAX - (1 << 18));
}

#[test]
fn sums_stay_in_range() {
    let wide = |terms: &mut StudyTerms| terms.customers_max = 1 << 43;
    check_broken(shared(8, 350), wide, "at most 2^50 / customers_max");
    let zero = |terms: &mut StudyTerms| terms.rounds[0].cell_abs_max = 0;
    check_broken(shared(8, 350), zero, "cell_abs_max is 0");
    let none = |terms: &mut StudyTerms| terms.rounds[0].cells_max = 0;
    check_broken(shared(8, 350), none, "cells_max is 0");
}

#[test]
fn attempts_caps_and_order_are_bounded_in_both_modes() {
    for terms in [own(8), shared(8, 350)] {
        let check = |change: fn(&mut StudyTerms), expected| {
            check_broken(terms.clone(), change, expected);
        };
        check(|terms| terms.version = 2, "version is 2");
        check(|terms| terms.attempts_max = 5, "attempts_max is 5");
        check(|terms| terms.urho_cap = MicroRho(3_360), "urho_cap is 3360");
        check(
            |terms| terms.urho_cap = MicroRho(URHO_MAX + 1),
            "urho_cap is",
        );
        check(|terms| terms.roster.swap(0, 1), "not strictly rising");
        check(|terms| terms.rounds.clear(), "number of rounds is 0");
        check(|terms| terms.multiplicity = 0, "multiplicity is 0");
        check(|terms| terms.multiplicity = 65, "multiplicity is 65");
    }
}

#[test]
fn an_attempt_lives_ten_minutes_at_most_and_its_phases_within() {
    for terms in [own(8), shared(8, 350)] {
        let mut longest = terms.clone();
        (longest.attempt_ttl_ms, longest.phase_ms) = (600_000, 600_000);
        assert_eq!(longest.check(), Ok(()));
        let forever = |terms: &mut StudyTerms| terms.attempt_ttl_ms = u32::MAX;
        check_broken(terms.clone(), forever, "attempt_ttl_ms is 4294967295");
        let longer = |terms: &mut StudyTerms| terms.attempt_ttl_ms = 600_001;
        check_broken(terms.clone(), longer, "expected 1 to 600000");
        let none = |terms: &mut StudyTerms| terms.attempt_ttl_ms = 0;
        check_broken(terms.clone(), none, "attempt_ttl_ms is 0");
        let later = |terms: &mut StudyTerms| terms.phase_ms = 120_001;
        check_broken(terms.clone(), later, "phase_ms is 120001");
        let at_once = |terms: &mut StudyTerms| terms.phase_ms = 0;
        check_broken(terms.clone(), at_once, "phase_ms is 0");
    }
}

/// A standing study under which questions cost this by default and at most.
fn standing_with(default: u64, most: u64) -> StudyTerms {
    let mut terms = own(8);
    let (name, expires) = (terms.name.clone(), terms.expires);
    terms.plan = Plan::Question {
        question: Vec::new(),
        data: Vec::new(),
        standing: Standing {
            id: terms.study_id,
            name,
            tables: vec!["orders".to_owned()],
            urho_question_max: MicroRho(most),
            urho_question_default: MicroRho(default),
            urho_max: MicroRho(10_000),
            urho_share: MicroRho(10_000),
            window: Default::default(),
            cohort_floor: 50,
            expires,
        },
    };
    (terms.slot_ms, terms.phase_ms) = (0, 0);
    terms.rounds.clear();
    terms
}

#[test]
fn a_question_without_a_price_is_within_the_price_of_one_with_all_its_attempts() {
    assert_eq!(standing_with(1_000, 2_000).check(), Ok(()));
    let check = |default, most| {
        let dear = |terms: &mut StudyTerms| *terms = standing_with(default, most);
        let expected = "with all its attempts at most the price of one question";
        check_broken(standing_with(1, 2_000), dear, expected);
    };
    check(1_001, 2_000);
    check(2_000, 2_000);
}

#[test]
fn a_question_goes_by_the_name_that_was_signed() {
    let mut asked = standing_with(1_000, 2_000);
    asked.rounds = vec![round(350, NoiseShare::OWN)];
    asked.urho_cap = MicroRho(2_000);
    assert_eq!(asked.standing().unwrap().name, asked.name);
    asked.name = "anything".parse().unwrap();
    assert_eq!(asked.standing(), Err(Outside::Name));
}
