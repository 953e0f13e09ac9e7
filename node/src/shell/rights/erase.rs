//! `rights erase`: takes an erasure from stage to stage, each written down before the next; run again, it goes on where it ended.

use std::collections::BTreeMap;
use std::path::Path;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::law::Key;
use aquifer_shared::shell::keys::{Identity, random_bytes32};
use aquifer_shared::shell::noise::epsilon;

use super::certificate::packs_before;
use super::pack::{DAY_MS, House};
use crate::core::consent::SubjectRef;
use crate::core::rights::{
    Backup, Case, Deleted, Ground, Inflight, ScopedRun, Stage, Step, Tombstone, worst,
};
use crate::shell::at_rest;
use crate::shell::audit::MadePack;
use crate::shell::consent::show::Counter;
use crate::shell::telling::erase_told;
use crate::shell::usage::{UsageLedger, UsedRun};

/// What the desk says about an erasure.
#[derive(Clone, Debug)]
pub struct Erasure {
    /// Why.
    pub ground: Ground,
    /// Who checked who asks.
    pub verified_by: String,
    /// Backups that may still hold the person.
    pub backups: Vec<Backup>,
    /// For how many days the person is kept out.
    pub keep_out_days: i64,
    /// Where it stops: before anything is deleted, or at its end.
    pub until: Stage,
}

/// What erasing works on.
pub(super) struct Table<'a> {
    pub(super) usage: UsageLedger,
    pub(super) desk: Counter,
    pub(super) signer: &'a Identity,
}

/// Takes the erasure of a person as far as it goes.
///
/// # Errors
///
/// A ledger, node.toml or the identity cannot be used: what was reached is written down, and the same command goes on from there.
///
/// # Privacy
///
/// The id becomes a keyed reference; it is neither kept nor printed.
pub fn erase(directory: &Path, id: &str, asked: &Erasure) -> anyhow::Result<Result<Erased, Why>> {
    let signer = at_rest::identity(directory)?.into_identity();
    let mut table = Table {
        usage: super::usage::open(directory)?,
        desk: Counter::open(directory)?,
        signer: &signer,
    };
    let subject = table.desk.key.subject(id);
    table.erase(subject, asked, |_| Ok(()))
}

/// An erasure, as far as it is.
#[derive(Debug)]
pub struct Erased {
    /// The record.
    pub case: Case,
    /// Its newest certificate.
    pub certificate: Option<String>,
    /// Audit packs that may hold the person, and that people must remove.
    pub packs: Vec<MadePack>,
}

/// Why there is no erasure.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Why {
    /// The person was erased already, and is kept out until then.
    Already(i64),
    /// One was begun on another ground.
    OtherGround(Ground),
}

