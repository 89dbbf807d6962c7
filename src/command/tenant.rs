//! What a tenant sets for all its meetings.

use crate::{
    domain::{
        id::TenantId,
        tenant_settings::{Change, Disorder, TenantSettings},
    },
    store::{self, tenant},
};
use sqlx::PgConnection;

/// Changes what is named, all or nothing.
pub async fn change(
    conn: &mut PgConnection,
    id: TenantId,
    change: &Change,
) -> store::Result<Result<TenantSettings, Disorder>> {
    let before = tenant::lock_settings(conn, id).await?;
    let changed = match before.changed(change) {
        Ok(changed) => changed,
        Err(disorder) => return Ok(Err(disorder)),
    };
    if changed != before {
        tenant::set_settings(conn, id, &changed).await?;
    }
    Ok(Ok(changed))
}
