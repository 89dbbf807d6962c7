//! The operations address: liveness, readiness, version, metrics. Not for the public.

use super::problem::Problem;
use crate::{queue::Queue, store::Store};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::future::BoxFuture;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// The longest wait for one check of readiness.
const CHECK_MAX: Duration = Duration::from_secs(1);
/// How long a queue may be unreachable before a process says that it is not ready.
const QUEUE_AWAY_MAX: Duration = Duration::from_secs(5);
/// Seconds. Requests take milliseconds; waits for a worker up to 5 s.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Something a process needs to be ready: its name, and how to ask.
pub type Check = (&'static str, Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>);

/// What the operations address shows. Every role has one, so this knows nothing of a role.
#[derive(Clone)]
pub struct Ops {
    pub metrics: PrometheusHandle,
    pub checks: Vec<Check>,
}

impl Ops {
    /// What every role needs: Postgres and the queue.
    pub fn new(metrics: PrometheusHandle, store: Store, queue: Queue) -> Self {
        Self {
            metrics,
            checks: vec![
                (
                    "postgres",
                    Arc::new(move || {
                        let store = store.clone();
                        Box::pin(async move { store.ping().await.map_err(|error| error.to_string()) })
                    }),
                ),
                (
                    "queue",
                    Arc::new(move || {
                        let away = queue.unreachable_since().map(|since| since.elapsed());
                        Box::pin(async move {
                            match away {
                                Some(away) if away > QUEUE_AWAY_MAX => Err(format!("away for {} s", away.as_secs())),
                                _ => Ok(()),
                            }
                        })
                    }),
                ),
            ],
        }
    }
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
        .route("/version", get(async || Json(json!({"name": "hansard", "version": env!("CARGO_PKG_VERSION")}))))
        .route("/metrics", get(metrics))
        .fallback(async || Problem::not_found("page"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .with_state(ops)
}

async fn ready(State(ops): State<Ops>) -> Response {
    let checked = futures_util::future::join_all(ops.checks.iter().map(|(name, check)| async move {
        let result = tokio::time::timeout(CHECK_MAX, check()).await.unwrap_or_else(|_| Err("no answer".to_owned()));
        (*name, result)
    }))
    .await;
    let all = checked.iter().all(|(_, result)| result.is_ok());
    let said: serde_json::Map<String, serde_json::Value> = checked
        .into_iter()
        .map(|(name, result)| (name.to_owned(), json!(result.err().unwrap_or_else(|| "ok".to_owned()))))
        .collect();
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(said)).into_response()
}

async fn metrics(State(ops): State<Ops>) -> Response {
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], ops.metrics.render()).into_response()
}
