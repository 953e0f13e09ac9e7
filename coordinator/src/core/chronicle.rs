//! What the coordinator's history says of studies, models and nodes: events with a key each, so that saying them twice enters them once.
//!
//! Records of studies are the truth; an event that a crash lost is made again from them at the next start. Nothing here is about customers:
//! the log leaves the coordinator.

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{IdentityKey, Name, Role, StudyHash};
use aquifer_shared::domain::history::{ActorKind, Event, Json, Kind};
use aquifer_shared::domain::predictor::model::ModelFile;
use aquifer_shared::domain::sum::{StudyTerms, TrustMode};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::Verdict;

use super::event::{Ending, Record};

/// An event and its key.
pub type Keyed = (String, Event);

/// A study, or a question, is submitted.
#[must_use]
pub fn proposed(study: &StudyHash, terms: &StudyTerms, is_question: bool) -> Keyed {
    let kind = match is_question {
        true => Kind::QueryPlanned,
        false => Kind::StudyProposed,
    };
    let mode = match terms.mode {
        TrustMode::NodeNoise => "node-noise",
        TrustMode::SharedNoise => "shared-noise",
    };
    let payload = Json::object([
        ("attempts_max", Json::from(u32::from(terms.attempts_max))),
        ("contract", Json::from(terms.contract_name.as_str())),
        (
            "contract_sha256",
            Json::from(terms.contract_hash.to_string()),
        ),
        ("contract_version", Json::from(terms.contract_version)),
        ("delta_pico", Json::from(delta_pico(terms))),
        ("members", Json::from(terms.roster.len() as u64)),
        ("name", Json::from(terms.name.as_str())),
        ("population", Json::from(terms.population)),
        ("purpose", Json::from(terms.purpose.as_str())),
        ("rho_cap_micro", Json::from(terms.urho_cap.0)),
        ("rho_micro", Json::from(terms.urho.0)),
        ("rounds", Json::from(terms.rounds.len() as u64)),
        ("study", Json::from(study.to_string())),
        ("synthetic", Json::from(terms.synthetic)),
        ("trust_mode", Json::from(mode)),
    ]);
    let role = match is_question {
        true => Role::Analyst,
        false => Role::Operator,
    };
    let event = Event::of_program(kind, payload).by(ActorKind::Person, role);
    (format!("{kind}/{study}"), event)
}

/// What a record of a study says, if the history tells it.
#[must_use]
pub fn recorded(
    study: &StudyHash,
    terms: &StudyTerms,
    is_question: bool,
    record: &Record,
) -> Option<Keyed> {
    match record {
        Record::Approved { approval, .. } if !is_question => {
            let payload = Json::object([
                ("approver", Json::from(approval.key.to_string())),
                ("study", Json::from(study.to_string())),
            ]);
            let event = Event::of_program(Kind::StudyApproved, payload)
                .by(ActorKind::Person, Role::Approver);
            Some((format!("study.approved/{study}/{}", approval.key), event))
        }
        Record::Decision { member, verdict } => decided(study, terms, *member, verdict),
        Record::Open { round: 0, .. } | Record::GroupOpened { round: 0, .. } if !is_question => {
            let payload = Json::object([("study", Json::from(study.to_string()))]);
            let event = Event::of_program(Kind::StudyStarted, payload);
            Some((format!("study.started/{study}"), event))
        }
        Record::Result {
            round,
            attempt,
            members,
            cells,
            ..
        } => Some(aggregated(
            study,
            (*round, 0, *attempt),
            members.len(),
            cells,
        )),
        Record::GroupSum {
            round,
            group,
            attempt,
            dealers,
            cells,
            ..
        } => {
            let count = dealers.iter().count();
            Some(aggregated(study, (*round, *group, *attempt), count, cells))
        }
        Record::Ended { ending, .. } => ended(study, is_question, ending),
        _ => None,
    }
}

