//! TLS configurations: version 1.3 only, post-quantum key exchange first, own authority only, every handshake a full one.
//!
//! No process-wide default is read or set. Whether a certificate is still welcome is asked of the registry, not here.

use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::base::hash::sha256;
use crate::base::ids::Hash32;
use crate::protocol::wire::{ALPN_JOIN, ALPN_MAIN};

/// A TLS configuration cannot be made from what was given.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// The authority's certificate is not one.
    #[error("the authority's certificate cannot be used to check others")]
    Authority,
    /// PEM text that does not hold what it should.
    #[error("the {what} is not the expected PEM text")]
    Pem {
        /// Certificate or key.
        what: &'static str,
    },
    /// Certificate and key are not a pair, or the library refused.
    #[error("the TLS library refused the certificate and its key")]
    Refused {
        /// Why.
        source: rustls::Error,
    },
    /// QUIC needs a cipher suite that the library does not have.
    #[error("the TLS library lacks the cipher suite that QUIC starts with")]
    Suite,
}

/// What an end of a connection proves itself with.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// Its certificate, PEM.
    pub certificate_pem: &'a str,
    /// Its private key, PEM.
    pub key_pem: &'a str,
}

/// The main endpoint's side: nobody without a certificate of the authority.
///
/// # Errors
///
/// Certificates or keys that do not parse or do not fit.
pub fn server_main(
    authority: &CertificateDer<'_>,
    own: Credentials<'_>,
) -> Result<Arc<QuicServerConfig>, TlsFault> {
    let provider = provider();
    let roots = Arc::new(roots(authority)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|_| TlsFault::Authority)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| TlsFault::Refused { source })?;
    let (certificates, key) = read(own)?;
    let config = builder
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates, key);
    server(config, ALPN_MAIN)
}

/// The join endpoint's side: no client certificates, nothing but tickets.
///
/// # Errors
///
/// Certificates or keys that do not parse or do not fit.
pub fn server_join(own: Credentials<'_>) -> Result<Arc<QuicServerConfig>, TlsFault> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| TlsFault::Refused { source })?;
    let (certificates, key) = read(own)?;
    let config = builder
        .with_no_client_auth()
        .with_single_cert(certificates, key);
    server(config, ALPN_JOIN)
}

/// The SQL door's side, on TCP: people may show a certificate of the authority, or prove otherwise who they are.
///
/// # Errors
///
/// Certificates or keys that do not parse or do not fit.
pub fn server_sql(
    authority: &CertificateDer<'_>,
    own: Credentials<'_>,
) -> Result<SqlTls, TlsFault> {
    let provider = provider();
    let roots = Arc::new(roots(authority)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|_| TlsFault::Authority)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| TlsFault::Refused { source })?;
    let (certificates, key) = read(own)?;
    let end_point = certificates.first().map(|certificate| sha256(certificate));
    let config = builder
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates, key)
        .map_err(|source| TlsFault::Refused { source })?;
    Ok(SqlTls {
        config: Arc::new(full_handshakes(config, ALPN_SQL)),
        end_point: end_point.unwrap_or_default(),
    })
}

/// The HTTPS door's side, on TCP: no client certificates, requests carry tokens.
///
/// # Errors
///
/// Certificates or keys that do not parse or do not fit.
pub fn server_https(own: Credentials<'_>) -> Result<Arc<ServerConfig>, TlsFault> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| TlsFault::Refused { source })?;
    let (certificates, key) = read(own)?;
    let config = builder
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|source| TlsFault::Refused { source })?;
    Ok(Arc::new(full_handshakes(config, ALPN_HTTPS)))
}

/// TLS of the SQL door.
#[derive(Clone, Debug)]
pub struct SqlTls {
    /// The configuration.
    pub config: Arc<ServerConfig>,
    /// Hash of the server's certificate, by the hash of its signature: what clients bind their proof to
    /// (`tls-server-end-point` of RFC 5929; the authority signs with SHA-256).
    pub end_point: Hash32,
}

/// A party's side of the main endpoint: its certificate, and the pinned authority alone.
///
/// # Errors
///
/// Certificates or keys that do not parse or do not fit.
pub fn client_main(
    authority: &CertificateDer<'_>,
    own: Credentials<'_>,
) -> Result<Arc<QuicClientConfig>, TlsFault> {
    let (certificates, key) = read(own)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| TlsFault::Refused { source })?
        .with_root_certificates(roots(authority)?)
        .with_client_auth_cert(certificates, key)
        .map_err(|source| TlsFault::Refused { source })?;
    client(config, ALPN_MAIN)
}

