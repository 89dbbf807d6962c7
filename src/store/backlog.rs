//! Jobs as an operator sees them: how many wait and run, which, and trying a failed one again.

use super::{Result, job};
use crate::domain::{
    id::{JobId, MeetingId, TenantId},
    job::{JobKind, JobState, OpenJob, Subject, SubjectKind},
};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

/// A due job that nobody has taken after this long, while nobody works on any of its kind, has no
/// worker: they look twice a second.
pub const UNTAKEN_SECONDS: f64 = 30.0;

/// Jobs of one kind in one state.
#[derive(Clone, PartialEq, Debug, sqlx::FromRow)]
pub struct Count {
    #[sqlx(try_from = "String")]
    pub kind: JobKind,
    #[sqlx(try_from = "String")]
    pub state: OpenJob,
    pub count: i64,
    /// How long the one that is due longest has been due, in seconds.
    pub due_seconds: f64,
}

/// How many jobs there are that are not done.
pub async fn counts(conn: &mut PgConnection) -> Result<Vec<Count>> {
    Ok(sqlx::query_as(
        "select kind, state, count(*), max(due)::float8 as due_seconds from (
             select kind, case when state = 'queued' and waiting_for is not null then 'waiting' else state end as state,
                 case when state = 'queued'
                     then greatest(extract(epoch from clock_timestamp() - run_at), 0) else 0 end as due
             from jobs where state in ('queued', 'running')
             union all
             select kind, state, 0 from jobs where state = 'failed') as open
         group by kind, state order by kind, state",
    )
    .fetch_all(conn)
    .await?)
}

/// The kinds of which jobs are due and nobody takes any, with how many.
pub fn untaken(counts: &[Count]) -> Vec<(JobKind, i64)> {
    let of = |kind: JobKind| counts.iter().filter(move |count| count.kind == kind);
    JobKind::ALL
        .into_iter()
        .filter(|kind| of(*kind).all(|count| count.state != OpenJob::Running))
        .filter_map(|kind| {
            let due = of(kind).filter(|count| {
                count.state != OpenJob::Failed && count.due_seconds > UNTAKEN_SECONDS
            });
            let waiting: i64 = due.map(|count| count.count).sum();
            (waiting > 0).then_some((kind, waiting))
        })
        .collect()
}

/// A job with what an operator wants to know of it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Listed {
    pub id: Uuid,
    pub tenant_id: Uuid,
    #[sqlx(try_from = "String")]
    pub subject_kind: SubjectKind,
    pub subject: Uuid,
    #[sqlx(try_from = "String")]
    pub kind: JobKind,
    #[sqlx(try_from = "String")]
    pub state: JobState,
    pub attempts: i32,
    pub waits: i32,
    pub progress: Option<f32>,
    pub waiting_for: Option<String>,
    pub owner: Option<Uuid>,
    pub lease_until: Option<DateTime<Utc>>,
    pub run_at: DateTime<Utc>,
    pub error: Option<String>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl Listed {
    pub fn subject(&self) -> Subject {
        Subject::new(self.subject_kind, self.subject)
    }
}

macro_rules! listed {
    ($rest:literal) => {
        concat!(
            "select id, tenant_id, subject_kind, subject, kind, state, attempts, waits, progress, waiting_for, owner, lease_until, run_at, error,
                    created_at, finished_at
             from jobs ",
            $rest
        )
    };
}

/// Jobs that are not done, those that failed first, then the oldest; with `all` also those that
/// are.
pub async fn list(conn: &mut PgConnection, all: bool, limit: i64) -> Result<Vec<Listed>> {
    Ok(sqlx::query_as(listed!(
        "where $1 or state <> 'done' order by state = 'failed' desc, created_at, id limit $2"
    ))
    .bind(all)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

pub async fn get(conn: &mut PgConnection, id: Uuid) -> Result<Option<Listed>> {
    Ok(sqlx::query_as(listed!("where id = $1"))
        .bind(id)
        .fetch_optional(conn)
        .await?)
}

/// A failed job is queued anew, as if it had never been tried; one that waits is due at once.
/// `false`: it is neither.
pub async fn retry(conn: &mut PgConnection, id: Uuid) -> Result<bool> {
    let done = sqlx::query(
        "update jobs set state = 'queued', attempts = case when state = 'failed' then 0 else attempts end, waits = 0,
             run_at = clock_timestamp(), finished_at = null
         where id = $1 and state in ('failed', 'queued')",
    )
    .bind(id)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The meeting's files are made again: those of its recordings that failed are `processing`,
/// segments given up are looked for once more, and the job is queued. Answers with the job.
pub async fn remake(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
) -> Result<JobId> {
    sqlx::query(
        "update recordings set status = 'processing', progress = 0, error = null
         where meeting_id = $1 and status = 'failed' and deleted_at is null",
    )
    .bind(meeting.0)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "update recording_segments set state = 'stored', missing = 0, missing_first = null, missing_last = null, error = null
         where meeting_id = $1 and state = 'lost'",
    )
    .bind(meeting.0)
    .execute(&mut *conn)
    .await?;
    let job = job::ensure(conn, tenant, JobKind::Join, meeting, &json!({})).await?;
    retry(conn, job.0).await?;
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_untaken_when_it_is_due_and_nobody_works_on_any_of_it() {
        let count = |kind: JobKind, state: OpenJob, count, due_seconds| Count {
            kind,
            state,
            count,
            due_seconds,
        };
        let counts = [
            count(JobKind::Mix, OpenJob::Queued, 3, 31.0),
            count(JobKind::Mix, OpenJob::Waiting, 2, 40.0),
            count(JobKind::Mix, OpenJob::Failed, 7, 0.0),
            count(JobKind::Clean, OpenJob::Queued, 100, 900.0),
            count(JobKind::Clean, OpenJob::Running, 1, 0.0),
            count(JobKind::Capture, OpenJob::Queued, 1, 2.0),
        ];
        assert_eq!(untaken(&counts), [(JobKind::Mix, 5)]);
        assert_eq!(untaken(&[]), []);
    }
}
