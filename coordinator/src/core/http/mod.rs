//! What the HTTPS door hears and says, as JSON: shapes with their OpenAPI schemas, and refusals as problem documents.

mod answer;
mod listed;
mod prediction;
mod problem;
mod question;

pub use answer::{AnswerBody, ReleaseBody};
pub use listed::{
    BudgetBody, CatalogueBody, ModelBody, ModelsBody, ReleaseDetail, ReleasesBody, ShareBody,
    StandingBody, UnitBody, UnitsBody,
};
pub use prediction::{InputBody, LineBody, PredictWanted, PredictionBody, in_line};
pub use problem::{Problem, STATUSES};
pub use question::QuestionBody;
