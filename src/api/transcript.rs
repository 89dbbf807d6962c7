//! Transcripts: as JSON, captions and text.

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
        correction::TextSource,
        export::{self, ExportSegment, ExportWord, Translated},
        id::{MeetingId, ParticipantId},
        refine::Refinement,
        unheard::TranscriptGapReason,
    },
    store::{
        meeting::Meeting,
        recording_list,
        transcript::{self, FinalSegment},
        unheard,
    },
};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(read))
        .routes(routes!(read_json))
        .routes(routes!(read_vtt))
        .routes(routes!(read_srt))
        .routes(routes!(read_txt))
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Speaker {
    pub id: Uuid,
    #[schema(example = "Ana")]
    pub display_name: String,
}

/// A word with its time, in milliseconds since the meeting's `startTime`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Word {
    #[schema(example = "so")]
    pub text: String,
    #[schema(example = 61230)]
    pub start_ms: i64,
    #[schema(example = 61390)]
    pub end_ms: i64,
    /// 0 to 1.
    #[schema(example = 0.93)]
    pub confidence: f64,
}

/// A final segment in its newest version; the same object as in `transcript_corrected`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TranscriptSegment)]
pub struct SegmentView {
    pub segment_id: Uuid,
    pub revision: i32,
    #[serde(rename = "final")]
    pub is_final: bool,
    pub participant: Speaker,
    /// Milliseconds since the meeting's `startTime`.
    #[schema(example = 61230)]
    pub start_ms: i64,
    #[schema(example = 63410)]
    pub end_ms: i64,
    pub start_at: Option<Time>,
    #[schema(example = "en")]
    pub language: Option<String>,
    #[schema(example = "so the next step")]
    pub text: String,
    /// UTF-16 units of `text` that will not change: all of a final.
    #[schema(value_type = i32, minimum = 0, example = 16)]
    pub stable_chars: usize,
    #[schema(value_type = Vec<Word>, example = json!([
        {"text": "so", "startMs": 61230, "endMs": 61390, "confidence": 0.93}
    ]))]
    pub words: Value,
    pub source: TextSource,
    /// Who edited it: `api_key:<id>` or `user:<id>`; null when nobody did.
    pub author: Option<String>,
    /// Where the meeting's settings ask for it, once it is there.
    pub translation: Option<TranslationView>,
}

/// What a segment says in another language.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Translation)]
pub struct TranslationView {
    #[schema(example = "en")]
    pub language: String,
    pub text: String,
}

impl SegmentView {
    pub(super) fn new(meeting: &Meeting, segment: FinalSegment) -> Self {
        Self {
            segment_id: segment.id,
            revision: segment.revision,
            is_final: true,
            participant: Speaker {
                id: segment.participant_id,
                display_name: segment.display_name,
            },
            start_ms: segment.start_ms,
            end_ms: segment.end_ms,
            start_at: meeting
                .start_time
                .map(|start| Time(start + TimeDelta::milliseconds(segment.start_ms))),
            language: segment.language,
            stable_chars: segment.text.encode_utf16().count(),
            text: segment.text,
            words: segment.words,
            source: segment.source.0,
            author: segment.author,
            translation: segment
                .translated_to
                .zip(segment.translation)
                .map(|(language, text)| TranslationView { language, text }),
        }
    }
}

/// A span in which words of somebody who agreed to transcription may be missing. Until `complete`
/// they are still looked for in what was recorded.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TranscriptGap)]
pub struct MissingView {
    /// Milliseconds since the meeting's `startTime`.
    #[schema(example = 61230)]
    pub start_ms: i64,
    #[schema(example = 63410)]
    pub end_ms: i64,
    pub participant_id: Uuid,
    pub reason: TranscriptGapReason,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Transcript)]
pub struct TranscriptView {
    pub meeting_id: Uuid,
    pub start_time: Option<Time>,
    /// Nothing will be added, but by a refinement.
    pub complete: bool,
    /// Null without `settings.refineModel`, and until the end.
    pub refined: Option<Refinement>,
    #[schema(example = "en")]
    pub language: Option<String>,
    /// Final segments, by time.
    pub segments: Vec<SegmentView>,
    /// Where words are missing, by time.
    pub gaps: Vec<MissingView>,
}

/// A word as its row has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpokenWord {
    text: String,
    start_ms: i64,
    end_ms: i64,
}

struct Found {
    meeting: Meeting,
    head: transcript::Head,
    segments: Vec<FinalSegment>,
    gaps: Vec<unheard::Gap>,
    /// Where the mix begins or would, in milliseconds since the start.
    mix_start_ms: Option<i64>,
}

async fn find(state: &Shared, caller: &Caller, id: Uuid) -> Result<Found, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    let meeting = permit::on_meeting(
        &mut tx,
        caller,
        Operation::ReadTranscript,
        MeetingId(id),
        now,
    )
    .await?;
    Ok(Found {
        head: transcript::head(&mut tx, meeting.id()).await?,
        segments: transcript::segments(&mut tx, meeting.id()).await?,
        gaps: unheard::of_meeting(&mut tx, meeting.id()).await?,
        mix_start_ms: recording_list::mix_start_ms(&mut tx, meeting.id()).await?,
        meeting,
    })
}

