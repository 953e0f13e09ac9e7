//! The node's history, read whole, page by page: from the running node, or from its file where none runs. Nothing is made of one that does not
//! verify, and nobody holds all of it.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::base::limits::HISTORY_DAYS_SHOWN_MAX;
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

/// What a history says of itself before its entries are read.
#[derive(Clone, Debug)]
pub struct Head {
    /// The log's name.
    pub origin: String,
    /// The key that signs its checkpoints.
    pub key: IdentityKey,
    /// The newest checkpoint that left the unit.
    pub published: Option<String>,
    /// Checkpoints that left the unit before, the last of each day that was asked for.
    pub checkpoints: Vec<String>,
}

/// What is made of a history while it is read: it keeps of it what it needs, as a history has no bound.
///
/// # Privacy
///
/// As [`Copied`].
pub trait Reader {
    /// The next entry, in its place and with the payload that it commits to. Whether the whole is what was published shows at its end.
    ///
    /// # Errors
    ///
    /// Nothing can be made of it.
    fn take(&mut self, entry: Entry) -> anyhow::Result<()>;
}

/// Enters what is written down and not entered yet, and reads the history with the checkpoints of some days (since 1970): page by page, each
/// entry checked and handed on, those that fill up included.
///
/// # Errors
///
/// There is none, it cannot be read, nothing can be made of it, or it does not verify.
pub fn read<R: Reader>(
    directory: &Path,
    days: Range<u64>,
    begin: impl FnOnce(&Head) -> anyhow::Result<R>,
) -> anyhow::Result<(Head, R)> {
    let key = at_rest::identity(directory)?.into_identity().public();
    match ask_within(directory, &Query::Tell, PATIENCE)? {
        Some(Answer::Told) => of_running(directory, (key, days), begin),
        Some(Answer::Refused(why) | Answer::PutBack { why, .. }) => {
            bail!("the running node refuses: {why}")
        }
        Some(_) => bail!("the running node answered something else; is it of this version?"),
        None => of_files(directory, (key, days), begin),
    }
}

/// The payload of an entry; none where it was erased.
#[must_use]
pub fn payload(entry: &Entry) -> Option<Json> {
    let (_, payload) = entry.opening.as_ref()?;
    Json::parse(payload).ok()
}

/// An entry as packs and documents take it.
#[must_use]
pub fn packed(entry: Entry) -> Packed {
    let body = match entry.opening {
        Some((salt, payload)) => Body::Kept { salt, payload },
        None => Body::Erased,
    };
    Packed {
        index: entry.leaf.seq,
        leaf: entry.leaf.to_bytes(),
        body,
    }
}

/// Why nothing is made of a history; the cause says what is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the history of this node does not verify")]
pub struct NotVerified;

/// A history on its way to its reader.
struct Reading<R> {
    reader: R,
    /// The next entry.
    next: u64,
    published: Option<Checkpoint>,
    /// Of what was published.
    tree: Frontier,
}

impl<R: Reader> Reading<R> {
    fn new(head: &Head, begin: impl FnOnce(&Head) -> anyhow::Result<R>) -> anyhow::Result<Self> {
        let published = published_by(head).context(NotVerified)?;
        Ok(Self {
            reader: begin(head)?,
            next: 0,
            published,
            tree: Frontier::default(),
        })
    }

    fn take(&mut self, entry: Entry) -> anyhow::Result<()> {
        self.check(&entry).context(NotVerified)?;
        self.reader.take(entry)
    }

    /// An entry in its place with the payload that it commits to.
    fn check(&mut self, entry: &Entry) -> anyhow::Result<()> {
        let (index, at) = (self.next, entry.leaf.seq);
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
        self.next += 1;
        let published = self.published.as_ref();
        if published.is_some_and(|published| index < published.size) {
            let leaf = leaf_hash(&entry.leaf.to_bytes());
            self.tree.push(leaf, |_, _, _| {});
        }
        Ok(())
    }

    /// The reader, once everything that was published was seen.
    fn end(self) -> anyhow::Result<R> {
        if let Some(published) = self.published {
            let is_it = self.tree.size() == published.size && self.tree.root() == published.root;
            if !is_it {
                let size = published.size;
                let other =
                    anyhow!("the history is not the one whose {size} entries were published");
                return Err(other.context(NotVerified));
            }
        }
        Ok(self.reader)
    }
}

/// The checkpoint that was published last, signed by this node.
fn published_by(head: &Head) -> anyhow::Result<Option<Checkpoint>> {
    let Some(published) = &head.published else {
        return Ok(None);
    };
    let note = SignedNote::parse(published)?;
    let checkpoint = Checkpoint::parse(&note.text)?;
    let key = VerifierKey::of_log(&head.origin, head.key);
    ensure!(
        key.signed(&note) == Some(true) && checkpoint.origin == head.origin,
        "the checkpoint that was published last is not signed by this node"
    );
    Ok(Some(checkpoint))
}

/// Entries that are in memory, read as a history is.
#[cfg(test)]
pub fn read_all<R: Reader>(
    head: &Head,
    entries: impl IntoIterator<Item = Entry>,
    begin: impl FnOnce(&Head) -> anyhow::Result<R>,
) -> anyhow::Result<R> {
    let mut reading = Reading::new(head, begin)?;
    for entry in entries {
        reading.take(entry)?;
    }
    reading.end()
}

fn of_running<R: Reader>(
    directory: &Path,
    (key, days): (IdentityKey, Range<u64>),
    begin: impl FnOnce(&Head) -> anyhow::Result<R>,
) -> anyhow::Result<(Head, R)> {
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
    let head = Head {
        origin: node_origin(&key),
        key,
        published,
        checkpoints,
    };
    let mut reading = Reading::new(&head, begin)?;
    loop {
        let from = reading.next;
        let Some(Answer::Entries(page)) = ask(directory, &Query::Entries { from })? else {
            bail!("the running node does not give entry {from} of its history");
        };
        if page.is_empty() {
            return Ok((head, reading.end()?));
        }
        for own in page {
            let entry = entry(&own);
            let next = reading.next;
            reading.take(entry.with_context(|| format!("entry {next} is none"))?)?;
        }
    }
}

fn of_files<R: Reader>(
    directory: &Path,
    (key, days): (IdentityKey, Range<u64>),
    begin: impl FnOnce(&Head) -> anyhow::Result<R>,
) -> anyhow::Result<(Head, R)> {
    ensure!(
        directory.join(HISTORY_FOLDER).exists(),
        "there is no history yet: it begins when the node runs for the first time"
    );
    ensure!(
        read_fork(directory)?.is_none(),
        "the coordinator showed two histories: see `aquifer-node history show`"
    );
    history::with_files(directory, async |history| {
        Teller::new(history.clone(), directory).tell().await?;
        let mut checkpoints = Vec::new();
        for from in firsts(days) {
            checkpoints.extend(published(history, from).await?);
        }
        let head = Head {
            origin: node_origin(&key),
            key,
            published: history.published().await?,
            checkpoints,
        };
        let reading = Reading::new(&head, begin)?;
        let read = read_open(history, reading).await?;
        Ok((head, read))
    })
}

async fn read_open<R: Reader>(history: &History, mut reading: Reading<R>) -> anyhow::Result<R> {
    loop {
        let from = reading.next;
        let page = history.read(from..from + PAGE).await?;
        if page.is_empty() {
            return reading.end();
        }
        for entry in page {
            reading.take(entry)?;
        }
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
