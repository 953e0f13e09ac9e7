//! The closed list of what a history records, with what follows from each kind.

use std::fmt;
use std::str::FromStr;

use crate::base::units::OutOfRange;

/// How much a kind of event matters to whoever watches.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Daily business.
    Info,
    /// Worth a look.
    Notice,
    /// Somebody was refused, or something runs out.
    Warning,
    /// Somebody must act.
    Alarm,
}

/// How long payload and salt are kept; the years are the organisation's policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retention {
    /// Of use for operation only.
    Operation = 1,
    /// Needed to account for what was done.
    Account = 2,
    /// As long as the log itself: a spend never expires.
    Lasting = 3,
}

/// What the payload may say about persons whose data the units hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Persons {
    /// Nothing. Only such kinds enter the coordinator's log.
    None = 0,
    /// A keyed reference of a person, or an exact number of persons: stays at the unit.
    Some = 1,
}

macro_rules! kinds {
    ($($variant:ident $code:literal $name:literal $severity:ident $retention:ident $persons:ident;)*) => {
        /// What happened. The list is closed: another code or name is no event.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Kind {
            $(#[doc = concat!("`", $name, "`.")] $variant = $code,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in documents and payloads.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            fn rules(self) -> (Severity, Retention, Persons) {
                match self {
                    $(Self::$variant => (Severity::$severity, Retention::$retention, Persons::$persons),)*
                }
            }
        }
    };
}

