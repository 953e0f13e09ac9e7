//! Records as a lying member seals them: written from the published derivation, not from the product's code.

use aquifer_shared::base::ids::{AttemptId, Hash32};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};

/// The public key of a private one.
pub(super) fn public_of(private: &[u8; 32]) -> [u8; 32] {
    let key = PrivateKey::from_private_key(&X25519, private).expect("any 32 bytes are a key");
    let public = key
        .compute_public_key()
        .expect("every key has a public one");
    public
        .as_ref()
        .try_into()
        .expect("an X25519 key has 32 bytes")
}

/// The direction of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Direction {
    pub(super) attempt: AttemptId,
    pub(super) roster: Hash32,
    pub(super) from: (u16, [u8; 32]),
    pub(super) to: (u16, [u8; 32]),
}

impl Direction {
    /// The key of this direction; `own` is the private half of either end, `peer` the public one of the other.
    fn key(&self, own: &[u8; 32], peer: &[u8; 32]) -> Option<LessSafeKey> {
        struct Length;
        impl KeyType for Length {
            fn len(&self) -> usize {
                32
            }
        }
        let private = PrivateKey::from_private_key(&X25519, own).ok()?;
        let salt = Salt::new(HKDF_SHA256, &self.attempt.0);
        let secret = agree(
            &private,
            UnparsedPublicKey::new(&X25519, peer),
            (),
            |shared| Ok(salt.extract(shared)),
        );
        let (from, to) = (self.from.0.to_le_bytes(), self.to.0.to_le_bytes());
        let info: [&[u8]; 6] = [
            b"aquifer/sum/1/share",
            &self.roster.0,
            &from,
            &to,
            &self.from.1,
            &self.to.1,
        ];
        let mut key = [0; 32];
        let secret = secret.ok()?;
        secret.expand(&info, Length).ok()?.fill(&mut key).ok()?;
        Some(LessSafeKey::new(
            UnboundKey::new(&CHACHA20_POLY1305, &key).ok()?,
        ))
    }

    fn aad(&self) -> Aad<Vec<u8>> {
        let ends = [self.from.0.to_le_bytes(), self.to.0.to_le_bytes()].concat();
        Aad::from([&self.attempt.0[..], &self.roster.0, &ends].concat())
    }

    /// Opens a sealed record with the private key of its sender.
    pub(super) fn open(&self, sender: &[u8; 32], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = sealed.to_vec();
        let key = self.key(sender, &self.to.1)?;
        let plain = key
            .open_in_place(zero_nonce(), self.aad(), &mut bytes)
            .ok()?;
        Some(plain.to_vec())
    }

    /// Seals a record with the private key of its sender.
    pub(super) fn seal(&self, sender: &[u8; 32], plain: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = plain.to_vec();
        let key = self.key(sender, &self.to.1)?;
        key.seal_in_place_append_tag(zero_nonce(), self.aad(), &mut bytes)
            .ok()?;
        Some(bytes)
    }
}

fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}
