//! Signed notes: a text and signature lines below it (C2SP signed-note).

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::ids::IdentityKey;
use crate::base::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};

/// What Ed25519 signatures of notes are numbered with.
pub const ED25519_TYPE: u8 = 1;
const DASH: &str = "\u{2014} ";

/// A note as it is published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedNote {
    /// What is signed; every line ends, the last one too.
    pub text: String,
    /// At least one.
    pub signatures: Vec<NoteSignature>,
}

/// One signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NoteSignature {
    /// Name of the key.
    pub name: String,
    /// Which key of that name.
    pub key_hash: [u8; 4],
    /// Whatever the key's type makes.
    pub bytes: Vec<u8>,
}

/// A text that is no signed note.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadNote {
    /// Larger than any note of this product.
    #[error("the note has {got} bytes, at most {NOTE_BYTES_MAX} are read")]
    TooLong {
        /// Found.
        got: usize,
    },
    /// A byte that no note has.
    #[error("line {line}: a control character, expected text")]
    Control {
        /// From 1.
        line: usize,
    },
    /// No empty line before signatures.
    #[error("no empty line between a text and its signatures")]
    NoSignatures,
    /// More signatures than are read.
    #[error("{got} signatures, at most {NOTE_SIGNATURES_MAX} are read")]
    TooMany {
        /// Found.
        got: usize,
    },
    /// A line of signatures in another form.
    #[error("line {line}: expected a dash, a name, and a signature in base64")]
    Signature {
        /// From 1.
        line: usize,
    },
    /// No signature of this key, or not over this text.
    #[error("no signature of {name} over this text")]
    NotSigned {
        /// The key's name.
        name: String,
    },
}

/// The first four bytes of `SHA-256(name ‖ 0x0A ‖ type ‖ key)`.
#[must_use]
pub fn key_hash(name: &str, signature_type: u8, key: &[u8]) -> [u8; 4] {
    let mut context = digest::Context::new(&digest::SHA256);
    let head = [b'\n', signature_type];
    for part in [name.as_bytes(), &head, key] {
        context.update(part);
    }
    let mut out = [0; 4];
    out.copy_from_slice(&context.finish().as_ref()[..4]);
    out
}

impl SignedNote {
    /// Reads a note; the signatures are not checked yet.
    ///
    /// # Errors
    ///
    /// Another form, with its line.
    pub fn parse(note: &str) -> Result<Self, BadNote> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(BadNote::TooLong { got: note.len() });
        }
        for (number, line) in note.split('\n').enumerate() {
            if line.chars().any(char::is_control) {
                return Err(BadNote::Control { line: number + 1 });
            }
        }
        let end = note.rfind("\n\n").ok_or(BadNote::NoSignatures)? + 1;
        let (text, lines) = (&note[..end], &note[end + 1..]);
        let before = text.matches('\n').count() + 1;
        let lines = lines.strip_suffix('\n').ok_or(BadNote::NoSignatures)?;
        let count = lines.split('\n').count();
        if count > NOTE_SIGNATURES_MAX {
            return Err(BadNote::TooMany { got: count });
        }
        let signature = |(number, line)| {
            signature(line).ok_or(BadNote::Signature {
                line: before + number + 1,
            })
        };
        let signatures = lines.split('\n').enumerate().map(signature);
        Ok(Self {
            text: text.to_owned(),
            signatures: signatures.collect::<Result<_, _>>()?,
        })
    }

    /// Checks that an Ed25519 key of this name signed the text.
    ///
    /// # Errors
    ///
    /// [`BadNote::NotSigned`].
    pub fn verify(&self, name: &str, key: &IdentityKey) -> Result<(), BadNote> {
        let hash = key_hash(name, ED25519_TYPE, &key.0);
        let of_key =
            |signature: &&NoteSignature| signature.name == name && signature.key_hash == hash;
        let mut own = self.signatures.iter().filter(of_key);
        let public = UnparsedPublicKey::new(&ED25519, key.0);
        let is_signed = own.any(|own| public.verify(self.text.as_bytes(), &own.bytes).is_ok());
        is_signed.then_some(()).ok_or_else(|| BadNote::NotSigned {
            name: name.to_owned(),
        })
    }

    /// The note as it is published.
    #[must_use]
    pub fn to_text(&self) -> String {
        let lines = self.signatures.iter().map(|signature| {
            let bytes = [&signature.key_hash[..], &signature.bytes].concat();
            format!("{DASH}{} {}\n", signature.name, STANDARD.encode(bytes))
        });
        format!("{}\n{}", self.text, lines.collect::<String>())
    }
}

