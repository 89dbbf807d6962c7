//! Jobs: a row is the job, a message is only a wake-up. How they are made and how they end; who
//! works on one is in [`super::lease`].

use super::{Result, StoreError, new_id, word::word};
use crate::domain::{
    fault::Away,
    id::{JobId, MeetingId, TenantId},
    job::{JobKind, Subject},
    retry::Next,
    time::Micros,
};
use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

/// A claimed job.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: JobId,
    pub tenant: TenantId,
    pub subject: Subject,
    pub kind: String,
    /// This attempt's number, 1 for the first.
    pub attempts: i32,
    pub epoch: i64,
    pub payload: Value,
    /// How much of its work is done, 0 to 1.
    pub progress: Option<f32>,
    /// How often in a row it found away what it stands on.
    pub waits: u32,
}

pub(super) fn job(row: &PgRow) -> sqlx::Result<Job> {
    Ok(Job {
        id: JobId(row.try_get("id")?),
        tenant: TenantId(row.try_get("tenant_id")?),
        subject: Subject::new(word(row, "subject_kind")?, row.try_get("subject")?),
        kind: row.try_get("kind")?,
        attempts: row.try_get("attempts")?,
        epoch: row.try_get("epoch")?,
        payload: row.try_get("payload")?,
        progress: row.try_get("progress")?,
        waits: u32::try_from(row.try_get::<i32, _>("waits")?).unwrap_or(0),
    })
}

/// Makes the subject's job of this kind. One that waits or runs stays as it is; one that ended is
/// queued anew.
pub async fn ensure(
    conn: &mut PgConnection,
    tenant: TenantId,
    kind: JobKind,
    subject: impl Into<Subject>,
    payload: &Value,
) -> Result<JobId> {
    let subject = subject.into();
    let row = sqlx::query(
        "insert into jobs (id, tenant_id, kind, subject_kind, subject, payload, meeting_id)
         values ($1, $2, $3, $4, $5, $6, case $4 when 'meeting' then $5
             when 'recording' then (select meeting_id from recordings where id = $5) end)
         on conflict (kind, subject) do update set
             state = case when jobs.state in ('done', 'failed') then 'queued' else jobs.state end,
             progress = case when jobs.state in ('done', 'failed') then null else jobs.progress end,
             attempts = case when jobs.state in ('done', 'failed') then 0 else jobs.attempts end,
             run_at = case when jobs.state in ('done', 'failed') then clock_timestamp() else jobs.run_at end,
             payload = case when jobs.state in ('done', 'failed') then excluded.payload else jobs.payload end,
             waits = case when jobs.state in ('done', 'failed') then 0 else jobs.waits end
         returning id",
    )
    .bind(new_id())
    .bind(tenant.0)
    .bind(kind.as_str())
    .bind(subject.kind().as_str())
    .bind(subject.id())
    .bind(payload)
    .fetch_one(conn)
    .await?;
    Ok(JobId(row.try_get(0)?))
}

/// As [`ensure`], for what has to be made anew from what is there now: a job that runs runs once
/// more when it is through ([`is_asked_again`]).
pub async fn ensure_again(
    conn: &mut PgConnection,
    tenant: TenantId,
    kind: JobKind,
    subject: impl Into<Subject>,
) -> Result<JobId> {
    let id = ensure(conn, tenant, kind, subject, &serde_json::json!({})).await?;
    sqlx::query("update jobs set payload = payload || '{\"again\": true}' where id = $1 and state = 'running'")
        .bind(id.0)
        .execute(conn)
        .await?;
    Ok(id)
}

/// Whether a running job has to run once more, because what it made is of the past already.
pub async fn is_asked_again(conn: &mut PgConnection, id: JobId) -> Result<bool> {
    Ok(
        sqlx::query_scalar("select payload -> 'again' is not null from jobs where id = $1")
            .bind(id.0)
            .fetch_one(conn)
            .await?,
    )
}

