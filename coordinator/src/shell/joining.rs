//! The join endpoint: redeems tickets, and does nothing else.
//!
//! The secret arrives over a connection whose server certificate the joiner has pinned; only its hash is looked up. A ticket
//! is used up in the same transaction that binds the joiner, so a crash leaves either both or neither.

use std::sync::Arc;
use std::time::Duration;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::protocol::ticket::secret_hash;
use aquifer_shared::protocol::wire::{CloseReason, Join, JoinRejection, Joined};
use aquifer_shared::shell::certificates::CertificateAuthority;
use aquifer_shared::shell::join::verify_join;
use aquifer_shared::shell::keys::fingerprint;
use aquifer_shared::shell::quic::{close, receive_within, send};
use quinn::{Endpoint, Incoming};
use tokio::sync::Semaphore;

use super::clock::now;
use super::store::{Party, Redeemed, Store};

/// Joiners at a time.
const JOINERS_MAX: usize = 64;
/// How long a joiner may take for each of its steps.
const STEP: Duration = Duration::from_secs(10);

/// What a joiner gets its certificate from.
#[derive(Clone)]
pub struct Desk {
    /// Tickets and parties.
    pub store: Store,
    /// Signs.
    pub authority: Arc<CertificateAuthority>,
    /// Life of a certificate.
    pub certificate_days: u32,
}

/// Serves joiners until the endpoint is closed.
pub async fn serve_join(endpoint: Endpoint, desk: Desk) {
    let room = Arc::new(Semaphore::new(JOINERS_MAX));
    while let Some(incoming) = endpoint.accept().await {
        let Ok(place) = room.clone().try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let desk = desk.clone();
        tokio::spawn(async move {
            desk.serve(incoming).await;
            drop(place);
        });
    }
}

impl Desk {
    async fn serve(&self, incoming: Incoming) {
        let Ok(Ok(connection)) = tokio::time::timeout(STEP, incoming).await else {
            return;
        };
        let accepted = tokio::time::timeout(STEP, connection.accept_bi()).await;
        let Ok(Ok((mut sending, mut receiving))) = accepted else {
            return close(&connection, CloseReason::Protocol);
        };
        let Ok(join) = receive_within::<Join>(&mut receiving, STEP).await else {
            return close(&connection, CloseReason::Protocol);
        };
        let joined = match self.redeem(&join).await {
            Ok(joined) => joined,
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "a ticket could not be redeemed"
                );
                return close(&connection, CloseReason::Busy);
            }
        };
        if send(&mut sending, &joined).await.is_ok() && sending.finish().is_ok() {
            // The answer is lost if the connection goes before the joiner has read it.
            let _ = tokio::time::timeout(STEP, connection.closed()).await;
        }
    }

    async fn redeem(&self, join: &Join) -> anyhow::Result<Joined> {
        if let Err(rejection) = verify_join(join) {
            return Ok(Joined::Rejected(rejection));
        }
        let hash = secret_hash(&join.secret);
        let Some(ticket) = self.store.ticket(hash).await? else {
            return Ok(Joined::Rejected(JoinRejection::TicketInvalid));
        };
        if ticket.name != join.name {
            return Ok(Joined::Rejected(JoinRejection::TicketInvalid));
        }
        let days = self.certificate_days;
        let signed = self
            .authority
            .sign_csr(&join.csr, &ticket.name, ticket.role, now(), days);
        let Ok(issued) = signed else {
            return Ok(Joined::Rejected(JoinRejection::RequestInvalid));
        };
        let party = Party {
            name: ticket.name,
            role: ticket.role,
            identity: join.identity,
            fingerprint: issued.fingerprint,
            fingerprint_before: Hash32::default(),
            certificate_until: issued.not_after,
            revoked: false,
            last_seen: Default::default(),
            ledger_seq: 0,
            software: String::new(),
        };
        Ok(match self.store.redeem(hash, &party, now()).await? {
            Redeemed::Done => {
                let voice = fingerprint(&party.identity);
                tracing::info!(party = %party.name, role = %party.role, identity = voice, "joined");
                Joined::Accepted {
                    certificate: issued.der,
                    role: party.role,
                }
            }
            Redeemed::Invalid => Joined::Rejected(JoinRejection::TicketInvalid),
            Redeemed::Expired => Joined::Rejected(JoinRejection::TicketExpired),
        })
    }
}
