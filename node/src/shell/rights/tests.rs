//! What a person is told, and what an erasure leaves. Tests are named by the ids of the features that they show.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{Hash32, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::history::Json;
use aquifer_shared::domain::predictor::model::{Fate, Life, Succession};
use aquifer_shared::protocol::wire::{ModelLife, ModelPlan};
use aquifer_shared::shell::at_rest::{Shape, open_sqlite};
use aquifer_shared::shell::keys::Identity;
use aquifer_shared::shell::report::Outcome;
use sqlx::Row as _;

use super::access::assemble;
use super::erase::{Erased, Erasure, Table, Why};
use super::extend::clocks;
use super::pack::Pack;
use super::scores::of_person;
use super::{export, html};
use crate::core::consent::{
    AgeSaid, ConsentEvent, EventKind, Notice, Scope, SubjectKey, SubjectRef, kind_of,
};
use crate::core::fixtures::{NOW, gatekeeper, public};
use crate::core::ledger::EndReason;
use crate::core::rights::{Action, Assessed, Backup, Case, Ground, Kind, Reason, Stage, Step};
use crate::shell::at_rest;
use crate::shell::audit::MadePack;
use crate::shell::consent::show::Counter;
use crate::shell::consent::time::written;
use crate::shell::consent::{ConsentLedger, EventKey, LEDGER_FILE, Position, Taken, Told};
use crate::shell::usage::tests::{World, study};
use crate::shell::usage::{USAGE_FILE, UsageFault, UsageLedger};

const DAY_MS: u64 = 24 * 3_600 * 1_000;
/// Ten days after the studies.
const AT: i64 = (NOW.0 + 10 * DAY_MS) as i64;

/// A unit with a consent ledger and a usage ledger in one directory.
struct Unit {
    world: World,
    key: SubjectKey,
}

impl Unit {
    fn new(persons: &[&str]) -> Self {
        let key = SubjectKey::new(&[5; 32]);
        let mut world = World::new();
        let subjects: Vec<SubjectRef> = persons.iter().map(|id| key.subject(id)).collect();
        world.table(0, &subjects);
        Identity::generate()
            .unwrap()
            .save(&world.path().join("identity.key"))
            .unwrap();
        Self { world, key }
    }

    fn desk(&self) -> Counter {
        let mut ledger = ConsentLedger::open(self.world.path()).unwrap();
        let notice = Notice {
            id: "privacy".parse().unwrap(),
            version: 1,
            lang: "en".into(),
            sha256: Hash32([1; 32]),
            material: true,
            signer: None,
        };
        ledger.add_notices(&[notice]).unwrap();
        Counter {
            key: self.key.clone(),
            notices: ledger.notices().unwrap(),
            ledger,
            gatekeeper: gatekeeper(),
            at: AT,
        }
    }

    fn says(&self, id: &str, number: u8, kind: EventKind) -> Taken {
        let subject = self.key.subject(id);
        let event = ConsentEvent {
            subject,
            scope: Scope::of_word("churn.train").unwrap(),
            kind,
            explicit: false,
            notice: Some(0),
            event_at: NOW.0.cast_signed(),
            recorded_at: 0,
            valid_from: None,
            valid_until: None,
            age: AgeSaid::Adult,
            place: None,
            order: number.into(),
        };
        let mut desk = self.desk();
        let mut next = Some((self.event_key(id, number), event));
        let mut came = Taken::New;
        let written = desk.ledger.write::<crate::shell::consent::ConsentFault>(
            || AT - 1_000,
            |before| {
                came = before.unwrap_or(came);
                Ok(next.take())
            },
            |written| {
                Ok(Some(Told {
                    kind: kind_of(kind),
                    subject: Some(subject),
                    payload: Json::Object(written.facts("crm")),
                }))
            },
        );
        written.unwrap();
        came
    }

    fn event_key(&self, id: &str, number: u8) -> EventKey {
        EventKey::of(&self.key, "crm", &format!("{id}-{number}"))
    }

    fn pack(&self, id: &str, scores: Option<&Path>) -> Pack {
        let mut desk = self.desk();
        let subject = self.key.subject(id);
        let events = desk.ledger.of_person(subject).unwrap();
        let scores = scores.map(|path| of_person(path, id).unwrap());
        let names = BTreeMap::from([(public(3), "south".to_owned())]);
        let mut usage = UsageLedger::open(self.world.path()).unwrap();
        assemble(&desk, (&mut usage, subject), (&events, scores), &names).unwrap()
    }

