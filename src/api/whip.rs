//! WHIP (RFC 9725): media by WebRTC from programs that know HTTP only. An offer goes to the worker
//! that holds the meeting, as those of the signaling do.

use super::{
    auth::{Caller, Who},
    body::{self, Body, Path, Valid, check_ttl},
    holder,
    idempotency::{IdempotencyKey, Once},
    permit::{self, Operation},
    problem::{FieldError, Problem},
    state::Shared,
    time::Time,
    token::{Subject, WHIP_TTL_S_MAX},
};
use crate::{
    command,
    domain::{
        admission::EntryBy,
        id::{MeetingId, ParticipantId},
        negotiation,
        refusal::RefusalCode,
        whip::{self, DESCRIPTION, FRAGMENT},
    },
    queue::{
        AskError,
        message::{Ask, Reply, WhipAsk},
    },
    store::new_id,
};
use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(create_token))
        .routes(routes!(publish))
        .routes(routes!(change, end))
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewWhipToken {
    #[schema(minimum = 1, maximum = 86400, example = 3600)]
    pub ttl_seconds: i64,
}

impl Valid for NewWhipToken {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check_ttl(self.ttl_seconds, WHIP_TTL_S_MAX, errors);
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WhipToken)]
pub struct WhipTokenView {
    /// For WHIP only, as a bearer token.
    pub token: String,
    pub expires_at: Time,
    /// Where to publish.
    #[schema(
        example = "https://hansard.example.org/v1/meetings/0193a5c2-7d0e-7c61-9c0a-3f5b8e1d2a10/whip"
    )]
    pub url: String,
}

/// Mints a token that publishes by WHIP.
///
/// It is good for its participant's media and nothing else, until it runs out or the participant is
/// removed. Consent is given as by everybody else, before or while media comes.
#[utoipa::path(
    operation_id = "createWhipToken",
    post, path = "/v1/meetings/{id}/participants/{participantId}/whip-token", tag = "streams",
    params(
        ("id" = Uuid, Path, description = "Meeting"),
        ("participantId" = Uuid, Path, description = "Participant"),
    ),
    request_body = NewWhipToken,
    responses((status = 201, description = "The token", body = WhipTokenView))
)]
async fn create_token(
    State(state): State<Shared>,
    caller: Caller,
    Path((id, who)): Path<(Uuid, Uuid)>,
    key: IdempotencyKey,
    body: Body<NewWhipToken>,
) -> Result<(StatusCode, Json<WhipTokenView>), Problem> {
    let (id, who) = (MeetingId(id), ParticipantId(who));
    let route = format!("POST /v1/meetings/{id}/participants/{who}/whip-token");
    let once = Once::new(key, &caller, route, body.hash);
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    let of = permit::on_meeting(&mut tx, &caller, Operation::WhipToken, id, now).await?;
    if caller
        .subject()
        .is_some_and(|subject| subject.participant != who)
    {
        return Err(Problem::forbidden("a participant publishes as itself only"));
    }
    let admitted = command::join::admit_again(&mut tx, &of, who)
        .await
        .map_err(|refused| match refused {
            command::Refused::NoParticipant => Problem::not_found("participant"),
            other => other.into(),
        })?;
    // A replay mints anew: begin only holds the body to the first one's.
    once.begin(&mut tx).await?;
    once.done(&mut tx, None).await?;
    tx.commit().await?;
    let subject = Subject {
        tenant: caller.tenant,
        meeting: id,
        participant: who,
        role: admitted.participant.role,
        minted: now,
    };
    let minted = state.keys.mint_whip(subject, body.value.ttl_seconds, now);
    let view = WhipTokenView {
        token: minted.token,
        expires_at: minted.expires.into(),
        url: endpoint(&state, id),
    };
    Ok((StatusCode::CREATED, Json(view)))
}

