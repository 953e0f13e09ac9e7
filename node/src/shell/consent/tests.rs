//! Imports of every kind, and what they must refuse. Tests are named by the ids of the features that they show.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use aquifer_shared::base::ids::Hash32;
use proptest::prelude::*;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use tempfile::TempDir;

use super::import::{Desk, Imported, Reason, Reject, import};
use super::ledger::{ConsentLedger, LEDGER_FILE, Position};
use super::mapping::Mapping;
use crate::core::consent::{
    ConsentEvent, Effect, EventKind, Notice, Scope, SubjectKey, SubjectRef,
};

const DAY: i64 = 24 * 3_600 * 1_000;
/// 2026-11-25, noon.
const NOW: i64 = 20_782 * DAY + DAY / 2;
/// SHA-256 of the listed notice, as sources write it.
const NOTICE: &str = "0101010101010101010101010101010101010101010101010101010101010101";

const LONG: &str = r#"
source = "crm"
format = "csv-long"
subject = "customer"
event_id = "id"
event_at = "at"
purpose = "purpose"
status = "status"
notice = "notice"
valid_until = "until"
age = "age"
place = "country"
test = "test"
[purposes]
training = "churn.train"
marketing = "direct_marketing"
[statuses]
yes = "given"
no = "withdrawn"
stop = "objected"
[ages]
grown = "adult"
[totals]
"#;
const HEADING: &str = "id,customer,at,purpose,status,notice,until,age,country,test\n";

