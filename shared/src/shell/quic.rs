//! QUIC endpoints and frames on their streams.
//!
//! Under TLS 1.3 `connect` succeeds before the server has judged the client's certificate: a party counts as joined only
//! after the coordinator's `Welcome`, and a refused certificate shows at the first use of a stream.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, IdleTimeout, RecvStream, SendStream,
    ServerConfig, TransportConfig, VarInt,
};
use quinn_proto::HashedConnectionIdGenerator;
use rustls_pki_types::CertificateDer;
use tokio::task::JoinSet;

use super::certificates::{CertificateFault, PeerCertificate};
pub use super::link::{CLOSE_DONE, CertificateProblem, LinkError, close_code, close_reason};
use super::platform::{Platform, System, within};
use crate::base::hash::labelled;
use crate::base::ids::Hash32;
use crate::base::limits::GREETING_BYTES_MAX;
use crate::protocol::codec::CodecError;
use crate::protocol::wire::{CloseReason, HEADER_BYTES, Message, frame, read_body, read_header};

/// Kind and body of a frame.
pub type Frame = (u8, Vec<u8>);

/// An endpoint that accepts connections, and makes none.
///
/// # Errors
///
/// The socket cannot be opened.
pub fn server_endpoint(
    listen: SocketAddr,
    tls: Arc<QuicServerConfig>,
) -> Result<Endpoint, LinkError> {
    let server = Some(server_config(tls, transport()));
    endpoint(&System, EndpointConfig::default(), listen, server)
}

/// [`server_endpoint`] on a platform, for a server that comes back: with the same `memory`, kept by it alone, it tells peers of
/// an earlier run that their connections are gone, instead of leaving them to wait for an answer.
///
/// # Errors
///
/// The socket cannot be opened.
pub fn lasting_endpoint(
    platform: &dyn Platform,
    listen: SocketAddr,
    tls: Arc<QuicServerConfig>,
    memory: &Hash32,
) -> Result<Endpoint, LinkError> {
    let reset = hmac::Key::new(hmac::HMAC_SHA256, &memory.0);
    let mark = labelled("aquifer/connection/1", &[&memory.0]).0;
    let mark = u64::from_le_bytes(*mark.first_chunk().expect("a hash is longer"));
    let mut config = EndpointConfig::new(Arc::new(reset));
    // Marks its own connections, so that a later run takes them for its own and answers.
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(mark)));
    let server = Some(server_config(tls, transport()));
    endpoint(platform, config, listen, server)
}

/// An endpoint for newcomers, whom nobody knows yet: one stream each, and no more memory than one greeting takes.
///
/// # Errors
///
/// The socket cannot be opened.
pub fn join_endpoint(
    listen: SocketAddr,
    tls: Arc<QuicServerConfig>,
) -> Result<Endpoint, LinkError> {
    let server = Some(server_config(tls, transport_join()));
    endpoint(&System, EndpointConfig::default(), listen, server)
}

/// Gives an endpoint of [`server_endpoint`] another certificate; connections that are open stay as they are.
pub fn replace_server_tls(endpoint: &Endpoint, tls: Arc<QuicServerConfig>) {
    endpoint.set_server_config(Some(server_config(tls, transport())));
}

/// Gives an endpoint of [`join_endpoint`] another certificate.
pub fn replace_join_tls(endpoint: &Endpoint, tls: Arc<QuicServerConfig>) {
    endpoint.set_server_config(Some(server_config(tls, transport_join())));
}

/// A client's connection together with its endpoint.
#[derive(Debug)]
pub struct Link {
    /// The endpoint that drives the connection.
    pub endpoint: Endpoint,
    /// The connection.
    pub connection: Connection,
    platform: Arc<dyn Platform>,
}

impl Link {
    /// Finds `address` (`HOST:PORT`), and connects to the first of its addresses that answers; call it within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The address is unknown, nobody answers, or the server's certificate is not of the pinned authority.
    pub async fn open(
        address: &str,
        server_name: &str,
        tls: Arc<QuicClientConfig>,
    ) -> Result<Self, LinkError> {
        Self::open_on(
            &(Arc::new(System) as Arc<dyn Platform>),
            address,
            server_name,
            tls,
        )
        .await
    }

