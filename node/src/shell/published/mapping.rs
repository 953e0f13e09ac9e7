//! Which published tables this node serves, and the query that gives each of them.

use aquifer_shared::base::ids::Name;
use aquifer_shared::domain::contract::{Contract, Published};

use crate::shell::source::DataConfig;
use crate::shell::source_error::SourceError;

/// A published table and the SQL that maps the unit's own tables to it.
#[derive(Clone, Copy, Debug)]
pub struct Mapping<'a> {
    /// As the contract has it.
    pub published: &'a Published,
    /// The query.
    pub query: &'a str,
}

/// The tables of the contract that node.toml maps; the training table, where it is published, by its own query.
///
/// # Errors
///
/// A query for a table that the contract does not publish; tables without an epoch.
pub fn mappings<'a>(
    config: &'a DataConfig,
    contract: &'a Contract,
) -> Result<Vec<Mapping<'a>>, SourceError> {
    let publishing = |problem: String| SourceError::Publishing { problem };
    for name in config.published.keys() {
        if *name == contract.table {
            return Err(publishing(format!(
                "[data.published] maps {name:?}, expected only other tables: [data] query maps that one"
            )));
        }
        if contract.published(name).is_none() {
            let known = contract.published.iter().map(|table| table.name.as_str());
            let known: Vec<&str> = known.filter(|known| *known != contract.table).collect();
            return Err(publishing(format!(
                "[data.published] maps {name:?}, the contract publishes {known:?}"
            )));
        }
    }
    let tables = contract.published.iter().filter_map(|published| {
        let own = (published.name == contract.table).then_some(&config.query);
        let query = own.or_else(|| config.published.get(&published.name))?;
        Some(Mapping { published, query })
    });
    Ok(tables.collect())
}

/// The public name of the state of the tables.
///
/// # Errors
///
/// There is none.
pub fn epoch(config: &DataConfig) -> Result<&Name, SourceError> {
    config.epoch.as_ref().ok_or_else(|| SourceError::Publishing {
        problem: "[data] has no epoch, expected the public name of what the tables for analysts show, such as epoch = \"2026-11-01\"".to_owned(),
    })
}