// The high byte is the group of the list, the low byte the place in it. A code is never given to another kind.
kinds! {
    NodeEnrolled 0x0101 "node.enrolled" Notice Account None;
    NodeRotated 0x0102 "node.rotated" Notice Account None;
    NodeRevoked 0x0103 "node.revoked" Warning Account None;
    UserLogin 0x0104 "user.login" Info Operation None;
    UserDenied 0x0105 "user.denied" Warning Operation None;
    RoleGranted 0x0106 "role.granted" Notice Account None;
    RoleRevoked 0x0107 "role.revoked" Notice Account None;
    PackLoaded 0x0201 "pack.loaded" Info Account None;
    PackChanged 0x0202 "pack.changed" Notice Account None;
    PackStale 0x0203 "pack.stale" Warning Account None;
    PolicyDecision 0x0204 "policy.decision" Info Account None;
    OverrideGranted 0x0205 "override.granted" Alarm Lasting None;
    ConsentGiven 0x0301 "consent.given" Info Account Some;
    ConsentRenewed 0x0302 "consent.renewed" Info Account Some;
    ConsentParentalGiven 0x0303 "consent.parental_given" Info Account Some;
    ConsentRefused 0x0304 "consent.refused" Info Account Some;
    ConsentWithdrawn 0x0305 "consent.withdrawn" Notice Account Some;
    ConsentExpired 0x0306 "consent.expired" Info Account Some;
    ConsentInvalidated 0x0307 "consent.invalidated" Notice Account Some;
    ConsentTerminated 0x0308 "consent.terminated_by_controller" Notice Account Some;
    ConsentObjected 0x0309 "consent.objected" Notice Account Some;
    ConsentOptOut 0x030a "consent.opt_out_signal" Notice Account Some;
    ConsentObjectionWithdrawn 0x030b "consent.objection_withdrawn" Info Account Some;
    ConsentRequested 0x030c "consent.requested" Info Account Some;
    ReceiptIssued 0x030d "receipt.issued" Info Account Some;
    ImportBatch 0x030e "import.batch" Notice Account Some;
    DatasetRegistered 0x0401 "dataset.registered" Notice Account None;
    DatasetProfiled 0x0402 "dataset.profiled" Info Operation Some;
    DatasetPurged 0x0403 "dataset.retention_purged" Notice Account Some;
    SchemaChanged 0x0404 "schema.changed" Notice Account None;
    StudyProposed 0x0501 "study.proposed" Notice Account None;
    StudyApproved 0x0502 "study.approved" Notice Account None;
    StudyRefused 0x0503 "study.refused" Warning Account None;
    StudyStarted 0x0504 "study.started" Notice Account None;
    StudyAborted 0x0505 "study.aborted" Warning Account None;
    RoundCut 0x0506 "round.cut" Info Account Some;
    RoundUpdateSent 0x0507 "round.update_sent" Info Account None;
    RoundAggregated 0x0508 "round.aggregated" Info Account None;
    BudgetReserved 0x0509 "budget.reserved" Info Lasting None;
    BudgetSpent 0x050a "budget.spent" Info Lasting None;
    BudgetRefused 0x050b "budget.refused" Warning Account None;
    ModelReleased 0x0601 "model.released" Notice Lasting None;
    ModelPromoted 0x0602 "model.promoted" Notice Lasting None;
    ModelRetired 0x0603 "model.retired" Notice Lasting None;
    ModelRecalled 0x0604 "model.recalled" Alarm Lasting None;
    CardGenerated 0x0605 "card.generated" Info Account None;
    CanaryResult 0x0606 "audit.canary_result" Notice Account None;
    ModelRetrainScheduled 0x0607 "model.retrain_scheduled" Notice Lasting None;
    QueryPlanned 0x0701 "query.planned" Info Account None;
    QueryAnswered 0x0702 "query.answered" Info Account None;
    QueryRefused 0x0703 "query.refused" Warning Account None;
    PredictionServed 0x0704 "prediction.served" Info Operation None;
    ScoreSuppressed 0x0705 "score.suppressed" Info Account Some;
    HumanReview 0x0706 "human.review" Notice Account Some;
    RequestReceived 0x0801 "request.received" Notice Account Some;
    RequestIdentityVerified 0x0802 "request.identity_verified" Info Account Some;
    RequestExtended 0x0803 "request.extended" Notice Account Some;
    RequestFulfilled 0x0804 "request.fulfilled" Notice Account Some;
    RequestRefused 0x0805 "request.refused" Warning Account Some;
    ErasureNodeDone 0x0806 "erasure.node_done" Notice Account Some;
    ErasureBackupExpired 0x0807 "erasure.backup_expired" Info Account Some;
    ErasureCertificateIssued 0x0808 "erasure.certificate_issued" Notice Account Some;
    IncidentOpened 0x0901 "incident.opened" Alarm Lasting None;
    IncidentContained 0x0902 "incident.contained" Warning Lasting None;
    IncidentNotified 0x0903 "incident.notified" Warning Lasting None;
    KeyCompromised 0x0904 "key.compromised" Alarm Lasting None;
    LogInconsistency 0x0905 "log.inconsistency" Alarm Lasting None;
    DpiaSigned 0x0a01 "dpia.signed" Notice Account None;
    DpiaStale 0x0a02 "dpia.stale" Warning Account None;
    AssessmentSigned 0x0a03 "li_assessment.signed" Notice Account None;
    ReportGenerated 0x0a04 "report.generated" Info Account None;
    CheckpointPublished 0x0a05 "checkpoint.published" Info Account None;
    CheckpointCosigned 0x0a06 "checkpoint.cosigned" Info Account None;
    CheckpointMissing 0x0a07 "checkpoint.missing" Warning Account None;
    LogPad 0x0b01 "log.pad" Info Operation None;
}

impl Kind {
    /// The number in a leaf.
    #[must_use]
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The kind of a number.
    #[must_use]
    pub fn of_code(code: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }

    /// How much it matters.
    #[must_use]
    pub fn severity(self) -> Severity {
        self.rules().0
    }

    /// How long its payload is kept.
    #[must_use]
    pub fn retention(self) -> Retention {
        self.rules().1
    }

    /// What its payload may say about persons.
    #[must_use]
    pub fn persons(self) -> Persons {
        self.rules().2
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        let found = Self::ALL.iter().copied().find(|kind| kind.name() == text);
        found.ok_or_else(|| OutOfRange {
            what: "kind of event",
            expected: "a kind of the list in docs/history.md",
            got: format!("{:?}", text.chars().take(40).collect::<String>()),
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Alarm => "alarm",
        })
    }
}
