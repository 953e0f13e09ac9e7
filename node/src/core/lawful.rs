//! Studies and questions before the rules of law: decided on public facts, with the unit's own declarations.

use aquifer_shared::base::ids::Name;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::law::witness::{GateKind, Run};
use aquifer_shared::domain::law::{Allowed, Decision, Gate, Refused, Spend};
use aquifer_shared::domain::sum::{Plan, StudyTerms};
use aquifer_shared::protocol::wire::RefusalCode;

use super::gatekeeper::{Figures, Gatekeeper};
use super::ledger::Ledger;
use super::policy::Rules;
use super::question::question_of;

/// What a run is held against the rules with: everything is public or declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief {
    /// At which gate.
    pub gate: Gate,
    /// For which purpose.
    pub purpose: String,
    /// Columns that are used.
    pub columns: Vec<String>,
    /// Declared size, and cost of the year.
    pub figures: Figures,
    /// Who reviews the decisions that follow, at the gate of scores.
    pub reviewer: Option<Name>,
}

impl Brief {
    /// Decides.
    pub fn decide(&self, gatekeeper: &Gatekeeper, now: Timestamp) -> Decision {
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        match self.gate {
            Gate::Score => gatekeeper.score(&self.purpose, &columns, self.reviewer.as_ref(), now),
            gate => gatekeeper.run(gate, &self.purpose, &columns, self.figures, now),
        }
    }

    /// The witness for a gate.
    ///
    /// # Errors
    ///
    /// The decision, where it denies or is of another gate.
    pub fn allowed<G: GateKind>(
        &self,
        gatekeeper: &Gatekeeper,
        now: Timestamp,
    ) -> Result<Allowed<G, Run>, Refused> {
        self.decide(gatekeeper, now).allowed::<G, Run>()
    }
}

impl Rules {
    /// Whether law and the declarations of the unit let a study in; the detail is the first cause, from 1.
    pub(super) fn check_law(
        &self,
        now: Timestamp,
        ledger: &Ledger,
        terms: &StudyTerms,
    ) -> Result<(), (RefusalCode, u64)> {
        let Some(brief) = self.brief(now, ledger, terms) else {
            return Ok(());
        };
        let Some(gatekeeper) = &self.gatekeeper else {
            return Err((RefusalCode::Law, 0));
        };
        let decision = brief.decide(gatekeeper, ledger.present(now));
        let first = decision.causes().iter().next();
        first.map_or(Ok(()), |cause| Err((RefusalCode::Law, cause as u64 + 1)))
    }

    /// What a study is held against the rules with; none where it reads nobody.
    pub(super) fn brief(
        &self,
        now: Timestamp,
        ledger: &Ledger,
        terms: &StudyTerms,
    ) -> Option<Brief> {
        let (gate, columns) = match &terms.plan {
            Plan::Synthetic { .. } => return None,
            Plan::Additive { .. } => {
                let label = [self.contract.label.clone()];
                (Gate::Train, [&self.contract.features[..], &label].concat())
            }
            Plan::Question { .. } => (Gate::Query, self.question_columns(terms)),
        };
        Some(Brief {
            gate,
            purpose: terms.purpose.to_string(),
            columns,
            figures: self.figures(now, ledger, terms),
            reviewer: None,
        })
    }

    fn question_columns(&self, terms: &StudyTerms) -> Vec<String> {
        let Some(question) = question_of(&terms.plan) else {
            return Vec::new();
        };
        let table = self.published(&question);
        let name = |column: u16| {
            let column = table?.columns.get(usize::from(column))?;
            Some(column.name.clone())
        };
        let columns = question.columns().into_iter().filter_map(name);
        let columns: Vec<String> = columns.collect();
        // Counting rows says that somebody is a customer, and no more.
        if columns.is_empty() {
            return table
                .map(|table| table.privacy_unit.clone())
                .into_iter()
                .collect();
        }
        columns
    }

    /// The unit's declared size, and what the year would have cost a subject with this study.
    fn figures(&self, now: Timestamp, ledger: &Ledger, terms: &StudyTerms) -> Figures {
        let year = ledger.year_with(now, self.split, terms);
        let epsilon = year.map_or(f64::INFINITY, |year| (self.epsilon)(year, terms.delta));
        Figures {
            population: self.policy.customers_max,
            spend: Spend {
                epsilon_micro: (epsilon * 1e6).ceil() as u64,
                delta_pico: (terms.delta.get() * 1e12).ceil() as u64,
            },
        }
    }
}
