//! Recordings: list, read, fetch.

use super::{
    auth::Caller,
    body::{Path, Query},
    idempotency::{Begun, IdempotencyKey, Once},
    page::{Page, PageQuery},
    permit::{self, Operation},
    problem::Problem,
    restore_view::RestoreView,
    state::Shared,
    time::Time,
};
use crate::{
    command,
    domain::{
        deletion::Deletable,
        fault::Away,
        id::{MeetingId, RecordingId},
        media_type::MediaType,
        recording::{Gap, GapReason, RecordingKind, RecordingStatus},
        restore::RestoreState,
        stream::MediaSource,
        tiering::Tier,
    },
    objects::{Disposition, Verb},
    store::{
        Tx, deletion, event,
        recording_list::{self, ListedRecording},
        tier,
    },
};
use axum::{
    Json,
    extract::State,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// How long a presigned URL is good.
const CONTENT_TTL: Duration = Duration::from_secs(300);

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(content))
        .routes(routes!(retry))
}

/// A span that is not in a file, in milliseconds since the meeting's `startTime`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Gap)]
pub struct GapView {
    #[schema(example = 4000)]
    pub start_ms: i64,
    #[schema(example = 9000)]
    pub end_ms: i64,
    pub reason: GapReason,
}

impl From<Gap> for GapView {
    fn from(gap: Gap) -> Self {
        Self {
            start_ms: gap.start_ms,
            end_ms: gap.end_ms,
            reason: gap.reason,
        }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Recording)]
pub struct RecordingView {
    pub id: Uuid,
    pub meeting_id: Uuid,
    pub kind: RecordingKind,
    /// Null for a mix.
    pub participant_id: Option<Uuid>,
    /// Null for a mix.
    pub source: Option<MediaSource>,
    #[schema(example = "audio/webm")]
    pub media_type: String,
    pub blob_url: Option<String>,
    /// Where in the meeting the file begins, in milliseconds since its `startTime`.
    #[schema(example = 1230)]
    pub start_ms: i64,
    pub duration_ms: Option<i64>,
    /// Whole seconds, rounded.
    pub duration_seconds: Option<i32>,
    /// What is not in the file.
    #[schema(example = json!([{"startMs": 4000, "endMs": 9000, "reason": "muted"}]))]
    pub gaps: Vec<GapView>,
    pub storage_tier: Tier,
    pub restore: RestoreView,
    pub status: RecordingStatus,
    /// 0 to 1 while it is processed.
    pub progress: Option<f32>,
    pub error: Option<String>,
    /// What it waits for while it is `processing`. It goes on by itself.
    pub waiting_for: Option<Away>,
    pub size_bytes: Option<i64>,
    pub sha256: Option<String>,
    pub created_at: Time,
    /// When it is deleted, as the meeting's `retentionDays` or the tenant's say; null while it is
    /// held.
    pub expires_at: Option<Time>,
}

impl From<ListedRecording> for RecordingView {
    fn from(row: ListedRecording) -> Self {
        Self {
            id: row.id,
            meeting_id: row.meeting_id,
            kind: row.kind,
            participant_id: row.participant_id,
            source: row.source,
            media_type: row.media_type,
            blob_url: row.blob_url,
            start_ms: row.start_ms,
            duration_ms: row.duration_ms,
            duration_seconds: row.duration_seconds,
            gaps: row.gaps.into_iter().map(GapView::from).collect(),
            storage_tier: row.storage_tier,
            restore: RestoreView::new(row.restore, row.read_at),
            status: row.status,
            progress: row.progress,
            error: row.error,
            waiting_for: row.waiting_for,
            size_bytes: row.size_bytes,
            sha256: row.sha256,
            created_at: row.created_at.into(),
            expires_at: row.expires_at.map(Time),
        }
    }
}

/// Lists a meeting's recordings.
#[utoipa::path(
    operation_id = "listRecordings",
    get, path = "/v1/meetings/{id}/recordings", tag = "recordings",
    params(("id" = Uuid, Path, description = "Meeting"), PageQuery),
    responses((status = 200, description = "A page of recordings", body = Page<RecordingView>))
)]
async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<RecordingView>>, Problem> {
    let (rows, after) = (query.rows()?, query.after::<Uuid>()?);
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    let meeting = permit::on_meeting(
        &mut tx,
        &caller,
        Operation::ReadRecordings,
        MeetingId(id),
        now,
    )
    .await?;
    let found = recording_list::list(&mut tx, meeting.id(), after.map(RecordingId), rows).await?;
    Ok(Json(Page::of(
        found,
        rows,
        |row| row.id,
        RecordingView::from,
    )))
}

