//! The study file that an operator submits (TOML): what is wanted, before it is expanded to the terms that parties sign.
//!
//! Reads text, checks each number where it enters, and reports problems with line and column. Chooses no defaults that
//! depend on the contract or the roster; `expand` does.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use aquifer_shared::base::ids::{Hash32, Name};
use aquifer_shared::base::limits::DOCUMENT_BYTES_MAX;
use aquifer_shared::base::units::{Delta, Epsilon, OutOfRange};
use aquifer_shared::domain::sum::{Gate, TrustMode, Window};

/// A study as its operator states it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct StudyFile {
    /// Short name; the model is published under it.
    pub name: Name,
    /// Studies of one family share their hold-out; the contract's name where it is left out.
    pub family: Option<Name>,
    /// Why the data may be used.
    pub purpose: Name,
    /// The contract.
    pub contract: ContractRef,
    /// What is computed.
    pub plan: PlanChoice,
    /// Target of the whole study; this or `urho`.
    pub epsilon: Option<Epsilon>,
    /// Price of the whole study in micro-rho; this or `epsilon`.
    pub urho: Option<u64>,
    /// Delta of the statement.
    #[serde(default = "default_delta")]
    pub delta: Delta,
    /// Who must be honest; by the number of members where it is left out.
    pub trust: Option<TrustMode>,
    /// The members.
    #[serde(default)]
    pub nodes: Nodes,
    /// Updates that a release needs in node-noise; three quarters of the members where it is left out.
    pub quorum: Option<u16>,
    /// Members of a group that may be absent in shared-noise; a quarter where it is left out.
    pub d_max: Option<u16>,
    /// Members of a group that may collude in shared-noise; an eighth where it is left out, at least one.
    pub c_max: Option<u16>,
    /// At how many nodes one customer may appear; the contract's where it is left out.
    pub multiplicity: Option<u16>,
    /// Customers per node, public, declared with room.
    pub customers_max: u64,
    /// Public size of the whole population.
    pub population: u64,
    /// Who is kept for evaluation.
    #[serde(default)]
    pub holdout: HoldOutChoice,
    /// Attempts per round.
    #[serde(default = "default_attempts_max")]
    pub attempts_max: u16,
    /// Charged attempts beyond one per round that the cap has room for.
    #[serde(default = "default_spare_attempts")]
    pub spare_attempts: u16,
    /// Answers leave at multiples of this.
    pub slot_ms: Option<u32>,
    /// How long stragglers are waited for.
    pub phase_ms: Option<u32>,
    /// Life of the study from submission; this or `expires`.
    pub expires_in_hours: Option<u32>,
    /// End of the study, milliseconds since 1970; this or `expires_in_hours`.
    pub expires: Option<u64>,
    /// What happens without a quality figure.
    #[serde(default)]
    pub gate: Gate,
    /// Gain in log-loss over the previous model that the study expects.
    #[serde(default)]
    pub expected_gain: Gain,
    /// Made-up data only.
    #[serde(default)]
    pub synthetic: bool,
    /// The study is proposed again before the date of its model.
    pub retrain: Option<RetrainChoice>,
}

/// When a study is proposed again, so that another version takes the place of its model.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RetrainChoice {
    /// So many days before the model is used for the last time.
    pub lead_days: u32,
}

/// Which contract a study is for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ContractRef {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: u32,
    /// Its hash, for operators who pin it.
    #[serde(default, deserialize_with = "optional_hash")]
    pub hash: Option<Hash32>,
}

/// What is computed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum PlanChoice {
    /// The additive predictor.
    Additive,
    /// Sums of zeros, for measuring the transport.
    Synthetic {
        /// Cells of each sum.
        cells: u32,
        /// Number of sums.
        rounds: u16,
    },
    /// A standing study: analysts ask questions under it, until what the study may cost is used up.
    Questions(QuestionsChoice),
}

/// What a standing study allows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct QuestionsChoice {
    /// Published tables of the contract that may be read.
    pub tables: Vec<String>,
    /// Largest price of one question with all its attempts, in micro-rho.
    pub urho_max: u64,
    /// Price of a question that names none, in micro-rho.
    pub urho_default: u64,
    /// Largest price of one analyst's questions in one window, in micro-rho; the price of all where it is left out.
    pub urho_share: Option<u64>,
    /// How long a share lasts before it is filled again; as long as the study where it is left out.
    #[serde(default)]
    pub window: Window,
    /// Groups whose noisy count is below this are not shown.
    pub cohort_floor: u32,
}

/// The members of a study.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Nodes {
    /// Every node in the registry that is not revoked.
    #[default]
    All,
    /// These.
    Named(Vec<Name>),
}

/// Which customers are kept for evaluation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum HoldOutChoice {
    /// A keyed hash of the customer falls below this share.
    Fraction(Fraction),
    /// A column of the mapped table.
    Column(String),
}

/// A share of the customers in 1/1 000 000: above 0, at most one half.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "f64")]
pub struct Fraction(u32);

