//! Which program made a pack: a statement (in-toto) in a signed envelope (DSSE), under the log's own key.
//!
//! A program says itself which file it runs from: that is worth as much as the machine that it runs on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checks::Finding;
use super::files::Files;
use super::layout::{PROVENANCE, SBOM, hash};
use super::log_policy::VerifierKey;
use super::open::Contents;
use crate::base::hash::sha256;
use crate::base::ids::Hash32;
use crate::base::limits::DOCUMENT_BYTES_MAX;
use crate::domain::history::Json;

/// What a program says about itself, and about the log that it made a pack of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Statement {
    /// [`COORDINATOR`] or [`NODE`], whichever keeps the log.
    pub name: String,
    /// SHA-256 of the file that the program runs from.
    pub program: Hash32,
    /// Its version.
    pub version: String,
    /// What it was built for, as `x86_64-linux`.
    pub platform: String,
    /// Revision of the sources, where the build was told.
    pub revision: Option<String>,
    /// SHA-256 of the list of its parts.
    pub sbom: Hash32,
    /// The log's name.
    pub origin: String,
    /// Entries of the log, up to the end of the pack.
    pub size: u64,
    /// Root of these.
    pub root: Hash32,
}

impl Statement {
    /// The statement (in-toto Statement v1), in one form.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let subject = |name: &str, digest: &Hash32| {
            let digest = Json::object([("sha256", digest.to_string().into())]);
            Json::object([("digest", digest), ("name", name.into())])
        };
        let checkpoint = Json::object([
            ("origin", self.origin.as_str().into()),
            ("root", self.root.to_string().into()),
            ("size", self.size.into()),
        ]);
        let predicate = Json::object([
            ("checkpoint", checkpoint),
            ("limits", LIMITS.into()),
            ("platform", self.platform.as_str().into()),
            ("sourceRevision", self.revision()),
            ("version", self.version.as_str().into()),
        ]);
        let subjects = vec![
            subject(&self.name, &self.program),
            subject(SBOM, &self.sbom),
        ];
        Json::object([
            ("_type", STATEMENT_TYPE.into()),
            ("predicate", predicate),
            ("predicateType", PREDICATE_TYPE.into()),
            ("subject", Json::List(subjects)),
        ])
    }

    /// Reads what [`Statement::to_json`] gives.
    fn of(json: &Json) -> Option<Self> {
        let predicate = json.get("predicate")?;
        let text = |of: &Json, key: &str| of.get(key)?.as_text().map(str::to_owned);
        let Some(Json::List(subjects)) = json.get("subject") else {
            return None;
        };
        let [program, sbom] = subjects.as_slice() else {
            return None;
        };
        let digest = |of: &Json| hash(of.get("digest")?.get("sha256")?.as_text()?.as_bytes());
        let checkpoint = predicate.get("checkpoint")?;
        let revision = match predicate.get("sourceRevision")? {
            Json::Null => None,
            _ => Some(text(predicate, "sourceRevision").filter(|one| is_revision(one.as_bytes()))?),
        };
        let found = Self {
            name: text(program, "name").filter(|name| NAMES.contains(&name.as_str()))?,
            program: digest(program)?,
            version: text(predicate, "version").filter(|one| is_word(one))?,
            platform: text(predicate, "platform").filter(|one| is_word(one))?,
            revision,
            sbom: digest(sbom)?,
            origin: text(checkpoint, "origin")?,
            size: checkpoint.get("size")?.as_u64()?,
            root: hash(checkpoint.get("root")?.as_text()?.as_bytes())?,
        };
        (found.to_json() == *json).then_some(found)
    }

    /// What the report repeats of it.
    pub(super) fn told(&self) -> Json {
        Json::object([
            ("limits", LIMITS.into()),
            ("name", self.name.as_str().into()),
            ("platform", self.platform.as_str().into()),
            ("sha256", self.program.to_string().into()),
            ("source_revision", self.revision()),
            ("version", self.version.as_str().into()),
        ])
    }

    fn revision(&self) -> Json {
        self.revision.as_deref().map_or(Json::Null, Json::from)
    }
}

