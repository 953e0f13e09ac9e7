//! Data contracts: which columns a customer has, which values are legal, and what is to be predicted.
//!
//! Public, versioned and the same at every node; nothing in it comes from data. Its hash covers the cell edges bit by bit.

mod hash;
mod read;
mod schema;
pub mod text;
mod write;

use std::fmt;

use crate::base::cells::{LevelCells, NumericCells, Transform};
use crate::base::ids::{Hash32, Name};

/// A checked contract: one table, one row per customer.
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

/// A contract or schema that breaks a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContractError {
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in the line (characters), from 1.
    pub column: usize,
    /// What was found and what was expected.
    pub problem: String,
}

impl fmt::Display for ContractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.problem
        )
    }
}

impl std::error::Error for ContractError {}

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

    /// SHA-256 over every field and every cell edge (as the bits of an f64), label `aquifer/contract/1`.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        hash::contract(self)
    }

    /// Of every feature: whether its cells are ordered, and how many there are (the one for *missing* included).
    #[must_use]
    pub fn shapes(&self) -> Vec<(bool, usize)> {
        self.columns.iter().map(Column::shape).collect()
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
