//! Questions of analysts at a node: what is checked before anything is set aside, and which signature counts.
//!
//! Decided on public facts alone: terms, contract, node.toml, the ledger. Customers are never looked at.

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::base::limits::QUESTION_BYTES_MAX;
use aquifer_shared::domain::contract::Published;
use aquifer_shared::domain::question::Question;
use aquifer_shared::domain::sum::{Plan, StudyTerms, study_hash};
use aquifer_shared::protocol::codec::{decode, encode};
use aquifer_shared::protocol::wire::RefusalCode;

use super::ledger::{Ledger, reservation, signed};
use super::policy::Rules;

/// The question in a plan.
pub(super) fn question_of(plan: &Plan) -> Option<Question> {
    let Plan::Question { question, .. } = plan else {
        return None;
    };
    decode("question", question, QUESTION_BYTES_MAX).ok()
}

impl Rules {
    /// Holds a question against the published table that it reads and against its standing study; other plans pass.
    pub(super) fn check_question(
        &self,
        ledger: &Ledger,
        terms: &StudyTerms,
    ) -> Result<(), (RefusalCode, u64)> {
        let Plan::Question { standing, .. } = &terms.plan else {
            return Ok(());
        };
        let refuse = |code| Err((code, 0));
        let question = question_of(&terms.plan).ok_or((RefusalCode::TermsDiffer, 0))?;
        if !standing.tables.contains(&question.table) {
            return refuse(RefusalCode::Standing);
        }
        let Some(table) = self.published(&question) else {
            return refuse(RefusalCode::NotPublished);
        };
        question
            .check_on(table)
            .map_err(|_| (RefusalCode::TermsDiffer, 0))?;
        self.check_data_version(terms).map_err(|code| (code, 0))?;
        let [round] = &terms.rounds[..] else {
            return refuse(RefusalCode::TermsDiffer);
        };
        let share = terms.noise_share().ok_or((RefusalCode::TermsDiffer, 0))?;
        let planned = question.round(table, terms.customers_max, round.urho, share);
        if planned.as_ref() != Some(round) {
            return refuse(RefusalCode::TermsDiffer);
        }
        let hash = signed(&terms_hash(terms), terms).ok_or((RefusalCode::Standing, 0))?;
        if self.policy.by_person && !self.standing.contains(&hash) {
            return refuse(RefusalCode::RefusedByPerson);
        }
        let left = standing
            .urho_max
            .left_after(ledger.asked(&hash).unwrap_or(standing.urho_max));
        let wanted = reservation(terms).map(|parts| parts.everyone);
        if wanted.is_none_or(|wanted| wanted > left) {
            return Err((RefusalCode::StandingBudget, left.0));
        }
        Ok(())
    }

    /// A question is about one state of the tables: the one that this node serves now.
    pub(super) fn check_data_version(&self, terms: &StudyTerms) -> Result<(), RefusalCode> {
        let Plan::Question { data, .. } = &terms.plan else {
            return Ok(());
        };
        let own = terms
            .member(&self.identity)
            .and_then(|place| data.get(place));
        if data.len() == terms.roster.len() && own.is_some() && own == self.data_version.as_ref() {
            return Ok(());
        }
        Err(RefusalCode::DataVersion)
    }

    /// The smallest slot that hides how long this question takes to answer; 0 where nothing can be answered.
    pub(super) fn question_slot_ms(&self, terms: &StudyTerms) -> u32 {
        let question = question_of(&terms.plan);
        let known = question.as_ref().and_then(|question| {
            let table = self.published(question)?;
            Some(question.slot_ms(table, terms.customers_max))
        });
        known.unwrap_or(0)
    }

    pub(super) fn published(&self, question: &Question) -> Option<&Published> {
        let mut tables = self.contract.published.iter();
        tables.find(|table| table.name == question.table)
    }
}

fn terms_hash(terms: &StudyTerms) -> StudyHash {
    study_hash(&encode(terms))
}

#[cfg(test)]
#[path = "question_tests.rs"]
mod tests;