/// A unit's ledger, with one notice, and the clock of the test.
struct World {
    folder: TempDir,
    ledger: ConsentLedger,
    key: SubjectKey,
    clock: Cell<i64>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ConsentLedger::open(folder.path()).unwrap();
        ledger.add_notices(&[notice()]).unwrap();
        Self {
            folder,
            ledger,
            key: SubjectKey::new(&[5; 32]),
            clock: Cell::new(NOW),
        }
    }

    fn subject(&self, id: &str) -> SubjectRef {
        self.key.subject(id)
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("export");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn mapping(&self, text: &str) -> Result<Mapping, String> {
        let path = self.folder.path().join("map.toml");
        fs::write(&path, text).unwrap();
        Mapping::load(&path).map_err(|error| error.to_string())
    }

    fn try_import(
        &mut self,
        mapping: &str,
        bytes: &[u8],
        dry_run: bool,
    ) -> Result<(Imported, Vec<Reject>), String> {
        let mapping = self.mapping(mapping)?;
        let path = self.file(bytes);
        let desk = Desk {
            mapping: &mapping,
            key: &self.key,
            clock: &|| self.clock.get(),
            dry_run,
        };
        let mut rejects = Vec::new();
        let take = |reject| {
            rejects.push(reject);
            Ok(())
        };
        let imported = import(&mut self.ledger, &path, &desk, take, |_, _| {});
        let imported = imported.map_err(|error| format!("{error:#}"))?;
        assert_eq!(imported.rejected(), rejects.len() as u64);
        Ok((imported, rejects))
    }

    /// Imports rows of the long form.
    fn import(&mut self, rows: &str) -> Imported {
        let text = format!("{HEADING}{rows}");
        self.try_import(LONG, text.as_bytes(), false).unwrap().0
    }

    /// Of every row that a query gives.
    fn column<T>(&mut self, query: &'static str, read: impl Fn(&SqliteRow) -> T) -> Vec<T> {
        let ConsentLedger {
            runtime,
            connection,
            ..
        } = &mut self.ledger;
        let rows = runtime.block_on(sqlx::query(query).fetch_all(connection));
        rows.unwrap().iter().map(read).collect()
    }

    /// All that is kept of events, as it is below the encryption of the file.
    fn stored(&mut self) -> Vec<u8> {
        let columns = ["key", "subject", "content", "bytes"];
        let all = |row: &SqliteRow| columns.map(|name| row.get::<Vec<u8>, _>(name)).concat();
        self.column("SELECT * FROM events", all).concat()
    }

    fn events(&mut self) -> Vec<ConsentEvent> {
        self.ledger.since(Position::default()).unwrap().0
    }

    /// What is known of a customer: kinds by time.
    fn told(&mut self, id: &str) -> Vec<(i64, &'static str, String)> {
        let subject = self.subject(id);
        let events = self.ledger.of_person(subject).unwrap();
        let told = events.iter().map(|event| {
            let scope = event.scope.word().to_owned();
            (event.event_at, event.kind.word(), scope)
        });
        let mut told: Vec<(i64, &'static str, String)> = told.collect();
        told.sort();
        told
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|own| own == part)
}

fn notice() -> Notice {
    Notice {
        id: "privacy".parse().unwrap(),
        version: 3,
        lang: "de".into(),
        sha256: Hash32([1; 32]),
        material: true,
        signer: None,
    }
}

/// A consent of a customer.
fn row(id: &str, customer: &str, day: u32, status: &str) -> String {
    format!("{id},{customer},2026-10-{day:02}T08:00:00Z,training,{status},{NOTICE},,grown,DE,\n")
}

/// Milliseconds of a day of October 2026, at eight.
fn october(day: i64) -> i64 {
    NOW - (56 - day) * DAY - 4 * 3_600 * 1_000
}

/// The same three facts, whatever they are written in.
#[track_caller]
fn check_form(mapping: &str, text: &str) {
    let mut world = World::new();
    let (imported, rejects) = world.try_import(mapping, text.as_bytes(), false).unwrap();
    assert_eq!((imported.new, rejects), (3, Vec::new()));
    let train = || "churn.train".to_owned();
    let given = (october(1), "given", train());
    assert_eq!(
        world.told("ada"),
        [given.clone(), (october(9), "withdrawn", train())]
    );
    assert_eq!(world.told("ben"), [given]);
    for event in world.events() {
        let shown = (event.kind.effect() == Effect::Grant).then_some(0);
        assert_eq!(event.notice, shown);
    }
    let (again, _) = world.try_import(mapping, text.as_bytes(), false).unwrap();
    assert_eq!((again.new, again.known), (0, 3));
}

#[test]
fn c7_every_form_says_the_same() {
    let long = [
        row("1", "ada", 1, "yes"),
        row("2", "ada", 9, "no"),
        row("3", "ben", 1, "yes"),
    ];
    check_form(LONG, &format!("\u{feff}{HEADING}{}", long.concat()));

    let wide = "source = \"crm\"\nformat = \"csv-wide\"\nsubject = \"customer\"\nevent_at = \"at\"\nnotice = \"notice\"\n\
                [purposes]\nmay_train = \"churn.train\"\nmay_write = \"direct_marketing\"\n[statuses]\ny = \"given\"\nn = \"withdrawn\"\n";
    check_form(
        wide,
        &format!(
            "customer,at,notice,may_train,may_write\nada,2026-10-01T08:00:00Z,{NOTICE},y,\n\
             ben,2026-10-01T10:00:00+02:00,{NOTICE},y,\nada,2026-10-09T08:00:00Z,,n,\n"
        ),
    );

    let lines = LONG.replace("csv-long", "ndjson");
    let object = |id: u32, customer: &str, at: i64, status: &str| {
        format!(
            r#"{{"id": {id}, "customer": "{customer}", "at": {at}, "purpose": "training", "status": "{status}", "notice": "{NOTICE}"}}"#
        )
    };
    let objects = [
        object(1, "ada", october(1), "yes"),
        object(2, "ada", october(9) / 1_000, "no"),
        object(3, "ben", october(1), "yes"),
    ];
    check_form(&lines, &format!("{}\n", objects.join("\n\n")));
    let document = LONG.replace("csv-long", "json");
    check_form(&document, &format!("[{}]", objects.join(",")));
}

#[test]
fn c7_receipts_are_read_by_paths_into_them() {
    let mapping = "source = \"cmp\"\nformat = \"json\"\nsubject = \"piiPrincipalId\"\nevent_id = \"consentReceiptID\"\n\
                   event_at = \"consentTimestamp\"\npurpose = \"services.0.purposes.0.purpose\"\nstatus = \"services.0.purposes.0.state\"\n\
                   explicit = \"services.0.purposes.0.explicit\"\nnotice = \"policy.sha256\"\n\
                   [purposes]\n\"learn who may leave\" = \"churn.train\"\n[statuses]\nGIVEN = \"given\"\n";
    let receipt = format!(
        r#"{{"consentReceiptID": "r-1", "piiPrincipalId": "ada", "consentTimestamp": {}, "policy": {{"sha256": "{NOTICE}"}},
            "services": [{{"purposes": [{{"purpose": "learn who may leave", "state": "GIVEN", "explicit": true}}]}}]}}"#,
        october(1) / 1_000
    );
    let mut world = World::new();
    let (imported, _) = world
        .try_import(mapping, receipt.as_bytes(), false)
        .unwrap();
    assert_eq!((imported.rows, imported.new), (1, 1));
    let event = world.events().remove(0);
    assert!(event.explicit && event.event_at == october(1) && event.notice == Some(0));
    let deeper = mapping.replace("services.0", "services.7");
    let (imported, rejects) = world
        .try_import(&deeper, receipt.as_bytes(), false)
        .unwrap();
    assert_eq!(
        (imported.new, rejects[0].reason),
        (0, Reason::StatusMissing)
    );
}

