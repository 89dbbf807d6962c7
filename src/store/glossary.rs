//! A tenant's glossary: names and terms that all its meetings expect.

use super::Result;
use crate::domain::id::TenantId;
use sqlx::{PgConnection, types::Json};

/// The tenant's terms, in their order; none where it has no glossary.
pub async fn get(conn: &mut PgConnection, tenant: TenantId) -> Result<Vec<String>> {
    let terms: Option<Json<Vec<String>>> =
        sqlx::query_scalar("select terms from glossaries where tenant_id = $1")
            .bind(tenant.0)
            .fetch_optional(conn)
            .await?;
    Ok(terms.map(|terms| terms.0).unwrap_or_default())
}

/// Puts these in the place of those that there were.
pub async fn put(conn: &mut PgConnection, tenant: TenantId, terms: &[String]) -> Result<()> {
    sqlx::query(
        "insert into glossaries (tenant_id, terms) values ($1, $2)
         on conflict (tenant_id) do update set terms = excluded.terms, updated_at = clock_timestamp()",
    )
    .bind(tenant.0)
    .bind(Json(terms))
    .execute(conn)
    .await?;
    Ok(())
}
