//! Receipts: what a person is given about their consent, with the evidence that the unit's log has it.
//!
//! What a receipt says is its owner's business; here is the envelope, and how it is checked by somebody who has nothing else.

use super::checks::{Check, Checked, Finding, Verdict};
use super::entry::raw;
use super::layout::{hash, hex, unhex};
use super::log_policy::{LogPolicy, VerifierKey};
use super::tree::read_proof;
use crate::base::hash::sha256;
use crate::base::limits::RECEIPT_BYTES_MAX;
use crate::domain::history::{Json, Kind, LEAF_BYTES, Leaf, payload_commit};
use crate::domain::tlog::{Checkpoint, SignedNote, leaf_hash, verify_inclusion};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

/// A receipt before it is signed.
///
/// # Privacy
///
/// `content` is about one person and for that person alone. The log's payload holds only its hash.
#[derive(Clone, Eq, PartialEq)]
pub struct Receipt {
    /// What the receipt says: an object.
    pub content: Json,
    /// Key of who issues it, of type 1.
    pub issuer: VerifierKey,
    /// Key of the log, of type 1.
    pub log: VerifierKey,
    /// The leaf of `receipt.issued`.
    pub leaf: [u8; LEAF_BYTES],
    /// Its payload: an object whose `receipt_sha256` is [`Receipt::digest`].
    pub payload: Vec<u8>,
    /// Its salt.
    pub salt: [u8; 32],
    /// That the entry is in the log, with the checkpoint (C2SP tlog-proof, [`super::prove`]).
    pub proof: String,
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Receipt(<personal>)")
    }
}

impl Receipt {
    /// What the payload of `receipt.issued` must hold as `receipt_sha256`: SHA-256 of the content's text, in hexadecimal digits.
    #[must_use]
    pub fn digest(content: &Json) -> String {
        sha256(content.to_text().as_bytes()).to_string()
    }

    /// The bytes that the issuer signs.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        signed_bytes(&self.to_json())
    }

    /// The file that is given to the person.
    #[must_use]
    pub fn to_file(&self, signature: &[u8; 64]) -> String {
        let mut json = self.to_json();
        if let Json::Object(fields) = &mut json {
            fields.insert("signature".to_owned(), hex(signature).into());
        }
        json.to_text() + "\n"
    }

    fn to_json(&self) -> Json {
        Json::object([
            ("content", self.content.clone()),
            ("format", FORMAT.into()),
            ("issuer", self.issuer.to_text().into()),
            ("leaf", hex(&self.leaf).into()),
            ("log", self.log.to_text().into()),
            (
                "payload",
                String::from_utf8_lossy(&self.payload).into_owned().into(),
            ),
            ("proof", self.proof.as_str().into()),
            ("salt", hex(&self.salt).into()),
        ])
    }
}

fn signed_bytes(unsigned: &Json) -> Vec<u8> {
    [b"aquifer/receipt/v1\n", unsigned.to_text().as_bytes()].concat()
}

/// Checks a receipt's file. Keys are those in the receipt, unless a policy of the log is given.
#[must_use]
pub fn verify_receipt(file: &[u8], policy: Option<&LogPolicy>) -> Verdict {
    let Some(read) = Read::of(file) else {
        let format = Finding::of(FILE, None, "not a receipt in its form");
        return only(
            Checked::new(Check::Format, vec![format]),
            "the receipt is not in form",
        );
    };
    let mut done = vec![Checked::new(Check::Format, Vec::new())];
    done.extend(read.checks(policy));
    complete(done)
}

struct Read {
    receipt: Receipt,
    unsigned: Json,
    signature: Vec<u8>,
    index: u64,
    hashes: Vec<crate::base::ids::Hash32>,
    note: SignedNote,
    checkpoint: Checkpoint,
}

