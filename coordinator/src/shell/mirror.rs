//! The task that keeps copies of nodes' ledgers: many nodes' entries in one write, off the way of rounds.
//!
//! Nothing waits for a copy. A copy that is lost with the process is sent again: a session begins with what is held.

use std::collections::HashMap;
use std::time::Duration;

use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::base::limits::{MIRROR_BYTES_MAX, MIRROR_FORKS_MAX};
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::wire::{Hello, LedgerCopy, LedgerHeld};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep, timeout_at};

use super::clock::now;
use super::store::{Fork, MirrorWrite, Party, Store, StoreFault};
use crate::core::mirror::{Greeting, Held, MirrorLink, Relation, SignedCopy, greet, verify};

/// Copies that may wait before their sessions are slowed down.
pub const COPIES_MAX: usize = 1_024;
/// How long copies are gathered for one write.
const GATHER: Duration = Duration::from_millis(100);
/// Bytes that are gathered for one write.
const GATHER_BYTES_MAX: usize = 16 << 20;
/// How long a store that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// A part of a node's ledger, as it came.
#[derive(Debug)]
pub struct Copied {
    /// The node.
    pub party: Box<Party>,
    /// What it sent.
    pub copy: LedgerCopy,
    /// Its place among the messages that wait.
    pub room: OwnedSemaphorePermit,
}

/// Keeps what comes until the queue is closed.
pub async fn keep(store: Store, mut queue: mpsc::Receiver<Copied>) {
    let mut keeper = Keeper::new(store);
    while let Some(first) = queue.recv().await {
        let until = Instant::now() + GATHER;
        let mut next = Some(first);
        while let Some(copied) = next.take() {
            keeper.take(&copied.party, copied.copy).await;
            drop(copied.room);
            if keeper.bytes < GATHER_BYTES_MAX {
                next = timeout_at(until, queue.recv()).await.ok().flatten();
            }
        }
        keeper.flush().await;
    }
}

/// What a session begins with; a node whose first words contradict the mirror is audited.
///
/// # Errors
///
/// If the store fails.
pub async fn held_for(
    store: &Store,
    party: &Party,
    hello: &Hello,
) -> Result<LedgerHeld, StoreFault> {
    let held = store.mirror_held(&party.identity).await?;
    let rule = match greet(hello, &held.head) {
        Greeting::Fits => None,
        Greeting::Behind => Some("ledger-behind"),
        Greeting::Beside => Some("ledger-beside"),
    };
    if let Some(rule) = rule {
        tracing::warn!(
            node = %party.name, rule, seq = hello.ledger_seq, mirror_seq = held.head.seq,
            "a node's ledger contradicts its mirror"
        );
        audit(store, party, rule, hello.ledger_seq).await?;
    }
    Ok(LedgerHeld {
        head: held.head,
        signature: held.signature,
    })
}

/// What is held, and what waits to be written.
struct Keeper {
    store: Store,
    /// Of nodes that sent something: a copy that follows is held against it.
    held: HashMap<IdentityKey, Held>,
    writes: Vec<MirrorWrite>,
    bytes: usize,
}

