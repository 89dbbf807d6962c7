//! The inventory: every object that is in the bucket, or may be.
//!
//! Whoever stores an object calls [`note`] and commits before the first byte leaves, and [`settle`]
//! in the transaction whose rows tell of it. Whoever deletes one calls [`going`] first, then
//! deletes it, then calls [`gone`]. So whoever dies on the way leaves a row by which the object is
//! found.

use super::{Result, StoreError, word::word};
use crate::domain::{
    id::{MeetingId, ParticipantId, RecordingId, TenantId},
    inventory::{Entry, ObjectKind, UPLOAD_MAX},
    time::Micros,
};
use serde_json::json;
use sqlx::{PgConnection, Row};
use std::collections::BTreeMap;
use uuid::Uuid;

/// An object that somebody is going to store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    pub key: String,
    pub tenant: TenantId,
    pub meeting: MeetingId,
    /// Whose file or segment it is. It need not have a row yet.
    pub recording: RecordingId,
    pub kind: ObjectKind,
    /// Who is heard in it.
    pub participants: Vec<ParticipantId>,
}

/// Whether an object may be stored now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Noted {
    Yes,
    /// What lay under this key is being deleted. Ask again later, or take another key.
    Busy,
    /// Its recording is deleted: nothing of it is stored any more.
    Gone,
}

/// Says that these objects are going to be stored, before they are; to be committed first. In order
/// of the objects, which are of any meetings. A key may be noted again and again,
/// also one that was stored or deleted before.
///
/// For segments, tracks, mixes, and in the same way for blocks (`ObjectKind::Block`) and files
/// derived from a recording: `participants` are those heard in it. Jobs hold their lease
/// ([`super::job::hold`]) in the same transaction, so that nothing is noted by one that was
/// stopped.
pub async fn note(conn: &mut PgConnection, objects: &[Object]) -> Result<Vec<Noted>> {
    let wanted: Vec<_> = objects
        .iter()
        .map(|object| {
            json!({
                "key": object.key, "tenant_id": object.tenant, "meeting_id": object.meeting,
                "recording_id": object.recording, "kind": object.kind, "participants": object.participants,
            })
        })
        .collect();
    let rows: Vec<(String, bool, bool)> = sqlx::query_as(
        // Whoever deletes a recording takes its row for itself, and so waits for what is noted now.
        "with asked as (
             select distinct on (key) * from jsonb_to_recordset($1) as a (key text, tenant_id uuid, meeting_id uuid, recording_id uuid,
                                                        kind text, participants uuid[])),
         known as (
             select id, status = 'deleting' or deleted_at is not null as gone from recordings
             where id in (select recording_id from asked) for key share),
         meeting as (
             select id, deletion_asked_at is not null as gone from meetings
             where id in (select meeting_id from asked) for key share),
         wanted as (
             select a.*, coalesce(k.gone, false) or coalesce(m.gone, false) as gone
             from asked a left join known k on k.id = a.recording_id left join meeting m on m.id = a.meeting_id),
         noted as (
             insert into objects (meeting_id, key, tenant_id, recording_id, kind, participants)
             select meeting_id, key, tenant_id, recording_id, kind, participants from wanted where not gone order by key
             on conflict (meeting_id, key) do update set state = 'planned', participants = excluded.participants,
                 uploading = true, noted_at = clock_timestamp(), deleted_at = null
             where objects.state <> 'going'
             returning key)
         select w.key, w.gone, n.key is not null from wanted w left join noted n on n.key = w.key",
    )
    .bind(json!(wanted))
    .fetch_all(conn)
    .await?;
    let noted: BTreeMap<&str, Noted> = rows
        .iter()
        .map(|(key, gone, noted)| {
            let noted = match (gone, noted) {
                (true, _) => Noted::Gone,
                (false, true) => Noted::Yes,
                (false, false) => Noted::Busy,
            };
            (key.as_str(), noted)
        })
        .collect();
    let of = |object: &Object| noted.get(object.key.as_str()).copied();
    Ok(objects
        .iter()
        .map(|object| of(object).unwrap_or(Noted::Busy))
        .collect())
}

/// What the store has of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settled<'a> {
    pub key: &'a str,
    /// Whose it turned out to be.
    pub recording: RecordingId,
    pub size_bytes: i64,
    pub sha256: &'a str,
    /// The store's name of it, where it keeps versions.
    pub version: Option<&'a str>,
}

/// A noted object is stored and verified. In the transaction whose rows tell of it.
///
/// # Errors
/// [`StoreError::Going`] when it was deleted meanwhile, or is about to be, or its recording is:
/// nothing may tell of it, and whoever stored it deletes it again.
pub async fn settle(
    conn: &mut PgConnection,
    meeting: MeetingId,
    stored: Settled<'_>,
) -> Result<()> {
    let done = sqlx::query(
        "update objects set state = 'stored', size_bytes = $3, sha256 = $4, version = $5, storage_tier = 'hot',
             storage_class = null, class_since = null, moving_to = null, move_sum = null, recording_id = $6, uploading = false, stored_at = clock_timestamp()
         where meeting_id = $1 and key = $2 and state in ('planned', 'stored')
             and not exists (select from recordings where id = $6 and (status = 'deleting' or deleted_at is not null))
             and not exists (select from meetings where id = $1 and deletion_asked_at is not null)",
    )
    .bind(meeting.0)
    .bind(stored.key)
    .bind(stored.size_bytes)
    .bind(stored.sha256)
    .bind(stored.version)
    .bind(stored.recording.0)
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Going)
    }
}