impl Found {
    fn said(&self) -> Vec<ExportSegment> {
        self.segments
            .iter()
            .map(|segment| ExportSegment {
                participant: ParticipantId(segment.participant_id),
                speaker: segment.display_name.clone(),
                start_ms: segment.start_ms,
                end_ms: segment.end_ms,
                text: segment.text.clone(),
                translation: segment
                    .translated_to
                    .clone()
                    .zip(segment.translation.clone())
                    .map(|(language, text)| Translated { language, text }),
                words: Vec::<SpokenWord>::deserialize(&segment.words)
                    .unwrap_or_default()
                    .into_iter()
                    .map(|word| ExportWord {
                        text: word.text,
                        start_ms: word.start_ms,
                        end_ms: word.end_ms,
                    })
                    .collect(),
            })
            .collect()
    }
}

fn missing(gap: unheard::Gap) -> MissingView {
    MissingView {
        start_ms: gap.missing.span.start.as_ms(),
        end_ms: gap.missing.span.end.as_ms(),
        participant_id: gap.participant.0,
        reason: gap.why,
    }
}

fn view(found: Found) -> TranscriptView {
    TranscriptView {
        meeting_id: found.meeting.id,
        start_time: found.meeting.start_time.map(Time),
        complete: found.head.complete,
        refined: found.head.refined,
        language: found
            .head
            .language
            .or_else(|| found.meeting.settings.language.clone()),
        gaps: found.gaps.into_iter().map(missing).collect(),
        segments: found
            .segments
            .into_iter()
            .map(|segment| SegmentView::new(&found.meeting, segment))
            .collect(),
    }
}

/// Reads a meeting's transcript.
#[utoipa::path(
    operation_id = "getTranscript",
    get, path = "/v1/meetings/{id}/transcript", tag = "recordings",
    params(("id" = Uuid, Path, description = "Meeting")),
    responses((status = 200, description = "The transcript so far", body = TranscriptView))
)]
async fn read(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<TranscriptView>, Problem> {
    Ok(Json(view(find(&state, &caller, id).await?)))
}

/// Reads a meeting's transcript, as `/transcript`.
#[utoipa::path(
    operation_id = "getTranscriptJson",
    get, path = "/v1/meetings/{id}/transcript.json", tag = "recordings",
    params(("id" = Uuid, Path, description = "Meeting")),
    responses((status = 200, description = "The transcript so far", body = TranscriptView))
)]
async fn read_json(
    state: State<Shared>,
    caller: Caller,
    id: Path<Uuid>,
) -> Result<Json<TranscriptView>, Problem> {
    read(state, caller, id).await
}

/// Reads a meeting's captions as WebVTT.
///
/// Counted from the start of the mix. A cue that began earlier is cut, one that ended earlier is
/// left out.
#[utoipa::path(
    operation_id = "getTranscriptVtt",
    get, path = "/v1/meetings/{id}/transcript.vtt", tag = "recordings",
    params(("id" = Uuid, Path, description = "Meeting")),
    responses((status = 200, description = "Captions so far", body = String, content_type = "text/vtt"))
)]
async fn read_vtt(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    text(&state, &caller, id, "text/vtt; charset=utf-8", export::vtt).await
}

/// Reads a meeting's captions as SRT.
///
/// Counted from the start of the mix. A cue that began earlier is cut, one that ended earlier is
/// left out.
#[utoipa::path(
    operation_id = "getTranscriptSrt",
    get, path = "/v1/meetings/{id}/transcript.srt", tag = "recordings",
    params(("id" = Uuid, Path, description = "Meeting")),
    responses((status = 200, description = "Captions so far", body = String, content_type = "application/x-subrip"))
)]
async fn read_srt(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    text(
        &state,
        &caller,
        id,
        "application/x-subrip; charset=utf-8",
        export::srt,
    )
    .await
}

/// Reads a meeting's transcript as text, a line per paragraph.
#[utoipa::path(
    operation_id = "getTranscriptText",
    get, path = "/v1/meetings/{id}/transcript.txt", tag = "recordings",
    params(("id" = Uuid, Path, description = "Meeting")),
    responses((status = 200, description = "The transcript so far", body = String, content_type = "text/plain"))
)]
async fn read_txt(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    text(
        &state,
        &caller,
        id,
        "text/plain; charset=utf-8",
        |said, _| export::txt(said),
    )
    .await
}

/// Words of people: kept by no cache, and taken by no browser for anything but what they are.
async fn text(
    state: &Shared,
    caller: &Caller,
    id: Uuid,
    media_type: &'static str,
    write: impl Fn(&[ExportSegment], i64) -> String,
) -> Result<Response, Problem> {
    let found = find(state, caller, id).await?;
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    // Captions count from the beginning of the file that they are shown with.
    Ok((
        headers,
        write(&found.said(), found.mix_start_ms.unwrap_or(0)),
    )
        .into_response())
}
