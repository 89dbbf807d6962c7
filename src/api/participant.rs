//! Participants: list, remove and readmit.

use super::{
    auth::{Caller, Who},
    body::{Path, Query},
    page::{Page, PageQuery},
    permit::{self, Operation},
    problem::Problem,
    state::Shared,
    time::Time,
};
use crate::{
    command,
    domain::{
        consent::ConsentStatus,
        id::{MeetingId, ParticipantId, UserId},
        participant::{Removal, Role},
    },
    store::participant::{self, Participant},
};
use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(remove))
        .routes(routes!(readmit))
}

/// What a participant last said, per purpose: `accepted`, `declined`, `withdrawn`, or null when it
/// said nothing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConsentState {
    pub recording: Option<ConsentStatus>,
    pub transcription: Option<ConsentStatus>,
}

/// Since when each of these is what it said, or null.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConsentSince {
    pub recording: Option<Time>,
    pub transcription: Option<Time>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Participant)]
pub struct ParticipantView {
    pub id: Uuid,
    pub user_id: Uuid,
    #[schema(example = "Ana")]
    pub display_name: String,
    pub role: Role,
    /// When it first became present.
    pub joined_at: Option<Time>,
    /// When it last ceased to be.
    pub left_at: Option<Time>,
    pub present: bool,
    /// `request` (joining again is refused) or `required` (joining again works, with consent),
    /// until readmitted.
    pub removed: Option<Removal>,
    pub consent: ConsentState,
    pub consent_since: ConsentSince,
}

impl From<Participant> for ParticipantView {
    fn from(row: Participant) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            display_name: row.display_name,
            role: row.role,
            joined_at: row.joined_at.map(Time),
            left_at: row.left_at.map(Time),
            present: row.present,
            removed: row.removed,
            consent: ConsentState {
                recording: row.consent.recording,
                transcription: row.consent.transcription,
            },
            consent_since: ConsentSince {
                recording: row.consent_since.recording.map(Time),
                transcription: row.consent_since.transcription.map(Time),
            },
        }
    }
}

/// Lists a meeting's participants.
#[utoipa::path(
    operation_id = "listParticipants",
    get, path = "/v1/meetings/{id}/participants", tag = "meetings",
    params(("id" = Uuid, Path, description = "Meeting"), PageQuery),
    responses((status = 200, description = "A page of participants", body = Page<ParticipantView>))
)]
async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ParticipantView>>, Problem> {
    let (rows, after) = (query.rows()?, query.after::<Uuid>()?);
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    let meeting = permit::on_meeting(
        &mut tx,
        &caller,
        Operation::ReadParticipants,
        MeetingId(id),
        now,
    )
    .await?;
    let found = participant::list(&mut tx, meeting.id(), after.map(ParticipantId), rows).await?;
    Ok(Json(Page::of(
        found,
        rows,
        |row| row.id,
        ParticipantView::from,
    )))
}

/// Removes a participant.
///
/// Its streams and its socket (4003) are closed, its join and resume tokens void, and joining again
/// is refused. Its consent token stays good. The link that a guest came by is closed to new joins;
/// others who came by it stay. The meeting's host can be removed by the API key only.
#[utoipa::path(
    operation_id = "removeParticipant",
    delete, path = "/v1/meetings/{id}/participants/{participantId}", tag = "meetings",
    params(
        ("id" = Uuid, Path, description = "Meeting"),
        ("participantId" = Uuid, Path, description = "Participant"),
    ),
    responses((status = 204, description = "Removed"))
)]
async fn remove(
    State(state): State<Shared>,
    caller: Caller,
    Path((id, who)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, Problem> {
    let (id, who) = (MeetingId(id), ParticipantId(who));
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    let of = permit::on_meeting(&mut tx, &caller, Operation::RemoveParticipant, id, now).await?;
    let Some(found) = participant::get(&mut tx, id, who).await? else {
        return Err(Problem::not_found("participant"));
    };
    if of.hosted_by(UserId(found.user_id)) && !matches!(caller.who, Who::Server { .. }) {
        return Err(Problem::forbidden(
            "only the API key removes the meeting's host",
        ));
    }
    let effects = command::remove::remove(&mut tx, id, who, Removal::Request).await?;
    tx.commit().await?;
    state.publish(id, effects);
    Ok(StatusCode::NO_CONTENT)
}

/// Readmits a participant.
///
/// Undoes a removal of either kind: joining works again, also by the link that a guest came by. Old
/// tokens stay void. Nothing changes for somebody who was not removed.
#[utoipa::path(
    operation_id = "readmitParticipant",
    post, path = "/v1/meetings/{id}/participants/{participantId}/readmit", tag = "meetings",
    params(
        ("id" = Uuid, Path, description = "Meeting"),
        ("participantId" = Uuid, Path, description = "Participant"),
    ),
    responses((status = 200, description = "The participant", body = ParticipantView))
)]
async fn readmit(
    State(state): State<Shared>,
    caller: Caller,
    Path((id, who)): Path<(Uuid, Uuid)>,
) -> Result<Json<ParticipantView>, Problem> {
    let (id, who) = (MeetingId(id), ParticipantId(who));
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, &caller, Operation::RemoveParticipant, id, now).await?;
    let missing = || Problem::not_found("participant");
    participant::get(&mut tx, id, who)
        .await?
        .ok_or_else(missing)?;
    let effects = command::readmit::readmit(&mut tx, id, who).await?;
    let found = participant::get(&mut tx, id, who)
        .await?
        .ok_or_else(missing)?;
    tx.commit().await?;
    state.publish(id, effects);
    Ok(Json(found.into()))
}
