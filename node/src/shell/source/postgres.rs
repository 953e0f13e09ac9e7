//! A table that a query gives on a PostgreSQL server: connects, has the query planned, and streams its rows.
//!
//! The server runs the query in a transaction that can only read, and stops it after a stated time. Rows come as the query
//! engine asks for them; what is in memory at a time is bounded by batches.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aquifer_shared::base::limits::{
    SOURCE_CONNECT_MS_MAX, SOURCE_QUERY_SECONDS, SOURCE_SILENCE_MS_MAX,
};
use aquifer_shared::shell::keys::read_private;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use futures_util::StreamExt;
use sqlx::postgres::{PgConnectOptions, PgRow, PgSslMode, PgTypeKind};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Executor, PgConnection, Row, SqlSafeStr,
    Statement, TypeInfo, ValueRef,
};
use tokio::time::timeout;

use super::batch::{Cell, Rows};
use super::config::{PostgresConfig, REMOTE_PLAIN, is_here};
use super::postgres_error::{planning, running};
use super::postgres_value::Kind;
use crate::shell::source_error::TableProblem;

/// What is needed to run the query, as often as the mapping asks for the table.
#[derive(Clone)]
struct Asked {
    table: String,
    options: PgConnectOptions,
    /// Whether errors may name the host: what looks like one in a file of secrets may be something else.
    quoted: bool,
    query: String,
    seconds: u32,
}

/// The table for the query engine.
struct PostgresTable {
    asked: Asked,
    schema: SchemaRef,
    kinds: Vec<Kind>,
}

/// Connects and has the query planned; reads no row.
///
/// # Errors
///
/// Files of the configuration, the connection, the login, the query, or a column's type.
pub(super) async fn open(
    table: &str,
    config: &PostgresConfig,
    query: &str,
    directory: &Path,
) -> Result<StreamingTable, TableProblem> {
    let asked = Asked {
        table: table.to_owned(),
        options: options(config, directory)?,
        quoted: config.url_file.is_none(),
        query: query.to_owned(),
        seconds: config.timeout_seconds.unwrap_or(SOURCE_QUERY_SECONDS),
    };
    let mut connection = asked.connect().await?;
    let sql = AssertSqlSafe(query).into_sql_str();
    let planned = in_time(SOURCE_SILENCE_MS_MAX, (&mut connection).prepare(sql)).await?;
    let planned = planned.map_err(|error| planning(&error, query))?;
    let (mut fields, mut kinds) = (Vec::new(), Vec::new());
    for column in planned.columns() {
        let kind = kind_of(column)?;
        if fields
            .iter()
            .any(|field: &Field| field.name() == column.name())
        {
            let problem = format!("its query gives column {:?} twice", column.name());
            return Err(TableProblem::new(problem));
        }
        fields.push(Field::new(column.name(), kind.arrow(), true));
        kinds.push(kind);
    }
    // A polite end; whether the server hears it changes nothing.
    let _ = connection.close().await;
    if fields.is_empty() {
        let problem = "its query gives no columns, expected a SELECT";
        return Err(TableProblem::new(problem.to_owned()));
    }
    let schema = Arc::new(Schema::new(fields));
    let table = PostgresTable {
        asked,
        schema: schema.clone(),
        kinds,
    };
    StreamingTable::try_new(schema, vec![Arc::new(table)])
        .map_err(|_| TableProblem::new("its columns do not fit".to_owned()))
}

fn kind_of(column: &sqlx::postgres::PgColumn) -> Result<Kind, TableProblem> {
    let info = column.type_info();
    let number = info.oid().map(|number| number.0);
    let kind = match info.kind() {
        PgTypeKind::Enum(_) => Some(Kind::Text),
        _ => number.and_then(Kind::of),
    };
    kind.ok_or_else(|| {
        TableProblem::new(format!(
            "its query gives column {:?} of type {}, expected numbers, text, booleans or dates (cast it, for example to text)",
            column.name(),
            info.name()
        ))
    })
}

fn options(config: &PostgresConfig, directory: &Path) -> Result<PgConnectOptions, TableProblem> {
    let mut options = match &config.url_file {
        Some(file) => from_url(&directory.join(file))?,
        None => from_parts(config, directory)?,
    };
    let here = options.get_socket().is_some() || is_here(options.get_host());
    if config.plain && !here {
        return Err(TableProblem::new(REMOTE_PLAIN.to_owned()));
    }
    options = match config.plain {
        true => options.ssl_mode(PgSslMode::Disable),
        false => options.ssl_mode(PgSslMode::VerifyFull),
    };
    if let Some(file) = &config.ca_file {
        let path = directory.join(file);
        let pem = std::fs::read(&path).map_err(|error| {
            TableProblem::new(format!("ca_file {path:?} cannot be read: {}", error.kind()))
        })?;
        options = options.ssl_root_cert_from_pem(pem);
    }
    // Texts of queries, and their parameters, are nobody's but the unit's.
    Ok(options
        .application_name("aquifer-node")
        .disable_statement_logging())
}

