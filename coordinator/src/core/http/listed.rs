//! What may be listed over HTTPS: published tables, shares, units, models, releases. Public within the company.

use aquifer_shared::base::calendar;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::{
    Contract, NumberColumn, Published, PublishedColumn, PublishedKind,
};
use aquifer_shared::domain::predictor::model::Life;
use aquifer_shared::domain::sum::{StudyTerms, study_hash};
use aquifer_shared::protocol::ask::ModelEntry;
use aquifer_shared::protocol::codec::encode;
use serde::Serialize;
use utoipa::ToSchema;

use super::ReleaseBody;
use crate::core::asking::{question_of, standing_of};
use crate::core::shares::Share;

/// What may be asked about.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CatalogueBody {
    /// Standing studies that are open, the newest first.
    pub standing: Vec<StandingBody>,
}

/// A standing study with its published tables.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StandingBody {
    /// Its hash.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub standing: String,
    /// Its name.
    pub name: String,
    /// Its purpose.
    pub purpose: String,
    /// Groups whose noisy count is below this are not shown.
    pub cohort_floor: u32,
    /// Until when it is open, in milliseconds since 1970.
    pub expires: u64,
    /// Its tables.
    pub tables: Vec<TableBody>,
}

/// A published table.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TableBody {
    /// Its name.
    pub name: String,
    /// For people; may be empty.
    pub description: String,
    /// The column that names a customer; it can be counted (COUNT(DISTINCT ...)) and never read.
    pub privacy_unit: String,
    /// Rows of one customer in one group that count.
    pub rows_per_group_max: u32,
    /// Groups of one answer to which one customer counts at most.
    pub groups_per_unit_max: u32,
    /// Customers that a unit has, as declared: fewest and most.
    pub size_band: [u64; 2],
    /// Its columns.
    pub columns: Vec<TableColumnBody>,
}

/// A column of a published table.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TableColumnBody {
    /// Its name.
    pub name: String,
    /// For people; may be empty.
    pub description: String,
    /// Its type with its public bounds.
    #[serde(flatten)]
    pub kind: TableKindBody,
}

/// Type and public bounds of a column.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum TableKindBody {
    /// A number; values outside are clamped.
    Number {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
        /// Literals in a condition are multiples of this.
        step: f64,
        /// Cells for percentiles.
        grid: u8,
        /// Unit of measure; may be empty.
        unit: String,
        /// What a missing value counts as; none: it has none.
        on_null: Option<f64>,
    },
    /// One of these levels.
    Key {
        /// The levels.
        levels: Vec<String>,
        /// The level for everything else.
        unknown: String,
    },
    /// A calendar day; values outside are clamped.
    Date {
        /// First day, `YYYY-MM-DD`.
        first: String,
        /// Last day.
        last: String,
    },
}

/// What is left to the asker.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct BudgetBody {
    /// One share for each open standing study.
    pub shares: Vec<ShareBody>,
}

/// The asker's share of a standing study. It is a convenience: the units' own budgets are hard, and may end before.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ShareBody {
    /// The standing study.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub standing: String,
    /// Its name.
    pub name: String,
    /// Its purpose.
    pub purpose: String,
    /// How long a share lasts, until it is filled again: privacy is not.
    pub window: String,
    /// The share of one window.
    pub rho_micro: u64,
    /// What the asker's questions for this purpose may have cost in this window.
    pub rho_micro_used: u64,
    /// What is left of the share in this window.
    pub rho_micro_left: u64,
    /// What they have cost in windows before.
    pub rho_micro_before: u64,
    /// Price of a question that names none, for each attempt.
    pub rho_micro_default: u64,
    /// Largest price of one question, all its attempts together.
    pub rho_micro_question_max: u64,
}

/// The units.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct UnitsBody {
    /// All that have joined.
    pub units: Vec<UnitBody>,
}

/// A unit's public state.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct UnitBody {
    /// Its name.
    pub name: String,
    /// Its node is connected now.
    pub connected: bool,
    /// The state of the tables that it serves now; none where it serves none.
    pub data_version: Option<String>,
}

/// Released models.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ModelsBody {
    /// All of them.
    pub models: Vec<ModelBody>,
}

/// A released model.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ModelBody {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// The study behind it.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub study: String,
    /// SHA-256 of the hashed part of its file.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub hash: String,
    /// Epsilon of its study.
    pub epsilon: f64,
    /// Delta of its study.
    pub delta: f64,
    /// Private AUC, where there was enough data to tell.
    pub auc: Option<f64>,
    /// When it was made, in milliseconds since 1970.
    pub created: u64,
    /// The last moment at which predictions are made with it, in milliseconds since 1970.
    pub retire_by: u64,
    /// `in-use`; or why it predicts no more: `expired`, `retired`, `recalled`.
    pub state: &'static str,
    /// Warnings of its card.
    pub warnings: Vec<String>,
}

