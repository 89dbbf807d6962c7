//! Which machine may have sound of which meeting in its spool: a row from before the first segment
//! until the folder is gone, so that what a machine has that died is known.

use super::Result;
use crate::domain::id::{MeetingId, TenantId};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// An epoch's folder in a spool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Folder {
    pub meeting: MeetingId,
    pub epoch: i64,
}

/// Says that this spool has the folder, with so many segments; `None` while it is being written.
pub async fn note(
    conn: &mut PgConnection,
    spool: Uuid,
    tenant: TenantId,
    folder: Folder,
    segments: Option<usize>,
) -> Result<()> {
    sqlx::query(
        "insert into spools (spool, meeting_id, epoch, tenant_id, segments) values ($1, $2, $3, $4, $5)
         on conflict (meeting_id, spool, epoch) do update set segments = excluded.segments, noted_at = clock_timestamp(),
             destroyed_at = null, destroyed_by = null",
    )
    .bind(spool)
    .bind(folder.meeting.0)
    .bind(folder.epoch)
    .bind(tenant.0)
    .bind(segments.map(|count| i32::try_from(count).unwrap_or(i32::MAX)))
    .execute(conn)
    .await?;
    Ok(())
}

/// The folders that a spool has, as the rows say.
pub async fn of(conn: &mut PgConnection, spool: Uuid) -> Result<Vec<Folder>> {
    let rows = sqlx::query("select meeting_id, epoch from spools where spool = $1")
        .bind(spool)
        .fetch_all(conn)
        .await?;
    let folder = |row: &sqlx::postgres::PgRow| -> sqlx::Result<Folder> {
        Ok(Folder {
            meeting: MeetingId(row.try_get("meeting_id")?),
            epoch: row.try_get("epoch")?,
        })
    };
    Ok(rows.iter().map(folder).collect::<sqlx::Result<_>>()?)
}

/// A machine's spool with what it may have.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Listed {
    pub spool: Uuid,
    pub meetings: i64,
    /// As far as it was told; what it was writing when it died is not in it.
    pub segments: i64,
    pub noted_at: DateTime<Utc>,
    pub destroyed_at: Option<DateTime<Utc>>,
    pub destroyed_by: Option<String>,
}

/// All of them, those that were heard of last first.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Listed>> {
    Ok(sqlx::query_as(
        "select spool, count(distinct meeting_id) as meetings, coalesce(sum(segments), 0)::bigint as segments,
             max(noted_at) as noted_at,
             case when bool_and(destroyed_at is not null) then max(destroyed_at) end as destroyed_at,
             max(destroyed_by) as destroyed_by
         from spools group by spool order by max(noted_at) desc, spool",
    )
    .fetch_all(conn)
    .await?)
}

/// What was declared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Declared {
    /// Of so many meetings.
    Destroyed(i64),
    /// A process said a moment ago that it has it.
    Alive,
    Unknown,
}

/// A machine that said something so lately is not destroyed.
const ALIVE: f64 = 120.0;

/// Declares a spool destroyed: nothing will come out of it, and nobody waits for it any more. Where
/// its machine comes back all the same, what it has is taken as ever.
pub async fn declare_destroyed(conn: &mut PgConnection, spool: Uuid, by: &str) -> Result<Declared> {
    let (rows, alive): (i64, bool) = sqlx::query_as(
        "select count(*), coalesce(bool_or(s.noted_at > clock_timestamp() - make_interval(secs => $2)
                 or e.spooled_at > clock_timestamp() - make_interval(secs => $2) and e.spooled > 0
                 or e.alive_at > clock_timestamp() - make_interval(secs => $2)), false)
         from spools s left join capture_epochs e on e.meeting_id = s.meeting_id and e.epoch = s.epoch
         where s.spool = $1",
    )
    .bind(spool)
    .bind(ALIVE)
    .fetch_one(&mut *conn)
    .await?;
    if rows == 0 {
        return Ok(Declared::Unknown);
    }
    if alive {
        return Ok(Declared::Alive);
    }
    sqlx::query(
        "update capture_epochs e set spooled = 0 from spools s
         where s.spool = $1 and e.meeting_id = s.meeting_id and e.epoch = s.epoch and e.spooled > 0",
    )
    .bind(spool)
    .execute(&mut *conn)
    .await?;
    let meetings = sqlx::query_scalar(
        "with gone as (
             update spools set destroyed_at = coalesce(destroyed_at, clock_timestamp()),
                 destroyed_by = coalesce(destroyed_by, $2)
             where spool = $1 returning meeting_id)
         select count(distinct meeting_id) from gone",
    )
    .bind(spool)
    .bind(by)
    .fetch_one(&mut *conn)
    .await?;
    // Redactions that wait for it are looked at now.
    sqlx::query(
        "update jobs set run_at = clock_timestamp() where kind = 'redact' and state = 'queued'
             and meeting_id in (select meeting_id from spools where spool = $1)",
    )
    .bind(spool)
    .execute(conn)
    .await?;
    Ok(Declared::Destroyed(meetings))
}

/// These folders are gone.
pub async fn forget(conn: &mut PgConnection, spool: Uuid, gone: &[Folder]) -> Result<()> {
    let (meetings, epochs): (Vec<Uuid>, Vec<i64>) = gone
        .iter()
        .map(|folder| (folder.meeting.0, folder.epoch))
        .unzip();
    sqlx::query(
        "delete from spools using unnest($2::uuid[], $3::bigint[]) as gone (meeting, at)
         where spool = $1 and meeting_id = gone.meeting and epoch = gone.at",
    )
    .bind(spool)
    .bind(&meetings)
    .bind(&epochs)
    .execute(conn)
    .await?;
    Ok(())
}
