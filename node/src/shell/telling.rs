//! What other files than the ledger of budgets tell the history: consents, scores, receipts, rights.
//!
//! Commands write these files while the node runs, and the history belongs to one process at a time: the running node's, which is asked
//! through its door; where none runs, the command opens it. What is told is on disk before, so that whoever comes next goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use aquifer_shared::base::limits::HISTORY_GROUP_MAX;
use aquifer_shared::domain::pack::written_proof;
use aquifer_shared::domain::tlog::{Checkpoint, SignedNote};
use aquifer_shared::shell::history::History;
use aquifer_shared::shell::policy_kept::Known;
use aquifer_shared::shell::report::{chain, note};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc};

use super::audit;
use super::clock::now;
use super::consent::ConsentLedger;
use super::consent::entering::enter;
use super::control::ask_within;
use super::history::{self, HISTORY_FOLDER};
use super::rights;
use super::steps::{PutBack, SaidPutBack};
use super::usage::{self, UsageLedger};
use super::views::{Answer, Query};
use super::witnessing::{Distrust, read_fork};
use crate::core::chronicle::Keyed;

/// An entry of the history with what shows that it is in the last checkpoint that was published.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Proof {
    /// The leaf, in hexadecimal digits.
    pub leaf: String,
    /// Its salt, in hexadecimal digits.
    pub salt: String,
    /// Its payload.
    pub payload: String,
    /// The proof with the checkpoint (C2SP tlog-proof).
    pub proof: String,
}

/// A ledger that the history does not hear of.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Untold {
    code: String,
    why: String,
}

impl Untold {
    /// The word for programs: which ledger it is.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }
}

/// Tells an open history what was written down elsewhere, one caller after the other.
#[derive(Clone, Debug)]
pub struct Teller {
    history: History,
    directory: PathBuf,
    turn: Arc<Mutex<()>>,
}

impl Teller {
    /// Of a node's directory.
    #[must_use]
    pub fn new(history: History, directory: &Path) -> Self {
        Self {
            history,
            directory: directory.to_owned(),
            turn: Arc::default(),
        }
    }

