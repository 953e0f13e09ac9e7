//! Charges meet cuts, whatever happens in between; what is not known counts for everybody.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use aquifer_shared::base::ids::{Hash32, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::{StudyTerms, attempt_id};

use super::writer::{News, Writer};
use super::{UsageLedger, UsedRun};
use crate::core::consent::SubjectRef;
use crate::core::fixtures::{NOW, SPLIT, name, offer, synthetic, terms};
use crate::core::ledger::{AttemptOutcome, Caps, EndReason, Ledger, Payment};
use crate::core::question_fixtures;
use crate::core::table::Bits;

/// A budget ledger that is charged, and the writer that is told.
pub(in crate::shell) struct World {
    pub(in crate::shell) folder: tempfile::TempDir,
    pub(in crate::shell) budget: Ledger,
    pub(in crate::shell) links: Vec<Vec<u8>>,
    writer: Option<Writer>,
}

impl World {
    pub(in crate::shell) fn new() -> Self {
        let mut world = Self {
            folder: tempfile::tempdir().unwrap(),
            budget: Ledger::default(),
            links: Vec::new(),
            writer: None,
        };
        world.start();
        world
    }

    pub(in crate::shell) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the node anew, as after a crash.
    pub(in crate::shell) fn start(&mut self) {
        self.writer = None;
        let mut writer = Writer::open(self.folder.path(), &self.budget).unwrap();
        let counted = writer.counted() as usize;
        writer.count(&self.links[counted..]).unwrap();
        writer.go_live();
        self.writer = Some(writer);
    }

    pub(in crate::shell) fn stop(&mut self) {
        self.writer = None;
    }

    pub(in crate::shell) fn tell(&mut self, news: News) {
        self.writer.as_mut().unwrap().take_all(vec![news]).unwrap();
    }

    pub(in crate::shell) fn table(&mut self, number: u64, persons: &[SubjectRef]) {
        self.tell(News::Table(number, persons.to_vec()));
    }

    pub(in crate::shell) fn accept(&mut self, terms: &StudyTerms) -> StudyHash {
        let all = MicroRho(u64::MAX);
        let caps = Caps {
            per_contract: all,
            per_year: all,
        };
        let (study, offer) = offer(terms);
        let offer = (&offer.terms[..], terms, &offer.approvals[..]);
        self.budget.reserve(NOW, caps, SPLIT, offer, false).unwrap();
        self.durable();
        study
    }

    pub(in crate::shell) fn cut(&mut self, study: StudyHash, round: u32, table: u64, who: &str) {
        let eligible: Bits = who.chars().map(|own| own == '+').collect();
        self.tell(News::Cut {
            attempt: attempt_id(&study, round, 0),
            table,
            eligible: Arc::new(eligible),
        });
    }

    pub(in crate::shell) fn charge(&mut self, study: StudyHash, round: u32, at: Timestamp) {
        let payment = Payment::Update(vec![1]);
        let task = Hash32([9; 32]);
        self.budget
            .spend(at, (study, round, 0), task, payment)
            .unwrap();
        self.durable();
    }

    pub(in crate::shell) fn end(&mut self, study: StudyHash, reason: EndReason, at: Timestamp) {
        self.budget.give_back(at, study, reason);
        self.durable();
    }

    /// What the ledger has to write becomes durable; the writer is told where one runs.
    pub(in crate::shell) fn durable(&mut self) {
        let batch = self.budget.next_batch().unwrap();
        self.budget.confirm(batch.head);
        let links: Vec<Vec<u8>> = batch.records.into_iter().map(|own| own.bytes).collect();
        self.links.extend(links.iter().cloned());
        if let Some(writer) = &mut self.writer {
            writer.take_all(vec![News::Entries(links)]).unwrap();
        }
    }

    pub(in crate::shell) fn of(&self, person: u8) -> Vec<UsedRun> {
        let mut ledger = UsageLedger::open(self.path()).unwrap();
        let at = NOW.0.cast_signed();
        ledger.of_person(reference(person), at).unwrap().0
    }

    /// Which persons of 1 to 4 may have been in a run of this name, `!` where everybody counts.
    #[track_caller]
    fn check(&self, run: &str, expected: &str) {
        let mut found = String::new();
        for person in 1..=4 {
            let own = self.of(person);
            let own = own.iter().find(|own| own.facts.name.as_str() == run);
            let letter = own.map_or('-', |own| if own.everybody { '!' } else { '+' });
            let _ = write!(found, "{letter}");
        }
        assert_eq!(found, expected);
    }
}

pub(in crate::shell) fn reference(person: u8) -> SubjectRef {
    SubjectRef(u128::from(person) << 100 | 7)
}

pub(in crate::shell) fn study(number: u8, called: &str) -> StudyTerms {
    StudyTerms {
        study_id: [number; 16],
        name: name(called),
        ..terms()
    }
}

/// A world with a table of persons 3, 1, 2 and a study.
fn begun() -> (World, StudyHash) {
    let mut world = World::new();
    world.table(0, &[3, 1, 2].map(reference));
    let study = world.accept(&study(1, "a"));
    (world, study)
}

#[test]
fn a_charge_meets_its_cut_in_either_order() {
    let (mut world, first) = begun();
    world.cut(first, 0, 0, "+--");
    world.check("a", "----");
    world.charge(first, 0, NOW);
    world.check("a", "--+-");
    world.charge(first, 1, NOW);
    // For the moment nobody knows.
    world.check("a", "!!!!");
    world.cut(first, 1, 0, "-+-");
    world.check("a", "+-+-");
    let other = world.accept(&study(2, "b"));
    world.cut(other, 0, 0, "--+");
    world.charge(other, 0, NOW);
    world.check("b", "-+--");
    world.check("a", "+-+-");
}

