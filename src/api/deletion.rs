//! Deleting what was recorded and said, and making a deleted mix again.

use super::{
    auth::Caller,
    body::{Path, Query},
    idempotency::{Begun, IdempotencyKey, Once},
    ledger_write::{self, Attempt},
    permit::{self, Operation},
    problem::Problem,
    recording::RecordingView,
    state::Shared,
};
use crate::{
    command::{delete::Target, mix},
    domain::id::{MeetingId, RecordingId},
    store::{deletion::Asked, recording_list},
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// Of a reason.
const CHARACTERS_MAX: usize = 500;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(delete_recording))
        .routes(routes!(delete_transcript))
        .routes(routes!(delete_meeting))
        .routes(routes!(make_mix))
}

#[derive(Clone, Default, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeletionQuery {
    /// Why, for whoever asks for it later.
    #[param(max_length = 500, example = "the customer asked for it")]
    pub reason: Option<String>,
}

impl DeletionQuery {
    fn asked(self, state: &Shared, caller: &Caller) -> Result<Asked, Problem> {
        let reason = self.reason.filter(|reason| !reason.trim().is_empty());
        if reason
            .as_ref()
            .is_some_and(|reason| reason.chars().count() > CHARACTERS_MAX)
        {
            return Err(Problem::bad_request(format!(
                "reason: at most {CHARACTERS_MAX} characters"
            )));
        }
        Ok(Asked {
            author: caller.author(),
            reason,
            at: state.clock.now(),
            ledger: None,
        })
    }
}

/// Deletes a recording.
///
/// It is `deleting` when this answers, and every copy goes, also when storage is away just now;
/// then reading it answers 410 with its tombstone. With the last track the mix goes, too. Repeating
/// changes nothing.
#[utoipa::path(
    operation_id = "deleteRecording",
    delete, path = "/v1/recordings/{id}", tag = "recordings",
    params(("id" = Uuid, Path, description = "Recording"), DeletionQuery),
    responses(
        (status = 204, description = "It is being deleted, or is"),
        (status = 409, description = "The meeting is live"),
    )
)]
async fn delete_recording(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<DeletionQuery>,
) -> Result<StatusCode, Problem> {
    let asked = query.asked(&state, &caller)?;
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let found = recording_list::get(&mut tx, caller.tenant, RecordingId(id)).await?;
    if let Some(subject) = caller.subject() {
        permit::stands(&mut tx, &caller, subject, state.clock.now()).await?;
    }
    let found = found.ok_or_else(|| Problem::not_found("recording"))?;
    drop(tx);
    let target = Target::Recording(RecordingId(id));
    delete(&state, &caller, MeetingId(found.meeting_id), target, &asked).await
}

/// Deletes a meeting's transcript.
///
/// Every word in every version goes, and stays away. Reading it answers 410 with its tombstone.
/// Recordings stay. Repeating changes nothing.
#[utoipa::path(
    operation_id = "deleteTranscript",
    delete, path = "/v1/meetings/{id}/transcript", tag = "recordings",
    params(("id" = Uuid, Path, description = "Meeting"), DeletionQuery),
    responses(
        (status = 204, description = "It is being deleted, or is"),
        (status = 409, description = "The meeting is live, or has not begun"),
    )
)]
async fn delete_transcript(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<DeletionQuery>,
) -> Result<StatusCode, Problem> {
    let asked = query.asked(&state, &caller)?;
    delete(&state, &caller, MeetingId(id), Target::Transcript, &asked).await
}

/// Deletes a meeting.
///
/// Everything goes but the ConsentLog: recordings, transcript, events, links. Reading it answers
/// 410 with its tombstone; its consents can still be read. Repeating changes nothing.
#[utoipa::path(
    operation_id = "deleteMeeting",
    delete, path = "/v1/meetings/{id}", tag = "meetings",
    params(("id" = Uuid, Path, description = "Meeting"), DeletionQuery),
    responses(
        (status = 204, description = "It is being deleted, or is"),
        (status = 409, description = "The meeting is live"),
    )
)]
async fn delete_meeting(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<DeletionQuery>,
) -> Result<StatusCode, Problem> {
    let asked = query.asked(&state, &caller)?;
    delete(&state, &caller, MeetingId(id), Target::Meeting, &asked).await
}

async fn delete(
    state: &Shared,
    caller: &Caller,
    meeting: MeetingId,
    target: Target,
    asked: &Asked,
) -> Result<StatusCode, Problem> {
    ledger_write::until_current(state, caller.tenant, || {
        delete_once(state, caller, meeting, target, asked)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_once(
    state: &Shared,
    caller: &Caller,
    meeting: MeetingId,
    target: Target,
    asked: &Asked,
) -> Result<(), Attempt> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, caller, Operation::Delete, meeting, now).await?;
    let effects = state
        .ledger
        .delete(&mut tx, caller.tenant, meeting, target, asked.clone())
        .await
        .map_err(|error| ledger_write::refused(state, error))?;
    ledger_write::commit(state, tx).await?;
    state.publish(meeting, effects);
    Ok(())
}

/// Makes a deleted mix again.
///
/// From the tracks that are there, as a new recording with an id of its own. Archived tracks are
/// restored first, which takes hours. While it is processed, repeating answers the same.
#[utoipa::path(
    operation_id = "makeMix",
    post, path = "/v1/meetings/{id}/mix", tag = "recordings",
    params(("id" = Uuid, Path, description = "Meeting")),
    responses(
        (status = 202, description = "It is processed", body = RecordingView),
        (status = 409, description = "There is a mix, no track, or the meeting is live"),
    )
)]
async fn make_mix(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let meeting = MeetingId(id);
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, &caller, Operation::RetryRecording, meeting, now).await?;
    let route = format!("POST /v1/meetings/{id}/mix");
    let once = Once::new(key, &caller, route, [0; 32]);
    if let Begun::Replay(replay) = once.begin(&mut tx).await? {
        return Ok(replay);
    }
    let (made, effects) = mix::make(&mut tx, caller.tenant, meeting).await?;
    let made = recording_list::get(&mut tx, caller.tenant, made)
        .await?
        .ok_or_else(|| Problem::not_found("recording"))?;
    let answer = once
        .answer(&mut tx, StatusCode::ACCEPTED, &RecordingView::from(made))
        .await?;
    tx.commit().await?;
    state.publish(meeting, effects);
    Ok(answer)
}
