//! Whose bucket it is, and which of its objects no row tells of.

use super::{Result, word::word_or_null};
use crate::domain::{
    id::MeetingId,
    sweep::{Deployment, SweepHold},
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::collections::BTreeSet;
use uuid::Uuid;

/// An object that no row tells of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unknown {
    pub key: String,
    /// `None`: of no meeting.
    pub meeting: Option<MeetingId>,
    /// The store's name of its content.
    pub tag: Option<String>,
    pub size_bytes: u64,
    /// By a listing since which each saw it with the same content.
    pub first_seen: DateTime<Utc>,
}

pub async fn deployment(conn: &mut PgConnection) -> Result<Deployment> {
    let row = sqlx::query("select id, sweeps, marked_in from deployment")
        .fetch_one(conn)
        .await?;
    Ok(Deployment {
        id: row.try_get("id")?,
        sweeps: row.try_get("sweeps")?,
        marked_in: row.try_get("marked_in")?,
    })
}

/// Takes the sweep that is due for itself; `next` is when another may begin. `false`: none is due.
pub async fn claim(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    next: DateTime<Utc>,
) -> Result<bool> {
    let done =
        sqlx::query("update deployment set due_at = $2 where due_at is null or due_at <= $1")
            .bind(now)
            .bind(next)
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// A sweep of this bucket begins. What was seen in another is forgotten.
pub async fn begin(
    conn: &mut PgConnection,
    sweep: i64,
    bucket: &str,
    is_known: bool,
) -> Result<()> {
    if !is_known {
        sqlx::query("delete from unknown_objects")
            .execute(&mut *conn)
            .await?;
    }
    sqlx::query("update deployment set sweeps = greatest(sweeps, $1), marked_in = $2")
        .bind(sweep)
        .bind(bucket)
        .execute(conn)
        .await?;
    Ok(())
}

/// Of a meeting's keys, those that no row tells of. None of a meeting that is not over, and none of
/// one that was recorded before there was an inventory.
pub async fn without_row(
    conn: &mut PgConnection,
    keys: &[(MeetingId, String)],
) -> Result<BTreeSet<String>> {
    let (meetings, names): (Vec<Uuid>, Vec<&str>) = keys
        .iter()
        .map(|(meeting, key)| (meeting.0, key.as_str()))
        .unzip();
    let found: Vec<String> = sqlx::query_scalar(
        "select k.key from unnest($1::uuid[], $2::text[]) as k (meeting, key)
         left join meetings m on m.id = k.meeting
         where (m.id is null or (m.inventoried and m.end_time is not null))
             and not exists (select from objects o where o.meeting_id = k.meeting and o.key = k.key and o.state <> 'deleted')
             and not exists (select from recordings r where r.meeting_id = k.meeting and r.deleted_at is null
                             and right(r.blob_url, length(k.key) + 1) = '/' || k.key)
             and not exists (select from recording_segments s where s.meeting_id = k.meeting and s.state = 'stored'
                             and (s.object_key = k.key or s.block_key = k.key))",
    )
    .bind(&meetings)
    .bind(&names)
    .fetch_all(conn)
    .await?;
    Ok(found.into_iter().collect())
}

/// Notes what a listing saw, and answers with each, as it is known since.
pub async fn see(conn: &mut PgConnection, sweep: i64, seen: Vec<Unknown>) -> Result<Vec<Unknown>> {
    let rows = sqlx::query(
        "insert into unknown_objects (key, meeting_id, tag, size_bytes, first_seen_at, sweep)
         select key, meeting, tag, size, first_seen, $6
         from unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[], $5::timestamptz[]) as s (key, meeting, tag, size, first_seen)
         on conflict (key) do update set tag = excluded.tag, size_bytes = excluded.size_bytes, sweep = excluded.sweep,
             first_seen_at = case when unknown_objects.tag is not distinct from excluded.tag
                 then unknown_objects.first_seen_at else excluded.first_seen_at end
         returning key, meeting_id, tag, size_bytes, first_seen_at",
    )
    .bind(seen.iter().map(|one| one.key.as_str()).collect::<Vec<_>>())
    .bind(seen.iter().map(|one| one.meeting.map(|id| id.0)).collect::<Vec<_>>())
    .bind(seen.iter().map(|one| one.tag.as_deref()).collect::<Vec<_>>())
    .bind(seen.iter().map(|one| one.size_bytes as i64).collect::<Vec<_>>())
    .bind(seen.iter().map(|one| one.first_seen).collect::<Vec<_>>())
    .bind(sweep)
    .fetch_all(conn)
    .await?;
    Ok(rows.iter().map(unknown).collect::<sqlx::Result<_>>()?)
}

