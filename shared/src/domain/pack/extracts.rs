//! What a pack repeats for readers: the clocks of rights from the rules in force, and entries that raise an alarm.
//!
//! # Privacy
//!
//! Clocks are rules, not requests. How many persons asked for something stands in the pack of a unit's own log alone, which stays at the unit.

use std::collections::BTreeMap;

use super::checks::Finding;
use super::entry::{Body, raw};
use super::files::Files;
use super::layout::{BOOKS, BUNDLE, EXCEPTIONS, RIGHTS};
use super::open::Contents;
use crate::domain::history::{Json, Kind, Severity};

/// Fields of a rule that a line of clocks has, with their names there.
const FIELDS: [(&str, &str); 8] = [
    ("confidence", "confidence"),
    ("key", "clock"),
    ("origin", "origin"),
    ("ref", "ref"),
    ("reviewer", "reviewer"),
    ("valid_from", "valid_from"),
    ("valid_to", "valid_to"),
    ("value", "value"),
];

/// Clocks of all rule packs in the bundle, in the order of their files and lines.
pub(super) fn clocks(files: &Files) -> Vec<Json> {
    let texts = files
        .iter()
        .filter(|(path, _)| path.starts_with(BUNDLE) && *path != BOOKS);
    texts.flat_map(|(_, bytes)| clocks_of(bytes)).collect()
}

/// Clocks of one text; a text that is not UTF-8 has none.
fn clocks_of(bytes: &[u8]) -> Vec<Json> {
    let Ok(text) = str::from_utf8(bytes) else {
        return Vec::new();
    };
    let tables = tables(text);
    let pack = tables.iter().find(|table| table.name == "[pack]");
    let pack = pack.and_then(|table| table.get("id")).unwrap_or_default();
    let rules = tables.iter().filter(|table| table.name == "[[rule]]");
    let own = rules.filter(|rule| rule.get("key").is_some_and(|key| key.starts_with(CLOCK)));
    let line = |rule: &Table<'_>| {
        let fields = FIELDS.iter().map(|(key, name)| {
            let value = rule.get(key).map_or(Json::Null, Json::from);
            ((*name).to_owned(), value)
        });
        let pack = ("pack".to_owned(), pack.into());
        Json::Object(fields.chain([pack]).collect())
    };
    own.map(line).collect()
}

/// A table of a pack's text, read line by line: no more of TOML than packs are written in.
struct Table<'a> {
    name: &'a str,
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Table<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        let found = self.fields.iter().find(|(own, _)| *own == key);
        found.map(|(_, value)| *value)
    }
}

fn tables(text: &str) -> Vec<Table<'_>> {
    let mut tables: Vec<Table<'_>> = Vec::new();
    for line in text.split('\n').map(trimmed) {
        if line.starts_with('[') {
            tables.push(Table {
                name: line,
                fields: Vec::new(),
            });
        } else if let (Some((key, value)), Some(table)) = (line.split_once('='), tables.last_mut())
            && !line.starts_with('#')
        {
            table.fields.push((trimmed(key), unquoted(trimmed(value))));
        }
    }
    tables
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r'])
}

fn unquoted(text: &str) -> &str {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or(text)
}

/// The file of rights.
///
/// # Privacy
///
/// Exact counts of requests, where the log is a unit's own: they are about persons.
pub(super) fn rights(files: &Files, contents: &Contents) -> Json {
    let (counts, notice) = match contents.policy.log.is_of_unit() {
        true => (requests(contents), UNIT_NOTICE),
        false => (Json::Null, NOTICE),
    };
    Json::object([
        ("clocks", Json::List(clocks(files))),
        ("counts", counts),
        ("notice", notice.into()),
    ])
}

