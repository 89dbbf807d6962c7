//! Plain RTP in: a client asks for a port, a worker opens it.

use super::{
    auth::Caller,
    body::{Body, Path, Valid},
    holder::{self, ANSWER_MAX, CLAIM_MAX},
    idempotency::{Begun, IdempotencyKey, Once},
    permit::{self, Operation},
    problem::{FieldError, Problem},
    state::{ApiState, Shared},
};
use crate::{
    command::{
        close_stream,
        open_stream::{self, Requested},
    },
    domain::{
        codec::Codec,
        id::{JobId, MeetingId, ParticipantId, StreamId, TenantId},
        refusal::RefusalCode,
        stream::{CloseReason, MediaKind, MediaSource, SrtpSuite, StreamState, Transport},
    },
    ingest, published,
    queue::{
        AskError, JobKind,
        message::{Ask, Reply},
    },
    store::{
        new_id,
        requested_stream::{self, RequestedStream},
    },
};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// Between two tries while no worker has opened it yet.
const TRY_AGAIN: Duration = Duration::from_millis(50);
/// A wake-up may be lost: another is sent this often.
const WAKE_AGAIN: Duration = Duration::from_secs(1);

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(create, super::stream_view::list))
        .routes(routes!(close))
}

/// Where media will come from; without it the first packet's source is taken.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Remote {
    #[schema(value_type = String, example = "192.0.2.7")]
    pub ip: IpAddr,
    #[schema(minimum = 1, maximum = 65535)]
    pub port: u16,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SrtpInput {
    pub suite: SrtpSuite,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewStream {
    pub participant_id: Uuid,
    pub kind: MediaKind,
    /// Default `microphone` for audio, `camera` for video.
    pub source: Option<MediaSource>,
    pub codec: Codec,
    /// 0-63 or 96-127: those between are RTCP's on a shared port.
    #[schema(value_type = i32, minimum = 0, maximum = 127, example = 111)]
    pub payload_type: u8,
    /// Of redundant audio data (RFC 2198) with packets of `payloadType` in it: the newest of each
    /// is taken.
    #[schema(minimum = 0, maximum = 127, example = 63)]
    pub red_payload_type: Option<u8>,
    /// Hz: 48000 for opus, 8000 for PCMU and PCMA, 90000 for video.
    #[schema(value_type = i32, minimum = 8000, maximum = 90000, example = 48000)]
    pub clock_rate: u32,
    /// Without it whatever the sender uses is taken, also a new one in mid-stream, from the address
    /// that media comes from.
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 4294967295_i64, example = 3735928559_u32)]
    pub ssrc: Option<u32>,
    pub remote: Option<Remote>,
    /// The sender may go on from another port of its host: taken when nothing came from the old one
    /// for 2 s. SRTP needs no such leave. Not with `remote`.
    pub relatch: Option<bool>,
    pub srtp: Option<SrtpInput>,
}

impl Valid for NewStream {
    fn check(&self, errors: &mut Vec<FieldError>) {
        let (name, kind, clock_rate) = (self.codec, self.codec.kind(), self.codec.clock_rate());
        if kind != self.kind {
            errors.push(FieldError::new("/codec", format!("{name} is {kind}")));
        }
        if clock_rate != self.clock_rate {
            errors.push(FieldError::new(
                "/clockRate",
                format!("must be {clock_rate} for {name}"),
            ));
        }
        match (self.kind, self.source) {
            (MediaKind::Audio, Some(MediaSource::Camera)) => {
                errors.push(FieldError::new("/source", "a camera gives no audio"));
            }
            (MediaKind::Video, Some(MediaSource::Microphone)) => {
                errors.push(FieldError::new("/source", "a microphone gives no video"));
            }
            _ => {}
        }
        if !matches!(self.payload_type, 0..=63 | 96..=127) {
            errors.push(FieldError::new(
                "/payloadType",
                "must be 0 to 63 or 96 to 127",
            ));
        }
        if let Some(red) = self.red_payload_type {
            if self.kind != MediaKind::Audio {
                errors.push(FieldError::new(
                    "/redPayloadType",
                    "redundant data is audio",
                ));
            } else if !matches!(red, 0..=63 | 96..=127) || red == self.payload_type {
                errors.push(FieldError::new(
                    "/redPayloadType",
                    "must be 0 to 63 or 96 to 127, and not `payloadType`",
                ));
            }
        }
        if self.remote.is_some() && self.relatch == Some(true) {
            errors.push(FieldError::new(
                "/relatch",
                "with `remote` media is taken from there only",
            ));
        }
        if let Some(remote) = &self.remote
            && (remote.port == 0 || remote.ip.is_unspecified() || remote.ip.is_multicast())
        {
            errors.push(FieldError::new(
                "/remote",
                "must be the address of one sender",
            ));
        }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Srtp)]
