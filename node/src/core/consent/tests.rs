//! Folding and cuts, with the real rules of law behind them. Tests are named by the ids of the features they show.

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::law::{
    About, Basis, Category, Dpia, Facts, Gate, Person, Place, Purpose, Purposes, Request, Rulebook,
    Set, Verdict, decide, vendored,
};
use proptest::prelude::*;

use super::*;

const DAY: i64 = 24 * 3_600 * 1_000;
/// 2026-11-25.
const NOW: i64 = 20_782 * DAY;
const PURPOSES: &str = include_str!("../../../../shared/laws/examples/purposes.toml");

/// A unit's register, its rules and its notices.
struct World {
    register: Register,
    book: Rulebook,
    notices: NoticeBook,
    defaults: Defaults,
}

impl World {
    fn new() -> Self {
        Self::with(Vec::new())
    }

    fn with(events: Vec<ConsentEvent>) -> Self {
        let purposes = Purposes::parse(PURPOSES).unwrap();
        let notice = |version: u32, material| Notice {
            id: "privacy".parse().unwrap(),
            version,
            lang: "de".into(),
            sha256: Hash32([version as u8; 32]),
            material,
            signer: (!material).then(|| "counsel".into()),
        };
        let notices = [
            notice(1, true),
            notice(2, true),
            notice(3, false),
            notice(4, true),
        ];
        let mut register = Register::default();
        register.take_all(events).unwrap();
        Self {
            register,
            book: Rulebook::new(vendored::packs().unwrap(), purposes).unwrap(),
            notices: NoticeBook::new(notices.into()).unwrap(),
            defaults: Defaults {
                place: Some("DE".parse().unwrap()),
                adult: true,
                basis: Some(Basis::Consent),
            },
        }
    }

    fn purpose(&self, id: &str) -> Purpose {
        self.book.purpose(id).unwrap().clone()
    }

    /// Whether a person is eligible for a purpose at a time, by a cut and by a look at the person alone.
    fn is_eligible(&mut self, person: u8, purpose: &str, at: i64) -> bool {
        let purpose = self.purpose(purpose);
        let gate = match purpose.action.to_string().as_str() {
            "train" => Gate::Train,
            "query" => Gate::Query,
            _ => Gate::Score,
        };
        let judge = |person: &Person| eligible(&self.book, gate, &purpose, person, at);
        let with = (&self.defaults, &self.notices);
        let cut = self.register.cut(&purpose, at, with, judge);
        let Some(subject) = self.register.known(reference(person)) else {
            return cut.without_events;
        };
        let alone = self.register.person(subject, &purpose, at, with);
        let in_cut = cut.eligible.get(subject as usize);
        assert_eq!(in_cut, eligible(&self.book, gate, &purpose, &alone, at));
        in_cut
    }

    fn take(&mut self, event: ConsentEvent) {
        self.register.take(&event).unwrap();
    }
}

fn eligible(book: &Rulebook, gate: Gate, purpose: &Purpose, person: &Person, at: i64) -> bool {
    let columns: Vec<&str> = purpose
        .features_allowed
        .iter()
        .map(String::as_str)
        .collect();
    let request = Request {
        gate,
        purpose: purpose.id.as_str(),
        columns: &columns,
        categories: Set::of(&[Category::Contract]),
        controller: Some("DE".parse::<Place>().unwrap()),
        export: false,
    };
    let facts = Facts {
        dpia: Dpia::Absent,
        reviewer: None,
        signers: None,
        about: About::Person(*person),
    };
    let now = Timestamp(u64::try_from(at).unwrap());
    decide(&request, &facts, book, now).verdict() == Verdict::Allow
}

pub(super) fn reference(person: u8) -> SubjectRef {
    SubjectRef(u128::from(person))
}

/// The purpose that events are about.
pub(super) fn purpose() -> Purpose {
    World::new().purpose("churn.train")
}

/// An event of person 1 about learning, under the notice that is current.
pub(super) fn event(kind: EventKind, event_at: i64) -> ConsentEvent {
    ConsentEvent {
        subject: reference(1),
        scope: Scope::of_word("churn.train").unwrap(),
        kind,
        explicit: false,
        notice: Some(2),
        event_at,
        recorded_at: event_at,
        valid_from: None,
        valid_until: None,
        age: AgeSaid::Unsaid,
        place: None,
        order: 7,
    }
}

#[track_caller]
fn check(events: Vec<ConsentEvent>, expected: bool) {
    let mut world = World::with(events.clone());
    assert_eq!(world.is_eligible(1, "churn.train", NOW), expected);
    // One after the other comes to the same.
    let mut world = World::new();
    for event in events {
        world.take(event);
        world.is_eligible(1, "churn.train", NOW);
    }
    assert_eq!(world.is_eligible(1, "churn.train", NOW), expected);
}

