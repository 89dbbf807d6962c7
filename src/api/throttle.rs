//! Holds back who asks too much, before anything else is done for the request.

use super::{limit::Peer, state::Shared};
use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Where consent is given, declined and withdrawn: what is counted of it only its handler can tell.
const CONSENT: &str = "/v1/users/consent";
const SIGNAL: &str = "/v1/signal";

/// Refuses what is too much, and tells handlers who asks.
pub async fn guard(State(state): State<Shared>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let client = peer.map(|Peer(ip)| state.limits.client(ip, request.headers()));
    if let Some(client) = client {
        request.extensions_mut().insert(client);
    }
    let path = request.uri().path();
    let is_consent = request.method() == Method::POST && path == CONSENT;
    if !is_consent
        && let Err(problem) = state.limits.take(client, request.headers(), path == SIGNAL)
    {
        return problem.into_response();
    }
    next.run(request).await
}
