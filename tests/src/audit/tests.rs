//! The audit finds what is wrong with a training path and leaves a right one alone.
//!
//! Seeds fix customers and coins; noise cannot be seeded. A true claim is falsified with probability at most 5 % by the bound, so
//! more than 3 of 20 runs with at most 1.6 %. With these designs it is far less: a right noise separates in from out by 0.22
//! standard deviations, so that 60 of 100 guesses are right, and 81 falsify, 4 standard deviations above.

use aquifer_shared::base::units::{Delta, Epsilon};
use aquifer_shared::domain::predictor::plan::RESIDUAL_ROUNDS;
use aquifer_shared::domain::sum::TrustMode;

use super::attack::Evidence;
use super::*;

const RUNS: u64 = 20;
const SEED: u64 = 20_261_126;

fn claim(epsilon: f64) -> Epsilon {
    epsilon.try_into().unwrap()
}

/// For coarse differences, with the clamp of the later residual sums in it.
fn coarse() -> Design {
    Design {
        features: 16,
        levels: 32,
        customers: None,
        canaries: 500,
        guesses: 100,
        trust: TrustMode::NodeNoise,
        nodes: 1,
        residual_rounds: 2,
        delta: Delta::try_from(1e-6).unwrap(),
    }
}

/// For fine differences: many canaries, in many directions.
fn fine() -> Design {
    Design {
        levels: 128,
        canaries: 4_000,
        guesses: 300,
        residual_rounds: 1,
        ..coarse()
    }
}

/// All sums of the usual study.
fn whole() -> Design {
    Design {
        levels: 16,
        residual_rounds: RESIDUAL_ROUNDS,
        ..coarse()
    }
}

/// A sum of shares: four nodes, of which one is missing and one colludes.
fn shared() -> Design {
    Design {
        trust: TrustMode::SharedNoise,
        nodes: 4,
        residual_rounds: 1,
        ..coarse()
    }
}

/// Verdicts of so many runs: how many falsify a claim of 1.
fn falsified(design: Design, fault: Option<Fault>, runs: u64) -> u64 {
    let audit = Audit::new(design, claim(1.0), SEED, fault).unwrap();
    let findings = (0..runs).map(|run| audit.run(SEED + run, || ()).unwrap());
    let findings: Vec<Finding> = findings.collect();
    let correct: Vec<usize> = findings.iter().map(Finding::correct).collect();
    let threshold = findings[0].threshold();
    println!(
        "{fault:?}: {correct:?} of {}, threshold {threshold:?}",
        design.guesses
    );
    let verdicts = findings.iter().map(Finding::verdict);
    verdicts
        .filter(|verdict| *verdict == Verdict::Falsified)
        .count() as u64
}

#[track_caller]
fn check_caught(design: Design, fault: Fault, runs: u64, expected: u64) {
    let found = falsified(design, Some(fault), runs);
    assert!(
        found >= expected,
        "{found} of {runs} runs see {fault:?}, expected {expected}"
    );
}

#[test]
fn r3_correct_noise_passes() {
    let found = falsified(whole(), None, RUNS / 2) + falsified(shared(), None, RUNS / 2);
    assert!(found <= 3, "{found} of {RUNS} runs falsify a true claim");
}

/// Power: about 254 of 300 guesses are right (deviation 6) and 233 falsify, 3.5 deviations below; so less than 18 of 20 in one of 10⁶
/// repetitions.
#[test]
fn r3_quarter_noise_caught() {
    check_caught(fine(), Fault::Quarter, RUNS, 18);
}

/// Power: about 94 of 100 guesses are right and 81 falsify, 5 standard deviations below.
#[test]
fn r3_tenth_noise_caught() {
    check_caught(coarse(), Fault::Tenth, RUNS, 18);
    check_caught(shared(), Fault::Tenth, 5, 5);
}

/// Without its clamp alone a canary adds at most a third more, which is too little to be seen; in eight rows eight times that.
/// Power: about 93 of 100 guesses are right and 81 falsify, 5 standard deviations below.
#[test]
fn r3_no_clipping_caught() {
    check_caught(coarse(), Fault::NoClipping, RUNS, 18);
}

#[track_caller]
fn check_correlation(fault: Option<Fault>, expected: Option<Between>) {
    let design = Design {
        nodes: 2,
        customers: Some(2_000),
        ..coarse()
    };
    let audit = Audit::new(design, claim(1.0), SEED, fault).unwrap();
    let found = audit.correlation().unwrap();
    assert!(found.false_alarm() < 1e-6, "{found:?}");
    assert_eq!(
        found.is_shared().then_some(found.between),
        expected,
        "{found:?}"
    );
}

/// False alarms: below 10⁻⁶ for each probe, by the sub-Gaussian bound over all pairs. Power: a shared pair is at 8 standard
/// standard deviations on average and passes 7 but once in 10⁵; there are 50 such pairs.
#[test]
fn r3_shared_noise_stream_caught() {
    check_correlation(None, None);
    check_correlation(Some(Fault::SharedNodes), Some(Between::Nodes));
    check_correlation(Some(Fault::SharedCells), Some(Between::Cells));
    check_correlation(Some(Fault::Tenth), None);
}

