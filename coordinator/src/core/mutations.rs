//! Stored records and submitted study files with changed bytes: refused or taken for what they are, never a panic.

use aquifer_shared::protocol::codec::{decode, encode};

use super::event::Record;
use super::fixtures::{Habit, MEMBERS, OFFER_MS, World};
use super::resume::Durables;
use super::study::{Conditions, Study};
use super::study_file::StudyFile;

/// Every byte changed in five ways.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let places =
        (0..bytes.len()).flat_map(|at| [0x01, 0x02, 0x10, 0x80, 0xff].map(|flip| (at, flip)));
    places.map(|(at, flip)| {
        let mut changed = bytes.to_vec();
        changed[at] ^= flip;
        changed
    })
}

/// Whatever decodes is canonical; a study that takes it up goes on or is refused.
#[test]
fn changed_records_are_refused_or_taken_up() {
    let world = World::running([Habit::Prompt; MEMBERS]);
    let resumed = |records| {
        let durable = Durables {
            records,
            spool: Vec::new(),
        };
        let conditions = Conditions::strict(OFFER_MS);
        Study::resume(world.now, world.bytes.clone(), &[], conditions, durable)
    };
    let mut taken = 0;
    for (at, record) in world.journal.iter().enumerate() {
        let bytes = encode(record);
        for end in 0..bytes.len() {
            assert!(decode::<Record>("record", &bytes[..end], 1 << 20).is_err());
        }
        for changed in flips(&bytes) {
            let Ok(read) = decode::<Record>("record", &changed, 1 << 20) else {
                continue;
            };
            assert_eq!(encode(&read), changed);
            let mut records = world.journal.clone();
            records[at] = read;
            for records in [records.clone(), records[..=at].to_vec()] {
                if let Ok(mut study) = resumed(records) {
                    while study.poll_effect().is_some() {}
                    taken += 1;
                }
            }
        }
    }
    assert!(taken > 0, "some changes make another record that may be");
}

const STUDY: &str = r#"
name = "churn"
purpose = "churn.train"
contract = { name = "customers", version = 1 }
plan = "additive"
epsilon = 1.0
delta = 1e-6
trust = "node-noise"
nodes = ["north", "süd"]
quorum = 2
customers_max = 10000
population = 80000
holdout = { fraction = 0.15 }
expires_in_hours = 24
"#;

#[test]
fn changed_study_files_are_refused_with_a_place_or_read() {
    let good = STUDY.replace("süd", "south");
    assert!(StudyFile::parse(&good).is_ok());
    let mut read = 0;
    for text in [STUDY, good.as_str()] {
        for changed in flips(text.as_bytes()) {
            let Ok(changed) = String::from_utf8(changed) else {
                continue;
            };
            match StudyFile::parse(&changed) {
                Ok(_) => read += 1,
                Err(error) => assert!(error.line > 0 && error.column > 0, "{error}"),
            }
        }
    }
    assert!(read > 0);
}
