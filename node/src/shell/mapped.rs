//! The mapped table, whatever it is read for: a query on its own thread, and columns picked by name and type.

use aquifer_shared::domain::contract::Contract;
use arrow::datatypes::DataType;
use datafusion::common::Column as QueryColumn;
use datafusion::logical_expr::Expr;
use datafusion::prelude::DataFrame;

use super::column::{holds_days, holds_ids, holds_levels, holds_numbers};
use super::source_error::{SourceError, running};

/// What a column is read for.
#[derive(Clone, Copy)]
pub(super) enum Role {
    Id,
    Levels,
    Numbers,
    Days,
}

/// Exactly these columns, in this order, named by their places: one column may be read twice.
pub(super) fn project<'a>(
    mapped: DataFrame,
    needed: impl IntoIterator<Item = (&'a str, Role)>,
) -> Result<DataFrame, SourceError> {
    let needed = needed.into_iter().enumerate();
    let columns: Result<Vec<Expr>, SourceError> = needed
        .map(|(index, (name, role))| Ok(find(&mapped, name, role)?.alias(format!("c{index}"))))
        .collect();
    mapped.select(columns?).map_err(|error| running(&error))
}

fn find(mapped: &DataFrame, name: &str, role: Role) -> Result<Expr, SourceError> {
    let schema = mapped.schema();
    let mut named = schema.iter().filter(|(_, field)| field.name() == name);
    let problem = |problem: String| SourceError::Column {
        column: name.to_owned(),
        problem,
    };
    let (qualifier, field) = named
        .next()
        .ok_or_else(|| problem("is missing".to_owned()))?;
    if named.next().is_some() {
        return Err(problem("appears twice, expected once".to_owned()));
    }
    type Fits = fn(&DataType) -> bool;
    let (fits, expected): (Fits, _) = match role {
        Role::Id => (holds_ids, "text or whole numbers"),
        Role::Levels => (holds_levels, "text, numbers or booleans"),
        Role::Numbers => (holds_numbers, "numbers (or text that holds numbers)"),
        Role::Days => (
            holds_days,
            "dates or timestamps (or text such as 2026-11-01)",
        ),
    };
    let kind = field.data_type();
    if !fits(kind) {
        return Err(problem(format!("has type {kind}, expected {expected}")));
    }
    Ok(Expr::Column(QueryColumn::new(qualifier.cloned(), name)))
}

/// Does work with the query engine on a thread that is gone afterwards. May be called from anywhere, and blocks.
pub(super) fn on_engine<T: Send, F: Future<Output = Result<T, SourceError>>>(
    work: impl FnOnce() -> F + Send,
) -> Result<T, SourceError> {
    let stopped = SourceError::Failed {
        problem: "the query engine stopped",
    };
    std::thread::scope(|scope| {
        let engine = std::thread::Builder::new()
            .name("encode".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .max_blocking_threads(1)
                    .enable_all()
                    .build();
                let runtime = runtime.map_err(|_| SourceError::Failed {
                    problem: "the query engine did not start",
                })?;
                // Drivers log what servers say, values included: nothing of it is heard.
                let silence = tracing::subscriber::NoSubscriber::default();
                tracing::subscriber::with_default(silence, || runtime.block_on(work()))
            });
        engine.ok().and_then(|engine| engine.join().ok())
    })
    .unwrap_or(Err(stopped))
}

/// Reads the contract file.
///
/// # Errors
///
/// It cannot be read, or breaks a rule.
pub(super) fn read_contract(path: &std::path::Path) -> Result<Contract, SourceError> {
    let text = std::fs::read_to_string(path).map_err(|source| SourceError::Unreadable {
        what: "contract".to_owned(),
        path: path.to_owned(),
        source,
    })?;
    Contract::parse(&text).map_err(|source| SourceError::Contract {
        path: path.to_owned(),
        source,
    })
}

/// The planner recurses deeply in debug builds.
const STACK_BYTES: usize = 8 << 20;