/// A price that rested on sampling at half of the true rate would claim half of what is spent. Such a fault is not built in: no price
/// rests on sampling. What it would spend is, and its guesses are held against the claim. About 67 of 100 guesses are right and 81
/// falsify, 3 standard deviations above; more than 5 of 10 runs see it in fewer than one of 10⁶ repetitions.
#[test]
fn r3_wrong_sampling_rate() {
    let audit = Audit::new(coarse(), claim(2.0), SEED, None).unwrap();
    let run = |run| audit.run(SEED + run, || ()).unwrap().correct();
    let correct: Vec<usize> = (0..RUNS / 2).map(run).collect();
    println!("right of 100 at twice the claim: {correct:?}");
    let held = |correct: &usize| Finding::of(coarse(), 1.0, *correct).verdict();
    let falsified = correct.iter().map(held);
    let falsified = falsified.filter(|verdict| *verdict == Verdict::Falsified);
    assert!(falsified.count() <= 5, "as documented, it probably passes");
    let documented = include_str!("../../../docs/audit.md");
    let row = documented
        .lines()
        .find(|line| line.starts_with("| customers drawn at twice the stated rate |"));
    let row = row.expect("a row of what is seen and what is not");
    for word in ["probably nothing", "no price rests on sampling"] {
        assert!(row.contains(word), "{word} in {row}");
    }
}

#[test]
fn r3_ceiling_below_claim_is_no_pass() {
    let refused = Audit::new(fine(), claim(8.0), SEED, None).unwrap_err();
    let refused: &BadDesign = refused.downcast_ref().unwrap();
    assert!(
        matches!(refused, BadDesign::OutOfReach { guesses: 300, .. }),
        "{refused}"
    );
    assert!(
        refused.to_string().contains("say nothing of 8"),
        "{refused}"
    );
    for correct in [0, 100, 300] {
        let finding = Finding::of(fine(), 8.0, correct);
        assert_eq!(finding.verdict(), Verdict::OutOfReach);
        assert!(finding.ceiling() < 8.0 && finding.threshold().is_none());
    }
    // The largest claim that is tested at all is one that the guesses can falsify.
    let ceiling = Finding::of(fine(), 1.0, 0).ceiling();
    assert_eq!(
        Finding::of(fine(), ceiling - 1e-6, 300).verdict(),
        Verdict::Falsified
    );
    assert_eq!(
        Finding::of(fine(), ceiling + 1e-6, 300).verdict(),
        Verdict::OutOfReach
    );
}

#[test]
fn r3_designs_outside_their_ranges_are_refused() {
    let refused = |design: Design, fault| {
        let found = Audit::new(design, claim(1.0), SEED, fault).unwrap_err();
        found.to_string()
    };
    let guesses = Design {
        guesses: 501,
        ..coarse()
    };
    assert!(refused(guesses, None).contains("guesses is 501, expected 2 to 500"));
    let nodes = Design {
        nodes: 3,
        ..shared()
    };
    assert!(refused(nodes, None).contains("nodes is 3, expected 4 to 128"));
    assert!(refused(fine(), Some(Fault::SharedNodes)).contains("share a stream is 1"));
}

#[test]
fn r3_the_record_is_of_integers() {
    let shared = Correlation {
        between: Between::Nodes,
        deviations: 9.0,
        pairs: 1,
    };
    let record = Finding::of(fine(), 1.0, 270).record(&shared);
    let text = serde_json::to_string(&record).unwrap();
    let expected = "{\"canaries\":4000,\"ceiling_micro\":";
    assert!(text.starts_with(expected) && !text.contains('.'), "{text}");
    assert!(record.falsified == 1 && record.noise_shared == 1 && record.tested == 1);
    assert!(
        record.falsified_up_to_micro > 1_000_000
            && record.falsified_up_to_micro < record.ceiling_micro
    );
    let untested = Finding::of(fine(), 8.0, 300).record(&shared);
    assert!(untested.falsified == 0 && untested.tested == 0 && untested.threshold == 0);
}

/// What the attacker expects of a canary is what the node adds, in every sum: without noise nothing is left unexplained.
#[track_caller]
fn check_explained(design: Design, fault: Option<Fault>) {
    let audit = Audit::new(design, claim(1.0), SEED, fault).unwrap();
    let (study, planted) = (&audit.study, &audit.planted);
    let coins: Vec<bool> = (0..design.canaries).map(|canary| canary % 3 == 0).collect();
    let mut source = Source::new(fault);
    for mut seen in path::run(study, planted, &coins, &mut source, || ()).unwrap() {
        let mut views = vec![Vec::new(); study.views()];
        for (node, unit) in planted.units().iter().enumerate() {
            let exact = seen.exact(unit, &unit.cohort(&coins)).unwrap();
            let view: &mut Vec<i64> = &mut views[study.view_of(node)];
            view.resize(exact.len(), 0);
            view.iter_mut()
                .zip(exact)
                .for_each(|(sum, own)| *sum += own);
        }
        seen.views = views;
        let mut evidence = Evidence::of(study, planted, &seen).unwrap();
        for canary in (0..design.canaries).step_by(3) {
            let view = study.view_of(study.node_of(canary));
            let positions: Vec<usize> = evidence.at(&planted.canaries()[canary]).collect();
            for position in positions {
                evidence.rest[view][position] -= evidence.amounts[canary];
            }
        }
        assert!(evidence.rest.iter().flatten().all(|rest| *rest == 0.0));
    }
}

#[test]
fn r3_attackers_expect_what_nodes_add() {
    let few = |design: Design| Design {
        features: 4,
        levels: 12,
        customers: Some(3_000),
        residual_rounds: 2,
        ..design
    };
    check_explained(
        few(Design {
            nodes: 2,
            ..coarse()
        }),
        None,
    );
    check_explained(few(shared()), None);
    check_explained(few(shared()), Some(Fault::NoClipping));
}