pub struct SrtpView {
    pub suite: SrtpSuite,
    /// Base64 of master key and salt, for both directions. Shown once.
    pub key: String,
}

/// Where to send.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenedStream {
    pub stream_id: Uuid,
    #[schema(example = "203.0.113.5")]
    pub ip: String,
    #[schema(example = 20000)]
    pub port: u16,
    /// RTCP goes to the same port.
    pub rtcp_mux: bool,
    /// Only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub srtp: Option<SrtpView>,
}

/// Asks for a port to send RTP to.
///
/// Waits at most 5 s for a worker. A new stream of the same kind and source takes the place of the
/// participant's earlier one, on another port; it may have the same SSRC. A port is given out again
/// once nothing came to it for 30 s: 503 while none is free.
#[utoipa::path(
    operation_id = "openStream",
    post, path = "/v1/meetings/{id}/streams", tag = "streams", params(("id" = Uuid, Path, description = "Meeting")),
    request_body(content = NewStream, example = json!({
        "participantId": "0193a5c2-7d0e-7c61-9c0a-3f5b8e1d2a10", "kind": "audio", "codec": "opus",
        "payloadType": 111, "clockRate": 48000, "ssrc": 3735928559_u32
    })),
    responses(
        (status = 201, description = "Open: send to this port", body = OpenedStream),
        (status = 409, description = "The SSRC is taken, the meeting has ended, or made before with this Idempotency-Key"),
    )
)]
async fn create(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    body: Body<NewStream>,
) -> Result<Response, Problem> {
    let meeting = MeetingId(id);
    let input = body.value;
    let once = Once::new(
        key,
        &caller,
        format!("POST /v1/meetings/{id}/streams"),
        body.hash,
    );
    let participant = ParticipantId(input.participant_id);

    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    let of = permit::on_meeting(&mut tx, &caller, Operation::Streams, meeting, now).await?;
    if caller
        .subject()
        .is_some_and(|subject| subject.participant != participant)
    {
        return Err(Problem::forbidden(
            "a participant asks for streams of itself only",
        ));
    }
    let begun = once.begin(&mut tx).await?;
    let asked = match begun {
        Begun::Replay(replay) => return Ok(replay),
        Begun::Done(Some(made)) => {
            let found = requested_stream::find(&mut tx, meeting, StreamId(made)).await?;
            // Without a secret in it the answer can be given again, or for the first time.
            match found {
                Some((_, state)) if input.srtp.is_none() && state != StreamState::Closed => {
                    let stream = StreamId(made);
                    let requested = open_stream::again(&mut tx, meeting, stream).await?;
                    Pending::new(&caller, meeting, requested, None)
                }
                _ => {
                    return Err(Problem::exists(
                        "this stream was made before with this Idempotency-Key",
                        Some(made),
                    ));
                }
            }
        }
        Begun::First | Begun::Done(None) => {
            let (row, srtp) = row(&state, &caller, meeting, &input)?;
            let requested = open_stream::request(&mut tx, &of, &row).await?;
            let pending = Pending::new(&caller, meeting, requested, srtp);
            once.done(&mut tx, Some(pending.stream.0)).await?;
            pending
        }
    };
    tx.commit().await?;

    match open(&state, &asked).await {
        Ok((ip, port)) => answer(&state, &once, asked, ip, port).await,
        Err(problem) => {
            give_up(&state, &once, &asked, CloseReason::Failed).await?;
            Err(problem)
        }
    }
}

/// A stream whose row is committed and which waits for a worker.
struct Pending {
    tenant: TenantId,
    meeting: MeetingId,
    stream: StreamId,
    job: JobId,
    srtp: Option<SrtpView>,
}

impl Pending {
    fn new(
        caller: &Caller,
        meeting: MeetingId,
        requested: Requested,
        srtp: Option<SrtpView>,
    ) -> Self {
        Self {
            tenant: caller.tenant,
            meeting,
            stream: requested.stream,
            job: requested.job,
            srtp,
        }
    }
}