fn decided(study: &StudyHash, terms: &StudyTerms, member: u32, verdict: &Verdict) -> Option<Keyed> {
    let Verdict::Refused(code, _) = verdict else {
        return None;
    };
    let node = terms.roster.get(member as usize)?;
    let payload = Json::object([
        ("code", Json::from(format!("{code:?}"))),
        ("node", Json::from(node.to_string())),
        ("study", Json::from(study.to_string())),
    ]);
    let event = Event::of_program(Kind::StudyRefused, payload).by(ActorKind::Node, Role::Node);
    Some((format!("study.refused/{study}/{member}/{code:?}"), event))
}

fn aggregated(
    study: &StudyHash,
    (round, group, attempt): (u32, u16, u32),
    members: usize,
    cells: &[i64],
) -> Keyed {
    let payload = Json::object([
        ("attempt", Json::from(attempt)),
        ("group", Json::from(u32::from(group))),
        ("members", Json::from(members as u64)),
        ("round", Json::from(round)),
        ("study", Json::from(study.to_string())),
        (
            "sum_sha256",
            Json::from(sha256(&encode(&cells)).to_string()),
        ),
    ]);
    let key = format!("round.aggregated/{study}/{round}/{group}/{attempt}");
    (key, Event::of_program(Kind::RoundAggregated, payload))
}

fn ended(study: &StudyHash, is_question: bool, ending: &Ending) -> Option<Keyed> {
    let (kind, code) = match (ending, is_question) {
        (Ending::Aborted(abort), false) => (Kind::StudyAborted, abort.code()),
        (Ending::Aborted(abort), true) => (Kind::QueryRefused, abort.code()),
        (_, true) => (Kind::QueryAnswered, "answered"),
        (_, false) => return None,
    };
    let payload = Json::object([
        ("outcome", Json::from(code)),
        ("study", Json::from(study.to_string())),
    ]);
    Some((format!("{kind}/{study}"), Event::of_program(kind, payload)))
}

/// A model is published, or held for a person, or a held one is published by one.
#[must_use]
pub fn modelled(
    name: &Name,
    version: u32,
    study: &StudyHash,
    file: &str,
    published: bool,
) -> Keyed {
    let parsed = ModelFile::parse(file).ok();
    let hash = parsed.map(|model| model.model_hash().to_string());
    let kind = match published {
        true => Kind::ModelReleased,
        false => Kind::CardGenerated,
    };
    let payload = Json::object([
        (
            "file_sha256",
            Json::from(sha256(file.as_bytes()).to_string()),
        ),
        ("model", Json::from(name.as_str())),
        ("model_sha256", hash.map_or(Json::Null, Json::from)),
        ("published", Json::from(published)),
        ("study", Json::from(study.to_string())),
        ("version", Json::from(version)),
    ]);
    let key = format!("{kind}/{name}/{version}");
    (key, Event::of_program(kind, payload))
}

/// A party is registered, or was revoked.
#[must_use]
pub fn enrolled(name: &Name, role: Role, key: &IdentityKey, revoked: bool) -> Keyed {
    let kind = match (role, revoked) {
        (Role::Node, false) => Kind::NodeEnrolled,
        (Role::Node, true) => Kind::NodeRevoked,
        (_, false) => Kind::RoleGranted,
        (_, true) => Kind::RoleRevoked,
    };
    let payload = Json::object([
        ("key", Json::from(key.to_string())),
        ("name", Json::from(name.as_str())),
        ("role", Json::from(role.to_string())),
    ]);
    let event = Event::of_program(kind, payload);
    (format!("{kind}/{name}/{key}"), event)
}

/// A node's own log has this checkpoint.
#[must_use]
pub fn node_checkpoint(key: &IdentityKey, size: u64, root: &str, note: &str) -> Keyed {
    let payload = Json::object([
        ("log", Json::from(key.to_string())),
        (
            "note_sha256",
            Json::from(sha256(note.as_bytes()).to_string()),
        ),
        ("root", Json::from(root)),
        ("size", Json::from(size)),
    ]);
    let event =
        Event::of_program(Kind::CheckpointPublished, payload).by(ActorKind::Node, Role::Node);
    (format!("checkpoint.published/{key}/{size}/{root}"), event)
}

