//! Copies of nodes' ledgers: what a node once signed, so that one that forgot it is noticed.
//!
//! Holds studies, prices and hashes: nothing about customers. What contradicts a copy is kept apart, never lost.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::base::limits::MIRROR_FORKS_MAX;
use aquifer_shared::protocol::chain::Head;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::registry::{number, text};
use super::{Store, StoreFault, fault, intact};
use crate::core::mirror::{Held, MirrorLink};

/// A change of one node's mirror.
#[derive(Clone, Debug)]
pub struct MirrorWrite {
    /// The node.
    pub identity: IdentityKey,
    /// Links from this number on are moved to those that are kept apart, before others take their place.
    pub replaced_from: Option<u64>,
    /// Links to append.
    pub links: Vec<MirrorLink>,
    /// What is held then.
    pub held: Held,
}

/// Links that tell another past than the mirror.
#[derive(Clone, Debug)]
pub struct Fork {
    /// The node.
    pub identity: IdentityKey,
    /// The links that differ.
    pub links: Vec<MirrorLink>,
    /// The node's signature over the position behind the last.
    pub signature: Vec<u8>,
}

impl Store {
    /// What is held of a node's ledger.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn mirror_held(&self, identity: &IdentityKey) -> Result<Held, StoreFault> {
        let row =
            sqlx::query("SELECT seq, hash, signature, bytes FROM ledger_heads WHERE identity = $1")
                .bind(identity.to_string())
                .fetch_optional(&self.pool)
                .await
                .map_err(fault(READ))?;
        row.as_ref().map_or_else(|| Ok(Held::default()), read_held)
    }

    /// Positions of all mirrors.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn mirror_positions(&self) -> Result<BTreeMap<IdentityKey, u64>, StoreFault> {
        let rows = sqlx::query("SELECT identity, seq FROM ledger_heads")
            .fetch_all(&self.pool)
            .await
            .map_err(fault(READ))?;
        let position = |row: &AnyRow| {
            let identity = intact(LEDGER)(text(row, 0, LEDGER)?.parse())?;
            Ok((identity, number(row, 1, LEDGER)?))
        };
        rows.iter().map(position).collect()
    }

    /// Hashes of held links by number, `from` to `to`.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn mirror_hashes(
        &self,
        identity: &IdentityKey,
        from: u64,
        to: u64,
    ) -> Result<BTreeMap<u64, Hash32>, StoreFault> {
        let rows = sqlx::query(
            "SELECT seq, hash FROM ledger_links WHERE identity = $1 AND seq >= $2 AND seq <= $3",
        )
        .bind(identity.to_string())
        .bind(column(from))
        .bind(column(to))
        .fetch_all(&self.pool)
        .await
        .map_err(fault(READ))?;
        let hash = |row: &AnyRow| {
            let hash = intact(LEDGER)(text(row, 1, LEDGER)?.parse())?;
            Ok((number(row, 0, LEDGER)?, hash))
        };
        rows.iter().map(hash).collect()
    }

    /// Held links after a position, in order: as many as fit into `bytes_max`, and at least one if there are any.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn mirror_links(
        &self,
        identity: &IdentityKey,
        after: u64,
        bytes_max: usize,
    ) -> Result<Vec<Vec<u8>>, StoreFault> {
        let rows = sqlx::query(
            "SELECT link FROM ledger_links WHERE identity = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(identity.to_string())
        .bind(column(after))
        .bind(LINKS_PER_ANSWER)
        .fetch_all(&self.pool)
        .await
        .map_err(fault(READ))?;
        let (mut links, mut bytes) = (Vec::new(), 0);
        for row in &rows {
            let link: Vec<u8> = intact(LEDGER)(row.try_get(0))?;
            bytes += link.len();
            if !links.is_empty() && bytes > bytes_max {
                break;
            }
            links.push(link);
        }
        Ok(links)
    }

    /// Makes changes of mirrors durable, all or none. The same again changes nothing.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn mirror_append(&self, writes: &[MirrorWrite]) -> Result<(), StoreFault> {
        let mut transaction = self.pool.begin().await.map_err(fault(WRITE))?;
        let mut waiting = Waiting::default();
        for write in writes {
            if let Some(from) = write.replaced_from {
                // What came before it is there first.
                waiting.write(&mut transaction).await?;
                set_apart(&mut transaction, &write.identity, from).await?;
            }
            let links = write.links.iter();
            waiting
                .links
                .extend(links.map(|link| (write.identity, link)));
            waiting.heads.insert(write.identity, &write.held);
        }
        waiting.write(&mut transaction).await?;
        transaction.commit().await.map_err(fault(WRITE))
    }

    /// Keeps links apart that contradict a mirror, up to [`MIRROR_FORKS_MAX`] for each node; how many are kept of it now.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn mirror_fork(&self, fork: &Fork) -> Result<u64, StoreFault> {
        let mut transaction = self.pool.begin().await.map_err(fault(WRITE))?;
        let mut kept = forks(&mut transaction, &fork.identity).await?;
        let last = fork.links.len().saturating_sub(1);
        for (index, link) in fork.links.iter().enumerate() {
            if kept >= MIRROR_FORKS_MAX {
                break;
            }
            let signature = if index == last {
                &fork.signature[..]
            } else {
                &[]
            };
            kept += keep_apart(&mut transaction, &fork.identity, link, signature).await?;
        }
        transaction.commit().await.map_err(fault(WRITE))?;
        Ok(kept)
    }
}

