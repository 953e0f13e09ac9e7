//! Where customers come from: `[data]` of node.toml, and the query engine over CSV and Parquet.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

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
    /// CSV or Parquet files or folders by table name, relative to node.toml.
    pub tables: BTreeMap<String, PathBuf>,
}

/// A source that cannot be read or does not fit the contract. Texts are fixed: they never quote a cell.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file of the configuration cannot be read.
    #[error("{what} {path:?} cannot be read")]
    Unreadable {
        /// What it is.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
