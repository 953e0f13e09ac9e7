//! In front of every answer of an object store: no text of it gets further, and no list that would be costly to parse.
//!
//! The store's errors become fixed texts here, where their cause is still known.

use std::error::Error;
use std::fmt;

use aquifer_shared::base::limits::{S3_LIST_BYTES_MAX, S3_TAG_BYTES_MAX};
use async_trait::async_trait;
use futures_util::StreamExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};

use super::tls_problem::{chain, tls_problem};

/// Makes every connection of a store with one HTTP client.
#[derive(Clone, Debug)]
pub(super) struct Guard(pub(super) reqwest::Client);

/// What went wrong with the store, in words that hold nothing of it.
#[derive(Clone, Copy, Debug)]
struct StoreFault(&'static str);

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for StoreFault {}

impl HttpConnector for Guard {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Guard {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let query = request.uri().query().unwrap_or_default();
        let list = query.split('&').any(|part| part == "list-type=2");
        let answer = self.0.call(request).await.map_err(told)?;
        let status = answer.status().as_u16();
        if let Some(problem) = refusal(status) {
            return Err(HttpError::new(HttpErrorKind::Unknown, StoreFault(problem)));
        }
        let (parts, body) = answer.into_parts();
        let body = match (status, list) {
            (200..=299, false) => body,
            (200..=299, true) => listed(body).await?,
            // Worth another try; what it says is nobody's concern.
            _ => Vec::new().into(),
        };
        Ok(HttpResponse::from_parts(parts, body))
    }
}

/// What a status means that no retry will change.
fn refusal(status: u16) -> Option<&'static str> {
    match status {
        401 | 403 => Some("the store refuses the credentials, or they may not read this (403)"),
        404 => Some("the store has no such bucket or object (404)"),
        301 | 307 | 308 => Some("the bucket is at another endpoint or in another region"),
        400 => {
            Some("the store refuses the request (400: often another region, or an expired token)")
        }
        412 => Some("the object changed while it was read (412)"),
        416 => Some("the object is shorter than it was said to be (416)"),
        429 => None,
        300..=499 => Some("the store refuses the request"),
        _ => None,
    }
}

/// A list of objects, once it is known to be harmless: bounded as a whole and in every tag, since the parser's work grows with
/// the square of a tag's attributes.
async fn listed(body: HttpResponseBody) -> Result<HttpResponseBody, HttpError> {
    let refused = |problem| HttpError::new(HttpErrorKind::Decode, StoreFault(problem));
    let (mut bytes, mut chunks) = (Vec::new(), body.bytes_stream());
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.map_err(told)?);
        if bytes.len() > S3_LIST_BYTES_MAX {
            return Err(refused(
                "the store's list of objects is too long for one answer",
            ));
        }
    }
    match longest_tag(&bytes) > S3_TAG_BYTES_MAX {
        true => Err(refused(
            "the store's list of objects is not as S3 writes it",
        )),
        false => Ok(bytes.into()),
    }
}

/// Bytes of the longest stretch from a `<` to the next `>`, or to the end.
fn longest_tag(xml: &[u8]) -> usize {
    let tags = xml.split(|byte| *byte == b'<').skip(1);
    let length = |tag: &[u8]| {
        tag.iter()
            .position(|byte| *byte == b'>')
            .unwrap_or(tag.len())
    };
    tags.map(length).max().unwrap_or(0)
}

/// A failed connection: of the same kind, so that it is tried again as before, and without the words.
fn told(error: HttpError) -> HttpError {
    if let Some(problem) = tls_problem(&error) {
        return HttpError::new(HttpErrorKind::Unknown, StoreFault(problem));
    }
    let kind = error.kind();
    let problem = match kind {
        HttpErrorKind::Connect => "nobody answers at the store's endpoint",
        HttpErrorKind::Timeout => "the store does not answer in time",
        _ => "the connection to the store broke",
    };
    HttpError::new(kind, StoreFault(problem))
}

/// The text of a store's error that is the cause of this one.
pub(in crate::shell) fn store_fault(error: &(dyn Error + 'static)) -> Option<&'static str> {
    chain(error).find_map(|cause| Some(cause.downcast_ref::<StoreFault>()?.0))
}

/// An error of a store, in a fixed text.
pub(in crate::shell) fn store_problem(error: &object_store::Error) -> &'static str {
    match (store_fault(error), error) {
        (Some(problem), _) => problem,
        (None, object_store::Error::NotFound { .. }) => "the store has no such bucket or object",
        (None, object_store::Error::Generic { store: "S3", .. }) => {
            "the store answers with an error of its own, or not as S3 does"
        }
        _ => "a file cannot be read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_told_apart() {
        for (status, expected) in [
            (403, "403"),
            (404, "404"),
            (301, "region"),
            (418, "refuses"),
        ] {
            assert!(refusal(status).unwrap().contains(expected), "{status}");
        }
        for status in [200, 206, 429, 500, 503] {
            assert_eq!(refusal(status), None, "{status}");
        }
    }

    #[test]
    fn causes_are_found_and_words_are_not() {
        let source = HttpError::new(HttpErrorKind::Unknown, StoreFault("fixed"));
        let (store, source) = ("S3", Box::new(source));
        assert_eq!(
            store_problem(&object_store::Error::Generic { store, source }),
            "fixed"
        );
        let source = Box::new(std::io::Error::other("CANARY"));
        let found = store_problem(&object_store::Error::Generic { store, source });
        assert!(found.contains("error of its own"), "{found}");
    }

    #[track_caller]
    fn check_list(xml: &[u8], expected: Option<&str>) {
        let body = HttpResponseBody::from(xml.to_vec());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let found = runtime.block_on(listed(body));
        match expected {
            None => assert!(found.is_ok()),
            Some(expected) => assert!(found.unwrap_err().to_string().contains(expected)),
        }
    }

    #[test]
    fn costly_lists_are_refused_before_they_are_parsed() {
        check_list(
            b"<?xml version=\"1.0\"?><ListBucketResult xmlns=\"a\"><Key>k</Key></ListBucketResult>",
            None,
        );
        let attributes: String = (0..2_000).map(|n| format!(" a{n}=\"\"")).collect();
        check_list(
            format!("<a{attributes}/>").as_bytes(),
            Some("not as S3 writes it"),
        );
        check_list(
            format!("<a{attributes}").as_bytes(),
            Some("not as S3 writes it"),
        );
        check_list(&vec![b' '; S3_LIST_BYTES_MAX + 1], Some("too long"));
    }
}
