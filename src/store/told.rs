//! What the ledger is told of redactions and of the files that they make, and what rows take over
//! from it that are older.

use super::{Result, deletion::Asked, redaction::Redaction, word::word};
use crate::domain::{
    id::{MeetingId, ParticipantId, RecordingId, TenantId},
    ledger::{self, Act, Draft, GoneObject, GoneRecording, MadeFile},
    wire_time::wire_time,
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

impl Redaction {
    /// As the ledger has it.
    pub fn draft(&self) -> Draft {
        Draft {
            tenant: self.tenant,
            meeting: Some(self.meeting),
            author: self.author.clone(),
            reason: self.reason.clone(),
            asked_at: wire_time(self.asked_at),
            act: Act::Redaction(ledger::Redaction {
                id: self.id,
                participant: self.participant,
                purposes: self.purposes.clone(),
                from_ms: self.from_ms,
                to_ms: self.to_ms,
                decided_by: self.decided_by.clone(),
                erasure: self.erasure,
            }),
        }
    }
}

/// Redactions of the meeting that are accepted and that the ledger does not have, oldest first.
pub async fn unwritten(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<Redaction>> {
    Ok(sqlx::query_as(
        "select * from redactions where meeting_id = $1 and ledger_n is null and state not in ('asked', 'declined')
         order by id",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?)
}

/// The ledger has it now.
pub async fn written(
    conn: &mut PgConnection,
    meeting: MeetingId,
    redaction: Uuid,
    n: i64,
) -> Result<()> {
    sqlx::query("update redactions set ledger_n = $3 where meeting_id = $1 and id = $2")
        .bind(meeting.0)
        .bind(redaction)
        .bind(n)
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes what the ledger was told of the files of a redaction.
pub async fn told(
    conn: &mut PgConnection,
    meeting: MeetingId,
    redaction: Uuid,
    files: &str,
    objects: &[String],
) -> Result<()> {
    sqlx::query(
        "update redactions set told_files = $3, told_objects = $4 where meeting_id = $1 and id = $2",
    )
    .bind(meeting.0)
    .bind(redaction)
    .bind(files)
    .bind(objects)
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes in a redaction that the ledger has. `None`: nobody of these rows is taken out by it.
pub async fn take_in(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    redaction: &ledger::Redaction,
    asked: &Asked,
) -> Result<Option<Redaction>> {
    let purposes: Vec<&str> = redaction.purposes.iter().map(|one| one.as_str()).collect();
    // One that was only asked for is approved by the entry.
    Ok(sqlx::query_as(
        "insert into redactions (meeting_id, id, tenant_id, participant_id, purposes, from_ms, to_ms, reason, author,
             asked_at, state, decided_by, erasure_id, ledger_n)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'waiting', $11, $12, $13
         where exists (select from participants where meeting_id = $1 and id = $4)
         on conflict (meeting_id, id) do update set ledger_n = coalesce(redactions.ledger_n, excluded.ledger_n),
             state = case when redactions.state = 'asked' then 'waiting' else redactions.state end,
             decided_by = coalesce(redactions.decided_by, excluded.decided_by)
         returning *",
    )
    .bind(meeting.0)
    .bind(redaction.id)
    .bind(tenant.0)
    .bind(redaction.participant.0)
    .bind(purposes)
    .bind(redaction.from_ms)
    .bind(redaction.to_ms)
    .bind(&asked.reason)
    .bind(&asked.author)
    .bind(asked.at)
    .bind(&redaction.decided_by)
    .bind(redaction.erasure)
    .bind(asked.ledger)
    .fetch_optional(conn)
    .await?)
}

/// The meeting's files as they are, for the ledger; `key_of` reads a file's URL.
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
    let participant: Option<Uuid> = row.try_get("participant_id")?;
    Ok(MadeFile {
        recording: GoneRecording {
            id: RecordingId(row.try_get("id")?),
            kind: word(row, "kind")?,
            participant: participant.map(ParticipantId),
            source: row.try_get("source")?,
            codec: row.try_get("codec")?,
            media_type: row.try_get("media_type")?,
            start_ms: row.try_get("start_ms")?,
            revision: row.try_get("revision")?,
            sha256: row.try_get("sha256")?,
        },
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

/// What the inventory has of these keys.
pub async fn objects(
    conn: &mut PgConnection,
    meeting: MeetingId,
    keys: &[String],
) -> Result<Vec<GoneObject>> {
    let rows = sqlx::query(
        "select key, recording_id, kind, sha256, version from objects where meeting_id = $1 and key = any($2) order by key",
    )
    .bind(meeting.0)
    .bind(keys)
    .fetch_all(conn)
    .await?;
    let object = |row: &PgRow| -> sqlx::Result<GoneObject> {
        Ok(GoneObject {
            key: row.try_get("key")?,
            recording: RecordingId(row.try_get("recording_id")?),
            kind: word(row, "kind")?,
            sha256: row.try_get("sha256")?,
            version: row.try_get("version")?,
        })
    };
    Ok(rows.iter().map(object).collect::<sqlx::Result<_>>()?)
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
    let adopted = sqlx::query(
        "insert into recordings (id, tenant_id, meeting_id, kind, participant_id, source, codec, media_type, start_ms, status,
             progress, revision, sha256, blob_url, size_bytes, duration_ms, gaps, made_of, gain_db)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, 'ready', 1, $10, $11, $12, $13, $14, $15, $16, $17
         where ($5::uuid is null or exists (select from participants where meeting_id = $3 and id = $5))
             and not exists (select from recordings o where o.meeting_id = $3 and o.id <> $1 and o.kind = $4 and (
                 o.kind = 'mix' and o.deleted_at is null and o.status <> 'deleting'
                 or o.kind = 'track' and (o.participant_id, o.source, o.codec) = ($5, $6, $7)))
         on conflict (id) do update set status = 'ready', progress = 1, error = null, media_type = excluded.media_type,
             start_ms = excluded.start_ms, revision = excluded.revision, sha256 = excluded.sha256,
             blob_url = excluded.blob_url, size_bytes = excluded.size_bytes, duration_ms = excluded.duration_ms,
             gaps = excluded.gaps, made_of = excluded.made_of, gain_db = excluded.gain_db, storage_tier = 'hot',
             storage_class = null, restore_asked_at = null, restore_days = null, restore_until = null
         where recordings.deleted_at is null and recordings.status <> 'deleting'
             and (recordings.blob_url is null or recordings.revision < excluded.revision)",
    )
    .bind(recording.id.0)
    .bind(tenant.0)
    .bind(meeting.0)
    .bind(recording.kind.as_str())
    .bind(recording.participant.map(|id| id.0))
    .bind(&recording.source)
    .bind(&recording.codec)
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
    if adopted.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(
        "insert into objects (meeting_id, key, tenant_id, recording_id, kind, participants, uploading, state, size_bytes,
             sha256, stored_at)
         select $1, $2, $3, $4, $5, coalesce((select array_agg(distinct r.participant_id) from recordings r
                 where r.meeting_id = $1 and r.participant_id is not null and ($5 = 'mix' or r.id = $4)), '{}'),
             false, 'stored', $6, $7, clock_timestamp()
         on conflict (meeting_id, key) do update set state = 'stored', size_bytes = excluded.size_bytes,
             sha256 = excluded.sha256, uploading = false, deleted_at = null",
    )
    .bind(meeting.0)
    .bind(&file.key)
    .bind(tenant.0)
    .bind(recording.id.0)
    .bind(recording.kind.as_str())
    .bind(file.size_bytes)
    .bind(&recording.sha256)
    .execute(&mut *conn)
    .await?;
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
