//! node.toml: read once, refuses unknown keys, becomes checked values before anything starts.

use std::io;
use std::path::{Path, PathBuf};

use aquifer_shared::base::ids::{IdentityKey, Name};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::predictor::plan::Shape;
use aquifer_shared::shell::noise::check_charge;
use serde::Deserialize;

use super::source::DataConfig;
use crate::core::ledger::Caps;
use crate::core::policy::{ContractFacts, NodePolicy, Rules};

/// node.toml.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The unit's data.
    pub data: DataConfig,
    /// Where the ledger and its witness are.
    pub ledger: LedgerConfig,
    /// What the unit allows.
    pub policy: PolicyConfig,
}

/// `[ledger]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LedgerConfig {
    /// The ledger, relative to node.toml.
    #[serde(default = "ledger_file")]
    pub file: PathBuf,
    /// Its witness, on another path, best on another volume.
    pub witness: PathBuf,
}

/// `[policy]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// Cap per contract, for good.
    pub rho_micro_per_contract: u64,
    /// Cap in any 365 days, all contracts together.
    pub rho_micro_per_year: u64,
    /// Purposes that the unit serves.
    pub purposes: Vec<Name>,
    /// Identity keys whose approval counts, 64 hexadecimal digits each.
    pub approvers: Vec<String>,
    /// Who decides on studies.
    #[serde(default)]
    pub approval: ApprovalMode,
    /// Smallest roster.
    #[serde(default = "members_min")]
    pub members_min: usize,
    /// Whether studies marked synthetic are taken.
    #[serde(default)]
    pub allow_synthetic: bool,
}

/// Who decides on studies that policy allows.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalMode {
    /// Policy alone.
    #[default]
    Automatic,
    /// A person, with `aquifer-node studies approve`.
    Person,
}

/// node.toml is missing or wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("could not read {}; `aquifer-node join` writes a commented sample", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{}, line {line}, column {column}: {problem}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong.
        problem: String,
    },
}

impl NodeConfig {
    /// Reads `node.toml` of a node's directory.
    ///
    /// # Errors
    ///
    /// It is missing, not TOML, or holds unknown keys or impossible values.
    pub fn load(directory: &Path) -> Result<Self, ConfigError> {
        let path = directory.join(CONFIG_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text),
            Err(source) => Err(ConfigError::Read { path, source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            wrong(path, text, at, error.message())
        })?;
        let place = |key: &str| text.find(key).unwrap_or(0);
        for approver in &config.policy.approvers {
            approver
                .parse::<IdentityKey>()
                .map_err(|error| wrong(path, text, place(approver), &error.to_string()))?;
        }
        if config.data.customers_max == 0 {
            let problem = "customers_max is 0, expected the unit's declared size with room";
            return Err(wrong(path, text, place("customers_max"), problem));
        }
        Ok(config)
    }

    /// The ledger's path.
    #[must_use]
    pub fn ledger_path(&self, directory: &Path) -> PathBuf {
        directory.join(&self.ledger.file)
    }

    /// The witness's path.
    #[must_use]
    pub fn witness_path(&self, directory: &Path) -> PathBuf {
        directory.join(&self.ledger.witness)
    }

    /// The caps.
    #[must_use]
    pub fn caps(&self) -> Caps {
        Caps {
            per_contract: MicroRho(self.policy.rho_micro_per_contract),
            per_year: MicroRho(self.policy.rho_micro_per_year),
        }
    }

    /// What decisions rest on, with the unit's contract.
    #[must_use]
    pub fn rules(&self, contract: &Contract, identity: IdentityKey) -> Rules {
        let policy = &self.policy;
        let approvers = policy.approvers.iter();
        let shapes = contract.shapes().into_iter();
        Rules {
            policy: NodePolicy {
                caps: self.caps(),
                purposes: policy.purposes.clone(),
                approvers: approvers.filter_map(|key| key.parse().ok()).collect(),
                by_person: policy.approval == ApprovalMode::Person,
                members_min: policy.members_min,
                allow_synthetic: policy.allow_synthetic,
                customers_max: self.data.customers_max,
            },
            contract: ContractFacts {
                name: contract.name.clone(),
                version: contract.version,
                hash: contract.hash(),
                multiplicity: contract.multiplicity,
                shapes: shapes
                    .map(|(ordered, cells)| Shape { ordered, cells })
                    .collect(),
                holdout_column: self.data.holdout_column.clone(),
            },
            identity,
            confirms: |terms| check_charge(terms).is_ok(),
        }
    }
}

