//! What the coordinator's history says of studies, models and nodes: events with a key each, so that saying them twice enters them once.
//!
//! Records of studies are the truth; an event that a crash lost is made again from them at the next start. Nothing here is about customers:
//! the log leaves the coordinator.

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{Hash32, IdentityKey, Name, Role, StudyHash};
use aquifer_shared::base::limits::GROUP_MAX;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::history::{ActorKind, Event, Json, Kind};
use aquifer_shared::domain::pack::{Figures, Programs, Spend};
use aquifer_shared::domain::predictor::model::{ModelFile, day};
use aquifer_shared::domain::sum::{Part, StudyTerms, TrustMode};
use aquifer_shared::protocol::ask::{CanaryRecord, RoundStatus};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::program::ProgramRefused;
use aquifer_shared::protocol::wire::Verdict;

use super::disclosure::{self, Beside};
use super::event::{Ending, Record};
use super::programs::members;

/// An event and its key.
pub type Keyed = (String, Event);

/// A study, or a question, is submitted.
#[must_use]
pub fn proposed(study: &StudyHash, terms: &StudyTerms, is_question: bool) -> Keyed {
    let kind = match is_question {
        true => Kind::QueryPlanned,
        false => Kind::StudyProposed,
    };
    let mut payload = Json::object([
        ("attempts_max", Json::from(u32::from(terms.attempts_max))),
        ("contract", Json::from(terms.contract_name.as_str())),
        (
            "contract_sha256",
            Json::from(terms.contract_hash.to_string()),
        ),
        ("contract_version", Json::from(terms.contract_version)),
        ("delta_pico", Json::from(delta_pico(terms))),
        ("family", Json::from(terms.family.as_str())),
        ("members", Json::from(terms.roster.len() as u64)),
        ("name", Json::from(terms.name.as_str())),
        ("population", Json::from(terms.population)),
        ("purpose", Json::from(terms.purpose.as_str())),
        ("rho_cap_micro", Json::from(terms.urho_cap.0)),
        ("rho_micro", Json::from(terms.urho.0)),
        ("rounds", Json::from(terms.rounds.len() as u64)),
        ("study", Json::from(study.to_string())),
        ("synthetic", Json::from(terms.synthetic)),
        ("trust_mode", Json::from(mode(terms))),
    ]);
    if let Json::Object(fields) = &mut payload
        && !is_question
        && terms.roster.len() <= GROUP_MAX
    {
        let nodes = terms.roster.iter().map(|node| node.to_string().into());
        fields.insert("nodes".to_owned(), Json::List(nodes.collect()));
    }
    let role = match is_question {
        true => Role::Analyst,
        false => Role::Operator,
    };
    let event = Event::of_program(kind, payload).by(ActorKind::Person, role);
    (format!("{kind}/{study}"), event)
}

/// The same of a study that is to take the place of this version of its model; nobody asked for it where the schedule did.
#[must_use]
pub fn succeeding(
    (key, event): Keyed,
    (succeeds, version): (&StudyHash, u32),
    (why, by_schedule): (&str, bool),
) -> Keyed {
    let mut event = match by_schedule {
        true => Event::of_program(event.kind, event.payload),
        false => event,
    };
    if let Json::Object(fields) = &mut event.payload {
        fields.insert("retrain_why".to_owned(), why.into());
        fields.insert("succeeds".to_owned(), succeeds.to_string().into());
        fields.insert("succeeds_version".to_owned(), version.into());
    }
    (key, event)
}

/// What nodes of the sum whose record comes next reported to run.
pub type Reported = Vec<(u32, Hash32)>;

/// What a record of a study says, if the history tells it. Records are told in order: what nodes reported stands in front of their sum.
#[must_use]
pub fn recorded(
    study: &StudyHash,
    terms: &StudyTerms,
    is_question: bool,
    record: &Record,
    reported: &mut Reported,
) -> Vec<Keyed> {
    if let Record::Programs { programs } = record {
        reported.clone_from(programs);
    }
    let mut said = match record {
        Record::Open { round, attempt, .. } | Record::GroupOpened { round, attempt, .. } => {
            opened(study, terms, *round, *attempt)
        }
        _ => Vec::new(),
    };
    said.extend(summed(study, terms, record, reported));
    said.extend(told(study, terms, is_question, record));
    said
}

