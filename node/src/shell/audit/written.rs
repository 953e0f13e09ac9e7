//! Packs that were made of the unit's history: copies of what it says of persons, which no erasure reaches. Knows folders, and no person.
//!
//! Each is noted before its folder is there, so that no crash leaves one that nobody knows of; the history hears of it afterwards.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use aquifer_shared::base::hash::labelled;
use aquifer_shared::domain::history::{ActorKind, ActorRole, Event, Json, Kind};
use aquifer_shared::shell::pack_folder;
use serde::{Deserialize, Serialize};

use crate::core::chronicle::Keyed;
use crate::shell::telling::hex;

/// A pack that was made.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MadePack {
    /// Where it was written.
    pub folder: PathBuf,
    /// Of which quarter.
    pub quarter: String,
    /// SHA-256 of its manifest.
    pub manifest: String,
    /// When the history was about to be read for it, in milliseconds since 1970.
    pub read_at: i64,
}

impl MadePack {
    /// Notes it in the node's directory; durable on return.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or the folder has a name that is no text.
    pub fn note(&self, directory: &Path) -> anyhow::Result<()> {
        let path = directory.join(PACKS);
        let could_not = || format!("could not write {}", path.display());
        let line = serde_json::to_string(self).with_context(could_not)?;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = options.open(&path).with_context(could_not)?;
        let begin = if is_torn(&mut file).with_context(could_not)? {
            "\n"
        } else {
            ""
        };
        let written = file.write_all(format!("{begin}{line}\n").as_bytes());
        written.with_context(could_not)?;
        file.sync_all().with_context(could_not)
    }

    /// What somebody must remove by hand, in words.
    #[must_use]
    pub fn by_hand(&self) -> String {
        let (quarter, folder) = (&self.quarter, self.folder.display());
        let left = pack_folder::left(&self.folder);
        let left: Vec<String> = left.iter().map(|own| own.display().to_string()).collect();
        match left.is_empty() {
            true => format!(
                "the audit pack of {quarter} that was made as {folder} is not there any more: remove it by hand wherever it was taken"
            ),
            false => format!(
                "the audit pack of {quarter} may hold what the history said about the person: remove it by hand: {}",
                left.join(", ")
            ),
        }
    }

    fn told(&self) -> Keyed {
        let folder = self.folder.to_string_lossy();
        let fields = [
            ("event_at", Json::from(self.read_at)),
            ("folder", Json::from(&*folder)),
            ("manifest", Json::from(self.manifest.as_str())),
            ("quarter", Json::from(self.quarter.as_str())),
        ];
        let payload = Json::object(fields);
        let own = labelled("aquifer/pack-made/v1", &[payload.to_text().as_bytes()]);
        let event = Event::of_program(Kind::ReportGenerated, payload);
        let event = event.by(ActorKind::Person, ActorRole::Unit);
        (format!("pack/{}", hex(&own.0[..16])), event)
    }
}

/// All packs that were noted. What cannot be read was being noted when the machine stopped: its folder was never begun.
///
/// # Errors
///
/// The notes cannot be read.
pub fn made_packs(directory: &Path) -> anyhow::Result<Vec<MadePack>> {
    let path = directory.join(PACKS);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("could not read {}", path.display()));
        }
    };
    // As bytes: a line may end within a letter.
    let lines = bytes.split(|byte| *byte == b'\n');
    Ok(lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

/// What the history is told of packs, each with its key. Blocks.
///
/// # Errors
///
/// The notes cannot be read.
pub fn packs_told(directory: &Path) -> anyhow::Result<Vec<Keyed>> {
    Ok(made_packs(directory)?.iter().map(MadePack::told).collect())
}

/// Whether the last line has no end.
fn is_torn(file: &mut File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Notes of all packs, in the node's directory.
const PACKS: &str = "audit-packs.jsonl";

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(folder: &Path, name: &str) -> MadePack {
        MadePack {
            folder: folder.join(name),
            quarter: "2026Q4".to_owned(),
            manifest: "00".repeat(32),
            read_at: 7,
        }
    }

    #[test]
    fn a_pack_that_was_noted_is_told_under_one_key() {
        let folder = tempfile::tempdir().unwrap();
        assert!(packs_told(folder.path()).unwrap().is_empty());
        let packs = ["north", "south"].map(|name| pack(folder.path(), name));
        packs
            .iter()
            .for_each(|own| own.note(folder.path()).unwrap());
        let told = packs_told(folder.path()).unwrap();
        assert_eq!(packs_told(folder.path()).unwrap(), told);
        assert_eq!(told.len(), 2);
        assert_ne!(told[0].0, told[1].0);
        let event = &told[1].1;
        assert_eq!(event.kind, Kind::ReportGenerated);
        let payload = event.payload.to_text();
        assert!(payload.contains("/south\",\"manifest\":\"00"), "{payload}");
        assert!(payload.contains("\"quarter\":\"2026Q4\""), "{payload}");
    }

    #[test]
    fn a_note_that_was_cut_short_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let packs = ["north", "south"].map(|name| pack(folder.path(), name));
        packs[0].note(folder.path()).unwrap();
        let path = folder.path().join(PACKS);
        let mut text = fs::read_to_string(&path).unwrap();
        text += "{\"folder\":\"/ea";
        fs::write(&path, text).unwrap();
        packs[1].note(folder.path()).unwrap();
        assert_eq!(made_packs(folder.path()).unwrap(), packs);
    }

    #[test]
    fn what_is_left_of_a_pack_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let own = pack(folder.path(), "north");
        assert!(own.by_hand().contains("not there any more"));
        let part = folder.path().join(".north.12.part");
        fs::create_dir(&part).unwrap();
        fs::create_dir(&own.folder).unwrap();
        let words = own.by_hand();
        assert!(words.contains(&*own.folder.to_string_lossy()), "{words}");
        assert!(words.contains(".north.12.part"), "{words}");
    }
}
