//! All checks of a pack, each on its own: one that fails does not keep another from being done.

use std::collections::{BTreeMap, BTreeSet};

use super::book;
use super::budget::Figures;
use super::checks::{Check, Checked, Finding, Verdict};
use super::entry::{Entry, raw};
use super::files::Files;
use super::layout::{
    BUNDLE, EARLIER, LEAVES, MANIFEST, PAGE, REPORT, SAMPLE_FILE, SPENDS, VERIFY, VERIFY_TEXT,
    is_covered, lines,
};
use super::log_policy::LogPolicy;
use super::open::{Contents, Pack, open};
use super::range::{is_list, is_spend_of};
use super::sums::Sums;
use super::{extracts, held, page, previous, provenance, report, sample, sbom, verify_log};
use crate::base::hash::sha256;
use crate::domain::history::{Json, Kind};

/// What a pack is held against, beside itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Against<'a> {
    /// Keys from elsewhere; those in the pack, where left out.
    pub policy: Option<&'a LogPolicy>,
    /// The pack before.
    pub previous: Option<&'a Files>,
    /// For a pack of a unit: one of the coordinator.
    pub coordinator: Option<&'a Files>,
    /// Keys of the coordinator's log from elsewhere; without them nothing shows that it is the coordinator's.
    pub coordinator_policy: Option<&'a LogPolicy>,
}

/// Checks a pack.
#[must_use]
pub fn verify(files: &Files, against: &Against<'_>) -> Verdict {
    let manifest = Checked::new(Check::Files, manifest(files));
    match open(files) {
        Ok(pack) => Verdict::new(checks(files, &pack, against, manifest)),
        Err(findings) => {
            let not_run = Check::ALL.iter().filter(|check| **check > Check::Files);
            let not_run = not_run.map(|check| Checked::not_run(*check, "the pack is not in form"));
            let done = [Checked::new(Check::Format, findings), manifest];
            Verdict::new(done.into_iter().chain(not_run).collect())
        }
    }
}

fn checks(files: &Files, pack: &Pack, against: &Against<'_>, manifest: Checked) -> Vec<Checked> {
    let contents = &pack.contents;
    let figures = report::figures(contents, pack.quarter.year());
    let log = &against.policy.unwrap_or(&contents.policy).log;
    let mut checks = vec![
        Checked::new(Check::Format, Vec::new()),
        manifest,
        Checked::new(Check::Budget, budget(pack, &figures)),
        Checked::new(Check::Policy, policy(files, contents)),
        Checked::not_run(Check::Issuer, "for receipts"),
        Checked::new(Check::Sbom, sbom::check(files)),
        Checked::new(Check::Provenance, provenance::check(files, contents, log)),
        Checked::new(Check::Extracts, extracts::check(files, contents)),
        Checked::new(Check::Programs, Sums::of(contents).findings),
    ];
    checks.extend(verify_log::checks(contents, against.policy));
    checks.push(match &figures {
        Ok(figures) => Checked::new(Check::Report, told(files, pack, figures)),
        Err(_) => Checked::not_run(Check::Report, "the budget does not add up"),
    });
    checks.push(match &pack.sample {
        Some(found) => Checked::new(Check::Sample, sampled(pack, found)),
        None => Checked::not_run(Check::Sample, "none was drawn"),
    });
    checks.push(match against.previous {
        Some(previous) => Checked::new(Check::Previous, previous::check(pack, previous)),
        None => Checked::not_run(Check::Previous, "no pack before was given"),
    });
    checks.push(match against.coordinator {
        _ if !log.is_of_unit() => Checked::not_run(Check::Held, "for packs of units"),
        Some(files) => held::check(pack, log, (files, against.coordinator_policy)),
        None => Checked::not_run(Check::Held, "no pack of the coordinator was given"),
    });
    checks
}

/// Files against the manifest.
fn manifest(files: &Files) -> Vec<Finding> {
    let Some(listed) = files.get(MANIFEST).and_then(read_manifest) else {
        return vec![Finding::of(MANIFEST, None, "missing, or not in its form")];
    };
    let there = files
        .iter()
        .map(|(path, _)| path)
        .filter(|path| is_covered(path));
    let all: BTreeSet<&str> = there.chain(listed.keys().map(String::as_str)).collect();
    let finding = |path: &str| {
        let what = match (files.get(path), listed.get(path)) {
            (Some(bytes), Some(digest)) if sha256(bytes).to_string() == *digest => return None,
            (Some(_), Some(_)) => "another file than the manifest lists",
            (Some(_), None) => "not in the manifest",
            (None, _) => "the manifest lists it, but it is not there",
        };
        Some(Finding::of(path, None, what))
    };
    all.into_iter().filter_map(finding).collect()
}

