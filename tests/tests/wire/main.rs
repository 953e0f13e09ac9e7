//! The bytes of every message, kept as golden vectors, and what a decoder does with bytes that were changed on the way.
//!
//! A message whose bytes change needs another protocol version: the golden file is only ever extended.

mod budgets;
#[cfg(test)]
mod fields;
#[cfg(test)]
mod inner;
mod lives;
mod samples;

use aquifer_shared::protocol::wire::{
    FRAME_VERSION, HEADER_BYTES, Message, frame, read_body, read_header,
};
use aquifer_tests::random::Seeded;
use serde_json::Value;

/// A message of known content.
struct Sample {
    name: &'static str,
    frame: Vec<u8>,
    read: fn(&[u8]) -> Reading,
    /// Its fields with their names, which the frame does not carry.
    fields: Value,
}

/// What became of the bytes of a frame.
#[derive(Debug, PartialEq)]
enum Reading {
    /// Refused with this text.
    Refused(String),
    /// Taken; written again, it has these bytes.
    Taken(Vec<u8>),
}

impl Sample {
    fn of<M: Message>(name: &'static str, message: &M) -> Self {
        Self {
            name,
            frame: frame(message),
            read: read::<M>,
            fields: serde_json::to_value(message).expect("messages are plain data"),
        }
    }

    fn body(&self) -> &[u8] {
        &self.frame[HEADER_BYTES..]
    }

    /// A frame of the same kind with another body and the header that fits it.
    fn with_body(&self, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32).to_le_bytes();
        [&self.frame[..2], &length[..], body].concat()
    }

    /// A changed frame is refused, or it is exactly what an honest peer writes for another message.
    #[track_caller]
    fn check_refused_or_canonical(&self, changed: &[u8]) {
        if let Reading::Taken(again) = (self.read)(changed) {
            assert_eq!(again, changed, "{}", self.name);
        }
    }
}

/// Reads a frame as a peer does: the header, then exactly the body that it announces.
fn read<M: Message>(bytes: &[u8]) -> Reading {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Reading::Refused("no header".to_owned());
    };
    let message = read_header(*header, M::BYTES_MAX).and_then(|(kind, length)| {
        assert!(length <= M::BYTES_MAX);
        let whole = &body[..length.min(body.len())];
        read_body::<M>(kind, whole)
    });
    match message {
        Ok(message) => Reading::Taken(frame(&message)),
        Err(error) => Reading::Refused(error.to_string()),
    }
}

#[test]
fn every_message_has_its_golden_bytes() {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let found: Vec<String> = samples::all()
        .iter()
        .map(|sample| format!("{} {}", sample.name, hex(&sample.frame)))
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/wire.txt");
    if std::env::var_os("AQUIFER_WRITE_GOLDEN").is_some() {
        std::fs::write(path, found.join("\n") + "\n").unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    for (line, expected) in golden.lines().enumerate() {
        let found = found.get(line).map_or("nothing", |line| line);
        assert_eq!(found, expected, "line {}", line + 1);
    }
    assert_eq!(
        found.len(),
        golden.lines().count(),
        "a sample has no golden line"
    );
}

#[test]
fn every_kind_has_a_sample() {
    let mut kinds: Vec<u8> = samples::all()
        .iter()
        .map(|sample| sample.frame[1])
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let expected: Vec<u8> = (1..=36).collect();
    assert_eq!(kinds, expected);
}

#[test]
fn every_message_reads_back() {
    for sample in samples::all() {
        let expected = Reading::Taken(sample.frame.clone());
        assert_eq!((sample.read)(&sample.frame), expected, "{}", sample.name);
    }
}

#[test]
fn truncated_bytes_are_refused() {
    for sample in samples::all() {
        for end in 0..sample.body().len() {
            let cut = (sample.read)(&sample.with_body(&sample.body()[..end]));
            let refused = matches!(cut, Reading::Refused(_));
            assert!(refused, "{} cut at {end}", sample.name);
        }
    }
}

#[test]
fn trailing_bytes_are_refused() {
    for sample in samples::all() {
        for extra in [1, 7, 200] {
            let body = [sample.body(), &vec![0; extra]].concat();
            let expected = format!("{extra} trailing bytes");
            match (sample.read)(&sample.with_body(&body)) {
                Reading::Refused(text) if text.contains(&expected) => {}
                other => panic!("{} with {extra} more: {other:?}", sample.name),
            }
        }
    }
}

#[test]
fn other_versions_kinds_and_lengths_are_refused() {
    for sample in samples::all() {
        let kind = sample.frame[1];
        let changes = [
            (0, 0),
            (0, FRAME_VERSION + 1),
            (1, 0),
            (1, kind ^ 0x80),
            (5, 0xff),
        ];
        for (at, value) in changes {
            let mut changed = sample.frame.clone();
            changed[at] = value;
            let found = (sample.read)(&changed);
            let refused = matches!(found, Reading::Refused(_));
            assert!(refused, "{} with byte {at} = {value}", sample.name);
        }
    }
}

#[test]
fn every_changed_byte_is_refused_or_canonical() {
    for sample in samples::all() {
        for at in 0..sample.frame.len() {
            for change in [0x01, 0x02, 0x10, 0x80, 0xff] {
                let mut changed = sample.frame.clone();
                changed[at] ^= change;
                if !(2..HEADER_BYTES).contains(&at) {
                    sample.check_refused_or_canonical(&changed);
                }
            }
        }
    }
}

#[test]
fn random_changes_are_refused_or_canonical() {
    let mut random = Seeded::new(7, 1);
    let mut below = |limit: usize| (random.next_u64() % limit.max(1) as u64) as usize;
    for sample in samples::all() {
        for _ in 0..300 {
            let mut body = sample.body().to_vec();
            for _ in 0..=below(4) {
                let at = below(body.len());
                match below(3) {
                    0 if at < body.len() => body[at] = below(256) as u8,
                    1 => drop(body.drain(at..body.len().min(at + 1 + below(8)))),
                    _ => body.insert(at, below(256) as u8),
                }
            }
            sample.check_refused_or_canonical(&sample.with_body(&body));
        }
    }
}

#[test]
fn random_bodies_are_refused_or_canonical() {
    let mut random = Seeded::new(7, 2);
    for sample in samples::all() {
        for _ in 0..200 {
            let length = (random.next_u64() % 300) as usize;
            let body: Vec<u8> = (0..length).map(|_| random.next_u64() as u8).collect();
            sample.check_refused_or_canonical(&sample.with_body(&body));
        }
    }
}
