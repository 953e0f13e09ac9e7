//! `aquifer-node review`: what came of looking at scores, written down for the history. Who only nods decides nothing.

use std::path::{Path, PathBuf};

use aquifer_shared::domain::history::{Json, Kind};
use aquifer_shared::shell::history::Entry;
use aquifer_shared::shell::report::{Outcome, print, print_json, refuse};
use clap::Args;
use serde_json::json;

use super::audit::{self, Reader, payload};
use super::clock::now;
use super::consent::{ConsentLedger, Told};
use super::score_exports::{Exported, of_file};
use super::telling::tell_soon;

/// What a reviewer did.
#[derive(Args, Clone, Debug)]
pub struct Review {
    /// The file of scores, as `aquifer-node score` wrote it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Decisions that the reviewer looked at.
    #[arg(long, value_name = "COUNT")]
    reviewed: u32,
    /// Of them, those that the reviewer decided otherwise.
    #[arg(long, value_name = "COUNT")]
    overridden: u32,
    /// Minutes that it took, all together.
    #[arg(long, value_name = "MINUTES")]
    minutes: u32,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Writes a review down; several of one file count together.
///
/// # Errors
///
/// The notes of files, the history or the consent ledger cannot be used.
///
/// # Privacy
///
/// Counts and the reviewer's name, for the node's own history; no customer.
pub fn run(directory: &Path, review: &Review) -> anyhow::Result<Outcome> {
    let Some(kept) = of_file(directory, &review.file)? else {
        let file = review.file.display();
        let why = format!("{file} is no file of scores that this unit wrote; name it as --out did");
        return refuse(review.json, "file", &why);
    };
    if kept.reviewer.is_none() {
        let why = "these scores were written without --reviewer: nobody reviews them";
        return refuse(review.json, "review", why);
    }
    let (_, reviews) = audit::read(directory, 0..0, |_| Ok(Reviews::default()))?;
    let due = due(reviews.0.into_iter(), &kept.decision);
    let at = i64::try_from(now().0).unwrap_or(i64::MAX);
    let told = match told(&kept, due.as_ref(), review, at) {
        Ok(told) => told,
        Err(why) => return refuse(review.json, "review", &why),
    };
    ConsentLedger::open(directory)?.tell(&told, at)?;
    tell_soon(directory);
    let reviewer = due.map(|due| due.reviewer).unwrap_or_default();
    if review.json {
        print_json(&json!({
            "reviewer": reviewer, "purpose": kept.purpose, "reviewed": review.reviewed,
            "overridden": review.overridden, "minutes": review.minutes,
        }))?;
    } else {
        print(&format!(
            "recorded: {reviewer} looked at {} decisions for {} and changed {}\n",
            review.reviewed, kept.purpose, review.overridden
        ))?;
    }
    Ok(Outcome::Done)
}

/// What a history says of reviews.
#[derive(Default)]
struct Reviews(Vec<Json>);

impl Reader for Reviews {
    fn take(&mut self, entry: Entry) -> anyhow::Result<()> {
        if entry.leaf.kind == Kind::HumanReview {
            self.0.extend(payload(&entry));
        }
        Ok(())
    }
}

/// What the history knows of the reviews of one file of scores.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Due {
    /// Who, as `--reviewer` of the scores said.
    reviewer: String,
    /// How many there are to look at.
    scores: u64,
    /// How many were looked at so far.
    reviewed: u64,
}

/// What the history says of the scores of a decision; none where nobody was named to review them.
fn due(said: impl Iterator<Item = Json>, decision: &str) -> Option<Due> {
    let mut due: Option<Due> = None;
    for own in said.filter(|own| own.get("decision").and_then(Json::as_text) == Some(decision)) {
        let number = |key| own.get(key).and_then(Json::as_u64);
        match &mut due {
            None => {
                due = number("scores").and_then(|scores| {
                    let reviewer = own.get("reviewer")?.as_text()?.to_owned();
                    Some(Due {
                        reviewer,
                        scores,
                        reviewed: 0,
                    })
                });
            }
            Some(due) => {
                let more = number("reviewed").unwrap_or(0);
                due.reviewed = due.reviewed.saturating_add(more);
            }
        }
    }
    due
}

