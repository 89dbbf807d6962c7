//! Guest links. The secret is in the URL's fragment only; its SHA-256 is here.

use super::{Result, new_id};
use crate::domain::{
    id::{MeetingId, TenantId},
    participant::Role,
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Link {
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub meeting_id: Uuid,
    #[sqlx(try_from = "String")]
    pub role: Role,
}

pub async fn insert(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    role: Role,
    hash: &[u8; 32],
    expires_at: Option<DateTime<Utc>>,
) -> Result<Uuid> {
    let id = new_id();
    sqlx::query(
        "insert into links (id, tenant_id, meeting_id, role, hash, expires_at) values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(tenant.0)
    .bind(meeting.0)
    .bind(role.as_str())
    .bind(&hash[..])
    .bind(expires_at)
    .execute(conn)
    .await?;
    Ok(id)
}

/// The link of this secret's hash, in a transaction of [`super::Store::secret_tx`], unless it is
/// revoked or expired.
pub async fn find(conn: &mut PgConnection, hash: &[u8; 32]) -> Result<Option<Link>> {
    Ok(sqlx::query_as(
        "select id, tenant_id, meeting_id, role from links
         where hash = $1 and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())",
    )
    .bind(&hash[..])
    .fetch_optional(conn)
    .await?)
}

/// Revokes a link of this meeting; answers whether there is one (revoked before or now).
pub async fn revoke(conn: &mut PgConnection, meeting: MeetingId, id: Uuid) -> Result<bool> {
    let done = sqlx::query(
        "update links set revoked_at = coalesce(revoked_at, clock_timestamp()) where meeting_id = $1 and id = $2",
    )
    .bind(meeting.0)
    .bind(id)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
