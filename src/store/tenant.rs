//! Tenants: organisations whose data is apart from all others'.

use super::{Result, new_id};
use crate::domain::id::TenantId;
use sqlx::PgConnection;

/// The tenant of this name, made when there is none. On an owner's connection ([`super::owner`]).
pub async fn ensure(conn: &mut PgConnection, name: &str) -> Result<TenantId> {
    sqlx::query("insert into tenants (id, name) values ($1, $2) on conflict (name) do nothing")
        .bind(new_id())
        .bind(name)
        .execute(&mut *conn)
        .await?;
    let id = sqlx::query_scalar("select id from tenants where name = $1")
        .bind(name)
        .fetch_one(conn)
        .await?;
    Ok(TenantId(id))
}

/// Every tenant with its name, oldest first.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<(TenantId, String)>> {
    let rows: Vec<(uuid::Uuid, String)> =
        sqlx::query_as("select id, name from tenants order by created_at, id")
            .fetch_all(conn)
            .await?;
    Ok(rows
        .into_iter()
        .map(|(id, name)| (TenantId(id), name))
        .collect())
}