impl Keeper {
    fn new(store: Store) -> Self {
        Self {
            store,
            held: HashMap::new(),
            writes: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes a copy in; tried again until the store works.
    async fn take(&mut self, party: &Party, copy: LedgerCopy) {
        let copy = match verify(&party.identity, copy) {
            Ok(copy) => copy,
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::warn!(node = %party.name, error = format!("{error:#}"), "copy of a ledger dropped");
                return;
            }
        };
        while let Err(fault) = self.try_take(party, copy.clone()).await {
            wait_after(fault).await;
        }
    }

    /// What is held of a node's ledger, if this copy follows on it; else what the store says, which others may have written as well.
    async fn held_before(&mut self, key: &IdentityKey, base: Head) -> Result<Held, StoreFault> {
        if let Some(held) = self.held.get(key)
            && held.head == base
        {
            return Ok(held.clone());
        }
        // What waits must be where it is looked for.
        self.try_flush().await?;
        self.store.mirror_held(key).await
    }

    async fn try_take(&mut self, party: &Party, copy: SignedCopy) -> Result<(), StoreFault> {
        let key = &party.identity;
        let held = self.held_before(key, copy.base()).await?;
        let (base, head, signature) = (copy.base(), copy.head(), copy.signature().to_vec());
        let mut known = Default::default();
        if base.seq < held.head.seq {
            let to = head.seq.min(held.head.seq);
            known = self.store.mirror_hashes(key, base.seq, to).await?;
        }
        let after = |links: &[MirrorLink], bytes: u64| Held {
            head,
            signature: signature.clone(),
            bytes: bytes + size_of_links(links),
        };
        match copy.against(&held.head, |seq| known.get(&seq).copied()) {
            Relation::Known => {}
            Relation::Gap => {
                tracing::warn!(
                    node = %party.name, seq = base.seq + 1, mirror_seq = held.head.seq,
                    "copy of a ledger leaves entries out: dropped until the node connects again"
                );
            }
            Relation::Continues(links) => {
                let held = after(&links, held.bytes);
                return self.hold(party, None, links, held).await;
            }
            Relation::WrittenOff { seq, links } => {
                tracing::warn!(node = %party.name, seq, "a node's operator wrote lost entries off: the mirror keeps them apart");
                audit(&self.store, party, "ledger-written-off", seq).await?;
                let held = after(&links, held.bytes);
                return self.hold(party, Some(seq), links, held).await;
            }
            Relation::Contradicts { seq, links } => {
                let identity = *key;
                let fork = Fork {
                    identity,
                    links,
                    signature,
                };
                let kept = self.store.mirror_fork(&fork).await?;
                let full = kept >= MIRROR_FORKS_MAX;
                tracing::warn!(node = %party.name, rule = "ledger-contradicts", seq, full, "a node tells another past than its mirror");
                audit(&self.store, party, "ledger-contradicts", seq).await?;
            }
        }
        Ok(())
    }

    async fn hold(
        &mut self,
        party: &Party,
        replaced_from: Option<u64>,
        links: Vec<MirrorLink>,
        held: Held,
    ) -> Result<(), StoreFault> {
        if held.bytes > MIRROR_BYTES_MAX {
            tracing::warn!(node = %party.name, limit = MIRROR_BYTES_MAX, "the mirror of a ledger is full: entries are not kept");
            return audit(&self.store, party, "ledger-mirror-full", held.head.seq).await;
        }
        let identity = party.identity;
        self.bytes += links.iter().map(|link| link.bytes.len()).sum::<usize>();
        self.held.insert(identity, held.clone());
        self.writes.push(MirrorWrite {
            identity,
            replaced_from,
            links,
            held,
        });
        Ok(())
    }

    /// Writes what waits; tried again until the store works.
    async fn flush(&mut self) {
        while let Err(fault) = self.try_flush().await {
            wait_after(fault).await;
        }
    }

    async fn try_flush(&mut self) -> Result<(), StoreFault> {
        if self.writes.is_empty() {
            return Ok(());
        }
        self.store.mirror_append(&self.writes).await?;
        self.writes.clear();
        self.bytes = 0;
        Ok(())
    }
}

fn size_of_links(links: &[MirrorLink]) -> u64 {
    links.iter().map(|link| link.bytes.len() as u64).sum()
}

async fn audit(store: &Store, party: &Party, rule: &str, seq: u64) -> Result<(), StoreFault> {
    let subject = format!("entry {seq}");
    store
        .audit(now(), party.name.as_str(), rule, &subject)
        .await
}

async fn wait_after(fault: StoreFault) {
    let error = anyhow::Error::from(fault);
    tracing::error!(
        error = format!("{error:#}"),
        "copies of ledgers wait for the store"
    );
    sleep(RETRY).await;
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::{Hash32, Role};
    use aquifer_shared::base::time::Timestamp;
    use aquifer_shared::protocol::chain::{Head, WRITE_OFF_KIND};
    use aquifer_shared::protocol::wire::ledger_digest;
    use aquifer_shared::shell::at_rest::DatabaseKey;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use tempfile::TempDir;

    use super::*;

    struct World {
        keeper: Keeper,
        party: Party,
        _dir: TempDir,
    }

    fn pair() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
    }

    /// Encoded links of these kinds after a position, and the head behind each.
    fn chain(after: Head, kinds: &[u8], branch: u8) -> Vec<(Vec<u8>, Head)> {
        let mut head = after;
        let link = |kind: &u8| {
            let (bytes, next) = head.append(*kind, vec![branch]);
            head = next;
            (bytes, next)
        };
        kinds.iter().map(link).collect()
    }

