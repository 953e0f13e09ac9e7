//! Receipts of a unit's log: checked by both verifiers, and refused with any byte turned.

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::history::{ActorKind, ActorRole, Json, Kind, Leaf, payload_commit};
use aquifer_shared::domain::pack::{Body, Check, Entry, Receipt, State, prove, verify_receipt};
use serde_json::Value;

use super::python::{run, said, said_in_json, script};
use super::{Log, Signer};

/// A receipt in the log of a unit, at index 5 of 9.
fn receipt() -> Vec<u8> {
    let mut log = Log::new(9, 1);
    let content = Json::object([
        ("controller", "North Energy Ltd".into()),
        ("purposes", Json::List(vec!["churn".into()])),
        ("state", "withdrawn".into()),
    ]);
    let payload = Json::object([("receipt_sha256", Receipt::digest(&content).into())])
        .to_payload()
        .unwrap();
    let salt = [7; 32];
    let mut event_id = [0; 16];
    (event_id[6], event_id[8]) = (0x70, 0x80);
    let leaf = Leaf {
        kind: Kind::ReceiptIssued,
        seq: 5,
        event_id,
        recorded_at: Timestamp(1_790_000_000_000),
        actor_kind: ActorKind::Program,
        actor_role: ActorRole::Unit,
        policy: Hash32::default(),
        payload_commit: payload_commit(&salt, &payload),
    };
    log.entries[5] = Entry {
        index: 5,
        leaf: leaf.to_bytes(),
        body: Body::Erased,
    };
    let checkpoint = log.checkpoints().pop().unwrap();
    let issuer = Signer::of_log("north.example", 77);
    let receipt = Receipt {
        content,
        issuer: issuer.key.clone(),
        log: log.log.key.clone(),
        leaf: leaf.to_bytes(),
        payload,
        salt,
        proof: prove(&log.tree(), 5, 9, &checkpoint).unwrap(),
    };
    let signature = issuer.sign(&receipt.signed_bytes());
    receipt.to_file(&signature).into_bytes()
}

#[test]
fn c1_receipt_verifies_in_python() {
    let file = receipt();
    let verdict = verify_receipt(&file, None);
    assert_eq!(verdict.code(), 0, "{verdict:?}");
    let passed = verdict.0.iter().filter(|one| one.state == State::Passed);
    assert_eq!(passed.count(), 7);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("receipt.json");
    std::fs::write(&path, &file).unwrap();
    let output = std::process::Command::new("python3")
        .arg(script())
        .arg("--json")
        .arg(&path)
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(said_in_json(&told["checks"]), said(&verdict));
    let policy = Log::new(9, 1).policy();
    let with_policy = verify_receipt(&file, Some(&policy));
    assert_eq!(
        with_policy.of(Check::Witnesses).unwrap().state,
        State::Passed
    );
}

#[test]
fn c1_any_flipped_byte_fails() {
    let file = receipt();
    let code = "
data = open(sys.argv[2], 'rb').read()
for place in range(len(data)):
    for bit in (1, 0x20, 0x80):
        now = bytearray(data)
        now[place] ^= bit
        print(json.dumps(v.told(*v.verify_receipt(bytes(now), None))))
";
    let told = run(code, &file, "");
    let mut told = told.lines();
    for place in 0..file.len() {
        for bit in [1, 0x20, 0x80] {
            let mut flipped = file.clone();
            flipped[place] ^= bit;
            let verdict = verify_receipt(&flipped, None);
            assert_ne!(verdict.code(), 0, "byte {place}");
            let told: Value = serde_json::from_str(told.next().unwrap()).unwrap();
            assert_eq!(said_in_json(&told), said(&verdict), "byte {place}");
        }
    }
    assert_eq!(told.next(), None);
}

#[test]
fn keys_from_elsewhere_are_believed_before_those_that_came_along() {
    let stranger = Signer::of_log(super::ORIGIN, 99);
    let policy = aquifer_shared::domain::pack::LogPolicy::new(stranger.key, Vec::new(), 0);
    let verdict = verify_receipt(&receipt(), Some(&policy));
    assert_eq!(verdict.code(), Check::Signature.number());
}
