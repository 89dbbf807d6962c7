//! Streams as the workers see them.

use super::{
    Result, port,
    word::{word, word_or_null},
};
use crate::domain::{
    codec::Codec,
    id::{MeetingId, ParticipantId, StreamId},
    media_state::Media,
    stream::{CloseReason, MediaKind, MediaReason, MediaSource, SrtpSuite, StreamState, Transport},
};
use sqlx::{PgConnection, Row, postgres::PgRow};

/// A row of `streams`.
#[derive(Clone, Debug)]
pub struct Stream {
    pub id: StreamId,
    pub participant: ParticipantId,
    pub transport: Transport,
    pub kind: MediaKind,
    pub source: MediaSource,
    pub codec: Codec,
    pub payload_type: u8,
    /// Of redundant audio data (RFC 2198).
    pub red_payload_type: Option<u8>,
    pub clock_rate: u32,
    /// Told by the client; `None`: whatever it uses.
    pub ssrc: Option<u32>,
    /// Of the media that came last.
    pub heard_ssrc: Option<u32>,
    /// `ip:port` told by the client.
    pub remote: Option<String>,
    /// The source may change in mid-stream, without SRTP too.
    pub relatch: bool,
    /// `ip:port` that media came from.
    pub latched: Option<String>,
    /// What clients were told to send to.
    pub ip: Option<String>,
    pub port: Option<u16>,
    pub srtp_suite: Option<SrtpSuite>,
    pub srtp_sealed: Option<Vec<u8>>,
    /// SRTP's rollover counter and highest sequence number as last written down (48 bits); 0 when
    /// never.
    pub rollover: u64,
    pub state: StreamState,
    /// As last told.
    pub media: Media,
}

fn stream(row: &PgRow) -> sqlx::Result<Stream> {
    let out_of_range = |what: &str| sqlx::Error::Decode(format!("{what} out of range").into());
    let ssrc = |name: &str| {
        let value: Option<i64> = row.try_get(name)?;
        value
            .map(|ssrc| u32::try_from(ssrc).map_err(|_| out_of_range(name)))
            .transpose()
    };
    Ok(Stream {
        id: StreamId(row.try_get("id")?),
        participant: ParticipantId(row.try_get("participant_id")?),
        transport: word(row, "transport")?,
        kind: word(row, "kind")?,
        source: word(row, "source")?,
        codec: word(row, "codec")?,
        payload_type: u8::try_from(row.try_get::<i32, _>("payload_type")?)
            .map_err(|_| out_of_range("payload_type"))?,
        red_payload_type: row
            .try_get::<Option<i32>, _>("red_payload_type")?
            .map(|kind| u8::try_from(kind).map_err(|_| out_of_range("red_payload_type")))
            .transpose()?,
        clock_rate: u32::try_from(row.try_get::<i32, _>("clock_rate")?)
            .map_err(|_| out_of_range("clock_rate"))?,
        ssrc: ssrc("ssrc")?,
        heard_ssrc: ssrc("heard_ssrc")?,
        remote: row.try_get("remote")?,
        relatch: row.try_get("relatch")?,
        latched: row.try_get("latched")?,
        ip: row.try_get("ip")?,
        port: row
            .try_get::<Option<i32>, _>("port")?
            .map(|port| u16::try_from(port).map_err(|_| out_of_range("port")))
            .transpose()?,
        srtp_suite: word_or_null(row, "srtp_suite")?,
        srtp_sealed: row.try_get("srtp_sealed")?,
        rollover: u64::try_from(row.try_get::<i64, _>("rollover")?).unwrap_or(0),
        state: word(row, "state")?,
        media: Media::new(word(row, "media")?, word_or_null(row, "media_reason")?),
    })
}

const COLUMNS: &str = "id, participant_id, transport, kind, source, codec, payload_type, red_payload_type, clock_rate, ssrc, heard_ssrc, remote, relatch, \
                       latched, ip, port, srtp_suite, srtp_sealed, rollover, state, media, media_reason";