use EventKind::{
    Expired, Given, Invalidated, Objected, ObjectionWithdrawn, OptOutSignal, ParentalGiven,
    Refused, Renewed, Requested, TerminatedByController, Withdrawn,
};

#[test]
fn consent_counts_from_its_grant_to_its_end() {
    check(vec![], false);
    check(vec![event(Requested, NOW - DAY)], false);
    for grant in [Given, Renewed] {
        check(vec![event(grant, NOW - DAY)], true);
        for end in [
            Refused,
            Withdrawn,
            Expired,
            Invalidated,
            TerminatedByController,
        ] {
            check(
                vec![event(grant, NOW - 2 * DAY), event(end, NOW - DAY)],
                false,
            );
            check(
                vec![event(end, NOW - 2 * DAY), event(grant, NOW - DAY)],
                true,
            );
        }
    }
}

#[test]
fn c2_withdrawn_is_in_no_later_cut() {
    let mut world = World::with(vec![event(Given, NOW - 9 * DAY)]);
    assert!(world.is_eligible(1, "churn.train", NOW));
    world.take(event(Withdrawn, NOW + 1_000));
    assert!(
        world.is_eligible(1, "churn.train", NOW),
        "earlier cuts stay as they were"
    );
    for later in [1_000, 2_000, DAY, 300 * DAY] {
        assert!(!world.is_eligible(1, "churn.train", NOW + later), "{later}");
    }
}

#[test]
fn c2_withdrawn_ahead_of_time_counts_at_once() {
    for kind in [Withdrawn, Objected] {
        let mut ahead = event(kind, NOW + 40_000);
        ahead.recorded_at = NOW;
        check(vec![event(Given, NOW - DAY), ahead.clone()], false);
        let mut given = event(Given, NOW + 20_000);
        given.recorded_at = NOW;
        let mut world = World::with(vec![given, ahead]);
        for later in [0, 30_000, 50_000] {
            assert!(!world.is_eligible(1, "churn.train", NOW + later), "{later}");
        }
    }
}

#[test]
fn c2_tie_goes_to_withdrawal() {
    for order in [1, 7, 9] {
        let mut withdrawn = event(Withdrawn, NOW - DAY);
        withdrawn.order = order;
        check(vec![event(Given, NOW - DAY), withdrawn.clone()], false);
        check(vec![withdrawn, event(Given, NOW - DAY)], false);
        let mut objected = event(Objected, NOW - DAY);
        objected.order = order;
        let lifted = event(ObjectionWithdrawn, NOW - DAY);
        check(vec![event(Given, NOW - 2 * DAY), objected, lifted], false);
    }
}

#[test]
fn c2_old_consent_never_revives() {
    let given = event(Given, NOW - 9 * DAY);
    let withdrawn = event(Withdrawn, NOW - 5 * DAY);
    // An old consent that is imported after the withdrawal.
    let mut late = event(Given, NOW - 7 * DAY);
    late.recorded_at = NOW - DAY;
    check(vec![given.clone(), withdrawn.clone(), late], false);
    let objected = event(Objected, NOW - 4 * DAY);
    let lifted = event(ObjectionWithdrawn, NOW - 3 * DAY);
    check(vec![given, withdrawn, objected, lifted], false);
}

#[test]
fn what_is_not_written_down_yet_does_not_count() {
    let mut late = event(Given, NOW - 7 * DAY);
    late.recorded_at = NOW + DAY;
    let mut world = World::with(vec![late]);
    assert!(!world.is_eligible(1, "churn.train", NOW));
    assert!(world.is_eligible(1, "churn.train", NOW + DAY));
}

#[test]
fn consent_has_an_end_of_its_own() {
    let mut given = event(Given, NOW - 9 * DAY);
    given.valid_until = Some(NOW + DAY);
    let mut world = World::with(vec![given.clone()]);
    assert!(world.is_eligible(1, "churn.train", NOW));
    assert!(!world.is_eligible(1, "churn.train", NOW + DAY));
    given.valid_from = Some(NOW + 1);
    let mut world = World::with(vec![given]);
    assert!(!world.is_eligible(1, "churn.train", NOW));
    assert!(world.is_eligible(1, "churn.train", NOW + 1));
    // House rule: consent is asked for again after 24 months.
    check(vec![event(Given, NOW - 800 * DAY)], false);
}