#[test]
fn what_was_never_charged_counts_for_nobody() {
    let (mut world, first) = begun();
    world.cut(first, 0, 0, "+++");
    world.check("a", "----");
    world.start();
    world.check("a", "----");
    let reads_nobody = world.accept(&synthetic(2));
    world.charge(reads_nobody, 0, NOW);
    assert!(world.of(1).is_empty());
}

#[test]
fn an_attempt_that_ended_without_a_cut_counts_for_nobody() {
    let (mut world, first) = begun();
    world.charge(first, 0, NOW);
    world.budget.close(NOW, (first, 0, 0), AttemptOutcome::Lost);
    world.durable();
    world.check("a", "----");
    let spent = world.of(1);
    assert!(spent.is_empty());
}

#[test]
fn what_was_lost_on_the_way_counts_for_everybody() {
    let (mut world, first) = begun();
    world.cut(first, 0, 0, "+--");
    world.charge(first, 0, NOW);
    world.charge(first, 1, NOW);
    // The cut of the second attempt is lost with the process.
    world.start();
    world.check("a", "!!!!");
    let (mut world, first) = begun();
    // The entry is lost on its way, and found again in the budget ledger.
    world.stop();
    world.charge(first, 0, NOW);
    world.start();
    world.check("a", "!!!!");
}

#[test]
fn a_missing_file_is_made_again_from_the_budget_ledger() {
    let (mut world, first) = begun();
    world.cut(first, 0, 0, "+--");
    world.charge(first, 0, NOW);
    let before = world.of(3);
    world.stop();
    for file in ["usage.db", "usage.db-wal", "usage.db-shm"] {
        let _ = std::fs::remove_file(world.path().join(file));
    }
    world.start();
    world.check("a", "!!!!");
    let mut after = world.of(3);
    after[0].everybody = false;
    assert_eq!(after, before);
}

#[test]
fn another_past_is_counted_from_its_start() {
    let (mut world, first) = begun();
    world.cut(first, 0, 0, "+--");
    world.charge(first, 0, NOW);
    world.stop();
    world.budget = Ledger::default();
    world.links.clear();
    let other = world.accept(&study(2, "b"));
    world.charge(other, 0, NOW);
    world.start();
    world.check("a", "----");
    world.check("b", "!!!!");
}

#[test]
fn numbers_stay_from_table_to_table_and_are_given_once() {
    let (mut world, first) = begun();
    world.cut(first, 0, 0, "+++");
    world.charge(first, 0, NOW);
    world.start();
    world.table(5, &[4, 3].map(reference));
    world.cut(first, 1, 5, "++");
    world.charge(first, 1, NOW);
    world.check("a", "++++");
    let mut ledger = UsageLedger::open(world.path()).unwrap();
    let forever = i64::MAX;
    assert_eq!(ledger.forget_number(reference(4), forever).unwrap(), 1);
    assert_eq!(ledger.forget_number(reference(4), forever).unwrap(), 0);
    world.check("a", "+++-");
    // Nobody gets the number, and the person gets none while kept out.
    world.start();
    world.table(6, &[4, 9].map(reference));
    let other = world.accept(&study(2, "b"));
    world.cut(other, 0, 6, "++");
    world.charge(other, 0, NOW);
    assert_eq!(world.of(9).len(), 1);
    world.check("b", "----");
}

#[test]
fn questions_under_one_standing_study_are_one_run() {
    let mut world = World::new();
    world.table(1, &[1, 2].map(reference));
    let price = question_fixtures::URHO;
    let mut asked = question_fixtures::asked(&question_fixtures::question(), price);
    for (number, who) in [(1, "+-"), (2, "+-")] {
        asked.study_id = [number; 16];
        let question = world.accept(&asked);
        world.cut(question, 0, 1, who);
        world.charge(question, 0, NOW);
        world.end(question, EndReason::Published, NOW);
    }
    let runs = world.of(1);
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].attempts, runs[0].published), (2, None));
    assert_eq!(runs[0].spent.all.everyone, MicroRho(2 * price.0));
    world.check("reports", "+---");
}

#[test]
fn the_year_is_the_last_365_days() {
    let (mut world, first) = begun();
    world.cut(first, 0, 0, "+++");
    world.charge(first, 0, Timestamp(NOW.0 - 400 * 24 * 3_600 * 1_000));
    let runs = world.of(1);
    // The clock of the budget ledger never runs backwards: it was accepted now.
    assert_eq!(runs[0].spent.year, runs[0].spent.all);
    let mut ledger = UsageLedger::open(world.path()).unwrap();
    let later = (NOW.0 + 366 * 24 * 3_600 * 1_000).cast_signed();
    let (runs, _) = ledger.of_person(reference(1), later).unwrap();
    assert_eq!(runs[0].spent.year, Default::default());
    assert_ne!(runs[0].spent.all, Default::default());
}

#[test]
fn what_was_written_off_counts_for_everybody() {
    let (mut world, _) = begun();
    let lost = crate::core::ledger::Lost::at_worst(MicroRho(77));
    world.budget.write_off(NOW, lost, Vec::new(), 0);
    world.durable();
    let mut ledger = UsageLedger::open(world.path()).unwrap();
    let at = NOW.0.cast_signed();
    let (_, lost) = ledger.of_person(reference(9), at).unwrap();
    assert_eq!(lost.all, Some(MicroRho(77)));
}

#[test]
fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (world, _) = begun();
    let mode = |file: &str| {
        let facts = std::fs::metadata(world.path().join(file)).unwrap();
        facts.permissions().mode() & 0o777
    };
    assert_eq!(mode("usage.db"), 0o600);
    assert_eq!(mode("usage.db-wal"), 0o600);
}
