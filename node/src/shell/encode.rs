//! From the mapped table to encoded columns, once; the query engine is gone afterwards.

use std::collections::HashMap;
use std::path::Path;

use aquifer_shared::base::cells::NumericCells;
use aquifer_shared::domain::contract::{Column, ColumnKind, Contract};
use arrow::array::{ArrayRef, RecordBatch};
use futures_util::StreamExt;

use super::column::{levels, numbers, says_held_out, text_at, texts};
use super::mapped::{Role, on_engine, project, read_contract};
use super::source::{DataConfig, Source};
use super::source_error::{SourceError, running};
use crate::core::check::{Findings, Remark};
use crate::core::intake::{Intake, Wanted};
use crate::core::table::{Table, TableBuilder};

/// Contract, encoded customers, and what was noticed about the rows.
#[derive(Debug)]
pub struct Encoded {
    /// The contract.
    pub contract: Contract,
    /// The customers.
    pub table: Table,
    /// What was noticed.
    pub findings: Findings,
}

/// Reads contract and data, with leave to, and insists on one row per customer. Starts and ends its own thread and query engine: it
/// may be called from anywhere, and blocks.
///
/// # Errors
///
/// Whatever is wrong with files, mapping or rows, without a value of a customer.
///
/// # Privacy
///
/// Every row of the mapped table that has a label becomes one customer; nothing is kept of a value but its cell and the id.
pub fn encode(
    config: &DataConfig,
    directory: &Path,
    intake: &Intake,
) -> Result<(Contract, Table), SourceError> {
    read_with(intake, config, directory, Rows::Labelled)
}

/// The training table of a unit whose rules let none be read: the contract, and nobody.
///
/// # Errors
///
/// The contract cannot be read.
pub fn nobody(config: &DataConfig, directory: &Path) -> Result<(Contract, Table), SourceError> {
    let contract = read_contract(&directory.join(&config.contract))?;
    let holdout_column = config.holdout_column.as_deref();
    let encoder = Encoder::new(&contract, holdout_column, 0, Rows::Labelled);
    let (table, _) = encoder.finish();
    Ok((contract, table))
}

/// Like [`encode`], but with all customers, whether they have a label or not (the mapped table need not have one); for
/// scores that stay in the unit. Labels and hold-out of the result mean nothing.
///
/// # Errors
///
/// Whatever is wrong with files, mapping or rows, without a value of a customer.
///
/// # Privacy
///
/// Must not be used for a contribution: customers without a label are no part of any study.
pub fn encode_for_scoring(
    config: &DataConfig,
    directory: &Path,
    intake: &Intake,
) -> Result<(Contract, Table), SourceError> {
    read_with(intake, config, directory, Rows::All)
}

/// Like [`encode`], but for the unit's own people, who look whether rows fit before anything is declared or learned: needs no leave,
/// and reports missing and repeated customers instead of refusing them.
///
/// # Errors
///
/// Whatever is wrong with files or mapping.
pub fn inspect(config: &DataConfig, directory: &Path) -> Result<Encoded, SourceError> {
    let contract = read_contract(&directory.join(&config.contract))?;
    read(config, directory, contract, Rows::Labelled)
}

/// Which rows become customers.
#[derive(Clone, Copy, PartialEq)]
enum Rows {
    /// Those with a label.
    Labelled,
    /// All.
    All,
}

fn one_row_per_customer(encoded: Encoded) -> Result<(Contract, Table), SourceError> {
    let column = &encoded.contract.privacy_unit;
    let missing = &encoded.findings.without_customer;
    if missing.rows > 0 {
        return Err(SourceError::WithoutCustomer {
            column: column.clone(),
            rows: missing.rows,
            examples: missing.examples.clone(),
        });
    }
    let repeated = &encoded.findings.repeated_customer;
    if repeated.rows > 0 {
        return Err(SourceError::RepeatedCustomer {
            column: column.clone(),
            rows: repeated.rows,
            examples: repeated.examples.clone(),
        });
    }
    Ok((encoded.contract, encoded.table))
}

