//! The words of a privacy statement: who is protected, by what noise, and what is taken on trust, for each trust mode.
//!
//! Says what was assumed and what was measured apart; promises nothing that the numbers of the statement do not.

use super::privacy::Privacy;
use crate::domain::sum::{StudyTerms, TrustMode};

/// What the two worlds differ in.
pub(super) const NEIGHBOURS: &str = "add or remove";

/// Where the noise comes from.
#[must_use]
pub fn mechanism(mode: TrustMode) -> &'static str {
    match mode {
        TrustMode::NodeNoise => "discrete Gaussian (OpenDP 0.16)",
        TrustMode::SharedNoise => "sum of discrete Gaussians, one of each node (OpenDP 0.16)",
    }
}

/// Who is protected.
pub(super) fn unit(multiplicity: u16) -> String {
    match multiplicity {
        1 => "one customer at one node".to_owned(),
        more => format!("one customer at up to {more} nodes"),
    }
}

/// The statement in one sentence.
pub(super) fn sentence(privacy: &Privacy) -> String {
    let (epsilon, delta) = (&privacy.epsilon, &privacy.delta);
    let head = format!(
        "differential privacy with epsilon {epsilon} at delta {delta} for {} ({})",
        privacy.unit, privacy.neighbours
    );
    let (nodes, mechanism) = (privacy.nodes, &privacy.mechanism);
    if privacy.mode == TrustMode::NodeNoise {
        return format!("{head}, each of {nodes} nodes adding its own noise: {mechanism}");
    }
    let floor = privacy.floor_epsilon.as_deref().unwrap_or("unknown");
    format!(
        "{head}, if at most {} of {} collude, with the coordinator or without it; epsilon {floor} if more do or the \
         encryption between nodes breaks. Each node adds a share of the noise, {} honest shares suffice, and only sums \
         are opened: {mechanism}",
        privacy.colluders_max,
        members(privacy),
        privacy.honest,
    )
}

fn members(privacy: &Privacy) -> String {
    match privacy.groups[..] {
        [] | [_] => format!("{} nodes", privacy.nodes),
        _ => format!(
            "the nodes of any of {} groups ({} nodes in all)",
            privacy.groups.len(),
            privacy.nodes
        ),
    }
}

/// What must be true beside the mathematics.
pub(super) fn assumptions(terms: &StudyTerms) -> Vec<String> {
    let mut all = vec![
        "every node runs the published program; its own administrators see its data lawfully"
            .to_owned(),
        copies(terms),
        "a row counts where the unit's own rules and records let it: its operator states the basis of each purpose, consent \
         and objections are looked up at the node, and nobody outside can see or check either"
            .to_owned(),
        "rows without a label were left out at the node; sizes declared in the study are public".to_owned(),
        "the totals of a business unit are not protected, only its customers".to_owned(),
        "other studies of a unit add up; its ledger keeps the total".to_owned(),
    ];
    if terms.multiplicity == 1 {
        let rule = "training and evaluation read different customers, by a rule at the node: each customer is charged for \
                    one of the two; customer ids and the hold-out column do not change during a study";
        all.push(rule.to_owned());
    }
    if terms.mode == TrustMode::SharedNoise {
        all.extend(of_shared_noise(terms));
    }
    all
}

fn copies(terms: &StudyTerms) -> String {
    let stated = match terms.multiplicity {
        1 => "a customer appears at one node only".to_owned(),
        more => format!("a customer appears at no more than {more} nodes"),
    };
    let covered = match (terms.multiplicity, terms.mode) {
        (1, _) => "",
        (_, TrustMode::NodeNoise) => {
            "; each copy has noise of its own, and epsilon counts all of them"
        }
        (_, TrustMode::SharedNoise) => "; one noise covers all copies, its scale is made for them",
    };
    format!("{stated}: declared in the contract, not checked across nodes{covered}")
}

/// Who must be honest, and which cryptography must hold.
fn of_shared_noise(terms: &StudyTerms) -> Vec<String> {
    let groups = terms.groups().len();
    let of = match groups {
        1 => format!("of the {} nodes", terms.roster.len()),
        _ => format!("nodes of each of the {groups} groups"),
    };
    vec![
        format!(
            "at most {} {of} collude with each other and with the coordinator, chosen before the study began; the \
             coordinator itself need not be honest",
            terms.c_max
        ),
        "every unit pins the identity keys of all members and their operators in its own configuration, and no operator \
         runs more members than may collude: who operates a node is what units told each other"
            .to_owned(),
        "the encryption between nodes holds (X25519, HKDF-SHA256, ChaCha20-Poly1305, Ed25519); recordings are not safe \
         from a future quantum computer, and then the second epsilon of the statement is what is left"
            .to_owned(),
        "no node's running memory was copied and resumed: such a node counts as colluding".to_owned(),
    ]
}