    /// [`Link::open`] on a platform.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn open_on(
        platform: &Arc<dyn Platform>,
        address: &str,
        server_name: &str,
        tls: Arc<QuicClientConfig>,
    ) -> Result<Self, LinkError> {
        let unknown = |source| LinkError::Resolve {
            address: address.to_owned(),
            source,
        };
        let found = tokio::net::lookup_host(address).await.map_err(unknown)?;
        let mut tries = JoinSet::new();
        for (remote, turn) in found.take(ADDRESSES_MAX).zip(0..) {
            let (tls, server_name) = (tls.clone(), server_name.to_owned());
            let platform = platform.clone();
            tries.spawn(async move {
                // One silent address (IPv6 of a host that listens on IPv4 alone) must not hold up the others.
                platform.sleep(ADDRESS_STAGGER * turn).await;
                let endpoint = client_endpoint(&*platform, remote, tls)?;
                let connection = connect(&*platform, &endpoint, remote, &server_name).await?;
                Ok(Self {
                    endpoint,
                    connection,
                    platform,
                })
            });
        }
        let mut last = unknown(std::io::ErrorKind::NotFound.into());
        while let Some(tried) = tries.join_next().await {
            match tried {
                Ok(Ok(link)) => return Ok(link),
                Ok(Err(LinkError::Unanswered { .. })) if !is_unknown(&last) => {}
                Ok(Err(error)) => last = error,
                Err(_) => {}
            }
        }
        Err(last)
    }

    /// Closes the connection and waits until the other side has been told.
    pub async fn close(self) {
        self.connection.close(CLOSE_DONE, b"");
        // Bounded: a peer that is gone cannot be told.
        let idle = self.endpoint.wait_idle();
        let _ = within(&*self.platform, CLOSE_TIMEOUT, idle).await;
    }
}

/// Closes a connection for a reason, which the other side reads as [`LinkError::Closed`].
pub fn close(connection: &Connection, reason: CloseReason) {
    connection.close(close_code(reason), b"");
}

/// Who is at the other end of a connection to the main endpoint.
///
/// # Errors
///
/// The other side showed no certificate, or one that the authority does not write.
pub fn peer_certificate(connection: &Connection) -> Result<PeerCertificate, LinkError> {
    let shown = connection
        .peer_identity()
        .and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok())
        .ok_or(LinkError::Theirs(CertificateProblem::Missing))?;
    let leaf = shown.first().ok_or(CertificateFault::Peer {
        what: "certificate",
    })?;
    Ok(PeerCertificate::parse(leaf)?)
}

/// Sends one message. Not to be cancelled: half a frame may have been sent then.
///
/// # Errors
///
/// The connection or the stream is gone, or the message is above its limit.
pub async fn send<M: Message>(stream: &mut SendStream, message: &M) -> Result<(), LinkError> {
    let bytes = frame(message);
    let length = bytes.len() - HEADER_BYTES;
    if length > M::BYTES_MAX {
        return Err(LinkError::Codec(CodecError::TooLong {
            what: M::NAME,
            length,
            limit: M::BYTES_MAX,
        }));
    }
    Ok(stream.write_all(&bytes).await?)
}

/// Reads one frame of at most `limit` bytes; none where the stream ends cleanly. Not to be cancelled: see [`FrameReader`].
///
/// # Errors
///
/// The connection or the stream is gone, another version, a longer frame, or an end within a frame.
pub async fn receive_frame(
    stream: &mut RecvStream,
    limit: usize,
) -> Result<Option<Frame>, LinkError> {
    fill(stream, &mut Vec::new(), |_| Some(limit)).await
}

/// Reads one message that must come. Not to be cancelled: see [`FrameReader`].
///
/// # Errors
///
/// As [`receive_frame`], and an end or another message where this one was due.
pub async fn receive<M: Message>(stream: &mut RecvStream) -> Result<M, LinkError> {
    let Some((kind, body)) = receive_frame(stream, M::BYTES_MAX).await? else {
        return Err(LinkError::Ended { expected: M::NAME });
    };
    Ok(read_body(kind, &body)?)
}

/// Reads one message that must come within `wait`: for peers who are not known yet.
///
/// # Errors
///
/// As [`receive`], and [`LinkError::TimedOut`].
pub async fn receive_within<M: Message>(
    stream: &mut RecvStream,
    wait: Duration,
) -> Result<M, LinkError> {
    receive_within_on(&System, stream, wait).await
}

/// [`receive_within`] on a platform.
///
/// # Errors
///
/// As there.
pub async fn receive_within_on<M: Message>(
    platform: &dyn Platform,
    stream: &mut RecvStream,
    wait: Duration,
) -> Result<M, LinkError> {
    let received = within(platform, wait, receive(stream)).await;
    received.unwrap_or(Err(LinkError::TimedOut))
}

/// Reads frames and keeps what has come of the next one, so that [`FrameReader::next`] may be cancelled (as `select!` does).
#[derive(Debug)]
pub struct FrameReader {
    stream: RecvStream,
    buffer: Vec<u8>,
}

impl FrameReader {
    /// Reads from this stream, at the start of a frame.
    #[must_use]
    pub fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// The next frame of at most `limit` bytes; none where the stream ends cleanly.
    ///
    /// # Errors
    ///
    /// As [`receive_frame`].
    pub async fn next(&mut self, limit: usize) -> Result<Option<Frame>, LinkError> {
        fill(&mut self.stream, &mut self.buffer, |_| Some(limit)).await
    }

