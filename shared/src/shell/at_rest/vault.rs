//! A directory's keyring, open: gives the keys of its files.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::config::AtRestConfig;
use super::keyring::Keyring;
use super::keys::{DataKey, DatabaseKey};
use super::sealed::{SealKey, is_sealed};
use super::takeover::PLAIN;
use super::{AtRestFault, at};

/// The keys of a directory's files.
#[derive(Debug)]
pub struct Vault {
    data: DataKey,
    takes_plain: bool,
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
        if keyring.takes_plain() {
            match plain_file(directory)? {
                None => keyring.refuse_plain(),
                Some(path) => say_once(
                    &path,
                    "is plain, and keeps this directory from refusing plain files: start the program that it belongs to, or move it elsewhere",
                ),
            }
        }
        if keyring.bind(&master, &data)? {
            match keyring.save() {
                Ok(()) if keyring.takes_plain() => {}
                Ok(()) => tracing::info!("a plain file is refused in this directory from here on"),
                // It is for this process all the same.
                Err(fault) => {
                    tracing::warn!(%fault, "the keyring does not say yet that all is encrypted")
                }
            }
        }
        Ok(Self {
            data,
            takes_plain: keyring.takes_plain(),
        })
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
        let takes_plain = plain_file(directory)?.is_some();
        let (keyring, data) = Keyring::generate(&path, &master, takes_plain)?;
        keyring.save()?;
        tracing::info!(keyring = %path.display(), key = place, "files are encrypted from here on; keep the key on another volume");
        Ok(Self { data, takes_plain })
    }

    /// The key of the database with this role.
    #[must_use]
    pub fn database(&self, role: &str) -> DatabaseKey {
        self.data.of_database(role, self.takes_plain)
    }

    /// The key of the small file with this name.
    #[must_use]
    pub fn file(&self, name: &str) -> SealKey {
        SealKey::new(name, self.data.of_file(name), self.takes_plain)
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

/// A file of the directory, or of a folder in it, that is from before encryption: a database, or a file of keys of ours.
fn plain_file(directory: &Path) -> Result<Option<PathBuf>, AtRestFault> {
    for entry in entries(directory)? {
        let (path, is_folder) = entry?;
        let inner = match is_folder {
            true => inside(&path)?,
            false => vec![(path, false)],
        };
        let mut files = inner.into_iter().filter(|(_, is_folder)| !is_folder);
        if let Some((path, _)) = files.find(|(path, _)| is_plain(path)) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// What is in a folder of the directory: nothing, where this user may not look.
fn inside(folder: &Path) -> Result<Vec<(PathBuf, bool)>, AtRestFault> {
    match entries(folder).and_then(Iterator::collect) {
        Err(fault) if is_closed(&fault) => {
            say_once(
                folder,
                "cannot be looked into: no file in it counts as one of before encryption",
            );
            Ok(Vec::new())
        }
        listed => listed,
    }
}

/// What this user may not list was not written by this user, and what is gone is no file of before.
fn is_closed(fault: &AtRestFault) -> bool {
    let AtRestFault::File { source, .. } = fault else {
        return false;
    };
    let kind = source.kind();
    matches!(kind, ErrorKind::PermissionDenied | ErrorKind::NotFound)
}

/// Says something of a file, once in a process: keyrings are opened often.
fn say_once(path: &Path, what: &str) {
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.insert(path.to_owned()) {
        tracing::warn!(file = %path.display(), "{what}");
    }
}

/// Files that something was said of.
static SAID: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Files and folders of a folder, and which of them are folders.
fn entries(
    folder: &Path,
) -> Result<impl Iterator<Item = Result<(PathBuf, bool), AtRestFault>>, AtRestFault> {
    let fault = move |source| at("list", folder)(source);
    let listed = std::fs::read_dir(folder).map_err(fault)?;
    Ok(listed.filter_map(move |entry| {
        let read = || {
            let entry = entry?;
            let kind = entry.file_type()?;
            Ok((entry.path(), kind.is_dir(), kind.is_file()))
        };
        match read() {
            Ok((path, is_folder, is_file)) => {
                (is_folder || is_file).then_some(Ok((path, is_folder)))
            }
            Err(source) => Some(Err(fault(source))),
        }
    }))
}

fn is_plain(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
    // What cannot be read was not written by this user.
    if read.is_err() || start.is_empty() || is_sealed(&start) {
        return false;
    }
    let of_keys = path
        .file_name()
        .is_some_and(|name| SEALED.iter().any(|own| name == *own));
    of_keys || start.starts_with(PLAIN)
}

/// Small files that programs seal.
const SEALED: [&str; 6] = [
    "identity.key",
    "tls.key",
    "node.key",
    "subject.key",
    "ca.key",
    "release.key",
];
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

    /// Whether a plain file of keys is taken, at the first opening and at the one after it was sealed.
    #[track_caller]
    fn check_plain(before: &[(&str, &[u8])], expected: [bool; 2]) {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in before {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::shell::keys::write_private(&path, bytes).unwrap();
        }
        let found = [(); 2].map(|()| {
            let vault = open(folder.path()).unwrap();
            for (name, _) in before {
                let path = folder.path().join(name);
                let _ = vault.file(name).read(&path);
            }
            let planted = folder.path().join("planted");
            crate::shell::keys::write_private(&planted, b"x").unwrap();
            let taken = vault.file("planted").read(&planted).is_ok();
            fs::remove_file(&planted).unwrap();
            taken
        });
        assert_eq!(found, expected, "{before:?}");
    }

    #[test]
    fn plain_files_are_taken_until_none_of_before_is_left() {
        check_plain(&[], [false, false]);
        check_plain(
            &[("notes.txt", b"x"), ("packs/at.toml", b"x")],
            [false, false],
        );
        check_plain(&[("identity.key", b"x")], [true, false]);
        check_plain(&[("subject.key", b"")], [false, false]);
        // Nobody opened it yet.
        let database = [&PLAIN[..], &[0; 84]].concat();
        for name in ["x.sqlite", "history/log.sqlite"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &database).unwrap();
            for _ in 0..2 {
                assert!(open(folder.path()).unwrap().takes_plain, "{name}");
            }
        }
    }

    /// The keyring of a new directory, which takes a plain file where `taken`, rewritten by `edit`.
    fn rewritten(taken: bool, edit: impl Fn(&mut serde_json::Value)) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        if taken {
            let database = [&PLAIN[..], &[0; 84]].concat();
            fs::write(folder.path().join("x.sqlite"), database).unwrap();
        }
        open(folder.path()).unwrap();
        let ring = folder.path().join(KEYRING_FILE);
        let mut value = serde_json::from_slice(&fs::read(&ring).unwrap()).unwrap();
        edit(&mut value);
        fs::write(&ring, serde_json::to_vec(&value).unwrap()).unwrap();
        folder
    }

    /// As a version of before would say it: `version`, and the flag if it has one.
    fn of_before(value: &mut serde_json::Value, version: u32, flag: Option<bool>) {
        let fields = value.as_object_mut().unwrap();
        fields.remove("plain_seal").unwrap();
        fields.remove("takes_plain").unwrap();
        fields.insert("version".into(), version.into());
        if let Some(flag) = flag {
            fields.insert("takes_plain".into(), flag.into());
        }
    }

    #[track_caller]
    fn check_rewritten(taken: bool, edit: impl Fn(&mut serde_json::Value), opens: bool) {
        let folder = rewritten(taken, edit);
        let found = open(folder.path());
        assert_eq!(found.is_ok(), opens, "{found:?}");
        if let Err(fault) = found {
            assert!(matches!(fault, AtRestFault::Keyring { .. }), "{fault}");
        }
    }

    #[test]
    fn what_a_keyring_says_of_plain_files_is_changed_by_nobody_without_the_key() {
        for taken in [false, true] {
            check_rewritten(taken, |_| {}, true);
            check_rewritten(taken, |own| own["takes_plain"] = (!taken).into(), false);
            check_rewritten(
                taken,
                |own| own["plain_seal"] = "00".repeat(32).into(),
                false,
            );
            check_rewritten(taken, |own| own["plain_seal"] = "no digits".into(), false);
            check_rewritten(taken, |own| own["version"] = 4.into(), false);
            // The form of before, in which nothing was bound.
            check_rewritten(taken, |own| of_before(own, 2, Some(true)), false);
            check_rewritten(taken, |own| of_before(own, 1, None), false);
        }
    }

    /// A keyring as it was made before what it says was bound.
    fn make_before(folder: &Path, version: u32, flag: Option<bool>) {
        let config = AtRestConfig::default();
        let master = config.make(folder).unwrap().unwrap();
        let data = [5; 32];
        let sealed = super::super::sealed::seal(
            master.of_keyring().expose(),
            "aquifer/at-rest/keyring/1",
            &data,
        );
        let sealed = super::super::keys::hex(&sealed.unwrap());
        let mut value = serde_json::json!({
            "version": version,
            "slots": [{"master": master.mark(), "sealed": sealed.as_str()}],
        });
        if let Some(flag) = flag {
            value["takes_plain"] = flag.into();
        }
        let ring = folder.join(KEYRING_FILE);
        crate::shell::keys::write_private(&ring, value.to_string().as_bytes()).unwrap();
    }

    #[test]
    fn a_keyring_of_before_is_bound_when_it_is_opened() {
        for (version, flag, opens) in [
            (1, None, true),
            (2, Some(true), true),
            (2, Some(false), true),
            (1, Some(true), false),
            (2, None, false),
            (3, Some(false), false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            make_before(folder.path(), version, flag);
            let found = open(folder.path());
            assert_eq!(found.is_ok(), opens, "{version} {flag:?}");
            let Ok(found) = found else { continue };
            assert!(!found.takes_plain);
            let text = fs::read_to_string(folder.path().join(KEYRING_FILE)).unwrap();
            assert!(text.contains("\"version\": 3") && text.contains("plain_seal"));
            let again = open(folder.path()).unwrap();
            assert_eq!(literal(&again), literal(&found));
            let same = fs::read_to_string(folder.path().join(KEYRING_FILE)).unwrap();
            assert_eq!(same, text, "written once");
        }
    }

    #[test]
    fn a_rotation_binds_a_keyring_of_before() {
        let folder = tempfile::tempdir().unwrap();
        make_before(folder.path(), 2, Some(true));
        crate::shell::at_rest::rotate(folder.path(), &AtRestConfig::default(), None).unwrap();
        let text = fs::read_to_string(folder.path().join(KEYRING_FILE)).unwrap();
        assert!(text.contains("\"version\": 3"), "{text}");
        open(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_looked_into_stops_no_start() {
        let folder = tempfile::tempdir().unwrap();
        make_before(folder.path(), 2, Some(true));
        let closed = folder.path().join("lost+found");
        fs::create_dir(&closed).unwrap();
        // Not for the user 0, who may list everything.
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        assert!(!open(folder.path()).unwrap().takes_plain);
        let of = |kind: ErrorKind| at("list", &closed)(kind.into());
        assert!(is_closed(&of(ErrorKind::PermissionDenied)));
        assert!(is_closed(&of(ErrorKind::NotFound)));
        assert!(!is_closed(&of(ErrorKind::Other)));
        assert!(inside(&folder.path().join("gone")).unwrap().is_empty());
    }

    #[test]
    fn a_variable_that_is_not_set_is_told_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let config = AtRestConfig::parse("key_env = \"AQUIFER_NO_SUCH_KEY\"").unwrap();
        let text = Vault::open(folder.path(), &config).unwrap_err().to_string();
        assert!(text.contains("AQUIFER_NO_SUCH_KEY is missing"), "{text}");
    }
}
