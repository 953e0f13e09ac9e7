//! What must not compile: the samples in the product's documentation that say so, each handed to the compiler.
//!
//! `rustdoc` runs them too, under names that no list of test results has; here they count as a test. Reads sources and the compiled crates
//! beside this program; writes to a temporary folder alone.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};

/// The crates under test, under the names that samples use.
pub mod products {
    pub use {aquifer_coordinator, aquifer_node, aquifer_shared};
}

/// A sample of a documentation comment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sample {
    /// Where it begins: file and line.
    pub place: String,
    /// The error that it must end with; none where it must compile.
    pub error: Option<String>,
    /// The code.
    pub code: String,
}

/// What the compiler said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Said {
    /// Nothing: it compiles.
    Fine,
    /// Codes of errors, each once, and the whole text.
    Wrong(Vec<String>, String),
}

impl Sample {
    /// Whether the compiler said what it must.
    #[must_use]
    pub fn is_as_written(&self, said: &Said) -> bool {
        match (&self.error, said) {
            (None, Said::Fine) => true,
            (Some(expected), Said::Wrong(codes, _)) => codes == std::slice::from_ref(expected),
            _ => false,
        }
    }
}

/// Samples in the sources of a folder and below, of files in which at least one must not compile.
///
/// # Errors
///
/// A file or folder cannot be read.
pub fn samples(top: &Path, folder: &str) -> Result<Vec<Sample>> {
    let (mut found, mut folders) = (Vec::new(), vec![top.join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(top)?.display().to_string();
                let own = of_text(&name, &fs::read_to_string(&path)?);
                if own.iter().any(|sample| sample.error.is_some()) {
                    found.extend(own);
                }
            }
        }
    }
    found.sort_by(|one, other| one.place.cmp(&other.place));
    Ok(found)
}

fn of_text(name: &str, text: &str) -> Vec<Sample> {
    let (mut found, mut open) = (Vec::new(), None::<Sample>);
    for (number, line) in text.lines().enumerate() {
        let Some(line) = line.trim_start().strip_prefix("///") else {
            open = None;
            continue;
        };
        let line = line.strip_prefix(' ').unwrap_or(line);
        match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(sample)) => found.push(sample),
            (Some(kind), None) => open = opened(kind, format!("{name}:{}", number + 1)),
            (None, Some(mut sample)) => {
                sample.code += line;
                sample.code.push('\n');
                open = Some(sample);
            }
            (None, None) => {}
        }
    }
    found
}

/// Begins a sample of code; nothing else is compiled.
fn opened(kind: &str, place: String) -> Option<Sample> {
    let error = match kind {
        "" | "no_run" => None,
        other => Some(other.strip_prefix("compile_fail,")?.to_owned()),
    };
    let code = String::new();
    Some(Sample { place, error, code })
}

/// Hands code to the compiler with the crates that this program was built from.
pub struct Compiler {
    crates: PathBuf,
    tests: PathBuf,
    folder: tempfile::TempDir,
}

impl Compiler {
    /// Looks for the crates beside this program: of those that are there, the newest with which `control` compiles.
    ///
    /// # Errors
    ///
    /// None does, or the compiler cannot be started.
    pub fn find(control: &Sample) -> Result<Self> {
        let own = std::env::current_exe()?;
        let crates = own.parent().context("a program is in a folder")?;
        let mut built = Vec::new();
        for entry in fs::read_dir(crates)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("libaquifer_tests-") && name.ends_with(".rlib") {
                built.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        built.sort_by_key(|(at, _): &(SystemTime, _)| std::cmp::Reverse(*at));
        let mut last = String::from("no libaquifer_tests beside this program");
        for (_, tests) in built {
            let (crates, folder) = (crates.to_owned(), tempfile::tempdir()?);
            let compiler = Self {
                crates,
                tests,
                folder,
            };
            match compiler.compile(control)? {
                Said::Fine => return Ok(compiler),
                Said::Wrong(_, text) => last = text,
            }
        }
        bail!("{} does not compile: {last}", control.place)
    }

    /// Compiles a sample as the body of a function.
    ///
    /// # Errors
    ///
    /// The compiler cannot be started.
    pub fn compile(&self, sample: &Sample) -> Result<Said> {
        let source = self.folder.path().join("sample.rs");
        let text = format!("{START}{}}}\n", sample.code);
        fs::write(&source, text)?;
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut found = Command::new(compiler);
        found.args(["--edition=2024", "--crate-type=lib", "--emit=metadata"]);
        found.args(["-Awarnings", "--color=never", "--out-dir"]);
        found.arg(self.folder.path());
        found.arg("-L").arg(joined("dependency=", &self.crates));
        found
            .arg("--extern")
            .arg(joined("aquifer_tests=", &self.tests));
        let output = found.arg(&source).output();
        let output = output.context("cannot start the compiler")?;
        if output.status.success() {
            return Ok(Said::Fine);
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let codes = text.lines().filter_map(|line| line.strip_prefix("error["));
        let codes = codes.filter_map(|rest| rest.split(']').next());
        let mut codes: Vec<String> = codes.map(str::to_owned).collect();
        codes.sort_unstable();
        codes.dedup();
        ensure!(text.contains("error"), "the compiler failed: {text}");
        Ok(Said::Wrong(codes, text))
    }
}

fn joined(start: &str, path: &Path) -> OsString {
    let mut whole = OsString::from(start);
    whole.push(path);
    whole
}

const START: &str = "use aquifer_tests::forbidden::products::{aquifer_coordinator, aquifer_node, aquifer_shared};\n\
                     fn sample() {\n";

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "/// Nobody does:\n///\n/// ```compile_fail,E0308\n/// let one: u8 = \"x\";\n/// ```\n///\n/// \
                        ```\n/// let one = 1;\n/// ```\n///\n/// ```text\n/// none\n/// ```\nfn x() {}\n";

    #[test]
    fn samples_are_read_with_their_places() {
        let found = of_text("x.rs", TEXT);
        let sample = |line: u8, error: Option<&str>, code: &str| Sample {
            place: format!("x.rs:{line}"),
            error: error.map(str::to_owned),
            code: code.to_owned(),
        };
        let refused = sample(3, Some("E0308"), "let one: u8 = \"x\";\n");
        assert_eq!(found, [refused.clone(), sample(7, None, "let one = 1;\n")]);
        let said = |codes: &[&str]| {
            let codes = codes.iter().map(|code| (*code).to_owned());
            Said::Wrong(codes.collect(), String::new())
        };
        assert!(refused.is_as_written(&said(&["E0308"])));
        assert!(!refused.is_as_written(&Said::Fine));
        assert!(!refused.is_as_written(&said(&["E0433"])));
        assert!(!refused.is_as_written(&said(&["E0308", "E0433"])));
        assert!(!found[1].is_as_written(&said(&["E0308"])));
    }
}
