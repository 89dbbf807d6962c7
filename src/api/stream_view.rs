//! How a meeting's streams are received: where to send, whether media comes, and what becomes of
//! it.

use super::{
    auth::Caller,
    body::{Path, Query},
    page::{Page, PageQuery},
    permit::{self, Operation},
    problem::Problem,
    state::{ApiState, Shared},
    time::Time,
};
use crate::{
    domain::{
        codec::Codec,
        id::{MeetingId, StreamId},
        stream::{
            CloseReason, MediaKind, MediaReason, MediaSource, SrtpSuite, StreamMedia, StreamState,
            Transport,
        },
    },
    queue::message::{Ask, Reply, StreamNow},
    store::requested_stream::{self, ListedStream},
};
use axum::{Json, extract::State};
use serde::Serialize;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use utoipa::ToSchema;
use uuid::Uuid;

/// The longest wait for the worker's numbers; without them the answer has what the store knows.
const NUMBERS_MAX: Duration = Duration::from_secs(1);

/// A transport address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[schema(as = StreamAddress)]
pub struct Address {
    #[schema(example = "203.0.113.5")]
    pub ip: String,
    #[schema(example = 20000)]
    pub port: u16,
}

impl From<SocketAddr> for Address {
    fn from(at: SocketAddr) -> Self {
        Self {
            ip: at.ip().to_string(),
            port: at.port(),
        }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Stream)]
pub struct StreamView {
    pub stream_id: Uuid,
    pub participant_id: Uuid,
    pub transport: Transport,
    pub kind: MediaKind,
    pub source: MediaSource,
    pub codec: Codec,
    pub payload_type: i32,
    pub clock_rate: i32,
    /// Of the media that came last; before any, as it was announced.
    pub ssrc: Option<i64>,
    pub relatch: bool,
    /// Null for plain RTP without it, and for WebRTC, which agrees on keys by itself.
    pub srtp: Option<SrtpSuite>,
    /// Where to send; null until it is open, and for WebRTC.
    pub address: Option<Address>,
    pub state: StreamState,
    /// Why it was closed.
    pub reason: Option<CloseReason>,
    /// Null unless open.
    pub media: Option<StreamMedia>,
    /// Why it is stalled.
    pub media_reason: Option<MediaReason>,
    /// Where media comes from.
    pub from: Option<Address>,
    /// Packets taken since the worker opened it; null when no worker answers, like the next three.
    pub packets: Option<u64>,
    /// Packets that were not kept, by reason.
    pub dropped: Option<BTreeMap<String, u64>>,
    /// Packets that were sent and did not come.
    pub lost: Option<u64>,
    pub last_packet_at: Option<Time>,
    pub created_at: Time,
    pub closed_at: Option<Time>,
}

fn view(row: ListedStream, now: Option<&StreamNow>) -> StreamView {
    let open = row.state == StreamState::Open;
    let known = |at: Option<String>| {
        at.and_then(|at| at.parse::<SocketAddr>().ok())
            .map(Address::from)
    };
    let (media, media_reason) = now.map_or((row.media.word(), row.media.reason()), |now| {
        (now.media, now.reason)
    });
    StreamView {
        stream_id: row.id,
        participant_id: row.participant_id,
        transport: row.transport,
        kind: row.kind,
        source: row.source,
        codec: row.codec,
        payload_type: row.payload_type,
        clock_rate: row.clock_rate,
        ssrc: now
            .and_then(|now| now.ssrc)
            .map(i64::from)
            .or(row.heard_ssrc)
            .or(row.ssrc),
        relatch: row.relatch,
        srtp: row.srtp_suite,
        address: row
            .ip
            .zip(row.port.and_then(|port| u16::try_from(port).ok()))
            .map(|(ip, port)| Address { ip, port }),
        state: row.state,
        reason: row.reason,
        media: open.then_some(media),
        media_reason: media_reason.filter(|_| open),
        from: now
            .and_then(|now| now.from)
            .map(Address::from)
            .or_else(|| known(row.latched)),
        packets: now.map(|now| now.packets),
        dropped: now.map(|now| now.dropped.clone()),
        lost: now.map(|now| now.lost),
        last_packet_at: now.and_then(|now| now.last_packet_at).map(Time::from),
        created_at: row.created_at.into(),
        closed_at: row.closed_at.map(Time::from),
    }
}

/// Lists a meeting's streams, oldest first, with how they are received now.
///
/// A participant sees its own.
#[utoipa::path(
    get, path = "/v1/meetings/{id}/streams", tag = "streams", operation_id = "listStreams",
    params(("id" = Uuid, Path, description = "Meeting"), PageQuery),
    responses((status = 200, description = "A page of streams", body = Page<StreamView>))
)]
pub(super) async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<StreamView>>, Problem> {
    let (rows, after) = (query.rows()?, query.after::<Uuid>()?);
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    let meeting =
        permit::on_meeting(&mut tx, &caller, Operation::Streams, MeetingId(id), now).await?;
    let own = caller.subject().map(|subject| subject.participant);
    let found =
        requested_stream::list(&mut tx, meeting.id(), own, after.map(StreamId), rows).await?;
    tx.commit().await?;
    let live = found.iter().any(|row| row.state == StreamState::Open);
    let numbers = if live {
        numbers(&state, meeting.id()).await
    } else {
        BTreeMap::new()
    };
    Ok(Json(Page::of(
        found,
        rows,
        |row| row.id,
        |row| {
            let now = numbers
                .get(&row.id)
                .filter(|_| row.state == StreamState::Open);
            view(row, now)
        },
    )))
}

/// What the meeting's worker counts, if it answers.
async fn numbers(state: &ApiState, meeting: MeetingId) -> BTreeMap<Uuid, StreamNow> {
    match state.queue.ask(meeting, &Ask::Streams, NUMBERS_MAX).await {
        Ok(Reply::Streams { streams }) => {
            streams.into_iter().map(|now| (now.stream.0, now)).collect()
        }
        _ => BTreeMap::new(),
    }
}
