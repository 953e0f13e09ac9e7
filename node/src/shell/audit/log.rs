//! The node's history, copied whole: from the running node, or from its file where none runs. Nothing is made of one that does not verify.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::base::limits::HISTORY_DAYS_SHOWN_MAX;
use aquifer_shared::domain::facts::{Log, NoDocument};
use aquifer_shared::domain::history::{Json, Leaf, payload_commit};
use aquifer_shared::domain::pack::{Body, Entry as Packed, VerifierKey};
use aquifer_shared::domain::tlog::{Checkpoint, Frontier, SignedNote, leaf_hash};
use aquifer_shared::protocol::witness::node_origin;
use aquifer_shared::shell::history::{Entry, History};
use serde::{Deserialize, Serialize};

use crate::shell::at_rest;
use crate::shell::control::{ask, ask_within};
use crate::shell::history::{self, HISTORY_FOLDER};
use crate::shell::telling::{Teller, hex};
use crate::shell::views::{Answer, Query};
use crate::shell::witnessing::read_fork;

/// An entry on its way through the node's door.
///
/// # Privacy
///
/// Payloads may name persons by keyed references: for the unit's own people only.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Copied {
    leaf: String,
    salt: Option<String>,
    payload: Option<String>,
}

/// Entries of an open history from a place on.
///
/// # Errors
///
/// It cannot be read.
pub async fn copied(history: &History, from: u64) -> anyhow::Result<Vec<Copied>> {
    let entries = history.read(from..from.saturating_add(PAGE)).await?;
    let copied = entries.into_iter().map(|entry| {
        let (salt, payload) = entry.opening.unzip();
        let payload = payload.map(String::from_utf8);
        Ok(Copied {
            leaf: hex(&entry.leaf.to_bytes()),
            salt: salt.map(|salt| hex(&salt)),
            payload: payload.transpose().context("a payload that is no text")?,
        })
    });
    copied.collect()
}

/// Checkpoints that were published, the last of each of some days from this one on (days since 1970).
///
/// # Errors
///
/// They cannot be read.
pub async fn published(history: &History, from: u64) -> anyhow::Result<Vec<String>> {
    let until = from.saturating_add(HISTORY_DAYS_SHOWN_MAX);
    Ok(history.published_in(from..until).await?)
}

/// The whole history of a node, verified.
///
/// # Privacy
///
/// As [`Copied`].
#[derive(Debug)]
pub struct LogCopy {
    /// The log's name.
    pub origin: String,
    /// The key that signs its checkpoints.
    pub key: IdentityKey,
    /// The newest checkpoint that left the unit.
    pub published: Option<String>,
    /// Checkpoints that left the unit before, the last of each day that was asked for.
    pub checkpoints: Vec<String>,
    /// All entries, those that fill up included.
    pub entries: Vec<Entry>,
}

impl LogCopy {
    /// Enters what is written down and not entered yet, and copies the history, with the checkpoints of some days (since 1970).
    ///
    /// # Errors
    ///
    /// There is none, it cannot be read, or it does not verify.
    pub fn read(directory: &Path, days: Range<u64>) -> anyhow::Result<Self> {
        let key = at_rest::identity(directory)?.into_identity().public();
        let read = match ask_within(directory, &Query::Tell, PATIENCE)? {
            Some(Answer::Told) => of_running(directory, days)?,
            Some(Answer::Refused(why) | Answer::PutBack { why, .. }) => {
                bail!("the running node refuses: {why}")
            }
            Some(_) => bail!("the running node answered something else; is it of this version?"),
            None => of_files(directory, days)?,
        };
        let copy = Self {
            origin: node_origin(&key),
            key,
            published: read.published,
            checkpoints: read.checkpoints,
            entries: read.entries,
        };
        copy.verify().context(NotVerified)?;
        Ok(copy)
    }

    /// What was published of it, as the source of documents; none where nothing was yet.
    ///
    /// # Errors
    ///
    /// It is not what was published.
    pub fn documented(&self) -> Result<Option<Log>, NoDocument> {
        let Some(note) = &self.published else {
            return Ok(None);
        };
        let signed = SignedNote::parse(note).ok();
        let checkpoint = signed.and_then(|signed| Checkpoint::parse(&signed.text).ok());
        // A note that is none is refused below, by name.
        let size = checkpoint.map_or(0, |checkpoint| checkpoint.size);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let entries = self.entries.iter().take(size).map(packed);
        let key = VerifierKey::of_log(&self.origin, self.key);
        Log::verified(entries, note, &key).map(Some)
    }

    /// The payload of an entry; none where it was erased.
    #[must_use]
    pub fn payload(entry: &Entry) -> Option<Json> {
        let (_, payload) = entry.opening.as_ref()?;
        Json::parse(payload).ok()
    }

