//! Tickets: one line of text with all that a newcomer needs to join, good once and until it expires.
//!
//! `aquifer-ticket-1:` and base64url without padding of the encoded fields and four bytes of checksum. White space within
//! is dropped, since mail programs break lines. The checksum finds slips; only the secret and the pinned authority protect.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::codec::{CodecError, decode, encode};
use crate::base::hash::labelled;
use crate::base::ids::{Hash32, IdentityKey, Name, Role};
use crate::base::time::Timestamp;

/// What the operator hands to a newcomer.
///
/// # Privacy
///
/// Whoever holds the text can join in the newcomer's place, once: it travels like a password. `Debug` hides the secret.
#[derive(Clone, Eq, PartialEq)]
pub struct Ticket {
    /// `HOST:PORT` of the main endpoint.
    pub address: String,
    /// `HOST:PORT` of the join endpoint.
    pub address_join: String,
    /// Name in the coordinator's certificate.
    pub server_name: String,
    /// The newcomer's name.
    pub name: Name,
    /// The newcomer's role.
    pub role: Role,
    /// The authority to pin, DER.
    pub ca_certificate: Vec<u8>,
    /// The key that signs releases, to pin.
    pub release_key: IdentityKey,
    /// Good once; the coordinator keeps its hash only.
    pub secret: [u8; 32],
    /// The ticket's last moment.
    pub expires: Timestamp,
}

/// A text that is no ticket, or not one that can be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TicketError {
    /// Something else altogether.
    #[error("this is not a ticket: it does not start with {PREFIX:?}")]
    NotATicket,
    /// A ticket of another version.
    #[error("the ticket has version {got:?}, expected 1: update this program or the coordinator")]
    Version {
        /// Found.
        got: String,
    },
    /// Too long for a ticket.
    #[error("the ticket has {got} characters, at most {TICKET_CHARS_MAX} are allowed")]
    TooLong {
        /// Found.
        got: usize,
    },
    /// Characters are missing, added or changed.
    #[error(
        "the ticket is damaged: its check sum is not that of its text, expected the whole line as it was printed; copy it again"
    )]
    Damaged,
    /// The checksum fits, but the fields do not.
    #[error("the ticket's fields cannot be read")]
    Fields(#[from] CodecError),
    /// A field outside its limits.
    #[error("the ticket's {what} is {got:?}, expected {expected}")]
    Field {
        /// Which.
        what: &'static str,
        /// Found, cut short.
        got: String,
        /// Expected.
        expected: &'static str,
    },
}

type Fields = (
    String,
    String,
    String,
    Name,
    Role,
    Vec<u8>,
    IdentityKey,
    [u8; 32],
    Timestamp,
);

impl Ticket {
    /// The ticket as one line of text.
    ///
    /// # Errors
    ///
    /// A field outside its limits, or a text that would be too long.
    pub fn to_text(&self) -> Result<String, TicketError> {
        self.check()?;
        let mut bytes = Zeroizing::new(encode(&(
            &self.address,
            &self.address_join,
            &self.server_name,
            &self.name,
            self.role,
            &self.ca_certificate,
            self.release_key,
            self.secret,
            self.expires,
        )));
        let sum = checksum(&bytes);
        bytes.extend(sum);
        let text = format!("{PREFIX}{VERSION}:{}", URL_SAFE_NO_PAD.encode(&*bytes));
        if text.len() > TICKET_CHARS_MAX {
            return Err(TicketError::TooLong { got: text.len() });
        }
        Ok(text)
    }

    /// Reads what [`Ticket::to_text`] wrote.
    ///
    /// # Errors
    ///
    /// Another text, a damaged one, or fields outside their limits. Expiry is not checked: this file knows no clock.
    pub fn parse(text: &str) -> Result<Self, TicketError> {
        let text = text.trim_ascii();
        if text.len() > TICKET_CHARS_MAX {
            return Err(TicketError::TooLong { got: text.len() });
        }
        let rest = text.strip_prefix(PREFIX).ok_or(TicketError::NotATicket)?;
        let (version, body) = rest.split_once(':').ok_or(TicketError::Damaged)?;
        if version != VERSION {
            let got = version.chars().take(8).collect();
            return Err(TicketError::Version { got });
        }
        let mut body: Vec<u8> = body.bytes().collect();
        body.retain(|byte| !byte.is_ascii_whitespace());
        let bytes = URL_SAFE_NO_PAD.decode(&body);
        let bytes = Zeroizing::new(bytes.map_err(|_| TicketError::Damaged)?);
        let (fields, sum) = bytes.split_last_chunk().ok_or(TicketError::Damaged)?;
        if checksum(fields) != *sum {
            return Err(TicketError::Damaged);
        }
        let ticket = Self::from(decode::<Fields>("ticket", fields, TICKET_CHARS_MAX)?);
        ticket.check()?;
        Ok(ticket)
    }

    /// Whether the ticket is of no use any more.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now > self.expires
    }

    fn check(&self) -> Result<(), TicketError> {
        for (what, address) in [
            ("address", &self.address),
            ("join address", &self.address_join),
        ] {
            if !is_address(address) {
                return Err(field(what, address, "HOST:PORT"));
            }
        }
        if !is_host(&self.server_name) {
            let expected = "a host name or an IP address";
            return Err(field("server name", &self.server_name, expected));
        }
        if !(1..=CERTIFICATE_BYTES_MAX).contains(&self.ca_certificate.len()) {
            let got = format!("{} bytes", self.ca_certificate.len());
            return Err(field("authority", &got, "1 to 2048 bytes"));
        }
        Ok(())
    }
}

