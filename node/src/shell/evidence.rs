//! `evidence.jsonl` in a node's directory: what a coordinator or a member did against the rules, with the public bytes that show
//! it. One line of JSON each; read by people and auditors, never by the node.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aquifer_shared::base::limits::EVIDENCE_BYTES_MAX;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::aggregation::Evidence;
use aquifer_shared::protocol::codec::encode;
use serde_json::{Value, json};

use crate::core::participant::{Audit, Exhibit};

/// The file.
#[derive(Debug)]
pub struct EvidenceFile {
    path: PathBuf,
}

impl EvidenceFile {
    /// The file of a node's directory; made at the first line.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        Self {
            path: directory.join(EVIDENCE_FILE),
        }
    }

    /// Appends a line.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or is as long as it may become.
    ///
    /// # Privacy
    ///
    /// Adverts, sets and positions of ledgers: public within the study. Only the owner can read the file all the same.
    pub fn append(&self, now: Timestamp, audit: &Audit) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        let mut file = options.open(&self.path)?;
        let line = format!("{}\n", line_of(now, audit));
        if file.metadata()?.len() + line.len() as u64 > EVIDENCE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        file.write_all(line.as_bytes())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn line_of(now: Timestamp, audit: &Audit) -> Value {
    let (mut line, shown) = match audit {
        Audit::Mirror(held) => (
            json!({ "rule": "mirror-unsigned", "entry": held.head.seq }),
            json!({ "hash": held.head.hash.to_string(), "signature": hex(&held.signature) }),
        ),
        Audit::Attempt {
            study,
            round,
            attempt,
            broken,
            peer,
            exhibit,
        } => {
            let peer = peer.map(|peer| json!({ "index": peer.index, "key": peer.key.to_string() }));
            let line = json!({
                "rule": broken.to_string(),
                "study": study.to_string(),
                "round": round,
                "attempt": attempt,
                "peer": peer,
            });
            (line, shown(exhibit))
        }
    };
    line["at"] = json!(now.0);
    line["shown"] = shown;
    line
}

/// Encoded messages, in hexadecimal digits, as they travelled.
fn shown(exhibit: &Exhibit) -> Value {
    match exhibit {
        Exhibit::Advert(advert) => json!({ "advert": hex(&encode(advert)) }),
        Exhibit::Two(evidence) => match &**evidence {
            Evidence::Rosters { held, shown } => {
                json!({ "rosters": [hex(&encode(held)), hex(&encode(shown))] })
            }
            Evidence::Sets {
                roster,
                held,
                shown,
            } => {
                let members = |set: &aquifer_shared::protocol::aggregation::MemberSet| {
                    set.iter().collect::<Vec<u16>>()
                };
                json!({ "roster": roster.to_string(), "sets": [members(held), members(shown)] })
            }
        },
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Name of the file in a node's directory.
pub const EVIDENCE_FILE: &str = "evidence.jsonl";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use aquifer_shared::base::ids::{Hash32, StudyHash};
    use aquifer_shared::protocol::aggregation::{Broken, Guard, MemberSet};

    use super::*;

    fn two_sets() -> Audit {
        let evidence = Evidence::Sets {
            roster: Hash32([1; 32]),
            held: MemberSet::of([1, 2, 3]),
            shown: MemberSet::of([1, 2, 4]),
        };
        Audit::Attempt {
            study: StudyHash([2; 32]),
            round: 3,
            attempt: 1,
            broken: Broken::Rule(Guard::OneSet),
            peer: None,
            exhibit: Exhibit::Two(Box::new(evidence)),
        }
    }

    #[test]
    fn a_line_is_added_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = EvidenceFile::of(folder.path());
        for _ in 0..2 {
            file.append(Timestamp(7), &two_sets()).unwrap();
        }
        let text = std::fs::read_to_string(file.path()).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["rule"], "one-set");
        assert_eq!(lines[0]["shown"]["sets"][1], json!([1, 2, 4]));
        let mode = std::fs::metadata(file.path()).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_full_file_takes_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let file = EvidenceFile::of(folder.path());
        let made = std::fs::File::create(file.path()).unwrap();
        made.set_len(EVIDENCE_BYTES_MAX).unwrap();
        assert!(file.append(Timestamp(7), &two_sets()).is_err());
    }
}