/// Nobody stores these any more: what was begun failed, or is over.
pub async fn stopped(conn: &mut PgConnection, meeting: MeetingId, keys: &[String]) -> Result<()> {
    sqlx::query("update objects set uploading = false where meeting_id = $1 and key = any($2)")
        .bind(meeting.0)
        .bind(keys)
        .execute(conn)
        .await?;
    Ok(())
}

/// Nobody needs these any more: to be committed before they are deleted.
pub async fn going(conn: &mut PgConnection, meeting: MeetingId, keys: &[String]) -> Result<()> {
    sqlx::query(
        "update objects set state = 'going'
         where meeting_id = $1 and key = any($2) and state in ('planned', 'stored')",
    )
    .bind(meeting.0)
    .bind(keys)
    .execute(conn)
    .await?;
    Ok(())
}

/// These are deleted, as the store says. Those that an upload may still put there
/// ([`Entry::may_come`]) stay `going`; answers how many.
pub async fn gone(conn: &mut PgConnection, meeting: MeetingId, keys: &[String]) -> Result<usize> {
    let done = sqlx::query(
        "update objects set state = 'deleted', deleted_at = clock_timestamp(), uploading = false
         where meeting_id = $1 and key = any($2) and state = 'going'
             and not (uploading and noted_at > clock_timestamp() - make_interval(secs => $3))",
    )
    .bind(meeting.0)
    .bind(keys)
    .bind(UPLOAD_MAX.0 as f64 / 1e6)
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == keys.len() as u64 {
        return Ok(0);
    }
    let left: i64 = sqlx::query_scalar(
        "select count(*) from objects where meeting_id = $1 and key = any($2) and state = 'going'",
    )
    .bind(meeting.0)
    .bind(keys)
    .fetch_one(conn)
    .await?;
    Ok(usize::try_from(left).unwrap_or(0))
}

/// A meeting's objects that are not deleted, by their keys.
pub async fn of_meeting(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<Entry>> {
    let rows = sqlx::query(
        "select key, recording_id, kind, state, uploading,
             (extract(epoch from clock_timestamp() - noted_at) * 1e6)::bigint as noted_ago
         from objects where meeting_id = $1 and state <> 'deleted' order by key",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    let entry = |row: &sqlx::postgres::PgRow| -> sqlx::Result<Entry> {
        Ok(Entry {
            key: row.try_get("key")?,
            recording: RecordingId(row.try_get("recording_id")?),
            kind: word(row, "kind")?,
            state: word(row, "state")?,
            uploading: row.try_get("uploading")?,
            noted_ago: Micros(row.try_get("noted_ago")?),
        })
    };
    Ok(rows.iter().map(entry).collect::<sqlx::Result<_>>()?)
}

/// The keys of a meeting's objects of one kind that are stored.
pub async fn stored_of_kind(
    conn: &mut PgConnection,
    meeting: MeetingId,
    kind: ObjectKind,
) -> Result<Vec<String>> {
    let keys = sqlx::query_scalar(
        "select key from objects where meeting_id = $1 and kind = $2 and state = 'stored'",
    )
    .bind(meeting.0)
    .bind(kind.as_str())
    .fetch_all(conn)
    .await?;
    Ok(keys)
}

/// Who is heard in an object.
pub async fn heard_in(
    conn: &mut PgConnection,
    meeting: MeetingId,
    key: &str,
) -> Result<Vec<ParticipantId>> {
    let heard: Option<Vec<Uuid>> =
        sqlx::query_scalar("select participants from objects where meeting_id = $1 and key = $2")
            .bind(meeting.0)
            .bind(key)
            .fetch_optional(conn)
            .await?;
    Ok(heard
        .unwrap_or_default()
        .into_iter()
        .map(ParticipantId)
        .collect())
}

/// Whether the inventory has all of a meeting's objects. One that was recorded by a version without
/// it may have more.
pub async fn is_whole(conn: &mut PgConnection, meeting: MeetingId) -> Result<bool> {
    Ok(
        sqlx::query_scalar("select inventoried from meetings where id = $1")
            .bind(meeting.0)
            .fetch_one(conn)
            .await?,
    )
}

/// Takes in what the bucket has of a meeting that was recorded without the inventory.
pub async fn adopt(conn: &mut PgConnection, meeting: MeetingId, objects: &[Object]) -> Result<()> {
    for object in objects {
        sqlx::query(
            "insert into objects (meeting_id, key, tenant_id, recording_id, kind, uploading, participants)
             select $1, $2, $3, $4, $5, false, array_remove(array[(select participant_id from recordings where id = $4)], null)
             on conflict do nothing",
        )
        .bind(meeting.0)
        .bind(&object.key)
        .bind(object.tenant.0)
        .bind(object.recording.0)
        .bind(object.kind.as_str())
        .execute(&mut *conn)
        .await?;
    }
    sqlx::query("update meetings set inventoried = true where id = $1")
        .bind(meeting.0)
        .execute(conn)
        .await?;
    Ok(())
}
