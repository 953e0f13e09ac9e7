//! Joining: a newcomer redeems a ticket, the coordinator checks the request.
//!
//! Keys are made where they are used and never travel. Whether a ticket is good is the registry's business, not this file's.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::certificates::{CertificateFault, check_request, new_request, request_for};
use super::directory::{CoordinatorFile, DirectoryFault, IdentityDirectory, Newcomer};
use super::keys::{Identity, KeyFault, verify};
use super::link::{CertificateProblem, LinkError};
use super::quic::{Link, receive_within, send};
use super::tls::{TlsFault, client_join};
use crate::base::time::Timestamp;
use crate::protocol::ticket::{TICKET_CHARS_MAX, Ticket, TicketError};
use crate::protocol::wire::{Join, JoinRejection, Joined, join_digest};

/// A ticket was not redeemed.
#[derive(Debug, thiserror::Error)]
pub enum JoinFault {
    /// The text is no usable ticket.
    #[error("the ticket cannot be used")]
    Ticket(#[from] TicketError),
    /// It does not come from standard input.
    #[error("the ticket could not be read from standard input")]
    Read(#[source] io::Error),
    /// The ticket's time is over by this machine's clock.
    #[error("the ticket has expired; check the clock, else ask the operator for a new one")]
    Expired,
    /// The coordinator does not take the ticket.
    #[error("the coordinator did not take the ticket: {}", rejection_text(*.0))]
    Rejected(JoinRejection),
    /// The coordinator cannot be reached, or is not the ticket's; the same ticket may be tried again from the same directory.
    #[error(
        "could not redeem the ticket at {address} (it may be tried again, from the same directory)"
    )]
    Link {
        /// The join address.
        address: String,
        /// Why.
        source: LinkError,
    },
    /// The ticket is spent, and what came for it could not be kept.
    #[error(
        "the ticket is spent, but the identity could not be stored; ask the operator for a new ticket"
    )]
    Spent {
        /// Why.
        source: DirectoryFault,
    },
    /// The directory holds an identity, or cannot be written.
    #[error("the identity directory cannot be used")]
    Directory(#[from] DirectoryFault),
    /// A key cannot be made.
    #[error("a key cannot be made")]
    Key(#[from] KeyFault),
    /// A certificate request cannot be made.
    #[error("a certificate request cannot be made")]
    Certificate(#[from] CertificateFault),
    /// The ticket's authority cannot be pinned.
    #[error("the ticket's authority cannot be pinned")]
    Tls(#[from] TlsFault),
}

impl JoinFault {
    /// Whether this is a refusal by rule (exit code 1) rather than a failure (exit code 2).
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Ticket(_)
                | Self::Expired
                | Self::Rejected(_)
                | Self::Directory(DirectoryFault::Occupied { .. })
        )
    }
}

/// The ticket that a command was given: the argument itself, or what `input` holds where that is `-`, since every user of a machine
/// may see the arguments of its processes.
///
/// # Errors
///
/// The input cannot be read.
pub fn ticket_text(argument: &str, input: impl Read) -> Result<Zeroizing<String>, JoinFault> {
    if argument != "-" {
        return Ok(Zeroizing::new(argument.to_owned()));
    }
    // Reserved at once: a growing buffer would leave copies of the secret behind. One byte more than fits shows as too long.
    let mut text = Zeroizing::new(String::with_capacity(2 * TICKET_CHARS_MAX));
    let longest = TICKET_CHARS_MAX as u64 + 1;
    let read = input.take(longest).read_to_string(&mut text);
    read.map(|_| text).map_err(JoinFault::Read)
}

/// Makes keys in `directory`, redeems the ticket, and stores what the coordinator gave.
///
/// # Errors
///
/// The directory holds an identity already; the ticket is damaged, expired or not taken; the coordinator cannot be reached.
pub async fn redeem(
    ticket: &str,
    directory: &Path,
    now: Timestamp,
) -> Result<IdentityDirectory, JoinFault> {
    let ticket = Ticket::parse(ticket)?;
    if ticket.is_expired(now) {
        return Err(JoinFault::Expired);
    }
    let earlier = Newcomer::earlier_keys(directory);
    let newcomer = Newcomer::prepare(directory)?;
    match ask(&ticket, &newcomer, earlier).await {
        Ok(certificate) => newcomer
            .complete(&certificate, &ticket.ca_certificate, &coordinator(&ticket))
            .map_err(|source| JoinFault::Spent { source }),
        // The coordinator may have taken the ticket: with the same keys, and only with them, it answers again.
        Err(fault @ JoinFault::Link { .. }) => Err(fault),
        Err(fault) => {
            newcomer.abandon();
            Err(fault)
        }
    }
}

/// Checks what can be checked of a request without the registry: the identity key signed it, and its TLS key fits.
///
/// # Errors
///
/// [`JoinRejection::RequestInvalid`].
pub fn verify_join(join: &Join) -> Result<(), JoinRejection> {
    let digest = join_digest(&join.name, &join.csr, &join.identity, &join.secret);
    let signed = verify(&join.identity, &digest, &join.signature);
    if !signed || check_request(&join.csr).is_err() {
        return Err(JoinRejection::RequestInvalid);
    }
    Ok(())
}

/// The request of a newcomer with these keys.
#[must_use]
pub fn join_request(ticket: &Ticket, identity: &Identity, csr: Vec<u8>) -> Join {
    let key = identity.public();
    let digest = join_digest(&ticket.name, &csr, &key, &ticket.secret);
    Join {
        name: ticket.name.clone(),
        csr,
        identity: key,
        secret: ticket.secret,
        signature: identity.sign(&digest),
    }
}

async fn ask(
    ticket: &Ticket,
    newcomer: &Newcomer,
    earlier: Option<(Zeroizing<String>, Identity)>,
) -> Result<Vec<u8>, JoinFault> {
    let (tls_key, identity) = match earlier {
        Some(keys) => keys,
        None => (new_request(&ticket.name)?.key_pem, Identity::generate()?),
    };
    newcomer.store_keys(&tls_key, &identity)?;
    let csr = request_for(&tls_key, &ticket.name)?;
    let config = client_join(&CertificateDer::from(ticket.ca_certificate.as_slice()))?;
    let join = join_request(ticket, &identity, csr);
    let failed = |source| JoinFault::Link {
        address: ticket.address_join.clone(),
        source,
    };
    let link = Link::open(&ticket.address_join, &ticket.server_name, config);
    let link = link.await.map_err(failed)?;
    let answer = exchange(&link, &join).await;
    link.close().await;
    match answer.map_err(failed)? {
        Joined::Accepted { certificate, .. } => Ok(certificate),
        Joined::Rejected(reason) => Err(JoinFault::Rejected(reason)),
    }
}

async fn exchange(link: &Link, join: &Join) -> Result<Joined, LinkError> {
    let (mut to, mut from) = link.connection.open_bi().await?;
    send(&mut to, join).await?;
    to.finish().map_err(|_| LinkError::ClosedHere)?;
    match receive_within(&mut from, ANSWER_WAIT).await {
        // A join endpoint asks for no certificate: this is another server.
        Err(LinkError::Ours(CertificateProblem::Missing)) => Err(LinkError::OtherProtocol),
        answer => answer,
    }
}

fn coordinator(ticket: &Ticket) -> CoordinatorFile {
    CoordinatorFile {
        address: ticket.address.clone(),
        address_join: ticket.address_join.clone(),
        server_name: ticket.server_name.clone(),
        name: ticket.name.clone(),
        role: ticket.role,
        release_key: ticket.release_key,
    }
}

fn rejection_text(reason: JoinRejection) -> &'static str {
    match reason {
        JoinRejection::TicketInvalid => {
            "it is unknown or was used before; ask the operator for a new one"
        }
        JoinRejection::TicketExpired => "it has expired; ask the operator for a new one",
        JoinRejection::RequestInvalid => {
            "the request is malformed; the programs' versions may not fit"
        }
    }
}

