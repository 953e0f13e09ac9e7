//! An import: every row becomes events or a reject with a reason; all of it is written, or nothing.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::limits::CONSENT_EVENTS_MAX;
use aquifer_shared::domain::history::{Json, Kind};
use aquifer_shared::domain::law::Place;
use serde::Serialize;

use super::batch::Written;
use super::ledger::{ConsentLedger, EventKey, Taken};
use super::mapping::{Format, Mapping};
use super::outbox::Told;
use super::record::written;
use super::rows::{Row, each};
use super::time;
use crate::core::consent::{
    AgeSaid, ConsentEvent, Effect, EventKind, NoticeBook, Scope, SubjectKey,
};

/// Why a row, or one value of it, was not taken. Never with the value.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is no row of the format.
    Malformed,
    /// The customer is missing.
    SubjectMissing,
    /// The event's own id is missing.
    EventIdMissing,
    /// The moment is missing or no time.
    TimeMissing,
    /// The moment lies more than a minute ahead.
    Future,
    /// The status is missing.
    StatusMissing,
    /// A consent under a text that is not among the notices of the unit. What ends or blocks is taken under any.
    NoticeUnknown,
    /// The purpose is missing, or the mapping does not know it.
    PurposeUnknown,
    /// The end is no time.
    ValidUntilUnreadable,
    /// The place is none.
    PlaceUnreadable,
    /// The mapping does not know the age.
    AgeUnknown,
    /// It is marked as a test.
    Test,
    /// Another event is known under the same id.
    Contradicts,
    /// A group of purposes can be objected to and withdrawn from, not agreed to.
    GroupGrant,
    /// The person was erased.
    Erased,
}

/// A row that was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Reject {
    /// Line or number of the object, from 1.
    pub row: u64,
    /// Why.
    pub reason: Reason,
}

/// What came of an import.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Imported {
    /// Nothing was written: it was only tried.
    pub dry_run: bool,
    /// Rows or objects.
    pub rows: u64,
    /// Events that are new.
    pub new: u64,
    /// Events that were known.
    pub known: u64,
    /// New events by kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Rejects by reason.
    pub rejects: BTreeMap<Reason, u64>,
    /// The first of them.
    pub examples: Vec<Reject>,
}

/// What an import needs beside the file.
pub(super) struct Desk<'a> {
    pub(super) mapping: &'a Mapping,
    pub(super) key: &'a SubjectKey,
    /// Milliseconds since 1970.
    pub(super) clock: &'a dyn Fn() -> i64,
    pub(super) dry_run: bool,
}

/// Reads an export into the ledger, and calls with every reject.
///
/// # Errors
///
/// The file is not what the mapping says, has a status that the mapping does not know, more events than allowed, or other figures
/// than the source states: nothing was written.
///
/// # Privacy
///
/// Ids of customers and events become keyed and plain digests; neither errors nor rejects say more than where.
pub(super) fn import(
    ledger: &mut ConsentLedger,
    path: &Path,
    desk: &Desk<'_>,
    mut rejected: impl FnMut(Reject) -> anyhow::Result<()>,
    mut progress: impl FnMut(u64, u64),
) -> anyhow::Result<Imported> {
    let notices = ledger.notices()?;
    // A clock that was set back does not make the past younger.
    let now = ledger.latest()?.max((desk.clock)());
    let reader = Reader {
        desk,
        notices: &notices,
        now,
    };
    let mut report = Imported {
        dry_run: desk.dry_run,
        ..Imported::default()
    };
    let (mut parsed, rows) = reader.read(path, &mut report, &mut rejected)?;
    let left_out = report.rejected();
    parsed.sort_unstable_by(Parsed::in_turn);
    let total = parsed.len() as u64;
    let mut parsed = parsed.into_iter();
    let mut last: Option<(u64, EventKind)> = None;
    let mut done = 0;
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    ledger.write::<anyhow::Error>(
        desk.clock,
        |before| {
            if let (Some(before), Some((row, kind))) = (before, last) {
                match before {
                    Taken::New => taken.push(kind),
                    Taken::Known => report.known += 1,
                    Taken::Contradicts => refused.push(Reject {
                        row,
                        reason: Reason::Contradicts,
                    }),
                    Taken::Erased => refused.push(Reject {
                        row,
                        reason: Reason::Erased,
                    }),
                }
                done += 1;
                progress(done, total);
            }
            let Some(next) = parsed.next() else {
                return Ok(None);
            };
            last = Some((next.row, next.event.kind));
            Ok(Some((next.key, next.event)))
        },
        |written| {
            desk.mapping.reconcile(&rows)?;
            Ok((!desk.dry_run).then(|| entry(desk.mapping, written, (rows.rows, left_out))))
        },
    )?;
    for kind in taken {
        report.new += 1;
        *report.kinds.entry(kind.word()).or_default() += 1;
    }
    refused.sort_unstable_by_key(|reject: &Reject| reject.row);
    for reject in refused {
        report.note(reject);
        rejected(reject)?;
    }
    Ok(report)
}

