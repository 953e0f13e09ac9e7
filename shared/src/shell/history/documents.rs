//! Documents out of logs that the real writer made.

use super::*;
use crate::domain::facts::{
    Assessment, Basis, Card, Declaration, Dossier, Form, Log, Measure, NoDocument, NoDossier,
    NotAssessed, Parties, Record, declares_measures, declares_nothing, forbidden, is_known, notice,
};
use crate::domain::history::{Json, Kind};
use crate::domain::law::{Purposes, Word};
use crate::domain::pack::{Body, Entry as Packed, Programs, Spend, VerifierKey, demands_programs};
use crate::shell::keys::Identity;

const STUDY: &str = "0707070707070707070707070707070707070707070707070707070707070707";
const PURPOSES: &str = include_str!("../../../laws/examples/purposes.toml");
const BLOCK: [&str; 10] = [
    "accountant",
    "floating_point",
    "horizon",
    "mechanism",
    "neighbours",
    "rho_micro",
    "sampling",
    "trust_model",
    "tuning_rho_micro",
    "unit",
];

struct Made {
    entries: Vec<Packed>,
    note: String,
    key: VerifierKey,
}

impl Made {
    fn log(&self) -> Result<Log, NoDocument> {
        Log::verified(self.entries.iter().cloned(), &self.note, &self.key)
    }
}

async fn made(events: Vec<Event>) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let place = Place {
        folder: folder.path().join("history"),
        mark: folder.path().join("history.checkpoint"),
        takes_persons: false,
        key: crate::shell::at_rest::DatabaseKey::new([7; 32]),
    };
    let signer = LogSigner::new("aquifer/test".to_owned(), Identity::generate().unwrap());
    let key = VerifierKey::of_log("aquifer/test", signer.public());
    let clock = || Timestamp(1_790_000_000_000);
    let history = History::open(place, signer, clock).await.unwrap();
    history.append(events).await.unwrap();
    let (edge, note) = history.checkpoint();
    let read = history.read(0..edge.size).await.unwrap();
    let packed = |(index, entry): (u64, Entry)| Packed {
        index,
        leaf: entry.leaf.to_bytes(),
        body: entry
            .opening
            .map_or(Body::Erased, |(salt, payload)| Body::Kept { salt, payload }),
    };
    let entries = (0..).zip(read).map(packed).collect();
    history.close().await;
    Made { entries, note, key }
}

fn parties() -> Event {
    let of = |name: &str| {
        (
            name.to_owned(),
            format!("privacy@{}.example", name.to_lowercase()),
        )
    };
    let parties = Parties {
        controller: of("North"),
        processor: of("Hub"),
        dpo: "dpo@north.example".to_owned(),
        role: "controller".to_owned(),
        authority: "=HYPERLINK(1)".to_owned(),
    };
    parties.event()
}

fn purpose() -> Event {
    let purposes = Purposes::parse(PURPOSES).unwrap();
    let own = purposes
        .list()
        .iter()
        .find(|one| one.id.as_str() == "churn.train")
        .unwrap();
    let declaration = Declaration {
        bases: vec![Basis {
            place: "DE".to_owned(),
            basis: "consent".to_owned(),
        }],
        categories: vec!["contract".to_owned()],
        subjects: vec!["customers".to_owned()],
        recipients: vec!["=1+1".to_owned()],
        transfers: Vec::new(),
        source: "the unit's own contracts".to_owned(),
        retention_days: Some(90),
    };
    declaration.event(own)
}

fn measures() -> Event {
    declares_measures(&[Measure {
        text: "everything at rest is encrypted".to_owned(),
        dpv: "dpv:Encryption".to_owned(),
    }])
}

fn proposed(purpose: &str) -> Event {
    let payload = Json::object([
        ("contract", "customers".into()),
        ("delta_pico", 10_000_000u64.into()),
        ("members", 3u32.into()),
        ("population", 80_000u32.into()),
        ("purpose", purpose.into()),
        ("rounds", 8u32.into()),
        ("study", STUDY.into()),
        ("synthetic", false.into()),
        ("trust_mode", "node-noise".into()),
    ]);
    Event::of_program(Kind::StudyProposed, payload)
}