/// How long the coordinator may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{IdentityKey, Role};

    fn ticket() -> Ticket {
        Ticket {
            address: "127.0.0.1:7400".to_owned(),
            address_join: "127.0.0.1:7401".to_owned(),
            server_name: "aquifer".to_owned(),
            name: "north".parse().unwrap(),
            role: Role::Node,
            ca_certificate: vec![1, 2, 3],
            release_key: IdentityKey([3; 32]),
            secret: [7; 32],
            expires: Timestamp(1_000),
        }
    }

    fn request() -> Join {
        let csr = new_request(&ticket().name).unwrap().value;
        join_request(&ticket(), &Identity::generate().unwrap(), csr)
    }

    #[track_caller]
    fn check_invalid(change: impl FnOnce(&mut Join)) {
        let mut join = request();
        change(&mut join);
        assert_eq!(verify_join(&join), Err(JoinRejection::RequestInvalid));
    }

    #[test]
    fn a_ticket_may_come_from_standard_input() {
        let read = |argument: &str, input: &[u8]| ticket_text(argument, input).unwrap();
        let text = ticket().to_text().unwrap();
        assert_eq!(read(&text, b"other").as_str(), text);
        let piped = read("-", format!("{text}\n").as_bytes());
        assert_eq!(Ticket::parse(&piped).unwrap().secret, ticket().secret);
        let endless = read("-", &vec![b'a'; 1 << 20]);
        let refused = Ticket::parse(&endless);
        assert!(matches!(refused, Err(TicketError::TooLong { .. })));
        assert!(matches!(
            ticket_text("-", &[0xff][..]),
            Err(JoinFault::Read(_))
        ));
    }

    #[test]
    fn an_honest_request_passes() {
        assert_eq!(verify_join(&request()), Ok(()));
    }

    #[test]
    fn another_name_secret_or_identity_does_not_pass() {
        check_invalid(|join| join.name = "south".parse().unwrap());
        check_invalid(|join| join.secret[0] ^= 1);
        check_invalid(|join| join.identity = Identity::generate().unwrap().public());
        check_invalid(|join| join.signature.clear());
    }

    #[test]
    fn another_request_for_a_certificate_does_not_pass() {
        check_invalid(|join| join.csr = request().csr);
    }

    #[test]
    fn a_signed_but_malformed_request_does_not_pass() {
        let join = join_request(&ticket(), &Identity::generate().unwrap(), vec![0; 10]);
        assert_eq!(verify_join(&join), Err(JoinRejection::RequestInvalid));
    }

    #[tokio::test]
    async fn a_spoilt_ticket_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("north");
        let text = ticket().to_text().unwrap();
        let late = redeem(&text, &path, Timestamp(1_001)).await;
        assert!(matches!(late, Err(JoinFault::Expired)));
        let other = redeem("hello", &path, Timestamp(0)).await;
        assert!(matches!(other, Err(JoinFault::Ticket(_))));
        assert!(!path.exists());
        let garbage = redeem(&text, &path, Timestamp(0)).await;
        assert!(matches!(garbage, Err(JoinFault::Tls(_))));
        assert_eq!(path.read_dir().unwrap().count(), 0);
    }
}
