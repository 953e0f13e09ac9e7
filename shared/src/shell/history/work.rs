//! The task that owns a log: takes what is asked in order, and writes all appends that wait in one transaction.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::fault::HistoryFault;
use super::file::{LogFile, Written};
use super::mark::Mark;
use super::tiles::{Growing, TileId};
use super::{Edge, Entry, LogSigner, Padded, Place};
use crate::base::hash::labelled;
use crate::base::ids::Hash32;
use crate::base::limits::HISTORY_GROUP_MAX;
use crate::base::time::Timestamp;
use crate::domain::history::{Event, Json, Kind, Leaf, payload_commit};
use crate::domain::tlog::{consistency, inclusion, leaf_hash};
use crate::shell::keys::KeyFault;

type Reply<T> = oneshot::Sender<Result<T, HistoryFault>>;

/// What the task is asked.
#[derive(Debug)]
pub(super) enum Ask {
    Append(Vec<Prepared>, Option<Reply<Vec<u64>>>),
    Prove {
        index: u64,
        size: u64,
        reply: Reply<Vec<Hash32>>,
    },
    Consistency {
        old: u64,
        size: u64,
        reply: Reply<Vec<Hash32>>,
    },
    RootAt {
        size: u64,
        reply: Reply<Hash32>,
    },
    Read {
        range: Range<u64>,
        reply: Reply<Vec<Entry>>,
    },
    Find {
        key: String,
        reply: Reply<Option<u64>>,
    },
    Erase {
        index: u64,
        reply: Reply<()>,
    },
    Pad {
        reply: Reply<Padded>,
    },
    Keep {
        name: String,
        value: String,
        reply: Reply<()>,
    },
    Kept {
        name: String,
        reply: Reply<Option<String>>,
    },
    Export {
        folder: PathBuf,
        reply: Reply<Edge>,
    },
    Verify {
        reply: Reply<Edge>,
    },
    Settle {
        reply: Reply<Edge>,
    },
    Close {
        reply: Reply<()>,
    },
}

/// An event whose payload is written already.
#[derive(Debug)]
pub(super) struct Prepared {
    event: Event,
    payload: Vec<u8>,
    once: Option<Vec<u8>>,
}

impl Prepared {
    pub(super) fn of(key: Option<&str>, event: Event) -> Result<Self, HistoryFault> {
        let kind = event.kind;
        let payload = event.payload.to_payload();
        let payload = payload.map_err(|source| HistoryFault::Payload { kind, source })?;
        let once = key.map(once_of);
        Ok(Self {
            event,
            payload,
            once,
        })
    }
}

/// The owner of a log.
pub(super) struct Worker {
    pub(super) file: LogFile,
    pub(super) growing: Growing,
    pub(super) signer: Arc<LogSigner>,
    mark: Mark,
    clock: fn() -> Timestamp,
    last: Timestamp,
    failed: bool,
    told: watch::Sender<Edge>,
}

/// Entries of one caller, and who hears of their places.
type Wanted = (Vec<Prepared>, Option<Reply<Vec<u64>>>);

/// What is written in one transaction with these entries, and what was asked after it. Where nobody waits for any of them, more may
/// come for a moment: every commit waits for the disk, which sums need as well.
async fn gather(first: Wanted, asks: &mut mpsc::Receiver<Ask>) -> (Vec<Wanted>, Option<Ask>) {
    let until = Instant::now() + LINGER;
    let (mut count, mut awaited) = (first.0.len(), first.1.is_some());
    let mut group = vec![first];
    while count < HISTORY_GROUP_MAX {
        let next = match awaited {
            true => asks.try_recv().ok(),
            false => timeout_at(until, asks.recv()).await.ok().flatten(),
        };
        let Some(Ask::Append(entries, reply)) = next else {
            return (group, next);
        };
        count += entries.len();
        awaited |= reply.is_some();
        group.push((entries, reply));
    }
    (group, None)
}

/// How long what nobody waits for may wait for company.
const LINGER: Duration = Duration::from_millis(200);

