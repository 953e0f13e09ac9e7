//! One node over a Parquet table of 10,000,000 rows: reading it at start, and a grouped sum from question to answer.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ::parquet::arrow::ArrowWriter;
use anyhow::{Context, Result, bail};
use aquifer_coordinator::core::sql::{self, Settings, Statement};
use aquifer_node::core::consent::SubjectKey;
use aquifer_node::shell::clock::now;
use aquifer_node::shell::config::NodeConfig;
use aquifer_node::shell::doorman::Doorman;
use aquifer_node::shell::published::Snapshot;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::sum::NoiseShare;
use aquifer_shared::shell::report::{Table, Tone, note};
use aquifer_tests::company::Company;
use aquifer_tests::law::everybody;
use aquifer_tests::processes::wait_for;
use aquifer_tests::random::Seeded;
use aquifer_tests::reports::{Reports, Standing};
use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::client::{Client, provide};
use crate::options::Options;

const ROWS: usize = 10_000_000;
const ROWS_QUICK: usize = 1_000_000;
/// Rows of a customer, on average; as many count at most.
const ROWS_EACH: usize = 4;
const BATCH_ROWS: usize = 250_000;
const SHOPS: usize = 20;
const STANDING: Standing<'static> = Standing {
    purpose: "reporting",
    trust: "node-noise",
    urho: 1_000,
};
const QUESTION: &str =
    "SELECT shop, SUM(amount) AS total FROM orders WHERE day >= '2026-02-01' GROUP BY shop";
const LIMIT_SECONDS: f64 = 3.0;
const LIMIT_MB: f64 = 1_000.0;
/// How long a node may take to read the table.
const START_MS: u64 = 600_000;

/// Measures a real node, and the sum alone in this process.
pub fn measure(options: &Options) -> Result<Value> {
    provide();
    let rows = options.times(ROWS, ROWS_QUICK);
    let file = table_file(rows)?;
    let folder = tempfile::Builder::new().prefix("aquifer-").tempdir()?;
    let mut company = Company::synthetic(7, 4_000);
    company.merge_units();
    let customers = (rows / ROWS_EACH) as u64;
    let text = format!("{}\n{}", company.contract.to_toml(), contract(customers));
    company.contract = Contract::parse(&text)?;
    let mut reports = Reports::prepare(folder.path(), company, &[STANDING])?;
    reports.customers_max = customers;
    let node = reports.cluster.nodes[0].folder.clone();
    map(&node, &file, (reports.company.customers_max(), customers))?;
    let started = start(&mut reports)?;
    let (slot, asked) = ask(&reports)?;
    let peak = peak_mb(&reports)?;
    reports.cluster.stop()?;
    let (read, sum) = alone(&node, &reports, customers)?;
    let mut table = Table::new(&[
        "one node, Parquet table of orders",
        "seconds [limit]",
        "peak memory, MB [limit]",
    ]);
    let judged = |found: f64, limit: f64| {
        let tone = if found < limit { Tone::Good } else { Tone::Bad };
        (format!("{found:.2} [{limit:.0}]"), tone)
    };
    let plain = |text: String| (text, Tone::Plain);
    let lines = [
        (
            "start of the node: reading and encoding the table",
            plain(format!("{:.2}", started.0)),
            judged(started.1, LIMIT_MB),
        ),
        (
            "question to answer",
            judged(asked, LIMIT_SECONDS),
            judged(peak, LIMIT_MB),
        ),
        (
            "of which the answer slot",
            plain(format!("{slot:.2}")),
            plain(String::new()),
        ),
        (
            "adding up alone, in this process",
            judged(sum, LIMIT_SECONDS),
            plain(String::new()),
        ),
        (
            "reading and encoding alone, in this process",
            plain(format!("{read:.2}")),
            plain(String::new()),
        ),
    ];
    for (what, seconds, memory) in lines {
        table.toned_row([plain(format!("{what}, {rows} rows")), seconds, memory]);
    }
    table.print()?;
    Ok(json!({
        "rows": rows, "customers_max": customers, "start_seconds": started.0, "start_peak_mb": started.1, "answer_seconds": asked,
        "answer_peak_mb": peak, "slot_seconds": slot, "sum_seconds": sum, "read_seconds": read, "limit_seconds": LIMIT_SECONDS,
        "limit_mb": LIMIT_MB,
    }))
}

fn contract(customers: u64) -> String {
    let shops: Vec<String> = (0..SHOPS).map(shop).collect();
    format!(
        "[table.orders]\nprivacy_unit = \"customer_id\"\nrows_per_group_max = 2\ngroups_per_unit_max = 2\nrows_per_unit_max = 8\n\
         size_band = [1, {customers}]\n[table.orders.column.shop]\nlevels = {shops:?}\n\
         [table.orders.column.amount]\nlow = 0\nhigh = 500\nstep = 0.01\n\
         [table.orders.column.day]\nfirst = 2026-01-01\nlast = 2026-12-31\n"
    )
}

fn shop(number: usize) -> String {
    format!("shop {number}")
}

