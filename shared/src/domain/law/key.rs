//! What a rule can set, how its value is written, and which of two values is the stricter one.
//!
//! Every value is a number to the lattice: a whole number as it is, a word by its place from lax to strict, a list as bits.

use super::kind::{Kind, List};
use super::words::words;

words!(
    /// What a rule sets.
    Key {
        /// Whether people opt in or out.
        ConsentModel = "consent_model",
        /// Below this age, sale or sharing needs an opt-in.
        SaleOptInAge = "sale_opt_in_age",
        /// Bases that may be relied on.
        Bases = "bases",
        /// Bases that may not carry an automated decision.
        BasesNotAutomated = "bases_not_automated",
        /// What sensitive data takes.
        Sensitive = "sensitive",
        /// Which categories are sensitive.
        SensitiveCategories = "sensitive_categories",
        /// Below this age a guardian must have agreed.
        MinAge = "min_age",
        /// What an objection does.
        Objection = "objection",
        /// What a decision of significant effect takes.
        Automated = "automated_decisions",
        /// Uses that are denied unless two people sign.
        ScreenedUses = "screened_uses",
        /// Signals that must be read before anything is sold or shared.
        Signals = "signals",
        /// Days to answer a request.
        ClockRequestDays = "clock_request_days",
        /// Days by which that can be extended.
        ClockExtensionDays = "clock_extension_days",
        /// Hours to tell the authority of a breach.
        ClockBreachHours = "clock_breach_hours",
        /// Days to acknowledge a complaint.
        ClockComplaintDays = "clock_complaint_days",
        /// Business days to act on an opt-out.
        ClockOptOutBusinessDays = "clock_opt_out_business_days",
        /// Whether an assessment of risk is owed.
        RiskAssessment = "risk_assessment",
        /// Whether processing is recorded.
        Records = "records",
        /// What a transfer to another country takes.
        Transfer = "transfer",
        /// Customers' data is kept for no longer.
        RetentionMaxDays = "retention_max_days",
        /// Customers' data must be kept for as long.
        RetentionMinDays = "retention_min_days",
        /// Scores are kept for no longer.
        ScoreRetentionMaxDays = "score_retention_max_days",
        /// Consent is asked for again after this.
        ConsentMaxAgeDays = "consent_max_age_days",
        /// A model is superseded this long after an erasure.
        ModelAgeAfterErasureMaxDays = "model_age_after_erasure_max_days",
        /// Smallest population of a question.
        CohortMinQuery = "cohort_min_query",
        /// Smallest population of a node that trains.
        CohortMinTrain = "cohort_min_train",
        /// Largest epsilon of a subject in a year, in millionths.
        EpsilonYearMaxMicro = "epsilon_year_max_micro",
        /// From this epsilon on it is told.
        EpsilonYearWarnMicro = "epsilon_year_warn_micro",
        /// Delta times this and the population is at most 1.
        DeltaPopulationFactor = "delta_population_factor",
        /// What happens to the unknown.
        OnUnknown = "on_unknown",
    }
);

/// Which of two values is stricter, or what both together say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stricter {
    Larger,
    Smaller,
    Union,
    Intersection,
}

/// Places on the ladders that decisions look at.
pub(super) const OPT_IN: u64 = 1;
pub(super) const EXPLICIT_CONSENT: u64 = 1;
pub(super) const PROHIBITED: u64 = 2;
pub(super) const REVIEWER: u64 = 2;
pub(super) const CONTRACT_TERMS: u64 = 1;
pub(super) const TOOL: u64 = 2;
pub(super) const REQUIRED: u64 = 1;

const AGE: Kind = Kind::Whole(0, 21);
const DAYS: Kind = Kind::Whole(1, 36_525);
const HOURS: Kind = Kind::Whole(1, 8_766);
const EPSILON_MICRO: Kind = Kind::Whole(0, 1_000_000_000);
const DUTY: Kind = Kind::Ladder(&["none", "required"]);

