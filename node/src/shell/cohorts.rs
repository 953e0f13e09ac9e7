//! Who may be in a sum: decided for the run, cut from the consent ledger as it is now, joined to the rows of a table.
//!
//! Lives in the computing thread. A cut is taken for each sum; one that is a moment old and saw all events serves the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use aquifer_shared::base::ids::{AttemptId, Hash32, Name, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::history::{Event, Json, Kind};
use aquifer_shared::domain::law::witness::{GateKind, Query, Run, Score, Train};
use aquifer_shared::domain::law::{Allowed, Gate, Purpose, Word as _};
use aquifer_shared::protocol::wire::RefusalCode;

use crate::core::analytics::RowTable;
use crate::core::cohort::Cohort;
use crate::core::consent::{ConsentEvent, Cut, NoticeBook, Register, Roll, SubjectKey};
use crate::core::gatekeeper::Gatekeeper;
use crate::core::intake::Intake;
use crate::core::lawful::Brief;
use crate::core::table::{Bits, Table};
use crate::shell::usage::{News as Used, Usage};

/// What came since the last call.
pub type News = Box<dyn FnMut() -> anyhow::Result<Heard> + Send>;

/// What came into the consent ledger.
#[derive(Default)]
pub struct Heard {
    /// Events, in the order in which they were written: some of them, and none only where there are no more.
    pub events: Vec<ConsentEvent>,
    /// All notices, where the list is another.
    pub notices: Option<NoticeBook>,
    /// The number of the last event in the ledger that was read so far.
    pub upto: i64,
}

/// What decides who is in a sum.
pub struct Cohorts {
    gatekeeper: Option<Gatekeeper>,
    register: Register,
    notices: NoticeBook,
    news: News,
    clock: fn() -> Timestamp,
    training: Roll,
    /// Leave to read the training table; without it nobody is in any sum of it.
    intake: Option<Intake>,
    published: BTreeMap<String, Served>,
    cuts: BTreeMap<String, Kept>,
    /// Events and lists of notices taken so far.
    heard: u64,
    /// The number of the last event in the ledger that was taken.
    upto: i64,
    usage: Option<Usage>,
    /// Tables whose persons the usage ledger was told.
    tables: u64,
    /// An event was read and could not be taken: from then on nobody is in any sum.
    lost: bool,
    /// Somebody was told that ids do not match.
    warned: bool,
    /// The last cut: when, and by which decision.
    last: Option<LastCut>,
    /// When somebody last looked.
    looked: Timestamp,
    teller: Option<Teller>,
}

/// Who hears of cuts.
pub type Teller = Box<dyn FnMut(Event) + Send>;

#[derive(Clone, Debug)]
struct LastCut {
    at: i64,
    gate: Gate,
    purpose: String,
    columns: Vec<String>,
    decision: Hash32,
    policy: Hash32,
}

/// A published table that was joined.
struct Served {
    epoch: Name,
    roll: Roll,
    rows: BTreeMap<String, Masks>,
    /// Its number for the usage ledger.
    table: u64,
}

/// Who is eligible, by person and by row.
#[derive(Clone)]
struct Masks {
    stamp: Stamp,
    /// When the cut behind them was taken.
    at: i64,
    persons: Arc<Bits>,
    rows: Arc<Bits>,
}

/// A cut, and when it was taken.
struct Kept {
    stamp: Stamp,
    /// Columns that it was decided for.
    columns: Vec<String>,
    cut: Arc<Cut>,
}

/// The decision for a run, and the cut of now.
struct Look<G> {
    allowed: Allowed<G, Run>,
    stamp: Stamp,
    cut: Arc<Cut>,
}

/// What a cut rests on: the second, and what was heard by then.
type Stamp = (u64, u64);