/// What is kept from cut to cut is what a look at each person alone would say, through terms that begin and end, events that come late, and a
/// clock that is set back.
#[test]
fn cuts_that_follow_one_another_are_as_from_nothing() {
    let mut seed = 1_u64;
    let mut draw = move |below: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((seed >> 33) as i64) % below
    };
    let kinds = [Given, Given, Given, Withdrawn, Objected, ObjectionWithdrawn];
    let mut world = World::with(vec![event(Given, NOW - 9 * DAY)]);
    let (mut at, mut seen) = (NOW, [0, 0]);
    for step in 0..2_000 {
        at += draw(DAY / 4);
        if step % 500 == 499 {
            at -= 30 * DAY;
        }
        for order in 0..draw(3) as u64 {
            let mut happens = event(kinds[draw(6) as usize], at - draw(2 * DAY) + DAY / 2);
            happens.subject = reference(draw(9) as u8);
            happens.recorded_at = happens.event_at.max(at);
            happens.order = order;
            happens.valid_from = (draw(3) == 0).then(|| happens.event_at + draw(DAY));
            happens.valid_until = (draw(3) == 0).then(|| happens.event_at + DAY + draw(9 * DAY));
            world.take(happens);
        }
        for person in 0..9 {
            seen[usize::from(world.is_eligible(person, "churn.train", at))] += 1;
        }
    }
    assert!(seen.iter().all(|times| *times > 1_000), "{seen:?}");
}

#[test]
fn c3_objector_is_in_no_cut() {
    let given = event(Given, NOW - 9 * DAY);
    for block in [Objected, OptOutSignal] {
        check(vec![given.clone(), event(block, NOW - DAY)], false);
        // A consent after an objection does not lift it.
        check(vec![event(block, NOW - 10 * DAY), given.clone()], false);
    }
    let lifted = event(ObjectionWithdrawn, NOW - DAY / 2);
    check(
        vec![given.clone(), event(Objected, NOW - DAY), lifted.clone()],
        true,
    );
    check(
        vec![
            given.clone(),
            event(OptOutSignal, NOW - DAY),
            lifted.clone(),
        ],
        false,
    );
    let mut everything = event(Objected, NOW - DAY);
    everything.scope = Scope::All;
    check(vec![given.clone(), everything, lifted], false);
    let mut other = event(Objected, NOW - DAY);
    other.scope = Scope::of_word("churn.query").unwrap();
    check(vec![given, other], true);
}

#[test]
fn an_objection_counts_whatever_the_basis() {
    let mut world = World::with(vec![event(Objected, NOW - DAY)]);
    world.defaults.basis = Some(Basis::Contract);
    assert!(!world.is_eligible(1, "churn.train", NOW));
    assert!(
        world.is_eligible(2, "churn.train", NOW),
        "a customer without events"
    );
    world.defaults.basis = None;
    assert!(
        !world.is_eligible(2, "churn.train", NOW),
        "an unknown basis"
    );
}

#[test]
fn an_objection_to_direct_marketing_is_about_every_such_purpose() {
    let marketing: Vec<String> = {
        let world = World::new();
        let purposes = world.book.purposes().iter();
        let marketing = purposes.filter(|purpose| purpose.direct_marketing);
        marketing.map(|purpose| purpose.id.to_string()).collect()
    };
    assert!(!marketing.is_empty(), "the examples have such a purpose");
    for purpose in marketing {
        let scoped = |kind, scope: &str| {
            let mut event = event(kind, NOW - DAY);
            event.scope = Scope::of_word(scope).unwrap();
            event.notice = Some(3);
            event.explicit = true;
            event
        };
        let given = scoped(Given, &purpose);
        let mut world = World::with(vec![given.clone()]);
        let before = world.is_eligible(1, &purpose, NOW);
        world.take(scoped(Objected, "direct_marketing"));
        assert!(
            !world.is_eligible(1, &purpose, NOW),
            "{purpose}, before {before}"
        );
        let mut train = event(Given, NOW - DAY);
        train.order = 9;
        world.take(train);
        assert!(
            world.is_eligible(1, "churn.train", NOW),
            "is no direct marketing"
        );
    }
}

#[test]
fn c5_material_change_voids() {
    // The purpose asks for version 3; version 2 says as much, as 3 changed nothing.
    let shown = |number| {
        let mut given = event(Given, NOW - DAY);
        given.notice = number;
        given
    };
    check(vec![shown(Some(0))], false);
    check(vec![shown(Some(3))], true);
}

#[test]
fn c5_cosmetic_change_keeps() {
    let mut given = event(Given, NOW - DAY);
    given.notice = Some(1);
    check(vec![given], true);
}

