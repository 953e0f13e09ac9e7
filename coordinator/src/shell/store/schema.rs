//! Tables, as both databases understand them, and the number that says which tables a store has.
//!
//! A store that is up to date is only read. Tables of a newer program are left alone.

use super::{Store, StoreFault, fault};

/// Raised with every change of [`TABLES`] and with every entry of [`CHANGES`].
const SCHEMA: i64 = 10;

/// What tables have learned since they were first made, and with which number: older stores are brought up with these.
const CHANGES: [(i64, &str); 13] = [
    (
        5,
        "ALTER TABLE answers ADD COLUMN attempts BIGINT NOT NULL DEFAULT 1",
    ),
    (
        6,
        "ALTER TABLE asked ADD COLUMN standing TEXT NOT NULL DEFAULT ''",
    ),
    (
        6,
        "ALTER TABLE asked ADD COLUMN settled BIGINT NOT NULL DEFAULT 0",
    ),
    (
        6,
        "ALTER TABLE studies ADD COLUMN question BIGINT NOT NULL DEFAULT 0",
    ),
    (
        6,
        "CREATE INDEX asked_standing ON asked (standing, analyst) WHERE urho > 0",
    ),
    (
        6,
        "CREATE INDEX asked_open ON asked (study) WHERE settled = 0",
    ),
    (
        9,
        "ALTER TABLE models ADD COLUMN fate BIGINT NOT NULL DEFAULT 0",
    ),
    (
        9,
        "ALTER TABLE models ADD COLUMN fate_since BIGINT NOT NULL DEFAULT 0",
    ),
    (
        9,
        "ALTER TABLE models ADD COLUMN recall_by TEXT NOT NULL DEFAULT ''",
    ),
    (
        10,
        "ALTER TABLE models ADD COLUMN recall_key TEXT NOT NULL DEFAULT ''",
    ),
    (
        10,
        "ALTER TABLE models ADD COLUMN recall_at BIGINT NOT NULL DEFAULT 0",
    ),
    // What a person has paid is added up with every question: from the index alone.
    (10, "DROP INDEX IF EXISTS asked_standing"),
    (
        10,
        "CREATE INDEX asked_paid ON asked (standing, analyst, at, urho) WHERE urho > 0",
    ),
];

const TABLES: [&str; 28] = [
    "CREATE TABLE IF NOT EXISTS schema_version (only_row BIGINT PRIMARY KEY, number BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS parties (
        name TEXT PRIMARY KEY, role TEXT NOT NULL, identity TEXT NOT NULL, fingerprint TEXT NOT NULL,
        fingerprint_before TEXT NOT NULL, certificate_until BIGINT NOT NULL, revoked BIGINT NOT NULL,
        last_seen BIGINT NOT NULL, ledger_seq BIGINT NOT NULL, software TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS parties_fingerprint ON parties (fingerprint)",
    "CREATE UNIQUE INDEX IF NOT EXISTS parties_identity ON parties (identity) WHERE revoked = 0",
    "CREATE TABLE IF NOT EXISTS tickets (
        secret_hash TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, expires BIGINT NOT NULL,
        used_by TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS revision (only_row BIGINT PRIMARY KEY, number BIGINT NOT NULL)",
    "INSERT INTO revision (only_row, number) VALUES (1, 0) ON CONFLICT (only_row) DO NOTHING",
    "CREATE TABLE IF NOT EXISTS contracts (
        hash TEXT PRIMARY KEY, name TEXT NOT NULL, version BIGINT NOT NULL, text TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS studies (
        hash TEXT PRIMARY KEY, name TEXT NOT NULL, terms BYTEA NOT NULL, contract_hash TEXT NOT NULL,
        submitted BIGINT NOT NULL, ended BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS records (
        study TEXT NOT NULL, seq BIGINT NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (study, seq))",
    "CREATE TABLE IF NOT EXISTS models (
        name TEXT NOT NULL, version BIGINT NOT NULL, study TEXT NOT NULL UNIQUE, state BIGINT NOT NULL,
        file TEXT NOT NULL, created BIGINT NOT NULL, PRIMARY KEY (name, version))",
    "CREATE TABLE IF NOT EXISTS audit (
        at BIGINT NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, subject TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS spool (
        study TEXT NOT NULL, group_number BIGINT NOT NULL, dealer BIGINT NOT NULL, shares BYTEA NOT NULL,
        PRIMARY KEY (study, group_number, dealer))",
    "CREATE TABLE IF NOT EXISTS ledger_heads (
        identity TEXT PRIMARY KEY, seq BIGINT NOT NULL, hash TEXT NOT NULL, signature BYTEA NOT NULL,
        bytes BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ledger_links (
        identity TEXT NOT NULL, seq BIGINT NOT NULL, hash TEXT NOT NULL, link BYTEA NOT NULL,
        PRIMARY KEY (identity, seq))",
    "CREATE TABLE IF NOT EXISTS ledger_forks (
        identity TEXT NOT NULL, seq BIGINT NOT NULL, hash TEXT NOT NULL, link BYTEA NOT NULL,
        signature BYTEA NOT NULL, PRIMARY KEY (identity, hash))",
    "CREATE TABLE IF NOT EXISTS answers (
        study TEXT PRIMARY KEY, plan_key TEXT NOT NULL, urho BIGINT NOT NULL, terms BYTEA NOT NULL,
        released BYTEA NOT NULL, created BIGINT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS answers_plan_key ON answers (plan_key)",
    "CREATE TABLE IF NOT EXISTS asked (
        analyst TEXT NOT NULL, request TEXT NOT NULL, plan_key TEXT NOT NULL, study TEXT NOT NULL,
        purpose TEXT NOT NULL, urho BIGINT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (analyst, request))",
    "CREATE TABLE IF NOT EXISTS sql_passwords (
        name TEXT PRIMARY KEY, identity TEXT NOT NULL, verifier TEXT NOT NULL, expires BIGINT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS asked_study ON asked (study)",
    "CREATE TABLE IF NOT EXISTS data_versions (identity TEXT PRIMARY KEY, version TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS node_programs (identity TEXT PRIMARY KEY, sha256 TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS tokens (
        handle TEXT PRIMARY KEY, hash TEXT NOT NULL, owner TEXT NOT NULL, name TEXT NOT NULL, identity TEXT NOT NULL,
        role TEXT NOT NULL, issued BIGINT NOT NULL, expires BIGINT NOT NULL)",
    "CREATE UNIQUE INDEX IF NOT EXISTS tokens_name ON tokens (owner, name)",
    "CREATE TABLE IF NOT EXISTS study_files (study TEXT PRIMARY KEY, text TEXT NOT NULL, lead_days BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS retrainings (
        study TEXT PRIMARY KEY, succeeds TEXT NOT NULL, version BIGINT NOT NULL, number BIGINT NOT NULL,
        who TEXT NOT NULL, why TEXT NOT NULL, at BIGINT NOT NULL)",
    "CREATE UNIQUE INDEX IF NOT EXISTS retrainings_number ON retrainings (succeeds, number)",
];

