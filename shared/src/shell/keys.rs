//! Keys on disk: the Ed25519 identity of a party, files that only their owner may read, and random bytes.
//!
//! Never prints a key, never overwrites one, and reads none that others could have read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::base::hash::labelled;
use crate::base::ids::{Hash32, IdentityKey};

/// A key could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// The file cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("could not write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key exists already and is never overwritten.
    #[error("{} exists already; a key is never overwritten, choose another directory", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Group or others can reach the file.
    #[error("{} has mode {mode:03o}, expected 600: others on this machine can read the key (run: chmod 600 FILE)", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not a plain file of a key's size.
    #[error("{} has {length} bytes or is not a plain file, expected a key file of at most {KEY_FILE_BYTES_MAX} bytes", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// Its length.
        length: u64,
    },
    /// The bytes are not an Ed25519 key.
    #[error("{} holds {found}, expected an Ed25519 key (PKCS#8, DER)", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it looks like; nothing of it is repeated.
        found: &'static str,
    },
    /// The operating system gave no randomness, or the library refused to make or use a key.
    #[error("could not make or use a key: no randomness, or the library refused")]
    Library,
}

/// What bytes that are no key look like.
fn looks_like(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "nothing",
        _ if bytes.starts_with(b"-----BEGIN") => "text in PEM form",
        // A sequence in DER.
        [0x30, ..] => "a key of another kind, or a damaged one",
        _ => "something else, or a damaged key",
    }
}

/// A party's Ed25519 identity: outlives certificates, signs updates, approvals and join requests.
pub struct Identity {
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.public())
    }
}

impl Identity {
    /// A new identity from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// [`KeyFault::Library`] if there is no randomness.
    pub fn generate() -> Result<Self, KeyFault> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyFault::Library)?;
        Ok(Self { pair })
    }

    /// The key as PKCS#8 (DER), wiped when dropped; never for showing.
    ///
    /// # Errors
    ///
    /// [`KeyFault::Library`] if the library refuses.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        let document = self.pair.to_pkcs8v1().map_err(|_| KeyFault::Library)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// The key that [`Identity::to_bytes`] gave.
    ///
    /// # Errors
    ///
    /// [`KeyFault::Malformed`] with the file that the bytes are of.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, KeyFault> {
        let pair = Ed25519KeyPair::from_pkcs8(bytes).map_err(|_| KeyFault::Malformed {
            path: path.to_owned(),
            found: looks_like(bytes),
        })?;
        Ok(Self { pair })
    }

    /// Writes the key as PKCS#8 (DER) to a new file that only its owner can read.
    ///
    /// # Errors
    ///
    /// The file exists, or cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), KeyFault> {
        write_private(path, &self.to_bytes()?)
    }

    /// Reads a key that [`Identity::save`] wrote.
    ///
    /// # Errors
    ///
    /// The file is missing, reachable for others, or not a key.
    pub fn load(path: &Path) -> Result<Self, KeyFault> {
        Self::from_bytes(&read_private(path)?, path)
    }

    /// The public half.
    ///
    /// # Panics
    ///
    /// Never: an Ed25519 public key has 32 bytes.
    #[must_use]
    pub fn public(&self) -> IdentityKey {
        let bytes = self.pair.public_key().as_ref();
        IdentityKey(bytes.try_into().expect("an Ed25519 key has 32 bytes"))
    }

    /// A signature over a labelled digest.
    #[must_use]
    pub fn sign(&self, digest: &Hash32) -> Vec<u8> {
        self.pair.sign(&digest.0).as_ref().to_vec()
    }

    /// A signature over the text of a note (C2SP signed-note), or over what a witness signs of it: texts of several lines, which no
    /// digest is.
    #[must_use]
    pub fn sign_note(&self, text: &str) -> Vec<u8> {
        self.pair.sign(text.as_bytes()).as_ref().to_vec()
    }
}

/// Whether `signature` is `key`'s over `digest`.
#[must_use]
pub fn verify(key: &IdentityKey, digest: &Hash32, signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key.0)
        .verify(&digest.0, signature)
        .is_ok()
}

/// Text for comparing a key by voice: eight groups of four digits from a hash of the key.
#[must_use]
pub fn fingerprint(key: &IdentityKey) -> String {
    let digits = labelled("aquifer/fingerprint/1", &[&key.0]).to_string();
    let groups: Vec<&str> = (0..8)
        .map(|group| &digits[4 * group..4 * group + 4])
        .collect();
    groups.join(" ")
}

