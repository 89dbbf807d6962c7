//! The REST API and signaling. Stateless: any number of processes.
//!
//! One file per noun; each operation is one function with its documentation. What they share:
//! [`auth`] says who calls, [`permit`] what it may do, [`body`] reads requests, [`idempotency`]
//! makes repeated ones harmless, [`problem`] refuses.

mod acting;
pub mod asyncapi;
pub mod auth;
pub mod body;
pub mod consent;
pub mod consent_request;
pub mod correction;
pub mod deletion;
pub mod docs;
pub mod erasure;
pub mod glossary;
pub mod hold;
mod holder;
pub mod ice;
pub mod idempotency;
pub mod invitation;
pub mod join;
mod ledger_write;
pub mod limit;
pub mod link;
pub mod meeting;
pub mod meeting_change;
pub mod meeting_token;
pub mod ops;
pub mod page;
pub mod participant;
pub mod password;
pub mod peaks;
pub mod permit;
pub mod personal_data;
pub mod problem;
pub mod recording;
pub mod redaction;
mod repeat;
pub mod restore;
mod restore_view;
mod schema;
pub mod secret;
pub mod signal;
pub mod state;
pub mod stream;
pub mod stream_view;
pub mod tenant;
mod throttle;
pub mod time;
pub mod token;
pub mod tombstone;
pub mod transcript;
pub mod unwritten;
pub mod user;
pub mod web;
pub mod whip;

use axum::{
    Router,
    extract::{MatchedPath, RawPathParams, Request, State, rejection::RawPathParamsRejection},
    http::{HeaderName, HeaderValue, Method, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use problem::Problem;
use state::Shared;
use std::time::{Duration, Instant};
use tower::ServiceExt;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument;
use uuid::Uuid;

/// The longest that a request may take: a stream waits 5 s for its worker, all else for the
/// database.
const REQUEST_MAX: Duration = Duration::from_secs(20);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The public address: REST, signaling, pages, documentation.
pub fn router(state: Shared, signal: &signal::Signal) -> Router {
    let cors = cors(state.clone());
    let (operations, _) = docs::operations().split_for_parts();
    operations
        .merge(web::routes())
        .merge(docs::routes(
            state.address.public_url(),
            &state.address.signal_url(),
        ))
        .merge(redaction::keys())
        .with_state(state.clone())
        .merge(signal.router())
        .fallback(async || Problem::not_found("address"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(middleware::from_fn_with_state(
            state.clone(),
            throttle::guard,
        ))
        .layer(middleware::from_fn_with_state(state.clone(), watch))
        .layer(cors)
}

/// Answers the same below `path` (empty for none): a proxy may strip the path of the public URL, or
/// pass it on as it is.
pub fn below(path: &str, router: Router) -> Router {
    if path.is_empty() {
        return router;
    }
    let path = path.to_owned();
    let strip = move |mut request: Request| {
        let asked = request
            .uri()
            .path_and_query()
            .map_or("", |asked| asked.as_str());
        let rest = asked
            .strip_prefix(&path)
            .filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        if let Some(Ok(stripped)) =
            rest.map(|rest| format!("/{}", rest.trim_start_matches('/')).parse::<Uri>())
        {
            *request.uri_mut() = stripped;
        }
        request
    };
    Router::new().fallback_service(router.map_request(strip))
}

/// Pages of the allow-list may call, with credentials they hold themselves: the cookie is for our
/// own pages only.
fn cors(state: Shared) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            origin
                .to_str()
                .is_ok_and(|origin| state.address.allows(origin))
        }))
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            idempotency::HEADER,
        ])
        .expose_headers([
            header::RETRY_AFTER,
            header::LOCATION,
            header::ETAG,
            header::LINK,
            whip::ACCEPT_PATCH,
            REQUEST_ID,
            idempotency::REPLAYED,
        ])
        .max_age(Duration::from_secs(600))
}

/// Whose request it is: what stands in the path, if it is an id and not anything else.
fn meeting_of(route: &str, params: &RawPathParams) -> Option<Uuid> {
    let (_, id) = params.iter().find(|(name, _)| *name == "id")?;
    let id = id.parse().ok()?;
    route.starts_with("/v1/meetings/{id}").then_some(id)
}

/// Numbers each request, bounds its time, counts it. Logs the route, never the path: that may hold
/// a secret.
async fn watch(
    State(_): State<Shared>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let id = Uuid::now_v7();
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("(none)", MatchedPath::as_str)
        .to_owned();
    let mut span = tracing::info_span!("request", %id, %method, route);
    if let Some(meeting) = params.ok().and_then(|params| meeting_of(&route, &params)) {
        span = tracing::info_span!(parent: &span, "meeting", id = %meeting);
    }
    let began = Instant::now();
    let mut response =
        match tokio::time::timeout(REQUEST_MAX, next.run(request).instrument(span)).await {
            Ok(response) => response,
            Err(_) => Problem::unavailable("it took too long").into_response(),
        };
    let status = response.status();
    let took = began.elapsed();
    tracing::debug!(%id, %method, route, status = status.as_u16(), took_ms = took.as_millis(), "answered");
    // A client may name its method anything; a label may not be anything.
    let method = match method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => method.to_string(),
        _ => "other".to_owned(),
    };
    let labels = [
        ("method", method),
        ("route", route.clone()),
        ("status", status.as_u16().to_string()),
    ];
    metrics::counter!("hansard_http_requests_total", &labels).increment(1);
    // Tokens, and what people are called and say: for no cache on the way.
    let private = route.starts_with("/v1/");
    metrics::histogram!("hansard_http_request_seconds", "route" => route).record(took);
    if private {
        response
            .headers_mut()
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
    }
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}
