//! Checks of the source text that no compiler makes: layering, lengths, headers, `# Privacy` sections, names, words, tests of features.
//!
//! Every rule has planted samples beside it that it must catch. Reads files only in [`read_repository`].

mod databases;
mod features;
mod layers;
mod manifest;
mod privacy;
mod shape;
mod source;
mod strictness;
mod words;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

pub use source::Source;

/// A place that breaks a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// File, from the top of the repository.
    pub file: String,
    /// Line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// The rule, what was found, what was expected.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// All findings in a set of files.
#[must_use]
pub fn check(mut files: Vec<Source>) -> Vec<Finding> {
    Source::mark_test_modules(&mut files);
    let each = files.iter().flat_map(|file| {
        let mut found = words::check(file);
        found.extend(shape::check_name(file));
        if file.is_rust() {
            found.extend(layers::check(file));
            found.extend(shape::check(file));
            found.extend(strictness::check(file));
            found.extend(databases::check(file));
        }
        if file.path.ends_with("Cargo.toml") {
            found.extend(manifest::check(file));
        }
        found
    });
    each.chain(privacy::check(&files))
        .chain(features::check(&files))
        .collect()
}

/// Every text file of the repository that a person wrote.
///
/// # Errors
///
/// A folder or file that cannot be read.
pub fn read_repository(top: &Path) -> io::Result<Vec<Source>> {
    let mut files = Vec::new();
    read_folder(top, top, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn read_folder(top: &Path, folder: &Path, files: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if !SKIPPED_FOLDERS.iter().any(|skipped| name == *skipped) {
                read_folder(top, &path, files)?;
            }
            continue;
        }
        let relative = path.strip_prefix(top).unwrap_or(&path);
        let relative = relative.to_string_lossy().into_owned();
        let written = WRITTEN.iter().any(|end| relative.ends_with(end))
            || relative.starts_with("scripts/")
            || relative.starts_with(".ci/");
        if written && relative != "Cargo.lock" {
            files.push(Source::new(&relative, &fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

const SKIPPED_FOLDERS: [&str; 3] = ["target", ".git", "golden"];
const WRITTEN: [&str; 3] = [".rs", ".toml", ".md"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_violation_reaches_the_report() {
        let planted = vec![
            Source::new("node/src/core/x.rs", "//! X.\nuse tokio::net::UdpSocket;\n"),
            Source::new("node/Cargo.toml", "[dependencies]\nleft-pad = \"1\"\n"),
        ];
        let found = check(planted);
        assert!(
            found
                .iter()
                .any(|f| f.file == "node/src/core/x.rs" && f.line == 2)
        );
        assert!(
            found
                .iter()
                .any(|f| f.file == "node/Cargo.toml" && f.line == 2)
        );
    }
}
