//! Who may reach what: directories and key files are their owner's alone.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;
use zeroize::Zeroizing;

use super::{AtRestFault, at};

/// Refuses a directory that group or others may enter, list or write, or that is another user's.
///
/// # Errors
///
/// The path, what was found, what was expected, and what to type.
pub fn check_directory(directory: &Path) -> Result<(), AtRestFault> {
    let facts = directory.metadata().map_err(at("look at", directory))?;
    owned(directory, &facts)?;
    closed(directory, &facts, 0o700)
}

/// Reads a key file, once its owner alone can. None where there is none.
pub(super) fn read_key_file(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, AtRestFault> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(at("read", path))?,
    };
    // Asked of the open file, so that it cannot be exchanged in between.
    let facts = file.metadata().map_err(at("look at", path))?;
    owned(path, &facts)?;
    closed(path, &facts, 0o600)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES_MAX + 1));
    file.take(KEY_BYTES_MAX as u64)
        .read_to_end(&mut bytes)
        .map_err(at("read", path))?;
    Ok(Some(bytes))
}

/// Refuses a key file's place where everybody on the machine may look.
pub(super) fn check_key_place(path: &Path) -> Result<(), AtRestFault> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    if !folder.exists() {
        return Ok(());
    }
    let mode = folder.metadata().map_err(at("look at", folder))?.mode() & 0o7777;
    if mode & 0o004 != 0 {
        return Err(AtRestFault::Listed {
            path: path.to_owned(),
            directory: folder.to_owned(),
            mode,
        });
    }
    Ok(())
}

fn owned(path: &Path, facts: &Metadata) -> Result<(), AtRestFault> {
    let (found, expected) = (facts.uid(), geteuid().as_raw());
    match found == expected {
        true => Ok(()),
        false => Err(AtRestFault::Owner {
            path: path.to_owned(),
            found,
            expected,
        }),
    }
}

fn closed(path: &Path, facts: &Metadata, expected: u32) -> Result<(), AtRestFault> {
    let mode = facts.mode() & 0o7777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(AtRestFault::Exposed {
            path: path.to_owned(),
            mode,
            expected,
        }),
    }
}

/// More than any key has, and little enough to say that it is none.
const KEY_BYTES_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn set(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[track_caller]
    fn check_folder(mode: u32, taken: bool) {
        let folder = tempfile::tempdir().unwrap();
        set(folder.path(), mode);
        let found = check_directory(folder.path()).map_err(|fault| fault.to_string());
        set(folder.path(), 0o700);
        let place = folder.path().display().to_string();
        match found {
            Ok(()) => assert!(taken, "{mode:o}"),
            Err(text) => {
                assert!(!taken && text.contains(&format!("{mode:04o}")), "{text}");
                assert!(text.ends_with(&format!("chmod 700 {place}")), "{text}");
            }
        }
    }

    #[test]
    fn a_directory_is_its_owners_alone() {
        check_folder(0o700, true);
        check_folder(0o500, true);
        for mode in [0o750, 0o710, 0o701, 0o755, 0o770, 0o777, 0o702] {
            check_folder(mode, false);
        }
    }

    #[track_caller]
    fn check_key(folder_mode: u32, mode: u32, expected: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        write(&path, [7; 32]).unwrap();
        set(&path, mode);
        set(folder.path(), folder_mode);
        let found = check_key_place(&path).and_then(|()| read_key_file(&path));
        match (found, expected) {
            (Ok(found), None) => assert_eq!(found.unwrap().len(), 32),
            (Err(fault), Some(part)) => assert!(fault.to_string().contains(part), "{fault}"),
            (found, _) => panic!("{folder_mode:o} {mode:o}: {found:?}"),
        }
    }

    #[test]
    fn a_key_file_is_its_owners_alone() {
        check_key(0o700, 0o600, None);
        check_key(0o750, 0o400, None);
        check_key(0o700, 0o640, Some("chmod 600"));
        check_key(0o700, 0o604, Some("mode 0604"));
        check_key(0o755, 0o600, Some("chmod o-rwx"));
    }

    #[test]
    fn where_no_key_file_is_none_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_key_file(&folder.path().join("k")).unwrap().is_none());
    }

    #[test]
    fn what_belongs_to_another_is_refused() {
        if geteuid().is_root() {
            let folder = tempfile::tempdir().unwrap();
            std::os::unix::fs::chown(folder.path(), Some(12_345), None).unwrap();
            let text = check_directory(folder.path()).unwrap_err().to_string();
            assert!(text.contains("user 12345, expected user 0"), "{text}");
        }
    }
}
