//! The operations address: liveness, readiness, version, metrics. Not for the public.

use super::problem::Problem;
use crate::health::{Health, Phase, Reason};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};

/// Seconds. Requests take milliseconds; waits for a worker up to 5 s.
const BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// What the operations address shows. Every role has one, so this knows nothing of a role. It asks
/// nobody: whoever sees that something is away tells the registry, so an answer never waits for a
/// pool or a server.
#[derive(Clone)]
pub struct Ops {
    pub metrics: PrometheusHandle,
    pub health: &'static Health,
}

/// Installs the process's recorder; once.
pub fn install_metrics() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?
        .install_recorder()
}

pub fn router(ops: Ops) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route(
            "/version",
            get(async || Json(json!({"name": "hansard", "version": env!("CARGO_PKG_VERSION")}))),
        )
        .route("/metrics", get(metrics))
        .fallback(async || Problem::not_found("page"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .with_state(ops)
}

/// 503 only while the process starts or drains: what is away costs some of the service, and sending
/// the traffic elsewhere mends nothing.
async fn ready(State(ops): State<Ops>) -> Response {
    let (phase, degraded) = (ops.health.phase(), ops.health.degraded());
    let status = if phase == Phase::Ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let state = |reason: Reason| -> Value {
        let known = degraded.iter().find(|known| known.reason == reason);
        json!(known.map_or("ok", |known| known.detail.as_str()))
    };
    let names: Vec<String> = degraded
        .iter()
        .map(|known| known.reason.to_string())
        .collect();
    let details: serde_json::Map<String, Value> = degraded
        .iter()
        .map(|known| {
            let seconds = known.since.elapsed().as_secs();
            (
                known.reason.to_string(),
                json!({"detail": known.detail, "forSeconds": seconds}),
            )
        })
        .collect();
    let said = json!({
        "status": phase.as_str(),
        "degraded": names,
        "details": details,
        "postgres": state(Reason::Database),
        "queue": state(Reason::Broker),
    });
    (status, Json(said)).into_response()
}

async fn metrics(State(ops): State<Ops>) -> Response {
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], ops.metrics.render()).into_response()
}
