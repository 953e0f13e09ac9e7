//! The mirror of the nodes' ledgers, as the coordinator keeps it: what continues is taken, what contradicts is not.

use aquifer_coordinator::core::mirror::{MirrorLink, Relation, verify};
use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::wire::{LedgerCopy, LedgerHeld};

/// What is held of one node's ledger.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirror {
    links: Vec<MirrorLink>,
    signature: Vec<u8>,
}

impl Mirror {
    /// What the node hears at the start of a session.
    pub(super) fn held(&self) -> LedgerHeld {
        LedgerHeld {
            head: self.head(),
            signature: self.signature.clone(),
        }
    }

    /// All links that are held.
    pub(super) fn links(&self) -> Vec<Vec<u8>> {
        self.links.iter().map(|link| link.bytes.clone()).collect()
    }

    /// How many links are held.
    pub(super) fn len(&self) -> u64 {
        self.links.len() as u64
    }

    /// Takes a copy in, if it continues what is held or says that the loss was written off.
    pub(super) fn take(&mut self, key: &IdentityKey, copy: LedgerCopy) {
        let Ok(copy) = verify(key, copy) else { return };
        let signature = copy.signature().to_vec();
        let hash_at = |seq: u64| {
            let link = self.links.get(usize::try_from(seq).ok()?.checked_sub(1)?)?;
            Some(link.head.hash)
        };
        match copy.against(&self.head(), hash_at) {
            Relation::Continues(links) => self.links.extend(links),
            Relation::WrittenOff { seq, links } => {
                self.links.truncate(seq as usize - 1);
                self.links.extend(links);
            }
            Relation::Known | Relation::Gap | Relation::Contradicts { .. } => return,
        }
        self.signature = signature;
    }

    fn head(&self) -> Head {
        self.links.last().map_or(Head::default(), |link| link.head)
    }
}
