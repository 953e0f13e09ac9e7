//! The part of `aquifer-node check` about tables for analysts: what is wrong with their rows, and what a question would send.

use std::fmt::Write;
use std::path::Path;

use aquifer_shared::base::limits::QUESTION_CELLS_MAX;
use aquifer_shared::domain::contract::{Contract, Published};
use serde::Serialize;

use super::check_command::{write_columns, write_finding};
use super::published::{Mapping, epoch_of, inspect, mappings};
use super::source::DataConfig;
use super::source_error::SourceError;
use crate::core::analytics::{ChoiceKey, Excess, excess};
use crate::core::check::{Findings, update_bytes};
use crate::core::consent::SubjectKey;

/// One table for analysts, for programs.
///
/// # Privacy
///
/// Exact counts and row numbers for the unit's own people; never a value, and never sent.
#[derive(Debug, Serialize)]
pub(super) struct TableReport {
    table: String,
    epoch: String,
    /// Fewest and most customers that the contract declares.
    size_band: (u64, u64),
    rows_per_group_max: u32,
    groups_per_unit_max: u32,
    rows_per_unit_max: u32,
    #[serde(flatten)]
    findings: Findings,
    excess: Excess,
    problems: Vec<String>,
    would_send: WouldSend,
}

/// What one question would send.
#[derive(Debug, Serialize)]
struct WouldSend {
    /// Integers at most, each with noise.
    cells_max: usize,
    /// Largest message with all its headers.
    bytes_max: usize,
}

/// Looks at every table for analysts that node.toml maps; the tables of the contract that it does not map come second.
///
/// # Errors
///
/// Whatever is wrong with files or mapping.
pub(super) fn reports(
    config: &DataConfig,
    directory: &Path,
    contract: &Contract,
) -> Result<(Vec<TableReport>, Vec<String>), SourceError> {
    let mappings = mappings(config, contract)?;
    let mapped = |table: &&Published| mappings.iter().any(|known| known.published == *table);
    let left_out = contract.published.iter().filter(|table| !mapped(table));
    let left_out = left_out.map(|table| table.name.clone()).collect();
    let epoch = epoch_of(config, contract)?;
    let epoch = epoch.map(ToString::to_string).unwrap_or_default();
    let reports = mappings
        .iter()
        .map(|mapping| report(config, directory, *mapping, &epoch));
    Ok((reports.collect::<Result<_, _>>()?, left_out))
}

fn report(
    config: &DataConfig,
    directory: &Path,
    mapping: Mapping<'_>,
    epoch: &str,
) -> Result<TableReport, SourceError> {
    let published = mapping.published;
    // Nothing here rests on the order of rows, so it needs no secret.
    let key = ChoiceKey::derive(&[0; 32], &SubjectKey::new(&[0; 32]), &published.name);
    let inspected = inspect(config, directory, mapping, key)?;
    Ok(TableReport {
        table: published.name.clone(),
        epoch: epoch.to_owned(),
        size_band: published.size_band,
        rows_per_group_max: published.rows_per_group_max,
        groups_per_unit_max: published.groups_per_unit_max,
        rows_per_unit_max: published.rows_per_unit_max,
        excess: excess(&inspected.table, published),
        problems: problems(published, &inspected.findings),
        findings: inspected.findings,
        would_send: WouldSend {
            cells_max: QUESTION_CELLS_MAX,
            bytes_max: update_bytes(QUESTION_CELLS_MAX),
        },
    })
}

/// What does not count although it is there, and what makes the contract's public words about the unit untrue.
fn problems(published: &Published, findings: &Findings) -> Vec<String> {
    let (table, (fewest, most)) = (&published.name, published.size_band);
    let mut problems = Vec::new();
    if findings.without_customer.rows > 0 {
        let rows = findings.without_customer.rows;
        problems.push(format!(
            "table {table:?}: {rows} rows have no customer, and count in no answer"
        ));
    }
    if !(fewest..=most).contains(&findings.customers) {
        let customers = findings.customers;
        problems.push(format!(
            "table {table:?}: {customers} customers, the contract's size_band says {fewest} to {most}{}",
            if customers > most { "; the others count in no answer" } else { "" }
        ));
    }
    problems
}

impl TableReport {
    /// What does not count or is untrue.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> + '_ {
        self.problems.iter().cloned()
    }

    /// For people.
    pub(super) fn write(&self, out: &mut String) -> std::fmt::Result {
        let (rows_max, groups_max) = (self.rows_per_group_max, self.groups_per_unit_max);
        writeln!(
            out,
            "\ntable {} for analysts, epoch {}",
            self.table, self.epoch
        )?;
        writeln!(
            out,
            "  {} rows, {} customers (declared: {} to {})",
            self.findings.rows, self.findings.customers, self.size_band.0, self.size_band.1
        )?;
        write_finding("  ", "no customer", &self.findings.without_customer, out)?;
        let excess = &self.excess;
        writeln!(
            out,
            "  {} customers have more than {} rows; {} rows beyond those are not kept and count in no answer",
            excess.customers_over_kept, self.rows_per_unit_max, excess.rows_not_kept
        )?;
        writeln!(
            out,
            "  {} customers have more than {rows_max} rows; without groups, {} rows would not count",
            excess.customers_over_rows, excess.rows_left_out
        )?;
        for (column, customers) in &excess.customers_over_groups {
            writeln!(
                out,
                "  {customers} customers are in more than {groups_max} groups of {column}"
            )?;
        }
        write_columns(&self.findings, out)?;
        writeln!(
            out,
            "  a question sends one sum, each number with noise: at most {} integers, {} bytes; \
             a customer counts in at most {groups_max} groups with at most {rows_max} rows in each",
            self.would_send.cells_max, self.would_send.bytes_max
        )
    }
}
