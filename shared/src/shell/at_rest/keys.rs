//! Keys: the master key, the data key, and those that are derived of them.
//!
//! Opens no file. HKDF with SHA-256; what a key is for is its label, so that no two uses share one.

use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use crate::base::secret::Secret;

/// What a directory's keyring is sealed under.
#[derive(Debug)]
pub(super) struct MasterKey(Secret<[u8; 32]>);

/// What all keys of a directory are derived from.
#[derive(Debug)]
pub(super) struct DataKey(Secret<[u8; 32]>);

/// The key of one database.
#[derive(Clone, Debug)]
pub struct DatabaseKey {
    key: Arc<Secret<[u8; 32]>>,
    /// Whether a plain file of before is encrypted on the way; where not, it is refused.
    pub(super) takes_plain: bool,
}

impl MasterKey {
    pub(super) fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// What tells keys apart, and says nothing else about them.
    pub(super) fn mark(&self) -> String {
        let mark = derived(&self.0, "aquifer/at-rest/mark/1", "");
        hex(&mark.expose()[..8]).as_str().to_owned()
    }

    /// The key that a keyring is sealed with.
    pub(super) fn of_keyring(&self) -> Secret<[u8; 32]> {
        derived(&self.0, "aquifer/at-rest/keyring/1", "")
    }
}

impl DataKey {
    pub(super) fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        self.0.expose()
    }

    pub(super) fn of_database(&self, role: &str, takes_plain: bool) -> DatabaseKey {
        let key = Arc::new(derived(&self.0, "aquifer/at-rest/database/1", role));
        DatabaseKey { key, takes_plain }
    }

    pub(super) fn of_file(&self, name: &str) -> Secret<[u8; 32]> {
        derived(&self.0, "aquifer/at-rest/file/1", name)
    }

    /// What a keyring says with, whether plain files are taken: nobody else can make it.
    pub(super) fn of_plain(&self, taken: bool) -> Secret<[u8; 32]> {
        let what = if taken { "taken" } else { "refused" };
        derived(&self.0, "aquifer/at-rest/plain-files/1", what)
    }
}

impl DatabaseKey {
    /// A key that is known already; plain files of before are encrypted with it.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self {
            key: Arc::new(Secret::new(bytes)),
            takes_plain: true,
        }
    }

    /// As SQL takes it: the raw key, so that nothing is derived from it again at every start.
    pub(super) fn literal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("x'{}'", *hex(self.key.expose())))
    }
}

/// Hexadecimal digits, wiped when dropped.
pub(super) fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

fn derived(from: &Secret<[u8; 32]>, label: &str, name: &str) -> Secret<[u8; 32]> {
    let mut key = Secret::new([0; 32]);
    let prk = Salt::new(HKDF_SHA256, b"aquifer/at-rest/1").extract(from.expose());
    let info = [label.as_bytes(), b"\0", name.as_bytes()];
    prk.expand(&info, Bytes32)
        .and_then(|okm| okm.fill(key.expose_mut()))
        .expect("32 bytes are what HKDF with SHA-256 gives at once");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_use_and_by_name() {
        let data = DataKey::new([7; 32]);
        let literals =
            ["ledger", "consent"].map(|role| data.of_database(role, true).literal().to_string());
        assert_ne!(literals[0], literals[1]);
        assert_eq!(literals[0].len(), 67);
        let file = hex(data.of_file("ledger").expose());
        assert!(!literals[0].contains(file.as_str()));
        assert_eq!(
            literals[0],
            *DataKey::new([7; 32]).of_database("ledger", false).literal()
        );
    }

    #[test]
    fn a_mark_is_of_its_key_alone() {
        let (one, other) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
        assert_eq!(one.mark().len(), 16);
        assert_ne!(one.mark(), other.mark());
        assert_eq!(one.mark(), MasterKey::new([1; 32]).mark());
    }

    #[test]
    fn no_key_is_printed() {
        let shown = format!(
            "{:?} {:?} {:?}",
            DataKey::new([171; 32]),
            MasterKey::new([171; 32]),
            DatabaseKey::new([171; 32])
        );
        assert!(!shown.contains("171") && !shown.contains("abab"), "{shown}");
    }
}
