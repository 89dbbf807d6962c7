//! Recordings and their segments, as the workers write them. Rows say what exists: they are written
//! after the object was stored and verified.

use super::{
    Result,
    block::Place,
    inventory::{self, Settled},
    word::{word, word_or_null},
};
use crate::domain::{
    codec::AudioCodec,
    id::{MeetingId, ParticipantId, RecordingId, TenantId},
    media_type::MediaType,
    recording::{RecordingKind, RecordingStatus, SegmentState},
    stream::MediaSource,
    time::{MeetingTime, Micros, Span},
};
use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

/// What makes two streams the same recording.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TrackKey {
    pub participant: ParticipantId,
    pub source: MediaSource,
    pub codec: AudioCodec,
}

/// Makes the track's recording, or finds the one that is there; answers with the id that counts.
/// Its start moves only while there is no file: a file's time 0 is its start, and where the file is
/// joined again its sound would move with it.
pub async fn ensure_track(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    id: RecordingId,
    key: &TrackKey,
    start_ms: i64,
) -> Result<RecordingId> {
    let row = sqlx::query(
        "insert into recordings (id, tenant_id, meeting_id, kind, participant_id, source, codec, media_type, start_ms)
         values ($1, $2, $3, 'track', $4, $5, $6, $8, $7)
         on conflict (meeting_id, participant_id, source, codec) where kind = 'track'
         do update set start_ms = case when recordings.blob_url is null
                                       then least(recordings.start_ms, excluded.start_ms) else recordings.start_ms end
         returning id",
    )
    .bind(id.0)
    .bind(tenant.0)
    .bind(meeting.0)
    .bind(key.participant.0)
    .bind(key.source.as_str())
    .bind(key.codec.as_str())
    .bind(start_ms)
    .bind(MediaType::of_track(key.codec).as_str())
    .fetch_one(conn)
    .await?;
    Ok(RecordingId(row.try_get(0)?))
}

/// A sealed segment that is in storage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    pub recording: RecordingId,
    pub epoch: i64,
    pub n: i32,
    pub span: Span,
    pub consent_entry: i64,
    /// How much later than its place any of it may have been made.
    pub late: Micros,
    /// The object of its own; deleted once it is in a block.
    pub object_key: String,
    pub size_bytes: i64,
    pub sha256: String,
    /// The store's name of the object that was just stored, where it keeps versions.
    pub version: Option<String>,
    pub state: SegmentState,
    pub place: Option<Place>,
}

impl Segment {
    /// The object that holds it.
    pub fn object(&self) -> &str {
        self.place
            .as_ref()
            .map_or(&self.object_key, |place| &place.block)
    }
}

fn segment(row: &PgRow) -> sqlx::Result<Segment> {
    Ok(Segment {
        recording: RecordingId(row.try_get("recording_id")?),
        epoch: row.try_get("epoch")?,
        n: row.try_get("n")?,
        span: Span::new(
            MeetingTime(row.try_get("start_us")?),
            MeetingTime(row.try_get("end_us")?),
        ),
        consent_entry: row.try_get("consent_entry")?,
        late: Micros(row.try_get("late_us")?),
        object_key: row.try_get("object_key")?,
        size_bytes: row.try_get("size_bytes")?,
        sha256: row.try_get("sha256")?,
        version: None,
        state: word(row, "state")?,
        place: match row.try_get::<Option<String>, _>("block_key")? {
            Some(block) => Some(Place {
                block,
                at: row.try_get("block_at")?,
            }),
            None => None,
        },
    })
}

