//! Consent of 1,000,000 persons with 3,000,000 events: reading the ledger, folding it, the cut after new events, and training on a
//! public data set with a consent for every row beside training without.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use aquifer_node::core::consent::{
    AgeSaid, ConsentEvent, Cut, EventKind, Notice, NoticeBook, Register, Roll, Scope, SubjectKey,
    SubjectRef,
};
use aquifer_node::core::gatekeeper::{Figures, Gatekeeper};
use aquifer_node::core::lawful::Brief;
use aquifer_node::shell::consent::{ConsentLedger, EventKey, Position, Told};
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::history::{Json, Kind};
use aquifer_shared::domain::law::{Age, Basis, Block, Consent, Gate, Person};
use aquifer_shared::shell::report::{Table, Tone};
use aquifer_tests::cluster::Cluster;
use aquifer_tests::company::Company;
use aquifer_tests::law::{self, LABEL};
use aquifer_tests::measured::{Measured, cap, price};
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::{command, run};
use aquifer_tests::random::Seeded;
use aquifer_tests::study::Study;
use serde_json::{Value, json};

use crate::options::Options;

const PERSONS: usize = 1_000_000;
const PERSONS_QUICK: usize = 100_000;
/// Events of a person.
const EVENTS_EACH: usize = 3;
const NEW_EVENTS: usize = 1_000;
const PURPOSE: &str = "churn.train";
const DAY_MS: i64 = 24 * 3_600 * 1_000;
const FOLD_SECONDS_MAX: f64 = 3.0;
const FOLD_MB_MAX: f64 = 1_000.0;
const SNAPSHOT_MS_MAX: f64 = 50.0;
const SLOWER_PERCENT_MAX: f64 = 10.0;
/// Studies of a cluster that are measured.
const STUDIES: u64 = 4;
const DECIDE_MICROS_MAX: f64 = 2.0;
const EPSILON: f64 = 1.0;
const DELTA: f64 = 1e-6;

/// Measures the ledger and whole studies.
pub fn measure(options: &Options) -> Result<Value> {
    let mut table = Table::new(&["consent", "measured", "limit"]);
    let mut line = |what: String, found: f64, limit: Option<f64>, unit: &str| {
        let tone = match limit {
            None => Tone::Plain,
            Some(limit) if found <= limit => Tone::Good,
            Some(_) => Tone::Bad,
        };
        let limit = limit.map_or(String::new(), |limit| format!("{limit} {unit}"));
        table.toned_row([
            (what, Tone::Plain),
            (format!("{found:.2} {unit}"), tone),
            (limit, Tone::Plain),
        ]);
    };
    let persons = options.times(PERSONS, PERSONS_QUICK);
    let ledger = ledger(persons)?;
    let of = format!("{persons} persons, {} events", persons * EVENTS_EACH);
    line(format!("writing {of}"), ledger.write, None, "s");
    line(format!("reading {of}"), ledger.read, None, "s");
    line(
        format!("fold and eligibility of {of}"),
        ledger.fold,
        Some(FOLD_SECONDS_MAX),
        "s",
    );
    line(
        "memory of the process at most".to_owned(),
        ledger.peak_mb,
        Some(FOLD_MB_MAX),
        "MB",
    );
    line(
        format!("cut after {NEW_EVENTS} new events"),
        ledger.snapshot_ms,
        Some(SNAPSHOT_MS_MAX),
        "ms",
    );
    let decided = decisions(options.times(1_000_000, 100_000))?;
    for (about, micros) in ["a person", "a run"].into_iter().zip(decided) {
        let what = format!("a decision about {about}");
        line(what, micros, Some(DECIDE_MICROS_MAX), "us");
    }
    let training = training(options)?;
    if let Some([without, with]) = training {
        let slower = (with / without - 1.0) * 100.0;
        line(
            "study on adult without consents".to_owned(),
            without,
            None,
            "s",
        );
        line(
            "study on adult, consents for every row".to_owned(),
            with,
            None,
            "s",
        );
        line("slower".to_owned(), slower, Some(SLOWER_PERCENT_MAX), "%");
    }
    table.print()?;
    Ok(json!({
        "persons": persons, "events": persons * EVENTS_EACH, "write_seconds": ledger.write, "read_seconds": ledger.read,
        "fold_seconds": ledger.fold, "peak_mb": ledger.peak_mb, "snapshot_ms": ledger.snapshot_ms,
        "decide_person_us": decided[0], "decide_run_us": decided[1], "study_seconds_without": training.map(|both| both[0]), "study_seconds_with": training.map(|both| both[1]),
    }))
}

