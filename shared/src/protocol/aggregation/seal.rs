//! Keys between two members of one roster, and what is sealed with them.
//!
//! One X25519 for each pair serves both directions; each direction has a key of its own, which seals one message ever: fresh
//! per attempt, roster, sender and receiver. Draws nothing: keys come from bytes that the caller drew.

use std::fmt;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

use crate::base::ids::{AttemptId, Hash32};
use crate::base::secret::Secret;

/// Bytes that sealing adds to a record.
pub const SEAL_BYTES: usize = 16;

/// A member's X25519 key for one attempt.
pub(super) struct EphemeralKey {
    private: PrivateKey,
    public: [u8; 32],
}

/// The roster in which two members speak, as every key of it names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub(super) attempt: AttemptId,
    pub(super) roster: Hash32,
}

/// A member as the other end of a record sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) index: u16,
    pub(super) key: [u8; 32],
}

/// What two members share: a key for each direction.
pub(super) struct Pair {
    context: Context,
    own: End,
    peer: End,
    secret: Prk,
}

impl EphemeralKey {
    /// The key that these bytes are.
    ///
    /// # Panics
    ///
    /// Never: any 32 bytes are an X25519 key.
    pub(super) fn new(fresh: &Secret<[u8; 32]>) -> Self {
        let private = PrivateKey::from_private_key(&X25519, fresh.expose());
        let private = private.expect("any 32 bytes are an X25519 key");
        let public = private.compute_public_key();
        let public = public.expect("every private key has a public one");
        let public = public.as_ref().try_into();
        Self {
            public: public.expect("an X25519 key has 32 bytes"),
            private,
        }
    }

    pub(super) fn public(&self) -> [u8; 32] {
        self.public
    }

    /// What this member and a peer share; `None` where the peer's key makes the shared secret zero.
    pub(super) fn pair(&self, context: Context, index: u16, peer: End) -> Option<Pair> {
        let public = UnparsedPublicKey::new(&X25519, &peer.key);
        let salt = Salt::new(HKDF_SHA256, &context.attempt.0);
        let secret = agree(&self.private, public, (), |shared| Ok(salt.extract(shared)));
        let key = self.public;
        Some(Pair {
            context,
            own: End { index, key },
            peer,
            secret: secret.ok()?,
        })
    }
}

impl Pair {
    /// Seals a record for the peer in place: its last [`SEAL_BYTES`] become the authenticator.
    ///
    /// # Privacy
    ///
    /// Only the peer can open it. To be called once: the key of this direction seals one record ever.
    pub(super) fn seal(&self, record: &mut [u8]) {
        let end = record.len().saturating_sub(SEAL_BYTES);
        let (plain, tag) = record.split_at_mut(end);
        let (key, aad) = self.direction(&self.own, &self.peer);
        let sealed = key.seal_in_place_separate_tag(zero_nonce(), aad, plain);
        let sealed = sealed.expect("a record is far below the cipher's limit");
        tag.copy_from_slice(sealed.as_ref());
    }

    /// Opens a record of the peer in place; `None` where it is not what the peer sealed for this member.
    pub(super) fn open<'a>(&self, record: &'a mut [u8]) -> Option<&'a [u8]> {
        let (key, aad) = self.direction(&self.peer, &self.own);
        let opened = key.open_in_place(zero_nonce(), aad, record);
        opened.ok().map(|plain| &*plain)
    }

    /// Key and associated data of one direction.
    fn direction(&self, from: &End, to: &End) -> (LessSafeKey, Aad<Vec<u8>>) {
        let key = self.key(from, to);
        let key = UnboundKey::new(&CHACHA20_POLY1305, key.expose());
        let ends = [from.index.to_le_bytes(), to.index.to_le_bytes()].concat();
        let aad = [&self.context.attempt.0[..], &self.context.roster.0, &ends].concat();
        let key = LessSafeKey::new(key.expect("32 bytes are a key"));
        (key, Aad::from(aad))
    }

    fn key(&self, from: &End, to: &End) -> Secret<[u8; 32]> {
        let info = [
            b"aquifer/sum/1/share",
            &self.context.roster.0[..],
            &from.index.to_le_bytes(),
            &to.index.to_le_bytes(),
            &from.key,
            &to.key,
        ];
        expand(&self.secret, &info)
    }
}

