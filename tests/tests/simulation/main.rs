//! Simulated studies of the production machines: nothing is broken under faults, a seed fixes its history, every planted bug
//! shows, and a failing history becomes small. And the audit by canaries, which is another kind of run in one process.

mod audit;
mod command;
mod exact;
mod faults;
mod histories;
mod planted;
mod shrinking;
mod slice;
mod stops;
#[cfg(test)]
mod traffic;

use aquifer_shared::domain::sum::TrustMode;
use aquifer_tests::simulator::faults::{Chosen, Profile};
use aquifer_tests::simulator::scenario::{Scenario, Wish};
use aquifer_tests::simulator::{History, run};

/// A study in one of the trust modes, with the faults of a profile.
fn wish(trust: TrustMode, profile: Profile) -> Wish {
    Wish {
        trust,
        chosen: Chosen::ByRate(profile, 1.0),
        ..Wish::default()
    }
}

fn history(seed: u64, wish: &Wish) -> History {
    run(&Scenario::draw(seed, wish))
}

/// Nothing was broken in the history of a seed; else the command that shows it again.
#[track_caller]
fn check_unbroken(seed: u64, wish: &Wish, history: &History) {
    if let Some(violation) = &history.violation {
        panic!("{violation}: {}", wish.command(seed));
    }
}
