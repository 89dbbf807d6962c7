//! API keys: `hk_` and 43 characters of randomness, shown once, kept as SHA-256. The randomness is
//! 256 bits, so a slow hash would buy nothing.

use super::{Result, new_id};
use crate::domain::id::TenantId;
use sqlx::PgConnection;
use uuid::Uuid;

/// What a presented key stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct KeyOwner {
    pub key_id: Uuid,
    pub tenant_id: Uuid,
}

/// Keeps the hash of a key that was just made, and its first characters. On an owner's connection:
/// the api's role may not make keys.
pub async fn insert(
    conn: &mut PgConnection,
    tenant: TenantId,
    hash: &[u8; 32],
    hint: &str,
) -> Result<Uuid> {
    let id = new_id();
    sqlx::query("insert into api_keys (id, tenant_id, hash, hint) values ($1, $2, $3, $4)")
        .bind(id)
        .bind(tenant.0)
        .bind(&hash[..])
        .bind(hint)
        .execute(conn)
        .await?;
    Ok(id)
}

/// Whose key this is, unless it is unknown or revoked. Needs no tenant set: the key says which one
/// it is.
pub async fn find(conn: &mut PgConnection, hash: &[u8; 32]) -> Result<Option<KeyOwner>> {
    let owner = sqlx::query_as(
        "select id as key_id, tenant_id from api_keys where hash = $1 and revoked_at is null",
    )
    .bind(&hash[..])
    .fetch_optional(conn)
    .await?;
    Ok(owner)
}

/// Revokes a key by its id; answers whether it was there and not revoked before.
pub async fn revoke(conn: &mut PgConnection, id: Uuid) -> Result<bool> {
    let done = sqlx::query(
        "update api_keys set revoked_at = clock_timestamp() where id = $1 and revoked_at is null",
    )
    .bind(id)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A key's id, its tenant, its first characters and whether it still works.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct KeyRow {
    pub id: Uuid,
    pub tenant_name: String,
    pub hint: String,
    pub revoked: bool,
}

/// All keys, oldest first.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<KeyRow>> {
    Ok(sqlx::query_as(
        "select k.id, t.name as tenant_name, k.hint, k.revoked_at is not null as revoked
         from api_keys k join tenants t on t.id = k.tenant_id order by k.created_at, k.id",
    )
    .fetch_all(conn)
    .await?)
}
