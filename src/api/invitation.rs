//! What somebody who is invited may know before joining: whose meeting it is, and what of it would
//! be kept.

use super::{
    auth::Caller,
    body::Path,
    permit::{self, Operation},
    problem::Problem,
    state::Shared,
    time::Time,
};
use crate::{
    domain::{
        id::{MeetingId, UserId},
        meeting::MeetingStatus,
        settings::{ConsentPolicy, RecordingMode},
    },
    store::user,
};
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read))
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Invitation)]
pub struct InvitationView {
    pub meeting_id: Uuid,
    /// Whose meeting it is.
    #[schema(example = "Ana")]
    pub host_name: String,
    pub status: MeetingStatus,
    pub scheduled_time: Option<Time>,
    pub start_time: Option<Time>,
    /// Of whoever joins by a link.
    pub password_required: bool,
    pub recording: RecordingMode,
    /// Whether it is transcribed.
    pub ai_enabled: bool,
    pub consent_policy: ConsentPolicy,
}

/// Reads what an invitation says of its meeting.
///
/// For the page that asks somebody to join and to agree: a guest's link, or whoever may read the
/// meeting.
#[utoipa::path(
    operation_id = "getInvitation",
    get, path = "/v1/meetings/{id}/invitation", tag = "meetings", params(("id" = Uuid, Path, description = "Meeting")),
    responses((status = 200, description = "The invitation", body = InvitationView))
)]
async fn read(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<InvitationView>, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    let meeting = permit::on_meeting(
        &mut tx,
        &caller,
        Operation::ReadInvitation,
        MeetingId(id),
        now,
    )
    .await?;
    let host = user::of(&mut tx, caller.tenant, UserId(meeting.host_id)).await?;
    let settings = meeting.settings.0;
    Ok(Json(InvitationView {
        meeting_id: meeting.id,
        host_name: host.map(|host| host.display_name).unwrap_or_default(),
        status: meeting.status,
        scheduled_time: meeting.scheduled_time.map(Time),
        start_time: meeting.start_time.map(Time),
        password_required: meeting.password_hash.is_some(),
        recording: settings.recording,
        ai_enabled: settings.ai_enabled,
        consent_policy: settings.consent_policy,
    }))
}
