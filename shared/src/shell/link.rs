//! What can go wrong on a connection, in words that say what to do, and the codes by which connections are closed.

use std::io;
use std::time::Duration;

use quinn::{ConnectError, ConnectionError, ReadError, VarInt, WriteError};

use super::certificates::CertificateFault;
use crate::protocol::codec::CodecError;
use crate::protocol::wire::CloseReason;

/// A connection could not be made, was closed, or brought what does not belong there.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket cannot be opened.
    #[error("could not open UDP socket {address}")]
    Socket {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The address names no host.
    #[error("could not find {address}; check the address on the ticket and the name service")]
    Resolve {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The connection cannot even be tried.
    #[error("could not start a connection to {address}")]
    Start {
        /// Where.
        address: String,
        /// Why.
        source: ConnectError,
    },
    /// Nobody answered.
    #[error("nobody answers at {address} within {} s; check that the coordinator runs and that UDP is let through", waited.as_secs())]
    Unanswered {
        /// Where.
        address: String,
        /// How long it was tried.
        waited: Duration,
    },
    /// The other side did not take our certificate.
    #[error("the other side refused this certificate: {0}")]
    Ours(CertificateProblem),
    /// We did not take the other side's certificate.
    #[error("the other side's certificate is refused: {0}")]
    Theirs(CertificateProblem),
    /// The certificate was taken by TLS but is not of the authority's making.
    #[error("the other side's certificate cannot be read")]
    Identity(#[from] CertificateFault),
    /// Another protocol than expected.
    #[error(
        "the other side speaks another protocol here; check that address and join address are not exchanged"
    )]
    OtherProtocol,
    /// The other side takes no connections now.
    #[error("the other side refuses connections now; try again in a minute")]
    Busy,
    /// The other side closed the connection and said why.
    #[error("the other side closed the connection: {}", close_text(*.0))]
    Closed(CloseReason),
    /// The other side closed the connection because all was said.
    #[error("the other side closed the connection")]
    Finished,
    /// This side closed the connection.
    #[error("the connection was closed on this side")]
    ClosedHere,
    /// Nothing was heard for too long.
    #[error("the connection timed out: nothing was heard from the other side")]
    TimedOut,
    /// The other side lost the connection, most likely by a restart.
    #[error("the other side does not know the connection any more, most likely after a restart")]
    Reset,
    /// A stream was given up.
    #[error("the other side gave up the stream (code {code})")]
    Stream {
        /// Its code.
        code: u64,
    },
    /// The stream ended where a message was due.
    #[error("the stream ended where {expected} was due")]
    Ended {
        /// The message.
        expected: &'static str,
    },
    /// The stream ended within a frame.
    #[error("the stream ended within a frame, after {got} bytes")]
    Truncated {
        /// Bytes of the frame that came.
        got: usize,
    },
    /// A message that no honest peer would send.
    #[error("the other side sent what does not belong here")]
    Codec(#[from] CodecError),
    /// QUIC or TLS failed in another way.
    #[error("the transport failed (code {code:#x})")]
    Transport {
        /// Code of QUIC; `0x100` plus the alert where TLS failed.
        code: u64,
    },
}

/// Why a certificate is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateProblem {
    /// Its time is over.
    #[error(
        "it has expired or is not valid yet; check the clock, else ask the operator for a new ticket and join again"
    )]
    Expired,
    /// It was revoked.
    #[error("it was revoked; ask the operator")]
    Revoked,
    /// None was shown.
    #[error("none was shown; join with a ticket first")]
    Missing,
    /// Issued by an authority that is not pinned.
    #[error(
        "it was issued by another authority than the pinned one; the ticket may be for another coordinator"
    )]
    UnknownAuthority,
    /// Issued for another use, for example for servers.
    #[error("it was issued for another use")]
    WrongUse,
    /// Another name, malformed, or with a signature that does not verify.
    #[error("it is malformed, forged or for another name")]
    Bad,
}

impl LinkError {
    /// Whether trying again later may help without anybody's doing.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unanswered { .. }
            | Self::Resolve { .. }
            | Self::Busy
            | Self::Finished
            | Self::TimedOut
            | Self::Reset
            | Self::Stream { .. }
            | Self::Ended { .. }
            | Self::Truncated { .. }
            | Self::Transport { .. } => true,
            Self::Closed(reason) => matches!(reason, CloseReason::Shutdown | CloseReason::Busy),
            _ => false,
        }
    }
}

impl LinkError {
    /// The reason to close the connection for, where the other side's conduct was the error.
    #[must_use]
    pub fn blame(&self) -> Option<CloseReason> {
        match self {
            Self::Codec(CodecError::Version { .. }) => Some(CloseReason::Version),
            Self::Codec(_) | Self::Ended { .. } | Self::Truncated { .. } => {
                Some(CloseReason::Protocol)
            }
            Self::Theirs(CertificateProblem::Expired) => Some(CloseReason::Expired),
            Self::Theirs(_) | Self::Identity(_) => Some(CloseReason::WrongRole),
            _ => None,
        }
    }
}

impl From<ConnectionError> for LinkError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::TransportError(found) => {
                from_transport(found.code.into(), Self::Theirs)
            }
            ConnectionError::ConnectionClosed(told) => {
                from_transport(told.error_code.into(), Self::Ours)
            }
            ConnectionError::ApplicationClosed(told) => from_close(told.error_code),
            ConnectionError::VersionMismatch => Self::OtherProtocol,
            ConnectionError::Reset => Self::Reset,
            ConnectionError::TimedOut => Self::TimedOut,
            ConnectionError::LocallyClosed => Self::ClosedHere,
            ConnectionError::CidsExhausted => Self::Busy,
        }
    }
}

