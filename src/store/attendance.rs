//! When people were there and when recording was paused, for the gaps of finished files.

use super::Result;
use crate::domain::{
    id::{MeetingId, ParticipantId},
    recording_state::RecordingState,
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};

/// One stay in the meeting.
#[derive(Clone, Debug)]
pub struct Visit {
    pub participant: ParticipantId,
    pub joined_at: DateTime<Utc>,
    /// At the latest the meeting's end. `None`: to the end of a meeting that goes on.
    pub left_at: Option<DateTime<Utc>>,
}

pub async fn of_meeting(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<Visit>> {
    let rows = sqlx::query(
        "select participant_id, joined_at, least(left_at, end_time) as left_at
         from participant_visits join meetings on meetings.id = meeting_id
         where meeting_id = $1 order by participant_id, n",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    let visit = |row: &sqlx::postgres::PgRow| -> sqlx::Result<Visit> {
        Ok(Visit {
            participant: ParticipantId(row.try_get("participant_id")?),
            joined_at: row.try_get("joined_at")?,
            left_at: row.try_get("left_at")?,
        })
    };
    Ok(rows.iter().map(visit).collect::<sqlx::Result<_>>()?)
}

/// From and until when `recording_state` said `paused` for want of consent. What could not be
/// written is `lost`, and noted apart.
pub async fn paused(
    conn: &mut PgConnection,
    meeting: MeetingId,
) -> Result<Vec<(DateTime<Utc>, Option<DateTime<Utc>>)>> {
    let rows: Vec<(String, DateTime<Utc>)> =
        sqlx::query_as("select state, at from recording_states where meeting_id = $1 order by seq")
            .bind(meeting.0)
            .fetch_all(conn)
            .await?;
    let mut spans: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> = Vec::new();
    for (state, at) in rows {
        if let Some((_, until @ None)) = spans.last_mut() {
            *until = Some(at);
        }
        if state == RecordingState::Paused.as_str() {
            spans.push((at, None));
        }
    }
    Ok(spans)
}

/// When nobody listened: from the last sign of life of one holder to the next one's beginning.
pub async fn unheard(
    conn: &mut PgConnection,
    meeting: MeetingId,
) -> Result<Vec<(DateTime<Utc>, DateTime<Utc>)>> {
    let epochs: Vec<(DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
        "select began_at, alive_at from capture_epochs where meeting_id = $1 order by epoch",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    Ok(epochs
        .windows(2)
        .map(|pair| (pair[0].1, pair[1].0))
        .collect())
}
