//! The client: PostgreSQL's protocol over TLS by a driver that users have, against the door of a running coordinator.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use aquifer_tests::reports::{Analyst, Reports};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, Connection, Row};

/// A session.
pub struct Client(PgConnection);

impl Client {
    /// Opens a session that asks for this purpose.
    pub async fn open(reports: &Reports, analyst: &Analyst, purpose: &str) -> Result<Self> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(reports.port)
            .username(&analyst.name)
            .password(&analyst.password)
            .database("aquifer")
            .ssl_mode(PgSslMode::VerifyCa)
            .ssl_root_cert(&analyst.authority)
            .options([("aquifer.purpose", purpose)]);
        let opened = PgConnection::connect_with(&options).await;
        Ok(Self(opened.context("the door did not open")?))
    }

    /// Milliseconds from a statement to its last row; it must have as many rows as expected, where that is known.
    pub async fn ask(&mut self, statement: &str, rows: Option<usize>) -> Result<f64> {
        let started = Instant::now();
        let found = self.rows(statement).await?;
        let taken = started.elapsed().as_secs_f64() * 1e3;
        let fits = rows.is_none_or(|rows| rows == found.len());
        ensure!(fits, "{} rows, expected {rows:?}", found.len());
        Ok(taken)
    }

    /// One property of a price tag.
    pub async fn explain(&mut self, statement: &str, property: &str) -> Result<String> {
        let rows = self.rows(&format!("EXPLAIN {statement}")).await?;
        for row in rows {
            if row.try_get::<String, _>(0)? == property {
                return Ok(row.try_get(1)?);
            }
        }
        anyhow::bail!("a price tag says nothing of its {property}")
    }

    async fn rows(&mut self, statement: &str) -> Result<Vec<PgRow>> {
        let asked = sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(&mut self.0);
        asked.await.with_context(|| format!("asked {statement}"))
    }
}
