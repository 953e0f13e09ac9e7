//! The plan of a standing study, from what its file wishes.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::sum::{Plan, Standing};

use super::expand::{ExpandError, value};
use super::study_file::{QuestionsChoice, StudyFile};

/// What approvers sign once for many questions.
pub(super) fn standing(
    file: &StudyFile,
    wish: &QuestionsChoice,
    contract: &Contract,
    (id, urho_max, expires): ([u8; 16], MicroRho, Timestamp),
) -> Result<Plan, ExpandError> {
    let mut tables = wish.tables.clone();
    tables.sort();
    for table in &tables {
        if contract.published(table).is_none() {
            let known: Vec<&str> = contract
                .published
                .iter()
                .map(|table| &*table.name)
                .collect();
            let expected = format!("published tables of the contract: {}", known.join(", "));
            return Err(value("plan.questions.tables", table, expected));
        }
    }
    Ok(Plan::Question {
        question: Vec::new(),
        data: Vec::new(),
        standing: Standing {
            id,
            name: file.name.clone(),
            tables,
            urho_question_max: MicroRho(wish.urho_max),
            urho_question_default: MicroRho(wish.urho_default),
            urho_max,
            urho_share: wish.urho_share.map_or(urho_max, MicroRho),
            window: wish.window,
            cohort_floor: wish.cohort_floor,
            expires,
        },
    })
}