fn read_manifest(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    let read = |line: &[u8]| {
        let line = str::from_utf8(line).ok()?;
        let (digest, path) = line.split_once("  ")?;
        Some((path.to_owned(), digest.to_owned()))
    };
    lines(bytes)?.into_iter().map(read).collect()
}

/// What is from before the pack: spends of the year, and one list of programs.
fn earlier(contents: &Contents, year: i32) -> Vec<Finding> {
    let list = contents.earlier.iter().rfind(|entry| is_list(entry));
    let fits = |entry: &Entry| {
        let counts = is_spend_of(entry, year) || list == Some(entry);
        counts && raw::seq(&entry.leaf) == entry.index && entry.index < contents.first
    };
    let others = contents.earlier.iter().filter(|entry| !fits(entry));
    let what = "neither a spend of the year nor the one list of programs, from before the first entry of the pack";
    others
        .map(|entry| Finding::of(EARLIER, Some(entry.index), what))
        .collect()
}

/// Spends against the log, and figures against spends.
fn budget(pack: &Pack, figures: &Result<Figures, Vec<Finding>>) -> Vec<Finding> {
    let (contents, year) = (&pack.contents, pack.quarter.year());
    let mut findings = earlier(contents, year);
    let logged = report::logged(contents, year);
    let expected: BTreeMap<u64, &[u8]> = logged
        .iter()
        .filter_map(|one| Some((one.index, one.payload()?)))
        .collect();
    let listed: BTreeMap<u64, &[u8]> = contents
        .spends
        .iter()
        .map(|(index, text)| (*index, text.as_slice()))
        .collect();
    let all: BTreeSet<u64> = expected.keys().chain(listed.keys()).copied().collect();
    for index in all {
        if expected.get(&index) != listed.get(&index) {
            findings.push(Finding::of(
                SPENDS,
                Some(index),
                "another spend than the log's",
            ));
        }
    }
    match figures {
        Ok(figures) if pack.report.get("budget") == Some(&figures.to_json()) => {}
        Ok(_) => findings.push(Finding::of(
            REPORT,
            None,
            "figures that do not follow from the spends of the log",
        )),
        Err(more) => findings.extend(more.iter().cloned()),
    }
    findings
}

/// Decisions against the bundle.
fn policy(files: &Files, contents: &Contents) -> Vec<Finding> {
    let (good, mut findings) = book::check(&contents.books, files);
    for (index, leaf) in (contents.first..).zip(&contents.leaves) {
        let is_decision = raw::kind(leaf) == Kind::PolicyDecision.code();
        if is_decision && !good.contains(&raw::policy(leaf)) {
            let what = format!(
                "a decision by rules {} that are not in {BUNDLE}",
                raw::policy(leaf)
            );
            findings.push(Finding::of(LEAVES, Some(index), what));
        }
    }
    findings
}

/// The report against the contents, figures aside; the page against the report.
fn told(files: &Files, pack: &Pack, figures: &Figures) -> Vec<Finding> {
    let expected = report::with_figures(pack.quarter, &pack.contents, figures);
    let keys = |json: &Json| match json {
        Json::Object(fields) => fields.keys().cloned().collect(),
        _ => BTreeSet::new(),
    };
    let mut findings = Vec::new();
    for key in keys(&expected)
        .union(&keys(&pack.report))
        .filter(|key| *key != "budget")
    {
        if expected.get(key) != pack.report.get(key) {
            let what = format!("{key}: not what follows from the pack");
            findings.push(Finding::of(REPORT, None, what));
        }
    }
    if files.get(PAGE) != Some(page::page(&pack.report).as_bytes()) {
        findings.push(Finding::of(PAGE, None, "not the page of report.json"));
    }
    if files.get(VERIFY) != Some(VERIFY_TEXT.as_bytes()) {
        findings.push(Finding::of(
            VERIFY,
            None,
            "another text than this version's",
        ));
    }
    findings
}

fn sampled(pack: &Pack, found: &Json) -> Vec<Finding> {
    let again = || {
        let seed = found.get("seed")?.as_text()?;
        let count = usize::try_from(found.get("count")?.as_u64()?).ok()?;
        sample::sample(pack, seed, count).ok()
    };
    match again() {
        Some(expected) if expected == *found => Vec::new(),
        _ => vec![Finding::of(SAMPLE_FILE, None, "not what its seed chooses")],
    }
}
