//! Consent: grant, decline, withdraw, read. What such a request does: [`super::consent_request`].

use super::{
    auth::{Caller, Who},
    body::{Body, Path, Query, Valid, check_text},
    consent_request::{self, ConsentRequest, Outcome},
    idempotency::{self, IdempotencyKey, Once},
    ledger_write::{self, Attempt},
    limit::Client,
    page::{Page, PageQuery},
    permit::{self, Operation},
    problem::{FieldError, Problem},
    state::Shared,
    time::Time,
};
use crate::{
    command::redact,
    domain::{
        consent::{ConsentStatus, ConsentType, Use},
        id::{ConsentId, MeetingId, ParticipantId, Request, UserId},
        redaction::RedactionState,
        tenant_settings::SelfErasure,
    },
    store::{
        consent::{self, ConsentDecision, Entry, STATEMENT_CHARS_MAX},
        new_id,
        redaction::Asking,
        tenant,
    },
};
use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use chrono::SubsecRound;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(say))
        .routes(routes!(list))
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsentInput {
    pub meeting_id: Uuid,
    pub consent_type: ConsentType,
    pub status: ConsentStatus,
    /// With an API key: whose consent it is. Everybody else speaks for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Uuid>,
    /// The words that were agreed to, kept with the entry.
    #[schema(max_length = 2000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// With `withdrawn`: what was recorded and said before for these purposes is to go, too. The
    /// tenant's `selfErasure` says whether that is done at once, has to be approved, or is refused.
    /// By one's own hand until 30 days after the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erase: Option<bool>,
}

impl ConsentInput {
    /// The request that says this, when it names a key: the same by REST and on a socket, so what is
    /// hashed is what was read, not the bytes that it came in.
    pub fn request(&self, caller: &Caller, key: IdempotencyKey) -> Option<Request> {
        let body = serde_json::to_vec(self).expect("it is plain JSON");
        let route = "POST /v1/users/consent".to_owned();
        Once::new(key, caller, route, Sha256::digest(body).into()).into_request()
    }
}

impl Valid for ConsentInput {
    fn check(&self, errors: &mut Vec<FieldError>) {
        if let Some(statement) = &self.statement {
            check_text("/statement", statement, 1, STATEMENT_CHARS_MAX, errors);
        }
        if self.erase == Some(true) && self.status != ConsentStatus::Withdrawn {
            errors.push(FieldError::new("/erase", "is for withdrawals only"));
        }
    }
}

/// An entry of the ConsentLog.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Consent)]
pub struct ConsentView {
    pub id: Uuid,
    pub meeting_id: Uuid,
    pub participant_id: Uuid,
    pub consent_type: ConsentType,
    #[schema(example = json!(["recording", "transcription"]))]
    pub purposes: Vec<Use>,
    pub status: ConsentStatus,
    pub accepted: bool,
    /// Who said it: `self`, or `api_key` with the key's id.
    #[schema(example = "self")]
    pub actor: String,
    /// Null also when it was erased.
    pub statement: Option<String>,
    /// Of the entry's form in the chain. In 1 the statement is hashed itself, from 2 on
    /// `statementHash`.
    #[schema(example = 2)]
    pub version: i16,
    /// Hex SHA-256 of `statementSalt` followed by the statement.
    pub statement_hash: Option<String>,
    /// As long as the statement is there.
    pub statement_salt: Option<String>,
    /// A withdrawal acts from here on.
    pub timestamp: Time,
    /// Its place in the meeting's chain: 1, 2, 3 …
    pub entry: i64,
    /// Hex SHA-256 of `prevHash` and the entry.
    pub hash: String,
    pub prev_hash: String,
    /// What came of `erase`; null where that was not asked for, or the tenant's `selfErasure` is
    /// `off`.
    pub redaction: Option<OwnRedactionView>,
}

/// A redaction by one's own hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OwnRedaction)]
pub struct OwnRedactionView {
    pub id: Uuid,
    pub state: RedactionState,
}

impl From<Entry> for ConsentView {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id.0,
            meeting_id: entry.meeting.0,
            participant_id: entry.participant.0,
            consent_type: entry.consent_type,
            purposes: entry.purposes,
            status: entry.status,
            accepted: entry.status.accepts(),
            actor: entry.actor,
            statement: entry.statement,
            version: entry.version,
            statement_hash: entry.statement_hash,
            statement_salt: entry.statement_salt,
            timestamp: entry.timestamp.into(),
            entry: entry.entry,
            hash: entry.hash,
            prev_hash: entry.prev_hash,
            redaction: None,
        }
    }
}

/// A withdrawal that acts and is written down, and will stand in the log once the database is back.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsentReceipt {
    pub id: Uuid,
    pub meeting_id: Uuid,
    pub participant_id: Uuid,
    pub consent_type: ConsentType,
    pub status: ConsentStatus,
    pub timestamp: Time,
}

impl From<ConsentDecision> for ConsentReceipt {
    fn from(decision: ConsentDecision) -> Self {
        Self {
            id: decision.id.0,
            meeting_id: decision.meeting.0,
            participant_id: decision.participant.0,
            consent_type: decision.consent_type,
            status: decision.status,
            timestamp: decision.timestamp.into(),
        }
    }
}