impl Key {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::ConsentModel => Kind::Ladder(&["opt_out", "opt_in"]),
            Self::SaleOptInAge | Self::MinAge => AGE,
            Self::Bases | Self::BasesNotAutomated => Kind::List(List::Bases),
            Self::Sensitive => Kind::Ladder(&["right_to_limit", "explicit_consent", "prohibited"]),
            Self::SensitiveCategories => Kind::List(List::Categories),
            Self::Objection => Kind::Ladder(&["blocks"]),
            Self::Automated => Kind::Ladder(&["none", "notice_and_opt_out", "reviewer"]),
            Self::ScreenedUses => Kind::List(List::ScreenedUses),
            Self::Signals => Kind::List(List::Signals),
            Self::ClockBreachHours => HOURS,
            Self::RiskAssessment | Self::Records => DUTY,
            Self::Transfer => Kind::Ladder(&["none", "contract_terms", "tool"]),
            Self::CohortMinQuery | Self::CohortMinTrain => Kind::Whole(1, 1 << 32),
            Self::EpsilonYearMaxMicro | Self::EpsilonYearWarnMicro => EPSILON_MICRO,
            Self::DeltaPopulationFactor => Kind::Whole(1, 1_000_000),
            Self::OnUnknown => Kind::Ladder(&["deny"]),
            Self::ClockRequestDays
            | Self::ClockExtensionDays
            | Self::ClockComplaintDays
            | Self::ClockOptOutBusinessDays
            | Self::RetentionMaxDays
            | Self::RetentionMinDays
            | Self::ScoreRetentionMaxDays
            | Self::ConsentMaxAgeDays
            | Self::ModelAgeAfterErasureMaxDays => DAYS,
        }
    }

    pub(super) fn stricter(self) -> Stricter {
        match self {
            Self::Bases => Stricter::Intersection,
            Self::BasesNotAutomated
            | Self::SensitiveCategories
            | Self::ScreenedUses
            | Self::Signals => Stricter::Union,
            Self::ClockRequestDays
            | Self::ClockExtensionDays
            | Self::ClockBreachHours
            | Self::ClockComplaintDays
            | Self::ClockOptOutBusinessDays
            | Self::RetentionMaxDays
            | Self::ScoreRetentionMaxDays
            | Self::ConsentMaxAgeDays
            | Self::ModelAgeAfterErasureMaxDays
            | Self::EpsilonYearMaxMicro
            | Self::EpsilonYearWarnMicro => Stricter::Smaller,
            _ => Stricter::Larger,
        }
    }

    /// The value as it is written in a pack.
    #[must_use]
    pub fn written(self, value: u64) -> String {
        match self.kind() {
            Kind::Whole(..) => value.to_string(),
            Kind::Ladder(words) => {
                let word = usize::try_from(value).ok().and_then(|rung| words.get(rung));
                word.map_or_else(String::new, |word| (*word).to_owned())
            }
            Kind::List(_) if value == 0 => "none".to_owned(),
            Kind::List(list) => list.written(value),
        }
    }
}

/// What a pack of a law must set.
pub(super) const OF_A_LAW: [Key; 13] = [
    Key::ConsentModel,
    Key::Bases,
    Key::Sensitive,
    Key::SensitiveCategories,
    Key::MinAge,
    Key::Objection,
    Key::Automated,
    Key::Signals,
    Key::ClockRequestDays,
    Key::RiskAssessment,
    Key::Records,
    Key::Transfer,
    Key::OnUnknown,
];

/// What a pack of the house must set.
pub(super) const OF_THE_HOUSE: [Key; 11] = [
    Key::Automated,
    Key::ScreenedUses,
    Key::ScoreRetentionMaxDays,
    Key::ConsentMaxAgeDays,
    Key::ModelAgeAfterErasureMaxDays,
    Key::CohortMinQuery,
    Key::CohortMinTrain,
    Key::EpsilonYearMaxMicro,
    Key::EpsilonYearWarnMicro,
    Key::DeltaPopulationFactor,
    Key::OnUnknown,
];