/// Links of many nodes that go to the store with few statements.
#[derive(Default)]
struct Waiting<'a> {
    links: Vec<(IdentityKey, &'a MirrorLink)>,
    heads: BTreeMap<IdentityKey, &'a Held>,
}

impl Waiting<'_> {
    async fn write(&mut self, transaction: &mut AnyConnection) -> Result<(), StoreFault> {
        let mut links = &self.links[..];
        while let Some((rows, text)) = INSERTS.iter().find(|(rows, _)| *rows <= links.len()) {
            let (now, later) = links.split_at(*rows);
            let mut insert = sqlx::query(text.as_str());
            for (identity, link) in now {
                insert = insert
                    .bind(identity.to_string())
                    .bind(column(link.head.seq))
                    .bind(link.head.hash.to_string())
                    .bind(link.bytes.clone());
            }
            let done = insert.execute(&mut *transaction).await;
            done.map_err(fault(WRITE))?;
            links = later;
        }
        for (identity, held) in &self.heads {
            write_held(transaction, identity, held).await?;
        }
        self.links.clear();
        self.heads.clear();
        Ok(())
    }
}

/// Statements that insert so many links, the most first.
static INSERTS: LazyLock<[(usize, String); 3]> = LazyLock::new(|| {
    [64, 8, 1].map(|rows| {
        let row = |row: usize| {
            let number = |column: usize| 4 * row + column;
            let [a, b, c, d] = [1, 2, 3, 4].map(number);
            format!("(${a}, ${b}, ${c}, ${d})")
        };
        let values: Vec<String> = (0..rows).map(row).collect();
        let text = format!(
            "INSERT INTO ledger_links (identity, seq, hash, link) VALUES {} ON CONFLICT (identity, seq) DO NOTHING",
            values.join(", ")
        );
        (rows, text)
    })
});

/// Moves held links from a number on to those that are kept apart, with the signature that covered them.
async fn set_apart(
    transaction: &mut AnyConnection,
    identity: &IdentityKey,
    from: u64,
) -> Result<(), StoreFault> {
    sqlx::query(
        "INSERT INTO ledger_forks (identity, seq, hash, link, signature) \
         SELECT l.identity, l.seq, l.hash, l.link, h.signature FROM ledger_links l \
         JOIN ledger_heads h ON h.identity = l.identity WHERE l.identity = $1 AND l.seq >= $2 \
         ON CONFLICT (identity, hash) DO NOTHING",
    )
    .bind(identity.to_string())
    .bind(column(from))
    .execute(&mut *transaction)
    .await
    .map_err(fault(WRITE))?;
    sqlx::query("DELETE FROM ledger_links WHERE identity = $1 AND seq >= $2")
        .bind(identity.to_string())
        .bind(column(from))
        .execute(transaction)
        .await
        .map(drop)
        .map_err(fault(WRITE))
}

async fn write_held(
    transaction: &mut AnyConnection,
    identity: &IdentityKey,
    held: &Held,
) -> Result<(), StoreFault> {
    sqlx::query(
        "INSERT INTO ledger_heads (identity, seq, hash, signature, bytes) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (identity) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, \
         signature = excluded.signature, bytes = excluded.bytes",
    )
    .bind(identity.to_string())
    .bind(column(held.head.seq))
    .bind(held.head.hash.to_string())
    .bind(held.signature.clone())
    .bind(column(held.bytes))
    .execute(transaction)
    .await
    .map(drop)
    .map_err(fault(WRITE))
}

async fn forks(transaction: &mut AnyConnection, identity: &IdentityKey) -> Result<u64, StoreFault> {
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger_forks WHERE identity = $1")
        .bind(identity.to_string())
        .fetch_one(transaction)
        .await
        .map_err(fault(READ))?;
    intact(LEDGER)(u64::try_from(kept))
}

async fn keep_apart(
    transaction: &mut AnyConnection,
    identity: &IdentityKey,
    link: &MirrorLink,
    signature: &[u8],
) -> Result<u64, StoreFault> {
    sqlx::query(
        "INSERT INTO ledger_forks (identity, seq, hash, link, signature) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (identity, hash) DO NOTHING",
    )
    .bind(identity.to_string())
    .bind(column(link.head.seq))
    .bind(link.head.hash.to_string())
    .bind(link.bytes.clone())
    .bind(signature.to_vec())
    .execute(transaction)
    .await
    .map(|done| done.rows_affected())
    .map_err(fault(WRITE))
}

fn read_held(row: &AnyRow) -> Result<Held, StoreFault> {
    let hash = intact(LEDGER)(text(row, 1, LEDGER)?.parse())?;
    Ok(Held {
        head: Head {
            seq: number(row, 0, LEDGER)?,
            hash,
        },
        signature: intact(LEDGER)(row.try_get(2))?,
        bytes: number(row, 3, LEDGER)?,
    })
}

/// A number as a column holds it; the largest where it does not fit.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

const LEDGER: &str = "a copy of a ledger";
const READ: &str = "read a copy of a ledger";
const WRITE: &str = "keep a copy of a ledger";
/// Links that are looked at for one answer.
const LINKS_PER_ANSWER: i64 = 512;
