//! What a node's history says of its ledger and its answers. The ledger is the truth for what was charged: events about it have the entry's
//! place as their key, so that what a crash lost is entered at the next start, once.

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::domain::history::{ActorKind, ActorRole, Event, Json, Kind};
use aquifer_shared::domain::sum::{Part, Plan};
use aquifer_shared::protocol::chain::Link;
use aquifer_shared::protocol::codec::decode;
use aquifer_shared::protocol::wire::{Refusal, RefusalCode, Verdict};

use super::ledger::{ENTRY_BYTES_MAX, Entry, Paid, Reserve, Spend, read_terms};

/// An event and its key.
pub type Keyed = (String, Event);

/// What an entry of the ledger says, if the history tells it.
#[must_use]
pub fn entered(bytes: &[u8]) -> Vec<Keyed> {
    // By its own hash: another entry at the same place, after the ledger was put right, is another event.
    let hash = sha256(bytes);
    let Ok(link) = decode::<Link>("ledger entry", bytes, ENTRY_BYTES_MAX) else {
        return Vec::new();
    };
    let Ok(entry) = Entry::from_link(link.kind, &link.body) else {
        return Vec::new();
    };
    let common = [
        ("entry", Json::from(link.seq)),
        ("event_at", Json::from(entry.at().0)),
    ];
    let keyed = |(kind, role, fields): Told| {
        let fields = common.iter().cloned().chain(fields);
        let fields = fields.map(|(key, value)| (key.to_owned(), value));
        let event = Event::of_program(kind, Json::Object(fields.collect()));
        let event = match role {
            ActorRole::None => event,
            role => event.by(ActorKind::Person, role),
        };
        (format!("{kind}/{}/{hash}", link.seq), event)
    };
    told(&entry).into_iter().map(keyed).collect()
}

