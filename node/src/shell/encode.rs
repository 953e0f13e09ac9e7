//! From the mapped table to encoded columns, once; the query engine is gone afterwards.

use std::path::Path;

use aquifer_shared::domain::contract::Contract;

use super::source::{DataConfig, SourceError};
use crate::core::table::{Table, TableBuilder};

/// Reads contract and data. Starts and ends its own thread and query engine: call it from anywhere, it blocks.
///
/// # Errors
///
/// Whatever is wrong with files, mapping or rows, without a value of a customer.
///
/// # Privacy
///
/// Every row of the mapped table that has a label becomes one customer; nothing is kept of a value but its cell and the id.
pub fn encode(config: &DataConfig, directory: &Path) -> Result<(Contract, Table), SourceError> {
    let path = directory.join(&config.contract);
    let unreadable = |source| SourceError::Unreadable {
        what: "contract",
        path: path.clone(),
        source,
    };
    let text = std::fs::read_to_string(&path).map_err(unreadable)?;
    let contract =
        Contract::parse(&text).map_err(|error| unreadable(std::io::Error::other(error)))?;
    let cells = contract.shapes().into_iter().map(|shape| shape.1).collect();
    Ok((
        contract,
        TableBuilder::new(cells, config.holdout_column.as_deref()).finish(),
    ))
}
