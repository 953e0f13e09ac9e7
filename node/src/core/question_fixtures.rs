//! A contract with a table of orders, questions about it, and what was signed for them.

use aquifer_shared::base::ids::Name;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::question::{Block, BlockKind, Filter, Key, Question};
use aquifer_shared::domain::sum::{
    HoldOut, NoiseShare, Plan, Standing, StudyTerms, Window, study_hash,
};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{Approval, approve_digest};

use super::fixtures::{APPROVER, NOW, key, name, public, rules, terms};
use super::policy::Rules;

const CONTRACT: &str = r#"
[contract]
name = "churn"
version = 1
[table.people]
privacy_unit = "id"
label = { column = "left", positive = "yes" }
[table.people.column.plan]
levels = ["basic", "plus"]
[table.orders]
privacy_unit = "id"
rows_per_group_max = 4
groups_per_unit_max = 2
size_band = [100, 10000]
[table.orders.column.shop]
levels = ["north", "south"]
[table.orders.column.amount]
low = 0
high = 100
step = 1
grid = 10
"#;
/// Price of the sample question.
pub(crate) const URHO: MicroRho = MicroRho(1_000);

/// The state of the tables.
pub(crate) fn version() -> Name {
    name("2026-11")
}

/// A policy that takes the sample question.
pub(crate) fn own_rules() -> Rules {
    let mut rules = rules();
    rules.contract.published = Contract::parse(CONTRACT).unwrap().published;
    rules.data_version = Some(version());
    rules
}

/// Orders by shop.
pub(crate) fn question() -> Question {
    Question {
        table: "orders".to_owned(),
        keys: vec![Key::Level(0)],
        filter: Filter::All,
        groups_max: 2,
        blocks: vec![Block {
            kind: BlockKind::Rows,
            weight: 1_000,
        }],
    }
}

/// The terms of a question at a price, under a standing study that allows three of them with both attempts.
pub(crate) fn asked(question: &Question, urho: MicroRho) -> StudyTerms {
    let base = terms();
    let contract = Contract::parse(CONTRACT).unwrap();
    let table = contract.published("orders").unwrap();
    let round = question.round(table, base.customers_max, urho, NoiseShare::OWN);
    let cap = MicroRho(2 * urho.0);
    StudyTerms {
        name: name("reports"),
        purpose: name("churn.query"),
        plan: Plan::Question {
            question: encode(question),
            data: vec![version(); base.roster.len()],
            standing: Standing {
                id: [9; 16],
                name: name("reports"),
                tables: vec!["orders".to_owned()],
                urho_question_max: MicroRho(2 * URHO.0),
                urho_question_default: URHO,
                urho_max: MicroRho(6 * URHO.0),
                urho_share: MicroRho(6 * URHO.0),
                window: Window::Whole,
                cohort_floor: 50,
                expires: NOW.after_ms(7_200_000),
            },
        },
        rounds: round.into_iter().collect(),
        urho,
        urho_cap: cap,
        holdout: HoldOut::Fraction(0),
        slot_ms: question.slot_ms(table, base.customers_max),
        ..base
    }
}

/// Approvals of the standing study behind these terms; whatever a coordinator changed in the question is not covered by more.
pub(crate) fn approvals(signed: &StudyTerms) -> Vec<Approval> {
    let standing = study_hash(&encode(&signed.template()));
    let signature = key(APPROVER).sign(&approve_digest(&standing).0);
    vec![Approval {
        key: public(APPROVER),
        signature: signature.as_ref().to_vec(),
    }]
}
