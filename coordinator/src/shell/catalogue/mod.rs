//! The engine behind the catalogue: it holds public tables in memory and nothing else, so that no statement can reach past them.
//!
//! Made on the first statement of an analyst, kept while standing studies stay as they are. Bounded in time, memory, rows and depth.

mod errors;
mod functions;
#[cfg(test)]
mod golden_tests;
mod kept;
#[cfg(test)]
mod limits_tests;
pub mod records;
mod tables;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aquifer_shared::base::limits::{
    CATALOGUE_AT_ONCE_MAX, CATALOGUE_BYTES_MAX, CATALOGUE_MS_MAX, CATALOGUE_SHELVES_MAX,
};
use aquifer_shared::protocol::ask::{Answer, Objection};
use aquifer_shared::shell::platform::{Platform, within};
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
};
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use sqlparser::ast::Query;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use self::errors::{busy, internal, objection, too_slow};
use self::kept::Kept;
use super::put::OpenStanding;
use crate::core::catalogue::{
    Book, ENGINE, FUNCTIONS, Grid, Offered, Shelf, known, standard_grids, system_grids,
};

/// What every analyst's catalogue shares.
pub struct Catalogue {
    platform: Arc<dyn Platform>,
    /// Statements that are worked out at a time.
    places: Arc<Semaphore>,
    shelves: Mutex<BTreeMap<(String, String), Arc<Ready>>>,
    runtime: OnceLock<Arc<RuntimeEnv>>,
}

/// The catalogue of one analyst, ready for statements.
pub struct Ready {
    /// Numbers and names.
    pub book: Arc<Book>,
    /// Answers that are good while it is.
    pub kept: Mutex<Kept>,
    /// What it was made of.
    open: Arc<Vec<OpenStanding>>,
    state: OnceLock<SessionState>,
}

impl Catalogue {
    /// Nothing is made yet.
    #[must_use]
    pub fn new(platform: Arc<dyn Platform>) -> Self {
        Self {
            platform,
            places: Arc::new(Semaphore::new(CATALOGUE_AT_ONCE_MAX)),
            shelves: Mutex::default(),
            runtime: OnceLock::new(),
        }
    }

    /// The catalogue of an analyst under these standing studies.
    pub fn ready(&self, user: &str, database: &str, open: &Arc<Vec<OpenStanding>>) -> Arc<Ready> {
        let key = (user.to_owned(), database.to_owned());
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = shelves.get(&key)
            && Arc::ptr_eq(&ready.open, open)
        {
            return ready.clone();
        }
        if shelves.len() >= CATALOGUE_SHELVES_MAX {
            shelves.clear();
        }
        let book = Book::new(Shelf {
            user: user.to_owned(),
            database: database.to_owned(),
            version: VERSION.to_owned(),
            tables: open.iter().flat_map(offered).collect(),
        });
        let ready = Arc::new(Ready {
            book: Arc::new(book),
            kept: Mutex::default(),
            open: open.clone(),
            state: OnceLock::new(),
        });
        shelves.insert(key, ready.clone());
        ready
    }

    /// The answer to a statement that is rewritten already; `own` are the tables of schema `aquifer`, where it reads them.
    ///
    /// # Errors
    ///
    /// The engine cannot carry it out, or not within its limits.
    pub async fn answer(
        &self,
        ready: &Arc<Ready>,
        query: Query,
        own: Vec<Grid>,
    ) -> Result<Answer, Box<Objection>> {
        let limit = Duration::from_millis(CATALOGUE_MS_MAX);
        let place = self.places.clone().acquire_owned();
        let place = within(&*self.platform, limit, place).await;
        let Some(Ok(place)) = place else {
            return Err(busy());
        };
        let (ready, runtime, handle) = (ready.clone(), self.runtime()?, Handle::current());
        let platform = self.platform.clone();
        // Planning does not pause: it must not hold up the connections of others.
        let work = spawn_blocking(move || {
            let answer = run(ready.state(&runtime), query, own);
            let answer = handle.block_on(within(&*platform, limit, answer));
            drop(place);
            answer.unwrap_or_else(|| Err(too_slow()))
        });
        match within(&*self.platform, 2 * limit, work).await {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => Err(internal()),
            None => Err(too_slow()),
        }
    }

    fn runtime(&self) -> Result<Arc<RuntimeEnv>, Box<Objection>> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime.clone());
        }
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(CATALOGUE_BYTES_MAX, 1.0)
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(|error| objection(&error))?;
        Ok(self.runtime.get_or_init(|| runtime).clone())
    }
}

