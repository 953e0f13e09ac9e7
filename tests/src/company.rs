//! Customers of several business units, as demo, bench and tests own them: all in one place, written out unit by unit.
//!
//! Only here may anybody see all customers at once: this is how exact figures are computed beside the private ones.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use aquifer_shared::domain::contract::Contract;

use crate::synthetic;

/// Several units' customers and the contract that describes them.
#[derive(Debug)]
pub struct Company {
    /// Name of the data set.
    pub name: String,
    /// What every unit's table is mapped to.
    pub contract: Contract,
    /// Names of the units.
    pub units: Vec<String>,
    /// All customers.
    pub customers: Vec<Customer>,
}

/// One customer.
#[derive(Clone, Debug)]
pub struct Customer {
    /// Value of the privacy unit.
    pub id: String,
    /// Index of the unit.
    pub unit: usize,
    /// Kept for evaluation.
    pub held_out: bool,
    /// Value of the label column.
    pub label: String,
    /// Values in the order of the contract's columns; empty where missing.
    pub values: Vec<String>,
    /// The probability that the label was drawn with, where it is known.
    pub truth: Option<f64>,
}

/// Column of the unit's tables that fixes the hold-out: `train` or `test`.
pub const SPLIT_COLUMN: &str = "split";

impl Company {
    /// The synthetic company: see [`synthetic`].
    #[must_use]
    pub fn synthetic(seed: u64, customers: usize) -> Self {
        synthetic::company(seed, customers)
    }

    /// Reads `NAME.csv` and `NAME.schema.json`; one unit for each value of the column `split`.
    ///
    /// # Errors
    ///
    /// Files that cannot be read, or that are not in that form: which file, which line, what was expected.
    pub fn read(path: &Path, split: &str) -> Result<Self> {
        let stem = path.to_string_lossy();
        let stem = stem.strip_suffix(".csv").unwrap_or(&stem);
        let (table, schema) = (format!("{stem}.csv"), format!("{stem}.schema.json"));
        let json = fs::read_to_string(&schema).with_context(|| format!("cannot read {schema}"))?;
        let contract =
            Contract::from_schema(&json, None, None).with_context(|| format!("in {schema}"))?;
        let text = fs::read_to_string(&table).with_context(|| format!("cannot read {table}"))?;
        let mut company = Self {
            name: contract.name.to_string(),
            contract,
            units: Vec::new(),
            customers: Vec::new(),
        };
        company
            .take_rows(&text, split)
            .with_context(|| format!("in {table}"))?;
        Ok(company)
    }

    fn take_rows(&mut self, text: &str, split: &str) -> Result<()> {
        ensure!(
            !text.contains('"'),
            "found a quotation mark, expected plain comma-separated values"
        );
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let place = |name: &str| {
            let found = header.iter().position(|column| *column == name);
            found.with_context(|| {
                format!("no column {name:?}, expected one of {}", header.join(", "))
            })
        };
        let (id, unit, part) = (
            place(&self.contract.privacy_unit)?,
            place(split)?,
            place(SPLIT_COLUMN)?,
        );
        let label = place(&self.contract.label.column)?;
        let columns = self
            .contract
            .columns
            .iter()
            .map(|column| place(&column.name));
        let columns = columns.collect::<Result<Vec<usize>>>()?;
        let mut units: BTreeMap<&str, Vec<Customer>> = BTreeMap::new();
        for (number, line) in lines.enumerate() {
            let row: Vec<&str> = line.split(',').collect();
            if row.len() != header.len() {
                bail!(
                    "line {}: {} values, expected {}",
                    number + 2,
                    row.len(),
                    header.len()
                );
            }
            units.entry(row[unit]).or_default().push(Customer {
                id: row[id].to_owned(),
                unit: 0,
                held_out: row[part] == "test",
                label: row[label].to_owned(),
                values: columns
                    .iter()
                    .map(|&column| row[column].to_owned())
                    .collect(),
                truth: None,
            });
        }
        for (index, (name, customers)) in units.into_iter().enumerate() {
            self.units.push(unit_name(split, name));
            self.customers
                .extend(customers.into_iter().map(|customer| Customer {
                    unit: index,
                    ..customer
                }));
        }
        Ok(())
    }

