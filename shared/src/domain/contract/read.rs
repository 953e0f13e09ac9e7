//! Reads a contract file.

use super::{Contract, ContractError};

pub(super) fn contract(text: &str) -> Result<Contract, ContractError> {
    let problem = format!("{} bytes were not read", text.len());
    Err(ContractError {
        line: 1,
        column: 1,
        problem,
    })
}
