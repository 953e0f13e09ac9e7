//! `aquifer-node check`: what is wrong with the unit's rows, and exactly what a study would send. Sends nothing.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use aquifer_shared::domain::contract::Contract;
use serde::Serialize;

use super::check_consent::ConsentReport;
use super::check_law::LawReport;
use super::check_published::{TableReport, reports};
use super::clock::now;
use super::config::NodeConfig;
use super::declarations::declared;
use super::encode::inspect;
use super::score_exports::expired;
use super::source::DataConfig;
use crate::core::check::{Finding, Findings, Outgoing, outgoing};
use crate::core::gatekeeper::Gatekeeper;

/// What is printed, for programs.
///
/// # Privacy
///
/// Exact counts and row numbers for the unit's own people; never a value, and never sent.
#[derive(Debug, Serialize)]
struct Report {
    contract: String,
    version: u32,
    contract_hash: String,
    basis: String,
    customers_max: u64,
    label: String,
    positive: u64,
    #[serde(flatten)]
    findings: Findings,
    problems: Vec<String>,
    would_send: Vec<Outgoing>,
    published: Vec<TableReport>,
    not_published_here: Vec<String>,
    law: LawReport,
    consent: Option<ConsentReport>,
}

/// Prints the findings; exit code 1 where a node would not start with them, or where a study could learn nothing from them.
///
/// Blocks: runs the query engine.
///
/// # Errors
///
/// Whatever is wrong with files or mapping.
pub fn run(config: &NodeConfig, directory: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let gatekeeper = config.gatekeeper(directory)?;
    drop(declared(config.facts.as_ref(), gatekeeper.as_ref(), now())?);
    let report = report(&config.data, gatekeeper.as_ref(), directory)?;
    let text = if json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        shown(&report)
    };
    print!("{text}");
    Ok(if report.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn report(
    config: &DataConfig,
    gatekeeper: Option<&Gatekeeper>,
    directory: &Path,
) -> anyhow::Result<Report> {
    let encoded = inspect(config, directory)?;
    let Contract {
        name,
        version,
        label,
        ..
    } = &encoded.contract;
    let label = format!("{}={}", label.column, label.positive);
    let labels = encoded.table.labels();
    let positive = labels.iter().map(|label| u64::from(*label)).sum();
    let mut problems = encoded.findings.problems();
    problems.extend(one_class(&label, positive, labels.len() as u64));
    let (published, not_published_here) = reports(config, directory, &encoded.contract)?;
    problems.extend(published.iter().flat_map(TableReport::problems));
    let law = LawReport::of(
        gatekeeper,
        &encoded.contract,
        config.customers_max,
        expired(directory, now())?,
        now(),
    );
    problems.extend(law.problems());
    let consent = ConsentReport::of(directory, &encoded.table)?;
    problems.extend(consent.as_ref().and_then(ConsentReport::problem));
    Ok(Report {
        law,
        consent,
        contract: name.to_string(),
        version: *version,
        contract_hash: encoded.contract.hash().to_string(),
        basis: config.basis.clone(),
        customers_max: config.customers_max,
        problems,
        label,
        positive,
        findings: encoded.findings,
        would_send: outgoing(encoded.table.cells()),
        published,
        not_published_here,
    })
}

/// A label that all customers or none have is almost always spelt otherwise than in the contract.
fn one_class(label: &str, positive: u64, customers: u64) -> Option<String> {
    let found = match positive {
        _ if customers == 0 => return None,
        0 => "no customer has",
        all if all == customers => "every customer has",
        _ => return None,
    };
    Some(format!(
        "{found} {label}, expected some with and some without: is the positive level spelt as in the contract?"
    ))
}

fn shown(report: &Report) -> String {
    let mut out = String::new();
    write_report(report, &mut out).expect("writing to a string cannot fail");
    out
}

fn write_report(report: &Report, out: &mut String) -> std::fmt::Result {
    let (name, version, hash) = (&report.contract, report.version, &report.contract_hash);
    writeln!(out, "contract   {name}, version {version}, {hash}")?;
    writeln!(out, "basis      {}", report.basis)?;
    let findings = &report.findings;
    writeln!(
        out,
        "rows       {} in the mapped table, {} customers with a label (declared: at most {})",
        findings.rows, findings.customers, report.customers_max
    )?;
    let others = findings.customers.saturating_sub(report.positive);
    let (label, positive) = (&report.label, report.positive);
    writeln!(
        out,
        "label      {label} at {positive} customers, another value at {others}"
    )?;
    for (what, finding) in [
        ("no label (left out)", &findings.without_label),
        ("no customer", &findings.without_customer),
        ("customer repeated", &findings.repeated_customer),
    ] {
        write_finding("           ", what, finding, out)?;
    }
    writeln!(out, "\ncolumns")?;
    write_columns(findings, out)?;
    writeln!(
        out,
        "\nan additive study would send, each number with noise"
    )?;
    for sum in &report.would_send {
        writeln!(
            out,
            "  {} x {}: at most {} integers, {} bytes; a customer who is {} adds {}",
            sum.times, sum.sum, sum.cells_max, sum.bytes_max, sum.customers, sum.one_customer
        )?;
    }
    writeln!(
        out,
        "  and nothing else about customers: no row counts, no metrics, no error text"
    )?;
    for table in &report.published {
        table.write(out)?;
    }
    for table in &report.not_published_here {
        writeln!(
            out,
            "\ntable {table} for analysts: not mapped by [data.published], so not published here"
        )?;
    }
    report.law.write(out)?;
    if let Some(consent) = &report.consent {
        consent.write(out)?;
    }
    for problem in &report.problems {
        writeln!(out, "\nproblem: {problem}")?;
    }
    Ok(())
}

/// Findings by column.
pub(super) fn write_columns(findings: &Findings, out: &mut String) -> std::fmt::Result {
    for column in &findings.columns {
        let kinds = [
            ("missing", &column.missing),
            ("out of range", &column.out_of_range),
            ("not in the list", &column.unknown_level),
        ];
        let clean = kinds.iter().all(|kind| kind.1.rows == 0);
        let verdict = if clean { ": nothing to report" } else { "" };
        writeln!(out, "  {}{verdict}", column.column)?;
        for (what, finding) in kinds {
            write_finding("    ", what, finding, out)?;
        }
    }
    Ok(())
}

pub(super) fn write_finding(
    indent: &str,
    what: &str,
    finding: &Finding,
    out: &mut String,
) -> std::fmt::Result {
    if finding.rows == 0 {
        return Ok(());
    }
    let examples: Vec<String> = finding.examples.iter().map(u64::to_string).collect();
    let (rows, examples) = (finding.rows, examples.join(", "));
    writeln!(out, "{indent}{what}: {rows} rows, for example {examples}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const CONTRACT: &str = r#"
[contract]
name = "churn"
version = 1
[table.customers]
privacy_unit = "id"
label = { column = "left", positive = "yes" }
[table.customers.column.tenure]
low = 0
high = 64
[table.customers.column.plan]
levels = ["basic", "plus"]
"#;

    fn report_on(rows: &str) -> Report {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("contract.toml"), CONTRACT).unwrap();
        std::fs::write(directory.path().join("c.csv"), rows).unwrap();
        let config = DataConfig {
            contract: "contract.toml".into(),
            query: "SELECT * FROM customers".to_owned(),
            basis: "consent".to_owned(),
            customers_max: 10,
            holdout_column: None,
            epoch: None,
            published: BTreeMap::new(),
            tables: BTreeMap::from([("customers".to_owned(), "c.csv".into())]),
        };
        report(&config, None, directory.path()).unwrap()
    }

    #[test]
    fn people_and_programs_read_counts_and_rows_but_no_value() {
        let report =
            report_on("id,tenure,plan,left\nCANARY,-1,CANARY,yes\nb,CANARY,plus,no\nCANARY,1,,\n");
        let (text, json) = (shown(&report), serde_json::to_string(&report).unwrap());
        assert!(
            !text.contains("CANARY") && !json.contains("CANARY"),
            "{text}\n{json}"
        );
        assert!(
            text.contains("3 in the mapped table, 2 customers"),
            "{text}"
        );
        assert!(text.contains("missing: 1 rows, for example 2"), "{text}");
        assert!(
            text.contains("out of range: 1 rows, for example 1"),
            "{text}"
        );
        assert!(
            text.contains("not in the list: 1 rows, for example 1"),
            "{text}"
        );
        assert!(
            text.contains("7 x residuals, later: at most 68 integers"),
            "{text}"
        );
        assert!(
            json.contains(r#""without_label":{"rows":1,"examples":[3]}"#),
            "{json}"
        );
        assert!(report.problems.is_empty());
    }

    #[test]
    fn what_stops_a_node_is_a_problem() {
        let report = report_on("id,tenure,plan,left\na,1,plus,yes\na,1,plus,no\n");
        assert_eq!(
            report.problems,
            ["1 rows repeat a customer, expected one row per customer"]
        );
        assert!(shown(&report).contains("customer repeated: 1 rows, for example 2"));
    }
    #[track_caller]
    fn check_label(labels: &[&str], line: &str, problem: Option<&str>) {
        let rows = labels.iter().enumerate();
        let rows: String = rows
            .map(|(id, label)| format!("c{id},1,plus,{label}\n"))
            .collect();
        let report = report_on(&format!("id,tenure,plan,left\n{rows}"));
        let text = shown(&report);
        assert!(text.contains(&format!("label      {line}\n")), "{text}");
        match problem {
            None => assert!(report.problems.is_empty(), "{text}"),
            Some(problem) => {
                assert_eq!(report.problems.len(), 1, "{text}");
                assert!(text.contains(&format!("problem: {problem}")), "{text}");
            }
        }
    }

    #[test]
    fn a_label_that_all_or_none_have_is_a_problem() {
        let expected = "left=yes, expected some with and some without";
        let (none, every) = (
            format!("no customer has {expected}"),
            format!("every customer has {expected}"),
        );
        check_label(
            &["yes", "no", "no"],
            "left=yes at 1 customers, another value at 2",
            None,
        );
        check_label(
            &["Yes", "No"],
            "left=yes at 0 customers, another value at 2",
            Some(&none),
        );
        check_label(
            &["yes", "yes"],
            "left=yes at 2 customers, another value at 0",
            Some(&every),
        );
        // Without any label there is nothing to compare, and another problem to tell.
        check_label(
            &["", ""],
            "left=yes at 0 customers, another value at 0",
            Some("no row has a customer and a label"),
        );
    }

    #[test]
    fn tables_for_analysts_are_reported_beside() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
        };
        let orders = r#"
[table.orders]
privacy_unit = "id"
rows_per_group_max = 1
groups_per_unit_max = 1
size_band = [3, 9]
[table.orders.column.shop]
levels = ["north", "south"]
[table.visits]
privacy_unit = "id"
rows_per_group_max = 1
groups_per_unit_max = 1
size_band = [3, 9]
column.n = { low = 0, high = 9 }
"#;
        write("contract.toml", &format!("{CONTRACT}{orders}"));
        write("c.csv", "id,tenure,plan,left\na,1,plus,yes\nb,1,plus,no\n");
        write("o.csv", "id,shop\na,north\na,south\nb,CANARY\n");
        let mapped = ("orders".to_owned(), "SELECT * FROM o".to_owned());
        let config = DataConfig {
            contract: "contract.toml".into(),
            query: "SELECT * FROM customers".to_owned(),
            basis: "consent".to_owned(),
            customers_max: 10,
            holdout_column: None,
            epoch: Some("2026-11-01".parse().unwrap()),
            published: BTreeMap::from([mapped]),
            tables: BTreeMap::from([
                ("customers".to_owned(), "c.csv".into()),
                ("o".to_owned(), "o.csv".into()),
            ]),
        };
        let report = report(&config, None, directory.path()).unwrap();
        let text = shown(&report);
        let json = serde_json::to_string(&report).unwrap();
        assert!(
            !text.contains("CANARY") && !json.contains("CANARY"),
            "{text}\n{json}"
        );
        for expected in [
            "table orders for analysts, epoch 2026-11-01\n  3 rows, 2 customers (declared: 3 to 9)",
            "1 customers have more than 1 rows; without groups, 1 rows would not count",
            "1 customers are in more than 1 groups of shop",
            "not in the list: 1 rows, for example 3",
            "at most 16384 integers",
            "table visits for analysts: not mapped",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        let expected = r#"table "orders": 2 customers, the contract's size_band says 3 to 9"#;
        assert_eq!(report.problems, [expected]);
    }

    #[test]
    fn programs_read_how_many_have_the_label() {
        let report = report_on("id,tenure,plan,left\na,1,plus,yes\nb,1,plus,no\nc,1,plus,no\n");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(
            (&json["label"], &json["positive"]),
            (&"left=yes".into(), &1.into())
        );
    }
}
