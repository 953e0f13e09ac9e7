//! Which files a pack has, and their lines.

use std::fmt::Write;

use super::entry::{Body, Entry};
use crate::base::ids::Hash32;
use crate::base::limits::HISTORY_PAYLOAD_BYTES_MAX;
use crate::domain::history::LEAF_BYTES;

/// The name of this form.
pub(super) const FORMAT: &str = "aquifer/pack/v1";
pub(super) const REPORT: &str = "report.json";
pub(super) const PAGE: &str = "report.html";
pub(super) const LEAVES: &str = "log/leaves";
pub(super) const HASHES: &str = "log/hashes";
pub(super) const PAYLOADS: &str = "log/payloads";
pub(super) const FRONTIER: &str = "log/frontier";
pub(super) const EARLIER: &str = "log/earlier";
pub(super) const CHECKPOINTS: &str = "checkpoints/";
pub(super) const CONSISTENCY: &str = "proofs/consistency";
pub(super) const INCLUSION: &str = "proofs/inclusion";
pub(super) const POLICY: &str = "tlog-policy";
pub(super) const BOOKS: &str = "policy-bundle/books";
pub(super) const BUNDLE: &str = "policy-bundle/";
pub(super) const SPENDS: &str = "budget/spends";
pub(super) const TESTS: &str = "tests/results.json";
pub(super) const RIGHTS: &str = "rights/clocks.json";
pub(super) const EXCEPTIONS: &str = "exceptions/alarms";
pub(super) const SBOM: &str = "sbom.cdx.json";
pub(super) const PROVENANCE: &str = "provenance.dsse.json";
pub(super) const VERIFY: &str = "VERIFY.md";
pub(super) const MANIFEST: &str = "MANIFEST";
/// The one file that is added to a pack after it was made.
pub const SAMPLE_FILE: &str = "decisions.sample";
/// How a person checks a pack.
pub(super) const VERIFY_TEXT: &str = include_str!("VERIFY.md");

/// The files that every pack has, checkpoints and texts of rule packs aside.
pub(super) const NEEDED: [&str; 19] = [
    MANIFEST,
    VERIFY,
    SPENDS,
    EXCEPTIONS,
    EARLIER,
    FRONTIER,
    HASHES,
    LEAVES,
    PAYLOADS,
    BOOKS,
    CONSISTENCY,
    INCLUSION,
    PROVENANCE,
    PAGE,
    REPORT,
    RIGHTS,
    SBOM,
    TESTS,
    POLICY,
];

/// Whether a pack may have a file of this path.
#[must_use]
pub fn is_known(path: &str) -> bool {
    let text = path
        .strip_prefix(BUNDLE)
        .and_then(|name| name.strip_suffix(".toml"));
    NEEDED.contains(&path)
        || path == SAMPLE_FILE
        || size_of(path).is_some()
        || text.is_some_and(|digest| hash(digest.as_bytes()).is_some())
}

/// Whether the manifest lists it.
pub(super) fn is_covered(path: &str) -> bool {
    path != MANIFEST && path != SAMPLE_FILE
}

/// Where the checkpoint of a size is.
pub(super) fn checkpoint_path(size: u64) -> String {
    format!("{CHECKPOINTS}{size:020}")
}

/// The size in the path of a checkpoint.
pub(super) fn size_of(path: &str) -> Option<u64> {
    let size = path.strip_prefix(CHECKPOINTS)?.parse().ok()?;
    (checkpoint_path(size) == path).then_some(size)
}

/// `INDEX SALT PAYLOAD`, or `INDEX erased`.
pub(super) fn body_line(index: u64, body: &Body, out: &mut Vec<u8>) {
    out.extend(index.to_string().as_bytes());
    match body {
        Body::Erased => out.extend(b" erased"),
        Body::Kept { salt, payload } => {
            out.extend(format!(" {} ", Hash32(*salt)).as_bytes());
            out.extend(payload);
        }
    }
    out.push(b'\n');
}

/// Reads a line that [`body_line`] wrote, without its end.
pub(super) fn read_body(line: &[u8]) -> Option<(u64, Body)> {
    let (index, rest) = word(line)?;
    let index = number(index)?;
    if rest == b"erased" {
        return Some((index, Body::Erased));
    }
    let (salt, payload) = word(rest)?;
    let fits = !payload.is_empty() && payload.len() <= HISTORY_PAYLOAD_BYTES_MAX;
    fits.then_some(())?;
    let body = Body::Kept {
        salt: hash(salt)?.0,
        payload: payload.to_vec(),
    };
    Some((index, body))
}

/// `LEAF INDEX SALT PAYLOAD`: an entry with its leaf.
pub(super) fn entry_line(entry: &Entry, out: &mut Vec<u8>) {
    out.extend(hex(&entry.leaf).as_bytes());
    out.push(b' ');
    body_line(entry.index, &entry.body, out);
}

/// Reads a line that [`entry_line`] wrote.
pub(super) fn read_entry(line: &[u8]) -> Option<Entry> {
    let (leaf, rest) = word(line)?;
    let (index, body) = read_body(rest)?;
    let leaf: [u8; LEAF_BYTES] = unhex(leaf)?.try_into().ok()?;
    Some(Entry { index, leaf, body })
}

/// `INDEX HASH HASH ...`.
pub(super) fn proof_line(index: u64, proof: &[Hash32]) -> String {
    let hashes = proof.iter().map(|hash| format!(" {hash}"));
    format!("{index}{}\n", hashes.collect::<String>())
}

/// Reads a line that [`proof_line`] wrote.
pub(super) fn read_proof_line(line: &[u8]) -> Option<(u64, Vec<Hash32>)> {
    let mut words = line.split(|byte| *byte == b' ');
    let index = number(words.next()?)?;
    let hashes: Option<Vec<Hash32>> = words.map(hash).collect();
    Some((index, hashes?))
}

/// The lines of a file whose every line ends.
pub(super) fn lines(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let body = bytes.strip_suffix(b"\n")?;
    Some(body.split(|byte| *byte == b'\n').collect())
}

/// The first word, and what is behind the space after it.
pub(super) fn word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|byte| *byte == b' ')?;
    Some((&line[..at], &line[at + 1..]))
}

/// A number without sign and leading zeros.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let text = str::from_utf8(text).ok()?;
    text.parse()
        .ok()
        .filter(|got: &u64| got.to_string() == text)
}

/// 64 digits in small letters.
pub(super) fn hash(text: &[u8]) -> Option<Hash32> {
    unhex(text)?.try_into().ok().map(Hash32)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.chunks_exact(2);
    pairs.remainder().is_empty().then_some(())?;
    pairs
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}