/// What the history is told of an import, each time: figures and one root, however many events are new.
fn entry(mapping: &Mapping, written: &Written, (rows, left_out): (u64, u64)) -> Told {
    let mut payload = written.facts(&mapping.source);
    payload.insert("rejected".to_owned(), Json::from(left_out));
    payload.insert("rows".to_owned(), Json::from(rows));
    Told {
        kind: Kind::ImportBatch,
        subject: None,
        payload: Json::Object(payload),
    }
}

impl Imported {
    fn note(&mut self, reject: Reject) {
        *self.rejects.entry(reject.reason).or_default() += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(reject);
        }
    }

    /// Rejects, all together.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejects.values().sum()
    }
}

/// An event with its place in the file.
struct Parsed {
    row: u64,
    key: EventKey,
    event: ConsentEvent,
}

impl Parsed {
    /// Of several events under one id the first is kept: what ends or blocks before what begins, wherever it stands in the file.
    fn in_turn(&self, other: &Self) -> Ordering {
        let keys = self.key.cmp(&other.key);
        let strictest = || {
            let of = |one: &Self| one.event.kind.precedence();
            of(other).cmp(&of(self))
        };
        let content = || written(&self.event).cmp(&written(&other.event));
        keys.then_with(strictest).then_with(content)
    }
}

/// Figures of a file.
struct Figures {
    rows: u64,
    grants: u64,
    ends: u64,
}

struct Reader<'a> {
    desk: &'a Desk<'a>,
    notices: &'a NoticeBook,
    now: i64,
}

