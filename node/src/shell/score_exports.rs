//! Files of scores that were written, and until when they may be kept. Knows paths and days, and no customer.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use aquifer_shared::base::calendar;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::history::{Json, Kind};
use aquifer_shared::domain::law::Key;
use aquifer_shared::domain::law::witness::Score;
use aquifer_shared::shell::law_packs::day_of;
use aquifer_shared::shell::report;
use serde::{Deserialize, Serialize};

use super::consent::{ConsentLedger, Told};
use super::score_command::Scoring;
use super::telling::tell_soon;
use crate::core::cohort::Cohort;

/// A file of scores.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Exported {
    /// Where it was written.
    pub file: PathBuf,
    /// With which model.
    pub model: String,
    /// For which purpose.
    pub purpose: String,
    /// Who reviews what follows; none where nobody has to.
    pub reviewer: Option<String>,
    /// The decision that allowed it.
    pub decision: String,
    /// Day of writing.
    pub written_on: String,
    /// Last day on which it may be kept.
    pub delete_by: String,
}

impl Exported {
    /// What is kept of a file that a decision has allowed.
    #[must_use]
    pub fn of(cohort: &Cohort<Score>, scoring: &Scoring<'_>, model: &str, now: Timestamp) -> Self {
        let decision = cohort.allowed().decision();
        let days = decision.limits().value(Key::ScoreRetentionMaxDays);
        let days = i32::try_from(days.unwrap_or(0)).unwrap_or(0);
        let today = day_of(now);
        Self {
            file: std::path::absolute(scoring.out).unwrap_or_else(|_| scoring.out.to_owned()),
            model: model.to_owned(),
            purpose: decision
                .purpose()
                .map(|purpose| purpose.id.to_string())
                .unwrap_or_default(),
            reviewer: scoring.reviewer.map(ToString::to_string),
            decision: decision.id().to_string(),
            written_on: calendar::written(today),
            delete_by: calendar::written(today.saturating_add(days)),
        }
    }

    /// Notes it, tells the history, and only then writes it: a crash leaves no file of scores that nobody knows of. Where nothing comes of
    /// the writing, the notes and the history name a file that is not there.
    ///
    /// # Errors
    ///
    /// Notes or history cannot be written: nothing is written then; or what the writing says.
    pub fn announce(
        &self,
        directory: &Path,
        counts: (Option<usize>, usize),
        now: Timestamp,
        write: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.note(directory)?;
        self.tell(directory, counts, now)?;
        write()
    }

    /// Notes it in the node's directory, and beside the file for whoever holds it.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    fn note(&self, directory: &Path) -> anyhow::Result<()> {
        let line = serde_json::to_string(self)? + "\n";
        let mut beside = self.file.clone().into_os_string();
        beside.push(".retention.json");
        for path in [directory.join(EXPORTS), PathBuf::from(beside)] {
            let could_not = || format!("could not write {}", path.display());
            append(&path, &line).with_context(could_not)?;
        }
        Ok(())
    }

    /// Tells the history how many customers have no score in it, if there are any; and, where somebody must review what follows of so many
    /// scores, or is named to, who.
    ///
    /// # Errors
    ///
    /// The consent ledger, which keeps what is told, cannot be written.
    ///
    /// # Privacy
    ///
    /// Exact numbers, for the node's own history; whom they count is said nowhere.
    fn tell(
        &self,
        directory: &Path,
        (to_review, suppressed): (Option<usize>, usize),
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let at = i64::try_from(now.0).unwrap_or(i64::MAX);
        let lacking = (suppressed > 0).then(|| self.suppressed(suppressed, at));
        let due = to_review.map(|scores| self.review(at, [("scores", Json::from(scores as u64))]));
        let mut ledger = ConsentLedger::open(directory)?;
        for told in lacking.iter().chain(&due) {
            ledger.tell(told, at)?;
        }
        tell_soon(directory);
        Ok(())
    }

    /// What the history is told of customers without a score.
    fn suppressed(&self, count: usize, at: i64) -> Told {
        let payload = [
            ("count", Json::from(count as u64)),
            ("decision", Json::from(self.decision.as_str())),
            ("event_at", Json::from(at)),
            ("model", Json::from(self.model.as_str())),
            ("purpose", Json::from(self.purpose.as_str())),
        ];
        Told {
            kind: Kind::ScoreSuppressed,
            subject: None,
            payload: Json::object(payload),
        }
    }

    /// What the history is told of a review.
    pub(super) fn review<const N: usize>(&self, at: i64, more: [(&str, Json); N]) -> Told {
        let reviewer = self.reviewer.as_deref().map_or(Json::Null, Json::from);
        let own = [
            ("decision", Json::from(self.decision.as_str())),
            ("event_at", Json::from(at)),
            ("model", Json::from(self.model.as_str())),
            ("purpose", Json::from(self.purpose.as_str())),
            ("reviewer", reviewer),
        ];
        let fields = own.into_iter().chain(more);
        let fields = fields.map(|(key, value)| (key.to_owned(), value));
        Told {
            kind: Kind::HumanReview,
            subject: None,
            payload: Json::Object(fields.collect()),
        }
    }
}

