//! Tokens that read one meeting, for pages of others: to hear what is told of it, or to play what
//! it left.

use super::{
    auth::Caller,
    body::{Body, Path, Valid, check_ttl},
    idempotency::{IdempotencyKey, Once},
    permit::{self, Operation},
    problem::{FieldError, Problem},
    state::Shared,
    time::Time,
    token::{MEETING_TTL_S_MAX, TokenUse},
};
use crate::domain::id::MeetingId;
use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(create))
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewMeetingToken {
    #[serde(rename = "use")]
    pub purpose: TokenUse,
    #[schema(minimum = 1, maximum = 3600, example = 3600)]
    pub ttl_seconds: i64,
}

impl Valid for NewMeetingToken {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check_ttl(self.ttl_seconds, MEETING_TTL_S_MAX, errors);
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MeetingToken)]
pub struct MeetingTokenView {
    /// Reads this meeting only, as a bearer token or in `join_room`.
    pub token: String,
    pub expires_at: Time,
}

/// Mints a token that reads this meeting, for a page of somebody else's.
///
/// It changes nothing and is nobody: who holds it is no participant and does not count as present.
/// With `observe` the holder hears what a participant would, from the token's minting on, by
/// `join_room {token}`; the socket is closed when the token runs out. With `play` the holder reads
/// the meeting, its participants, recordings and transcript.
#[utoipa::path(
    operation_id = "createMeetingToken",
    post, path = "/v1/meetings/{id}/tokens", tag = "meetings",
    params(("id" = Uuid, Path, description = "Meeting")),
    request_body = NewMeetingToken,
    responses(
        (status = 201, description = "The token", body = MeetingTokenView),
        (status = 410, description = "The meeting was deleted"),
    )
)]
async fn create(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    body: Body<NewMeetingToken>,
) -> Result<(StatusCode, Json<MeetingTokenView>), Problem> {
    let id = MeetingId(id);
    let route = format!("POST /v1/meetings/{id}/tokens");
    let once = Once::new(key, &caller, route, body.hash);
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, &caller, Operation::MeetingToken, id, now).await?;
    // A replay mints anew: begin only holds the body to the first one's.
    once.begin(&mut tx).await?;
    once.done(&mut tx, None).await?;
    tx.commit().await?;
    let NewMeetingToken {
        purpose,
        ttl_seconds,
    } = body.value;
    let minted = state
        .keys
        .mint_reader(purpose, caller.tenant, id, ttl_seconds, now);
    let view = MeetingTokenView {
        token: minted.token,
        expires_at: minted.expires.into(),
    };
    Ok((StatusCode::CREATED, Json(view)))
}
