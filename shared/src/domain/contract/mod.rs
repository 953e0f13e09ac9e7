//! Data contracts: which columns a customer has, which values are legal, what is to be predicted, what may be asked.
//!
//! Public, versioned and the same at every node; nothing in it comes from data. Its hash covers the cell edges bit by bit.

mod hash;
pub mod published;
mod read;
mod read_published;
mod rules;
mod schema;
pub mod text;
mod write;
mod write_published;

/// A contract or schema that breaks a rule.
pub use crate::base::document::DocumentError as ContractError;
pub use published::{NumberColumn, Published, PublishedColumn, PublishedKind};

use crate::base::cells::{LevelCells, NumericCells, Transform};
use crate::base::ids::{Hash32, Name};

/// A checked contract: one table to learn from, one row per customer, and tables for analysts.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    /// Its name.
    pub name: Name,
    /// Its version, from 1.
    pub version: u32,
    /// At how many nodes one customer may appear.
    pub multiplicity: u16,
    /// Name of the mapped table.
    pub table: String,
    /// The column that names a customer.
    pub privacy_unit: String,
    /// Features only: numeric first, then categorical, each in file order.
    pub columns: Vec<Column>,
    /// What is to be predicted.
    pub label: Label,
    /// Columns that are no features on purpose.
    pub excluded: Vec<Excluded>,
    /// Tables that analysts may ask about; the training table, if it is one of them, is first.
    pub published: Vec<Published>,
}

/// A feature column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// How a value becomes a cell.
    pub kind: ColumnKind,
    /// Whether counterfactuals may change it (all may where the contract does not list `actionable`).
    pub actionable: bool,
}

/// How a raw value becomes a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnKind {
    /// A number in a public range.
    Numeric {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
        /// The scale on which the range is cut.
        transform: Transform,
        /// Text for people; may be empty.
        unit: String,
        /// The cells.
        cells: NumericCells,
    },
    /// One of a public list of levels.
    Levels(LevelCells),
}

/// The column to predict.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Label {
    /// Its name.
    pub column: String,
    /// The level that counts as 1; every other value counts as 0.
    pub positive: String,
}

/// A column that must not be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Excluded {
    /// Its name.
    pub column: String,
    /// Why.
    pub reason: String,
}

impl Contract {
    /// Reads a contract file (TOML).
    ///
    /// # Errors
    ///
    /// The first broken rule, with its place in the file.
    pub fn parse(text: &str) -> Result<Self, ContractError> {
        read::contract(text)
    }

    /// Makes version 1 of a contract from the short form of the public data sets (`NAME.schema.json`).
    ///
    /// The name is the schema's `dataset` unless one is given. The privacy unit, unless given, is `customerID` where
    /// the schema lists that among its non-features, else `row_id`.
    ///
    /// # Errors
    ///
    /// A schema that is not in that form, or a contract that breaks a rule.
    pub fn from_schema(
        json: &str,
        name: Option<&str>,
        privacy_unit: Option<&str>,
    ) -> Result<Self, ContractError> {
        schema::contract(json, name, privacy_unit)
    }

    /// The contract as a file that [`Contract::parse`] reads back to the same contract.
    #[must_use]
    pub fn to_toml(&self) -> String {
        write::contract(self)
    }

    /// SHA-256 over every field and every cell edge (as the bits of an f64), label `aquifer/contract/1`. Tables for analysts
    /// enter where there are any.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        hash::contract(self)
    }

    /// Of every feature: whether its cells are ordered, and how many there are (the one for *missing* included).
    #[must_use]
    pub fn shapes(&self) -> Vec<(bool, usize)> {
        self.columns.iter().map(Column::shape).collect()
    }

    /// A published table by its exact name.
    #[must_use]
    pub fn published(&self, table: &str) -> Option<&Published> {
        self.published.iter().find(|known| known.name == table)
    }

    /// Position of a feature by name.
    #[must_use]
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| known.name == column)
    }
}

impl Column {
    /// Whether its cells are ordered, and how many there are (the one for *missing* included).
    #[must_use]
    pub fn shape(&self) -> (bool, usize) {
        match &self.kind {
            ColumnKind::Numeric { cells, .. } => (true, cells.count()),
            ColumnKind::Levels(cells) => (false, cells.count()),
        }
    }

    /// The cell of a value as text: a number for numeric columns (what does not parse is *missing*), a level otherwise.
    #[must_use]
    pub fn cell_of_text(&self, value: Option<&str>) -> usize {
        match &self.kind {
            ColumnKind::Numeric { cells, .. } => cells.cell_of(value.and_then(text::number)),
            ColumnKind::Levels(cells) => cells.cell_of(value),
        }
    }
}