/// Publishes by WHIP (RFC 9725).
///
/// The offer is answered as one of the signaling is, by the same rules; what it sends are streams
/// of the token's participant, who is present as long as they come. A participant has one peer
/// connection: this one takes the place of the one before.
#[utoipa::path(
    operation_id = "publishWhip",
    post, path = "/v1/meetings/{id}/whip", tag = "streams",
    params(("id" = Uuid, Path, description = "Meeting")),
    request_body(content = String, description = "An offer (RFC 8866)", content_type = "application/sdp"),
    responses(
        (status = 201, description = "The answer", body = String, content_type = "application/sdp", headers(
            ("Location" = String, description = "The session: PATCH changes its ICE, DELETE ends it"),
            ("ETag" = String, description = "Of the ICE session"),
            ("Accept-Patch" = String, description = "application/trickle-ice-sdpfrag"),
            ("Link" = String, description = "STUN and TURN servers, with credentials"),
        )),
        (status = 409, description = "The meeting has ended, or a newer offer came meanwhile"),
    )
)]
async fn publish(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    request: Request,
) -> Result<Response, Problem> {
    let sdp = body::text(request, DESCRIPTION).await?;
    let meeting = MeetingId(id);
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, &caller, Operation::Whip, meeting, now).await?;
    let participant = publisher(&caller)?;
    // Before anybody is present by it.
    let described = negotiation::read(&sdp).and_then(|read| read.sent(&BTreeMap::new()));
    if described
        .map_err(|why| Problem::field("", why.to_string()))?
        .is_empty()
    {
        return Err(Problem::field("", "sdp: no section sends anything"));
    }
    let entered = command::join::enter(&mut tx, meeting, participant, EntryBy::Stream).await??;
    tx.commit().await?;
    state.publish(meeting, entered.effects);

    let session = new_id();
    let asks = WhipAsk::Publish { sdp };
    let answer = described_by(ask(&state, meeting, participant, session, asks).await?)?;
    let mut response = described_as(StatusCode::CREATED, DESCRIPTION, &answer, answer.clone());
    let headers = response.headers_mut();
    headers.insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
    let location = format!("{}/{session}", endpoint(&state, meeting));
    if let Ok(location) = HeaderValue::from_str(&location) {
        headers.insert(header::LOCATION, location);
    }
    for server in state.ice.told(Some(participant), now) {
        for url in &server.urls {
            let mut link = format!("<{url}>; rel=\"ice-server\"");
            if let (Some(name), Some(credential)) = (&server.username, &server.credential) {
                link += &format!(
                    "; username=\"{name}\"; credential=\"{credential}\"; credential-type=\"password\""
                );
            }
            if let Ok(link) = HeaderValue::from_str(&link) {
                headers.append(header::LINK, link);
            }
        }
    }
    Ok(response)
}

