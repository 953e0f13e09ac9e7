//! Studies of a deployment, through the operator's commands.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Cluster, tail};
use crate::processes::{Outcome, Process};
use crate::study::{ENDS, WATCH, state};

impl Cluster {
    /// Submits a study; returns its hash.
    ///
    /// # Errors
    ///
    /// The command failed.
    pub fn submit(&self, study: &str) -> Result<String> {
        let printed = self
            .try_submit(study)?
            .success()
            .context("aquifer study submit")?;
        let value: Value = serde_json::from_str(&printed)?;
        let hash = value.get("study").and_then(Value::as_str);
        Ok(hash
            .with_context(|| format!("submit names no study: {printed}"))?
            .to_owned())
    }

    /// Submits a study and tells how that ended.
    ///
    /// # Errors
    ///
    /// The command could not be started.
    pub fn try_submit(&self, study: &str) -> Result<Outcome> {
        let path = self.folder.join("study.toml");
        fs::write(&path, study)?;
        let (path, contract) = (path.to_string_lossy(), self.contract());
        self.aquifer([
            "study",
            "submit",
            &path,
            "--contract",
            &contract.to_string_lossy(),
            "--json",
        ])
    }

    /// Approves a study as the approver.
    ///
    /// # Errors
    ///
    /// The command failed.
    pub fn approve(&self, study: &str) -> Result<()> {
        self.as_approver(["study", "approve", study])?
            .success()
            .context("aquifer study approve")
            .map(drop)
    }

    /// Starts to watch a study: one line of JSON for each change.
    ///
    /// # Errors
    ///
    /// The command could not be started.
    pub fn watch(&self, study: &str) -> Result<Process> {
        let mut watch = self.command(0, "aquifer", ["study", "watch", study, "--json", "--dir"]);
        watch.arg(&self.operator);
        self.watcher
            .start(WATCH, &mut watch, &self.folder.join("watch.log"))
    }

    /// Follows a study until it ends; `see` gets every status on the way. Returns the last one.
    ///
    /// # Errors
    ///
    /// Watching failed, or nothing changed within `limit_ms`.
    pub fn follow(
        &self,
        watch: &Process,
        limit_ms: u64,
        mut see: impl FnMut(&Value),
    ) -> Result<Value> {
        let mut last = Value::Null;
        while let Some(line) = watch.line(limit_ms)? {
            last =
                serde_json::from_str(&line).with_context(|| format!("watch printed {line:?}"))?;
            see(&last);
            if ENDS.contains(&state(&last)) {
                return Ok(last);
            }
        }
        bail!(
            "watching ended early, last state {:?}: {}",
            state(&last),
            tail(&self.folder.join("watch.log"))
        )
    }

    /// Submits, approves and follows a study to its end.
    ///
    /// # Errors
    ///
    /// Any of the steps failed.
    pub fn run_study(&self, study: &str, limit_ms: u64) -> Result<Value> {
        let hash = self.submit(study)?;
        let watch = self.watch(&hash)?;
        self.approve(&hash)?;
        self.follow(&watch, limit_ms, |_| {})
    }
}
