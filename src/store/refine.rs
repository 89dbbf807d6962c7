//! What the second pass over a transcript reads and writes.

use super::{Result, word::word_or_null};
use crate::domain::{
    id::{JobId, MeetingId, ParticipantId, SegmentId},
    refine::{Final, Refinement},
    stream::MediaSource,
    time::{MeetingTime, Span},
};
use serde::Deserialize;
use serde_json::Value;
use sqlx::{PgConnection, Row as _, postgres::PgRow, types::Text};
use uuid::Uuid;

/// How far the pass is; `None`: it is not asked for.
pub async fn state(conn: &mut PgConnection, meeting: MeetingId) -> Result<Option<Refinement>> {
    let state: Option<Option<Text<Refinement>>> =
        sqlx::query_scalar("select refined from transcripts where meeting_id = $1")
            .bind(meeting.0)
            .fetch_optional(conn)
            .await?;
    Ok(state.flatten().map(|state| state.0))
}

/// Asks for the pass where the meeting's settings name a model for it; whether they do. Of a
/// transcript that is there.
pub async fn ask(conn: &mut PgConnection, meeting: MeetingId) -> Result<bool> {
    let done = sqlx::query(
        "update transcripts t set refined = 'pending' from meetings m
         where t.meeting_id = $1 and m.id = t.meeting_id and m.settings ->> 'refineModel' is not null",
    )
    .bind(meeting.0)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether the pass is still to be made, or to its end.
pub async fn is_due(conn: &mut PgConnection, meeting: MeetingId) -> Result<bool> {
    let state = state(conn, meeting).await?;
    Ok(matches!(
        state,
        Some(Refinement::Pending | Refinement::Running)
    ))
}

/// Says how far it is. Of a transcript that is there.
pub async fn set_state(
    conn: &mut PgConnection,
    meeting: MeetingId,
    state: Refinement,
) -> Result<()> {
    sqlx::query("update transcripts set refined = $2 where meeting_id = $1")
        .bind(meeting.0)
        .bind(state.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// A word as its row has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredWord {
    text: String,
    start_ms: i64,
    end_ms: i64,
}

fn span(start_ms: i64, end_ms: i64) -> Span {
    Span::new(MeetingTime::from_ms(start_ms), MeetingTime::from_ms(end_ms))
}

/// What somebody said, by time, and on which of their streams it was heard, where that is known.
pub async fn finals(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<Vec<(Final, Option<MediaSource>)>> {
    let rows = sqlx::query(
        "select id, revision, start_ms, end_ms, language, words, media_source from transcript_segments
         where meeting_id = $1 and participant_id = $2 order by start_ms, id",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .fetch_all(conn)
    .await?;
    let one = |row: &PgRow| -> sqlx::Result<_> {
        let words: Value = row.try_get("words")?;
        let one = Final {
            id: SegmentId(row.try_get("id")?),
            revision: row.try_get("revision")?,
            span: span(row.try_get("start_ms")?, row.try_get("end_ms")?),
            language: row.try_get("language")?,
            words: Vec::<StoredWord>::deserialize(&words)
                .unwrap_or_default()
                .into_iter()
                .map(|word| (word.text, span(word.start_ms, word.end_ms)))
                .collect(),
        };
        Ok((one, word_or_null(row, "media_source")?))
    };
    Ok(rows.iter().map(one).collect::<sqlx::Result<_>>()?)
}

/// How far a job is through something that it reads from its beginning to its end.
pub async fn place(
    conn: &mut PgConnection,
    meeting: MeetingId,
    job: JobId,
    of: Uuid,
) -> Result<MeetingTime> {
    let place: Option<i64> = sqlx::query_scalar(
        "select (payload -> 'places' ->> $3::text)::bigint from jobs where meeting_id = $1 and id = $2",
    )
    .bind(meeting.0)
    .bind(job.0)
    .bind(of.to_string())
    .fetch_one(conn)
    .await?;
    Ok(place.map_or(MeetingTime::ZERO, MeetingTime))
}

/// Notes that, for whoever goes on with it.
pub async fn set_place(
    conn: &mut PgConnection,
    meeting: MeetingId,
    job: JobId,
    of: Uuid,
    place: MeetingTime,
) -> Result<()> {
    sqlx::query(
        "update jobs set payload = jsonb_set(payload || jsonb_build_object('places',
             coalesce(payload -> 'places', '{}')), array['places', $3::text], to_jsonb($4::bigint))
         where meeting_id = $1 and id = $2 and state = 'running'",
    )
    .bind(meeting.0)
    .bind(job.0)
    .bind(of.to_string())
    .bind(place.0)
    .execute(conn)
    .await?;
    Ok(())
}
