//! Guest links.

use super::{
    auth::Caller,
    body::{Body, Path, Valid},
    idempotency::{Begun, IdempotencyKey, Once},
    permit::{self, Operation},
    problem::{FieldError, Problem},
    secret::Secret,
    state::Shared,
    time::Time,
};
use crate::{
    domain::{id::MeetingId, participant::Role},
    store::link,
};
use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(revoke))
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewLink {
    pub role: Role,
    /// Null: until it is revoked.
    pub expires_at: Option<Time>,
}

impl Valid for NewLink {
    fn check(&self, _: &mut Vec<FieldError>) {}
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Link)]
pub struct LinkView {
    pub id: Uuid,
    /// The secret is in the fragment: it stays in the browser. Shown once.
    #[schema(example = "https://hansard.example.org/m/0193a5c2-7d0e-7c61-9c0a-3f5b8e1d2a10#hl_…")]
    pub url: String,
}

/// Makes a link that guests join by.
#[utoipa::path(
    operation_id = "createLink",
    post, path = "/v1/meetings/{id}/links", tag = "meetings", params(("id" = Uuid, Path, description = "Meeting")),
    request_body(content = NewLink, example = json!({"role": "participant", "expiresAt": "2026-12-01T00:00:00.000Z"})),
    responses(
        (status = 201, description = "The link", body = LinkView),
        (status = 409, description = "Made before with this Idempotency-Key: the problem names its id"),
    )
)]
async fn create(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    body: Body<NewLink>,
) -> Result<(StatusCode, Json<LinkView>), Problem> {
    let id = MeetingId(id);
    let once = Once::new(
        key,
        &caller,
        format!("POST /v1/meetings/{id}/links"),
        body.hash,
    );
    let now = state.clock.now();
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let meeting = permit::on_meeting(&mut tx, &caller, Operation::Links, id, now).await?;
    if let Begun::Done(made) = once.begin(&mut tx).await? {
        return Err(Problem::exists(
            "this link was made before; its secret is not shown again",
            made,
        ));
    }
    if meeting.ended() {
        return Err(Problem::ended());
    }
    let expires_at = body.value.expires_at.map(|time| time.0);
    if expires_at.is_some_and(|until| until <= now) {
        return Err(Problem::field("/expiresAt", "must be in the future"));
    }
    let secret = Secret::random(Secret::LINK).map_err(Problem::internal)?;
    let made = link::insert(
        &mut tx,
        caller.tenant,
        id,
        body.value.role,
        &secret.hash(),
        expires_at,
    )
    .await?;
    once.done(&mut tx, Some(made)).await?;
    tx.commit().await?;
    let url = format!("{}/m/{id}#{}", state.address.public_url(), secret.reveal());
    Ok((StatusCode::CREATED, Json(LinkView { id: made, url })))
}

/// Revokes a link.
#[utoipa::path(
    operation_id = "revokeLink",
    delete, path = "/v1/meetings/{id}/links/{linkId}", tag = "meetings",
    params(("id" = Uuid, Path, description = "Meeting"), ("linkId" = Uuid, Path, description = "Link")),
    responses((status = 204, description = "Revoked"))
)]
async fn revoke(
    State(state): State<Shared>,
    caller: Caller,
    Path((id, link)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, &caller, Operation::Links, MeetingId(id), now).await?;
    if !link::revoke(&mut tx, MeetingId(id), link).await? {
        return Err(Problem::not_found("link"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