/// Mean microseconds of a decision about a person and about a run.
fn decisions(times: usize) -> Result<[f64; 2]> {
    let gatekeeper = law::gatekeeper_on(Basis::Consent);
    let purpose = gatekeeper.purpose(PURPOSE).context("a declared purpose")?;
    let defaults = gatekeeper.defaults(&purpose.id);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let person = Person {
        place: defaults.place,
        basis: defaults.basis,
        consent: Consent::Active,
        consented_on: Some(i32::try_from(now / DAY_MS as u128)?),
        block: Block::None,
        notice: Some(0),
        age: Age::Adult,
    };
    let now = Timestamp(u64::try_from(now)?);
    let brief = Brief {
        gate: Gate::Train,
        purpose: PURPOSE.to_owned(),
        columns: vec![LABEL.to_owned()],
        figures: Figures::unspent(10_000),
        reviewer: None,
    };
    let started = Instant::now();
    for _ in 0..times {
        let person = black_box(&person);
        black_box(gatekeeper.is_eligible(Gate::Train, PURPOSE, &[LABEL], person, now));
    }
    let about_person = started.elapsed().as_secs_f64() * 1e6 / times as f64;
    let started = Instant::now();
    for _ in 0..times {
        let _ = black_box(black_box(&brief).decide(&gatekeeper, now));
    }
    let about_run = started.elapsed().as_secs_f64() * 1e6 / times as f64;
    Ok([about_person, about_run])
}

struct LedgerFigures {
    write: f64,
    read: f64,
    fold: f64,
    peak_mb: f64,
    snapshot_ms: f64,
}

/// Writes a ledger, reads it as a node does at its start, and takes cuts.
fn ledger(persons: usize) -> Result<LedgerFigures> {
    let folder = tempfile::Builder::new().prefix("aquifer-").tempdir()?;
    let people = People::new(persons)?;
    let mut ledger = ConsentLedger::open(folder.path())?;
    ledger.add_notices(&[notice()?])?;
    let mut random = Seeded::new(17, 0);
    let started = Instant::now();
    let all = (0..persons * EVENTS_EACH).map(|number| people.event(&mut random, number));
    write(&mut ledger, people.now, all)?;
    let write_seconds = started.elapsed().as_secs_f64();
    let mut roll = Roll::of((0..persons).map(|person| people.subject(person)));
    let (gatekeeper, notices) = (law::gatekeeper_on(Basis::Consent), ledger.notices()?);

    forget_peak()?;
    let (mut register, mut seen) = (Register::default(), Position::default());
    let mut read = 0.0;
    let mut fold = 0.0;
    loop {
        let started = Instant::now();
        let (events, last) = ledger.since(seen)?;
        read += started.elapsed().as_secs_f64();
        if events.is_empty() {
            break;
        }
        seen = last;
        let started = Instant::now();
        register.gather(events)?;
        fold += started.elapsed().as_secs_f64();
    }
    let started = Instant::now();
    register.settle();
    let before = people.cut(&mut register, &gatekeeper, &notices)?;
    fold += started.elapsed().as_secs_f64();
    let peak_mb = peak_mb()?;
    let before = roll.eligible(&register, &before).ones();
    ensure!(
        0 < before && before < persons,
        "{before} of {persons} are eligible, expected some"
    );

    let mut random = Seeded::new(18, 0);
    let some = (0..NEW_EVENTS).map(|number| people.withdrawal(&mut random, number));
    write(&mut ledger, people.now, some)?;
    let started = Instant::now();
    let (events, _) = ledger.since(seen)?;
    events.iter().try_for_each(|event| register.take(event))?;
    let after = people.cut(&mut register, &gatekeeper, &notices)?;
    let after = roll.eligible(&register, &after);
    let snapshot_ms = started.elapsed().as_secs_f64() * 1e3;
    let after = after.ones();
    ensure!(
        after < before,
        "{after} are eligible after withdrawals, expected fewer than {before}"
    );
    Ok(LedgerFigures {
        write: write_seconds,
        read,
        fold,
        peak_mb,
        snapshot_ms,
    })
}

