//! The catalogue: what an analyst may know of tables, models, prices and past answers, as rows that clients of PostgreSQL look for.
//!
//! Made of contracts and public records alone. Knows no customer and no node, and decides which statements are about it.

pub mod answers;
mod book;
mod comments;
mod functions;
mod grid;
mod own;
pub mod predict;
mod records;
mod rewrite;
mod road;
mod standard;
mod system;
mod types;

pub use book::{Book, Offered, Relation, Shelf};
pub use functions::{FUNCTIONS, call};
pub use grid::{Grid, columns_of, is_known, known};
pub use own::{OWN_TABLES, last_answer, looked_at, own_grids};
pub use records::{AnswerRecord, ModelRecord, NodeRecord, PurposeRecord, Records};
pub use rewrite::{ENGINE, Rewritten, Session, no_function, placeholders, rewrite, shown};
pub use road::{Road, road};
pub use standard::standard_grids;
pub use system::{fixed_setting, system_grids};