/// Leave must be for what is read: the contract may be another than it was given for.
fn read_with(
    intake: &Intake,
    config: &DataConfig,
    directory: &Path,
    rows: Rows,
) -> Result<(Contract, Table), SourceError> {
    let contract = read_contract(&directory.join(&config.contract))?;
    if !intake.covers(&Wanted::training(&contract)) {
        return Err(SourceError::NotLetIn {
            table: contract.table,
        });
    }
    one_row_per_customer(read(config, directory, contract, rows)?)
}

fn read(
    config: &DataConfig,
    directory: &Path,
    contract: Contract,
    rows: Rows,
) -> Result<Encoded, SourceError> {
    on_engine(|| read_rows(config, directory, contract, rows))
}

async fn read_rows(
    config: &DataConfig,
    directory: &Path,
    contract: Contract,
    rows: Rows,
) -> Result<Encoded, SourceError> {
    let levels = contract.columns.iter().filter(|column| !column.shape().0);
    let levels = levels.map(|column| &column.name);
    let text_columns = levels
        .chain([&contract.privacy_unit, &contract.label.column])
        .chain(&config.holdout_column);
    let source = Source::open(config, directory, text_columns.cloned().collect()).await?;
    let mapped = source.query(&config.query).await?;
    let holdout_column = config.holdout_column.as_deref();
    let holdout_column = holdout_column.filter(|_| rows == Rows::Labelled);
    let mapped = project(mapped, needed(&contract, holdout_column, rows))?;
    let mut batches = mapped
        .execute_stream()
        .await
        .map_err(|error| running(&error))?;
    let mut encoder = Encoder::new(&contract, holdout_column, config.customers_max, rows);
    while let Some(batch) = batches.next().await {
        encoder.batch(&batch.map_err(|error| running(&error))?)?;
    }
    let (table, findings) = encoder.finish();
    Ok(Encoded {
        contract,
        table,
        findings,
    })
}

/// The columns that are encoded: privacy unit, label, hold-out (if any), features in order.
fn needed<'a>(
    contract: &'a Contract,
    holdout_column: Option<&'a str>,
    rows: Rows,
) -> impl Iterator<Item = (&'a str, Role)> {
    let id = (contract.privacy_unit.as_str(), Role::Id);
    let label = match rows {
        Rows::Labelled => (contract.label.column.as_str(), Role::Levels),
        Rows::All => id,
    };
    let holdout = holdout_column.map(|name| (name, Role::Levels));
    let features = contract.columns.iter().map(|column| {
        let role = match column.kind {
            ColumnKind::Numeric { .. } => Role::Numbers,
            ColumnKind::Levels(_) => Role::Levels,
        };
        (column.name.as_str(), role)
    });
    [id, label].into_iter().chain(holdout).chain(features)
}

/// Turns batches into rows of the table.
struct Encoder<'a> {
    label: &'a str,
    rows: Rows,
    features: Vec<Feature<'a>>,
    customers_max: u64,
    has_holdout: bool,
    builder: TableBuilder,
    findings: Findings,
    skipped: Vec<u64>,
}

/// How the values of a feature become cells.
enum Feature<'a> {
    Numeric {
        low: f64,
        high: f64,
        cells: &'a NumericCells,
    },
    Levels(HashMap<&'a str, u16>),
}