/// Changes the ICE of a WHIP session.
///
/// With the session's entity tag in `If-Match`: candidates, which are taken and not needed. With
/// `*`: other credentials of the client's, by which ICE begins anew.
#[utoipa::path(
    operation_id = "changeWhipSession",
    patch, path = "/v1/meetings/{id}/whip/{sessionId}", tag = "streams",
    params(
        ("id" = Uuid, Path, description = "Meeting"),
        ("sessionId" = Uuid, Path, description = "Session"),
        ("If-Match" = Option<String>, Header, description = "The session's entity tag, or `*` to begin ICE anew"),
    ),
    request_body(content = String, description = "A fragment (RFC 8840)", content_type = "application/trickle-ice-sdpfrag"),
    responses(
        (status = 200, description = "The server's side of the new ICE session", body = String,
            content_type = "application/trickle-ice-sdpfrag",
            headers(("ETag" = String, description = "Of the new ICE session"))),
        (status = 204, description = "Candidates were taken"),
        (status = 412, description = "The ICE session has another entity tag by now"),
        (status = 428, description = "If-Match is missing"),
    )
)]
async fn change(
    State(state): State<Shared>,
    caller: Caller,
    Path((id, session)): Path<(Uuid, Uuid)>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let text = body::text(request, FRAGMENT).await?;
    let meeting = MeetingId(id);
    let participant = of_session(&state, &caller, meeting).await?;
    let credentials = whip::read(&text).map_err(|why| Problem::field("", why.to_string()))?;
    let tag = headers
        .get(header::IF_MATCH)
        .ok_or_else(Problem::precondition_required)?;
    let asks = match (tag.to_str().map(str::trim), credentials) {
        (Ok("*"), Some(credentials)) => WhipAsk::Restart {
            ufrag: credentials.ufrag,
            password: credentials.password,
        },
        (Ok("*"), None) => {
            return Err(Problem::field(
                "",
                "to begin ICE anew, send a=ice-ufrag and a=ice-pwd",
            ));
        }
        (Ok(tag), _) => {
            let name = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            // A weak one is never equal (RFC 9110 8.8.3.2).
            let name = name.ok_or_else(Problem::precondition_failed)?.to_owned();
            WhipAsk::Match { name }
        }
        (Err(_), _) => return Err(Problem::precondition_failed()),
    };
    let reply = ask(&state, meeting, participant, session, asks).await?;
    if reply == Reply::Done {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let answer = described_by(reply)?;
    let fragment = whip::fragment(&answer);
    Ok(described_as(StatusCode::OK, FRAGMENT, &answer, fragment))
}

/// Ends a WHIP session.
#[utoipa::path(
    operation_id = "endWhipSession",
    delete, path = "/v1/meetings/{id}/whip/{sessionId}", tag = "streams",
    params(("id" = Uuid, Path, description = "Meeting"), ("sessionId" = Uuid, Path, description = "Session")),
    responses((status = 200, description = "Ended, and its streams with it"))
)]
async fn end(
    State(state): State<Shared>,
    caller: Caller,
    Path((id, session)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, Problem> {
    let meeting = MeetingId(id);
    let participant = of_session(&state, &caller, meeting).await?;
    ask(&state, meeting, participant, session, WhipAsk::Close).await?;
    Ok(StatusCode::OK)
}

/// Where a meeting is published to.
fn endpoint(state: &Shared, meeting: MeetingId) -> String {
    format!("{}/v1/meetings/{meeting}/whip", state.address.public_url())
}

/// Only a token of WHIP names somebody who publishes.
fn publisher(caller: &Caller) -> Result<ParticipantId, Problem> {
    match caller.who {
        Who::Publishing(subject) => Ok(subject.participant),
        _ => Err(Problem::forbidden(
            "publish with a token of …/participants/{participantId}/whip-token",
        )),
    }
}

async fn of_session(
    state: &Shared,
    caller: &Caller,
    meeting: MeetingId,
) -> Result<ParticipantId, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, caller, Operation::Whip, meeting, now).await?;
    publisher(caller)
}

/// Asks whoever holds the meeting. Who begins a session waits until somebody does; one that is
/// there has its holder.
async fn ask(
    state: &Shared,
    meeting: MeetingId,
    participant: ParticipantId,
    session: Uuid,
    asks: WhipAsk,
) -> Result<Reply, Problem> {
    let begins = matches!(asks, WhipAsk::Publish { .. });
    let question = Ask::Whip {
        participant,
        session,
        asks,
    };
    let patience = begins.then_some(holder::CLAIM_MAX);
    match holder::ask(&state.queue, meeting, &question, patience).await {
        Ok(Reply::Error {
            code: RefusalCode::NotFound,
            ..
        }) => Err(Problem::not_found("session")),
        Ok(Reply::Error { code, message }) => Err(holder::refused(code, message)),
        Ok(reply) => Ok(reply),
        Err(AskError::Nobody) if !begins => Err(Problem::not_found("session")),
        Err(AskError::Nobody | AskError::Timeout | AskError::Unavailable) => {
            Err(Problem::unavailable("no worker answered in time"))
        }
    }
}

/// The description in a worker's answer.
fn described_by(reply: Reply) -> Result<String, Problem> {
    match &reply {
        Reply::Signal { data, .. } => data["sdp"].as_str().map(str::to_owned),
        _ => None,
    }
    .ok_or_else(|| Problem::internal("a worker answered an offer without a description"))
}

/// An answer whose ICE session is told by its entity tag.
fn described_as(status: StatusCode, kind: &'static str, answer: &str, text: String) -> Response {
    let kind = HeaderValue::from_static(kind);
    let mut response = (status, [(header::CONTENT_TYPE, kind)], text).into_response();
    let tag = whip::ice_name(answer).map(|name| format!("\"{name}\""));
    if let Some(Ok(tag)) = tag.map(|tag| HeaderValue::from_str(&tag)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
