//! A directory's keyring, open: gives the keys of its files.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::config::AtRestConfig;
use super::keyring::Keyring;
use super::keys::{DataKey, DatabaseKey};
use super::sealed::{SealKey, is_sealed};
use super::{AtRestFault, at};

/// The keys of a directory's files.
#[derive(Debug)]
pub struct Vault {
    data: DataKey,
}

impl Vault {
    /// Opens the keyring of a directory with the key that its configuration names. Where there is neither, both are made: a key
    /// file is ours to make, other keys must be there.
    ///
    /// # Errors
    ///
    /// The key file is open to others; the key is missing, none, or another one; the keyring is damaged or missing.
    pub fn open(directory: &Path, config: &AtRestConfig) -> Result<Self, AtRestFault> {
        let _lock = lock(directory)?;
        let path = directory.join(KEYRING_FILE);
        let place = config.place(directory);
        let Some(mut keyring) = Keyring::load(&path)? else {
            return Self::make(directory, config);
        };
        let master = config.read(directory)?;
        let master = master.ok_or_else(|| AtRestFault::Missing {
            place: place.clone(),
            keyring: path,
        })?;
        let data = keyring.open(&master, &place)?;
        if keyring.is_newest(&master) && keyring.keep_only(&master) {
            keyring.save()?;
            tracing::info!("the former master key opens nothing any more");
        }
        Ok(Self { data })
    }

    fn make(directory: &Path, config: &AtRestConfig) -> Result<Self, AtRestFault> {
        let path = directory.join(KEYRING_FILE);
        if let Some(sealed) = sealed_file(directory)? {
            return Err(AtRestFault::KeyringMissing { path, sealed });
        }
        let found = config.read(directory)?;
        let made = match found {
            None => config.make(directory)?,
            found => found,
        };
        let place = config.place(directory);
        let master = made.ok_or_else(|| AtRestFault::NotThere {
            place: place.clone(),
        })?;
        let (keyring, data) = Keyring::generate(&path, &master)?;
        keyring.save()?;
        tracing::info!(keyring = %path.display(), key = place, "files are encrypted from here on; keep the key on another volume");
        Ok(Self { data })
    }

    /// The key of the database with this role.
    #[must_use]
    pub fn database(&self, role: &str) -> DatabaseKey {
        self.data.of_database(role)
    }

    /// The key of the small file with this name.
    #[must_use]
    pub fn file(&self, name: &str) -> SealKey {
        SealKey::new(name, self.data.of_file(name))
    }
}

/// Keeps other processes from the keyring until it is dropped.
pub(super) fn lock(directory: &Path) -> Result<File, AtRestFault> {
    let opened = File::open(directory);
    let locked = opened.and_then(|directory| directory.lock().map(|()| directory));
    locked.map_err(at("lock", directory))
}

/// A file of the directory that rests on a keyring.
fn sealed_file(directory: &Path) -> Result<Option<PathBuf>, AtRestFault> {
    let fault = at("list", directory);
    for entry in std::fs::read_dir(directory).map_err(&fault)? {
        let entry = entry.map_err(&fault)?;
        if !entry.file_type().map_err(&fault)?.is_file() {
            continue;
        }
        let mut start = Vec::new();
        let opened = File::open(entry.path());
        // What cannot be read was not sealed by this user.
        let read = opened.and_then(|file| file.take(64).read_to_end(&mut start));
        if read.is_ok() && is_sealed(&start) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// Name of the keyring in a directory.
pub const KEYRING_FILE: &str = "at-rest.keyring";
/// Name of the key file where no other place is named; it belongs elsewhere.
pub const KEY_FILE: &str = "at-rest.key";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn open(folder: &Path) -> Result<Vault, AtRestFault> {
        Vault::open(folder, &AtRestConfig::default())
    }

    fn literal(vault: &Vault) -> String {
        vault.database("ledger").literal().to_string()
    }

    #[test]
    fn a_new_directory_gets_a_key_and_a_keyring_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let made = open(folder.path()).unwrap();
        assert_eq!(literal(&made), literal(&open(folder.path()).unwrap()));
        for name in [KEYRING_FILE, KEY_FILE] {
            let facts = folder.path().join(name).metadata().unwrap();
            assert_eq!(facts.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_key_or_keyring_that_is_lost_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let vault = open(folder.path()).unwrap();
        let file = folder.path().join("a.key");
        vault.file("a.key").write(&file, b"x").unwrap();
        let [key, ring] = [KEY_FILE, KEYRING_FILE].map(|name| folder.path().join(name));
        let (old_key, old_ring) = (fs::read(&key).unwrap(), fs::read(&ring).unwrap());
        fs::remove_file(&key).unwrap();
        assert!(matches!(
            open(folder.path()),
            Err(AtRestFault::Missing { .. })
        ));
        crate::shell::keys::write_private(&key, &[9; 32]).unwrap();
        let other = open(folder.path()).unwrap_err();
        assert!(matches!(other, AtRestFault::OtherKey { .. }), "{other}");
        fs::write(&key, old_key).unwrap();
        fs::remove_file(&ring).unwrap();
        assert!(matches!(
            open(folder.path()),
            Err(AtRestFault::KeyringMissing { .. })
        ));
        crate::shell::keys::write_private(&ring, &old_ring[1..]).unwrap();
        assert!(matches!(
            open(folder.path()),
            Err(AtRestFault::Keyring { .. })
        ));
        fs::write(&ring, old_ring).unwrap();
        assert_eq!(
            *open(folder.path())
                .unwrap()
                .file("a.key")
                .read(&file)
                .unwrap(),
            b"x"
        );
    }

    #[test]
    fn a_directory_that_others_may_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let check = |mode| {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            AtRestConfig::default().check(folder.path())
        };
        check(0o700).unwrap();
        let text = check(0o755).unwrap_err().to_string();
        assert!(text.contains("mode 0755"), "{text}");
        assert!(text.contains("chmod 700"), "{text}");
    }

    #[test]
    fn a_variable_that_is_not_set_is_told_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let config = AtRestConfig::parse("key_env = \"AQUIFER_NO_SUCH_KEY\"").unwrap();
        let text = Vault::open(folder.path(), &config).unwrap_err().to_string();
        assert!(text.contains("AQUIFER_NO_SUCH_KEY is missing"), "{text}");
    }
}