impl Worker {
    pub(super) async fn open(
        place: Place,
        signer: Arc<LogSigner>,
        clock: fn() -> Timestamp,
    ) -> Result<Self, HistoryFault> {
        let mut file = LogFile::open(&place.folder, &place.key).await?;
        let (growing, newest) = file.edge().await?;
        let found = growing.size();
        let mark = match Mark::open(&place.mark, &signer)? {
            Some((mark, signed)) => {
                let short = HistoryFault::Short {
                    path: file.path().to_owned(),
                    mark: place.mark.clone(),
                    found,
                    expected: signed.size,
                };
                if found < signed.size {
                    return Err(short);
                }
                if file.root_at(&growing, signed.size).await? != signed {
                    return Err(HistoryFault::Forked {
                        path: file.path().to_owned(),
                        mark: place.mark,
                        size: signed.size,
                    });
                }
                let mut mark = mark;
                mark.write(&signer.note(growing.edge()))?;
                mark
            }
            None if found == 0 => Mark::create(&place.mark, &signer.note(growing.edge()))?,
            None => {
                return Err(HistoryFault::NoMark {
                    path: file.path().to_owned(),
                    mark: place.mark,
                    found,
                });
            }
        };
        let (told, _) = watch::channel(growing.edge());
        Ok(Self {
            file,
            growing,
            signer,
            mark,
            clock,
            last: newest.map_or(Timestamp(0), |leaf| leaf.recorded_at),
            failed: false,
            told,
        })
    }

    pub(super) fn edge(&self) -> watch::Receiver<Edge> {
        self.told.subscribe()
    }