fn signature(line: &str) -> Option<NoteSignature> {
    let (name, bytes) = line.strip_prefix(DASH)?.split_once(' ')?;
    let is_name = !name.is_empty() && !name.contains('+') && !name.chars().any(char::is_whitespace);
    let bytes = STANDARD.decode(bytes).ok()?;
    let (hash, rest) = bytes.split_at_checked(4)?;
    (is_name && !rest.is_empty()).then(|| NoteSignature {
        name: name.to_owned(),
        key_hash: hash.try_into().unwrap_or_default(),
        bytes: rest.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that implementations of notes share.
    const NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const NAME: &str = "PeterNeumann";

    fn key() -> IdentityKey {
        let bytes = STANDARD
            .decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
            .unwrap();
        assert_eq!(bytes[0], ED25519_TYPE);
        IdentityKey(bytes[1..].try_into().unwrap())
    }

    #[test]
    fn r1_c2sp_note_vector() {
        let note = SignedNote::parse(NOTE).unwrap();
        assert_eq!(note.to_text(), NOTE);
        assert_eq!(note.signatures[0].key_hash, [0xc7, 0x4f, 0x20, 0xa3]);
        assert_eq!(
            key_hash(NAME, ED25519_TYPE, &key().0),
            [0xc7, 0x4f, 0x20, 0xa3]
        );
        assert_eq!(note.verify(NAME, &key()), Ok(()));
    }

    #[test]
    fn whatever_is_altered_is_noticed() {
        let other = SignedNote::parse(&NOTE.replace("cryptography", "Cryptography")).unwrap();
        assert!(other.verify(NAME, &key()).is_err());
        let note = SignedNote::parse(NOTE).unwrap();
        assert!(note.verify("PeterNewmann", &key()).is_err());
        assert!(note.verify(NAME, &IdentityKey([7; 32])).is_err());
    }

    #[track_caller]
    fn check_refused(note: &str, expected: BadNote) {
        assert_eq!(SignedNote::parse(note).unwrap_err(), expected);
    }

    #[test]
    fn other_forms_are_refused_with_their_line() {
        check_refused("", BadNote::NoSignatures);
        check_refused("text\n", BadNote::NoSignatures);
        check_refused("text\n\n", BadNote::NoSignatures);
        check_refused("text\n\n\u{2014} a AAAAAAA=", BadNote::NoSignatures);
        check_refused(
            "te\u{7}xt\n\n\u{2014} a AAAAAAA=\n",
            BadNote::Control { line: 1 },
        );
        check_refused(
            "text\r\n\n\u{2014} a AAAAAAA=\n",
            BadNote::Control { line: 1 },
        );
        for line in [
            "- a AAAAAAA=",
            "\u{2014} a",
            "\u{2014}  AAAAAAA=",
            "\u{2014} a+b AAAAAAA=",
            "\u{2014} a !",
            "\u{2014} a AAAAAA==",
        ] {
            check_refused(&format!("text\n\n{line}\n"), BadNote::Signature { line: 3 });
        }
        let many = "\u{2014} a AAAAAAA=\n".repeat(NOTE_SIGNATURES_MAX + 1);
        check_refused(
            &format!("text\n\n{many}"),
            BadNote::TooMany {
                got: NOTE_SIGNATURES_MAX + 1,
            },
        );
        let long = "x".repeat(NOTE_BYTES_MAX + 1);
        check_refused(
            &long,
            BadNote::TooLong {
                got: NOTE_BYTES_MAX + 1,
            },
        );
    }

    proptest::proptest! {
        #[test]
        fn anything_is_read_or_refused(text in "\\PC{0,40}\n{0,3}[\u{2014}\\PC \n]{0,80}") {
            if let Ok(note) = SignedNote::parse(&text) {
                proptest::prop_assert_eq!(SignedNote::parse(&note.to_text()), Ok(note));
            }
        }
    }
}