/// A newcomer's side of the join endpoint: no certificate yet, and the authority that the ticket names.
///
/// # Errors
///
/// The authority's certificate does not parse.
pub fn client_join(authority: &CertificateDer<'_>) -> Result<Arc<QuicClientConfig>, TlsFault> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| TlsFault::Refused { source })?
        .with_root_certificates(roots(authority)?)
        .with_no_client_auth();
    client(config, ALPN_JOIN)
}

/// The cryptography of every connection: X25519MLKEM768 first, plain X25519 and P-256 for peers without it.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: KX_GROUPS.to_vec(),
        ..aws_lc_rs::default_provider()
    })
}

fn server(
    config: Result<ServerConfig, rustls::Error>,
    alpn: &[u8],
) -> Result<Arc<QuicServerConfig>, TlsFault> {
    let config = config.map_err(|source| TlsFault::Refused { source })?;
    let config = full_handshakes(config, alpn);
    let config = QuicServerConfig::try_from(config).map_err(|_| TlsFault::Suite)?;
    Ok(Arc::new(config))
}

fn full_handshakes(mut config: ServerConfig, alpn: &[u8]) -> ServerConfig {
    config.alpn_protocols = vec![alpn.to_vec()];
    // A resumed or early handshake would skip the check of a certificate, or could be replayed.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    config
}

fn client(mut config: ClientConfig, alpn: &[u8]) -> Result<Arc<QuicClientConfig>, TlsFault> {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    let config = QuicClientConfig::try_from(config).map_err(|_| TlsFault::Suite)?;
    Ok(Arc::new(config))
}

fn roots(authority: &CertificateDer<'_>) -> Result<RootCertStore, TlsFault> {
    let mut roots = RootCertStore::empty();
    let added = roots.add(authority.clone().into_owned());
    added.map_err(|_| TlsFault::Authority)?;
    Ok(roots)
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read(own: Credentials<'_>) -> Result<Pair, TlsFault> {
    let certificate = CertificateDer::from_pem_slice(own.certificate_pem.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes());
    let certificate = certificate.map_err(|_| TlsFault::Pem {
        what: "certificate",
    })?;
    let key = key.map_err(|_| TlsFault::Pem { what: "key" })?;
    Ok((vec![certificate], key))
}

/// The name that SQL clients may ask for.
const ALPN_SQL: &[u8] = b"postgresql";
/// The name that HTTPS clients may ask for.
const ALPN_HTTPS: &[u8] = b"http/1.1";
const KX_GROUPS: [&dyn SupportedKxGroup; 3] = [
    aws_lc_rs::kx_group::X25519MLKEM768,
    aws_lc_rs::kx_group::X25519,
    aws_lc_rs::kx_group::SECP256R1,
];

#[cfg(test)]
mod tests {
    use rustls::NamedGroup;

    use super::*;
    use crate::base::time::Timestamp;
    use crate::shell::certificates::{CertificateAuthority, FreshKey};

    fn authority_and_server() -> (CertificateAuthority, FreshKey<String>) {
        let now = Timestamp(1_790_000_000_000);
        let authority = CertificateAuthority::create(&"aquifer".parse().unwrap(), now).unwrap();
        let server = authority.server_certificate("aquifer", now, 90).unwrap();
        (authority, server)
    }

    #[test]
    fn post_quantum_comes_first() {
        let first = provider().kx_groups[0].name();
        assert_eq!(first, NamedGroup::X25519MLKEM768);
    }

    #[test]
    fn every_configuration_can_be_made() {
        let (authority, server) = authority_and_server();
        let own = Credentials {
            certificate_pem: &server.value,
            key_pem: &server.key_pem,
        };
        assert!(server_main(authority.certificate(), own).is_ok());
        assert!(server_join(own).is_ok());
        assert!(server_sql(authority.certificate(), own).is_ok());
        assert!(server_https(own).is_ok());
        assert!(client_main(authority.certificate(), own).is_ok());
        assert!(client_join(authority.certificate()).is_ok());
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (authority, server) = authority_and_server();
        let (_, other) = authority_and_server();
        let own = Credentials {
            certificate_pem: &server.value,
            key_pem: &other.key_pem,
        };
        assert!(matches!(server_join(own), Err(TlsFault::Refused { .. })));
        assert!(client_main(authority.certificate(), own).is_err());
    }

    #[test]
    fn text_that_is_not_pem_is_refused() {
        let (authority, server) = authority_and_server();
        let own = Credentials {
            certificate_pem: "none",
            key_pem: &server.key_pem,
        };
        assert!(matches!(server_join(own), Err(TlsFault::Pem { .. })));
        let garbage = CertificateDer::from(vec![1, 2, 3]);
        assert!(matches!(client_join(&garbage), Err(TlsFault::Authority)));
        assert!(server_main(authority.certificate(), own).is_err());
    }
}
