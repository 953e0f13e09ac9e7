//! What a unit declares, and what is refused.

use aquifer_shared::domain::facts::declares_measures;
use aquifer_shared::domain::history::{Json, Kind};
use aquifer_shared::domain::law::{Basis, Category, Pack, Purposes, Rulebook, Set, vendored};

use super::*;

const PURPOSES: &str = include_str!("../../../shared/laws/examples/purposes.toml");
/// 2026-11-25.
const NOW: Timestamp = Timestamp(20_782 * 24 * 3_600 * 1_000);
pub(in crate::shell) const FACTS: &str = r#"
controller = "North"
controller_contact = "privacy@north.example"
processor = "Head office"
processor_contact = "data@example.org"
dpo = "dpo@north.example"
role = "controller"
authority = "the authority"
"#;

pub(in crate::shell) fn unit(transfer: Transfer) -> Gatekeeper {
    unit_under(vendored::packs().unwrap(), transfer)
}

fn unit_under(packs: Vec<Pack>, transfer: Transfer) -> Gatekeeper {
    let purposes = Purposes::parse(PURPOSES).unwrap();
    let book = Rulebook::new(packs, purposes).unwrap();
    let basis = [
        ("churn.score", Basis::Contract),
        ("churn.train", Basis::Consent),
    ];
    let people = People {
        controller: "DE".parse().unwrap(),
        place: "DE".parse().unwrap(),
        adult: true,
        transfer,
        basis: basis
            .map(|(own, basis)| (own.parse().unwrap(), basis))
            .into(),
        categories: Set::of(&[Category::Contract]),
        columns: Default::default(),
        dpia_current: Vec::new(),
        reviewers: Default::default(),
    };
    Gatekeeper::new(book, people)
}

fn facts(more: &str) -> FactsConfig {
    toml::from_str(&format!("{FACTS}{more}")).unwrap()
}

#[test]
fn purposes_with_a_basis_at_the_unit_are_declared_and_no_others() {
    let unit = unit(Transfer::Tool);
    let events = declared(Some(&facts("")), Some(&unit), NOW).unwrap();
    let said = |key: &str| -> Vec<&str> {
        let all = events.iter();
        all.filter_map(|event| event.payload.get(key)?.as_text())
            .collect()
    };
    let expected = ["rules", "parties", "purpose", "purpose", "measures"];
    assert_eq!(said("declares"), expected);
    assert_eq!(said("purpose"), ["churn.score", "churn.train"]);
    assert!(events.iter().all(|event| event.kind == Kind::PackLoaded));
    let text = events[3].payload.to_text();
    let basis = r#""bases":[{"basis":"consent","place":"DE"}]"#;
    assert!(text.contains(basis), "{text}");
    let transfer = "noisy sums from DE to the coordinator: tool";
    assert!(text.contains(transfer), "{text}");
    assert_ne!(events[4], declares_measures(&[]));
    assert_eq!(declared(None, Some(&unit), NOW).unwrap().len(), 1);
    assert!(declared(None, None, NOW).unwrap().is_empty());
}

/// A node starts on the day after a rule of the house has run out; what it declares says so.
#[test]
fn l4_where_no_rule_says_how_long_scores_are_kept_that_is_declared() {
    let ended = |(name, text): &(&str, &str)| {
        let text = match *name {
            "house.toml" => text.replace("valid_to = \"none\"", "valid_to = 2026-11-24"),
            _ => (*text).to_owned(),
        };
        Pack::parse(&text).unwrap()
    };
    let packs = vendored::PACKS.iter().map(ended).collect();
    let unit = unit_under(packs, Transfer::Within);
    let events = declared(Some(&facts("")), Some(&unit), NOW).unwrap();
    let days: Vec<&Json> = events
        .iter()
        .filter_map(|event| event.payload.get("retention_days"))
        .collect();
    assert_eq!(days, [&Json::Null; 2]);
}

#[track_caller]
fn check_refused(more: &str, with: bool, expected: &str) {
    let unit = with.then(|| unit(Transfer::Within));
    let fault = declared(Some(&facts(more)), unit.as_ref(), NOW).unwrap_err();
    let fault = fault.to_string();
    assert!(fault.contains("[facts] of node.toml"), "{fault}");
    assert!(fault.contains(expected), "{fault}");
}

#[test]
fn what_no_record_could_say_is_refused() {
    check_refused("", false, "there is no [people]");
    let basis = "[basis]\n\"churn.train\" = \"consent\"\n";
    check_refused(basis, true, "[people.basis]");
    check_refused("source = \"GDPR-certified\"\n", true, "gdpr-certified");
}

/// The example of the document is what is taken.
#[test]
fn the_document_shows_what_a_unit_declares() {
    let text = include_str!("../../../docs/facts.md");
    let (_, unit_part) = text.split_once("## At a unit").unwrap();
    let (_, rest) = unit_part.split_once("```toml\n[facts]\n").unwrap();
    let (section, _) = rest.split_once("\n```").unwrap();
    let shown: FactsConfig = toml::from_str(section).unwrap();
    let unit = unit(Transfer::Within);
    assert_eq!(declared(Some(&shown), Some(&unit), NOW).unwrap().len(), 5);
}