#[test]
fn c7_second_import_appends_no_consent() {
    let mut world = World::new();
    let rows = [row("1", "ada", 1, "yes"), row("2", "ben", 2, "no")].concat();
    assert_eq!(world.import(&rows).new, 2);
    world.clock.set(NOW + DAY);
    let again = world.import(&rows);
    assert_eq!((again.new, again.known, again.rejected()), (0, 2, 0));
    assert_eq!(world.events().len(), 2);
    // Another source may count in the same way.
    let other = LONG.replace("source = \"crm\"", "source = \"shop\"");
    let text = format!("{HEADING}{rows}");
    let (other, _) = world.try_import(&other, text.as_bytes(), false).unwrap();
    assert_eq!((other.new, other.known), (2, 0));
}

#[test]
fn c7_dry_run_writes_nothing() {
    let mut world = World::new();
    let text = format!(
        "{HEADING}{}{}",
        row("1", "ada", 1, "yes"),
        row("1", "ada", 1, "no")
    );
    let (tried, rejects) = world.try_import(LONG, text.as_bytes(), true).unwrap();
    assert_eq!((tried.new, rejects.len()), (1, 1));
    assert!(world.events().is_empty());
    let (done, _) = world.try_import(LONG, text.as_bytes(), false).unwrap();
    let done = Imported {
        dry_run: true,
        ..done
    };
    assert_eq!(done, tried);
}

#[track_caller]
fn check_rejected(row: &str, reason: Reason) {
    let mut world = World::new();
    let good = self::row("9", "zoe", 1, "yes");
    let text = format!("{HEADING}{good}{row}\n{}", self::row("8", "yan", 1, "yes"));
    let (imported, rejects) = world.try_import(LONG, text.as_bytes(), false).unwrap();
    assert_eq!(rejects, [Reject { row: 3, reason }], "{row}");
    assert_eq!(
        (imported.new, imported.rows),
        (2, 3),
        "the others are taken"
    );
}

#[test]
fn c7_bad_rows_are_quarantined() {
    let good = "1,ada,2026-10-01,training,yes,NOTICE,,,,".replace("NOTICE", NOTICE);
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    check_rejected(&with("1,ada", ",ada"), Reason::EventIdMissing);
    check_rejected(&with("ada", ""), Reason::SubjectMissing);
    check_rejected(&with("ada", "  "), Reason::SubjectMissing);
    check_rejected(&with("2026-10-01", ""), Reason::TimeMissing);
    check_rejected(&with("2026-10-01", "01.10.2026"), Reason::TimeMissing);
    check_rejected(&with("2026-10-01", "2026-10-01 08:00"), Reason::TimeMissing);
    check_rejected(&with("training", "shoes"), Reason::PurposeUnknown);
    check_rejected(&with("training", ""), Reason::PurposeUnknown);
    check_rejected(&with("yes", ""), Reason::StatusMissing);
    check_rejected(&with("training", "marketing"), Reason::GroupGrant);
    check_rejected(&with(NOTICE, &"2".repeat(64)), Reason::NoticeUnknown);
    check_rejected(&with(NOTICE, "none"), Reason::NoticeUnknown);
    check_rejected(&with(NOTICE, ""), Reason::NoticeUnknown);
    check_rejected(&with(",,,,", ",soon,,,"), Reason::ValidUntilUnreadable);
    check_rejected(&with(",,,,", ",,old,,"), Reason::AgeUnknown);
    check_rejected(&with(",,,,", ",,,Germany,"), Reason::PlaceUnreadable);
    check_rejected(&with(",,,,", ",,,,true"), Reason::Test);
    check_rejected(&with(",,,,", ",,,,YES"), Reason::Test);
    check_rejected(&with(",,,,", ",,,"), Reason::Malformed);
    check_rejected(&with(",,,,", ",,,,,"), Reason::Malformed);
    check_rejected("1,ada", Reason::Malformed);
}

