//! The words of law that files and decisions share: gates, effects, bases, categories of data, screened uses, signals.
//!
//! Every list is closed. What is not in it is unknown, and unknown is denied.

use super::words::words;

words!(
    /// Where a decision is asked for.
    Gate {
        /// Data enters a node for a purpose.
        Ingest = "ingest",
        /// Data is learned from.
        Train = "train",
        /// A question about data is answered.
        Query = "query",
        /// A customer is scored.
        Score = "score",
        /// A model is published.
        Release = "release",
    }
);

words!(
    /// What a purpose is for; a purpose has exactly one.
    Action {
        /// Learning a model, and publishing it.
        Train = "train",
        /// Answering questions.
        Query = "query",
        /// Scoring customers.
        Score = "score",
    }
);

words!(
    /// What a purpose does to the people in it.
    Effect {
        /// No decision about a person follows.
        None = "none",
        /// A person decides, and the result is one input.
        Support = "support",
        /// A legal effect or one of similar weight.
        SimilarlySignificant = "similarly_significant",
    }
);

words!(
    /// Why processing is allowed at all.
    Basis {
        /// The person agreed.
        Consent = "consent",
        /// A contract with the person needs it.
        Contract = "contract",
        /// A law demands it.
        LegalObligation = "legal_obligation",
        /// A life depends on it.
        VitalInterests = "vital_interests",
        /// A public task.
        PublicTask = "public_task",
        /// Interests that were weighed against the person's, under an assessment.
        LegitimateInterests = "legitimate_interests",
        /// Interests on the closed list of the United Kingdom.
        RecognisedLegitimateInterests = "recognised_legitimate_interests",
        /// Studies by research bodies.
        Research = "research",
        /// Claims in proceedings.
        LegalClaims = "legal_claims",
        /// Protection of health by those who provide it.
        HealthProtection = "health_protection",
        /// Protection of credit.
        CreditProtection = "credit_protection",
        /// Notice and rights, where a law asks for no other basis.
        Notice = "notice",
    }
);

words!(
    /// What data is about. A column that is mapped to none is `unknown`.
    Category {
        /// Mapped to nothing.
        Unknown = "unknown",
        /// Who a person is.
        Identity = "identity",
        /// How to reach a person.
        Contact = "contact",
        /// What a person has agreed to buy.
        Contract = "contract",
        /// What a person does with it.
        Usage = "usage",
        /// What a person pays.
        Payment = "payment",
        /// Talks with the service desk.
        Support = "support",
        /// Answers to campaigns.
        Marketing = "marketing",
        /// Age, household, region.
        Demographic = "demographic",
        /// Where a person lives, coarsely.
        Region = "region",
        /// Where a person is, exactly.
        PreciseLocation = "precise_location",
        /// Numbers of government documents.
        GovernmentId = "government_id",
        /// What opens an account.
        AccountCredentials = "account_credentials",
        /// What a person writes to others.
        MessageContent = "message_content",
        /// Health.
        Health = "health",
        /// Genes.
        Genetic = "genetic",
        /// The body as a key.
        Biometric = "biometric",
        /// Origin.
        Ethnicity = "ethnicity",
        /// Political opinions.
        Politics = "politics",
        /// Religion and belief.
        Religion = "religion",
        /// Membership of a union.
        Union = "union",
        /// Sex life and orientation.
        SexLife = "sex_life",
        /// Offences and convictions.
        Criminal = "criminal",
        /// Citizenship or immigration status.
        Immigration = "immigration",
    }
);

words!(
    /// Uses that are denied unless two people sign.
    ScreenedUse {
        /// Whether someone is worth credit.
        Credit = "credit",
        /// What insurance costs someone.
        InsurancePricing = "insurance_pricing",
        /// Who gets or keeps work.
        Employment = "employment",
        /// Who may learn.
        Education = "education",
        /// Who gets services that one needs to live.
        EssentialServices = "essential_services",
    }
);

words!(
    /// Signals of a browser by which people opt out.
    Signal {
        /// Global Privacy Control.
        Gpc = "gpc",
        /// Global Privacy Platform.
        Gpp = "gpp",
    }
);

words!(
    /// In how many places one person may be.
    Overlap {
        /// At one unit only.
        Disjoint = "disjoint",
        /// At as many as the contract's multiplicity says.
        Declared = "declared",
        /// Nobody knows: all units are assumed.
        Unknown = "unknown",
    }
);

impl Gate {
    /// The action that a purpose must have at this gate; `None` where any will do.
    #[must_use]
    pub fn action(self) -> Option<Action> {
        match self {
            Self::Ingest => None,
            Self::Train | Self::Release => Some(Action::Train),
            Self::Query => Some(Action::Query),
            Self::Score => Some(Action::Score),
        }
    }
}