/// Ends a job, or gives it back to run once more when somebody asked for that meanwhile (`true`).
/// Under the meeting's head, like whoever asks.
pub async fn finish_or_run_again(
    conn: &mut PgConnection,
    id: JobId,
    owner: Uuid,
    epoch: i64,
) -> Result<bool> {
    let again = is_asked_again(conn, id).await?;
    if again {
        run_again(conn, id, owner, epoch).await?;
    } else {
        finish(conn, id, owner, epoch).await?;
    }
    Ok(again)
}

/// Gives a running job back to run once more at once.
pub async fn run_again(conn: &mut PgConnection, id: JobId, owner: Uuid, epoch: i64) -> Result<()> {
    end(
        conn,
        id,
        owner,
        epoch,
        "state = 'queued', run_at = clock_timestamp(), attempts = 0, progress = null, payload = payload - 'again'",
    )
    .await
}

/// The meeting's job `capture`, made when there is none, and whether it was. One that is there is
/// not touched, not even locked: its row is the lease, whose renewal must wait for nobody.
pub async fn ensure_capture(conn: &mut PgConnection, meeting: MeetingId) -> Result<(JobId, bool)> {
    let made: Option<Uuid> = sqlx::query_scalar(
        "insert into jobs (id, tenant_id, meeting_id, kind, subject)
         select $2, tenant_id, meeting_id, 'capture', meeting_id from meeting_heads where meeting_id = $1
         on conflict (kind, subject) do nothing returning id",
    )
    .bind(meeting.0)
    .bind(new_id())
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(id) = made {
        return Ok((JobId(id), true));
    }
    let id = sqlx::query_scalar("select id from jobs where subject = $1 and kind = 'capture'")
        .bind(meeting.0)
        .fetch_one(conn)
        .await?;
    Ok((JobId(id), false))
}

/// Done; `Fenced` when somebody else took it.
pub async fn finish(conn: &mut PgConnection, id: JobId, owner: Uuid, epoch: i64) -> Result<()> {
    end(
        conn,
        id,
        owner,
        epoch,
        "state = 'done', finished_at = clock_timestamp(), error = null, waiting_for = null, waits = 0",
    )
    .await
}

/// Gives it back for anybody to claim at once.
pub async fn release(conn: &mut PgConnection, id: JobId, owner: Uuid, epoch: i64) -> Result<()> {
    end(
        conn,
        id,
        owner,
        epoch,
        "state = 'queued', run_at = clock_timestamp(), attempts = greatest(attempts - 1, 0)",
    )
    .await
}

/// Gives it back until `wait` is over, with nothing counted against it: what it stands on is away,
/// or something else comes first.
pub async fn wait(
    conn: &mut PgConnection,
    id: JobId,
    owner: Uuid,
    epoch: i64,
    away: Option<Away>,
    wait: Micros,
    error: &str,
) -> Result<()> {
    sqlx::query(
        "update jobs set state = 'queued', attempts = greatest(attempts - 1, 0), owner = null, lease_until = null,
             run_at = clock_timestamp() + make_interval(secs => $6), waits = waits + 1, waiting_for = $4, error = $5
         where id = $1 and owner = $2 and epoch = $3 and state = 'running'",
    )
    .bind(id.0)
    .bind(owner)
    .bind(epoch)
    .bind(away.map(Away::as_str))
    .bind(error)
    .bind(wait.0 as f64 / 1e6)
    .execute(conn)
    .await?;
    Ok(())
}

/// What it waited for is there again, and it goes on.
pub async fn go_on(conn: &mut PgConnection, id: JobId, owner: Uuid, epoch: i64) -> Result<()> {
    sqlx::query(
        "update jobs set waiting_for = null, waits = 0, error = null
         where id = $1 and owner = $2 and epoch = $3 and state = 'running' and waits > 0",
    )
    .bind(id.0)
    .bind(owner)
    .bind(epoch)
    .execute(conn)
    .await?;
    Ok(())
}

