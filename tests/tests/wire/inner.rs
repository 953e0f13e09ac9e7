//! Decoders behind the frames: study terms, tasks, ledger entries, tickets, contracts. Changed bytes are refused, or taken for
//! exactly what they are; nothing panics, neither reading them nor working with what was read.

use aquifer_node::core::ledger::{
    AttemptOutcome, Close, Decline, EndReason, Entry, Hold, Ledger, Lost, Paid, Parts, PeerMarks,
    Reserve, Return, Spend, WriteOff, read_terms, reservation,
};
use aquifer_shared::base::ids::{Hash32, IdentityKey, Role, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::predictor::ModelState;
use aquifer_shared::domain::predictor::plan::{Shape, additive_rounds};
use aquifer_shared::domain::sum::{
    Gate, HoldOut, NoiseShare, Part, Plan, SUM_VERSION, StudyTerms, TrustMode, study_hash,
};
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::codec::{decode, encode};
use aquifer_shared::protocol::ticket::Ticket;
use aquifer_shared::protocol::wire::{Approval, TaskBody};
use aquifer_shared::shell::noise::check_charge;
use aquifer_tests::random::Seeded;
use serde_json::{Value, to_value};

const LIMIT: usize = 1 << 20;

/// Writes what it read; none where it refuses.
type Read = fn(&[u8]) -> Option<Vec<u8>>;

/// Every prefix, every byte changed in five ways, and 500 random changes of several bytes (seed 8).
fn changes(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let prefixes = (0..bytes.len()).map(|end| bytes[..end].to_vec());
    let flips =
        (0..bytes.len()).flat_map(|at| [0x01, 0x02, 0x10, 0x80, 0xff].map(|flip| (at, flip)));
    let flipped = flips.map(|(at, flip)| {
        let mut changed = bytes.to_vec();
        changed[at] ^= flip;
        changed
    });
    let mut random = Seeded::new(8, bytes.len() as u64);
    let shuffled = (0..500).map(move |_| {
        let mut changed = bytes.to_vec();
        let mut below = |limit: usize| (random.next_u64() % limit.max(1) as u64) as usize;
        for _ in 0..=below(4) {
            let at = below(changed.len());
            match below(3) {
                0 if at < changed.len() => changed[at] = below(256) as u8,
                1 => drop(changed.drain(at..changed.len().min(at + 1 + below(8)))),
                _ => changed.insert(at, below(256) as u8),
            }
        }
        changed
    });
    prefixes.chain(flipped).chain(shuffled)
}

/// The sample reads back; a change is refused or canonical.
#[track_caller]
fn check(name: &str, bytes: &[u8], read: Read) {
    assert_eq!(read(bytes).as_deref(), Some(bytes), "{name}");
    for changed in changes(bytes) {
        if let Some(again) = read(&changed) {
            assert_eq!(again, changed, "{name}");
        }
    }
    let longer = [bytes, &[0]].concat();
    assert_eq!(read(&longer), None, "{name} with a trailing byte");
}

/// Changed text is refused, or what was read from it is the same when it is written and read again.
#[track_caller]
fn check_text(name: &str, text: &str, read: fn(&str) -> Option<String>) {
    assert!(read(text).is_some(), "{name}");
    for changed in changes(text.as_bytes()) {
        let written = str::from_utf8(&changed).ok().and_then(read);
        if let Some(written) = written {
            assert_eq!(read(&written), Some(written.clone()), "{name}");
        }
    }
}

fn terms() -> StudyTerms {
    let shapes = [(true, 65), (false, 4)].map(|(ordered, cells)| Shape { ordered, cells });
    let (clip, rounds, name) = (3_072, 8, |text: &str| text.parse().unwrap());
    StudyTerms {
        version: SUM_VERSION,
        study_id: [7; 16],
        name: name("churn"),
        family: name("customers"),
        purpose: name("churn.train"),
        contract_name: name("customers"),
        contract_version: 2,
        contract_hash: Hash32([3; 32]),
        plan: Plan::Additive { clip, rounds },
        mode: TrustMode::NodeNoise,
        roster: (1..=3).map(|key| IdentityKey([key; 32])).collect(),
        d_max: 0,
        c_max: 0,
        multiplicity: 1,
        rounds: additive_rounds(&shapes, MicroRho(24_355), clip, rounds, NoiseShare::OWN).unwrap(),
        attempts_max: 2,
        urho_cap: MicroRho(48_710),
        urho: MicroRho(24_355),
        delta: 1e-6.try_into().unwrap(),
        population: 50_000,
        customers_max: 10_000,
        holdout: HoldOut::Column("split".to_owned()),
        slot_ms: 100,
        phase_ms: 10_000,
        attempt_ttl_ms: 60_000,
        expires: Timestamp(1_800_000_000_000),
        quorum: 2,
        gate: Gate::Open,
        expected_gain_ppm: 2_000,
        synthetic: false,
    }
}

/// Terms are read by the node before anybody trusts them: whatever decodes must be safe to calculate with.
fn read_and_use_terms(bytes: &[u8]) -> Option<Vec<u8>> {
    let (hash, terms) = read_terms(bytes).ok()?;
    assert_eq!(hash, study_hash(bytes));
    let _ = (
        terms.part_price(Part::Training),
        terms.part_price(Part::HoldOut),
    );
    let _ = (
        terms.check().is_ok(),
        reservation(&terms),
        check_charge(&terms).is_ok(),
    );
    Some(encode(&terms))
}

#[test]
fn study_terms() {
    check("terms", &encode(&terms()), read_and_use_terms);
    let fraction = StudyTerms {
        holdout: HoldOut::Fraction(150_000),
        plan: Plan::Synthetic {
            cells: 100,
            rounds: 50,
        },
        ..terms()
    };
    check("synthetic terms", &encode(&fraction), read_and_use_terms);
}

#[test]
fn tasks() {
    let state = ModelState {
        base: -70_000,
        bin_of_cell: vec![0, 0, 1, 2],
        curves: vec![1, -1, 300],
    };
    let read = |bytes: &[u8]| Some(encode(&decode::<TaskBody>("task body", bytes, LIMIT).ok()?));
    for body in [
        TaskBody::Counts,
        TaskBody::Residuals(state.clone()),
        TaskBody::Evaluation(state),
        TaskBody::Synthetic(100),
    ] {
        check("task", &encode(&body), read);
    }
}

fn spend(at: Timestamp, study: StudyHash) -> Spend {
    let round = terms().rounds[0];
    Spend {
        at,
        study,
        round: 0,
        attempt: 0,
        part: round.part,
        urho: round.urho,
        honest: 1,
        sigma_share: round.sigma_share,
        delta_sq: round.delta_sq,
        multiplicity: 1,
        task: Hash32([5; 32]),
        pays: Paid::Update(Hash32([6; 32])),
    }
}

fn entries() -> Vec<Entry> {
    let (at, bytes) = (Timestamp(1_700_000_000_000), encode(&terms()));
    let study = study_hash(&bytes);
    let approvals = vec![Approval {
        key: IdentityKey([9; 32]),
        signature: vec![0x44; 64],
    }];
    let parts = Parts {
        training: MicroRho(48_710),
        holdout: MicroRho(48_710),
        everyone: MicroRho(0),
    };
    let close = Close {
        at,
        study,
        round: 0,
        attempt: 0,
        outcome: AttemptOutcome::Released,
    };
    vec![
        Entry::Hold(Hold {
            at,
            terms: bytes.clone(),
            approvals: approvals.clone(),
        }),
        Entry::Decline(Decline { at, study }),
        Entry::Reserve(Reserve {
            at,
            terms: bytes,
            approvals,
            parts,
            by_person: true,
            split: Hash32([8; 32]),
        }),
        Entry::Spend(spend(at, study)),
        Entry::Close(close),
        Entry::Return(Return {
            at,
            study,
            reason: EndReason::Published,
        }),
        Entry::WriteOff(WriteOff {
            at,
            lost: Lost::at_worst(MicroRho(7)),
            given_up: vec![Head {
                seq: 40,
                hash: Hash32([4; 32]),
            }],
            common: 3,
        }),
        Entry::PeerMarks(PeerMarks {
            at,
            study,
            stood: vec![(
                1,
                Head {
                    seq: 5,
                    hash: Hash32([7; 32]),
                },
            )],
            dealt: vec![1],
        }),
    ]
}

/// What a copy of a ledger holds, the terms in it and the bodies of tasks, with the names of their fields.
pub fn fields() -> Vec<(&'static str, Value)> {
    let named = |entry: Entry| match entry {
        Entry::Reserve(body) => ("entry-reserve", to_value(body)),
        Entry::Spend(body) => ("entry-spend", to_value(body)),
        Entry::Close(body) => ("entry-close", to_value(body)),
        Entry::Return(body) => ("entry-return", to_value(body)),
        Entry::Hold(body) => ("entry-hold", to_value(body)),
        Entry::Decline(body) => ("entry-decline", to_value(body)),
        Entry::WriteOff(body) => ("entry-write-off", to_value(body)),
        Entry::PeerMarks(body) => ("entry-peer-marks", to_value(body)),
    };
    let shares = Spend {
        pays: Paid::Shares(Hash32([6; 32])),
        ..spend(Timestamp(1), StudyHash([2; 32]))
    };
    let model = ModelState {
        base: 0,
        bin_of_cell: vec![0],
        curves: vec![1],
    };
    let mut all: Vec<_> = entries().into_iter().map(named).collect();
    all.push(named(Entry::Spend(shares)));
    all.push(("terms", to_value(terms())));
    all.push(("task-body", to_value(TaskBody::Residuals(model.clone()))));
    all.push(("task-body", to_value(TaskBody::Evaluation(model))));
    let value = |(name, value): (_, serde_json::Result<Value>)| (name, value.unwrap());
    all.into_iter().map(value).collect()
}

#[test]
fn ledger_entries() {
    for entry in entries() {
        let (kind, body) = entry.to_link();
        assert_eq!(Entry::from_link(kind, &body).as_ref(), Ok(&entry));
        for changed in changes(&body) {
            for kind in [kind, kind % 8 + 1, 0, 9] {
                if let Ok(read) = Entry::from_link(kind, &changed) {
                    assert_eq!(read.to_link(), (kind, changed.clone()));
                }
            }
        }
    }
}

/// A ledger with a forged entry at any place, hashes and all, is refused or adds up: it never panics.
#[test]
fn ledgers_with_a_forged_entry() {
    assert!(Ledger::open(chained(&entries()).iter().map(Vec::as_slice)).is_ok());
    for at in 0..entries().len() {
        let (kind, body) = entries()[at].to_link();
        for (number, changed) in changes(&body).enumerate() {
            // The long entries hold all the terms: a sample of their changes will do.
            if body.len() > 300 && number % 29 != 0 {
                continue;
            }
            let mut all: Vec<_> = entries().iter().map(Entry::to_link).collect();
            all[at] = (kind, changed);
            let links = chained_links(all);
            let _ = Ledger::open(links.iter().map(Vec::as_slice));
        }
    }
}

fn chained(entries: &[Entry]) -> Vec<Vec<u8>> {
    chained_links(entries.iter().map(Entry::to_link).collect())
}

fn chained_links(links: Vec<(u8, Vec<u8>)>) -> Vec<Vec<u8>> {
    let mut head = Head::default();
    let append = |(kind, body): (u8, Vec<u8>)| {
        let (bytes, next) = head.append(kind, body);
        head = next;
        bytes
    };
    links.into_iter().map(append).collect()
}

#[test]
fn tickets() {
    let ticket = Ticket {
        address: "coordinator.example.org:7400".to_owned(),
        address_join: "coordinator.example.org:7401".to_owned(),
        server_name: "aquifer".to_owned(),
        name: "north".parse().unwrap(),
        role: Role::Node,
        ca_certificate: vec![0x30; 300],
        release_key: IdentityKey([3; 32]),
        secret: [9; 32],
        expires: Timestamp(1_800_000_000_000),
    };
    check_text("ticket", &ticket.to_text().unwrap(), |text| {
        Ticket::parse(text).ok()?.to_text().ok()
    });
}

const CONTRACT: &str = r#"
[contract]
name = "customers"
version = 2
multiplicity = 1
[table.customers]
privacy_unit = "customer"
label = { column = "left", positive = "yes" }
actionable = ["plan"]
[table.customers.column.tenure]
low = 0
high = 72.5
transform = "log1p"
unit = "months"
[table.customers.column.plan]
levels = ["basic", "plus", "räre"]
"#;

#[test]
fn contracts() {
    check_text("contract", CONTRACT, |text| {
        let contract = Contract::parse(text).ok()?;
        let again = contract.to_toml();
        assert_eq!(Contract::parse(&again).unwrap().hash(), contract.hash());
        Some(again)
    });
}
