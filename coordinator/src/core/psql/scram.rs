//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the server's side (RFC 5802, RFC 7677; channel binding `tls-server-end-point`, RFC 5929).
//!
//! Keeps no password: a verifier proves nothing to anybody else. Random bytes come in as arguments. Whether a name is known
//! cannot be told from what is answered before the proof.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use aquifer_shared::base::hash::sha256;

/// Without channel binding.
pub const SCRAM: &str = "SCRAM-SHA-256";
/// With channel binding.
pub const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";
/// Rounds of the key derivation. Passwords are random and long, so more would only slow clients down.
pub const ITERATIONS: u32 = 4_096;

/// What is kept in place of a password. `Debug` hides it.
#[derive(Clone, Eq, PartialEq)]
pub struct Verifier {
    iterations: u32,
    salt: [u8; 16],
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

/// Text that is no verifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a password verifier is not in the form SCRAM-SHA-256$ITERATIONS:SALT$KEY:KEY")]
pub struct NoVerifier;

/// Why a proof is not accepted. Clients are told one thing for all of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoProof {
    /// The messages are not those of the mechanism.
    #[error("the messages are not those of SCRAM-SHA-256")]
    Malformed,
    /// The client or somebody in between took the weaker mechanism, or another connection's binding.
    #[error("the channel binding is not that of this connection")]
    Binding,
    /// Another password.
    #[error("the proof does not fit")]
    Wrong,
}

/// An exchange after the client's first message.
pub struct Exchange {
    verifier: Verifier,
    /// `gs2-header` and the binding's data: what the client must repeat.
    binding: Vec<u8>,
    nonce: String,
    first_bare: String,
    server_first: String,
}

impl Verifier {
    /// Derives what is kept of a password.
    #[must_use]
    pub fn of(password: &str, salt: [u8; 16]) -> Self {
        let iterations = NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MIN);
        let mut salted = [0; 32];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            iterations,
            &salt,
            password.as_bytes(),
            &mut salted,
        );
        Self {
            iterations: ITERATIONS,
            salt,
            stored_key: sha256(&mac(&salted, b"Client Key")).0,
            server_key: mac(&salted, b"Server Key"),
        }
    }

    /// What a name without a password is answered with: the same for the same name, and fits no proof.
    #[must_use]
    pub fn decoy(name: &str, secret: &[u8]) -> Self {
        let derived = mac(secret, name.as_bytes());
        let mut salt = [0; 16];
        salt.copy_from_slice(&derived[..16]);
        Self {
            iterations: ITERATIONS,
            salt,
            stored_key: mac(&derived, b"no key hashes to this"),
            server_key: mac(&derived, b"nor is this one"),
        }
    }

    /// Reads the form that [`Verifier`] is kept in.
    ///
    /// # Errors
    ///
    /// Another text.
    pub fn parse(text: &str) -> Result<Self, NoVerifier> {
        let read = || {
            let (iterations, rest) = text.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?;
            let (salt, keys) = rest.split_once('$')?;
            let (stored, server) = keys.split_once(':')?;
            Some(Self {
                iterations: iterations.parse().ok().filter(|count| *count > 0)?,
                salt: STANDARD.decode(salt).ok()?.try_into().ok()?,
                stored_key: STANDARD.decode(stored).ok()?.try_into().ok()?,
                server_key: STANDARD.decode(server).ok()?.try_into().ok()?,
            })
        };
        read().ok_or(NoVerifier)
    }

    /// The form that it is kept in, as PostgreSQL writes it; never for showing.
    #[must_use]
    pub fn expose(&self) -> String {
        format!(
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key)
        )
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<verifier>")
    }
}

