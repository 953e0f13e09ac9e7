//! Studies, policies and keys for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{Hash32, IdentityKey, Name, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::law::witness::GateKind;
use aquifer_shared::domain::law::{
    Basis, Category, Pack, Purposes, Rulebook, Set, Spend, Transfer, vendored,
};
use aquifer_shared::domain::predictor::ModelState;
use aquifer_shared::domain::predictor::plan::{CLIP_TIGHT, Shape, additive_rounds};
use aquifer_shared::domain::sum::{
    Gate, HoldOut, NoiseShare, Plan, RoundTerms, SUM_VERSION, StudyTerms, Thresholds, TrustMode,
    groups, sigma_share, study_hash,
};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{Approval, Offer, approve_digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::approved::Approved;
use super::cohort::Cohort;
use super::gatekeeper::{Figures, Gatekeeper, People};
use super::intake::{Intake, Wanted};
use super::ledger::Caps;
use super::participant::Sign;
use super::policy::{ContractFacts, NodePolicy, Rules};
use super::table::Bits;
use super::trust::{Pin, TrustPolicy};

/// Start of every test.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// Under which key the sample unit splits its customers.
pub(crate) const SPLIT: Hash32 = Hash32([6; 32]);
/// Price of the sample study.
pub(crate) const URHO: MicroRho = MicroRho(24_355);

/// A key pair that is always the same.
pub(crate) fn key(number: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap()
}

/// Its public half.
pub(crate) fn public(number: u8) -> IdentityKey {
    IdentityKey(key(number).public_key().as_ref().try_into().unwrap())
}

/// The node's signing function.
pub(crate) fn sign() -> Sign {
    let pair = key(NODE);
    Box::new(move |digest: &Hash32| pair.sign(&digest.0).as_ref().to_vec())
}

/// A name.
pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn shapes() -> Vec<Shape> {
    vec![
        Shape {
            ordered: true,
            cells: 65,
        },
        Shape {
            ordered: false,
            cells: 5,
        },
    ]
}

/// A policy that takes the sample study.
pub(crate) fn rules() -> Rules {
    Rules {
        policy: NodePolicy {
            caps: Caps {
                per_contract: MicroRho(224_249),
                per_year: MicroRho(224_249),
            },
            purposes: vec![name("churn.train"), name("churn.query")],
            approvers: vec![public(APPROVER)],
            by_person: false,
            members_min: 1,
            trust: TrustPolicy::default(),
            floor_per_contract: None,
            allow_synthetic: true,
            customers_max: 1_000,
        },
        contract: ContractFacts {
            name: name("churn"),
            version: 1,
            hash: sha256(b"churn"),
            multiplicity: 1,
            shapes: shapes(),
            published: Vec::new(),
            holdout_column: None,
            features: vec!["tenure".to_owned(), "plan".to_owned()],
            label: "churned".to_owned(),
        },
        identity: public(NODE),
        split: SPLIT,
        data_version: None,
        standing: Vec::new(),
        confirms: |_| true,
        gatekeeper: Some(gatekeeper()),
        epsilon: |rho, _| rho.0 as f64 / 1e6,
        approved: Approved::default(),
    }
}

/// Rules of law under which the sample unit serves the sample purposes.
pub(crate) fn gatekeeper() -> Gatekeeper {
    let columns = ["tenure", "charges", "plan", "shop", "amount", "day", "id"];
    gatekeeper_over(&columns, "churned")
}

/// Leave to read the training table of a contract, for learning and for scores.
pub(crate) fn let_in(contract: &Contract) -> Intake {
    let columns = contract.columns.iter().map(|column| column.name.as_str());
    let columns: Vec<&str> = columns.collect();
    let gatekeeper = gatekeeper_over(&columns, &contract.label.column);
    let wanted = Wanted::training(contract);
    gatekeeper.admit(&wanted, NOW).unwrap()
}

/// The same purposes over other columns, all of which hold what was agreed to.
fn gatekeeper_over(columns: &[&str], target: &str) -> Gatekeeper {
    let purposes = include_str!("../../../shared/laws/examples/purposes.toml");
    let listed = r#"["tenure", "charges", "plan"]"#;
    let purposes = purposes.replace(listed, &format!("{columns:?}"));
    let purposes = purposes.replace("target = \"churned\"", &format!("target = {target:?}"));
    let mapped = columns.iter().copied().chain([target]);
    let mapped = mapped.map(|column| (column.to_owned(), Set::of(&[Category::Contract])));
    let packs = vendored::PACKS.map(|(_, text)| Pack::parse(text).unwrap());
    let book = Rulebook::new(packs.into(), Purposes::parse(&purposes).unwrap()).unwrap();
    let basis = ["churn.train", "churn.query", "churn.score"]
        .map(|purpose| (name(purpose), Basis::Contract));
    let people = People {
        controller: "DE".parse().unwrap(),
        place: "DE".parse().unwrap(),
        adult: true,
        transfer: Transfer::Within,
        basis: basis.into(),
        categories: Set::of(&[Category::Contract]),
        columns: mapped.collect(),
        dpia_current: Vec::new(),
        reviewers: BTreeMap::new(),
    };
    Gatekeeper::new(book, people)
}

/// A cohort of all rows of a table.
pub(crate) fn everybody<G: GateKind>(rows: usize) -> Cohort<G> {
    let purpose = match G::GATE {
        aquifer_shared::domain::law::Gate::Query => "churn.query",
        _ => "churn.train",
    };
    let figures = Figures {
        population: 10_000,
        spend: Spend {
            epsilon_micro: 1,
            delta_pico: 1,
        },
    };
    let decision = gatekeeper().run(G::GATE, purpose, &["tenure"], figures, NOW);
    let rows = Arc::new(Bits::all(rows, true));
    Cohort::new(decision.allowed().unwrap(), rows)
}

/// A model of the sample contract's shape that says nothing.
pub(crate) fn fitting_model() -> ModelState {
    let shapes = rules().contract.shapes;
    ModelState {
        base: 0,
        bin_of_cell: vec![0; shapes.iter().map(|shape| shape.cells).sum()],
        curves: vec![0; shapes.len()],
    }
}

/// The sample study: additive, two residual rounds.
pub(crate) fn terms() -> StudyTerms {
    let mut roster = vec![public(NODE), public(3)];
    roster.sort();
    StudyTerms {
        version: SUM_VERSION,
        study_id: [7; 16],
        name: name("churn-1"),
        family: name("churn"),
        purpose: name("churn.train"),
        contract_name: name("churn"),
        contract_version: 1,
        contract_hash: sha256(b"churn"),
        plan: Plan::Additive {
            clip: CLIP_TIGHT,
            rounds: 2,
        },
        mode: TrustMode::NodeNoise,
        roster,
        d_max: 0,
        c_max: 0,
        multiplicity: 1,
        rounds: additive_rounds(&shapes(), URHO, CLIP_TIGHT, 2, NoiseShare::OWN).unwrap(),
        attempts_max: 2,
        urho_cap: URHO,
        urho: URHO,
        delta: 1e-6.try_into().unwrap(),
        population: 40_000,
        customers_max: 10_000,
        holdout: HoldOut::Fraction(150_000),
        slot_ms: 20,
        phase_ms: 2_000,
        attempt_ttl_ms: 120_000,
        expires: NOW.after_ms(3_600_000),
        quorum: 2,
        gate: Gate::Open,
        expected_gain_ppm: 0,
        synthetic: false,
    }
}

/// The sample study in shared-noise, with the usual tolerances of its smallest group.
pub(crate) fn shared(members: usize) -> StudyTerms {
    let sizes = groups(members).into_iter().map(|group| group.len());
    let smallest = sizes.min().unwrap();
    shared_with(
        members,
        Thresholds::usual_absent(smallest),
        Thresholds::usual_colluders(smallest),
    )
}

/// The sample study in shared-noise, with these tolerances.
pub(crate) fn shared_with(members: usize, d_max: u16, c_max: u16) -> StudyTerms {
    // Real keys where they sign; the others only need to differ.
    let key = |member: usize| match member {
        0 => public(NODE),
        1..=100 => public(member as u8 + 100),
        _ => IdentityKey([member as u8; 32]),
    };
    let mut study = terms();
    study.mode = TrustMode::SharedNoise;
    study.roster = (0..members).map(key).collect();
    study.roster.sort();
    (study.d_max, study.c_max) = (d_max, c_max);
    study.quorum = (members - groups(members).len() * usize::from(d_max)) as u16;
    let share = study.noise_share().unwrap();
    study.rounds = additive_rounds(&shapes(), URHO, CLIP_TIGHT, 2, share).unwrap();
    study
}

/// A policy that knows all members of a study, each with an operator of its own.
pub(crate) fn pinned(terms: &StudyTerms) -> TrustPolicy {
    let pin = |(index, key): (usize, &IdentityKey)| {
        let name: Name = format!("unit-{index}").parse().unwrap();
        let operator = name.clone();
        (*key, Pin { name, operator })
    };
    TrustPolicy {
        operator: Some(name("own")),
        coordinator_operator: Some(name("central")),
        pins: terms.roster.iter().enumerate().map(pin).collect(),
        ..TrustPolicy::default()
    }
}

/// A study of synthetic sums, with spare attempts.
pub(crate) fn synthetic(rounds: u16) -> StudyTerms {
    let (cells, urho, delta_sq) = (4, MicroRho(1_000), 65_536);
    let round = RoundTerms {
        part: aquifer_shared::domain::sum::Part::Training,
        cells_max: cells,
        cell_abs_max: 256,
        delta_sq,
        urho,
        sigma_share: sigma_share(delta_sq, 1, 1, urho).unwrap(),
    };
    let all = MicroRho(1_000 * u64::from(rounds));
    StudyTerms {
        plan: Plan::Synthetic { cells, rounds },
        rounds: vec![round; rounds.into()],
        urho: all,
        urho_cap: all.checked_add(urho).unwrap(),
        slot_ms: 0,
        synthetic: true,
        ..terms()
    }
}

/// A study of synthetic sums in shared-noise, among [`PEER`]`..` and the node itself.
pub(crate) fn shared_synthetic(members: u8, rounds: u16) -> StudyTerms {
    let mut terms = synthetic(rounds);
    let peers = (PEER..).take(usize::from(members) - 1).map(public);
    terms.roster = peers.chain([public(NODE)]).collect();
    terms.roster.sort();
    terms.mode = TrustMode::SharedNoise;
    let groups = terms.groups();
    let smallest = groups.iter().map(|group| group.len()).min().unwrap();
    terms.d_max = Thresholds::usual_absent(smallest);
    terms.c_max = Thresholds::usual_colluders(smallest);
    terms.quorum = u16::from(members) - terms.d_max * groups.len() as u16;
    let share = terms.noise_share().unwrap();
    for round in &mut terms.rounds {
        round.sigma_share = share.scale(round.delta_sq, round.urho).unwrap();
    }
    assert_eq!(terms.check(), Ok(()));
    terms
}

/// A study as the coordinator offers it, approved.
pub(crate) fn offer(terms: &StudyTerms) -> (StudyHash, Offer) {
    let bytes = encode(terms);
    let study = study_hash(&bytes);
    let signature = key(APPROVER).sign(&approve_digest(&study).0);
    let approval = Approval {
        key: public(APPROVER),
        signature: signature.as_ref().to_vec(),
    };
    let approvals = vec![approval];
    (
        study,
        Offer {
            terms: bytes,
            approvals,
        },
    )
}

/// Numbers of the key pairs.
pub(crate) const NODE: u8 = 1;
/// See [`NODE`].
pub(crate) const APPROVER: u8 = 2;
/// See [`NODE`]; the first of many.
pub(crate) const PEER: u8 = 20;