/// Releases, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ReleasesBody {
    /// Some of them.
    pub releases: Vec<ReleaseDetail>,
    /// Older ones follow with `?before=` this; none after the last.
    pub next: Option<String>,
}

/// An answer that was released: what it was for, and what it cost.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ReleaseDetail {
    /// What was paid, and by whom it was given.
    pub release: ReleaseBody,
    /// Why it was asked.
    pub purpose: String,
    /// Name of the standing study.
    pub standing_name: String,
    /// Hash of the contract.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub contract: String,
    /// The published table.
    pub table: String,
    /// Numbers that were released.
    pub cells: u64,
    /// Groups to which one customer counts at most.
    pub groups_per_unit_max: u32,
    /// At how many units a customer is at most.
    pub units_per_customer_max: u16,
    /// What it promises.
    pub statement: String,
}

impl StandingBody {
    /// A standing study; none where the terms are another study's.
    #[must_use]
    pub fn of(terms: &StudyTerms, contract: &Contract) -> Option<Self> {
        let standing = standing_of(terms)?;
        let published = contract.published.iter();
        let listed = published.filter(|table| standing.tables.contains(&table.name));
        Some(Self {
            standing: study_hash(&encode(terms)).to_string(),
            name: standing.name.to_string(),
            purpose: terms.purpose.to_string(),
            cohort_floor: standing.cohort_floor,
            expires: standing.expires.0,
            tables: listed.map(TableBody::from).collect(),
        })
    }
}

impl ShareBody {
    /// A share of a standing study; none where the terms are another study's.
    #[must_use]
    pub fn of(terms: &StudyTerms, share: &Share) -> Option<Self> {
        let standing = standing_of(terms)?;
        Some(Self {
            standing: study_hash(&encode(terms)).to_string(),
            name: standing.name.to_string(),
            purpose: terms.purpose.to_string(),
            window: share.window.to_string(),
            rho_micro: share.allowed.0,
            rho_micro_used: share.now.0,
            rho_micro_left: share.left().0,
            rho_micro_before: share.before.0,
            rho_micro_default: standing.urho_question_default.0,
            rho_micro_question_max: standing.urho_question_max.0,
        })
    }
}

impl ReleaseDetail {
    /// A release of a question with what it promises; none where the terms are another study's.
    #[must_use]
    pub fn of(
        terms: &StudyTerms,
        release: ReleaseBody,
        cells: usize,
        statement: String,
    ) -> Option<Self> {
        let (standing, question) = (standing_of(terms)?, question_of(terms)?);
        Some(Self {
            release,
            purpose: terms.purpose.to_string(),
            standing_name: standing.name.to_string(),
            contract: terms.contract_hash.to_string(),
            table: question.table,
            cells: cells as u64,
            groups_per_unit_max: question.groups_max,
            units_per_customer_max: terms.multiplicity,
            statement,
        })
    }
}

impl From<&Published> for TableBody {
    fn from(table: &Published) -> Self {
        Self {
            name: table.name.clone(),
            description: table.description.clone(),
            privacy_unit: table.privacy_unit.clone(),
            rows_per_group_max: table.rows_per_group_max,
            groups_per_unit_max: table.groups_per_unit_max,
            size_band: [table.size_band.0, table.size_band.1],
            columns: table.columns.iter().map(TableColumnBody::from).collect(),
        }
    }
}

impl From<&PublishedColumn> for TableColumnBody {
    fn from(column: &PublishedColumn) -> Self {
        Self {
            name: column.name.clone(),
            description: column.description.clone(),
            kind: match &column.kind {
                PublishedKind::Number(number) => TableKindBody::from(number),
                PublishedKind::Key { levels, unknown } => TableKindBody::Key {
                    levels: levels.clone(),
                    unknown: unknown.clone(),
                },
                PublishedKind::Date { first, last } => TableKindBody::Date {
                    first: calendar::written(*first),
                    last: calendar::written(*last),
                },
            },
        }
    }
}

impl From<&NumberColumn> for TableKindBody {
    fn from(column: &NumberColumn) -> Self {
        let value = |units: i64| column.value_of(units as f64);
        Self::Number {
            low: value(column.low),
            high: value(column.high),
            step: value(column.step),
            grid: column.grid,
            unit: column.unit.clone(),
            on_null: column.on_null.map(value),
        }
    }
}

impl ModelBody {
    /// As it is at this time.
    #[must_use]
    pub fn of(entry: &ModelEntry, life: Life, now: Timestamp) -> Self {
        Self {
            name: entry.name.to_string(),
            version: entry.version,
            study: entry.study.to_string(),
            hash: entry.model_hash.to_string(),
            epsilon: entry.epsilon,
            delta: entry.delta,
            auc: entry.auc,
            created: entry.created.0,
            retire_by: life.retire_by.0,
            state: life.state(now),
            warnings: entry.warnings.clone(),
        }
    }
}
