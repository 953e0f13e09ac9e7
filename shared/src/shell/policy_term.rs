//! Why a policy is not in force, and how long one is: for good, or until a broken glass runs out.
//!
//! The history keeps how long programs ran under a glass, so that its day ends whatever the clock says and however often a program starts.
//! That time is charged ahead: a crash costs some of the day, and gives none of it back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::history::{History, HistoryFault};
use crate::base::ids::Hash32;
use crate::base::limits::{GLASS_REASON_CHARS_MAX, GLASS_STEP_MS};
use crate::base::time::Timestamp;
use crate::domain::law::change::{Accepted, NotAccepted, OVERRIDE_MS};

/// The policy is not in force: nothing was attached, nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("{source}: {}", self.remedy())]
pub struct PolicyFault {
    program: &'static str,
    directory: PathBuf,
    source: NotAccepted,
}

impl PolicyFault {
    /// Of the program that works in this directory.
    pub(super) fn new(program: &'static str, directory: &Path, source: NotAccepted) -> Self {
        Self {
            program,
            directory: directory.to_owned(),
            source,
        }
    }

    fn remedy(&self) -> String {
        let in_directory = |file: &str| self.directory.join(file).display().to_string();
        let program = self.program;
        let accepted = in_directory(ACCEPTED_FILE);
        let sign = format!(
            "`{program} policy status` prints the digest that two officers sign with `aquifer policy sign DIGEST`; put their lines into {}",
            in_directory(SIGNED_FILE)
        );
        let glass =
            "start once with --break-glass \"REASON\", which is written down and holds a day";
        match self.source {
            NotAccepted::Unsigned { .. } => format!("{sign}, or {glass}"),
            NotAccepted::Missing => {
                format!(
                    "put the newest copy of {accepted} back; where there is none, {sign}, or {glass}"
                )
            }
            // Signatures count for nothing here: nobody knows whose.
            NotAccepted::Unknown => format!(
                "put the newest copies of {accepted} and of the history back; where there are none, start {program}, which takes a first \
                 start as it is; where that is refused too, {glass}"
            ),
            NotAccepted::RunOut => sign,
            NotAccepted::NotStarted => format!("start {program} again"),
        }
    }
}

/// How long what was accepted is in force: for good, or until a broken glass runs out, by the wall's clock and by the time that programs
/// have run.
#[derive(Clone, Debug)]
pub struct Term {
    program: &'static str,
    directory: PathBuf,
    glass: Option<Glass>,
}

/// A broken glass in the program that runs under it.
#[derive(Clone, Debug)]
struct Glass {
    until: Timestamp,
    /// When this program is over at the latest.
    end: Instant,
    from: Instant,
    /// What of the day was used before.
    used_ms: u64,
    /// What the history says is used.
    charged_ms: u64,
    /// Under which name it does.
    kept: String,
}

impl Term {
    /// Of what is accepted for a policy, from now on; `used` is as [`used`] found it.
    pub(super) fn new(
        (program, directory): (&'static str, &Path),
        (accepted, policy): (&Accepted, &Hash32),
        (used, now): (&BTreeMap<String, u64>, Timestamp),
    ) -> Self {
        let glass = accepted.until(policy).map(|until| {
            let kept = name(policy, until);
            let used_ms = used.get(&kept).copied().unwrap_or(0);
            let left = until.since_ms(now);
            let left = left.min(OVERRIDE_MS.saturating_sub(used_ms));
            let from = Instant::now();
            Glass {
                until,
                end: from + Duration::from_millis(left),
                from,
                used_ms,
                charged_ms: used_ms,
                kept,
            }
        });
        Self {
            program,
            directory: directory.to_owned(),
            glass,
        }
    }

    /// Whether the policy is still in force.
    ///
    /// # Errors
    ///
    /// [`PolicyFault`]: the program has to stop.
    pub fn check(&self, now: Timestamp) -> Result<(), PolicyFault> {
        let over = |glass: &Glass| now > glass.until || Instant::now() > glass.end;
        match self.glass.as_ref().is_some_and(over) {
            true => Err(PolicyFault::new(
                self.program,
                &self.directory,
                NotAccepted::RunOut,
            )),
            false => Ok(()),
        }
    }

    /// Whether it ends at all.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.glass.is_some()
    }

    /// Lets the history keep the time that the program runs under a broken glass, some of it ahead: at the start, and again and again.
    ///
    /// # Errors
    ///
    /// The history cannot be written: the program has to stop.
    pub async fn charge(&mut self, history: &History) -> Result<(), HistoryFault> {
        let Some(glass) = &mut self.glass else {
            return Ok(());
        };
        let used = glass.used();
        if used < glass.charged_ms {
            return Ok(());
        }
        let ahead = used.saturating_add(GLASS_STEP_MS).min(OVERRIDE_MS);
        history.keep(&glass.kept, ahead.to_string()).await?;
        glass.charged_ms = ahead;
        Ok(())
    }

