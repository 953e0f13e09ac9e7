//! Looks for planted values in whatever bytes a deployment leaves: files, memory, datagrams; in the forms that values take there.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Values that are planted, each in many forms.
pub struct Traces {
    /// What is looked for, and what it is.
    forms: Vec<(Vec<u8>, String)>,
    /// By their first two bytes.
    starts: Vec<Vec<u16>>,
}

impl Traces {
    /// Traces of texts and of numbers.
    #[must_use]
    pub fn of(texts: &[&str], numbers: &[f64]) -> Self {
        let texts = texts.iter().flat_map(|text| text_forms(text));
        let numbers = numbers.iter().flat_map(|number| number_forms(*number));
        let forms: Vec<_> = texts.chain(numbers).collect();
        let mut starts = vec![Vec::new(); 1 << 16];
        for (number, (bytes, _)) in forms.iter().enumerate() {
            starts[start(bytes)].push(number as u16);
        }
        Self { forms, starts }
    }

    /// All forms, for planting them on purpose.
    pub fn forms(&self) -> impl Iterator<Item = (&[u8], &str)> {
        self.forms
            .iter()
            .map(|(bytes, what)| (bytes.as_slice(), what.as_str()))
    }

    /// What is found first in some bytes.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Option<&str> {
        for (at, pair) in bytes.windows(2).enumerate() {
            let candidates = &self.starts[start(pair)];
            let found = candidates
                .iter()
                .find(|form| bytes[at..].starts_with(&self.forms[usize::from(**form)].0));
            if let Some(form) = found {
                return Some(&self.forms[usize::from(*form)].1);
            }
        }
        None
    }

    /// Every file of a folder that holds a trace, but those that `own` says are the unit's own; and how many were looked at.
    ///
    /// # Errors
    ///
    /// A file or folder cannot be read.
    pub fn in_files(
        &self,
        folder: &Path,
        own: &dyn Fn(&Path) -> bool,
    ) -> Result<(Vec<String>, usize)> {
        let (mut found, mut looked) = (Vec::new(), 0);
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                let (below, more) = self.in_files(&path, own)?;
                found.extend(below);
                looked += more;
            } else if path.is_file() && !own(&path) {
                looked += 1;
                let bytes = fs::read(&path)?;
                found.extend(
                    self.find(&bytes)
                        .map(|what| format!("{what} in {}", path.display())),
                );
            }
        }
        Ok((found, looked))
    }

    /// What is found first in the memory of a process that is this one's child, and how many bytes were looked at.
    ///
    /// # Errors
    ///
    /// The process is gone, or may not be read.
    pub fn in_memory(&self, pid: u32) -> Result<(Option<String>, u64)> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let memory = fs::File::open(format!("/proc/{pid}/mem")).context("memory of a child")?;
        let mut looked = 0;
        for map in maps.lines() {
            let Some((from, to)) = region(map) else {
                continue;
            };
            let mut bytes = vec![0; usize::try_from(to - from)?];
            // A region that went away meanwhile, or one of the kernel's own.
            if memory.read_exact_at(&mut bytes, from).is_err() {
                continue;
            }
            looked += to - from;
            if let Some(what) = self.find(&bytes) {
                return Ok((Some(format!("{what} in {map}")), looked));
            }
        }
        Ok((None, looked))
    }
}

/// Bounds of a region that can be read.
fn region(map: &str) -> Option<(u64, u64)> {
    let (bounds, rest) = map.split_once(' ')?;
    let (from, to) = bounds.split_once('-')?;
    let read = rest.starts_with('r') && !rest.contains("[v");
    let number = |text| u64::from_str_radix(text, 16).ok();
    number(from).zip(number(to)).filter(|_| read)
}

