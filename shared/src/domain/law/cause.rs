//! Why a decision is no: each cause with the rules it rests on, what was found and expected, what to do and whom to ask.
//!
//! A cause carries no value: what is known of a person cannot leave through it.

use super::key::Key;
use super::words::words;

words!(
    /// Whom to ask.
    Ask {
        /// The data protection officer.
        Dpo = "data protection officer",
        /// The team at the unit that guards the data.
        DataTeam = "regional data team",
        /// Whoever answers for the purpose.
        Owner = "owner of the purpose",
        /// A lawyer.
        Counsel = "legal counsel",
        /// Whoever signs studies.
        Approver = "approver",
    }
);

/// Declares causes with what is to be told about each.
macro_rules! causes {
    ($($(#[$about:meta])* $variant:ident = $word:literal, [$($key:ident),*], $found:literal, $remedy:literal, $ask:ident;)+) => {
        words!(
            /// Why a decision is no.
            Cause { $($(#[$about])* $variant = $word),+ }
        );

        impl Cause {
            /// Keys of the rules it rests on.
            #[must_use]
            pub fn keys(self) -> &'static [Key] {
                match self { $(Self::$variant => &[$(Key::$key),*]),+ }
            }

            /// What was found, and what was expected.
            #[must_use]
            pub fn found(self) -> &'static str {
                match self { $(Self::$variant => $found),+ }
            }

            /// What to do.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy),+ }
            }

            /// Whom to ask.
            #[must_use]
            pub fn ask(self) -> Ask {
                match self { $(Self::$variant => Ask::$ask),+ }
            }
        }
    };
}

causes! {
    /// A place is not known.
    PlaceUnknown = "place_unknown", [OnUnknown], "a place is not known, expected a country or region", "map the column that holds the country, and state where the unit is", DataTeam;
    /// No law pack covers a place.
    PlaceUncovered = "place_uncovered", [OnUnknown], "no rule pack covers a place, expected one for each", "leave these people out, or have a pack for their law written and reviewed", Counsel;
    /// The purpose is not declared.
    PurposeUnknown = "purpose_unknown", [OnUnknown], "the purpose is not declared, expected one of the purposes in force", "declare the purpose, or name one that is declared", Owner;
    /// A rule is not in force.
    RuleStale = "rule_stale", [], "a rule has expired or is not in force yet, expected one in force for each key of each pack", "have the pack brought up to date and reviewed (pack.stale)", Counsel;
    /// A rule is missing.
    RuleMissing = "rule_missing", [OnUnknown], "no pack sets a limit that is needed here", "add the rule to a pack", Dpo;
    /// A minimum is above its maximum.
    LimitsConflict = "limits_conflict", [RetentionMinDays, RetentionMaxDays], "a minimum is above its maximum, expected limits that can be kept together", "have the conflict between the two rules decided, and one of them changed", Counsel;
    /// The purpose is for something else.
    WrongAction = "wrong_action", [OnUnknown], "the purpose has another action than this gate, expected the same", "name a purpose that was declared for it; training, query and scoring are separate purposes", Owner;
    /// The purpose was not looked at in time.
    ReviewOverdue = "review_overdue", [OnUnknown], "the day by which the purpose had to be reviewed is over", "review the purpose and set the next day", Owner;
    /// A column is not allowed for the purpose.
    ColumnNotAllowed = "column_not_allowed", [OnUnknown], "a column is used that the purpose does not list", "leave the column out, or have it added to the purpose", Owner;
    /// A column is not mapped to a category.
    CategoryUnknown = "category_unknown", [OnUnknown], "a column has no category, expected a tag for each", "tag the column in the contract", DataTeam;
    /// Results may not leave the unit's tools.
    ExportNotDeclared = "export_not_declared", [OnUnknown], "an export is asked for, expected a purpose that declares it", "stay within the unit's tools, or have the purpose changed", Owner;
    /// A screened use without two signatures.
    UseScreened = "use_screened", [ScreenedUses], "the use is screened (credit, insurance pricing, employment, education, essential services), expected the signatures of two people", "do not use it for this; an exception takes two signers and is logged", Dpo;
    /// A decision of significant effect without a reviewer.
    ReviewerMissing = "reviewer_missing", [Automated], "the effect on people is significant and no reviewer is named", "name the person who reviews each decision and can change it", Dpo;
    /// Signals of opt-out are not read.
    SignalsUnread = "signals_unread", [Signals], "the purpose sells or shares, and signals of opt-out are not read", "do not sell or share where a pack demands signals", Dpo;
    /// No assessment of impact.
    DpiaMissing = "dpia_missing", [RiskAssessment], "no assessment of impact, expected a signed one for this purpose", "have the assessment made and signed, and name it in the purpose", Dpo;
    /// The assessment is out of date, or its state is not known.
    DpiaStale = "dpia_stale", [RiskAssessment], "the assessment of impact is out of date or its state is not known, expected a current one", "have the assessment renewed", Dpo;
    /// Sensitive data that may not be used at all.
    SensitiveProhibited = "sensitive_prohibited", [Sensitive, SensitiveCategories], "sensitive data, and a pack prohibits its use", "leave the columns out", Dpo;
    /// Sensitive data without explicit consent.
    SensitiveConsent = "sensitive_consent", [Sensitive, SensitiveCategories], "sensitive data without explicit consent", "leave the columns out, or ask for consent in express words", Dpo;
    /// No basis.
    BasisUnknown = "basis_unknown", [Bases, OnUnknown], "the basis of the processing is not known", "record the basis with the consent source", DataTeam;
    /// A basis that does not hold here.
    BasisNotAllowed = "basis_not_allowed", [Bases], "the basis is not one that all laws which apply accept", "rely on a basis that they accept; do not switch after an objection or a withdrawal", Dpo;
    /// A basis that does not hold for automated decisions.
    BasisNotAutomated = "basis_not_automated", [BasesNotAutomated], "the basis does not carry a decision of significant effect", "rely on another basis, or change the effect", Dpo;
    /// Notice is not enough.
    OptInNeeded = "opt_in_needed", [ConsentModel], "notice alone, expected an opt-in or another basis", "ask for consent", Dpo;
    /// No consent in force.
    ConsentMissing = "consent_missing", [ConsentModel, Bases], "no consent in force: none given, refused, withdrawn or over", "leave the person out; ask only where asking again is fair", DataTeam;
    /// The state of the consent is not known.
    ConsentUnknown = "consent_unknown", [ConsentModel, OnUnknown], "the state of the consent is not known", "import the consent records", DataTeam;
    /// The consent is old.
    ConsentTooOld = "consent_too_old", [ConsentMaxAgeDays], "the consent is older than the house allows, or its day is not known", "ask for consent again", DataTeam;
    /// Another notice was shown.
    NoticeTooOld = "notice_too_old", [OnUnknown], "the notice that was shown is not known or older than the purpose needs", "show the current notice and ask again", DataTeam;
    /// The person objected.
    Objected = "objected", [Objection], "the person objected or opted out", "leave the person out of training, questions and scores of this purpose", DataTeam;
    /// It is not known whether the person objected.
    BlockUnknown = "block_unknown", [Objection, OnUnknown], "it is not known whether the person objected", "import objections with the consent records", DataTeam;
    /// The age is not known.
    AgeUnknown = "age_unknown", [MinAge, OnUnknown], "the age is not known", "map the column that holds the age or the year of birth", DataTeam;
    /// Too young.
    AgeBelow = "age_below", [MinAge], "the person is below the minimum age and no guardian agreed", "leave the person out", DataTeam;
    /// Too young to be sold or shared without an opt-in.
    SaleBelowAge = "sale_below_age", [SaleOptInAge], "sale or sharing of data of a young person without an opt-in", "leave the person out", Dpo;
    /// A legitimate interest without its assessment.
    LiAssessmentMissing = "li_assessment_missing", [Bases], "legitimate interest without an assessment", "have the interests weighed in writing, and name the assessment in the purpose", Dpo;
    /// A model is no person.
    PersonAtRelease = "person_at_release", [OnUnknown], "a release was asked for about one person, expected a run", "ask about the run that made the model", Approver;
    /// It is not known whether something goes abroad.
    TransferUnknown = "transfer_unknown", [Transfer, OnUnknown], "it is not known whether something goes to another country", "state the countries of all recipients", Dpo;
    /// Something goes abroad under nothing that suffices.
    TransferWithoutTool = "transfer_without_tool", [Transfer], "something goes to another country without what the law takes", "name the tool of the transfer, or leave the recipient out", Counsel;
    /// The size is not declared.
    CohortUnknown = "cohort_unknown", [CohortMinTrain, CohortMinQuery, OnUnknown], "the size of the population is not declared", "declare it in the study", DataTeam;
    /// Too few people.
    CohortTooSmall = "cohort_too_small", [CohortMinTrain, CohortMinQuery], "the declared population is below the smallest cohort", "join the units, or leave this one out", Approver;
    /// The cost is not stated.
    SpendUnknown = "spend_unknown", [EpsilonYearMaxMicro, OnUnknown], "the privacy cost is not stated", "price the study first", Approver;
    /// It costs too much.
    EpsilonAboveCap = "epsilon_above_cap", [EpsilonYearMaxMicro], "the year's epsilon of a subject would be above the cap", "ask for less, or wait until the year is over", Dpo;
    /// Delta is too large for the population.
    DeltaTooLarge = "delta_too_large", [DeltaPopulationFactor], "delta is too large for the population", "choose a smaller delta", Approver;
}
