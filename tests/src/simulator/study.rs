//! The study that is simulated: its terms, its contract, who signs it, and what each node's policy says to it.

use std::sync::Arc;

use aquifer_node::core::approved::Approved;
use aquifer_node::core::ledger::Caps;
use aquifer_node::core::policy::{ContractFacts, NodePolicy, Rules};
use aquifer_node::core::trust::{Pin, TrustPolicy};
use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{Hash32, IdentityKey, Name, StudyHash};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::predictor::plan::{CLIP_WIDE, Shape, additive_rounds};
use aquifer_shared::domain::sum::{
    Gate, HoldOut, NoiseShare, Part, Plan, RoundTerms, SUM_VERSION, StudyTerms, TrustMode, groups,
    study_hash,
};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{Approval, approve_digest};

use super::clock::START;
use super::keys::{Keys, Pair};
use super::scenario::{Kind, Scenario};
use crate::law;

/// A study, ready to be offered.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its terms.
    pub terms: StudyTerms,
    /// The terms as they travel.
    pub bytes: Vec<u8>,
    /// Its identity.
    pub hash: StudyHash,
    /// Its approver's signature.
    pub approval: Approval,
    /// Its contract's features.
    pub shapes: Vec<Shape>,
}

impl Subject {
    /// The study of a scenario. `tight` says that its cap covers no repeated attempt.
    #[must_use]
    pub fn new(scenario: &Scenario, keys: &Keys, tight: bool) -> Self {
        let shapes = shapes();
        let terms = terms(scenario, keys, &shapes, tight);
        let bytes = encode(&terms);
        let hash = study_hash(&bytes);
        let approval = Approval {
            key: keys.approver().public(),
            signature: keys.approver().sign(&approve_digest(&hash)),
        };
        Self {
            terms,
            bytes,
            hash,
            approval,
            shapes,
        }
    }

    /// What a node holds studies against. `tight` says that its caps do not cover this one.
    #[must_use]
    pub fn rules(&self, identity: IdentityKey, tight: bool) -> Rules {
        let cap = if tight {
            MicroRho(1_000)
        } else {
            MicroRho(1 << 42)
        };
        Rules {
            policy: NodePolicy {
                caps: Caps {
                    per_contract: cap,
                    per_year: cap,
                },
                purposes: vec![self.terms.purpose.clone()],
                approvers: vec![self.approval.key],
                by_person: false,
                members_min: 1,
                trust: self.trust(),
                floor_per_contract: None,
                allow_synthetic: true,
                customers_max: CUSTOMERS_MAX,
            },
            contract: ContractFacts {
                name: self.terms.contract_name.clone(),
                version: self.terms.contract_version,
                hash: self.terms.contract_hash,
                multiplicity: 1,
                shapes: self.shapes.clone(),
                published: Vec::new(),
                holdout_column: None,
                features: Vec::new(),
                label: law::LABEL.to_owned(),
            },
            identity,
            split: Hash32([6; 32]),
            data_version: None,
            standing: Vec::new(),
            confirms: |_| true,
            gatekeeper: Some(law::gatekeeper()),
            epsilon: |_, _| 1.0,
            approved: Approved::default(),
        }
    }

    /// Every member is known, each with an operator of its own.
    fn trust(&self) -> TrustPolicy {
        let pin = |(index, key): (usize, &IdentityKey)| {
            let operator = name(&format!("unit-{index}"));
            let name = operator.clone();
            (*key, Pin { name, operator })
        };
        let shared = self.terms.mode == TrustMode::SharedNoise;
        let roster = self.terms.roster.iter().filter(|_| shared);
        TrustPolicy {
            coordinator_operator: Some(name("centre")),
            pins: roster.enumerate().map(pin).collect(),
            ..TrustPolicy::default()
        }
    }
}

/// Two features, one of each sort: small, so that a history costs little.
fn shapes() -> Vec<Shape> {
    let shape = |ordered, cells| Shape { ordered, cells };
    vec![shape(true, 7), shape(false, 4)]
}