/// Whether a text is a revision: 40 or 64 digits in small letters.
#[must_use]
pub const fn is_revision(text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        if !matches!(text[at], b'0'..=b'9' | b'a'..=b'f') {
            return false;
        }
        at += 1;
    }
    at == 40 || at == 64
}

fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    (1..=WORD_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

/// What is signed of a statement (DSSE v1, pre-authentication encoding).
#[must_use]
pub fn signed_statement(statement: &str) -> String {
    let (type_length, length) = (PAYLOAD_TYPE.len(), statement.len());
    format!("DSSEv1 {type_length} {PAYLOAD_TYPE} {length} {statement}")
}

/// A statement in its envelope (DSSE v1).
#[must_use]
pub fn envelope(statement: &str, key: &VerifierKey, signature: &[u8]) -> String {
    enveloped(statement, &key.to_text(), signature).to_text()
}

fn enveloped(statement: &str, keyid: &str, signature: &[u8]) -> Json {
    let signature = Json::object([
        ("keyid", keyid.into()),
        ("sig", STANDARD.encode(signature).into()),
    ]);
    Json::object([
        ("payload", STANDARD.encode(statement).into()),
        ("payloadType", PAYLOAD_TYPE.into()),
        ("signatures", Json::List(vec![signature])),
    ])
}

/// An envelope, opened; nothing in it is believed yet.
pub(super) struct Opened {
    pub(super) statement: Statement,
    text: String,
    keyid: String,
    signature: Vec<u8>,
}

/// Opens the envelope of a pack; none where it is not in its one form.
pub(super) fn opened(files: &Files) -> Option<Opened> {
    let json = Json::document(files.get(PROVENANCE)?, DOCUMENT_BYTES_MAX).ok()?;
    let base64 = |of: &Json, key: &str| STANDARD.decode(of.get(key)?.as_text()?).ok();
    let Json::List(signatures) = json.get("signatures")? else {
        return None;
    };
    let [signature] = signatures.as_slice() else {
        return None;
    };
    let text = String::from_utf8(base64(&json, "payload")?).ok()?;
    let keyid = signature.get("keyid")?.as_text()?.to_owned();
    let statement = Json::document(text.as_bytes(), DOCUMENT_BYTES_MAX).ok()?;
    let found = Opened {
        statement: Statement::of(&statement)?,
        signature: base64(signature, "sig")?,
        text,
        keyid,
    };
    let again = enveloped(&found.text, &found.keyid, &found.signature);
    (again == json).then_some(found)
}

/// Whether the log signed it, and whether it is about this pack.
pub(super) fn check(files: &Files, contents: &Contents, log: &VerifierKey) -> Vec<Finding> {
    let finding = |what: &str| Finding::of(PROVENANCE, None, what);
    let Some(opened) = opened(files) else {
        return vec![finding("not a statement in its envelope")];
    };
    let mut findings = Vec::new();
    let signed = signed_statement(&opened.text);
    if opened.keyid != log.to_text() || !log.holds(&signed, &opened.signature) {
        findings.push(finding("not signed by the log"));
    }
    let said = &opened.statement;
    let expected = match log.is_of_unit() {
        true => NODE,
        false => COORDINATOR,
    };
    if said.name != expected {
        findings.push(finding("made by another program than keeps such a log"));
    }
    if files.get(SBOM).map(sha256) != Some(said.sbom) {
        findings.push(finding("another list of parts than the pack has"));
    }
    let last = contents.points.last().map(|point| &point.checkpoint);
    let is_own = last.is_some_and(|last| {
        (last.size, last.root) == (said.size, said.root) && last.origin == said.origin
    });
    if !is_own {
        findings.push(finding("made for a pack that ends elsewhere"));
    }
    findings
}

/// The program that keeps the coordinator's log.
pub const COORDINATOR: &str = "aquifer-coordinator";
/// The program that keeps a unit's log.
pub const NODE: &str = "aquifer-node";
const NAMES: [&str; 2] = [COORDINATOR, NODE];
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "urn:aquifer:terms:pack-provenance-v1";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const LIMITS: &str = "The digest is self-reported: the program read the file that it runs from and says so itself. This is no remote attestation, and it tells nothing about who built that file or how.";
const WORD_BYTES_MAX: usize = 64;
