//! An event as bytes of the ledger.

use aquifer_shared::domain::law::Place;
use aquifer_shared::protocol::codec::{CodecError, decode, encode};
use serde::{Deserialize, Serialize};

use crate::core::consent::{AgeSaid, ConsentEvent, EventKind, Scope, SubjectRef};

/// What is written. Kinds by number, so that the list can grow.
#[derive(Deserialize, Serialize)]
struct Record {
    subject: [u8; 16],
    scope: String,
    kind: u8,
    explicit: bool,
    notice: Option<u16>,
    event_at: i64,
    recorded_at: i64,
    valid_from: Option<i64>,
    valid_until: Option<i64>,
    age: String,
    place: Option<String>,
    order: u64,
}

/// The bytes of an event.
pub(super) fn written(event: &ConsentEvent) -> Vec<u8> {
    encode(&Record {
        subject: event.subject.0.to_be_bytes(),
        scope: event.scope.word().to_owned(),
        kind: event.kind.number(),
        explicit: event.explicit,
        notice: event.notice,
        event_at: event.event_at,
        recorded_at: event.recorded_at,
        valid_from: event.valid_from,
        valid_until: event.valid_until,
        age: event.age.word().to_owned(),
        place: event.place.map(|place| place.as_str().to_owned()),
        order: event.order,
    })
}

/// The event of bytes.
///
/// # Errors
///
/// They are none.
pub(super) fn read(bytes: &[u8]) -> Result<ConsentEvent, CodecError> {
    let record: Record = decode("consent event", bytes, RECORD_BYTES_MAX)?;
    let malformed = |reason| CodecError::Malformed {
        what: "consent event",
        length: bytes.len(),
        reason,
    };
    let place = record.place.map(|place| place.parse::<Place>());
    Ok(ConsentEvent {
        subject: SubjectRef(u128::from_be_bytes(record.subject)),
        scope: Scope::of_word(&record.scope).ok_or_else(|| malformed("no such scope"))?,
        kind: EventKind::of_number(record.kind).ok_or_else(|| malformed("no such kind"))?,
        explicit: record.explicit,
        notice: record.notice,
        event_at: record.event_at,
        recorded_at: record.recorded_at,
        valid_from: record.valid_from,
        valid_until: record.valid_until,
        age: AgeSaid::of_word(&record.age).ok_or_else(|| malformed("no such age"))?,
        place: place.transpose().map_err(|_| malformed("no such place"))?,
        order: record.order,
    })
}

/// Longest event.
const RECORD_BYTES_MAX: usize = 512;
