//! Where recordings' files lie: what decides about their moves, and the rows of a move.
//!
//! A move is marked before its copy ([`mark`]), told when the copy is checked ([`moved`]), and its
//! mark goes when nothing is left of it ([`settle`]). So whoever finds a mark knows what may have
//! happened.

use super::{
    Result, StoreError, recording_list,
    word::{word, word_or_null},
};
use crate::domain::{
    id::{MeetingId, RecordingId, TenantId},
    inventory::ObjectKind,
    job::JobKind,
    tiering::Tier,
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

/// Bytes a second that a store copies at the least, within itself. A copy that nobody waits for any
/// more may still arrive for so long.
const COPIED_PER_SECOND: f64 = 20e6;

/// The file of a recording that is ready, as the inventory has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    pub recording: RecordingId,
    pub kind: ObjectKind,
    pub key: String,
    pub size_bytes: u64,
    pub sha256: String,
    pub tier: Tier,
    /// `None`: what its tier is mapped to.
    pub class: Option<String>,
    /// Since when it is in its class.
    pub since: DateTime<Utc>,
    pub ended: DateTime<Utc>,
    pub played: Option<DateTime<Utc>>,
    /// When it is deleted.
    pub expires: Option<DateTime<Utc>>,
    pub moving_to: Option<Tier>,
    pub move_sum: Option<String>,
}

fn file(row: &PgRow) -> sqlx::Result<File> {
    Ok(File {
        recording: RecordingId(row.try_get("recording_id")?),
        kind: word(row, "kind")?,
        key: row.try_get("key")?,
        size_bytes: row.try_get::<i64, _>("size_bytes")?.unsigned_abs(),
        sha256: row.try_get("sha256")?,
        tier: word(row, "storage_tier")?,
        class: row.try_get("storage_class")?,
        since: row.try_get("since")?,
        ended: row.try_get("end_time")?,
        played: row.try_get("last_played_at")?,
        expires: recording_list::expires(row)?,
        moving_to: word_or_null(row, "moving_to")?,
        move_sum: row.try_get("move_sum")?,
    })
}

/// The files that may move of which this is true, with what decides about it.
macro_rules! files {
    ($conditions:literal) => {
        concat!(
            "select o.tenant_id, o.recording_id, o.kind, o.key, o.size_bytes, o.sha256, o.storage_tier, o.storage_class,
                 coalesce(o.class_since, o.stored_at, o.noted_at) as since, m.end_time, r.last_played_at, o.moving_to,
                 o.move_sum, m.settings -> 'retentionDays' as own_retention,
                 (select t.retention_days from tenant_settings t where t.tenant_id = o.tenant_id) as tenants_retention,
                 exists (select from holds h where h.meeting_id = o.meeting_id and h.lifted_at is null) as is_held
             from objects o
             join recordings r on r.id = o.recording_id and r.meeting_id = o.meeting_id
             join meetings m on m.id = o.meeting_id
             where o.state = 'stored' and o.kind in ('track', 'mix') and o.size_bytes is not null and o.sha256 is not null
                 and r.status = 'ready' and r.deleted_at is null and right(r.blob_url, length(o.key) + 1) = '/' || o.key
                 and m.end_time is not null and ",
            $conditions
        )
    };
}

/// The files of an ended meeting that may move, by their keys; with `key` only this one.
pub async fn files(
    conn: &mut PgConnection,
    meeting: MeetingId,
    key: Option<&str>,
) -> Result<Vec<File>> {
    let rows = sqlx::query(files!(
        "o.meeting_id = $1 and ($2::text is null or o.key = $2) order by o.key"
    ))
    .bind(meeting.0)
    .bind(key)
    .fetch_all(conn)
    .await?;
    Ok(rows.iter().map(file).collect::<sqlx::Result<_>>()?)
}

