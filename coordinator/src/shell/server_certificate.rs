//! The server's own certificate: short-lived, made anew while the server runs, its key in memory only.

use std::sync::Arc;
use std::time::Duration;

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::shell::certificates::{CertificateAuthority, CertificateFault};
use aquifer_shared::shell::quic::{replace_join_tls, replace_server_tls};
use aquifer_shared::shell::tls::{
    Credentials, SqlTls, TlsFault, server_https, server_join, server_main, server_sql,
};
use quinn::Endpoint;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::clock::now;

/// How long a server certificate is valid.
pub const SERVER_DAYS: u32 = 30;
/// How often a running server makes a new one.
const RENEWAL: Duration = Duration::from_secs(24 * 3_600);

/// A server certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ServerCertificateFault {
    /// The authority refused.
    #[error("the server's certificate cannot be made")]
    Certificate(#[from] CertificateFault),
    /// TLS refused.
    #[error("the server's certificate cannot be used")]
    Tls(#[from] TlsFault),
}

/// The TLS configurations of both endpoints, with one fresh certificate.
pub struct ServerTls {
    /// For nodes and people.
    pub main: Arc<QuicServerConfig>,
    /// For newcomers.
    pub join: Arc<QuicServerConfig>,
    /// For SQL clients.
    pub sql: SqlTls,
    /// For HTTPS clients.
    pub https: Arc<ServerConfig>,
}

/// Where the doors on TCP find the configuration of the day.
pub struct DoorTls {
    /// For SQL clients.
    pub sql: watch::Sender<SqlTls>,
    /// For HTTPS clients.
    pub https: watch::Sender<Arc<ServerConfig>>,
}

impl ServerTls {
    /// Makes a key and a certificate for this name.
    ///
    /// # Errors
    ///
    /// A name that no certificate can carry, or the libraries refuse.
    pub fn fresh(
        authority: &CertificateAuthority,
        server_name: &str,
        now: Timestamp,
    ) -> Result<Self, ServerCertificateFault> {
        let server = authority.server_certificate(server_name, now, SERVER_DAYS)?;
        let own = Credentials {
            certificate_pem: &server.value,
            key_pem: &server.key_pem,
        };
        Ok(Self {
            main: server_main(authority.certificate(), own)?,
            join: server_join(own)?,
            sql: server_sql(authority.certificate(), own)?,
            https: server_https(own)?,
        })
    }
}

/// Gives all endpoints a new certificate every day; never ends.
pub async fn keep_valid(
    authority: Arc<CertificateAuthority>,
    server_name: String,
    main: Endpoint,
    join: Endpoint,
    doors: DoorTls,
) {
    let mut turn = interval(RENEWAL);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    turn.tick().await;
    loop {
        turn.tick().await;
        match ServerTls::fresh(&authority, &server_name, now()) {
            Ok(tls) => {
                replace_server_tls(&main, tls.main);
                replace_join_tls(&join, tls.join);
                doors.sql.send_replace(tls.sql);
                doors.https.send_replace(tls.https);
            }
            Err(error) => tracing::error!(%error, "the server keeps its old certificate"),
        }
    }
}

#[cfg(test)]
mod tests {
    use aquifer_shared::shell::quic::{Link, join_endpoint, server_endpoint};
    use aquifer_shared::shell::tls::client_join;

    use super::*;

    /// Issued so long ago that it has expired.
    const LONG_AGO: Timestamp = Timestamp(1_500_000_000_000);

    #[tokio::test]
    async fn a_replaced_certificate_serves_connections_to_come() {
        let name = "aquifer".parse().unwrap();
        let authority = CertificateAuthority::create(&name, LONG_AGO).unwrap();
        let expired = ServerTls::fresh(&authority, "aquifer", LONG_AGO).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let main = server_endpoint(any, expired.main).unwrap();
        let join = join_endpoint(any, expired.join).unwrap();
        let serving = join.clone();
        tokio::spawn(async move {
            while let Some(incoming) = serving.accept().await {
                if let Ok(connection) = incoming.await {
                    tokio::spawn(async move { connection.closed().await });
                }
            }
        });
        let open = async || {
            let tls = client_join(authority.certificate()).unwrap();
            Link::open(&join.local_addr().unwrap().to_string(), "aquifer", tls).await
        };
        assert!(open().await.is_err());
        let fresh = ServerTls::fresh(&authority, "aquifer", now()).unwrap();
        replace_server_tls(&main, fresh.main);
        replace_join_tls(&join, fresh.join);
        assert!(open().await.is_ok());
    }

    #[test]
    fn a_name_that_no_certificate_carries_is_refused() {
        let name = "aquifer".parse().unwrap();
        let authority = CertificateAuthority::create(&name, LONG_AGO).unwrap();
        assert!(ServerTls::fresh(&authority, "a b", LONG_AGO).is_err());
    }
}
