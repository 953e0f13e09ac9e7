//! Routes and their OpenAPI description, made from the same list.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use axum::middleware::from_fn;
use serde::Serialize;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::gate::Asker;
use super::problem::{Refusals, guarded, json, text};
use super::{Shared, ask, listed, predict, problem};
use crate::core::http::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Aquifer",
        description = "Questions in SQL about units' customers, each answer private and priced; released models and their predictions.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Problem)),
    security(("token" = [])),
    modifiers(&Tokens)
)]
struct Description;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some("A token of `aquifer token issue`.".to_owned());
        let components = openapi.components.get_or_insert_default();
        components.responses.extend(problem::described());
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// That the door is open.
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `open`.
    state: &'static str,
}

/// Whether the door is open; needs no token, and tells nothing else
#[utoipa::path(
    get,
    path = "/health",
    tag = "door",
    security(()),
    responses((status = 200, description = "it is", body = Health))
)]
async fn health() -> Response<Body> {
    json(&Health { state: "open" })
}

/// This description
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "door",
    responses((status = 200, description = "OpenAPI 3.1", body = Object), Refusals)
)]
async fn described(State(shared): State<Arc<Shared>>, _asker: Asker) -> Response<Body> {
    text(shared.description.clone(), "application/json")
}

fn all() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(ask::query))
        .routes(routes!(ask::explain))
        .routes(routes!(listed::catalogue))
        .routes(routes!(listed::budget))
        .routes(routes!(listed::releases))
        .routes(routes!(listed::one_release))
        .routes(routes!(listed::nodes))
        .routes(routes!(listed::models))
        .routes(routes!(listed::model))
        .routes(routes!(predict::predict))
        .routes(routes!(described))
        .routes(routes!(health))
}

/// The routes.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let (router, _) = all().split_for_parts();
    let absent = async || Problem::of(404, "unknown", "there is no such path", DESCRIBED);
    let other = async || Problem::of(405, "method", "the path has other methods", DESCRIBED);
    router
        .fallback(absent)
        .method_not_allowed_fallback(other)
        .layer(from_fn(guarded))
        .with_state(shared)
}

/// The description, as it is served and checked in.
///
/// # Panics
///
/// Never: it is plain JSON.
#[must_use]
pub fn openapi() -> String {
    let (_, description) = all().split_for_parts();
    let text = description.to_pretty_json();
    text.expect("a description is plain JSON") + "\n"
}

const DESCRIBED: &str = "GET /v1/openapi.json describes what there is";

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the description is checked in.
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

    #[test]
    fn the_description_that_is_checked_in_is_the_one_that_is_served() {
        if std::env::var_os("AQUIFER_RENEW").is_some() {
            std::fs::write(FILE, openapi()).unwrap();
        }
        let kept = std::fs::read_to_string(FILE).unwrap_or_default();
        assert!(
            kept == openapi(),
            "docs/openapi.json differs from the code; look at what changed, and renew it: \
             AQUIFER_RENEW=1 cargo nextest run -p aquifer-coordinator the_description"
        );
    }

    #[test]
    fn every_operation_but_health_needs_a_token_and_says_what_it_refuses() {
        let description: serde_json::Value = serde_json::from_str(&openapi()).unwrap();
        assert_eq!(description["openapi"], "3.1.0");
        assert_eq!(description["security"][0]["token"], serde_json::json!([]));
        for (path, item) in description["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                let open = operation.get("security").is_some();
                assert_eq!(open, path == "/health", "{path}");
                let refuses = operation["responses"].get("401").is_some();
                assert_eq!(refuses, !open, "{path}");
            }
        }
    }
}