async fn end(conn: &mut PgConnection, id: JobId, owner: Uuid, epoch: i64, set: &str) -> Result<()> {
    let sql = format!(
        "update jobs set {set}, owner = null, lease_until = null
         where id = $1 and owner = $2 and epoch = $3 and state = 'running'"
    );
    let done = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id.0)
        .bind(owner)
        .bind(epoch)
        .execute(conn)
        .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Fenced)
    }
}

/// Notes a failure; by `next` it is tried again or stays `failed`.
pub async fn fail(
    conn: &mut PgConnection,
    id: JobId,
    owner: Uuid,
    epoch: i64,
    error: &str,
    next: Next,
) -> Result<()> {
    let wait = match next {
        Next::After(wait) => Some(wait.0 as f64 / 1e6),
        Next::GiveUp => None,
    };
    sqlx::query(
        "update jobs set error = $4, owner = null, lease_until = null, waiting_for = null,
             state = case when $5::float8 is null then 'failed' else 'queued' end,
             run_at = clock_timestamp() + make_interval(secs => coalesce($5, 0)),
             finished_at = case when $5::float8 is null then clock_timestamp() end
         where id = $1 and owner = $2 and epoch = $3 and state = 'running'",
    )
    .bind(id.0)
    .bind(owner)
    .bind(epoch)
    .bind(error)
    .bind(wait)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether the subject's job of this kind ended well.
pub async fn is_done(
    conn: &mut PgConnection,
    kind: JobKind,
    subject: impl Into<Subject>,
) -> Result<bool> {
    Ok(
        sqlx::query("select 1 from jobs where kind = $1 and subject = $2 and state = 'done'")
            .bind(kind.as_str())
            .bind(subject.into().id())
            .fetch_optional(conn)
            .await?
            .is_some(),
    )
}

/// Whether the subject's job of this kind was given up.
pub async fn is_failed(
    conn: &mut PgConnection,
    kind: JobKind,
    subject: impl Into<Subject>,
) -> Result<bool> {
    Ok(
        sqlx::query("select 1 from jobs where kind = $1 and subject = $2 and state = 'failed'")
            .bind(kind.as_str())
            .bind(subject.into().id())
            .fetch_optional(conn)
            .await?
            .is_some(),
    )
}

/// Whether the subject's job of this kind waits or runs.
pub async fn is_open(
    conn: &mut PgConnection,
    kind: JobKind,
    subject: impl Into<Subject>,
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select exists (select from jobs where kind = $1 and subject = $2 and state in ('queued', 'running'))",
    )
    .bind(kind.as_str())
    .bind(subject.into().id())
    .fetch_one(conn)
    .await?)
}

/// Locks the job for this transaction; `Fenced` when somebody else took it.
pub async fn hold(conn: &mut PgConnection, id: JobId, owner: Uuid, epoch: i64) -> Result<()> {
    sqlx::query(
        "select 1 from jobs where id = $1 and owner = $2 and epoch = $3 and state = 'running' for share",
    )
    .bind(id.0)
    .bind(owner)
    .bind(epoch)
    .fetch_optional(conn)
    .await?
    .map(|_| ())
    .ok_or(StoreError::Fenced)
}

/// Notes how much of its work a job has done.
pub async fn progress(conn: &mut PgConnection, id: JobId, share: f32) -> Result<()> {
    sqlx::query("update jobs set progress = $2 where id = $1 and state = 'running'")
        .bind(id.0)
        .bind(share)
        .execute(conn)
        .await?;
    Ok(())
}

/// How many meetings' files or missing words are still to be made.
pub async fn unmade(conn: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "select count(*) from jobs j where j.state in ('queued', 'running')
           and (j.kind in ('join', 'mix')
                or j.kind = 'transcript' and exists
                    (select from transcripts t where t.meeting_id = j.meeting_id and not t.complete))",
    )
    .fetch_one(conn)
    .await?)
}