    /// Everything that a person is given.
    fn texts(&self, id: &str, scores: Option<&Path>) -> [String; 3] {
        let pack = self.pack(id, scores);
        let json = serde_json::to_string_pretty(&pack).unwrap();
        [json, html::page(&pack), export::csv(&pack).unwrap()]
    }

    fn erase(
        &self,
        id: &str,
        asked: &Erasure,
        written: impl FnMut(Stage) -> anyhow::Result<()>,
    ) -> anyhow::Result<Result<Erased, Why>> {
        let signer = Identity::load(&self.world.path().join("identity.key")).unwrap();
        let mut table = Table {
            usage: UsageLedger::open(self.world.path()).unwrap(),
            desk: self.desk(),
            signer: &signer,
        };
        table.erase(self.key.subject(id), asked, written)
    }

    /// Everything that the ledgers hold, decrypted, but for the marks that keep persons out.
    fn held(&self) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let vault = at_rest::vault(self.world.path()).unwrap();
        let wait = Shape::Shared(std::time::Duration::from_secs(5));
        let (consent, used) = (LEDGER_FILE, USAGE_FILE);
        let all = [
            (
                consent,
                at_rest::CONSENT,
                "SELECT hex(key) || hex(subject) || hex(content) || hex(bytes) FROM events",
            ),
            (
                consent,
                at_rest::CONSENT,
                "SELECT hex(coalesce(subject, '')) || hex(coalesce(payload, '')) FROM outbox",
            ),
            (
                consent,
                at_rest::CONSENT,
                "SELECT hex(subject) || hex(content) FROM receipts",
            ),
            (used, at_rest::USAGE, "SELECT hex(subject) FROM persons"),
            (
                used,
                at_rest::USAGE,
                "SELECT hex(coalesce(subject, '')) || hex(bytes) FROM requests",
            ),
            (
                used,
                at_rest::USAGE,
                "SELECT hex(text) || text FROM certificates",
            ),
            (used, at_rest::USAGE, "SELECT hex(facts) FROM runs"),
        ];
        let mut held = String::new();
        for (file, role, query) in all {
            let path = self.world.path().join(file);
            runtime.block_on(async {
                let mut open = open_sqlite(&path, &vault.database(role), wait)
                    .await
                    .unwrap();
                let rows = sqlx::query(query).fetch_all(&mut open).await.unwrap();
                for row in rows {
                    held += &row.get::<String, _>(0);
                }
            });
        }
        held
    }

    /// Files of the node that have these bytes.
    fn files_with(&self, bytes: &[u8]) -> Vec<PathBuf> {
        let all = fs::read_dir(self.world.path()).unwrap();
        let all = all.map(|entry| entry.unwrap().path());
        let has = |path: &PathBuf| {
            // A log goes with the last who has it open.
            let content = fs::read(path).unwrap_or_default();
            content.windows(bytes.len()).any(|window| window == bytes)
        };
        all.filter(has).collect()
    }
}

fn asked() -> Erasure {
    Erasure {
        ground: Ground::ConsentWithdrawn,
        verified_by: "desk 7".into(),
        backups: Vec::new(),
        keep_out_days: 36_500,
        until: Stage::Closed,
    }
}

/// A unit with the customers `erika`, `max` and `zoe`: a published model with `erika` and `max`, an open one with `erika`.
fn unit() -> Unit {
    let mut unit = Unit::new(&["erika", "max", "zoe"]);
    assert_eq!(unit.says("erika", 1, EventKind::Given), Taken::New);
    assert_eq!(unit.says("erika", 2, EventKind::Objected), Taken::New);
    assert_eq!(unit.says("max", 1, EventKind::Given), Taken::New);
    let later = Timestamp(NOW.0 + DAY_MS);
    let first = unit.world.accept(&study(1, "churn-a"));
    for round in 0..3 {
        unit.world.cut(first, round, 0, "++-");
        unit.world.charge(first, round, NOW);
    }
    unit.world.end(first, EndReason::Published, later);
    let second = unit.world.accept(&study(2, "churn-b"));
    unit.world.cut(second, 0, 0, "+--");
    unit.world.charge(second, 0, later);
    unit
}

