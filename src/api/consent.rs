//! Consent: give, refuse, withdraw, read.
//!
//! A grant is durable before it is anything else. A refusal or withdrawal acts first: the meeting's worker is told in the
//! same moment in which the log is written, and when the log cannot be written, the worker writes it down for later.

use super::{
    auth::{Caller, Who},
    body::{Body, Path, Query, Valid, check_text},
    once::{Begun, IdempotencyKey, Once},
    page::{Page, PageQuery},
    participant::close_sockets,
    permit::{self, Operation},
    problem::{FieldError, Problem},
    state::{ApiState, Shared},
    time::Time,
};
use crate::{
    domain::{
        consent::{ConsentStatus, ConsentType},
        id::{ConsentId, MeetingId, ParticipantId, TenantId, UserId},
    },
    queue::message::Told,
    store::{
        Tx,
        consent::{self, Entry, STATEMENT_CHARS_MAX, Said, Saying},
        event, new_id, participant,
        presence::Role,
        user,
    },
};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::SubsecRound;
use serde::{Deserialize, Serialize};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// How long it may take to find out whether a withdrawal counts at all, before it acts without that.
const CHECK_MAX: Duration = Duration::from_millis(100);
/// How long the log may take before a withdrawal is handed to the worker's journal. It acts at once either way.
const LOG_MAX: Duration = Duration::from_millis(1500);

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(give)).routes(routes!(list))
}

/// What the entry is about; `recording_ai` is both in one entry.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConsentType)]
pub enum Kind {
    Recording,
    Transcription,
    RecordingAi,
}

impl From<Kind> for ConsentType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Recording => Self::Recording,
            Kind::Transcription => Self::Transcription,
            Kind::RecordingAi => Self::RecordingAi,
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ConsentStatus)]
pub enum Status {
    Accepted,
    Declined,
    Withdrawn,
}

impl From<Status> for ConsentStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Accepted => Self::Accepted,
            Status::Declined => Self::Declined,
            Status::Withdrawn => Self::Withdrawn,
        }
    }
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsentInput {
    pub meeting_id: Uuid,
    pub consent_type: Kind,
    pub status: Status,
    /// With an API key: whose consent it is. Everybody else speaks for itself.
    pub user_id: Option<Uuid>,
    /// The words that were agreed to, kept with the entry.
    #[schema(max_length = 2000)]
    pub statement: Option<String>,
}

impl Valid for ConsentInput {
    fn check(&self, errors: &mut Vec<FieldError>) {
        if let Some(statement) = &self.statement {
            check_text("/statement", statement, 1, STATEMENT_CHARS_MAX, errors);
        }
    }
}

/// What media is taken for.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    Recording,
    Transcription,
}

/// An entry of the ConsentLog.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Consent)]
pub struct ConsentView {
    pub id: Uuid,
    pub meeting_id: Uuid,
    pub participant_id: Uuid,
    #[schema(value_type = Kind)]
    pub consent_type: &'static str,
    #[schema(value_type = Vec<Purpose>, example = json!(["recording", "transcription"]))]
    pub purposes: Vec<&'static str>,
    #[schema(value_type = Status)]
    pub status: &'static str,
    pub accepted: bool,
    /// Who said it: `self`, or `api_key` with the key's id.
    #[schema(example = "self")]
    pub actor: String,
    pub statement: Option<String>,
    /// A withdrawal acts from here on.
    pub timestamp: Time,
    /// Its place in the meeting's chain: 1, 2, 3 …
    pub entry: i64,
    /// Hex SHA-256 of `prevHash` and the entry.
    pub hash: String,
    pub prev_hash: String,
}

impl From<Entry> for ConsentView {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id.0,
            meeting_id: entry.meeting.0,
            participant_id: entry.participant.0,
            consent_type: entry.consent_type.as_str(),
            purposes: entry.purposes.iter().map(|purpose| purpose.as_str()).collect(),
            status: entry.status.as_str(),
            accepted: entry.status.accepts(),
            actor: entry.actor,
            statement: entry.statement,
            timestamp: entry.timestamp.into(),
            entry: entry.entry,
            hash: entry.hash,
            prev_hash: entry.prev_hash,
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
    #[schema(value_type = Kind)]
    pub consent_type: &'static str,
    #[schema(value_type = Status)]
    pub status: &'static str,
    pub timestamp: Time,
}

/// Gives, refuses or withdraws consent.
///
/// Possible before joining, which makes the participant, and after the end, when a withdrawal stops nothing earlier.
/// While the database is away a withdrawal with a join, resume or consent token acts all the same (202), a grant is
/// refused (503).
#[utoipa::path(
    operation_id = "giveConsent",
    post, path = "/v1/users/consent", tag = "consent",
    request_body(content = ConsentInput, example = json!({
        "meetingId": "0193a5c2-7d0e-7c61-9c0a-3f5b8e1d2a10", "consentType": "recording_ai", "status": "accepted"
    })),
    responses(
        (status = 201, description = "In the log", body = ConsentView),
        (status = 202, description = "Acts, and is in the log once the database is back", body = ConsentReceipt),
    )
)]
async fn give(
    State(state): State<Shared>,
    caller: Caller,
    key: IdempotencyKey,
    body: Body<ConsentInput>,
) -> Result<Response, Problem> {
    // The receipt is the instant from which a withdrawal acts.
    let received = state.clock.now().trunc_subsecs(3);
    let meeting = MeetingId(body.value.meeting_id);
    let once = Once::new(key, &caller, "POST /v1/users/consent".to_owned(), body.hash);
    let mut saying = Saying {
        meeting,
        participant: ParticipantId(Uuid::nil()),
        id: ConsentId(new_id()),
        consent_type: body.value.consent_type.into(),
        status: body.value.status.into(),
        actor: caller.actor(),
        statement: body.value.statement,
        timestamp: received,
    };
    permit::at_all(&caller, Operation::GiveConsent)?;
    let user = body.value.user_id.map(UserId);
    // A token says who and where: a withdrawal with one needs nothing from the database to act.
    let token = caller.seat().filter(|seat| seat.meeting == meeting && user.is_none() && !saying.status.accepts());
    let Some(seat) = token else {
        return write(&state, &caller, user, &once, saying, &AtomicBool::new(false)).await;
    };
    saying.participant = seat.participant;
    let acts = AtomicBool::new(false);
    let mut writing = std::pin::pin!(write(&state, &caller, user, &once, saying.clone(), &acts));
    let act_now = || {
        if !acts.swap(true, Ordering::Relaxed) {
            act(&state, &saying);
        }
    };
    let written = match tokio::time::timeout(CHECK_MAX, &mut writing).await {
        Ok(written) => Some(written),
        Err(_) => {
            act_now();
            tokio::time::timeout(LOG_MAX, writing).await.ok()
        }
    };
    match written {
        Some(Ok(response)) => Ok(response),
        Some(Err(problem)) if problem.status() != StatusCode::SERVICE_UNAVAILABLE => Err(problem),
        _ => {
            act_now();
            journal(&state, &saying).await
        }
    }
}

