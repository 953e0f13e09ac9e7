//! What connections need of the world around them: endpoints, the passing of time, the clock and a little chance.
//!
//! [`System`] takes them from the operating system. Another one puts the same sessions on a simulated network and clock.

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use socket2::SockRef;

use super::keys::random_bytes32;
use crate::base::time::Timestamp;

/// Resolves when its time has come.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// Where connections live.
pub trait Platform: Debug + Send + Sync {
    /// An endpoint on a socket of its own; with a configuration it accepts connections.
    ///
    /// # Errors
    ///
    /// The socket cannot be opened.
    fn endpoint(
        &self,
        config: EndpointConfig,
        bind: SocketAddr,
        server: Option<ServerConfig>,
    ) -> io::Result<Endpoint>;

    /// Waits this long.
    fn sleep(&self, wait: Duration) -> Sleep;

    /// The clock.
    fn now(&self) -> Timestamp;

    /// A random byte, to spread out what many would do at the same moment; nothing secret is made of it.
    fn chance(&self) -> u8;
}

/// The operating system's sockets and clocks, under tokio.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Platform for System {
    fn endpoint(
        &self,
        config: EndpointConfig,
        bind: SocketAddr,
        server: Option<ServerConfig>,
    ) -> io::Result<Endpoint> {
        let socket = UdpSocket::bind(bind)?;
        let buffers = SockRef::from(&socket);
        // Wishes: the kernel gives less where its limit is lower, and smaller buffers cost retransmissions only.
        let _ = buffers.set_recv_buffer_size(SOCKET_RECEIVE_BYTES);
        let _ = buffers.set_send_buffer_size(SOCKET_SEND_BYTES);
        Endpoint::new(config, server, socket, Arc::new(TokioRuntime))
    }

    fn sleep(&self, wait: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(wait))
    }

    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let since = since.unwrap_or(Duration::ZERO);
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn chance(&self) -> u8 {
        random_bytes32().map_or(0, |bytes| bytes[0])
    }
}

/// What a future gives within `wait`, or nothing.
pub async fn within<F: IntoFuture>(
    platform: &dyn Platform,
    wait: Duration,
    future: F,
) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future.into_future() => Some(output),
        () = platform.sleep(wait) => None,
    }
}

const SOCKET_RECEIVE_BYTES: usize = 8 << 20;
const SOCKET_SEND_BYTES: usize = 2 << 20;