impl Ready {
    fn state(&self, runtime: &Arc<RuntimeEnv>) -> SessionState {
        let made = || state(&self.book, runtime.clone());
        self.state.get_or_init(made).clone()
    }
}

async fn run(state: SessionState, query: Query, own: Vec<Grid>) -> Result<Answer, Box<Objection>> {
    let state = if own.is_empty() {
        state
    } else {
        with(state, own)
    };
    let statement =
        Statement::Statement(Box::new(sqlparser::ast::Statement::Query(Box::new(query))));
    let plan = state.statement_to_plan(statement).await;
    let plan = plan.map_err(|error| objection(&error))?;
    tables::collected(&state, plan).await
}

/// Published tables of a standing study, as the catalogue lists them.
pub(super) fn offered(standing: &OpenStanding) -> Vec<Offered> {
    let (contract, listed) = (&standing.contract, &standing.tables);
    let tables = contract.published.iter();
    let tables = tables.filter(|table| listed.contains(&table.name));
    let offered = |table: &aquifer_shared::domain::contract::Published| Offered {
        purpose: standing.purpose.clone(),
        contract: contract.name.clone(),
        version: contract.version,
        table: table.clone(),
    };
    tables.map(offered).collect()
}

/// An engine with the tables of a book and the functions of a short list.
fn state(book: &Arc<Book>, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(BATCH_ROWS)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOGUE, "public");
    let options = config.options_mut();
    options.execution.enable_recursive_ctes = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    let allowed = |name: &str| ENGINE.contains(&name);
    let mut scalars = SessionStateDefaults::default_scalar_functions();
    scalars.retain(|own| allowed(own.name()) || own.aliases().iter().any(|name| allowed(name)));
    let own = FUNCTIONS.iter();
    scalars.extend(own.map(|(name, kind)| functions::of(name, *kind, book.clone())));
    let mut aggregates = SessionStateDefaults::default_aggregate_functions();
    aggregates.retain(|own| allowed(own.name()) || own.aliases().iter().any(|name| allowed(name)));
    let mut windows = SessionStateDefaults::default_window_functions();
    windows.retain(|own| allowed(own.name()));
    let schemas = schemas(book);
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(scalars)
        .with_aggregate_functions(aggregates)
        .with_window_functions(windows)
        .with_catalog_list(Arc::new(listed(schemas)))
        .build()
}

type Schemas = Vec<(&'static str, Arc<dyn datafusion::catalog::SchemaProvider>)>;

fn listed(schemas: Schemas) -> MemoryCatalogProviderList {
    use datafusion::catalog::CatalogProviderList as _;
    let catalogue = MemoryCatalogProvider::new();
    for (name, schema) in schemas {
        // A provider in memory takes every schema.
        let _ = catalogue.register_schema(name, schema);
    }
    let list = MemoryCatalogProviderList::new();
    list.register_catalog(CATALOGUE.to_owned(), Arc::new(catalogue));
    list
}

fn schemas(book: &Book) -> Schemas {
    let mut grids = system_grids(book);
    grids.extend(standard_grids(book));
    let filled: Vec<(&str, &str)> = grids.iter().map(|grid| (grid.schema, grid.name)).collect();
    for (schema, name) in known() {
        if !filled.contains(&(schema, name)) {
            grids.push(Grid {
                schema,
                name,
                columns: crate::core::catalogue::columns_of(schema, name),
                rows: Vec::new(),
            });
        }
    }
    ["pg_catalog", "information_schema", "public"]
        .map(|schema| (schema, tables::schema(schema, &grids)))
        .into()
}

/// The same engine with tables of schema `aquifer`.
fn with(state: SessionState, own: Vec<Grid>) -> SessionState {
    let catalogue = state.catalog_list().catalog(CATALOGUE);
    let names = ["pg_catalog", "information_schema", "public"];
    let mut schemas: Schemas = Vec::new();
    for name in names {
        let schema = catalogue.as_ref().and_then(|own| own.schema(name));
        schemas.extend(schema.map(|schema| (name, schema)));
    }
    schemas.push(("aquifer", tables::schema("aquifer", &own)));
    let list = Arc::new(listed(schemas));
    SessionStateBuilder::new_from_existing(state)
        .with_catalog_list(list)
        .build()
}

/// What `version()` says.
pub const VERSION: &str = concat!("PostgreSQL 15.0 (Aquifer ", env!("CARGO_PKG_VERSION"), ")");
/// The catalogue's name inside the engine.
const CATALOGUE: &str = "catalogue";
/// Rows that are worked on at a time; with the longest text, half of the memory.
const BATCH_ROWS: usize = 1_024;
