//! A revoked node does not come back, not even one that keeps TLS sessions and asks to resume them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::protocol::wire::{ALPN_MAIN, CloseReason, Hello, Welcome};
use aquifer_shared::shell::at_rest::{AtRestConfig, Vault};
use aquifer_shared::shell::certificates::certificate_from_pem;
use aquifer_shared::shell::directory::{
    AUTHORITY, CERTIFICATE, CoordinatorFile, IdentityDirectory, TLS_KEY,
};
use aquifer_shared::shell::quic::{Link, LinkError, receive_within, send};
use aquifer_shared::shell::tls::provider;
use aquifer_tests::cluster::Cluster;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

const WAIT: Duration = Duration::from_secs(30);

/// What the node's key opens.
fn keys(folder: &Path) -> Vault {
    Vault::open(folder, &AtRestConfig::default()).unwrap()
}

/// The node's own keys in a client that would resume: the library's default, which the product switches off.
fn willing(folder: &Path) -> Arc<QuicClientConfig> {
    let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(certificate_from_pem(&text(AUTHORITY)).unwrap())
        .unwrap();
    let certificate = certificate_from_pem(&text(CERTIFICATE)).unwrap();
    let key = keys(folder).file(TLS_KEY).read(&folder.join(TLS_KEY));
    let key = PrivateKeyDer::from_pem_slice(&key.unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![ALPN_MAIN.to_vec()];
    config.resumption = Resumption::in_memory_sessions(64);
    config.enable_early_data = true;
    Arc::new(QuicClientConfig::try_from(config).unwrap())
}

/// Connects and says hello; the connection stays open with the returned link.
async fn enter(to: &CoordinatorFile, tls: &Arc<QuicClientConfig>) -> Result<Link, LinkError> {
    let link = Link::open(&to.address, &to.server_name, tls.clone()).await?;
    let (mut sending, mut receiving) = link.connection.open_bi().await?;
    let hello = Hello {
        protocol: 1,
        software: "test".to_owned(),
        ledger_seq: 0,
        ledger_head: Hash32::default(),
        data_version: None,
        program: Hash32::default(),
    };
    send(&mut sending, &hello).await?;
    receive_within::<Welcome>(&mut receiving, WAIT).await?;
    Ok(link)
}

#[tokio::test]
async fn s1_bad_certificates_refused_with_a_session_that_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path()).unwrap();
    let north = cluster.join_node("north").unwrap();
    let directory = IdentityDirectory::load_sealed(&north, &keys(&north)).unwrap();
    let (to, tls) = (directory.coordinator(), willing(&north));
    // Twice: a session from the first connection would be used by the second.
    enter(to, &tls).await.unwrap().close().await;
    let link = enter(to, &tls).await.unwrap();
    let revoked = cluster.coordinator_command(["revoke", "north"]).unwrap();
    revoked.success().unwrap();
    let ended = tokio::time::timeout(WAIT, link.connection.closed()).await;
    let ended = LinkError::from(ended.unwrap());
    assert!(
        matches!(ended, LinkError::Closed(CloseReason::Revoked)),
        "{ended:?}"
    );
    for _ in 0..3 {
        let again = enter(to, &tls).await.unwrap_err();
        assert!(
            matches!(again, LinkError::Closed(CloseReason::Revoked)),
            "{again:?}"
        );
    }
}
