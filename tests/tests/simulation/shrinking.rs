//! A failing history becomes small, and its command shows the same again.

use aquifer_shared::domain::sum::TrustMode;
use aquifer_tests::simulator::faults::{Chosen, Profile};
use aquifer_tests::simulator::plant::Plant;
use aquifer_tests::simulator::scenario::{Scenario, Wish};
use aquifer_tests::simulator::shrink::shrink;

use crate::{history, wish};

#[test]
fn a_failing_history_becomes_small() {
    let planted = Wish {
        plant: Some(Plant::Refund),
        rounds: 6,
        ..wish(TrustMode::SharedNoise, Profile::All)
    };
    let failing = (0..50).find_map(|seed| {
        let history = history(seed, &planted);
        history.violation.is_some().then_some((seed, history))
    });
    let (seed, failed) = failing.unwrap();
    let shrunk = shrink(seed, &planted, &failed, 150).unwrap();
    let Chosen::Only(ids) = &shrunk.wish.chosen else {
        panic!("{:?}", shrunk.wish.chosen);
    };
    // One stop of a node is enough; what else struck is left out.
    assert!(ids.len() <= 2, "{ids:?}");
    assert!(failed.struck.len() > ids.len(), "{:?}", failed.struck);
    assert!(shrunk.wish.rounds < 6);
    assert!(Scenario::draw(seed, &shrunk.wish).nodes <= Scenario::draw(seed, &planted).nodes);
    let again = history(seed, &shrunk.wish);
    assert_eq!(again.violation, Some(shrunk.violation));
    assert!(shrunk.runs <= 150);
}

#[test]
fn a_history_that_does_not_fail_is_not_shrunk() {
    let calm = wish(TrustMode::SharedNoise, Profile::None);
    assert_eq!(shrink(1, &calm, &history(1, &calm), 10), None);
}
