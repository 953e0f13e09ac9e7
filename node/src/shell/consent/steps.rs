//! Steps of the consent ledger: every transaction that changes what it says makes one, out of the step before. The node's history keeps the
//! newest that it saw, so that a ledger which was deleted, or put back from a backup alone, is known by it.

use std::path::{Path, PathBuf};

use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::history::{ActorKind, ActorRole, Event, Json, Kind};
use aquifer_shared::shell::history::History;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::ledger::{ConsentFault, ConsentLedger, LEDGER_FILE, fault};

/// A step of the ledger. It stands for all before it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Step {
    number: u64,
    head: Hash32,
}

/// The ledger is not the one that the history knows.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{} {found}, and this node's history knows step {known} of it: it was deleted or put back from a backup, so that withdrawals, \
     objections and erasures since then are not in it, and nobody's data is read. Put the newest copy back; where there is none, start \
     once with --break-glass \"REASON\", which is written down, and import and erase again what came since that copy (the unit's data \
     protection officer decides)",
    path.display()
)]
pub struct PutBack {
    path: PathBuf,
    known: u64,
    found: String,
}

/// Lets the history know the step that a ledger has reached.
///
/// # Errors
///
/// [`PutBack`], or one of them cannot be used: nothing of this ledger is entered then.
pub(super) async fn follow(
    history: &History,
    known: &mut Option<Step>,
    reached: Result<Step, PutBack>,
) -> anyhow::Result<()> {
    let reached = Some(reached?).filter(|step| step.number > 0);
    if reached != *known {
        let text = reached.unwrap_or_default().text();
        history.keep(KEPT, text).await?;
        *known = reached;
    }
    Ok(())
}

/// The step that the history knows, if it knows any.
pub(super) async fn known(history: &History) -> anyhow::Result<Option<Step>> {
    let kept = history.kept(KEPT).await?;
    let kept = kept.map(|text| Step::parse(&text).ok_or(text));
    match kept {
        Some(Err(_)) => anyhow::bail!("what the history keeps of {LEDGER_FILE} is no step of it"),
        Some(Ok(step)) => Ok(Some(step).filter(|step| step.number > 0)),
        None => Ok(None),
    }
}

/// Whether there may be no ledger at all.
pub(super) fn absent(directory: &Path, known: Option<Step>) -> Result<(), PutBack> {
    match known {
        None => Ok(()),
        Some(step) => Err(PutBack {
            path: directory.join(LEDGER_FILE),
            known: step.number,
            found: "is missing".to_owned(),
        }),
    }
}

/// Takes the ledger as it is from now on, and has the history say so, where it is not the one that is known.
///
/// # Errors
///
/// One of them cannot be used.
pub(super) async fn taken_anyway(
    history: &History,
    found: Step,
    (put_back, reason, now): (&PutBack, &str, Timestamp),
) -> anyhow::Result<()> {
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    let payload = Json::object([
        ("event_at", Json::from(now.0)),
        ("reason", Json::from(reason)),
        ("signers", Json::List(Vec::new())),
        ("step", Json::from(found.number)),
        ("step_known", Json::from(put_back.known)),
        ("what", Json::from(LEDGER_FILE)),
    ]);
    let event = Event::of_program(Kind::OverrideGranted, payload);
    let event = event.by(ActorKind::Person, ActorRole::Unit);
    let key = format!("override.granted/{LEDGER_FILE}/{}", now.0);
    // Said before it counts.
    history.append_once(vec![(key, event)]).await?;
    history.keep(KEPT, found.text()).await?;
    tracing::warn!(
        step = found.number,
        known = put_back.known,
        "a consent ledger that was put back is in use by an override"
    );
    Ok(())
}

impl Step {
    /// How many there are up to it.
    pub(super) fn number(self) -> u64 {
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

impl ConsentLedger {
    /// The newest step.
    pub(super) fn step(&mut self) -> Result<Step, ConsentFault> {
        let newest = newest(&mut self.connection);
        let newest = self.runtime.block_on(newest);
        newest.map_err(|source| fault(&self.path, "read", source))
    }

    /// The newest step, if the ledger goes on from the one that is known.
    pub(super) fn goes_on(
        &mut self,
        known: Option<Step>,
    ) -> Result<Result<Step, PutBack>, ConsentFault> {
        let newest = self.step()?;
        let Some(known) = known.filter(|known| *known != newest) else {
            return Ok(Ok(newest));
        };
        let query = "SELECT number, head FROM steps WHERE number = $1";
        let query = sqlx::query(query).bind(known.number.cast_signed());
        let row = query.fetch_optional(&mut self.connection);
        let row = self.runtime.block_on(row);
        let row = row.map_err(|source| fault(&self.path, "read", source))?;
        if row.as_ref().map(read) == Some(known) {
            return Ok(Ok(newest));
        }
        let found = match row.is_some() {
            true => format!("has another step {}", known.number),
            false => format!("ends at step {}", newest.number),
        };
        Ok(Err(PutBack {
            path: self.path.clone(),
            known: known.number,
            found,
        }))
    }
}

/// Makes a step in a transaction; `drawn` is like no other, so that two ledgers with a common past have no common step after it.
pub(super) async fn advance(
    connection: &mut SqliteConnection,
    drawn: &str,
) -> Result<(), sqlx::Error> {
    let before = newest(connection).await?;
    let head = labelled(
        "aquifer/consent-step/1",
        &[&before.head.0, drawn.as_bytes()],
    );
    sqlx::query("INSERT INTO steps (head) VALUES ($1)")
        .bind(head.0.as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

async fn newest(connection: &mut SqliteConnection) -> Result<Step, sqlx::Error> {
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

/// Steps of a ledger.
pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS steps (number INTEGER PRIMARY KEY AUTOINCREMENT, head BLOB NOT NULL)";
/// Under which name the history keeps the step that it saw last.
const KEPT: &str = "consent";
/// What the history holds of a reason.
const REASON_CHARS_MAX: usize = 500;