/// What members may have charged by the time that this attempt is open. Its task leaves after the record, so that no charge is without
/// its event; numbers below it that were skipped count too: members use them for what this coordinator has forgotten. Groups of a round
/// share their entries: a customer is in one group, and the dearest counts.
#[must_use]
pub fn opened(study: &StudyHash, terms: &StudyTerms, round: u32, attempt: u32) -> Vec<Keyed> {
    let each = |attempt: u32| {
        let Json::Object(mut fields) = spend(study, terms, round, 1)?.to_payload() else {
            return None;
        };
        fields.insert("attempt".to_owned(), attempt.into());
        fields.insert("round".to_owned(), round.into());
        fields.insert("synthetic".to_owned(), terms.synthetic.into());
        let event = Event::of_program(Kind::BudgetSpent, Json::Object(fields));
        Some((format!("budget.spent/{study}/{round}/{attempt}"), event))
    };
    (0..=attempt).filter_map(each).collect()
}

/// What all attempts of a study have cost one customer at most, quoted; as an audit pack computes it.
#[must_use]
pub fn spent(study: &StudyHash, terms: &StudyTerms, rounds: &[RoundStatus]) -> MicroRho {
    let opened = rounds.iter().filter(|round| round.attempts > 0);
    let spends = opened.filter_map(|round| spend(study, terms, round.round, round.attempts));
    let spends: Vec<Spend> = spends.collect();
    let year = Figures::of(&spends).and_then(|figures| figures.year);
    year.map_or(MicroRho::ZERO, |year| MicroRho(year.rho_micro))
}

fn spend(study: &StudyHash, terms: &StudyTerms, round: u32, times: u32) -> Option<Spend> {
    let priced = terms.rounds.get(round as usize)?;
    let part = match priced.part {
        Part::Training => "training",
        Part::HoldOut => "holdout",
        Part::Everyone => "everyone",
    };
    Some(Spend {
        purpose: terms.purpose.as_str().to_owned(),
        study: study.to_string(),
        part: part.to_owned(),
        mode: mode(terms).to_owned(),
        multiplicity: terms.multiplicity.into(),
        rho_micro: priced.urho.0,
        times: times.into(),
        delta_pico: delta_pico(terms),
    })
}

fn told(
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

/// A sum, with the program that each of its nodes reported: their own word, as what reads the entry says too.
fn summed(
    study: &StudyHash,
    terms: &StudyTerms,
    record: &Record,
    reported: &mut Reported,
) -> Option<Keyed> {
    let groups = terms.groups().len();
    let ((round, group, attempt), cells) = match record {
        Record::Result {
            round,
            attempt,
            cells,
            ..
        } => ((*round, (groups < 2).then_some(0), *attempt), cells),
        Record::GroupSum {
            round,
            group,
            attempt,
            cells,
            ..
        } => ((*round, Some(*group), *attempt), cells),
        _ => return None,
    };
    let members = members(terms, record)?;
    let reported = std::mem::take(reported);
    let program = |member: u32| {
        let found = reported.iter().find(|(own, _)| *own == member);
        (member, found.map(|(_, program)| *program))
    };
    let programs = Programs::new(members.iter().map(|member| program(*member)));
    let sum = sha256(&encode(cells)).to_string();
    let own = [
        ("attempt", Json::from(attempt)),
        match group {
            Some(group) => ("group", Json::from(u32::from(group))),
            None => ("groups", Json::from(groups as u64)),
        },
        ("members", Json::from(members.len() as u64)),
        ("round", Json::from(round)),
        ("study", Json::from(study.to_string())),
        ("sum_sha256", Json::from(sum)),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), value));
    let payload = Json::Object(own.into_iter().chain(programs.fields()).collect());
    // What all groups come to is no group's sum, though its attempt is one of theirs.
    let which = group.map_or_else(|| "all".to_owned(), |group| group.to_string());
    let key = format!("round.aggregated/{study}/{round}/{which}/{attempt}");
    Some((key, Event::of_program(Kind::RoundAggregated, payload)))
}