impl From<ReadError> for LinkError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::ConnectionLost(error) => error.into(),
            ReadError::Reset(code) => from_stream(code),
            _ => Self::ClosedHere,
        }
    }
}

impl From<WriteError> for LinkError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::ConnectionLost(error) => error.into(),
            WriteError::Stopped(code) => from_stream(code),
            _ => Self::ClosedHere,
        }
    }
}

/// Close code of a connection or a stream that ends because all was said.
pub const CLOSE_DONE: VarInt = VarInt::from_u32(0);

/// The code by which connections and streams are closed for a reason.
#[must_use]
pub fn close_code(reason: CloseReason) -> VarInt {
    VarInt::from_u32(match reason {
        CloseReason::Shutdown => 1,
        CloseReason::Revoked => 2,
        CloseReason::WrongRole => 3,
        CloseReason::Protocol => 4,
        CloseReason::Replaced => 5,
        CloseReason::Busy => 6,
        CloseReason::Version => 7,
        CloseReason::Expired => 8,
        CloseReason::Program => 9,
    })
}

/// The reason behind a code; none for codes of other versions.
#[must_use]
pub fn close_reason(code: VarInt) -> Option<CloseReason> {
    [
        CloseReason::Shutdown,
        CloseReason::Revoked,
        CloseReason::WrongRole,
        CloseReason::Protocol,
        CloseReason::Replaced,
        CloseReason::Busy,
        CloseReason::Version,
        CloseReason::Expired,
        CloseReason::Program,
    ]
    .into_iter()
    .find(|reason| close_code(*reason) == code)
}

/// What a close reason means to the one who was closed, and what to do.
#[must_use]
pub fn close_text(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Shutdown => "it stops; try again when it runs",
        CloseReason::Revoked => "this certificate was revoked; ask the operator",
        CloseReason::WrongRole => {
            "this certificate is not registered, or its role may not do this; ask the operator"
        }
        CloseReason::Protocol => "a message broke the protocol; the versions may not fit",
        CloseReason::Replaced => {
            "another session with this identity took over; run each identity once only"
        }
        CloseReason::Busy => "it has too many connections or requests; try again in a minute",
        CloseReason::Version => "it speaks another version of the protocol; update the older side",
        CloseReason::Expired => {
            "this certificate has expired; ask the operator for a new ticket and join again"
        }
        CloseReason::Program => {
            "its settings (nodes.programs) demand another program; install a release that they list, or ask the operator"
        }
    }
}

fn from_close(code: VarInt) -> LinkError {
    if code == CLOSE_DONE {
        return LinkError::Finished;
    }
    match close_reason(code) {
        Some(reason) => LinkError::Closed(reason),
        None => LinkError::Stream {
            code: code.into_inner(),
        },
    }
}

fn from_stream(code: VarInt) -> LinkError {
    match close_reason(code) {
        Some(reason) => LinkError::Closed(reason),
        None => LinkError::Stream {
            code: code.into_inner(),
        },
    }
}

/// Codes of QUIC (RFC 9000 section 20.1); TLS alerts (RFC 8446 section 6) start at 0x100.
fn from_transport(code: u64, whose: fn(CertificateProblem) -> LinkError) -> LinkError {
    let problem = match code {
        0x2 => return LinkError::Busy,
        0x178 => return LinkError::OtherProtocol,
        0x12a | 0x133 => CertificateProblem::Bad,
        0x12b => CertificateProblem::WrongUse,
        0x12c => CertificateProblem::Revoked,
        0x12d => CertificateProblem::Expired,
        0x12e | 0x130 => CertificateProblem::UnknownAuthority,
        0x174 => CertificateProblem::Missing,
        code => return LinkError::Transport { code },
    };
    whose(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_reasons_are_one_to_one() {
        for code in 1..=9 {
            let reason = close_reason(VarInt::from_u32(code)).unwrap();
            assert_eq!(close_code(reason), VarInt::from_u32(code));
            assert!(!close_text(reason).is_empty());
        }
        assert_eq!(close_reason(CLOSE_DONE), None);
        assert_eq!(close_reason(VarInt::from_u32(10)), None);
    }

    #[track_caller]
    fn check_alert(alert: u64, expected: CertificateProblem) {
        let found = from_transport(0x100 + alert, LinkError::Ours);
        assert!(matches!(found, LinkError::Ours(problem) if problem == expected));
        assert!(!found.may_pass());
    }

    #[test]
    fn an_expired_certificate_is_told() {
        check_alert(45, CertificateProblem::Expired);
    }

    #[test]
    fn a_missing_certificate_is_told() {
        check_alert(116, CertificateProblem::Missing);
    }

    #[test]
    fn a_foreign_authority_is_told() {
        check_alert(48, CertificateProblem::UnknownAuthority);
    }

    #[test]
    fn other_codes_keep_their_number() {
        assert!(matches!(
            from_transport(0x10a, LinkError::Ours),
            LinkError::Transport { code: 0x10a }
        ));
        assert!(from_transport(0x2, LinkError::Ours).may_pass());
    }

    #[test]
    fn only_a_pause_is_worth_another_try() {
        assert!(LinkError::Closed(CloseReason::Shutdown).may_pass());
        assert!(!LinkError::Closed(CloseReason::Revoked).may_pass());
        assert!(!LinkError::Closed(CloseReason::Replaced).may_pass());
        assert!(LinkError::TimedOut.may_pass());
    }
}
