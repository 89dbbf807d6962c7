//! Users: create, read, open a session for their pages.

use super::{
    auth::{Caller, Who},
    body::{Body, Path, Valid, check_line, check_ttl},
    idempotency::{Begun, IdempotencyKey, Once},
    permit::{self, Operation, Right},
    problem::{FieldError, Problem},
    secret::Secret,
    state::Shared,
    time::Time,
    token::SESSION_TTL_S_MAX,
};
use crate::{
    domain::id::UserId,
    store::{StoreError, erasure, participant, user},
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// The longest display name, in characters.
pub const NAME_CHARS_MAX: usize = 128;
const EMAIL_CHARS_MAX: usize = 254;
/// How long a session's one-time `url` can be opened, in seconds.
const CODE_TTL_S: i64 = 600;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(profile))
        .routes(routes!(open_session))
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewUser {
    #[schema(format = Email, max_length = 254, example = "ana@example.org")]
    pub email: String,
    #[schema(min_length = 1, max_length = 128, example = "Ana")]
    pub display_name: String,
}

impl Valid for NewUser {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check_line(
            "/displayName",
            &self.display_name,
            1,
            NAME_CHARS_MAX,
            errors,
        );
        check_line("/email", &self.email, 3, EMAIL_CHARS_MAX, errors);
        let parts: Vec<&str> = self.email.split('@').collect();
        if !matches!(parts[..], [name, host] if !name.is_empty() && !host.is_empty())
            || self.email.chars().any(char::is_whitespace)
        {
            errors.push(FieldError::new(
                "/email",
                "must be an address like ana@example.org",
            ));
        }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    pub id: Uuid,
    /// Null for a guest.
    #[schema(example = "ana@example.org")]
    pub email: Option<String>,
    #[schema(example = "Ana")]
    pub display_name: String,
    pub tenant_id: Uuid,
}

impl From<user::User> for Profile {
    fn from(user: user::User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            display_name: user.display_name,
            tenant_id: user.tenant_id,
        }
    }
}

/// Creates a user.
#[utoipa::path(
    operation_id = "createUser",
    post, path = "/v1/users", tag = "users", request_body = NewUser,
    responses(
        (status = 201, description = "Created", body = Profile),
        (status = 409, description = "The tenant has a user with this address: the problem names its id"),
    )
)]
async fn create(
    State(state): State<Shared>,
    caller: Caller,
    key: IdempotencyKey,
    body: Body<NewUser>,
) -> Result<Response, Problem> {
    permit::at_all(&caller, Operation::CreateUser)?;
    let once = Once::new(key, &caller, "POST /v1/users".to_owned(), body.hash);
    let NewUser {
        email,
        display_name,
    } = body.value;
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    if let Begun::Replay(replay) = once.begin(&mut tx).await? {
        return Ok(replay);
    }
    let made = match user::insert(&mut tx, caller.tenant, Some(&email), display_name.trim()).await {
        Ok(made) => Profile::from(made),
        Err(StoreError::Conflict { .. }) => {
            let id = user::by_email(&mut tx, caller.tenant, &email).await?;
            return Err(Problem::exists(
                "a user with this address exists",
                id.map(|id| id.0),
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let answer = once.answer(&mut tx, StatusCode::CREATED, &made).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Reads a user.
#[utoipa::path(
    operation_id = "getProfile",
    get, path = "/v1/users/{id}/profile", tag = "users", params(("id" = Uuid, Path, description = "User")),
    responses((status = 200, description = "The user", body = Profile))
)]
async fn profile(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<Profile>, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let itself = match caller.who {
        Who::Host(user) => Some(user.0),
        Who::Joined(subject) | Who::Resumed(subject) => {
            permit::stands(&mut tx, &caller, subject, state.clock.now()).await?;
            participant::get(&mut tx, subject.meeting, subject.participant)
                .await?
                .map(|participant| participant.user_id)
        }
        _ => None,
    };
    let found = user::of(&mut tx, caller.tenant, UserId(id))
        .await?
        .ok_or_else(|| Problem::not_found("user"))?;
    match permit::at_all(&caller, Operation::ReadProfile)? {
        Right::All => {}
        _ if itself == Some(id) => {}
        _ => {
            return Err(Problem::forbidden(
                "this credential reads its own profile only",
            ));
        }
    }
    Ok(Json(found.into()))
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSession {
    #[schema(minimum = 1, maximum = 28800, example = 3600)]
    pub ttl_seconds: i64,
}

impl Valid for NewSession {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check_ttl(self.ttl_seconds, SESSION_TTL_S_MAX, errors);
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Session)]
pub struct SessionView {
    /// A bearer credential for the meetings this user hosts.
    pub token: String,
    pub expires_at: Time,
    /// Opens the user's pages in a browser, once, within ten minutes.
    #[schema(example = "https://hansard.example.org/s/hc_…")]
    pub url: String,
}

/// Opens a session for a host's pages.
#[utoipa::path(
    operation_id = "createSession",
    post, path = "/v1/users/{id}/sessions", tag = "users", params(("id" = Uuid, Path, description = "User")),
    request_body = NewSession,
    responses(
        (status = 201, description = "The session", body = SessionView),
        (status = 410, description = "The user was erased"),
    )
)]
async fn open_session(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    body: Body<NewSession>,
) -> Result<(StatusCode, Json<SessionView>), Problem> {
    let user = UserId(id);
    let once = Once::new(
        key,
        &caller,
        format!("POST /v1/users/{id}/sessions"),
        body.hash,
    );
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let found = user::of(&mut tx, caller.tenant, user).await?;
    if let Some(subject) = caller.subject() {
        permit::stands(&mut tx, &caller, subject, state.clock.now()).await?;
    }
    found.ok_or_else(|| Problem::not_found("user"))?;
    permit::at_all(&caller, Operation::CreateSession)?;
    if erasure::is_erased(&mut tx, caller.tenant, user).await? {
        return Err(Problem::gone("user"));
    }
    // A replay mints anew: begin only holds the body to the first one's.
    once.begin(&mut tx).await?;
    let now = state.clock.now();
    let minted = state
        .keys
        .mint_session(caller.tenant, user, body.value.ttl_seconds, now);
    let code = Secret::random(Secret::CODE).map_err(Problem::internal)?;
    let until = minted.expires.min(now + TimeDelta::seconds(CODE_TTL_S));
    user::insert_code(
        &mut tx,
        caller.tenant,
        user,
        &code.hash(),
        until,
        minted.expires,
    )
    .await?;
    once.done(&mut tx, None).await?;
    tx.commit().await?;
    let url = format!("{}/s/{}", state.address.public_url(), code.reveal());
    Ok((
        StatusCode::CREATED,
        Json(SessionView {
            token: minted.token,
            expires_at: minted.expires.into(),
            url,
        }),
    ))
}