    /// Puts all customers into one unit.
    pub fn merge_units(&mut self) {
        self.units = vec!["all".to_owned()];
        self.customers
            .iter_mut()
            .for_each(|customer| customer.unit = 0);
    }

    /// Keeps the first units and their customers only.
    pub fn keep_units(&mut self, count: usize) {
        self.units.truncate(count);
        self.customers.retain(|customer| customer.unit < count);
    }

    /// Whether a customer's label is the positive one.
    #[must_use]
    pub fn is_positive(&self, customer: &Customer) -> bool {
        customer.label == self.contract.label.positive
    }

    /// Customers of a unit.
    pub fn of_unit(&self, unit: usize) -> impl Iterator<Item = &Customer> {
        self.customers
            .iter()
            .filter(move |customer| customer.unit == unit)
    }

    /// Customers kept for evaluation, of all units.
    pub fn held_out(&self) -> impl Iterator<Item = &Customer> {
        self.customers.iter().filter(|customer| customer.held_out)
    }

    /// The public number of customers per node: the next round number, as a unit would declare it.
    #[must_use]
    pub fn customers_max(&self) -> u64 {
        let largest = (0..self.units.len())
            .map(|unit| self.of_unit(unit).count())
            .max();
        let needed = largest.unwrap_or(0) as u64;
        let round = (3..).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
        round
            .into_iter()
            .find(|declared| *declared >= needed)
            .expect("the numbers rise without end")
    }

    /// Writes the table of one unit as CSV: privacy unit, features, label, split.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub fn write_unit(&self, unit: usize, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(fs::File::create(path)?);
        let columns: Vec<&str> = self
            .contract
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        let (id, label) = (&self.contract.privacy_unit, &self.contract.label.column);
        writeln!(file, "{id},{},{label},{SPLIT_COLUMN}", columns.join(","))?;
        for customer in self.of_unit(unit) {
            let part = if customer.held_out { "test" } else { "train" };
            writeln!(
                file,
                "{},{},{},{part}",
                customer.id,
                customer.values.join(","),
                customer.label
            )?;
        }
        file.flush()
    }
}

/// `unit_iid` has numbers as values; names of nodes should say what they number.
fn unit_name(split: &str, value: &str) -> String {
    let plain: String = value
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    if plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!("{}-{plain}", split.replace('_', "-"));
    }
    plain.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"dataset": "tiny", "label": "y", "positive": "yes", "categorical": {"plan": ["a", "b"]},
        "numeric": {"age": [0, 100, "linear"]}, "not_features": ["row_id", "split", "unit"]}"#;

    fn read(table: &str) -> Result<Company> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tiny.csv"), table).unwrap();
        fs::write(folder.path().join("tiny.schema.json"), SCHEMA).unwrap();
        Company::read(&folder.path().join("tiny"), "unit")
    }

    #[test]
    fn a_table_is_split_into_units() {
        let company =
            read("row_id,age,plan,y,split,unit\n0,7,a,yes,train,1\n1,,b,no,test,0\n").unwrap();
        assert_eq!(company.units, ["unit-0", "unit-1"]);
        assert_eq!(company.of_unit(0).next().unwrap().values, ["", "b"]);
        assert_eq!(company.held_out().count(), 1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("unit.csv");
        company.write_unit(1, &path).unwrap();
        let written = fs::read_to_string(path).unwrap();
        assert_eq!(written, "row_id,age,plan,y,split\n0,7,a,yes,train\n");
    }

    #[test]
    fn what_is_wrong_with_a_table_is_said() {
        let error = |table: &str| format!("{:#}", read(table).unwrap_err());
        assert!(error("row_id,age,plan,y,split\n").contains("no column \"unit\""));
        assert!(
            error("row_id,age,plan,y,split,unit\n0,7\n").contains("line 2: 2 values, expected 6")
        );
    }

    #[test]
    fn declared_sizes_are_round_and_leave_room() {
        let company = Company::synthetic(1, 4_000);
        let largest = (0..8)
            .map(|unit| company.of_unit(unit).count())
            .max()
            .unwrap() as u64;
        assert!(company.customers_max() >= largest && company.customers_max() <= 4 * largest);
    }
}
