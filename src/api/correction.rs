//! Corrections of transcripts: edits of final segments, and their earlier versions.

use super::{
    auth::Caller,
    body::{Body, Path, Query, Valid, check_line},
    idempotency::{Begun, IdempotencyKey, Once},
    page::{Page, PageQuery},
    permit::{self, Operation},
    problem::{FieldError, Problem},
    state::Shared,
    time::Time,
    transcript::{SegmentView, Word},
};
use crate::{
    command::correct::{self, Correction, Outcome, Replaced},
    domain::{
        correction::{self, REPLACED_MAX, Refusal, Replacing, TEXT_CHARS_MAX, TextSource},
        id::{MeetingId, SegmentId},
    },
    store::{
        Tx,
        correction::{self as stored, Version},
        meeting::Meeting,
        transcript,
    },
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// Characters of what is looked for, and of what is put in its place.
const FIND_CHARS_MAX: usize = 200;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(edit))
        .routes(routes!(replace))
        .routes(routes!(revisions))
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TranscriptEdit)]
pub struct EditInput {
    /// One line; runs of spaces become one. Empty: nothing was said, captions and texts leave the
    /// segment out.
    #[schema(min_length = 0, max_length = 5000, example = "So, the next step.")]
    pub text: String,
    /// The segment's `revision` that the edit was made from.
    #[schema(minimum = 1, example = 3)]
    pub base_revision: i32,
}

impl Valid for EditInput {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check_line("/text", &self.text, 0, TEXT_CHARS_MAX, errors);
        if self.base_revision < 1 {
            errors.push(FieldError::new("/baseRevision", "must be at least 1"));
        }
    }
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TranscriptReplacement)]
pub struct ReplaceInput {
    /// What to look for, within segments.
    #[schema(min_length = 1, max_length = 200, example = "hand sard")]
    pub find: String,
    #[schema(max_length = 200, example = "Hansard")]
    pub replace: String,
    /// Default false.
    pub match_case: Option<bool>,
    /// Only whole words. Default false.
    pub whole_word: Option<bool>,
}

impl Valid for ReplaceInput {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check_line("/find", &self.find, 1, FIND_CHARS_MAX, errors);
        check_line("/replace", &self.replace, 0, FIND_CHARS_MAX, errors);
    }
}

/// A segment that was changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChangedSegment)]
pub struct ChangedView {
    pub segment_id: Uuid,
    /// What it is now.
    pub revision: i32,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Replaced)]
pub struct ReplacedView {
    /// Occurrences that were replaced.
    #[schema(value_type = i32, minimum = 0)]
    pub replaced: usize,
    /// By time.
    pub segments: Vec<ChangedView>,
}

/// A version of a segment.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TranscriptRevision)]
pub struct RevisionView {
    pub revision: i32,
    pub source: TextSource,
    /// Who edited it: `api_key:<id>` or `user:<id>`; null when nobody did.
    pub author: Option<String>,
    /// When this version was made.
    pub at: Time,
    #[schema(example = "en")]
    pub language: Option<String>,
    pub text: String,
    #[schema(value_type = Vec<Word>)]
    pub words: Value,
}

impl From<Version> for RevisionView {
    fn from(version: Version) -> Self {
        Self {
            revision: version.revision,
            source: version.source.0,
            author: version.author,
            at: Time(version.at),
            language: version.language,
            text: version.text,
            words: version.words,
        }
    }
}

/// Why there is no such final.
async fn missing(tx: &mut Tx, meeting: &Meeting) -> Result<Problem, Problem> {
    let complete = transcript::head(tx, meeting.id()).await?.complete;
    Ok(if complete {
        Problem::not_found("segment")
    } else {
        Problem::not_final()
    })
}

