//! What a card says of the programs of nodes: what each reported, what the settings demanded, and that a report is no attestation.

use std::collections::{BTreeMap, BTreeSet};

use super::lines::{Line, Section};
use super::log::{Fact, Log, NoDocument};
use crate::base::ids::Hash32;
use crate::domain::history::Kind;
use crate::domain::pack::{Programs, demanded_programs};

/// Programs of all sums of a release.
pub(super) fn section(log: &Log, released: &Fact, study: &Fact) -> Result<Section, NoDocument> {
    let id = released.needed_text("study")?;
    let sums = log.of_kind(Kind::RoundAggregated);
    let reported = Reported::of(sums.filter(|fact| fact.text("study") == Some(&id)))?;
    let roster = Roster::of(log, study)?;
    let mut lines: Vec<Line> = Vec::new();
    for (program, (nodes, sums)) in &reported.programs {
        let (names, mut from) = roster.names(nodes);
        from.extend(sums);
        from.sort_unstable();
        from.dedup();
        let value = format!("{program}: {}", names.join(", "));
        lines.push(Line::of("node_program", REPORTED, value, &from));
    }
    if !reported.silent.is_empty() {
        let value = "not named for every node of these sums";
        lines.push(Line::of("node_program", REPORTED, value, &reported.silent));
    }
    lines.push(demanded(log, released));
    lines.push(Line::of(
        "node_program_limits",
        "What a report is worth",
        LIMITS,
        &[],
    ));
    Ok(Section {
        title: "Programs of the nodes",
        lines,
    })
}

/// What sums say.
#[derive(Default)]
struct Reported {
    /// Nodes and entries, by program.
    programs: BTreeMap<Hash32, (BTreeSet<u32>, Vec<u64>)>,
    /// Entries that leave a node out.
    silent: Vec<u64>,
}

impl Reported {
    fn of<'a>(sums: impl Iterator<Item = &'a Fact>) -> Result<Self, NoDocument> {
        let mut all = Self::default();
        for sum in sums {
            let programs = Programs::of(&sum.payload);
            let programs = programs.map_err(|_| sum.contradicted("programs", EXPECTED))?;
            let programs = programs.unwrap_or_default();
            if programs.by_digest.is_empty() || !programs.unknown.is_empty() {
                all.silent.push(sum.index);
            }
            for (program, nodes) in programs.by_digest {
                let (own, entries) = all.programs.entry(program).or_default();
                own.extend(nodes);
                entries.push(sum.index);
            }
        }
        Ok(all)
    }
}

/// Names of a study's members, as far as the log says them.
struct Roster<'a> {
    study: u64,
    keys: Vec<String>,
    /// By key: name, and the entry that says it.
    names: BTreeMap<&'a str, (&'a str, u64)>,
}

impl<'a> Roster<'a> {
    fn of(log: &'a Log, study: &Fact) -> Result<Self, NoDocument> {
        let enrolled = log.of_kind(Kind::NodeEnrolled);
        let named = enrolled.filter_map(|fact| {
            let (key, name) = (fact.text("key")?, fact.text("name")?);
            Some((key, (name, fact.index)))
        });
        Ok(Self {
            study: study.index,
            keys: study.texts("nodes")?,
            names: named.collect(),
        })
    }

    /// Names of nodes, and the entries that say them; their places in the roster where the log does not.
    fn names(&self, nodes: &BTreeSet<u32>) -> (Vec<String>, Vec<u64>) {
        let mut from = Vec::new();
        let mut name = |node: &u32| {
            let key = self.keys.get(*node as usize);
            let Some((name, entry)) = key.and_then(|key| self.names.get(key.as_str())) else {
                return format!("place {node} of the roster");
            };
            from.extend([self.study, *entry]);
            (*name).to_owned()
        };
        let names = nodes.iter().map(&mut name).collect();
        (names, from)
    }
}

/// What the settings demanded when the model was released.
fn demanded(log: &Log, released: &Fact) -> Line {
    let mut all = log.of_kind(Kind::PackLoaded).rev();
    let found = all.find_map(|fact| {
        let programs = demanded_programs(&fact.payload)?;
        (fact.index < released.index).then_some((fact.index, programs))
    });
    let found = found.filter(|(_, programs)| !programs.is_empty());
    let (value, from) = match found {
        Some((index, programs)) => {
            let programs: Vec<String> = programs.into_iter().collect();
            (programs.join(", "), vec![index])
        }
        None => ("none".to_owned(), Vec::new()),
    };
    Line::of("node_programs_demanded", DEMANDED, value, &from)
}

const REPORTED: &str = "Program that nodes reported to run (SHA-256)";
const DEMANDED: &str = "Programs that the settings demanded (SHA-256)";
const EXPECTED: &str = "the program of each node of the sum, once";
const LIMITS: &str = "self-reported: each node reads the file that it runs from and says so itself; this is no remote attestation";
