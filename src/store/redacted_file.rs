//! The files and objects of a meeting as redactions look at them: what holds somebody, what is
//! being made, what is gone.

use super::Result;
use crate::domain::{
    fault::Away,
    id::{MeetingId, ParticipantId, RecordingId},
    tiering::needs_restore,
};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, types::Text};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Whether the meeting's files are being made, and whether that failed for good.
pub async fn making(conn: &mut PgConnection, meeting: MeetingId) -> Result<(bool, bool)> {
    Ok(sqlx::query_as(
        "select coalesce(bool_or(state in ('queued', 'running')), false), coalesce(bool_or(state = 'failed'), false)
         from jobs where meeting_id = $1 and subject = $1 and kind in ('join', 'mix')",
    )
    .bind(meeting.0)
    .fetch_one(conn)
    .await?)
}

/// URLs of the tracks that have to be restored before files can be made of them: by the class
/// noted, also by a move that only began, else by their tier.
pub async fn archived(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<String>> {
    let tracks: Vec<(String, Option<String>, bool)> = sqlx::query_as(
        "select blob_url, storage_class, storage_tier = 'archive' from recordings
         where meeting_id = $1 and kind = 'track' and status = 'ready' and deleted_at is null
             and blob_url is not null order by id",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    Ok(tracks
        .into_iter()
        .filter(|(_, class, by_tier)| class.as_deref().map_or(*by_tier, needs_restore))
        .map(|(url, ..)| url)
        .collect())
}

/// Whether this is the recording's file, and who may read the recording gets it.
pub async fn is_open(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: RecordingId,
    url: &str,
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select exists (select from recordings where meeting_id = $1 and id = $2 and blob_url = $3
             and status = 'ready' and not redacting and deleted_at is null)",
    )
    .bind(meeting.0)
    .bind(id.0)
    .bind(url)
    .fetch_one(conn)
    .await?)
}

/// The database's clock, as certificates have it.
pub async fn now(conn: &mut PgConnection) -> Result<DateTime<Utc>> {
    Ok(
        sqlx::query_scalar("select date_trunc('milliseconds', clock_timestamp())")
            .fetch_one(conn)
            .await?,
    )
}

/// These files hold what is being taken out: nobody gets them. [`super::recording::finish`] ends
/// it.
pub async fn close_files(
    conn: &mut PgConnection,
    meeting: MeetingId,
    ids: &[RecordingId],
) -> Result<()> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    sqlx::query("update recordings set redacting = true where meeting_id = $1 and id = any($2)")
        .bind(meeting.0)
        .bind(ids)
        .execute(conn)
        .await?;
    Ok(())
}

/// Nothing is being taken out of the meeting's files any more.
pub async fn open_files(conn: &mut PgConnection, meeting: MeetingId) -> Result<()> {
    sqlx::query("update recordings set redacting = false where meeting_id = $1 and redacting")
        .bind(meeting.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The meeting's mix was made of the tracks as they are now, and is open again.
pub async fn open_mix(conn: &mut PgConnection, meeting: MeetingId) -> Result<()> {
    sqlx::query(
        "update recordings set redacting = false where meeting_id = $1 and kind = 'mix' and redacting",
    )
    .bind(meeting.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// The recordings whose files are still those of before: closed, and not made anew yet.
pub async fn closed(conn: &mut PgConnection, meeting: MeetingId) -> Result<BTreeSet<Uuid>> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select id from recordings where meeting_id = $1 and redacting and status = 'ready' and deleted_at is null",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().collect())
}

/// An object of the inventory with what is in it.
#[derive(Clone, PartialEq, Eq, Debug, FromRow)]
pub struct Holding {
    pub key: String,
    pub sha256: Option<String>,
    pub is_deleted: bool,
}

/// Whether a mix that is there has this participant in it.
pub async fn is_in_mix(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select exists (select from objects where meeting_id = $1 and kind = 'mix' and state <> 'deleted'
             and participants @> array[$2])",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .fetch_one(conn)
    .await?)
}

/// Keys of the objects that are not deleted in which this participant is heard, or may be.
pub async fn holding(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "select o.key from objects o where o.meeting_id = $1 and o.state <> 'deleted'
             and (o.participants @> array[$2] or o.kind = 'mix'
                 or o.kind = 'derived' and not exists (
                     select from recordings r where r.id = o.recording_id and r.kind = 'track')
                 or exists (select from recordings r where r.id = o.recording_id and r.participant_id = $2))
         order by o.key",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .fetch_all(conn)
    .await?)
}

/// Keys of objects that redactions delete themselves, once the ledger has what stands for them:
/// those being carried out, and those that a spool may still add to.
pub async fn kept(conn: &mut PgConnection, meeting: MeetingId) -> Result<BTreeSet<String>> {
    let keys: Vec<String> = sqlx::query_scalar(
        "select distinct unnest(objects) from redactions where meeting_id = $1 and begun
             and (completed_at is null or spools_outstanding > 0)",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    Ok(keys.into_iter().collect())
}

/// What has become of these objects.
pub async fn objects(
    conn: &mut PgConnection,
    meeting: MeetingId,
    keys: &[String],
) -> Result<Vec<Holding>> {
    Ok(sqlx::query_as(
        "select key, sha256, state = 'deleted' as is_deleted from objects where meeting_id = $1 and key = any($2)
         order by key",
    )
    .bind(meeting.0)
    .bind(keys)
    .fetch_all(conn)
    .await?)
}

/// A recording's file now.
#[derive(Clone, PartialEq, Eq, Debug, FromRow)]
pub struct File {
    pub id: Uuid,
    pub sha256: Option<String>,
    pub blob_url: Option<String>,
}

/// The recordings that are neither deleted nor about to be.
pub async fn files(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<File>> {
    Ok(sqlx::query_as(
        "select id, sha256, blob_url from recordings
         where meeting_id = $1 and deleted_at is null and status <> 'deleting' order by id",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?)
}

/// Segments in spools, also of machines that have not been heard of for long. What a machine has
/// that died while it recorded is not known: it counts as one.
pub async fn outstanding(conn: &mut PgConnection, meeting: MeetingId) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "select (select coalesce(sum(spooled), 0)::bigint from capture_epochs where meeting_id = $1 and spooled > 0)
             + (select count(*) from spools where meeting_id = $1 and segments is null and destroyed_at is null)",
    )
    .bind(meeting.0)
    .fetch_one(conn)
    .await?)
}

/// Spools that were declared destroyed with what they had of the meeting.
pub async fn destroyed(conn: &mut PgConnection, meeting: MeetingId) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "select count(distinct spool) from spools where meeting_id = $1 and destroyed_at is not null",
    )
    .bind(meeting.0)
    .fetch_one(conn)
    .await?)
}

/// What is away that the jobs wait for which make the meeting's files.
pub async fn waiting_for(conn: &mut PgConnection, meeting: MeetingId) -> Result<Option<Away>> {
    let away: Option<Text<Away>> = sqlx::query_scalar(
        "select min(waiting_for) from jobs
         where meeting_id = $1 and subject = $1 and kind in ('join', 'mix') and state in ('queued', 'running')",
    )
    .bind(meeting.0)
    .fetch_one(conn)
    .await?;
    Ok(away.map(|away| away.0))
}
