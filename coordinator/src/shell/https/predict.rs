//! Predictions of released models. They cost nothing and ask no unit; what was declared about the inputs is noted for auditors.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aquifer_shared::base::ids::Name;
use aquifer_shared::base::limits::{HTTPS_BATCH_BYTES_MAX, HTTPS_BATCH_LINES_MAX};
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::law::Allowed;
use aquifer_shared::domain::law::witness::{Run, Score};
use aquifer_shared::domain::predictor::model::ModelFile;
use aquifer_shared::domain::predictor::prediction::Predictor;
use aquifer_shared::protocol::ask::{Request, Response};
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::OwnedSemaphorePermit;

use super::Shared;
use super::ask::{ask_hub, stopping, unexpected};
use super::body::{kind_of, read};
use super::gate::Asker;
use super::listed::{broken, model_file};
use super::problem::{Refusals, json, text};
use crate::core::http::{LineBody, PredictWanted, PredictionBody, Problem, in_line};
use crate::core::prediction::{InputError, Wanted};
use crate::core::scoring::Ready;
use crate::shell::places::Place;

type BatchPlaces = (Place<Name>, OwnedSemaphorePermit);
type Replied = Result<axum::http::Response<Body>, Problem>;

/// Predict for made-up customers or segments
///
/// One JSON object of feature names and values, or NDJSON with one of them in each line: as many lines come back, in order. A
/// feature that is left out counts as missing. Costs nothing: it is computed from a released model and your own values.
#[utoipa::path(
    post,
    path = "/v1/predict",
    tag = "models",
    params(PredictWanted),
    request_body(content((Object = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "the predictions", content((PredictionBody = "application/json"), (String = "application/x-ndjson"))),
        Refusals
    )
)]
pub(super) async fn predict(
    State(shared): State<Arc<Shared>>,
    asker: Asker,
    wanted: Result<Query<PredictWanted>, QueryRejection>,
    request: axum::extract::Request,
) -> Replied {
    let Query(wanted) = wanted.map_err(|no| Problem::of(400, "query", no.body_text(), ""))?;
    let (declared, _) = wanted.checked()?;
    let kind = kind_of(request.headers(), &["application/json", NDJSON])?;
    let places = places(&shared, &asker)?;
    let bytes = read(request, &shared, HTTPS_BATCH_BYTES_MAX).await?;
    let ready = ready(&shared, &asker, &wanted.model).await?;
    let allowed = may_score(&shared, &ready)?;
    let batch = Batch {
        ready: Arc::new(ready),
        allowed: Arc::new(allowed),
        wanted,
        bytes,
    };
    let is_lines = kind == NDJSON;
    let checking = batch.clone();
    let checked = tokio::task::spawn_blocking(move || match is_lines {
        true => checking.lines().map(|lines| (lines, None)),
        false => checking.one().map(|one| (1, Some(one))),
    });
    let (lines, one) = checked.await.map_err(|_| stopping())??;
    let (card, who) = (batch.ready.file.card(), asker.party.name.as_str());
    let subject = format!(
        "{}@{}: {lines} inputs, {}",
        card.name,
        card.version,
        declared.name()
    );
    let now = shared.front.platform.now();
    let noted = shared.front.store.audit(now, who, "predict", &subject);
    noted.await.map_err(broken)?;
    Ok(match one {
        Some(one) => json(&one),
        None => text(Body::new(Lines::new(batch, (asker, places))), NDJSON),
    })
}

/// A place among the party's own batches, and one among all.
fn places(shared: &Shared, asker: &Asker) -> Result<BatchPlaces, Problem> {
    let own = shared.own_batches.take(&asker.party.name);
    let all = shared.batches.clone().try_acquire_owned().ok();
    own.zip(all).ok_or_else(|| {
        let hint = "try again in a moment";
        Problem::state("53400", "too many predictions are made at a time", hint)
    })
}

