//! Public records that the tables of schema `aquifer` are made of.

use aquifer_shared::base::ids::{Name, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::{Contract, Published};
use aquifer_shared::domain::predictor::model::ModelFile;
use aquifer_shared::domain::question::Question;
use aquifer_shared::domain::sum::StudyTerms;
use aquifer_shared::protocol::ask::ReleaseLine;

/// Everything at one time.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// Standing studies that are open.
    pub purposes: Vec<PurposeRecord>,
    /// Released models.
    pub models: Vec<ModelRecord>,
    /// Past answers that the analyst may see.
    pub answers: Vec<AnswerRecord>,
    /// Units.
    pub nodes: Vec<NodeRecord>,
}

/// A standing study that is open.
#[derive(Clone, Debug)]
pub struct PurposeRecord {
    /// Its hash.
    pub hash: StudyHash,
    /// Its terms.
    pub terms: StudyTerms,
    /// Its contract.
    pub contract: Contract,
    /// What the analyst's questions under it have cost in this window.
    pub used: MicroRho,
}

/// A released model.
#[derive(Clone, Debug)]
pub struct ModelRecord {
    /// Its file.
    pub file: ModelFile,
    /// When.
    pub created: Timestamp,
    /// The last moment of its use.
    pub retire_by: Timestamp,
    /// Whether it is used, in a word.
    pub state: &'static str,
}

/// A past answer.
#[derive(Clone, Debug)]
pub struct AnswerRecord {
    /// What was paid for it.
    pub line: ReleaseLine,
    /// Why it was asked.
    pub purpose: Name,
    /// Name of its standing study.
    pub standing: Name,
    /// What was asked.
    pub question: Question,
    /// The table.
    pub table: Published,
    /// A statement that gives the answer again, free while the units serve the same data.
    pub sql: Option<String>,
    /// What it promises.
    pub promise: String,
}

/// A unit.
#[derive(Clone, Debug)]
pub struct NodeRecord {
    /// Its name.
    pub name: Name,
    /// Has a session now.
    pub connected: bool,
    /// Was revoked.
    pub revoked: bool,
    /// Last hello; 0 if never.
    pub last_seen: Timestamp,
    /// End of its certificate.
    pub certificate_until: Timestamp,
    /// Its program's version.
    pub software: String,
}