/// Says that a file is about to move. From here on readers know if it can be read only after a
/// restore: `unreadable` is its class then. Under the meeting's head.
///
/// # Errors
/// [`StoreError::Going`] when it is not to be had any more.
pub async fn mark(
    conn: &mut PgConnection,
    meeting: MeetingId,
    file: &File,
    to: Tier,
    sum: Option<&str>,
    unreadable: Option<&str>,
) -> Result<()> {
    let done = sqlx::query(
        "update objects set moving_to = $3, move_sum = $4, uploading = true,
             noted_at = clock_timestamp() + make_interval(secs => size_bytes / $5)
         where meeting_id = $1 and key = $2 and state = 'stored'",
    )
    .bind(meeting.0)
    .bind(&file.key)
    .bind(to.as_str())
    .bind(sum)
    .bind(COPIED_PER_SECOND)
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() != 1 {
        return Err(StoreError::Going);
    }
    if let Some(class) = unreadable {
        set_class(conn, meeting, file, None, Some(class)).await?;
    }
    Ok(())
}

/// The move did not come about, and left nothing.
pub async fn unmark(conn: &mut PgConnection, meeting: MeetingId, file: &File) -> Result<()> {
    sqlx::query(
        "update objects set moving_to = null, move_sum = null, uploading = false
         where meeting_id = $1 and key = $2 and state = 'stored'",
    )
    .bind(meeting.0)
    .bind(&file.key)
    .execute(&mut *conn)
    .await?;
    set_class(conn, meeting, file, None, file.class.as_deref()).await
}

/// Where a file came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moved<'a> {
    pub tier: Tier,
    pub class: &'a str,
    /// The store's name of the copy, where the bucket keeps versions: then earlier ones are left.
    pub version: Option<&'a str>,
    /// `None`: it was in this class before.
    pub at: Option<DateTime<Utc>>,
}

/// A file is in another tier: its copy is checked. Under the meeting's head.
///
/// # Errors
/// [`StoreError::Going`] when it was deleted meanwhile: whoever copied it deletes it again.
pub async fn moved(
    conn: &mut PgConnection,
    meeting: MeetingId,
    file: &File,
    to: Moved<'_>,
) -> Result<()> {
    let done = sqlx::query(
        "update objects set storage_tier = $3, storage_class = $4, class_since = coalesce($5, class_since),
             version = coalesce($6, version), uploading = false, move_sum = null,
             moving_to = case when $6 is not null then moving_to end
         where meeting_id = $1 and key = $2 and state = 'stored'
             and not exists (select from recordings where id = $7 and (status = 'deleting' or deleted_at is not null))",
    )
    .bind(meeting.0)
    .bind(&file.key)
    .bind(to.tier.as_str())
    .bind(to.class)
    .bind(to.at)
    .bind(to.version)
    .bind(file.recording.0)
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() != 1 {
        return Err(StoreError::Going);
    }
    set_class(conn, meeting, file, Some(to.tier), Some(to.class)).await
}

/// Nothing of a move is left to do.
pub async fn settle(conn: &mut PgConnection, meeting: MeetingId, file: &File) -> Result<()> {
    sqlx::query("update objects set moving_to = null where meeting_id = $1 and key = $2")
        .bind(meeting.0)
        .bind(&file.key)
        .execute(conn)
        .await?;
    Ok(())
}