impl Reader<'_> {
    fn read(
        &self,
        path: &Path,
        report: &mut Imported,
        rejected: &mut impl FnMut(Reject) -> anyhow::Result<()>,
    ) -> anyhow::Result<(Vec<Parsed>, Figures)> {
        let mapping = self.desk.mapping;
        let mut parsed: Vec<Parsed> = Vec::new();
        let mut unmapped = BTreeSet::new();
        let needed = mapping.columns();
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        each(path, mapping.format, &needed, |row| {
            report.rows += 1;
            let mut refuse = |reason| {
                let reject = Reject {
                    row: row.number,
                    reason,
                };
                report.note(reject);
                rejected(reject)
            };
            for said in self.said(&row) {
                match said {
                    Err(Fault::Reason(reason)) => refuse(reason)?,
                    Err(Fault::Status) => {
                        unmapped.insert(row.number);
                    }
                    Ok(one) => parsed.push(one),
                }
            }
            ensure!(
                parsed.len() <= CONSENT_EVENTS_MAX,
                "{} has more than {CONSENT_EVENTS_MAX} events: split it",
                path.display()
            );
            Ok(())
        })?;
        if let Some(first) = unmapped.first() {
            bail!(
                "{}, row {first}: a status that [statuses] of the mapping does not know ({} rows in all); nothing was written: \
                 map every word of the source",
                path.display(),
                unmapped.len()
            );
        }
        let of = |wanted: &[Effect]| {
            let fits = |one: &&Parsed| wanted.contains(&one.event.kind.effect());
            parsed.iter().filter(fits).count() as u64
        };
        let figures = Figures {
            rows: report.rows,
            grants: of(&[Effect::Grant]),
            ends: of(&[Effect::End, Effect::Block]),
        };
        Ok((parsed, figures))
    }

    /// What a row says: one event, or one for each purpose of a wide file.
    fn said(&self, row: &Row<'_>) -> Vec<Result<Parsed, Fault>> {
        let mapping = self.desk.mapping;
        if row.is_broken() {
            return vec![Err(Fault::Reason(Reason::Malformed))];
        }
        let test = mapping.test.as_ref().and_then(|column| row.get(column));
        if test.is_some_and(|mark| TRUE.contains(&mark.to_lowercase().as_str())) {
            return vec![Err(Fault::Reason(Reason::Test))];
        }
        if mapping.format != Format::CsvWide {
            let purpose = mapping.purpose.as_ref().and_then(|column| row.get(column));
            let scope = purpose.and_then(|purpose| mapping.purposes.get(&purpose));
            let status = mapping.status.as_ref().and_then(|column| row.get(column));
            return vec![self.event(row, scope, status.as_deref(), None)];
        }
        let columns = mapping.purposes.iter();
        let filled = columns.filter_map(|(column, scope)| Some((column, scope, row.get(column)?)));
        filled
            .map(|(column, scope, status)| {
                self.event(row, Some(scope), Some(&status), Some(column))
            })
            .collect()
    }

    fn event(
        &self,
        row: &Row<'_>,
        scope: Option<&String>,
        status: Option<&str>,
        column: Option<&str>,
    ) -> Result<Parsed, Fault> {
        let mapping = self.desk.mapping;
        let status = status.ok_or(Reason::StatusMissing)?;
        let kind = mapping.statuses.get(status);
        let kind = kind
            .and_then(|word| EventKind::of_word(word))
            .ok_or(Fault::Status)?;
        let scope = scope.and_then(|word| Scope::of_word(word));
        let scope = scope.ok_or(Reason::PurposeUnknown)?;
        let grants = kind.effect() == Effect::Grant;
        if grants && !matches!(scope, Scope::Purpose(_)) {
            return Err(Reason::GroupGrant.into());
        }
        let subject = row.get(&mapping.subject).ok_or(Reason::SubjectMissing)?;
        let at = row.get(&mapping.event_at);
        let event_at = at.and_then(|text| time::parse(&text));
        let event_at = event_at.ok_or(Reason::TimeMissing)?;
        if event_at > self.now + AHEAD_MS_MAX {
            return Err(Reason::Future.into());
        }
        let id = self.id(row, (&subject, event_at), column)?;
        let key = EventKey::of(self.desk.key, &mapping.source, &id);
        let explicit = optional(row, mapping.explicit.as_ref());
        let event = ConsentEvent {
            subject: self.desk.key.subject(&subject),
            scope,
            kind,
            explicit: explicit.is_some_and(|mark| TRUE.contains(&mark.to_lowercase().as_str())),
            notice: self.notice(row, grants)?,
            event_at,
            recorded_at: self.now,
            valid_from: None,
            valid_until: self.valid_until(row)?,
            age: self.age(row)?,
            place: self.place(row)?,
            order: key.order(),
        };
        let row = row.number;
        Ok(Parsed { row, key, event })
    }

    /// By what the source knows the event. Without an id of its own, a status of a person is known by when it was said.
    fn id(
        &self,
        row: &Row<'_>,
        (subject, event_at): (&str, i64),
        column: Option<&str>,
    ) -> Result<String, Reason> {
        let Some(own) = &self.desk.mapping.event_id else {
            let column = column.unwrap_or_default();
            return Ok(format!("{subject}\n{event_at}\n{column}"));
        };
        let id = row.get(own).ok_or(Reason::EventIdMissing)?;
        Ok(match column {
            Some(column) => format!("{id}\n{column}"),
            None => id,
        })
    }

    fn valid_until(&self, row: &Row<'_>) -> Result<Option<i64>, Reason> {
        let text = optional(row, self.desk.mapping.valid_until.as_ref());
        let read = |text: String| time::parse(&text).ok_or(Reason::ValidUntilUnreadable);
        text.map(read).transpose()
    }

    fn place(&self, row: &Row<'_>) -> Result<Option<Place>, Reason> {
        let text = optional(row, self.desk.mapping.place.as_ref());
        let read = |text: String| text.parse().map_err(|_| Reason::PlaceUnreadable);
        text.map(read).transpose()
    }

    fn age(&self, row: &Row<'_>) -> Result<AgeSaid, Reason> {
        let mapping = self.desk.mapping;
        let Some(text) = optional(row, mapping.age.as_ref()) else {
            return Ok(AgeSaid::Unsaid);
        };
        let said = mapping.ages.get(&text);
        let said = said.and_then(|word| AgeSaid::of_word(word));
        said.ok_or(Reason::AgeUnknown)
    }

    /// Under which text a consent was given. What ends or blocks counts whatever was shown.
    fn notice(&self, row: &Row<'_>, grants: bool) -> Result<Option<u16>, Reason> {
        let Some(column) = self.desk.mapping.notice.as_ref().filter(|_| grants) else {
            return Ok(None);
        };
        let hash = row
            .get(column)
            .and_then(|shown| shown.parse::<Hash32>().ok());
        let number = hash.and_then(|hash| self.notices.number(&hash));
        number.map(Some).ok_or(Reason::NoticeUnknown)
    }
}

