//! Every party is stopped once at every point where it can be: no promise is broken, and the study ends.

use std::collections::BTreeMap;

use aquifer_shared::domain::sum::TrustMode;
use aquifer_tests::simulator::faults::{Chosen, Fault, FaultId, Profile};
use aquifer_tests::simulator::scenario::{Kind, Wish};

use crate::{check_unbroken, history, wish};

/// All chances of these faults in a small study, each taken alone in a history of its own.
#[track_caller]
fn check_each(trust: TrustMode, faults: &[Fault], step: u32) {
    let small = Wish {
        nodes: Some(4),
        rounds: 2,
        cells: Some(3),
        plan: Some(Kind::Synthetic),
        ..wish(trust, Profile::None)
    };
    let calm = history(SEED, &small);
    check_unbroken(SEED, &small, &calm);
    assert_eq!(calm.released, 2);
    let chances: BTreeMap<(Fault, u32), u32> = calm.chances.iter().copied().collect();
    let mut taken = 0;
    for ((fault, party), chances) in chances
        .into_iter()
        .filter(|((fault, _), _)| faults.contains(fault))
    {
        for chance in (0..chances).step_by(step as usize) {
            let id = FaultId {
                fault,
                party,
                chance,
            };
            let only = Wish {
                chosen: Chosen::Only([id].into()),
                ..small.clone()
            };
            let found = history(SEED, &only);
            check_unbroken(SEED, &only, &found);
            assert_eq!(found.struck, [id]);
            assert!(found.ending.is_some(), "{id}");
            taken += 1;
        }
    }
    assert!(taken > 20, "{taken} chances of {faults:?}");
}

const NODE_STOPS: [Fault; 6] = [
    Fault::StopBeforeWrite,
    Fault::StopAfterWrite,
    Fault::StopBeforeSend,
    Fault::StopAfterSend,
    Fault::TornWrite,
    Fault::DiskFull,
];
const COORDINATOR_STOPS: [Fault; 2] = [Fault::CoordinatorStops, Fault::CoordinatorStopsAfterWrite];

#[test]
fn a_node_may_stop_anywhere_in_secure_sums() {
    check_each(TrustMode::SharedNoise, &NODE_STOPS, 1);
}

#[test]
fn a_node_may_stop_anywhere_in_updates() {
    check_each(TrustMode::NodeNoise, &NODE_STOPS, 1);
}

#[test]
fn the_coordinator_may_stop_anywhere() {
    check_each(TrustMode::SharedNoise, &COORDINATOR_STOPS, 1);
    check_each(TrustMode::NodeNoise, &COORDINATOR_STOPS, 1);
}

#[test]
fn any_frame_may_be_lost() {
    check_each(TrustMode::SharedNoise, &[Fault::Loss, Fault::Cut], 2);
}

const SEED: u64 = 3;
