//! The report of one person over 1,000 studies at a unit with 1,000,000 customers.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use aquifer_node::core::consent::SubjectRef;
use aquifer_node::core::ledger::{Caps, Ledger, Payment};
use aquifer_node::core::table::Bits;
use aquifer_node::shell::config::SAMPLE;
use aquifer_node::shell::rights::{Asked, Found, look};
use aquifer_node::shell::subject_key;
use aquifer_node::shell::usage::{self, News, Usage};
use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::law::Basis;
use aquifer_shared::domain::predictor::plan::{CLIP_TIGHT, Shape, additive_rounds};
use aquifer_shared::domain::sum::{
    Gate, HoldOut, NoiseShare, Plan, SUM_VERSION, StudyTerms, TrustMode, attempt_id, study_hash,
};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::shell::report::{Table, Tone};
use aquifer_tests::law;
use aquifer_tests::random::Seeded;
use serde_json::{Value, json};

use crate::options::Options;

const STUDIES: u32 = 1_000;
const PERSONS: usize = 1_000_000;
const PERSONS_QUICK: usize = 100_000;
/// Sets of eligible persons that differ.
const CUTS: usize = 7;
const REPORT_MS_MAX: f64 = 200.0;
const PURPOSE: &str = "churn.train";
const URHO: MicroRho = MicroRho(24_355);
/// 2026-11-01.
const FIRST: Timestamp = Timestamp(20_758 * 24 * 3_600 * 1_000);
const CONTRACT: &str = "[contract]\nname = \"churn\"\nversion = 1\n[table.people]\nprivacy_unit = \"id\"\n\
label = { column = \"left\", positive = \"yes\" }\n[table.people.column.plan]\nlevels = [\"basic\", \"plus\"]\n";

/// Writes a usage ledger, and looks one person up in it.
pub fn measure(options: &Options) -> Result<Value> {
    let persons = options.times(PERSONS, PERSONS_QUICK);
    let folder = tempfile::Builder::new().prefix("aquifer-").tempdir()?;
    unit(folder.path())?;
    let started = Instant::now();
    let studies = write(folder.path(), persons)?;
    let written = started.elapsed().as_secs_f64();
    let mut times = Vec::new();
    for _ in 0..options.times(21, 5) {
        let started = Instant::now();
        let asked = Asked {
            id: "17",
            scores: None,
        };
        let Found::Pack(pack) = look(folder.path(), &asked)? else {
            bail!("the person was erased");
        };
        let text = serde_json::to_string(&pack)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        ensure!(
            pack.runs.len() == studies,
            "{} runs of {studies}",
            pack.runs.len()
        );
        ensure!(!text.is_empty(), "no report");
    }
    times.sort_by(f64::total_cmp);
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    let bytes = fs::metadata(folder.path().join(usage::USAGE_FILE))?.len();
    let mut table = Table::new(&["rights", "measured", "limit"]);
    let mut line = |what: String, found: String, limit: Option<bool>| {
        let tone = match limit {
            None => Tone::Plain,
            Some(true) => Tone::Good,
            Some(false) => Tone::Bad,
        };
        let shown = limit.map_or(String::new(), |_| format!("{REPORT_MS_MAX} ms"));
        table.toned_row([(what, Tone::Plain), (found, tone), (shown, Tone::Plain)]);
    };
    let of = format!("{STUDIES} studies, {persons} persons");
    line(format!("writing {of}"), format!("{written:.1} s"), None);
    line(
        format!("file of {of}"),
        format!("{:.1} MB", bytes as f64 / 1e6),
        None,
    );
    let within = Some(most <= REPORT_MS_MAX);
    line(
        format!("report of a person, median, {of}"),
        format!("{median:.1} ms"),
        within,
    );
    line("the slowest".to_owned(), format!("{most:.1} ms"), within);
    table.print()?;
    Ok(json!({
        "studies": STUDIES, "persons": persons, "write_seconds": written, "file_bytes": bytes,
        "report_ms_median": median, "report_ms_most": most,
    }))
}

