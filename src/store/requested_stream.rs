//! Streams that clients ask for. The row is made here in state `asked`; the meeting's worker opens
//! it.

use super::{
    Result,
    word::{word, word_or_null},
};
use crate::domain::{
    codec::Codec,
    id::{MeetingId, ParticipantId, StreamId, TenantId},
    media_state::Media,
    stream::{CloseReason, MediaKind, MediaSource, SrtpSuite, StreamState, Transport},
};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, Row, postgres::PgRow, types::Text};
use uuid::Uuid;

/// What a client told of the stream it will send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestedStream {
    pub id: StreamId,
    pub tenant: TenantId,
    pub meeting: MeetingId,
    pub participant: ParticipantId,
    pub transport: Transport,
    pub kind: MediaKind,
    pub source: MediaSource,
    pub codec: Codec,
    pub payload_type: u8,
    pub red_payload_type: Option<u8>,
    /// Hz.
    pub clock_rate: u32,
    /// `None`: whatever the sender uses.
    pub ssrc: Option<u32>,
    /// `ip:port` that media will come from.
    pub remote: Option<String>,
    /// The source may change in mid-stream.
    pub relatch: bool,
    pub srtp_suite: Option<SrtpSuite>,
    /// Master key and salt, sealed in the place `<meeting>/<stream>`.
    pub srtp_sealed: Option<Vec<u8>>,
}

/// The place that a stream's SRTP key is sealed in ([`super::seal::Seal`]): moved to another row it
/// stays shut.
pub fn seal_place(meeting: MeetingId, stream: StreamId) -> Vec<u8> {
    format!("{meeting}/{stream}").into_bytes()
}

/// Makes the row, under the meeting's lock. `Ok(false)` when a stream of this meeting that is not
/// closed has this SSRC; one of the same participant, kind and source does not count, since this
/// one takes its place.
pub async fn insert(conn: &mut PgConnection, stream: &RequestedStream) -> Result<bool> {
    let done = sqlx::query(
        "insert into streams (meeting_id, id, tenant_id, participant_id, kind, source, codec, payload_type, clock_rate,
                              ssrc, remote, srtp_suite, srtp_sealed, relatch,
                              red_payload_type, transport)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16 where not exists (
             select 1 from streams where meeting_id = $1 and ssrc = $10 and state <> 'closed'
                 and (participant_id, kind, source) <> ($4, $5, $6))",
    )
    .bind(stream.meeting.0)
    .bind(stream.id.0)
    .bind(stream.tenant.0)
    .bind(stream.participant.0)
    .bind(stream.kind.as_str())
    .bind(stream.source.as_str())
    .bind(stream.codec.as_str())
    .bind(i32::from(stream.payload_type))
    .bind(stream.clock_rate as i32)
    .bind(stream.ssrc.map(i64::from))
    .bind(&stream.remote)
    .bind(stream.srtp_suite.map(SrtpSuite::as_str))
    .bind(&stream.srtp_sealed)
    .bind(stream.relatch)
    .bind(stream.red_payload_type.map(i32::from))
    .bind(stream.transport.as_str())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The participant and state of a stream.
pub async fn find(
    conn: &mut PgConnection,
    meeting: MeetingId,
    stream: StreamId,
) -> Result<Option<(ParticipantId, StreamState)>> {
    let row: Option<(Uuid, Text<StreamState>)> = sqlx::query_as(FIND)
        .bind(meeting.0)
        .bind(stream.0)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|(participant, state)| (ParticipantId(participant), state.0)))
}

pub(crate) const FIND: &str =
    "select participant_id, state from streams where meeting_id = $1 and id = $2";

/// A stream as it is listed.
#[derive(Clone, Debug)]
pub struct ListedStream {
    pub id: Uuid,
    pub participant_id: Uuid,
    pub transport: Transport,
    pub kind: MediaKind,
    pub source: MediaSource,
    pub codec: Codec,
    pub payload_type: i32,
    pub clock_rate: i32,
    pub ssrc: Option<i64>,
    pub heard_ssrc: Option<i64>,
    pub relatch: bool,
    pub latched: Option<String>,
    pub ip: Option<String>,
    pub port: Option<i32>,
    pub srtp_suite: Option<SrtpSuite>,
    pub state: StreamState,
    pub reason: Option<CloseReason>,
    /// As last told.
    pub media: Media,
    pub created_at: DateTime<Utc>,
    pub closed_at: Option<DateTime<Utc>>,
}

impl FromRow<'_, PgRow> for ListedStream {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            participant_id: row.try_get("participant_id")?,
            transport: word(row, "transport")?,
            kind: word(row, "kind")?,
            source: word(row, "source")?,
            codec: word(row, "codec")?,
            payload_type: row.try_get("payload_type")?,
            clock_rate: row.try_get("clock_rate")?,
            ssrc: row.try_get("ssrc")?,
            heard_ssrc: row.try_get("heard_ssrc")?,
            relatch: row.try_get("relatch")?,
            latched: row.try_get("latched")?,
            ip: row.try_get("ip")?,
            port: row.try_get("port")?,
            srtp_suite: word_or_null(row, "srtp_suite")?,
            state: word(row, "state")?,
            reason: word_or_null(row, "reason")?,
            media: Media::new(word(row, "media")?, word_or_null(row, "media_reason")?),
            created_at: row.try_get("created_at")?,
            closed_at: row.try_get("closed_at")?,
        })
    }
}

/// The meeting's streams, or one participant's, behind `after`: in the order in which they were
/// asked for.
pub async fn list(
    conn: &mut PgConnection,
    meeting: MeetingId,
    of: Option<ParticipantId>,
    after: Option<StreamId>,
    limit: i64,
) -> Result<Vec<ListedStream>> {
    Ok(sqlx::query_as(LIST)
        .bind(meeting.0)
        .bind(after.map_or(Uuid::nil(), |id| id.0))
        .bind(limit)
        .bind(of.map(|of| of.0))
        .fetch_all(conn)
        .await?)
}

pub(crate) const LIST: &str = "select id, participant_id, transport, kind, source, codec, payload_type, clock_rate, ssrc, heard_ssrc, \
    relatch, latched, ip, port, srtp_suite, state, reason, media, media_reason, created_at, closed_at from streams \
    where meeting_id = $1 and id > $2 and ($4::uuid is null or participant_id = $4) order by id limit $3";