impl Cohorts {
    /// For the training table of a unit and leave to read it; published tables are joined when they are asked about.
    ///
    /// # Privacy
    ///
    /// Ids of customers become keyed references here, and are not kept.
    #[must_use]
    pub fn new(
        gatekeeper: Option<Gatekeeper>,
        key: &SubjectKey,
        (table, intake): (&Table, Option<Intake>),
        news: News,
        clock: fn() -> Timestamp,
    ) -> Self {
        let customers = (0..table.rows()).map(|row| key.subject(table.customer(row)));
        Self {
            gatekeeper,
            register: Register::default(),
            notices: NoticeBook::default(),
            news,
            clock,
            training: Roll::of(customers),
            intake,
            published: BTreeMap::new(),
            cuts: BTreeMap::new(),
            heard: 0,
            upto: 0,
            usage: None,
            tables: TRAINING,
            lost: false,
            warned: false,
            last: None,
            looked: Timestamp(0),
            teller: None,
        }
    }

    /// Looks as of this moment at the earliest, whatever the clock says.
    #[must_use]
    pub fn not_before(self, floor: Timestamp) -> Self {
        Self {
            looked: self.looked.max(floor),
            ..self
        }
    }

    /// With a usage ledger, which is told who may be in each sum.
    #[must_use]
    pub fn noting(mut self, usage: Usage) -> Self {
        usage.tell(Used::Table(TRAINING, self.training.persons()));
        self.usage = Some(usage);
        self
    }

    /// The same, and somebody hears of every cut that a sum rests on.
    #[must_use]
    pub fn telling(self, teller: Teller) -> Self {
        Self {
            teller: Some(teller),
            ..self
        }
    }

    /// Reads what is in the consent ledger ahead of time. What cannot be read is told again by the first sum.
    pub fn prepare(&mut self) {
        let _ = self.hear();
    }

    /// A sum of this study rests on the last cut.
    ///
    /// # Privacy
    ///
    /// Time, decision and how many events of consents there were; not who is in the cut, nor how many.
    pub fn used_for(&mut self, study: &StudyHash, attempt: &AttemptId) {
        let (Some(cut), Some(teller)) = (self.last.take(), &mut self.teller) else {
            return;
        };
        let columns = cut.columns.iter().map(|column| Json::from(column.as_str()));
        // Too many for a payload: such a cut cannot be taken again from the history.
        let bytes: usize = cut.columns.iter().map(|column| 4 + 2 * column.len()).sum();
        let columns = match bytes <= COLUMNS_BYTES_MAX && cut.columns.len() <= COLUMNS_MAX {
            true => Json::List(columns.collect()),
            false => Json::Null,
        };
        let payload = Json::object([
            ("attempt", Json::from(attempt.to_string())),
            ("columns", columns),
            ("consent_events", Json::from(self.heard)),
            ("consent_upto", Json::from(self.upto)),
            ("cut_at", Json::from(cut.at)),
            ("decision", Json::from(cut.decision.to_string())),
            ("gate", Json::from(cut.gate.word())),
            ("purpose", Json::from(cut.purpose)),
            ("study", Json::from(study.to_string())),
        ]);
        teller(Event {
            policy: cut.policy,
            ..Event::of_program(Kind::RoundCut, payload)
        });
    }

    /// Who may be learned from.
    ///
    /// # Errors
    ///
    /// The run is denied, or the consent ledger cannot be read.
    pub fn of_training(
        &mut self,
        brief: &Brief,
        attempt: AttemptId,
    ) -> Result<Cohort<Train>, RefusalCode> {
        self.was_let_in(&brief.purpose)?;
        let look = self.look::<Train>(brief)?;
        let rows = Arc::new(self.training.eligible(&self.register, &look.cut));
        if !self.warned && self.training.misses_most() {
            self.warned = true;
            tracing::warn!(
                "most persons of the consent records have no row in the training table: are ids written as there? `aquifer-node check` counts them"
            );
        }
        self.note(attempt, TRAINING, &rows);
        Ok(Cohort::new(look.allowed, rows))
    }

    /// Who of the training table may be scored.
    ///
    /// # Errors
    ///
    /// The run is denied, or the consent ledger cannot be read.
    pub fn of_scores(&mut self, brief: &Brief) -> Result<Cohort<Score>, RefusalCode> {
        self.was_let_in(&brief.purpose)?;
        let look = self.look::<Score>(brief)?;
        let rows = self.training.eligible(&self.register, &look.cut);
        Ok(Cohort::new(look.allowed, Arc::new(rows)))
    }

