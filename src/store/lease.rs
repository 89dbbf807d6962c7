//! Who works on a job: claims are leases on Postgres's clock. Every claim raises `epoch`, and every
//! write of the holder names it.

use super::{
    Result, StoreError,
    job::{Job, job},
};
use crate::domain::{
    id::{JobId, MeetingId},
    job::JobKind,
    limits::LEASE_TTL,
    time::Micros,
};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// Claims up to `limit` jobs that are due, whose holder is known to be `dead`, or whose holder's
/// lease ran out; never one that `owner` holds already. A live meeting whose lease merely ran out
/// is not among them: see [`expired`].
pub async fn claim(
    conn: &mut PgConnection,
    kinds: &[&str],
    owner: Uuid,
    dead: &[Uuid],
    limit: i64,
) -> Result<Vec<Job>> {
    let rows = sqlx::query(
        // As a condition of the update the selection may be made anew for each row, and then takes
        // more than the limit.
        "with due as materialized (
             select id from jobs
             where kind = any($1)
               and ((state = 'queued' and run_at <= clock_timestamp())
                    or (state = 'running' and owner is distinct from $2
                        and (owner = any($5) or (kind <> 'capture' and lease_until < clock_timestamp()))))
             order by run_at
             for update skip locked
             limit $3)
         update jobs set state = 'running', owner = $2, epoch = epoch + 1, attempts = attempts + 1,
             lease_until = clock_timestamp() + make_interval(secs => $4)
         from due where jobs.id = due.id
         returning jobs.id, tenant_id, subject_kind, subject, kind, attempts, epoch, payload, progress, waits",
    )
    .bind(kinds)
    .bind(owner)
    .bind(limit)
    .bind(LEASE_TTL.0 as f64 / 1e6)
    .bind(dead)
    .fetch_all(&mut *conn)
    .await?;
    let jobs = rows.iter().map(job).collect::<sqlx::Result<Vec<_>>>()?;
    for job in jobs
        .iter()
        .filter(|job| job.kind == JobKind::Capture.as_str())
    {
        begin_epoch(conn, job).await?;
    }
    Ok(jobs)
}

/// A live meeting's lease that ran out.
#[derive(Clone, Copy, Debug)]
pub struct Expired {
    pub id: JobId,
    pub epoch: i64,
    pub owner: Option<Uuid>,
    /// How long ago.
    pub ago: Micros,
}

/// Live meetings' leases that ran out and are not `owner`'s, oldest first, at most `limit`.
pub async fn expired(conn: &mut PgConnection, owner: Uuid, limit: i64) -> Result<Vec<Expired>> {
    let rows: Vec<(Uuid, i64, Option<Uuid>, f64)> = sqlx::query_as(
        "select id, epoch, owner, extract(epoch from clock_timestamp() - lease_until)::float8 from jobs
         where kind = 'capture' and state = 'running' and lease_until < clock_timestamp() and owner is distinct from $1
         order by lease_until limit $2",
    )
    .bind(owner)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    let expired = |(id, epoch, owner, ago)| Expired {
        id: JobId(id),
        epoch,
        owner,
        ago: Micros((ago * 1e6) as i64),
    };
    Ok(rows.into_iter().map(expired).collect())
}

/// Takes a live meeting over, unless its lease was renewed or taken since it was read to have run
/// out in this epoch.
pub async fn take_over(
    conn: &mut PgConnection,
    id: JobId,
    epoch: i64,
    owner: Uuid,
) -> Result<Option<Job>> {
    let row = sqlx::query(
        "update jobs set owner = $3, epoch = epoch + 1, attempts = attempts + 1,
             lease_until = clock_timestamp() + make_interval(secs => $4)
         where id = $1 and epoch = $2 and state = 'running' and lease_until < clock_timestamp()
         returning id, tenant_id, subject_kind, subject, kind, attempts, epoch, payload, progress, waits",
    )
    .bind(id.0)
    .bind(epoch)
    .bind(owner)
    .bind(LEASE_TTL.0 as f64 / 1e6)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(job) = row.as_ref().map(job).transpose()? else {
        return Ok(None);
    };
    begin_epoch(conn, &job).await?;
    Ok(Some(job))
}

async fn begin_epoch(conn: &mut PgConnection, job: &Job) -> Result<()> {
    sqlx::query("insert into capture_epochs (meeting_id, epoch, tenant_id) values ($1, $2, $3) on conflict do nothing")
        .bind(job.subject.id())
        .bind(job.epoch)
        .bind(job.tenant.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Renews the leases of these `(job, epoch)`, also those that ran out and were not taken; answers
/// with the ids renewed. A capture that renews is alive, so its failures are forgotten.
pub async fn renew(
    conn: &mut PgConnection,
    owner: Uuid,
    held: &[(JobId, i64)],
) -> Result<Vec<JobId>> {
    let (ids, epochs): (Vec<Uuid>, Vec<i64>) =
        held.iter().map(|(id, epoch)| (id.0, *epoch)).unzip();
    let rows = sqlx::query(
        "update jobs set lease_until = clock_timestamp() + make_interval(secs => $4),
             attempts = case when kind = 'capture' then 0 else attempts end
         from unnest($1::uuid[], $2::bigint[]) as held (id, epoch)
         where jobs.id = held.id and jobs.epoch = held.epoch and jobs.owner = $3 and jobs.state = 'running'
         returning jobs.id",
    )
    .bind(&ids)
    .bind(&epochs)
    .bind(owner)
    .bind(LEASE_TTL.0 as f64 / 1e6)
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query(
        "update capture_epochs set alive_at = clock_timestamp() from jobs
         where jobs.id = any($1) and jobs.owner = $2 and jobs.kind = 'capture' and jobs.state = 'running'
             and capture_epochs.meeting_id = jobs.subject and capture_epochs.epoch = jobs.epoch",
    )
    .bind(&ids)
    .bind(owner)
    .execute(conn)
    .await?;
    Ok(rows
        .iter()
        .map(|row| row.try_get(0).map(JobId))
        .collect::<sqlx::Result<_>>()?)
}

/// Locks the meeting's capture job against take-over for this transaction, or says that it was
/// taken.
pub async fn fence(
    conn: &mut PgConnection,
    meeting: MeetingId,
    owner: Uuid,
    epoch: i64,
) -> Result<()> {
    sqlx::query(
        "select 1 from jobs
         where subject = $1 and kind = 'capture' and owner = $2 and epoch = $3 and state = 'running' for share",
    )
    .bind(meeting.0)
    .bind(owner)
    .bind(epoch)
    .fetch_optional(conn)
    .await?
    .map(|_| ())
    .ok_or(StoreError::Fenced)
}
