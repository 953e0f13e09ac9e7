//! What a simulation costs on this machine: time, CPU, memory.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

/// A simulation that has begun.
#[derive(Debug)]
pub struct Begun(Instant);

/// What it cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// From beginning to end.
    pub wall_seconds: f64,
    /// User and system time of the process, from its start.
    pub cpu_seconds: f64,
    /// Largest resident memory of the process, in millions of bytes.
    pub peak_memory_mb: f64,
}

impl Cost {
    /// Begins to measure.
    pub fn begin() -> Begun {
        Begun(Instant::now())
    }
}

impl Begun {
    /// What it cost until now.
    ///
    /// # Errors
    ///
    /// The system does not tell.
    pub fn end(&self) -> Result<Cost> {
        let stat = fs::read_to_string("/proc/self/stat").context("no /proc/self/stat")?;
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let status = fs::read_to_string("/proc/self/status").context("no /proc/self/status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        Ok(Cost {
            wall_seconds: self.0.elapsed().as_secs_f64(),
            cpu_seconds: (ticks(11).zip(ticks(12)))
                .map(|(user, system)| (user + system) / TICKS_PER_SECOND)
                .context("no times in /proc/self/stat")?,
            peak_memory_mb: peak.context("no VmHWM in /proc/self/status")? * 1_024.0 / 1e6,
        })
    }
}

/// On every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;
