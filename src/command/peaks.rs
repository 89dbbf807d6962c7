//! Having the peaks of a meeting's files made that have none.

use crate::{
    domain::{
        id::{MeetingId, TenantId},
        job::JobKind,
    },
    store::{Result, effect::Effects, job},
};
use serde_json::json;
use sqlx::PgConnection;

/// Queues the job, unless it was given up. `None`: nobody makes them.
pub async fn make(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
) -> Result<Option<Effects>> {
    if job::is_failed(conn, JobKind::Peaks, meeting).await? {
        return Ok(None);
    }
    let job = job::ensure(conn, tenant, JobKind::Peaks, meeting, &json!({})).await?;
    Ok(Some(Effects {
        jobs: vec![(JobKind::Peaks, job)],
        ..Effects::default()
    }))
}
