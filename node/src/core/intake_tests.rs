//! Tables before the rules of law: what each purpose lets in, and what none covers.

use aquifer_shared::domain::law::{Category, Cause, Purposes, Rulebook, Set, vendored};

use super::*;
use crate::core::fixtures::gatekeeper;
use crate::core::gatekeeper::People;

/// 2026-11-26.
const TODAY: Timestamp = Timestamp(20_783 * 24 * 3_600 * 1_000);

const CONTRACT: &str = r#"
[contract]
name = "shop"
version = 1
[table.customers]
privacy_unit = "id"
label = { column = "churned", positive = "yes" }
[table.customers.column.plan]
levels = ["basic", "plus"]
[table.customers.column.tenure]
low = 0
high = 64
[table.orders]
privacy_unit = "id"
rows_per_group_max = 2
groups_per_unit_max = 2
size_band = [1, 9]
[table.orders.column.shop]
levels = ["north", "south"]
[table.orders.column.day]
first = 2024-01-01
last = 2024-12-31
"#;

fn contract() -> Contract {
    Contract::parse(CONTRACT).unwrap()
}

/// The sample unit's rules with other texts in its purposes and packs, and other declarations.
fn changed(
    purposes: impl Fn(&str) -> String,
    packs: impl Fn(&str) -> String,
    people: impl Fn(&mut People),
) -> Gatekeeper {
    let columns = r#"["tenure", "charges", "plan", "shop", "day"]"#;
    let text = include_str!("../../../shared/laws/examples/purposes.toml");
    let text = text.replace(r#"["tenure", "charges", "plan"]"#, columns);
    let packs = vendored::PACKS
        .map(|(_, text)| aquifer_shared::domain::law::Pack::parse(&packs(text)).unwrap());
    let mut own = gatekeeper().people().clone();
    people(&mut own);
    let declared = Purposes::parse(&purposes(&text)).unwrap();
    Gatekeeper::new(Rulebook::new(packs.into(), declared).unwrap(), own)
}

fn as_it_is(text: &str) -> String {
    text.to_owned()
}

fn causes(shut: Shut) -> Set<Cause> {
    match shut {
        Shut::Rules { refused, .. } => refused.0.causes(),
        Shut::Undeclared { table } => panic!("{table}"),
    }
}

#[track_caller]
fn check(gatekeeper: &Gatekeeper, wanted: &Wanted<'_>, expected: Result<&[&str], &[Cause]>) {
    match (gatekeeper.admit(wanted, TODAY), expected) {
        (Ok(intake), Ok(purposes)) => {
            let found: Vec<&str> = intake.purposes().map(Name::as_str).collect();
            assert_eq!(found, purposes);
            assert!(intake.covers(wanted));
        }
        (Err(shut), Err(expected)) => {
            let found = causes(shut);
            let all = expected.iter().all(|cause| found.contains(*cause));
            assert!(all && !found.is_empty(), "{found:?}");
        }
        (found, _) => panic!("{found:?}"),
    }
}

#[test]
fn l1_a_table_is_read_for_declared_purposes_of_its_kind() {
    let (gatekeeper, contract) = (changed(as_it_is, as_it_is, |_| {}), contract());
    let training = gatekeeper
        .admit(&Wanted::training(&contract), TODAY)
        .unwrap();
    assert!(training.is_for("churn.train"));
    assert!(!training.is_for("churn.query"), "another kind");
    assert!(!training.is_for("credit.score"));
    let orders = Wanted::published(contract.published("orders").unwrap());
    let asked = gatekeeper.admit(&orders, TODAY).unwrap();
    assert!(asked.is_for("churn.query") && !asked.is_for("churn.train"));
    assert!(!training.covers(&orders), "leave is for one table");
    let scoring = Wanted::scoring(&contract, "churn.score");
    check(&gatekeeper, &scoring, Ok(&["churn.score"]));
    let learning = Wanted::scoring(&contract, "churn.train");
    check(&gatekeeper, &learning, Err(&[Cause::PurposeUnknown]));
}

#[test]
fn what_no_purpose_covers_is_not_read() {
    let contract = contract();
    let (training, orders) = (
        Wanted::training(&contract),
        Wanted::published(contract.published("orders").unwrap()),
    );
    let narrow = changed(|text| text.replace("\"plan\", ", ""), as_it_is, |_| {});
    check(&narrow, &training, Err(&[Cause::ColumnNotAllowed]));
    let narrow = changed(|text| text.replace(", \"day\"", ""), as_it_is, |_| {});
    check(&narrow, &orders, Err(&[Cause::ColumnNotAllowed]));
    let other = changed(
        |text| text.replace("action = \"query\"", "action = \"score\""),
        as_it_is,
        |_| {},
    );
    check(&other, &orders, Err(&[Cause::PurposeUnknown]));
}

#[test]
fn purposes_share_a_table_for_analysts() {
    // Each lists a column of its own; together they list all.
    let split = |text: &str| {
        let mut purposes = text.split("[[purpose]]");
        let asks = purposes.find(|part| part.contains("id = \"churn.query\""));
        let asks = asks.unwrap();
        let purpose = |id: &str, column: &str| {
            let all = r#"["tenure", "charges", "plan", "shop", "day"]"#;
            let own = asks.replace(all, &format!("[{column:?}]"));
            format!("[[purpose]]{}", own.replace("churn.query", id))
        };
        [purpose("a.query", "shop"), purpose("b.query", "day")].concat()
    };
    let contract = contract();
    let orders = Wanted::published(contract.published("orders").unwrap());
    let both = changed(split, as_it_is, |_| {});
    check(&both, &orders, Ok(&["a.query", "b.query"]));
    let half = |text: &str| split(text).replace("[\"day\"]", "[\"shop\"]");
    let half = changed(half, as_it_is, |_| {});
    check(&half, &orders, Err(&[Cause::ColumnNotAllowed]));
}

#[test]
fn data_that_nobody_mapped_or_whose_law_has_run_out_is_not_read() {
    let contract = contract();
    let training = Wanted::training(&contract);
    let unmapped = changed(as_it_is, as_it_is, |own| {
        let unknown = Set::of(&[Category::Unknown]);
        own.columns.insert("plan".to_owned(), unknown);
    });
    check(&unmapped, &training, Err(&[Cause::CategoryUnknown]));
    let abroad = changed(as_it_is, as_it_is, |own| own.place = "JP".parse().unwrap());
    check(&abroad, &training, Err(&[Cause::PlaceUncovered]));
    let expired = |text: &str| match text.contains("id = \"gdpr\"") {
        true => text.replace("valid_to = \"none\"", "valid_to = 2026-11-25"),
        false => text.to_owned(),
    };
    let expired = changed(as_it_is, expired, |_| {});
    check(&expired, &training, Err(&[Cause::RuleStale]));
    let yesterday = Timestamp(TODAY.0 - 24 * 3_600 * 1_000);
    assert!(expired.admit(&training, yesterday).is_ok());
}

#[test]
fn the_history_hears_of_decisions_and_counts_nobody() {
    let contract = contract();
    let training = Wanted::training(&contract);
    let held = changed(as_it_is, as_it_is, |_| {});
    let intake = held.admit(&training, TODAY).unwrap();
    let decided: Vec<Event> = intake.decided().collect();
    assert_eq!(decided.len(), intake.purposes().count());
    let said = |event: &Event, field: &str| event.payload.get(field).cloned();
    let gate = said(&decided[0], "gate");
    assert_eq!(gate, Some(Json::from("ingest")));
    assert_eq!(said(&decided[0], "verdict"), Some(Json::from("allow")));
    let epoch: Name = "e1".parse().unwrap();
    let event = intake.registered(&contract, Some(&epoch));
    assert_eq!(event.kind, Kind::DatasetRegistered);
    assert_eq!(event.policy, held.book().digest());
    assert!(said(&event, "rows").is_none() && event.payload.to_payload().is_ok());
    let narrow = changed(|text| text.replace("\"plan\", ", ""), as_it_is, |_| {});
    let event = narrow.admit(&training, TODAY).unwrap_err().decided();
    let event = event.unwrap();
    assert_eq!(said(&event, "verdict"), Some(Json::from("deny")));
    assert_eq!(said(&event, "table"), Some(Json::from("customers")));
}
