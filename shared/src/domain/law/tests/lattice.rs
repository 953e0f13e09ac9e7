//! The join is a lattice, and never more permissive than what it joins.

use proptest::prelude::*;

use super::super::limits::Limits;
use super::*;

const PLACES: [&str; 6] = ["DE", "FR", "GB", "US-CA", "BR", "DK"];

/// What a vendored pack says, with some of its whole numbers and lists changed, at a place on a day.
fn limits() -> impl Strategy<Value = Limits> {
    let place = prop::sample::select(&PLACES[..]);
    let numbers = prop::collection::vec(any::<prop::sample::Index>(), 30);
    (0..5_usize, place, 0..4_000_i32, numbers).prop_map(|(which, place, later, picks)| {
        let (_, text) = vendored::PACKS[which];
        let mut changed = String::new();
        for (at, line) in text.lines().enumerate() {
            let pick = picks[at % picks.len()].index(9) as i64;
            let value = line
                .strip_prefix("value = ")
                .and_then(|value| value.replace('_', "").parse::<i64>().ok());
            match value {
                Some(value) if value > 0 && value < 22 => {
                    changed += &format!("value = {}\n", 8 + pick)
                }
                Some(value) => changed += &format!("value = {}\n", (value + pick - 4).max(1)),
                None if pick == 0 && line.starts_with("value = [\"health\"") => {
                    changed += "value = [\"health\"]\n"
                }
                None => changed += &format!("{line}\n"),
            }
        }
        let pack = Pack::parse(&changed).unwrap();
        Limits::of_pack(
            &pack,
            which as u8,
            place.parse().unwrap(),
            day("2018-01-01") + later,
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn l2_join_laws(a in limits(), b in limits(), c in limits()) {
        prop_assert_eq!(a.join(b), b.join(a));
        prop_assert_eq!(a.join(b).join(c), a.join(b.join(c)));
        prop_assert_eq!(a.join(a), a);
        prop_assert_eq!(a.join(Limits::NONE), a);
    }

    #[test]
    fn l2_never_more_permissive(a in limits(), b in limits()) {
        let both = a.join(b);
        prop_assert!(both.as_strict_as(&a) && both.as_strict_as(&b));
        for &key in Key::ALL {
            let values = [a.value(key), b.value(key)].into_iter().flatten();
            prop_assert_eq!(both.value(key).is_some(), values.count() > 0);
        }
    }
}

/// Adding a law never turns a no into a yes: what two packs allow together, each allows alone.
#[test]
fn l2_never_more_permissive_in_decisions() {
    let book = book();
    let cells = GOLDEN
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut joined = 0;
    for line in cells {
        let (kind, differs) = line.split(" | ").next().unwrap().split_once(' ').unwrap();
        for controller in ["DE", "GB", "US-CA", "BR"] {
            let both = decided(&book, kind, &format!("{differs} controller={controller}"));
            let first = differs
                .split_whitespace()
                .find_map(|pair| pair.strip_prefix("place="));
            let first = first.unwrap_or("DE").split(',').next().unwrap();
            let same = decided(&book, kind, &format!("{differs} controller={first}"));
            if both.verdict() == Verdict::Allow {
                assert_eq!(same.verdict(), Verdict::Allow, "{line} {controller}");
                joined += 1;
            }
        }
    }
    assert!(joined > 100, "{joined}");
}

#[test]
fn l2_it_is_told_which_law_bound_a_limit() {
    let bound = |differs: &str, key| {
        decided(&book(), "person", differs)
            .bound_by(key)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(bound("place=GB controller=DE", Key::MinAge), ["gdpr"]);
    assert_eq!(bound("place=GB controller=BR", Key::MinAge), ["lgpd"]);
    assert_eq!(bound("place=GB controller=GB", Key::MinAge), ["uk-gdpr"]);
    assert_eq!(
        bound("place=GB controller=US-CA", Key::MinAge),
        ["ccpa", "uk-gdpr"]
    );
    assert_eq!(bound("place=US-CA controller=DE", Key::Signals), ["ccpa"]);
    assert_eq!(
        bound("place=US-CA controller=BR", Key::ClockRequestDays),
        ["lgpd"]
    );
    assert_eq!(
        bound("place=US-CA controller=US-CA", Key::Automated),
        ["house"]
    );
    assert_eq!(
        bound("place=GB controller=DE", Key::CohortMinTrain),
        ["house"]
    );
}

fn with_rule(pack: &str, key: &str, value: u32) -> impl Fn(&str, &str) -> String {
    let rule = format!(
        "\n[[rule]]\nkey = \"{key}\"\nvalue = {value}\norigin = \"org_policy\"\nref = \"made up\"\nvalid_from = 2018-01-01\nvalid_to = \
         \"none\"\nreviewed_on = \"none\"\nreviewer = \"none\"\nsource_url = \"none\"\nconfidence = \"unchecked\"\n"
    );
    let pack = pack.to_owned();
    move |name, text| {
        if name == pack {
            format!("{text}{rule}")
        } else {
            text.to_owned()
        }
    }
}

#[test]
fn l2_a_minimum_above_a_maximum_is_denied() {
    let change = |low: u32, high: u32| {
        let (low, high) = (
            with_rule("gdpr.toml", "retention_min_days", low),
            with_rule("house.toml", "retention_max_days", high),
        );
        book_with(|name, text| high(name, &low(name, text)))
    };
    check_decided(&change(30, 30), "run", "", &[]);
    check_decided(&change(31, 30), "run", "", &[Cause::LimitsConflict]);
    check_decided(&change(31, 30), "run", "place=GB controller=GB", &[]);
    let grounds = decided(&change(31, 30), "run", "")
        .reasons()
        .remove(0)
        .grounds;
    let ids: Vec<&str> = grounds
        .iter()
        .map(|ground| ground.rule_id.as_str())
        .collect();
    assert_eq!(
        ids,
        [
            "gdpr/retention_min_days@2018-01-01",
            "house/retention_max_days@2018-01-01"
        ]
    );
}

#[test]
fn l2_two_packs_that_conflict_leave_nothing_allowed() {
    let none = book_with(|name, text| match name {
        "house.toml" => with_rule(name, "min_age", 21)(name, text),
        _ => text.to_owned(),
    });
    check_decided(&none, "person", "age=20", &[Cause::AgeBelow]);
    let prohibited = book_with(|name, text| match name {
        "uk-gdpr.toml" => text.replace("value = \"explicit_consent\"", "value = \"prohibited\""),
        _ => text.to_owned(),
    });
    let explicit = "purpose=care.train dpia=current categories=health consent=explicit";
    check_decided(&prohibited, "person", explicit, &[]);
    check_decided(
        &prohibited,
        "person",
        &format!("{explicit} controller=GB"),
        &[Cause::SensitiveProhibited],
    );
}
