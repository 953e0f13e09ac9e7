//! A new master key, while programs run: they hold the data key, and only the keyring is sealed anew.
//!
//! First the keyring takes both keys, then the new one is put in place, then the old one is dropped. Wherever that ends, the key
//! that is in place opens the keyring.

use std::path::{Path, PathBuf};

use super::config::AtRestConfig;
use super::keyring::{Keyring, beside, sync_folder_of};
use super::source::make_key_file;
use super::vault::{KEYRING_FILE, lock};
use super::{AtRestFault, at};

/// What came of a rotation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rotated {
    /// The key file holds the new key, and the old one opens nothing any more.
    Done {
        /// The key file.
        file: PathBuf,
    },
    /// Both keys open the keyring until a program starts with the new one.
    Both {
        /// Where the new key is.
        place: String,
    },
}

/// Seals a directory's keyring under a new master key: of another place, or a new one in the same file.
///
/// # Errors
///
/// The present key does not open the keyring; the new one is missing or none; the present place is none that can be written.
pub fn rotate(
    directory: &Path,
    present: &AtRestConfig,
    to: Option<&AtRestConfig>,
) -> Result<Rotated, AtRestFault> {
    let _lock = lock(directory)?;
    rotate_until(directory, present, to, Step::Dropped)
}

/// How far a rotation goes; less than all of it only where a test ends it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Step {
    /// The new key is made, and nothing knows of it.
    Made,
    /// Both keys open the keyring.
    Both,
    /// The new key is in place.
    Placed,
    /// The old key opens nothing.
    Dropped,
}

fn rotate_until(
    directory: &Path,
    present: &AtRestConfig,
    to: Option<&AtRestConfig>,
    last: Step,
) -> Result<Rotated, AtRestFault> {
    let path = directory.join(KEYRING_FILE);
    let place = present.place(directory);
    let missing = |place: &str| AtRestFault::Missing {
        place: place.to_owned(),
        keyring: path.clone(),
    };
    let mut keyring =
        Keyring::load(&path)?.ok_or_else(|| AtRestFault::Keyring { path: path.clone() })?;
    let old = present.read(directory)?.ok_or_else(|| missing(&place))?;
    let data = keyring.open(&old, &place)?;
    // What an earlier rotation left half done.
    keyring.keep_only(&old);
    keyring.bind(&old, &data)?;
    let (next, moved) = match to {
        Some(to) => (to.clone(), None),
        None => {
            let file = present.file(directory);
            let file = file.ok_or_else(|| AtRestFault::NotOurs {
                place: place.clone(),
            })?;
            let new = beside(&file, ".next");
            make_key_file(&new)?;
            (AtRestConfig::of_file(&new), Some((new, file)))
        }
    };
    let new = match next.read(directory)? {
        None => next.make(directory)?,
        new => new,
    };
    let new = new.ok_or_else(|| AtRestFault::NotThere {
        place: next.place(directory),
    })?;
    let done = |step| step >= last;
    let both = Rotated::Both {
        place: next.place(directory),
    };
    if done(Step::Made) {
        return Ok(both);
    }
    keyring.add(&new, &data)?;
    keyring.save()?;
    let Some((from, file)) = moved.filter(|_| !done(Step::Both)) else {
        return Ok(both);
    };
    std::fs::rename(&from, &file).map_err(at("replace", &file))?;
    sync_folder_of(&file)?;
    if !done(Step::Placed) {
        keyring.keep_only(&new);
        keyring.save()?;
    }
    Ok(Rotated::Done { file })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::at_rest::{KEY_FILE, Vault};

    struct Place {
        folder: tempfile::TempDir,
        literal: String,
        old: Vec<u8>,
    }

    fn literal(folder: &Path, config: &AtRestConfig) -> Result<String, AtRestFault> {
        let vault = Vault::open(folder, config)?;
        Ok(vault.database("ledger").literal().to_string())
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let literal = literal(folder.path(), &AtRestConfig::default()).unwrap();
        let old = std::fs::read(folder.path().join(KEY_FILE)).unwrap();
        Place {
            folder,
            literal,
            old,
        }
    }

    #[track_caller]
    fn check_ends_at(last: Step) {
        let Place {
            folder,
            literal: before,
            old,
        } = place();
        let (usual, folder) = (AtRestConfig::default(), folder.path());
        rotate_until(folder, &usual, None, last).unwrap();
        let key = folder.join(KEY_FILE);
        assert_eq!(
            std::fs::read(&key).unwrap() == old,
            last < Step::Placed,
            "{last:?}"
        );
        // A start after the end, another rotation, and a start after that.
        assert_eq!(literal(folder, &usual).unwrap(), before, "{last:?}");
        let Rotated::Done { .. } = rotate(folder, &usual, None).unwrap() else {
            panic!("{last:?}");
        };
        assert_eq!(literal(folder, &usual).unwrap(), before, "{last:?}");
        std::fs::write(&key, old).unwrap();
        let refused = literal(folder, &usual).unwrap_err();
        assert!(matches!(refused, AtRestFault::OtherKey { .. }), "{refused}");
    }

    #[test]
    fn wherever_a_rotation_ends_the_key_in_place_opens() {
        for last in [Step::Made, Step::Both, Step::Placed, Step::Dropped] {
            check_ends_at(last);
        }
    }

    #[test]
    fn a_key_in_another_place_takes_over_at_its_first_start() {
        let Place {
            folder,
            literal: before,
            ..
        } = place();
        let (usual, folder) = (AtRestConfig::default(), folder.path());
        let next = AtRestConfig::parse("key_file = \"next.key\"").unwrap();
        let rotated = rotate(folder, &usual, Some(&next)).unwrap();
        assert!(matches!(rotated, Rotated::Both { .. }));
        assert_eq!(
            literal(folder, &usual).unwrap(),
            before,
            "until then the old one opens"
        );
        assert_eq!(literal(folder, &next).unwrap(), before);
        assert!(matches!(
            literal(folder, &usual),
            Err(AtRestFault::OtherKey { .. })
        ));
    }

    #[test]
    fn a_key_that_is_given_is_not_ours_to_change() {
        let Place { folder, .. } = place();
        let given = AtRestConfig::parse("key_command = [\"cat\", \"next\"]").unwrap();
        std::fs::write(folder.path().join("next"), "ab".repeat(32)).unwrap();
        let text = format!("key_command = [\"cat\", {:?}]", folder.path().join("next"));
        let to = AtRestConfig::parse(&text).unwrap();
        rotate(folder.path(), &AtRestConfig::default(), Some(&to)).unwrap();
        let fault = rotate(folder.path(), &to, None).unwrap_err();
        assert!(matches!(fault, AtRestFault::NotOurs { .. }), "{fault}");
        assert!(rotate(folder.path(), &given, None).is_err());
    }
}
