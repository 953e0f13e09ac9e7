//! Who may be in a sum: decided for the run, cut from the consent ledger as it is now, joined to the rows of a table.
//!
//! Lives in the computing thread. A cut is taken for each sum; one that is a moment old and saw all events serves the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use aquifer_shared::base::ids::{AttemptId, Name};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::law::Purpose;
use aquifer_shared::domain::law::witness::{GateKind, Query, Score, Train};
use aquifer_shared::protocol::wire::RefusalCode;

use crate::core::analytics::RowTable;
use crate::core::cohort::Cohort;
use crate::core::consent::{ConsentEvent, Cut, NoticeBook, Register, Roll, SubjectKey};
use crate::core::gatekeeper::Gatekeeper;
use crate::core::lawful::Brief;
use crate::core::table::{Bits, Table};
use crate::shell::usage::{News as Used, Usage};

/// Events that came since the last call.
pub type News = Box<dyn FnMut() -> anyhow::Result<Vec<ConsentEvent>> + Send>;

/// What decides who is in a sum.
pub struct Cohorts {
    gatekeeper: Option<Gatekeeper>,
    register: Register,
    notices: NoticeBook,
    news: News,
    clock: fn() -> Timestamp,
    training: Roll,
    published: BTreeMap<String, Served>,
    cuts: BTreeMap<String, Kept>,
    /// Events taken so far.
    events: u64,
    usage: Option<Usage>,
    /// Tables whose persons the usage ledger was told.
    tables: u64,
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

/// What a cut rests on: the second, and the events that were there.
type Stamp = (u64, u64);

impl Cohorts {
    /// For the training table of a unit; published tables are joined when they are asked about.
    ///
    /// # Privacy
    ///
    /// Ids of customers become keyed references here, and are not kept.
    #[must_use]
    pub fn new(
        gatekeeper: Option<Gatekeeper>,
        key: &SubjectKey,
        table: &Table,
        (notices, news): (NoticeBook, News),
        clock: fn() -> Timestamp,
    ) -> Self {
        let customers = (0..table.rows()).map(|row| key.subject(table.customer(row)));
        Self {
            gatekeeper,
            register: Register::default(),
            notices,
            news,
            clock,
            training: Roll::of(customers),
            published: BTreeMap::new(),
            cuts: BTreeMap::new(),
            events: 0,
            usage: None,
            tables: TRAINING,
        }
    }

    /// With a usage ledger, which is told who may be in each sum.
    #[must_use]
    pub fn noting(mut self, usage: Usage) -> Self {
        usage.tell(Used::Table(TRAINING, self.training.persons()));
        self.usage = Some(usage);
        self
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
        let (allowed, _, cut) = self.look::<Train>(brief)?;
        let rows = Arc::new(self.training.eligible(&self.register, &cut));
        self.note(attempt, TRAINING, &rows);
        Ok(Cohort::new(allowed, rows))
    }

    /// Who of the training table may be scored.
    ///
    /// # Errors
    ///
    /// The run is denied, or the consent ledger cannot be read.
    pub fn of_scores(&mut self, brief: &Brief) -> Result<Cohort<Score>, RefusalCode> {
        let (allowed, _, cut) = self.look::<Score>(brief)?;
        let rows = self.training.eligible(&self.register, &cut);
        Ok(Cohort::new(allowed, Arc::new(rows)))
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
        let (allowed, stamp, cut) = self.look::<Query>(brief)?;
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
                rows: Arc::new(table.rows_of(&persons)),
                persons: Arc::new(persons),
            }
        });
        if served.rows.len() >= KEPT_MAX {
            served.rows.clear();
        }
        served.rows.insert(key, masks.clone());
        let number = served.table;
        self.note(attempt, number, &masks.persons);
        Ok(Cohort::new(allowed, masks.rows))
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
    #[allow(clippy::type_complexity)]
    fn look<G: GateKind>(
        &mut self,
        brief: &Brief,
    ) -> Result<
        (
            aquifer_shared::domain::law::Allowed<G, aquifer_shared::domain::law::witness::Run>,
            Stamp,
            Arc<Cut>,
        ),
        RefusalCode,
    > {
        self.hear()?;
        let now = self.present();
        let gatekeeper = self.gatekeeper.clone().ok_or(RefusalCode::Law)?;
        let allowed = brief.allowed::<G>(&gatekeeper, now);
        let allowed = allowed.map_err(|refused| {
            tracing::warn!(purpose = brief.purpose, reasons = %refused, "a sum is denied");
            RefusalCode::Law
        })?;
        let purpose = gatekeeper.purpose(&brief.purpose).ok_or(RefusalCode::Law)?;
        let stamp = (now.0 / 1_000, self.events);
        let cut = self.cut(&gatekeeper, purpose, brief, now, stamp);
        Ok((allowed, stamp, cut))
    }

    /// The clock, and never before what is written down: setting it back brings no consent back.
    fn present(&self) -> Timestamp {
        let latest = u64::try_from(self.register.latest()).unwrap_or(0);
        (self.clock)().max(Timestamp(latest))
    }

    fn hear(&mut self) -> Result<(), RefusalCode> {
        let unfit = |error: anyhow::Error| {
            tracing::error!(
                error = format!("{error:#}"),
                "the consent ledger was not read"
            );
            RefusalCode::Unfit
        };
        let new = (self.news)().map_err(unfit)?;
        self.events += new.len() as u64;
        let taken = match new.len() > MANY {
            true => self.register.take_all(new),
            false => new.iter().try_for_each(|event| self.register.take(event)),
        };
        taken.map_err(|error| unfit(error.into()))
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
/// Masks of one table that are kept.
const KEPT_MAX: usize = 16;
