//! Taking one participant out of what was recorded and said.

use super::{
    auth::Caller,
    body::{Body, Path, Query, Valid, check_line},
    idempotency::{Begun, IdempotencyKey, Once},
    ledger_write::{self, Attempt},
    page::{Page, PageQuery},
    permit::{self, Operation},
    problem::{FieldError, Problem},
    state::Shared,
    time::Time,
};
use crate::{
    command::redact,
    domain::{
        consent::Use,
        id::{MeetingId, ParticipantId},
        recording::RecordingKind,
        redaction::{MEETING_MS_MAX, RedactionState},
    },
    store::{
        Tx,
        redaction::{self, Asking, Redaction},
    },
};
use axum::{Json, Router, extract::State, http::StatusCode, response::Response, routing::get};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// Of a reason.
const CHARACTERS_MAX: usize = 500;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(ask))
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(approve))
        .routes(routes!(decline))
}

/// `/v1/keys`: what certificates are checked with, for whoever is shown one (RFC 7517).
pub fn keys() -> Router<Shared> {
    Router::new().route("/v1/keys", get(public_keys))
}

async fn public_keys(State(state): State<Shared>) -> Json<Value> {
    let signer = state.seal.signer();
    Json(json!({"keys": [signer.jwk()]}))
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RedactionRequest)]
pub struct RedactionInput {
    /// Who is taken out.
    pub participant_id: Uuid,
    /// Sound, words, or both.
    #[schema(min_items = 1, max_items = 2, example = json!(["recording", "transcription"]))]
    pub purposes: Vec<Use>,
    /// In milliseconds since the meeting's `startTime`. Null: from the beginning.
    #[schema(minimum = 0, example = 61000)]
    pub from_ms: Option<i64>,
    /// Null: to the end.
    #[schema(minimum = 1, example = 64500)]
    pub to_ms: Option<i64>,
    /// Why, for whoever asks for it later.
    #[schema(min_length = 1, max_length = 500, example = "a phone number was said")]
    pub reason: String,
}

impl Valid for RedactionInput {
    fn check(&self, errors: &mut Vec<FieldError>) {
        if self.purposes.is_empty() || self.purposes.len() > Use::ALL.len() {
            errors.push(FieldError::new("/purposes", "must have 1 or 2 entries"));
        }
        let times = [("/fromMs", self.from_ms, 0), ("/toMs", self.to_ms, 1)];
        for (pointer, time, least) in times {
            if time.is_some_and(|time| !(least..=MEETING_MS_MAX).contains(&time)) {
                let detail = format!("must be {least} to {MEETING_MS_MAX}");
                errors.push(FieldError::new(pointer, detail));
            }
        }
        if let (Some(from), Some(to)) = (self.from_ms, self.to_ms)
            && to <= from
        {
            errors.push(FieldError::new("/toMs", "must be later than fromMs"));
        }
        check_line("/reason", &self.reason, 1, CHARACTERS_MAX, errors);
    }
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RedactionDecline)]
pub struct DeclineInput {
    /// Why, for who asked.
    #[schema(min_length = 1, max_length = 500, example = "it has to be kept by law")]
    pub reason: String,
}

impl Valid for DeclineInput {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check_line("/reason", &self.reason, 1, CHARACTERS_MAX, errors);
    }
}

/// What became of a file.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RedactedFile)]
pub struct RedactedFileView {
    pub id: Uuid,
    pub kind: RecordingKind,
    /// SHA-256 before; null if there was no file yet.
    pub before: Option<String>,
    /// SHA-256 after; null if it was deleted.
    pub after: Option<String>,
}

/// An object that is gone, with all its versions.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = GoneObject)]
pub struct GoneObjectView {
    pub key: String,
    pub sha256: Option<String>,
}

/// What a redaction did. `jws` is the same, signed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RedactionCertificate)]
pub struct CertificateView {
    pub id: Uuid,
    pub meeting_id: Uuid,
    pub participant_id: Uuid,
    pub purposes: Vec<Use>,
    pub from_ms: Option<i64>,
    pub to_ms: Option<i64>,
    pub asked_by: String,
    pub asked_at: Time,
    pub completed_at: Time,
    pub recordings: Vec<RedactedFileView>,
    pub objects: Vec<GoneObjectView>,
    /// Segments of the transcript that were taken back.
    pub segments: i32,
    /// Recorded segments that lie in spools of machines that are away.
    pub spools_outstanding: i64,
    /// Spools that were declared destroyed with what they had of the meeting.
    pub spools_destroyed: i64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Redaction)]