impl<'a> Encoder<'a> {
    fn new(
        contract: &'a Contract,
        holdout_column: Option<&str>,
        customers_max: u64,
        rows: Rows,
    ) -> Self {
        let cells = contract.shapes().into_iter().map(|shape| shape.1).collect();
        let names = contract.columns.iter().map(|column| column.name.as_str());
        Self {
            label: contract.label.positive.trim(),
            rows,
            features: contract.columns.iter().map(Feature::of).collect(),
            customers_max,
            has_holdout: holdout_column.is_some(),
            builder: TableBuilder::new(cells, holdout_column),
            findings: Findings::for_columns(names),
            skipped: Vec::new(),
        }
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<(), SourceError> {
        let unreadable = |error| running(&datafusion::error::DataFusionError::from(error));
        let text = |index: usize| texts(batch.column(index)).map_err(unreadable);
        let (ids, labels) = (text(0)?, text(1)?);
        let held_out = self.has_holdout.then(|| text(2)).transpose()?;
        let columns = &batch.columns()[2 + usize::from(self.has_holdout)..];
        let mut cells = Vec::with_capacity(columns.len());
        for (index, column) in columns.iter().enumerate() {
            let encoded = self.features[index].cells(column).map_err(unreadable)?;
            let findings = &mut self.findings.columns[index];
            for (row, (_, remark)) in encoded.iter().enumerate() {
                let row = self.findings.rows + row as u64 + 1;
                findings.note(*remark, row);
            }
            cells.push(encoded);
        }
        (0..batch.num_rows()).try_for_each(|row| {
            let cells = cells.iter().map(|column| usize::from(column[row].0));
            let held_out = held_out.as_ref().and_then(|texts| text_at(texts, row));
            let id_and_label = (text_at(&ids, row), text_at(&labels, row));
            self.row(id_and_label, says_held_out(held_out), cells)
        })
    }

    fn row(
        &mut self,
        (id, label): (Option<&str>, Option<&str>),
        held_out: bool,
        cells: impl Iterator<Item = usize>,
    ) -> Result<(), SourceError> {
        self.findings.rows += 1;
        let number = self.findings.rows;
        if id.is_none() {
            self.findings.without_customer.add(number);
        }
        if label.is_none() {
            self.findings.without_label.add(number);
        }
        let (Some(id), Some(label)) = (id, label) else {
            self.skipped.push(number);
            return Ok(());
        };
        let customers_max = self.customers_max;
        if self.builder.rows() as u64 >= customers_max {
            return Err(SourceError::TooManyCustomers { customers_max });
        }
        let positive = self.rows == Rows::Labelled && label == self.label;
        let pushed = self.builder.push(cells, positive, id, held_out);
        pushed.map_err(|_| SourceError::Failed {
            problem: "the customer ids together exceed 4 GiB",
        })
    }

    fn finish(mut self) -> (Table, Findings) {
        let table = self.builder.finish();
        self.findings.customers = table.rows() as u64;
        for (_, repeated) in table.duplicates() {
            let number = mapped_row(&self.skipped, repeated as u64 + 1);
            self.findings.repeated_customer.add(number);
        }
        (table, self.findings)
    }
}

/// The row number in the mapped table of the n-th row that was not skipped; all numbers are from 1.
fn mapped_row(skipped: &[u64], nth: u64) -> u64 {
    skipped
        .iter()
        .fold(nth, |number, &skip| number + u64::from(skip <= number))
}

impl<'a> Feature<'a> {
    fn of(column: &'a Column) -> Self {
        match &column.kind {
            ColumnKind::Numeric {
                low, high, cells, ..
            } => Self::Numeric {
                low: *low,
                high: *high,
                cells,
            },
            ColumnKind::Levels(cells) => {
                let levels = cells.levels().iter().map(String::as_str);
                Self::Levels(levels.zip(0..).collect())
            }
        }
    }

