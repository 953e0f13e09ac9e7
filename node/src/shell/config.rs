//! node.toml: read once, refuses unknown keys, becomes checked values before anything starts.

use std::io;
use std::path::{Path, PathBuf};

use aquifer_shared::base::ids::{Hash32, IdentityKey, Name, StudyHash};
use aquifer_shared::base::units::{Delta, MicroRho};
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::facts::FactsConfig;
use aquifer_shared::domain::pack::epsilon_micro;
use aquifer_shared::domain::predictor::plan::Shape;
use aquifer_shared::domain::sum::TrustMode;
use aquifer_shared::shell::at_rest::AtRestConfig;
use aquifer_shared::shell::noise::check_charge;
use aquifer_shared::shell::policy_record;
use aquifer_shared::shell::policy_text::Written;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::people::{PeopleConfig, PeopleError};
use super::source::DataConfig;
use crate::core::approved::Approved;
use crate::core::gatekeeper::Gatekeeper;
use crate::core::ledger::Caps;
use crate::core::policy::{ContractFacts, NodePolicy, Rules};
use crate::core::trust::{Pin, TrustPolicy};

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
    /// What the unit declares of its customers; without it, only synthetic studies are taken.
    pub people: Option<PeopleConfig>,
    /// What the unit's record of processing says; without it, there is none.
    pub facts: Option<FactsConfig>,
    /// Where the key is under which files are encrypted.
    #[serde(default)]
    pub at_rest: AtRestConfig,
    /// The history.
    #[serde(default)]
    pub history: HistoryConfig,
    /// Members that the unit knows.
    #[serde(default)]
    pub member: Vec<MemberConfig>,
    /// The text that this was read from.
    #[serde(skip)]
    pub(super) written: Written,
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

/// `[history]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HistoryConfig {
    /// Minutes between two checkpoints of the node's own log: 1 to 1440, and a public number.
    #[serde(default = "publish_every_minutes")]
    pub publish_every_minutes: PublishMinutes,
    /// Nodes of a roster that may help a coordinator which shows two histories.
    #[serde(default)]
    pub dishonest_max: u16,
}

/// 1 to 1440.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "u32")]
pub struct PublishMinutes(u32);

impl TryFrom<u32> for PublishMinutes {
    type Error = String;

    fn try_from(minutes: u32) -> Result<Self, String> {
        let expected = || format!("publish_every_minutes is {minutes}, expected 1 to 1440");
        (1..=1_440)
            .contains(&minutes)
            .then_some(Self(minutes))
            .ok_or_else(expected)
    }
}

impl PublishMinutes {
    /// In milliseconds.
    #[must_use]
    pub fn ms(self) -> u64 {
        u64::from(self.0) * 60_000
    }
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            publish_every_minutes: publish_every_minutes(),
            dishonest_max: 0,
        }
    }
}

fn publish_every_minutes() -> PublishMinutes {
    PublishMinutes(60)
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
    /// Identity keys of people of whom two sign a change of this policy, 64 hexadecimal digits each.
    #[serde(default)]
    pub officers: Vec<String>,
    /// Who decides on studies.
    #[serde(default)]
    pub approval: ApprovalMode,
    /// Smallest roster.
    #[serde(default = "members_min")]
    pub members_min: usize,
    /// Standing studies under which questions may be asked where a person decides on studies: their hashes.
    #[serde(default, deserialize_with = "hashes")]
    pub standing: Vec<StudyHash>,
    /// Whether studies marked synthetic are taken.
    #[serde(default)]
    pub allow_synthetic: bool,
    /// Trust modes that the unit takes.
    #[serde(default = "both_modes")]
    pub trust: Spanned<Vec<TrustMode>>,
    /// Fewest honest noise shares of a study in `shared-noise`.
    #[serde(default = "honest_min")]
    pub honest_min: u16,
    /// Fewest colluders that such a study must tolerate.
    #[serde(default = "colluders_min")]
    pub colluders_min: u16,
    /// Most colluders that it may tolerate.
    pub colluders_max: Option<u16>,
    /// Who operates this node.
    pub operator: Option<Name>,
    /// Who operates the coordinator.
    pub coordinator_operator: Option<Name>,
    /// Cap per contract on what customers would lose if all other members colluded.
    pub floor_rho_micro_per_contract: Option<u64>,
}

