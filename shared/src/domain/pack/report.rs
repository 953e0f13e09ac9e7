//! The report of a pack: counts, figures and states of evidence, from the pack's own contents alone.

use std::collections::BTreeMap;

use super::budget::{Figures, Spend};
use super::checks::Finding;
use super::entry::{Body, raw};
use super::layout::{EARLIER, FORMAT, PAYLOADS, REPORT, hex};
use super::open::Contents;
use super::provenance::Statement;
use super::quarter::{Quarter, year_of};
use super::sums::Sums;
use crate::base::limits::PACK_ALARMS_MAX;
use crate::domain::history::{Json, Kind, Severity};

/// A spend of the log with its place.
pub(super) struct Logged<'a> {
    pub(super) index: u64,
    pub(super) file: &'static str,
    pub(super) body: Option<&'a Body>,
}

impl<'a> Logged<'a> {
    pub(super) fn payload(&self) -> Option<&'a [u8]> {
        match self.body {
            Some(Body::Kept { payload, .. }) => Some(payload),
            _ => None,
        }
    }

    pub(super) fn spend(&self) -> Result<Spend, Finding> {
        let bad = |what: String| Finding::of(self.file, Some(self.index), what);
        let payload = self
            .payload()
            .ok_or_else(|| bad("a spend without payload".to_owned()))?;
        let json = Json::parse(payload).map_err(|error| bad(error.to_string()))?;
        Spend::of(&json).map_err(|error| bad(error.to_string()))
    }
}

/// All spends of a year that the log has: those listed from before the pack, and the pack's own.
pub(super) fn logged(contents: &Contents, year: i32) -> Vec<Logged<'_>> {
    let earlier = contents.earlier.iter().map(|entry| Logged {
        index: entry.index,
        file: EARLIER,
        body: Some(&entry.body),
    });
    let own = contents.leaves.iter().enumerate().filter(|(_, leaf)| {
        raw::kind(leaf) == Kind::BudgetSpent.code() && year_of(raw::recorded_at(leaf)) == year
    });
    let own = own.map(|(place, _)| Logged {
        index: contents.first + place as u64,
        file: PAYLOADS,
        body: contents.bodies.get(place).map(|(_, body)| body),
    });
    earlier.chain(own).collect()
}