impl Exchange {
    /// Takes the client's first message: mechanism and data.
    ///
    /// `certificate_hash` is that of the server's certificate, `nonce` 18 random bytes.
    ///
    /// # Errors
    ///
    /// Another mechanism, or a header that does not go with it.
    pub fn begin(
        mechanism: &str,
        first: &[u8],
        verifier: Verifier,
        certificate_hash: &[u8],
        nonce: [u8; 18],
    ) -> Result<Self, NoProof> {
        let first = str::from_utf8(first).map_err(|_| NoProof::Malformed)?;
        let mut parts = first.splitn(3, ',');
        let (flag, authorised, bare) = (parts.next(), parts.next(), parts.next());
        let (Some(flag), Some(""), Some(bare)) = (flag, authorised, bare) else {
            return Err(NoProof::Malformed);
        };
        let header = format!("{flag},,");
        let mut binding = header.into_bytes();
        match (mechanism, flag) {
            (SCRAM_PLUS, "p=tls-server-end-point") => binding.extend_from_slice(certificate_hash),
            (SCRAM, "n") => {}
            // It would have bound, and was not told that this server does.
            (SCRAM, "y") => return Err(NoProof::Binding),
            _ => return Err(NoProof::Malformed),
        }
        let client_nonce = attribute(bare.split(',').nth(1), "r=")?;
        let fits = client_nonce.bytes().all(|byte| byte.is_ascii_graphic());
        if !bare.starts_with("n=") || !(8..=256).contains(&client_nonce.len()) || !fits {
            return Err(NoProof::Malformed);
        }
        let nonce = format!("{client_nonce}{}", STANDARD.encode(nonce));
        let server_first = format!(
            "r={nonce},s={},i={}",
            STANDARD.encode(verifier.salt),
            verifier.iterations
        );
        Ok(Self {
            verifier,
            binding,
            nonce,
            first_bare: bare.to_owned(),
            server_first,
        })
    }

    /// The server's first message.
    #[must_use]
    pub fn challenge(&self) -> &str {
        &self.server_first
    }

    /// Takes the client's proof; the server's own.
    ///
    /// # Errors
    ///
    /// Another password, another connection, or no proof at all.
    pub fn finish(self, last: &[u8]) -> Result<String, NoProof> {
        let last = str::from_utf8(last).map_err(|_| NoProof::Malformed)?;
        let (without, proof) = last.rsplit_once(",p=").ok_or(NoProof::Malformed)?;
        let mut parts = without.split(',');
        let binding = attribute(parts.next(), "c=")?;
        let nonce = attribute(parts.next(), "r=")?;
        let binding = STANDARD.decode(binding).map_err(|_| NoProof::Malformed)?;
        if binding != self.binding {
            return Err(NoProof::Binding);
        }
        if nonce != self.nonce || parts.next().is_some() {
            return Err(NoProof::Malformed);
        }
        let proof = STANDARD.decode(proof).map_err(|_| NoProof::Malformed)?;
        let proof: [u8; 32] = proof.try_into().map_err(|_| NoProof::Malformed)?;
        let said = format!("{},{},{without}", self.first_bare, self.server_first);
        let signature = mac(&self.verifier.stored_key, said.as_bytes());
        let mut key = [0; 32];
        for (place, byte) in key.iter_mut().enumerate() {
            *byte = proof[place] ^ signature[place];
        }
        verify_slices_are_equal(&sha256(&key).0, &self.verifier.stored_key)
            .map_err(|_| NoProof::Wrong)?;
        let own = mac(&self.verifier.server_key, said.as_bytes());
        Ok(format!("v={}", STANDARD.encode(own)))
    }
}

