//! What the disk takes for the durable writes that lie one behind the other on the way of a question.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::times::Times;
use crate::options::Options;

/// Durable writes of the coordinator and of every node between a question and its answer, each waited for.
#[derive(Clone, Copy, Debug)]
pub struct Writes {
    /// At the coordinator.
    pub coordinator: u32,
    /// At the nodes, all at the same time.
    pub nodes: u32,
}

/// The disk that the deployment writes to.
#[derive(Clone, Copy, Debug)]
pub struct Disk {
    /// A small write and its sync, alone; milliseconds.
    pub alone: f64,
    /// Until all have ended, where eight files are written at once.
    pub eight: f64,
}

impl Disk {
    /// Medians where the deployment's files are.
    pub fn measure(folder: &Path, options: &Options) -> Result<Self> {
        let times = options.times(400, 100);
        Ok(Self {
            alone: median(folder, 1, times)?,
            eight: median(folder, NODES, times)?,
        })
    }

    /// Milliseconds for these writes.
    pub fn of(&self, writes: Writes) -> f64 {
        f64::from(writes.coordinator) * self.alone + f64::from(writes.nodes) * self.eight
    }

    pub fn to_json(self) -> Value {
        json!({"fsync_ms": self.alone, "eight_fsyncs_at_once_ms": self.eight})
    }
}

/// Median milliseconds until every one of so many files has taken a small write.
fn median(folder: &Path, files: usize, times: usize) -> Result<f64> {
    let barrier = Barrier::new(files);
    let each = thread::scope(|scope| {
        let writers: Vec<_> = (0..files)
            .map(|file| {
                let (barrier, path) = (&barrier, folder.join(format!("probe-{file}")));
                scope.spawn(move || write(barrier, &path, times))
            })
            .collect();
        let ended = writers.into_iter().map(|writer| writer.join().ok());
        ended
            .map(|taken| taken.context("a writer panicked")?)
            .collect::<Result<Vec<_>>>()
    })?;
    let slowest = (0..times).map(|turn| each.iter().map(|taken| taken[turn]).fold(0.0, f64::max));
    Ok(Times::of(slowest.collect()).below(0.5))
}

fn write(barrier: &Barrier, path: &Path, times: usize) -> Result<Vec<f64>> {
    let opened = File::create(path);
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        barrier.wait();
        let started = Instant::now();
        if let Ok(mut file) = opened.as_ref() {
            file.write_all(&[0x5a; 4_096])?;
            file.sync_data()?;
        }
        taken.push(started.elapsed().as_secs_f64() * 1e3);
    }
    opened?;
    Ok(taken)
}

const NODES: usize = 8;