    /// Lets the history keep what was used and no more, as the program ends in order.
    pub async fn end(&self, history: &History) {
        let Some(glass) = &self.glass else {
            return;
        };
        let used = glass.used().min(OVERRIDE_MS);
        if let Err(fault) = history.keep(&glass.kept, used.to_string()).await {
            tracing::warn!(%fault, "more of the day of the broken glass counts as used than was");
        }
    }
}

impl Glass {
    fn used(&self) -> u64 {
        let ran = u64::try_from(self.from.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.used_ms.saturating_add(ran)
    }
}

/// For how long programs ran under each broken glass of a record, by the names under which a history keeps that.
pub(super) async fn used(
    accepted: &Accepted,
    history: &History,
) -> Result<BTreeMap<String, u64>, HistoryFault> {
    let mut used = BTreeMap::new();
    for own in &accepted.overrides {
        let name = name(&own.digest, own.until());
        if let Some(text) = history.kept(&name).await? {
            // What this program did not write gives no time.
            used.insert(name, text.parse().unwrap_or(OVERRIDE_MS));
        }
    }
    Ok(used)
}

/// Under which name a history keeps how long programs ran under a glass.
pub(super) fn name(policy: &Hash32, until: Timestamp) -> String {
    format!("glass/{policy}/{}", until.0)
}

/// A reason to break the glass, as it is typed.
///
/// # Errors
///
/// It has no word, or too many characters.
pub fn reason(typed: &str) -> Result<String, String> {
    let reason = typed.trim();
    let found = reason.chars().count();
    match found {
        1..=GLASS_REASON_CHARS_MAX => Ok(reason.to_owned()),
        _ => Err(format!(
            "the reason has {found} characters, expected 1 to {GLASS_REASON_CHARS_MAX}"
        )),
    }
}

/// The record of what was accepted, in a site's directory.
pub const ACCEPTED_FILE: &str = "policy.accepted";
/// Signatures of officers.
pub(super) const SIGNED_FILE: &str = "policy.signed";

#[cfg(test)]
mod tests {
    use super::*;

    fn term(glass: Option<(u64, Instant)>) -> Term {
        Term {
            program: "aquifer-node",
            directory: PathBuf::new(),
            glass: glass.map(|(until, end)| Glass {
                until: Timestamp(until),
                end,
                from: end,
                used_ms: 0,
                charged_ms: 0,
                kept: String::new(),
            }),
        }
    }

    #[test]
    fn a_term_ends_by_the_clock_and_by_time_that_passes() {
        let later = Instant::now() + Duration::from_secs(3_600);
        assert!(term(None).check(Timestamp(u64::MAX)).is_ok());
        assert!(term(Some((5, later))).check(Timestamp(5)).is_ok());
        assert!(term(Some((5, later))).check(Timestamp(6)).is_err());
        // A clock that was set back.
        let passed = Instant::now()
            .checked_sub(Duration::from_millis(1))
            .unwrap();
        let fault = term(Some((5, passed))).check(Timestamp(1)).unwrap_err();
        assert!(fault.to_string().contains("run out"));
    }

    /// What a refusal says can be done, and what it does not say.
    #[track_caller]
    fn check_remedy(source: NotAccepted, says: &[&str], says_not: &[&str]) {
        let text = PolicyFault::new("aquifer-node", Path::new("unit"), source).to_string();
        for part in says {
            assert!(text.contains(part), "{part}: {text}");
        }
        for part in says_not {
            assert!(!text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_refusal_says_what_helps_and_nothing_else() {
        let (sign, glass) = ("aquifer policy sign", "--break-glass");
        let unsigned = NotAccepted::Unsigned {
            signed: 1,
            officers: 3,
        };
        check_remedy(unsigned, &[sign, glass], &["newest copy"]);
        let copy = "newest copy of unit/policy.accepted";
        check_remedy(NotAccepted::Missing, &[copy, sign, glass], &[]);
        let copies = "newest copies of unit/policy.accepted and of the history";
        check_remedy(NotAccepted::Unknown, &[copies, glass], &[sign]);
        check_remedy(NotAccepted::RunOut, &[sign], &[glass]);
        let again = "start aquifer-node again";
        check_remedy(NotAccepted::NotStarted, &[again], &[sign, glass]);
    }

    #[track_caller]
    fn check_reason(typed: &str, expected: Option<&str>) {
        assert_eq!(reason(typed).ok().as_deref(), expected);
    }

    #[test]
    fn a_reason_has_a_word_and_an_end() {
        check_reason("the store burns", Some("the store burns"));
        check_reason(" fire ", Some("fire"));
        let longest = "ü".repeat(GLASS_REASON_CHARS_MAX);
        check_reason(&longest, Some(&longest));
        check_reason(&(longest + "r"), None);
        check_reason("", None);
        check_reason("  ", None);
    }
}