fn write(
    ledger: &mut ConsentLedger,
    now: i64,
    events: impl Iterator<Item = (EventKey, ConsentEvent)>,
) -> Result<()> {
    let mut events = events;
    ledger.write::<anyhow::Error>(
        || now,
        |_| Ok(events.next()),
        |written| {
            Ok(Some(Told {
                kind: Kind::ImportBatch,
                subject: None,
                payload: Json::Object(written.facts("bench")),
            }))
        },
    )
}

/// Made-up persons, and what they say.
struct People {
    key: SubjectKey,
    scope: Scope,
    persons: usize,
    now: i64,
}

impl People {
    fn new(persons: usize) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        Ok(Self {
            key: SubjectKey::new(&[7; 32]),
            scope: Scope::of_word(PURPOSE).context("a purpose")?,
            persons,
            now: i64::try_from(now)?,
        })
    }

    fn subject(&self, person: usize) -> SubjectRef {
        self.key.subject(&person.to_string())
    }

    /// An event of a person by its number: mostly consents, some ends and objections, in the last 400 days.
    fn event(&self, random: &mut Seeded, number: usize) -> (EventKey, ConsentEvent) {
        let kinds = [
            EventKind::Given,
            EventKind::Withdrawn,
            EventKind::Refused,
            EventKind::Objected,
        ];
        let kind = kinds[random.pick(&[0.7, 0.15, 0.1, 0.05])];
        let at = self.now - (random.next_u64() % 400) as i64 * DAY_MS - DAY_MS;
        let key = EventKey::of(&self.key, "bench", &number.to_string());
        (key, self.happens(key, number % self.persons, kind, at))
    }

    fn withdrawal(&self, random: &mut Seeded, number: usize) -> (EventKey, ConsentEvent) {
        let person = random.next_u64() as usize % self.persons;
        let key = EventKey::of(&self.key, "desk", &number.to_string());
        (
            key,
            self.happens(key, person, EventKind::Withdrawn, self.now),
        )
    }

    fn happens(
        &self,
        key: EventKey,
        person: usize,
        kind: EventKind,
        event_at: i64,
    ) -> ConsentEvent {
        ConsentEvent {
            subject: self.subject(person),
            scope: self.scope.clone(),
            kind,
            explicit: false,
            notice: Some(0),
            event_at,
            recorded_at: self.now,
            valid_from: None,
            valid_until: None,
            age: AgeSaid::Unsaid,
            place: None,
            order: key.order(),
        }
    }

    fn cut(
        &self,
        register: &mut Register,
        gatekeeper: &Gatekeeper,
        notices: &NoticeBook,
    ) -> Result<Cut> {
        let purpose = gatekeeper.purpose(PURPOSE).context("a declared purpose")?;
        let defaults = gatekeeper.defaults(&purpose.id);
        let now = Timestamp(u64::try_from(self.now)?);
        let judge =
            |person: &_| gatekeeper.is_eligible(Gate::Train, PURPOSE, &[LABEL], person, now);
        Ok(register.cut(purpose, self.now, (&defaults, notices), judge))
    }
}