/// Tells the worker, and everybody in the meeting, before anything is durable.
fn act(state: &Shared, saying: &Saying) {
    // It goes on by itself, within a bound of its own.
    drop(state.withdraw(saying));
    state.publish(saying.meeting, &Told::Live { kind: "consent_updated".to_owned(), data: saying.told(), to: None });
}

/// The answer to a withdrawal that the worker wrote down, because the database cannot be reached.
async fn journal(state: &ApiState, saying: &Saying) -> Result<Response, Problem> {
    if !state.journal(saying).await {
        return Err(Problem::unavailable("neither the database nor the meeting's worker can be reached"));
    }
    let receipt = ConsentReceipt {
        id: saying.id.0,
        meeting_id: saying.meeting.0,
        participant_id: saying.participant.0,
        consent_type: saying.consent_type.as_str(),
        status: saying.status.as_str(),
        timestamp: saying.timestamp.into(),
    };
    Ok((StatusCode::ACCEPTED, Json(receipt)).into_response())
}

/// Writes the log and tells of it. A refusal acts as soon as it is known to be one that counts, unless it `acts` already:
/// one that acted and then never stood in the log would hold the gate shut against later grants.
async fn write(
    state: &Shared,
    caller: &Caller,
    user: Option<UserId>,
    once: &Once,
    mut saying: Saying,
    acts: &AtomicBool,
) -> Result<Response, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let begun = once.begin(&mut tx).await?;
    permit::on_meeting(&mut tx, caller, Operation::GiveConsent, saying.meeting, state.clock.now()).await?;
    if let Begun::Replay(replay) = begun {
        return Ok(replay);
    }
    if caller.seat().is_none() || user.is_some() {
        event::lock(&mut tx, saying.meeting).await?;
        saying.participant = speaker(&mut tx, caller, user, saying.meeting).await?;
    } else if let Some(seat) = caller.seat() {
        saying.participant = seat.participant;
    }
    if !saying.status.accepts() && !acts.swap(true, Ordering::Relaxed) {
        act(state, &saying);
    }
    let Said { entry, events, removed } = consent::say(&mut tx, &saying).await?;
    let answer = once.answer(&mut tx, StatusCode::CREATED, &ConsentView::from(entry)).await?;
    tx.commit().await?;
    state.told(caller.tenant, saying.meeting, events);
    if removed {
        close_sockets(state, saying.meeting, saying.participant);
    }
    Ok(answer)
}

/// Whose consent it is: with an API key anybody's, else the caller's own.
async fn speaker(
    tx: &mut Tx,
    caller: &Caller,
    user: Option<UserId>,
    meeting: MeetingId,
) -> Result<ParticipantId, Problem> {
    let of = crate::store::meeting::get(tx, meeting).await?.ok_or_else(|| Problem::not_found("meeting"))?;
    let speaks = match (caller.who, user) {
        (Who::Server { .. }, None) => return Err(Problem::field("/userId", "is required with an API key")),
        (Who::Server { .. }, Some(user)) => {
            user::get(tx, user).await?.ok_or_else(|| Problem::field("/userId", "there is no such user"))?;
            user
        }
        (Who::Host(itself), None) => itself,
        (Who::Host(itself), Some(user)) if itself == user => user,
        (Who::Joined(seat) | Who::Resumed(seat) | Who::Consenting(seat), None) => return Ok(seat.participant),
        (Who::Joined(seat) | Who::Resumed(seat) | Who::Consenting(seat), Some(user)) => {
            return match participant::get(tx, meeting, seat.participant).await? {
                Some(itself) if itself.user_id == user.0 => Ok(seat.participant),
                _ => Err(Problem::forbidden("this credential speaks for its own user only")),
            };
        }
        _ => return Err(Problem::forbidden("this credential speaks for its own user only")),
    };
    let role = if of.hosted_by(speaks) { Role::Host } else { Role::Participant };
    Ok(ParticipantId(participant::ensure(tx, TenantId(of.tenant_id), meeting, speaks, role.as_str()).await?.id))
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
    let meeting = permit::on_meeting(&mut tx, &caller, Operation::ReadConsents, MeetingId(id), now).await?;
    let only = caller.seat().map(|seat| seat.participant);
    let found = consent::page(&mut tx, meeting.id(), only, after, rows).await?;
    Ok(Json(Page::of(found, rows, |entry| entry.entry, ConsentView::from)))
}
