//! A client's connection: whole messages in, whole messages out, neither longer than allowed.

use std::io;

use bytes::{Buf, BytesMut};
use pgwire::messages::PgWireBackendMessage;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use aquifer_shared::base::limits::{SQL_GREETING_BYTES_MAX, SQL_MESSAGE_BYTES_MAX};

use crate::core::psql::frontend::{Frontend, Malformed, Opening};

/// A connection that cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineFault {
    /// The network.
    #[error("the connection broke")]
    Network(#[from] io::Error),
    /// Longer than allowed.
    #[error("a message of {found} bytes, expected at most {max}")]
    TooLong {
        /// Found.
        found: usize,
        /// Allowed.
        max: usize,
    },
    /// Not one of the protocol.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// What is to be sent has no form on the wire.
    #[error("a message cannot be written")]
    Unwritable,
}

/// Messages over a stream.
pub(super) struct Line<S> {
    stream: S,
    inbox: BytesMut,
    outbox: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
        }
    }

    /// The next message; none at the end. Nothing is lost where the caller stops waiting.
    pub(super) async fn next(&mut self, bytes_max: usize) -> Result<Option<Frontend>, LineFault> {
        loop {
            if let Some(message) = self.take(bytes_max)? {
                return Ok(Some(message));
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Waits until something has come, if nothing is there; false at the end.
    pub(super) async fn begun(&mut self) -> Result<bool, LineFault> {
        Ok(!self.inbox.is_empty() || self.fill().await? > 0)
    }

    /// Whether more may be read before what is there has been answered.
    pub(super) fn has_room(&self) -> bool {
        self.inbox.len() < SQL_MESSAGE_BYTES_MAX
    }

    /// Reads what comes; 0 at the end. Nothing is lost where the caller stops waiting.
    pub(super) async fn fill(&mut self) -> Result<usize, LineFault> {
        self.inbox.reserve(READ_BYTES);
        Ok(self.stream.read_buf(&mut self.inbox).await?)
    }

    fn take(&mut self, bytes_max: usize) -> Result<Option<Frontend>, LineFault> {
        let Some(head) = self.inbox.first_chunk::<5>() else {
            return Ok(None);
        };
        let [letter, length @ ..] = *head;
        let length = length_of(length, 4, bytes_max)?;
        if self.inbox.len() < length + 1 {
            return Ok(None);
        }
        let mut message = self.inbox.split_to(length + 1);
        message.advance(5);
        Ok(Some(Frontend::read(letter, &message)?))
    }

    /// Puts a message behind those that wait to be sent.
    pub(super) fn put(&mut self, message: PgWireBackendMessage) -> Result<(), LineFault> {
        let encoded = message.encode(&mut self.outbox);
        encoded.map_err(|_| LineFault::Unwritable)
    }

    /// Whether much waits to be sent.
    pub(super) fn is_full(&self) -> bool {
        self.outbox.len() >= WRITE_BYTES
    }

    /// Sends what waits.
    pub(super) async fn flush(&mut self) -> Result<(), LineFault> {
        self.stream.write_all_buf(&mut self.outbox).await?;
        Ok(self.stream.flush().await?)
    }

    /// Sends what waits, and closes.
    pub(super) async fn close(&mut self) -> Result<(), LineFault> {
        self.flush().await?;
        Ok(self.stream.shutdown().await?)
    }
}

/// The first message of a connection, and not a byte more: what follows may be TLS.
pub(super) async fn opening<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Opening, LineFault> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = length_of(length, 8, SQL_GREETING_BYTES_MAX)?;
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).await?;
    Ok(Opening::read(&body)?)
}

fn length_of(bytes: [u8; 4], min: usize, max: usize) -> Result<usize, LineFault> {
    let found = u32::from_be_bytes(bytes) as usize;
    if found > max {
        return Err(LineFault::TooLong { found, max });
    }
    if found < min {
        return Err(Malformed.into());
    }
    Ok(found)
}

const READ_BYTES: usize = 4_096;
const WRITE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(bytes: &[u8], max: usize, expected: &str) {
        let (near, mut far) = tokio::io::duplex(1_024);
        far.write_all(bytes).await.unwrap();
        drop(far);
        let found = Line::new(near).next(max).await;
        assert_eq!(format!("{found:?}"), expected);
    }

    #[tokio::test]
    async fn messages_come_whole_or_not_at_all() {
        check(b"S\0\0\0\x04S", 100, "Ok(Some(Sync))").await;
        check(b"S\0\0\0", 100, "Ok(None)").await;
        check(b"", 100, "Ok(None)").await;
        check(b"S\0\0\0\x03", 100, "Err(Malformed(Malformed))").await;
        let long = "Err(TooLong { found: 104857600, max: 100 })";
        check(b"Q\x06\x40\0\0SELECT", 100, long).await;
    }

    #[tokio::test]
    async fn a_connection_opens_with_few_bytes() {
        let first = opening(&mut &b"\0\0\0\x08\x04\xd2\x16\x2fmore"[..]).await;
        assert_eq!(first.unwrap(), Opening::Tls);
        let long = opening(&mut &b"\x7f\xff\xff\xff"[..]).await;
        assert!(matches!(long, Err(LineFault::TooLong { .. })));
        let web = opening(&mut &b"GET / HTTP/1.1\r\n"[..]).await;
        assert!(web.is_err());
    }
}