/// The same without noting anything.
pub async fn as_seen(conn: &mut PgConnection, seen: Vec<Unknown>) -> Result<Vec<Unknown>> {
    let keys: Vec<&str> = seen.iter().map(|one| one.key.as_str()).collect();
    let rows = sqlx::query(
        "select key, meeting_id, tag, size_bytes, first_seen_at from unknown_objects where key = any($1)",
    )
    .bind(&keys)
    .fetch_all(conn)
    .await?;
    let known = rows.iter().map(unknown).collect::<sqlx::Result<Vec<_>>>()?;
    let as_known = |one: Unknown| {
        let before = known
            .iter()
            .find(|known| known.key == one.key && known.tag == one.tag);
        before.cloned().unwrap_or(one)
    };
    Ok(seen.into_iter().map(as_known).collect())
}

fn unknown(row: &PgRow) -> sqlx::Result<Unknown> {
    let meeting: Option<Uuid> = row.try_get("meeting_id")?;
    Ok(Unknown {
        key: row.try_get("key")?,
        meeting: meeting.map(MeetingId),
        tag: row.try_get("tag")?,
        size_bytes: row.try_get::<i64, _>("size_bytes")?.unsigned_abs(),
        first_seen: row.try_get("first_seen_at")?,
    })
}

/// What this sweep did not see is not there any more, or has a row.
pub async fn forget_unseen(conn: &mut PgConnection, sweep: i64) -> Result<()> {
    sqlx::query("delete from unknown_objects where sweep < $1")
        .bind(sweep)
        .execute(conn)
        .await?;
    Ok(())
}

/// What was first seen before that, by meetings, behind this key of this meeting.
pub async fn due(
    conn: &mut PgConnection,
    seen_before: DateTime<Utc>,
    after: Option<&Unknown>,
    limit: i64,
) -> Result<Vec<Unknown>> {
    let meeting = |one: &Unknown| one.meeting.map_or(Uuid::nil(), |id| id.0);
    let rows = sqlx::query(
        "select key, meeting_id, tag, size_bytes, first_seen_at from unknown_objects
         where first_seen_at <= $1
             and ($2::uuid is null or (coalesce(meeting_id, '00000000-0000-0000-0000-000000000000'), key) > ($2, $3))
         order by coalesce(meeting_id, '00000000-0000-0000-0000-000000000000'), key limit $4",
    )
    .bind(seen_before)
    .bind(after.map(meeting))
    .bind(after.map_or("", |one| one.key.as_str()))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(rows.iter().map(unknown).collect::<sqlx::Result<_>>()?)
}

/// Until this transaction ends nobody notes that an object of the meeting is going to be stored
/// ([`super::inventory::note`] waits).
pub async fn lock(conn: &mut PgConnection, meeting: MeetingId) -> Result<()> {
    sqlx::query("select from meetings where id = $1 for update")
        .bind(meeting.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// These are gone.
pub async fn forget(conn: &mut PgConnection, keys: &[String]) -> Result<()> {
    sqlx::query("delete from unknown_objects where key = any($1)")
        .bind(keys)
        .execute(conn)
        .await?;
    Ok(())
}

/// Folders in machines' spools that wait: their meetings are over, or have no rows.
pub async fn spools(conn: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "select count(*) from spools s left join meetings m on m.id = s.meeting_id
         where s.destroyed_at is null and (m.id is null or m.end_time is not null)",
    )
    .fetch_one(conn)
    .await?)
}

/// How a sweep ended, and when the next is due.
pub async fn conclude(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    held: Option<SweepHold>,
    next: DateTime<Utc>,
) -> Result<()> {
    sqlx::query("update deployment set swept_at = $1, held = $2, due_at = $3")
        .bind(now)
        .bind(held.map(SweepHold::as_str))
        .bind(next)
        .execute(conn)
        .await?;
    Ok(())
}

/// How the last sweep ended, if there was any, and how many objects have no row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Last {
    pub swept_at: Option<DateTime<Utc>>,
    pub held: Option<SweepHold>,
    pub unknown: i64,
}

pub async fn last(conn: &mut PgConnection) -> Result<Last> {
    let row = sqlx::query(
        "select swept_at, held, (select count(*) from unknown_objects) as unknown from deployment",
    )
    .fetch_one(conn)
    .await?;
    Ok(Last {
        swept_at: row.try_get("swept_at")?,
        held: word_or_null(&row, "held")?,
        unknown: row.try_get("unknown")?,
    })
}
