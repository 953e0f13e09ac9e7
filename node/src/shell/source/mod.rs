//! Where customers come from: the query engine over the unit's tables, and nothing else that it could reach.
//!
//! A CSV or JSON column is a number for the query where every value of it is one, else text; columns that the contract names
//! as levels, label or customer are text as they are. So no value can make a file unreadable.

mod batch;
mod config;
mod csv_file;
mod csv_value;
mod file_table;
mod files;
mod json_file;
mod json_table;
mod parquet_file;
mod place;
mod postgres;
mod postgres_error;
mod postgres_value;
mod s3;
mod s3_guard;
mod tls_problem;

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use object_store::ObjectMeta;

use super::source_error::{SourceError, planning};
pub use config::{DataConfig, PostgresConfig, S3Config, TableConfig};
use csv_file::CsvProblem;
use csv_value::Content;
use file_table::FileTable;
use files::{Files, Kind, TableFile, column_type};
use place::Place;
pub(super) use s3_guard::{store_fault, store_problem};

/// A query engine that knows the unit's tables and nothing else.
pub(super) struct Source {
    session: SessionContext,
    /// Column names of the files, which errors must not quote unless the query does.
    names: Vec<String>,
    /// Object stores so far.
    stores: usize,
    /// Columns of CSV and JSON files that are text whatever they hold.
    text_columns: Vec<String>,
}

impl Source {
    /// Registers every table of the configuration.
    ///
    /// # Privacy
    ///
    /// The engine writes nothing: no spill files, no statements but queries.
    pub(super) async fn open(
        config: &DataConfig,
        directory: &Path,
        text_columns: Vec<String>,
    ) -> Result<Self, SourceError> {
        let mut source = Self {
            session: session()?,
            names: Vec::new(),
            stores: 0,
            text_columns,
        };
        for (table, place) in &config.tables {
            source.register(table, place, directory).await?;
        }
        Ok(source)
    }

    /// The mapped table, not yet read.
    pub(super) async fn query(&self, query: &str) -> Result<DataFrame, SourceError> {
        let only_queries = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        let frame = self.session.sql_with_options(query, only_queries).await;
        frame.map_err(|error| planning(&error, query, &self.names))
    }

    async fn register(
        &mut self,
        table: &str,
        config: &TableConfig,
        directory: &Path,
    ) -> Result<(), SourceError> {
        let of_table = |problem| SourceError::of_table(table, problem);
        let provider: Arc<dyn TableProvider> = match config {
            TableConfig::Files(path) => {
                let path = directory.join(path);
                let files = files::local(table, &path)?;
                self.files(files, &path, ObjectStoreUrl::local_filesystem())
                    .await?
            }
            TableConfig::Postgres { server, query } => {
                let opened = postgres::open(table, server, query, directory).await;
                Arc::new(opened.map_err(of_table)?)
            }
            TableConfig::S3(place) => {
                let store = s3::open(place, directory).await.map_err(of_table)?;
                // Each table has a store of its own, with its own credentials.
                self.stores += 1;
                let url = format!("store-{}://table", self.stores);
                let url = ObjectStoreUrl::parse(url).map_err(|_| SourceError::Failed {
                    problem: "the query engine cannot name a store",
                })?;
                self.session
                    .register_object_store(url.as_ref(), store.clone());
                let files = files::remote(place, &store).await?;
                self.files(files, Path::new(&place.url), url).await?
            }
        };
        let fields = provider.schema();
        let names = fields.fields().iter().map(|field| field.name().clone());
        self.names.extend(names);
        let name = datafusion::common::TableReference::bare(table);
        let registered = self.session.register_table(name, provider);
        registered.map_err(|_| SourceError::Failed {
            problem: "two tables have the same name",
        })?;
        Ok(())
    }

