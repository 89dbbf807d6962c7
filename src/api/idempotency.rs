//! `Idempotency-Key`: a request that is sent twice takes effect once.

use super::{auth::Caller, problem::Problem, state::Shared};
use crate::store::idempotency::{self, Earlier, Request};
use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderName, HeaderValue, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The header, when it was sent: 1 to 255 visible characters.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(Option<String>);

impl FromRequestParts<Shared> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(HEADER) else {
            return Ok(Self(None));
        };
        let key = value.to_str().ok().and_then(Self::of);
        key.ok_or_else(|| {
            Problem::bad_request("Idempotency-Key must have 1 to 255 visible ASCII characters")
        })
    }
}

impl IdempotencyKey {
    /// `None`: it is not 1 to 255 visible ASCII characters.
    pub fn of(key: &str) -> Option<Self> {
        let is_visible = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        (is_visible && (1..=255).contains(&key.len())).then(|| Self(Some(key.to_owned())))
    }
}

/// One request that may have been sent before. Without a key it always was not.
#[derive(Clone, Debug)]
pub struct Once(Option<Request>);

/// How to go on.
#[derive(Debug)]
pub enum Begun {
    /// Do it, then `Once::keep`.
    First,
    /// This was answered.
    Replay(Response),
    /// It was done, and made this; its answer was not kept.
    Done(Option<Uuid>),
}

impl Once {
    /// A request that names no key.
    pub const NEVER: Self = Self(None);

    /// `route` is the method and the path with its ids.
    pub fn new(key: IdempotencyKey, caller: &Caller, route: String, body_hash: [u8; 32]) -> Self {
        Self(key.0.map(|key| Request {
            tenant: caller.tenant,
            route: format!("{route} {}", caller.scope()),
            key,
            body_hash,
        }))
    }

    /// The request, when it named a key: for what is kept under it elsewhere.
    pub fn into_request(self) -> Option<Request> {
        self.0
    }

    /// Whether a key was sent.
    pub fn is_keyed(&self) -> bool {
        self.0.is_some()
    }

    /// In the transaction that the effect will be in.
    pub async fn begin(&self, conn: &mut PgConnection) -> Result<Begun, Problem> {
        let Some(request) = &self.0 else {
            return Ok(Begun::First);
        };
        Ok(match idempotency::begin(conn, request).await? {
            Earlier::None => Begun::First,
            Earlier::Running => return Err(Problem::running()),
            Earlier::OtherBody => {
                return Err(Problem::field(
                    "",
                    "this Idempotency-Key was used with another body",
                ));
            }
            Earlier::Answered { status, response } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
                let mut replay = (status, Json(response)).into_response();
                replay
                    .headers_mut()
                    .insert(REPLAYED, HeaderValue::from_static("true"));
                Begun::Replay(replay)
            }
            Earlier::Done { made } => Begun::Done(made),
        })
    }

    /// Keeps the answer with the effect, and gives it.
    pub async fn answer(
        &self,
        conn: &mut PgConnection,
        status: StatusCode,
        body: &impl Serialize,
    ) -> Result<Response, Problem> {
        let json: Value = serde_json::to_value(body).map_err(Problem::internal)?;
        if let Some(request) = &self.0 {
            idempotency::keep(conn, request, Some((status.as_u16(), &json)), None).await?;
        }
        Ok((status, Json(json)).into_response())
    }

    /// Keeps that it was done and what it made, not the answer: that carries a secret or is not
    /// known yet.
    pub async fn done(&self, conn: &mut PgConnection, made: Option<Uuid>) -> Result<(), Problem> {
        if let Some(request) = &self.0 {
            idempotency::keep(conn, request, None, made).await?;
        }
        Ok(())
    }

    /// The effect was taken back: the same request may be sent again.
    pub async fn forget(&self, conn: &mut PgConnection) -> Result<(), Problem> {
        if let Some(request) = &self.0 {
            idempotency::forget(conn, request).await?;
        }
        Ok(())
    }
}