/// The stream's row, and the key that the client is shown.
fn row(
    state: &ApiState,
    caller: &Caller,
    meeting: MeetingId,
    input: &NewStream,
) -> Result<(RequestedStream, Option<SrtpView>), Problem> {
    let stream = StreamId(new_id());
    let (srtp, srtp_sealed) = match &input.srtp {
        Some(SrtpInput { suite }) => {
            let key =
                ingest::new_key(*suite).map_err(|_| Problem::internal("no random numbers"))?;
            let sealed = state
                .seal
                .seal(&requested_stream::seal_place(meeting, stream), &key)
                .map_err(Problem::internal)?;
            (
                Some(SrtpView {
                    suite: *suite,
                    key: STANDARD.encode(&key),
                }),
                Some(sealed),
            )
        }
        None => (None, None),
    };
    let row = RequestedStream {
        id: stream,
        tenant: caller.tenant,
        meeting,
        participant: ParticipantId(input.participant_id),
        transport: Transport::Rtp,
        kind: input.kind,
        source: input.source.unwrap_or(MediaSource::usual(input.kind)),
        codec: input.codec,
        payload_type: input.payload_type,
        red_payload_type: input.red_payload_type,
        clock_rate: input.clock_rate,
        ssrc: input.ssrc,
        remote: input
            .remote
            .as_ref()
            .map(|remote| SocketAddr::new(remote.ip, remote.port).to_string()),
        relatch: input.relatch.unwrap_or(false),
        srtp_suite: srtp.as_ref().map(|srtp| srtp.suite),
        srtp_sealed,
    };
    Ok((row, srtp))
}

/// Wakes workers and asks whoever holds the meeting, until a port is there or [`CLAIM_MAX`] is
/// over.
async fn open(state: &ApiState, asked: &Pending) -> Result<(String, u16), Problem> {
    let deadline = Instant::now() + CLAIM_MAX;
    let mut woken: Option<Instant> = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Problem::unavailable("no worker took the meeting in time"));
        }
        let question = Ask::OpenStream {
            stream: asked.stream,
        };
        match state
            .queue
            .ask(asked.meeting, &question, left.min(ANSWER_MAX))
            .await
        {
            Ok(Reply::Stream { ip, port }) => return Ok((ip, port)),
            Ok(Reply::Error { code, message }) => return Err(refused(code, message)),
            Ok(other) => {
                return Err(Problem::internal(format!(
                    "a worker answered OpenStream with {other:?}"
                )));
            }
            Err(AskError::Nobody | AskError::Timeout | AskError::Unavailable) => {}
        }
        if woken.is_none_or(|at| at.elapsed() >= WAKE_AGAIN) {
            woken = Some(Instant::now());
            published::wake(&state.queue, JobKind::Capture, asked.job);
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// A worker's refusal as a problem.
fn refused(code: RefusalCode, message: String) -> Problem {
    match code {
        RefusalCode::NotSupported | RefusalCode::Invalid => Problem::field("/codec", message),
        _ => holder::refused(code, message),
    }
}

/// The worker made the participant present and told of the stream; what is left is the answer.
async fn answer(
    state: &Shared,
    once: &Once,
    asked: Pending,
    ip: String,
    port: u16,
) -> Result<Response, Problem> {
    let secret = asked.srtp.is_some();
    let opened = OpenedStream {
        stream_id: asked.stream.0,
        ip,
        port,
        rtcp_mux: true,
        srtp: asked.srtp,
    };
    if secret || !once.is_keyed() {
        return Ok((StatusCode::CREATED, Json(opened)).into_response());
    }
    let mut tx = state.store.tenant_tx(asked.tenant).await?;
    let response = once.answer(&mut tx, StatusCode::CREATED, &opened).await?;
    tx.commit().await?;
    Ok(response)
}

/// Takes a stream back that could not be opened, so that the same request may be sent again.
async fn give_up(
    state: &Shared,
    once: &Once,
    asked: &Pending,
    reason: CloseReason,
) -> Result<(), Problem> {
    let mut tx = state.store.tenant_tx(asked.tenant).await?;
    let effects = open_stream::give_up(&mut tx, asked.meeting, asked.stream, reason).await?;
    once.forget(&mut tx).await?;
    tx.commit().await?;
    state.publish(asked.meeting, effects);
    Ok(())
}

/// Closes a stream.
#[utoipa::path(
    operation_id = "closeStream",
    delete, path = "/v1/meetings/{id}/streams/{streamId}", tag = "streams",
    params(("id" = Uuid, Path, description = "Meeting"), ("streamId" = Uuid, Path, description = "Stream")),
    responses((status = 204, description = "Closed"))
)]
async fn close(
    State(state): State<Shared>,
    caller: Caller,
    Path((id, stream)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, Problem> {
    let (id, stream) = (MeetingId(id), StreamId(stream));
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    permit::on_meeting(&mut tx, &caller, Operation::Streams, id, now).await?;
    let Some((participant, _)) = requested_stream::find(&mut tx, id, stream).await? else {
        return Err(Problem::not_found("stream"));
    };
    if caller
        .subject()
        .is_some_and(|subject| subject.participant != participant)
    {
        return Err(Problem::forbidden(
            "a participant closes streams of itself only",
        ));
    }
    if let Some(effects) = close_stream::close(&mut tx, id, participant, stream).await? {
        tx.commit().await?;
        state.publish(id, effects);
    }
    Ok(StatusCode::NO_CONTENT)
}