pub struct RedactionView {
    pub id: Uuid,
    pub meeting_id: Uuid,
    pub participant_id: Uuid,
    pub purposes: Vec<Use>,
    /// Null: from the beginning.
    pub from_ms: Option<i64>,
    /// Null: to the end.
    pub to_ms: Option<i64>,
    pub reason: Option<String>,
    /// `api_key:<id>`, `user:<id>`, or `participant:<id>` by its own hand.
    pub asked_by: String,
    pub asked_at: Time,
    pub state: RedactionState,
    /// Who approved or declined it, if that was needed.
    pub decided_by: Option<String>,
    /// Why it was declined.
    pub decision_reason: Option<String>,
    /// What it waits for. It goes on by itself.
    pub error: Option<String>,
    pub completed_at: Option<Time>,
    /// Recorded segments that lie in spools of machines that are away. They are redacted when these
    /// are back.
    pub spools_outstanding: i64,
    /// Spools that were declared destroyed with what they had of the meeting.
    pub spools_destroyed: i64,
    #[schema(value_type = Option<CertificateView>)]
    pub certificate: Option<Value>,
    /// The certificate as a compact JWS (RFC 7515), signed by Ed25519; `/v1/keys` has the key.
    pub jws: Option<String>,
}

impl From<Redaction> for RedactionView {
    fn from(of: Redaction) -> Self {
        Self {
            id: of.id,
            meeting_id: of.meeting.0,
            participant_id: of.participant.0,
            purposes: of.purposes,
            from_ms: of.from_ms,
            to_ms: of.to_ms,
            reason: of.reason,
            asked_by: of.author,
            asked_at: of.asked_at.into(),
            state: of.state,
            decided_by: of.decided_by,
            decision_reason: of.decision_reason,
            error: of.error,
            completed_at: of.completed_at.map(Time::from),
            spools_outstanding: of.spools_outstanding,
            spools_destroyed: of.spools_destroyed,
            certificate: of.certificate,
            jws: of.jws,
        }
    }
}

async fn found(tx: &mut Tx, meeting: MeetingId, id: Uuid) -> Result<RedactionView, Problem> {
    let found = redaction::get(tx, meeting, id).await?;
    Ok(found.ok_or_else(|| Problem::not_found("redaction"))?.into())
}

/// Takes a participant, or a span of one, out of what was recorded and said.
///
/// Words are gone when this answers; the participant's tracks and the mix are `processing` until
/// they are made again without what was taken out. While the meeting is live it waits for its end.
#[utoipa::path(
    operation_id = "createRedaction",
    post, path = "/v1/meetings/{id}/redactions", tag = "recordings",
    params(("id" = Uuid, Path, description = "Meeting")),
    request_body = RedactionInput,
    responses(
        (status = 202, description = "It is carried out", body = RedactionView),
        (status = 429, description = "The meeting has 1000 redactions, or too many requests"),
    )
)]
async fn ask(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    body: Body<RedactionInput>,
) -> Result<Response, Problem> {
    let meeting = MeetingId(id);
    let route = format!("POST /v1/meetings/{id}/redactions");
    let once = Once::new(key, &caller, route, body.hash);
    let input = body.value;
    let asking = Asking {
        participant: ParticipantId(input.participant_id),
        purposes: Use::ALL
            .into_iter()
            .filter(|purpose| input.purposes.contains(purpose))
            .collect(),
        from_ms: input.from_ms,
        to_ms: input.to_ms,
        reason: Some(input.reason),
        author: caller.author(),
        approved: true,
        erasure: None,
    };
    ledger_write::until_current(&state, caller.tenant, || {
        ask_once(&state, &caller, meeting, &once, &asking)
    })
    .await
}

async fn ask_once(
    state: &Shared,
    caller: &Caller,
    meeting: MeetingId,
    once: &Once,
    asking: &Asking,
) -> Result<Response, Attempt> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, caller, Operation::Redact, meeting, now).await?;
    if let Begun::Replay(replay) = once.begin(&mut tx).await? {
        return Ok(replay);
    }
    let (made, effects) = redact::ask(&mut tx, caller.tenant, meeting, asking).await?;
    ledger_write::accept(state, &mut tx, caller.tenant, meeting).await?;
    let view = found(&mut tx, meeting, made).await?;
    let answer = once.answer(&mut tx, StatusCode::ACCEPTED, &view).await?;
    ledger_write::commit(state, tx).await?;
    state.publish(meeting, effects);
    Ok(answer)
}