/// A file of scores of these customers.
fn scores(folder: &Path, ids: &[&str]) -> PathBuf {
    let path = folder.join("scores.csv");
    let mut text = "customer,probability,score,state,reasons\n".to_owned();
    for id in ids {
        text += &format!("{id},0.250000,-12,scored,tenure of {id}: 3 months +0.31\n");
    }
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_longer_clock_is_kept_told_and_given_once() {
    let mut unit = Unit::new(&["erika"]);
    unit.world.stop();
    let mut usage = UsageLedger::open(unit.world.path()).unwrap();
    let case = Case::received(Hash32([3; 32]), Ground::Child, AT);
    usage.write_case((None, &case), None, None).unwrap();
    let clocks = clocks(&unit.desk());
    let extension = clocks.extend(&case, None, (Reason::Complexity, AT + 1));
    let extension = extension.unwrap();
    assert!(extension.until > clocks.answer_by(&case, None).unwrap());
    usage.write_extension(&case.request, &extension).unwrap();
    assert!(usage.write_extension(&case.request, &extension).is_err());
    let kept = usage.extensions().unwrap();
    assert_eq!(kept.get(&case.request), Some(&extension));
    let told = super::told(unit.world.path()).unwrap();
    let kinds: Vec<&str> = told.iter().map(|(_, event)| event.kind.name()).collect();
    assert_eq!(kinds, ["request.received", "request.extended"]);
}

/// How more time ends in a directory with a configuration and a file.
fn extended_beside(file: Option<&str>) -> anyhow::Result<Outcome> {
    let folder = tempfile::tempdir().unwrap();
    let text = "[data]\ncontract = \"c\"\nquery = \"q\"\nbasis = \"b\"\ncustomers_max = 9\ntables = {}\n[ledger]\nwitness = \"w\"\n[policy]\n\
                rho_micro_per_contract = 1\nrho_micro_per_year = 1\npurposes = []\napprovers = []\n";
    fs::write(folder.path().join("node.toml"), text).unwrap();
    if let Some(file) = file {
        fs::write(folder.path().join(file), "").unwrap();
    }
    super::extend::extend(folder.path(), ("00", "complexity"), false)
}

#[test]
fn s1_no_clock_is_made_longer_by_rules_that_are_not_in_force() {
    // A unit with a past, and nothing that says which policy was accepted.
    assert_eq!(extended_beside(Some(USAGE_FILE)).unwrap(), Outcome::Refused);
    // The first policy is in force: what is missing is the node's identity.
    assert!(extended_beside(None).is_err());
}

#[test]
fn t2_golden_subject_exact() {
    let unit = unit();
    let elsewhere = tempfile::tempdir().unwrap();
    let scores = scores(elsewhere.path(), &["erika", "max"]);
    let [json, page, csv] = unit.texts("erika", Some(&scores));
    for (name, found) in [
        ("access.json", &json),
        ("access.html", &page),
        ("access.csv", &csv),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/shell/rights/golden")
            .join(name);
        if std::env::var_os("AQUIFER_GOLDEN").is_some() {
            fs::write(&path, found).unwrap();
        }
        assert_eq!(&fs::read_to_string(&path).unwrap(), found, "{name}");
    }
    // The same again, byte for byte.
    assert_eq!(unit.texts("erika", Some(&scores)), [json, page, csv]);
}

#[test]
fn t2_no_other_subject() {
    // Seed 7; no chance is involved beyond the ids.
    let ids: Vec<String> = (0..100_u32)
        .map(|number| sha256(&[&[7], &number.to_be_bytes()[..]].concat()).to_string())
        .map(|digest| format!("cust-{}", &digest[..12]))
        .collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut unit = Unit::new(&ids);
    for id in &ids[..20] {
        unit.says(id, 1, EventKind::Given);
    }
    let first = unit.world.accept(&study(1, "churn-a"));
    unit.world.cut(first, 0, 0, &"+".repeat(100));
    unit.world.charge(first, 0, NOW);
    let elsewhere = tempfile::tempdir().unwrap();
    let scores = scores(elsewhere.path(), &ids);
    let own = unit.texts(ids[0], Some(&scores));
    for text in &own {
        assert!(text.contains(&format!("tenure of {}", ids[0])));
        let others = ids[1..].iter().filter(|other| text.contains(**other));
        assert_eq!(others.count(), 0);
    }
    // What others say and are eligible for changes nothing.
    unit.says(ids[1], 2, EventKind::Objected);
    let other = unit.world.accept(&study(2, "churn-b"));
    unit.world.cut(other, 0, 0, &format!("-{}", "+".repeat(99)));
    unit.world.charge(other, 0, NOW);
    assert_eq!(unit.texts(ids[0], Some(&scores)), own);
}

#[test]
fn t2_a_bound_adds_up_the_studies_of_the_person() {
    let unit = unit();
    let of = |id| {
        let pack = unit.pack(id, None);
        let single: u64 = pack.runs.iter().map(|run| run.rho_micro.unwrap().0).sum();
        let bound = pack.bound.all_time;
        assert_eq!(bound.rho_micro.unwrap().0, single);
        (pack.runs.len(), bound.epsilon.unwrap())
    };
    let (two, one, none) = (of("erika"), of("max"), of("zoe"));
    assert_eq!((two.0, one.0, none), (2, 1, (0, 0.0)));
    assert!(two.1 > one.1 && one.1 > 0.0);
}

#[test]
fn t2_an_erased_subject_is_in_no_file_of_the_node() {
    let mut unit = unit();
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|own| format!("{own:02X}")).collect() };
    let traces = [
        hex(&unit.key.subject("erika").0.to_be_bytes()),
        hex(&unit.event_key("erika", 1).0),
    ];
    let held = unit.held();
    assert!(traces.iter().all(|trace| held.contains(trace)));
    assert!(!held.contains("erika") && !held.contains(&hex(b"erika")));
    unit.world.stop();
    let erased = unit.erase("erika", &asked(), |_| Ok(())).unwrap().unwrap();
    assert_eq!(erased.case.deleted[0].rows_deleted, 2);
    assert_eq!(erased.case.deleted[1].rows_deleted, 1);
    let held = unit.held();
    assert!(traces.iter().all(|trace| !held.contains(trace)));
    assert!(!held.contains("erika") && !held.contains(&hex(b"erika")));
    assert!(unit.files_with(b"erika").is_empty());
    let certificate = erased.certificate.unwrap();
    assert!(!certificate.contains("erika"));
    let other = unit.pack("max", None);
    assert_eq!((other.events.len(), other.runs.len()), (1, 1));
}