/// Adds a segment, and settles its object; a second time replaces the first (a segment cut after it
/// was stored has a new key, and is in no block any more).
///
/// # Errors
/// [`super::StoreError::Going`] when its object is being deleted.
pub async fn add_segment(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    segment: &Segment,
) -> Result<()> {
    let stored = Settled {
        key: &segment.object_key,
        recording: segment.recording,
        size_bytes: segment.size_bytes,
        sha256: &segment.sha256,
        version: segment.version.as_deref(),
    };
    inventory::settle(conn, meeting, stored).await?;
    sqlx::query(
        "insert into recording_segments (meeting_id, recording_id, epoch, n, tenant_id, start_us, end_us, consent_entry,
             object_key, size_bytes, sha256, late_us)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         on conflict (meeting_id, recording_id, epoch, n) do update set start_us = excluded.start_us,
             end_us = excluded.end_us, object_key = excluded.object_key, size_bytes = excluded.size_bytes,
             sha256 = excluded.sha256,
             block_key = case when recording_segments.sha256 = excluded.sha256 then recording_segments.block_key end,
             block_at = case when recording_segments.sha256 = excluded.sha256 then recording_segments.block_at end
         where recording_segments.state = 'stored'",
    )
    .bind(meeting.0)
    .bind(segment.recording.0)
    .bind(segment.epoch)
    .bind(segment.n)
    .bind(tenant.0)
    .bind(segment.span.start.0)
    .bind(segment.span.end.0)
    .bind(segment.consent_entry)
    .bind(&segment.object_key)
    .bind(segment.size_bytes)
    .bind(&segment.sha256)
    .bind(segment.late.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// All segments of a meeting, by recording and time.
pub async fn segments(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<Segment>> {
    let rows = sqlx::query(
        "select recording_id, epoch, n, start_us, end_us, consent_entry, late_us, object_key, size_bytes, sha256, state,
             block_key, block_at
         from recording_segments where meeting_id = $1 order by recording_id, start_us, epoch, n",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    Ok(rows.iter().map(segment).collect::<sqlx::Result<_>>()?)
}

/// Takes the row of a segment of which nothing was left.
pub async fn remove_segment(
    conn: &mut PgConnection,
    meeting: MeetingId,
    segment: &Segment,
) -> Result<()> {
    sqlx::query("delete from recording_segments where meeting_id = $1 and recording_id = $2 and epoch = $3 and n = $4")
        .bind(meeting.0)
        .bind(segment.recording.0)
        .bind(segment.epoch)
        .bind(segment.n)
        .execute(conn)
        .await?;
    Ok(())
}

/// A track's object was verified and committed: the segments with these objects are in it now.
/// Their rows stay as proof.
pub async fn mark_merged(
    conn: &mut PgConnection,
    meeting: MeetingId,
    recording: RecordingId,
    objects: &[String],
) -> Result<()> {
    sqlx::query(
        "update recording_segments set state = 'merged'
         where meeting_id = $1 and recording_id = $2 and object_key = any($3)",
    )
    .bind(meeting.0)
    .bind(recording.0)
    .bind(objects)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether segments of the meeting are in storage that no track has yet.
pub async fn is_unmerged(conn: &mut PgConnection, meeting: MeetingId) -> Result<bool> {
    Ok(sqlx::query(
        "select 1 from recording_segments where meeting_id = $1 and state = 'stored' limit 1",
    )
    .bind(meeting.0)
    .fetch_optional(conn)
    .await?
    .is_some())
}

/// Notes a span of which nothing is there although it was sent.
pub async fn add_lost(conn: &mut PgConnection, id: RecordingId, span: Span) -> Result<()> {
    sqlx::query(
        "insert into recording_losses (meeting_id, recording_id, tenant_id, start_us, end_us)
         select meeting_id, id, tenant_id, $2, $3 from recordings where id = $1",
    )
    .bind(id.0)
    .bind(span.start.0)
    .bind(span.end.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// The noted losses of a row of `recordings` called `r`, as gaps.
macro_rules! losses {
    () => {
        "(select coalesce(jsonb_agg(jsonb_build_object('startMs', l.start_us / 1000, 'endMs', l.end_us / 1000, 'reason', 'lost')
                                    order by l.start_us), '[]')
          from recording_losses l where l.meeting_id = r.meeting_id and l.recording_id = r.id)"
    };
}
pub(super) use losses;

/// A recording as a job needs it.
#[derive(Clone, Debug)]
pub struct Recording {
    pub id: RecordingId,
    pub kind: RecordingKind,
    pub key: Option<TrackKey>,
    pub start_ms: i64,
    /// Of the file that there is.
    pub duration_ms: Option<i64>,
    /// With all that was noted as lost.
    pub gaps: Value,
    /// Of the file that there is, as they are told.
    pub file_gaps: Value,
    pub status: RecordingStatus,
    pub blob_url: Option<String>,
    /// What the file is, or will be.
    pub media_type: MediaType,
    pub revision: i32,
    pub sha256: Option<String>,
    /// Of a mix: the SHA-256 of each track that is in it, ordered by the tracks' ids.
    pub made_of: Vec<String>,
    /// Of a mix: how much it was amplified. `None`: it was made before this was noted.
    pub gain_db: Option<f64>,
}

pub async fn of_meeting(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<Recording>> {
    let rows = sqlx::query(concat!(
        "select id, kind, participant_id, source, codec, start_ms, duration_ms, gaps || ",
        losses!(),
        " as gaps, gaps as file_gaps, status, blob_url, media_type, revision, sha256, made_of, gain_db from recordings r
         where meeting_id = $1 and deleted_at is null and status <> 'deleting' order by kind, id",
    ))
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    let recording = |row: &PgRow| -> sqlx::Result<Recording> {
        let participant: Option<Uuid> = row.try_get("participant_id")?;
        let source = word_or_null(row, "source")?;
        let codec = word_or_null(row, "codec")?;
        Ok(Recording {
            id: RecordingId(row.try_get("id")?),
            kind: word(row, "kind")?,
            key: participant
                .zip(source)
                .zip(codec)
                .map(|((participant, source), codec)| TrackKey {
                    participant: ParticipantId(participant),
                    source,
                    codec,
                }),
            start_ms: row.try_get("start_ms")?,
            gaps: row.try_get("gaps")?,
            file_gaps: row.try_get("file_gaps")?,
            status: word(row, "status")?,
            blob_url: row.try_get("blob_url")?,
            media_type: word(row, "media_type")?,
            duration_ms: row.try_get("duration_ms")?,
            revision: row.try_get("revision")?,
            sha256: row.try_get("sha256")?,
            made_of: row.try_get("made_of")?,
            gain_db: row.try_get("gain_db")?,
        })
    };
    Ok(rows.iter().map(recording).collect::<sqlx::Result<_>>()?)
}

/// A finished file.
#[derive(Clone, Debug)]
pub struct Finished {
    pub key: String,
    pub blob_url: String,
    /// The store's name of the object, where it keeps versions.
    pub version: Option<String>,
    pub media_type: MediaType,
    pub start_ms: i64,
    pub duration_ms: i64,
    pub gaps: Value,
    pub size_bytes: i64,
    pub sha256: String,
    /// As in [`Recording`].
    pub made_of: Vec<String>,
    /// As in [`Recording`].
    pub gain_db: Option<f64>,
}

/// Whether it is deleted, or about to be, alone or with its meeting.
pub async fn is_deleted(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: RecordingId,
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select exists (select from recordings where id = $2 and (status = 'deleting' or deleted_at is not null))
             or exists (select from meetings where id = $1 and deletion_asked_at is not null)",
    )
    .bind(meeting.0)
    .bind(id.0)
    .fetch_one(conn)
    .await?)
}

/// `ready`: the object is stored and verified, and is settled.
pub async fn finish(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: RecordingId,
    file: &Finished,
) -> Result<()> {
    let stored = Settled {
        key: &file.key,
        recording: id,
        size_bytes: file.size_bytes,
        sha256: &file.sha256,
        version: file.version.as_deref(),
    };
    inventory::settle(conn, meeting, stored).await?;
    sqlx::query(
        "update recordings set status = 'ready', progress = 1, error = null, blob_url = $2, start_ms = $3,
             duration_ms = $4, gaps = $5, size_bytes = $6, sha256 = $7, made_of = $8, media_type = $9, gain_db = $10, storage_tier = 'hot',
             storage_class = null, restore_asked_at = null, restore_days = null, restore_until = null,
             redacting = false,
             revision = revision + case when status = 'ready' then 1 else 0 end
         where id = $1 and deleted_at is null and status <> 'deleting'",
    )
    .bind(id.0)
    .bind(&file.blob_url)
    .bind(file.start_ms)
    .bind(file.duration_ms)
    .bind(&file.gaps)
    .bind(file.size_bytes)
    .bind(&file.sha256)
    .bind(&file.made_of)
    .bind(file.media_type.as_str())
    .bind(file.gain_db)
    .execute(&mut *conn)
    .await?;
    // Its age counts from the meeting's end; whatever is made of it first is waited for.
    sqlx::query(
        "update meetings set tier_due_at = least(tier_due_at, clock_timestamp() + interval '1 hour') where id = $1",
    )
    .bind(meeting.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes or finds the meeting's mix, `processing`.
pub async fn ensure_mix(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    start_ms: i64,
) -> Result<RecordingId> {
    let row = sqlx::query(
        "insert into recordings (id, tenant_id, meeting_id, kind, media_type, start_ms, status)
         values ($1, $2, $3, 'mix', 'audio/mp4', $4, 'processing')
         on conflict (meeting_id) where kind = 'mix' and deleted_at is null and status <> 'deleting' do update set kind = excluded.kind
         returning id",
    )
    .bind(Uuid::now_v7())
    .bind(tenant.0)
    .bind(meeting.0)
    .bind(start_ms)
    .fetch_one(conn)
    .await?;
    Ok(RecordingId(row.try_get(0)?))
}

/// All recordings of the meeting that are still `recording` become `processing`.
pub async fn close_all(conn: &mut PgConnection, meeting: MeetingId) -> Result<()> {
    sqlx::query(
        "update recordings set status = 'processing', progress = 0 where meeting_id = $1 and status = 'recording'",
    )
    .bind(meeting.0)
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn progress(conn: &mut PgConnection, id: RecordingId, progress: f32) -> Result<()> {
    sqlx::query("update recordings set progress = $2 where id = $1 and status = 'processing'")
        .bind(id.0)
        .bind(progress)
        .execute(conn)
        .await?;
    Ok(())
}

/// One recording failed, with a reason that says what to do.
pub async fn fail(conn: &mut PgConnection, id: RecordingId, error: &str) -> Result<()> {
    sqlx::query("update recordings set status = 'failed', error = $2 where id = $1 and status <> 'deleting'")
        .bind(id.0)
        .bind(error)
        .execute(conn)
        .await?;
    Ok(())
}

/// A finished file stays as it is; only its gaps are told anew.
pub async fn keep(conn: &mut PgConnection, id: RecordingId, gaps: &Value) -> Result<()> {
    sqlx::query("update recordings set gaps = $2, redacting = false where id = $1 and (gaps <> $2 or redacting)")
        .bind(id.0)
        .bind(gaps)
        .execute(conn)
        .await?;
    Ok(())
}

/// Whatever is not ready failed, with a reason that says what to do.
pub async fn fail_unfinished(
    conn: &mut PgConnection,
    meeting: MeetingId,
    error: &str,
) -> Result<()> {
    sqlx::query(
        "update recordings set status = 'failed', error = $2 where meeting_id = $1 and status in ('recording', 'processing')",
    )
    .bind(meeting.0)
    .bind(error)
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes a recording of which nothing may be kept.
pub async fn remove(conn: &mut PgConnection, meeting: MeetingId, id: RecordingId) -> Result<()> {
    sqlx::query("delete from recording_segments where meeting_id = $1 and recording_id = $2")
        .bind(meeting.0)
        .bind(id.0)
        .execute(&mut *conn)
        .await?;
    sqlx::query("delete from recordings where id = $1")
        .bind(id.0)
        .execute(conn)
        .await?;
    Ok(())
}