    /// Works until nobody can ask any more.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let (mut next, mut closed) = (None, None);
        loop {
            let ask = match next.take() {
                Some(ask) => ask,
                None => match asks.recv().await {
                    Some(ask) => ask,
                    None => break,
                },
            };
            match ask {
                Ask::Append(entries, reply) => {
                    let group;
                    (group, next) = gather((entries, reply), &mut asks).await;
                    self.append_all(group).await;
                }
                Ask::Close { reply } => {
                    closed = Some(reply);
                    break;
                }
                other => self.answer(other).await,
            }
        }
        if self.mark.sync().is_err() {
            tracing::error!("the history's checkpoint was not synced");
        }
        self.file.close().await;
        if let Some(reply) = closed {
            // Who asked may have gone.
            let _ = reply.send(Ok(()));
        }
    }

    async fn append_all(&mut self, group: Vec<Wanted>) {
        let lengths: Vec<usize> = group.iter().map(|(entries, _)| entries.len()).collect();
        let (entries, replies): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let places = self
            .append(entries.into_iter().flatten().collect(), &[])
            .await;
        let mut places = match places {
            Ok(places) => places.into_iter(),
            Err(fault) => {
                tracing::error!(%fault, "the history cannot be written; nothing more is");
                return;
            }
        };
        for (length, reply) in lengths.into_iter().zip(replies) {
            let own: Vec<u64> = places.by_ref().take(length).collect();
            if let Some(reply) = reply {
                // Who asked may have gone.
                let _ = reply.send(Ok(own));
            }
        }
    }

    /// Appends in one transaction, and names the result in the second place.
    async fn append(
        &mut self,
        entries: Vec<Prepared>,
        values: &[(&str, String)],
    ) -> Result<Vec<u64>, HistoryFault> {
        if self.failed {
            return Err(HistoryFault::Stopped);
        }
        let first = self.growing.size();
        let (mut places, mut fresh) = (Vec::with_capacity(entries.len()), Vec::new());
        let keys: Vec<Vec<u8>> = entries.iter().filter_map(|own| own.once.clone()).collect();
        let mut keys = self.file.places_of(&keys).await?;
        for entry in entries {
            let known = entry.once.as_ref().and_then(|once| keys.get(once).copied());
            let place = known.unwrap_or(first + fresh.len() as u64);
            places.push(place);
            if known.is_none() {
                if let Some(once) = &entry.once {
                    keys.insert(once.clone(), place);
                }
                fresh.push(entry);
            }
        }
        if !fresh.is_empty() || !values.is_empty() {
            // Until the end it counts as failed: what is half done must not be gone on with.
            self.failed = true;
            self.commit(first, fresh, values).await?;
            self.failed = false;
        }
        Ok(places)
    }

    async fn commit(
        &mut self,
        first: u64,
        entries: Vec<Prepared>,
        values: &[(&str, String)],
    ) -> Result<(), HistoryFault> {
        let mut random = vec![0; RANDOM_BYTES * entries.len()];
        rand::fill(&mut random).map_err(|_| KeyFault::Library)?;
        let now = (self.clock)().max(self.last);
        let mut growing = self.growing.clone();
        let mut tiles: Vec<(TileId, Vec<Hash32>)> = Vec::new();
        let mut written = Vec::with_capacity(entries.len());
        let drawn = random.chunks_exact(RANDOM_BYTES);
        for ((seq, entry), drawn) in (first..).zip(entries).zip(drawn) {
            let row = write(seq, entry, now, drawn);
            growing.push(leaf_hash(&row.leaf), &mut tiles);
            written.push(row);
        }
        self.file.write(first, &written, &tiles, values).await?;
        (self.growing, self.last) = (growing, now);
        let edge = self.growing.edge();
        self.mark.write(&self.signer.note(edge))?;
        self.told.send_replace(edge);
        Ok(())
    }

    async fn answer(&mut self, ask: Ask) {
        // Who asked may have gone.
        match ask {
            Ask::Append(..) | Ask::Close { .. } => {}
            Ask::Prove { index, size, reply } => drop(reply.send(self.prove(index, size).await)),
            Ask::Consistency { old, size, reply } => {
                drop(reply.send(self.consistent(old, size).await));
            }
            Ask::RootAt { size, reply } => drop(reply.send(self.root_at(size).await)),
            Ask::Read { range, reply } => {
                let end = range.end.min(self.growing.size());
                drop(reply.send(self.file.entries(range.start.min(end), end).await));
            }
            Ask::Find { key, reply } => {
                drop(reply.send(self.file.place_of(&once_of(&key)).await));
            }
            Ask::Erase { index, reply } => drop(reply.send(self.erase(index).await)),
            Ask::Pad { reply } => drop(reply.send(self.pad().await)),
            Ask::Keep { name, value, reply } => {
                let kept = self.append(Vec::new(), &[(&name, value)]).await;
                drop(reply.send(kept.map(drop)));
            }
            Ask::Kept { name, reply } => drop(reply.send(self.file.named(&name).await)),
            Ask::Export { folder, reply } => drop(reply.send(self.export(&folder).await)),
            Ask::Settle { reply } => drop(reply.send(Ok(self.growing.edge()))),
            Ask::Verify { reply } => drop(reply.send(self.verify().await)),
        }
    }

    async fn prove(&mut self, index: u64, size: u64) -> Result<Vec<Hash32>, HistoryFault> {
        self.check(size)?;
        let asked = HistoryFault::Range { size, asked: index };
        if index >= size {
            return Err(asked);
        }
        let tiles = self.file.tiles(&self.growing, index, size).await?;
        inclusion(&tiles, index, size).ok_or_else(|| self.file.damaged(index))
    }

    async fn consistent(&mut self, old: u64, size: u64) -> Result<Vec<Hash32>, HistoryFault> {
        self.check(size)?;
        if old > size {
            return Err(HistoryFault::Range { size, asked: old });
        }
        let tiles = self
            .file
            .tiles(&self.growing, old.saturating_sub(1), size)
            .await?;
        consistency(&tiles, old, size).ok_or_else(|| self.file.damaged(old))
    }

    async fn root_at(&mut self, size: u64) -> Result<Hash32, HistoryFault> {
        self.check(size)?;
        let edge = self.file.root_at(&self.growing, size).await?;
        Ok(edge.root)
    }

    async fn erase(&mut self, index: u64) -> Result<(), HistoryFault> {
        if index >= self.growing.size() {
            let size = self.growing.size();
            return Err(HistoryFault::Range { size, asked: index });
        }
        self.file.erase(index).await
    }

    fn check(&self, asked: u64) -> Result<(), HistoryFault> {
        let size = self.growing.size();
        let fault = HistoryFault::Range { size, asked };
        (asked <= size).then_some(()).ok_or(fault)
    }

    /// Fills the log up to the next public size, in the transaction that notes the checkpoint.
    async fn pad(&mut self) -> Result<Padded, HistoryFault> {
        let number = |text: Option<String>| text.and_then(|text| text.parse::<u64>().ok());
        let before = number(self.file.named(PUBLISHED_SIZE).await?).unwrap_or(0);
        let mut quota = number(self.file.named(QUOTA).await?).unwrap_or(QUOTA_MIN);
        let used = self.growing.size().saturating_sub(before);
        let mut doubled = false;
        while used + u64::from(doubled) > quota {
            (quota, doubled) = (2 * quota, true);
        }
        let target = before + quota;
        let pads = (self.growing.size()..target).map(|_| {
            let payload = Json::object([("leaves_per_period", Json::from(quota))]);
            Prepared::of(None, Event::of_program(Kind::LogPad, payload))
        });
        let pads: Vec<Prepared> = pads.collect::<Result<_, _>>()?;
        let size = [
            (PUBLISHED_SIZE, target.to_string()),
            (QUOTA, quota.to_string()),
        ];
        self.append(pads, &size).await?;
        let edge = self.growing.edge();
        let note = self.signer.note(edge);
        let on_day = published_on(self.last.0 / DAY_MS);
        let kept = [(PUBLISHED, note.clone()), (on_day.as_str(), note.clone())];
        self.append(Vec::new(), &kept).await?;
        self.mark.sync()?;
        Ok(Padded { note, edge, quota })
    }
}

