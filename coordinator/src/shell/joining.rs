//! The join endpoint: redeems tickets, and does nothing else.
//!
//! The secret arrives over a connection whose server certificate the joiner has pinned; only its hash is looked up. A ticket
//! is used up in the same transaction that binds the joiner, so a crash leaves either both or neither; a joiner whose answer
//! was lost asks again with the same keys. Never logs a secret or a request.

use std::sync::Arc;
use std::time::Duration;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::protocol::ticket::secret_hash;
use aquifer_shared::protocol::wire::{CloseReason, Join, JoinRejection, Joined};
use aquifer_shared::shell::certificates::CertificateAuthority;
use aquifer_shared::shell::join::verify_join;
use aquifer_shared::shell::keys::fingerprint;
use aquifer_shared::shell::quic::{LinkError, close, receive, send};
use quinn::{Connection, Endpoint, Incoming, SendStream};
use tokio::time::timeout;

use super::clock::now;
use super::doorstep::Doorstep;
use super::store::{Party, Redeemed, Store};

/// Joiners at a time.
const JOINERS_MAX: usize = 64;
/// How long a joiner may take until its request is here.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a joiner may take to read its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

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
    serve_at_most(JOINERS_MAX, endpoint, desk).await;
}

async fn serve_at_most(joiners_max: usize, endpoint: Endpoint, desk: Desk) {
    let doorstep = Doorstep::new(joiners_max);
    while let Some(incoming) = endpoint.accept().await {
        let Some((incoming, place)) = doorstep.admit(incoming) else {
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
        let Ok(connecting) = incoming.accept() else {
            return;
        };
        let Ok(Ok(connection)) = timeout(GREETING_TIMEOUT, connecting).await else {
            return;
        };
        let asked = timeout(GREETING_TIMEOUT, ask(&connection)).await;
        let Ok(Ok((mut sending, join))) = asked else {
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
            let _ = timeout(ANSWER_TIMEOUT, connection.closed()).await;
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
                let name = party.name.as_str();
                self.store.audit(now(), name, "join", &voice).await?;
                tracing::info!(party = name, role = %party.role, identity = voice, "joined");
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

/// The one stream of a joiner, and its request.
async fn ask(connection: &Connection) -> Result<(SendStream, Join), LinkError> {
    let (sending, mut receiving) = connection.accept_bi().await?;
    Ok((sending, receive(&mut receiving).await?))
}

#[cfg(test)]
mod tests {
    use aquifer_shared::shell::at_rest::DatabaseKey;
    use std::net::SocketAddr;
    use std::path::Path;

    use aquifer_shared::base::ids::{Name, Role};
    use aquifer_shared::base::time::Timestamp;
    use aquifer_shared::protocol::ticket::Ticket;
    use aquifer_shared::shell::certificates::{new_request, request_for};
    use aquifer_shared::shell::directory::Newcomer;
    use aquifer_shared::shell::join::{JoinFault, join_request, redeem};
    use aquifer_shared::shell::keys::Identity;
    use aquifer_shared::shell::quic::{Link, join_endpoint};
    use aquifer_shared::shell::tls::client_join;

    use super::super::server_certificate::ServerTls;
    use super::super::store::Ticketed;
    use super::*;

    struct World {
        dir: tempfile::TempDir,
        desk: Desk,
        address: SocketAddr,
    }

    async fn world() -> World {
        world_for(JOINERS_MAX).await
    }

    async fn world_for(joiners_max: usize) -> World {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(
            "sqlite://store.sqlite",
            dir.path(),
            &DatabaseKey::new([7; 32]),
        )
        .await
        .unwrap();
        let authority = CertificateAuthority::create(&name("aquifer"), now()).unwrap();
        let tls = ServerTls::fresh(&authority, "aquifer", now()).unwrap();
        let endpoint = join_endpoint("127.0.0.1:0".parse().unwrap(), tls.join).unwrap();
        let address = endpoint.local_addr().unwrap();
        let desk = Desk {
            store,
            authority: Arc::new(authority),
            certificate_days: 30,
        };
        tokio::spawn(serve_at_most(joiners_max, endpoint, desk.clone()));
        World { dir, desk, address }
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    impl World {
        async fn ticket(&self, holder: &str, secret: u8, expires: Timestamp) -> Ticket {
            let ticket = Ticket {
                address: self.address.to_string(),
                address_join: self.address.to_string(),
                server_name: "aquifer".to_owned(),
                name: name(holder),
                role: Role::Node,
                ca_certificate: self.desk.authority.certificate().to_vec(),
                release_key: Identity::generate().unwrap().public(),
                secret: [secret; 32],
                expires: now().after_ms(3_600_000),
            };
            let kept = Ticketed {
                name: name(holder),
                role: Role::Node,
                expires,
                used_by: None,
            };
            let hash = secret_hash(&ticket.secret);
            self.desk.store.add_ticket(hash, &kept).await.unwrap();
            ticket
        }

        fn path(&self, holder: &str) -> std::path::PathBuf {
            self.dir.path().join(holder)
        }

        async fn link(&self) -> Link {
            let tls = client_join(self.desk.authority.certificate()).unwrap();
            Link::open(&self.address.to_string(), "aquifer", tls)
                .await
                .unwrap()
        }
    }

    fn later() -> Timestamp {
        now().after_ms(3_600_000)
    }

    async fn check_rejected(ticket: &Ticket, path: &Path, expected: JoinRejection) {
        let refused = redeem(&ticket.to_text().unwrap(), path, now()).await;
        let found = refused.unwrap_err();
        assert!(
            matches!(found, JoinFault::Rejected(reason) if reason == expected),
            "{found}"
        );
        assert_eq!(path.read_dir().unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_ticket_is_redeemed_once() {
        let world = world().await;
        let ticket = world.ticket("north", 1, later()).await;
        let text = ticket.to_text().unwrap();
        let joined = redeem(&text, &world.path("north"), now()).await.unwrap();
        let party = world.desk.store.parties().await.unwrap().remove(0);
        assert_eq!(party.fingerprint, joined.certificate().fingerprint);
        assert_eq!(party.identity, joined.identity().public());
        assert_eq!((party.name, party.role), (name("north"), Role::Node));
        check_rejected(&ticket, &world.path("thief"), JoinRejection::TicketInvalid).await;
    }

    #[tokio::test]
    async fn an_expired_unknown_or_renamed_ticket_is_not_redeemed() {
        let world = world().await;
        let late = world.ticket("north", 1, Timestamp(1)).await;
        check_rejected(&late, &world.path("a"), JoinRejection::TicketExpired).await;
        let mut other = world.ticket("south", 2, later()).await;
        other.name = name("north");
        check_rejected(&other, &world.path("b"), JoinRejection::TicketInvalid).await;
        other.secret = [3; 32];
        check_rejected(&other, &world.path("c"), JoinRejection::TicketInvalid).await;
        assert_eq!(world.desk.store.parties().await.unwrap(), []);
    }

    /// The coordinator binds the joiner, the joiner dies before it has its answer, and is started again with its ticket.
    #[tokio::test]
    async fn a_joiner_whose_answer_was_lost_joins_at_the_second_try() {
        let world = world().await;
        let ticket = world.ticket("north", 1, later()).await;
        let identity = Identity::generate().unwrap();
        let tls = new_request(&name("north")).unwrap();
        let newcomer = Newcomer::prepare(&world.path("north")).unwrap();
        newcomer.store_keys(&tls.key_pem, &identity).unwrap();
        let csr = request_for(&tls.key_pem, &name("north")).unwrap();
        let first = world
            .desk
            .redeem(&join_request(&ticket, &identity, csr))
            .await;
        assert!(matches!(first, Ok(Joined::Accepted { .. })));
        drop(newcomer);
        let text = ticket.to_text().unwrap();
        let joined = redeem(&text, &world.path("north"), now()).await.unwrap();
        assert_eq!(joined.identity().public(), identity.public());
        let party = world.desk.store.parties().await.unwrap().remove(0);
        assert_eq!(party.fingerprint, joined.certificate().fingerprint);
    }

    #[tokio::test]
    async fn what_is_no_request_is_turned_away() {
        let world = world().await;
        for bytes in [vec![0; 6], vec![1, 20, 0xff, 0xff, 0xff, 0], vec![7; 64]] {
            let link = world.link().await;
            let (mut to, _from) = link.connection.open_bi().await.unwrap();
            to.write_all(&bytes).await.unwrap();
            let closed = LinkError::from(link.connection.closed().await);
            assert!(
                matches!(closed, LinkError::Closed(CloseReason::Protocol)),
                "{closed}"
            );
        }
        let ticket = world.ticket("north", 1, later()).await;
        let text = ticket.to_text().unwrap();
        assert!(redeem(&text, &world.path("north"), now()).await.is_ok());
    }

    #[tokio::test]
    async fn too_many_at_a_time_are_told_to_come_back() {
        let world = world_for(2).await;
        let silent = [world.link().await, world.link().await];
        let tls = client_join(world.desk.authority.certificate()).unwrap();
        let refused = Link::open(&world.address.to_string(), "aquifer", tls).await;
        assert!(matches!(refused, Err(LinkError::Busy)));
        for link in silent {
            link.close().await;
        }
        let ticket = world.ticket("north", 1, later()).await;
        let text = ticket.to_text().unwrap();
        // The places come free as soon as the closing is noticed.
        while redeem(&text, &world.path("north"), now()).await.is_err() {}
    }
}
