//! Tenants: organisations whose data is apart from all others'.

use super::{Result, new_id, word::word};
use crate::domain::{
    id::TenantId,
    tenant_settings::{Days, TenantSettings},
};
use sqlx::{PgConnection, Row, postgres::PgRow, types::Json};
use uuid::Uuid;

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

/// The tenant's name.
pub async fn name(conn: &mut PgConnection, tenant: TenantId) -> Result<String> {
    Ok(sqlx::query_scalar("select name from tenants where id = $1")
        .bind(tenant.0)
        .fetch_one(conn)
        .await?)
}

fn read_settings(row: &PgRow) -> sqlx::Result<TenantSettings> {
    let retention: Option<i32> = row.try_get("retention_days")?;
    Ok(TenantSettings {
        tier_days: row.try_get::<Json<_>, _>("tier_days")?.0,
        retention: retention
            .and_then(|days| Days::after(days.unsigned_abs().into()))
            .unwrap_or(Days::Never),
        self_erasure: word(row, "self_erasure")?,
    })
}

/// What the tenant set, and the defaults of what it did not.
pub async fn settings(conn: &mut PgConnection, tenant: TenantId) -> Result<TenantSettings> {
    let row = sqlx::query(
        "select tier_days, retention_days, self_erasure from tenant_settings where tenant_id = $1",
    )
    .bind(tenant.0)
    .fetch_optional(conn)
    .await?;
    Ok(match row {
        Some(row) => read_settings(&row)?,
        None => TenantSettings::default(),
    })
}

/// The same, for whoever changes them: others wait until this transaction ends.
pub async fn lock_settings(conn: &mut PgConnection, tenant: TenantId) -> Result<TenantSettings> {
    let default = TenantSettings::default();
    sqlx::query(
        "insert into tenant_settings (tenant_id, tier_days, retention_days, self_erasure) values ($1, $2, $3, $4)
         on conflict (tenant_id) do nothing",
    )
    .bind(tenant.0)
    .bind(Json(default.tier_days))
    .bind(retention_days(&default))
    .bind(default.self_erasure.as_str())
    .execute(&mut *conn)
    .await?;
    let row = sqlx::query(
        "select tier_days, retention_days, self_erasure from tenant_settings where tenant_id = $1 for update",
    )
    .bind(tenant.0)
    .fetch_one(conn)
    .await?;
    Ok(read_settings(&row)?)
}

/// Sets them. All meetings of the tenant are looked at anew soon.
pub async fn set_settings(
    conn: &mut PgConnection,
    tenant: TenantId,
    settings: &TenantSettings,
) -> Result<()> {
    sqlx::query(
        "update tenant_settings set tier_days = $2, retention_days = $3, self_erasure = $4, replan_after = $5,
             updated_at = clock_timestamp()
         where tenant_id = $1",
    )
    .bind(tenant.0)
    .bind(Json(settings.tier_days))
    .bind(retention_days(settings))
    .bind(settings.self_erasure.as_str())
    .bind(Uuid::nil())
    .execute(conn)
    .await?;
    Ok(())
}

fn retention_days(settings: &TenantSettings) -> Option<i32> {
    settings.retention.number().map(u32::cast_signed)
}
