//! Recordings back from the archive.

use super::{
    auth::Caller,
    body::{Body, Path, Valid},
    idempotency::{Begun, IdempotencyKey, Once},
    permit::Operation,
    problem::{FieldError, Problem},
    recording::{RecordingView, find},
    state::Shared,
    time::Time,
};
use crate::{
    command,
    domain::{
        id::{MeetingId, RecordingId},
        recording::RecordingStatus,
        restore::{self, DAYS_MAX, RestoreSpeed},
    },
    store::{event, recording_list},
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(ask))
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreInput {
    /// How long it is to be readable, from when it is.
    #[schema(minimum = 1, maximum = 365)]
    pub days: u16,
    /// Default `standard`.
    pub speed: Option<RestoreSpeed>,
}

impl Valid for RestoreInput {
    fn check(&self, errors: &mut Vec<FieldError>) {
        if !(1..=DAYS_MAX).contains(&self.days) {
            let detail = format!("must be 1 to {DAYS_MAX}");
            errors.push(FieldError::new("/days", detail));
        }
    }
}

/// A restore that was taken on.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restoring {
    pub recording: RecordingView,
    /// When the file can be fetched, by estimate.
    pub ready_by: Time,
}

/// Has a recording restored from the archive.
///
/// It takes hours; the recording's `restore` says how far it is, and `content` answers 409 until
/// then. Asking again sets a new end where that is later.
#[utoipa::path(
    operation_id = "restoreRecording",
    post, path = "/v1/recordings/{id}/restore", tag = "recordings", params(("id" = Uuid, Path, description = "Recording")),
    request_body(content = RestoreInput, example = json!({"days": 7, "speed": "bulk"})),
    responses(
        (status = 202, description = "It is restored, or is going to be", body = Restoring),
        (status = 409, description = "It can be fetched without, or is not ready"),
        (status = 410, description = "It was deleted"),
    )
)]
async fn ask(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    body: Body<RestoreInput>,
) -> Result<Response, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let found = find(&mut tx, &state, &caller, Operation::RestoreRecording, id).await?;
    let (meeting, recording) = (MeetingId(found.meeting_id), RecordingId(id));
    let route = format!("POST /v1/recordings/{id}/restore");
    let once = Once::new(key, &caller, route, body.hash);
    if let Begun::Replay(replay) = once.begin(&mut tx).await? {
        return Ok(replay);
    }
    // The order in which everybody locks: the head first.
    event::lock(&mut tx, meeting).await?;
    let found = recording_list::get(&mut tx, caller.tenant, recording)
        .await?
        .ok_or_else(|| Problem::not_found("recording"))?;
    if found.deleted_at.is_some() || found.status == RecordingStatus::Deleting {
        return Err(Problem::gone("recording"));
    }
    if found.status != RecordingStatus::Ready {
        return Err(Problem::not_ready(format!(
            "the recording is {}",
            found.status
        )));
    }
    let classes = state.objects.classes();
    if !classes.is_archived(found.storage_class.as_deref(), found.storage_tier) {
        return Err(Problem::not_archived());
    }
    let RestoreInput { days, speed } = body.value;
    let (speed, now) = (speed.unwrap_or_default(), state.clock.now());
    let of = (caller.tenant, meeting);
    let stands = (recording, &found.restore);
    let effects = command::restore::restore(&mut tx, of, stands, (days, speed), now).await?;
    let ready_by = if found.restore.is_readable(now) {
        now
    } else {
        let class = classes.class_of(found.storage_class.as_deref(), found.storage_tier);
        restore::ready_by(class, speed, now)
    };
    let now = recording_list::get(&mut tx, caller.tenant, recording)
        .await?
        .ok_or_else(|| Problem::not_found("recording"))?;
    let answer = Restoring {
        recording: now.into(),
        ready_by: ready_by.into(),
    };
    let answer = once.answer(&mut tx, StatusCode::ACCEPTED, &answer).await?;
    tx.commit().await?;
    state.publish(meeting, effects);
    Ok(answer)
}