/// The unit maps the table, and declares that many customers.
fn map(node: &Path, file: &Path, (before, customers): (u64, u64)) -> Result<()> {
    let path = node.join("node.toml");
    let text = fs::read_to_string(&path)?;
    let published = format!(
        "[data.published]\norders = \"SELECT customer_id, shop, amount, day FROM orders\"\n[data.tables]\norders = {file:?}\n"
    );
    let text = text.replace("[data.tables]\n", &published);
    let declared = |most: u64| format!("customers_max = {most}\n");
    Ok(fs::write(
        path,
        text.replace(&declared(before), &declared(customers)),
    )?)
}

/// Seconds from the start of the node until it is connected, and its peak memory by then.
fn start(reports: &mut Reports) -> Result<(f64, f64)> {
    let started = Instant::now();
    reports.cluster.start_node(0)?;
    let name = reports.cluster.nodes[0].name.clone();
    wait_for("the node to read its table", START_MS, || {
        thread::park_timeout(Duration::from_millis(100));
        Ok(reports.cluster.connected()?.contains(&name).then_some(()))
    })?;
    let seconds = started.elapsed().as_secs_f64();
    reports.open(&[STANDING])?;
    Ok((seconds, peak_mb(reports)?))
}

/// Seconds of the slot, and from question to answer.
fn ask(reports: &Reports) -> Result<(f64, f64)> {
    let analyst = reports.add_analyst("ada")?;
    Runtime::new()?.block_on(async {
        let mut client = Client::open(reports, &analyst, STANDING.purpose).await?;
        let slot = client.explain(QUESTION, "slot").await?;
        let slot: f64 = slot
            .trim_end_matches(" ms")
            .parse()
            .context("a slot in milliseconds")?;
        let taken = client.ask(QUESTION, Some(SHOPS + 1)).await?;
        Ok((slot / 1e3, taken / 1e3))
    })
}

/// The largest resident set that the node ever had.
fn peak_mb(reports: &Reports) -> Result<f64> {
    let process = reports.cluster.nodes[0].process.as_ref();
    let pid = process.context("the node runs")?.pid();
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    Ok(kib.context("the system tells a peak")? * 1_024.0 / 1e6)
}

/// Seconds to read and encode the table, and to add up, without a process around it.
fn alone(node: &Path, reports: &Reports, customers: u64) -> Result<(f64, f64)> {
    let contract = &reports.company.contract;
    let compiled = sql::compile(QUESTION, &Settings::default(), contract, Some(&[]));
    let Ok(Statement::Query(query)) = compiled else {
        bail!("the question does not compile");
    };
    let orders = contract.published("orders").context("published")?;
    let round = query
        .question
        .round(orders, customers, MicroRho(STANDING.urho), NoiseShare::OWN);
    let round = round.context("the price buys noise")?;
    let config = NodeConfig::load(node)?;
    let doorman = Doorman::new(config.gatekeeper(node)?, |_| {}, (now, Timestamp(0)));
    let started = Instant::now();
    let keys = (&[7; 32], &SubjectKey::new(&[8; 32]));
    let snapshot = Snapshot::load(&config.data, node, keys, &doorman)?;
    let snapshot = snapshot.context("tables are published")?;
    let read = started.elapsed().as_secs_f64();
    let mut best = f64::INFINITY;
    let (_, table) = snapshot.table("orders").context("orders are served")?;
    let cohort = everybody(table.rows());
    for _ in 0..3 {
        let started = Instant::now();
        snapshot.answer(&query.question, &cohort, customers, &round)?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok((read, best))
}

/// The table's file, made once.
fn table_file(rows: usize) -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let folder = Path::new(&target).join("bench");
    fs::create_dir_all(&folder)?;
    let path = std::path::absolute(folder.join(format!("orders-{rows}.parquet")))?;
    if path.exists() {
        return Ok(path);
    }
    note(&format!("writing {}", path.display()));
    let beside = path.with_extension("new");
    let mut random = Seeded::new(11, 0);
    let first = batch(&mut random, rows)?;
    let mut writer = ArrowWriter::try_new(File::create(&beside)?, first.schema(), None)?;
    writer.write(&first)?;
    for _ in 1..rows / BATCH_ROWS {
        writer.write(&batch(&mut random, rows)?)?;
    }
    writer.close()?;
    fs::rename(&beside, &path)?;
    Ok(path)
}

fn batch(random: &mut Seeded, rows: usize) -> Result<RecordBatch> {
    let customers = (rows / ROWS_EACH) as u64;
    let mut below = |most: u64| random.next_u64() % most;
    let ids: Vec<i64> = (0..BATCH_ROWS).map(|_| below(customers) as i64).collect();
    let shops: Vec<String> = (0..BATCH_ROWS)
        .map(|_| shop(below(SHOPS as u64) as usize))
        .collect();
    let amounts: Vec<f64> = (0..BATCH_ROWS)
        .map(|_| below(60_000) as f64 / 100.0)
        .collect();
    // From the first day of 2026.
    let days: Vec<i32> = (0..BATCH_ROWS)
        .map(|_| 20_454 + below(365) as i32)
        .collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("customer_id", Arc::new(Int64Array::from(ids))),
        ("shop", Arc::new(StringArray::from(shops))),
        ("amount", Arc::new(Float64Array::from(amounts))),
        ("day", Arc::new(Date32Array::from(days))),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}