    fn copy(links: &[(Vec<u8>, Head)]) -> LedgerCopy {
        let (_, head) = links.last().unwrap();
        LedgerCopy {
            links: links.iter().map(|(bytes, _)| bytes.clone()).collect(),
            signature: pair().sign(&ledger_digest(head).0).as_ref().to_vec(),
        }
    }

    impl World {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(
                "sqlite://store.sqlite",
                dir.path(),
                &DatabaseKey::new([7; 32]),
            )
            .await;
            let party = Party {
                name: "north".parse().unwrap(),
                role: Role::Node,
                identity: IdentityKey(pair().public_key().as_ref().try_into().unwrap()),
                fingerprint: Hash32::default(),
                fingerprint_before: Hash32::default(),
                certificate_until: Timestamp(0),
                revoked: false,
                last_seen: Timestamp(0),
                ledger_seq: 0,
                software: String::new(),
            };
            Self {
                keeper: Keeper::new(store.unwrap()),
                party,
                _dir: dir,
            }
        }

        async fn take(&mut self, links: &[(Vec<u8>, Head)]) {
            self.keeper.take(&self.party, copy(links)).await;
        }

        /// What is held once everything is written.
        async fn held(&mut self) -> Head {
            self.keeper.flush().await;
            let store = &self.keeper.store;
            store.mirror_held(&self.party.identity).await.unwrap().head
        }

        async fn audited(&self) -> Vec<String> {
            let lines = self.keeper.store.audit_lines().await.into_iter();
            lines.map(|(_, what)| what).collect()
        }

        async fn greeted(&self, seq: u64, hash: Hash32) -> LedgerHeld {
            let hello = Hello {
                protocol: 1,
                software: String::new(),
                ledger_seq: seq,
                ledger_head: hash,
                data_version: None,
                program: Hash32::default(),
            };
            held_for(&self.keeper.store, &self.party, &hello)
                .await
                .unwrap()
        }
    }

    #[tokio::test]
    async fn copies_of_one_session_are_one_write() {
        let mut world = World::new().await;
        let links = chain(Head::default(), &[1, 2, 3, 2], 0);
        world.take(&links[..2]).await;
        world.take(&links[2..3]).await;
        // Sent again after the connection was lost, with what is new.
        world.take(&links[1..]).await;
        world.take(&links[..1]).await;
        assert_eq!(world.held().await, links[3].1);
        assert!(world.audited().await.is_empty());
        let greeting = world.greeted(4, links[3].1.hash).await;
        assert_eq!(greeting.head, links[3].1);
        assert_eq!(greeting.signature, copy(&links).signature);
    }

    #[tokio::test]
    async fn what_does_not_continue_is_not_kept() {
        let mut world = World::new().await;
        let links = chain(Head::default(), &[1, 2, 3, 2], 0);
        world.take(&links[..1]).await;
        world.take(&links[2..]).await;
        let mut forged = copy(&links[1..2]);
        forged.signature[0] ^= 1;
        world.keeper.take(&world.party, forged).await;
        assert_eq!(world.held().await, links[0].1);
    }

    #[tokio::test]
    async fn a_node_that_tells_another_past_is_audited() {
        let mut world = World::new().await;
        let links = chain(Head::default(), &[1, 2, 3, 2], 0);
        world.take(&links).await;
        let other = chain(links[1].1, &[2, 2, 2], 9);
        world.take(&other).await;
        assert_eq!(world.held().await, links[3].1);
        assert_eq!(world.audited().await, ["ledger-contradicts"]);
        let off = chain(links[1].1, &[3, WRITE_OFF_KIND], 9);
        world.take(&off).await;
        assert_eq!(world.held().await, off[1].1);
        assert_eq!(
            world.audited().await,
            ["ledger-contradicts", "ledger-written-off"]
        );
    }

    #[tokio::test]
    async fn a_hello_behind_or_beside_the_mirror_is_audited() {
        let mut world = World::new().await;
        let links = chain(Head::default(), &[1, 2], 0);
        world.take(&links).await;
        world.held().await;
        world.greeted(9, Hash32([9; 32])).await;
        world.greeted(1, links[0].1.hash).await;
        world.greeted(2, Hash32([9; 32])).await;
        assert_eq!(world.audited().await, ["ledger-behind", "ledger-beside"]);
    }
}