/// One `[[member]]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MemberConfig {
    /// Its name, for people.
    pub name: Name,
    /// Its identity key, 64 hexadecimal digits.
    pub key: Spanned<String>,
    /// Who operates it.
    pub operator: Name,
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
        let mut config: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            wrong(path, text, at, error.message())
        })?;
        config.written = Written::new(text);
        let place = |key: &str| text.find(key).unwrap_or(0);
        for approver in &config.policy.approvers {
            approver
                .parse::<IdentityKey>()
                .map_err(|error| wrong(path, text, place(approver), &error.to_string()))?;
        }
        policy_record::officers(&config.policy.officers)
            .map_err(|error| wrong(path, text, place("officers"), &format!("{error:#}")))?;
        if config.data.customers_max == 0 {
            let problem = "customers_max is 0, expected the unit's declared size with room";
            return Err(wrong(path, text, place("customers_max"), problem));
        }
        let fault = config.fault_of_trust();
        fault.map_or(Ok(config), |(at, problem)| {
            Err(wrong(path, text, at, &problem))
        })
    }

    /// The first thing wrong about modes and members, and where.
    fn fault_of_trust(&self) -> Option<(usize, String)> {
        let trust = &self.policy.trust;
        if trust.get_ref().is_empty() {
            let problem = "trust is empty, expected \"node-noise\", \"shared-noise\" or both";
            return Some((trust.span().start, problem.to_owned()));
        }
        let mut known: Vec<(&Name, IdentityKey)> = Vec::new();
        for member in &self.member {
            let at = member.key.span().start;
            let key = match member.key.get_ref().parse::<IdentityKey>() {
                Ok(key) => key,
                Err(error) => return Some((at, error.to_string())),
            };
            let twice = known
                .iter()
                .find(|(name, other)| *name == &member.name || *other == key);
            if let Some((name, _)) = twice {
                let problem = format!(
                    "member {} has the name or the key of member {name}, expected each once",
                    member.name
                );
                return Some((at, problem));
            }
            known.push((&member.name, key));
        }
        None
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

    /// Modes, tolerances and members.
    #[must_use]
    pub fn trust(&self) -> TrustPolicy {
        let policy = &self.policy;
        let pin = |member: &MemberConfig| {
            let key = member.key.get_ref().parse().ok()?;
            let (name, operator) = (member.name.clone(), member.operator.clone());
            Some((key, Pin { name, operator }))
        };
        TrustPolicy {
            modes: policy.trust.get_ref().clone(),
            honest_min: policy.honest_min,
            colluders_min: policy.colluders_min,
            colluders_max: policy.colluders_max.unwrap_or(u16::MAX),
            operator: policy.operator.clone(),
            coordinator_operator: policy.coordinator_operator.clone(),
            pins: self.member.iter().filter_map(pin).collect(),
        }
    }

    /// Rules of law with what is declared; none where nothing is.
    ///
    /// # Errors
    ///
    /// A word, file or pack that is wrong, with its place.
    pub fn gatekeeper(&self, directory: &Path) -> Result<Option<Gatekeeper>, PeopleError> {
        let people = self.people.as_ref();
        people
            .map(|people| people.gatekeeper(directory))
            .transpose()
    }

    /// What decisions rest on, with the unit's contract and the mark of its hold-out key.
    #[must_use]
    pub fn rules(
        &self,
        contract: &Contract,
        identity: IdentityKey,
        split: Hash32,
        data_version: Option<Name>,
        gatekeeper: Option<Gatekeeper>,
    ) -> Rules {
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
                trust: self.trust(),
                floor_per_contract: policy.floor_rho_micro_per_contract.map(MicroRho),
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
                published: contract.published.clone(),
                holdout_column: self.data.holdout_column.clone(),
                features: contract
                    .columns
                    .iter()
                    .map(|column| column.name.clone())
                    .collect(),
                label: contract.label.column.clone(),
            },
            identity,
            split,
            data_version,
            standing: policy.standing.clone(),
            confirms: |terms| check_charge(terms).is_ok(),
            gatekeeper,
            epsilon,
            approved: Approved::default(),
        }
    }
}

/// The epsilon of a price, rounded up: as auditors recompute it, and fast enough to be asked at every question. Infinite at a delta that
/// is too small for them.
fn epsilon(rho: MicroRho, delta: Delta) -> f64 {
    match (delta.get() * 1e12).floor() as u64 {
        0 => f64::INFINITY,
        delta_pico => epsilon_micro(rho.0, delta_pico) as f64 / 1e6,
    }
}

/// What is wrong at a byte of the file.
pub(super) fn wrong(path: &Path, text: &str, at: usize, problem: &str) -> ConfigError {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ConfigError::Text {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[start..].chars().count() + 1,
        problem: problem.trim_end().replace('\n', "; "),
    }
}

fn hashes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<StudyHash>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?.into_iter();
    texts
        .map(|text| text.parse::<Hash32>().map(|hash| StudyHash(hash.0)))
        .collect::<Result<_, _>>()
        .map_err(D::Error::custom)
}

fn ledger_file() -> PathBuf {
    PathBuf::from("ledger.sqlite")
}

fn members_min() -> usize {
    1
}

fn both_modes() -> Spanned<Vec<TrustMode>> {
    Spanned::new(0..0, TrustPolicy::default().modes)
}