impl Read {
    fn of(file: &[u8]) -> Option<Self> {
        let text = file.strip_suffix(b"\n")?;
        let mut unsigned = Json::document(text, RECEIPT_BYTES_MAX).ok()?;
        let Json::Object(fields) = &mut unsigned else {
            return None;
        };
        let signature = unhex(fields.remove("signature")?.as_text()?.as_bytes())?;
        let field = |key: &str| fields.get(key).and_then(Json::as_text);
        let receipt = Receipt {
            content: fields
                .get("content")
                .filter(|content| matches!(content, Json::Object(_)))?
                .clone(),
            issuer: VerifierKey::parse(field("issuer")?)?,
            log: VerifierKey::parse(field("log")?)?,
            leaf: unhex(field("leaf")?.as_bytes())?.try_into().ok()?,
            payload: field("payload")?.as_bytes().to_vec(),
            salt: hash(field("salt")?.as_bytes())?.0,
            proof: field("proof")?.to_owned(),
        };
        let (index, hashes, checkpoint) = read_proof(&receipt.proof)?;
        let note = SignedNote::parse(checkpoint)
            .ok()
            .filter(|note| note.to_text() == checkpoint)?;
        let checkpoint = Checkpoint::parse(&note.text).ok()?;
        (receipt.to_json() == unsigned && signature.len() == 64).then_some(Self {
            receipt,
            unsigned,
            signature,
            index,
            hashes,
            note,
            checkpoint,
        })
    }

    fn checks(&self, policy: Option<&LogPolicy>) -> Vec<Checked> {
        let own = &self.receipt;
        let one = |check, is_held: bool, what: &str| {
            let finding = (!is_held).then(|| Finding::of(FILE, Some(self.index), what));
            Checked::new(check, finding.into_iter().collect())
        };
        let log = policy.map_or(&own.log, |policy| &policy.log);
        let signed = log.signed(&self.note) == Some(true)
            && self.checkpoint.origin == log.name
            && *log == own.log;
        let (index, size) = (self.index, self.checkpoint.size);
        let is_in = verify_inclusion(
            &leaf_hash(&own.leaf),
            (index, size),
            &self.hashes,
            &self.checkpoint.root,
        );
        let issued = Leaf::parse(&own.leaf).is_ok_and(|leaf| leaf.kind == Kind::ReceiptIssued);
        vec![
            one(
                Check::Signature,
                signed,
                "no signature of the log over the checkpoint",
            ),
            self.witnesses(policy),
            one(
                Check::Order,
                raw::seq(&own.leaf) == index,
                "a leaf that says it is another entry",
            ),
            one(Check::Kinds, issued, "not an entry receipt.issued"),
            one(
                Check::Payloads,
                self.is_committed(),
                "the entry does not commit to this content",
            ),
            one(
                Check::Proofs,
                is_in.is_ok(),
                "the entry is not in the log of the checkpoint",
            ),
            one(
                Check::Issuer,
                self.is_signed(),
                "the issuer did not sign this receipt",
            ),
        ]
    }

    fn witnesses(&self, policy: Option<&LogPolicy>) -> Checked {
        let Some(policy) = policy.filter(|policy| policy.has_quorum()) else {
            return Checked::not_run(Check::Witnesses, "no policy with witnesses was given");
        };
        let signed = policy
            .witnesses
            .iter()
            .filter(|(_, key)| key.signed(&self.note) == Some(true));
        let signed: Vec<&str> = signed.map(|(name, _)| name.as_str()).collect();
        let what = (!policy.is_quorum(&signed))
            .then(|| Finding::of(FILE, Some(self.index), "no quorum of witnesses"));
        Checked::new(Check::Witnesses, what.into_iter().collect())
    }

    fn is_committed(&self) -> bool {
        let own = &self.receipt;
        let digest = Receipt::digest(&own.content);
        let named = Json::parse(&own.payload).is_ok_and(|payload| {
            payload.get("receipt_sha256").and_then(Json::as_text) == Some(&digest)
        });
        named && payload_commit(&own.salt, &own.payload) == raw::commit(&own.leaf)
    }

    fn is_signed(&self) -> bool {
        let public = UnparsedPublicKey::new(&ED25519, self.receipt.issuer.key.0);
        let bytes = signed_bytes(&self.unsigned);
        self.receipt.issuer.key_type == 1 && public.verify(&bytes, &self.signature).is_ok()
    }
}

fn only(checked: Checked, why: &'static str) -> Verdict {
    let others = Check::ALL.iter().filter(|check| **check != checked.check);
    let others: Vec<Checked> = others.map(|check| Checked::not_run(*check, why)).collect();
    Verdict::new(others.into_iter().chain([checked]).collect())
}

fn complete(mut done: Vec<Checked>) -> Verdict {
    for check in Check::ALL {
        if done.iter().all(|checked| checked.check != *check) {
            done.push(Checked::not_run(*check, "for packs"));
        }
    }
    Verdict::new(done)
}

const FORMAT: &str = "aquifer/receipt/v1";
/// How findings name the file.
const FILE: &str = "receipt";
