//! Progress while the study runs, and the tables at its end.

use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

use anyhow::Result;
use aquifer_shared::shell::report::{Table, note, print};
use aquifer_tests::processes::Report;
use aquifer_tests::study::state;
use aquifer_tests::training::Quality;
use serde_json::Value;

/// One line that changes on a terminal, one line per change elsewhere.
pub struct Progress {
    started: Instant,
    last: String,
    terminal: bool,
}

impl Progress {
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            last: String::new(),
            terminal: stderr().is_terminal(),
        }
    }

    /// A step of the demonstration.
    pub fn step(&self, text: &str) {
        note(&format!(
            "{:6.1} s  {text}",
            self.started.elapsed().as_secs_f64()
        ));
    }

    /// A status of the study.
    pub fn status(&mut self, status: &Value) {
        let line = &status["status"];
        let number = |key: &str| line[key].as_u64().unwrap_or(0);
        let members = status["members"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let nodes: Vec<String> = members.iter().map(member).collect();
        let (done, total) = (number("rounds_done"), number("rounds_total"));
        let shown = format!(
            "study {}: {done} of {total} sums  {}",
            state(status),
            nodes.join("  ")
        );
        if shown == self.last {
            return;
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let end = if self.terminal && done < total {
            "\r"
        } else {
            "\n"
        };
        // Progress is for people who look; nobody misses a line that cannot be written.
        let _ = write!(stderr(), "{seconds:6.1} s  {shown}{end}");
        self.last = shown;
    }

    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

/// Name of a node and what it said.
fn member(member: &Value) -> String {
    let name = member["name"].as_str().unwrap_or("?");
    let verdict = match &member["verdict"] {
        Value::String(verdict) => verdict.to_lowercase(),
        Value::Object(refused) => refused
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase(),
        _ => "asked".to_owned(),
    };
    let away = if member["connected"] == Value::Bool(false) {
        ", away"
    } else {
        ""
    };
    format!("{name} ({verdict}{away})")
}

/// Quality of every model that was compared; `None` where there was too little data to learn from.
pub fn quality(rows: &[(String, Option<Quality>)]) -> Result<()> {
    let mut table = Table::new(&["predictor", "AUC", "log-loss"]);
    for (name, quality) in rows {
        let figure =
            |figure: Option<f64>| figure.map_or("-".to_owned(), |figure| format!("{figure:.4}"));
        table.row([
            name.clone(),
            figure(quality.map(|q| q.auc)),
            figure(quality.map(|q| q.log_loss)),
        ]);
    }
    print(&format!("\n{}\n", table.to_text()))
}

/// Memory and CPU of the deployment.
pub fn usage(report: &Report) -> Result<()> {
    let mut table = Table::new(&["process", "memory, peak MiB", "at rest MiB", "CPU seconds"]);
    for (name, usage) in &report.each {
        let (peak, last) = (mib(usage.pss_peak), mib(usage.pss_last));
        table.row([
            name.clone(),
            format!("{peak:.1}"),
            format!("{last:.1}"),
            format!("{:.2}", usage.cpu_seconds),
        ]);
    }
    let together = mib(report.pss_peak_together);
    table.row([
        "together".to_owned(),
        format!("{together:.1}"),
        String::new(),
        format!("{:.2}", report.cpu_seconds()),
    ]);
    print(&format!("\n{}\n", table.to_text()))
}

pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
