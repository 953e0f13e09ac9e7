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

#[cfg(test)]
mod tests {
    use aquifer_shared::base::units::MicroRho;
    use aquifer_shared::domain::law::Cause;

    use super::*;
    use crate::core::fixtures::{NOW, SPLIT, URHO, offer, rules, synthetic, terms};
    use crate::core::ledger::Caps;

    const YEAR_MS: u64 = 365 * 24 * 3_600 * 1_000;

    /// Each study costs half of the year's cap of 3.
    fn dear() -> Rules {
        Rules {
            epsilon: |rho, _| rho.0 as f64 * 1.5 / URHO.0 as f64,
            ..rules()
        }
    }

    fn numbered(number: u8) -> StudyTerms {
        StudyTerms {
            study_id: [number; 16],
            ..terms()
        }
    }

    fn accept(ledger: &mut Ledger, terms: &StudyTerms) {
        let (_, accepted) = offer(terms);
        let caps = Caps {
            per_contract: MicroRho(u64::MAX),
            per_year: MicroRho(u64::MAX),
        };
        let body = (&accepted.terms[..], terms, &accepted.approvals[..]);
        ledger.reserve(NOW, caps, SPLIT, body, false).unwrap();
    }

    fn refused(cause: Cause) -> Result<(), (RefusalCode, u64)> {
        Err((RefusalCode::Law, cause as u64 + 1))
    }

    #[test]
    fn a1_the_subject_year_counts_all_studies_of_the_ledger() {
        let (rules, mut ledger) = (dear(), Ledger::default());
        accept(&mut ledger, &numbered(1));
        assert_eq!(rules.check_law(NOW, &ledger, &numbered(2)), Ok(()));
        accept(&mut ledger, &numbered(2));
        let above = refused(Cause::EpsilonAboveCap);
        assert_eq!(rules.check_law(NOW, &ledger, &numbered(3)), above);
        // What is accepted already is counted once.
        assert_eq!(rules.check_law(NOW, &ledger, &numbered(2)), Ok(()));
        // Made-up data cost nobody anything.
        assert_eq!(rules.check_law(NOW, &ledger, &synthetic(3)), Ok(()));
    }

    #[test]
    fn a_clock_set_back_gives_no_year_back() {
        let (rules, mut ledger) = (dear(), Ledger::default());
        accept(&mut ledger, &numbered(1));
        accept(&mut ledger, &numbered(2));
        let before = Timestamp(NOW.0 - YEAR_MS);
        let above = refused(Cause::EpsilonAboveCap);
        assert_eq!(rules.check_law(before, &ledger, &numbered(3)), above);
    }

    #[test]
    fn a_relabelled_purpose_is_refused() {
        let (rules, ledger) = (dear(), Ledger::default());
        let named = |purpose: &str| StudyTerms {
            purpose: purpose.parse().unwrap(),
            ..terms()
        };
        let check = |purpose: &str| rules.check_law(NOW, &ledger, &named(purpose));
        assert_eq!(check("churn.train"), Ok(()));
        assert_eq!(check("churn.query"), refused(Cause::WrongAction));
        assert_eq!(check("churn"), refused(Cause::PurposeUnknown));
        let mut other = dear();
        other.contract.features.push("shoe_size".to_owned());
        let found = other.check_law(NOW, &ledger, &terms());
        assert_eq!(found, refused(Cause::ColumnNotAllowed));
    }

    #[test]
    fn without_declarations_only_made_up_studies_are_taken() {
        let rules = Rules {
            gatekeeper: None,
            ..dear()
        };
        let ledger = Ledger::default();
        assert_eq!(rules.check_law(NOW, &ledger, &synthetic(3)), Ok(()));
        let found = rules.check_law(NOW, &ledger, &terms());
        assert_eq!(found, Err((RefusalCode::Law, 0)));
    }
}