    /// Who may be counted in an answer about a table.
    ///
    /// # Errors
    ///
    /// The run is denied, or the consent ledger cannot be read.
    pub fn of_question(
        &mut self,
        (brief, attempt): (&Brief, AttemptId),
        (name, epoch): (&str, &Name),
        table: &RowTable,
    ) -> Result<Cohort<Query>, RefusalCode> {
        let Look {
            allowed,
            stamp,
            cut,
        } = self.look::<Query>(brief)?;
        let known = self.published.get(name);
        if known.is_none_or(|known| known.epoch != *epoch) {
            let persons = table.subjects().to_vec();
            self.tables += 1;
            if let Some(usage) = &self.usage {
                usage.tell(Used::Table(self.tables, persons.clone()));
            }
            let served = Served {
                epoch: epoch.clone(),
                roll: Roll::of_sorted(persons),
                rows: BTreeMap::new(),
                table: self.tables,
            };
            self.published.insert(name.to_owned(), served);
        }
        let served = self.published.get_mut(name).expect("put there just now");
        let key = format!("{} {:?}", brief.purpose, brief.columns);
        let known = served.rows.get(&key).filter(|known| known.stamp == stamp);
        let masks = known.cloned().unwrap_or_else(|| {
            let persons = served.roll.eligible(&self.register, &cut);
            Masks {
                stamp,
                at: cut.at,
                rows: Arc::new(table.rows_of(&persons)),
                persons: Arc::new(persons),
            }
        });
        if served.rows.len() >= KEPT_MAX {
            served.rows.clear();
        }
        served.rows.insert(key, masks.clone());
        if let Some(last) = &mut self.last {
            last.at = masks.at;
        }
        let number = served.table;
        self.note(attempt, number, &masks.persons);
        Ok(Cohort::new(allowed, masks.rows))
    }

    /// What was read for some purposes serves no other.
    fn was_let_in(&self, purpose: &str) -> Result<(), RefusalCode> {
        let intake = self.intake.as_ref();
        if intake.is_some_and(|intake| intake.is_for(purpose)) {
            return Ok(());
        }
        tracing::warn!(
            purpose,
            "a sum is denied: the table was not read for this purpose"
        );
        Err(RefusalCode::Law)
    }

    fn note(&self, attempt: AttemptId, table: u64, eligible: &Arc<Bits>) {
        if let Some(usage) = &self.usage {
            usage.tell(Used::Cut {
                attempt,
                table,
                eligible: eligible.clone(),
            });
        }
    }

    /// The decision for a run, and the cut of now.
    fn look<G: GateKind>(&mut self, brief: &Brief) -> Result<Look<G>, RefusalCode> {
        self.hear()?;
        let now = self.present();
        let gatekeeper = self.gatekeeper.clone().ok_or(RefusalCode::Law)?;
        let allowed = brief.allowed::<G>(&gatekeeper, now);
        let allowed = allowed.map_err(|refused| {
            tracing::warn!(purpose = brief.purpose, reasons = %refused, "a sum is denied");
            RefusalCode::Law
        })?;
        let purpose = gatekeeper.purpose(&brief.purpose).ok_or(RefusalCode::Law)?;
        let stamp = (now.0 / 1_000, self.heard);
        let cut = self.cut(&gatekeeper, purpose, brief, now, stamp);
        let decision = allowed.decision();
        self.last = Some(LastCut {
            at: cut.at,
            gate: brief.gate,
            purpose: brief.purpose.clone(),
            columns: brief.columns.clone(),
            decision: decision.id(),
            policy: decision.policy_digest(),
        });
        Ok(Look {
            allowed,
            stamp,
            cut,
        })
    }

    /// The clock, and never before what is written down or an earlier look: setting it back brings no consent back, nor one that ended.
    fn present(&mut self) -> Timestamp {
        let latest = u64::try_from(self.register.latest()).unwrap_or(0);
        self.looked = (self.clock)().max(Timestamp(latest)).max(self.looked);
        self.looked
    }

