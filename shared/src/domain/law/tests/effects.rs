//! What a decision does to people: reviewers, screened uses, two signers.

use super::*;
use crate::base::ids::IdentityKey;

const EXPORT: &str = "gate=score purpose=retention.score dpia=current export=true";

#[test]
fn l3_significant_needs_reviewer() {
    let book = book();
    for place in ["DE", "GB", "US-CA", "BR"] {
        let at = format!("{EXPORT} place={place} controller={place}");
        check_decided(&book, "person", &at, &[Cause::ReviewerMissing]);
        check_decided(&book, "run", &at, &[Cause::ReviewerMissing]);
        let reviewed = decided(&book, "person", &format!("{at} reviewer=true"));
        assert_eq!(reviewed.verdict(), Verdict::Allow);
        assert!(reviewed.obligations().contains(Obligation::HumanReview));
    }
    check_decided(
        &book,
        "run",
        "gate=release purpose=retention.train dpia=current",
        &[Cause::ReviewerMissing],
    );
    check_decided(
        &book,
        "person",
        "gate=score purpose=churn.score export=true",
        &[],
    );
}

#[test]
fn l3_screened_use_denied() {
    let book = book();
    for used in ScreenedUse::ALL {
        let at = format!("gate=score purpose={used}.score dpia=current reviewer=true");
        check_decided(&book, "person", &at, &[Cause::UseScreened]);
        check_decided(&book, "run", &at, &[Cause::UseScreened]);
    }
}

#[test]
fn l3_override_needs_two_signers() {
    let book = book();
    let at = |signers| {
        format!("gate=score purpose=credit.score dpia=current reviewer=true signers={signers}")
    };
    check_decided(&book, "run", &at(0), &[Cause::UseScreened]);
    check_decided(&book, "run", &at(1), &[Cause::UseScreened]);
    check_decided(&book, "run", &at(2), &[]);
    // Two signatures lift nothing but the screen.
    check_decided(
        &book,
        "run",
        &format!("{} reviewer=false", at(2)),
        &[Cause::ReviewerMissing],
    );
    let (one, two) = (IdentityKey([1; 32]), IdentityKey([2; 32]));
    assert_eq!(TwoSigners::new(one, one), Err(SameSigner(one)));
    assert_eq!(TwoSigners::new(two, one).unwrap().keys(), [one, two]);
}

#[test]
fn l3_a_screened_purpose_cannot_be_declared_harmless() {
    let harmless = PURPOSES.replace("similarly_significant", "support");
    let error = Purposes::parse(&harmless).unwrap_err();
    assert!(
        error.problem.contains("expected that for a screened use"),
        "{error}"
    );
}

#[test]
fn l3_a_relabelled_purpose_is_for_another_gate() {
    for (gate, purpose) in [
        ("train", "churn.score"),
        ("query", "churn.train"),
        ("score", "churn.query"),
        ("release", "churn.score"),
    ] {
        check_decided(
            &book(),
            "run",
            &format!("gate={gate} purpose={purpose}"),
            &[Cause::WrongAction],
        );
    }
}

#[test]
fn c4_sale_denied_without_signals() {
    let sale = "purpose=partner.train dpia=current";
    check_decided(
        &book(),
        "run",
        &format!("{sale} place=US-CA"),
        &[Cause::SignalsUnread],
    );
    check_decided(
        &book(),
        "run",
        &format!("{sale} controller=US-CA"),
        &[Cause::SignalsUnread],
    );
    check_decided(&book(), "run", sale, &[]);
}

#[test]
fn r2_stale_dpia_denies() {
    for (state, cause) in [
        ("stale", Cause::DpiaStale),
        ("unknown", Cause::DpiaStale),
        ("absent", Cause::DpiaMissing),
    ] {
        check_decided(
            &book(),
            "run",
            &format!("purpose=retention.train dpia={state}"),
            &[cause],
        );
    }
    check_decided(&book(), "run", "purpose=retention.train dpia=current", &[]);
    check_decided(&book(), "run", "dpia=stale", &[Cause::DpiaStale]);
}
