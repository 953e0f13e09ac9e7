//! A coordinator in miniature on the loopback interface, for tests of the transport.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, Endpoint};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use tokio::sync::mpsc;

use crate::base::ids::{Hash32, IdentityKey, Role};
use crate::base::time::Timestamp;
use crate::protocol::ticket::Ticket;
use crate::protocol::wire::{ALPN_MAIN, CloseReason, Hello, Join, JoinRejection, Joined, Welcome};
use crate::shell::certificates::{CertificateAuthority, FreshKey, PeerCertificate, new_request};
use crate::shell::join::verify_join;
use crate::shell::quic::{
    Link, LinkError, close, join_endpoint, peer_certificate, receive, receive_within, send,
    server_endpoint,
};
use crate::shell::tls::{Credentials, client_main, server_join, server_main};

pub(super) const DAY_MS: u64 = 86_400_000;
pub(super) const WAIT: Duration = Duration::from_secs(20);

/// An authority, and a coordinator that greets on one endpoint and sells tickets on the other.
pub(super) struct World {
    pub(super) authority: CertificateAuthority,
    pub(super) main: SocketAddr,
    pub(super) join: SocketAddr,
    /// What the main endpoint found of each that came.
    pub(super) found: mpsc::UnboundedReceiver<Result<PeerCertificate, LinkError>>,
}

impl World {
    pub(super) fn new() -> Self {
        let authority = authority();
        let server = server_key(&authority);
        let own = credentials(&server);
        let tls = server_main(authority.certificate(), own).unwrap();
        Self::with(authority, tls, server_join(own).unwrap())
    }

    pub(super) fn with(
        authority: CertificateAuthority,
        main: Arc<QuicServerConfig>,
        join: Arc<QuicServerConfig>,
    ) -> Self {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let main = server_endpoint(any, main).unwrap();
        let join = join_endpoint(any, join).unwrap();
        let (report, found) = mpsc::unbounded_channel();
        let world = Self {
            main: main.local_addr().unwrap(),
            join: join.local_addr().unwrap(),
            found,
            authority: CertificateAuthority::load(
                &authority.certificate_pem(),
                &authority.key_pem(),
            )
            .unwrap(),
        };
        tokio::spawn(greet_all(main, report));
        tokio::spawn(sell_tickets(join, authority));
        world
    }

    /// TLS of a party whose certificate `signer` issued at `from` for 30 days.
    pub(super) fn party(
        &self,
        signer: &CertificateAuthority,
        from: Timestamp,
    ) -> Arc<QuicClientConfig> {
        let name = "north".parse().unwrap();
        let key = new_request(&name).unwrap();
        let issued = signer.sign_csr(&key.value, &name, Role::Node, from, 30);
        let pem = crate::shell::certificates::certificate_pem(&issued.unwrap().der);
        let own = Credentials {
            certificate_pem: &pem,
            key_pem: &key.key_pem,
        };
        client_main(self.authority.certificate(), own).unwrap()
    }

    pub(super) fn member(&self) -> Arc<QuicClientConfig> {
        self.party(&self.authority, now())
    }

    pub(super) async fn open(&self, tls: Arc<QuicClientConfig>) -> Result<Link, LinkError> {
        Link::open(&self.main.to_string(), "aquifer", tls).await
    }

    /// Connects and says hello.
    pub(super) async fn enter(&self, tls: Arc<QuicClientConfig>) -> Result<Welcome, LinkError> {
        hello(&self.open(tls).await?.connection).await
    }

    /// Connects, sends these bytes on a stream, ends it if so told, and returns what the coordinator found and said.
    pub(super) async fn throw(&mut self, bytes: &[u8], end: bool) -> (LinkError, LinkError) {
        let link = self.open(self.member()).await.unwrap();
        let (mut to, mut from) = link.connection.open_bi().await.unwrap();
        to.write_all(bytes).await.unwrap();
        if end {
            to.finish().unwrap();
        }
        let said = receive_within::<Welcome>(&mut from, WAIT).await;
        let found = self.found.recv().await.unwrap();
        (found.unwrap_err(), said.unwrap_err())
    }

    pub(super) fn ticket(&self) -> Ticket {
        Ticket {
            address: self.main.to_string(),
            address_join: self.join.to_string(),
            server_name: "aquifer".to_owned(),
            name: "north".parse().unwrap(),
            role: Role::Node,
            ca_certificate: self.authority.certificate().to_vec(),
            release_key: IdentityKey([3; 32]),
            secret: GOOD_SECRET,
            expires: now().after_ms(DAY_MS),
        }
    }
}

pub(super) const GOOD_SECRET: [u8; 32] = [9; 32];

pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap())
}

pub(super) fn authority() -> CertificateAuthority {
    CertificateAuthority::create(&"aquifer".parse().unwrap(), now()).unwrap()
}

pub(super) fn server_key(authority: &CertificateAuthority) -> FreshKey<String> {
    authority.server_certificate("aquifer", now(), 90).unwrap()
}

pub(super) fn credentials(key: &FreshKey<String>) -> Credentials<'_> {
    Credentials {
        certificate_pem: &key.value,
        key_pem: &key.key_pem,
    }
}

