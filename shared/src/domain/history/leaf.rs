//! One leaf: 108 bytes, big-endian, the same for every event.

use super::kind::Kind;
use crate::base::ids::{Hash32, Role};
use crate::base::time::Timestamp;

/// Bytes of every leaf.
pub const LEAF_BYTES: usize = 108;
/// Version of the payloads that go with the leaves.
pub const SCHEMA_VERSION: u16 = 1;
const MAGIC: [u8; 4] = *b"AQL1";

/// What kind of being acted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ActorKind {
    /// A program by itself: a timer, a start.
    Program = 1,
    /// A node, by its certificate.
    Node = 2,
    /// A person, by a certificate or a token.
    Person = 3,
}

/// In which role.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ActorRole {
    /// None.
    None = 0,
    /// A business unit's node.
    Node = 1,
    /// Submits and aborts studies.
    Operator = 2,
    /// Signs studies.
    Approver = 3,
    /// Asks questions.
    Analyst = 4,
    /// Reads everything that is public inside the company.
    Auditor = 5,
    /// Data protection officer.
    Dpo = 6,
    /// The coordinator.
    Coordinator = 7,
    /// A person at the unit.
    Unit = 8,
}

impl From<Role> for ActorRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Node => Self::Node,
            Role::Operator => Self::Operator,
            Role::Approver => Self::Approver,
            Role::Analyst => Self::Analyst,
            Role::Auditor => Self::Auditor,
            Role::Dpo => Self::Dpo,
        }
    }
}

/// A leaf of a history.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leaf {
    /// What happened; retention class and what it says of persons follow from it.
    pub kind: Kind,
    /// Its place in the log, from 0.
    pub seq: u64,
    /// UUIDv7.
    pub event_id: [u8; 16],
    /// When it was written down; never before the leaf in front of it.
    pub recorded_at: Timestamp,
    /// Who, by kind; the identity is in the payload.
    pub actor_kind: ActorKind,
    /// Who, by role.
    pub actor_role: ActorRole,
    /// Packs and settings in force; zero where none are.
    pub policy: Hash32,
    /// Salted hash of the payload.
    pub payload_commit: Hash32,
}

/// Bytes that are no leaf.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadLeaf {
    /// Another length.
    #[error("a leaf of {got} bytes, expected {LEAF_BYTES}")]
    Length {
        /// Found.
        got: usize,
    },
    /// A field with a value that no leaf has.
    #[error("field {field}: expected {expected}")]
    Field {
        /// Which.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
}

impl Leaf {
    /// The bytes that are hashed.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEAF_BYTES] {
        let classes = [
            self.actor_kind as u8,
            self.actor_role as u8,
            self.kind.retention() as u8,
            self.kind.persons() as u8,
        ];
        let parts: [&[u8]; 9] = [
            &MAGIC,
            &self.kind.code().to_be_bytes(),
            &SCHEMA_VERSION.to_be_bytes(),
            &self.seq.to_be_bytes(),
            &self.event_id,
            &self.recorded_at.0.to_be_bytes(),
            &classes,
            &self.policy.0,
            &self.payload_commit.0,
        ];
        let mut bytes = [0; LEAF_BYTES];
        let mut at = 0;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        bytes
    }

    /// Reads a leaf; accepts only what [`Leaf::to_bytes`] would have written.
    ///
    /// # Errors
    ///
    /// The field that is not as it must be.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadLeaf> {
        let bad = |field, expected| BadLeaf::Field { field, expected };
        let got = bytes.len();
        let whole: &[u8; LEAF_BYTES] = bytes.try_into().map_err(|_| BadLeaf::Length { got })?;
        let mut rest = &whole[..];
        if *take::<4>(&mut rest) != MAGIC {
            return Err(bad("magic", "AQL1"));
        }
        let kind = Kind::of_code(u16::from_be_bytes(*take(&mut rest)));
        let kind = kind.ok_or(bad("kind", "a code of the closed list"))?;
        if u16::from_be_bytes(*take(&mut rest)) != SCHEMA_VERSION {
            return Err(bad("schema_ver", "1"));
        }
        let seq = u64::from_be_bytes(*take(&mut rest));
        let event_id = *take::<16>(&mut rest);
        let is_v7 = event_id[6] >> 4 == 7 && event_id[8] >> 6 == 0b10;
        let recorded_at = u64::from_be_bytes(*take(&mut rest));
        let [actor_kind, actor_role, retention, persons] = *take::<4>(&mut rest);
        if !is_v7 {
            return Err(bad("event_id", "a UUID of version 7"));
        }
        if recorded_at > i64::MAX.cast_unsigned() {
            return Err(bad("recorded_at", "milliseconds since 1970"));
        }
        if retention != kind.retention() as u8 {
            return Err(bad("retention_class", "the class of the kind"));
        }
        if persons != kind.persons() as u8 {
            return Err(bad("personal_data", "what goes with the kind"));
        }
        let policy = Hash32(*take(&mut rest));
        Ok(Self {
            kind,
            seq,
            event_id,
            recorded_at: Timestamp(recorded_at),
            actor_kind: actor_kind_of(actor_kind).ok_or(bad("actor_kind", "1 to 3"))?,
            actor_role: actor_role_of(actor_role).ok_or(bad("actor_role", "0 to 8"))?,
            policy,
            payload_commit: Hash32(*take(&mut rest)),
        })
    }
}

/// The next bytes; the caller has as many.
fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> &'a [u8; N] {
    let (part, after) = rest
        .split_first_chunk()
        .expect("108 bytes hold all fields: checked in parse");
    *rest = after;
    part
}

fn actor_kind_of(code: u8) -> Option<ActorKind> {
    use ActorKind as A;
    [A::Program, A::Node, A::Person]
        .into_iter()
        .find(|kind| *kind as u8 == code)
}

fn actor_role_of(code: u8) -> Option<ActorRole> {
    use ActorRole as A;
    let all = [
        A::None,
        A::Node,
        A::Operator,
        A::Approver,
        A::Analyst,
        A::Auditor,
        A::Dpo,
        A::Coordinator,
        A::Unit,
    ];
    all.into_iter().find(|role| *role as u8 == code)
}
