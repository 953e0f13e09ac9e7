//! Questions and their prices.

use std::sync::Arc;
use std::time::Duration;

use aquifer_shared::base::ids::Role;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::protocol::ask::{Answer, Request, Response};
use aquifer_shared::shell::platform::within;
use axum::body::Body;
use axum::extract::State;
use tokio::sync::mpsc;

use super::body::Told;
use super::gate::Asker;
use super::problem::{Refusals, json};
use super::{ANSWER_TIMEOUT, QUESTION_TIMEOUT, Shared};
use crate::core::http::{AnswerBody, Problem, QuestionBody};
use crate::shell::front::Command;
use crate::shell::put::Put;
use crate::shell::store::Party;

type Replied = Result<axum::http::Response<Body>, Problem>;

/// Ask a question; the answer is private, priced, and paid for by the units' budgets
///
/// The same question again is free. A client that goes away does not stop the question: the charge stands, the answer is kept.
#[utoipa::path(
    post,
    path = "/v1/query",
    tag = "questions",
    request_body = QuestionBody,
    responses((status = 200, description = "the answer", body = AnswerBody), Refusals)
)]
pub(super) async fn query(
    State(shared): State<Arc<Shared>>,
    asker: Asker,
    Told(body): Told<QuestionBody>,
) -> Replied {
    asked(shared, asker, body, "").await
}

/// What a question would cost, and how exact its answer would be; spends nothing and asks no unit
#[utoipa::path(
    post,
    path = "/v1/explain",
    tag = "questions",
    request_body = QuestionBody,
    responses((status = 200, description = "the price", body = AnswerBody), Refusals)
)]
pub(super) async fn explain(
    State(shared): State<Arc<Shared>>,
    asker: Asker,
    Told(body): Told<QuestionBody>,
) -> Replied {
    asked(shared, asker, body, "EXPLAIN ").await
}

async fn asked(shared: Arc<Shared>, asker: Asker, body: QuestionBody, before: &str) -> Replied {
    asker.require(Role::Analyst)?;
    let settings = body.settings()?;
    let put = Put {
        sql: format!("{before}{}", body.sql),
        purpose: body.purpose,
        standing: body.standing,
        urho: body.rho_micro.map(|urho| MicroRho(urho.into())),
        settings,
        parameters: Vec::new(),
    };
    let before = before.chars().count() as u32;
    // In a task of its own: where the client goes away, its place stays taken until the question has ended.
    let waiting = tokio::spawn(async move {
        let response = put_to_hub(&shared, &asker, put).await;
        drop(asker);
        response
    });
    match waiting.await.map_err(|_| stopping())?? {
        Response::Answer(answer) => Ok(json(&AnswerBody::from(&*answer as &Answer))),
        Response::Objection(objection) => Err(Problem::objection(&objection, before)),
        other => Err(unexpected(other)),
    }
}

async fn put_to_hub(shared: &Shared, asker: &Asker, put: Put) -> Result<Response, Problem> {
    let (answers, replies) = mpsc::channel(1);
    let command = Command::Put {
        party: Box::new(asker.party.clone()),
        put: Box::new(put),
        answers,
    };
    reply(shared, command, replies, QUESTION_TIMEOUT).await
}

/// What the hub says to a request of the party, as to one that came over the party's own connection.
///
/// # Errors
///
/// The coordinator stops, or takes too long.
pub(super) async fn ask_hub(
    shared: &Shared,
    party: &Party,
    request: Request,
) -> Result<Response, Problem> {
    let (answers, replies) = mpsc::channel(1);
    let command = Command::Asked {
        party: Box::new(party.clone()),
        request,
        answers,
    };
    reply(shared, command, replies, ANSWER_TIMEOUT).await
}

async fn reply(
    shared: &Shared,
    command: Command,
    mut replies: mpsc::Receiver<Response>,
    wait: Duration,
) -> Result<Response, Problem> {
    let sent = shared.front.hub.send(command).await;
    sent.map_err(|_| stopping())?;
    match within(&*shared.front.platform, wait, replies.recv()).await {
        Some(response) => response.ok_or_else(stopping),
        None => Err(Problem::state("57014", "the answer took too long", LATER)),
    }
}

/// The coordinator stops.
pub(super) fn stopping() -> Problem {
    Problem::state("57P01", "the coordinator stops", LATER)
}

/// An answer that does not belong to the question: a refusal, or a bug.
pub(super) fn unexpected(response: Response) -> Problem {
    match response {
        Response::Refused { code, message } => Problem::refused(&code, message),
        Response::Objection(objection) => Problem::objection(&objection, 0),
        _ => Problem::state("58000", "the coordinator answered something else", ""),
    }
}

const LATER: &str =
    "ask again under the same request id: what was charged stays charged, and an answer is kept";
