//! `aquifer-node review`: what came of looking at scores, written down for the history. Who only nods decides nothing.

use std::path::{Path, PathBuf};

use aquifer_shared::domain::history::Json;
use aquifer_shared::shell::report::{Outcome, print, print_json, refuse};
use clap::Args;
use serde_json::json;

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
/// The notes of files, or the consent ledger, cannot be used.
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
    let at = i64::try_from(now().0).unwrap_or(i64::MAX);
    let told = match told(&kept, review, at) {
        Ok(told) => told,
        Err(why) => return refuse(review.json, "review", &why),
    };
    ConsentLedger::open(directory)?.tell(&told, at)?;
    tell_soon(directory);
    let reviewer = kept.reviewer.as_deref().unwrap_or_default();
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

/// What the history is told, or what is wrong.
fn told(kept: &Exported, review: &Review, at: i64) -> Result<Told, String> {
    let Review {
        reviewed,
        overridden,
        minutes,
        ..
    } = *review;
    if kept.reviewer.is_none() {
        return Err("these scores were written without --reviewer: nobody reviews them".to_owned());
    }
    if reviewed == 0 || overridden > reviewed {
        return Err(format!(
            "--reviewed is {reviewed} and --overridden {overridden}, expected at least 1 and no more than that"
        ));
    }
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

    fn kept(reviewer: Option<&str>) -> Exported {
        Exported {
            file: PathBuf::from("/unit/scores.csv"),
            model: "churn@1".to_owned(),
            purpose: "retention.score".to_owned(),
            reviewer: reviewer.map(str::to_owned),
            decision: "00".to_owned(),
            written_on: "2026-11-25".to_owned(),
            delete_by: "2026-11-26".to_owned(),
        }
    }

    #[track_caller]
    fn check(reviewer: Option<&str>, [reviewed, overridden]: [u32; 2], expected: Result<(), &str>) {
        let review = Review {
            file: PathBuf::from("scores.csv"),
            reviewed,
            overridden,
            minutes: 90,
            json: false,
        };
        let found = told(&kept(reviewer), &review, 7);
        match (found, expected) {
            (Ok(told), Ok(())) => assert_eq!(
                told.payload.to_text(),
                format!(
                    r#"{{"decision":"00","event_at":7,"minutes":90,"model":"churn@1","overridden":{overridden},"purpose":"retention.score","reviewed":{reviewed},"reviewer":"ada"}}"#
                )
            ),
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn l3_a_review_says_how_much_was_changed() {
        check(Some("ada"), [120, 4], Ok(()));
        check(Some("ada"), [1, 1], Ok(()));
        check(Some("ada"), [0, 0], Err("--reviewed is 0"));
        check(Some("ada"), [3, 4], Err("--overridden 4"));
        check(None, [3, 1], Err("without --reviewer"));
    }
}
