//! From the released sums of a finished study to a stored, signed model.
//!
//! Post-processing of releases: spends nothing, and gives the same model whenever it is repeated.

use anyhow::Context as _;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::limits::MODEL_AGE_DAYS;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::law::Allowed;
use aquifer_shared::domain::law::Key;
use aquifer_shared::domain::law::witness::{Release, Run};
use aquifer_shared::domain::predictor::evaluation::Reading;
use aquifer_shared::domain::predictor::gate::{self, Rival, Verdict};
use aquifer_shared::domain::predictor::learner::Fitted;
use aquifer_shared::domain::predictor::model::{Fate, Finished, ModelFile, SumRecord, last_use};
use aquifer_shared::domain::predictor::stop::Stop;
use aquifer_shared::domain::sum::Plan;
use aquifer_shared::protocol::ask::ModelEntry;
use aquifer_shared::shell::keys::Identity;

use super::lawful::Law;
use super::live::Live;
use super::requests::ACCOUNTANT;
use super::store::{Store, StoredAnswer, StoredModel};
use crate::core::asking::{answer_key, question_of};
use crate::core::event::{Abort, Ending};
use crate::core::expand::shapes;
use crate::core::learning::{evaluated, learn};

/// Makes, signs and stores the model of a study whose sums are all released; a study has at most one. Without a decision that allows
/// the release it is held. With the model as it is stored, where it is new.
///
/// # Errors
///
/// A store that fails: nothing is published, and the same may be tried again.
pub async fn conclude(
    live: &Live,
    store: &Store,
    release: &Identity,
    law: &Law,
    now: Timestamp,
) -> anyhow::Result<(Ending, Option<StoredModel>)> {
    if let Some(made) = store.model_of(&live.hash).await? {
        return Ok((ending(made.published, "see the model's card"), None));
    }
    let learnt = match read(live) {
        Ok(Some(learnt)) => learnt,
        Ok(None) => return Ok((Ending::Published, None)),
        Err(stop) => return Ok((stopped(stop.code(), &stop.to_string()), None)),
    };
    let rival = rival(live, store).await?;
    let gain = live.terms.expected_gain_ppm;
    let mut verdict = gate::decide(live.terms.gate, &learnt.reading, rival, gain);
    if !learnt.consistent {
        verdict = verdict.inconsistent();
    }
    let (verdict, allowed) = lawful(law, live, verdict, now);
    let sums = sum_records(live);
    let version = store.next_version(&live.terms.name).await?;
    let made = ModelFile::of(&Finished {
        study: live.hash,
        terms: &live.terms,
        contract: &live.contract,
        fitted: &learnt.fitted,
        reading: &learnt.reading,
        verdict: &verdict,
        sums: &sums,
        epsilon: ACCOUNTANT.epsilon,
        version,
        created: now,
        retire_by: Some(retire_by(law, now)),
    });
    // Sums that no honest members send can give figures that no card holds: that ends the study, a store that fails does not.
    let file = match made {
        Ok(file) => file,
        Err(error) => return Ok((stopped("model", &error.to_string()), None)),
    };
    let signature = release.sign(&file.signing_digest());
    let signature = signature
        .try_into()
        .ok()
        .context("an Ed25519 signature has 64 bytes")?;
    let stored = StoredModel {
        name: live.terms.name.clone(),
        version,
        study: live.hash,
        published: false,
        file: file.signed(signature).to_json(),
        created: now,
        fate: Fate::InUse,
        fate_since: Timestamp(0),
    };
    let kept = store.add_model(&stored, allowed).await?;
    let reason = verdict.reason.as_deref();
    let ended = ending(kept.published, reason.unwrap_or("the gate did not say why"));
    Ok((ended, Some(kept)))
}

