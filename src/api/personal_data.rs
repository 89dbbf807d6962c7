//! What is held about one person.

use super::{
    auth::Caller,
    body::{Path, Query},
    consent::ConsentView,
    page::PageQuery,
    permit::{self, Operation},
    problem::Problem,
    state::Shared,
    time::Time,
    user::Profile,
};
use crate::{
    domain::{
        id::{MeetingId, ParticipantId, UserId},
        participant::Role,
        recording::RecordingStatus,
        stream::MediaSource,
    },
    store::{
        Tx, consent,
        erasure::{self, Attended},
        recording_list, spoken, user,
    },
};
use axum::{Json, extract::State};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// Meetings in one answer: each has all that was said in it.
const MEETINGS_MAX: i64 = 20;
/// Entries of the ConsentLog, and recordings, of one person in one meeting.
const ROWS_MAX: i64 = 1_000;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read))
}

/// A track of the person.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PersonalRecording)]
pub struct PersonalRecordingView {
    pub id: Uuid,
    pub source: Option<MediaSource>,
    pub status: RecordingStatus,
    pub start_ms: i64,
    pub duration_ms: Option<i64>,
    /// Where it is fetched, with the credential of this request.
    #[schema(example = "https://hansard.example.org/v1/recordings/…/content")]
    pub content_url: String,
}

/// What the person said.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PersonalWords)]
pub struct PersonalWordsView {
    pub segment_id: Uuid,
    pub start_ms: i64,
    pub end_ms: i64,
    pub text: String,
}

/// What is held of the person in one meeting.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PersonalMeeting)]
pub struct PersonalMeetingView {
    pub meeting_id: Uuid,
    pub start_time: Option<Time>,
    pub participant_id: Uuid,
    pub role: Role,
    pub joined_at: Option<Time>,
    pub left_at: Option<Time>,
    pub consents: Vec<ConsentView>,
    pub recordings: Vec<PersonalRecordingView>,
    pub segments: Vec<PersonalWordsView>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PersonalData)]
pub struct PersonalDataView {
    pub user: Profile,
    /// Of meetings, oldest first.
    pub data: Vec<PersonalMeetingView>,
    /// Give it as `cursor` for what follows; null at the end.
    pub next_cursor: Option<String>,
}

/// Reads what is held about a person.
///
/// The profile, and of each meeting: when it was there, what it said about consent, its own tracks
/// and its own words. At most 20 meetings at a time. What others said about the person is theirs.
#[utoipa::path(
    operation_id = "getPersonalData",
    get, path = "/v1/users/{id}/data", tag = "users",
    params(("id" = Uuid, Path, description = "User"), PageQuery),
    responses((status = 200, description = "What is held", body = PersonalDataView))
)]
async fn read(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Result<Json<PersonalDataView>, Problem> {
    let rows = query.rows()?.min(MEETINGS_MAX + 1);
    let after = query.after::<Uuid>()?;
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let found = user::of(&mut tx, caller.tenant, UserId(id)).await?;
    if let Some(subject) = caller.subject() {
        permit::stands(&mut tx, &caller, subject, state.clock.now()).await?;
    }
    let user = found.ok_or_else(|| Problem::not_found("user"))?;
    permit::at_all(&caller, Operation::ReadPersonalData)?;
    let mut attended = erasure::attended(&mut tx, caller.tenant, UserId(id), after, rows).await?;
    let more = attended.len() as i64 == rows;
    if more {
        attended.pop();
    }
    let next_cursor = attended
        .last()
        .filter(|_| more)
        .map(|last| URL_SAFE_NO_PAD.encode(format!("\"{}\"", last.meeting_id)));
    let mut data = Vec::with_capacity(attended.len());
    for one in attended {
        data.push(meeting(&mut tx, &state, one).await?);
    }
    Ok(Json(PersonalDataView {
        user: user.into(),
        data,
        next_cursor,
    }))
}

async fn meeting(
    tx: &mut Tx,
    state: &Shared,
    of: Attended,
) -> Result<PersonalMeetingView, Problem> {
    let (meeting, who) = (MeetingId(of.meeting_id), ParticipantId(of.participant_id));
    let consents = consent::page(tx, meeting, Some(who), 0, ROWS_MAX).await?;
    let recordings = recording_list::list(tx, meeting, None, ROWS_MAX).await?;
    let own = recordings
        .into_iter()
        .filter(|one| one.participant_id == Some(who.0));
    let segments = spoken::of(tx, meeting, who).await?;
    Ok(PersonalMeetingView {
        meeting_id: meeting.0,
        start_time: of.start_time.map(Time::from),
        participant_id: who.0,
        role: of.role.0,
        joined_at: of.joined_at.map(Time::from),
        left_at: of.left_at.map(Time::from),
        consents: consents.into_iter().map(ConsentView::from).collect(),
        recordings: own
            .map(|one| PersonalRecordingView {
                content_url: format!(
                    "{}/v1/recordings/{}/content",
                    state.address.public_url(),
                    one.id
                ),
                id: one.id,
                source: one.source,
                status: one.status,
                start_ms: one.start_ms,
                duration_ms: one.duration_ms,
            })
            .collect(),
        segments: segments
            .into_iter()
            .map(|said| PersonalWordsView {
                segment_id: said.id,
                start_ms: said.start_ms,
                end_ms: said.end_ms,
                text: said.text,
            })
            .collect(),
    })
}