/// What is kept of a key.
fn once_of(key: &str) -> Vec<u8> {
    labelled("aquifer/once/1", &[key.as_bytes()]).0[..16].to_vec()
}

/// Gives an event its place, time, id and salt.
fn write(seq: u64, entry: Prepared, now: Timestamp, drawn: &[u8]) -> Written {
    let (mut salt, mut event_id) = ([0; 32], [0; 16]);
    salt.copy_from_slice(&drawn[..32]);
    event_id.copy_from_slice(&drawn[32..RANDOM_BYTES]);
    // UUIDv7: milliseconds, then random bits around version and variant.
    event_id[..6].copy_from_slice(&now.0.to_be_bytes()[2..]);
    event_id[6] = event_id[6] & 0x0f | 0x70;
    event_id[8] = event_id[8] & 0x3f | 0x80;
    let leaf = Leaf {
        kind: entry.event.kind,
        seq,
        event_id,
        recorded_at: now,
        actor_kind: entry.event.actor_kind,
        actor_role: entry.event.actor_role,
        policy: entry.event.policy,
        payload_commit: payload_commit(&salt, &entry.payload),
    };
    Written {
        leaf: leaf.to_bytes().to_vec(),
        salt,
        payload: entry.payload,
        once: entry.once,
    }
}

/// Under which name the last padded checkpoint of a day (days since 1970) is kept: audit packs begin and end at them.
pub(super) fn published_on(day: u64) -> String {
    format!("{PUBLISHED}/{day}")
}

/// Salt and id of one entry.
const RANDOM_BYTES: usize = 48;
/// Leaves of one period of a padded log, at first.
pub(super) const QUOTA_MIN: u64 = 256;
const QUOTA: &str = "leaves_per_period";
const PUBLISHED_SIZE: &str = "published_size";
pub(super) const PUBLISHED: &str = "published";
const DAY_MS: u64 = 24 * 3_600 * 1_000;
