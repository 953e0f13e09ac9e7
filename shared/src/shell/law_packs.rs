//! Rule packs from the program and from a folder. Reads; writes nothing and asks nobody.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::documents::read_document;
use crate::base::limits::LAW_PACKS_MAX;
use crate::base::time::Timestamp;
use crate::domain::law::{Pack, vendored};

/// A pack with its text.
#[derive(Clone, Debug)]
pub struct Held {
    /// The pack.
    pub pack: Pack,
    /// As it is written.
    pub text: String,
}

/// A file that breaks the format, with its place.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .file.display())]
pub struct Broken {
    file: PathBuf,
    problem: String,
}

impl Broken {
    /// Names the file of a problem.
    #[must_use]
    pub fn new(file: &Path, problem: impl ToString) -> Self {
        Self {
            file: file.to_owned(),
            problem: problem.to_string(),
        }
    }
}

/// The packs that come along, each replaced by the one of the same id in the folder, and the folder's others.
///
/// # Errors
///
/// [`Broken`], or the folder cannot be read.
pub fn all(folder: Option<&Path>) -> anyhow::Result<Vec<Held>> {
    let mut held = Vec::new();
    for (name, text) in vendored::PACKS {
        held.push(read(Path::new(name), text)?);
    }
    if let Some(folder) = folder {
        let own = of_folder(folder)?;
        held.retain(|one| own.iter().all(|other| other.pack.id() != one.pack.id()));
        held.extend(own);
    }
    held.sort_by(|a, b| a.pack.id().cmp(b.pack.id()));
    Ok(held)
}

fn of_folder(folder: &Path) -> anyhow::Result<Vec<Held>> {
    let could_not = || format!("could not read {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(could_not)? {
        let path = entry.with_context(could_not)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    let (count, shown) = (files.len(), folder.display());
    ensure!(
        (1..=LAW_PACKS_MAX).contains(&count),
        "{shown} has {count} files *.toml, expected 1 to {LAW_PACKS_MAX}"
    );
    files.sort();
    let mut held: Vec<Held> = Vec::with_capacity(count);
    for file in files {
        let one = read(&file, &read_document(&file)?)?;
        let id = one.pack.id();
        if held.iter().any(|other| other.pack.id() == id) {
            return Err(Broken::new(&file, format!("pack {id} is in the folder twice")).into());
        }
        held.push(one);
    }
    Ok(held)
}

fn read(file: &Path, text: &str) -> Result<Held, Broken> {
    let pack = Pack::parse(text).map_err(|problem| Broken::new(file, problem))?;
    let text = text.to_owned();
    Ok(Held { pack, text })
}

/// A day of the calendar as a moment; `now` where none is given.
#[must_use]
pub fn moment_of(day: Option<i32>, now: Timestamp) -> Timestamp {
    let day = day.and_then(|day| u64::try_from(day).ok());
    day.map_or(now, |day| Timestamp(day * MS_PER_DAY))
}

/// The day of a moment.
#[must_use]
pub fn day_of(moment: Timestamp) -> i32 {
    i32::try_from(moment.0 / MS_PER_DAY).unwrap_or(i32::MAX)
}

/// Printed wherever packs are: on standard error, so that programs are not disturbed.
pub const NOTICE: &str = "not legal advice: values with reviewer \"none\" were reviewed by nobody";

const MS_PER_DAY: u64 = 24 * 3_600 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_before_what_comes_along() {
        let folder = tempfile::tempdir().unwrap();
        let (_, house) = vendored::PACKS[2];
        fs::write(
            folder.path().join("ours.toml"),
            house.replace("value = 200", "value = 500"),
        )
        .unwrap();
        let other = house.replace("id = \"house\"", "id = \"north\"");
        fs::write(folder.path().join("north.toml"), other).unwrap();
        fs::write(folder.path().join("notes.txt"), "x").unwrap();
        let held = all(Some(folder.path())).unwrap();
        let ids: Vec<&str> = held.iter().map(|one| one.pack.id().as_str()).collect();
        assert_eq!(ids, ["ccpa", "gdpr", "house", "lgpd", "north", "uk-gdpr"]);
        assert!(held[2].text.contains("value = 500"));
    }

    #[test]
    fn a_broken_or_double_pack_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(all(Some(folder.path())).is_err());
        fs::write(folder.path().join("a.toml"), "[pack]\n").unwrap();
        let error = all(Some(folder.path())).unwrap_err();
        assert!(
            error.is::<Broken>() && error.to_string().contains("a.toml: line 1"),
            "{error}"
        );
        for name in ["a.toml", "b.toml"] {
            fs::write(folder.path().join(name), vendored::PACKS[2].1).unwrap();
        }
        let error = all(Some(folder.path())).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("pack house is in the folder twice"),
            "{error}"
        );
    }
}
