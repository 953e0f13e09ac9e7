//! Public records for the tables of schema `aquifer`, from the store.

use std::collections::HashMap;
use std::sync::Arc;

use aquifer_shared::base::ids::{Name, Role, StudyHash};
use aquifer_shared::base::limits::CATALOGUE_ANSWERS_MAX;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::predictor::model::{ModelFile, OutOfUse};
use aquifer_shared::domain::sum::{StudyTerms, study_hash};
use aquifer_shared::protocol::codec::{decode, encode};
use aquifer_shared::protocol::wire::{Message as _, Offer};

use crate::core::asking::{question_of, release, standing_of};
use crate::core::catalogue::answers::statement_of;
use crate::core::catalogue::{AnswerRecord, ModelRecord, NodeRecord, PurposeRecord, Records};
use crate::core::promise::promise;
use crate::core::shares::window_start;
use crate::core::sql::{self, Settings, Statement};
use crate::shell::clock::now;
use crate::shell::front::Front;
use crate::shell::put::OpenStanding;
use crate::shell::requests::ACCOUNTANT;
use crate::shell::store::{StoreFault, StoredAnswer, StoredModel};

/// What an analyst may see now.
///
/// # Errors
///
/// If the store fails.
pub async fn records(
    front: &Front,
    analyst: &Name,
    open: &Arc<Vec<OpenStanding>>,
) -> Result<Records, StoreFault> {
    let store = &front.store;
    let mut purposes = Vec::with_capacity(open.len());
    let mut spent = HashMap::with_capacity(open.len());
    for standing in open.iter() {
        let window = standing_of(&standing.terms).map(|own| window_start(own.window, now()));
        let window = window.unwrap_or_default().max(standing.submitted);
        let lookups = &front.lookups;
        let paid = lookups.paid(store, Some(analyst), (&standing.hash, window));
        let (_, used) = paid.await?;
        let everybody = lookups.paid(store, None, (&standing.hash, Timestamp(0)));
        spent.insert(standing.hash, everybody.await?.1);
        purposes.push(PurposeRecord {
            hash: standing.hash,
            terms: standing.terms.clone(),
            contract: (*standing.contract).clone(),
            used,
        });
    }
    let connected = front.connected();
    let parties = store.parties().await?.into_iter();
    let nodes = parties.filter(|party| party.role == Role::Node);
    let node = |party: crate::shell::store::Party| NodeRecord {
        connected: connected.contains(&party.name),
        name: party.name,
        revoked: party.revoked,
        last_seen: party.last_seen,
        certificate_until: party.certificate_until,
        software: party.software,
    };
    let answers = store.answers(CATALOGUE_ANSWERS_MAX).await?;
    let models = store.models().await?;
    let at = front.law.present(front.platform.now());
    Ok(Records {
        purposes,
        models: models.iter().filter_map(|own| model(own, at)).collect(),
        answers: answers
            .iter()
            .filter_map(|stored| answer(stored, open, &spent))
            .collect(),
        nodes: nodes.map(node).collect(),
    })
}

/// A model to predict with, and the contract that it was made for.
pub type ToUse = (ModelFile, Option<Contract>);

/// The newest released version of a model that is in use, or the one that is named; else why none may be used, where there are some.
///
/// # Errors
///
/// If the store fails.
pub async fn released(
    front: &Front,
    which: &str,
) -> Result<Result<Option<ToUse>, OutOfUse>, StoreFault> {
    let (name, version) = match which.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (which, None),
    };
    let models = front.store.models().await?.into_iter();
    let named = models.filter(|own| own.published && own.name.as_str() == name);
    let named = named.filter(|own| version.is_none_or(|wanted| own.version.to_string() == wanted));
    let now = front.law.present(front.platform.now());
    let looked = named.filter_map(|own| {
        let (file, life) = own.life()?;
        let allowed = life.allows(&own.named(), now);
        Some((own.version, allowed.map(|()| file)))
    });
    let best = looked.max_by_key(|(version, allowed)| (allowed.is_ok(), *version));
    let file = match best {
        Some((_, Ok(file))) => file,
        Some((_, Err(out))) => return Ok(Err(out)),
        None => return Ok(Ok(None)),
    };
    let text = front.store.contract(&file.model().contract_hash).await?;
    let contract = text.and_then(|text| Contract::parse(&text).ok());
    Ok(Ok(Some((file, contract))))
}

/// Candidates that wait for a person are not for use.
fn model(stored: &StoredModel, now: Timestamp) -> Option<ModelRecord> {
    let (file, life) = stored.published.then(|| stored.life())??;
    Some(ModelRecord {
        file,
        created: stored.created,
        retire_by: life.retire_by,
        state: life.state(now),
    })
}

/// An answer under a standing study that is open to the analyst; `spent` is what all under each have cost.
fn answer(
    stored: &StoredAnswer,
    open: &[OpenStanding],
    spent: &HashMap<StudyHash, MicroRho>,
) -> Option<AnswerRecord> {
    let terms = decode::<StudyTerms>("study terms", &stored.terms, Offer::BYTES_MAX).ok()?;
    let standing = study_hash(&encode(&terms.template()));
    let standing = open.iter().find(|own| own.hash == standing)?;
    let question = question_of(&terms)?;
    let table = standing.contract.published(&question.table)?;
    let made = (true, stored.created);
    let line = release(
        (stored.study, stored.attempts),
        &terms,
        &stored.sum,
        made,
        ACCOUNTANT,
    )?;
    let sql = statement_of(&question, table);
    let settings = Settings {
        purpose: Some(standing.purpose.to_string()),
        ..Settings::default()
    };
    // Only what is the same question today is worth showing.
    let same = |sql: &String| {
        let again = sql::compile(sql, &settings, &standing.contract, Some(&[]));
        matches!(again, Ok(Statement::Query(again)) if again.question == question)
    };
    Some(AnswerRecord {
        promise: promise(
            &terms,
            &line,
            table,
            *spent.get(&standing.hash)?,
            ACCOUNTANT,
        )?,
        line,
        purpose: standing.purpose.clone(),
        standing: standing_of(&terms)?.name.clone(),
        table: table.clone(),
        sql: sql.filter(same),
        question,
    })
}
