//! Problem documents as responses, and what every response says besides.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Response, StatusCode};
use axum::middleware::Next;
use axum::response::IntoResponse;
use hyper::body::Body as _;
use serde::Serialize;
use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as Described, ResponseBuilder};

use crate::core::http::{Problem, STATUSES};

/// What an operation may refuse, for its description.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        let referred = |(status, _): (u16, &str)| {
            let name = Ref::from_response_name(response_name(status));
            (status.to_string(), RefOr::Ref(name))
        };
        STATUSES.into_iter().map(referred).collect()
    }
}

/// What those are: one problem document for each status.
pub(super) fn described() -> impl Iterator<Item = (String, RefOr<Described>)> {
    STATUSES.into_iter().map(|(status, when)| {
        let schema = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new()
            .description(when)
            .content(PROBLEM, content)
            .build();
        (response_name(status), RefOr::T(response))
    })
}

fn response_name(status: u16) -> String {
    format!("Problem{status}")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = typed(&self, PROBLEM);
        *response.status_mut() = status;
        let mut say = |name: HeaderName, value: &'static str| {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        };
        match self.status {
            401 => say(WWW_AUTHENTICATE, "Bearer realm=\"aquifer\""),
            429 | 503 => say(RETRY_AFTER, "10"),
            _ => {}
        }
        response
    }
}

/// A value as JSON.
pub(super) fn json<T: Serialize>(value: &T) -> Response<Body> {
    typed(value, "application/json")
}

fn typed<T: Serialize>(value: &T, kind: &'static str) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => text(bytes, kind),
        Err(error) => {
            tracing::error!(%error, "a response was not written");
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
    }
}

/// A body of this type.
pub(super) fn text(bytes: impl Into<Body>, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(bytes.into());
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Nothing that is said here is kept on the way, or taken for something else. Behind a body that was refused, and perhaps not read, the
/// connection ends: a client that is not told would find it closed under its next request.
pub(super) async fn guarded(request: Request, next: Next) -> Response<Body> {
    let has_body = !request.body().is_end_stream();
    let mut response = next.run(request).await;
    let refused = has_body && response.status().is_client_error();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    if refused {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

const PROBLEM: &str = "application/problem+json";