#[cfg(test)]
mod published_tests;
#[cfg(test)]
mod tests {
    use super::*;

    const TELCO: &str = include_str!("telco.schema.json");

    const SMALL: &str = r#"
[contract]
name = "churn"
version = 3

[table.customers]
privacy_unit = "customer"
label = { column = "left", positive = "yes" }

[table.customers.column.plan]
levels = ["basic", "plus"]

[table.customers.column.tenure]
low = 0
high = 72.5
unit = "months"
"#;

    fn small() -> Contract {
        Contract::parse(SMALL).unwrap()
    }

    /// Replaces `from` in the small contract and expects an error that starts with `line:column` and holds `expected`.
    #[track_caller]
    fn check_refused(from: &str, to: &str, place: (usize, usize), expected: &str) {
        assert!(SMALL.contains(from), "{from}");
        let error = Contract::parse(&SMALL.replacen(from, to, 1)).unwrap_err();
        assert_eq!((error.line, error.column), place, "{error}");
        assert!(error.problem.contains(expected), "{error}");
    }

    #[test]
    fn a_contract_reads_numeric_columns_first() {
        let contract = small();
        assert_eq!(contract.shapes(), [(true, 65), (false, 3)]);
        assert_eq!(contract.columns[0].name, "tenure");
        assert_eq!((contract.version, contract.multiplicity), (3, 1));
        assert_eq!(contract.label.positive, "yes");
        assert!(contract.columns.iter().all(|column| column.actionable));
    }

    #[test]
    fn what_is_written_reads_back() {
        let listed = r#"actionable = ["plan"]
excluded = { "shoe size" = "odd \"thing\" \\ here" }
[table.customers.column.plan]"#;
        let text = SMALL.replacen("[table.customers.column.plan]", listed, 1);
        let contract = Contract::parse(&text).unwrap();
        assert!(!contract.columns[0].actionable && contract.columns[1].actionable);
        assert_eq!(Contract::parse(&contract.to_toml()).unwrap(), contract);
        let telco = Contract::from_schema(TELCO, None, None).unwrap();
        assert_eq!(Contract::parse(&telco.to_toml()).unwrap(), telco);
    }

    #[test]
    fn the_telco_contract_has_a_published_hash() {
        let telco = Contract::from_schema(TELCO, None, None).unwrap();
        assert_eq!(telco.privacy_unit, "customerID");
        assert_eq!(telco.columns.len(), 19);
        assert_eq!(telco.columns[1].name, "MonthlyCharges");
        assert_eq!(telco.columns[3].name, "gender");
        assert_eq!(
            telco.hash().to_string(),
            "179bd412f04acd6c3e9d787f0b1096357b6aebe7975c6253742a0d2dc3e489cc"
        );
    }

