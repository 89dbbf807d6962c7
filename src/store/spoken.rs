//! The finals of one participant, as a redaction takes them apart.

use super::{Result, new_id, word::word};
use crate::domain::{
    correction::TextSource,
    id::{MeetingId, ParticipantId},
};
use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

/// A final segment as a redaction looks at it.
#[derive(Clone, Debug)]
pub struct Spoken {
    pub id: Uuid,
    pub start_ms: i64,
    pub end_ms: i64,
    pub text: String,
    pub words: Value,
    pub source: TextSource,
}

/// The finals of a participant, by time. Under the head's lock they stay what they are.
pub async fn of(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<Vec<Spoken>> {
    let rows = sqlx::query(
        "select id, start_ms, end_ms, text, words, source from transcript_segments
         where meeting_id = $1 and participant_id = $2 order by start_ms, id",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .fetch_all(conn)
    .await?;
    let spoken = |row: &PgRow| -> sqlx::Result<Spoken> {
        Ok(Spoken {
            id: row.try_get("id")?,
            start_ms: row.try_get("start_ms")?,
            end_ms: row.try_get("end_ms")?,
            text: row.try_get("text")?,
            words: row.try_get("words")?,
            source: word(row, "source")?,
        })
    };
    Ok(rows.iter().map(spoken).collect::<sqlx::Result<_>>()?)
}

/// What stays of a final, as a final of its own.
#[derive(Clone, Debug)]
pub struct Part {
    pub start_ms: i64,
    pub end_ms: i64,
    pub text: String,
    pub words: Value,
}

/// Stores it beside the one that it is of, which is still there; answers with its id.
pub async fn add_part(
    conn: &mut PgConnection,
    meeting: MeetingId,
    of: Uuid,
    part: &Part,
) -> Result<Uuid> {
    let id = new_id();
    sqlx::query(
        "insert into transcript_segments (meeting_id, id, tenant_id, participant_id, start_ms, end_ms, language, text, words,
             revision, epoch, consent_entry, late_ms, media_source, source)
         select meeting_id, $3, tenant_id, participant_id, $4, $5, language, $6, $7, 1, epoch, consent_entry, late_ms,
             media_source, source
         from transcript_segments where meeting_id = $1 and id = $2",
    )
    .bind(meeting.0)
    .bind(of)
    .bind(id)
    .bind(part.start_ms)
    .bind(part.end_ms)
    .bind(&part.text)
    .bind(&part.words)
    .execute(conn)
    .await?;
    Ok(id)
}

/// Deletes these finals with their versions and translations. Events that told of them say that
/// they were taken back.
pub async fn erase(conn: &mut PgConnection, meeting: MeetingId, ids: &[Uuid]) -> Result<()> {
    for statement in [
        "delete from transcript_segments where meeting_id = $1 and id = any($2)",
        "update meeting_events set type = 'transcript_retracted', ref = null,
             data = jsonb_build_object('segmentId', ref, 'reason', 'redacted')
         where meeting_id = $1 and ref = any($2)",
    ] {
        sqlx::query(statement)
            .bind(meeting.0)
            .bind(ids)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}