impl From<Fields> for Ticket {
    fn from(fields: Fields) -> Self {
        let (address, address_join, server_name, name, role, ..) = fields;
        let (.., ca_certificate, release_key, secret, expires) = fields;
        Self {
            address,
            address_join,
            server_name,
            name,
            role,
            ca_certificate,
            release_key,
            secret,
            expires,
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("address", &self.address)
            .field("address_join", &self.address_join)
            .field("server_name", &self.server_name)
            .field("name", &self.name)
            .field("role", &self.role)
            .field("release_key", &self.release_key)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// What a coordinator keeps of a ticket's secret, and looks it up by.
#[must_use]
pub fn secret_hash(secret: &[u8; 32]) -> Hash32 {
    labelled("aquifer/ticket-secret/1", &[secret])
}

/// Whether a text is `HOST:PORT`, an IPv6 address in brackets.
#[must_use]
pub fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'));
    let port_fits = port.bytes().all(|digit| digit.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port > 0);
    // An IPv6 address needs its brackets, or its last group would pass for a port.
    let host_fits = bare.map_or(is_host(host) && !host.contains(':'), is_host);
    host_fits && port_fits
}

/// Whether a text can be a host name or an IP address.
#[must_use]
pub fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    (1..=HOST_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

fn field(what: &'static str, got: &str, expected: &'static str) -> TicketError {
    TicketError::Field {
        what,
        got: got.chars().take(80).collect(),
        expected,
    }
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = labelled("aquifer/ticket/1", &[bytes]).0;
    [a, b, c, d]
}

/// Characters of a ticket.
pub const TICKET_CHARS_MAX: usize = 4_096;
const PREFIX: &str = "aquifer-ticket-";
const VERSION: &str = "1";
const HOST_BYTES_MAX: usize = 253;
const CERTIFICATE_BYTES_MAX: usize = 2_048;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            address: "coordinator.example.org:7400".to_owned(),
            address_join: "[2001:db8::7]:7401".to_owned(),
            server_name: "aquifer".to_owned(),
            name: "north".parse().unwrap(),
            role: Role::Node,
            ca_certificate: (0..=255).chain(0..80).collect(),
            release_key: IdentityKey([3; 32]),
            secret: [0xa5; 32],
            expires: Timestamp(1_790_000_000_000),
        }
    }

    #[test]
    fn a_ticket_reads_back() {
        let text = ticket().to_text().unwrap();
        assert_eq!(Ticket::parse(&text), Ok(ticket()));
        assert!(text.starts_with("aquifer-ticket-1:") && text.len() < 1_000);
    }

    #[test]
    fn broken_lines_are_joined() {
        let mut text = ticket().to_text().unwrap();
        text.insert_str(100, "\r\n  ");
        assert_eq!(Ticket::parse(&format!("  {text}\n")), Ok(ticket()));
    }

    #[track_caller]
    fn check_refused(text: &str, expected: TicketError) {
        assert_eq!(Ticket::parse(text), Err(expected));
    }

    #[test]
    fn other_text_is_not_a_ticket() {
        check_refused("", TicketError::NotATicket);
        check_refused("hello", TicketError::NotATicket);
    }

    #[test]
    fn another_version_is_refused() {
        let got = "2".to_owned();
        check_refused("aquifer-ticket-2:AAAA", TicketError::Version { got });
    }

    #[test]
    fn a_part_of_a_ticket_is_damaged() {
        check_refused("aquifer-ticket-1", TicketError::Damaged);
        check_refused("aquifer-ticket-1:", TicketError::Damaged);
        let text = ticket().to_text().unwrap();
        check_refused(&text[..text.len() - 1], TicketError::Damaged);
    }

    #[test]
    fn a_long_text_is_refused_unread() {
        let text = format!("aquifer-ticket-1:{}", "A".repeat(5_000));
        check_refused(&text, TicketError::TooLong { got: text.len() });
    }

    #[track_caller]
    fn check_field(change: impl FnOnce(&mut Ticket)) {
        let mut changed = ticket();
        change(&mut changed);
        assert!(matches!(changed.to_text(), Err(TicketError::Field { .. })));
    }

    #[test]
    fn an_address_has_host_and_port() {
        for bad in [
            "", "host", "host:", ":7400", "host:0", "host:+1", "::1:7400", "a b:1",
        ] {
            check_field(|ticket| ticket.address = bad.to_owned());
            check_field(|ticket| ticket.address_join = bad.to_owned());
        }
    }

    #[test]
    fn an_authority_and_a_server_name_are_needed() {
        check_field(|ticket| ticket.ca_certificate.clear());
        check_field(|ticket| ticket.ca_certificate = vec![0; 2_049]);
        check_field(|ticket| ticket.server_name.clear());
    }

    #[test]
    fn a_ticket_is_good_until_it_expires() {
        assert!(!ticket().is_expired(ticket().expires));
        assert!(ticket().is_expired(ticket().expires.after_ms(1)));
    }

    #[test]
    fn the_secret_is_not_printed() {
        let printed = format!("{:?}", ticket());
        assert!(printed.contains("north") && !printed.contains("165"));
    }

    proptest! {
        #[test]
        fn a_slip_is_found(at in 0_usize..700, with in proptest::char::range(' ', '~')) {
            let text = ticket().to_text().unwrap();
            let at = at % text.len();
            let mut changed: Vec<char> = text.chars().collect();
            changed[at] = with;
            let changed: String = changed.into_iter().collect();
            prop_assume!(changed != text);
            prop_assert!(Ticket::parse(&changed).is_err());
        }

        #[test]
        fn random_text_never_panics(text in "(aquifer-ticket-1:)?[A-Za-z0-9_ -]{0,200}") {
            prop_assert!(Ticket::parse(&text).is_err());
        }
    }
}