#[test]
fn t2_erasure_goes_on_from_every_stage_after_a_restart() {
    let whole = unit();
    let mut stages = Vec::new();
    let end = |unit: &Unit| {
        let erased = unit.erase("erika", &asked(), |_| Ok(())).unwrap().unwrap();
        let mut case = erased.case;
        (case.request, case.certificates) = (Hash32([0; 32]), Vec::new());
        case
    };
    let noted = whole.erase("erika", &asked(), |stage| {
        stages.push(stage);
        Ok(())
    });
    let expected = Stage::CertificateIssued;
    let mut case = noted.unwrap().unwrap().case;
    assert_eq!((case.stage, stages.len()), (expected, 8));
    (case.request, case.certificates) = (Hash32([0; 32]), Vec::new());
    for broken in stages.iter().take(7) {
        let unit = unit();
        let stopped = unit.erase("erika", &asked(), |stage| {
            anyhow::ensure!(stage != *broken, "the machine stops");
            Ok(())
        });
        assert!(stopped.is_err());
        assert_eq!(end(&unit), case, "{broken:?}");
        // Nobody is asked for twice.
        let again = unit.erase("erika", &asked(), |_| Ok(())).unwrap();
        assert!(matches!(again, Err(Why::Already(_))));
    }
}

#[test]
fn t2_a_crash_between_two_stores_loses_nothing() {
    let unit = unit();
    let prepared = Erasure {
        until: Stage::Scoped,
        ..asked()
    };
    let erased = unit.erase("erika", &prepared, |_| Ok(())).unwrap().unwrap();
    assert_eq!(erased.case.stage, Stage::Scoped);
    assert!(erased.certificate.is_none());
    assert_eq!(unit.pack("erika", None).events.len(), 2);
    // The consent ledger is done, the rest is not.
    let subject = unit.key.subject("erika");
    unit.desk().ledger.erase(subject, AT, AT + 5_000).unwrap();
    let erased = unit.erase("erika", &asked(), |_| Ok(())).unwrap().unwrap();
    assert_eq!(erased.case.tombstone.unwrap().until, AT + 5_000);
    assert_eq!(erased.case.deleted[1].rows_deleted, 1);
}

