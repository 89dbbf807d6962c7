//! Having a recording back from the archive.

use crate::{
    domain::{
        id::{MeetingId, RecordingId, TenantId},
        job::JobKind,
        restore::{Restore, RestoreSpeed},
    },
    store::{Result, effect::Effects, job, restore},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgConnection;

/// Asks for so many days from `now`. What ends later anyway stays as it is.
pub async fn restore(
    conn: &mut PgConnection,
    (tenant, meeting): (TenantId, MeetingId),
    (recording, stands): (RecordingId, &Restore),
    (days, speed): (u16, RestoreSpeed),
    now: DateTime<Utc>,
) -> Result<Effects> {
    let mut effects = Effects::default();
    if stands.is_shorter_than(now + TimeDelta::days(days.into()), now) {
        restore::ask(conn, meeting, recording, days, speed, now).await?;
        let kind = JobKind::Restore;
        let job = job::ensure(conn, tenant, kind, recording, &json!({})).await?;
        effects.jobs.push((kind, job));
    }
    Ok(effects)
}