#[test]
fn c7_withdrawals_are_taken_whatever_was_shown() {
    let mut world = World::new();
    let row = row("1", "ada", 9, "no").replace(NOTICE, &"2".repeat(64));
    let imported = world.import(&row);
    assert_eq!((imported.new, imported.rejected()), (1, 0));
    let marketing = "2,ada,2026-10-09,marketing,stop,,,,,\n";
    assert_eq!(world.import(marketing).new, 1);
    assert!(world.events()[1].scope == Scope::DirectMarketing);
}

#[test]
fn c7_future_dates_rejected() {
    let check = |ahead_ms: i64, expected: u64| {
        let mut world = World::new();
        let row = row("1", "ada", 1, "yes");
        let at = (NOW + ahead_ms).to_string();
        let imported = world.import(&row.replace("2026-10-01T08:00:00Z", &at));
        assert_eq!(imported.new, expected, "{ahead_ms}");
        let future = imported.rejects.get(&Reason::Future).copied();
        assert_eq!(future.unwrap_or(0), 1 - expected);
    };
    check(0, 1);
    check(60_000, 1);
    check(60_001, 0);
    check(400 * DAY, 0);
}

#[test]
fn c7_partial_status_map_fails() {
    let mut world = World::new();
    let rows = [
        row("1", "ada", 1, "yes"),
        row("2", "canary", 2, "perhaps"),
        row("3", "ben", 2, "Yes"),
    ];
    let text = format!("{HEADING}{}", rows.concat());
    let why = world.try_import(LONG, text.as_bytes(), false).unwrap_err();
    assert!(
        why.contains("row 3: a status") && why.contains("2 rows"),
        "{why}"
    );
    assert!(!why.contains("canary") && !why.contains("perhaps"), "{why}");
    assert!(world.events().is_empty(), "nothing was written");
}

#[test]
fn c7_figures_of_the_source_are_held_against_the_file() {
    let text = format!(
        "{HEADING}{}{}",
        row("1", "ada", 1, "yes"),
        row("2", "ben", 1, "no")
    );
    let check = |totals: &str, expected: Result<u64, &str>| {
        let mut world = World::new();
        let mapping = format!("{LONG}{totals}");
        match (world.try_import(&mapping, text.as_bytes(), false), expected) {
            (Ok((imported, _)), Ok(new)) => assert_eq!(imported.new, new),
            (Err(why), Err(part)) => {
                assert!(why.contains(part), "{why}");
                assert!(world.events().is_empty(), "nothing was written");
            }
            (found, _) => panic!("{totals}: {found:?}"),
        }
    };
    check("rows = 2\ngrants = 1\nends = 1\n", Ok(2));
    check("rows = 3\n", Err("states 3 rows, the file has 2"));
    check("grants = 2\n", Err("states 2 grants, the file has 1"));
    check("ends = 0\n", Err("states 0 ends, the file has 1"));
    check("people = 2\n", Err("unknown field"));
}

