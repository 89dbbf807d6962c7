//! Users and their one-time session codes.

use super::{Result, StoreError, new_id};
use crate::domain::id::{TenantId, UserId};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct User {
    pub id: Uuid,
    pub tenant_id: Uuid,
    /// `None` for a guest who came by a link.
    pub email: Option<String>,
    pub display_name: String,
}

/// Makes a user. [`StoreError::Conflict`] on `users_email` when the tenant has one with this
/// address.
pub async fn insert(
    conn: &mut PgConnection,
    tenant: TenantId,
    email: Option<&str>,
    display_name: &str,
) -> Result<User> {
    sqlx::query_as(
        "insert into users (id, tenant_id, email, display_name) values ($1, $2, $3, $4)
         on conflict (tenant_id, lower(email)) do nothing
         returning id, tenant_id, email, display_name",
    )
    .bind(new_id())
    .bind(tenant.0)
    .bind(email)
    .bind(display_name)
    .fetch_optional(conn)
    .await?
    .ok_or_else(|| StoreError::Conflict {
        constraint: "users_email".to_owned(),
    })
}

pub async fn get(conn: &mut PgConnection, id: UserId) -> Result<Option<User>> {
    Ok(
        sqlx::query_as("select id, tenant_id, email, display_name from users where id = $1")
            .bind(id.0)
            .fetch_optional(conn)
            .await?,
    )
}

/// The same, named with its tenant: requests ask so, whatever else keeps tenants apart.
pub async fn of(conn: &mut PgConnection, tenant: TenantId, id: UserId) -> Result<Option<User>> {
    Ok(sqlx::query_as(
        "select id, tenant_id, email, display_name from users where id = $1 and tenant_id = $2",
    )
    .bind(id.0)
    .bind(tenant.0)
    .fetch_optional(conn)
    .await?)
}

/// The id of the tenant's user with this address.
pub async fn by_email(
    conn: &mut PgConnection,
    tenant: TenantId,
    email: &str,
) -> Result<Option<UserId>> {
    let id: Option<Uuid> = sqlx::query_scalar(
        "select id from users where tenant_id = $1 and lower(email) = lower($2)",
    )
    .bind(tenant.0)
    .bind(email)
    .fetch_optional(conn)
    .await?;
    Ok(id.map(UserId))
}

/// Keeps a one-time code that opens a session lasting until `session_expires_at`.
pub async fn insert_code(
    conn: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    hash: &[u8; 32],
    expires_at: DateTime<Utc>,
    session_expires_at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "insert into session_codes (hash, tenant_id, user_id, session_expires_at, expires_at)
         values ($1, $2, $3, $4, $5)",
    )
    .bind(&hash[..])
    .bind(tenant.0)
    .bind(user.0)
    .bind(session_expires_at)
    .bind(expires_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// The tenant of a code, in a transaction of [`super::Store::secret_tx`].
pub async fn code_tenant(conn: &mut PgConnection, hash: &[u8; 32]) -> Result<Option<TenantId>> {
    let tenant: Option<Uuid> =
        sqlx::query_scalar("select tenant_id from session_codes where hash = $1")
            .bind(&hash[..])
            .fetch_optional(conn)
            .await?;
    Ok(tenant.map(TenantId))
}

/// Whether a code can still be used, in a transaction of [`super::Store::secret_tx`]. Changes
/// nothing.
pub async fn code_waits(conn: &mut PgConnection, hash: &[u8; 32]) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select exists (select 1 from session_codes
                        where hash = $1 and used_at is null and expires_at > clock_timestamp())",
    )
    .bind(&hash[..])
    .fetch_one(conn)
    .await?)
}

/// Uses a code up: the first caller gets the user and the end of the session, everybody else
/// `None`.
pub async fn take_code(
    conn: &mut PgConnection,
    hash: &[u8; 32],
) -> Result<Option<(UserId, DateTime<Utc>)>> {
    let row: Option<(Uuid, DateTime<Utc>)> = sqlx::query_as(
        "update session_codes set used_at = clock_timestamp()
         where hash = $1 and used_at is null and expires_at > clock_timestamp()
         returning user_id, session_expires_at",
    )
    .bind(&hash[..])
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|(user, until)| (UserId(user), until)))
}
