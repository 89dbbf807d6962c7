//! Recordings as hosts list and fetch them. What writes them is with the workers' nouns.

use super::{
    Result,
    recording::losses,
    word::{word, word_or_null},
};
use crate::domain::{
    fault::Away,
    id::{MeetingId, RecordingId, TenantId},
    recording::{Gap, RecordingKind, RecordingStatus},
    restore::Restore,
    retention::{Retention, RetentionFacts},
    stream::MediaSource,
    tenant_settings::Days,
    tiering::{Classes, Tier},
};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, Row, postgres::PgRow, types::Json};
use uuid::Uuid;

#[derive(Clone, Debug)]
pub struct ListedRecording {
    pub id: Uuid,
    pub meeting_id: Uuid,
    pub kind: RecordingKind,
    pub participant_id: Option<Uuid>,
    pub source: Option<MediaSource>,
    pub media_type: String,
    /// `s3://bucket/key`, once there is an object.
    pub blob_url: Option<String>,
    pub start_ms: i64,
    pub duration_ms: Option<i64>,
    pub duration_seconds: Option<i32>,
    pub gaps: Vec<Gap>,
    pub storage_tier: Tier,
    /// Of the file, or of where it is moving; `None`: what its tier is mapped to.
    pub storage_class: Option<String>,
    pub restore: Restore,
    /// When this was read, on Postgres's clock.
    pub read_at: DateTime<Utc>,
    /// When it is deleted; `None`: never, or not yet known.
    pub expires_at: Option<DateTime<Utc>>,
    pub status: RecordingStatus,
    pub progress: Option<f32>,
    pub error: Option<String>,
    /// What its job waits for.
    pub waiting_for: Option<Away>,
    pub size_bytes: Option<i64>,
    pub sha256: Option<String>,
    pub created_at: DateTime<Utc>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// For a file name a person can tell apart; `None` for a mix.
    pub display_name: Option<String>,
}

impl ListedRecording {
    /// Whether its file can only be read after a restore, and is not restored.
    pub fn is_archived(&self, classes: &Classes) -> bool {
        classes.is_archived(self.storage_class.as_deref(), self.storage_tier)
            && !self.restore.is_readable(self.read_at)
    }
}

impl FromRow<'_, PgRow> for ListedRecording {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            meeting_id: row.try_get("meeting_id")?,
            kind: word(row, "kind")?,
            participant_id: row.try_get("participant_id")?,
            source: word_or_null(row, "source")?,
            media_type: row.try_get("media_type")?,
            blob_url: row.try_get("blob_url")?,
            start_ms: row.try_get("start_ms")?,
            duration_ms: row.try_get("duration_ms")?,
            duration_seconds: row.try_get("duration_seconds")?,
            gaps: row.try_get::<Json<_>, _>("gaps")?.0,
            storage_tier: word(row, "storage_tier")?,
            storage_class: row.try_get("storage_class")?,
            restore: Restore {
                is_running: row.try_get("is_restoring")?,
                until: row.try_get("restore_until")?,
            },
            read_at: row.try_get("read_at")?,
            expires_at: expires(row)?,
            status: word(row, "status")?,
            progress: row.try_get("progress")?,
            error: row.try_get("error")?,
            waiting_for: word_or_null(row, "waiting_for")?,
            size_bytes: row.try_get("size_bytes")?,
            sha256: row.try_get("sha256")?,
            created_at: row.try_get("created_at")?,
            deleted_at: row.try_get("deleted_at")?,
            display_name: row.try_get("display_name")?,
        })
    }
}

/// When a recording of a row is deleted: while its meeting is held, never. The row has `end_time`,
/// `own_retention`, `tenants_retention` and `is_held`.
pub(super) fn expires(row: &PgRow) -> sqlx::Result<Option<DateTime<Utc>>> {
    Ok(kept(row)?.expires())
}

/// What says when that is.
pub(super) fn kept(row: &PgRow) -> sqlx::Result<RetentionFacts> {
    let own: Option<Json<Option<Retention>>> = row.try_get("own_retention")?;
    let tenants: Option<i32> = row.try_get("tenants_retention")?;
    let tenants = tenants.and_then(|days| Days::after(days.unsigned_abs().into()));
    Ok(RetentionFacts {
        ended: row.try_get("end_time")?,
        own: own.and_then(|own| own.0),
        tenants: tenants.unwrap_or(Days::Never),
        held: row.try_get("is_held")?,
    })
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

/// Why the meeting's files cannot be made, of a row of `recordings` called `r`.
macro_rules! failed {
    () => {
        "(select coalesce(min(j.error), 'it could not be made') from jobs j
          where j.subject = r.meeting_id and j.meeting_id = r.meeting_id and j.kind in ('join', 'mix') and j.state = 'failed'
          having count(*) > 0)"
    };
}

/// Recordings as they are listed, by which.
macro_rules! listed {
    ($which:literal) => {
        concat!(
            "select r.id, r.meeting_id, r.kind, r.participant_id, r.source, r.media_type, r.blob_url, r.start_ms,
                    r.duration_ms, r.duration_seconds,
                    case when r.status = 'ready' then r.gaps else r.gaps || ",
            losses!(),
            " end as gaps, r.storage_tier, r.storage_class, r.restore_until, r.restore_asked_at is not null as is_restoring, clock_timestamp() as read_at,
                    case when not r.redacting or r.status <> 'ready' then r.status when ",
            failed!(),
            " is null then 'processing' else 'failed' end as status,
                    r.progress, case when r.redacting and r.status = 'ready' then ",
            failed!(),
            " else r.error end as error,
                    r.size_bytes, r.sha256, r.created_at, r.deleted_at, u.display_name,
                    m.end_time, m.settings -> 'retentionDays' as own_retention,
                    (select t.retention_days from tenant_settings t where t.tenant_id = r.tenant_id) as tenants_retention,
                    exists (select from holds h where h.meeting_id = r.meeting_id and h.lifted_at is null) as is_held,
                    case when r.status = 'processing' then
                        (select min(j.waiting_for) from jobs j where j.subject = r.meeting_id and j.kind in ('join', 'mix'))
                    end as waiting_for
             from recordings r
             join meetings m on m.id = r.meeting_id
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