fn start(bytes: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn text_forms(text: &str) -> Vec<(Vec<u8>, String)> {
    let bytes = text.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let wide: Vec<u16> = text.encode_utf16().collect();
    let mut forms = vec![
        (bytes.to_vec(), "UTF-8"),
        (text.to_lowercase().into_bytes(), "UTF-8, small letters"),
        (text.to_uppercase().into_bytes(), "UTF-8, capitals"),
        (
            wide.iter().flat_map(|unit| unit.to_le_bytes()).collect(),
            "UTF-16, little end first",
        ),
        (
            wide.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
            "UTF-16, big end first",
        ),
        (hex.to_uppercase().into_bytes(), "hexadecimal capitals"),
        (hex.into_bytes(), "hexadecimal"),
    ];
    forms.extend((0..3).map(|shift| (base64_inside(bytes, shift), "base64")));
    let name = |(bytes, form)| (bytes, format!("{text} ({form})"));
    forms.into_iter().map(name).collect()
}

fn number_forms(number: f64) -> Vec<(Vec<u8>, String)> {
    let scaled = (number * 1e6).round() as i64;
    let forms = [
        (number.to_le_bytes(), "double, little end first"),
        (number.to_be_bytes(), "double, big end first"),
        (scaled.to_le_bytes(), "millionths, little end first"),
        (scaled.to_be_bytes(), "millionths, big end first"),
    ];
    let mut forms: Vec<(Vec<u8>, &str)> = forms.map(|(bytes, form)| (bytes.to_vec(), form)).into();
    forms.push((scaled.to_string().into_bytes(), "millionths, digits"));
    let name = |(bytes, form)| (bytes, format!("{number} ({form})"));
    forms.into_iter().map(name).collect()
}

/// What base64 of any text shows where these bytes stand in it, `shift` bytes behind a multiple of three.
fn base64_inside(bytes: &[u8], shift: usize) -> Vec<u8> {
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    // Characters that depend on what stands before or behind are left out.
    let skipped = (6 - shift * 8 % 6) % 6;
    let bits: Vec<u8> = bits.skip(skipped).collect();
    let sextets = bits.chunks_exact(6);
    let value = |sextet: &[u8]| {
        sextet
            .iter()
            .fold(0_usize, |value, bit| value << 1 | usize::from(*bit))
    };
    sextets.map(|sextet| ALPHABET[value(sextet)]).collect()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_known_at_every_place() {
        // base64 of "", "x", "xy" before "canary-4711-id" and "!" behind.
        let encoded = [
            "Y2FuYXJ5LTQ3MTEtaWQh",
            "eGNhbmFyeS00NzExLWlkIQ==",
            "eHljYW5hcnktNDcxMS1pZCE=",
        ];
        for (shift, encoded) in encoded.into_iter().enumerate() {
            let inside = String::from_utf8(base64_inside(b"canary-4711-id", shift)).unwrap();
            assert!(
                encoded.contains(&inside) && inside.len() >= 17,
                "{shift}: {inside}"
            );
        }
    }

    #[test]
    fn every_form_is_found_and_nothing_else() {
        let traces = Traces::of(&["QXCANARY-4711"], &[87.654_321]);
        assert_eq!(traces.forms().count(), 15);
        for (form, what) in traces.forms() {
            let around = [b"before".as_slice(), form, b"behind"].concat();
            assert!(traces.find(&around).is_some(), "{what}");
            assert_eq!(
                traces.find(&around[..5 + form.len()]),
                None,
                "{what}: one byte short"
            );
        }
        assert_eq!(traces.find(b""), None);
    }

    #[test]
    fn a_planted_file_is_found_and_an_own_one_is_left() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("below/log"), "x QXCANARY-4711 x").unwrap();
        fs::write(folder.path().join("own.csv"), "QXCANARY-4711").unwrap();
        let traces = Traces::of(&["QXCANARY-4711"], &[]);
        let own = |path: &Path| path.extension().is_some_and(|end| end == "csv");
        let (found, looked) = traces.in_files(folder.path(), &own).unwrap();
        assert_eq!((found.len(), looked), (1, 1));
        assert!(found[0].contains("below/log"), "{found:?}");
    }

    #[test]
    fn own_memory_is_read() {
        let word = String::from("QXMEMORY-") + &"4711".repeat(2);
        let traces = Traces::of(&[&word], &[]);
        let (found, looked) = traces.in_memory(std::process::id()).unwrap();
        assert!(found.is_some() && looked > 0);
    }
}
