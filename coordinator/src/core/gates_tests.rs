//! Studies, questions, releases and predictions before the rules of law, one declaration changed at a time.

use aquifer_shared::domain::law::Cause;
use aquifer_shared::domain::law::exception::Exception;
use aquifer_shared::domain::sum::TrustMode;

use super::*;
use crate::core::fixtures::terms;
use crate::core::gates_fixtures::{CONTRACT, TODAY, declared, gates, gates_with, purposes};

fn contract() -> Contract {
    Contract::parse(CONTRACT).unwrap()
}

/// A study of the predictor for a purpose.
fn study(purpose: &str) -> StudyTerms {
    let mut terms = terms();
    terms.plan = Plan::Additive {
        clip: 4_096,
        rounds: 2,
    };
    terms.purpose = purpose.parse().unwrap();
    terms.customers_max = 1_000;
    terms
}

fn causes<T>(decided: Result<T, Denied>) -> Vec<Cause> {
    match decided {
        Ok(_) => Vec::new(),
        Err(denied) => {
            let decision = denied.decision().expect("rules are declared");
            decision.causes().iter().collect()
        }
    }
}

#[track_caller]
fn check_study(gates: &Gates, terms: &StudyTerms, epsilon: f64, expected: &[Cause]) {
    let decided = gates.study(terms, &contract(), epsilon, TODAY);
    assert_eq!(causes(decided), expected);
}

#[test]
fn a_study_runs_for_a_declared_purpose_of_training_and_no_other() {
    let gates = gates();
    check_study(&gates, &study("churn.train"), 1.0, &[]);
    check_study(&gates, &study("churn.query"), 1.0, &[Cause::WrongAction]);
    check_study(&gates, &study("churn.score"), 1.0, &[Cause::WrongAction]);
    check_study(&gates, &study("else.train"), 1.0, &[Cause::PurposeUnknown]);
}

#[test]
fn a_relabelled_purpose_is_refused() {
    // The name of a purpose is cheap: its columns and its target are held against those of the contract.
    let other = purposes().replace("target = \"left\"", "target = \"moved\"");
    let gates = gates_with(&other, declared(), |_, text| text.to_owned());
    check_study(
        &gates,
        &study("churn.train"),
        1.0,
        &[Cause::ColumnNotAllowed],
    );
    let fewer = purposes().replace("\"tenure\", ", "");
    let gates = gates_with(&fewer, declared(), |_, text| text.to_owned());
    check_study(
        &gates,
        &study("churn.train"),
        1.0,
        &[Cause::ColumnNotAllowed],
    );
    assert!(causes(gates.score(&contract(), TODAY)).contains(&Cause::ColumnNotAllowed));
}

#[test]
fn declared_figures_are_held_against_the_house() {
    let gates = gates();
    let mut few = study("churn.train");
    few.customers_max = 199;
    check_study(&gates, &few, 1.0, &[Cause::CohortTooSmall]);
    check_study(&gates, &study("churn.train"), 3.0, &[]);
    check_study(
        &gates,
        &study("churn.train"),
        3.000_001,
        &[Cause::EpsilonAboveCap],
    );
    let mut many = study("churn.train");
    many.customers_max = 1 << 40;
    check_study(&gates, &many, 1.0, &[Cause::DeltaTooLarge]);
}

#[test]
fn without_declarations_only_made_up_studies_run() {
    let gates = Gates::undeclared();
    let made_up = terms();
    assert_eq!(made_up.mode, TrustMode::NodeNoise);
    let permit = gates.study(&made_up, &contract(), 1.0, TODAY);
    assert!(matches!(permit, Ok(Permit::MadeUp(_))));
    let denied = gates.study(&study("churn.train"), &contract(), 1.0, TODAY);
    assert!(matches!(denied, Err(Denied::Undeclared)));
    assert!(gates.score(&contract(), TODAY).is_err());
}

#[test]
fn l4_expired_rule_denies() {
    let expired = |name: &str, text: &str| match name {
        "gdpr.toml" => text.replace("valid_to = \"none\"", "valid_to = 2026-11-24"),
        _ => text.to_owned(),
    };
    let gates = gates_with(&purposes(), declared(), expired);
    let decided = gates.study(&study("churn.train"), &contract(), 1.0, TODAY);
    let denied = decided.unwrap_err();
    assert!(denied.to_string().contains("pack.stale"), "{denied}");
    assert!(
        causes(gates.study(&study("churn.train"), &contract(), 1.0, TODAY))
            .contains(&Cause::RuleStale)
    );
}

#[test]
fn packs_that_conflict_deny() {
    let rule = |key: &str, days: u32| {
        format!(
            "\n[[rule]]\nkey = \"{key}\"\nvalue = {days}\norigin = \"org_policy\"\nref = \"a test\"\nvalid_from = 2018-01-01\n\
             valid_to = \"none\"\nreviewed_on = \"none\"\nreviewer = \"none\"\nsource_url = \"none\"\nconfidence = \"unchecked\"\n"
        )
    };
    let kept = |least: u32, most: u32| {
        let change = move |name: &str, text: &str| match name {
            "house.toml" => format!("{text}{}", rule("retention_max_days", most)),
            "gdpr.toml" => format!("{text}{}", rule("retention_min_days", least)),
            _ => text.to_owned(),
        };
        gates_with(&purposes(), declared(), change)
    };
    check_study(&kept(30, 90), &study("churn.train"), 1.0, &[]);
    check_study(
        &kept(91, 90),
        &study("churn.train"),
        1.0,
        &[Cause::LimitsConflict],
    );
}

