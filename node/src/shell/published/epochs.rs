//! `epochs.jsonl` in a node's directory: which state of the tables each epoch stands for. One line of JSON each, durable before the
//! first question is answered.
//!
//! A stored answer names its epoch. Were the same name served for other rows after a restart, two answers under it would differ by
//! whoever changed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aquifer_shared::base::ids::{Hash32, Name};
use serde::{Deserialize, Serialize};

use super::shelf::Snapshot;

/// The file.
#[derive(Debug)]
pub struct Epochs {
    path: PathBuf,
}

/// Why tables are not served under their epoch.
#[derive(Debug, thiserror::Error)]
pub enum EpochProblem {
    /// It stands for something else.
    #[error(
        "epoch {epoch} was served with other tables and names those for good: give what the tables show now another name in \
         node.toml, then `aquifer-node refresh`"
    )]
    Changed {
        /// The epoch.
        epoch: Name,
    },
    /// What was served is not known.
    #[error(
        "line {line} of {path} cannot be read: put the file back from a backup, or name an epoch that was never served and move it away"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// The file cannot be read or written.
    #[error("{path} cannot be used")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// One epoch under one contract.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    epoch: Name,
    contract: Hash32,
    /// Keyed: says nothing about the tables to who does not hold the node's key.
    state: Hash32,
}

impl Epochs {
    /// The file of a node's directory; made with the first epoch.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        Self {
            path: directory.join(FILE),
        }
    }

    /// Notes what an epoch stands for before it is served, or holds the tables against what was noted. Blocks.
    ///
    /// # Errors
    ///
    /// The epoch was served with other tables under this contract, or nothing durable is known.
    ///
    /// # Privacy
    ///
    /// Only a digest under the node's key is kept.
    pub fn hold(&self, snapshot: &Snapshot, node_key: &[u8; 32]) -> Result<(), EpochProblem> {
        let own = Line {
            epoch: snapshot.epoch().clone(),
            contract: snapshot.contract().hash(),
            state: snapshot.digest(node_key),
        };
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(self.fault(error)),
        };
        // A last line without an end was not durable, so nothing was served for it.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for (line, text) in (1..).zip(whole.lines()) {
            let path = self.path.clone();
            let known: Line =
                serde_json::from_str(text).map_err(|_| EpochProblem::Unreadable { path, line })?;
            if (&known.epoch, known.contract) == (&own.epoch, own.contract) {
                let epoch = own.epoch;
                let same = known.state == own.state;
                return same.then_some(()).ok_or(EpochProblem::Changed { epoch });
            }
        }
        let torn = text.len() > whole.len() + 1 || (whole.is_empty() && !text.is_empty());
        self.append(&own, torn.then_some(whole))
            .map_err(|error| self.fault(error))
    }

    /// Adds a line; one that was torn before it goes.
    fn append(&self, line: &Line, whole: Option<&str>) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        let mut file = options.open(&self.path)?;
        if let Some(whole) = whole {
            file.set_len(whole.len() as u64 + u64::from(!whole.is_empty()))?;
        }
        let line = serde_json::to_string(line).map_err(io::Error::other)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_all()?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }

    fn fault(&self, source: io::Error) -> EpochProblem {
        let path = self.path.clone();
        EpochProblem::File { path, source }
    }
}

const FILE: &str = "epochs.jsonl";