fn optional(row: &Row<'_>, column: Option<&String>) -> Option<String> {
    column.and_then(|column| row.get(column))
}

/// Why a row says nothing.
enum Fault {
    Reason(Reason),
    /// A word that the mapping does not know: the import ends.
    Status,
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

impl Mapping {
    /// Columns that a CSV file must have.
    fn columns(&self) -> Vec<String> {
        let named = [
            &self.event_id,
            &self.purpose,
            &self.status,
            &self.notice,
            &self.explicit,
        ];
        let more = [&self.valid_until, &self.age, &self.place, &self.test];
        let named = named.into_iter().chain(more).flatten().cloned();
        let wide = match self.format {
            Format::CsvWide => self.purposes.keys().cloned().collect(),
            _ => Vec::new(),
        };
        [self.subject.clone(), self.event_at.clone()]
            .into_iter()
            .chain(named)
            .chain(wide)
            .collect()
    }

    /// Holds the figures of the source against those of the file.
    fn reconcile(&self, found: &Figures) -> anyhow::Result<()> {
        let totals = [
            ("rows", self.totals.rows, found.rows),
            ("grants", self.totals.grants, found.grants),
            ("ends", self.totals.ends, found.ends),
        ];
        for (what, stated, found) in totals {
            if let Some(stated) = stated
                && stated != found
            {
                let error = format!(
                    "the source states {stated} {what}, the file has {found}: nothing was written"
                );
                return Err(anyhow::anyhow!(error)).context("the figures do not agree");
            }
        }
        Ok(())
    }
}

/// How far ahead of the clock an event may lie.
const AHEAD_MS_MAX: i64 = 60_000;
/// Rejects that a report shows.
const EXAMPLES_MAX: usize = 10;
/// Marks for yes.
const TRUE: [&str; 4] = ["true", "1", "yes", "y"];