/// A recording that the caller may read.
pub(super) async fn find(
    tx: &mut Tx,
    state: &Shared,
    caller: &Caller,
    operation: Operation,
    id: Uuid,
) -> Result<ListedRecording, Problem> {
    let found = recording_list::get(tx, caller.tenant, RecordingId(id)).await?;
    if let Some(subject) = caller.subject() {
        permit::stands(tx, caller, subject, state.clock.now()).await?;
    }
    let found = found.ok_or_else(|| Problem::not_found("recording"))?;
    let meeting = MeetingId(found.meeting_id);
    permit::on_meeting(tx, caller, operation, meeting, state.clock.now()).await?;
    Ok(found)
}

/// The answer about a recording that is deleted, or about to be.
async fn gone(tx: &mut Tx, found: &ListedRecording) -> Result<Problem, Problem> {
    let meeting = MeetingId(found.meeting_id);
    let tombstone = deletion::tombstone(tx, meeting, Deletable::Recording, found.id).await?;
    Ok(tombstone.map_or_else(|| Problem::gone("recording"), Problem::deleted))
}

/// A recording with a file that the caller may have.
pub(super) async fn ready(
    tx: &mut Tx,
    state: &Shared,
    caller: &Caller,
    id: Uuid,
) -> Result<ListedRecording, Problem> {
    let found = find(tx, state, caller, Operation::ReadRecordings, id).await?;
    if found.deleted_at.is_some() || found.status == RecordingStatus::Deleting {
        return Err(gone(tx, &found).await?);
    }
    if !state.ledger.is_current() {
        return Err(Problem::unavailable(
            "it is not known yet whether this was deleted: object storage does not answer, or its ledger does not hold",
        ));
    }
    if found.status != RecordingStatus::Ready {
        return Err(Problem::not_ready(format!(
            "the recording is {}",
            found.status
        )));
    }
    Ok(found)
}

/// Reads a recording.
#[utoipa::path(
    operation_id = "getRecording",
    get, path = "/v1/recordings/{id}", tag = "recordings", params(("id" = Uuid, Path, description = "Recording")),
    responses(
        (status = 200, description = "The recording", body = RecordingView),
        (status = 410, description = "It was deleted"),
    )
)]
async fn read(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<RecordingView>, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let found = find(&mut tx, &state, &caller, Operation::ReadRecordings, id).await?;
    if found.deleted_at.is_some() {
        return Err(gone(&mut tx, &found).await?);
    }
    Ok(Json(found.into()))
}

#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ContentQuery {
    /// Whether a browser is to save it rather than play it.
    #[serde(default)]
    #[param(required = false, default = false)]
    pub download: bool,
    /// False: the URL is answered, not redirected to.
    #[serde(default = "yes")]
    #[param(required = false, default = true)]
    pub redirect: bool,
}

impl Default for ContentQuery {
    fn default() -> Self {
        Self {
            download: false,
            redirect: true,
        }
    }
}

const fn yes() -> bool {
    true
}

/// Where a recording's file is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContentLink {
    /// Presigned: the link is the permission. Takes `Range`. To be fetched without any credential
    /// of this API: the object storage is another server.
    pub url: String,
    pub expires_at: Time,
}

/// Fetches a recording's file.
///
/// Redirects to a URL of the object storage that is good for five minutes and takes `Range`; with
/// `redirect=false` answers that URL. `HEAD` leads to a URL that is signed for `HEAD`. A client
/// that sends `Authorization` on to wherever it is redirected (`wget --header`, Python's `urllib`,
/// `curl --location-trusted`) shows this API's key to the object storage, which refuses it: such a
/// client asks with `redirect=false` and fetches the URL without a credential. `curl -L`, browsers,
/// Python's `requests` and `httpx`, Node's `fetch`, Go and reqwest keep it to themselves.
#[utoipa::path(
    operation_id = "getRecordingContent",
    get, path = "/v1/recordings/{id}/content", tag = "recordings",
    params(("id" = Uuid, Path, description = "Recording"), ContentQuery),
    responses(
        (status = 200, description = "Where the file is, with `redirect=false`", body = ContentLink),
        (status = 302, description = "Where the file is", headers(("Location" = String, description = "Presigned URL"))),
        (status = 409, description = "Not ready, or archived"),
        (status = 410, description = "It was deleted"),
    )
)]
async fn content(
    State(state): State<Shared>,
    method: Method,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<ContentQuery>,
) -> Result<Response, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let found = ready(&mut tx, &state, &caller, id).await?;
    if found.is_archived(state.objects.classes()) {
        return Err(archived(&found));
    }
    let key = found
        .blob_url
        .as_deref()
        .and_then(|url| state.objects.key(url))
        .ok_or_else(|| {
            Problem::internal(format!(
                "recording {id} is ready and names no object of this bucket"
            ))
        })?;
    let disposition = if query.download {
        Disposition::Attachment
    } else {
        Disposition::Inline
    };
    // A signature names its method: a HEAD that follows the redirect would be refused with a GET's.
    let verb = if method == Method::HEAD && query.redirect {
        Verb::Head
    } else {
        Verb::Get
    };
    if verb == Verb::Get {
        let (meeting, now) = (MeetingId(found.meeting_id), state.clock.now());
        let place = tier::played(&mut tx, meeting, RecordingId(id), now).await?;
        let classes = state.objects.classes();
        let is_moving =
            place.is_some_and(|(tier, class)| classes.is_archived(class.as_deref(), tier));
        if is_moving && !found.restore.is_readable(found.read_at) {
            return Err(archived(&found));
        }
    }
    tx.commit().await?;
    let expires_at = Time(state.clock.now() + CONTENT_TTL);
    let url = state
        .objects
        .presign(
            verb,
            key,
            &file_name(&found),
            &found.media_type,
            disposition,
            CONTENT_TTL,
        )
        .await
        .map_err(Problem::internal)?;
    let no_store = (header::CACHE_CONTROL, "no-store".to_owned());
    Ok(if query.redirect {
        (StatusCode::FOUND, [(header::LOCATION, url), no_store]).into_response()
    } else {
        ([no_store], Json(ContentLink { url, expires_at })).into_response()
    })
}