#[test]
fn c7_contradictory_duplicates_are_quarantined_and_the_strictest_is_kept() {
    let (yes, no) = (row("1", "ada", 1, "yes"), row("1", "ada", 1, "no"));
    for rows in [[&*yes, &no].concat(), [&*no, &yes].concat()] {
        let mut world = World::new();
        let imported = world.import(&rows);
        assert_eq!((imported.new, imported.rejected()), (1, 1));
        assert_eq!(imported.rejects[&Reason::Contradicts], 1);
        assert_eq!(world.told("ada")[0].1, "withdrawn", "wherever it stands");
    }
    let mut world = World::new();
    assert_eq!(world.import(&yes).new, 1);
    let other = world.import(&row("1", "ben", 1, "yes"));
    assert_eq!((other.new, other.rejects[&Reason::Contradicts]), (0, 1));
    assert!(world.told("ben").is_empty());
    // Twice the same is no contradiction.
    let same = world.import(&[&*yes, &yes].concat());
    assert_eq!((same.new, same.known, same.rejected()), (0, 2, 0));
}

#[test]
fn c2_files_in_any_order_come_to_the_same() {
    let files = [
        [row("1", "ada", 1, "yes"), row("2", "ada", 9, "no")].concat(),
        [row("3", "ada", 5, "yes"), row("4", "ben", 1, "yes")].concat(),
        [row("5", "ben", 3, "no"), row("1", "ada", 1, "yes")].concat(),
    ];
    let told = |order: [usize; 3]| {
        let mut world = World::new();
        for place in order {
            world.import(&files[place]);
        }
        (world.told("ada"), world.told("ben"))
    };
    let first = told([0, 1, 2]);
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert!(told(order) == first, "{order:?}");
    }
}

#[test]
fn a_clock_set_back_by_a_year_does_not_turn_time_back() {
    let mut world = World::new();
    world.import(&row("1", "ada", 1, "yes"));
    world.clock.set(NOW - 365 * DAY);
    let imported = world.import(&row("2", "ada", 9, "no"));
    assert_eq!(
        (imported.new, imported.rejected()),
        (1, 0),
        "no event is of the future"
    );
    let recorded: Vec<i64> = world.events().iter().map(|own| own.recorded_at).collect();
    assert_eq!(recorded, [NOW, NOW]);
    assert_eq!(world.ledger.latest().unwrap(), NOW);
    world.clock.set(NOW + 1);
    world.import(&row("3", "ada", 10, "yes"));
    assert_eq!(world.ledger.latest().unwrap(), NOW + 1);
}

#[test]
fn files_that_are_no_exports_are_refused_whole() {
    let check = |format: &str, bytes: &[u8], expected: &str| {
        let mut world = World::new();
        let mapping = LONG.replace("csv-long", format);
        let why = world.try_import(&mapping, bytes, false).unwrap_err();
        assert!(why.contains(expected), "{why}");
        assert!(world.events().is_empty(), "nothing was written");
    };
    let twice = HEADING.replace("purpose", "status");
    check(
        "csv-long",
        twice.as_bytes(),
        "column 5 has the name of one before it",
    );
    check("csv-long", b"a,b\n1,2\n", "has no column \"customer\"");
    check("csv-long", b"", "has no column");
    check("csv-long", b"\xff\xfe,b\n1,2\n", "no readable first line");
    check("json", b"{\"a\": 1} x", "is not JSON");
    check("json", b"\xff", "not text in UTF-8");
    let open = format!("{HEADING}1,\"{}", "x\n".repeat(600_000));
    check(
        "csv-long",
        open.as_bytes(),
        "the row of line 2 is longer than",
    );
    let long = "x".repeat((1 << 20) + 1);
    check(
        "ndjson",
        format!("{{}}\n{long}").as_bytes(),
        "line 2 is longer than",
    );
}

#[test]
fn lines_that_are_no_rows_are_quarantined_one_by_one() {
    let mut world = World::new();
    let mut text = format!("{HEADING}{}", row("1", "ada", 1, "yes")).into_bytes();
    text.extend(b"2,b\xffn,2026-10-01,training,yes,,,,,\n");
    text.extend(row("3", "\"c\nd\"", 1, "no").as_bytes());
    text.extend(row("4", "", 1, "no").as_bytes());
    let (imported, rejects) = world.try_import(LONG, &text, false).unwrap();
    let reject = |row, reason| Reject { row, reason };
    assert_eq!(
        rejects,
        [
            reject(3, Reason::Malformed),
            reject(6, Reason::SubjectMissing)
        ]
    );
    assert_eq!(imported.new, 2);
    let lines = b"[1]\n\"text\"\n{\"id\": 1\n\n{}\n";
    let mapping = LONG.replace("csv-long", "ndjson");
    let (imported, rejects) = world.try_import(&mapping, lines, false).unwrap();
    assert_eq!((imported.rows, imported.new, rejects.len()), (4, 0, 4));
    assert_eq!(rejects[3], reject(5, Reason::StatusMissing));
}