/// A gain in log-loss in 1/1 000 000: 0 to 1.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(try_from = "f64")]
pub struct Gain(u32);

/// A study file that is not one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct StudyFileError {
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in the line (characters), from 1.
    pub column: usize,
    /// What was found and what was expected.
    pub problem: String,
}

impl StudyFile {
    /// Reads a study file.
    ///
    /// # Errors
    ///
    /// The first problem with its place: broken TOML, an unknown or missing key, a number outside its range, both or
    /// neither of `epsilon` and `urho`, both of `expires` and `expires_in_hours`.
    pub fn parse(text: &str) -> Result<Self, StudyFileError> {
        let length = text.len();
        if length > DOCUMENT_BYTES_MAX {
            let problem = format!("{length} bytes, expected at most {DOCUMENT_BYTES_MAX}");
            return Err(error_at(text, 0, problem));
        }
        let file: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            error_at(text, start, one_line(error.message()))
        })?;
        let fault = file.one_of_each();
        fault.map_or(Ok(file), |(key, problem)| {
            Err(error_at(text, start_of_key(text, key), problem.to_owned()))
        })
    }

    /// The key to point at and the rule that is broken.
    fn one_of_each(&self) -> Option<(&'static str, &'static str)> {
        match (self.epsilon, self.urho) {
            (None, None) => return Some(("", "no \"epsilon\" and no \"urho\", expected one")),
            (Some(_), Some(_)) => {
                return Some(("urho", "both \"epsilon\" and \"urho\", expected one"));
            }
            _ => {}
        }
        if self.expires.is_some() && self.expires_in_hours.is_some() {
            let problem = "both \"expires\" and \"expires_in_hours\", expected one";
            return Some(("expires", problem));
        }
        None
    }
}

impl Fraction {
    /// In 1/1 000 000.
    #[must_use]
    pub fn ppm(self) -> u32 {
        self.0
    }
}

impl Gain {
    /// In 1/1 000 000.
    #[must_use]
    pub fn ppm(self) -> u32 {
        self.0
    }
}

impl Default for HoldOutChoice {
    fn default() -> Self {
        Self::Fraction(Fraction(150_000))
    }
}

impl TryFrom<f64> for Fraction {
    type Error = OutOfRange;

    fn try_from(share: f64) -> Result<Self, OutOfRange> {
        let ppm = (share * 1e6).round();
        if (1.0..=500_000.0).contains(&ppm) {
            return Ok(Self(ppm as u32));
        }
        Err(OutOfRange {
            what: "hold-out fraction",
            expected: "a number above 0 and at most 0.5",
            got: share.to_string(),
        })
    }
}

impl TryFrom<f64> for Gain {
    type Error = OutOfRange;

    fn try_from(gain: f64) -> Result<Self, OutOfRange> {
        if (0.0..=1.0).contains(&gain) {
            return Ok(Self((gain * 1e6).round() as u32));
        }
        Err(OutOfRange {
            what: "expected gain",
            expected: "a number from 0 to 1",
            got: gain.to_string(),
        })
    }
}

impl<'de> Deserialize<'de> for Nodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodesVisitor)
    }
}

struct NodesVisitor;

impl<'de> Visitor<'de> for NodesVisitor {
    type Value = Nodes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"all\" or a list of node names")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Nodes, E> {
        if text == "all" {
            return Ok(Nodes::All);
        }
        let unexpected = serde::de::Unexpected::Str(text);
        Err(E::invalid_value(unexpected, &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Nodes, A::Error> {
        let names = Vec::deserialize(SeqAccessDeserializer::new(list))?;
        if names.is_empty() {
            return Err(A::Error::invalid_length(0, &self));
        }
        Ok(Nodes::Named(names))
    }
}

fn optional_hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Hash32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

fn default_delta() -> Delta {
    Delta::try_from(1e-6).expect("the default is in range")
}

fn default_attempts_max() -> u16 {
    2
}

/// One round of a study may be repeated: a node that went away at the wrong moment does not end it.
fn default_spare_attempts() -> u16 {
    1
}

fn one_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join(", ")
}

/// Where a line starts with this key, or 0.
fn start_of_key(text: &str, key: &str) -> usize {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let found = line.trim_start().strip_prefix(key);
        if !key.is_empty() && found.is_some_and(|rest| rest.trim_start().starts_with('=')) {
            return start;
        }
        start += line.len();
    }
    0
}