    /// A table over files or objects; `path` is where they are, for people.
    async fn files(
        &self,
        files: Files,
        path: &Path,
        store: ObjectStoreUrl,
    ) -> Result<Arc<dyn TableProvider>, SourceError> {
        let partitions = files.partition_columns(&self.text_columns);
        let files_of = files.files;
        let (format, own): (Arc<dyn FileFormat>, _) = match files.kind {
            Kind::Csv => {
                let own = csv_schema(&files_of, &self.text_columns).await?;
                (Arc::new(CsvFormat::default().with_has_header(true)), own)
            }
            Kind::Parquet => {
                let own = self.parquet_schema(&files_of, path, &store).await?;
                (Arc::new(ParquetFormat::default()), own)
            }
            Kind::Json => {
                let table = json_table::table(files_of, partitions, &self.text_columns).await?;
                check_names(&table.schema(), path)?;
                return Ok(Arc::new(table));
            }
        };
        let table = FileTable::new(format, store, own, partitions, &files_of);
        check_names(&table.schema(), path)?;
        Ok(Arc::new(table))
    }

    async fn parquet_schema(
        &self,
        files: &[TableFile],
        path: &Path,
        store: &ObjectStoreUrl,
    ) -> Result<SchemaRef, SourceError> {
        for file in files {
            parquet_file::check_whole(file).await?;
        }
        let unreadable = |_| SourceError::Format {
            path: path.to_owned(),
            problem: "the files cannot be read as one table (other columns or types, or damaged)",
        };
        let store = self
            .session
            .runtime_env()
            .object_store(store)
            .map_err(unreadable)?;
        let objects: Vec<ObjectMeta> = files.iter().map(|file| file.meta.clone()).collect();
        let state = self.session.state();
        let format = ParquetFormat::default();
        let schema = format.infer_schema(&state, &store, &objects).await;
        schema.map_err(unreadable)
    }
}

/// Folders may not name a column that the files have.
fn check_names(schema: &Schema, path: &Path) -> Result<(), SourceError> {
    let mut names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(SourceError::Format {
            path: path.to_owned(),
            problem: "a key=value folder names a column that the files have as well",
        });
    }
    Ok(())
}

fn session() -> Result<SessionContext, SourceError> {
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(BATCH_ROWS)
        .with_collect_statistics(false)
        .with_repartition_file_scans(false);
    // Contracts name columns as they are written: `MonthlyCharges` must not become `monthlycharges`.
    config.options_mut().sql_parser.enable_ident_normalization = false;
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let runtime = RuntimeEnvBuilder::new().with_disk_manager_builder(disk);
    let runtime = runtime.build_arc().map_err(|_| SourceError::Failed {
        problem: "the query engine did not start",
    })?;
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

/// Looks through all files: they must have the same header.
async fn csv_schema(
    files: &[TableFile],
    text_columns: &[String],
) -> Result<SchemaRef, SourceError> {
    let mut all: Vec<(String, Content)> = Vec::new();
    for TableFile { place, .. } in files {
        let columns = csv_file::columns(place).await;
        let columns = columns.map_err(|problem| csv_error(place, problem))?;
        if all.is_empty() {
            all = columns;
            continue;
        }
        let same = all.len() == columns.len() && all.iter().zip(&columns).all(|(a, b)| a.0 == b.0);
        if !same {
            return Err(SourceError::Format {
                path: place.name.clone(),
                problem: "the header differs from the folder's first file",
            });
        }
        let contents = columns.into_iter().map(|column| column.1);
        all.iter_mut()
            .zip(contents)
            .for_each(|(known, content)| known.1 = known.1.and(content));
    }
    let fields = all.into_iter().map(|(name, content)| {
        let kind = column_type(&name, content, text_columns);
        Arc::new(Field::new(name, kind, true))
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<FieldRef>>())))
}

fn csv_error(place: &Place, problem: CsvProblem) -> SourceError {
    let path = place.name.clone();
    match problem {
        CsvProblem::World(fault) => place.unreadable("CSV file", fault),
        CsvProblem::Line { line, problem } => SourceError::Line {
            path,
            line,
            problem: problem.to_owned(),
        },
        CsvProblem::Fields {
            line,
            found,
            expected,
        } => SourceError::Line {
            path,
            line,
            problem: format!(
                "{found} fields, the header has {expected} (the file may be cut off, or a comma is not quoted)"
            ),
        },
    }
}

/// Rows that the engine hands over at once: small, so that memory stays small.
const BATCH_ROWS: usize = 2_048;
