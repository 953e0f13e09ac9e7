//! The coordinator's mirror of this node's ledger, asked by a command: every entry is checked before it is believed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use aquifer_shared::protocol::ask::{Request, Response};
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::wire::ledger_digest;
use aquifer_shared::shell::directory::IdentityDirectory;
use aquifer_shared::shell::keys::verify;
use aquifer_shared::shell::quic::{Link, receive_within, send};

use super::at_rest;
use crate::core::ledger::ENTRY_BYTES_MAX;

/// The mirror's chain; its head is signed by this node.
#[derive(Debug, Default)]
pub struct Mirrored {
    /// Encoded entries, from the first.
    pub links: Vec<Vec<u8>>,
    /// Position behind the last.
    pub head: Head,
}

/// Fetches all entries that the coordinator holds of this node's ledger.
///
/// # Errors
///
/// The coordinator cannot be asked or refuses, or what it holds is no chain that this node signed.
pub async fn fetch(directory: &Path) -> anyhow::Result<Mirrored> {
    let identity = at_rest::identity(directory)?;
    let link = identity.connect(identity.client_config()?).await?;
    let fetched = fetch_all(&identity, &link).await;
    link.close().await;
    fetched
}

async fn fetch_all(identity: &IdentityDirectory, link: &Link) -> anyhow::Result<Mirrored> {
    let mut mirrored = Mirrored::default();
    loop {
        let (links, head, signature) = page(link, mirrored.head.seq).await?;
        if head == Head::default() && mirrored.links.is_empty() {
            ensure!(links.is_empty(), "the mirror holds entries without a head");
            return Ok(mirrored);
        }
        let own = verify(
            &identity.identity().public(),
            &ledger_digest(&head),
            &signature,
        );
        ensure!(
            own,
            "the mirror names entry {}, which this node has not signed",
            head.seq
        );
        ensure!(
            !links.is_empty(),
            "the mirror ends before entry {}",
            head.seq
        );
        for link in links {
            let next = mirrored.head.follow(&link, ENTRY_BYTES_MAX);
            mirrored.head = next.context("the mirror's chain is broken")?.1;
            mirrored.links.push(link);
        }
        if mirrored.head.seq >= head.seq {
            let last = mirrored.head == head;
            ensure!(
                last,
                "entry {} of the mirror is not the one that this node signed",
                head.seq
            );
            return Ok(mirrored);
        }
    }
}

async fn page(link: &Link, from: u64) -> anyhow::Result<(Vec<Vec<u8>>, Head, Vec<u8>)> {
    let opened = link.connection.open_bi().await;
    let (mut sending, mut receiving) = opened.context("the connection is gone")?;
    send(&mut sending, &Request::Ledger { from }).await?;
    match receive_within(&mut receiving, ANSWER_TIMEOUT).await? {
        Response::Ledger {
            links,
            head,
            signature,
        } => Ok((links, head, signature)),
        Response::Refused { message, .. } => bail!("the coordinator refuses: {message}"),
        _ => bail!("the coordinator answered something else than its mirror"),
    }
}

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
