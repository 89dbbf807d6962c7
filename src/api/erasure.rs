//! Erasing a person, and reading what is held about one.

use super::{
    auth::Caller,
    body::{Body, Path, Valid, check_line},
    idempotency::{Begun, IdempotencyKey, Once},
    ledger_write::{self, Attempt},
    permit::{self, Operation},
    problem::{FieldError, Problem},
    state::Shared,
    time::Time,
};
use crate::{
    domain::{id::UserId, job::JobKind, redaction::ErasureState},
    published,
    store::{
        Tx,
        erasure::{self, Erasure},
        job, user,
    },
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// Of a reason.
const CHARACTERS_MAX: usize = 500;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(erase))
        .routes(routes!(read))
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ErasureRequest)]
pub struct ErasureInput {
    /// Why, for whoever asks for it later.
    #[schema(
        min_length = 1,
        max_length = 500,
        example = "asked for on 3 May by letter"
    )]
    pub reason: String,
}

impl Valid for ErasureInput {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check_line("/reason", &self.reason, 1, CHARACTERS_MAX, errors);
    }
}

/// One meeting of the person.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ErasedMeeting)]
pub struct ErasedMeetingView {
    pub meeting_id: Uuid,
    pub participant_id: Uuid,
    pub state: ErasureState,
    /// Null until it is asked for.
    pub redaction_id: Option<Uuid>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Erasure)]
pub struct ErasureView {
    pub id: Uuid,
    pub user_id: Uuid,
    pub reason: String,
    /// `api_key:<id>`.
    pub asked_by: String,
    pub asked_at: Time,
    /// When name and address were gone, too; null until then.
    pub completed_at: Option<Time>,
    /// Statements about consent of earlier versions, whose text is in the chain of the ConsentLog:
    /// they stay, under a pseudonym.
    pub statements_kept: i32,
    pub meetings: Vec<ErasedMeetingView>,
}

impl ErasureView {
    async fn of(tx: &mut Tx, of: Erasure) -> Result<Self, Problem> {
        let parts = erasure::parts(tx, &of).await?;
        let meetings = parts.into_iter().map(|part| ErasedMeetingView {
            meeting_id: part.meeting.0,
            participant_id: part.participant.0,
            state: part.state(),
            redaction_id: part.redaction.map(|(id, _)| id),
        });
        Ok(Self {
            id: of.id,
            user_id: of.user_id,
            reason: of.reason,
            asked_by: of.author,
            asked_at: of.asked_at.into(),
            completed_at: of.completed_at.map(Time::from),
            statements_kept: of.statements_kept,
            meetings: meetings.collect(),
        })
    }
}

/// Erases a person.
///
/// Its sessions are void when this answers. It is removed from meetings that are live, taken out of
/// all that were recorded, and forgotten by name and address at the end. The ConsentLog keeps what
/// was said about consent, under a pseudonym and without the words. Repeating changes nothing.
#[utoipa::path(
    operation_id = "eraseUser",
    post, path = "/v1/users/{id}/erasure", tag = "users", params(("id" = Uuid, Path, description = "User")),
    request_body = ErasureInput,
    responses((status = 202, description = "It is carried out", body = ErasureView))
)]
async fn erase(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    body: Body<ErasureInput>,
) -> Result<Response, Problem> {
    let route = format!("POST /v1/users/{id}/erasure");
    let once = Once::new(key, &caller, route, body.hash);
    ledger_write::until_current(&state, caller.tenant, || {
        erase_once(&state, &caller, UserId(id), &once, &body.value.reason)
    })
    .await
}

async fn erase_once(
    state: &Shared,
    caller: &Caller,
    user: UserId,
    once: &Once,
    reason: &str,
) -> Result<Response, Attempt> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let found = user::of(&mut tx, caller.tenant, user).await?;
    if let Some(subject) = caller.subject() {
        permit::stands(&mut tx, caller, subject, state.clock.now()).await?;
    }
    found.ok_or_else(|| Problem::not_found("user"))?;
    permit::at_all(caller, Operation::Erase)?;
    if let Begun::Replay(replay) = once.begin(&mut tx).await? {
        return Ok(replay);
    }
    let asked = erasure::ask(&mut tx, caller.tenant, user, reason, &caller.author()).await?;
    let told = state.ledger.accept_erasure(&mut tx, &asked).await;
    told.map_err(|error| ledger_write::refused(state, error))?;
    let job = job::ensure_again(&mut tx, caller.tenant, JobKind::Erase, user).await?;
    let view = ErasureView::of(&mut tx, asked).await?;
    let answer = once.answer(&mut tx, StatusCode::ACCEPTED, &view).await?;
    ledger_write::commit(state, tx).await?;
    published::wake(&state.queue, JobKind::Erase, job);
    Ok(answer)
}

/// Reads how far the erasure of a person is.
#[utoipa::path(
    operation_id = "getErasure",
    get, path = "/v1/users/{id}/erasure", tag = "users", params(("id" = Uuid, Path, description = "User")),
    responses((status = 200, description = "The erasure", body = ErasureView))
)]
async fn read(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<ErasureView>, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let found = user::of(&mut tx, caller.tenant, UserId(id)).await?;
    if let Some(subject) = caller.subject() {
        permit::stands(&mut tx, &caller, subject, state.clock.now()).await?;
    }
    found.ok_or_else(|| Problem::not_found("user"))?;
    permit::at_all(&caller, Operation::Erase)?;
    let of = erasure::of(&mut tx, caller.tenant, UserId(id)).await?;
    let of = of.ok_or_else(|| Problem::not_found("erasure"))?;
    Ok(Json(ErasureView::of(&mut tx, of).await?))
}
