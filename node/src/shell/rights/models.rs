//! How long models are used, as the coordinator says: kept beside the usage ledger, and told to erasures that wait for them.
//!
//! The signed file of a model holds its date, so that a date only ever comes nearer, and what was ended stays ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::model::{Fate, Life, Succession};
use aquifer_shared::protocol::codec::{CodecError, decode, encode};
use aquifer_shared::protocol::wire::ModelLife;
use aquifer_shared::shell::keys::Identity;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _};

use super::certificate::{certificate, packs_before};
use crate::core::ledger::ENTRY_BYTES_MAX;
use crate::core::rights::{Case, Kind, Learnt, Stage, Step};
use crate::shell::at_rest;
use crate::shell::usage::{USAGE_FILE, UsageFault, UsageLedger, changed, fault};

/// Models by the hash of their study.
pub(super) type Lives = BTreeMap<Hash32, ModelLife>;

/// Keeps what the coordinator said, and issues certificates again that it outdates; how many. Blocks.
///
/// # Errors
///
/// The usage ledger or the identity cannot be used.
pub fn learn(directory: &Path, said: &[ModelLife], now: Timestamp) -> anyhow::Result<usize> {
    let mut usage = UsageLedger::open(directory)?;
    usage.keep_lives(said)?;
    renew_with(directory, &mut usage, now)
}

/// Issues certificates again whose last model is out of use by now; how many. Blocks.
///
/// # Errors
///
/// The usage ledger or the identity cannot be used.
pub fn renew(directory: &Path, now: Timestamp) -> anyhow::Result<usize> {
    if !directory.join(USAGE_FILE).exists() {
        return Ok(0);
    }
    renew_with(directory, &mut UsageLedger::open(directory)?, now)
}

pub(super) fn renew_with(
    directory: &Path,
    usage: &mut UsageLedger,
    now: Timestamp,
) -> anyhow::Result<usize> {
    if usage.waiting()?.is_empty() {
        return Ok(0);
    }
    let signer = at_rest::identity(directory)?.into_identity();
    usage.renew_all(now, &signer)
}

impl UsageLedger {
    /// Keeps what is said of models that persons of this unit may be in; of others it is nothing that anybody here is told.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(super) fn keep_lives(&mut self, said: &[ModelLife]) -> Result<(), UsageFault> {
        let connection = &mut self.connection;
        let written = self.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            // Read in the transaction that writes: somebody else may learn of models at the same time.
            let rows = sqlx::query("SELECT bytes FROM models");
            let rows = rows.fetch_all(&mut *transaction).await?;
            let known: Result<Lives, CodecError> = rows.iter().map(life_of).collect();
            let known = known.map_err(|fault| sqlx::Error::Decode(Box::new(fault)))?;
            let own_studies = trained(&mut transaction).await?;
            for study in known.keys().filter(|study| !own_studies.contains(study)) {
                sqlx::query("DELETE FROM models WHERE study = $1")
                    .bind(study.0.to_vec())
                    .execute(&mut *transaction)
                    .await?;
            }
            for own in said
                .iter()
                .filter(|own| own_studies.contains(&Hash32(own.study.0)))
            {
                let kept = merged(known.get(&Hash32(own.study.0)), own);
                sqlx::query("INSERT OR REPLACE INTO models (study, bytes) VALUES ($1, $2)")
                    .bind(own.study.0.to_vec())
                    .bind(encode(&kept))
                    .execute(&mut *transaction)
                    .await?;
            }
            changed(&mut transaction).await?;
            transaction.commit().await
        });
        written.map_err(|source| fault(&self.path, "write", source))
    }

    /// What is known of models.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn lives(&mut self) -> Result<Lives, UsageFault> {
        let rows = sqlx::query("SELECT bytes FROM models").fetch_all(&mut self.connection);
        let rows = self.runtime.block_on(rows);
        let rows = rows.map_err(|source| fault(&self.path, "read", source))?;
        let read: Result<Lives, CodecError> = rows.iter().map(life_of).collect();
        read.map_err(|_| self.none("a model"))
    }

    /// Tells an erasure what is known of its models at this time.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn tell_lives(&mut self, case: &mut Case, at: i64) -> anyhow::Result<()> {
        let (lives, plans) = (self.lives()?, self.plans()?);
        let now = Timestamp(u64::try_from(at).unwrap_or(0));
        let models = case.assessed.iter();
        let models = models.filter(|own| own.run.kind == Kind::Train);
        let studies: Vec<Hash32> = models.map(|own| own.run.study).collect();
        for own in studies.iter().filter_map(|study| lives.get(study)) {
            let planned = plans.get(&Hash32(own.study.0)).copied();
            case.take(at, learnt(own, planned.unwrap_or_default(), now))?;
        }
        Ok(())
    }

    /// Makes a certificate of an erasure as it is, and writes both down in place of what it was. Who it is about is not needed any more.
    ///
    /// # Errors
    ///
    /// The file cannot be used, or somebody else has written the erasure.
    pub(super) fn issue(
        &mut self,
        (before, case): (&Case, &mut Case),
        at: i64,
        signer: &Identity,
    ) -> anyhow::Result<()> {
        let (lives, plans) = (self.lives()?, self.plans()?);
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let packs = packs_before(case, directory)?;
        let told = (signer, (&lives, &plans), &packs[..]);
        let (digest, text) = certificate(case, at, told);
        case.take(at, Step::Certify(digest))?;
        self.write_case((Some(before), case), None, Some((&digest, &text)))?;
        Ok(())
    }

    /// Erasures whose certificate may have to be issued again.
    fn waiting(&mut self) -> Result<Vec<Case>, UsageFault> {
        let waits = |case: &Case| case.stage == Stage::CertificateIssued;
        Ok(self.cases()?.into_iter().filter(waits).collect())
    }

    /// Issues certificates again that are outdated by now; how many.
    ///
    /// # Errors
    ///
    /// The file cannot be used.
    pub(super) fn renew_all(&mut self, now: Timestamp, signer: &Identity) -> anyhow::Result<usize> {
        let at = i64::try_from(now.0).unwrap_or(i64::MAX);
        let mut renewed = 0;
        for case in self.waiting()? {
            let again = self.renew_case(case, at, signer);
            let meanwhile = again
                .as_ref()
                .is_err_and(|fault| matches!(fault.downcast_ref(), Some(UsageFault::Meanwhile)));
            // Whoever wrote it knows all that is known; the next look is at what was written.
            renewed += usize::from(if meanwhile { false } else { again? });
        }
        Ok(renewed)
    }

    /// Whether the certificate was issued again. An erasure that nothing is due of any more is closed.
    pub(super) fn renew_case(
        &mut self,
        mut before: Case,
        at: i64,
        signer: &Identity,
    ) -> anyhow::Result<bool> {
        let at = before.reached.last().map_or(at, |(_, last)| at.max(*last));
        let mut case = before.clone();
        self.tell_lives(&mut case, at)?;
        let outdated = case.outdates(&before);
        if outdated {
            self.issue((&before, &mut case), at, signer)?;
            before = case.clone();
        }
        if case.due(at).is_none() {
            case.take(at, Step::Close)?;
        }
        if case != before {
            self.write_case((Some(&before), &case), None, None)?;
        }
        Ok(outdated)
    }
}