pub(super) async fn greet_all(
    endpoint: Endpoint,
    report: mpsc::UnboundedSender<Result<PeerCertificate, LinkError>>,
) {
    while let Some(incoming) = endpoint.accept().await {
        let report = report.clone();
        tokio::spawn(async move {
            let greeted = match incoming.await {
                Ok(connection) => greet(&connection).await,
                Err(error) => Err(error.into()),
            };
            report.send(greeted).ok();
        });
    }
}

pub(super) async fn greet(connection: &Connection) -> Result<PeerCertificate, LinkError> {
    let greeted = welcome(connection).await;
    if let Err(error) = &greeted {
        close(connection, error.blame().unwrap_or(CloseReason::Shutdown));
    }
    greeted
}

pub(super) async fn welcome(connection: &Connection) -> Result<PeerCertificate, LinkError> {
    let peer = peer_certificate(connection)?;
    let (mut to, mut from) = connection.accept_bi().await?;
    let hello: Hello = receive_within(&mut from, WAIT).await?;
    if hello.software == "revoked" {
        close(connection, CloseReason::Revoked);
        return Ok(peer);
    }
    let (name, now) = (peer.name.clone(), now());
    send(&mut to, &Welcome { name, now }).await?;
    connection.closed().await;
    Ok(peer)
}

pub(super) async fn sell_tickets(endpoint: Endpoint, authority: CertificateAuthority) {
    while let Some(incoming) = endpoint.accept().await {
        if let Ok(connection) = incoming.await
            && sell(&connection, &authority).await.is_ok()
        {
            connection.closed().await;
        }
    }
}

pub(super) async fn sell(
    connection: &Connection,
    authority: &CertificateAuthority,
) -> Result<(), LinkError> {
    let (mut to, mut from) = connection.accept_bi().await?;
    let join: Join = receive(&mut from).await?;
    let answer = match verify_join(&join) {
        Ok(()) if join.secret == GOOD_SECRET => {
            let issued = authority.sign_csr(&join.csr, &join.name, Role::Node, now(), 30)?;
            Joined::Accepted {
                certificate: issued.der,
                role: Role::Node,
            }
        }
        Ok(()) => Joined::Rejected(JoinRejection::TicketInvalid),
        Err(rejection) => Joined::Rejected(rejection),
    };
    send(&mut to, &answer).await
}

pub(super) async fn hello(connection: &Connection) -> Result<Welcome, LinkError> {
    greet_as(connection, "test").await
}

pub(super) async fn greet_as(
    connection: &Connection,
    software: &str,
) -> Result<Welcome, LinkError> {
    let (mut to, mut from) = connection.open_bi().await?;
    let hello = Hello {
        protocol: 1,
        software: software.to_owned(),
        ledger_seq: 0,
        ledger_head: Hash32([0; 32]),
        data_version: None,
        program: Hash32::default(),
    };
    send(&mut to, &hello).await?;
    receive_within(&mut from, WAIT).await
}

/// A client of the main endpoint that offers only these groups, and no certificate unless `own` is given.
pub(super) fn special_client(
    world: &World,
    own: Option<Credentials<'_>>,
    groups: &[&'static dyn SupportedKxGroup],
) -> Arc<QuicClientConfig> {
    let mut config = special_client_config(world, own, groups);
    config.resumption = Resumption::disabled();
    Arc::new(QuicClientConfig::try_from(config).unwrap())
}

/// As [`special_client`], with what the library does about sessions by itself.
pub(super) fn special_client_config(
    world: &World,
    own: Option<Credentials<'_>>,
    groups: &[&'static dyn SupportedKxGroup],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(world.authority.certificate().clone()).unwrap();
    let provider = CryptoProvider {
        kx_groups: groups.to_vec(),
        ..aws_lc_rs::default_provider()
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let certificate = crate::shell::certificates::certificate_from_pem(own.certificate_pem);
            let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes());
            builder
                .with_client_auth_cert(vec![certificate.unwrap()], key.unwrap())
                .unwrap()
        }
    };
    config.alpn_protocols = vec![ALPN_MAIN.to_vec()];
    config
}

/// A main endpoint that takes only these groups.
pub(super) fn special_server(
    authority: &CertificateAuthority,
    own: &FreshKey<String>,
    groups: &[&'static dyn SupportedKxGroup],
) -> Arc<QuicServerConfig> {
    let config = special_server_config(authority, own, groups);
    Arc::new(QuicServerConfig::try_from(config).unwrap())
}

/// As [`special_server`], with what the library does about sessions by itself: it gives tickets and takes them.
pub(super) fn special_server_config(
    authority: &CertificateAuthority,
    own: &FreshKey<String>,
    groups: &[&'static dyn SupportedKxGroup],
) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).unwrap();
    let provider = Arc::new(CryptoProvider {
        kx_groups: groups.to_vec(),
        ..aws_lc_rs::default_provider()
    });
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let certificate = crate::shell::certificates::certificate_from_pem(&own.value).unwrap();
    let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier.unwrap())
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![ALPN_MAIN.to_vec()];
    config
}