fn wrong(path: &Path, text: &str, at: usize, problem: &str) -> ConfigError {
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ConfigError::Text {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[start..].chars().count() + 1,
        problem: problem.trim_end().replace('\n', "; "),
    }
}

fn ledger_file() -> PathBuf {
    PathBuf::from("ledger.sqlite")
}

fn members_min() -> usize {
    1
}

/// Name of the file in a node's directory.
pub const CONFIG_FILE: &str = "node.toml";

/// What `join` writes: every key with its meaning.
pub const SAMPLE: &str = r#"# aquifer-node: the unit's data, ledger and policy. Paths are relative to this file. Unknown keys are refused.

[data]
contract = "contract.toml"            # the data contract that all units share
query = "SELECT * FROM customers"     # SQL that maps the unit's tables to the contract, one row per customer
basis = "legitimate interest, assessment LIA-0"   # why the data may be used; printed in statements
customers_max = 100000                # public: declared with room, never the true count; a bigger table is refused
# holdout_column = "split"            # optional column of the mapped table: "test" or true = kept for evaluation

[data.tables]                         # CSV or Parquet, file or folder
customers = "customers.csv"

[ledger]
# file = "ledger.sqlite"              # spending record; back it up, never restore an older copy
witness = "../witness/ledger.witness" # on another path, best on another volume: notices an older ledger

[policy]
# Budget caps in millionths of rho (zCDP); no defaults. 224249 is epsilon 3 at delta 1e-5.
# A study sets its price and that of its spare attempts aside; what it has not charged comes back when it ends.
rho_micro_per_contract = 224249       # for all studies on this contract (by name), for good
rho_micro_per_year = 224249           # for all studies in any 365 days
purposes = ["churn.train"]            # what the unit serves
approvers = []                        # identity keys (64 hexadecimal digits) whose approval counts
approval = "automatic"                # or "person": studies wait for `aquifer-node studies approve`
members_min = 1                       # smallest number of units in a study
allow_synthetic = false               # studies marked synthetic (made-up data only)
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NodeConfig, ConfigError> {
        NodeConfig::parse(Path::new("node.toml"), text)
    }

    #[track_caller]
    fn check_wrong(from: &str, to: &str, expected: &str) {
        let found = parse(&SAMPLE.replace(from, to)).unwrap_err().to_string();
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn the_sample_is_valid() {
        let config = parse(SAMPLE).unwrap();
        assert_eq!(config.ledger.file, Path::new("ledger.sqlite"));
        assert_eq!(config.policy.approval, ApprovalMode::Automatic);
        assert_eq!(config.caps().per_year, MicroRho(224_249));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        check_wrong(
            "members_min = 1 ",
            "members = 1 ",
            "line 25, column 1: unknown field `members`",
        );
    }

    #[test]
    fn caps_have_no_default() {
        check_wrong(
            "rho_micro_per_year = 224249",
            "# none",
            "missing field `rho_micro_per_year`",
        );
    }

    #[test]
    fn impossible_values_are_named_with_their_place() {
        check_wrong("= 224249  ", "= -1  ", "invalid value: integer `-1`");
        check_wrong("= 224249  ", "= nan  ", "invalid type: floating point");
        check_wrong(
            "approvers = []",
            "approvers = [\"abc\"]",
            "line 23, column 15: IdentityKey is 3 characters",
        );
        check_wrong("customers_max = 100000", "customers_max = 0", "is 0");
        check_wrong("\"automatic\"", "\"maybe\"", "unknown variant `maybe`");
    }
}
