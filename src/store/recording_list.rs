//! Recordings as hosts list and fetch them. What writes them is with the workers' nouns.

use super::{Result, recording::losses};
use crate::domain::id::{MeetingId, RecordingId, TenantId};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ListedRecording {
    pub id: Uuid,
    pub meeting_id: Uuid,
    /// `mix` or `track`.
    pub kind: String,
    pub participant_id: Option<Uuid>,
    pub source: Option<String>,
    pub media_type: String,
    /// `s3://bucket/key`, once there is an object.
    pub blob_url: Option<String>,
    pub start_ms: i64,
    pub duration_ms: Option<i64>,
    pub duration_seconds: Option<i32>,
    /// `[{startMs, endMs, reason}]`.
    pub gaps: Value,
    pub storage_tier: String,
    pub status: String,
    pub progress: Option<f32>,
    pub error: Option<String>,
    /// What its job waits for.
    pub waiting_for: Option<String>,
    pub size_bytes: Option<i64>,
    pub sha256: Option<String>,
    pub created_at: DateTime<Utc>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// For a file name a person can tell apart; `None` for a mix.
    pub display_name: Option<String>,
}

/// The meeting's recordings that are not deleted, behind `after`: in the order in which they were
/// made.
pub async fn list(
    conn: &mut PgConnection,
    meeting: MeetingId,
    after: Option<RecordingId>,
    limit: i64,
) -> Result<Vec<ListedRecording>> {
    Ok(sqlx::query_as(LIST)
        .bind(meeting.0)
        .bind(after.map_or(Uuid::nil(), |id| id.0))
        .bind(limit)
        .fetch_all(conn)
        .await?)
}

/// A recording of the tenant, also when it is deleted (`deleted_at`).
pub async fn get(
    conn: &mut PgConnection,
    tenant: TenantId,
    id: RecordingId,
) -> Result<Option<ListedRecording>> {
    Ok(sqlx::query_as(GET)
        .bind(id.0)
        .bind(tenant.0)
        .fetch_optional(conn)
        .await?)
}

/// Where the mix begins, or would: its own start, else that of the earliest track.
pub async fn mix_start_ms(conn: &mut PgConnection, meeting: MeetingId) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar(
        "select coalesce(min(start_ms) filter (where kind = 'mix'), min(start_ms) filter (where kind = 'track'))
         from recordings where meeting_id = $1",
    )
    .bind(meeting.0)
    .fetch_one(conn)
    .await?)
}

/// Recordings as they are listed, by which.
macro_rules! listed {
    ($which:literal) => {
        concat!(
            "select r.id, r.meeting_id, r.kind, r.participant_id, r.source, r.media_type, r.blob_url, r.start_ms,
                    r.duration_ms, r.duration_seconds,
                    case when r.status = 'ready' then r.gaps else r.gaps || ",
            losses!(),
            " end as gaps, r.storage_tier, r.status, r.progress, r.error,
                    r.size_bytes, r.sha256, r.created_at, r.deleted_at, u.display_name,
                    case when r.status = 'processing' then j.waiting_for end as waiting_for
             from recordings r
             left join jobs j on j.meeting_id = r.meeting_id and j.kind = 'mix' 
             left join participants p on p.meeting_id = r.meeting_id and p.id = r.participant_id
             left join users u on u.id = p.user_id
             where ",
            $which
        )
    };
}

pub const GET: &str = listed!("r.id = $1 and r.tenant_id = $2");
pub(crate) const LIST: &str =
    listed!("r.meeting_id = $1 and r.id > $2 and r.deleted_at is null order by r.id limit $3");
