//! Golden bytes of leaves and payloads, and what their readers refuse.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::base::ids::Hash32;
use crate::base::time::Timestamp;

fn leaf() -> Leaf {
    let mut event_id = [0x11; 16];
    (event_id[6], event_id[8]) = (0x71, 0x91);
    Leaf {
        kind: Kind::BudgetSpent,
        seq: 7,
        event_id,
        recorded_at: Timestamp(1_790_000_000_000),
        actor_kind: ActorKind::Node,
        actor_role: ActorRole::Node,
        policy: Hash32([0x22; 32]),
        payload_commit: payload_commit(&[0x33; 32], b"{\"rho_micro\":5}"),
    }
}

#[test]
fn a_leaf_has_the_published_bytes() {
    let hex: String = leaf()
        .to_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(&hex[..152], GOLDEN_HEAD);
    assert_eq!(hex.len(), 2 * LEAF_BYTES);
    assert_eq!(Leaf::parse(&leaf().to_bytes()), Ok(leaf()));
}

#[track_caller]
fn check_field(at: usize, value: u8, expected: &str) {
    let mut bytes = leaf().to_bytes();
    bytes[at] = value;
    match Leaf::parse(&bytes) {
        Err(BadLeaf::Field { field, .. }) => assert_eq!(field, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_magic_is_refused() {
    check_field(3, b'2', "magic");
}

#[test]
fn an_unknown_kind_is_refused() {
    check_field(5, 0xff, "kind");
}

#[test]
fn another_version_is_refused() {
    check_field(7, 2, "schema_ver");
}

#[test]
fn an_id_of_another_version_is_refused() {
    check_field(22, 0x41, "event_id");
    check_field(24, 0x11, "event_id");
}

#[test]
fn a_time_before_1970_is_refused() {
    check_field(32, 0x80, "recorded_at");
}

#[test]
fn unknown_actors_are_refused() {
    check_field(40, 0, "actor_kind");
    check_field(41, 9, "actor_role");
}

#[test]
fn classes_of_another_kind_are_refused() {
    check_field(42, 1, "retention_class");
    check_field(43, 1, "personal_data");
}

#[test]
fn every_other_byte_is_another_leaf_or_none() {
    let bytes = leaf().to_bytes();
    for at in 0..LEAF_BYTES {
        for bit in 0..8 {
            let mut changed = bytes;
            changed[at] ^= 1 << bit;
            if let Ok(read) = Leaf::parse(&changed) {
                assert_ne!(read, leaf());
                assert_eq!(read.to_bytes(), changed, "byte {at}");
            }
        }
    }
    for length in [0, LEAF_BYTES - 1] {
        assert_eq!(
            Leaf::parse(&bytes[..length]),
            Err(BadLeaf::Length { got: length })
        );
    }
}

#[test]
fn codes_and_names_of_kinds_are_each_their_own() {
    let codes: BTreeSet<u16> = Kind::ALL.iter().map(|kind| kind.code()).collect();
    let names: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(
        (codes.len(), names.len()),
        (Kind::ALL.len(), Kind::ALL.len())
    );
    for kind in Kind::ALL {
        assert_eq!(Kind::of_code(kind.code()), Some(*kind));
        assert_eq!(kind.name().parse(), Ok(*kind));
    }
    assert!("round.reopened".parse::<Kind>().is_err());
}

#[test]
fn what_is_about_persons_stays_at_the_unit() {
    for kind in Kind::ALL {
        let group = kind.name().split('.').next().unwrap();
        let about = ["consent", "receipt", "request", "erasure"].contains(&group);
        assert!(!about || kind.persons() == Persons::Some, "{kind}");
    }
}

#[test]
fn a_payload_has_one_text() {
    let json = Json::object([
        ("b", Json::from(1_u64 << 53)),
        ("a", Json::from((1_u64 << 53) - 1)),
        (
            "A",
            Json::List(vec![Json::Null, Json::from(false), Json::from(-3_i64)]),
        ),
        ("t", Json::from("\u{e9}\n\u{1}\"")),
    ]);
    let text = "{\"A\":[null,false,-3],\"a\":9007199254740991,\"b\":\"9007199254740992\",\"t\":\"\u{e9}\\n\\u0001\\\"\"}";
    assert_eq!(json.to_payload().unwrap(), text.as_bytes());
    assert_eq!(Json::parse(text.as_bytes()), Ok(json));
}

#[track_caller]
fn check_payload(text: &str, expected: BadPayload) {
    assert_eq!(Json::parse(text.as_bytes()), Err(expected));
}

#[test]
fn other_texts_of_the_same_value_are_refused() {
    for text in [
        "{\"a\": 1}",
        "{\"b\":1,\"a\":1}",
        "{\"a\":1,\"a\":1}",
        "{\"a\":\"\\u0041\"}",
        "{\"a\":1}\n",
    ] {
        check_payload(text, BadPayload::NotCanonical);
    }
}

#[test]
fn fractions_and_large_numbers_are_refused() {
    for text in [
        "{\"a\":1.0}",
        "{\"a\":1e3}",
        "{\"a\":-0}",
        "{\"a\":9007199254740992}",
    ] {
        check_payload(text, BadPayload::Number);
    }
}

#[test]
fn what_is_no_payload_is_refused() {
    check_payload("", BadPayload::Malformed);
    check_payload("{", BadPayload::Malformed);
    check_payload("[]", BadPayload::NotAnObject);
    check_payload("{\"\":1}", BadPayload::Key);
    check_payload("{\"\u{e9}\":1}", BadPayload::Key);
    check_payload(
        &format!("{{\"a\":{}1{}}}", "[".repeat(9), "]".repeat(9)),
        BadPayload::TooMany,
    );
    let many = vec!["1"; 2_000].join(",");
    check_payload(&format!("{{\"a\":[{many}]}}"), BadPayload::TooMany);
    let long = "x".repeat(1 << 15);
    check_payload(
        &format!("{{\"a\":\"{long}\"}}"),
        BadPayload::TooLong { got: (1 << 15) + 8 },
    );
}

proptest! {
    #[test]
    fn a_changed_byte_of_a_payload_never_reads_as_the_same(at in 0_usize..40, to: u8) {
        let json = Json::object([("rho_micro", Json::from(5_u64)), ("study", Json::from("ab\u{e9}"))]);
        let bytes = json.to_payload().unwrap();
        let mut changed = bytes.clone();
        let at = at % changed.len();
        changed[at] = to;
        if let Ok(read) = Json::parse(&changed) {
            prop_assert_eq!(read == json, changed == bytes);
        }
    }
}

#[test]
fn a_commitment_depends_on_salt_and_payload() {
    let one = payload_commit(&[0x33; 32], b"{\"rho_micro\":5}");
    assert_eq!(one.to_string(), GOLDEN_COMMIT);
    assert_ne!(one, payload_commit(&[0x34; 32], b"{\"rho_micro\":5}"));
    assert_ne!(one, payload_commit(&[0x33; 32], b"{\"rho_micro\":6}"));
}

const GOLDEN_HEAD: &str = "41514c31050a0001000000000000000711111111111171119111111111111111000001a0c4506c00020103002222222222222222222222222222222222222222222222222222222222222222";
const GOLDEN_COMMIT: &str = "6abf1b5905fe9cb4d8f2354b964d3cfe59bf504182abeedb7c56949375decccb";