#[test]
fn c5_unknown_hash_denies() {
    let world = World::new();
    assert_eq!(world.notices.number(&Hash32([9; 32])), None);
    let mut given = event(Given, NOW - DAY);
    given.notice = None;
    check(vec![given], false);
}

#[test]
fn c5_who_calls_a_change_cosmetic_signs() {
    let notice = |material, signer: Option<&str>| Notice {
        id: "privacy".parse().unwrap(),
        version: 2,
        lang: "de".into(),
        sha256: Hash32([1; 32]),
        material,
        signer: signer.map(str::to_owned),
    };
    assert!(NoticeBook::new(vec![notice(true, None)]).is_ok());
    assert!(NoticeBook::new(vec![notice(false, Some("counsel"))]).is_ok());
    let unsigned = NoticeBook::new(vec![notice(false, None)]).unwrap_err();
    assert!(matches!(unsigned, NoticeFault::Unsigned { version: 2, .. }));
    let twice = NoticeBook::new(vec![notice(true, None), notice(true, None)]).unwrap_err();
    assert!(matches!(twice, NoticeFault::Twice { .. }));
    let mut english = notice(true, None);
    english.lang = "en".into();
    let torn = NoticeBook::new(vec![notice(false, Some("counsel")), english]).unwrap_err();
    assert!(matches!(torn, NoticeFault::Torn { .. }));
}

#[test]
fn c6_unknown_age_denies() {
    let aged = |age| {
        let mut given = event(Given, NOW - DAY);
        given.age = age;
        given
    };
    let check = |given: ConsentEvent, expected| {
        let mut world = World::with(vec![given]);
        world.defaults.adult = false;
        assert_eq!(world.is_eligible(1, "churn.train", NOW), expected);
    };
    check(aged(AgeSaid::Unsaid), false);
    check(aged(AgeSaid::Minor), false);
    check(aged(AgeSaid::Adult), true);
    check(aged(AgeSaid::MinorWithGuardian), true);
    check(event(ParentalGiven, NOW - DAY), true);
}

#[test]
fn where_a_person_lives_decides_which_law_holds() {
    let living = |place: &str| {
        let mut given = event(Given, NOW - DAY);
        given.place = Some(place.parse().unwrap());
        given
    };
    check(vec![living("FR")], true);
    // No pack covers it.
    check(vec![living("JP")], false);
}

fn any_event() -> impl Strategy<Value = ConsentEvent> {
    let kind = prop::sample::select(EventKind::ALL);
    let scope = prop::sample::select(vec![
        "churn.train",
        "churn.query",
        "direct_marketing",
        "all",
    ]);
    (kind, scope, 0_i64..6, 0_i64..6, 0_u64..4, 1_u8..4).prop_map(
        |(kind, scope, at, late, order, person)| {
            let mut event = event(kind, NOW - at * DAY);
            event.scope = Scope::of_word(scope).unwrap();
            event.subject = reference(person);
            event.recorded_at += late * DAY / 8;
            event.order = order;
            event.notice = Some((order % 4) as u16);
            event
        },
    )
}

proptest! {
    /// Events of one moment and kind are told apart by their order; two that are equal in that are one event, which the ledger keeps once.
    #[test]
    fn c2_import_order_is_irrelevant(events in prop::collection::vec(any_event(), 0..24), turn in any::<prop::sample::Index>()) {
        let mut unique: Vec<ConsentEvent> = Vec::new();
        for event in events {
            let same = |other: &ConsentEvent| {
                (other.subject, other.event_at, other.kind.precedence(), other.order)
                    == (event.subject, event.event_at, event.kind.precedence(), event.order)
            };
            if !unique.iter().any(same) {
                unique.push(event);
            }
        }
        let mut turned = unique.clone();
        if !turned.is_empty() {
            let place = turn.index(turned.len());
            turned.rotate_left(place);
        }
        let mut reversed = World::new();
        for event in unique.iter().rev() {
            reversed.take(event.clone());
        }
        let mut worlds = [World::with(unique), World::with(turned), reversed];
        for person in 1..4 {
            for at in [NOW - 3 * DAY, NOW - DAY, NOW, NOW + DAY] {
                let found = worlds.each_mut().map(|world| world.is_eligible(person, "churn.train", at));
                prop_assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
            }
        }
    }

    /// Words of files and numbers of the ledger stand for one kind each.
    #[test]
    fn kinds_have_one_word_and_one_number(number in any::<u8>()) {
        if let Some(kind) = EventKind::of_number(number) {
            prop_assert_eq!(kind.number(), number);
            prop_assert_eq!(EventKind::of_word(kind.word()), Some(kind));
        }
    }
}