/// Adds a line, after the end of one that a crash left without.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).create(true).append(true).mode(0o600);
    let mut file = options.open(path)?;
    let start = if is_torn(&mut file)? { "\n" } else { "" };
    file.write_all(format!("{start}{line}").as_bytes())?;
    file.sync_all()
}

fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Files that are there and should not be any longer, by what was noted last of each; each with its last day.
///
/// # Errors
///
/// The notes cannot be read.
pub fn expired(directory: &Path, now: Timestamp) -> anyhow::Result<Vec<Exported>> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for (last, one) in noted(directory)?.into_iter().rev() {
        let is_newest = seen.insert(one.file.clone());
        if is_newest && last < day_of(now) && one.file.exists() {
            found.push(one);
        }
    }
    found.reverse();
    Ok(found)
}

/// The last file that was written under a name, by what was noted.
///
/// # Errors
///
/// The notes cannot be read.
pub fn of_file(directory: &Path, file: &Path) -> anyhow::Result<Option<Exported>> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let all = noted(directory)?.into_iter().rev();
    Ok(all.map(|(_, one)| one).find(|one| one.file == file))
}

/// All that was noted, each with its last day.
fn noted(directory: &Path) -> anyhow::Result<Vec<(i32, Exported)>> {
    let path = directory.join(EXPORTS);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("could not read {}", path.display()));
        }
    };
    let mut found = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let damaged = || format!("{}: line {number} is damaged", path.display());
        let one = match serde_json::from_slice::<Exported>(line) {
            Err(_) if line.is_empty() => continue,
            // A note comes before its file: none was written after one that is not whole.
            Err(error) if error.is_eof() => {
                let path = path.display();
                report::note(&format!(
                    "{path}: line {number} ends in the middle: the program was ended before it wrote a file of scores"
                ));
                continue;
            }
            one => one.with_context(damaged)?,
        };
        let last = calendar::parse(&one.delete_by).with_context(damaged)?;
        found.push((last, one));
    }
    Ok(found)
}

