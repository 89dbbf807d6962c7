//! Legal holds.

use super::{
    auth::Caller,
    body::{Body, Path, Query, Valid, check_text},
    ledger_write::{self, Attempt},
    permit::{self, Operation},
    problem::{FieldError, Problem},
    state::Shared,
    time::Time,
};
use crate::{
    command,
    domain::id::MeetingId,
    store::hold::{self, Hold},
};
use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

const REASON_CHARS_MAX: usize = 500;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read, place, lift))
}

/// While a meeting has one, nothing of it is deleted, redacted or erased, and nothing expires.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Hold)]
pub struct HoldView {
    pub id: Uuid,
    pub meeting_id: Uuid,
    pub reason: String,
    /// `api_key:` and the key's id.
    pub placed_by: String,
    pub placed_at: Time,
}

impl HoldView {
    fn new(meeting: Uuid, hold: Hold) -> Self {
        Self {
            id: hold.id,
            meeting_id: meeting,
            reason: hold.reason,
            placed_by: hold.author,
            placed_at: hold.placed_at.into(),
        }
    }
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldInput {
    #[schema(min_length = 1, max_length = 500, example = "Case 4711")]
    pub reason: String,
}

impl Valid for HoldInput {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check_text("/reason", &self.reason, 1, REASON_CHARS_MAX, errors);
    }
}

/// Why it is lifted.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LiftQuery {
    #[param(required = false, max_length = 500)]
    pub reason: Option<String>,
}

/// Reads the hold on a meeting; 404 where there is none.
#[utoipa::path(
    operation_id = "getHold",
    get, path = "/v1/meetings/{id}/hold", tag = "meetings", params(("id" = Uuid, Path, description = "Meeting")),
    responses((status = 200, description = "The hold", body = HoldView))
)]
async fn read(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<HoldView>, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let (meeting, now) = (MeetingId(id), state.clock.now());
    permit::on_meeting(&mut tx, &caller, Operation::Hold, meeting, now).await?;
    let found = hold::current(&mut tx, meeting).await?;
    let found = found.ok_or_else(|| Problem::not_found("hold"))?;
    Ok(Json(HoldView::new(id, found)))
}

/// Places a legal hold on a meeting: until it is lifted, nothing of it is deleted, redacted or
/// erased, and nothing expires. Withdrawals of consent still cut, and files still move between
/// tiers.
///
/// With another reason it replaces the one that there is.
#[utoipa::path(
    operation_id = "placeHold",
    put, path = "/v1/meetings/{id}/hold", tag = "meetings", params(("id" = Uuid, Path, description = "Meeting")),
    request_body = HoldInput,
    responses(
        (status = 200, description = "The hold", body = HoldView),
        (status = 409, description = "Something of the meeting is being deleted or redacted"),
    )
)]
async fn place(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    body: Body<HoldInput>,
) -> Result<Json<HoldView>, Problem> {
    let reason = body.value.reason.trim();
    let placed = ledger_write::until_current(&state, caller.tenant, || {
        place_once(&state, &caller, MeetingId(id), reason)
    })
    .await?;
    Ok(Json(HoldView::new(id, placed)))
}

async fn place_once(
    state: &Shared,
    caller: &Caller,
    meeting: MeetingId,
    reason: &str,
) -> Result<Hold, Attempt> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, caller, Operation::Hold, meeting, now).await?;
    let author = caller.author();
    let placed = command::hold::place(&mut tx, caller.tenant, meeting, &author, reason).await?;
    ledger_write::accept(state, &mut tx, caller.tenant, meeting).await?;
    ledger_write::commit(state, tx).await?;
    Ok(placed)
}

/// Lifts the hold on a meeting. Repeating it changes nothing.
#[utoipa::path(
    operation_id = "liftHold",
    delete, path = "/v1/meetings/{id}/hold", tag = "meetings",
    params(("id" = Uuid, Path, description = "Meeting"), LiftQuery),
    responses((status = 204, description = "There is none any more"))
)]
async fn lift(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<LiftQuery>,
) -> Result<StatusCode, Problem> {
    let reason = query.reason.as_deref();
    let mut errors = Vec::new();
    check_text(
        "reason",
        reason.unwrap_or_default(),
        0,
        REASON_CHARS_MAX,
        &mut errors,
    );
    if let Some(error) = errors.first() {
        return Err(Problem::bad_request(format!(
            "bad query: reason {}",
            error.detail
        )));
    }
    ledger_write::until_current(&state, caller.tenant, || {
        lift_once(&state, &caller, MeetingId(id), reason)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn lift_once(
    state: &Shared,
    caller: &Caller,
    meeting: MeetingId,
    reason: Option<&str>,
) -> Result<(), Attempt> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, caller, Operation::Hold, meeting, now).await?;
    command::hold::lift(&mut tx, meeting, &caller.author(), reason).await?;
    ledger_write::accept(state, &mut tx, caller.tenant, meeting).await?;
    ledger_write::commit(state, tx).await
}