impl Store {
    /// Makes missing tables; writes nothing where all are there.
    pub(super) async fn migrate(&self) -> Result<(), StoreFault> {
        match self.schema().await? {
            Some(SCHEMA) => Ok(()),
            Some(found) if found > SCHEMA => Err(StoreFault::Newer { found }),
            _ => self.make_tables().await,
        }
    }

    /// Which tables the store has; none if it has none.
    pub(super) async fn schema(&self) -> Result<Option<i64>, StoreFault> {
        let there = if self.sqlite {
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'"
        } else {
            "SELECT count(*) FROM information_schema.tables \
             WHERE table_schema = current_schema() AND table_name = 'schema_version'"
        };
        let what = "look for its tables";
        let tables: i64 = sqlx::query_scalar(there)
            .fetch_one(&self.pool)
            .await
            .map_err(fault(what))?;
        if tables == 0 {
            return Ok(None);
        }
        sqlx::query_scalar("SELECT number FROM schema_version WHERE only_row = 1")
            .fetch_optional(&self.pool)
            .await
            .map_err(fault(what))
    }

    async fn make_tables(&self) -> Result<(), StoreFault> {
        let what = "make its tables";
        let mut transaction = self.pool.begin().await.map_err(fault(what))?;
        if !self.sqlite {
            // Two coordinators that start at once on a new database must not trip over each other.
            sqlx::query("SELECT pg_advisory_xact_lock(4150511)::text")
                .execute(&mut *transaction)
                .await
                .map_err(fault(what))?;
        }
        // The first of them takes the lock of a SQLite file; whoever was quicker has left the number.
        let [versions, rest @ ..] = TABLES;
        execute(&mut transaction, versions).await?;
        let found: Option<i64> =
            sqlx::query_scalar("SELECT number FROM schema_version WHERE only_row = 1")
                .fetch_optional(&mut *transaction)
                .await
                .map_err(fault(what))?;
        let newer = |(number, _): &(i64, &str)| *number > found.unwrap_or(0);
        let changes = CHANGES.into_iter().filter(newer);
        for statement in rest.into_iter().chain(changes.map(|(_, change)| change)) {
            execute(&mut transaction, statement).await?;
        }
        sqlx::query("INSERT INTO schema_version (only_row, number) VALUES (1, $1) ON CONFLICT (only_row) DO UPDATE SET number = excluded.number")
            .bind(SCHEMA)
            .execute(&mut *transaction)
            .await
            .map_err(fault(what))?;
        transaction.commit().await.map_err(fault(what))
    }
}

async fn execute(
    transaction: &mut sqlx::Transaction<'_, sqlx::Any>,
    statement: &'static str,
) -> Result<(), StoreFault> {
    let done = sqlx::query(statement).execute(&mut **transaction).await;
    done.map(drop).map_err(fault("make its tables"))
}
