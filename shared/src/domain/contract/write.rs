//! Writes a contract file.

use super::Contract;

pub(super) fn contract(contract: &Contract) -> String {
    contract.name.to_string()
}