fn notice() -> Result<Notice> {
    Ok(Notice {
        id: "privacy".parse()?,
        version: 1,
        lang: "en".to_owned(),
        sha256: Hash32([1; 32]),
        material: true,
        signer: None,
    })
}

/// From here on the peak counts anew.
fn forget_peak() -> Result<()> {
    fs::write("/proc/self/clear_refs", "5").context("the peak of memory cannot be set back")
}

fn peak_mb() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    Ok(peak.context("no VmHWM in /proc/self/status")? * 1_024.0 / 1e6)
}

/// Mean seconds of studies on adult, without consents and with one for every row.
fn training(options: &Options) -> Result<Option<[f64; 2]>> {
    let Some(path) = options.data_set("adult") else {
        return Ok(None);
    };
    let company = Company::read(&path, "unit_iid")?;
    let times = options.times(3, 1);
    let mut seconds = [0.0; 2];
    for _ in 0..times {
        for (place, basis) in [Basis::Contract, Basis::Consent].into_iter().enumerate() {
            seconds[place] += study(&company, basis)? / times as f64;
        }
    }
    Ok(Some(seconds))
}

/// Seconds of a study with units that run already: the first study of a cluster is not counted.
fn study(company: &Company, basis: Basis) -> Result<f64> {
    let folder = tempfile::Builder::new().prefix("aquifer-").tempdir()?;
    let mut cluster = Cluster::start(folder.path())?;
    let cap = MicroRho(cap(price(EPSILON, DELTA)?).0 * (1 + STUDIES));
    let policy = Policy {
        cap,
        basis,
        ..Policy::default()
    };
    cluster.add_units(company, &policy)?;
    if basis == Basis::Consent {
        for (unit, node) in cluster.nodes.iter().enumerate() {
            agree(company, unit, &node.folder)?;
        }
    }
    cluster.start_nodes()?;
    let mut seconds = 0.0;
    for number in 0..=STUDIES {
        let name = format!("bench-{number}");
        let study = Study {
            name: &name,
            epsilon: EPSILON,
            delta: DELTA,
            trust: Some("node-noise"),
            more: "",
        };
        let measured = Measured::run(&cluster, &name, &study.file(company), |_| {})?;
        ensure!(measured.model.is_some(), "the study ended without a model");
        if number > 0 {
            seconds += measured.seconds / STUDIES as f64;
        }
    }
    cluster.stop()?;
    Ok(seconds)
}

/// All customers of a unit have agreed, by import.
fn agree(company: &Company, unit: usize, node: &Path) -> Result<()> {
    let people = People::new(1)?;
    let at = people.now - DAY_MS;
    let sha256 = notice()?.sha256;
    let notices = format!(
        "[[notice]]\nid = \"privacy\"\nversion = 1\nlang = \"en\"\nsha256 = \"{sha256}\"\n"
    );
    let rows = company
        .of_unit(unit)
        .map(|customer| format!("{},{at},{sha256},yes\n", customer.id));
    let rows: String = rows.collect();
    let files = [
        ("notices.toml", notices),
        ("crm.toml", MAPPING.to_owned()),
        ("crm.csv", format!("customer,at,notice,learn\n{rows}")),
    ];
    for (name, text) in files {
        fs::write(node.join(name), text)?;
    }
    let path = |name: &str| node.join(name).to_string_lossy().into_owned();
    let (notices, map, file) = (path("notices.toml"), path("crm.toml"), path("crm.csv"));
    for arguments in [
        vec!["consent", "notices", &notices],
        vec!["consent", "import", &file, "--map", &map],
    ] {
        run(command("aquifer-node", arguments).arg("--dir").arg(node))?.success()?;
    }
    Ok(())
}

const MAPPING: &str = r#"
source = "crm"
format = "csv-wide"
subject = "customer"
event_at = "at"
notice = "notice"
[purposes]
learn = "churn.train"
[statuses]
yes = "given"
"#;