/// What the spends of the log come to.
pub(super) fn figures(contents: &Contents, year: i32) -> Result<Figures, Vec<Finding>> {
    let (mut spends, mut findings) = (Vec::new(), Vec::new());
    for logged in logged(contents, year) {
        match logged.spend() {
            Ok(spend) => spends.push(spend),
            Err(finding) => findings.push(finding),
        }
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    let beyond = || vec![Finding::of(REPORT, None, "spends beyond all prices")];
    Figures::of(&spends).ok_or_else(beyond)
}

/// The whole report.
pub(super) fn report(quarter: Quarter, contents: &Contents) -> Result<Json, Finding> {
    let figures = figures(contents, quarter.year());
    let figures = figures.map_err(|mut findings| findings.swap_remove(0))?;
    Ok(with_figures(quarter, contents, &figures))
}

pub(super) fn with_figures(quarter: Quarter, contents: &Contents, figures: &Figures) -> Json {
    let last = contents.points.last();
    let root = last.map_or_else(String::new, |point| point.checkpoint.root.to_string());
    let origin = last.map_or("", |point| &point.checkpoint.origin);
    let closed = contents
        .leaves
        .last()
        .is_some_and(|leaf| raw::recorded_at(leaf) >= quarter.range().end);
    let erased = contents
        .bodies
        .iter()
        .filter(|(_, body)| *body == Body::Erased);
    let tests = contents
        .tests
        .iter()
        .map(|(id, result)| (id.clone(), result.as_str().into()));
    let sums = Sums::of(contents);
    Json::object([
        ("alarms", alarms(contents)),
        ("books", count(contents.books.len())),
        ("budget", figures.to_json()),
        ("checkpoints", count(contents.points.len())),
        (
            "covers",
            if closed {
                "whole quarter"
            } else {
                "quarter so far"
            }
            .into(),
        ),
        ("disclosure", disclosure(quarter)),
        ("end", contents.end.into()),
        ("erased", count(erased.count())),
        ("events", events(contents)),
        ("evidence", evidence(contents, figures, &sums)),
        ("first", contents.first.into()),
        ("format", FORMAT.into()),
        ("log", origin.into()),
        ("node_programs", sums.rows()),
        ("notice", notice(contents).into()),
        (
            "program",
            contents
                .program
                .as_ref()
                .map_or(Json::Null, Statement::told),
        ),
        ("quarter", quarter.to_string().into()),
        ("root", root.into()),
        ("tests", Json::Object(tests.collect())),
    ])
}

/// What whoever reads a report must know.
fn notice(contents: &Contents) -> String {
    match contents.policy.log.is_of_unit() {
        true => format!("{NOTICE} {UNIT_NOTICE}"),
        false => NOTICE.to_owned(),
    }
}

fn count(number: usize) -> Json {
    (number as u64).into()
}

/// Entries by kind; codes of no kind by their number.
fn events(contents: &Contents) -> Json {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for leaf in &contents.leaves {
        let code = raw::kind(leaf);
        let known = Kind::of_code(code).map(|kind| kind.name().to_owned());
        *counts
            .entry(known.unwrap_or_else(|| hex(&code.to_be_bytes())))
            .or_default() += 1;
    }
    let counts = counts
        .into_iter()
        .map(|(kind, number)| (kind, number.into()));
    Json::Object(counts.collect())
}

/// Entries that somebody must have acted on: the first thousand.
fn alarms(contents: &Contents) -> Json {
    let alarms = contents
        .leaves
        .iter()
        .enumerate()
        .filter_map(|(place, leaf)| {
            let kind =
                Kind::of_code(raw::kind(leaf)).filter(|kind| kind.severity() == Severity::Alarm)?;
            let index = contents.first + place as u64;
            Some(Json::object([
                ("index", index.into()),
                ("kind", kind.name().into()),
            ]))
        });
    Json::List(alarms.take(PACK_ALARMS_MAX).collect())
}

fn evidence(contents: &Contents, figures: &Figures, sums: &Sums) -> Json {
    let state = |is_there: bool| if is_there { PRESENT } else { MISSING };
    let decisions = contents
        .leaves
        .iter()
        .any(|leaf| raw::kind(leaf) == Kind::PolicyDecision.code());
    let tests = match contents.tests.values().any(|result| result == "failed") {
        true => CONTRADICTED,
        false => state(!contents.tests.is_empty()),
    };
    let programs = match sums.is_contradicted() {
        true => CONTRADICTED,
        false => state(sums.is_whole()),
    };
    // The coordinator's log has the programs of nodes, and holds the checkpoints of units.
    let elsewhere = |state| match contents.policy.log.is_of_unit() {
        true => ELSEWHERE,
        false => state,
    };
    let states = [
        ("budget", state(figures.year.is_some())),
        ("checkpoints", PRESENT),
        ("decisions", state(decisions)),
        ("law", JUDGEMENT),
        ("node_programs", elsewhere(programs)),
        ("policies", state(!contents.books.is_empty())),
        ("program", state(contents.program.is_some())),
        ("rights", state(contents.has_clocks)),
        ("tests", tests),
        ("witnesses", elsewhere(state(contents.policy.has_quorum()))),
    ];
    Json::object(states.map(|(what, state)| (what, state.into())))
}

/// What the figures of epsilon rest on (NIST SP 800-226).
fn disclosure(quarter: Quarter) -> Json {
    Json::object([
        ("accountant", "zCDP: rho of all spends adds up and is converted once, at the smallest delta (Canonne, Kamath, Steinke 2020)".into()),
        ("floating_point", "sums and prices are integers; the conversion is rounded up to a millionth of epsilon".into()),
        ("horizon", format!("calendar year {}, UTC, up to the last checkpoint of the pack", quarter.year()).into()),
        ("mechanism", "discrete Gaussian noise on integer sums, scaled to each price".into()),
        ("neighbours", "one customer's rows present or absent at every node that may hold them".into()),
        ("unit", "one customer; at how many nodes one may be is declared in each study".into()),
    ])
}

const PRESENT: &str = "evidence present";
const MISSING: &str = "evidence missing";
const CONTRADICTED: &str = "evidence contradicted";
const ELSEWHERE: &str = "in packs of the coordinator";
const JUDGEMENT: &str = "needs human judgement";
const NOTICE: &str = "This report is no legal advice. Every value of a rule pack names its reviewer, or none; what nobody has reviewed needs a lawyer.";
const UNIT_NOTICE: &str = "It is about the unit's own log, with keyed references of persons and exact numbers of them: it stays at the unit, for its own people and its auditors.";
