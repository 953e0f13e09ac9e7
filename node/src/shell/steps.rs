//! Steps of a ledger beside the history: what changes it makes one, out of the step before. The node's history keeps the newest that it saw,
//! so that a ledger which was deleted, or put back from a backup alone, is known by it.

use std::path::{Path, PathBuf};

use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::history::{ActorKind, ActorRole, Event, Json, Kind};
use aquifer_shared::shell::history::History;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

/// A ledger that the history knows.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::shell) struct Bound {
    /// Its name in the node's directory.
    pub(in crate::shell) file: &'static str,
    /// Under which name the history keeps the step that it saw last.
    pub(in crate::shell) kept: &'static str,
    /// What is hashed in front of a step.
    pub(in crate::shell) label: &'static str,
    /// What is missing from an older copy, and what is not done therefore.
    pub(in crate::shell) lost: &'static str,
    /// What is to be done again where there is no newer copy.
    pub(in crate::shell) again: &'static str,
    /// The word for programs.
    pub(in crate::shell) code: &'static str,
}

/// A step of a ledger. It stands for all before it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::shell) struct Step {
    /// From 1; 0 where there is none yet.
    number: u64,
    head: Hash32,
}

/// The ledger is not the one that the history knows.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{} {found}, and this node's history knows step {known} of it: it was deleted or put back from a backup, so that {}. Put the \
     newest copy back; where there is none, start once with --break-glass \"{}: REASON\", which is written down, and {} (the unit's data \
     protection officer decides)",
    path.display(), bound.lost, bound.file, bound.again
)]
pub struct PutBack {
    bound: &'static Bound,
    path: PathBuf,
    known: u64,
    found: String,
}

impl PutBack {
    /// The word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.bound.code
    }
}

/// [`PutBack`], as whoever has the history open says it.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("{why}")]
pub struct SaidPutBack {
    code: &'static str,
    why: String,
}

impl SaidPutBack {
    /// With the code that was said.
    #[must_use]
    pub fn new(code: &str, why: String) -> Self {
        let known = CODES.into_iter().find(|own| *own == code);
        let code = known.unwrap_or("ledger");
        Self { code, why }
    }

    /// The word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl Step {
    /// How many there are up to it.
    pub(in crate::shell) fn number(self) -> u64 {
        self.number
    }

    fn text(self) -> String {
        format!("{} {}", self.number, self.head)
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, head) = text.split_once(' ')?;
        Some(Self {
            number: number.parse().ok()?,
            head: head.parse().ok()?,
        })
    }
}

impl Bound {
    /// Lets the history know the step that the ledger has reached.
    ///
    /// # Errors
    ///
    /// [`PutBack`], or one of them cannot be used: nothing of this ledger is entered then.
    pub(in crate::shell) async fn follow(
        &self,
        history: &History,
        known: &mut Option<Step>,
        reached: Result<Step, PutBack>,
    ) -> anyhow::Result<()> {
        let reached = Some(reached?).filter(|step| step.number > 0);
        if reached != *known {
            let text = reached.unwrap_or_default().text();
            history.keep(self.kept, text).await?;
            *known = reached;
        }
        Ok(())
    }

    /// The step that the history knows, if it knows any.
    pub(in crate::shell) async fn known(&self, history: &History) -> anyhow::Result<Option<Step>> {
        let kept = history.kept(self.kept).await?;
        let kept = kept.map(|text| Step::parse(&text).ok_or(text));
        match kept {
            Some(Err(_)) => {
                anyhow::bail!("what the history keeps of {} is no step of it", self.file)
            }
            Some(Ok(step)) => Ok(Some(step).filter(|step| step.number > 0)),
            None => Ok(None),
        }
    }

    /// Whether there may be no ledger at all.
    pub(in crate::shell) fn absent(
        &'static self,
        directory: &Path,
        known: Option<Step>,
    ) -> Result<(), PutBack> {
        match known {
            None => Ok(()),
            Some(step) => Err(PutBack {
                bound: self,
                path: directory.join(self.file),
                known: step.number,
                found: "is missing".to_owned(),
            }),
        }
    }