/// Edits a final segment.
///
/// Its words are placed anew over its span; the earlier version is kept. 409 `stale` when the
/// segment has another revision by now, `not_final` when no final has this id yet. The same edit
/// sent again changes nothing.
#[utoipa::path(
    operation_id = "editTranscriptSegment",
    patch, path = "/v1/meetings/{id}/transcript/{segmentId}", tag = "recordings",
    params(("id" = Uuid, Path, description = "Meeting"), ("segmentId" = Uuid, Path, description = "Segment")),
    request_body = EditInput,
    responses((status = 200, description = "The segment as it is now", body = SegmentView))
)]
async fn edit(
    State(state): State<Shared>,
    caller: Caller,
    Path((id, segment)): Path<(Uuid, Uuid)>,
    body: Body<EditInput>,
) -> Result<Json<SegmentView>, Problem> {
    let (id, segment) = (MeetingId(id), SegmentId(segment));
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    let meeting = permit::on_meeting(&mut tx, &caller, Operation::EditTranscript, id, now).await?;
    let asked = Correction {
        segment,
        base: body.value.base_revision,
        text: correction::line(&body.value.text),
        words: None,
        language: None,
    };
    let author = caller.author();
    let (outcomes, effects) =
        correct::correct(&mut tx, id, TextSource::Edit, Some(&author), vec![asked]).await?;
    match outcomes.first() {
        Some(Outcome::Corrected(_) | Outcome::Unchanged(_)) => {}
        Some(Outcome::Refused(Refusal::Stale { current } | Refusal::Edited { current })) => {
            return Err(Problem::stale(*current));
        }
        Some(Outcome::Missing) | None => return Err(missing(&mut tx, &meeting).await?),
    }
    let edited = transcript::segment(&mut tx, id, segment)
        .await?
        .ok_or_else(|| Problem::not_found("segment"))?;
    tx.commit().await?;
    state.publish(id, effects);
    Ok(Json(SegmentView::new(&meeting, edited)))
}

/// Replaces a text in all final segments of a meeting, in one go.
///
/// At most 1000 segments are changed; 422 when it is in more. The answer names segments, not what
/// they say.
#[utoipa::path(
    operation_id = "replaceInTranscript",
    post, path = "/v1/meetings/{id}/transcript/replace", tag = "recordings",
    params(("id" = Uuid, Path, description = "Meeting")),
    request_body = ReplaceInput,
    responses((status = 200, description = "What was replaced", body = ReplacedView))
)]
async fn replace(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    body: Body<ReplaceInput>,
) -> Result<Response, Problem> {
    let id = MeetingId(id);
    let route = format!("POST /v1/meetings/{id}/transcript/replace");
    let once = Once::new(key, &caller, route, body.hash);
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, &caller, Operation::EditTranscript, id, now).await?;
    if let Begun::Replay(replay) = once.begin(&mut tx).await? {
        return Ok(replay);
    }
    let ReplaceInput {
        find,
        replace,
        match_case,
        whole_word,
    } = body.value;
    let replacing = Replacing {
        find: &find,
        replace: &replace,
        match_case: match_case.unwrap_or(false),
        whole_word: whole_word.unwrap_or(false),
    };
    let (replaced, segments, effects) =
        match correct::replace(&mut tx, id, &caller.author(), &replacing, REPLACED_MAX).await? {
            Replaced::Done(replaced, segments, effects) => (replaced, segments, effects),
            Replaced::TooMany(found) => {
                return Err(Problem::field(
                    "/find",
                    format!(
                        "is in {found} segments; at most {REPLACED_MAX} are changed at once: \
                         narrow it with matchCase or wholeWord, or by more words"
                    ),
                ));
            }
        };
    let changed = ReplacedView {
        replaced,
        segments: segments
            .into_iter()
            .map(|(segment, revision)| ChangedView {
                segment_id: segment.0,
                revision,
            })
            .collect(),
    };
    let answer = once.answer(&mut tx, StatusCode::OK, &changed).await?;
    tx.commit().await?;
    state.publish(id, effects);
    Ok(answer)
}

/// Lists the versions of a final segment, newest first.
///
/// A withdrawal erases all of them.
#[utoipa::path(
    operation_id = "listTranscriptRevisions",
    get, path = "/v1/meetings/{id}/transcript/{segmentId}/revisions", tag = "recordings",
    params(
        ("id" = Uuid, Path, description = "Meeting"), ("segmentId" = Uuid, Path, description = "Segment"),
        PageQuery
    ),
    responses((status = 200, description = "A page of versions", body = Page<RevisionView>))
)]
async fn revisions(
    State(state): State<Shared>,
    caller: Caller,
    Path((id, segment)): Path<(Uuid, Uuid)>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<RevisionView>>, Problem> {
    let (rows, before) = (query.rows()?, query.after()?);
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    let operation = Operation::ReadRevisions;
    let meeting = permit::on_meeting(&mut tx, &caller, operation, MeetingId(id), now).await?;
    let found = stored::versions(&mut tx, meeting.id(), SegmentId(segment), before, rows).await?;
    if found.is_empty() && before.is_none() {
        return Err(Problem::not_found("segment"));
    }
    Ok(Json(Page::of(
        found,
        rows,
        |version| version.revision,
        RevisionView::from,
    )))
}