    fn hear(&mut self) -> Result<(), RefusalCode> {
        let unfit = |error: anyhow::Error| {
            tracing::error!(
                error = format!("{error:#}"),
                "the consent ledger was not read"
            );
            RefusalCode::Unfit
        };
        if self.lost {
            return Err(RefusalCode::Unfit);
        }
        let mut gathered = false;
        let heard = self.hear_all(&mut gathered);
        if gathered {
            self.register.settle();
        }
        heard.map_err(unfit)
    }

    /// Until there is nothing new; `gathered` says whether the register must settle, however this ends.
    fn hear_all(&mut self, gathered: &mut bool) -> anyhow::Result<()> {
        loop {
            let Heard {
                events,
                notices,
                upto,
            } = (self.news)()?;
            if let Some(notices) = notices {
                self.notices = notices;
                self.heard += 1;
            }
            if events.is_empty() {
                return Ok(());
            }
            self.upto = self.upto.max(upto);
            self.heard += events.len() as u64;
            self.lost = true;
            if events.len() > MANY {
                *gathered = true;
                self.register.gather(events)?;
            } else {
                let mut events = events.iter();
                events.try_for_each(|event| self.register.take(event))?;
            }
            self.lost = false;
        }
    }

    fn cut(
        &mut self,
        gatekeeper: &Gatekeeper,
        purpose: &Purpose,
        brief: &Brief,
        now: Timestamp,
        stamp: Stamp,
    ) -> Arc<Cut> {
        let kept = self.cuts.get(&brief.purpose);
        if let Some(kept) = kept
            && kept.stamp == stamp
            && kept.columns == brief.columns
        {
            return kept.cut.clone();
        }
        let columns: Vec<&str> = brief.columns.iter().map(String::as_str).collect();
        let defaults = gatekeeper.defaults(&purpose.id);
        let at = i64::try_from(now.0).unwrap_or(i64::MAX);
        let judge =
            |person: &_| gatekeeper.is_eligible(brief.gate, &brief.purpose, &columns, person, now);
        let cut = self
            .register
            .cut(purpose, at, (&defaults, &self.notices), judge);
        let kept = Kept {
            stamp,
            columns: brief.columns.clone(),
            cut: Arc::new(cut),
        };
        let cut = kept.cut.clone();
        self.cuts.insert(brief.purpose.clone(), kept);
        cut
    }
}

/// The number of the training table for the usage ledger.
const TRAINING: u64 = 0;
/// Events that are sorted in at once.
const MANY: usize = 10_000;
/// Columns that the history is told of a cut, and their bytes.
const COLUMNS_MAX: usize = 512;
const COLUMNS_BYTES_MAX: usize = 8 << 10;
/// Masks of one table that are kept.
const KEPT_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc::{Sender, channel};

    use aquifer_shared::base::units::MicroRho;
    use aquifer_shared::domain::contract::Contract;
    use aquifer_shared::domain::law::Gate;
    use aquifer_shared::domain::predictor::arithmetic::COUNT;
    use aquifer_shared::domain::sum::{HoldOut, Part, RoundTerms};
    use aquifer_shared::protocol::wire::TaskBody;

    use super::*;
    use crate::core::consent::{AgeSaid, EventKind, Scope};
    use crate::core::contribution::contribution;
    use crate::core::fixtures::{NOW, gatekeeper};
    use crate::core::gatekeeper::Figures;
    use crate::core::holdout::Split;
    use crate::core::intake::Wanted;
    use crate::core::table::TableBuilder;

    const CONTRACT: &str = r#"
