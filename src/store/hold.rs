//! Legal holds: while a meeting has one, nothing of it is deleted or taken out.

use super::{Result, new_id};
use crate::domain::id::{MeetingId, TenantId};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Hold {
    pub id: Uuid,
    /// `api_key:<id>`.
    pub author: String,
    pub reason: String,
    pub placed_at: DateTime<Utc>,
}

/// The hold on a meeting, if there is one. Whoever deletes or takes something out asks under the
/// meeting's head, as whoever places one does.
pub async fn current(conn: &mut PgConnection, meeting: MeetingId) -> Result<Option<Hold>> {
    Ok(sqlx::query_as(
        "select id, author, reason, placed_at from holds where meeting_id = $1 and lifted_at is null",
    )
    .bind(meeting.0)
    .fetch_optional(conn)
    .await?)
}

/// Places one on a meeting that has none.
pub async fn place(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    author: &str,
    reason: &str,
) -> Result<Hold> {
    Ok(sqlx::query_as(
        "insert into holds (id, meeting_id, tenant_id, author, reason) values ($1, $2, $3, $4, $5)
         returning id, author, reason, placed_at",
    )
    .bind(new_id())
    .bind(meeting.0)
    .bind(tenant.0)
    .bind(author)
    .bind(reason)
    .fetch_one(conn)
    .await?)
}

/// Lifts the one that there is.
pub async fn lift(
    conn: &mut PgConnection,
    meeting: MeetingId,
    author: &str,
    reason: Option<&str>,
) -> Result<()> {
    sqlx::query(
        "update holds set lifted_at = clock_timestamp(), lifted_by = $2, lift_reason = $3
         where meeting_id = $1 and lifted_at is null",
    )
    .bind(meeting.0)
    .bind(author)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(())
}
