//! Recordings and objects as entries of the ledger name them: read from rows, and brought into rows
//! that are older than the entry.

use super::{Result, word::word};
use crate::domain::{
    id::{MeetingId, ParticipantId, RecordingId, TenantId},
    ledger::{GoneObject, GoneRecording},
    recording::RecordingStatus,
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

/// A row of `recordings`.
pub(super) fn recording(row: &PgRow) -> sqlx::Result<GoneRecording> {
    let participant: Option<Uuid> = row.try_get("participant_id")?;
    Ok(GoneRecording {
        id: RecordingId(row.try_get("id")?),
        kind: word(row, "kind")?,
        participant: participant.map(ParticipantId),
        source: row.try_get("source")?,
        codec: row.try_get("codec")?,
        media_type: row.try_get("media_type")?,
        start_ms: row.try_get("start_ms")?,
        revision: row.try_get("revision")?,
        sha256: row.try_get("sha256")?,
    })
}

/// A row of `objects`.
pub(super) fn object(row: &PgRow) -> sqlx::Result<GoneObject> {
    Ok(GoneObject {
        key: row.try_get("key")?,
        recording: RecordingId(row.try_get("recording_id")?),
        kind: word(row, "kind")?,
        sha256: row.try_get("sha256")?,
        version: row.try_get("version")?,
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
    Ok(rows.iter().map(object).collect::<sqlx::Result<_>>()?)
}

/// Makes the row of a recording that these rows do not have. One that they have stays as it is, and
/// so does another that is the same track, or the meeting's mix.
pub async fn take_in_recording(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    recording: &GoneRecording,
    status: RecordingStatus,
) -> Result<()> {
    sqlx::query(
        "insert into recordings (id, tenant_id, meeting_id, kind, participant_id, source, codec, media_type, start_ms,
             status, revision, sha256)
         values ($1, $2, $3, $4, (select id from participants where meeting_id = $3 and id = $5), $6, $7, $8, $9,
             $10, $11, $12)
         on conflict do nothing",
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
    .bind(status.as_str())
    .bind(recording.revision)
    .bind(&recording.sha256)
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes objects into the inventory that it does not have, or has as deleted, as such that may be
/// there; those that it has stay as they are.
pub async fn take_in_objects(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    objects: &[GoneObject],
) -> Result<()> {
    for object in objects {
        sqlx::query(
            "insert into objects (meeting_id, key, tenant_id, recording_id, kind, participants, uploading, sha256, version)
             select $1, $2, $3, $4, $5, coalesce((select array_agg(distinct r.participant_id) from recordings r
                     where r.meeting_id = $1 and r.participant_id is not null and ($5 in ('mix', 'derived') or r.id = $4)), '{}'),
                 false, $6, $7
             on conflict (meeting_id, key) do update set state = 'planned', deleted_at = null
                 where objects.state = 'deleted'",
        )
        .bind(meeting.0)
        .bind(&object.key)
        .bind(tenant.0)
        .bind(object.recording.0)
        .bind(object.kind.as_str())
        .bind(&object.sha256)
        .bind(&object.version)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