/// 32 bytes from the operating system's randomness.
///
/// # Errors
///
/// [`KeyFault::Library`] if there is none.
pub fn random_bytes32() -> Result<[u8; 32], KeyFault> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| KeyFault::Library)?;
    Ok(bytes)
}

/// Writes a new file that only its owner can read, and waits until it is on disk, its name in the directory included.
///
/// # Errors
///
/// The file exists, or cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), KeyFault> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let written = match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(KeyFault::Exists {
                path: path.to_owned(),
            });
        }
        opened => opened
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| File::open(folder_of(path))?.sync_all()),
    };
    written.map_err(|source| KeyFault::Write {
        path: path.to_owned(),
        source,
    })
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    folder.unwrap_or(Path::new("."))
}

/// Reads a file that only its owner can read; what was read is wiped when dropped.
///
/// # Errors
///
/// The file is missing, too long, or reachable for group or others.
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let fault = |source| KeyFault::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(fault)?;
    // Asked of the open file, so that it cannot be exchanged in between.
    let facts = file.metadata().map_err(fault)?;
    if !facts.is_file() || facts.len() > KEY_FILE_BYTES_MAX {
        return Err(KeyFault::NotAFile {
            path: path.to_owned(),
            length: facts.len(),
        });
    }
    let mode = facts.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFault::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    // Reserved at once: a growing buffer would leave copies of the key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX as usize + 1));
    file.take(KEY_FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(fault)?;
    Ok(bytes)
}

/// Bytes of a key file, of whatever kind.
const KEY_FILE_BYTES_MAX: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn saved() -> (tempfile::TempDir, PathBuf, Identity) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        let identity = Identity::generate().unwrap();
        identity.save(&path).unwrap();
        (dir, path, identity)
    }

    #[test]
    fn a_saved_identity_signs_as_before() {
        let (_dir, path, identity) = saved();
        let loaded = Identity::load(&path).unwrap();
        let digest = Hash32([7; 32]);
        assert_eq!(loaded.public(), identity.public());
        assert!(verify(&identity.public(), &digest, &loaded.sign(&digest)));
    }

    #[test]
    fn another_digest_key_or_signature_does_not_verify() {
        let (identity, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let digest = Hash32([7; 32]);
        let signature = identity.sign(&digest);
        assert!(!verify(&identity.public(), &Hash32([8; 32]), &signature));
        assert!(!verify(&other.public(), &digest, &signature));
        assert!(!verify(&identity.public(), &digest, &signature[1..]));
        assert!(!verify(&IdentityKey([0xff; 32]), &digest, &signature));
    }

    #[test]
    fn the_folder_of_a_bare_name_is_the_present_one() {
        assert_eq!(folder_of(Path::new("node.key")), Path::new("."));
        assert_eq!(folder_of(Path::new("north/node.key")), Path::new("north"));
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let (_dir, path, identity) = saved();
        assert!(matches!(identity.save(&path), Err(KeyFault::Exists { .. })));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_dir, path, _identity) = saved();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o660] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(matches!(
                Identity::load(&path),
                Err(KeyFault::Exposed { mode: found, .. }) if found == mode
            ));
        }
    }

    #[test]
    fn other_bytes_are_not_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        assert!(matches!(Identity::load(&path), Err(KeyFault::Read { .. })));
        write_private(&path, b"not a key").unwrap();
        assert!(matches!(
            Identity::load(&path),
            Err(KeyFault::Malformed { .. })
        ));
        let said = |bytes: &[u8]| Identity::from_bytes(bytes, &path).unwrap_err().to_string();
        assert!(said(b"-----BEGIN X").contains("holds text in PEM form, expected an Ed25519 key"));
        assert!(said(b"").contains("holds nothing,") && said(b"CANARY").contains("something else"));
        assert!(!said(b"CANARY").contains("CANARY"));
        let long = dir.path().join("long.key");
        write_private(&long, &[0; KEY_FILE_BYTES_MAX as usize + 1]).unwrap();
        assert!(matches!(
            read_private(&long),
            Err(KeyFault::NotAFile { .. })
        ));
    }

    #[test]
    fn a_fingerprint_is_short_and_depends_on_the_key() {
        let one = fingerprint(&IdentityKey([1; 32]));
        assert_eq!(one.split(' ').map(str::len).collect::<Vec<_>>(), [4; 8]);
        assert_ne!(one, fingerprint(&IdentityKey([2; 32])));
    }

    #[test]
    fn an_identity_is_printed_without_its_secret() {
        let identity = Identity::generate().unwrap();
        let printed = format!("{identity:?}");
        assert_eq!(printed, format!("Identity({})", identity.public()));
    }
}
