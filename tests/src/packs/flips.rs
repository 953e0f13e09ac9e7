//! Single bits of packs and receipts: whatever is turned, a check fails, nothing panics, and both verifiers agree.
//!
//! But for cosignatures beyond the quorum: a note may lose some of its lines, and anybody who holds it may leave them out.

use aquifer_shared::domain::pack::{Against, Files, verify};
use aquifer_shared::shell::pack_folder;
use serde_json::{Value, json};

use super::Log;
use super::python::{run_at, said, said_in_json};
use crate::random::Seeded;

/// Paths, places and bits that are turned; the manifest is made to fit, or left.
fn turns(pack: &Files, count: usize) -> Vec<(String, usize, u8, bool)> {
    let mut random = Seeded::new(20_261_126, 3);
    let paths: Vec<(&str, usize)> = pack
        .iter()
        .map(|(path, bytes)| (path, bytes.len()))
        .collect();
    let mut turns = Vec::new();
    while turns.len() < count {
        let (path, length) = paths[(random.next_u64() % paths.len() as u64) as usize];
        if length > 0 {
            let at = (random.next_u64() % length as u64) as usize;
            let bit = 1 << (random.next_u64() % 8);
            turns.push((
                path.to_owned(),
                at,
                bit,
                !random.next_u64().is_multiple_of(4),
            ));
        }
    }
    turns
}

fn turned(pack: &Files, (path, at, bit, relist): &(String, usize, u8, bool)) -> Files {
    let mut files = pack.clone();
    let mut bytes = files.get(path).unwrap().to_vec();
    bytes[*at] ^= bit;
    files.put(path, bytes).unwrap();
    if *relist && path != "MANIFEST" {
        let manifest = files.manifest();
        files.put("MANIFEST", manifest.into_bytes()).unwrap();
    }
    files
}

/// Whether a turn is in the lines behind a checkpoint's own text and first signature.
fn is_spare_line(pack: &Files, (path, at, ..): &(String, usize, u8, bool)) -> bool {
    let text = pack.get(path).unwrap();
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let own: usize = lines.take(5).map(<[u8]>::len).sum();
    path.starts_with("checkpoints/") && *at >= own
}

/// Seed 20 261 126; a turned bit that nobody notices would be a fault, not chance.
#[test]
fn a_turned_bit_of_a_pack_is_noticed_and_python_agrees() {
    let log = Log::new(120, 6);
    let (before, pack) = (log.pack("2026Q3").unwrap(), log.pack("2026Q4").unwrap());
    let turns = turns(&pack, 400);
    let folder = tempfile::tempdir().unwrap();
    pack_folder::write(&folder.path().join("pack"), &pack).unwrap();
    pack_folder::write(&folder.path().join("before"), &before).unwrap();
    let lines = turns.iter().map(|(path, at, bit, relist)| {
        json!({"path": path, "at": at, "bit": bit, "relist": *relist && path != "MANIFEST"})
            .to_string()
            + "\n"
    });
    let told = run_at(TURN, folder.path(), &lines.collect::<String>());
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.len(), turns.len());
    for (turn, told) in turns.iter().zip(told) {
        let files = turned(&pack, turn);
        let against = Against {
            previous: Some(&before),
            ..Against::default()
        };
        let verdict = verify(&files, &against);
        assert!(
            verdict.code() != 0 || is_spare_line(&pack, turn),
            "{turn:?}"
        );
        let told: Value = serde_json::from_str(told).unwrap();
        assert_eq!(said_in_json(&told), said(&verdict), "{turn:?}");
    }
}

const TURN: &str = "
files = v.read_folder(sys.argv[2] + '/pack')
before = v.read_folder(sys.argv[2] + '/before')
for line in sys.stdin:
    turn = json.loads(line)
    now = dict(files)
    data = bytearray(now[turn['path']])
    data[turn['at']] ^= turn['bit']
    now[turn['path']] = bytes(data)
    if turn['relist']:
        now['MANIFEST'] = ''.join(
            '%s  %s\\n' % (v.sha256(now[path]).hex(), path) for path in sorted(now) if path != 'MANIFEST').encode()
    print(json.dumps(v.told(*v.verify_pack(now, None, before))))
";
