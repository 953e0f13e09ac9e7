//! `aquifer-node audit replay-eligibility`: every cut that the history tells of, taken again from the consent ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use aquifer_shared::base::ids::{AttemptId, Hash32};
use aquifer_shared::domain::history::{Json, Kind};
use aquifer_shared::shell::history::Entry;
use aquifer_shared::shell::report::{Outcome, Table, note, print_json, refuse};
use serde::Serialize;

use super::log::{Reader, payload, read};
use crate::core::gatekeeper::Gatekeeper;
use crate::core::replay::{Counts, LoggedCut, Replay, told_digest};
use crate::shell::config::NodeConfig;
use crate::shell::consent::ConsentLedger;
use crate::shell::consent::time::written;
use crate::shell::usage::{KeptMask, UsageLedger};

/// Which cuts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Of studies whose hash begins so.
    pub study: Option<&'a str>,
    /// The one that this entry of the history tells of.
    pub entry: Option<u64>,
}

/// What was found about one cut.
///
/// # Privacy
///
/// Exact numbers of persons: for the unit's own people and its auditors, at the unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Its entry in the history.
    pub entry: u64,
    /// The entry with the digest of the recorded set.
    pub set_entry: Option<u64>,
    /// The attempt that rests on it.
    pub attempt: Option<String>,
    /// The study.
    pub study: Option<String>,
    /// For which purpose.
    pub purpose: Option<String>,
    /// When it was taken.
    pub cut_at: Option<String>,
    /// Persons in the recorded set.
    pub counted: Option<u64>,
    /// Of them eligible by the consent ledger, at least.
    pub eligible_min: Option<u64>,
    /// And at most: with those who were erased since.
    pub eligible_max: Option<u64>,
    /// Erased since.
    pub erased: Option<u64>,
    /// In the recorded set, and not eligible by the consent ledger.
    pub denied: Option<u64>,
    /// `present`, `missing` or `contradicted`.
    pub evidence: &'static str,
    /// Why it is not present.
    pub why: Option<&'static str>,
}

/// Prints every cut that is wanted with what was found; refused where evidence is contradicted.
///
/// # Errors
///
/// The history does not verify, or a ledger or node.toml cannot be read.
pub(super) fn run(directory: &Path, wanted: Wanted<'_>, json: bool) -> anyhow::Result<Outcome> {
    let config = NodeConfig::load(directory)?;
    let Some(gatekeeper) = config.gatekeeper(directory)? else {
        let why = "node.toml has no [people]: no table is read without, so that there are no cuts";
        return refuse(json, "people", why);
    };
    let (_, cuts) = read(directory, 0..0, |_| Ok(Cuts::default()))?;
    let lines = lines(directory, (&cuts, wanted), &gatekeeper)?;
    if json {
        print_json(&lines)?;
    } else {
        show(&lines)?;
    }
    let contradicted = lines.iter().any(|line| line.evidence == CONTRADICTED);
    Ok(match contradicted {
        true => Outcome::Refused,
        false => Outcome::Done,
    })
}

/// Entries of a history that tell of cuts.
#[derive(Debug, Default)]
pub(super) struct Cuts(Vec<Entry>);

impl Reader for Cuts {
    fn take(&mut self, entry: Entry) -> anyhow::Result<()> {
        if entry.leaf.kind == Kind::RoundCut {
            self.0.push(entry);
        }
        Ok(())
    }
}

