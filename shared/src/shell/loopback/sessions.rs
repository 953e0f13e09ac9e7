//! No session is ever resumed: what a client that would resume gets of our server, and a server that would let it of our client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Resumption,
    Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::crypto::{SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};
use rustls::sign::CertifiedKey;
use rustls::{NamedGroup, SignatureScheme};

use super::world::{
    World, authority, credentials, now, server_key, special_client_config, special_server_config,
};
use crate::base::ids::Role;
use crate::shell::certificates::{certificate_pem, new_request};
use crate::shell::tls::{Credentials, server_join};

const GROUPS: [&dyn SupportedKxGroup; 1] = [aws_lc_rs::kx_group::X25519MLKEM768];

/// A client's memory of sessions that counts the tickets it is given.
#[derive(Debug)]
struct Kept {
    cache: ClientSessionMemoryCache,
    tickets: AtomicU32,
}

impl ClientSessionStore for Kept {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.cache.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.cache.kx_hint(server)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {
        self.tickets.fetch_add(1, Ordering::SeqCst);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.tickets.fetch_add(1, Ordering::SeqCst);
        self.cache.insert_tls13_ticket(server, ticket);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.cache.take_tls13_ticket(server)
    }
}

/// A client's certificate that counts how often it is shown: once in every full handshake, never in a resumed one.
#[derive(Debug)]
struct Shown {
    certificate: Arc<dyn ResolvesClientCert>,
    times: AtomicU32,
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.times.fetch_add(1, Ordering::SeqCst);
        self.certificate.resolve(hints, schemes)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A server's memory of sessions that counts what it gives and what it is offered.
#[derive(Debug)]
struct Given {
    cache: Arc<ServerSessionMemoryCache>,
    tickets: AtomicU32,
    offers: AtomicU32,
}

impl StoresServerSessions for Given {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.tickets.fetch_add(1, Ordering::SeqCst);
        self.cache.put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.offers.fetch_add(1, Ordering::SeqCst);
        self.cache.get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.offers.fetch_add(1, Ordering::SeqCst);
        self.cache.take(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// A member that would resume, and what it notices.
fn willing(world: &World) -> (Arc<QuicClientConfig>, Arc<Kept>, Arc<Shown>) {
    let name = "north".parse().unwrap();
    let key = new_request(&name).unwrap();
    let issued = world
        .authority
        .sign_csr(&key.value, &name, Role::Node, now(), 30);
    let pem = certificate_pem(&issued.unwrap().der);
    let own = Credentials {
        certificate_pem: &pem,
        key_pem: &key.key_pem,
    };
    let mut config = special_client_config(world, Some(own), &GROUPS);
    let kept = Arc::new(Kept {
        cache: ClientSessionMemoryCache::new(8),
        tickets: AtomicU32::new(0),
    });
    let shown = Arc::new(Shown {
        certificate: config.client_auth_cert_resolver.clone(),
        times: AtomicU32::new(0),
    });
    config.resumption = Resumption::store(kept.clone());
    config.client_auth_cert_resolver = shown.clone();
    (
        Arc::new(QuicClientConfig::try_from(config).unwrap()),
        kept,
        shown,
    )
}

/// A coordinator that gives tickets and takes them.
fn generous() -> (World, Arc<Given>) {
    let authority = authority();
    let server = server_key(&authority);
    let given = Arc::new(Given {
        cache: ServerSessionMemoryCache::new(64),
        tickets: AtomicU32::new(0),
        offers: AtomicU32::new(0),
    });
    let mut config = special_server_config(&authority, &server, &GROUPS);
    config.session_storage = given.clone();
    let tls = Arc::new(QuicServerConfig::try_from(config).unwrap());
    let join = server_join(credentials(&server)).unwrap();
    (World::with(authority, tls, join), given)
}

fn count(counter: &AtomicU32) -> u32 {
    counter.load(Ordering::SeqCst)
}

#[tokio::test]
async fn our_server_gives_no_ticket_and_asks_for_the_certificate_every_time() {
    let world = World::new();
    let (tls, kept, shown) = willing(&world);
    for times in 1..=3 {
        world.enter(tls.clone()).await.unwrap();
        assert_eq!((count(&kept.tickets), count(&shown.times)), (0, times));
    }
}

/// The test above can fail: the same client resumes where it is let, and its certificate is not looked at again.
#[tokio::test]
async fn the_same_client_resumes_where_a_server_lets_it() {
    let (world, given) = generous();
    let (tls, kept, shown) = willing(&world);
    world.enter(tls.clone()).await.unwrap();
    assert!(count(&kept.tickets) > 0 && count(&given.offers) == 0);
    world.enter(tls).await.unwrap();
    assert_eq!((count(&shown.times), count(&given.offers)), (1, 1));
}

#[tokio::test]
async fn our_client_offers_no_session_to_a_server_that_gives_tickets() {
    let (world, given) = generous();
    let tls = world.member();
    for _ in 0..3 {
        world.enter(tls.clone()).await.unwrap();
    }
    assert!(count(&given.tickets) > 0);
    assert_eq!(count(&given.offers), 0);
}
