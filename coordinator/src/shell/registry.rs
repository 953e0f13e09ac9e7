//! Who may speak: the store's registry in memory, by certificate, refreshed when its revision changes.

use std::collections::HashMap;

use aquifer_shared::base::ids::{Hash32, Name, Role};
use aquifer_shared::protocol::wire::CloseReason;
use aquifer_shared::shell::certificates::PeerCertificate;
use tokio::sync::RwLock;

use super::store::{Party, Store, StoreFault};

/// The registry as the running server knows it.
#[derive(Debug)]
pub struct Registry {
    store: Store,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    revision: i64,
    by_fingerprint: HashMap<Hash32, Party>,
}

impl Registry {
    /// Reads the registry.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn load(store: Store) -> Result<Self, StoreFault> {
        let registry = Self {
            store,
            known: RwLock::default(),
        };
        registry.refresh().await?;
        Ok(registry)
    }

    /// Reads the registry again if its revision has changed; says whether it has.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn refresh(&self) -> Result<bool, StoreFault> {
        let revision = self.store.revision().await?;
        let mut known = self.known.write().await;
        if known.revision == revision && !known.by_fingerprint.is_empty() {
            return Ok(false);
        }
        let parties = self.store.parties().await?;
        known.by_fingerprint = parties.into_iter().flat_map(both_certificates).collect();
        known.revision = revision;
        Ok(true)
    }

    /// The party behind a certificate, or why it may not speak.
    pub async fn admit(&self, peer: &PeerCertificate) -> Result<Party, CloseReason> {
        let mut found = self.find(&peer.fingerprint).await;
        if found.is_none() {
            // It may have joined a moment ago, through this process or another.
            let _ = self.refresh().await;
            found = self.find(&peer.fingerprint).await;
        }
        let party = found.ok_or(CloseReason::WrongRole)?;
        if party.revoked {
            return Err(CloseReason::Revoked);
        }
        if party.name != peer.name || party.role != peer.role {
            return Err(CloseReason::WrongRole);
        }
        Ok(party)
    }

    /// The party of this name now; none if there is none, or it is revoked.
    pub async fn named(&self, name: &Name) -> Option<Party> {
        // It may have joined or been revoked a moment ago, through this process or another.
        let _ = self.refresh().await;
        let known = self.known.read().await;
        let mut parties = known.by_fingerprint.values();
        let party = parties.find(|party| party.name == *name);
        party.filter(|party| !party.revoked).cloned()
    }

    /// Nodes that have joined and are not revoked.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn nodes(&self) -> Result<Vec<Party>, StoreFault> {
        let mut parties = self.store.parties().await?;
        parties.retain(|party| party.role == Role::Node && !party.revoked);
        Ok(parties)
    }

    async fn find(&self, fingerprint: &Hash32) -> Option<Party> {
        self.known
            .read()
            .await
            .by_fingerprint
            .get(fingerprint)
            .cloned()
    }
}

/// A party is known by its certificate and by the one before, which a renewal in flight may still show.
fn both_certificates(party: Party) -> Vec<(Hash32, Party)> {
    let mut known = vec![(party.fingerprint, party.clone())];
    if party.fingerprint_before != Hash32::default() {
        known.push((party.fingerprint_before, party));
    }
    known
}
