//! What a node's history says of its ledger and its answers. The ledger is the truth for what was charged: events about it have the entry's
//! place as their key, so that what a crash lost is entered at the next start, once.
//!
//! A charge is told with all that epsilon follows from, as audit packs read it.

use std::collections::BTreeMap;

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{Name, StudyHash};
use aquifer_shared::domain::history::{ActorKind, ActorRole, Event, Json, Kind};
use aquifer_shared::domain::pack;
use aquifer_shared::domain::sum::{Part, Plan, StudyTerms, TrustMode};
use aquifer_shared::protocol::chain::Link;
use aquifer_shared::protocol::codec::decode;
use aquifer_shared::protocol::wire::{Refusal, RefusalCode, Verdict};

use super::ledger::{ENTRY_BYTES_MAX, Entry, Ledger, Paid, Reserve, Spend, WriteOff, read_terms};

/// An event and its key.
pub type Keyed = (String, Event);

/// Tells entries of a ledger in their order: what the terms of a study say is in the entry that accepted it.
#[derive(Debug, Default)]
pub struct Chronicler {
    /// Of studies that may still be charged.
    studies: BTreeMap<StudyHash, Stated>,
}

/// What a charge says of its study.
#[derive(Clone, Debug)]
struct Stated {
    purpose: Name,
    mode: TrustMode,
    delta_pico: u64,
    synthetic: bool,
}

impl Stated {
    fn of(terms: &StudyTerms) -> Self {
        Self {
            purpose: terms.purpose.clone(),
            mode: terms.mode,
            // Rounded up: what is stated is never below what is spent.
            delta_pico: (terms.delta.get() * 1e12).ceil() as u64,
            synthetic: is_made_up(terms),
        }
    }
}

impl Chronicler {
    /// Goes on behind the last entry of a ledger.
    #[must_use]
    pub fn behind(ledger: &Ledger) -> Self {
        let open = ledger.open_studies();
        Self {
            studies: open
                .map(|(study, terms)| (*study, Stated::of(terms)))
                .collect(),
        }
    }

    /// What the next entry of the ledger says, if the history tells it.
    pub fn entered(&mut self, bytes: &[u8]) -> Vec<Keyed> {
        let Ok(link) = decode::<Link>("ledger entry", bytes, ENTRY_BYTES_MAX) else {
            return Vec::new();
        };
        let Ok(entry) = Entry::from_link(link.kind, &link.body) else {
            return Vec::new();
        };
        match &entry {
            Entry::Reserve(reserve) => {
                if let Ok((study, terms)) = read_terms(&reserve.terms) {
                    self.studies.insert(study, Stated::of(&terms));
                }
            }
            // Nothing is charged for what is over.
            Entry::Return(over) => drop(self.studies.remove(&over.study)),
            _ => {}
        }
        let told = self.told(&entry).into_iter();
        told.map(|told| keyed((link.seq, bytes), &entry, told))
            .collect()
    }

    fn told(&self, entry: &Entry) -> Vec<Told> {
        match entry {
            Entry::Reserve(reserve) => reserved(reserve),
            Entry::Spend(charge) => {
                let stated = self.studies.get(&charge.study);
                vec![(Kind::BudgetSpent, ActorRole::None, spent(charge, stated))]
            }
            Entry::Decline(decline) => {
                let fields = vec![("study", of(&decline.study))];
                vec![(Kind::StudyRefused, ActorRole::Unit, named(fields))]
            }
            Entry::WriteOff(lost) => written_off(lost),
            Entry::Close(_) | Entry::Return(_) | Entry::Hold(_) | Entry::PeerMarks(_) => Vec::new(),
        }
    }
}

fn keyed((seq, bytes): (u64, &[u8]), entry: &Entry, (kind, role, fields): Told) -> Keyed {
    // By its own hash: another entry at the same place, after the ledger was put right, is another event.
    let hash = sha256(bytes);
    let common = [
        ("entry", Json::from(seq)),
        ("event_at", Json::from(entry.at().0)),
    ];
    let fields = named(common).into_iter().chain(fields);
    let event = Event::of_program(kind, Json::Object(fields.collect()));
    let event = match role {
        ActorRole::None => event,
        role => event.by(ActorKind::Person, role),
    };
    (format!("{kind}/{seq}/{hash}"), event)
}