    /// The next frame, of at most as many bytes as its kind may have; nothing is read of a kind that may have none.
    ///
    /// # Errors
    ///
    /// As [`receive_frame`], and another kind.
    pub async fn next_within(
        &mut self,
        longest: fn(u8) -> Option<usize>,
    ) -> Result<Option<Frame>, LinkError> {
        fill(&mut self.stream, &mut self.buffer, longest).await
    }

    /// Tells the other side to send no more.
    pub fn stop(&mut self, reason: CloseReason) {
        // Fails only where the stream has ended already.
        let _ = self.stream.stop(close_code(reason));
    }
}

/// An endpoint for connections to `remote` and others of its address family.
fn client_endpoint(
    platform: &dyn Platform,
    remote: SocketAddr,
    tls: Arc<QuicClientConfig>,
) -> Result<Endpoint, LinkError> {
    let any = match remote {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let mut config = ClientConfig::new(tls);
    config.transport_config(Arc::new(transport()));
    let mut endpoint = endpoint(platform, EndpointConfig::default(), any, None)?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

/// Connects within [`CONNECT_TIMEOUT`]; whether the server takes our certificate shows only at the first message.
async fn connect(
    platform: &dyn Platform,
    endpoint: &Endpoint,
    remote: SocketAddr,
    server_name: &str,
) -> Result<Connection, LinkError> {
    let unanswered = || LinkError::Unanswered {
        address: remote.to_string(),
        waited: CONNECT_TIMEOUT,
    };
    let connecting = endpoint
        .connect(remote, server_name)
        .map_err(|source| LinkError::Start {
            address: remote.to_string(),
            source,
        })?;
    match within(platform, CONNECT_TIMEOUT, connecting).await {
        None | Some(Err(quinn::ConnectionError::TimedOut)) => Err(unanswered()),
        Some(connected) => Ok(connected?),
    }
}

fn is_unknown(error: &LinkError) -> bool {
    matches!(error, LinkError::Resolve { .. })
}

/// Fills `buffer` until it holds one frame and takes that. Memory grows with what came, not with what a header claims.
async fn fill(
    stream: &mut RecvStream,
    buffer: &mut Vec<u8>,
    longest: impl Fn(u8) -> Option<usize>,
) -> Result<Option<Frame>, LinkError> {
    loop {
        let missing = match buffer.first_chunk::<HEADER_BYTES>() {
            None => HEADER_BYTES - buffer.len(),
            Some(header) => {
                let (got, _) = read_header(*header, usize::MAX)?;
                let limit = longest(got).ok_or(CodecError::Kind { got })?;
                let (kind, length) = read_header(*header, limit)?;
                if buffer.len() == HEADER_BYTES + length {
                    let body = buffer.split_off(HEADER_BYTES);
                    buffer.clear();
                    return Ok(Some((kind, body)));
                }
                HEADER_BYTES + length - buffer.len()
            }
        };
        match stream.read_chunk(missing, true).await? {
            Some(chunk) => buffer.extend_from_slice(&chunk.bytes),
            None if buffer.is_empty() => return Ok(None),
            None => return Err(LinkError::Truncated { got: buffer.len() }),
        }
    }
}

fn endpoint(
    platform: &dyn Platform,
    config: EndpointConfig,
    bind: SocketAddr,
    server: Option<ServerConfig>,
) -> Result<Endpoint, LinkError> {
    platform
        .endpoint(config, bind, server)
        .map_err(|source| LinkError::Socket {
            address: bind.to_string(),
            source,
        })
}

fn server_config(tls: Arc<QuicServerConfig>, transport: TransportConfig) -> ServerConfig {
    let mut config = ServerConfig::with_crypto(tls);
    config.transport_config(Arc::new(transport));
    config.max_incoming(INCOMING_MAX);
    config
}

fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS))))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .datagram_receive_buffer_size(None);
    config
}

fn transport_join() -> TransportConfig {
    let mut config = transport();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .stream_receive_window(VarInt::from_u32(GREETING_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(GREETING_WINDOW_BYTES))
        .send_window(u64::from(GREETING_WINDOW_BYTES));
    config
}

/// How long one address is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const IDLE_MS: u32 = 30_000;
/// Bidirectional streams that a peer may have open.
const STREAMS_MAX: u32 = 64;
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
/// A newcomer's frame and its header.
const GREETING_WINDOW_BYTES: u32 = GREETING_BYTES_MAX as u32 + HEADER_BYTES as u32;
/// Handshakes that wait to be accepted.
const INCOMING_MAX: usize = 1_024;
/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;
/// Pause before the next address of a host is tried as well.
const ADDRESS_STAGGER: Duration = Duration::from_millis(250);
