//! Versions of final segments: the newest in `transcript_segments`, the earlier ones in
//! `transcript_revisions`, which go with it.

use super::Result;
use crate::domain::{
    correction::{Current, TextSource},
    id::{MeetingId, SegmentId},
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, types::Text};
use uuid::Uuid;

/// A segment as it is corrected. Its row is locked.
#[derive(Clone, Debug)]
pub struct Locked {
    pub current: Current,
    pub start_ms: i64,
    pub end_ms: i64,
    pub words: Value,
    /// Versions that there are, this one too.
    pub versions: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    start_ms: i64,
    end_ms: i64,
    text: String,
    words: Value,
    revision: i32,
    source: Text<TextSource>,
    author: Option<String>,
    versions: i64,
}

/// Those of these segments that there are, locked until the transaction ends. Under the head's
/// lock.
pub async fn lock(
    conn: &mut PgConnection,
    meeting: MeetingId,
    segments: &[Uuid],
) -> Result<Vec<(SegmentId, Locked)>> {
    let rows: Vec<Row> = sqlx::query_as(
        "select s.id, s.start_ms, s.end_ms, s.text, s.words, s.revision, s.source, s.author,
                1 + (select count(*) from transcript_revisions r where r.meeting_id = $1 and r.segment_id = s.id)
                    as versions
         from transcript_segments s where s.meeting_id = $1 and s.id = any($2) order by s.id for update of s",
    )
    .bind(meeting.0)
    .bind(segments)
    .fetch_all(conn)
    .await?;
    let locked = |row: Row| {
        let current = Current {
            revision: row.revision,
            source: row.source.0,
            author: row.author,
            text: row.text,
        };
        let locked = Locked {
            current,
            start_ms: row.start_ms,
            end_ms: row.end_ms,
            words: row.words,
            versions: row.versions,
        };
        (SegmentId(row.id), locked)
    };
    Ok(rows.into_iter().map(locked).collect())
}

/// The next version of a segment.
#[derive(Clone, Debug)]
pub struct NewVersion {
    pub segment: SegmentId,
    pub text: String,
    pub words: Value,
    /// `None`: as it was.
    pub language: Option<String>,
}

/// Keeps the newest version of each segment as an earlier one and puts the new one in its place,
/// one revision higher. An edit takes the translation away. Of segments that are locked ([`lock`]).
pub async fn add(
    conn: &mut PgConnection,
    meeting: MeetingId,
    source: TextSource,
    author: Option<&str>,
    versions: &[NewVersion],
) -> Result<()> {
    let ids: Vec<Uuid> = versions.iter().map(|new| new.segment.0).collect();
    let texts: Vec<&str> = versions.iter().map(|new| new.text.as_str()).collect();
    let words: Vec<&Value> = versions.iter().map(|new| &new.words).collect();
    let languages: Vec<Option<&str>> = versions.iter().map(|new| new.language.as_deref()).collect();
    sqlx::query(
        "with new as (
             select * from unnest($2::uuid[], $3::text[], $4::jsonb[], $5::text[]) as n(id, text, words, language)
         ), earlier as (
             insert into transcript_revisions
                 (meeting_id, segment_id, revision, tenant_id, source, author, language, text, words, at)
             select s.meeting_id, s.id, s.revision, s.tenant_id, s.source, s.author, s.language, s.text, s.words,
                    coalesce(s.revised_at, s.created_at)
             from transcript_segments s join new on new.id = s.id where s.meeting_id = $1
         )
         update transcript_segments s set revision = s.revision + 1, text = new.text, words = new.words,
             language = coalesce(new.language, s.language), source = $6, author = $7, revised_at = clock_timestamp()
         from new where s.meeting_id = $1 and s.id = new.id",
    )
    .bind(meeting.0)
    .bind(&ids)
    .bind(texts)
    .bind(words)
    .bind(languages)
    .bind(source.as_str())
    .bind(author)
    .execute(&mut *conn)
    .await?;
    // A translation is of the sound, which a refinement only hears better. What a person took out
    // of the words must not stay in it.
    sqlx::query(
        "delete from transcript_translations t using transcript_segments s
         where t.meeting_id = $1 and t.segment_id = any($2) and s.meeting_id = $1 and s.id = t.segment_id
           and ($3 <> 'refine' or s.language = t.language)",
    )
    .bind(meeting.0)
    .bind(&ids)
    .bind(source.as_str())
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "update transcript_translations t set revision = s.revision from transcript_segments s
         where t.meeting_id = $1 and t.segment_id = any($2) and s.meeting_id = $1 and s.id = t.segment_id",
    )
    .bind(meeting.0)
    .bind(&ids)
    .execute(conn)
    .await?;
    Ok(())
}

/// The texts of all finals of a meeting, by time. Under the head's lock they stay what they are.
pub async fn texts(
    conn: &mut PgConnection,
    meeting: MeetingId,
) -> Result<Vec<(SegmentId, i32, String)>> {
    let rows: Vec<(Uuid, i32, String)> = sqlx::query_as(
        "select id, revision, text from transcript_segments where meeting_id = $1 order by start_ms, id",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, revision, text)| (SegmentId(id), revision, text))
        .collect())
}

/// A version as it is read.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Version {
    pub revision: i32,
    pub source: Text<TextSource>,
    pub author: Option<String>,
    pub language: Option<String>,
    pub text: String,
    pub words: Value,
    pub at: DateTime<Utc>,
}

/// The versions of a segment, newest first, at most `limit` below revision `before`.
pub async fn versions(
    conn: &mut PgConnection,
    meeting: MeetingId,
    segment: SegmentId,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<Version>> {
    Ok(sqlx::query_as(
        "select * from (
             select revision, source, author, language, text, words, coalesce(revised_at, created_at) as at
             from transcript_segments where meeting_id = $1 and id = $2
             union all
             select revision, source, author, language, text, words, at
             from transcript_revisions where meeting_id = $1 and segment_id = $2) as versions
         where $3::integer is null or revision < $3 order by revision desc limit $4",
    )
    .bind(meeting.0)
    .bind(segment.0)
    .bind(before)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}
