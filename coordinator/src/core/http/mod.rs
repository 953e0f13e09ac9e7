//! What the HTTPS door hears and says, as JSON: shapes with their OpenAPI schemas, and refusals as problem documents.

mod answer;
mod listed;
mod problem;
mod question;

pub use answer::{AnswerBody, ReleaseBody};
pub use listed::{
    BudgetBody, CatalogueBody, ModelBody, ModelsBody, ReleaseDetail, ReleasesBody, ShareBody,
    StandingBody, UnitBody, UnitsBody,
};
pub use problem::{Problem, STATUSES};
pub use question::QuestionBody;