#[test]
fn mappings_say_what_every_word_means() {
    let check = |from: &str, to: &str, expected: &str| {
        let world = World::new();
        assert!(LONG.contains(from), "{from}");
        let why = world.mapping(&LONG.replace(from, to)).unwrap_err();
        assert!(why.contains(expected), "{why}");
    };
    check(
        "yes = \"given\"",
        "yes = \"agreed\"",
        "expected one of given",
    );
    check("\"adult\"", "\"old\"", "expected unknown, adult");
    check(
        "\"churn.train\"",
        "\"churn train\"",
        "expected the name of a purpose",
    );
    check("\"crm\"", "\"\"", "source has 0 bytes");
    check(
        "event_id = \"id\"",
        "",
        "needs purpose, status and event_id",
    );
    check("place =", "where =", "unknown field `where`");
    check("csv-long", "xml", "unknown variant `xml`");
}

#[test]
fn ids_of_the_source_are_kept_in_no_file() {
    let mut world = World::new();
    let customer = "canary-customer-4711";
    world.import(&row("canary-event-4712", customer, 1, "yes"));
    let wide = "source = \"crm\"\nformat = \"csv-wide\"\nsubject = \"customer\"\nevent_at = \"at\"\n[purposes]\na = \"churn.train\"\n\
                [statuses]\ny = \"given\"\n";
    let text = format!("customer,at,a\n{customer},2026-10-02,y\n");
    world.try_import(wide, text.as_bytes(), false).unwrap();
    assert_eq!(world.told(customer).len(), 2);
    // Not even below the encryption of the file.
    assert!(holds(&world.stored(), b"churn.train") && !holds(&world.stored(), b"canary"));
    let mut seen = 0;
    for file in fs::read_dir(world.folder.path()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with(LEDGER_FILE) {
            continue;
        }
        seen += 1;
        assert!(!holds(&fs::read(&path).unwrap(), b"canary"), "{name}");
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} is for its owner alone");
    }
    assert!(seen > 1, "the file and its log");
}

#[test]
fn an_erased_person_does_not_come_back_by_import() {
    let mut world = World::new();
    let rows = [
        row("1", "ada", 1, "yes"),
        row("2", "ben", 1, "yes"),
        row("3", "ada", 2, "yes"),
    ]
    .concat();
    world.import(&rows);
    let (_, before) = world.ledger.since(Position::default()).unwrap();
    let (ada, until) = (world.subject("ada"), NOW + 900 * DAY);
    let erased = world.ledger.erase(ada, NOW + DAY, until).unwrap();
    assert_eq!((erased.events, erased.log_emptied), (2, true));
    assert!(world.told("ada").is_empty());
    let kept_out = world.ledger.erased_until(ada, NOW + DAY).unwrap();
    assert_eq!(kept_out, Some(until));
    assert_eq!(world.ledger.erased_until(ada, until).unwrap(), None);

    // Who reads on learns it, and misses nothing that is written after it.
    world.clock.set(NOW + 2 * DAY);
    let again = world.import(&[rows.as_str(), &row("4", "zoe", 1, "yes")].concat());
    assert_eq!((again.new, again.known), (1, 1));
    assert_eq!(again.rejects[&Reason::Erased], 2);
    let (news, after) = world.ledger.since(before).unwrap();
    let about = |subject| news.iter().filter(move |own| own.subject == subject);
    let zoe = world.subject("zoe");
    assert_eq!(about(zoe).count(), 1);
    let kinds: Vec<EventKind> = about(ada).map(|own| own.kind).collect();
    let blocked = [
        EventKind::Invalidated,
        EventKind::Objected,
        EventKind::ObjectionWithdrawn,
    ];
    assert_eq!(kinds, blocked);
    assert!(about(ada).all(|own| own.scope == Scope::All));
    let (news, _) = world.ledger.since(after).unwrap();
    assert!(news.is_empty());

    world.clock.set(until);
    assert_eq!(world.import(&rows).new, 2, "when its time is over");
}