fn terms(scenario: &Scenario, keys: &Keys, shapes: &[Shape], tight: bool) -> StudyTerms {
    let rounds = rounds_of(scenario, shapes);
    let price_of = |part| -> u64 {
        let of_part = rounds.iter().filter(|round| round.part == part);
        of_part.map(|round| round.urho.0).sum()
    };
    let (training, holdout) = (price_of(Part::Training), price_of(Part::HoldOut));
    let total = match scenario.multiplicity {
        1 => training.max(holdout),
        _ => training + holdout,
    };
    let spare = if tight {
        1
    } else {
        u64::from(scenario.attempts_max)
    };
    let count = scenario.wish.rounds;
    StudyTerms {
        version: SUM_VERSION,
        study_id: sha256(&scenario.seed.to_le_bytes()).0[..16]
            .try_into()
            .expect("16 of 32 bytes"),
        name: name("simulated"),
        family: name("simulated"),
        purpose: name("simulate"),
        contract_name: name("customers"),
        contract_version: 1,
        contract_hash: sha256(b"customers"),
        plan: match scenario.kind {
            Kind::Synthetic => Plan::Synthetic {
                cells: scenario.cells,
                rounds: count,
            },
            Kind::Additive => Plan::Additive {
                clip: CLIP_WIDE,
                rounds: count - 2,
            },
        },
        mode: scenario.wish.trust,
        roster: keys.members().iter().map(|pair| pair.public()).collect(),
        d_max: scenario.absent_max,
        c_max: scenario.colluders_max,
        multiplicity: scenario.multiplicity,
        attempts_max: scenario.attempts_max,
        urho_cap: MicroRho(training.max(holdout) * spare),
        urho: MicroRho(total),
        rounds,
        delta: 1e-6.try_into().expect("a probability"),
        population: 40_000,
        customers_max: CUSTOMERS_MAX,
        holdout: HoldOut::Fraction(150_000),
        slot_ms: scenario.slot_ms,
        phase_ms: scenario.phase_ms,
        attempt_ttl_ms: scenario.attempt_ttl_ms,
        expires: START.after_ms(EXPIRES_MS),
        quorum: quorum(scenario),
        gate: Gate::Open,
        expected_gain_ppm: 0,
        synthetic: true,
    }
}

fn quorum(scenario: &Scenario) -> u16 {
    let absent = match scenario.wish.trust {
        TrustMode::NodeNoise => scenario.nodes / 4,
        TrustMode::SharedNoise => usize::from(scenario.absent_max) * groups(scenario.nodes).len(),
    };
    (scenario.nodes - absent) as u16
}

fn rounds_of(scenario: &Scenario, shapes: &[Shape]) -> Vec<RoundTerms> {
    let count = scenario.wish.rounds;
    let share = match scenario.wish.trust {
        TrustMode::NodeNoise => NoiseShare::OWN,
        TrustMode::SharedNoise => NoiseShare {
            honest: scenario.honest(),
            multiplicity: scenario.multiplicity,
        },
    };
    if scenario.kind == Kind::Additive {
        let rounds = additive_rounds(shapes, URHO_ADDITIVE, CLIP_WIDE, count - 2, share);
        return rounds.expect("the price gives scales within limits");
    }
    let round = RoundTerms {
        part: Part::Training,
        cells_max: scenario.cells,
        cell_abs_max: 256,
        delta_sq: 65_536,
        urho: MicroRho(1_000),
        sigma_share: share.scale(65_536, MicroRho(1_000)).expect("within limits"),
    };
    vec![round; count.into()]
}

fn name(text: &str) -> Name {
    text.parse().expect("a plain name")
}

/// A shared key pair as the node's signing function.
#[must_use]
pub fn sign_with(pair: &Arc<Pair>) -> aquifer_node::core::participant::Sign {
    let pair = Arc::clone(pair);
    Box::new(move |digest| pair.sign(digest))
}

/// Customers that each unit declares.
pub const CUSTOMERS_MAX: u64 = 10_000;
const URHO_ADDITIVE: MicroRho = MicroRho(200_000);
/// A day: no history reaches it, but for clocks.
const EXPIRES_MS: u64 = 24 * 3_600 * 1_000;