fn error_at(text: &str, start: usize, problem: String) -> StudyFileError {
    let before = text.get(..start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    StudyFileError {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHURN: &str = r#"name = "churn"
purpose = "churn.train"
contract = { name = "customers", version = 1 }
plan = "additive"
epsilon = 2.0
delta = 1e-6
trust = "node-noise"
nodes = "all"
customers_max = 10000
population = 50000
holdout = { fraction = 0.15 }
expires_in_hours = 24
"#;

    #[track_caller]
    fn check_refused(from: &str, to: &str, place: (usize, usize), expected: &str) {
        assert!(CHURN.contains(from), "{from}");
        let error = StudyFile::parse(&CHURN.replacen(from, to, 1)).unwrap_err();
        assert!(error.problem.contains(expected), "{error}");
        assert_eq!((error.line, error.column), place, "{error}");
    }

    #[test]
    fn a_study_file_reads() {
        let file = StudyFile::parse(CHURN).unwrap();
        assert_eq!((file.nodes, file.plan), (Nodes::All, PlanChoice::Additive));
        assert_eq!((file.attempts_max, file.spare_attempts), (2, 1));
        assert_eq!(file.holdout, HoldOutChoice::default());
        assert_eq!(file.gate, Gate::Open);
        assert!(!file.synthetic && file.family.is_none() && file.retrain.is_none());
        let again = StudyFile::parse(&format!("{CHURN}[retrain]\nlead_days = 14\n")).unwrap();
        assert_eq!(again.retrain, Some(RetrainChoice { lead_days: 14 }));
        assert_eq!(file.trust, Some(TrustMode::NodeNoise));
        let tolerant = CHURN.replace("trust = \"node-noise\"", "d_max = 2\nc_max = 1");
        let tolerant = StudyFile::parse(&tolerant).unwrap();
        let stated = (tolerant.trust, tolerant.d_max, tolerant.c_max);
        assert_eq!(stated, (None, Some(2), Some(1)));
    }

    #[test]
    fn every_choice_reads() {
        let text = CHURN
            .replace(
                "\"additive\"",
                "{ synthetic = { cells = 100, rounds = 50 } }",
            )
            .replace("epsilon = 2.0", "urho = 30560")
            .replace("\"all\"", "[\"north\", \"south\"]")
            .replace("{ fraction = 0.15 }", "{ column = \"split\" }")
            .replace(
                "expires_in_hours = 24",
                "expires = 1800000000000\ngate = \"strict\"\nexpected_gain = 0.002",
            );
        let file = StudyFile::parse(&text).unwrap();
        let plan = PlanChoice::Synthetic {
            cells: 100,
            rounds: 50,
        };
        assert_eq!((file.plan, file.urho), (plan, Some(30_560)));
        assert!(matches!(file.nodes, Nodes::Named(names) if names.len() == 2));
        assert_eq!(file.holdout, HoldOutChoice::Column("split".to_owned()));
        assert_eq!((file.gate, file.expected_gain.ppm()), (Gate::Strict, 2_000));
    }

    #[test]
    fn unknown_and_missing_keys_are_refused() {
        check_refused("delta", "deltas", (6, 1), "deltas");
        check_refused("customers_max = 10000\n", "", (1, 1), "customers_max");
        check_refused("version = 1", "version = 1, v = 2", (3, 47), "`v`");
        let again = "retrain = { days = 3 }\nplan";
        check_refused("plan", again, (4, 13), "`days`");
    }

    #[test]
    fn nan_and_negative_numbers_are_refused() {
        check_refused("epsilon = 2.0", "epsilon = nan", (5, 11), "epsilon is NaN");
        check_refused("epsilon = 2.0", "epsilon = -1.0", (5, 11), "epsilon is -1");
        check_refused("epsilon = 2.0", "epsilon = inf", (5, 11), "at most 64");
        check_refused("delta = 1e-6", "delta = nan", (6, 9), "delta is NaN");
        check_refused("delta = 1e-6", "delta = 0.0", (6, 9), "delta is 0");
        check_refused("0.15", "nan", (11, 11), "hold-out fraction is NaN");
        check_refused("0.15", "-0.1", (11, 11), "hold-out fraction is -0.1");
        check_refused("10000", "-5", (9, 17), "-5");
        check_refused("epsilon = 2.0", "urho = -5", (5, 8), "-5");
        let gain = "expected_gain = nan\nplan";
        check_refused("plan", gain, (4, 17), "expected gain is NaN");
    }

    #[test]
    fn alternatives_exclude_each_other() {
        check_refused("epsilon = 2.0\n", "", (1, 1), "no \"epsilon\"");
        check_refused("delta =", "urho = 5\ndelta =", (6, 1), "both \"epsilon\"");
        check_refused("name", "expires = 5\nname", (1, 1), "both \"expires\"");
    }

    #[test]
    fn wrong_shapes_are_refused() {
        check_refused("\"all\"", "\"some\"", (8, 9), "list of node names");
        check_refused("\"all\"", "[]", (8, 9), "list of node names");
        check_refused("\"all\"", "[\"a b\"]", (8, 9), "name is");
        check_refused("\"node-noise\"", "\"none\"", (7, 9), "node-noise");
        check_refused(
            "\"node-noise\"",
            "\"shared-noise\"\nc_max = -1",
            (8, 9),
            "-1",
        );
        check_refused(
            "version = 1",
            "version = 1, hash = \"ab\"",
            (3, 54),
            "64 hex",
        );
        check_refused("\"churn\"", "\"churn", (1, 14), "string");
        assert!(StudyFile::parse(&" ".repeat((1 << 20) + 1)).is_err());
    }
}
