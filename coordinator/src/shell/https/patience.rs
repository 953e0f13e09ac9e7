//! A stream whose client must listen: what is sent and not taken in time ends the connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aquifer_shared::shell::platform::{Platform, Sleep};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream with an end to its patience.
pub(super) struct Patient<S> {
    stream: S,
    platform: Arc<dyn Platform>,
    wait: Duration,
    /// Runs while the client takes nothing.
    waiting: Option<Sleep>,
}

impl<S> Patient<S> {
    /// Waits this long for a client that takes nothing.
    pub(super) fn new(stream: S, platform: Arc<dyn Platform>, wait: Duration) -> Self {
        Self {
            stream,
            platform,
            wait,
            waiting: None,
        }
    }

    /// Passes on what a write came to, unless it has waited too long.
    fn weigh<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let (platform, wait) = (&self.platform, self.wait);
        let waiting = self.waiting.get_or_insert_with(|| platform.sleep(wait));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.weigh(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.weigh(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.weigh(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use aquifer_shared::base::time::Timestamp;
    use quinn::{Endpoint, EndpointConfig, ServerConfig};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// Where all time passes at once, or none.
    #[derive(Debug)]
    struct Time {
        passes: bool,
    }

    impl Platform for Time {
        fn endpoint(
            &self,
            _: EndpointConfig,
            _: SocketAddr,
            _: Option<ServerConfig>,
        ) -> io::Result<Endpoint> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn sleep(&self, _: Duration) -> Sleep {
            match self.passes {
                true => Box::pin(std::future::ready(())),
                false => Box::pin(std::future::pending()),
            }
        }

        fn now(&self) -> Timestamp {
            Timestamp(0)
        }

        fn chance(&self) -> u8 {
            0
        }
    }

    /// What a server that sends 64 bytes comes to, with a client that takes so many of them.
    async fn sent(passes: bool, taken: usize) -> io::Result<()> {
        let (server, mut client) = duplex(8);
        let mut server = Patient::new(server, Arc::new(Time { passes }), Duration::ZERO);
        let taking = tokio::spawn(async move {
            let mut bytes = vec![0; taken];
            client.read_exact(&mut bytes).await.unwrap();
            client
        });
        let sent = server.write_all(&[7; 64]).await;
        taking.abort();
        sent
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_left() {
        let ended = sent(true, 0).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_that_takes_everything_is_served() {
        sent(false, 64).await.unwrap();
    }
}