    fn cells(&self, column: &ArrayRef) -> Result<Vec<(u16, Remark)>, arrow::error::ArrowError> {
        match self {
            Self::Numeric { low, high, cells } => {
                let encode = |value: Option<f64>| {
                    let Some(value) = value else {
                        return (cells.cell_of(None) as u16, Remark::Missing);
                    };
                    let inside = (*low..=*high).contains(&value);
                    let remark = if inside {
                        Remark::None
                    } else {
                        Remark::OutOfRange
                    };
                    (cells.cell_of(Some(value.clamp(*low, *high))) as u16, remark)
                };
                Ok(numbers(column)?.into_iter().map(encode).collect())
            }
            Self::Levels(known) => levels(column, known),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::sync::Arc;

    use arrow::array::{
        Array, BooleanArray, Date32Array, Decimal128Array, Float32Array, Int32Array, StringArray,
    };
    use parquet::arrow::ArrowWriter;
    use parquet::basic::Compression;
    use parquet::file::properties::WriterProperties;
    use tempfile::TempDir;

    use super::*;
    use crate::core::fixtures::let_in;

    const CONTRACT: &str = r#"
[contract]
name = "churn"
version = 1
[table.customers]
privacy_unit = "customerID"
label = { column = "Churn", positive = "Yes" }
[table.customers.column.tenure]
low = 0
high = 64
[table.customers.column.Plan]
levels = ["basic", "plus"]
"#;

    /// A value that no error may quote.
    const CANARY: &str = "CANARY7";

    struct Unit {
        directory: TempDir,
        config: DataConfig,
    }

    impl Unit {
        fn with(files: &[(&str, &[u8])], table: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join("contract.toml"), CONTRACT).unwrap();
            for (name, content) in files {
                let path = directory.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            let config = DataConfig {
                contract: "contract.toml".into(),
                query: "SELECT * FROM customers".to_owned(),
                basis: "test".to_owned(),
                customers_max: 100,
                holdout_column: None,
                epoch: None,
                published: BTreeMap::new(),
                tables: BTreeMap::from([("customers".to_owned(), table.into())]),
            };
            Self { directory, config }
        }

        fn csv(content: &str) -> Self {
            Self::with(&[("c.csv", content.as_bytes())], "c.csv")
        }

        fn query(mut self, query: &str) -> Self {
            self.config.query = query.to_owned();
            self
        }

        fn intake(&self) -> Intake {
            let_in(&Contract::parse(CONTRACT).unwrap())
        }

        fn table(&self) -> Table {
            encode(&self.config, self.directory.path(), &self.intake())
                .unwrap()
                .1
        }

        fn findings(&self) -> Findings {
            inspect(&self.config, self.directory.path())
                .unwrap()
                .findings
        }

        /// The whole chain of texts that a person would see.
        fn error(&self) -> String {
            let error = encode(&self.config, self.directory.path(), &self.intake()).unwrap_err();
            let mut text = format!("{error} {error:?}");
            let mut source = std::error::Error::source(&error);
            while let Some(inner) = source {
                text.push_str(&format!(": {inner}"));
                source = inner.source();
            }
            assert!(!text.contains(CANARY), "{text}");
            text
        }
    }

    fn cells(table: &Table, feature: usize) -> Vec<usize> {
        let rows = 0..table.rows();
        rows.map(|row| table.features()[feature].get(row)).collect()
    }

    #[track_caller]
    fn check_refused(unit: &Unit, expected: &str) {
        let text = unit.error();
        assert!(text.contains(expected), "{text}");
    }

    const GOOD: &str = "customerID,tenure,Plan,Churn\n\
        a1,0,basic,Yes\n\
        a2,1, plus ,No\n\
        a3,63.99,other,Maybe\n\
        a4,,,Yes\n\
        a5,abc,basic,\n\
        a6,NaN,basic,No\n\
        a7,-inf,basic,No\n\
        a8,1e9,basic,No\n";

    #[test]
    fn csv_rows_become_cells() {
        let table = Unit::csv(GOOD).table();
        assert_eq!(cells(&table, 0), [0, 1, 63, 64, 64, 0, 63]);
        assert_eq!(cells(&table, 1), [0, 1, 2, 2, 0, 0, 0]);
        assert_eq!(table.labels(), [1, 0, 0, 1, 0, 0, 0]);
        assert_eq!([0, 6].map(|row| table.customer(row)), ["a1", "a8"]);
        assert_eq!(table.cells(), [65, 3]);
    }

    #[test]
    fn findings_name_rows_and_never_values() {
        let findings = Unit::csv(GOOD).findings();
        assert_eq!((findings.rows, findings.customers), (8, 7));
        assert_eq!(findings.without_label.examples, [5]);
        let tenure = &findings.columns[0];
        assert_eq!(tenure.missing.examples, [4, 5, 6]);
        assert_eq!(tenure.out_of_range.examples, [7, 8]);
        assert_eq!(findings.columns[1].unknown_level.examples, [3]);
        assert_eq!(findings.columns[1].missing.examples, [4]);
        let text = format!("{findings:?}");
        assert!(!text.contains("other") && !text.contains("abc"));
    }

    #[test]
    fn a_query_maps_the_units_own_names() {
        let content = "id,years,p,left,split\nx,1,B,1,test\ny,0.5,P,0,train\n";
        let query = "SELECT id AS \"customerID\", years * 12 AS tenure, \
            CASE p WHEN 'B' THEN 'basic' ELSE 'plus' END AS Plan, \
            CASE WHEN left = 1 THEN 'Yes' ELSE 'No' END AS Churn, UPPER(split) = 'TEST' AS held \
            FROM customers WHERE years > 0";
        let mut unit = Unit::csv(content).query(query);
        unit.config.holdout_column = Some("held".to_owned());
        let table = unit.table();
        assert_eq!(cells(&table, 0), [12, 6]);
        assert_eq!(cells(&table, 1), [0, 1]);
        assert_eq!(table.labels(), [1, 0]);
        let held_out = table.held_out().unwrap().rows.expose();
        assert!(held_out.get(0) && !held_out.get(1));
    }

    #[test]
    fn scores_are_for_customers_without_a_label_too() {
        let unit = Unit::csv(GOOD).query("SELECT * EXCLUDE (\"Churn\") FROM customers");
        let (_, table) =
            encode_for_scoring(&unit.config, unit.directory.path(), &unit.intake()).unwrap();
        assert_eq!((table.rows(), table.customer(4)), (8, "a5"));
        assert_eq!(table.labels(), [0; 8]);
        check_refused(&unit, "column \"Churn\" of the mapped table is missing");
    }

    #[test]
    fn a_folder_is_one_table() {
        let header = "customerID,tenure,Plan,Churn\n";
        let (one, two) = (
            format!("{header}a,1,basic,Yes\n"),
            format!("{header}b,2,plus,No"),
        );
        let files = [
            ("d [1]/2.csv", two.as_bytes()),
            ("d [1]/1.csv", one.as_bytes()),
        ];
        let table = Unit::with(&files, "d [1]").table();
        assert_eq!([0, 1].map(|row| table.customer(row)), ["a", "b"]);
        let files = [
            ("d/1.csv", one.as_bytes()),
            ("d/2.csv", b"x,y\n1,2\n".as_slice()),
        ];
        check_refused(&Unit::with(&files, "d"), "the header differs");
        let files = [("d/1.csv", one.as_bytes()), ("d/2.parquet", b"".as_slice())];
        check_refused(&Unit::with(&files, "d"), "all of one kind");
    }

    #[test]
    fn one_row_per_customer_is_enforced() {
        let rows =
            "customerID,tenure,Plan,Churn\na,1,basic,\na,1,basic,No\nb,1,basic,No\n a ,2,plus,No\n";
        let unit = Unit::csv(rows);
        check_refused(
            &unit,
            "1 rows repeat a customer of column \"customerID\" (for example rows [4])",
        );
        assert_eq!(unit.findings().repeated_customer.rows, 1);
        let unit = Unit::csv("customerID,tenure,Plan,Churn\na,1,basic,No\n,1,basic,No\n , ,,\n");
        check_refused(
            &unit,
            "2 rows have no customer in column \"customerID\" (for example rows [2, 3])",
        );
    }

    #[test]
    fn more_customers_than_declared_are_refused() {
        let mut unit = Unit::csv(GOOD);
        unit.config.customers_max = 7;
        assert_eq!(unit.table().rows(), 7);
        unit.config.customers_max = 6;
        check_refused(&unit, "customers_max = 6");
    }

    #[test]
    fn broken_csv_names_file_and_line() {
        check_refused(&Unit::csv(""), "c.csv\", line 1: the file is empty");
        let cut = GOOD.replace("a8,1e9,basic,No\n", CANARY);
        check_refused(
            &Unit::csv(&cut),
            "c.csv\", line 9: 1 fields, the header has 4",
        );
        let quote = GOOD.replace("a2,1", &format!("\"{CANARY},1"));
        check_refused(&Unit::csv(&quote), "line 3: a quote");
        let binary = [b"customerID,tenure\n".as_slice(), &[0xff, 0, 1, 2]].concat();
        check_refused(
            &Unit::with(&[("c.csv", &binary)], "c.csv"),
            "line 2: the text is not UTF-8",
        );
        check_refused(&Unit::with(&[], "c.csv"), "c.csv\" cannot be read");
        check_refused(
            &Unit::with(&[("c.txt", b"a")], "c.txt"),
            "does not end in .csv, .parquet, .json",
        );
    }

    #[test]
    fn a_contract_with_an_error_names_its_place() {
        let unit = Unit::csv(GOOD);
        let path = unit.directory.path().join("contract.toml");
        fs::write(path, CONTRACT.replace("high = 64", "high = -64")).unwrap();
        check_refused(
            &unit,
            "line 8, column 25: column \"tenure\": the range is 0 to -64",
        );
    }

    #[test]
    fn queries_that_do_not_fit_are_refused() {
        let unit = |query: &str| Unit::csv(GOOD).query(query);
        check_refused(
            &unit("SELECT tenure FROM customers"),
            "\"customerID\" of the mapped table is missing",
        );
        check_refused(
            &unit("SELECT agee FROM customers"),
            "there is no column \"agee\"",
        );
        check_refused(&unit("SELECT * FROM clients"), "clients");
        check_refused(&unit("SELEC"), "the query of node.toml");
        check_refused(&unit("DROP TABLE customers"), "DDL not supported");
        check_refused(&unit("COPY customers TO 'x.csv'"), "DML not supported");
        check_refused(
            &unit("SELECT *, tenure FROM customers"),
            "have the same name",
        );
        let wrong_type = "SELECT *, CAST('2020-01-01' AS DATE) AS d FROM customers";
        let mut dated = unit(wrong_type);
        dated.config.holdout_column = Some("d".to_owned());
        check_refused(
            &dated,
            "column \"d\" of the mapped table has type Date32, expected text, numbers or booleans",
        );
    }

    #[test]
    fn values_that_fail_in_the_query_are_not_quoted() {
        let content = GOOD.replace("abc", CANARY);
        let query = "SELECT * EXCLUDE (tenure), CAST(tenure AS DOUBLE) AS tenure FROM customers";
        check_refused(&Unit::csv(&content).query(query), "TRY_CAST");
        let query = query.replace("CAST(", "TRY_CAST(");
        assert_eq!(Unit::csv(&content).query(&query).table().rows(), 7);
    }

    #[test]
    fn a_file_without_a_header_does_not_leak_its_first_row() {
        let unit = Unit::csv(&format!("{CANARY},1,basic,Yes\nb,2,plus,No\n"));
        check_refused(&unit, "is missing");
        check_refused(&unit.query("SELECT customerID FROM customers"), "no column");
    }

    fn json(content: &str) -> Unit {
        Unit::with(&[("c.ndjson", content.as_bytes())], "c.ndjson")
    }

    /// The rows of [`GOOD`] and what JSON adds: other types, nested values, names in another order or left out.
    const GOOD_JSON: &str = r#"{"customerID":"a1","tenure":0,"Plan":"basic","Churn":"Yes"}
{"customerID":"a2","tenure":1,"Plan":" plus ","Churn":"No","more":{"x":[1]}}

{"Churn":"Maybe","Plan":"other","tenure":63.99,"customerID":7}
{"customerID":"a4","tenure":null,"Churn":"Yes"}
{"customerID":"a5","tenure":"abc","Plan":"basic","Churn":null}
{"customerID":"a6","tenure":[5],"Plan":true,"Churn":"No"}
{"customerID":"a7","tenure":-1e400,"Plan":"basic","Churn":"No"}
"#;

    #[test]
    fn json_rows_become_cells() {
        let table = json(GOOD_JSON).table();
        assert_eq!(cells(&table, 0), [0, 1, 63, 64, 64, 0]);
        assert_eq!(cells(&table, 1), [0, 1, 2, 2, 2, 0]);
        assert_eq!(table.labels(), [1, 0, 0, 1, 0, 0]);
        assert_eq!([2, 5].map(|row| table.customer(row)), ["7", "a7"]);
        // Flags and numbers are what they are for the query.
        let content = r#"{"customerID":"x","n":2,"left":true,"p":"plus"}
{"customerID":"y","n":3.5,"left":false}"#;
        let query = "SELECT customerID, n * 2 AS tenure, COALESCE(p, 'basic') AS Plan, \
            CASE WHEN left THEN 'Yes' ELSE 'No' END AS Churn FROM customers";
        let table = json(content).query(query).table();
        assert_eq!(
            (cells(&table, 0), cells(&table, 1), table.labels()),
            (vec![4, 7], vec![1, 0], [1, 0].as_slice())
        );
    }

    #[test]
    fn broken_json_names_file_and_line() {
        let row = GOOD_JSON.lines().next().unwrap();
        let cut = format!("{row}\n{{\"customerID\":\"{CANARY}");
        check_refused(&json(&cut), "line 2: the JSON object does not end");
        let word = format!("{row}\n\n{{\"tenure\":{CANARY}}}");
        check_refused(&json(&word), "c.ndjson\", line 3: no JSON at byte");
        check_refused(&json(&format!("[{row}]")), "line 1: a JSON array");
        check_refused(
            &json(""),
            "column \"customerID\" of the mapped table is missing",
        );
        let names = format!("{row}\n{{\"{CANARY}\":1}}");
        check_refused(
            &json(&names).query("SELECT tenures FROM customers"),
            "no column",
        );
    }

    #[test]
    fn folders_named_after_values_are_columns_of_any_format() {
        let row = |id: &str| format!("{{\"customerID\":\"{id}\",\"Churn\":\"No\"}}\n");
        let (json_a, json_b) = (row("a"), row("b"));
        let csv = "customerID,Churn\nc,Yes\n";
        let query = "SELECT *, months + 1 AS tenure FROM customers";
        let unit = Unit::with(
            &[
                ("j/months=1/Plan=plus/x.json", json_a.as_bytes()),
                ("j/months=2/Plan=basic/x.json", json_b.as_bytes()),
                ("j/old/x.json", b"{"),
            ],
            "j",
        );
        let table = unit.query(query).table();
        assert_eq!(
            (cells(&table, 0), cells(&table, 1)),
            (vec![2, 3], vec![1, 0])
        );
        let none = "p/months=__HIVE_DEFAULT_PARTITION__/Plan=plus/x.csv";
        let files = [("p/months=7/Plan=01/x.csv", csv), (none, csv)];
        let files = files.map(|(name, content)| (name, content.as_bytes()));
        let unit = Unit::with(&files, "p").query(query);
        let table = unit.findings();
        let column = |index: usize| &table.columns[index];
        assert_eq!((table.rows, column(0).missing.rows), (2, 1));
        assert_eq!(column(1).unknown_level.examples, [1]);
        let twice = Unit::with(&[("t/Churn=No/x.csv", csv.as_bytes())], "t");
        check_refused(&twice, "names a column that the files have as well");
    }

    #[test]
    fn parquet_folders_have_their_partition_columns() {
        let part = |id: i32| {
            let columns: Vec<(&str, Arc<dyn Array>)> = vec![
                ("customerID", Arc::new(Int32Array::from(vec![id]))),
                ("Churn", Arc::new(StringArray::from(vec!["Yes"]))),
            ];
            parquet(columns, Compression::SNAPPY)
        };
        let files = [
            ("p/tenure=3/Plan=basic/a.parquet", part(1)),
            ("p/tenure=3/Plan=plus/a.parquet", part(2)),
            ("p/tenure=5/Plan=plus/a.parquet", part(3)),
            ("p/_SUCCESS", Vec::new()),
        ];
        let files: Vec<(&str, &[u8])> = files.iter().map(|file| (file.0, &*file.1)).collect();
        let query = "SELECT * FROM customers WHERE tenure >= 3 AND Plan = 'plus'";
        let table = Unit::with(&files, "p").query(query).table();
        assert_eq!(cells(&table, 0), [3, 5]);
        assert_eq!([0, 1].map(|row| table.customer(row)), ["2", "3"]);
        let mixed = [files[0], ("p/a.parquet", files[1].1)];
        check_refused(&Unit::with(&mixed, "p"), "differ in their keys");
    }

    #[test]
    fn big_and_empty_json_files_are_read_row_by_row() {
        let rows = 20_000;
        let line = |n: usize| {
            let tenure = n % 64;
            format!(
                "{{\"customerID\":{n},\"tenure\":{tenure},\"Plan\":\"plus\",\"Churn\":\"No\"}}\n"
            )
        };
        let content: String = (0..rows).map(line).collect();
        let files = [("j/a.json", content.as_bytes()), ("j/b.json", b"")];
        let mut unit = Unit::with(&files, "j");
        unit.config.customers_max = rows as u64;
        let table = unit.table();
        assert_eq!((table.rows(), table.customer(rows - 1)), (rows, "19999"));
        assert!((0..rows).all(|row| table.features()[0].get(row) == row % 64));
    }

    fn parquet(columns: Vec<(&str, Arc<dyn Array>)>, compression: Compression) -> Vec<u8> {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .build();
        let mut bytes = Vec::new();
        let mut writer =
            ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        bytes
    }

    fn customers(tenure: Arc<dyn Array>, compression: Compression) -> Vec<u8> {
        let columns: Vec<(&str, Arc<dyn Array>)> = vec![
            ("customerID", Arc::new(Int32Array::from(vec![7, 8]))),
            ("tenure", tenure),
            (
                "Plan",
                Arc::new(StringArray::from(vec![Some("plus"), None])),
            ),
            ("Churn", Arc::new(StringArray::from(vec!["No", "Yes"]))),
        ];
        parquet(columns, compression)
    }

    fn parquet_unit(bytes: &[u8]) -> Unit {
        Unit::with(&[("c.parquet", bytes)], "c.parquet")
    }

    #[test]
    fn parquet_rows_become_cells() {
        let compressions = [
            Compression::SNAPPY,
            Compression::ZSTD(parquet::basic::ZstdLevel::default()),
            Compression::LZ4_RAW,
            Compression::GZIP(parquet::basic::GzipLevel::default()),
            Compression::UNCOMPRESSED,
        ];
        for compression in compressions {
            let tenure = Arc::new(Float32Array::from(vec![Some(2.5), None]));
            let table = parquet_unit(&customers(tenure, compression)).table();
            assert_eq!(cells(&table, 0), [2, 64], "{compression}");
            assert_eq!(cells(&table, 1), [1, 2]);
            assert_eq!(
                (table.customer(0), table.labels()),
                ("7", [0, 1].as_slice())
            );
        }
        let decimals = Decimal128Array::from(vec![100, 6_399]).with_precision_and_scale(9, 2);
        let table =
            parquet_unit(&customers(Arc::new(decimals.unwrap()), Compression::SNAPPY)).table();
        assert_eq!(cells(&table, 0), [1, 63]);
    }

    #[test]
    fn parquet_of_other_types_is_refused() {
        let dates = customers(Arc::new(Date32Array::from(vec![1, 2])), Compression::SNAPPY);
        check_refused(
            &parquet_unit(&dates),
            "column \"tenure\" of the mapped table has type Date32, expected numbers",
        );
        let flags = customers(
            Arc::new(BooleanArray::from(vec![true, false])),
            Compression::SNAPPY,
        );
        check_refused(&parquet_unit(&flags), "has type Boolean, expected numbers");
    }

    #[test]
    fn damaged_parquet_is_refused() {
        let good = customers(
            Arc::new(Int32Array::from(vec![1, 2])),
            Compression::UNCOMPRESSED,
        );
        check_refused(
            &parquet_unit(&good[..good.len() - 9]),
            "the end of a Parquet file is missing",
        );
        check_refused(&parquet_unit(GOOD.as_bytes()), "this is not a Parquet file");
        check_refused(&parquet_unit(b""), "this is not a Parquet file");
        let mut broken = good.clone();
        let end = broken.len() - 12;
        broken[end - 60..end].fill(0xff);
        check_refused(&parquet_unit(&broken), "c.parquet");
        let mut pages = good;
        pages[4..60].fill(0xff);
        check_refused(&parquet_unit(&pages), "reading the mapped table failed");
    }
}
