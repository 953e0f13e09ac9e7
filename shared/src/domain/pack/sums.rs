//! Sums of a pack and the programs that their nodes reported: each in form, and held against what the settings demanded by then, which may
//! have been entered before the pack begins.
//!
//! A program that was not demanded is no fault of the log: it is told in the report, as evidence that is contradicted.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::Finding;
use super::entry::{Body, raw};
use super::layout::PAYLOADS;
use super::open::Contents;
use super::programs::{BadPrograms, Programs, demanded_programs};
use super::range::list_of;
use crate::base::limits::PACK_PROGRAMS_TOLD_MAX;
use crate::domain::history::{Json, Kind};

/// What the sums of a pack say.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Entries that are not in form.
    pub(super) findings: Vec<Finding>,
    /// Sums by program, and whether it was demanded.
    told: BTreeMap<(String, &'static str), u64>,
    /// A sum does not name the program of a node.
    silent: bool,
}

impl Sums {
    pub(super) fn of(contents: &Contents) -> Self {
        let earlier = contents.earlier.iter().rev();
        let mut lists = earlier.filter_map(|entry| list_of(&entry.leaf, &entry.body));
        let (mut sums, mut demanded) = (Self::default(), lists.next().unwrap_or_default());
        let entries = (contents.first..).zip(contents.leaves.iter().zip(&contents.bodies));
        for (index, (leaf, (_, body))) in entries {
            let code = raw::kind(leaf);
            let (sum, declared) = (Kind::RoundAggregated.code(), Kind::PackLoaded.code());
            let Body::Kept { payload, .. } = body else {
                continue;
            };
            if code != sum && code != declared {
                continue;
            }
            // What cannot be read is found by the check of payloads.
            let Ok(payload) = Json::parse(payload) else {
                continue;
            };
            if code == declared {
                demanded = demanded_programs(&payload).unwrap_or(demanded);
            } else {
                sums.add(index, Programs::of(&payload), &demanded);
            }
        }
        sums
    }

    fn add(
        &mut self,
        index: u64,
        said: Result<Option<Programs>, BadPrograms>,
        demanded: &BTreeSet<String>,
    ) {
        let programs = match said {
            Ok(Some(programs)) => programs,
            Ok(None) => {
                self.silent = true;
                return;
            }
            Err(bad) => {
                let finding = Finding::of(PAYLOADS, Some(index), bad.to_string());
                return self.findings.push(finding);
            }
        };
        self.silent |= !programs.unknown.is_empty();
        for program in programs.by_digest.keys().map(ToString::to_string) {
            let state = match demanded.contains(&program) {
                _ if demanded.is_empty() => UNASKED,
                true => "yes",
                false => OTHER,
            };
            *self.told.entry((program, state)).or_default() += 1;
        }
    }

    /// The rows of the report.
    pub(super) fn rows(&self) -> Json {
        let row = |((program, demanded), sums): (&(String, &'static str), &u64)| {
            Json::object([
                ("demanded", (*demanded).into()),
                ("sha256", program.as_str().into()),
                ("sums", (*sums).into()),
            ])
        };
        let rows = self.told.iter().take(PACK_PROGRAMS_TOLD_MAX);
        Json::List(rows.map(row).collect())
    }

    /// A node reported what was not demanded, or an entry is not in form.
    pub(super) fn is_contradicted(&self) -> bool {
        let other = self.told.keys().any(|(_, demanded)| *demanded == OTHER);
        other || !self.findings.is_empty()
    }

    /// Every sum, of at least one, names the program of each node.
    pub(super) fn is_whole(&self) -> bool {
        !self.told.is_empty() && !self.silent
    }
}

/// Nothing was demanded, as far as the pack says.
const UNASKED: &str = "no list";
const OTHER: &str = "no";