/// Entries about requests of persons, by kind.
fn requests(contents: &Contents) -> Json {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let kinds = contents.leaves.iter().map(raw::kind);
    let kinds = kinds.filter(|code| code >> 8 == REQUESTS);
    for kind in kinds.filter_map(Kind::of_code) {
        *counts.entry(kind.name().to_owned()).or_default() += 1;
    }
    let counts = counts.into_iter().map(|(kind, count)| (kind, count.into()));
    Json::Object(counts.collect())
}

/// The file of alarms: `INDEX KIND PAYLOAD`, or `INDEX KIND erased`.
pub(super) fn exceptions(contents: &Contents) -> Vec<u8> {
    let mut lines = Vec::new();
    for (index, leaf) in (contents.first..).zip(&contents.leaves) {
        let kind = Kind::of_code(raw::kind(leaf));
        let Some(kind) = kind.filter(|kind| kind.severity() == Severity::Alarm) else {
            continue;
        };
        lines.extend(format!("{index} {} ", kind.name()).as_bytes());
        let place = usize::try_from(index - contents.first).unwrap_or(usize::MAX);
        match contents.bodies.get(place) {
            Some((_, Body::Kept { payload, .. })) => lines.extend(payload),
            _ => lines.extend(b"erased"),
        }
        lines.push(b'\n');
    }
    lines
}

/// Both files against what they were made of.
pub(super) fn check(files: &Files, contents: &Contents) -> Vec<Finding> {
    let mut findings = Vec::new();
    if files.get(RIGHTS) != Some(rights(files, contents).to_text().as_bytes()) {
        let what = "not the clocks of the rules in the bundle, or not the counts of the log";
        findings.push(Finding::of(RIGHTS, None, what));
    }
    if files.get(EXCEPTIONS) != Some(exceptions(contents).as_slice()) {
        let what = "not the alarms of the log";
        findings.push(Finding::of(EXCEPTIONS, None, what));
    }
    findings
}

/// The group of kinds about requests of persons.
const REQUESTS: u16 = 0x08;
/// How keys of clocks begin.
const CLOCK: &str = "clock_";
const NOTICE: &str = "Clocks are those of the rules in force, in the unit that each names. No count of requests is in this pack: no unit releases one. Exact counts stay at each unit, which lists its own (aquifer-node rights list).";

const UNIT_NOTICE: &str = "Clocks are those of the rules in force, in the unit that each names. Counts are exact, by kind, of the entries in this pack: they are about persons, and stay at the unit as this pack does. The unit lists its requests with what is due (aquifer-node rights list).";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::law::vendored;

    /// The reading by lines finds what the reading of packs finds.
    #[test]
    fn clocks_of_the_packs_that_come_along_are_all_found() {
        for (name, text) in vendored::PACKS {
            let found = clocks_of(text.as_bytes());
            let expected = text.matches("\nkey = \"clock_").count();
            assert_eq!(found.len(), expected, "{name}");
            for clock in &found {
                let text = |key: &str| clock.get(key).and_then(Json::as_text).unwrap();
                assert_eq!(Some(text("pack")), name.strip_suffix(".toml"));
                assert!(text("value").parse::<u32>().is_ok(), "{clock:?}");
                assert_eq!(text("reviewer"), "none");
                assert!(["law", "guidance"].contains(&text("origin")));
            }
        }
    }

    #[test]
    fn other_tables_and_comments_are_no_clocks() {
        let text = "[pack]\nid = \"x\"\n[[rule]]\n# key = \"clock_a\"\nkey = \"bases\"\n[other]\nkey = \"clock_b\"\n";
        assert!(clocks_of(text.as_bytes()).is_empty());
        let clock = "[[rule]]\r\n\tkey = \"clock_c\"\nvalue=3 \n";
        let found = clocks_of(clock.as_bytes());
        assert_eq!(found[0].get("value"), Some(&Json::from("3")));
        assert_eq!(found[0].get("ref"), Some(&Json::Null));
        assert!(clocks_of(b"[[rule]]\nkey = \"clock_c\"\n\xff").is_empty());
    }
}