/// A node was refused, as it reported a program that is not demanded: once a day for each node, however often it comes.
#[must_use]
pub fn program_refused(node: &IdentityKey, refused: &ProgramRefused, now: Timestamp) -> Keyed {
    let payload = Json::object([
        ("node", Json::from(node.to_string())),
        ("program", Json::from(refused.found.to_string())),
        ("rule", Json::from("nodes.programs")),
    ]);
    let event = Event::of_program(Kind::UserDenied, payload).by(ActorKind::Node, Role::Node);
    (format!("user.denied/{node}/{}", now.0 / DAY_MS), event)
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

/// A model is published, or held for a person, or a held one is published by one. With what documents say of it where the file is whole
/// and the coordinator knows its study.
#[must_use]
pub fn modelled(
    (name, version): (&Name, u32),
    study: &StudyHash,
    file: &str,
    published: bool,
    beside: Option<&Beside>,
) -> Keyed {
    let parsed = ModelFile::parse(file).ok();
    let hash = parsed.as_ref().map(|model| model.model_hash().to_string());
    let kind = match published {
        true => Kind::ModelReleased,
        false => Kind::CardGenerated,
    };
    let own = [
        (
            "file_sha256",
            Json::from(sha256(file.as_bytes()).to_string()),
        ),
        ("model", Json::from(name.as_str())),
        ("model_sha256", hash.map_or(Json::Null, Json::from)),
        ("published", Json::from(published)),
        ("study", Json::from(study.to_string())),
        ("version", Json::from(version)),
    ];
    // Of a model that is held only people who decide or check may learn more.
    let said = parsed.as_ref().zip(beside).filter(|_| published);
    let said = said.map_or_else(Vec::new, |(file, beside)| disclosure::fields(file, beside));
    let fields = own.into_iter().chain(said);
    let fields = fields.map(|(key, value)| (key.to_owned(), value));
    let payload = Json::Object(fields.collect());
    let key = format!("{kind}/{name}/{version}");
    (key, Event::of_program(kind, payload))
}

/// People ended the use of a model; who did it last and why is told where it is known.
#[must_use]
pub fn ended_use(
    (name, version): (&Name, u32),
    study: &StudyHash,
    recalled: bool,
    told: Option<(Role, &str)>,
) -> Keyed {
    let kind = match recalled {
        true => Kind::ModelRecalled,
        false => Kind::ModelRetired,
    };
    let payload = Json::object([
        ("model", Json::from(name.as_str())),
        ("study", Json::from(study.to_string())),
        ("version", Json::from(version)),
        ("why", told.map_or(Json::Null, |(_, why)| Json::from(why))),
    ]);
    let by = told.map_or(Role::Approver, |(role, _)| role);
    let event = Event::of_program(kind, payload).by(ActorKind::Person, by);
    (format!("{kind}/{name}/{version}"), event)
}

/// The use of a model ended as another version came in its place.
#[must_use]
pub fn superseded((name, version): (&Name, u32), study: &StudyHash, by: u32) -> Keyed {
    let why = format!("superseded by {name}@{by}, which was trained in its place");
    let (key, event) = ended_use((name, version), study, false, Some((Role::Operator, &why)));
    (key, Event::of_program(event.kind, event.payload))
}

/// The study of a released model is proposed again on a day.
#[must_use]
pub fn retrain_scheduled((name, version): (&Name, u32), study: &StudyHash, at: Timestamp) -> Keyed {
    let kind = Kind::ModelRetrainScheduled;
    let payload = Json::object([
        ("model", Json::from(name.as_str())),
        ("retrain_on", Json::from(format!("{} (UTC)", day(at)))),
        ("retrain_on_ms", Json::from(at.0)),
        ("study", Json::from(study.to_string())),
        ("version", Json::from(version)),
    ]);
    let key = format!("{kind}/{name}/{version}");
    (key, Event::of_program(kind, payload))
}

/// What an audit by canaries came to, for a model. The audit is of the path that trains all models, at the claim that covers this one.
#[must_use]
pub fn audited((name, version): (&Name, u32), by: Role, found: &CanaryRecord) -> Keyed {
    let payload = Json::object([
        ("canaries", Json::from(found.canaries)),
        ("claim_micro", Json::from(found.claim_micro)),
        ("correct", Json::from(found.correct)),
        ("delta_pico", Json::from(found.delta_pico)),
        ("eps_ceiling_micro", Json::from(found.ceiling_micro)),
        (
            "eps_falsified_micro",
            Json::from(found.falsified_up_to_micro),
        ),
        ("guesses", Json::from(found.guesses)),
        ("model", Json::from(name.as_str())),
        ("outcome", Json::from(found.outcome())),
        ("threshold", Json::from(found.threshold)),
        ("version", Json::from(version)),
    ]);
    let digest = sha256(&encode(found));
    let event = Event::of_program(Kind::CanaryResult, payload).by(ActorKind::Person, by);
    (
        format!("audit.canary_result/{name}/{version}/{digest}"),
        event,
    )
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

fn mode(terms: &StudyTerms) -> &'static str {
    match terms.mode {
        TrustMode::NodeNoise => "node-noise",
        TrustMode::SharedNoise => "shared-noise",
    }
}

const DAY_MS: u64 = 86_400_000;

/// Rounded up: what is signed is never below what is spent.
fn delta_pico(terms: &StudyTerms) -> u64 {
    (terms.delta.get() * 1e12).ceil() as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use aquifer_shared::domain::history::Persons;
    use aquifer_shared::domain::predictor::model::SumRecord;
    use aquifer_shared::domain::predictor::model::privacy::quoted;
    use aquifer_shared::protocol::aggregation::MemberSet;
    use aquifer_shared::protocol::wire::RefusalCode;

    use super::super::ending::Abort;
    use super::super::fixtures::{Habit, MEMBERS, World, terms};
    use super::*;

    const STUDY: StudyHash = StudyHash([7; 32]);

    /// The kinds of all that a record says.
    #[track_caller]
    fn check(record: &Record, is_question: bool, expected: &[Kind]) {
        let said = recorded(&STUDY, &terms(), is_question, record, &mut Vec::new());
        let kinds: Vec<Kind> = said.iter().map(|(_, event)| event.kind).collect();
        assert_eq!(kinds, expected);
        for (key, event) in said {
            assert!(key.contains(&STUDY.to_string()));
            assert_eq!(event.kind.persons(), Persons::None);
            assert!(event.payload.to_payload().is_ok());
        }
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

    fn open(round: u32, attempt: u32) -> Record {
        let at = Timestamp(5);
        Record::Open { round, attempt, at }
    }

    fn ended(ending: Ending) -> Record {
        let at = Timestamp(9);
        Record::Ended { ending, at }
    }

    #[test]
    fn records_of_studies_are_told() {
        check(&result(3), false, &[Kind::RoundAggregated]);
        check(
            &ended(Ending::Aborted(Abort::Expired)),
            false,
            &[Kind::StudyAborted],
        );
        let refused = Record::Decision {
            member: 0,
            verdict: Verdict::Refused(RefusalCode::Law, 3),
        };
        check(&refused, false, &[Kind::StudyRefused]);
        check(&open(0, 0), false, &[Kind::BudgetSpent, Kind::StudyStarted]);
        check(&open(1, 0), false, &[Kind::BudgetSpent]);
        check(&open(1, 1), false, &[Kind::BudgetSpent; 2]);
        check(&open(99, 0), false, &[]);
    }

    #[test]
    fn questions_are_told_as_such() {
        check(&open(0, 0), true, &[Kind::BudgetSpent]);
        check(&ended(Ending::Published), true, &[Kind::QueryAnswered]);
        check(
            &ended(Ending::Aborted(Abort::Expired)),
            true,
            &[Kind::QueryRefused],
        );
        check(&ended(Ending::Published), false, &[]);
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
    fn t2_a_study_in_the_place_of_a_model_says_so() {
        let usual = proposed(&STUDY, &terms(), false);
        let before = StudyHash([3; 32]);
        let said = |by_schedule| {
            let place = (&before, 1);
            succeeding(usual.clone(), place, ("scheduled", by_schedule))
        };
        let ((key, event), (_, asked)) = (said(true), said(false));
        assert_eq!(key, usual.0);
        let succeeds = Json::from(before.to_string());
        assert_eq!(event.payload.get("succeeds"), Some(&succeeds));
        assert_eq!(asked.payload, event.payload);
        assert_eq!(asked.actor_kind, ActorKind::Person);
        assert_ne!(event.actor_kind, ActorKind::Person, "nobody asked for it");
        let name: Name = "churn".parse().unwrap();
        let (key, event) = superseded((&name, 1), &before, 2);
        let why = Some((Role::Approver, "drift"));
        assert_eq!(key, ended_use((&name, 1), &before, false, why).0);
        assert!(event.payload.to_text().contains("churn@2"));
        let (_, event) = retrain_scheduled((&name, 1), &before, Timestamp(DAY_MS));
        assert!(event.payload.to_text().contains("1970-01-02 (UTC)"));
        assert!(event.payload.to_payload().is_ok());
    }

    #[test]
    fn rounds_groups_and_attempts_have_keys_of_their_own() {
        let keys: Vec<_> = (0..3)
            .map(|round| {
                let said = recorded(&STUDY, &terms(), false, &result(round), &mut Vec::new());
                said[0].0.clone()
            })
            .collect();
        assert!(keys[0] != keys[1] && keys[1] != keys[2]);
    }

    /// Keys and payloads of what a round of two groups says: theirs, and what they come to.
    fn of_two_groups(attempts: [u32; 3]) -> Vec<Keyed> {
        let mut terms = terms();
        terms.mode = TrustMode::SharedNoise;
        let keys = 0..=GROUP_MAX;
        terms.roster = keys.map(|key| IdentityKey([key as u8; 32])).collect();
        assert_eq!(terms.groups().len(), 2);
        let [first, second, all] = attempts;
        let summed = |group, attempt| Record::GroupSum {
            round: 3,
            group,
            attempt,
            dealers: MemberSet::of([1, 2]),
            cells: vec![3, -4],
            at: Timestamp(5),
        };
        let total = Record::Result {
            round: 3,
            attempt: all,
            members: vec![0, 1, 100, 101],
            cells: vec![6, -8],
            at: Timestamp(5),
        };
        let records = [summed(0, first), summed(1, second), total];
        let said = |record| recorded(&STUDY, &terms, false, record, &mut Vec::new());
        records.iter().flat_map(said).collect()
    }

    #[test]
    fn what_groups_come_to_is_told_beside_their_sums() {
        for attempts in [[0, 0, 0], [0, 1, 1], [1, 0, 1]] {
            let said = of_two_groups(attempts);
            let keys: BTreeMap<_, _> = said.iter().map(|(key, event)| (key, event)).collect();
            assert_eq!(keys.len(), 3, "{keys:?}");
            let group = |at: usize| said[at].1.payload.get("group").and_then(Json::as_u64);
            assert_eq!([group(0), group(1), group(2)], [Some(0), Some(1), None]);
            let groups = said[2].1.payload.get("groups").and_then(Json::as_u64);
            assert_eq!(groups, Some(2));
        }
        // Histories that were kept before go on with the keys of one group.
        let said = recorded(&STUDY, &terms(), false, &result(3), &mut Vec::new());
        assert_eq!(said[0].0, format!("round.aggregated/{STUDY}/3/0/1"));
    }

    /// What the entry of a sum says of programs, with what its nodes reported in front of it.
    fn told_programs(programs: &[(u32, Hash32)]) -> Option<Programs> {
        let mut reported = Vec::new();
        let programs = programs.to_vec();
        let mut tell = |record: &Record| recorded(&STUDY, &terms(), false, record, &mut reported);
        assert_eq!(tell(&Record::Programs { programs }), []);
        let (_, event) = tell(&result(3)).remove(0);
        // What was reported of one sum says nothing of the next.
        let (_, next) = tell(&result(4)).remove(0);
        assert_eq!(Programs::of(&next.payload), Ok(None));
        Programs::of(&event.payload).unwrap()
    }

    #[test]
    fn s3_digest_in_round_record() {
        let (old, new) = (Hash32([1; 32]), Hash32([2; 32]));
        let told = told_programs(&[(0, new), (1, old)]).unwrap();
        assert_eq!(told.by_digest.keys().collect::<Vec<_>>(), [&old, &new]);
        assert!(told.by_digest[&new].contains(&0) && told.unknown.is_empty());
        // A node that is in the sum and reported nothing is not left out in silence; one that is not in it is no matter.
        let told = told_programs(&[(0, new), (3, old)]).unwrap();
        assert_eq!(told.by_digest.len(), 1);
        assert!(told.unknown.contains(&1));
        assert_eq!(told_programs(&[]), None);
        let (_, event) = proposed(&STUDY, &terms(), false);
        let Some(Json::List(nodes)) = event.payload.get("nodes") else {
            panic!("{:?}", event.payload)
        };
        assert_eq!(nodes[0], terms().roster[0].to_string().into());
    }

    #[test]
    fn a_refused_program_is_told_once_a_day() {
        let node = IdentityKey([9; 32]);
        let refused = |program: u8| ProgramRefused {
            found: Hash32([program; 32]),
            expected: Vec::new(),
        };
        let at = |program, ms| program_refused(&node, &refused(program), Timestamp(ms));
        let (key, event) = at(1, DAY_MS);
        assert_eq!(event.kind, Kind::UserDenied);
        assert_eq!(key, at(2, 2 * DAY_MS - 1).0);
        assert_ne!(key, at(1, 2 * DAY_MS).0);
        assert!(event.payload.to_text().contains("nodes.programs"));
    }

    /// What a log makes of a journal: each event once by its key, as an audit pack reads it.
    fn year_of(terms: &StudyTerms, journal: &[Record]) -> u64 {
        let mut reported = Vec::new();
        let said = journal
            .iter()
            .flat_map(|record| recorded(&STUDY, terms, false, record, &mut reported));
        let said: BTreeMap<String, Event> = said.collect();
        let spends = said.into_values();
        let spends = spends.filter(|event| event.kind == Kind::BudgetSpent);
        let spends: Vec<Spend> = spends
            .map(|event| Spend::of(&event.payload).unwrap())
            .collect();
        let year = Figures::of(&spends).unwrap().year;
        year.map_or(0, |year| year.rho_micro)
    }

    /// The log says what the statement of a model would say, and what the study's status comes to.
    #[track_caller]
    fn check_spent(world: &World, expected_urho: u64) {
        let (terms, rounds) = (world.study.terms(), world.study.rounds());
        let sums: Vec<SumRecord<'_>> = rounds
            .iter()
            .map(|round| SumRecord {
                attempts: round.attempts,
                updates: round.updates,
                cells: &[],
            })
            .collect();
        assert_eq!(year_of(terms, &world.journal), expected_urho);
        assert_eq!(quoted(terms, &sums), Some(MicroRho(expected_urho)));
        assert_eq!(spent(&STUDY, terms, rounds), MicroRho(expected_urho));
    }

    #[test]
    fn every_attempt_that_is_open_is_a_spend() {
        check_spent(&World::running([Habit::Prompt; MEMBERS]), 3_000);
    }

    #[test]
    fn attempts_without_a_sum_are_spends() {
        let refuses = Habit::Refuses(RefusalCode::NotLive);
        let habits = [Habit::Prompt, Habit::Prompt, refuses, refuses];
        let world = World::running(habits);
        assert!(world.study.released().is_empty());
        check_spent(&world, 1_000 * world.opened().len() as u64);
        assert!(world.opened().len() > 1);
    }

    #[test]
    fn copies_at_several_nodes_are_spent_each() {
        let world = World::with(|terms| terms.multiplicity = 2);
        let world = world.approved().accepted();
        check_spent(&world, 6_000);
    }

    #[test]
    fn groups_of_a_round_share_their_entries() {
        let opened = |group, attempt| Record::GroupOpened {
            round: 0,
            group,
            attempt,
            at: Timestamp(5),
        };
        let journal = [opened(0, 0), opened(1, 0), opened(1, 1)];
        assert_eq!(year_of(&terms(), &journal), 2_000);
    }

    #[test]
    fn numbers_that_were_skipped_are_spends() {
        assert_eq!(year_of(&terms(), &[open(0, 0), open(0, 2)]), 3_000);
    }
}