#[test]
fn what_was_erased_is_overwritten_and_leaves_no_log() {
    let mut world = World::new();
    world.import(&row("1", "ada", 1, "yes").replace(",DE,", ",US-QQX,"));
    let ada = world.subject("ada");
    assert!(holds(&world.stored(), b"US-QQX"));
    let overwrites = world.column("PRAGMA secure_delete", |row| row.get::<i64, _>(0));
    assert_eq!(overwrites, [1]);
    assert!(world.ledger.erase(ada, NOW, NOW + DAY).unwrap().log_emptied);
    assert!(!holds(&world.stored(), b"US-QQX"));
    let log = world.folder.path().join(format!("{LEDGER_FILE}-wal"));
    assert_eq!(log.metadata().map_or(0, |facts| facts.len()), 0);
}

#[test]
fn a_running_node_hears_what_a_command_writes() {
    let mut world = World::new();
    let mut news = super::attach(world.folder.path(), None).unwrap();
    let first = news().unwrap();
    assert!(first.events.is_empty() && first.notices.unwrap().len() == 1);
    world.import(&row("1", "ada", 1, "yes"));
    let second = news().unwrap();
    assert!(second.events.len() == 1 && second.notices.is_none());
    world.import(&row("2", "ada", 9, "no"));
    let new = news().unwrap().events;
    assert!(new.len() == 1 && new[0].kind == EventKind::Withdrawn);
    assert!(news().unwrap().events.is_empty());
    // A unit without a ledger has no events, and hears of the first notice.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut news = super::attach(elsewhere.path(), None).unwrap();
    let nothing = news().unwrap();
    assert!(nothing.events.is_empty() && nothing.notices.is_none());
    let mut made = ConsentLedger::open(elsewhere.path()).unwrap();
    made.add_notices(&[notice()]).unwrap();
    assert_eq!(news().unwrap().notices.unwrap().len(), 1);
    assert!(news().unwrap().notices.is_none());
}

/// A file in one of the forms, with customers that no message may name.
fn form(number: usize) -> (String, Vec<u8>) {
    let rows = (0..6).map(|id| row(&format!("e{id}"), &format!("canary{id}"), 1 + id, "yes"));
    let csv = format!("{HEADING}{}", rows.collect::<String>());
    let object = |id: u32| {
        format!(
            r#"{{"id": "e{id}", "customer": "canary{id}", "at": "2026-10-0{}", "purpose": "training", "status": "yes", "notice": "{NOTICE}"}}"#,
            id + 1
        )
    };
    let objects: Vec<String> = (0..6).map(object).collect();
    match number {
        0 => (LONG.to_owned(), csv.into_bytes()),
        1 => (
            LONG.replace("csv-long", "ndjson"),
            objects.join("\n").into_bytes(),
        ),
        _ => (
            LONG.replace("csv-long", "json"),
            format!("[{}]", objects.join(",\n")).into_bytes(),
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens to bytes of a file: it is refused whole or row by row, what is written is what is reported, and no message names a
    /// customer.
    #[test]
    fn readers_survive_any_mutation(
        number in 0_usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..6),
    ) {
        let (mapping, mut bytes) = form(number);
        for (place, byte, what) in changes {
            let place = place.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match what {
                _ if bytes.is_empty() => {}
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                2 => drop(bytes.remove(place)),
                _ => bytes.truncate(place),
            }
        }
        let mut world = World::new();
        match world.try_import(&mapping, &bytes, false) {
            Ok((imported, _)) => {
                prop_assert_eq!(world.events().len() as u64, imported.new);
                prop_assert_eq!(imported.new + imported.known + imported.rejected(), imported.rows);
            }
            Err(why) => {
                prop_assert!(!why.contains("canary"), "{}", why);
                prop_assert!(world.events().is_empty());
            }
        }
    }
}
