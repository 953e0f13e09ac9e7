//! Progress while the study runs, and the tables at its end.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

use anyhow::Result;
use aquifer_shared::shell::report::{Table, note, print};
use aquifer_tests::measured::Measured;
use aquifer_tests::processes::Report;
use aquifer_tests::study::state;
use aquifer_tests::training::Quality;
use serde_json::Value;

/// One line that changes on a terminal, one line per change elsewhere.
pub struct Progress {
    started: Instant,
    last: String,
    members: Vec<(String, String)>,
    terminal: bool,
}

impl Progress {
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            last: String::new(),
            members: Vec::new(),
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
        // Members are told when the state changes, not with every sum.
        if let Some(members) = status["members"].as_array() {
            self.members = members.iter().map(member).collect();
        }
        let nodes = together(&self.members);
        let (done, total) = (number("rounds_done"), number("rounds_total"));
        let shown = format!("study {}: {done} of {total} sums  {}", state(status), nodes);
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

/// Name of a node and its state.
fn member(member: &Value) -> (String, String) {
    let name = member["name"].as_str().unwrap_or("?");
    let verdict = match &member["verdict"] {
        Value::String(verdict) => verdict.clone(),
        Value::Object(refused) => {
            let code = refused
                .get("refused")
                .and_then(|refused| refused["code"].as_str());
            format!("refused ({})", code.unwrap_or("?"))
        }
        _ => "asked".to_owned(),
    };
    let away = member["connected"] == Value::Bool(false);
    (
        name.to_owned(),
        if away {
            format!("{verdict}, away")
        } else {
            verdict
        },
    )
}

/// Nodes by state, named one by one unless all are in the same.
fn together(members: &[(String, String)]) -> String {
    let mut states: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, state) in members {
        states.entry(state).or_default().push(name);
    }
    let whole = states.len() == 1;
    let shown = states.iter().map(|(state, names)| match whole {
        true => format!("all {} nodes: {state}", names.len()),
        false => format!("{state}: {}", names.join(" ")),
    });
    shown.collect::<Vec<_>>().join("; ")
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
    print(&format!("\n{}", table.to_text()))
}

/// How long the study took and what it sent.
pub fn study(measured: &Measured, slots: f64, units: usize) -> Result<()> {
    print(&format!(
        "\nstudy: {:.2} s from submission to release, of which {slots:.2} s are {} answer slots; {:.0} kB a node on the wire\n",
        measured.seconds,
        measured.sums(),
        measured.bytes as f64 / 1e3 / units as f64,
    ))
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
    print(&format!("\n{}", table.to_text()))
}

pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
