//! Packs of several quarters as one source of documents: each must continue the one before.

use aquifer_shared::domain::facts::{Log as Facts, NoDocument};
use aquifer_shared::domain::pack::Files;

use super::Log;

fn quarters() -> (Log, [Files; 2]) {
    let log = Log::new(6_000, 60);
    let packs = ["2026Q3", "2026Q4"].map(|quarter| log.pack(quarter).unwrap());
    (log, packs)
}

#[test]
fn packs_of_several_quarters_are_read_as_one_log() {
    let (log, packs) = quarters();
    let policy = log.policy();
    let whole = Facts::of_packs(&packs, Some(&policy)).unwrap();
    let indexes = whole.facts().iter().map(|fact| fact.index);
    assert!(indexes.is_sorted_by(|a, b| a < b));
    let count = |packs: &[Files]| Facts::of_packs(packs, Some(&policy)).unwrap().facts().len();
    assert!(whole.facts().len() > count(&packs[1..]));
    assert_eq!(whole.checkpoint().size, 6_000);
}

#[track_caller]
fn check_refused(packs: &[Files]) {
    let refused = Facts::of_packs(packs, None);
    assert!(
        matches!(refused, Err(NoDocument::NotVerified(_))),
        "{refused:?}"
    );
}

#[test]
fn packs_in_another_order_or_of_another_log_are_refused() {
    let (_, [third, fourth]) = quarters();
    check_refused(&[]);
    check_refused(&[fourth.clone(), third.clone()]);
    let mut other = Log::new(6_000, 60);
    other.say(
        3,
        &aquifer_shared::domain::history::Json::object([("a", 1u32.into())]),
    );
    check_refused(&[other.pack("2026Q3").unwrap(), fourth]);
}