/// The seed of a member's dealing, from bytes that were drawn after the roster came.
pub(super) fn dealing_seed(context: Context, fresh: &Secret<[u8; 32]>) -> Secret<[u8; 32]> {
    let salt = Salt::new(HKDF_SHA256, &context.attempt.0);
    let secret = salt.extract(fresh.expose());
    expand(&secret, &[b"aquifer/sum/1/deal", &context.roster.0])
}

/// Whether secrets can be shared with an ephemeral key: its point is not one of the few that make every secret zero.
pub(super) fn is_usable(key: &[u8; 32]) -> bool {
    // Every X25519 scalar is a multiple of the cofactor, so whether the result is zero depends on the point alone.
    let probe = EphemeralKey::new(&Secret::new([1; 32]));
    agree(
        &probe.private,
        UnparsedPublicKey::new(&X25519, key),
        (),
        |_| Ok(()),
    )
    .is_ok()
}

fn expand(secret: &Prk, info: &[&[u8]]) -> Secret<[u8; 32]> {
    struct Bytes32;
    impl KeyType for Bytes32 {
        fn len(&self) -> usize {
            32
        }
    }
    let mut key = Secret::new([0; 32]);
    let filled = secret
        .expand(info, Bytes32)
        .and_then(|bytes| bytes.fill(key.expose_mut()));
    filled.expect("32 bytes are within the function's limit");
    key
}

/// Every key seals one message, so its nonce need not differ.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

