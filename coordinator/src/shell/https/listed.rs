//! What may be listed: published tables, shares, units, models, releases. None of it costs anything, or asks a unit.

use std::collections::HashMap;
use std::sync::Arc;

use aquifer_shared::base::ids::{Hash32, Role, StudyHash};
use aquifer_shared::base::limits::HTTPS_RELEASES_MAX;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::sum::StudyTerms;
use aquifer_shared::protocol::ask::{ModelEntry, Request, Response};
use aquifer_shared::protocol::codec::decode;
use aquifer_shared::protocol::wire::{Message as _, Offer};
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use tokio::sync::oneshot;
use utoipa::IntoParams;

use super::Shared;
use super::ask::{ask_hub, stopping, unexpected};
use super::gate::Asker;
use super::problem::{Refusals, json, text};
use crate::core::asking::{question_of, release};
use crate::core::http::{
    BudgetBody, CatalogueBody, ModelBody, ModelsBody, Problem, ReleaseBody, ReleaseDetail,
    ReleasesBody, ShareBody, StandingBody, UnitBody, UnitsBody,
};
use crate::core::promise::promise;
use crate::shell::front::Command;
use crate::shell::put::Unit;
use crate::shell::requests::ACCOUNTANT;
use crate::shell::store::{Store, StoreFault, StoredAnswer};
use crate::shell::understanding::share_of;

type Replied = Result<axum::http::Response<Body>, Problem>;

/// Tables that may be asked about, with bounds and levels
#[utoipa::path(
    get,
    path = "/v1/catalogue",
    tag = "questions",
    responses((status = 200, description = "open standing studies", body = CatalogueBody), Refusals)
)]
pub(super) async fn catalogue(State(shared): State<Arc<Shared>>, _asker: Asker) -> Replied {
    let open = shared.front.open().await;
    let open = open.iter();
    let standing = open.filter_map(|open| StandingBody::of(&open.terms, &open.contract));
    Ok(json(&CatalogueBody {
        standing: standing.collect(),
    }))
}

/// What is left of your shares
#[utoipa::path(
    get,
    path = "/v1/budget",
    tag = "questions",
    responses((status = 200, description = "one share for each open standing study", body = BudgetBody), Refusals)
)]
pub(super) async fn budget(State(shared): State<Arc<Shared>>, asker: Asker) -> Replied {
    let mut shares = Vec::new();
    for open in shared.front.open().await.iter() {
        let share = share_of(
            &shared.front.store,
            &asker.party,
            &open.terms,
            open.submitted,
        )
        .await;
        shares.extend(ShareBody::of(&open.terms, &share.map_err(broken)?));
    }
    Ok(json(&BudgetBody { shares }))
}

/// The units, and which state of their tables they serve
#[utoipa::path(
    get,
    path = "/v1/nodes",
    tag = "questions",
    responses((status = 200, description = "all units that have joined", body = UnitsBody), Refusals)
)]
pub(super) async fn nodes(State(shared): State<Arc<Shared>>, _asker: Asker) -> Replied {
    let (answer, units) = oneshot::channel();
    let sent = shared.front.hub.send(Command::Units(answer)).await;
    sent.map_err(|_| stopping())?;
    let unit = |unit: Unit| UnitBody {
        name: unit.name.to_string(),
        connected: unit.connected,
        data_version: unit.data_version.map(String::from),
    };
    let units = units.await.map_err(|_| stopping())?;
    Ok(json(&UnitsBody {
        units: units.into_iter().map(unit).collect(),
    }))
}

/// Released models
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "models",
    responses((status = 200, description = "all of them", body = ModelsBody), Refusals)
)]
pub(super) async fn models(State(shared): State<Arc<Shared>>, asker: Asker) -> Replied {
    match ask_hub(&shared, &asker.party, Request::ModelList).await? {
        Response::Models(models) => {
            let stored = shared.front.store.models().await.map_err(broken)?;
            let now = shared.front.law.present(shared.front.platform.now());
            let released = models.iter().filter(|entry| entry.published);
            let body = |entry: &ModelEntry| {
                let own = stored.iter().find(|own| own.study == entry.study)?;
                Some(ModelBody::of(entry, own.life()?.1, now))
            };
            Ok(json(&ModelsBody {
                models: released.filter_map(body).collect(),
            }))
        }
        other => Err(unexpected(other)),
    }
}

/// The signed file of a released model, as `aquifer model export` writes it
#[utoipa::path(
    get,
    path = "/v1/models/{name}",
    tag = "models",
    params(("name" = String, Path, description = "NAME (the newest version) or NAME@VERSION", example = "churn")),
    responses((status = 200, description = "the file", body = Object), Refusals)
)]
pub(super) async fn model(
    State(shared): State<Arc<Shared>>,
    asker: Asker,
    name: Result<Path<String>, PathRejection>,
) -> Replied {
    let Path(name) = name.map_err(|no| Problem::of(400, "path", no.body_text(), ""))?;
    let file = model_file(&shared, &asker, Request::ModelFetch(name)).await?;
    Ok(text(file, "application/json"))
}

/// The file of a released model: over HTTPS nobody has one that waits for a decision.
///
/// # Errors
///
/// There is none, or the coordinator cannot answer.
pub(super) async fn model_file(
    shared: &Shared,
    asker: &Asker,
    wanted: Request,
) -> Result<String, Problem> {
    let mut party = asker.party.clone();
    party.role = Role::Analyst;
    match ask_hub(shared, &party, wanted).await? {
        Response::Model(file) => Ok(file),
        other => Err(unexpected(other)),
    }
}

