//! How long models are used, as the coordinator says: kept beside the usage ledger, and told to erasures that wait for them.
//!
//! The signed file of a model holds its date, so that a date only ever comes nearer, and what was ended stays ended.

use std::collections::BTreeMap;
use std::path::Path;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::model::{Fate, Life};
use aquifer_shared::protocol::codec::{CodecError, decode, encode};
use aquifer_shared::protocol::wire::ModelLife;
use aquifer_shared::shell::keys::Identity;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, Row as _};

use super::certificate::{certificate, packs_before};
use crate::core::ledger::ENTRY_BYTES_MAX;
use crate::core::rights::{Case, Stage, Step};
use crate::shell::at_rest;
use crate::shell::usage::{USAGE_FILE, UsageFault, UsageLedger, changed};

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

fn renew_with(directory: &Path, usage: &mut UsageLedger, now: Timestamp) -> anyhow::Result<usize> {
    if usage.waiting()?.is_empty() {
        return Ok(0);
    }
    let signer = at_rest::identity(directory)?.into_identity();
    usage.renew_all(now, &signer)
}

impl UsageLedger {
    /// Keeps what is said of models.
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
            for own in said {
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
        written.map_err(|source| UsageFault::Database {
            what: "write",
            path: self.path.clone(),
            source,
        })
    }

    /// What is known of models.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn lives(&mut self) -> Result<Lives, UsageFault> {
        let rows = sqlx::query("SELECT bytes FROM models").fetch_all(&mut self.connection);
        let rows = self.runtime.block_on(rows);
        let rows = rows.map_err(|source| UsageFault::Database {
            what: "read",
            path: self.path.clone(),
            source,
        })?;
        let read: Result<Lives, CodecError> = rows.iter().map(life_of).collect();
        read.map_err(|_| self.none("a model"))
    }

    /// Tells an erasure what is known of its models at this time.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn tell_lives(&mut self, case: &mut Case, at: i64) -> anyhow::Result<()> {
        let lives = self.lives()?;
        let now = Timestamp(u64::try_from(at).unwrap_or(0));
        let studies: Vec<Hash32> = case.assessed.iter().map(|own| own.run.study).collect();
        for own in studies.iter().filter_map(|study| lives.get(study)) {
            case.take(at, learnt(own, now))?;
        }
        Ok(())
    }

    /// Makes a certificate of an erasure as it is, and writes both down. Who it is about is not needed any more.
    ///
    /// # Errors
    ///
    /// The file cannot be used.
    pub(super) fn issue(
        &mut self,
        case: &mut Case,
        at: i64,
        signer: &Identity,
    ) -> anyhow::Result<()> {
        let lives = self.lives()?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let packs = packs_before(case, directory)?;
        let (digest, text) = certificate(case, at, (signer, &lives, &packs[..]));
        case.take(at, Step::Certify(digest))?;
        self.write_case(case, None, Some((&digest, &text)))?;
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
            renewed += usize::from(self.renew_case(case, at, signer)?);
        }
        Ok(renewed)
    }

    /// Whether the certificate was issued again. An erasure that nothing is due of any more is closed.
    fn renew_case(&mut self, before: Case, at: i64, signer: &Identity) -> anyhow::Result<bool> {
        let at = before.reached.last().map_or(at, |(_, last)| at.max(*last));
        let mut case = before.clone();
        self.tell_lives(&mut case, at)?;
        let outdated = case.outdates(&before);
        if outdated {
            self.issue(&mut case, at, signer)?;
        }
        if case.due(at).is_none() {
            case.take(at, Step::Close)?;
        }
        if case != before {
            self.write_case(&case, None, None)?;
        }
        Ok(outdated)
    }
}

fn learnt(own: &ModelLife, now: Timestamp) -> Step {
    let at = |moment: Timestamp| i64::try_from(moment.0).unwrap_or(i64::MAX);
    Step::Learn {
        study: Hash32(own.study.0),
        retire_by: at(own.life.retire_by),
        ended: own.life.ended(now).map(at),
    }
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
