//! The files that were made of a meeting, as the ledger is told of them, and as rows take them over
//! that are older: theirs are deleted.

use super::{Result, entry_row, participant, recording as rows};
use crate::domain::{
    id::{MeetingId, RecordingId, TenantId},
    inventory::ObjectKind,
    ledger::{GoneObject, Known, MadeFile},
    object_key::PeaksFile,
    recording::{RecordingKind, RecordingStatus},
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::collections::BTreeSet;

/// The meeting's files as they are; `key_of` reads a file's URL.
pub async fn files(
    conn: &mut PgConnection,
    meeting: MeetingId,
    key_of: impl Fn(&str) -> Option<String>,
) -> Result<Vec<MadeFile>> {
    let rows = sqlx::query(
        "select r.id, r.kind, r.participant_id, r.source, r.codec, r.media_type, r.start_ms, r.revision, r.sha256,
             r.blob_url, r.size_bytes, r.duration_ms, r.gaps, r.made_of, r.gain_db
         from recordings r
         where r.meeting_id = $1 and r.status = 'ready' and r.deleted_at is null and r.blob_url is not null
             and r.size_bytes is not null and r.duration_ms is not null
         order by r.id",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    let mut files = Vec::new();
    for row in &rows {
        if let Some(key) = key_of(row.try_get::<&str, _>("blob_url")?) {
            files.push(file(row, key)?);
        }
    }
    Ok(files)
}

fn file(row: &PgRow, key: String) -> sqlx::Result<MadeFile> {
    Ok(MadeFile {
        recording: entry_row::recording(row)?,
        key,
        // Where the store keeps versions, the one of today is found by the key.
        version: None,
        size_bytes: row.try_get("size_bytes")?,
        duration_ms: row.try_get("duration_ms")?,
        gaps: row.try_get("gaps")?,
        made_of: row.try_get("made_of")?,
        gain_db: row.try_get("gain_db")?,
    })
}

/// Takes over a file that rows do not know which are older than it: the one that they know is
/// deleted. `false`: they know it, or a later one, or its recording is deleted.
pub async fn adopt(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    file: &MadeFile,
    url: &str,
) -> Result<bool> {
    let MadeFile { recording, .. } = file;
    if let Some(of) = recording.participant
        && participant::get(conn, meeting, of).await?.is_none()
    {
        return Ok(false);
    }
    let status = RecordingStatus::Processing;
    entry_row::take_in_recording(conn, tenant, meeting, recording, status).await?;
    let known = known(conn, meeting, file).await?;
    if !known.is_some_and(|known| file.stands_in_for(known)) {
        same_mix(conn, meeting, file, url).await?;
        return Ok(false);
    }
    sqlx::query(
        "update recordings set status = 'ready', progress = 1, error = null, media_type = $3, start_ms = $4, revision = $5,
             sha256 = $6, blob_url = $7, size_bytes = $8, duration_ms = $9, gaps = $10, made_of = $11, gain_db = $12,
             storage_tier = 'hot', storage_class = null, restore_asked_at = null, restore_days = null, restore_until = null
         where id = $1 and meeting_id = $2",
    )
    .bind(recording.id.0)
    .bind(meeting.0)
    .bind(&recording.media_type)
    .bind(recording.start_ms)
    .bind(recording.revision)
    .bind(&recording.sha256)
    .bind(url)
    .bind(file.size_bytes)
    .bind(file.duration_ms)
    .bind(&file.gaps)
    .bind(&file.made_of)
    .bind(file.gain_db)
    .execute(&mut *conn)
    .await?;
    let object = GoneObject {
        key: file.key.clone(),
        recording: recording.id,
        kind: match recording.kind {
            RecordingKind::Track => ObjectKind::Track,
            RecordingKind::Mix => ObjectKind::Mix,
        },
        sha256: recording.sha256.clone(),
        version: file.version.clone(),
    };
    stored(conn, tenant, meeting, &object, file.size_bytes).await?;
    // All of what these rows know is in it.
    sqlx::query(
        "update recording_segments set state = 'merged'
         where meeting_id = $1 and recording_id = $2 and state = 'stored'",
    )
    .bind(meeting.0)
    .bind(recording.id.0)
    .execute(conn)
    .await?;
    Ok(true)
}

/// Takes an object that is there into the inventory.
pub async fn stored(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    object: &GoneObject,
    size_bytes: i64,
) -> Result<()> {
    entry_row::take_in_objects(conn, tenant, meeting, std::slice::from_ref(object)).await?;
    sqlx::query(
        "update objects set state = 'stored', size_bytes = $3, sha256 = $4, uploading = false, deleted_at = null,
             stored_at = coalesce(stored_at, clock_timestamp())
         where meeting_id = $1 and key = $2",
    )
    .bind(meeting.0)
    .bind(&object.key)
    .bind(size_bytes)
    .bind(&object.sha256)
    .execute(conn)
    .await?;
    Ok(())
}

/// What these rows know beside it. `None`: another recording is the same track, or the meeting's
/// mix.
async fn known(
    conn: &mut PgConnection,
    meeting: MeetingId,
    file: &MadeFile,
) -> Result<Option<Known>> {
    let row: Option<(i32, Option<String>, bool)> = sqlx::query_as(
        "select revision, blob_url, deleted_at is not null or status = 'deleting' from recordings
         where meeting_id = $1 and id = $2",
    )
    .bind(meeting.0)
    .bind(file.recording.id.0)
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| match row {
        (_, _, true) => Known::Deleted,
        (_, None, _) => Known::Nothing,
        (_, Some(url), _) if lies_at(&url, &file.key) => Known::This,
        (revision, ..) => Known::Other { revision },
    }))
}

