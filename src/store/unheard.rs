//! Where words of a meeting are missing, and what is needed to say so.

use super::Result;
use crate::domain::{
    id::{MeetingId, ParticipantId, TenantId},
    time::{MeetingTime, Span},
    unheard::{Missing, TranscriptGapReason},
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Text};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A row of `transcript_gaps`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    pub id: Uuid,
    pub participant: ParticipantId,
    pub missing: Missing,
    pub why: TranscriptGapReason,
}

/// Notes where words are missing.
pub async fn note(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    participant: ParticipantId,
    missing: Missing,
    why: TranscriptGapReason,
) -> Result<()> {
    sqlx::query(
        "insert into transcript_gaps (meeting_id, id, tenant_id, participant_id, start_us, end_us, search_us, reason)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(meeting.0)
    .bind(super::new_id())
    .bind(tenant.0)
    .bind(participant.0)
    .bind(missing.span.start.0)
    .bind(missing.span.end.0)
    .bind(missing.search.0)
    .bind(why.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

/// Where words are missing, by time.
pub async fn of_meeting(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<Gap>> {
    type Row = (Uuid, Uuid, i64, i64, i64, Text<TranscriptGapReason>);
    let rows: Vec<Row> = sqlx::query_as(OF_MEETING)
        .bind(meeting.0)
        .fetch_all(conn)
        .await?;
    let gap = |(id, participant, start, end, search, why): Row| Gap {
        id,
        participant: ParticipantId(participant),
        missing: Missing {
            span: Span::new(MeetingTime(start), MeetingTime(end)),
            search: MeetingTime(search),
        },
        why: why.0,
    };
    Ok(rows.into_iter().map(gap).collect())
}

pub(crate) const OF_MEETING: &str = "select id, participant_id, start_us, end_us, search_us, reason from transcript_gaps \
    where meeting_id = $1 order by start_us, id";

/// Forgets one; `false` when it is not there any more.
pub async fn forget(conn: &mut PgConnection, meeting: MeetingId, id: Uuid) -> Result<bool> {
    let done = sqlx::query("delete from transcript_gaps where meeting_id = $1 and id = $2")
        .bind(meeting.0)
        .bind(id)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The meeting's holders, oldest first: from when, and their last sign of life.
pub async fn holdings(
    conn: &mut PgConnection,
    meeting: MeetingId,
) -> Result<Vec<(i64, DateTime<Utc>, DateTime<Utc>)>> {
    Ok(sqlx::query_as(
        "select epoch, began_at, alive_at from capture_epochs where meeting_id = $1 order by epoch",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?)
}

/// When each participant had a stream; an open end is `None`.
pub async fn streams(
    conn: &mut PgConnection,
    meeting: MeetingId,
) -> Result<Vec<(ParticipantId, DateTime<Utc>, Option<DateTime<Utc>>)>> {
    let rows: Vec<(Uuid, DateTime<Utc>, Option<DateTime<Utc>>)> = sqlx::query_as(
        "select participant_id, created_at, closed_at from streams where meeting_id = $1 and port is not null",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(participant, from, until)| (ParticipantId(participant), from, until))
        .collect())
}

/// Where the words of each participant are.
pub async fn finals(
    conn: &mut PgConnection,
    meeting: MeetingId,
) -> Result<BTreeMap<ParticipantId, Vec<Span>>> {
    let rows: Vec<(Uuid, i64, i64)> = sqlx::query_as(
        "select participant_id, start_ms, end_ms from transcript_segments where meeting_id = $1",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    let mut finals: BTreeMap<ParticipantId, Vec<Span>> = BTreeMap::new();
    for (participant, start, end) in rows {
        let span = Span::new(MeetingTime::from_ms(start), MeetingTime::from_ms(end));
        finals
            .entry(ParticipantId(participant))
            .or_default()
            .push(span);
    }
    Ok(finals)
}