#[test]
fn t2_an_erased_subject_does_not_come_back() {
    let mut unit = unit();
    unit.erase("erika", &asked(), |_| Ok(())).unwrap().unwrap();
    assert_eq!(unit.says("erika", 1, EventKind::Given), Taken::Erased);
    assert_eq!(unit.says("erika", 9, EventKind::Given), Taken::Erased);
    // Whoever reads on learns that the person is blocked.
    let (events, _) = unit.desk().ledger.since(Position::default()).unwrap();
    let subject = unit.key.subject("erika");
    let blocked =
        |event: &&ConsentEvent| event.subject == subject && event.kind == EventKind::Objected;
    assert_eq!(events.iter().filter(blocked).count(), 1);
    // In the unit's table still, and eligible by a mistake: no number, no trace.
    let subjects = ["erika", "max"].map(|id| unit.key.subject(id));
    unit.world.start();
    unit.world.table(7, &subjects);
    let third = unit.world.accept(&study(3, "churn-c"));
    unit.world.cut(third, 0, 7, "++");
    unit.world.charge(third, 0, NOW);
    assert!(unit.pack("erika", None).runs.is_empty());
    assert_eq!(unit.pack("max", None).runs.len(), 2);
}

#[test]
fn t2_models_and_answers_are_listed_with_bound_and_date() {
    let unit = unit();
    let asked = Erasure {
        backups: vec![Backup {
            id: "nightly".into(),
            expires_at: AT + 1,
        }],
        ..asked()
    };
    let erased = unit.erase("erika", &asked, |_| Ok(())).unwrap().unwrap();
    let case = erased.case;
    // 90 days by the policy of the house.
    let by = AT + 90 * DAY_MS as i64;
    let actions: Vec<Action> = case.assessed.iter().map(|own| own.action).collect();
    assert_eq!(actions, [Action::RetireBy(by), Action::RetireBy(by)]);
    assert!(case.assessed.iter().all(|own| own.run.eps_micro.is_some()));
    assert_eq!(case.due(AT), Some(by));
    let certificate: serde_json::Value =
        serde_json::from_str(&erased.certificate.unwrap()).unwrap();
    let body = &certificate["body"];
    assert_eq!(
        body["models_and_answers"][0]["what"],
        "may have contributed"
    );
    assert_eq!(body["backups"][0]["id"], "nightly");
    // Signed, and keys in order at every depth.
    let text = body.to_string();
    let digest =
        aquifer_shared::base::hash::labelled("aquifer/erasure-certificate/1", &[text.as_bytes()]);
    assert_eq!(certificate["digest"], digest.to_string());
    check_order(body);
}

/// A pack is a copy of what the history said: only people can remove it, and only if they are told of it.
#[test]
fn t2_audit_packs_from_before_an_erasure_are_listed_for_removal() {
    let unit = unit();
    let elsewhere = tempfile::tempdir().unwrap();
    let noted = |name: &str, read_at| {
        let pack = MadePack {
            folder: elsewhere.path().join(name),
            quarter: "2026Q4".to_owned(),
            manifest: "00".repeat(32),
            read_at,
        };
        pack.note(unit.world.path()).unwrap();
        pack
    };
    let before = noted("before", AT - 1);
    fs::create_dir(&before.folder).unwrap();
    noted("later", AT + 1);
    let erased = unit.erase("erika", &asked(), |_| Ok(())).unwrap().unwrap();
    assert_eq!(erased.packs, [before]);
    let certificate: serde_json::Value =
        serde_json::from_str(&erased.certificate.unwrap()).unwrap();
    let packs = certificate["body"]["audit_packs"].as_array().unwrap();
    assert_eq!(packs.len(), 1, "{packs:?}");
    assert_eq!(packs[0]["action"], "remove by hand");
    assert_eq!(
        (&packs[0]["folder"], &packs[0]["there"]),
        (&"before".into(), &true.into())
    );
    check_order(&certificate["body"]);
}