/// Two checkpoints that do not go together: whose log, and which.
#[must_use]
pub fn inconsistent(key: &IdentityKey, whose: &str, held: &str, shown: &str) -> Event {
    let short = |note: &str| Json::from(note.chars().take(2_000).collect::<String>());
    let payload = Json::object([
        ("held", short(held)),
        ("log", Json::from(whose)),
        ("node", Json::from(key.to_string())),
        ("shown", short(shown)),
    ]);
    Event::of_program(Kind::LogInconsistency, payload)
}

/// Rounded up: what is signed is never below what is spent.
fn delta_pico(terms: &StudyTerms) -> u64 {
    (terms.delta.get() * 1e12).ceil() as u64
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::time::Timestamp;
    use aquifer_shared::domain::history::Persons;
    use aquifer_shared::protocol::wire::RefusalCode;

    use super::super::ending::Abort;
    use super::super::fixtures::terms;
    use super::*;

    const STUDY: StudyHash = StudyHash([7; 32]);

    #[track_caller]
    fn check(record: &Record, is_question: bool, expected: Option<Kind>) {
        let said = recorded(&STUDY, &terms(), is_question, record);
        assert_eq!(said.as_ref().map(|(_, event)| event.kind), expected);
        let Some((key, event)) = said else { return };
        assert!(key.contains(&STUDY.to_string()));
        assert_eq!(event.kind.persons(), Persons::None);
        assert!(event.payload.to_payload().is_ok());
    }

    fn result(round: u32) -> Record {
        Record::Result {
            round,
            attempt: 1,
            members: vec![0, 1],
            cells: vec![3, -4],
            at: Timestamp(5),
        }
    }

    fn ended(ending: Ending) -> Record {
        let at = Timestamp(9);
        Record::Ended { ending, at }
    }

    #[test]
    fn records_of_studies_are_told() {
        check(&result(3), false, Some(Kind::RoundAggregated));
        check(
            &ended(Ending::Aborted(Abort::Expired)),
            false,
            Some(Kind::StudyAborted),
        );
        let refused = Record::Decision {
            member: 0,
            verdict: Verdict::Refused(RefusalCode::Law, 3),
        };
        check(&refused, false, Some(Kind::StudyRefused));
        let opened = |round| Record::Open {
            round,
            attempt: 0,
            at: Timestamp(5),
        };
        check(&opened(0), false, Some(Kind::StudyStarted));
        check(&opened(1), false, None);
    }

    #[test]
    fn questions_are_told_as_such() {
        check(&ended(Ending::Published), true, Some(Kind::QueryAnswered));
        check(
            &ended(Ending::Aborted(Abort::Expired)),
            true,
            Some(Kind::QueryRefused),
        );
        check(&ended(Ending::Published), false, None);
        let (_, event) = proposed(&STUDY, &terms(), true);
        assert_eq!(event.kind, Kind::QueryPlanned);
    }

    #[test]
    fn a_proposal_says_its_price_in_integers() {
        let (key, event) = proposed(&STUDY, &terms(), false);
        assert!(key.starts_with("study.proposed/"));
        let rho = event.payload.get("rho_micro").unwrap().as_u64();
        assert_eq!(rho, Some(terms().urho.0));
        assert!(event.payload.to_payload().is_ok());
    }

    #[test]
    fn rounds_groups_and_attempts_have_keys_of_their_own() {
        let keys: Vec<_> = (0..3)
            .map(|round| recorded(&STUDY, &terms(), false, &result(round)).unwrap().0)
            .collect();
        assert!(keys[0] != keys[1] && keys[1] != keys[2]);
    }
}