/// The released sum of a question, with everything that its reading needs; none for other plans.
#[must_use]
pub fn answer(live: &Live, now: Timestamp) -> Option<StoredAnswer> {
    let Plan::Question { data, .. } = &live.terms.plan else {
        return None;
    };
    let question = question_of(&live.terms)?;
    let attempts = live.machine.rounds().iter();
    Some(StoredAnswer {
        study: live.hash,
        key: answer_key(&live.terms.template(), &question, data),
        urho: live.terms.urho,
        terms: live.offer().terms,
        sum: live.machine.released().first()?.clone(),
        attempts: attempts.map(|round| round.attempts).sum(),
        created: now,
    })
}

/// A stored model as a line of the list; none where the file is not one.
#[must_use]
pub fn entry(stored: &StoredModel) -> Option<ModelEntry> {
    let file = ModelFile::parse(&stored.file).ok()?;
    Some(ModelEntry {
        name: stored.name.clone(),
        version: stored.version,
        study: stored.study,
        published: stored.published,
        model_hash: Hash32(file.model_hash().0),
        epsilon: file.privacy().epsilon(),
        delta: file.privacy().delta(),
        auc: file.card().quality.as_ref().map(|quality| quality.auc),
        created: stored.created,
        warnings: file.card().warnings.clone(),
    })
}

/// The last moment of a model that is made now. One that waits for a person has the same date: what it may have learned grows no younger.
fn retire_by(law: &Law, now: Timestamp) -> Timestamp {
    let days = law.limit(Key::ModelAgeAfterErasureMaxDays, now);
    last_use(now, days.unwrap_or(MODEL_AGE_DAYS))
}

/// The decision that lets a candidate out, if it is to go. What the rules object to a person can put right, and release it then.
fn lawful(
    law: &Law,
    live: &Live,
    verdict: Verdict,
    now: Timestamp,
) -> (Verdict, Option<Allowed<Release, Run>>) {
    match law.release(&live.terms, &live.contract, None, now) {
        Ok(allowed) => {
            let allowed = verdict.publish.then_some(allowed);
            (verdict, allowed)
        }
        Err(denied) => (verdict.held(format!("law: {denied}")), None),
    }
}

struct Learnt {
    fitted: Fitted,
    reading: Reading,
    consistent: bool,
}

/// What the released sums say; none for plans without a model.
fn read(live: &Live) -> Result<Option<Learnt>, Stop> {
    let released = live.machine.released();
    let Some(learner) = learn(&live.terms, &shapes(&live.contract), released)? else {
        return Ok(None);
    };
    let fitted = learner.finish()?;
    let Some(reading) = evaluated(&live.terms, released, &fitted)? else {
        return Ok(None);
    };
    Ok(Some(Learnt {
        fitted,
        reading,
        consistent: learner.consistent(),
    }))
}

/// What the candidate has to beat: the last published version with figures, else the base rate.
async fn rival(live: &Live, store: &Store) -> anyhow::Result<Rival> {
    let models = store.models().await?;
    let own = models
        .iter()
        .filter(|model| model.published && model.name == live.terms.name);
    let last = own
        .max_by_key(|model| model.version)
        .and_then(|model| ModelFile::parse(&model.file).ok());
    let quality = last.and_then(|file| file.card().quality.clone());
    Ok(quality.map_or(Rival::BaseRate, |quality| Rival::Previous {
        log_loss: quality.log_loss,
        deviation: quality.log_loss_sd,
    }))
}

/// The released sums as the statement covers them.
fn sum_records(live: &Live) -> Vec<SumRecord<'_>> {
    let rounds = live.machine.rounds();
    let attempts = |round: u32| {
        rounds
            .iter()
            .find(|one| one.round == round)
            .map_or(1, |one| one.attempts)
    };
    let released = live.machine.released().iter();
    released
        .map(|sum| SumRecord {
            attempts: attempts(sum.round),
            updates: sum.updates,
            cells: &sum.cells,
        })
        .collect()
}

fn stopped(code: &str, reason: &str) -> Ending {
    Ending::Aborted(Abort::Stopped {
        code: code.to_owned(),
        reason: reason.to_owned(),
    })
}

fn ending(published: bool, reason: &str) -> Ending {
    match published {
        true => Ending::Published,
        false => Ending::Held(reason.to_owned()),
    }
}