fn released(without: Option<&str>) -> Event {
    let fields = BLOCK
        .iter()
        .filter(|key| Some(**key) != without)
        .map(|key| {
            let value = match *key {
                "rho_micro" => Json::from(30_000u32),
                "tuning_rho_micro" => Json::from(0u32),
                key => Json::from(format!("<b>{key}</b>")),
            };
            ((*key).to_owned(), value)
        });
    let payload = Json::object([
        ("disclosure", Json::Object(fields.collect())),
        ("file_sha256", STUDY.into()),
        (
            "limits",
            Json::List(vec!["for churn of contracts only".into()]),
        ),
        ("model", "churn".into()),
        ("retire_by", "2026-12-20 (UTC)".into()),
        ("study", STUDY.into()),
        ("version", 1u32.into()),
    ]);
    Event::of_program(Kind::ModelReleased, payload)
}

fn usual() -> Vec<Event> {
    vec![
        parties(),
        purpose(),
        measures(),
        proposed("churn.train"),
        released(None),
    ]
}

/// All documents of a log, one after the other.
fn all(log: &Log) -> Vec<String> {
    let card = Card::of(log, "churn", None).unwrap();
    let record = |form| Record::of(log, form).unwrap();
    vec![
        card.to_html(),
        card.to_json(),
        notice(log, None).unwrap(),
        record(Form::Controller).to_csv(),
        record(Form::Controller).to_json_ld(),
        record(Form::Processor).to_csv(),
        record(Form::Processor).to_json_ld(),
    ]
}

#[tokio::test]
async fn t1_same_log_same_bytes() {
    let made = made(usual()).await;
    assert_eq!(all(&made.log().unwrap()), all(&made.log().unwrap()));
}

#[tokio::test]
async fn t1_every_number_has_an_index() {
    let log = made(usual()).await.log().unwrap();
    let has_digit = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    let card = Card::of(&log, "churn", None).unwrap();
    let lines: Vec<_> = card
        .sections()
        .iter()
        .flat_map(|section| &section.lines)
        .collect();
    assert!(lines.len() > 30);
    for line in lines {
        assert!(
            !has_digit(&line.value) || !line.from.is_empty(),
            "{}",
            line.key
        );
        assert!(line.from.iter().all(|index| *index < 5), "{}", line.key);
        let property = format!(
            "\"name\":\"aquifer:{}:entries\",\"value\":\"{}\"",
            line.key,
            line.entries()
        );
        assert!(card.to_json().contains(&property), "{property}");
    }
    for line in notice(&log, None)
        .unwrap()
        .lines()
        .filter(|line| has_digit(line))
    {
        assert!(line.contains(" [log ") && line.ends_with(']'), "{line}");
    }
    let table = Record::of(&log, Form::Controller).unwrap().to_csv();
    assert!(table.trim_end().ends_with("\"0 1 2 3\""), "{table}");
}

/// Another study takes the place of the model, and makes its second version.
#[tokio::test]
async fn t1_a_card_says_when_another_version_takes_its_place() {
    let other = "66".repeat(32);
    let on = Json::object([
        ("model", "churn".into()),
        ("retrain_on", "2026-12-06 (UTC)".into()),
        ("study", STUDY.into()),
        ("version", 1u32.into()),
    ]);
    let change = |event: Event, changes: &[(&str, Json)]| {
        let mut event = event;
        if let Json::Object(fields) = &mut event.payload {
            let changes = changes.iter().cloned();
            fields.extend(changes.map(|(key, value)| (key.to_owned(), value)));
        }
        event
    };
    let place = [("study", other.as_str().into()), ("succeeds", STUDY.into())];
    let second = [("study", other.as_str().into()), ("version", 2u32.into())];
    let events = [
        usual(),
        vec![
            Event::of_program(Kind::ModelRetrainScheduled, on),
            change(proposed("churn.train"), &place),
            change(released(None), &second),
        ],
    ];
    let log = made(events.concat()).await.log().unwrap();
    let said = |version: u64| {
        let card = Card::of(&log, "churn", Some(version)).unwrap();
        let lines = card.sections().iter().flat_map(|section| &section.lines);
        let lines =
            lines.filter(|line| line.key.starts_with("retrain") || line.key == "superseded_by");
        let lines = lines.map(|line| (line.key.clone(), line.value.clone(), line.entries()));
        lines.collect::<Vec<_>>()
    };
    let own = said(1);
    assert_eq!(own.len(), 3, "{own:?}");
    assert_eq!(own[0].1, "2026-12-06 (UTC)");
    assert_eq!((own[0].2.as_str(), own[1].2.as_str()), ("5", "6"));
    assert_eq!((own[2].1.as_str(), own[2].2.as_str()), ("2", "7"));
    assert_eq!(said(2), [], "nothing is planned for the second");
}