/// What was found about each cut, in the order of the history.
pub(super) fn lines(
    directory: &Path,
    (told_of, wanted): (&Cuts, Wanted<'_>),
    gatekeeper: &Gatekeeper,
) -> anyhow::Result<Vec<Line>> {
    let (cuts, mut lines, sets) = told(told_of, wanted);
    if cuts.is_empty() {
        return Ok(lines);
    }
    let mut ledger = ConsentLedger::open(directory)?;
    let mut usage = UsageLedger::open(directory)?;
    let (notices, numbered) = (ledger.notices()?, usage.numbered()?);
    let mut replay = Replay::new(gatekeeper, notices, numbered, ledger.erased()?);
    let mut taken = 0;
    for cut in cuts {
        while taken < cut.upto {
            let (events, last) = ledger.between(taken, cut.upto)?;
            // What is not there any more was erased, or is missed by whoever counts entries.
            taken = if events.is_empty() { cut.upto } else { last };
            replay.take(events)?;
        }
        let kept = usage.mask_of(&cut.attempt)?;
        let set = sets.get(&cut.attempt).copied();
        let rules = gatekeeper.book().digest();
        lines.push(judged(&cut, (set, kept), rules, &mut replay));
    }
    lines.sort_by_key(|line| line.entry);
    Ok(lines)
}

/// The digest that the history tells of a set, and where.
type ToldSet = (u64, Hash32);

/// Cuts in the order of what they saw, lines of those that say too little, and the digests of sets by attempt.
fn told(
    told_of: &Cuts,
    wanted: Wanted<'_>,
) -> (Vec<LoggedCut>, Vec<Line>, BTreeMap<AttemptId, ToldSet>) {
    let (mut cuts, mut lines, mut sets) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut with_cut = BTreeSet::new();
    for entry in &told_of.0 {
        let (index, payload) = (entry.leaf.seq, payload(entry));
        if let Some((attempt, digest)) = payload.as_ref().and_then(told_digest) {
            sets.entry(attempt).or_insert((index, digest));
            continue;
        }
        let text = |key: &str| Some(payload.as_ref()?.get(key)?.as_text()?.to_owned());
        let study = text("study").unwrap_or_default();
        let is_wanted = wanted.study.is_none_or(|start| study.starts_with(start))
            && wanted.entry.is_none_or(|wanted| wanted == index);
        with_cut.extend(text("attempt"));
        if !is_wanted {
            continue;
        }
        let read = |payload: &Json| LoggedCut::read(index, entry.leaf.policy, payload);
        match payload.as_ref().and_then(read) {
            Some(cut) => cuts.push(cut),
            None => lines.push(Line {
                attempt: text("attempt"),
                study: text("study"),
                purpose: text("purpose"),
                why: Some(TOO_LITTLE),
                ..nothing(index)
            }),
        }
    }
    if wanted.study.is_none() {
        lines.extend(without_cut(&sets, &with_cut, wanted.entry));
    }
    cuts.sort_by_key(|cut| (cut.upto, cut.entry));
    (cuts, lines, sets)
}

/// Sums that were charged, as the digests of their sets say, and whose cuts the history does not tell: the node ended before it was told.
fn without_cut(
    sets: &BTreeMap<AttemptId, ToldSet>,
    with_cut: &BTreeSet<String>,
    wanted: Option<u64>,
) -> Vec<Line> {
    let lost = sets.iter().filter(|(attempt, (entry, _))| {
        wanted.is_none_or(|wanted| wanted == *entry) && !with_cut.contains(&attempt.to_string())
    });
    let line = |(attempt, (entry, _)): (&AttemptId, &ToldSet)| Line {
        set_entry: Some(*entry),
        attempt: Some(attempt.to_string()),
        why: Some(NO_CUT),
        ..nothing(*entry)
    };
    lost.map(line).collect()
}

fn judged(
    cut: &LoggedCut,
    (set, kept): (Option<ToldSet>, Option<KeptMask>),
    rules: Hash32,
    replay: &mut Replay<'_>,
) -> Line {
    let line = Line {
        set_entry: set.map(|(entry, _)| entry),
        attempt: Some(cut.attempt.to_string()),
        study: Some(cut.study.to_string()),
        purpose: Some(cut.purpose.to_string()),
        cut_at: Some(written(cut.at)),
        ..nothing(cut.entry)
    };
    let missing = |why| Line {
        why: Some(why),
        ..line.clone()
    };
    let contradicted = |why| Line {
        evidence: CONTRADICTED,
        why: Some(why),
        ..line.clone()
    };
    let (Some((_, told)), Some(kept)) = (set, kept) else {
        return missing(NOT_RECORDED);
    };
    if kept.numbers.digest() != told || kept.digest != told {
        return contradicted(OTHER_SET);
    }
    if cut.rules != rules {
        return missing(OTHER_RULES);
    }
    match replay.cut(cut, &kept.numbers) {
        None => missing(OTHER_RULES),
        Some(counts) if counts.denied > 0 => counted(contradicted(NOT_ELIGIBLE), counts),
        Some(counts) => Line {
            evidence: PRESENT,
            why: None,
            ..counted(line, counts)
        },
    }
}

fn counted(line: Line, counts: Counts) -> Line {
    let (least, most) = counts.range();
    Line {
        counted: Some(counts.counted),
        eligible_min: Some(least),
        eligible_max: Some(most),
        erased: Some(counts.erased),
        denied: Some(counts.denied),
        ..line
    }
}

fn nothing(entry: u64) -> Line {
    Line {
        entry,
        set_entry: None,
        attempt: None,
        study: None,
        purpose: None,
        cut_at: None,
        counted: None,
        eligible_min: None,
        eligible_max: None,
        erased: None,
        denied: None,
        evidence: MISSING,
        why: None,
    }
}

fn show(lines: &[Line]) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        "ENTRY", "STUDY", "PURPOSE", "CUT AT", "COUNTED", "ELIGIBLE", "EVIDENCE",
    ]);
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    for line in lines {
        let eligible = match (line.eligible_min, line.eligible_max) {
            (Some(least), Some(most)) if least == most => least.to_string(),
            (Some(least), Some(most)) => format!("{least} to {most}"),
            _ => "?".to_owned(),
        };
        table.row([
            line.entry.to_string(),
            text(&line.study).chars().take(12).collect(),
            text(&line.purpose),
            text(&line.cut_at),
            line.counted.map_or("?".to_owned(), |own| own.to_string()),
            eligible,
            line.evidence.to_owned(),
        ]);
    }
    table.print().context("nothing can be printed")?;
    for line in lines.iter().filter(|line| line.why.is_some()) {
        note(&format!(
            "entry {}: evidence {}: {}",
            line.entry,
            line.evidence,
            line.why.unwrap_or_default()
        ));
    }
    if lines.is_empty() {
        note("the history tells of no such cut");
    }
    Ok(())
}

const PRESENT: &str = "present";
const MISSING: &str = "missing";
const CONTRADICTED: &str = "contradicted";
const TOO_LITTLE: &str = "the entry says too little to take the cut again: it is of an older version, or names more columns than an entry holds";
const NO_CUT: &str = "the history tells no cut of it: the node ended before it was entered";
const NOT_RECORDED: &str = "no set of persons was recorded: the sum was never charged, or the node ended before it was written; everybody counts then";
const OTHER_SET: &str = "the usage ledger has another set of persons than the one whose digest is in the history: ask the data protection officer who wrote to usage.db";
const OTHER_RULES: &str = "it was decided under other rules than those in node.toml: replay it with the purposes and packs of that time";
const NOT_ELIGIBLE: &str = "persons were counted who are not eligible by the consent ledger: ask the data protection officer what was changed in consent.db or [people]";
