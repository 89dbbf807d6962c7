//! Segments whose objects are missing or broken.

use super::{Result, recording::Segment};
use crate::domain::{fault::Missing, id::MeetingId, time::Micros};
use sqlx::{PgConnection, Row};

/// A segment's object is broken, or will not come: it costs its own span.
pub async fn mark_lost(
    conn: &mut PgConnection,
    meeting: MeetingId,
    segment: &Segment,
    why: &str,
) -> Result<()> {
    sqlx::query(
        "update recording_segments set state = 'lost', error = $5
         where meeting_id = $1 and recording_id = $2 and epoch = $3 and n = $4 and state = 'stored'",
    )
    .bind(meeting.0)
    .bind(segment.recording.0)
    .bind(segment.epoch)
    .bind(segment.n)
    .bind(why)
    .execute(conn)
    .await?;
    Ok(())
}

/// How often a segment's object was missing.
pub async fn missing(
    conn: &mut PgConnection,
    meeting: MeetingId,
    segment: &Segment,
) -> Result<Missing> {
    let ago = |column: &str| {
        format!("coalesce((extract(epoch from clock_timestamp() - {column}) * 1e6)::bigint, 0)")
    };
    let sql = format!(
        "select missing, {}, {} from recording_segments
         where meeting_id = $1 and recording_id = $2 and epoch = $3 and n = $4",
        ago("missing_first"),
        ago("missing_last")
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(meeting.0)
        .bind(segment.recording.0)
        .bind(segment.epoch)
        .bind(segment.n)
        .fetch_one(conn)
        .await?;
    Ok(Missing {
        times: row.try_get(0)?,
        first_ago: Micros(row.try_get(1)?),
        last_ago: Micros(row.try_get(2)?),
    })
}

/// It is missing once more; `first` forgets the times before.
pub async fn note_missing(
    conn: &mut PgConnection,
    meeting: MeetingId,
    segment: &Segment,
    first: bool,
) -> Result<()> {
    sqlx::query(
        "update recording_segments set missing = case when $5 then 1 else missing + 1 end,
             missing_first = case when $5 then clock_timestamp() else missing_first end,
             missing_last = clock_timestamp()
         where meeting_id = $1 and recording_id = $2 and epoch = $3 and n = $4",
    )
    .bind(meeting.0)
    .bind(segment.recording.0)
    .bind(segment.epoch)
    .bind(segment.n)
    .bind(first)
    .execute(conn)
    .await?;
    Ok(())
}