/// A mix that is as it was may be of tracks that are in other containers now.
async fn same_mix(
    conn: &mut PgConnection,
    meeting: MeetingId,
    file: &MadeFile,
    url: &str,
) -> Result<()> {
    sqlx::query(
        "update recordings set made_of = $4
         where meeting_id = $5 and id = $1 and revision = $2 and blob_url = $3 and kind = 'mix'
           and status = 'ready'",
    )
    .bind(file.recording.id.0)
    .bind(file.recording.revision)
    .bind(url)
    .bind(&file.made_of)
    .bind(meeting.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes away recordings whose files go and that nothing stands in for: nothing of them may be
/// kept. Those that are deleted by somebody stay, and those that have a later file.
pub async fn disown(
    conn: &mut PgConnection,
    meeting: MeetingId,
    files: &[MadeFile],
    going: &[GoneObject],
) -> Result<()> {
    let stay: BTreeSet<RecordingId> = files.iter().map(|file| file.recording.id).collect();
    let is_file = |kind| matches!(kind, ObjectKind::Track | ObjectKind::Mix);
    for one in rows::of_meeting(conn, meeting).await? {
        let is_its_own = |object: &GoneObject| {
            let url = one.blob_url.as_deref();
            object.recording == one.id
                && is_file(object.kind)
                && url.is_none_or(|url| lies_at(url, &object.key))
        };
        if !stay.contains(&one.id) && going.iter().any(is_its_own) {
            rows::remove(conn, meeting, one.id).await?;
        }
    }
    Ok(())
}

/// Of the keys of these objects, those under which no file of the meeting lies now, nor its peaks.
pub async fn replaced(
    conn: &mut PgConnection,
    meeting: MeetingId,
    going: &[GoneObject],
) -> Result<Vec<String>> {
    let now = rows::of_meeting(conn, meeting).await?;
    let is_file = |key: &str| {
        let mut urls = now.iter().filter_map(|one| one.blob_url.as_deref());
        urls.any(|url| lies_at(url, key) || PeaksFile::parse(key).is_some_and(|of| of.are_of(url)))
    };
    let keys = going.iter().map(|object| object.key.clone());
    Ok(keys.filter(|key| !is_file(key)).collect())
}

/// Whether a file's URL names this key, in whichever bucket.
fn lies_at(url: &str, key: &str) -> bool {
    url.strip_suffix(key)
        .is_some_and(|rest| rest.ends_with('/'))
}