fn said(study: Hash32, fate: Fate, since: u64) -> ModelLife {
    ModelLife {
        study: StudyHash(study.0),
        name: "churn".parse().unwrap(),
        version: 2,
        life: Life {
            retire_by: Timestamp(AT as u64 + 80 * DAY_MS),
            fate,
            since: Timestamp(since),
        },
    }
}

/// Each erased person has a date for each model, from the models' own dates alone; and learns when the last is used no more.
#[test]
fn t2_each_erased_person_has_a_retire_by_date() {
    let unit = unit();
    let signer = Identity::load(&unit.world.path().join("identity.key")).unwrap();
    let mut usage = UsageLedger::open(unit.world.path()).unwrap();
    let studies: Vec<Hash32> = unit
        .pack("erika", None)
        .runs
        .iter()
        .map(|own| own.study.parse().unwrap())
        .collect();
    // Of one model the date was known before, of the other it comes afterwards.
    usage
        .keep_lives(&[said(studies[0], Fate::InUse, 0)])
        .unwrap();
    let used = unit.pack("erika", None).runs[0].model_used_until.clone();
    let erased = unit.erase("erika", &asked(), |_| Ok(())).unwrap().unwrap();
    let request = erased.case.request;
    let later = AT + 80 * DAY_MS as i64;
    let mut dates: Vec<Option<i64>> = erased.case.assessed.iter().map(Assessed::by).collect();
    dates.sort();
    assert_eq!(dates, [Some(later), Some(AT + 90 * DAY_MS as i64)]);
    let certificate = erased.certificate.unwrap();
    assert!(certificate.contains(&format!("\"model_retire_by\":\"{}\"", used.unwrap())));
    assert!(certificate.contains("\"model_state\":\"in-use\""));
    let mut renew = |said: &[ModelLife], at: i64| {
        usage.keep_lives(said).unwrap();
        let renewed = usage.renew_all(Timestamp(at as u64), &signer).unwrap();
        let case = usage.case_of(&request).unwrap().unwrap();
        (renewed, case.certificates.len(), case.stage)
    };
    let open = Stage::CertificateIssued;
    assert_eq!(renew(&[], AT + 1), (0, 1, open));
    assert_eq!(
        renew(&[said(studies[1], Fate::InUse, 0)], AT + 2),
        (1, 2, open)
    );
    // The same again says nothing new, nor does the end of one of two.
    assert_eq!(
        renew(&[said(studies[1], Fate::InUse, 0)], AT + 3),
        (0, 2, open)
    );
    let retired = said(studies[0], Fate::Retired, AT as u64 + 4);
    assert_eq!(renew(&[retired], AT + 4), (0, 2, open));
    // A date that passes ends a model without anybody saying so.
    assert_eq!(renew(&[], later), (0, 2, open));
    assert_eq!(renew(&[], later + 1), (1, 3, Stage::Closed));
    assert_eq!(renew(&[], later + 2), (0, 3, Stage::Closed));
    let case = usage.case_of(&request).unwrap().unwrap();
    let mut ends: Vec<Option<i64>> = case.assessed.iter().map(|own| own.superseded_at).collect();
    ends.sort();
    assert_eq!(ends, [Some(AT + 4), Some(later)]);
    let last = usage
        .certificate(case.certificates.last().unwrap())
        .unwrap()
        .unwrap();
    let last: serde_json::Value = serde_json::from_str(&last).unwrap();
    let models = last["body"]["models_and_answers"].as_array().unwrap();
    let mut states: Vec<&str> = models
        .iter()
        .map(|own| own["model_state"].as_str().unwrap())
        .collect();
    states.sort_unstable();
    assert_eq!(states, ["expired", "retired"]);
    check_order(&last["body"]);
}