/// Which releases are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReleasesWanted {
    /// Those older than this release; the newest where it is left out.
    #[param(pattern = "^[0-9a-f]{64}$")]
    before: Option<String>,
}

/// Answers that were released, the newest first: what they were for and what they cost, not who asked
#[utoipa::path(
    get,
    path = "/v1/releases",
    tag = "questions",
    params(ReleasesWanted),
    responses((status = 200, description = "at most 100 releases", body = ReleasesBody), Refusals)
)]
pub(super) async fn releases(
    State(shared): State<Arc<Shared>>,
    _asker: Asker,
    wanted: Result<Query<ReleasesWanted>, QueryRejection>,
) -> Replied {
    let Query(wanted) = wanted.map_err(|no| Problem::of(400, "query", no.body_text(), ""))?;
    let wrong = |_| {
        Problem::of(
            400,
            "query",
            "before names no release: expected 64 digits",
            "",
        )
    };
    let before = wanted.before.map(|id| id.parse::<StudyHash>());
    let before = before.transpose().map_err(wrong)?;
    let store = &shared.front.store;
    let stored = store.answers_before(before.as_ref(), HTTPS_RELEASES_MAX);
    let stored = stored.await.map_err(broken)?;
    let last = stored.last().filter(|_| stored.len() == HTTPS_RELEASES_MAX);
    let mut shown = Shown::of(store);
    let mut releases = Vec::with_capacity(stored.len());
    for stored in &stored {
        releases.extend(shown.detail(stored).await.map_err(broken)?);
    }
    Ok(json(&ReleasesBody {
        next: last.map(|last| last.study.to_string()),
        releases,
    }))
}

/// One release
#[utoipa::path(
    get,
    path = "/v1/releases/{id}",
    tag = "questions",
    params(("id" = String, Path, description = "its release_id", example = "0000000000000000000000000000000000000000000000000000000000000000")),
    responses((status = 200, description = "what it was for and what it cost", body = ReleaseDetail), Refusals)
)]
pub(super) async fn one_release(
    State(shared): State<Arc<Shared>>,
    _asker: Asker,
    id: Result<Path<String>, PathRejection>,
) -> Replied {
    let absent = || {
        Problem::of(
            404,
            "unknown",
            "there is no such release",
            "GET /v1/releases lists them",
        )
    };
    let id = id.map_err(|_| absent())?.parse::<StudyHash>();
    let id = id.map_err(|_| absent())?;
    let store = &shared.front.store;
    let stored = store.answer_of(&id).await.map_err(broken)?;
    let stored = stored.ok_or_else(absent)?;
    let detail = Shown::of(store).detail(&stored).await.map_err(broken)?;
    Ok(json(&detail.ok_or_else(absent)?))
}

/// Releases as they are shown, with what they are described by: each contract and total is read once.
struct Shown<'a> {
    store: &'a Store,
    contracts: HashMap<Hash32, Option<Contract>>,
    spent: HashMap<StudyHash, MicroRho>,
}

impl<'a> Shown<'a> {
    fn of(store: &'a Store) -> Self {
        Self {
            store,
            contracts: HashMap::new(),
            spent: HashMap::new(),
        }
    }

    /// None where what is stored is no release of a question.
    async fn detail(&mut self, stored: &StoredAnswer) -> Result<Option<ReleaseDetail>, StoreFault> {
        let terms = decode::<StudyTerms>("study terms", &stored.terms, Offer::BYTES_MAX).ok();
        let Some(terms) = terms else { return Ok(None) };
        let id = (stored.study, stored.attempts);
        let line = release(id, &terms, &stored.sum, (true, stored.created), ACCOUNTANT);
        let (Some(line), Some(question)) = (line, question_of(&terms)) else {
            return Ok(None);
        };
        let spent = self.spent(line.standing).await?;
        let contract = self.contract(terms.contract_hash).await?;
        let table = contract.and_then(|contract| contract.published(&question.table));
        let promise = table.and_then(|table| promise(&terms, &line, table, spent, ACCOUNTANT));
        let cells = stored.sum.cells.len();
        let body = ReleaseBody::from(&line);
        Ok(promise.and_then(|promise| ReleaseDetail::of(&terms, body, cells, promise)))
    }

    async fn contract(&mut self, hash: Hash32) -> Result<Option<&Contract>, StoreFault> {
        if !self.contracts.contains_key(&hash) {
            let text = self.store.contract(&hash).await?;
            let contract = text.and_then(|text| Contract::parse(&text).ok());
            self.contracts.insert(hash, contract);
        }
        Ok(self.contracts.get(&hash).and_then(Option::as_ref))
    }

    /// What all questions under a standing study have cost.
    async fn spent(&mut self, standing: StudyHash) -> Result<MicroRho, StoreFault> {
        if let Some(spent) = self.spent.get(&standing) {
            return Ok(*spent);
        }
        let everybody = self.store.share_used(None, &standing, Timestamp(0));
        let (_, spent) = everybody.await?;
        self.spent.insert(standing, spent);
        Ok(spent)
    }
}

/// The store failed: the log says why.
pub(super) fn broken(error: StoreFault) -> Problem {
    let error = anyhow::Error::from(error);
    tracing::error!(error = format!("{error:#}"), "a request was not answered");
    let hint = "its operator finds the reason in the log";
    Problem::state("58000", "the coordinator's store does not work", hint)
}
