//! Bodies of requests: of the stated type, up to a limit, and within a time.

use std::sync::Arc;

use aquifer_shared::base::limits::{HTTPS_DROPPED_BYTES_MAX, HTTPS_QUESTION_BYTES_MAX};
use aquifer_shared::shell::platform::within;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use serde::de::DeserializeOwned;

use super::{BODY_TIMEOUT, Shared};
use crate::core::http::Problem;

/// A body that is one JSON value.
pub(super) struct Told<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Told<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Problem> {
        kind_of(request.headers(), &["application/json"])?;
        let bytes = read(request, shared, HTTPS_QUESTION_BYTES_MAX).await?;
        let value = serde_json::from_slice(&bytes);
        let refused = |error: serde_json::Error| {
            let text = format!("the body is not what is expected: {error}");
            Problem::of(400, "body", text, "GET /v1/openapi.json describes it")
        };
        value.map(Self).map_err(refused)
    }
}

/// Which of these types a body has.
///
/// # Errors
///
/// Another one, or a body that is compressed.
pub(super) fn kind_of(
    headers: &HeaderMap,
    known: &[&'static str],
) -> Result<&'static str, Problem> {
    let refused = || {
        let text = format!("expected a body of type {}", known.join(" or "));
        Problem::of(415, "type", text, "")
    };
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Problem::of(
            415,
            "type",
            "expected a body that is not compressed",
            "",
        ));
    }
    let stated = headers.get(CONTENT_TYPE).ok_or_else(refused)?;
    let stated = stated.to_str().map_err(|_| refused())?;
    let (kind, rest) = stated.split_once(';').unwrap_or((stated, ""));
    let rest = rest.trim();
    let plain = rest.is_empty() || rest.eq_ignore_ascii_case("charset=utf-8");
    let found = known
        .iter()
        .find(|known| kind.trim().eq_ignore_ascii_case(known));
    found.filter(|_| plain).copied().ok_or_else(refused)
}

/// Reads a body.
///
/// # Errors
///
/// It is longer than the limit, or does not come to its end in time.
pub(super) async fn read(request: Request, shared: &Shared, most: usize) -> Result<Bytes, Problem> {
    let long = || {
        let text = format!("the body is longer than {most} bytes");
        Problem::of(413, "length", text, "send less at a time")
    };
    let body = request.into_body();
    if body.size_hint().lower() > most as u64 {
        return Err(long());
    }
    let reading = gather(body, most);
    match within(&*shared.front.platform, BODY_TIMEOUT, reading).await {
        Some(Ok(read)) => read.map(Bytes::from).ok_or_else(long),
        Some(Err(_)) => Err(Problem::of(400, "body", "the body broke off", "")),
        None => Err(Problem::of(
            408,
            "body",
            "the body did not come to its end in time",
            "",
        )),
    }
}

/// Reads a body; none where it is longer than the limit. What is beyond is read and dropped, up to a limit of its own: who is still sending
/// when the connection is closed hears of a broken pipe, and not why.
async fn gather<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    most: usize,
) -> Result<Option<Vec<u8>>, B::Error> {
    let (mut kept, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        length += data.len();
        if length <= most {
            kept.extend_from_slice(&data);
        } else if length > most.saturating_add(HTTPS_DROPPED_BYTES_MAX) {
            break;
        }
    }
    Ok((length <= most).then_some(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_kind(stated: &str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, stated.parse().unwrap());
        let known = ["application/json", "application/x-ndjson"];
        assert_eq!(kind_of(&headers, &known).ok(), expected, "{stated}");
        headers.insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        assert!(kind_of(&headers, &known).is_err());
    }

    async fn check_length(length: usize, most: usize, taken: bool) {
        let body = http_body_util::Full::new(Bytes::from(vec![7; length]));
        let found = gather(body, most).await.unwrap();
        let expected = taken.then(|| vec![7; length]);
        assert_eq!(found, expected, "{length} {most}");
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_not_taken() {
        check_length(0, 0, true).await;
        check_length(9, 9, true).await;
        check_length(10, 9, false).await;
    }

    #[test]
    fn types_of_bodies() {
        check_kind("application/json", Some("application/json"));
        check_kind("Application/JSON; charset=UTF-8", Some("application/json"));
        check_kind("application/x-ndjson", Some("application/x-ndjson"));
        check_kind("application/json; charset=latin1", None);
        check_kind("text/plain", None);
        assert!(kind_of(&HeaderMap::new(), &["application/json"]).is_err());
    }
}
