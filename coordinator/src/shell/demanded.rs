//! `[nodes]` of coordinator.toml: which programs nodes may run, and what becomes of a node that reports another one.
//!
//! A node reports the SHA-256 of its own file. That finds old versions and mix-ups; a machine that lies about its programs can lie about
//! that as well.

use std::collections::BTreeMap;
use std::time::Duration;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::limits::PROGRAMS_MAX;
use aquifer_shared::base::units::OutOfRange;
use aquifer_shared::domain::pack::demands_programs;
use aquifer_shared::protocol::program::ProgramRefused;
use aquifer_shared::protocol::wire::CloseReason;
use aquifer_shared::shell::history::{History, HistoryFault};
use aquifer_shared::shell::platform::within;
use aquifer_shared::shell::quic::{close, send};
use quinn::{Connection, SendStream};
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::front::Front;
use super::store::Party;
use crate::core::chronicle::program_refused;

/// `[nodes]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NodesConfig {
    /// Programs that nodes may run.
    pub programs: ProgramList,
}

/// SHA-256 of programs, each once, in order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct ProgramList(Vec<Hash32>);

impl ProgramList {
    /// What a node hears that reported this program; none where it may run it.
    #[must_use]
    pub fn refusal(&self, found: Hash32) -> Option<ProgramRefused> {
        let listed = self.0.binary_search(&found).is_ok();
        (!listed).then(|| ProgramRefused {
            found,
            expected: self.0.clone(),
        })
    }
}

impl Config {
    /// Programs that nodes may run; any where nothing is demanded.
    #[must_use]
    pub fn demanded(&self) -> Option<ProgramList> {
        Some(self.nodes.as_ref()?.programs.clone())
    }
}

impl TryFrom<Vec<String>> for ProgramList {
    type Error = OutOfRange;

    fn try_from(texts: Vec<String>) -> Result<Self, OutOfRange> {
        let wrong = |got: String| OutOfRange {
            what: "programs of nodes",
            expected: "1 to 64 SHA-256 of 64 hexadecimal digits, each once",
            got,
        };
        let mut programs = Vec::new();
        for text in &texts {
            let program = text.parse::<Hash32>();
            programs.push(program.map_err(|error| wrong(error.got))?);
        }
        programs.sort_unstable();
        programs.dedup();
        let fits = programs.len() == texts.len() && (1..=PROGRAMS_MAX).contains(&texts.len());
        match fits {
            true => Ok(Self(programs)),
            false => Err(wrong(format!(
                "{}, {} of them different",
                texts.len(),
                programs.len()
            ))),
        }
    }
}

impl From<ProgramList> for Vec<String> {
    fn from(list: ProgramList) -> Self {
        list.0.iter().map(ToString::to_string).collect()
    }
}

/// The section as `coordinator.toml` has it; a comment where nothing is demanded.
pub(super) fn section(nodes: Option<&NodesConfig>) -> String {
    let section = nodes.map(|nodes| toml::to_string(&BTreeMap::from([("nodes", nodes)])));
    match section {
        Some(Ok(section)) => format!("{HEADING}{section}"),
        _ => format!("{HEADING}{SAMPLE}"),
    }
}

/// Enters which programs are demanded, where that is not what was entered last.
///
/// # Errors
///
/// The history cannot be used.
pub(super) async fn declare_programs(
    history: &History,
    demanded: Option<&ProgramList>,
) -> Result<(), HistoryFault> {
    let programs = demanded.map_or(&[][..], |list| &list.0);
    let texts: Vec<String> = programs.iter().map(ToString::to_string).collect();
    let (now, known) = (texts.join(" "), history.kept(DEMANDED).await?);
    if known.unwrap_or_default() == now {
        return Ok(());
    }
    history.append(vec![demands_programs(programs)]).await?;
    history.keep(DEMANDED, now).await
}

/// Tells a node that its program is not on the list, enters that, and closes.
pub(super) async fn turn_away(
    front: &Front,
    (connection, mut sending): (&Connection, SendStream),
    party: &Party,
    refused: &ProgramRefused,
) {
    tracing::warn!(node = %party.name, program = %refused.found, rule = "nodes.programs", "node refused: its program is not on the list");
    if let Some(chronicle) = front.chronicle() {
        let now = front.platform.now();
        let (key, event) = program_refused(&party.identity, refused, now);
        chronicle.history.note(Some(key), event).await;
    }
    if send(&mut sending, refused).await.is_ok() && sending.finish().is_ok() {
        // The answer is lost if the connection goes before the node has read it.
        let _ = within(&*front.platform, READ_TIMEOUT, connection.closed()).await;
    }
    close(connection, CloseReason::Program);
}

/// How long a node may take to read that it is refused.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Beside the history: what was demanded last.
const DEMANDED: &str = "programs";
const HEADING: &str = "
# Programs that nodes may run, by the SHA-256 of the file (sha256sum aquifer-node). A node that reports another one is refused. Nodes report
# it themselves: this finds old versions and mix-ups, and is no remote attestation. Without this section any program may join.
";
const SAMPLE: &str = "# [nodes]
# programs = [\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"]
";

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Result<ProgramList, OutOfRange> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        texts.try_into()
    }

    fn digest(digit: u8) -> String {
        Hash32([digit; 32]).to_string()
    }

    #[test]
    fn only_what_is_listed_may_run() {
        let list = list(&[&digest(7), &digest(2)]).unwrap();
        for good in [2, 7] {
            assert_eq!(list.refusal(Hash32([good; 32])), None);
        }
        let refused = list.refusal(Hash32([3; 32])).unwrap();
        assert_eq!(refused.found, Hash32([3; 32]));
        assert_eq!(refused.expected, [Hash32([2; 32]), Hash32([7; 32])]);
    }

    #[track_caller]
    fn check_refused(texts: &[&str], got: &str) {
        let error = list(texts).unwrap_err();
        assert!(error.to_string().contains(got), "{error}");
    }

    #[test]
    fn a_list_has_digests_each_once() {
        check_refused(&[], "0");
        check_refused(&[&digest(1), &digest(1)], "2, 1 of them different");
        check_refused(&["sha256:00"], "9 characters");
        let many: Vec<String> = (0..=64).map(digest).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check_refused(&many, "65");
        assert!(list(&many[1..]).is_ok());
    }

    #[test]
    fn the_section_reads_back() {
        let nodes = NodesConfig {
            programs: list(&[&digest(7)]).unwrap(),
        };
        let text = section(Some(&nodes));
        let read: BTreeMap<String, NodesConfig> = toml::from_str(&text).unwrap();
        assert_eq!(read["nodes"], nodes);
        let shown = SAMPLE.replace("# ", "");
        let read: BTreeMap<String, NodesConfig> = toml::from_str(&shown).unwrap();
        assert_eq!(read["nodes"].programs.0.len(), 1);
        assert!(
            section(None)
                .lines()
                .all(|line| line.is_empty() || line.starts_with('#'))
        );
    }
}
