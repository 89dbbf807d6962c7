//! Streams that clients ask for. The row is made here in state `asked`; the meeting's worker opens it.

use super::Result;
use crate::domain::id::{MeetingId, ParticipantId, StreamId, TenantId};
use sqlx::PgConnection;
use uuid::Uuid;

/// What a client told of the stream it will send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AskedStream {
    pub id: StreamId,
    pub tenant: TenantId,
    pub meeting: MeetingId,
    pub participant: ParticipantId,
    /// `audio` or `video`.
    pub kind: String,
    /// `microphone`, `camera` or `screen`.
    pub source: String,
    pub codec: String,
    pub payload_type: u8,
    /// Hz.
    pub clock_rate: u32,
    pub ssrc: u32,
    /// `ip:port` that media will come from.
    pub remote: Option<String>,
    pub srtp_suite: Option<String>,
    /// Master key and salt, sealed in the place `<meeting>/<stream>`.
    pub srtp_sealed: Option<Vec<u8>>,
}

/// The place that a stream's SRTP key is sealed in ([`super::seal::Seal`]): moved to another row it stays shut.
pub fn seal_place(meeting: MeetingId, stream: StreamId) -> Vec<u8> {
    format!("{meeting}/{stream}").into_bytes()
}

/// Makes the row. `Ok(false)` when a stream of this meeting that is not closed has this SSRC.
pub async fn insert(conn: &mut PgConnection, stream: &AskedStream) -> Result<bool> {
    let done = sqlx::query(
        "insert into streams (meeting_id, id, tenant_id, participant_id, kind, source, codec, payload_type, clock_rate,
                              ssrc, remote, srtp_suite, srtp_sealed)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         on conflict (meeting_id, ssrc) where state <> 'closed' do nothing",
    )
    .bind(stream.meeting.0)
    .bind(stream.id.0)
    .bind(stream.tenant.0)
    .bind(stream.participant.0)
    .bind(&stream.kind)
    .bind(&stream.source)
    .bind(&stream.codec)
    .bind(i32::from(stream.payload_type))
    .bind(stream.clock_rate as i32)
    .bind(i64::from(stream.ssrc))
    .bind(&stream.remote)
    .bind(&stream.srtp_suite)
    .bind(&stream.srtp_sealed)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The participant and state of a stream.
pub async fn find(
    conn: &mut PgConnection,
    meeting: MeetingId,
    stream: StreamId,
) -> Result<Option<(ParticipantId, String)>> {
    let row: Option<(Uuid, String)> = sqlx::query_as(FIND).bind(meeting.0).bind(stream.0).fetch_optional(conn).await?;
    Ok(row.map(|(participant, state)| (ParticipantId(participant), state)))
}

pub(crate) const FIND: &str = "select participant_id, state from streams where meeting_id = $1 and id = $2";
