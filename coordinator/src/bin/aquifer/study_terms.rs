//! The terms of a study for people: what is read, by whom, at what price.

use aquifer_shared::domain::sum::{Part, StudyTerms};
use aquifer_shared::shell::noise::epsilon;
use aquifer_shared::shell::report::{self, Table};

use crate::show::{duration, holdout, moment, plan, privacy};

/// Prints the terms.
///
/// # Errors
///
/// Standard output cannot be written.
pub(crate) fn print(terms: &StudyTerms) -> anyhow::Result<()> {
    let mut facts = Table::new(&["TERM", "VALUE"]);
    for (term, value) in facts_of(terms) {
        facts.row([term.to_owned(), value]);
    }
    let mut rounds = Table::new(&[
        "SUM",
        "READS",
        "CELLS",
        "REACH SQUARED",
        "MICRO-RHO",
        "NOISE PER NODE",
    ]);
    for (index, round) in terms.rounds.iter().enumerate() {
        let part = match round.part {
            Part::Training => "training",
            Part::HoldOut => "hold-out",
        };
        rounds.row([
            index.to_string(),
            part.to_owned(),
            format!("up to {}", round.cells_max),
            round.delta_sq.to_string(),
            round.urho.0.to_string(),
            format!("sigma {}", round.sigma_share),
        ]);
    }
    report::print(&format!("{}\n{}\n", facts.to_text(), rounds.to_text()))
}

fn facts_of(terms: &StudyTerms) -> Vec<(&'static str, String)> {
    let price = privacy(epsilon(terms.urho, terms.delta), terms.delta.get());
    vec![
        ("name", format!("{} (family {})", terms.name, terms.family)),
        ("purpose", terms.purpose.to_string()),
        (
            "contract",
            format!(
                "{} version {}, {}",
                terms.contract_name, terms.contract_version, terms.contract_hash
            ),
        ),
        ("plan", plan(&terms.plan)),
        (
            "trust",
            "node-noise: every update is private on its own".to_owned(),
        ),
        ("price", format!("{} micro-rho, {price}", terms.urho.0)),
        (
            "cap",
            format!(
                "{} micro-rho with repeats, up to {} attempts a sum",
                terms.urho_cap.0, terms.attempts_max
            ),
        ),
        ("unit", unit(terms.multiplicity)),
        (
            "members",
            format!(
                "{}, {} updates make a release",
                terms.roster.len(),
                terms.quorum
            ),
        ),
        (
            "customers",
            format!(
                "up to {} per node, {} in all",
                terms.customers_max, terms.population
            ),
        ),
        ("hold-out", holdout(&terms.holdout)),
        (
            "timing",
            format!(
                "answers every {}, stragglers are waited for {}",
                duration(terms.slot_ms.into()),
                duration(terms.phase_ms.into())
            ),
        ),
        ("expires", moment(terms.expires)),
        (
            "synthetic",
            if terms.synthetic {
                "yes: made-up data"
            } else {
                "no"
            }
            .to_owned(),
        ),
    ]
}

fn unit(multiplicity: u16) -> String {
    match multiplicity {
        1 => "one customer at one node, added or removed".to_owned(),
        several => format!("one customer at up to {several} nodes; the figure holds at each node"),
    }
}