impl fmt::Debug for EphemeralKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<ephemeral key>")
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<keys of {} and {}>", self.own.index, self.peer.index)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::*;
    use crate::base::ids::{IdentityKey, StudyHash};
    use crate::domain::sum::attempt_id;
    use crate::protocol::aggregation::{
        Advert, MemberSet, Roster, Signature64, advert_digest, confirm_digest, is_signed,
        roster_hash,
    };
    use crate::protocol::chain::Head;

    fn identity(byte: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[byte; 32]).unwrap()
    }

    fn ephemeral(byte: u8) -> EphemeralKey {
        EphemeralKey::new(&Secret::new([byte; 32]))
    }

    fn attempt() -> AttemptId {
        attempt_id(&StudyHash([0x11; 32]), 3, 0)
    }

    fn advert(index: u16, key: u8, identity: &Ed25519KeyPair, seq: u64) -> Advert {
        let mut advert = Advert {
            attempt: attempt(),
            task: Hash32([0x22; 32]),
            index,
            key: ephemeral(key).public(),
            ledger: Head {
                seq,
                hash: Hash32::default(),
            },
            signature: Signature64([0; 64]),
        };
        let signature = identity.sign(&advert_digest(&advert).0);
        advert.signature = Signature64(signature.as_ref().try_into().unwrap());
        advert
    }

    /// The two members of the published values.
    fn published() -> (Roster, Pair, Pair) {
        let (one, two) = (identity(0x01), identity(0x02));
        let adverts = vec![advert(1, 0xa1, &one, 7), advert(2, 0xb2, &two, 9)];
        let roster = Roster { adverts };
        let context = Context {
            attempt: attempt(),
            roster: roster_hash(&roster),
        };
        let end = |place: usize| End {
            index: roster.adverts[place].index,
            key: roster.adverts[place].key,
        };
        let there = ephemeral(0xa1).pair(context, 1, end(1)).unwrap();
        let back = ephemeral(0xb2).pair(context, 2, end(0)).unwrap();
        (roster, there, back)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn published_attempt_keys_and_roster() {
        let (roster, ..) = published();
        let expected = "68860e92a6b2aa6014fda7e442ab7a1ce1e95af7a884c0aa3de8963f5d5ae91e";
        assert_eq!(attempt().to_string(), expected);
        let expected = "c306fb0ef2bf8b7f93bad98155fa37daec74db0c4cbeda6c6f1dba9d36558252";
        assert_eq!(hex(&roster.adverts[0].key), expected);
        let expected = "db48257e1237976a74ad8cfedca00213408fe89ac6251f1b930245f242b5c31a";
        assert_eq!(hex(&roster.adverts[1].key), expected);
        let expected = "d2b0d43892bacfd569b3afb115c7908c8d70e82d4eb4e797d134c15071bbc227";
        assert_eq!(roster_hash(&roster).to_string(), expected);
        let advert = &roster.adverts[0];
        let key = IdentityKey(identity(0x01).public_key().as_ref().try_into().unwrap());
        assert!(is_signed(&key, &advert_digest(advert), &advert.signature));
    }

    #[test]
    fn published_share_key_and_record() {
        let (_, there, back) = published();
        let expected = "9207450d2852eeaa699d23c37973e06178cd83f2432f1679f1219f21c9368f46";
        assert_eq!(hex(there.key(&there.own, &there.peer).expose()), expected);
        assert_eq!(hex(back.key(&back.peer, &back.own).expose()), expected);
        let element = 2_305_843_009_213_693_950_u64.to_le_bytes();
        let mut record = [&element[..], &[0; SEAL_BYTES]].concat();
        there.seal(&mut record);
        assert_eq!(
            hex(&record),
            "0ae30b3000ec41c5e9a1d27d4a9da0f9301b58956ab2cf5a"
        );
        assert_eq!(back.open(&mut record), Some(&element[..]));
    }

    #[test]
    fn published_confirm_digest() {
        let (roster, ..) = published();
        let digest = confirm_digest(&attempt(), &roster_hash(&roster), &MemberSet::of([1, 2]));
        let expected = "ba41831c6cfe6cd9d0dfa178d5882acd8ee02ae3a8003ddd40e47cdbd2a88fe8";
        assert_eq!(digest.to_string(), expected);
    }

    #[track_caller]
    fn check_opens(change: impl FnOnce(&mut Pair, &mut Vec<u8>), opens: bool) {
        let (_, there, mut back) = published();
        let mut record = vec![7; 24 + SEAL_BYTES];
        there.seal(&mut record);
        change(&mut back, &mut record);
        assert_eq!(back.open(&mut record).is_some(), opens);
    }

    #[test]
    fn a_record_opens_only_as_it_was_sealed() {
        check_opens(|_, _| {}, true);
        check_opens(|_, record| record[0] ^= 1, false);
        check_opens(|_, record| record[39] ^= 1, false);
        check_opens(|_, record| record.truncate(39), false);
        check_opens(|_, record| record.push(0), false);
        check_opens(|_, record| record.clear(), false);
    }

    #[test]
    fn a_record_opens_only_between_its_ends_in_its_roster() {
        check_opens(|back, _| back.peer.index = 3, false);
        check_opens(|back, _| back.own.index = 3, false);
        check_opens(|back, _| back.context.attempt.0[0] ^= 1, false);
        check_opens(|back, _| back.context.roster.0[0] ^= 1, false);
        check_opens(|back, _| back.peer.key[0] ^= 1, false);
        // The other direction has another key.
        check_opens(
            |back, _| std::mem::swap(&mut back.own, &mut back.peer),
            false,
        );
    }

    #[test]
    fn keys_that_make_every_secret_zero_are_not_usable() {
        let order_eight = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
        let order_eight: IdentityKey = order_eight.parse().unwrap();
        let context = Context {
            attempt: attempt(),
            roster: Hash32::default(),
        };
        for key in [[0; 32], order_eight.0] {
            assert!(!is_usable(&key));
            let peer = End { index: 2, key };
            assert!(ephemeral(0xa1).pair(context, 1, peer).is_none());
        }
        assert!(is_usable(&ephemeral(0xa1).public()));
    }

    #[test]
    fn a_seed_depends_on_attempt_and_roster() {
        let (_, there, _) = published();
        let seed = |context| {
            dealing_seed(context, &Secret::new([5; 32]))
                .expose()
                .to_owned()
        };
        let mut other = there.context;
        other.roster.0[0] ^= 1;
        assert_ne!(seed(there.context), seed(other));
        other = there.context;
        other.attempt.0[0] ^= 1;
        assert_ne!(seed(there.context), seed(other));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let (_, there, _) = published();
        assert_eq!(
            format!("{:?} {:?}", ephemeral(1), there),
            "<ephemeral key> <keys of 1 and 2>"
        );
    }
}