fn archived(found: &ListedRecording) -> Problem {
    Problem::not_ready(match found.restore.state(found.read_at) {
        RestoreState::Running => "the recording is being restored: try again later",
        _ => "the recording is archived: restore it first",
    })
}

/// Makes failed files again.
///
/// All files of the meeting that failed are `processing` again, and those who listen hear
/// `finalising` and a second end. What is `processing` already stays as it is.
#[utoipa::path(
    operation_id = "retryRecording",
    post, path = "/v1/recordings/{id}/retry", tag = "recordings", params(("id" = Uuid, Path, description = "Recording")),
    responses(
        (status = 202, description = "It is processed", body = RecordingView),
        (status = 409, description = "It has not failed"),
        (status = 410, description = "It was deleted"),
    )
)]
async fn retry(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let found = find(&mut tx, &state, &caller, Operation::RetryRecording, id).await?;
    let meeting = MeetingId(found.meeting_id);
    let once = Once::new(
        key,
        &caller,
        format!("POST /v1/recordings/{id}/retry"),
        [0; 32],
    );
    if let Begun::Replay(replay) = once.begin(&mut tx).await? {
        return Ok(replay);
    }
    if found.deleted_at.is_some() || found.status == RecordingStatus::Deleting {
        return Err(gone(&mut tx, &found).await?);
    }
    // The order in which everybody locks: the head first.
    event::lock(&mut tx, meeting).await?;
    let found = recording_list::get(&mut tx, caller.tenant, RecordingId(id))
        .await?
        .ok_or_else(|| Problem::not_found("recording"))?;
    let effects = match found.status {
        RecordingStatus::Processing => None,
        RecordingStatus::Failed => {
            Some(command::retry::files(&mut tx, caller.tenant, meeting).await?)
        }
        status => {
            return Err(Problem::not_ready(format!(
                "the recording is {status}: only one that failed is made again"
            )));
        }
    };
    let now = recording_list::get(&mut tx, caller.tenant, RecordingId(id))
        .await?
        .ok_or_else(|| Problem::not_found("recording"))?;
    let answer = once
        .answer(&mut tx, StatusCode::ACCEPTED, &RecordingView::from(now))
        .await?;
    tx.commit().await?;
    if let Some(effects) = effects {
        state.publish(meeting, effects);
    }
    Ok(answer)
}

/// A name that tells a meeting's files apart in a folder of downloads.
pub fn file_name(recording: &ListedRecording) -> String {
    let extension = recording
        .media_type
        .parse()
        .map_or("bin", MediaType::extension);
    let day = recording.created_at.format("%Y-%m-%d");
    let meeting = recording.meeting_id.simple().to_string();
    let meeting = &meeting[meeting.len() - 8..];
    match (recording.kind, &recording.display_name) {
        (RecordingKind::Mix, _) | (_, None) => format!("meeting-{day}-{meeting}.{extension}"),
        (_, Some(name)) => {
            let name: String = name
                .chars()
                .map(|c| if c.is_alphanumeric() { c } else { '-' })
                .collect();
            let source = recording
                .source
                .map_or(recording.kind.as_str(), MediaSource::as_str);
            format!(
                "meeting-{day}-{meeting}-{}-{source}.{extension}",
                name.trim_matches('-')
            )
        }
    }
}
