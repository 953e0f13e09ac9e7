//! What follows the making of an audit pack, at the coordinator's command and at a unit's: it is checked as an auditor would, and written.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::pack_folder::Taken;
use super::report::{self, Outcome, printable};
use crate::base::hash::sha256;
use crate::domain::pack::{Against, Book, Check, Files, Finding, LogPolicy, State, verify};

/// Refuses what does not hold together; tells what an auditor will miss.
///
/// # Errors
///
/// The first check that fails, but for those that need what only people have.
pub fn lacking(files: &Files, policy: &LogPolicy, books: &[Book]) -> anyhow::Result<Vec<String>> {
    let against = Against {
        policy: Some(policy),
        ..Against::default()
    };
    let mut lacking = Vec::new();
    for checked in verify(files, &against).0 {
        if checked.state != State::Failed {
            continue;
        }
        let first = checked.findings.first().map_or_else(String::new, in_words);
        let name = checked.check.name();
        match checked.check {
            Check::Policy | Check::Witnesses => {
                lacking.push(format!("check {name} will fail: {first}"))
            }
            _ => bail!("the history does not hold together, check {name}: {first}"),
        }
    }
    lacking.extend(unread_clocks(files, books)?);
    Ok(lacking)
}

/// Clocks of rule packs that are written in another way than line by line, which no verifier reads.
fn unread_clocks(files: &Files, books: &[Book]) -> anyhow::Result<Option<String>> {
    let rights = files.get("rights/clocks.json").unwrap_or_default();
    let rights: Value = serde_json::from_slice(rights).context("rights/clocks.json")?;
    let found = rights["clocks"].as_array().map_or(0, Vec::len);
    let mut expected = 0;
    for text in books.iter().flat_map(|book| &book.packs) {
        let pack: toml::Table = toml::from_str(text).context("a rule pack is no TOML")?;
        let rules = pack.get("rule").and_then(toml::Value::as_array);
        let keys = rules
            .into_iter()
            .flatten()
            .filter_map(|rule| rule.get("key")?.as_str());
        expected += keys.filter(|key| key.starts_with("clock_")).count();
    }
    Ok((found != expected).then(|| {
        format!("rights/clocks.json has {found} of {expected} clocks: write rules as tables [[rule]], one value in each line")
    }))
}

/// A finding with its place.
#[must_use]
pub fn in_words(finding: &Finding) -> String {
    let file = printable(&finding.file);
    match finding.index {
        Some(index) => format!("{file} entry {index}: {}", finding.what),
        None => format!("{file}: {}", finding.what),
    }
}

/// How a pack is written into a new folder.
pub type Write = fn(&Path, &Files) -> anyhow::Result<()>;

/// Writes a pack into a new folder, and says what it is and what it lacks.
///
/// # Errors
///
/// It cannot be written.
pub fn keep(
    json: bool,
    (folder, write): (&Path, Write),
    files: &Files,
    lacking: &[String],
) -> anyhow::Result<Outcome> {
    match write(folder, files) {
        Ok(()) => {}
        Err(error) if error.is::<Taken>() => {
            return report::refuse(json, "taken", &report::chain(&error));
        }
        Err(error) => return Err(error),
    }
    for line in lacking {
        report::note(line);
    }
    let folder = folder.display().to_string();
    let manifest = sha256(files.manifest().as_bytes()).to_string();
    if json {
        report::print_json(&json!({"folder": folder, "manifest": manifest, "lacking": lacking}))?;
    } else {
        report::print(&format!(
            "written to {folder}\nSHA-256 of its manifest {manifest}\n"
        ))?;
    }
    Ok(Outcome::Done)
}
