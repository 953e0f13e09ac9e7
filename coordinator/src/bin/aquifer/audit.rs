//! `aquifer audit`: packs and receipts, checked on this machine; only making a pack asks the coordinator.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use aquifer_shared::base::limits::{NOTE_BYTES_MAX, RECEIPT_BYTES_MAX};
use aquifer_shared::domain::pack::{
    Against, Checked, Files, LogPolicy, Pack, SAMPLE_FILE, State, Verdict, open, sample, verify,
    verify_receipt,
};
use aquifer_shared::shell::pack_folder;
use aquifer_shared::shell::pack_made::in_words;
use aquifer_shared::shell::report::{self, Outcome, Table, Tone};
use serde_json::{Value, json};

use crate::audit_args::AuditCommand;
use crate::audit_given::Given;
use crate::audit_pack;
use crate::client::Session;
use crate::out::{NewFile, written};

/// Carries out a command about packs.
///
/// # Errors
///
/// Something cannot be read or written.
pub(crate) async fn run(session: &Session, command: &AuditCommand) -> anyhow::Result<Outcome> {
    match command {
        AuditCommand::Pack {
            quarter,
            out,
            purposes,
            packs,
            tests,
        } => {
            let given = Given {
                purposes: purposes.as_deref(),
                packs: packs.packs.as_deref(),
                tests: tests.as_deref(),
            };
            audit_pack::make(session, *quarter, out.as_deref(), &given).await
        }
        AuditCommand::Verify {
            path,
            policy,
            previous,
            coordinator,
            coordinator_policy,
        } => {
            let others = Others {
                previous: previous.as_deref(),
                coordinator: coordinator.as_deref(),
                coordinator_policy: coordinator_policy.as_deref(),
            };
            check(session, path, policy.as_deref(), &others)
        }
        AuditCommand::Sample { pack, seed, count } => draw(session, pack, seed, *count),
        AuditCommand::Prove { index, pack, out } => {
            let text = opened(pack)?.1.prove(*index);
            let Some(text) = text else {
                let why = format!("entry {index} is not in {}", pack.display());
                return report::refuse(session.json, "index", &why);
            };
            if let Some(out) = out {
                return written(session, out, &text);
            }
            report::print(&text)?;
            Ok(Outcome::Done)
        }
    }
}

/// What a pack is held against, beside itself and the keys of its log.
struct Others<'a> {
    previous: Option<&'a Path>,
    coordinator: Option<&'a Path>,
    coordinator_policy: Option<&'a Path>,
}

fn check(
    session: &Session,
    path: &Path,
    policy: Option<&Path>,
    others: &Others<'_>,
) -> anyhow::Result<Outcome> {
    let policy = policy.map(read_policy).transpose()?;
    let verdict = match path.is_dir() {
        true => {
            let files = pack_folder::read(path)?;
            let previous = others.previous.map(pack_folder::read).transpose()?;
            let coordinator = others.coordinator.map(pack_folder::read).transpose()?;
            let coordinator_policy = others.coordinator_policy.map(read_policy).transpose()?;
            let against = Against {
                policy: policy.as_ref(),
                previous: previous.as_ref(),
                coordinator: coordinator.as_ref(),
                coordinator_policy: coordinator_policy.as_ref(),
            };
            verify(&files, &against)
        }
        false => {
            let file = read_up_to(path, RECEIPT_BYTES_MAX + 1)?;
            verify_receipt(&file, policy.as_ref())
        }
    };
    show(session, &verdict)?;
    if policy.is_none() {
        report::note(
            "keys are those that came along: compare them with keys from elsewhere (--policy)",
        );
    }
    match verdict.code() {
        0 => Ok(Outcome::Done),
        code => Ok(Outcome::Failed(code)),
    }
}

fn show(session: &Session, verdict: &Verdict) -> anyhow::Result<()> {
    if session.json {
        let checks: Vec<Value> = verdict.0.iter().map(as_json).collect();
        return report::print_json(&json!({"checks": checks, "code": verdict.code()}));
    }
    let mut table = Table::new(&["NUMBER", "CHECK", "STATE", "WHERE AND WHAT"]);
    for checked in &verdict.0 {
        let (state, tone) = match checked.state {
            State::Passed => ("passed".to_owned(), Tone::Good),
            State::Failed => ("failed".to_owned(), Tone::Bad),
            State::NotRun(why) => (format!("not run: {why}"), Tone::Plain),
        };
        let mut found: Vec<String> = checked.findings.iter().map(in_words).collect();
        let more = checked.found - checked.findings.len();
        if more > 0 {
            found.push(format!("and {more} more"));
        }
        let number = (checked.check.number().to_string(), Tone::Plain);
        let name = (checked.check.name().to_owned(), Tone::Plain);
        table.toned_row([number, name, (state, tone), (found.join("\n"), Tone::Plain)]);
    }
    table.print()
}

fn as_json(checked: &Checked) -> Value {
    let findings: Vec<Value> = checked
        .findings
        .iter()
        .map(|one| json!({"file": one.file, "index": one.index, "what": one.what}))
        .collect();
    let (state, why) = match checked.state {
        State::Passed => ("passed", None),
        State::Failed => ("failed", None),
        State::NotRun(why) => ("not run", Some(why)),
    };
    let mut json = json!({
        "check": checked.check.name(),
        "number": checked.check.number(),
        "state": state,
        "found": checked.found,
        "findings": findings,
    });
    if let Some(why) = why {
        json["why"] = why.into();
    }
    json
}

fn draw(session: &Session, path: &Path, seed: &str, count: usize) -> anyhow::Result<Outcome> {
    let (_, pack) = opened(path)?;
    let sample = match sample(&pack, seed, count) {
        Ok(sample) => sample.to_text(),
        Err(bad) => return report::refuse(session.json, "sample", &bad.to_string()),
    };
    let file = path.join(SAMPLE_FILE);
    if file.exists() {
        let why = format!("{} is there already: a pack has one sample", file.display());
        return report::refuse(session.json, "taken", &why);
    }
    NewFile::write(&file, &sample)?;
    report::print(&format!("{sample}\n"))?;
    Ok(Outcome::Done)
}

fn opened(path: &Path) -> anyhow::Result<(Files, Pack)> {
    let files = pack_folder::read(path)?;
    let pack = open(&files).map_err(|findings| {
        let first = findings.first().map_or_else(String::new, in_words);
        anyhow!("{} is not in the form of a pack: {first}", path.display())
    })?;
    Ok((files, pack))
}

/// Reads keys of a log and its witnesses.
///
/// # Errors
///
/// The file cannot be read, or holds no policy.
pub(crate) fn read_policy(path: &Path) -> anyhow::Result<LogPolicy> {
    let bytes = read_up_to(path, NOTE_BYTES_MAX)?;
    let text =
        String::from_utf8(bytes).with_context(|| format!("{} is no text", path.display()))?;
    LogPolicy::parse(&text).with_context(|| format!("{} is no policy of a log", path.display()))
}

/// Reads a file of at most so many bytes.
///
/// # Errors
///
/// It cannot be read, or has more.
pub(crate) fn read_up_to(path: &Path, bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    let could_not = || format!("could not read {}", path.display());
    let file = File::open(path).with_context(could_not)?;
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(could_not)?;
    ensure!(
        bytes.len() <= bytes_max,
        "{} has more than {bytes_max} bytes",
        path.display()
    );
    Ok(bytes)
}
