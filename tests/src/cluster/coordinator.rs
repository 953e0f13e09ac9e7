//! The coordinator's process of a deployment.

use anyhow::{Context, Result, ensure};

use super::{Cluster, READY_MS, tail};

impl Cluster {
    /// Starts the coordinator (again).
    ///
    /// # Errors
    ///
    /// It did not become ready.
    pub fn start_coordinator(&mut self) -> Result<()> {
        self.start_coordinator_with([])
    }

    /// Starts it with further variables in its environment.
    ///
    /// # Errors
    ///
    /// It did not start.
    pub fn start_coordinator_with(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<()> {
        let folder = self.coordinator_folder();
        let mut serve = self.command(0, "aquifer-coordinator", ["serve", "--json", "--dir"]);
        serve.arg(folder);
        serve.envs(self.log_filter.map(|filter| ("AQUIFER_LOG", filter)));
        serve.envs(variables);
        let log = self.folder.join("coordinator.log");
        let process = self.watcher.start("coordinator", &mut serve, &log)?;
        let ready = process.line(READY_MS).with_context(|| tail(&log))?;
        ensure!(
            ready.is_some_and(|line| line.contains("listening")),
            "the coordinator did not start: {}",
            tail(&log)
        );
        self.coordinator = Some(process);
        Ok(())
    }
}
