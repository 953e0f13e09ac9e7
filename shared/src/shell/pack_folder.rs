//! Audit packs on disk: reads a folder within limits, writes one that is complete or not there. Follows no link.

use std::fs::{self, DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::base::limits::PACK_BYTES_MAX;
use crate::domain::pack::Files;

/// The folder is there already.
#[derive(Debug, thiserror::Error)]
#[error("{} exists already; choose another name or remove it", .0.display())]
pub struct Taken(pub PathBuf);

/// Reads every file below a folder.
///
/// # Errors
///
/// Something cannot be read, is neither a plain file nor a folder, or is beyond the largest pack.
pub fn read(folder: &Path) -> anyhow::Result<Files> {
    let mut files = Files::default();
    let mut bytes_left = PACK_BYTES_MAX;
    let mut waiting = vec![(folder.to_owned(), String::new(), 0)];
    while let Some((place, name, depth)) = waiting.pop() {
        let could_not = || format!("could not read {}", place.display());
        ensure!(
            depth <= DEPTH_MAX,
            "{} is too deep for a pack",
            place.display()
        );
        for entry in fs::read_dir(&place).with_context(could_not)? {
            let entry = entry.with_context(could_not)?;
            let own = entry.file_name().into_string().ok();
            let own = own
                .with_context(|| format!("{} has a file name that is no text", place.display()))?;
            let path = format!("{name}{own}");
            let kind = entry.file_type().with_context(could_not)?;
            if kind.is_dir() {
                waiting.push((entry.path(), format!("{path}/"), depth + 1));
                continue;
            }
            ensure!(
                kind.is_file(),
                "{} is not a plain file",
                entry.path().display()
            );
            let bytes = read_file(&entry.path(), bytes_left)?;
            bytes_left -= bytes.len() as u64;
            files.put(&path, bytes)?;
        }
    }
    Ok(files)
}

fn read_file(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let could_not = || format!("could not read {}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(could_not)?;
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .with_context(could_not)?;
    ensure!(
        bytes.len() as u64 <= bytes_max,
        "{} is beyond the largest pack",
        path.display()
    );
    Ok(bytes)
}

/// Writes a pack into a new folder.
///
/// # Errors
///
/// [`Taken`], or something cannot be written.
pub fn write(folder: &Path, files: &Files) -> anyhow::Result<()> {
    write_with(0o777, folder, files)
}

/// Writes a pack into a new folder that its owner alone can enter.
///
/// # Errors
///
/// As [`write()`].
///
/// # Privacy
///
/// For packs that are about persons.
pub fn write_for_owner(folder: &Path, files: &Files) -> anyhow::Result<()> {
    write_with(0o700, folder, files)
}

fn write_with(mode: u32, folder: &Path, files: &Files) -> anyhow::Result<()> {
    if folder.exists() {
        return Err(Taken(folder.to_owned()).into());
    }
    let could_not = || format!("could not write {}", folder.display());
    let name = folder
        .file_name()
        .with_context(could_not)?
        .to_string_lossy();
    for old in unfinished(folder) {
        fs::remove_dir_all(&old).with_context(|| format!("could not remove {}", old.display()))?;
    }
    let beside = folder.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let mut builder = DirBuilder::new();
    let made = builder.mode(mode).recursive(true).create(&beside);
    let written = made
        .with_context(could_not)
        .and_then(|()| write_all(&beside, files))
        .and_then(|()| fs::rename(&beside, folder).with_context(could_not));
    if written.is_err() {
        // Whatever was written stands in nobody's way.
        let _ = fs::remove_dir_all(&beside);
    }
    written
}

/// What is there of a pack: its folder, and what was begun and never finished.
#[must_use]
pub fn left(folder: &Path) -> Vec<PathBuf> {
    let own = folder.exists().then(|| folder.to_owned());
    own.into_iter().chain(unfinished(folder)).collect()
}

/// What a process that ended while it wrote a folder has left beside it.
fn unfinished(folder: &Path) -> Vec<PathBuf> {
    let (Some(name), Some(parent)) = (folder.file_name(), folder.parent()) else {
        return Vec::new();
    };
    let parent = match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    };
    let begins = format!(".{}.", name.to_string_lossy());
    let is_part = |path: &PathBuf| {
        let own = path.file_name().and_then(|own| own.to_str());
        let number = own.and_then(|own| own.strip_prefix(&*begins)?.strip_suffix(".part"));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let beside = fs::read_dir(parent).into_iter().flatten();
    let beside = beside.filter_map(|entry| Some(entry.ok()?.path()));
    beside.filter(is_part).collect()
}

fn write_all(folder: &Path, files: &Files) -> anyhow::Result<()> {
    for (path, bytes) in files.iter() {
        let path = folder.join(path);
        let could_not = || format!("could not write {}", path.display());
        fs::create_dir_all(path.parent().unwrap_or(folder)).with_context(could_not)?;
        let mut file = File::create_new(&path).with_context(could_not)?;
        file.write_all(bytes).with_context(could_not)?;
        file.sync_all().with_context(could_not)?;
    }
    Ok(())
}

/// Folders within folders; a pack has one level.
const DEPTH_MAX: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn two_files() -> Files {
        let mut files = Files::default();
        files.put("log/leaves", b"abc".to_vec()).unwrap();
        files.put("report.json", b"{}".to_vec()).unwrap();
        files
    }

    #[test]
    fn a_folder_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let pack = folder.path().join("pack");
        write(&pack, &two_files()).unwrap();
        assert_eq!(read(&pack).unwrap(), two_files());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(&pack, &two_files()).unwrap_err().is::<Taken>());
    }

    #[test]
    fn what_was_never_finished_is_removed_by_the_next_write() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            ".pack.12.part",
            ".pack.part",
            ".pack.x.part",
            ".other.12.part",
        ];
        for name in names {
            fs::create_dir_all(folder.path().join(name).join("log")).unwrap();
        }
        let pack = folder.path().join("pack");
        assert_eq!(left(&pack), [folder.path().join(names[0])]);
        write(&pack, &two_files()).unwrap();
        assert_eq!(left(&pack), std::slice::from_ref(&pack));
        let others = &names[1..];
        assert!(others.iter().all(|name| folder.path().join(name).exists()));
    }

    #[test]
    fn a_pack_about_persons_is_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let pack = folder.path().join("pack");
        write_for_owner(&pack, &two_files()).unwrap();
        assert_eq!(read(&pack).unwrap(), two_files());
        let mode = fs::metadata(&pack).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let pack = folder.path().join("pack");
        write(&pack, &two_files()).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", pack.join("VERIFY.md")).unwrap();
        let error = read(&pack).unwrap_err().to_string();
        assert!(error.contains("not a plain file"), "{error}");
    }
}