    #[test]
    fn every_field_enters_the_hash() {
        let changes = [
            ("name = \"churn\"", "name = \"churn2\""),
            ("version = 3", "version = 4"),
            ("version = 3", "version = 3\nmultiplicity = 2"),
            ("customers]\nprivacy", "people]\nprivacy"),
            ("\"customer\"", "\"person\""),
            ("\"left\"", "\"gone\""),
            ("\"yes\"", "\"no\""),
            ("\"basic\", \"plus\"", "\"plus\", \"basic\""),
            ("72.5", "72.50000000000001"),
            ("months", "years"),
            ("high = 72.5", "high = 72.5\ntransform = \"log1p\""),
            ("column.plan]", "column.Plan]"),
            ("label =", "actionable = [\"plan\"]\nlabel ="),
            ("label =", "excluded = { x = \"y\" }\nlabel ="),
        ];
        let mut hashes = vec![small().hash()];
        for (from, to) in changes {
            let text = SMALL.replacen(from, to, 1);
            let text = text.replace("[table.customers.", "[table.people.");
            let text = if to.starts_with("people") {
                text
            } else {
                text.replace("people", "customers")
            };
            hashes.push(Contract::parse(&text).unwrap().hash());
        }
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), changes.len() + 1);
    }

    #[test]
    fn impossible_ranges_are_refused() {
        check_refused("high = 72.5", "high = -1", (13, 25), "low below high");
        check_refused("high = 72.5", "high = nan", (13, 25), "finite");
        check_refused("high = 72.5", "high = inf", (13, 25), "finite");
        let negative = "low = -1\ntransform = \"log1p\"";
        check_refused("low = 0", negative, (13, 25), "signed_log1p");
        check_refused("high = 72.5", "high = 1e-322", (13, 25), "64 distinct");
        check_refused("high = 72.5", "high = \"x\"", (15, 8), "high is a string");
        check_refused("high = 72.5\n", "", (13, 25), "no \"high\"");
        let log10 = "transform = \"log10\"\nlow = 0";
        check_refused("low = 0", log10, (14, 1), "\"linear\", \"log1p\"");
    }

    #[test]
    fn impossible_levels_are_refused() {
        check_refused("\"plus\"", "\"basic\"", (11, 20), "listed twice");
        check_refused("\"plus\"", "\" plus\"", (11, 20), "trimmed");
        check_refused("\"plus\"", "\"\"", (11, 20), "empty");
        check_refused("\"plus\"", "7", (11, 20), "a text in quotes");
        check_refused("\"basic\", \"plus\"", "", (11, 1), "at least one level");
        let many: Vec<String> = (0..1_025).map(|level| format!("\"{level}\"")).collect();
        check_refused(
            "\"basic\", \"plus\"",
            &many.join(","),
            (11, 6_069),
            "more than 1024",
        );
    }

    #[test]
    fn columns_have_one_role() {
        let plan = "privacy_unit = \"plan\"";
        check_refused("privacy_unit = \"customer\"", plan, (7, 16), "privacy unit");
        check_refused("\"left\"", "\"plan\"", (8, 20), "label");
        check_refused("\"left\"", "\"customer\"", (7, 16), "both");
        let excluded = "excluded = { plan = \"sensitive\" }\nlabel";
        check_refused("label", excluded, (8, 14), "excluded and used");
        let actionable = "actionable = [\"age\"]\nlabel";
        check_refused("label", actionable, (8, 15), "a feature column");
    }

    #[test]
    fn weights_are_refused() {
        let weight = "weight = true\nlow = 0";
        check_refused("low = 0", weight, (14, 1), "multiplies");
        let weight = "weight = \"w\"\nlabel";
        check_refused("label", weight, (8, 1), "multiplies");
    }

    #[test]
    fn unknown_and_missing_keys_are_refused() {
        check_refused(
            "version = 3",
            "version = 3\nversions = 4",
            (5, 1),
            "\"versions\"",
        );
        check_refused("\nunit =", "\nunits =", (16, 1), "\"units\"");
        check_refused("version = 3", "", (2, 2), "no \"version\"");
        check_refused("version = 3", "version = 0", (4, 11), "1 to");
        check_refused(
            "version = 3",
            "version = 3\nmultiplicity = 65",
            (5, 16),
            "1 to 64",
        );
        check_refused("\"churn\"", "\"a b\"", (3, 1), "name is");
        let second = "[table.other]\nlabel = 1\n[table.customers.column.plan]";
        check_refused(
            "[table.customers.column.plan]",
            second,
            (10, 8),
            "second table",
        );
        let none = SMALL.split("[table.customers.column").next().unwrap();
        let error = Contract::parse(none).unwrap_err();
        assert!(error.problem.contains("0 feature columns"), "{error}");
    }

    #[test]
    fn broken_toml_has_a_place() {
        check_refused("version = 3", "version = ", (4, 11), "");
        check_refused("high = 72.5", "low = 1", (15, 1), "duplicate");
        assert_eq!(Contract::parse("").unwrap_err().line, 1);
        assert!(Contract::parse(&" ".repeat((1 << 20) + 1)).is_err());
    }

    #[test]
    fn broken_schemas_have_a_place() {
        let low = TELCO.replace("10000", "-1");
        let error = Contract::from_schema(&low, None, None).unwrap_err();
        assert!(error.problem.contains("low below high"), "{error}");
        assert!(error.line > 90, "{error}");
        assert!(Contract::from_schema("{", None, None).is_err());
        assert!(Contract::from_schema(TELCO, None, Some("tenure")).is_err());
        assert!(Contract::from_schema(TELCO, Some("a b"), None).is_err());
    }

    #[test]
    fn text_falls_into_the_same_cells_everywhere() {
        let telco = Contract::from_schema(TELCO, None, None).unwrap();
        let tenure = &telco.columns[0];
        let cell = |text| tenure.cell_of_text(Some(text));
        assert_eq!(
            ["1.125", "-inf", "1e99", "x", " 2.25 "].map(cell),
            [1, 0, 63, 64, 2]
        );
        assert_eq!(telco.columns[3].cell_of_text(Some(" Male ")), 1);
        assert_eq!(telco.columns[3].cell_of_text(None), 2);
    }
}
