//! The terms of a study for people: what is read, by whom, at what price.

use aquifer_shared::base::ids::Name;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::{Part, Plan, StudyTerms, TrustMode, Window};
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
    if terms.is_standing() {
        return report::print(&format!("{}\n", facts.to_text()));
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
            Part::Everyone => "everyone",
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
    let mut facts = vec![
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
        ("trust", trust(terms)),
    ];
    facts.extend(tolerances(terms));
    facts.push(("price", price(terms)));
    facts.extend(floor(terms).map(|floor| ("floor", floor)));
    facts.extend(questions(terms));
    facts.extend([
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
                "{}, a sum needs {} of them",
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
        ("timing", timing(terms)),
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
    ]);
    facts
}

fn trust(terms: &StudyTerms) -> String {
    match terms.mode {
        TrustMode::NodeNoise => "node-noise: every update is private on its own".to_owned(),
        TrustMode::SharedNoise => {
            "shared-noise: only sums over the nodes are opened, with noise once in total".to_owned()
        }
    }
}

/// What may be asked under a standing study, and which question is asked otherwise; none for studies of models.
fn questions(terms: &StudyTerms) -> Vec<(&'static str, String)> {
    let Plan::Question { standing, data, .. } = &terms.plan else {
        return Vec::new();
    };
    if !terms.is_standing() {
        let versions: Vec<&str> = data.iter().map(Name::as_str).collect();
        return vec![("data", versions.join(", "))];
    }
    let one = format!(
        "{} micro-rho unless the asker names another price, at most {} with repeats",
        standing.urho_question_default.0, standing.urho_question_max.0
    );
    let floor = format!("a noisy count below {} is not shown", standing.cohort_floor);
    let share = match standing.window {
        Window::Whole => format!("{} micro-rho", standing.urho_share.0),
        window => format!(
            "{} micro-rho a {window}; a new {window} restores no privacy",
            standing.urho_share.0
        ),
    };
    vec![
        ("tables", standing.tables.join(", ")),
        ("a question", one),
        ("an analyst", share),
        ("small groups", floor),
    ]
}

fn timing(terms: &StudyTerms) -> String {
    if terms.is_standing() {
        return "each question has the slot that its sizes need".to_owned();
    }
    format!(
        "answers every {}, stragglers are waited for {}",
        duration(terms.slot_ms.into()),
        duration(terms.phase_ms.into())
    )
}

/// What the study tolerates; in node-noise its quorum says it.
fn tolerances(terms: &StudyTerms) -> Option<(&'static str, String)> {
    if terms.mode == TrustMode::NodeNoise {
        return None;
    }
    let sizes: Vec<usize> = terms.groups().iter().map(|group| group.len()).collect();
    let of = match sizes[..] {
        [one] => format!("{one} nodes"),
        _ => format!(
            "each of {} groups of {} or more nodes",
            sizes.len(),
            sizes.iter().min().unwrap_or(&0)
        ),
    };
    let honest = terms.honest().unwrap_or(0);
    let text = format!(
        "of {of} {} may be absent and {} may collude; {honest} honest noise shares are certain",
        terms.d_max, terms.c_max
    );
    Some(("tolerates", text))
}

fn price(terms: &StudyTerms) -> String {
    let quoted = terms.quoted(terms.urho).unwrap_or(MicroRho(u64::MAX));
    let price = privacy(epsilon(quoted, terms.delta), terms.delta.get());
    if quoted == terms.urho {
        return format!("{} micro-rho, {price}", quoted.0);
    }
    format!(
        "{} micro-rho, {price}; {} at each node",
        quoted.0, terms.urho.0
    )
}

/// What is left where the assumptions of shared-noise fail.
fn floor(terms: &StudyTerms) -> Option<String> {
    let floor = terms.floor(terms.urho)?;
    let left = privacy(epsilon(floor, terms.delta), terms.delta.get());
    Some(format!(
        "{left} if more collude or the encryption between nodes breaks"
    ))
}

fn unit(multiplicity: u16) -> String {
    match multiplicity {
        1 => "one customer at one node, added or removed".to_owned(),
        several => format!("one customer at up to {several} nodes, added or removed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[track_caller]
    fn check_told(terms: &StudyTerms, expected: &[(&str, &str)]) {
        let facts = facts_of(terms);
        for (term, text) in expected {
            let told = facts.iter().find(|(known, _)| known == term);
            let found = told.map_or("", |(_, value)| value.as_str());
            assert!(found.contains(text), "{term}: {text} in {found}");
        }
    }

    #[test]
    fn shared_noise_tells_tolerances_and_floor() {
        let terms = fixtures::expanded(8, "").terms;
        check_told(
            &terms,
            &[
                ("trust", "shared-noise"),
                (
                    "tolerates",
                    "of 8 nodes 2 may be absent and 1 may collude; 5 honest",
                ),
                ("price", "epsilon 4.0000 at delta 1e-6"),
                ("floor", "epsilon 1"),
                ("members", "8, a sum needs 6"),
            ],
        );
        check_told(
            &fixtures::expanded(129, "").terms,
            &[("tolerates", "2 groups of 64 or more")],
        );
    }

    #[test]
    fn node_noise_has_neither() {
        let terms = fixtures::expanded(2, "multiplicity = 2").terms;
        check_told(
            &terms,
            &[
                ("trust", "every update is private"),
                ("price", "at each node"),
                ("unit", "up to 2 nodes"),
            ],
        );
        let facts = facts_of(&terms);
        assert!(
            facts
                .iter()
                .all(|(term, _)| !["floor", "tolerates"].contains(term))
        );
    }
}