    /// The history.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Enters everything that is written down and not entered yet.
    ///
    /// # Errors
    ///
    /// A ledger or the history cannot be used: the rest is entered by the next call.
    pub async fn tell(&self) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        enter(&self.history, &self.directory).await?;
        usage::bind(&self.history, &self.directory).await?;
        let directory = self.directory.clone();
        let told = tokio::task::spawn_blocking(move || desk_told(&directory));
        let mut told = told.await??;
        while !told.is_empty() {
            let rest = told.split_off(told.len().min(HISTORY_GROUP_MAX));
            self.history.append_once(told).await?;
            told = rest;
        }
        self.tell_cuts().await
    }

    /// Who was eligible at each cut, by a digest.
    async fn tell_cuts(&self) -> anyhow::Result<()> {
        loop {
            let directory = self.directory.clone();
            let told = tokio::task::spawn_blocking(move || usage::told(&directory));
            let (told, last) = told.await??;
            if told.is_empty() {
                return Ok(());
            }
            self.history.append_once(told).await?;
            let directory = self.directory.clone();
            let heard = move || UsageLedger::open(&directory)?.heard(last);
            tokio::task::spawn_blocking(heard).await??;
        }
    }

    /// The same for consents alone, again and again: commands that could not ask the node are heard of, too. Every hour certificates are
    /// looked at whose last model may have gone out of use. Ends where a ledger is not the one that the history knows: so does the node.
    pub async fn run(self, distrust: mpsc::Sender<Distrust>) {
        for turn in 0_u64.. {
            if turn % RENEW_TURNS == 0
                && let Err(fault) = self.renew().await
            {
                tracing::error!(
                    fault = format!("{fault:#}"),
                    "certificates of erasures were not looked at"
                );
            }
            tokio::time::sleep(EVERY).await;
            if let Some(put_back) = self.look().await {
                // Fails only where the loop has gone.
                let _ = distrust.send(Distrust::PutBack(put_back)).await;
                return;
            }
        }
    }

    /// Enters consents and binds the usage ledger, as far as that can be had now; the ledger that was put back, if one was.
    pub(in crate::shell) async fn look(&self) -> Option<PutBack> {
        let _turn = self.turn.lock().await;
        let entered = enter(&self.history, &self.directory).await;
        let entered = put_back(entered, "consents are not in the history yet");
        let bound = usage::bind(&self.history, &self.directory).await;
        let unknown = "the history does not know the usage ledger as it is";
        entered.or(put_back(bound, unknown))
    }

    async fn renew(&self) -> anyhow::Result<()> {
        let directory = self.directory.clone();
        let renewed = tokio::task::spawn_blocking(move || rights::renew(&directory, now()));
        if renewed.await?? > 0 {
            self.tell().await?;
        }
        Ok(())
    }

    /// Whether a question is for the teller.
    #[must_use]
    pub fn takes(query: &Query) -> bool {
        matches!(
            query,
            Query::Tell
                | Query::Hold
                | Query::Policy
                | Query::Prove { .. }
                | Query::Payloads { .. }
                | Query::Published { .. }
                | Query::Entries { .. }
        )
    }

    /// Answers a question.
    pub async fn answer(&self, query: &Query) -> Answer {
        let answered = match query {
            Query::Tell => self.tell().await.map(|()| Answer::Told),
            Query::Hold => match self.tell().await {
                Ok(()) => Ok(Answer::Told),
                Err(fault) => held(fault),
            },
            Query::Policy => {
                let known = Known::of(&self.history).await;
                known.map(Answer::Policy).map_err(Into::into)
            }
            Query::Prove { entry } => self.prove(*entry).await.map(Answer::Proven),
            Query::Payloads { entries } => self.payloads(entries).await.map(Answer::Payloads),
            Query::Published { from } => {
                let notes = audit::published(&self.history, *from).await;
                notes.map(Answer::Published)
            }
            Query::Entries { from } => audit::copied(&self.history, *from)
                .await
                .map(Answer::Entries),
            _ => Ok(Answer::Refused("not a question about histories".to_owned())),
        };
        answered.unwrap_or_else(|fault| {
            let why = chain(&fault);
            match fault.downcast_ref::<PutBack>() {
                Some(put_back) => Answer::PutBack {
                    code: put_back.code().to_owned(),
                    why,
                },
                None => Answer::Refused(why),
            }
        })
    }

    /// An entry with its proof; none where it is in no checkpoint that was published.
    ///
    /// # Errors
    ///
    /// There is no such entry, it was erased, or the history cannot be read.
    ///
    /// # Privacy
    ///
    /// Against a published checkpoint alone: the size of any other would say how much happened since.
    pub async fn prove(&self, entry: u64) -> anyhow::Result<Option<Proof>> {
        let Some(published) = self.history.published().await? else {
            return Ok(None);
        };
        let signed = SignedNote::parse(&published)?;
        let size = Checkpoint::parse(&signed.text)?.size;
        if entry >= size {
            return Ok(None);
        }
        let hashes = self.history.prove(entry, size).await?;
        let found = self.history.read(entry..entry + 1).await?.pop();
        let found = found.with_context(|| format!("the history has no entry {entry}"))?;
        let Some((salt, payload)) = found.opening else {
            bail!("entry {entry} of the history was erased");
        };
        Ok(Some(Proof {
            leaf: hex(&found.leaf.to_bytes()),
            salt: hex(&salt),
            payload: String::from_utf8(payload).context("a payload that is no text")?,
            proof: written_proof(entry, &hashes, &published),
        }))
    }

    async fn payloads(&self, entries: &[u64]) -> anyhow::Result<Vec<Option<String>>> {
        let mut payloads = Vec::with_capacity(entries.len());
        for entry in entries {
            let found = self.history.read(*entry..*entry + 1).await?.pop();
            let found = found.with_context(|| format!("the history has no entry {entry}"))?;
            let text = found.opening.map(|(_, payload)| String::from_utf8(payload));
            payloads.push(text.transpose().context("a payload that is no text")?);
        }
        Ok(payloads)
    }
}

/// What the desk did and what auditors were given, each with its key. Blocks.
fn desk_told(directory: &Path) -> anyhow::Result<Vec<Keyed>> {
    let mut told = rights::told(directory)?;
    told.extend(audit::packs_told(directory)?);
    Ok(told)
}

/// Asks the running node, or the history where none runs; none where there is no history yet.
///
/// # Errors
///
/// A node runs and does not answer, or the history cannot be used.
pub fn ask_history(directory: &Path, query: &Query) -> anyhow::Result<Option<Answer>> {
    if let Some(answer) = ask_within(directory, query, PATIENCE)? {
        return Ok(Some(answer));
    }
    if !directory.join(HISTORY_FOLDER).exists() {
        return Ok(None);
    }
    if read_fork(directory)?.is_some() {
        bail!("the coordinator showed two histories: see `aquifer-node history show`");
    }
    history::with_files(directory, async |history| {
        let teller = Teller::new(history.clone(), directory);
        Ok(Some(teller.answer(query).await))
    })
}