fn summed(programs: &Programs) -> Event {
    let own = [("members", Json::from(3u32)), ("study", STUDY.into())];
    let own = own.map(|(key, value)| (key.to_owned(), value));
    let payload = Json::Object(own.into_iter().chain(programs.fields()).collect());
    Event::of_program(Kind::RoundAggregated, payload)
}

/// Values of lines about the programs of nodes, each with its entries.
async fn programs_of(events: Vec<Event>) -> Vec<(String, String)> {
    let card = made(events).await.log().unwrap();
    let card = Card::of(&card, "churn", None).unwrap();
    let lines = card.sections().iter().flat_map(|section| &section.lines);
    let own = lines.filter(|line| line.key.starts_with("node_program"));
    let lines: Vec<_> = own
        .map(|line| (line.value.clone(), line.entries()))
        .collect();
    let (limits, other) = lines.split_last().unwrap();
    assert!(limits.0.contains("self-reported") && limits.0.contains("no remote attestation"));
    other.to_vec()
}

#[tokio::test]
async fn s3_digest_in_round_record_is_on_the_card() {
    let (old, new) = (Hash32([0xa1; 32]), Hash32([0xb2; 32]));
    let none = ("none".to_owned(), String::new());
    let line = |value: &str, entries: &str| (value.to_owned(), entries.to_owned());
    assert_eq!(programs_of(usual()).await, std::slice::from_ref(&none));
    let mut events = usual();
    let enrolled = Json::object([("key", "k1".into()), ("name", "north".into())]);
    events.push(Event::of_program(Kind::NodeEnrolled, enrolled));
    let Json::Object(fields) = &mut events[3].payload else {
        unreachable!()
    };
    let nodes = ["k0", "k1", "k2"].map(Json::from).to_vec();
    fields.insert("nodes".to_owned(), Json::List(nodes));
    let all = |programs: [Option<Hash32>; 3]| summed(&Programs::new((0..).zip(programs)));
    events.push(all([Some(old), Some(old), Some(new)]));
    events.push(all([Some(old), None, Some(new)]));
    let found = programs_of(events.clone()).await;
    let expected = [
        line(&format!("{old}: place 0 of the roster, north"), "3 5 6 7"),
        line(&format!("{new}: place 2 of the roster"), "6 7"),
        line("not named for every node of these sums", "7"),
        none,
    ];
    assert_eq!(found, expected);
    // What was demanded when the model was released counts, not what came later.
    events.insert(3, demands_programs(&[old, new]));
    events.push(demands_programs(&[]));
    let found = programs_of(events).await;
    assert_eq!(found.last(), Some(&line(&format!("{old}, {new}"), "3")));
    // An entry that does not name each node once is no source of a card.
    let mut events = usual();
    events.push(summed(&Programs::new([(0, Some(old))])));
    let log = made(events).await.log().unwrap();
    let error = Card::of(&log, "churn", None).unwrap_err();
    assert!(
        matches!(error, NoDocument::Contradicted { index: 5, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn t1_changed_ledger_refuses() {
    let whole = made(usual()).await;
    let refused = |change: &dyn Fn(&mut Vec<Packed>)| {
        let mut entries = whole.entries.clone();
        change(&mut entries);
        let log = Log::verified(entries, &whole.note, &whole.key);
        assert!(matches!(log, Err(NoDocument::NotVerified(_))), "{log:?}");
    };
    for index in 0..whole.entries.len() {
        for byte in 0..whole.entries[index].leaf.len() {
            refused(&|entries| entries[index].leaf[byte] ^= 1);
        }
        refused(&|entries| {
            if let Body::Kept { payload, .. } = &mut entries[index].body {
                payload[3] ^= 1;
            }
        });
        refused(&|entries| drop(entries.remove(index)));
    }
    refused(&|entries| entries.swap(1, 2));
    let other = made(usual()).await;
    assert!(Log::verified(whole.entries.clone(), &whole.note, &other.key).is_err());
}

#[tokio::test]
async fn t3_incomplete_block_refuses_card() {
    for key in BLOCK {
        let mut events = usual();
        events[4] = released(Some(key));
        let log = made(events).await.log().unwrap();
        let error = Card::of(&log, "churn", None).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
}

#[tokio::test]
async fn t3_a_bound_below_what_was_spent_refuses_card() {
    for (rho_micro, fits) in [(30_000, true), (30_001, false)] {
        let spend = Spend {
            purpose: "churn.train".to_owned(),
            study: STUDY.to_owned(),
            part: "training".to_owned(),
            mode: "node-noise".to_owned(),
            multiplicity: 1,
            rho_micro,
            times: 1,
            delta_pico: 10_000_000,
        };
        let mut events = usual();
        events.push(Event::of_program(Kind::BudgetSpent, spend.to_payload()));
        let log = made(events).await.log().unwrap();
        assert_eq!(Card::of(&log, "churn", None).is_ok(), fits);
    }
}

#[tokio::test]
async fn t1_word_lint() {
    let log = made(usual()).await.log().unwrap();
    for text in all(&log) {
        assert_eq!(forbidden(&text), None);
    }
    let mut events = usual();
    let Json::Object(fields) = &mut events[1].payload else {
        unreachable!()
    };
    fields.insert("description".to_owned(), "Results are Anonymous.".into());
    let log = made(events).await.log().unwrap();
    let claimed = NoDocument::Word("anonymous");
    assert_eq!(Card::of(&log, "churn", None), Err(claimed.clone()));
    assert_eq!(notice(&log, None), Err(claimed.clone()));
    assert_eq!(Record::of(&log, Form::Controller), Err(claimed));
}

#[tokio::test]
async fn t1_accessible_html() {
    let log = made(usual()).await.log().unwrap();
    let page = Card::of(&log, "churn", None).unwrap().to_html();
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
    assert_eq!(page.matches("<h1>").count(), 1);
    assert!(page.find("<h1>") < page.find("<h2>") && !page.contains("<h3"));
    assert_eq!(
        page.matches("<th").count(),
        page.matches("<th scope=").count() + page.matches("<thead>").count()
    );
    assert_eq!(
        page.matches("<table>").count(),
        page.matches("<caption>").count()
    );
    assert!(
        !page.contains("<script")
            && !page.contains("<b>")
            && page.contains("color:#000;background:#fff")
    );
    assert!(page.contains("not_claimed") && page.contains("not run"));
}

#[tokio::test]
async fn processing_without_a_declaration_is_an_alarm() {
    let mut events = usual();
    events.push(proposed("made.up"));
    let log = made(events).await.log().unwrap();
    let record = Record::of(&log, Form::Processor).unwrap();
    assert_eq!(record.alarms().len(), 1);
    assert!(record.to_csv().contains("ALARM") && record.to_json_ld().contains("made.up"));
    let declared = made(usual()).await.log().unwrap();
    assert!(
        Record::of(&declared, Form::Processor)
            .unwrap()
            .alarms()
            .is_empty()
    );
    let mut late = usual();
    late.swap(1, 3);
    let late = made(late).await.log().unwrap();
    assert_eq!(
        Record::of(&late, Form::Controller).unwrap().alarms().len(),
        1
    );
}

fn rules() -> Event {
    Event::of_program(
        Kind::PackLoaded,
        Json::object([("declares", "rules".into())]),
    )
}

/// State of the only activity, and the alarms.
async fn judged(events: Vec<Event>) -> (String, Vec<String>) {
    let log = made(events).await.log().unwrap();
    let record = Record::of(&log, Form::Controller).unwrap();
    let text = record.to_json_ld();
    let (_, state) = text.split_once("\"aq:state\":\"").unwrap();
    let (state, _) = state.split_once('"').unwrap();
    (state.to_owned(), record.alarms().to_vec())
}

#[tokio::test]
async fn t1_a_declaration_that_was_withdrawn_covers_nothing() {
    let before = [
        rules(),
        parties(),
        purpose(),
        measures(),
        proposed("churn.train"),
    ];
    let without = [rules(), parties(), measures()];
    let again = [rules(), parties(), purpose(), measures()];
    let used = [proposed("churn.train")];
    let on = |more: &[&[Event]]| [&before[..], &more.concat()[..]].concat();
    let declared = "declared".to_owned();
    let found = judged(on(&[&again, &used])).await;
    assert_eq!(found, (declared.clone(), Vec::new()));
    let until = "declared until entry 5".to_owned();
    assert_eq!(judged(on(&[&without])).await, (until.clone(), Vec::new()));
    let nothing = [declares_nothing()];
    assert_eq!(judged(on(&[&nothing])).await, (until, Vec::new()));
    // Also where it is declared once more later.
    for after in [&[][..], &again[..]] {
        let (state, alarms) = judged(on(&[&without, &used, after])).await;
        assert_eq!(state, "ALARM: withdrawn and used");
        let said =
            "processing for purpose churn.train while its declaration was withdrawn: entries 8";
        assert_eq!(alarms, [said]);
    }
    assert_eq!(judged(on(&[&without, &again, &used])).await.0, declared);
    let log = made(on(&[&without])).await.log().unwrap();
    let error = notice(&log, None).unwrap_err().to_string();
    assert!(error.contains("declaration of a purpose"), "{error}");
}

#[tokio::test]
async fn l4_that_no_rule_says_how_long_is_an_alarm() {
    let mut events = usual();
    let Json::Object(fields) = &mut events[1].payload else {
        unreachable!()
    };
    fields.insert("retention_days".to_owned(), Json::Null);
    let (state, alarms) = judged(events.clone()).await;
    assert_eq!(state, "declared");
    let said = "no rule in force says how long results for purpose churn.train are kept: entry 1";
    assert_eq!(alarms, [said]);
    let log = made(events).await.log().unwrap();
    let table = Record::of(&log, Form::Controller).unwrap().to_csv();
    assert!(table.contains("\"none in force\""), "{table}");
    let text = notice(&log, None).unwrap();
    assert!(text.contains("No rule in force says how long"), "{text}");
}

#[tokio::test]
async fn t1_reading_a_table_is_processing_for_each_of_its_purposes() {
    let read = |purposes: &[&str]| {
        let purposes = purposes.iter().map(|own| Json::from(*own)).collect();
        let payload = Json::object([("purposes", Json::List(purposes)), ("table", "t".into())]);
        Event::of_program(Kind::DatasetRegistered, payload)
    };
    let with = |event: Event| [vec![parties(), purpose(), measures()], vec![event]].concat();
    let found = judged(with(read(&["churn.train"]))).await;
    assert_eq!(found, ("declared".to_owned(), Vec::new()));
    let log = made(with(read(&["churn.train"]))).await.log().unwrap();
    let table = Record::of(&log, Form::Controller).unwrap().to_csv();
    assert!(!table.contains("\"never\""), "{table}");
    let (_, alarms) = judged(with(read(&["churn.train", "made.up"]))).await;
    assert_eq!(alarms.len(), 1);
    assert!(alarms[0].contains("made.up") && alarms[0].ends_with("entries 3"));
    let (_, alarms) = judged(with(read(&[]))).await;
    assert!(alarms[0].contains("unnamed"), "{alarms:?}");
}

#[tokio::test]
async fn every_term_of_a_record_is_known_and_cells_compute_nothing() {
    let log = made(usual()).await.log().unwrap();
    for form in [Form::Controller, Form::Processor] {
        let record = Record::of(&log, form).unwrap();
        let text = record.to_json_ld();
        let terms = text.split('"').filter(|part| part.starts_with("dpv:"));
        assert!(terms.clone().count() > 10);
        terms.for_each(|term| assert!(is_known(term), "{term}"));
        assert!(record.to_csv().contains("\"'=1+1\""));
    }
    let mut events = usual();
    let Json::Object(fields) = &mut events[1].payload else {
        unreachable!()
    };
    fields.insert("dpv_purpose".to_owned(), "dpv:FederatedLearning".into());
    let log = made(events).await.log().unwrap();
    assert!(matches!(
        Record::of(&log, Form::Controller),
        Err(NoDocument::UnknownTerm(_))
    ));
}

#[tokio::test]
async fn t3_tuning_below_what_earlier_studies_spent_refuses_card() {
    const EARLIER: &str = "0101010101010101010101010101010101010101010101010101010101010101";
    let of_family = |event: Event, study: &str| {
        let Json::Object(mut fields) = event.payload.clone() else {
            unreachable!()
        };
        fields.insert("family".to_owned(), "churn".into());
        fields.insert("study".to_owned(), study.into());
        Event {
            payload: Json::Object(fields),
            ..event
        }
    };
    let spend = Spend {
        purpose: "churn.train".to_owned(),
        study: EARLIER.to_owned(),
        part: "training".to_owned(),
        mode: "node-noise".to_owned(),
        multiplicity: 1,
        rho_micro: 1,
        times: 1,
        delta_pico: 10_000_000,
    };
    let spent = Event::of_program(Kind::BudgetSpent, spend.to_payload());
    for (spends, fits) in [(Vec::new(), true), (vec![spent], false)] {
        let mut events = usual();
        events[3] = of_family(proposed("churn.train"), STUDY);
        events.insert(3, of_family(proposed("churn.train"), EARLIER));
        spends.into_iter().for_each(|spent| events.insert(4, spent));
        let log = made(events).await.log().unwrap();
        let card = Card::of(&log, "churn", None);
        assert_eq!(card.is_ok(), fits, "{card:?}");
    }
}

#[tokio::test]
async fn what_nobody_declared_is_named() {
    let named = ["parties", "purpose", "measures"];
    for (index, what) in named.into_iter().enumerate() {
        let mut events = usual();
        events.remove(index);
        let log = made(events).await.log().unwrap();
        let error = match what {
            "purpose" => notice(&log, None).unwrap_err(),
            _ => Record::of(&log, Form::Controller).unwrap_err(),
        };
        let text = error.to_string();
        assert!(
            text.contains(what) && text.contains("pack.loaded"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn every_basis_of_the_rule_packs_has_a_term() {
    for basis in crate::domain::law::Basis::ALL {
        let mut events = usual();
        let text = events[1].payload.to_text();
        let text = text.replace("\"basis\":\"consent\"", &format!("\"basis\":\"{basis}\""));
        events[1].payload = Json::parse(text.as_bytes()).unwrap();
        let log = made(events).await.log().unwrap();
        assert!(Record::of(&log, Form::Controller).is_ok(), "{basis}");
    }
}

/// A data protection officer is registered, or gone.
fn officer(key: &Identity, kind: Kind) -> Event {
    let payload = Json::object([
        ("key", key.public().to_string().into()),
        ("name", "vera".into()),
        ("role", "dpo".into()),
    ]);
    Event::of_program(kind, payload)
}

fn values(dossier: &Dossier) -> Vec<(String, String)> {
    let lines = dossier.sections().iter().flat_map(|own| &own.lines);
    lines
        .map(|own| (own.key.clone(), own.value.clone()))
        .collect()
}

#[tokio::test]
async fn a2_missing_field_is_missing_evidence() {
    for key in BLOCK {
        let mut events = usual();
        events[4] = released(Some(key));
        let log = made(events).await.log().unwrap();
        let dossier = Dossier::of(&log, ("churn", None), None).unwrap();
        let said = values(&dossier);
        let missing = said
            .iter()
            .filter(|(_, value)| value.starts_with("evidence missing"));
        let missing: Vec<&str> = missing.map(|(_, value)| value.as_str()).collect();
        let named = format!("disclosure.{key}");
        assert!(
            missing.iter().any(|value| value.contains(&named)),
            "{missing:?}"
        );
        // What the log does not say is not made up, and the rest is said all the same.
        let whole = made(usual()).await.log().unwrap();
        let whole = Dossier::of(&whole, ("churn", None), None).unwrap();
        assert!(dossier.open() > whole.open(), "{key}");
        assert!(said.contains(&("anonymity".to_owned(), "not_claimed".to_owned())));
    }
    let log = made(usual()).await.log().unwrap();
    let dossier = Dossier::of(&log, ("churn", None), None).unwrap();
    let said = values(&dossier);
    for (key, expected) in [
        (
            "empirical_audit",
            "evidence missing: empirical audit: not run",
        ),
        ("parties", "evidence missing: parties"),
        ("rho_micro", "30000"),
        ("judgement", "needs human judgement"),
    ] {
        let found = said.iter().find(|(own, _)| own == key).unwrap();
        assert!(found.1.starts_with(expected), "{found:?}");
    }
    for text in [dossier.to_html(), dossier.to_json()] {
        assert_eq!(forbidden(&text), None);
    }
    let other = Dossier::of(&log, ("churn", Some(2)), None);
    assert!(matches!(
        other,
        Err(NoDossier::Document(NoDocument::Missing { .. }))
    ));
}

#[tokio::test]
async fn a2_contradicted_evidence_is_said_to_be() {
    let mut events = usual();
    let Json::Object(fields) = &mut events[4].payload else {
        unreachable!()
    };
    let Some(Json::Object(block)) = fields.get_mut("disclosure") else {
        unreachable!()
    };
    block.insert("rho_micro".to_owned(), 0u32.into());
    let log = made(events).await.log().unwrap();
    let dossier = Dossier::of(&log, ("churn", None), None).unwrap();
    let said = values(&dossier);
    let bound = said.iter().find(|(key, _)| key == "bound").unwrap();
    assert!(bound.1.starts_with("evidence contradicted"), "{bound:?}");
}

#[tokio::test]
async fn a2_word_needs_signature() {
    let [vera, other] = [(); 2].map(|()| Identity::generate().unwrap());
    let text = |version: u32, word: &str| {
        let text = format!(
            "model = \"churn\"\nversion = {version}\nfile_sha256 = \"{STUDY}\"\nconclusion = \"outputs are {word}\"\n\
             reference = \"memo\"\n"
        );
        Assessment::parse(&text).unwrap()
    };
    let own = text(1, "anonymous");
    let mut events = usual();
    events.push(officer(&vera, Kind::RoleGranted));
    let log = made(events.clone()).await.log().unwrap();
    let made_with = |log: &Log, text: &Assessment, signers: &[_]| {
        Dossier::of(log, ("churn", None), Some((text, signers)))
    };
    // Without a signature of a dpo of the log nothing may say the word.
    for signers in [&[][..], &[other.public()]] {
        let refused = made_with(&log, &own, signers).unwrap_err();
        let NoDossier::Assessment(NotAssessed::Unsigned { digest, known: 1 }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(digest, own.digest());
    }
    let signed = made_with(&log, &own, &[vera.public(), other.public()]).unwrap();
    let said = values(&signed);
    assert!(said.contains(&("anonymity".to_owned(), "assessed".to_owned())));
    assert!(signed.to_html().contains("outputs are anonymous"));
    let lines = signed.sections().iter().flat_map(|own| &own.lines);
    let status = lines.clone().find(|own| own.key == "anonymity").unwrap();
    assert_eq!(status.from, [5], "the entry that registers the officer");
    // Another version, other words that nobody may say, an officer who is gone.
    let wrong = made_with(&log, &text(2, "anonymous"), &[vera.public()]).unwrap_err();
    assert!(matches!(
        wrong,
        NoDossier::Assessment(NotAssessed::OtherModel { .. })
    ));
    let claims = made_with(&log, &text(1, "guaranteed"), &[vera.public()]);
    let claimed = NoDossier::Document(NoDocument::Word("guaranteed"));
    assert_eq!(claims, Err(claimed));
    events.push(officer(&vera, Kind::RoleRevoked));
    let log = made(events).await.log().unwrap();
    let gone = made_with(&log, &own, &[vera.public()]).unwrap_err();
    assert!(matches!(
        gone,
        NoDossier::Assessment(NotAssessed::Unsigned { known: 0, .. })
    ));
    // And where nobody says anything, nothing is claimed.
    let none = Dossier::of(&log, ("churn", None), None).unwrap();
    assert_eq!(forbidden(&none.to_html()), None);
}