#[test]
fn l3_significant_needs_reviewer() {
    let significant = purposes()
        .replace(
            "decision_effect = \"none\"",
            "decision_effect = \"similarly_significant\"",
        )
        .replace("dpia_ref = \"none\"", "dpia_ref = \"DPIA-1\"");
    let mut own = declared();
    own.dpia_current = ["churn.train", "churn.score"]
        .map(|name| name.parse().unwrap())
        .into();
    own.reviewers = vec!["ada".parse().unwrap()];
    let gates = gates_with(&significant, own, |_, text| text.to_owned());
    let release = |name: Option<&str>| {
        let name: Option<Name> = name.map(|name| name.parse().unwrap());
        let reviewer = name.as_ref().map(|name| (name, IdentityKey([7; 32])));
        causes(gates.release(&study("churn.train"), &contract(), 1.0, reviewer, TODAY))
    };
    assert_eq!(release(None), [Cause::ReviewerMissing]);
    assert_eq!(release(Some("bob")), [Cause::ReviewerMissing]);
    assert_eq!(release(Some("ada")), []);
    // The doors name nobody who reviews.
    assert_eq!(
        causes(gates.score(&contract(), TODAY)),
        [Cause::ReviewerMissing]
    );
}

/// Gates where scoring for credit is what `churn.train` is for, and everything else is in order.
fn screened() -> Gates {
    let screened = purposes()
        .replace(
            "decision_effect = \"none\"",
            "decision_effect = \"similarly_significant\"",
        )
        .replace("dpia_ref = \"none\"", "dpia_ref = \"DPIA-1\"")
        .replace("annex_iii = \"none\"", "annex_iii = \"credit\"");
    let mut own = declared();
    own.dpia_current = ["churn.train"].map(|name| name.parse().unwrap()).into();
    gates_with(&screened, own, |_, text| text.to_owned())
}

#[test]
fn l3_screened_use_denied() {
    let gates = screened();
    check_study(&gates, &study("churn.train"), 1.0, &[Cause::UseScreened]);
}

#[test]
fn l3_override_needs_two_signers() {
    let gates = screened();
    let (site, officers) = (
        IdentityKey([9; 32]),
        [1, 2].map(|one| IdentityKey([one; 32])),
    );
    let purpose = gates.book().unwrap().purpose("churn.train").unwrap();
    let today = 20_782;
    let text = Exception::written(&site, purpose, "a pilot", (today, today + 30)).unwrap();
    let exception = Exception::parse(&text).unwrap();
    let held = |signers: &[IdentityKey]| {
        let granted = exception.granted((&site, &officers), Some(purpose), signers);
        gates.excepting(granted.into_iter().collect())
    };
    let trained = study("churn.train");
    check_study(&held(&officers[..1]), &trained, 1.0, &[Cause::UseScreened]);
    check_study(&held(&officers), &trained, 1.0, &[]);
    let late = Timestamp(TODAY.0 + 31 * 24 * 3_600 * 1_000);
    let over = held(&officers).study(&trained, &contract(), 1.0, late);
    assert_eq!(causes(over), [Cause::UseScreened], "after its last day");
}

#[test]
fn r2_stale_dpia_denies() {
    let signed = purposes().replace("dpia_ref = \"none\"", "dpia_ref = \"DPIA-1\"");
    let gates = gates_with(&signed, declared(), |_, text| text.to_owned());
    check_study(&gates, &study("churn.train"), 1.0, &[Cause::DpiaStale]);
    let mut own = declared();
    own.dpia_current = vec!["churn.train".parse().unwrap()];
    let gates = gates_with(&signed, own, |_, text| text.to_owned());
    check_study(&gates, &study("churn.train"), 1.0, &[]);
}

#[test]
fn c4_sale_denied_without_signals() {
    let sale = purposes()
        .replace("sale_or_share = false", "sale_or_share = true")
        .replace("dpia_ref = \"none\"", "dpia_ref = \"DPIA-1\"");
    let at = |place: &str| {
        let mut own = declared();
        own.places = vec![place.parse().unwrap()];
        own.dpia_current = vec!["churn.train".parse().unwrap()];
        gates_with(&sale, own, |_, text| text.to_owned())
    };
    check_study(&at("DE"), &study("churn.train"), 1.0, &[]);
    check_study(
        &at("US-CA"),
        &study("churn.train"),
        1.0,
        &[Cause::SignalsUnread],
    );
}

#[test]
fn a_sensitive_name_must_be_tagged() {
    let named = CONTRACT.replace("column.tenure", "column.religion");
    let contract = Contract::parse(&named).unwrap();
    let allowed = purposes().replace("\"tenure\"", "\"religion\"");
    let decide = |own: Declared| {
        let gates = gates_with(&allowed, own, |_, text| text.to_owned());
        causes(gates.study(&study("churn.train"), &contract, 1.0, TODAY))
    };
    assert_eq!(decide(declared()), [Cause::CategoryUnknown]);
    let mut tagged = declared();
    let usage = Set::of(&[Category::Usage]);
    tagged.columns.insert("religion".to_owned(), usage);
    assert_eq!(decide(tagged), []);
}