/// Studies that were charged here, and those of erasures, which outlast a budget ledger that was lost.
pub(super) async fn trained(
    connection: &mut SqliteConnection,
) -> Result<BTreeSet<Hash32>, sqlx::Error> {
    let charged = sqlx::query("SELECT DISTINCT run FROM charges");
    let charged = charged.fetch_all(&mut *connection).await?;
    let runs = charged.iter();
    let runs = runs.filter_map(|row| row.get::<&[u8], _>("run").try_into().ok());
    let mut all: BTreeSet<Hash32> = runs.map(Hash32).collect();
    let cases = sqlx::query("SELECT bytes FROM requests");
    for row in &cases.fetch_all(connection).await? {
        let case = decode::<Case>("erasure", row.get("bytes"), ENTRY_BYTES_MAX);
        let case = case.map_err(|fault| sqlx::Error::Decode(Box::new(fault)))?;
        all.extend(case.scope.iter().map(|own| own.study));
    }
    Ok(all)
}

fn learnt(own: &ModelLife, planned: Succession, now: Timestamp) -> Step {
    let at = |moment: Timestamp| i64::try_from(moment.0).unwrap_or(i64::MAX);
    Step::Learn(Learnt {
        study: Hash32(own.study.0),
        retire_by: at(own.life.retire_by),
        ended: own.life.ended(now).map(at),
        replaced: planned.is_under_way(),
    })
}

fn life_of(row: &SqliteRow) -> Result<(Hash32, ModelLife), CodecError> {
    let life = decode::<ModelLife>("model", row.get("bytes"), ENTRY_BYTES_MAX)?;
    Ok((Hash32(life.study.0), life))
}

/// What is kept of what is said now and what was said before.
fn merged(before: Option<&ModelLife>, said: &ModelLife) -> ModelLife {
    let mut kept = said.clone();
    let Some(before) = before.map(|before| before.life) else {
        return kept;
    };
    let later = said.life.retire_by > before.retire_by;
    let alive = before.fate != Fate::InUse && said.life.fate == Fate::InUse;
    if later || alive {
        tracing::warn!(
            model = %said.name, version = said.version,
            "the coordinator says that a model is used longer than it said before: not believed"
        );
    }
    let ended = match before.fate {
        Fate::InUse => said.life,
        Fate::Retired if said.life.fate == Fate::Recalled => Life {
            fate: Fate::Recalled,
            ..before
        },
        Fate::Retired | Fate::Recalled => before,
    };
    kept.life = Life {
        retire_by: said.life.retire_by.min(before.retire_by),
        ..ended
    };
    kept
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::StudyHash;

    use super::*;

    fn said(study: Hash32, retire_by: i64, fate: Fate, since: i64) -> ModelLife {
        ModelLife {
            study: StudyHash(study.0),
            name: "churn".parse().unwrap(),
            version: 2,
            life: Life {
                retire_by: Timestamp(retire_by as u64),
                fate,
                since: Timestamp(since as u64),
            },
        }
    }

    #[track_caller]
    fn check(before: (i64, Fate, i64), now: (i64, Fate, i64), expected: (i64, Fate, i64)) {
        let of = |(by, fate, since)| said(Hash32([1; 32]), by, fate, since);
        assert_eq!(merged(Some(&of(before)), &of(now)), of(expected));
    }

    #[test]
    fn a_date_only_comes_nearer_and_an_end_stays() {
        let used = |by| (by, Fate::InUse, 0);
        check(used(90), used(90), used(90));
        check(used(90), used(100), used(90));
        check(used(90), used(80), used(80));
        check(used(90), (90, Fate::Retired, 20), (90, Fate::Retired, 20));
        check((90, Fate::Retired, 20), used(90), (90, Fate::Retired, 20));
        let recalled = (90, Fate::Recalled, 20);
        check((90, Fate::Retired, 20), (90, Fate::Recalled, 30), recalled);
        check(recalled, (90, Fate::Retired, 10), recalled);
    }
}