/// What readers are told, if the recording still is in this file.
async fn set_class(
    conn: &mut PgConnection,
    meeting: MeetingId,
    file: &File,
    tier: Option<Tier>,
    class: Option<&str>,
) -> Result<()> {
    sqlx::query(
        "update recordings set storage_tier = coalesce($4, storage_tier), storage_class = $5
         where meeting_id = $1 and id = $2 and right(blob_url, length($3) + 1) = '/' || $3",
    )
    .bind(meeting.0)
    .bind(file.recording.0)
    .bind(&file.key)
    .bind(tier.map(Tier::as_str))
    .bind(class)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether another job makes something of the meeting, or takes something away: its files stay
/// where they are meanwhile.
pub async fn is_busy(conn: &mut PgConnection, meeting: MeetingId) -> Result<bool> {
    let calm = [JobKind::Tier, JobKind::Clean].map(JobKind::as_str);
    Ok(sqlx::query_scalar(
        "select exists (select from jobs where meeting_id = $1 and state in ('queued', 'running') and kind <> all($2))",
    )
    .bind(meeting.0)
    .bind(calm.as_slice())
    .fetch_one(conn)
    .await?)
}

/// The meeting's files are being looked at: what is noted from here on is for the next time.
pub async fn begin(conn: &mut PgConnection, meeting: MeetingId) -> Result<()> {
    sqlx::query("update meetings set tier_due_at = null where id = $1")
        .bind(meeting.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The meeting's files are to be looked at then, or earlier if that was noted.
pub async fn note_due(
    conn: &mut PgConnection,
    meeting: MeetingId,
    at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query("update meetings set tier_due_at = least(tier_due_at, $2) where id = $1")
        .bind(meeting.0)
        .bind(at)
        .execute(conn)
        .await?;
    Ok(())
}

/// Meetings whose files are to be looked at, longest due first; those whose last look failed are
/// somebody's to retry.
pub async fn due(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(TenantId, MeetingId)>> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select m.tenant_id, m.id from meetings m
         where m.tier_due_at <= $1
             and not exists (select from jobs j where j.subject = m.id and j.kind = 'tier' and j.state <> 'done')
         order by m.tier_due_at limit $2",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(tenant, meeting)| (TenantId(tenant), MeetingId(meeting)))
        .collect())
}

/// Of a tenant that changed its settings, so many more meetings are to be looked at. `false`: there
/// are none.
pub async fn replan(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<bool> {
    let changed: Option<(Uuid, Uuid)> = sqlx::query_as(
        "select tenant_id, replan_after from tenant_settings where replan_after is not null
         order by tenant_id limit 1 for update skip locked",
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some((tenant, after)) = changed else {
        return Ok(false);
    };
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "with batch as (
             select id from meetings where tenant_id = $1 and id > $2 and status = 'ended' order by id limit $3)
         update meetings m set tier_due_at = least(m.tier_due_at, $4) from batch where m.id = batch.id returning m.id",
    )
    .bind(tenant)
    .bind(after)
    .bind(limit)
    .bind(now)
    .fetch_all(&mut *conn)
    .await?;
    let last = ids.iter().max().filter(|_| ids.len() as i64 == limit);
    sqlx::query("update tenant_settings set replan_after = $2 where tenant_id = $1")
        .bind(tenant)
        .bind(last)
        .execute(conn)
        .await?;
    Ok(true)
}

/// A link to the file is given out: noted to the hour, since its age counts in days. Answers where
/// it lies now, if that may have changed since it was read: a move may have been marked meanwhile.
pub async fn played(
    conn: &mut PgConnection,
    meeting: MeetingId,
    recording: RecordingId,
    now: DateTime<Utc>,
) -> Result<Option<(Tier, Option<String>)>> {
    let row = sqlx::query(
        "update recordings set last_played_at = $3
         where meeting_id = $1 and id = $2 and (last_played_at is null or last_played_at < $3 - interval '1 hour')
         returning storage_tier, storage_class",
    )
    .bind(meeting.0)
    .bind(recording.0)
    .bind(now)
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((
        word(&row, "storage_tier")?,
        row.try_get("storage_class")?,
    )))
}

/// Nobody is given a link to the file until this transaction ends.
pub async fn lock(
    conn: &mut PgConnection,
    meeting: MeetingId,
    recording: RecordingId,
) -> Result<()> {
    sqlx::query("select from recordings where meeting_id = $1 and id = $2 for update")
        .bind(meeting.0)
        .bind(recording.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// All files that may move, of all tenants or of one, `after` this key, with their tenants and
/// meetings.
pub async fn all_files(
    conn: &mut PgConnection,
    tenant: Option<TenantId>,
    after: &str,
    limit: i64,
) -> Result<Vec<(TenantId, File)>> {
    let rows = sqlx::query(files!(
        "($1::uuid is null or o.tenant_id = $1) and o.key > $2 order by o.key limit $3"
    ))
    .bind(tenant.map(|tenant| tenant.0))
    .bind(after)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    let all = rows
        .iter()
        .map(|row| Ok((TenantId(row.try_get("tenant_id")?), file(row)?)));
    Ok(all.collect::<sqlx::Result<_>>()?)
}