fn honest_min() -> u16 {
    TrustPolicy::default().honest_min
}

fn colluders_min() -> u16 {
    TrustPolicy::default().colluders_min
}

/// Name of the file in a node's directory.
pub const CONFIG_FILE: &str = "node.toml";

/// What `join` writes: every key with its meaning.
pub const SAMPLE: &str = include_str!("node.sample.toml");

#[cfg(test)]
mod tests {
    use aquifer_shared::shell::noise;

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
    fn epsilon_at_a_gate_is_that_of_the_accountant() {
        for (rho, delta) in [
            (0, 1e-6),
            (1, 1e-6),
            (1_000, 1e-6),
            (224_249, 1e-5),
            (224_249, 1e-9),
            (9_000_000, 1e-6),
        ] {
            let (rho, delta) = (MicroRho(rho), Delta::try_from(delta).unwrap());
            // Rounded up at the fourth decimal.
            let exact = noise::epsilon(rho, delta);
            let found = epsilon(rho, delta);
            assert!(
                found > exact - 1.01e-4 && found < exact + 1e-6,
                "{found} {exact}"
            );
        }
    }

    #[test]
    fn a_delta_that_auditors_cannot_write_costs_without_end() {
        let tiny = Delta::try_from(9e-13).unwrap();
        assert_eq!(epsilon(MicroRho(1), tiny), f64::INFINITY);
    }

    /// The sample with everything for shared-noise stated.
    fn pinned() -> String {
        let mut text = SAMPLE.replace("# honest_min", "honest_min");
        for key in ["colluders_m", "operator", "coordinator_op", "floor_rho"] {
            text = text.replace(&format!("# {key}"), key);
        }
        for line in [
            "[[member]]",
            "name = \"south",
            "key = \"0",
            "operator = \"south",
        ] {
            text = text.replace(&format!("# {line}"), line);
        }
        text
    }

    #[test]
    fn pins_become_a_policy() {
        let config = parse(&pinned()).unwrap();
        let trust = config.trust();
        let numbers = (trust.honest_min, trust.colluders_min, trust.colluders_max);
        assert_eq!(numbers, (2, 1, 16));
        assert_eq!(trust.operator.unwrap().as_str(), "north-it");
        let operator = trust.coordinator_operator.unwrap();
        assert_eq!(operator.as_str(), "head-office-it");
        let pin = &trust.pins[&IdentityKey([0; 32])];
        assert_eq!(
            (pin.name.as_str(), pin.operator.as_str()),
            ("south", "south-it")
        );
        assert_eq!(config.policy.floor_rho_micro_per_contract, Some(1_500_000));
        assert_eq!(parse(SAMPLE).unwrap().trust(), TrustPolicy::default());
        let only = SAMPLE.replace("[\"node-noise\", ", "[");
        assert_eq!(
            parse(&only).unwrap().trust().modes,
            [TrustMode::SharedNoise]
        );
    }

    #[test]
    fn pins_that_are_none_are_named_with_their_place() {
        let zeros = "0".repeat(64);
        let check = |from: &str, to: &str, expected: &str| {
            let text = pinned();
            assert!(text.contains(from), "{from}");
            let found = parse(&text.replace(from, to)).unwrap_err().to_string();
            assert!(found.contains(expected), "{found}");
        };
        check(
            &zeros,
            "12",
            "line 69, column 7: IdentityKey is 2 characters",
        );
        check("operator = \"south-it\"", "", "missing field `operator`");
        check(
            "operator = \"south-it\"",
            "team = \"s\"",
            "unknown field `team`",
        );
        let again = format!(
            "operator = \"s\"\n[[member]]\nname = \"west\"\nkey = \"{zeros}\"\noperator = \"w\""
        );
        let expected = "line 73, column 7: member west has the name or the key of member south";
        check("operator = \"south-it\"", &again, expected);
        let other = again
            .replace("west", "south")
            .replace(&zeros, &"1".repeat(64));
        check(
            "operator = \"south-it\"",
            &other,
            "member south has the name",
        );
        check(
            "[\"node-noise\", \"shared-noise\"]",
            "[]",
            "column 9: trust is empty",
        );
        check(
            "[\"node-noise\", ",
            "[\"some-noise\", ",
            "unknown variant `some-noise`",
        );
        check(
            "honest_min = 2",
            "honest_min = -2",
            "invalid value: integer `-2`",
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        check_wrong(
            "members_min = 1 ",
            "members = 1 ",
            "line 30, column 1: unknown field `members`",
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
            "line 27, column 15: IdentityKey is 3 characters",
        );
        check_wrong("customers_max = 100000", "customers_max = 0", "is 0");
        check_wrong("\"automatic\"", "\"maybe\"", "unknown variant `maybe`");
    }
}
