//! Restores from the archive, as a recording's row has them.

use super::{Result, word::word_or_null};
use crate::domain::{
    id::{MeetingId, RecordingId},
    restore::RestoreSpeed,
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};

/// Notes that somebody asked for a restore; of two the longer counts. Under the meeting's head.
pub async fn ask(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: RecordingId,
    days: u16,
    speed: RestoreSpeed,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "update recordings set restore_days = greatest(restore_days, $3), restore_speed = $4,
             restore_asked_at = coalesce(restore_asked_at, $5)
         where meeting_id = $1 and id = $2",
    )
    .bind(meeting.0)
    .bind(id.0)
    .bind(i32::from(days))
    .bind(speed.as_str())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// A restore that somebody asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    pub meeting: MeetingId,
    pub blob_url: String,
    pub asked_at: DateTime<Utc>,
    /// What the store is still to be asked for.
    pub days: Option<u16>,
    pub speed: RestoreSpeed,
}

/// `None`: nothing is to be restored, or not any more.
pub async fn asked(conn: &mut PgConnection, id: RecordingId) -> Result<Option<Asked>> {
    let row = sqlx::query(
        "select meeting_id, blob_url, restore_asked_at, restore_days, restore_speed from recordings
         where id = $1 and restore_asked_at is not null and blob_url is not null and status = 'ready' and deleted_at is null",
    )
    .bind(id.0)
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let days: Option<i32> = row.try_get("restore_days")?;
    Ok(Some(Asked {
        meeting: MeetingId(row.try_get("meeting_id")?),
        blob_url: row.try_get("blob_url")?,
        asked_at: row.try_get("restore_asked_at")?,
        days: days.and_then(|days| u16::try_from(days).ok()),
        speed: word_or_null(&row, "restore_speed")?.unwrap_or_default(),
    }))
}

/// The store took it on for so many days; who asked for more meanwhile still waits.
pub async fn taken(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: RecordingId,
    days: u16,
) -> Result<()> {
    sqlx::query(
        "update recordings set restore_days = null where meeting_id = $1 and id = $2 and restore_days = $3",
    )
    .bind(meeting.0)
    .bind(id.0)
    .bind(i32::from(days))
    .execute(conn)
    .await?;
    Ok(())
}

/// It is readable until then (`None`: not any more). Answers whether the store is to be asked for
/// more.
pub async fn restored(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: RecordingId,
    until: Option<DateTime<Utc>>,
) -> Result<bool> {
    let more: Option<bool> = sqlx::query_scalar(
        "update recordings set restore_until = $3,
             restore_asked_at = case when restore_days is not null then restore_asked_at end
         where meeting_id = $1 and id = $2 returning restore_days is not null",
    )
    .bind(meeting.0)
    .bind(id.0)
    .bind(until)
    .fetch_optional(conn)
    .await?;
    Ok(more.unwrap_or(false))
}