/// Notes of all files of scores, in the node's directory.
const EXPORTS: &str = "score-files.jsonl";

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 24 * 3_600 * 1_000;

    fn exported(folder: &Path) -> Exported {
        Exported {
            file: folder.join("scores.csv"),
            model: "churn@1".to_owned(),
            purpose: "churn.score".to_owned(),
            reviewer: None,
            decision: "00".to_owned(),
            written_on: "2026-11-25".to_owned(),
            delete_by: "2026-11-26".to_owned(),
        }
    }

    #[track_caller]
    fn check_expired(on: &str, exists: bool, expected: usize) {
        let folder = tempfile::tempdir().unwrap();
        let one = exported(folder.path());
        one.note(folder.path()).unwrap();
        if exists {
            fs::write(&one.file, "").unwrap();
        }
        let day = calendar::parse(on).unwrap() as u64;
        let found = expired(folder.path(), Timestamp(day * DAY_MS)).unwrap();
        assert_eq!(found.len(), expected, "{on}");
    }

    #[test]
    fn a_file_of_scores_expires_after_its_last_day() {
        check_expired("2026-11-26", true, 0);
        check_expired("2026-11-27", true, 1);
        check_expired("2026-11-27", false, 0);
    }

    #[test]
    fn what_is_written_again_under_a_name_is_kept_by_its_newest_note() {
        let folder = tempfile::tempdir().unwrap();
        let first = exported(folder.path());
        let second = Exported {
            delete_by: "2026-12-26".to_owned(),
            ..first.clone()
        };
        first.note(folder.path()).unwrap();
        second.note(folder.path()).unwrap();
        fs::write(&first.file, "").unwrap();
        let on = |day: &str| {
            let day = calendar::parse(day).unwrap() as u64;
            expired(folder.path(), Timestamp(day * DAY_MS)).unwrap()
        };
        assert_eq!(on("2026-11-27"), []);
        assert_eq!(on("2026-12-27"), [second]);
    }

    /// The process ends while it writes: what it was about to write is known.
    #[test]
    fn c1_a_file_of_scores_is_known_before_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let one = exported(folder.path());
        let ended = one.announce(folder.path(), (Some(5), 3), Timestamp(7), || {
            let known = of_file(folder.path(), &one.file).unwrap();
            assert_eq!(known, Some(one.clone()));
            assert!(folder.path().join("scores.csv.retention.json").exists());
            let mut ledger = ConsentLedger::open(folder.path()).unwrap();
            assert_eq!(ledger.unentered().unwrap(), 2, "suppressed, to be reviewed");
            fs::write(&one.file, "half").unwrap();
            anyhow::bail!("the disk is full")
        });
        assert_eq!(ended.unwrap_err().to_string(), "the disk is full");
        let day = calendar::parse("2026-11-27").unwrap() as u64;
        let left = expired(folder.path(), Timestamp(day * DAY_MS)).unwrap();
        assert_eq!(left, [one]);
    }

    #[test]
    fn a_torn_note_keeps_no_other_from_being_read() {
        let folder = tempfile::tempdir().unwrap();
        let one = exported(folder.path());
        one.note(folder.path()).unwrap();
        let notes = folder.path().join(EXPORTS);
        let whole = fs::read(&notes).unwrap();
        // Also in the middle of a letter.
        for torn in [&b"{\"file\":\"/unit/"[..], &b"{\"file\":\"/\xc3"[..]] {
            fs::write(&notes, [&whole[..], torn].concat()).unwrap();
            assert_eq!(
                of_file(folder.path(), &one.file).unwrap().as_ref(),
                Some(&one)
            );
            one.note(folder.path()).unwrap();
            assert_eq!(noted(folder.path()).unwrap().len(), 2);
        }
        // What was changed is another matter.
        fs::write(&notes, [&b"{\"file\":1}\n"[..], &whole[..]].concat()).unwrap();
        assert!(noted(folder.path()).is_err());
    }

    #[test]
    fn a_damaged_note_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        exported(folder.path()).note(folder.path()).unwrap();
        assert!(folder.path().join("scores.csv.retention.json").exists());
        assert_eq!(expired(folder.path(), Timestamp(0)).unwrap(), []);
        fs::write(folder.path().join(EXPORTS), "{}\n").unwrap();
        let error = expired(folder.path(), Timestamp(0)).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("score-files.jsonl: line 1 is damaged")
        );
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!(expired(nothing.path(), Timestamp(0)).unwrap(), []);
    }

    #[test]
    fn the_history_hears_how_many_have_no_score_and_not_who() {
        let one = exported(Path::new("unit"));
        let told = one.suppressed(3, 7);
        assert_eq!((told.kind, told.subject), (Kind::ScoreSuppressed, None));
        let payload = String::from_utf8(told.payload.to_payload().unwrap()).unwrap();
        assert_eq!(
            payload,
            r#"{"count":3,"decision":"00","event_at":7,"model":"churn@1","purpose":"churn.score"}"#
        );
    }

    #[test]
    fn l3_the_history_hears_who_reviews() {
        let mut one = exported(Path::new("unit"));
        one.reviewer = Some("ada".to_owned());
        let told = one.review(7, [("scores", 5_u32.into())]);
        assert_eq!((told.kind, told.subject), (Kind::HumanReview, None));
        let payload = String::from_utf8(told.payload.to_payload().unwrap()).unwrap();
        assert_eq!(
            payload,
            r#"{"decision":"00","event_at":7,"model":"churn@1","purpose":"churn.score","reviewer":"ada","scores":5}"#
        );
    }

    #[test]
    fn a_file_is_found_by_its_name_and_the_newest_counts() {
        let folder = tempfile::tempdir().unwrap();
        let first = exported(folder.path());
        let second = Exported {
            decision: "01".to_owned(),
            ..first.clone()
        };
        first.note(folder.path()).unwrap();
        second.note(folder.path()).unwrap();
        let found = of_file(folder.path(), &first.file).unwrap();
        assert_eq!(found, Some(second));
        let other = folder.path().join("other.csv");
        assert_eq!(of_file(folder.path(), &other).unwrap(), None);
    }
}