/// Two who work on one erasure: the desk, and the running node.
#[test]
fn an_erasure_that_somebody_else_has_written_is_not_written_over() {
    let unit = unit();
    let subject = unit.key.subject("erika");
    let halfway = Erasure {
        until: Stage::Scoped,
        ..asked()
    };
    let read = unit.erase("erika", &halfway, |_| Ok(())).unwrap().unwrap();
    let read = read.case;
    let [mut one, mut other] = [(); 2].map(|()| UsageLedger::open(unit.world.path()).unwrap());
    let (mut refused, mut resumed) = (read.clone(), read.clone());
    let step = Step::Refuse("a duty to keep".to_owned());
    refused.take(AT, step.clone()).unwrap();
    resumed.take(AT + 1, step).unwrap();
    // A second one of the same person, begun at the same moment.
    let second = Case::received(Hash32([8; 32]), Ground::Child, AT);
    let begun = other.write_case((None, &second), Some(subject), None);
    assert!(matches!(begun, Err(UsageFault::Meanwhile)), "{begun:?}");
    one.write_case((Some(&read), &refused), None, None).unwrap();
    for before in [Some(&read), Some(&resumed), None] {
        let late = other.write_case((before, &resumed), None, None);
        assert!(matches!(late, Err(UsageFault::Meanwhile)), "{late:?}");
    }
    assert_eq!(other.case_of(&read.request).unwrap(), Some(refused));
    other
        .write_case((None, &second), Some(subject), None)
        .unwrap();
    assert_eq!(one.cases().unwrap().len(), 2);
}

#[test]
fn a_certificate_that_the_desk_has_issued_meanwhile_is_not_issued_again() {
    let unit = unit();
    let signer = Identity::load(&unit.world.path().join("identity.key")).unwrap();
    let read = unit.erase("erika", &asked(), |_| Ok(())).unwrap().unwrap();
    let read = read.case;
    let [mut node, mut desk] = [(); 2].map(|()| UsageLedger::open(unit.world.path()).unwrap());
    let study = read.scope[0].study;
    desk.keep_lives(&[said(study, Fate::InUse, 0)]).unwrap();
    assert!(desk.renew_case(read.clone(), AT + 1, &signer).unwrap());
    let late = node.renew_case(read.clone(), AT + 2, &signer).unwrap_err();
    let late = late.downcast_ref();
    assert!(matches!(late, Some(UsageFault::Meanwhile)), "{late:?}");
    let kept = node.case_of(&read.request).unwrap().unwrap();
    assert_eq!(kept.certificates.len(), 2);
    assert_eq!(kept.reached.last(), read.reached.last());
}

#[test]
fn models_that_nobody_of_the_unit_can_be_in_are_not_kept() {
    let mut unit = unit();
    let accepted = unit.world.accept(&study(3, "churn-c"));
    let mut usage = UsageLedger::open(unit.world.path()).unwrap();
    let own: Hash32 = unit.pack("max", None).runs[0].study.parse().unwrap();
    let all = [own, Hash32(accepted.0), Hash32([9; 32])];
    usage
        .keep_lives(&all.map(|study| said(study, Fate::InUse, 0)))
        .unwrap();
    let kept: Vec<Hash32> = usage.lives().unwrap().into_keys().collect();
    assert_eq!(kept, [own]);
}

/// A coordinator that calls answers a model changes nothing about them, and keeps no certificate from being made.
#[test]
fn answers_are_no_model_whatever_is_said_of_them() {
    let unit = unit();
    let mut usage = UsageLedger::open(unit.world.path()).unwrap();
    let erased = unit.erase("erika", &asked(), |_| Ok(())).unwrap().unwrap();
    let mut case = erased.case;
    let answers = case.assessed.iter_mut();
    answers.for_each(|own| own.run.kind = Kind::Query);
    let study = case.assessed[0].run.study;
    usage.keep_lives(&[said(study, Fate::Retired, 5)]).unwrap();
    let before = case.clone();
    usage.tell_lives(&mut case, AT + 5).unwrap();
    assert_eq!(case, before);
}