/// Lists a meeting's redactions, newest first.
#[utoipa::path(
    operation_id = "listRedactions",
    get, path = "/v1/meetings/{id}/redactions", tag = "recordings",
    params(("id" = Uuid, Path, description = "Meeting"), PageQuery),
    responses((status = 200, description = "A page of redactions", body = Page<RedactionView>))
)]
async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<RedactionView>>, Problem> {
    let (rows, before) = (query.rows()?, query.after::<Uuid>()?);
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, &caller, Operation::Redact, MeetingId(id), now).await?;
    let found = redaction::list(&mut tx, MeetingId(id), before, rows).await?;
    Ok(Json(Page::of(
        found,
        rows,
        |redaction| redaction.id,
        RedactionView::from,
    )))
}

/// Reads a redaction.
#[utoipa::path(
    operation_id = "getRedaction",
    get, path = "/v1/meetings/{id}/redactions/{redactionId}", tag = "recordings",
    params(
        ("id" = Uuid, Path, description = "Meeting"), ("redactionId" = Uuid, Path, description = "Redaction")
    ),
    responses((status = 200, description = "The redaction", body = RedactionView))
)]
async fn read(
    State(state): State<Shared>,
    caller: Caller,
    Path((id, redaction)): Path<(Uuid, Uuid)>,
) -> Result<Json<RedactionView>, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, &caller, Operation::Redact, MeetingId(id), now).await?;
    Ok(Json(found(&mut tx, MeetingId(id), redaction).await?))
}

/// Approves a redaction that a participant asked for.
///
/// Repeating changes nothing.
#[utoipa::path(
    operation_id = "approveRedaction",
    post, path = "/v1/meetings/{id}/redactions/{redactionId}/approve", tag = "recordings",
    params(
        ("id" = Uuid, Path, description = "Meeting"), ("redactionId" = Uuid, Path, description = "Redaction")
    ),
    responses(
        (status = 200, description = "It is carried out", body = RedactionView),
        (status = 409, description = "It was declined"),
    )
)]
async fn approve(
    State(state): State<Shared>,
    caller: Caller,
    Path((id, redaction)): Path<(Uuid, Uuid)>,
) -> Result<Json<RedactionView>, Problem> {
    let view = ledger_write::until_current(&state, caller.tenant, || {
        approve_once(&state, &caller, MeetingId(id), redaction)
    })
    .await?;
    Ok(Json(view))
}

async fn approve_once(
    state: &Shared,
    caller: &Caller,
    meeting: MeetingId,
    redaction: Uuid,
) -> Result<RedactionView, Attempt> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, caller, Operation::Redact, meeting, now).await?;
    let effects = redact::approve(&mut tx, meeting, redaction, &caller.author()).await?;
    let view = found(&mut tx, meeting, redaction).await?;
    if view.state == RedactionState::Declined {
        return Err(Problem::not_ready("the redaction was declined").into());
    }
    ledger_write::accept(state, &mut tx, caller.tenant, meeting).await?;
    ledger_write::commit(state, tx).await?;
    if let Some(effects) = effects {
        state.publish(meeting, effects);
    }
    Ok(view)
}

/// Declines a redaction that a participant asked for.
///
/// Repeating changes nothing.
#[utoipa::path(
    operation_id = "declineRedaction",
    post, path = "/v1/meetings/{id}/redactions/{redactionId}/decline", tag = "recordings",
    params(
        ("id" = Uuid, Path, description = "Meeting"), ("redactionId" = Uuid, Path, description = "Redaction")
    ),
    request_body = DeclineInput,
    responses(
        (status = 200, description = "It is declined", body = RedactionView),
        (status = 409, description = "It is carried out"),
    )
)]
async fn decline(
    State(state): State<Shared>,
    caller: Caller,
    Path((id, redaction)): Path<(Uuid, Uuid)>,
    body: Body<DeclineInput>,
) -> Result<Json<RedactionView>, Problem> {
    let meeting = MeetingId(id);
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, &caller, Operation::Redact, meeting, now).await?;
    let (author, reason) = (caller.author(), body.value.reason);
    redact::decline(&mut tx, meeting, redaction, &author, Some(&reason)).await?;
    let view = found(&mut tx, meeting, redaction).await?;
    if view.state != RedactionState::Declined {
        return Err(Problem::not_ready(format!(
            "the redaction is {}",
            view.state
        )));
    }
    tx.commit().await?;
    Ok(Json(view))
}
