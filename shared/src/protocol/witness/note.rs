//! Names of logs, cosignatures, and how many of them are enough.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::ids::{Hash32, IdentityKey};
use crate::base::limits::HISTORY_PROOF_HASHES_MAX;
use crate::domain::pack::UNIT_LOG;
use crate::domain::tlog::{Checkpoint, NoteSignature, SignedNote, key_hash};

/// Name of the coordinator's log: from its key, so that another key is another log.
#[must_use]
pub fn coordinator_origin(key: &IdentityKey) -> String {
    format!("aquifer/coordinator/{:.16}", key.to_string())
}

/// Name of a node's log, and of the node as a witness.
#[must_use]
pub fn node_origin(key: &IdentityKey) -> String {
    format!("{UNIT_LOG}{:.16}", key.to_string())
}

/// What a witness signs (C2SP tlog-cosignature, version 1).
#[must_use]
pub fn cosigned_text(seconds: u64, checkpoint: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{checkpoint}")
}

/// Cosignatures that make a quorum among `nodes` of which at most `dishonest` help a coordinator that shows two histories:
/// floor((n + c) / 2) + 1, so that two histories cannot both have one. Of two nodes one is enough: either may be away.
#[must_use]
pub fn quorum(nodes: usize, dishonest: usize) -> usize {
    match nodes {
        0..=2 => nodes.min(1),
        _ => (nodes + dishonest) / 2 + 1,
    }
}

/// A note of this log's key, and the checkpoint in it.
#[must_use]
pub fn read_note(note: &str, origin: &str, key: &IdentityKey) -> Option<(SignedNote, Checkpoint)> {
    let note = SignedNote::parse(note).ok()?;
    note.verify(origin, key).ok()?;
    let checkpoint = Checkpoint::parse(&note.text).ok()?;
    (checkpoint.origin == origin).then_some((note, checkpoint))
}

/// The note with these cosignatures behind its own signatures.
#[must_use]
pub fn with_cosignatures<'a>(
    note: &str,
    cosignatures: impl IntoIterator<Item = (&'a IdentityKey, u64, &'a [u8])>,
) -> Option<String> {
    let mut note = SignedNote::parse(note).ok()?;
    let lines = cosignatures.into_iter().map(|(key, seconds, signature)| {
        let name = node_origin(key);
        NoteSignature {
            key_hash: key_hash(&name, COSIGNATURE_TYPE, &key.0),
            name,
            bytes: [&seconds.to_be_bytes()[..], signature].concat(),
        }
    });
    note.signatures.extend(lines);
    Some(note.to_text())
}

/// Whether this witness signed the note.
pub(super) fn is_cosigned(note: &SignedNote, key: &IdentityKey) -> bool {
    let name = node_origin(key);
    let hash = key_hash(&name, COSIGNATURE_TYPE, &key.0);
    let mut own = note
        .signatures
        .iter()
        .filter(|line| line.name == name && line.key_hash == hash);
    own.any(|line| {
        line.bytes
            .split_first_chunk::<8>()
            .is_some_and(|(seconds, signature)| {
                is_signed(key, u64::from_be_bytes(*seconds), &note.text, signature)
            })
    })
}

/// Whether this witness signed this checkpoint at this time.
pub(super) fn is_signed(key: &IdentityKey, seconds: u64, text: &str, signature: &[u8]) -> bool {
    let signed = cosigned_text(seconds, text);
    let public = UnparsedPublicKey::new(&ED25519, key.0);
    public.verify(signed.as_bytes(), signature).is_ok()
}

/// A proof as a file (C2SP tlog-proof): place, hashes, checkpoint.
#[must_use]
pub fn tlog_proof(index: u64, hashes: &[Hash32], note: &str) -> String {
    let lines = hashes
        .iter()
        .map(|hash| format!("{}\n", STANDARD.encode(hash.0)));
    format!(
        "{PROOF_HEAD}\nindex {index}\n{}\n{note}",
        lines.collect::<String>()
    )
}

/// Reads a proof: place, hashes, and the checkpoint that it ends in.
#[must_use]
pub fn read_tlog_proof(text: &str) -> Option<(u64, Vec<Hash32>, String)> {
    let rest = text.strip_prefix(PROOF_HEAD)?.strip_prefix("\nindex ")?;
    let (index, rest) = rest.split_once('\n')?;
    let number: u64 = index.parse().ok()?;
    let (hashes, note) = match rest.strip_prefix('\n') {
        Some(note) => ("", note),
        None => rest.split_once("\n\n")?,
    };
    let hash = |line: &str| STANDARD.decode(line).ok()?.try_into().ok().map(Hash32);
    let hashes = hashes.lines().map(hash).collect::<Option<Vec<_>>>()?;
    let short = hashes.len() <= HISTORY_PROOF_HASHES_MAX && number.to_string() == index;
    short.then(|| (number, hashes, note.to_owned()))
}

/// First line of a proof.
const PROOF_HEAD: &str = "c2sp.org/tlog-proof@v1";
/// Number of cosignatures by Ed25519 (C2SP signed-note).
const COSIGNATURE_TYPE: u8 = 4;
