//! Tables, as both databases understand them.

use super::{Store, StoreFault, fault};

const TABLES: [&str; 10] = [
    "CREATE TABLE IF NOT EXISTS parties (
        name TEXT PRIMARY KEY, role TEXT NOT NULL, identity TEXT NOT NULL, fingerprint TEXT NOT NULL,
        fingerprint_before TEXT NOT NULL, certificate_until BIGINT NOT NULL, revoked BIGINT NOT NULL,
        last_seen BIGINT NOT NULL, ledger_seq BIGINT NOT NULL, software TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS parties_fingerprint ON parties (fingerprint)",
    "CREATE TABLE IF NOT EXISTS tickets (
        secret_hash TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, expires BIGINT NOT NULL,
        used BIGINT NOT NULL)",
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
        name TEXT NOT NULL, version BIGINT NOT NULL, study TEXT NOT NULL, published BIGINT NOT NULL,
        file TEXT NOT NULL, created BIGINT NOT NULL, PRIMARY KEY (name, version))",
    "CREATE TABLE IF NOT EXISTS audit (
        at BIGINT NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, subject TEXT NOT NULL)",
];

impl Store {
    pub(super) async fn migrate(&self) -> Result<(), StoreFault> {
        let mut transaction = self.pool.begin().await.map_err(fault("begin"))?;
        for table in TABLES {
            sqlx::query(table)
                .execute(&mut *transaction)
                .await
                .map_err(fault("make its tables"))?;
        }
        transaction.commit().await.map_err(fault("make its tables"))
    }
}