/// Lets the history hear what was just written down, if that can be had at once; else it hears of it later.
pub fn tell_soon(directory: &Path) {
    let later = match ask_history(directory, &Query::Tell) {
        Ok(None | Some(Answer::Told)) => return,
        Ok(Some(Answer::Refused(why) | Answer::PutBack { why, .. })) => why,
        Ok(Some(_)) => "the running node answered something else".to_owned(),
        Err(fault) => chain(&fault),
    };
    note(&format!(
        "written down; the node's history hears of it later ({later})"
    ));
}

/// Refuses where the history knows more of the ledger of consents, or of usage, than there is, or does not hear of what is there.
///
/// # Errors
///
/// [`Untold`], or nobody could be asked: nobody is scored by such a ledger.
pub fn told_now(directory: &Path) -> anyhow::Result<()> {
    Ok(heard(ask_history(directory, &Query::Tell)?)?)
}

/// What an answer to [`Query::Tell`] says of the ledgers.
fn heard(answer: Option<Answer>) -> Result<(), Untold> {
    let of_consents = |why| {
        let code = "consent".to_owned();
        Err(Untold { code, why })
    };
    match answer {
        None | Some(Answer::Told) => Ok(()),
        Some(Answer::PutBack { code, why }) => Err(Untold { code, why }),
        Some(Answer::Refused(why)) => of_consents(why),
        Some(_) => of_consents(
            "the running node answered something else; is it of this version?".to_owned(),
        ),
    }
}

/// Refuses where a ledger is not the one that the history knows, before a command believes it or writes to it.
///
/// # Errors
///
/// [`SaidPutBack`]; or the history cannot be asked: nothing is believed then.
pub fn held_now(directory: &Path) -> anyhow::Result<()> {
    match ask_history(directory, &Query::Hold)? {
        None | Some(Answer::Told) => Ok(()),
        Some(Answer::PutBack { code, why }) => Err(SaidPutBack::new(&code, why).into()),
        Some(Answer::Refused(why)) => bail!(why),
        Some(_) => bail!("the running node answered something else; is it of this version?"),
    }
}

/// Lets the history hear what was just written down, and nothing about erased persons is left in the history on return.
///
/// # Errors
///
/// It cannot be had now: the same command again goes on.
///
/// # Privacy
///
/// Payload and salt of entries that were about the person are gone.
pub fn erase_told(directory: &Path, ledger: &mut ConsentLedger) -> anyhow::Result<()> {
    let why = match ask_history(directory, &Query::Tell)? {
        Some(Answer::Told) => return Ok(()),
        Some(Answer::Refused(why) | Answer::PutBack { why, .. }) => why,
        Some(_) => "the running node answered something else".to_owned(),
        None => match ledger.drop_unentered()? {
            0 => return Ok(()),
            left => format!("{left} entries were made in a history that is not there any more"),
        },
    };
    bail!(
        "what the node's history says about the person is not erased yet: {why}; the same command again goes on"
    )
}

/// What is answered where a ledger is not the one that the history knows.
fn held(fault: anyhow::Error) -> anyhow::Result<Answer> {
    let put_back = fault.downcast::<PutBack>()?;
    let (code, why) = (put_back.code().to_owned(), put_back.to_string());
    Ok(Answer::PutBack { code, why })
}

/// The ledger that was put back; another fault is said, and passes by.
fn put_back(done: anyhow::Result<()>, what: &str) -> Option<PutBack> {
    match done.err()?.downcast() {
        Ok(put_back) => Some(put_back),
        Err(fault) => {
            tracing::error!(fault = format!("{fault:#}"), "{what}");
            None
        }
    }
}

/// Bytes as digits.
pub(in crate::shell) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How often the ledger of consents is looked at without having been asked to.
const EVERY: Duration = Duration::from_secs(30);
/// Turns of that from one look at certificates to the next.
const RENEW_TURNS: u64 = 120;
/// A node that starts answers later; what is told is on disk.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_code(answer: Option<Answer>, expected: Option<&str>) {
        let found = heard(answer).err();
        assert_eq!(found.as_ref().map(Untold::code), expected);
    }

    #[test]
    fn a_refusal_names_the_ledger_that_was_put_back() {
        let why = "put back".to_owned();
        let put_back = |code: &str| Answer::PutBack {
            code: code.to_owned(),
            why: why.clone(),
        };
        check_code(None, None);
        check_code(Some(Answer::Told), None);
        check_code(Some(put_back("usage")), Some("usage"));
        check_code(Some(put_back("consent")), Some("consent"));
        check_code(Some(Answer::Refused(why.clone())), Some("consent"));
    }
}
