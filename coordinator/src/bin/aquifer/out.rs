//! New files: complete or not there, and never in place of another.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use aquifer_shared::shell::report::{self, Outcome};
use serde_json::json;

use crate::client::Session;

/// A file that appears under its name only when it is complete.
#[derive(Debug)]
pub(crate) struct NewFile {
    target: PathBuf,
    beside: PathBuf,
}

/// The name is taken.
#[derive(Debug, thiserror::Error)]
#[error("{} exists already; choose another name or remove it", .0.display())]
pub(crate) struct Taken(PathBuf);

impl NewFile {
    /// Opens a file beside `target`.
    ///
    /// # Errors
    ///
    /// [`Taken`], or the file cannot be written.
    pub(crate) fn create(target: &Path) -> anyhow::Result<(Self, File)> {
        if target.exists() {
            return Err(Taken(target.to_owned()).into());
        }
        let could_not = || format!("could not write {}", target.display());
        let name = target
            .file_name()
            .with_context(could_not)?
            .to_string_lossy();
        let beside = target.with_file_name(format!(".{name}.{}.part", std::process::id()));
        let file = File::create_new(&beside).with_context(could_not)?;
        let target = target.to_owned();
        Ok((Self { target, beside }, file))
    }

    /// Puts the complete file in place.
    ///
    /// # Errors
    ///
    /// [`Taken`] meanwhile, or the file cannot be put there.
    pub(crate) fn keep(self) -> anyhow::Result<()> {
        let could_not = || format!("could not write {}", self.target.display());
        let file = File::open(&self.beside).with_context(could_not)?;
        file.sync_all().with_context(could_not)?;
        match fs::hard_link(&self.beside, &self.target) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Taken(self.target.clone()).into())
            }
            // Some file systems know no links.
            Err(_) => fs::rename(&self.beside, &self.target).with_context(could_not),
        }
    }

    /// Writes a whole text.
    ///
    /// # Errors
    ///
    /// As [`NewFile::create`] and [`NewFile::keep`].
    pub(crate) fn write(target: &Path, text: &str) -> anyhow::Result<()> {
        let (new, mut file) = Self::create(target)?;
        io::Write::write_all(&mut file, text.as_bytes())
            .with_context(|| format!("could not write {}", target.display()))?;
        new.keep()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Gone already where it was renamed.
        let _ = fs::remove_file(&self.beside);
    }
}

/// Writes a text to a new file and says so; a name that is taken is refused.
///
/// # Errors
///
/// The file cannot be written.
pub(crate) fn written(session: &Session, target: &Path, text: &str) -> anyhow::Result<Outcome> {
    match NewFile::write(target, text) {
        Ok(()) => {}
        Err(error) if error.is::<Taken>() => {
            return report::refuse(session.json, "taken", &report::chain(&error));
        }
        Err(error) => return Err(error),
    }
    let file = target.display().to_string();
    if session.json {
        report::print_json(&json!({"file": file}))?;
    } else {
        report::print(&format!("written to {file}\n"))?;
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_complete_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.csv");
        drop(NewFile::create(&target).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        NewFile::write(&target, "a\n").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "a\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = NewFile::write(&target, "b\n").unwrap_err();
        assert!(error.is::<Taken>());
        assert_eq!(fs::read_to_string(&target).unwrap(), "a\n");
    }
}