fn from_parts(config: &PostgresConfig, directory: &Path) -> Result<PgConnectOptions, TableProblem> {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let host = part(&config.host);
    let mut options = PgConnectOptions::new_without_pgpass()
        .port(config.port.unwrap_or(5432))
        .username(&part(&config.user))
        .database(&part(&config.database));
    options = match host.starts_with('/') {
        true => options.socket(host),
        false => options.host(&host),
    };
    let Some(file) = &config.password_file else {
        return Ok(options);
    };
    let path = directory.join(file);
    let bytes = read_private(&path).map_err(|fault| TableProblem::of(&fault))?;
    Ok(options.password(line(&bytes, &path)?))
}

fn from_url(path: &Path) -> Result<PgConnectOptions, TableProblem> {
    let bytes = read_private(path).map_err(|fault| TableProblem::of(&fault))?;
    let url = line(&bytes, path)?;
    let wrong = |problem| TableProblem::new(format!("url_file {path:?}: {problem}"));
    // What the driver does not know it would write to the log, values and all.
    let parameters = url.split_once('?').map_or("", |parts| parts.1).split('&');
    let unknown = parameters.map(|part| part.split('=').next().unwrap_or_default());
    if unknown.into_iter().any(|name| !PARAMETERS.contains(&name)) {
        return Err(wrong(
            "after the `?` expected host, port, user, password or dbname only",
        ));
    }
    url.parse().map_err(|_| {
        wrong("expected postgres://USER:PASSWORD@HOST:PORT/DATABASE (signs other than letters and digits as %XX)")
    })
}

/// The file's one line.
fn line<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a str, TableProblem> {
    let text = str::from_utf8(bytes)
        .ok()
        .map(|text| text.trim_end_matches(['\r', '\n']));
    let one = text.filter(|text| !text.is_empty() && !text.contains('\n'));
    one.ok_or_else(|| TableProblem::new(format!("{path:?} should hold one line of text")))
}

impl Asked {
    async fn connect(&self) -> Result<PgConnection, TableProblem> {
        let address = (self.options.get_host().to_owned(), self.options.get_port());
        if self.options.get_socket().is_none() && tokio::net::lookup_host(&address).await.is_err() {
            let problem = match self.quoted {
                true => format!("there is no host {:?}", address.0),
                false => "there is no host of the name in `url_file`".to_owned(),
            };
            return Err(TableProblem::new(problem));
        }
        let connected = in_time(SOURCE_CONNECT_MS_MAX, self.options.connect()).await?;
        connected.map_err(|error| running(&error))
    }

    /// Runs the query in a transaction that sees one state and can change nothing.
    async fn begin(&self) -> Result<PgConnection, TableProblem> {
        let mut connection = self.connect().await?;
        let begin = format!(
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {}",
            u64::from(self.seconds) * 1_000
        );
        let begun = (&mut connection).execute(sqlx::raw_sql(AssertSqlSafe(begin)));
        let begun = in_time(SOURCE_SILENCE_MS_MAX, begun).await?;
        begun.map_err(|error| running(&error))?;
        Ok(connection)
    }
}

impl PartitionStream for PostgresTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStream::builder(self.schema.clone(), BATCHES_AHEAD);
        let (asked, kinds) = (self.asked.clone(), self.kinds.clone());
        let (rows, sender) = (Rows::new(self.schema.clone()), builder.tx());
        builder.spawn(async move {
            let table = asked.table.clone();
            let read = read(asked, kinds, rows, sender).await;
            read.map_err(|problem| DataFusionError::External(Box::new(problem.of_table(&table))))
        });
        builder.build()
    }
}

impl std::fmt::Debug for PostgresTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The options hold a password.
        write!(f, "<table {:?} on a PostgreSQL server>", self.asked.table)
    }
}

/// Waits for the server, but not for ever.
async fn in_time<T>(limit_ms: u64, answer: impl Future<Output = T>) -> Result<T, TableProblem> {
    let answered = timeout(Duration::from_millis(limit_ms), answer).await;
    answered.map_err(|_| TableProblem::new("the server does not answer in time".to_owned()))
}

