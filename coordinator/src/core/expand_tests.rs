//! What must hold for every expansion of a study file.

use aquifer_shared::domain::predictor::plan::{CLIP_TIGHT, CLIP_WIDE};
use aquifer_shared::protocol::codec::decode;

use super::*;

const CONTRACT: &str = r#"
[contract]
name = "customers"
version = 1

[table.customers]
privacy_unit = "customer"
label = { column = "left", positive = "yes" }

[table.customers.column.tenure]
low = 0
high = 72

[table.customers.column.plan]
levels = ["basic", "plus"]
"#;

const STUDY: &str = r#"
name = "churn"
purpose = "churn.train"
contract = { name = "customers", version = 1 }
plan = "additive"
epsilon = 1.0
customers_max = 10000
population = 80000
"#;

/// Linear stand-in: epsilon 1 is 30 000 micro-rho, at any delta.
const LINEAR: Accountant = Accountant {
    largest_urho: |epsilon, _| MicroRho((epsilon.get() * 30_000.0) as u64),
    epsilon: |urho, _| urho.0 as f64 / 30_000.0,
};

const NOW: Timestamp = Timestamp(1_000);

fn registry() -> Vec<(Name, IdentityKey)> {
    let node = |name: &str, key| (name.parse().unwrap(), IdentityKey([key; 32]));
    vec![
        node("north", 9),
        node("south", 3),
        node("west", 5),
        node("east", 7),
    ]
}

fn expand_text(study: &str, contract: &str) -> Result<Expanded, ExpandError> {
    expand_for(&registry(), study, contract)
}

fn expand_for(
    registry: &[(Name, IdentityKey)],
    study: &str,
    contract: &str,
) -> Result<Expanded, ExpandError> {
    let contract = Contract::parse(contract).unwrap();
    let file = StudyFile::parse(study).unwrap();
    expand(&file, &contract, registry, [7; 16], NOW, LINEAR)
}

/// The sample study for this many nodes.
fn of_nodes(count: usize, extra: &str) -> Result<Expanded, ExpandError> {
    let node = |index: usize| {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&(index as u16).to_be_bytes());
        (format!("node-{index}").parse().unwrap(), IdentityKey(key))
    };
    let registry: Vec<_> = (0..count).map(node).collect();
    expand_for(&registry, &format!("{STUDY}{extra}"), CONTRACT)
}

#[track_caller]
fn check_told(study: &Expanded, expected: &[&str]) {
    for expected in expected {
        let told = study.notes.iter().any(|note| note.contains(expected));
        assert!(told, "{expected} in {:?}", study.notes);
    }
}

fn expanded(extra: &str) -> Expanded {
    expand_text(&format!("{STUDY}{extra}"), CONTRACT).unwrap()
}

