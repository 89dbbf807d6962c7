//! Which machine may have sound of which meeting in its spool: a row from before the first segment
//! until the folder is gone, so that what a machine has that died is known.

use super::Result;
use crate::domain::id::{MeetingId, TenantId};
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
         on conflict (meeting_id, spool, epoch) do update set segments = excluded.segments, noted_at = clock_timestamp()",
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
