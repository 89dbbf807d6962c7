//! Translations of finals, and which workers can translate.

use super::Result;
use crate::domain::{event::Translation, id::MeetingId};
use sqlx::PgConnection;
use uuid::Uuid;

/// How long a worker's note of its model counts, in seconds. It is written three times as often.
pub const NOTED_FOR_S: i32 = 180;

/// Stores a translation of the segment's newest version; `false` when there is no such version (any
/// more), or it is stored already.
pub async fn add(
    conn: &mut PgConnection,
    meeting: MeetingId,
    translation: &Translation,
) -> Result<bool> {
    let done = sqlx::query(
        "insert into transcript_translations (meeting_id, segment_id, language, tenant_id, revision, text)
         select $1, id, $3, tenant_id, revision, $5 from transcript_segments
         where meeting_id = $1 and id = $2 and revision = $4
         on conflict (meeting_id, segment_id, language) do nothing",
    )
    .bind(meeting.0)
    .bind(translation.segment_id.0)
    .bind(&translation.language)
    .bind(i32::try_from(translation.revision).unwrap_or(i32::MAX))
    .bind(&translation.text)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes which model a worker runs.
pub async fn note_model(
    conn: &mut PgConnection,
    worker: Uuid,
    model: &str,
    translates: bool,
) -> Result<()> {
    sqlx::query(
        "insert into worker_models (worker, model, translates) values ($1, $2, $3)
         on conflict (worker) do update set seen_at = clock_timestamp()",
    )
    .bind(worker)
    .bind(model)
    .bind(translates)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets workers that are dead, or no longer say which model they run.
pub async fn forget_models(conn: &mut PgConnection, dead: &[Uuid]) -> Result<()> {
    sqlx::query(
        "delete from worker_models
         where worker = any($2) or seen_at < clock_timestamp() - make_interval(secs => $1)",
    )
    .bind(f64::from(NOTED_FOR_S))
    .bind(dead)
    .execute(conn)
    .await?;
    Ok(())
}

/// The models of the workers that there are, when none of them can translate; `None` when one can,
/// or none is there to be asked.
pub async fn cannot_translate(conn: &mut PgConnection) -> Result<Option<Vec<String>>> {
    let models: Vec<(String, bool)> = sqlx::query_as(
        "select distinct model, translates from worker_models
         where seen_at > clock_timestamp() - make_interval(secs => $1) order by model",
    )
    .bind(f64::from(NOTED_FOR_S))
    .fetch_all(conn)
    .await?;
    let cannot = !models.is_empty() && models.iter().all(|(_, translates)| !translates);
    Ok(cannot.then(|| models.into_iter().map(|(model, _)| model).collect()))
}