fn attribute<'a>(part: Option<&'a str>, name: &str) -> Result<&'a str, NoProof> {
    let part = part.ok_or(NoProof::Malformed)?;
    part.strip_prefix(name).ok_or(NoProof::Malformed)
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(&key, text).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: [u8; 32] = [7; 32];

    /// The client's side, as far as these tests need it.
    fn proof(password: &str, flag: &str, bound: &[u8], exchange: &Exchange) -> String {
        let mut salted = [0; 32];
        let (salt, count) = (exchange.verifier.salt, NonZeroU32::new(ITERATIONS).unwrap());
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, count, &salt, password.as_bytes(), &mut salted);
        let key = mac(&salted, b"Client Key");
        let binding = [format!("{flag},,").as_bytes(), bound].concat();
        let without = format!("c={},r={}", STANDARD.encode(binding), exchange.nonce);
        let said = format!("n=,r=clientnonce,{},{without}", exchange.challenge());
        let signature = mac(&sha256(&key).0, said.as_bytes());
        let proof: Vec<u8> = key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        format!("{without},p={}", STANDARD.encode(proof))
    }

    fn begin(mechanism: &str, flag: &str) -> Result<Exchange, NoProof> {
        let verifier = Verifier::of("secret", [3; 16]);
        let first = format!("{flag},,n=,r=clientnonce");
        Exchange::begin(mechanism, first.as_bytes(), verifier, &HASH, [9; 18])
    }

    #[track_caller]
    fn check(mechanism: &str, flag: &str, password: &str, bound: &[u8], expected: Option<NoProof>) {
        let exchange = begin(mechanism, flag).unwrap();
        let last = proof(password, flag, bound, &exchange);
        let finished = exchange.finish(last.as_bytes());
        assert_eq!(finished.err(), expected);
    }

    const END_POINT: &str = "p=tls-server-end-point";

    #[test]
    fn the_right_password_is_accepted() {
        check(SCRAM, "n", "secret", &[], None);
        check(SCRAM_PLUS, END_POINT, "secret", &HASH, None);
    }

    #[test]
    fn others_are_refused() {
        check(SCRAM, "n", "Secret", &[], Some(NoProof::Wrong));
        check(SCRAM_PLUS, END_POINT, "secre", &HASH, Some(NoProof::Wrong));
    }

    #[test]
    fn another_certificate_in_between_is_noticed() {
        check(
            SCRAM_PLUS,
            END_POINT,
            "secret",
            &[8; 32],
            Some(NoProof::Binding),
        );
        check(SCRAM, "n", "secret", &HASH, Some(NoProof::Binding));
    }

    #[test]
    fn the_weaker_mechanism_is_noticed() {
        let refused = |mechanism, flag| begin(mechanism, flag).err();
        assert_eq!(refused(SCRAM, "y"), Some(NoProof::Binding));
        assert_eq!(refused(SCRAM, END_POINT), Some(NoProof::Malformed));
        assert_eq!(refused(SCRAM_PLUS, "n"), Some(NoProof::Malformed));
        assert_eq!(refused("SCRAM-SHA-1", "n"), Some(NoProof::Malformed));
    }

    #[test]
    fn a_name_without_a_password_fits_no_proof() {
        let decoy = Verifier::decoy("eve", b"secret of this run");
        assert_eq!(decoy, Verifier::decoy("eve", b"secret of this run"));
        let first = b"n,,n=,r=clientnonce";
        let exchange = Exchange::begin(SCRAM, first, decoy, &HASH, [9; 18]).unwrap();
        let last = proof("", "n", &[], &exchange);
        assert_eq!(exchange.finish(last.as_bytes()), Err(NoProof::Wrong));
    }

    /// The example of RFC 7677, section 3.
    #[test]
    fn the_published_example_holds() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = Verifier::of("pencil", salt.try_into().unwrap());
        let (client, server) = ("rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        let exchange = Exchange {
            verifier,
            binding: b"n,,".to_vec(),
            nonce: format!("{client}{server}"),
            first_bare: format!("n=user,r={client}"),
            server_first: format!("r={client}{server},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
        };
        let last =
            format!("c=biws,r={client}{server},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let expected = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(exchange.finish(last.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn what_is_kept_reads_back_and_is_not_shown() {
        let verifier = Verifier::of("secret", [3; 16]);
        assert_eq!(Verifier::parse(&verifier.expose()), Ok(verifier.clone()));
        assert_eq!(format!("{verifier:?}"), "<verifier>");
        for bad in [
            "",
            "md5abc",
            "SCRAM-SHA-256$0:a$b:c",
            "SCRAM-SHA-256$4096:a$b",
        ] {
            assert_eq!(Verifier::parse(bad), Err(NoVerifier), "{bad}");
        }
    }
}
