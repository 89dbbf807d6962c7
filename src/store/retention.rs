//! What of meetings is kept no longer.

use super::{Result, recording_list};
use crate::domain::{
    id::{MeetingId, TenantId},
    retention::RetentionFacts,
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Meetings that may be due at `now`, behind `after`, by their ids; at most `limit`. Those that are
/// held are not among them.
pub async fn due(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    after: MeetingId,
    limit: i64,
) -> Result<Vec<(TenantId, MeetingId)>> {
    // Days of 24 hours, whatever zone the session is in.
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select tenant_id, id from (
             select m.tenant_id, m.id from meetings m
             where not m.expired and m.end_time is not null and jsonb_typeof(m.settings -> 'retentionDays') = 'number'
                 and m.end_time <= $1 - make_interval(hours => 24 * case jsonb_typeof(m.settings -> 'retentionDays')
                     when 'number' then (m.settings ->> 'retentionDays')::integer end)
             union all
             select m.tenant_id, m.id from tenant_settings t join meetings m on m.tenant_id = t.tenant_id
             where t.retention_days is not null and not m.expired and m.end_time is not null
                 and m.end_time <= $1 - make_interval(hours => 24 * t.retention_days)
                 and coalesce(jsonb_typeof(m.settings -> 'retentionDays'), 'null') = 'null') due
         where id > $2 and not exists (select from holds h where h.meeting_id = id and h.lifted_at is null)
         order by id limit $3",
    )
    .bind(now)
    .bind(after.0)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(tenant, meeting)| (TenantId(tenant), MeetingId(meeting)))
        .collect())
}

/// What says how long the meeting is kept. `None`: nothing of it is left to expire. Under its head.
pub async fn kept(conn: &mut PgConnection, meeting: MeetingId) -> Result<Option<RetentionFacts>> {
    let row = sqlx::query(
        "select m.end_time, m.settings -> 'retentionDays' as own_retention,
             (select t.retention_days from tenant_settings t where t.tenant_id = m.tenant_id) as tenants_retention,
             exists (select from holds h where h.meeting_id = m.id and h.lifted_at is null) as is_held
         from meetings m where m.id = $1 and not m.expired",
    )
    .bind(meeting.0)
    .fetch_optional(conn)
    .await?;
    Ok(row.as_ref().map(recording_list::kept).transpose()?)
}

/// Nothing more of the meeting is kept.
pub async fn finish(conn: &mut PgConnection, meeting: MeetingId) -> Result<()> {
    sqlx::query("update meetings set expired = true where id = $1")
        .bind(meeting.0)
        .execute(conn)
        .await?;
    Ok(())
}