/// The meeting's streams that are not closed, oldest first.
pub async fn live(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<Stream>> {
    let sql = format!(
        "select {COLUMNS} from streams where meeting_id = $1 and state <> 'closed' order by created_at, id"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(meeting.0)
        .fetch_all(conn)
        .await?;
    Ok(rows.iter().map(stream).collect::<sqlx::Result<_>>()?)
}

/// The stream is received here.
pub async fn opened(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: StreamId,
    ip: &str,
    port: u16,
) -> Result<()> {
    let remote: Option<Option<String>> = sqlx::query_scalar(
        "update streams set state = 'open', ip = $3, port = $4 where meeting_id = $1 and id = $2 and state <> 'closed'
         returning coalesce(latched, remote)",
    )
    .bind(meeting.0)
    .bind(id.0)
    .bind(ip)
    .bind(i32::from(port))
    .fetch_optional(&mut *conn)
    .await?;
    // Closed before this could be written, its port is bound all the same.
    port::hold(conn, meeting, id, ip, port).await?;
    if let Some(Some(source)) = remote {
        port::know(conn, meeting, id, &source).await?;
    }
    Ok(())
}

/// The same of a stream that comes from a peer connection: it has no port of its own.
pub async fn opened_by_peer(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: StreamId,
) -> Result<()> {
    sqlx::query(
        "update streams set state = 'open' where meeting_id = $1 and id = $2 and state <> 'closed'",
    )
    .bind(meeting.0)
    .bind(id.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Its media comes from there. `anew`: with another SSRC than before.
pub async fn latched(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: StreamId,
    from: &str,
    ssrc: u32,
    anew: bool,
) -> Result<()> {
    sqlx::query(
        "update streams set latched = $3, heard_ssrc = $4, rollover = case when $5 then 0 else rollover end
         where meeting_id = $1 and id = $2",
    )
    .bind(meeting.0)
    .bind(id.0)
    .bind(from)
    .bind(i64::from(ssrc))
    .bind(anew)
    .execute(&mut *conn)
    .await?;
    port::know(conn, meeting, id, from).await
}

/// Its media comes, or does not.
pub async fn media(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: StreamId,
    media: Media,
) -> Result<()> {
    sqlx::query(
        "update streams set media = $3, media_reason = $4 where meeting_id = $1 and id = $2",
    )
    .bind(meeting.0)
    .bind(id.0)
    .bind(media.word().as_str())
    .bind(media.reason().map(MediaReason::as_str))
    .execute(conn)
    .await?;
    Ok(())
}

/// Streams of one source that [`mute`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Muted {
    pub open: i64,
    pub changed: i64,
}

/// What a participant says of the streams of one source.
pub async fn mute(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
    source: MediaSource,
    muted: bool,
) -> Result<Muted> {
    // What was before is read as of before the update.
    let (open, changed) = sqlx::query_as(
        "with told as (
             update streams set is_muted = $4
             where meeting_id = $1 and participant_id = $2 and source = $3 and state <> 'closed' and is_muted <> $4
             returning id)
         select (select count(*) from streams
                 where meeting_id = $1 and participant_id = $2 and source = $3 and state <> 'closed'),
                (select count(*) from told)",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .bind(source.as_str())
    .bind(muted)
    .fetch_one(conn)
    .await?;
    Ok(Muted { open, changed })
}

pub async fn rollover(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: StreamId,
    index: u64,
) -> Result<()> {
    sqlx::query("update streams set rollover = $3 where meeting_id = $1 and id = $2")
        .bind(meeting.0)
        .bind(id.0)
        .bind(i64::try_from(index).unwrap_or(0))
        .execute(conn)
        .await?;
    Ok(())
}

/// Closed for this reason; answers its participant unless it was already.
pub async fn closed(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: StreamId,
    reason: CloseReason,
) -> Result<Option<ParticipantId>> {
    let participant = sqlx::query_scalar(
        "update streams set state = 'closed', reason = $3, closed_at = clock_timestamp(), srtp_sealed = null
         where meeting_id = $1 and id = $2 and state <> 'closed' returning participant_id",
    )
    .bind(meeting.0)
    .bind(id.0)
    .bind(reason.as_str())
    .fetch_optional(conn)
    .await?;
    Ok(participant.map(ParticipantId))
}