    /// Takes a ledger that goes on from what is known, or any for a reason.
    ///
    /// # Errors
    ///
    /// [`PutBack`], or one of them cannot be used.
    pub(in crate::shell) async fn hold(
        &self,
        history: &History,
        (mut known, found): (Option<Step>, Step),
        held: Result<(), PutBack>,
        (reason, now): (Option<&str>, Timestamp),
    ) -> anyhow::Result<()> {
        match (held, reason) {
            (Ok(()), _) => self.follow(history, &mut known, Ok(found)).await,
            (Err(put_back), Some(reason)) => {
                let why = (&put_back, reason, now);
                self.taken_anyway(history, found, why).await
            }
            (Err(put_back), None) => Err(put_back.into()),
        }
    }

    /// Takes the ledger as it is from now on, and has the history say so, where it is not the one that is known.
    async fn taken_anyway(
        &self,
        history: &History,
        found: Step,
        (put_back, reason, now): (&PutBack, &str, Timestamp),
    ) -> anyhow::Result<()> {
        let file = self.file;
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        let payload = Json::object([
            ("event_at", Json::from(now.0)),
            ("reason", Json::from(reason)),
            ("signers", Json::List(Vec::new())),
            ("step", Json::from(found.number)),
            ("step_known", Json::from(put_back.known)),
            ("what", Json::from(file)),
        ]);
        let event = Event::of_program(Kind::OverrideGranted, payload);
        let event = event.by(ActorKind::Person, ActorRole::Unit);
        let key = format!("override.granted/{file}/{}", now.0);
        // Said before it counts.
        history.append_once(vec![(key, event)]).await?;
        history.keep(self.kept, found.text()).await?;
        tracing::warn!(
            file,
            step = found.number,
            known = put_back.known,
            "a ledger that was put back is in use by an override"
        );
        Ok(())
    }

    /// The newest step of a ledger, if it goes on from the one that is known.
    pub(in crate::shell) async fn goes_on(
        &'static self,
        connection: &mut SqliteConnection,
        (path, known): (&Path, Option<Step>),
    ) -> Result<Result<Step, PutBack>, sqlx::Error> {
        let newest = newest(connection).await?;
        let Some(known) = known.filter(|known| *known != newest) else {
            return Ok(Ok(newest));
        };
        let query = "SELECT number, head FROM steps WHERE number = $1";
        let query = sqlx::query(query).bind(known.number.cast_signed());
        let row = query.fetch_optional(connection).await?;
        if row.as_ref().map(read) == Some(known) {
            return Ok(Ok(newest));
        }
        let found = match newest.number >= known.number {
            true => format!("has another step {}", known.number),
            false => format!("ends at step {}", newest.number),
        };
        Ok(Err(PutBack {
            bound: self,
            path: path.to_owned(),
            known: known.number,
            found,
        }))
    }

    /// Makes a step in a transaction; `drawn` is like no other, so that two ledgers with a common past have no common step after it.
    pub(in crate::shell) async fn advance(
        &self,
        connection: &mut SqliteConnection,
        drawn: &[u8],
    ) -> Result<(), sqlx::Error> {
        let before = newest(connection).await?;
        let head = labelled(self.label, &[&before.head.0, drawn]);
        sqlx::query("INSERT INTO steps (head) VALUES ($1)")
            .bind(head.0.as_slice())
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// The newest step of a ledger.
pub(in crate::shell) async fn newest(
    connection: &mut SqliteConnection,
) -> Result<Step, sqlx::Error> {
    let query = "SELECT number, head FROM steps ORDER BY number DESC LIMIT 1";
    let row = sqlx::query(query).fetch_optional(connection).await?;
    Ok(row.as_ref().map(read).unwrap_or_default())
}

/// What is damaged is no step that anybody knows.
fn read(row: &SqliteRow) -> Step {
    Step {
        number: row.get::<i64, _>("number").cast_unsigned(),
        head: Hash32(row.get::<&[u8], _>("head").try_into().unwrap_or_default()),
    }
}

/// Steps of a ledger. A number is never given again.
pub(in crate::shell) const TABLE: &str = "CREATE TABLE IF NOT EXISTS steps (number INTEGER PRIMARY KEY AUTOINCREMENT, head BLOB NOT NULL)";
/// Codes of the ledgers that are bound.
const CODES: [&str; 2] = ["consent", "usage"];
/// What the history holds of a reason.
const REASON_CHARS_MAX: usize = 500;