    /// Every entry in its place with the payload that it commits to, and the checkpoint that was published over them.
    pub(super) fn verify(&self) -> anyhow::Result<()> {
        for (index, entry) in (0_u64..).zip(&self.entries) {
            let at = entry.leaf.seq;
            ensure!(
                at == index,
                "the history has entry {at} where {index} belongs"
            );
            if let Some((salt, payload)) = &entry.opening {
                let holds = payload_commit(salt, payload) == entry.leaf.payload_commit;
                ensure!(
                    holds,
                    "entry {index} of the history has another payload than it commits to"
                );
            }
        }
        let Some(published) = &self.published else {
            return Ok(());
        };
        let note = SignedNote::parse(published)?;
        let checkpoint = Checkpoint::parse(&note.text)?;
        let key = VerifierKey::of_log(&self.origin, self.key);
        ensure!(
            key.signed(&note) == Some(true) && checkpoint.origin == self.origin,
            "the checkpoint that was published last is not signed by this node"
        );
        let size = usize::try_from(checkpoint.size)?;
        let mut tree = Frontier::default();
        for entry in self.entries.iter().take(size) {
            tree.push(leaf_hash(&entry.leaf.to_bytes()), |_, _, _| {});
        }
        ensure!(
            tree.size() == checkpoint.size && tree.root() == checkpoint.root,
            "the history is not the one whose {} entries were published",
            checkpoint.size
        );
        Ok(())
    }
}

struct Read {
    published: Option<String>,
    checkpoints: Vec<String>,
    entries: Vec<Entry>,
}
/// Why nothing is made of a history; the cause says what is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the history of this node does not verify")]
pub struct NotVerified;

fn packed(entry: &Entry) -> Packed {
    let body = match &entry.opening {
        Some((salt, payload)) => Body::Kept {
            salt: *salt,
            payload: payload.clone(),
        },
        None => Body::Erased,
    };
    Packed {
        index: entry.leaf.seq,
        leaf: entry.leaf.to_bytes(),
        body,
    }
}

fn of_running(directory: &Path, days: Range<u64>) -> anyhow::Result<Read> {
    let mut checkpoints = Vec::new();
    for from in firsts(days) {
        let Some(Answer::Published(notes)) = ask(directory, &Query::Published { from })? else {
            bail!("the running node does not give its checkpoints; is it of this version?");
        };
        checkpoints.extend(notes);
    }
    let published = match ask(directory, &Query::History)? {
        Some(Answer::History(view)) => view.published,
        _ => bail!("the running node does not show its history"),
    };
    let mut entries = Vec::new();
    loop {
        let from = entries.len() as u64;
        let Some(Answer::Entries(page)) = ask(directory, &Query::Entries { from })? else {
            bail!("the running node does not give entry {from} of its history");
        };
        if page.is_empty() {
            return Ok(Read {
                published,
                checkpoints,
                entries,
            });
        }
        for own in page {
            let entry = entry(&own);
            entries.push(entry.with_context(|| format!("entry {} is none", entries.len()))?);
        }
    }
}

fn of_files(directory: &Path, days: Range<u64>) -> anyhow::Result<Read> {
    ensure!(
        directory.join(HISTORY_FOLDER).exists(),
        "there is no history yet: it begins when the node runs for the first time"
    );
    ensure!(
        read_fork(directory)?.is_none(),
        "the coordinator showed two histories: see `aquifer-node history show`"
    );
    history::with_files(directory, async |history| {
        read_open(history, directory, days).await
    })
}

async fn read_open(history: &History, directory: &Path, days: Range<u64>) -> anyhow::Result<Read> {
    Teller::new(history.clone(), directory).tell().await?;
    let mut checkpoints = Vec::new();
    for from in firsts(days) {
        checkpoints.extend(published(history, from).await?);
    }
    let mut entries = Vec::new();
    loop {
        let from = entries.len() as u64;
        let page = history.read(from..from + PAGE).await?;
        if page.is_empty() {
            return Ok(Read {
                published: history.published().await?,
                checkpoints,
                entries,
            });
        }
        entries.extend(page);
    }
}

/// First days of the answers that cover these.
fn firsts(days: Range<u64>) -> impl Iterator<Item = u64> {
    days.step_by(usize::try_from(HISTORY_DAYS_SHOWN_MAX).unwrap_or(1))
}

fn entry(copied: &Copied) -> Option<Entry> {
    let leaf = Leaf::parse(&bytes(&copied.leaf)?).ok()?;
    let opening = match (&copied.salt, &copied.payload) {
        (Some(salt), Some(payload)) => {
            let salt = bytes(salt)?.try_into().ok()?;
            Some((salt, payload.clone().into_bytes()))
        }
        _ => None,
    };
    Some(Entry { leaf, opening })
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

/// Entries that are read at once: with the longest payloads they fit into an answer.
const PAGE: u64 = 256;
/// How long a running node may take to enter what it has not entered yet.
const PATIENCE: Duration = Duration::from_secs(60);
