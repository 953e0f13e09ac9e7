//! The HTTPS door: JSON over HTTP/1.1 and TLS 1.3. Statements go the same way as those of `aquifer query`.
//!
//! Nothing but a request with a good token gets past the headers. Whoever connects holds a place for a bounded time only, and gives way to
//! others where there is none left, unless it has shown a token.

mod ask;
mod body;
mod description;
mod gate;
mod listed;
mod patience;
mod predict;
mod problem;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aquifer_shared::base::ids::Name;
use aquifer_shared::base::limits::{
    HTTPS_BATCHES_MAX, HTTPS_BATCHES_PER_PARTY_MAX, HTTPS_CONNECTIONS_MAX,
    HTTPS_CONNECTIONS_PER_ADDRESS_MAX, HTTPS_HEAD_BYTES_MAX, HTTPS_HEADERS_MAX,
    HTTPS_REQUESTS_PER_PARTY_MAX,
};
use aquifer_shared::shell::platform::within;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use self::patience::Patient;
use super::front::Front;
use crate::shell::places::Places;
use crate::shell::strangers::Strangers;

pub use self::description::openapi;

/// The open door.
pub struct HttpsDoor {
    listener: TcpListener,
    address: SocketAddr,
    tls: watch::Receiver<Arc<ServerConfig>>,
    router: Router,
    front: Arc<Front>,
    strangers: Arc<Strangers>,
}

/// What all requests share.
struct Shared {
    front: Arc<Front>,
    /// The description, as it is served.
    description: String,
    running: Arc<Places<Name>>,
    batches: Arc<Semaphore>,
    own_batches: Arc<Places<Name>>,
}

impl HttpsDoor {
    /// Listens.
    ///
    /// # Errors
    ///
    /// The address cannot be used.
    pub async fn open(
        address: SocketAddr,
        front: Arc<Front>,
        tls: watch::Receiver<Arc<ServerConfig>>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("could not listen on {address} (TCP)"))?;
        let shared = Shared {
            front: front.clone(),
            description: openapi(),
            running: Places::new(HTTPS_REQUESTS_PER_PARTY_MAX),
            batches: Arc::new(Semaphore::new(HTTPS_BATCHES_MAX)),
            own_batches: Places::new(HTTPS_BATCHES_PER_PARTY_MAX),
        };
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            tls,
            router: description::router(Arc::new(shared)),
            front,
            strangers: Strangers::new(HTTPS_CONNECTIONS_MAX, HTTPS_CONNECTIONS_PER_ADDRESS_MAX),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves all who connect, each in a task of its own; never ends.
    pub async fn serve(self) {
        loop {
            let (stream, from) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of files, most likely: some will be free again.
                    tracing::warn!(%error, "an HTTPS client could not connect");
                    self.front.platform.sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Where there is no place, the client is told so by the closed connection: nothing can be said before TLS.
            let Some(place) = self.strangers.take(from.ip()).map(Arc::new) else {
                continue;
            };
            let acceptor = TlsAcceptor::from(self.tls.borrow().clone());
            // Whoever shows a good token keeps the place.
            let router = self.router.clone().layer(Extension(place.clone()));
            let front = self.front.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = receive(front, acceptor, stream, router) => {}
                    () = place.taken_away() => tracing::debug!("an HTTPS client without a token gave way to another"),
                }
            });
        }
    }
}

/// Greets a client, and serves its requests until it leaves or its time is over.
async fn receive(front: Arc<Front>, acceptor: TlsAcceptor, stream: TcpStream, router: Router) {
    let greeting = async {
        stream.set_nodelay(true)?;
        acceptor.accept(stream).await
    };
    match within(&*front.platform, GREETING_TIMEOUT, greeting).await {
        Some(Ok(stream)) => converse(&front, stream, router).await,
        Some(Err(error)) => tracing::debug!(%error, "an HTTPS client was not let in"),
        None => tracing::debug!("an HTTPS client did not end its handshake in time"),
    }
}

async fn converse(front: &Front, stream: TlsStream<TcpStream>, router: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HTTPS_HEADERS_MAX)
        .max_buf_size(HTTPS_HEAD_BYTES_MAX);
    let service = TowerToHyperService::new(router);
    let stream = Patient::new(stream, front.platform.clone(), SEND_TIMEOUT);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let platform = &*front.platform;
    let mut ended = within(platform, CONNECTION_LIFE, connection.as_mut()).await;
    if ended.is_none() {
        // The request that runs, if there is one, may come to its end.
        connection.as_mut().graceful_shutdown();
        ended = within(platform, LAST_REQUEST_TIMEOUT, connection).await;
    }
    if let Some(Err(error)) = ended {
        tracing::debug!(%error, "the connection of an HTTPS client broke");
    }
}

/// How long a client may take from its first byte until TLS is there.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may be silent between requests, and take for the headers of one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a client may take for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an answer may take that no unit is asked for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an answer may take that units are asked for; a question's study ends before.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(11 * 60);
/// How long a client may leave what it was sent unread.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one connection is used at most.
const CONNECTION_LIFE: Duration = Duration::from_secs(3_600);
/// How long a request may go on after that.
const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(12 * 60);
/// How long nobody is let in where the system refuses.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