/// What the history is told, or what is wrong. Who reviews how much is as the history has it, whatever the notes say by now.
fn told(kept: &Exported, due: Option<&Due>, review: &Review, at: i64) -> Result<Told, String> {
    let Review {
        reviewed,
        overridden,
        minutes,
        ..
    } = *review;
    let due = due.ok_or("the node's history knows of no reviewer of these scores, expected one: score again with --reviewer")?;
    if reviewed == 0 || overridden > reviewed {
        return Err(format!(
            "--reviewed is {reviewed} and --overridden {overridden}, expected at least 1 and no more than that"
        ));
    }
    let left = due.scores.saturating_sub(due.reviewed);
    if u64::from(reviewed) > left {
        let (scores, before) = (due.scores, due.reviewed);
        return Err(format!(
            "--reviewed is {reviewed}, expected at most {left}: there are {scores} scores, and {before} were reviewed before"
        ));
    }
    if minutes == 0 {
        return Err("--minutes is 0, expected at least 1: looking takes time".to_owned());
    }
    let reviewer = Some(due.reviewer.clone());
    let kept = Exported {
        reviewer,
        ..kept.clone()
    };
    Ok(kept.review(
        at,
        [
            ("minutes", Json::from(minutes)),
            ("overridden", Json::from(overridden)),
            ("reviewed", Json::from(reviewed)),
        ],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECISION: &str = "00";

    /// Notes that somebody has changed: the history knows another reviewer.
    fn kept() -> Exported {
        Exported {
            file: PathBuf::from("/unit/scores.csv"),
            model: "churn@1".to_owned(),
            purpose: "retention.score".to_owned(),
            reviewer: Some("bob".to_owned()),
            decision: DECISION.to_owned(),
            written_on: "2026-11-25".to_owned(),
            delete_by: "2026-11-26".to_owned(),
        }
    }

    fn said(decision: &str, more: (&str, u32)) -> Json {
        Json::object([
            ("decision", decision.into()),
            ("reviewer", "ada".into()),
            (more.0, more.1.into()),
        ])
    }

    fn ada(scores: u64, reviewed: u64) -> Option<Due> {
        let reviewer = "ada".to_owned();
        Some(Due {
            reviewer,
            scores,
            reviewed,
        })
    }

    #[track_caller]
    fn check_due(entries: &[Json], expected: Option<Due>) {
        assert_eq!(due(entries.iter().cloned(), DECISION), expected);
    }

    #[test]
    fn l3_who_reviews_how_much_is_what_the_history_says() {
        let scores = said(DECISION, ("scores", 150));
        let some = said(DECISION, ("reviewed", 120));
        check_due(&[], None);
        check_due(&[said("01", ("scores", 150))], None);
        check_due(std::slice::from_ref(&some), None);
        check_due(std::slice::from_ref(&scores), ada(150, 0));
        check_due(&[scores.clone(), some.clone()], ada(150, 120));
        check_due(&[scores.clone(), some.clone(), some], ada(150, 240));
        check_due(&[scores, said("01", ("reviewed", 9))], ada(150, 0));
    }

    #[track_caller]
    fn check(
        due: Option<&Due>,
        [reviewed, overridden, minutes]: [u32; 3],
        expected: Result<(), &str>,
    ) {
        let review = Review {
            file: PathBuf::from("scores.csv"),
            reviewed,
            overridden,
            minutes,
            json: false,
        };
        let found = told(&kept(), due, &review, 7);
        match (found, expected) {
            (Ok(told), Ok(())) => assert_eq!(
                told.payload.to_text(),
                format!(
                    r#"{{"decision":"00","event_at":7,"minutes":{minutes},"model":"churn@1","overridden":{overridden},"purpose":"retention.score","reviewed":{reviewed},"reviewer":"ada"}}"#
                )
            ),
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn l3_a_review_says_how_much_was_changed() {
        let due = ada(150, 30);
        let due = due.as_ref();
        check(due, [120, 4, 90], Ok(()));
        check(due, [1, 1, 1], Ok(()));
        check(due, [0, 0, 90], Err("--reviewed is 0"));
        check(due, [3, 4, 90], Err("--overridden 4"));
        check(due, [121, 4, 90], Err("expected at most 120"));
        check(due, [3, 1, 0], Err("--minutes is 0"));
        check(None, [3, 1, 90], Err("knows of no reviewer"));
    }
}
