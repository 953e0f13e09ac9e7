//! A study's progress for people: its members, its rounds, and the line that `watch` keeps up to date.

use std::io::{IsTerminal, Write, stderr};

use aquifer_shared::domain::sum::StudyTerms;
use aquifer_shared::protocol::ask::{StudyDetail, StudyStatus};
use aquifer_shared::protocol::wire::Verdict;
use aquifer_shared::shell::report::{self, Table, Tone};

use crate::refusals::{Meaning, cause, meaning};
use crate::show::{code_text, duration, moment, state_cell, verdict_cell};
use crate::study_terms;

/// Prints status, terms, members and rounds.
///
/// # Errors
///
/// Standard output cannot be written.
pub(crate) fn print(detail: &StudyDetail, terms: &StudyTerms) -> anyhow::Result<()> {
    let status = &detail.status;
    report::print(&format!(
        "study      {}\nstate      {}\nsubmitted  {}\napprovals  {}\n\n",
        status.study,
        report::printable(&describe(status)),
        moment(status.submitted),
        detail.approvals.len(),
    ))?;
    study_terms::print(terms)?;
    let mut members = Table::new(&["MEMBER", "ANSWER", "SESSION"]);
    for member in &detail.members {
        let session = if member.connected {
            ("connected", Tone::Good)
        } else {
            ("away", Tone::Warning)
        };
        members.toned_row([
            (member.name.to_string(), Tone::Plain),
            verdict_cell(member.verdict.as_ref()),
            (session.0.to_owned(), session.1),
        ]);
    }
    members.print()?;
    refusals(detail)?;
    if detail.rounds.is_empty() {
        return Ok(());
    }
    let mut rounds = Table::new(&["SUM", "ATTEMPTS", "NODES", "TOOK"]);
    for round in &detail.rounds {
        rounds.row([
            round.round.to_string(),
            round.attempts.to_string(),
            round.updates.to_string(),
            duration(round.took_ms),
        ]);
    }
    report::print(&format!("\n{}", rounds.to_text()))
}

/// What each refusal means, once for all members that gave it.
fn refusals(detail: &StudyDetail) -> anyhow::Result<()> {
    let mut told = Vec::new();
    for member in &detail.members {
        let Some(Verdict::Refused(code, detail)) = member.verdict else {
            continue;
        };
        let cause = cause(code, detail);
        if told.contains(&(code, cause)) {
            continue;
        }
        told.push((code, cause));
        if let Some(cause) = cause {
            let (found, remedy, ask) = (cause.found(), cause.remedy(), cause.ask());
            let text = format!("\nlaw, {cause}: {found}\n  what to do: {remedy}; ask the {ask}\n");
            report::print(&text)?;
            continue;
        }
        let Meaning { what, advice } = meaning(code);
        let code = code_text(&code);
        report::print(&format!("\n{code}: {what}\n  what to do: {advice}\n"))?;
    }
    Ok(())
}

/// One line on a terminal that is written over; elsewhere a line for every change. On standard error.
#[derive(Debug, Default)]
pub(crate) struct StatusLine {
    last: String,
}

impl StatusLine {
    /// Shows a status, unless it looks as before.
    pub(crate) fn print(&mut self, status: &StudyStatus) {
        let text = report::printable(&format!("study {}: {}", status.name, describe(status)));
        if text == self.last {
            return;
        }
        if stderr().is_terminal() {
            let blank = self
                .last
                .chars()
                .count()
                .saturating_sub(text.chars().count());
            // Progress is for people who look; nobody misses a line that cannot be written.
            let _ = write!(stderr(), "\r{text}{}", " ".repeat(blank));
        } else {
            report::note(&text);
        }
        self.last = text;
    }

    /// Ends the line.
    pub(crate) fn finish(&mut self) {
        if !self.last.is_empty() && stderr().is_terminal() {
            report::note("");
        }
    }
}

fn describe(status: &StudyStatus) -> String {
    let (state, _) = state_cell(status.state);
    let sums = format!(
        "{state}, {} of {} sums",
        status.rounds_done, status.rounds_total
    );
    if status.reason.is_empty() {
        return sums;
    }
    format!("{sums} ({})", status.reason)
}