[contract]
name = "churn"
version = 1
[table.customers]
privacy_unit = "id"
label = { column = "churned", positive = "yes" }
[table.customers.column.tenure]
low = 0
high = 64
"#;

    const CUSTOMERS: [&str; 3] = ["ada", "ben", "zoe"];

    /// A unit with three customers, one in each cell; its consent ledger is the far end of a channel.
    struct Unit {
        table: Table,
        cohorts: Cohorts,
        ledger: Sender<ConsentEvent>,
        key: SubjectKey,
    }

    impl Unit {
        fn new(clock: fn() -> Timestamp) -> Self {
            Self::reading(|contract| Wanted::training(contract), clock)
        }

        /// With leave to read for what `let_in` wants.
        fn reading(
            let_in: impl for<'a> Fn(&'a Contract) -> Wanted<'a>,
            clock: fn() -> Timestamp,
        ) -> Self {
            let mut builder = TableBuilder::new(vec![CUSTOMERS.len()], Some("split"));
            for (cell, customer) in CUSTOMERS.into_iter().enumerate() {
                builder.push([cell], true, customer, false).unwrap();
            }
            let table = builder.finish();
            let (ledger, events) = channel();
            let news: News = Box::new(move || {
                let events = events.try_iter().collect();
                Ok(Heard {
                    events,
                    ..Heard::default()
                })
            });
            let key = SubjectKey::new(&[5; 32]);
            let contract = Contract::parse(CONTRACT).unwrap();
            let held = gatekeeper();
            let intake = held.admit(&let_in(&contract), NOW).ok();
            let cohorts = Cohorts::new(Some(held), &key, (&table, intake), news, clock);
            Self {
                table,
                cohorts,
                ledger,
                key,
            }
        }

        /// At this many milliseconds after the start.
        fn happens(&self, customer: &str, kind: EventKind, after_ms: i64) {
            self.is_told(customer, kind, (after_ms, after_ms));
        }

        /// The same, written down at another time.
        fn is_told(&self, customer: &str, kind: EventKind, (after_ms, told_ms): (i64, i64)) {
            let start = NOW.0 as i64;
            let event = ConsentEvent {
                subject: self.key.subject(customer),
                scope: Scope::All,
                kind,
                explicit: false,
                notice: None,
                event_at: start + after_ms,
                recorded_at: start + told_ms,
                valid_from: None,
                valid_until: None,
                age: AgeSaid::Unsaid,
                place: None,
                order: 0,
            };
            self.ledger.send(event).unwrap();
        }

        /// The exact sum of a round that counts customers by cell.
        fn sum(&mut self) -> Vec<i64> {
            let brief = Brief {
                gate: Gate::Train,
                purpose: "churn.train".to_owned(),
                columns: vec!["tenure".to_owned()],
                figures: Figures::unspent(10_000),
                reviewer: None,
            };
            let cohort = self
                .cohorts
                .of_training(&brief, AttemptId::default())
                .unwrap();
            let rule = HoldOut::Column("split".to_owned());
            let name = "churn".parse().unwrap();
            let split = Split::of(&self.table, &[0; 32], &name, &rule).unwrap();
            let terms = RoundTerms {
                part: Part::Training,
                cells_max: 3,
                cell_abs_max: COUNT as u32,
                delta_sq: (COUNT as u64).pow(2),
                urho: MicroRho(1),
                sigma_share: 16,
            };
            let body = TaskBody::Counts;
            let sum = contribution(&self.table, &split, &cohort, &body, &terms, COUNT as u32);
            sum.unwrap().expose().clone()
        }
    }

    #[test]
    fn c2_the_sum_after_a_withdrawal_is_that_without_the_person() {
        let mut unit = Unit::new(|| Timestamp(NOW.0 + 10));
        assert_eq!(unit.sum(), [COUNT; 3]);
        unit.happens("ben", EventKind::Objected, 1);
        assert_eq!(unit.sum(), [COUNT, 0, COUNT], "in the very next round");
        unit.happens("ben", EventKind::ObjectionWithdrawn, 2);
        assert_eq!(unit.sum(), [COUNT; 3]);
        unit.happens("nobody of the table", EventKind::Objected, 3);
        assert_eq!(unit.sum(), [COUNT; 3]);
    }

    #[test]
    fn a_clock_that_is_set_back_looks_from_what_was_written_down() {
        // She objected, and takes that back from a moment on that the clock says is still to come.
        let sum = |floor: Option<u64>| {
            let mut unit = Unit::new(|| NOW);
            let floor = floor.map_or(Timestamp(0), |after| NOW.after_ms(after));
            unit.cohorts = unit.cohorts.not_before(floor);
            unit.is_told("ada", EventKind::Objected, (0, 0));
            unit.is_told("ada", EventKind::ObjectionWithdrawn, (60_000, 0));
            unit.sum()
        };
        assert_eq!(sum(None), [0, COUNT, COUNT]);
        assert_eq!(sum(Some(59_000)), [0, COUNT, COUNT]);
        assert_eq!(sum(Some(60_000)), [COUNT; 3]);
    }

    #[test]
    fn a_clock_that_steps_back_goes_on_from_the_last_look() {
        static TIME: AtomicU64 = AtomicU64::new(0);
        let mut unit = Unit::new(|| Timestamp(TIME.load(Ordering::Relaxed)));
        for (clock, present) in [(5, 5), (3, 5), (9, 9), (1, 9)] {
            TIME.store(clock, Ordering::Relaxed);
            assert_eq!(unit.cohorts.present(), Timestamp(present));
        }
    }

    #[test]
    fn a_clock_set_back_by_a_year_brings_nobody_back() {
        let mut unit = Unit::new(|| Timestamp(NOW.0 - 365 * 24 * 3_600 * 1_000));
        unit.happens("ben", EventKind::Objected, 1);
        assert_eq!(unit.sum(), [COUNT, 0, COUNT]);
    }

    #[test]
    fn c3_objector_is_never_scored() {
        let clock = || Timestamp(NOW.0 + 10);
        let mut unit = Unit::reading(|own| Wanted::scoring(own, "churn.score"), clock);
        unit.happens("ada", EventKind::Objected, 1);
        let brief = Brief {
            gate: Gate::Score,
            purpose: "churn.score".to_owned(),
            columns: vec!["tenure".to_owned()],
            figures: Figures::unspent(10_000),
            reviewer: None,
        };
        let cohort = unit.cohorts.of_scores(&brief).unwrap();
        let scored = [0, 1, 2].map(|row| cohort.includes(row));
        assert_eq!(scored, [false, true, true]);
        let training = Brief {
            purpose: "churn.train".to_owned(),
            ..brief
        };
        let refused = unit.cohorts.of_scores(&training).unwrap_err();
        assert_eq!(
            refused,
            RefusalCode::Law,
            "a purpose that trains scores nobody"
        );
    }

    /// What erasure leaves in the ledger ([`crate::shell::consent`]) keeps out whoever is in the table again.
    #[test]
    fn an_erased_person_who_is_in_the_table_again_is_in_no_sum() {
        let mut unit = Unit::new(|| Timestamp(NOW.0 + 10));
        unit.happens("ben", EventKind::Invalidated, 1);
        unit.happens("ben", EventKind::Objected, 1);
        let kept_out = 900 * 24 * 3_600 * 1_000;
        unit.is_told("ben", EventKind::ObjectionWithdrawn, (kept_out, 1));
        unit.happens("ben", EventKind::Given, 2);
        assert_eq!(unit.sum(), [COUNT, 0, COUNT]);
    }

    #[test]
    fn what_was_read_for_one_purpose_serves_no_other() {
        let mut unit = Unit::reading(|own| Wanted::scoring(own, "churn.score"), || NOW);
        let brief = Brief {
            gate: Gate::Train,
            purpose: "churn.train".to_owned(),
            columns: vec!["tenure".to_owned()],
            figures: Figures::unspent(10_000),
            reviewer: None,
        };
        let refused = unit.cohorts.of_training(&brief, AttemptId::default());
        assert_eq!(refused.unwrap_err(), RefusalCode::Law);
        unit.cohorts.intake = None;
        let refused = unit.cohorts.of_training(&brief, AttemptId::default());
        assert_eq!(refused.unwrap_err(), RefusalCode::Law, "read for nothing");
    }
}