#[track_caller]
fn check_refused(from: &str, to: &str, expected: &str) {
    assert!(STUDY.contains(from), "{from}");
    let error = expand_text(&STUDY.replacen(from, to, 1), CONTRACT).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn defaults_are_those_of_the_design() {
    let study = expanded("");
    let terms = &study.terms;
    assert_eq!((terms.quorum, terms.attempts_max), (3, 2));
    let times = (terms.slot_ms, terms.phase_ms, terms.attempt_ttl_ms);
    assert_eq!(times, (20, 2_000, 120_000));
    assert_eq!(terms.expires, NOW.after_ms(24 * 3_600_000));
    assert_eq!(terms.family.as_str(), "customers");
    assert_eq!(
        (terms.urho, terms.urho_cap),
        (MicroRho(30_000), MicroRho(60_000))
    );
    assert_eq!(terms.rounds.len(), 10);
    assert_eq!(study.hash, study_hash(&study.bytes));
    assert_eq!(decode("terms", &study.bytes, 1 << 20), Ok(terms.clone()));
}

#[test]
fn members_stand_by_rising_key() {
    let study = expanded("nodes = [\"north\", \"south\", \"west\"]");
    let names: Vec<&str> = study.members.iter().map(Name::as_str).collect();
    assert_eq!(names, ["south", "west", "north"]);
    assert!(study.terms.roster.is_sorted());
    assert_eq!(expanded("").terms.roster.len(), 4);
}

#[test]
fn residuals_are_clipped_by_epsilon_however_it_is_stated() {
    let clip = |extra: &str| {
        let text = STUDY.replace("epsilon = 1.0", extra);
        match expand_text(&text, CONTRACT).unwrap().terms.plan {
            Plan::Additive { clip, .. } => clip,
            Plan::Synthetic { .. } | Plan::Question { .. } => 0,
        }
    };
    assert_eq!(
        (clip("epsilon = 1.0"), clip("urho = 30000")),
        (CLIP_TIGHT, CLIP_TIGHT)
    );
    assert_eq!(
        (clip("epsilon = 1.5"), clip("urho = 30001")),
        (CLIP_WIDE, CLIP_WIDE)
    );
}

#[test]
fn spare_attempts_raise_the_cap_by_the_dearest_round() {
    let cap = |extra: &str| expanded(extra).terms.urho_cap;
    assert_eq!(cap("spare_attempts = 0"), MicroRho(30_000));
    assert_eq!(cap(""), MicroRho(60_000));
    assert_eq!(cap("spare_attempts = 2"), MicroRho(90_000));
}

#[test]
fn what_repeating_costs_is_told_beforehand() {
    let told =
        |extra: &str, text: &str| expanded(extra).notes.iter().any(|note| note.contains(text));
    assert!(told("", "sets 60000 micro-rho aside") && told("", "up to epsilon 2 in all"));
    assert!(!told("", "spare_attempts is 0"));
    assert!(told("spare_attempts = 0", "spare_attempts is 0"));
    assert!(!told("spare_attempts = 0", "aside"));
}

#[test]
fn a_customer_at_several_nodes_stays_within_the_target() {
    let own = expanded("multiplicity = 3\ntrust = \"node-noise\"").terms;
    assert_eq!(own.part_price(Part::HoldOut), Some(MicroRho(5_000)));
    assert!(quoted_urho(&own).unwrap() <= MicroRho(30_000));
    assert!(quoted_urho(&own).unwrap() > MicroRho(29_900));
    let shared = expanded("multiplicity = 3");
    let terms = &shared.terms;
    assert_eq!(terms.part_price(Part::HoldOut), Some(MicroRho(15_000)));
    assert_eq!(quoted_urho(terms), Some(terms.urho));
    assert!(terms.urho <= MicroRho(30_000) && terms.urho > MicroRho(29_900));
    // Thrice the noise for three copies, and the price is halved because a customer may be in both parts.
    let single = expanded("").terms.rounds[9].sigma_share as f64;
    let ratio = terms.rounds[9].sigma_share as f64 / single;
    assert!((ratio - 3.0 * 2_f64.sqrt()).abs() < 0.05, "{ratio}");
    check_told(
        &shared,
        &["3 nodes: one noise covers all copies, 3 times as strong"],
    );
}

#[test]
fn the_trust_mode_follows_from_the_number_of_nodes() {
    let three = of_nodes(3, "").unwrap();
    assert_eq!(three.terms.mode, TrustMode::NodeNoise);
    check_told(&three, &["shared-noise needs 4 nodes, 3 take part"]);
    let four = of_nodes(4, "").unwrap();
    assert_eq!(four.terms.mode, TrustMode::SharedNoise);
    check_told(&four, &["trust is shared-noise because 4 nodes take part"]);
    let stated = of_nodes(8, "trust = \"node-noise\"").unwrap();
    assert_eq!(stated.terms.mode, TrustMode::NodeNoise);
    assert!(!stated.notes.iter().any(|note| note.contains("trust is")));
    let error = of_nodes(3, "trust = \"shared-noise\"").unwrap_err();
    assert!(
        error.to_string().contains("shared-noise with 3 nodes"),
        "{error}"
    );
}

#[test]
fn shared_noise_states_what_it_tolerates_and_what_is_left() {
    let study = of_nodes(8, "").unwrap();
    let terms = &study.terms;
    assert_eq!((terms.d_max, terms.c_max, terms.quorum), (2, 1, 6));
    assert_eq!((terms.honest(), terms.urho), (Some(5), MicroRho(30_000)));
    check_told(
        &study,
        &[
            "of 8 nodes 2 may be absent and 1 may collude",
            "h = 5, k = 3 cells to a share, Q = 5 confirmations",
            "150000 micro-rho, epsilon 5 at delta 1e-6",
            "a sum needs 6 of 8 nodes; in each of its four steps the others are waited for up to 2000 ms",
        ],
    );
    let own = of_nodes(8, "trust = \"node-noise\"").unwrap().terms;
    for (own, shared) in own.rounds.iter().zip(&terms.rounds) {
        assert_eq!((own.urho, own.delta_sq), (shared.urho, shared.delta_sq));
        let ratio = own.sigma_share as f64 / shared.sigma_share as f64;
        assert!((ratio - 5_f64.sqrt()).abs() < 0.01, "{ratio}");
    }
}

#[test]
fn tolerances_may_be_stated_and_must_fit() {
    let cautious = of_nodes(8, "d_max = 1\nc_max = 3").unwrap().terms;
    assert_eq!((cautious.d_max, cautious.c_max, cautious.quorum), (1, 3, 7));
    assert_eq!(cautious.honest(), Some(4));
    let check = |extra: &str, expected: &str| {
        let error = of_nodes(8, extra).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check("d_max = 4", "8 members cannot tolerate d_max 4 and c_max 1");
    check("c_max = 0", "c_max is 0, expected at least 1");
    check(
        "quorum = 6",
        "quorum is 6, expected left out: in shared-noise",
    );
    check(
        "trust = \"node-noise\"\nc_max = 1",
        "c_max is 1, expected left out",
    );
    check(
        "trust = \"node-noise\"\nd_max = 0",
        "d_max is 0, expected left out",
    );
    check(
        "phase_ms = 30001",
        "to 30000 (an attempt's life over the four steps",
    );
    assert!(of_nodes(8, "phase_ms = 30001\ntrust = \"node-noise\"").is_ok());
}

#[test]
fn many_nodes_make_groups() {
    let study = of_nodes(1_000, "").unwrap();
    let terms = &study.terms;
    assert_eq!((terms.d_max, terms.c_max, terms.quorum), (31, 15, 752));
    assert_eq!(terms.honest(), Some(79));
    check_told(
        &study,
        &[
            "1000 nodes make 8 groups of 125: each",
            "of 125 nodes 31 may be absent",
        ],
    );
    let odd = of_nodes(129, "").unwrap();
    check_told(
        &odd,
        &[
            "129 nodes make 2 groups of 64 or 65",
            "of 64 nodes 16 may be absent",
        ],
    );
}

#[test]
fn a_sum_that_does_not_fit_its_messages_is_refused() {
    let synthetic = "{ synthetic = { cells = 600000, rounds = 1 } }\nsynthetic = true";
    let text = STUDY.replace("\"additive\"", synthetic);
    let error = expand_text(&text, CONTRACT).unwrap_err().to_string();
    assert!(error.contains("600000 blocks a member"), "{error}");
    let own = text.replace("purpose", "trust = \"node-noise\"\npurpose");
    assert!(expand_text(&own, CONTRACT).is_ok());
}

#[test]
fn a_synthetic_study_needs_its_mark() {
    let synthetic = "{ synthetic = { cells = 100, rounds = 50 } }\nslot_ms = 0";
    let text = STUDY.replace("\"additive\"", synthetic);
    assert_eq!(expand_text(&text, CONTRACT), Err(ExpandError::NotMarked));
    let terms = expand_text(&format!("{text}synthetic = true"), CONTRACT)
        .unwrap()
        .terms;
    assert_eq!(
        (terms.rounds.len(), terms.slot_ms, terms.phase_ms),
        (50, 0, 2_000)
    );
    assert_eq!(
        (terms.rounds[0].urho, terms.rounds[0].cells_max),
        (MicroRho(600), 100)
    );
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    check_refused("version = 1", "version = 2", "customers version 2");
    let pinned = format!("version = 1, hash = \"{}\"", Hash32([1; 32]));
    check_refused("version = 1", &pinned, "pins contract hash 0101");
    check_refused("plan", "nodes = [\"mars\"]\nplan", "node mars is not");
    check_refused("plan", "nodes = [\"west\", \"west\"]\nplan", "named twice");
    check_refused("plan", "delta = 1e-5\nplan", "1 / (10 · population)");
    check_refused("80000", "0", "population is 0");
    check_refused("10000", "0", "customers_max is 0");
    check_refused("plan", "slot_ms = 30\nplan", "one of 20, 50");
    check_refused("10000", "10000000\nslot_ms = 20", "one of 1000, 2000");
    check_refused("plan", "phase_ms = 5\nplan", "from 20 (the slot)");
    let own = "trust = \"node-noise\"\nquorum = 5\nplan";
    check_refused("plan", own, "quorum is 5");
    check_refused("plan", "attempts_max = 5\nplan", "attempts_max is 5");
    check_refused("plan", "expires = 1000\nplan", "later than now");
    check_refused("plan", "expires_in_hours = 9000\nplan", "within a year");
    check_refused(
        "plan",
        "holdout = { column = \" \" }\nplan",
        "name of a column",
    );
    check_refused("epsilon = 1.0", "urho = 7", "raise epsilon");
    check_refused("epsilon = 1.0", "urho = 0", "epsilon is 0");
    let many = STUDY.replace("plan", "multiplicity = 1\nplan");
    let contract = CONTRACT.replace("version = 1", "version = 1\nmultiplicity = 2");
    let error = expand_text(&many, &contract).unwrap_err();
    assert!(error.to_string().contains("at least the contract's 2"));
}

#[test]
fn too_little_data_is_told_beforehand() {
    let told = |study: &Expanded, text: &str| study.notes.iter().any(|note| note.contains(text));
    let (large, small) = (
        STUDY.replace("80000", "90000"),
        STUDY.replace("80000", "900"),
    );
    let large = expand_text(&large, CONTRACT).unwrap();
    assert!(!told(&large, "too_little_data"), "{:?}", large.notes);
    let small = expand_text(&small, CONTRACT).unwrap();
    assert!(told(&small, "too little data to tell"), "{:?}", small.notes);
    assert!(told(&small, "epsilon 1 at delta 1e-6"), "{:?}", small.notes);
}

const TABLES: &str = r#"
[table.orders]
privacy_unit = "customer"
rows_per_group_max = 4
groups_per_unit_max = 2
size_band = [100, 10000]
[table.orders.column.shop]
levels = ["north", "south"]
"#;

/// A standing study over these tables, with these prices of one question.
fn standing(tables: &str, urho_default: u64, urho_max: u64) -> Result<Expanded, ExpandError> {
    let plan = format!(
        "plan = {{ questions = {{ tables = {tables}, urho_max = {urho_max}, urho_default = {urho_default}, cohort_floor = 50 }} }}"
    );
    let study = STUDY.replace("plan = \"additive\"", &plan);
    expand_text(&study, &format!("{CONTRACT}{TABLES}"))
}

#[test]
fn rounds_wait_for_questions_where_analysts_ask() {
    let asked = expand_text(STUDY, &format!("{CONTRACT}{TABLES}")).unwrap();
    assert_eq!(asked.terms.phase_ms, 2_000 + 64 * 50);
}

#[test]
fn a_standing_study_states_what_questions_may_cost() {
    let expanded = standing("[\"orders\"]", 100, 400).unwrap();
    let terms = &expanded.terms;
    assert!(terms.is_standing() && terms.rounds.is_empty());
    assert_eq!(
        (terms.urho, terms.urho_cap),
        (MicroRho(30_000), MicroRho(30_000))
    );
    assert_eq!(
        terms.template(),
        *terms,
        "what is signed is what questions lead back to"
    );
    let all = "all questions together cost at most";
    assert!(
        expanded.notes.iter().any(|note| note.starts_with(all)),
        "{:?}",
        expanded.notes
    );
    let told = |text: &str| expanded.notes.iter().any(|note| note.contains(text));
    assert!(!told("sets") && !told("waited for"), "{:?}", expanded.notes);
}

#[test]
fn a_standing_study_that_fits_nothing_is_refused() {
    let refused = |tables: &str, default: u64, max: u64, expected: &str| {
        let error = standing(tables, default, max).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(
        "[\"invoices\"]",
        100,
        400,
        "published tables of the contract: orders",
    );
    refused("[]", 100, 400, "number of tables is 0");
    refused("[\"orders\", \"orders\"]", 100, 400, "strictly rising");
    refused(
        "[\"orders\"]",
        500,
        400,
        "price of a question by default is 500",
    );
    refused(
        "[\"orders\"]",
        0,
        400,
        "price of a question by default is 0",
    );
    refused(
        "[\"orders\"]",
        100,
        30_001,
        "price of a question by default is 100",
    );
}