/// A released model that is in use, with its contract.
async fn ready(shared: &Shared, asker: &Asker, which: &str) -> Result<Ready, Problem> {
    let wanted = Request::ModelUse(which.to_owned());
    let file = model_file(shared, asker, wanted).await?;
    let file = ModelFile::parse(&file).map_err(|_| damaged())?;
    let wanted = Request::ContractShow(file.card().contract.clone());
    let contract = match ask_hub(shared, &asker.party, wanted).await? {
        Response::Contract(contract) => Contract::parse(&contract).map_err(|_| damaged())?,
        other => return Err(unexpected(other)),
    };
    if contract.hash() != file.model().contract_hash {
        return Err(damaged());
    }
    Ok(Ready {
        predictor: Predictor::of(&file).map_err(|_| damaged())?,
        contract,
        file,
    })
}

/// Some declared purpose of scoring covers the model.
fn may_score(shared: &Shared, ready: &Ready) -> Result<Allowed<Score, Run>, Problem> {
    let now = shared.front.platform.now();
    let decided = shared.front.law.score(&ready.contract, now);
    decided.map_err(|denied| Problem::state("QP009", denied.to_string(), &denied.hint()))
}

fn damaged() -> Problem {
    Problem::state(
        "58000",
        "the model does not fit its contract",
        "tell the coordinator's operator",
    )
}

/// Inputs, and what is to be done with them.
#[derive(Clone)]
struct Batch {
    ready: Arc<Ready>,
    allowed: Arc<Allowed<Score, Run>>,
    wanted: PredictWanted,
    bytes: Bytes,
}

impl Batch {
    /// The prediction for the only input.
    fn one(&self) -> Result<PredictionBody, Problem> {
        PredictionBody::of(&self.ready, &self.allowed, &self.wanted, self.text()?)
    }

    /// How many lines there are: all of them are looked at before the first is answered.
    fn lines(&self) -> Result<usize, Problem> {
        let mut lines = 0;
        for line in self.text()?.lines() {
            lines += 1;
            if lines > HTTPS_BATCH_LINES_MAX {
                let text = format!("more than {HTTPS_BATCH_LINES_MAX} lines");
                return Err(Problem::of(413, "length", text, "send less at a time"));
            }
            let checked = self.ready.predict(line, Wanted::default());
            checked.map_err(|error| in_line(Some(lines as u64), &error))?;
        }
        match lines {
            0 => Err(in_line(
                None,
                &InputError::NotAnObject { line: 1, column: 0 },
            )),
            lines => Ok(lines),
        }
    }

    fn text(&self) -> Result<&str, Problem> {
        let text = str::from_utf8(&self.bytes);
        text.map_err(|_| Problem::of(400, "input", "the body is no UTF-8", ""))
    }
}

/// Predictions for lines that have been checked, made as the client takes them.
struct Lines {
    batch: Batch,
    /// Bytes and lines that are done.
    done: (usize, u64),
    /// Kept until all is sent.
    _places: (Asker, BatchPlaces),
}

impl Lines {
    fn new(batch: Batch, places: (Asker, BatchPlaces)) -> Self {
        Self {
            batch,
            done: (0, 0),
            _places: places,
        }
    }

    /// Some lines; empty after the last.
    fn chunk(&mut self) -> Vec<u8> {
        let mut chunk = Vec::new();
        let rest = self.batch.bytes.get(self.done.0..).unwrap_or_default();
        for line in rest.split_inclusive(|byte| *byte == b'\n') {
            let (bytes, number) = (self.done.0 + line.len(), self.done.1 + 1);
            self.done = (bytes, number);
            let text = str::from_utf8(line).unwrap_or_default();
            let text = text.trim_end_matches(['\r', '\n']);
            let said = LineBody::of(
                (&self.batch.ready, &self.batch.allowed),
                &self.batch.wanted,
                number,
                text,
            );
            if serde_json::to_writer(&mut chunk, &said.ok()).is_ok() {
                chunk.push(b'\n');
            }
            if chunk.len() >= CHUNK_BYTES {
                break;
            }
        }
        chunk
    }
}

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = self.chunk();
        let frame = (!chunk.is_empty()).then(|| Ok(Frame::data(chunk.into())));
        Poll::Ready(frame)
    }
}

const NDJSON: &str = "application/x-ndjson";
/// How much is made before it is sent.
const CHUNK_BYTES: usize = 16 << 10;