impl Table<'_> {
    /// As [`erase`]; `written` is called after each stage is on disk.
    pub(super) fn erase(
        &mut self,
        subject: SubjectRef,
        asked: &Erasure,
        mut written: impl FnMut(Stage) -> anyhow::Result<()>,
    ) -> anyhow::Result<Result<Erased, Why>> {
        let at = self.desk.at;
        let mut case = match self.usage.open_case(subject)? {
            Some(case) if case.ground != asked.ground => {
                return Ok(Err(Why::OtherGround(case.ground)));
            }
            Some(case) => case,
            None => {
                if let Some(until) = self.desk.ledger.erased_until(subject, at)? {
                    return Ok(Err(Why::Already(until)));
                }
                let case = Case::received(Hash32(random_bytes32()?), asked.ground, at);
                let own = (None, &case);
                self.usage.write_case(own, Some(subject), None)?;
                written(case.stage)?;
                case
            }
        };
        while case.stage < asked.until && case.stage < Stage::CertificateIssued {
            let before = case.clone();
            if case.stage == Stage::ModelsAssessed {
                self.certify(&before, &mut case)?;
            } else {
                let step = self.next(subject, &case, asked)?;
                case.take(at, step)?;
                let own = (Some(&before), &case);
                self.usage.write_case(own, Some(subject), None)?;
            }
            written(case.stage)?;
        }
        if case.stage == Stage::CertificateIssued && case.due(at).is_none() {
            let before = case.clone();
            case.take(at, Step::Close)?;
            self.usage.write_case((Some(&before), &case), None, None)?;
            written(case.stage)?;
        }
        let newest = case.certificates.last();
        let certificate = newest.map(|digest| self.usage.certificate(digest));
        let directory = self.desk.ledger.directory();
        Ok(Ok(Erased {
            certificate: certificate.transpose()?.flatten(),
            packs: packs_before(&case, &directory)?,
            case,
        }))
    }

    /// Makes a certificate of a case as it is, and writes both down in place of what it was. Who it is about is not needed any more.
    pub(super) fn certify(&mut self, before: &Case, case: &mut Case) -> anyhow::Result<()> {
        let at = self.desk.at;
        self.usage.tell_lives(case, at)?;
        self.usage.issue((before, case), at, self.signer)
    }

    fn next(&mut self, subject: SubjectRef, case: &Case, asked: &Erasure) -> anyhow::Result<Step> {
        let at = self.desk.at;
        Ok(match case.stage {
            Stage::Received => Step::Verify(asked.verified_by.clone()),
            Stage::IdentityVerified => Step::Scope(self.scope(subject)?),
            Stage::Scoped => self.delete(subject, asked)?,
            Stage::NodeDeleted => {
                let directory = self.desk.ledger.directory();
                erase_told(&directory, &mut self.desk.ledger)?;
                let deleted = case.reached.last().map_or(at, |(_, at)| *at);
                Step::Resolve(Inflight::CompletedBefore(deleted))
            }
            Stage::InflightResolved => Step::Schedule(asked.backups.clone()),
            _ => self.assess()?,
        })
    }

    fn scope(&mut self, subject: SubjectRef) -> anyhow::Result<Vec<ScopedRun>> {
        let (runs, _) = self.usage.of_person(subject, self.desk.at)?;
        let names = BTreeMap::new();
        let house = self.house(&names);
        Ok(runs.iter().map(|run| scoped(&house, run)).collect())
    }

    /// Doing it twice does no harm: what is gone is gone, and the mark stands.
    fn delete(&mut self, subject: SubjectRef, asked: &Erasure) -> anyhow::Result<Step> {
        let at = self.desk.at;
        let until = at.saturating_add(asked.keep_out_days.saturating_mul(DAY_MS));
        let known = self.desk.ledger.erased_until(subject, at)?;
        let (erased, until) = match known {
            // They went with the mark, before this was written down.
            Some(until) => (Default::default(), until),
            None => (self.desk.ledger.erase(subject, at, until)?, until),
        };
        let numbers = self.usage.forget_number(subject, until)?;
        let deleted = |store: &str, rows_deleted| Deleted {
            store: store.to_owned(),
            rows_deleted,
        };
        let stores = vec![
            deleted("consent.db: events", erased.events),
            deleted("usage.db: number of the person", numbers),
            deleted("consent.db: receipts", erased.receipts),
            deleted("history: payloads and salts", erased.entries),
        ];
        let key_id: String = self.desk.key.event("key", "id")[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Step::Delete(stores, Tombstone { key_id, until }))
    }

    fn assess(&self) -> anyhow::Result<Step> {
        let names = BTreeMap::new();
        let house = self.house(&names);
        let value = |key| house.value(key, self.desk.at);
        let days = value(Key::ModelAgeAfterErasureMaxDays);
        let days = days.ok_or_else(|| {
            anyhow::anyhow!(
                "no rule pack says model_age_after_erasure_max_days: the policy of the house must"
            )
        })?;
        let days = i64::try_from(days)?;
        Ok(Step::Assess {
            age_max_ms: days.saturating_mul(DAY_MS),
            eps_at_once_micro: value(Key::EpsilonYearWarnMicro).unwrap_or(0),
        })
    }

    pub(super) fn house<'a>(
        &'a self,
        names: &'a BTreeMap<aquifer_shared::base::ids::IdentityKey, String>,
    ) -> House<'a> {
        House {
            book: self.desk.gatekeeper.book(),
            place: self.desk.gatekeeper.people().place,
            names,
            epsilon,
        }
    }
}

fn scoped(house: &House<'_>, run: &UsedRun) -> ScopedRun {
    let rho = worst(&run.facts, run.spent.all, house.units(run));
    let eps = house.epsilon(rho, run.facts.delta);
    ScopedRun {
        study: Hash32(run.run.0),
        name: run.facts.name.to_string(),
        kind: run.facts.kind,
        rho_micro: rho,
        eps_micro: eps.map(|eps| (eps * 1e6).ceil() as u64),
        delta_pico: (run.facts.delta.get() * 1e12).ceil() as u64,
        released_at: match run.published {
            Some(true) => run.ended_at,
            _ => None,
        },
        unreleased: run.published == Some(false),
    }
}
