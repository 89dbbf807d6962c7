//! What the worker that holds a meeting reads and writes. Every write first locks the lease row
//! ([`super::lease::fence`]).

use super::{
    Result, glossary,
    recording::{self, Recording},
    stream::{self, Stream},
    word::word,
};
use crate::domain::{
    gate::Pass,
    id::{MeetingId, SegmentId, TenantId},
    limits::SPOOLED_FOR,
    meeting::MeetingStatus,
    settings::MeetingSettings,
    stream::MediaSource,
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, Row, types::Json};

/// A meeting as it is claimed.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub tenant: TenantId,
    pub status: MeetingStatus,
    pub start_time: Option<DateTime<Utc>>,
    /// Their glossary is the tenant's and then the meeting's.
    pub settings: MeetingSettings,
    pub recordings: Vec<Recording>,
    pub streams: Vec<Stream>,
}

/// Everything needed to run the meeting; `None` when it does not exist.
pub async fn load(conn: &mut PgConnection, meeting: MeetingId) -> Result<Option<Loaded>> {
    let Some(row) =
        sqlx::query("select tenant_id, status, start_time, settings from meetings where id = $1")
            .bind(meeting.0)
            .fetch_optional(&mut *conn)
            .await?
    else {
        return Ok(None);
    };
    let tenant = TenantId(row.try_get("tenant_id")?);
    let mut settings = row.try_get::<Json<MeetingSettings>, _>("settings")?.0;
    settings.expect_also(glossary::get(conn, tenant).await?);
    Ok(Some(Loaded {
        tenant,
        status: word(&row, "status")?,
        start_time: row.try_get("start_time")?,
        settings,
        recordings: recording::of_meeting(conn, meeting).await?,
        streams: stream::live(conn, meeting).await?,
    }))
}

/// The meeting's status only.
pub async fn status(conn: &mut PgConnection, meeting: MeetingId) -> Result<MeetingStatus> {
    let row = sqlx::query("select status from meetings where id = $1")
        .bind(meeting.0)
        .fetch_one(conn)
        .await?;
    Ok(word(&row, "status")?)
}

/// The meeting ends now, unless it ended already (`false`).
pub async fn end(conn: &mut PgConnection, meeting: MeetingId) -> Result<bool> {
    let done = sqlx::query(
        "update meetings set status = 'ended', end_time = date_trunc('milliseconds', clock_timestamp())
         where id = $1 and status <> 'ended'",
    )
    .bind(meeting.0)
    .execute(&mut *conn)
    .await?;
    sqlx::query("update meeting_heads set roster = roster + 1 where meeting_id = $1")
        .bind(meeting.0)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// A caption that will not change any more.
#[derive(Clone, Debug)]
pub struct FinalSegment {
    pub id: SegmentId,
    /// Whose, and the consent entry behind it.
    pub pass: Pass,
    /// On which of their streams it was heard.
    pub media_source: MediaSource,
    pub start_ms: i64,
    pub end_ms: i64,
    pub language: Option<String>,
    pub text: String,
    /// `[{text, startMs, endMs, confidence}]`.
    pub words: Value,
    pub revision: i32,
    pub epoch: i64,
}

/// Stores a final; a second time changes nothing (`false`).
pub async fn add_final(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    segment: &FinalSegment,
) -> Result<bool> {
    let done = sqlx::query(
        "insert into transcript_segments (meeting_id, id, tenant_id, participant_id, start_ms, end_ms, language, text, words,
             revision, epoch, consent_entry, late_ms, media_source)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
         where not exists (select from deletions where meeting_id = $1 and what = 'transcript')
         on conflict (meeting_id, id) do nothing",
    )
    .bind(meeting.0)
    .bind(segment.id.0)
    .bind(tenant.0)
    .bind(segment.pass.participant.0)
    .bind(segment.start_ms)
    .bind(segment.end_ms)
    .bind(&segment.language)
    .bind(&segment.text)
    .bind(&segment.words)
    .bind(segment.revision)
    .bind(segment.epoch)
    .bind(segment.pass.entry)
    .bind(segment.pass.late.as_ms())
    .bind(segment.media_source.as_str())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The transcript exists from the claim on; `complete` once no final can come any more.
pub async fn transcript(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    language: Option<&str>,
    complete: bool,
) -> Result<()> {
    sqlx::query(
        "insert into transcripts (meeting_id, tenant_id, language, complete) values ($1, $2, $3, $4)
         on conflict (meeting_id) do update set complete = transcripts.complete or excluded.complete,
             language = coalesce(transcripts.language, excluded.language)",
    )
    .bind(meeting.0)
    .bind(tenant.0)
    .bind(language)
    .bind(complete)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether no final can come any more.
pub async fn is_complete(conn: &mut PgConnection, meeting: MeetingId) -> Result<bool> {
    let complete = sqlx::query_scalar("select complete from transcripts where meeting_id = $1")
        .bind(meeting.0)
        .fetch_optional(conn)
        .await?;
    Ok(complete.unwrap_or(false))
}

/// Notes how many segments a holder left in the spool of its machine. A note is good for
/// [`SPOOLED_FOR`].
pub async fn note_spooled(
    conn: &mut PgConnection,
    meeting: MeetingId,
    epoch: i64,
    segments: usize,
) -> Result<()> {
    sqlx::query(
        "update capture_epochs set spooled = $3, spooled_at = clock_timestamp()
         where meeting_id = $1 and epoch = $2 and (spooled > 0 or $3 > 0)",
    )
    .bind(meeting.0)
    .bind(epoch)
    .bind(i32::try_from(segments).unwrap_or(i32::MAX))
    .execute(conn)
    .await?;
    Ok(())
}

/// Segments in spools whose machines said so lately: they are on their way into storage.
pub async fn spooled(conn: &mut PgConnection, meeting: MeetingId) -> Result<i64> {
    Ok(sqlx::query(
        "select coalesce(sum(spooled), 0)::bigint from capture_epochs
         where meeting_id = $1 and spooled > 0 and spooled_at > clock_timestamp() - make_interval(secs => $2)",
    )
    .bind(meeting.0)
    .bind(SPOOLED_FOR.0 as f64 / 1e6)
    .fetch_one(conn)
    .await?
    .try_get(0)?)
}
