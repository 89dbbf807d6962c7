//! Transcripts as hosts read them: final segments by time.

use super::{Result, word::word_or_null};
use crate::domain::{
    correction::TextSource,
    id::{MeetingId, SegmentId},
    refine::Refinement,
};
use serde_json::Value;
use sqlx::{PgConnection, Row as _, postgres::PgRow, types::Text};
use uuid::Uuid;

/// A final segment with the name of who said it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct FinalSegment {
    pub id: Uuid,
    pub participant_id: Uuid,
    pub display_name: String,
    pub start_ms: i64,
    pub end_ms: i64,
    pub language: Option<String>,
    pub text: String,
    /// `[{text, startMs, endMs, confidence}]`.
    pub words: Value,
    pub revision: i32,
    pub source: Text<TextSource>,
    /// Who edited it.
    pub author: Option<String>,
    pub translated_to: Option<String>,
    pub translation: Option<String>,
}

/// What is known of a meeting's transcript as a whole.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Head {
    pub language: Option<String>,
    /// Nothing will be added: the last final is stored, or there never was a capture that could add
    /// one.
    pub complete: bool,
    /// Where a second pass is asked for.
    pub refined: Option<Refinement>,
}

/// The head of the transcript of a meeting that has ended or not.
pub async fn head(conn: &mut PgConnection, meeting: MeetingId) -> Result<Head> {
    let row = sqlx::query(HEAD)
        .bind(meeting.0)
        .fetch_optional(conn)
        .await?;
    let head = |row: PgRow| -> sqlx::Result<Head> {
        Ok(Head {
            language: row.try_get("language")?,
            complete: row.try_get("complete")?,
            refined: word_or_null(&row, "refined")?,
        })
    };
    Ok(row.map(head).transpose()?.unwrap_or_default())
}

/// All final segments, by time.
pub async fn segments(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<FinalSegment>> {
    Ok(sqlx::query_as(SEGMENTS)
        .bind(meeting.0)
        .fetch_all(conn)
        .await?)
}

/// One final segment; `None` when there is none of this id, or no longer.
pub async fn segment(
    conn: &mut PgConnection,
    meeting: MeetingId,
    segment: SegmentId,
) -> Result<Option<FinalSegment>> {
    Ok(sqlx::query_as(SEGMENT)
        .bind(meeting.0)
        .bind(segment.0)
        .fetch_optional(conn)
        .await?)
}

pub(crate) const HEAD: &str = "select t.language, t.refined,
            coalesce(t.complete, false) or (m.status = 'ended' and not exists
                (select from jobs j where j.meeting_id = $1 and j.subject = $1 and j.kind = 'capture')) as complete
     from meetings m left join transcripts t on t.meeting_id = $1
     where m.id = $1";

/// What the rows of a segment say, with the translation of its newest version.
macro_rules! segments {
    ($($which:literal)+) => {
        concat!(
            "select s.id, s.participant_id, u.display_name, s.start_ms, s.end_ms, s.language, s.text, s.words,
                    s.revision, s.source, s.author, t.language as translated_to, t.text as translation
             from transcript_segments s
             join participants p on p.meeting_id = $1 and p.id = s.participant_id
             join users u on u.id = p.user_id
             left join transcript_translations t on t.meeting_id = $1 and t.segment_id = s.id
                 and t.revision = s.revision
             where s.meeting_id = $1 ",
            $($which)+
        )
    };
}

pub(crate) const SEGMENTS: &str = segments!("order by s.start_ms, s.id");
pub(crate) const SEGMENT: &str = segments!("and s.id = $2");
