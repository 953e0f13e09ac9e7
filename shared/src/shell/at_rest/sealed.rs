//! Small secret files: sealed with AES-256-GCM under a key of their own, bound to their name.

use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use super::AtRestFault;
use super::keyring::replace;
use crate::base::secret::Secret;
use crate::shell::keys::{KeyFault, read_private, write_private};

/// The key of one small file.
#[derive(Debug)]
pub struct SealKey {
    name: String,
    key: Secret<[u8; 32]>,
    takes_plain: bool,
}

impl SealKey {
    pub(super) fn new(name: &str, key: Secret<[u8; 32]>, takes_plain: bool) -> Self {
        Self {
            name: name.to_owned(),
            key,
            takes_plain,
        }
    }

    /// Writes a new file, sealed; waits until it is on disk.
    ///
    /// # Errors
    ///
    /// The file exists, or cannot be written.
    pub fn write(&self, path: &Path, plain: &[u8]) -> Result<(), AtRestFault> {
        Ok(write_private(path, &self.sealed(plain)?)?)
    }

    /// Seals a file that this program has just written; leaves one that is sealed as it is.
    ///
    /// # Errors
    ///
    /// It cannot be read or written.
    pub fn seal(&self, path: &Path) -> Result<(), AtRestFault> {
        let bytes = read_private(path)?;
        match is_sealed(&bytes) {
            true => Ok(()),
            false => replace(path, &self.sealed(&bytes)?),
        }
    }

    /// Reads a file. One from before, which is plain, is sealed on this occasion; in a directory that has none any more, it is refused.
    ///
    /// # Errors
    ///
    /// It cannot be read, was sealed under another key or name, or is plain where nothing is.
    pub fn read(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, AtRestFault> {
        let bytes = read_private(path)?;
        if let Some(sealed) = bytes.strip_prefix(HEADER) {
            let plain = open(self.key.expose(), &self.name, sealed);
            return plain.ok_or_else(|| AtRestFault::Sealed {
                path: path.to_owned(),
            });
        }
        if !bytes.is_empty() {
            if !self.takes_plain {
                return Err(AtRestFault::Plain {
                    path: path.to_owned(),
                });
            }
            replace(path, &self.sealed(&bytes)?)?;
            tracing::info!(file = %path.display(), "was plain and is sealed now");
        }
        Ok(bytes)
    }

    fn sealed(&self, plain: &[u8]) -> Result<Vec<u8>, AtRestFault> {
        let mut file = HEADER.to_vec();
        file.extend(seal(self.key.expose(), &self.name, plain)?);
        Ok(file)
    }
}

/// Whether bytes are of a sealed file.
#[must_use]
pub fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(HEADER)
}

/// Nonce, what was sealed, and its authenticator.
pub(super) fn seal(key: &[u8; 32], name: &str, plain: &[u8]) -> Result<Vec<u8>, KeyFault> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| KeyFault::Library)?;
    // Reserved at once, and encrypted in place: no copy of what is plain stays behind.
    let mut bytes = Vec::with_capacity(plain.len() + TAG_BYTES);
    bytes.extend_from_slice(plain);
    let aad = Aad::from(name.as_bytes());
    let nonce = key.seal_in_place_append_tag(aad, &mut bytes);
    let nonce = nonce.map_err(|_| KeyFault::Library)?;
    Ok([&nonce.as_ref()[..], &bytes].concat())
}

/// What [`seal`] sealed under this key and name.
pub(super) fn open(key: &[u8; 32], name: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, bytes) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).ok()?;
    let mut bytes = Zeroizing::new(bytes.to_vec());
    let plain = key.open_in_place(nonce, Aad::from(name.as_bytes()), &mut bytes);
    let length = plain.ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}

const HEADER: &[u8] = b"aquifer-sealed/1\n";
const TAG_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, byte: u8) -> SealKey {
        SealKey::new(name, Secret::new([byte; 32]), true)
    }

    #[test]
    fn what_is_sealed_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        key("a.key", 1).write(&path, b"secret words").unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(is_sealed(&bytes) && !bytes.windows(6).any(|part| part == b"secret"));
        assert_eq!(*key("a.key", 1).read(&path).unwrap(), b"secret words");
        let twice = key("a.key", 1).write(&path, b"other").unwrap_err();
        assert!(matches!(twice, AtRestFault::Key(KeyFault::Exists { .. })));
    }

    #[test]
    fn another_key_name_or_byte_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        key("a.key", 1).write(&path, b"secret").unwrap();
        for other in [key("a.key", 2), key("b.key", 1)] {
            assert!(matches!(other.read(&path), Err(AtRestFault::Sealed { .. })));
        }
        let good = std::fs::read(&path).unwrap();
        for at in HEADER.len()..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, bad).unwrap();
            assert!(key("a.key", 1).read(&path).is_err(), "byte {at}");
        }
        std::fs::write(&path, &good[..HEADER.len() + 3]).unwrap();
        assert!(key("a.key", 1).read(&path).is_err());
    }

    #[test]
    fn a_plain_file_of_before_is_sealed_when_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        write_private(&path, b"from before").unwrap();
        std::fs::write(folder.path().join("a.key.new"), "half").unwrap();
        assert_eq!(*key("a.key", 1).read(&path).unwrap(), b"from before");
        assert!(is_sealed(&std::fs::read(&path).unwrap()));
        assert_eq!(*key("a.key", 1).read(&path).unwrap(), b"from before");
    }

    #[test]
    fn a_plain_file_where_all_are_sealed_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        write_private(&path, b"put here").unwrap();
        let strict = SealKey::new("a.key", Secret::new([1; 32]), false);
        let fault = strict.read(&path).unwrap_err();
        assert!(matches!(fault, AtRestFault::Plain { .. }) && fault.is_refusal());
        assert_eq!(std::fs::read(&path).unwrap(), b"put here");
        // What the program itself has written is another matter.
        strict.seal(&path).unwrap();
        strict.seal(&path).unwrap();
        assert_eq!(*strict.read(&path).unwrap(), b"put here");
    }
}