/// The directory of a unit that has never run.
fn unit(folder: &Path) -> Result<()> {
    let contract = Contract::parse(CONTRACT)?;
    let section = law::write(folder, &contract, &[PURPOSE.to_owned()], Basis::Contract)?;
    fs::write(folder.join("node.toml"), format!("{SAMPLE}\n{section}"))?;
    Ok(())
}

/// Charges studies one after the other, each with its own cut; how many of them the person `17` may have been in.
fn write(folder: &Path, persons: usize) -> Result<usize> {
    let key = subject_key::load(folder)?;
    let subjects: Vec<SubjectRef> = (0..persons)
        .map(|person| key.subject(&person.to_string()))
        .collect();
    let mut random = Seeded::new(23, 0);
    let cuts = (0..CUTS).map(|_| {
        let cut = (0..persons).map(|_| random.next_u64() % 10 < 9);
        Arc::new(cut.collect::<Bits>())
    });
    let cuts: Vec<Arc<Bits>> = cuts.collect();
    let mut ledger = Ledger::default();
    let thread = usage::start(folder, &ledger, |_| Ok(Vec::new()))?;
    let told = thread.usage();
    told.tell(News::Table(0, subjects));
    let mut own = 0;
    for number in 0..STUDIES {
        let cut = &cuts[number as usize % CUTS];
        own += usize::from(cut.get(17));
        charge(&mut ledger, &told, (number, cut))?;
    }
    thread.finish();
    Ok(own)
}

fn charge(ledger: &mut Ledger, told: &Usage, (number, cut): (u32, &Arc<Bits>)) -> Result<()> {
    let terms = terms(number)?;
    let bytes = encode(&terms);
    let study = study_hash(&bytes);
    let all = MicroRho(u64::MAX);
    let caps = Caps {
        per_contract: all,
        per_year: all,
    };
    let at = FIRST.after_ms(u64::from(number) * 60_000);
    let reserved = ledger.reserve(at, caps, Hash32([6; 32]), (&bytes, &terms, &[]), false);
    reserved.context("a study is not affordable")?;
    durable(ledger, told);
    told.tell(News::Cut {
        attempt: attempt_id(&study, 0, 0),
        table: 0,
        eligible: cut.clone(),
    });
    let payment = Payment::Update(vec![1]);
    let spent = ledger.spend(at, (study, 0, 0), Hash32([9; 32]), payment);
    spent.context("a round is not affordable")?;
    durable(ledger, told);
    Ok(())
}

fn durable(ledger: &mut Ledger, told: &Usage) {
    if let Some(batch) = ledger.next_batch() {
        ledger.confirm(batch.head);
        let links = batch.records.into_iter().map(|record| record.bytes);
        told.tell(News::Entries(links.collect()));
    }
}

fn terms(number: u32) -> Result<StudyTerms> {
    let shape = Shape {
        ordered: false,
        cells: 5,
    };
    let rounds = additive_rounds(&[shape], URHO, CLIP_TIGHT, 2, NoiseShare::OWN);
    let mut study_id = [0; 16];
    study_id[..4].copy_from_slice(&number.to_be_bytes());
    Ok(StudyTerms {
        version: SUM_VERSION,
        study_id,
        name: format!("study-{number}").parse()?,
        family: "bench".parse()?,
        purpose: PURPOSE.parse()?,
        contract_name: "churn".parse()?,
        contract_version: 1,
        contract_hash: sha256(b"churn"),
        plan: Plan::Additive {
            clip: CLIP_TIGHT,
            rounds: 2,
        },
        mode: TrustMode::NodeNoise,
        roster: vec![IdentityKey([1; 32]), IdentityKey([2; 32])],
        d_max: 0,
        c_max: 0,
        multiplicity: 1,
        rounds: rounds.context("rounds of a study")?,
        attempts_max: 1,
        urho_cap: URHO,
        urho: URHO,
        delta: 1e-6.try_into()?,
        population: 2_000_000,
        customers_max: 1_000_000,
        holdout: HoldOut::Fraction(150_000),
        slot_ms: 20,
        phase_ms: 2_000,
        attempt_ttl_ms: 120_000,
        expires: FIRST.after_ms(u64::from(u32::MAX)),
        quorum: 2,
        gate: Gate::Open,
        expected_gain_ppm: 0,
        synthetic: false,
    })
}