/// A plan to train the model anew is in the certificate with its day, and what came of it in the last one.
#[test]
fn t2_a_certificate_says_when_a_model_is_trained_anew() {
    let unit = unit();
    let signer = Identity::load(&unit.world.path().join("identity.key")).unwrap();
    let mut usage = UsageLedger::open(unit.world.path()).unwrap();
    let runs = unit.pack("erika", None).runs;
    let studies: Vec<Hash32> = runs.iter().map(|own| own.study.parse().unwrap()).collect();
    let lives = |fate, since| [said(studies[0], fate, since), said(studies[1], fate, since)];
    let plans = |succession| -> Vec<ModelPlan> {
        let own = studies.iter().map(|study| ModelPlan {
            study: StudyHash(study.0),
            succession,
        });
        own.collect()
    };
    usage.keep_lives(&lives(Fate::InUse, 0)).unwrap();
    let erased = unit.erase("erika", &asked(), |_| Ok(())).unwrap().unwrap();
    let first = erased.certificate.unwrap();
    assert!(first.contains("\"retraining\":\"unplanned\""), "{first}");
    let at = |days: u64| Timestamp(AT as u64 + days * DAY_MS);
    let mut renewed = |said: &[ModelPlan], now: Timestamp| {
        usage.keep_plans(said).unwrap();
        let renewed = usage.renew_all(now, &signer).unwrap();
        let case = usage.case_of(&erased.case.request).unwrap().unwrap();
        let last = usage.certificate(case.certificates.last().unwrap());
        let last = last.unwrap().unwrap();
        let last: serde_json::Value = serde_json::from_str(&last).unwrap();
        check_order(&last["body"]);
        let model = last["body"]["models_and_answers"][0].clone();
        (renewed, model, case.stage)
    };
    let scheduled = plans(Succession::Scheduled(at(66)));
    let (count, model, stage) = renewed(&scheduled, at(1));
    assert_eq!((count, stage), (1, Stage::CertificateIssued));
    assert_eq!(model["action"], "retrain_scheduled");
    assert_eq!(model["retraining"], "retrain_scheduled");
    assert_eq!(model["retraining_at"], written(AT + 66 * DAY_MS as i64));
    assert_eq!(model["by"], model["model_retire_by"]);
    assert_eq!(renewed(&scheduled, at(2)).0, 0, "nothing new");
    let released = Succession::Superseded {
        version: 3,
        at: at(67),
    };
    assert_eq!(renewed(&plans(released), at(67)).0, 0, "it is in use still");
    let other = UsageLedger::open(unit.world.path());
    let retired = lives(Fate::Retired, at(67).0);
    other.unwrap().keep_lives(&retired).unwrap();
    let (count, model, stage) = renewed(&[], at(68));
    assert_eq!((count, stage), (1, Stage::Closed));
    assert_eq!(model["superseded_by"], "churn@3");
    assert_eq!(model["model_state"], "retired");
    assert_eq!(model["superseded_at"], written(AT + 67 * DAY_MS as i64));
}

#[track_caller]
fn check_order(value: &serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            let names: Vec<&String> = fields.keys().collect();
            assert!(names.is_sorted(), "{names:?}");
            fields.values().for_each(check_order);
        }
        serde_json::Value::Array(items) => items.iter().for_each(check_order),
        serde_json::Value::Number(number) => assert!(!number.is_f64(), "{number}"),
        _ => {}
    }
}

#[test]
fn t1_word_lint_of_rights() {
    let unit = unit();
    let mut texts = unit.texts("erika", None).to_vec();
    let erased = unit.erase("erika", &asked(), |_| Ok(())).unwrap().unwrap();
    texts.push(erased.certificate.unwrap());
    for text in texts {
        let text = text.to_lowercase();
        for word in [
            "compliant",
            "anonymous",
            "anonymised",
            "anonymized",
            "certified",
            "forgotten",
            "removed from the model",
            "unlearned",
            "guaranteed",
            "fully protected",
            "zero risk",
            "<script",
        ] {
            assert!(!text.contains(word), "{word}");
        }
    }
}

#[track_caller]
fn check_scores(content: &str, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scores.csv");
    fs::write(&path, content).unwrap();
    let error = of_person(&path, "erika").unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains(expected) && !text.contains("erika"), "{text}");
}

#[test]
fn a_file_that_holds_no_scores_is_refused_without_a_value_of_it() {
    check_scores("id,score\nerika,1\n", "no column \"customer\"");
    check_scores("customer,score\nerika,1,2,3\n", "line 2");
    let many = "erika,1\n".repeat(65);
    check_scores(&format!("customer,score\n{many}"), "more than 64 lines");
}

#[test]
fn what_spreadsheets_run_is_made_harmless() {
    let unit = unit();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scores.csv");
    fs::write(&path, "customer,reasons\nerika,=1+1\n").unwrap();
    let [_, _, csv] = unit.texts("erika", Some(&path));
    assert!(csv.contains("'=1+1"));
}