type Sender = tokio::sync::mpsc::Sender<Result<arrow::array::RecordBatch, DataFusionError>>;

async fn read(
    asked: Asked,
    kinds: Vec<Kind>,
    mut rows: Rows,
    sender: Sender,
) -> Result<(), TableProblem> {
    let mut connection = asked.begin().await?;
    let query = sqlx::query(AssertSqlSafe(asked.query));
    let mut found = query.fetch(&mut connection);
    let mut text = String::new();
    // The server ends the query by itself; this is for one that is gone without a word.
    let limit_ms = u64::from(asked.seconds) * 1_000 + SOURCE_SILENCE_MS_MAX;
    while let Some(row) = in_time(limit_ms, found.next()).await? {
        let row = row.map_err(|error| running(&error))?;
        add(&row, &kinds, &mut rows, &mut text)?;
        if rows.end_row() && !send(&mut rows, &sender).await? {
            return Ok(());
        }
    }
    send(&mut rows, &sender).await?;
    Ok(())
}

fn add(
    row: &PgRow,
    kinds: &[Kind],
    rows: &mut Rows,
    text: &mut String,
) -> Result<(), TableProblem> {
    let changed = || TableProblem::new("its columns changed while they were read".to_owned());
    if row.len() != kinds.len() {
        return Err(changed());
    }
    for (index, kind) in kinds.iter().enumerate() {
        let value = row.try_get_raw(index).map_err(|_| changed())?;
        let cell = match value.is_null() {
            true => Cell::Null,
            false => {
                let bytes = value.as_bytes().map_err(|_| changed())?;
                kind.cell(bytes, text).map_err(|_| unreadable(row, index))?
            }
        };
        rows.add(index, &cell).map_err(|_| changed())?;
    }
    Ok(())
}

fn unreadable(row: &PgRow, index: usize) -> TableProblem {
    let name = row.column(index).name();
    let problem = format!(
        "column {name:?} holds a value that is not as its type says (text that is not UTF-8?)"
    );
    TableProblem::new(problem)
}

/// False when nobody wants more rows.
async fn send(rows: &mut Rows, sender: &Sender) -> Result<bool, TableProblem> {
    let failed = |_| TableProblem::new("its rows do not fit its columns".to_owned());
    match rows.take().map_err(failed)? {
        Some(batch) => Ok(sender.send(Ok(batch)).await.is_ok()),
        None => Ok(true),
    }
}

/// Batches that may wait for the query engine.
const BATCHES_AHEAD: usize = 2;
/// What a URL may say after its `?`; nothing of it can switch TLS off.
const PARAMETERS: [&str; 8] = [
    "", "host", "port", "user", "password", "dbname", "sslcert", "sslkey",
];

#[cfg(test)]
mod tests {
    use aquifer_shared::shell::keys::write_private;

    use super::*;

    fn options_of(url: &str, plain: bool) -> Result<PgConnectOptions, String> {
        let directory = tempfile::tempdir().unwrap();
        write_private(&directory.path().join("url"), url.as_bytes()).unwrap();
        let config = PostgresConfig {
            url_file: Some("url".into()),
            plain,
            ..PostgresConfig::default()
        };
        options(&config, directory.path()).map_err(|problem| problem.to_string())
    }

    #[test]
    fn tls_is_not_for_urls_to_switch_off() {
        let found = options_of("postgres://u:p%40@db.example:5433/crm\n", false).unwrap();
        assert_eq!((found.get_host(), found.get_port()), ("db.example", 5433));
        assert!(matches!(found.get_ssl_mode(), PgSslMode::VerifyFull));
        let socket = options_of("postgres://u@localhost/crm?host=/run/pg", true).unwrap();
        assert!(matches!(socket.get_ssl_mode(), PgSslMode::Disable));
    }

    #[track_caller]
    fn check_wrong(url: &str, plain: bool, expected: &str) {
        let found = options_of(url, plain).unwrap_err();
        assert!(
            found.contains(expected) && !found.contains("CANARY"),
            "{found}"
        );
    }

    #[test]
    fn urls_that_are_refused_are_not_quoted() {
        check_wrong("postgres://u:CANARY@db.example/x", true, "loopback");
        check_wrong(
            "postgres://u:CANARY@db.example/x?sslmode=disable",
            false,
            "expected host",
        );
        check_wrong(
            "postgres://u@db.example/x?pasword=CANARY",
            false,
            "expected host",
        );
        check_wrong("CANARY", false, "expected postgres://");
        check_wrong("postgres://u:CANARY@h/x\nmore", false, "one line");
    }
}