/// Gives, refuses or withdraws consent.
///
/// Possible before joining, which makes the participant, and after the end, when a withdrawal stops
/// nothing earlier; `erase` asks for that to be taken out. While the database is away a withdrawal
/// with a join, resume or consent token acts all the same (202), a grant is refused (503). What the
/// participant said last, said again in the same words by the same actor, is the entry that is
/// there (201). A participant agrees at most 100 times in a meeting; declining and withdrawing have
/// no limit.
#[utoipa::path(
    operation_id = "giveConsent",
    post, path = "/v1/users/consent", tag = "consent",
    request_body(content = ConsentInput, example = json!({
        "meetingId": "0193a5c2-7d0e-7c61-9c0a-3f5b8e1d2a10", "consentType": "recording_ai", "status": "accepted"
    })),
    responses(
        (status = 201, description = "In the log", body = ConsentView),
        (status = 409, description = "`erase` by one's own hand, and the meeting ended more than 30 days ago (`too_late`); the withdrawal is in the log"),
        (status = 429, description = "The participant agreed 100 times, or too many requests that neither decline nor withdraw"),
        (status = 202, description = "Acts, and is in the log once the database is back", body = ConsentReceipt),
    )
)]
async fn say(
    State(state): State<Shared>,
    client: Option<Extension<Client>>,
    headers: HeaderMap,
    caller: Result<Caller, Problem>,
    key: Result<IdempotencyKey, Problem>,
    body: Result<Body<ConsentInput>, Problem>,
) -> Result<Response, Problem> {
    // The receipt is the instant from which a withdrawal acts.
    let received = state.clock.now().trunc_subsecs(3);
    let refuses = |body: &Body<ConsentInput>| !body.value.status.accepts();
    if caller.is_err() || !body.as_ref().is_ok_and(refuses) {
        state
            .limits
            .take(client.map(|Extension(client)| client), &headers, false)?;
    }
    let (caller, key, body) = (caller?, key?, body?);
    let input = body.value;
    let erases = input.erase == Some(true);
    let once = input.request(&caller, key);
    let decision = ConsentDecision {
        meeting: MeetingId(input.meeting_id),
        participant: ParticipantId(Uuid::nil()),
        id: ConsentId(new_id()),
        consent_type: input.consent_type,
        status: input.status,
        actor: caller.actor(),
        statement: input.statement,
        timestamp: received,
        once,
    };
    let asked = ConsentRequest {
        caller,
        user: input.user_id.map(UserId),
        decision,
        acting: None,
    };
    Ok(match consent_request::carry_out(&state, asked).await? {
        Outcome::Logged { entry, before } => {
            let redaction = if erases {
                erase(&state, &caller, &entry).await?
            } else {
                None
            };
            let view = ConsentView {
                redaction,
                ..ConsentView::from(*entry)
            };
            let mut answer = (StatusCode::CREATED, Json(view)).into_response();
            if before.is_some_and(|before| before.replayed) {
                answer
                    .headers_mut()
                    .insert(idempotency::REPLAYED, HeaderValue::from_static("true"));
            }
            answer
        }
        Outcome::Acknowledged(decision) => {
            (StatusCode::ACCEPTED, Json(ConsentReceipt::from(*decision))).into_response()
        }
    })
}

/// Asks for the redaction of what was withdrawn, once: repeated, it says how that stands. `None`:
/// the tenant takes no such wishes of participants.
async fn erase(
    state: &Shared,
    caller: &Caller,
    entry: &Entry,
) -> Result<Option<OwnRedactionView>, Problem> {
    ledger_write::until_current(state, caller.tenant, || erase_once(state, caller, entry)).await
}

async fn erase_once(
    state: &Shared,
    caller: &Caller,
    entry: &Entry,
) -> Result<Option<OwnRedactionView>, Attempt> {
    let (tenant, meeting) = (caller.tenant, entry.meeting);
    let mut tx = state.store.tenant_tx(tenant).await?;
    let set = tenant::settings(&mut tx, tenant).await?.self_erasure;
    let (author, by_hand) = match caller.who {
        Who::Server { .. } => (caller.author(), None),
        _ if set == SelfErasure::Off => return Ok(None),
        // Also a host that speaks for itself.
        _ => {
            let author = format!("participant:{}", entry.participant);
            (author, Some(state.clock.now()))
        }
    };
    let asking = Asking {
        participant: entry.participant,
        purposes: entry.purposes.clone(),
        from_ms: None,
        to_ms: None,
        reason: None,
        author,
        approved: set == SelfErasure::Auto,
        erasure: None,
    };
    let (redaction, effects) =
        redact::ask_with_withdrawal(&mut tx, tenant, meeting, asking, by_hand).await?;
    ledger_write::accept(state, &mut tx, tenant, meeting).await?;
    ledger_write::commit(state, tx).await?;
    state.publish(meeting, effects);
    Ok(Some(OwnRedactionView {
        id: redaction.id,
        state: redaction.state,
    }))
}

/// Lists the ConsentLog, oldest first. A participant sees its own entries.
#[utoipa::path(
    operation_id = "listConsents",
    get, path = "/v1/meetings/{id}/consents", tag = "consent",
    params(("id" = Uuid, Path, description = "Meeting"), PageQuery),
    responses((status = 200, description = "A page of entries", body = Page<ConsentView>))
)]
async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ConsentView>>, Problem> {
    let (rows, after) = (query.rows()?, query.after::<i64>()?.unwrap_or(0));
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    let meeting = permit::on_meeting(
        &mut tx,
        &caller,
        Operation::ReadConsents,
        MeetingId(id),
        now,
    )
    .await?;
    let only = caller.subject().map(|subject| subject.participant);
    let found = consent::page(&mut tx, meeting.id(), only, after, rows).await?;
    Ok(Json(Page::of(
        found,
        rows,
        |entry| entry.entry,
        ConsentView::from,
    )))
}
