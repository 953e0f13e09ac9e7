//! Where customers come from: `[data]` of node.toml, and the query engine over CSV and Parquet.
//!
//! A CSV column is a number for the query where every value of it is one, else text; columns that the contract names as
//! levels, label or customer are text as they are. So no value can make a file unreadable.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aquifer_shared::base::ids::Name;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use serde::Deserialize;

use super::csv_file::{self, CsvProblem};
use super::csv_value::Content;
use super::source_error::{SourceError, planning};

/// `[data]` of node.toml.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The contract file, relative to node.toml.
    pub contract: PathBuf,
    /// SQL that maps the unit's tables to the contract.
    pub query: String,
    /// Why the unit may use the data, printed in statements.
    pub basis: String,
    /// Public, declared with room; a bigger table is refused.
    pub customers_max: u64,
    /// Column of the mapped table that fixes the hold-out (`test` or true = held out).
    #[serde(default)]
    pub holdout_column: Option<String>,
    /// Public name of the state that the published tables show; another state has another name.
    #[serde(default)]
    pub epoch: Option<Name>,
    /// SQL that maps the unit's tables to each table for analysts.
    #[serde(default)]
    pub published: BTreeMap<String, String>,
    /// CSV or Parquet files or folders by table name, relative to node.toml.
    pub tables: BTreeMap<String, PathBuf>,
}

/// A query engine that knows the unit's tables and nothing else.
pub(super) struct Source {
    session: SessionContext,
    /// Column names of the files, which errors must not quote unless the query does.
    names: Vec<String>,
    /// Columns of CSV files that are text whatever they hold.
    text_columns: Vec<String>,
}

/// The format of a table's files.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Csv,
    Parquet,
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
            text_columns,
        };
        for (table, path) in &config.tables {
            source.register(table, &directory.join(path)).await?;
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

    async fn register(&mut self, table: &str, path: &Path) -> Result<(), SourceError> {
        let (kind, files) = files_of(table, path)?;
        let schema = match kind {
            Kind::Csv => Some(csv_schema(&files, &self.text_columns)?),
            Kind::Parquet => {
                files.iter().try_for_each(|file| whole_parquet(file))?;
                None
            }
        };
        let format: Arc<dyn FileFormat> = match kind {
            Kind::Csv => Arc::new(CsvFormat::default().with_has_header(true)),
            Kind::Parquet => Arc::new(ParquetFormat::default()),
        };
        let options = ListingOptions::new(format).with_file_extension("");
        let unreadable = || SourceError::Format {
            path: path.to_owned(),
            problem: "the files cannot be read as one table (other columns or types, or damaged)",
        };
        let urls: Result<Vec<_>, _> = files.iter().map(|file| url_of(file)).collect();
        let config = ListingTableConfig::new_with_multi_paths(urls.map_err(|_| unreadable())?)
            .with_listing_options(options);
        let config = match schema {
            Some(schema) => config.with_schema(schema),
            None => {
                let inferred = config.infer_schema(&self.session.state()).await;
                inferred.map_err(|_| unreadable())?
            }
        };
        let listing = ListingTable::try_new(config).map_err(|_| unreadable())?;
        let fields = datafusion::catalog::TableProvider::schema(&listing);
        let names = fields.fields().iter().map(|field| field.name().clone());
        self.names.extend(names);
        let name = datafusion::common::TableReference::bare(table);
        let registered = self.session.register_table(name, Arc::new(listing));
        registered.map_err(|_| unreadable())?;
        Ok(())
    }
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

/// The files of a table, in the order of their names, all of one format.
fn files_of(table: &str, path: &Path) -> Result<(Kind, Vec<PathBuf>), SourceError> {
    let unreadable = |source| SourceError::Unreadable {
        what: format!("table {table:?}"),
        path: path.to_owned(),
        source,
    };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        let kind = kind_of(path).ok_or_else(|| SourceError::Format {
            path: path.to_owned(),
            problem: "the name ends neither in .csv nor in .parquet",
        })?;
        return Ok((kind, vec![path.to_owned()]));
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        files.extend(kind_of(&file).map(|kind| (file, kind)));
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let first = files.first().map(|file| file.1);
    let kind = first.filter(|kind| files.iter().all(|file| file.1 == *kind));
    let kind = kind.ok_or_else(|| SourceError::Format {
        path: path.to_owned(),
        problem: "the folder should hold .csv files or .parquet files, at least one and not both",
    })?;
    Ok((kind, files.into_iter().map(|file| file.0).collect()))
}

fn kind_of(path: &Path) -> Option<Kind> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "csv" => Some(Kind::Csv),
        "parquet" => Some(Kind::Parquet),
        _ => None,
    }
}

/// Looks through all files: they must have the same header.
fn csv_schema(files: &[PathBuf], text_columns: &[String]) -> Result<SchemaRef, SourceError> {
    let mut all: Vec<(String, Content)> = Vec::new();
    for file in files {
        let columns = csv_file::columns(file).map_err(|problem| csv_error(file, problem))?;
        if all.is_empty() {
            all = columns;
            continue;
        }
        let same = all.len() == columns.len() && all.iter().zip(&columns).all(|(a, b)| a.0 == b.0);
        if !same {
            return Err(SourceError::Format {
                path: file.clone(),
                problem: "the header differs from the folder's first file",
            });
        }
        let contents = columns.into_iter().map(|column| column.1);
        all.iter_mut()
            .zip(contents)
            .for_each(|(known, content)| known.1 = known.1.and(content));
    }
    let fields = all.into_iter().map(|(name, content)| {
        let kind = match content {
            _ if text_columns.contains(&name) => DataType::Utf8,
            Content::Whole => DataType::Int64,
            Content::Real => DataType::Float64,
            Content::Empty | Content::Text => DataType::Utf8,
        };
        Field::new(name, kind, true)
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

fn csv_error(path: &Path, problem: CsvProblem) -> SourceError {
    let path = path.to_owned();
    match problem {
        CsvProblem::Io(source) => SourceError::Unreadable {
            what: "CSV file".to_owned(),
            path,
            source,
        },
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

/// A Parquet file starts and ends with the same four bytes.
fn whole_parquet(path: &Path) -> Result<(), SourceError> {
    let ends = || -> io::Result<([u8; 4], [u8; 4])> {
        let mut file = File::open(path)?;
        let (mut head, mut tail) = ([0; 4], [0; 4]);
        if file.metadata()?.len() >= 12 {
            file.read_exact(&mut head)?;
            file.seek(SeekFrom::End(-4))?;
            file.read_exact(&mut tail)?;
        }
        Ok((head, tail))
    };
    let (head, tail) = ends().map_err(|source| SourceError::Unreadable {
        what: "Parquet file".to_owned(),
        path: path.to_owned(),
        source,
    })?;
    if &head == b"PAR1" && &tail == b"PAR1" {
        return Ok(());
    }
    let problem = match &head {
        b"PAR1" => "the end of a Parquet file is missing (the file is cut off)",
        _ => "this is not a Parquet file",
    };
    Err(SourceError::Format {
        path: path.to_owned(),
        problem,
    })
}

/// The path as a URL, so that the engine takes no character of it for a pattern.
fn url_of(path: &Path) -> datafusion::error::Result<ListingTableUrl> {
    let absolute = std::path::absolute(path)?;
    let mut url = "file://".to_owned();
    for byte in absolute.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    ListingTableUrl::parse(url)
}

/// Rows that the engine hands over at once: small, so that memory stays small.
const BATCH_ROWS: usize = 2_048;