/// Kind, who did it, and fields of a payload.
type Told = (Kind, ActorRole, Vec<Field>);
type Field = (String, Json);

fn named(fields: impl IntoIterator<Item = (&'static str, Json)>) -> Vec<Field> {
    let fields = fields.into_iter();
    fields.map(|(key, value)| (key.to_owned(), value)).collect()
}

fn reserved(reserve: &Reserve) -> Vec<Told> {
    let Ok((study, terms)) = read_terms(&reserve.terms) else {
        return Vec::new();
    };
    let common = [
        ("by_person", Json::from(reserve.by_person)),
        ("purpose", Json::from(terms.purpose.as_str())),
        ("study", of(&study)),
        ("synthetic", Json::from(is_made_up(&terms))),
    ];
    let parts = [
        ("everyone_rho_micro", Json::from(reserve.parts.everyone.0)),
        ("holdout_rho_micro", Json::from(reserve.parts.holdout.0)),
        ("training_rho_micro", Json::from(reserve.parts.training.0)),
    ];
    let role = match reserve.by_person {
        true => ActorRole::Unit,
        false => ActorRole::None,
    };
    let budget = named(common.clone().into_iter().chain(parts));
    vec![
        (Kind::StudyApproved, role, named(common)),
        (Kind::BudgetReserved, ActorRole::None, budget),
    ]
}

/// What the coordinator calls made up does not matter: whoever's table is read.
fn is_made_up(terms: &StudyTerms) -> bool {
    matches!(terms.plan, Plan::Synthetic { .. })
}

fn spent(charge: &Spend, stated: Option<&Stated>) -> Vec<Field> {
    let part = match charge.part {
        Part::Training => "training",
        Part::HoldOut => "holdout",
        Part::Everyone => "everyone",
    };
    let pays = match charge.pays {
        Paid::Update(_) => "update",
        Paid::Shares(_) => "shares",
    };
    let own = [
        ("attempt", Json::from(charge.attempt)),
        ("honest", Json::from(u32::from(charge.honest))),
        ("pays", Json::from(pays)),
        ("reach_squared", Json::from(charge.delta_sq)),
        ("round", Json::from(charge.round)),
        ("sigma", Json::from(charge.sigma_share)),
    ];
    let made_up = stated.map(|stated| ("synthetic", Json::from(stated.synthetic)));
    // A charge without its study is in no ledger that opens.
    let counted = stated.map(|stated| pack::Spend {
        purpose: stated.purpose.as_str().to_owned(),
        study: charge.study.to_string(),
        part: part.to_owned(),
        mode: match stated.mode {
            TrustMode::NodeNoise => NODE_NOISE,
            TrustMode::SharedNoise => SHARED_NOISE,
        }
        .to_owned(),
        multiplicity: charge.multiplicity.into(),
        rho_micro: charge.urho.0,
        times: 1,
        delta_pico: stated.delta_pico,
    });
    named(own.into_iter().chain(made_up))
        .into_iter()
        .chain(counted_fields(counted))
        .collect()
}

/// What was written off counts for everybody, under a study that none has.
fn written_off(lost: &WriteOff) -> Vec<Told> {
    if lost.lost.urho.0 == 0 {
        return Vec::new();
    }
    let counted = pack::Spend {
        purpose: WRITTEN_OFF.to_owned(),
        study: StudyHash([0; 32]).to_string(),
        part: "everyone".to_owned(),
        mode: SHARED_NOISE.to_owned(),
        multiplicity: 1,
        rho_micro: lost.lost.urho.0,
        times: 1,
        delta_pico: WRITTEN_OFF_DELTA_PICO,
    };
    let own = named([("pays", Json::from(WRITTEN_OFF))]);
    let fields = own.into_iter().chain(counted_fields(Some(counted)));
    vec![(Kind::BudgetSpent, ActorRole::Unit, fields.collect())]
}

fn counted_fields(spend: Option<pack::Spend>) -> impl Iterator<Item = Field> {
    let fields = match spend.map(|spend| spend.to_payload()) {
        Some(Json::Object(fields)) => fields,
        _ => BTreeMap::new(),
    };
    fields.into_iter()
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

const NODE_NOISE: &str = "node-noise";
const SHARED_NOISE: &str = "shared-noise";
/// Purpose and name of what was written off.
const WRITTEN_OFF: &str = "write-off";
/// Caps are shown at this delta, and a write-off is of what was left under them.
const WRITTEN_OFF_DELTA_PICO: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::Hash32;
    use aquifer_shared::base::units::MicroRho;

    use super::*;
    use crate::core::fixtures::{NOW, SPLIT, offer, rules, synthetic};
    use crate::core::ledger::{EndReason, Lost, Payment};

    /// A study that is accepted and charged once, and what happens then.
    fn links(then: impl FnOnce(&mut Ledger, StudyHash)) -> Vec<Vec<u8>> {
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
        let payment = Payment::Update(vec![1, 2, 3]);
        ledger
            .spend(NOW, (study, 0, 0), Hash32([9; 32]), payment)
            .unwrap();
        then(&mut ledger, study);
        let records = ledger.next_batch().unwrap().records.into_iter();
        records.map(|record| record.bytes).collect()
    }

    fn told(links: &[Vec<u8>]) -> Vec<Keyed> {
        let mut chronicler = Chronicler::default();
        let said = links.iter().map(|link| chronicler.entered(link));
        said.collect::<Vec<_>>().concat()
    }

    #[test]
    fn reservations_and_charges_are_told_with_their_entries() {
        let said = told(&links(|_, _| ()));
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

    /// What a pack reads of the charges of a ledger, from its first entry or behind some.
    #[test]
    fn r1_charges_say_what_epsilon_follows_from() {
        let terms = synthetic(3);
        let (study, _) = offer(&terms);
        let links = links(|ledger, _| {
            let lost = Lost::at_worst(MicroRho(77));
            ledger.write_off(NOW, Lost::default(), Vec::new(), 0);
            ledger.write_off(NOW, lost, Vec::new(), 0);
        });
        let said = told(&links);
        let spends = said
            .iter()
            .filter(|(_, event)| event.kind == Kind::BudgetSpent)
            .map(|(_, event)| pack::Spend::of(&event.payload));
        let spends: Vec<pack::Spend> = spends.map(Result::unwrap).collect();
        assert_eq!(spends.len(), 2, "{spends:?}");
        let (charge, lost) = (&spends[0], &spends[1]);
        assert_eq!(charge.study, study.to_string());
        assert_eq!(charge.purpose, terms.purpose.as_str());
        assert_eq!(charge.rho_micro, terms.rounds[0].urho.0);
        assert_eq!(charge.multiplicity, u64::from(terms.multiplicity));
        assert_eq!((charge.times, lost.rho_micro), (1, 77));
        let year = pack::Figures::of(&spends).unwrap().year.unwrap();
        let copies = charge.multiplicity;
        assert!(
            year.rho_micro >= charge.rho_micro && year.rho_micro <= copies * charge.rho_micro + 77
        );
        let ledger = Ledger::open(links[..1].iter().map(Vec::as_slice)).unwrap();
        let mut behind = Chronicler::behind(&ledger);
        let rest: Vec<Keyed> = links[1..]
            .iter()
            .flat_map(|link| behind.entered(link))
            .collect();
        assert_eq!(rest, said[2..]);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let links = links(|ledger, study| ledger.give_back(NOW, study, EndReason::Aborted));
        let mut chronicler = Chronicler::default();
        let said: Vec<Keyed> = links
            .iter()
            .flat_map(|link| chronicler.entered(link))
            .collect();
        assert_eq!(said.len(), 3);
        assert!(chronicler.studies.is_empty());
    }

    #[test]
    fn what_is_no_entry_tells_nothing() {
        assert!(Chronicler::default().entered(b"nothing").is_empty());
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