/// Kind, who did it, and fields of a payload.
type Told = (Kind, ActorRole, Vec<(&'static str, Json)>);

fn told(entry: &Entry) -> Vec<Told> {
    match entry {
        Entry::Reserve(reserve) => reserved(reserve),
        Entry::Spend(charge) => vec![(Kind::BudgetSpent, ActorRole::None, spent(charge))],
        Entry::Decline(decline) => {
            let fields = vec![("study", of(&decline.study))];
            vec![(Kind::StudyRefused, ActorRole::Unit, fields)]
        }
        Entry::WriteOff(lost) => {
            let fields = vec![
                ("pays", Json::from("write-off")),
                ("rho_micro", Json::from(lost.lost.urho.0)),
            ];
            vec![(Kind::BudgetSpent, ActorRole::Unit, fields)]
        }
        Entry::Close(_) | Entry::Return(_) | Entry::Hold(_) | Entry::PeerMarks(_) => Vec::new(),
    }
}

fn reserved(reserve: &Reserve) -> Vec<Told> {
    let Ok((study, terms)) = read_terms(&reserve.terms) else {
        return Vec::new();
    };
    // What the coordinator calls made up does not matter: whoever's table is read.
    let is_made_up = matches!(terms.plan, Plan::Synthetic { .. });
    let named = || {
        vec![
            ("by_person", Json::from(reserve.by_person)),
            ("purpose", Json::from(terms.purpose.as_str())),
            ("study", of(&study)),
            ("synthetic", Json::from(is_made_up)),
        ]
    };
    let mut budget = named();
    budget.extend([
        ("everyone_rho_micro", Json::from(reserve.parts.everyone.0)),
        ("holdout_rho_micro", Json::from(reserve.parts.holdout.0)),
        ("training_rho_micro", Json::from(reserve.parts.training.0)),
    ]);
    let role = match reserve.by_person {
        true => ActorRole::Unit,
        false => ActorRole::None,
    };
    vec![
        (Kind::StudyApproved, role, named()),
        (Kind::BudgetReserved, ActorRole::None, budget),
    ]
}

fn spent(charge: &Spend) -> Vec<(&'static str, Json)> {
    let part = match charge.part {
        Part::Training => "training",
        Part::HoldOut => "holdout",
        Part::Everyone => "everyone",
    };
    let pays = match charge.pays {
        Paid::Update(_) => "update",
        Paid::Shares(_) => "shares",
    };
    vec![
        ("attempt", Json::from(charge.attempt)),
        ("honest", Json::from(u32::from(charge.honest))),
        ("multiplicity", Json::from(u32::from(charge.multiplicity))),
        ("part", Json::from(part)),
        ("pays", Json::from(pays)),
        ("reach_squared", Json::from(charge.delta_sq)),
        ("rho_micro", Json::from(charge.urho.0)),
        ("round", Json::from(charge.round)),
        ("sigma", Json::from(charge.sigma_share)),
        ("study", of(&charge.study)),
    ]
}

/// A refusal of an attempt or a study.
#[must_use]
pub fn refused(refusal: &Refusal) -> Event {
    refused_with(&refusal.study, refusal.code, refusal.detail)
}

/// A verdict on a study, where it is a refusal; what was accepted is in the ledger.
#[must_use]
pub fn decided(study: &StudyHash, verdict: &Verdict) -> Option<Event> {
    match verdict {
        Verdict::Refused(code, detail) => Some(refused_with(study, *code, *detail)),
        Verdict::Accepted | Verdict::Held => None,
    }
}

fn refused_with(study: &StudyHash, code: RefusalCode, detail: u64) -> Event {
    let kind = match code {
        RefusalCode::Budget | RefusalCode::StandingBudget => Kind::BudgetRefused,
        _ => Kind::StudyRefused,
    };
    let payload = Json::object([
        ("code", Json::from(format!("{code:?}"))),
        ("detail", Json::from(detail)),
        ("study", of(study)),
    ]);
    Event::of_program(kind, payload)
}

/// An answer leaves for the coordinator.
///
/// # Privacy
///
/// Its length is public: it follows from the study's terms.
#[must_use]
pub fn sent(what: &str, bytes: usize) -> Event {
    let payload = Json::object([
        ("bytes", Json::from(bytes as u64)),
        ("what", Json::from(what)),
    ]);
    Event::of_program(Kind::RoundUpdateSent, payload)
}

fn of(study: &StudyHash) -> Json {
    Json::from(study.to_string())
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::Hash32;

    use super::*;
    use crate::core::fixtures::{NOW, SPLIT, offer, rules, synthetic};
    use crate::core::ledger::{Ledger, Payment};

    fn links() -> Vec<Vec<u8>> {
        let mut ledger = Ledger::default();
        let terms = synthetic(3);
        let (study, offered) = offer(&terms);
        let accepted = (
            offered.terms.as_slice(),
            &terms,
            offered.approvals.as_slice(),
        );
        let caps = rules().policy.caps;
        ledger.reserve(NOW, caps, SPLIT, accepted, false).unwrap();
        let batch = ledger.next_batch().unwrap();
        let mut links: Vec<Vec<u8>> = batch
            .records
            .into_iter()
            .map(|record| record.bytes)
            .collect();
        ledger.confirm(batch.head);
        let payment = Payment::Update(vec![1, 2, 3]);
        ledger
            .spend(NOW, (study, 0, 0), Hash32([9; 32]), payment)
            .unwrap();
        let batch = ledger.next_batch().unwrap();
        links.extend(batch.records.into_iter().map(|record| record.bytes));
        links
    }

    #[test]
    fn reservations_and_charges_are_told_with_their_entries() {
        let said: Vec<Keyed> = links().iter().flat_map(|link| entered(link)).collect();
        let kinds: Vec<Kind> = said.iter().map(|(_, event)| event.kind).collect();
        let expected = [Kind::StudyApproved, Kind::BudgetReserved, Kind::BudgetSpent];
        assert_eq!(kinds, expected);
        for (_, event) in &said {
            assert!(event.payload.to_payload().is_ok());
        }
        let spent = &said[2].1.payload;
        assert_eq!(spent.get("entry").unwrap().as_u64(), Some(2));
        assert!(spent.get("rho_micro").unwrap().as_u64() > Some(0));
    }

    #[test]
    fn what_is_no_entry_tells_nothing() {
        assert!(entered(b"nothing").is_empty());
    }

    #[test]
    fn refusals_for_budget_are_told_as_such() {
        let study = StudyHash([1; 32]);
        let kind = |code| decided(&study, &Verdict::Refused(code, 0)).unwrap().kind;
        assert_eq!(kind(RefusalCode::Budget), Kind::BudgetRefused);
        assert_eq!(kind(RefusalCode::Law), Kind::StudyRefused);
        assert_eq!(decided(&study, &Verdict::Accepted), None);
    }
}
