//! Deletions: what somebody asked to delete, and its rows. Objects are deleted by the job, by the
//! inventory.
//!
//! What is asked for is marked under the meeting's head, in the transaction of the request. From
//! then on nothing of it is stored or told of any more: whoever notes or settles an object takes
//! the recording's row, and jobs of the meeting that run lose their lease.

use super::{
    Result,
    word::{word, word_or_null},
};
use crate::domain::{
    deletion::{Deletable, gives_way},
    id::{MeetingId, RecordingId, TenantId},
    job::JobKind,
    ledger::Deletion,
    recording::{RecordingKind, RecordingStatus},
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Who asked, why and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// `api_key:<id>` or `user:<id>`.
    pub author: String,
    pub reason: Option<String>,
    pub at: DateTime<Utc>,
    /// The ledger's entry that tells of it; `None`: it is still to be written.
    pub ledger: Option<i64>,
}

/// Notes that this is to be deleted; `false` when that was asked for before. Under the meeting's
/// head.
pub async fn ask(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    what: Deletable,
    subject: Uuid,
    asked: &Asked,
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "insert into deletions (meeting_id, what, subject, tenant_id, author, reason, asked_at, ledger_n)
         values ($1, $2, $3, $4, $5, $6, date_trunc('milliseconds', $7::timestamptz), $8)
         on conflict (meeting_id, what, subject) do update set ledger_n = coalesce(deletions.ledger_n, excluded.ledger_n)
         returning xmax = 0",
    )
    .bind(meeting.0)
    .bind(what.as_str())
    .bind(subject)
    .bind(tenant.0)
    .bind(&asked.author)
    .bind(&asked.reason)
    .bind(asked.at)
    .bind(asked.ledger)
    .fetch_one(conn)
    .await?)
}

/// Whether somebody asked for that.
pub async fn is_asked(
    conn: &mut PgConnection,
    meeting: MeetingId,
    what: Deletable,
    subject: Uuid,
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select exists (select from deletions where meeting_id = $1 and what = $2 and subject = $3)",
    )
    .bind(meeting.0)
    .bind(what.as_str())
    .bind(subject)
    .fetch_one(conn)
    .await?)
}

/// Keeps what is known of a deletion in a meeting that has no row: nothing is left to delete.
pub async fn note_of_unknown(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    deletion: &Deletion,
    asked: &Asked,
) -> Result<()> {
    for recording in &deletion.recordings {
        ask(
            conn,
            tenant,
            meeting,
            Deletable::Recording,
            recording.id.0,
            asked,
        )
        .await?;
    }
    if deletion.what != Deletable::Recording {
        ask(conn, tenant, meeting, deletion.what, meeting.0, asked).await?;
    }
    sqlx::query(
        "update deletions set done_at = date_trunc('milliseconds', clock_timestamp())
         where meeting_id = $1 and done_at is null",
    )
    .bind(meeting.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whose sound was deleted of a meeting.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct DeletedSound {
    all: bool,
    recordings: BTreeSet<RecordingId>,
}

impl DeletedSound {
    pub fn has(&self, recording: RecordingId) -> bool {
        self.all || self.recordings.contains(&recording)
    }
}

/// What was asked to be deleted of a meeting, also of one that has no row: all of one that expired.
pub async fn gone(conn: &mut PgConnection, meeting: MeetingId) -> Result<DeletedSound> {
    let rows = sqlx::query(
        "select what, subject from deletions where meeting_id = $1 and what <> 'transcript'",
    )
    .bind(meeting.0)
    .fetch_all(&mut *conn)
    .await?;
    let expired = "select exists (select from meetings where id = $1 and expired)";
    let mut gone = DeletedSound {
        all: sqlx::query_scalar(expired)
            .bind(meeting.0)
            .fetch_one(conn)
            .await?,
        ..DeletedSound::default()
    };
    for row in &rows {
        if word::<Deletable>(row, "what")? == Deletable::Meeting {
            gone.all = true;
        } else {
            gone.recordings.insert(RecordingId(row.try_get("subject")?));
        }
    }
    Ok(gone)
}

/// A recording that is neither deleted nor about to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RemainingRecording {
    pub id: RecordingId,
    pub kind: RecordingKind,
    pub status: RecordingStatus,
    pub start_ms: i64,
}

/// The recordings that are neither deleted nor about to be.
pub async fn recordings(
    conn: &mut PgConnection,
    meeting: MeetingId,
) -> Result<Vec<RemainingRecording>> {
    let rows = sqlx::query(
        "select id, kind, status, start_ms from recordings
         where meeting_id = $1 and deleted_at is null and status <> 'deleting' order by id",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    let left = |row: &PgRow| -> sqlx::Result<RemainingRecording> {
        Ok(RemainingRecording {
            id: RecordingId(row.try_get("id")?),
            kind: word(row, "kind")?,
            status: word(row, "status")?,
            start_ms: row.try_get("start_ms")?,
        })
    };
    Ok(rows.iter().map(left).collect::<sqlx::Result<_>>()?)
}

/// These recordings are `deleting`. Their segments have no rows from here on; the inventory has
/// their objects.
pub async fn mark_recordings(
    conn: &mut PgConnection,
    meeting: MeetingId,
    ids: &[RecordingId],
) -> Result<()> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    // Whoever notes an object of one of them holds its row until that is committed.
    sqlx::query(
        "select from recordings where meeting_id = $1 and id = any($2) order by id for update",
    )
    .bind(meeting.0)
    .bind(&ids)
    .execute(&mut *conn)
    .await?;
    for statement in [
        "update recordings set status = 'deleting', progress = null, error = null
         where meeting_id = $1 and id = any($2) and deleted_at is null",
        "delete from recording_segments where meeting_id = $1 and recording_id = any($2)",
        "delete from recording_losses where meeting_id = $1 and recording_id = any($2)",
    ] {
        sqlx::query(statement)
            .bind(meeting.0)
            .bind(&ids)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// All of the meeting is to be deleted: it is over, if it never began, and nothing more of it is
/// stored.
pub async fn mark_meeting(conn: &mut PgConnection, meeting: MeetingId) -> Result<()> {
    for statement in [
        "select from meetings where id = $1 for update",
        "update meetings set deletion_asked_at = clock_timestamp(), status = 'ended', password_hash = null, expired = true,
             end_time = coalesce(end_time, date_trunc('milliseconds', clock_timestamp()))
         where id = $1",
    ] {
        sqlx::query(statement)
            .bind(meeting.0)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// The jobs that make something of the meeting lose their lease, if they run, and begin anew with
/// what is there then.
pub async fn stop_jobs(conn: &mut PgConnection, meeting: MeetingId) -> Result<()> {
    let kinds: Vec<&str> = JobKind::ALL
        .into_iter()
        .filter(|kind| gives_way(*kind))
        .map(JobKind::as_str)
        .collect();
    sqlx::query(
        "update jobs set state = 'queued', owner = null, lease_until = null, run_at = clock_timestamp(),
             attempts = greatest(attempts - 1, 0), payload = payload - 'again'
         where meeting_id = $1 and kind = any($2) and state = 'running'",
    )
    .bind(meeting.0)
    .bind(&kinds)
    .execute(conn)
    .await?;
    Ok(())
}

/// What is still to be deleted of a meeting.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Open {
    pub recordings: Vec<RecordingId>,
    pub transcript: bool,
    pub meeting: bool,
}

impl Open {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Deletions that were asked for and are not done.
pub async fn open(conn: &mut PgConnection, meeting: MeetingId) -> Result<Open> {
    let rows = sqlx::query(
        "select what, subject from deletions where meeting_id = $1 and done_at is null",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    let mut open = Open::default();
    for row in &rows {
        match word(row, "what")? {
            Deletable::Recording => open
                .recordings
                .push(RecordingId(row.try_get::<Uuid, _>("subject")?)),
            Deletable::Transcript => open.transcript = true,
            Deletable::Meeting => open.meeting = true,
        }
    }
    Ok(open)
}

/// Deletes every word that was said, in every version, and what is looked for. The transcript is as
/// complete as it ever gets once its job is through.
pub async fn erase_words(conn: &mut PgConnection, meeting: MeetingId) -> Result<()> {
    for statement in [
        // Earlier versions and translations go with them.
        "delete from transcript_segments where meeting_id = $1",
        "delete from transcript_gaps where meeting_id = $1",
        "update transcripts set language = null, refined = null where meeting_id = $1",
    ] {
        sqlx::query(statement)
            .bind(meeting.0)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Deletes the answers that are kept for repeated requests about these ids.
pub async fn erase_answers(conn: &mut PgConnection, tenant: TenantId, ids: &[Uuid]) -> Result<()> {
    let about: Vec<String> = ids.iter().map(|id| format!("%/{id}%")).collect();
    sqlx::query("delete from idempotency_keys where tenant_id = $1 and route like any($2)")
        .bind(tenant.0)
        .bind(about)
        .execute(conn)
        .await?;
    Ok(())
}

/// These deletions are done: no copy is left.
pub async fn finish_recordings(
    conn: &mut PgConnection,
    meeting: MeetingId,
    ids: &[RecordingId],
) -> Result<()> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    for statement in [
        "update recordings set deleted_at = clock_timestamp(), blob_url = null, gaps = '[]'
         where meeting_id = $1 and id = any($2)",
        "delete from recording_losses where meeting_id = $1 and recording_id = any($2)",
        "update deletions set done_at = date_trunc('milliseconds', clock_timestamp())
         where meeting_id = $1 and what = 'recording' and subject = any($2)",
    ] {
        sqlx::query(statement)
            .bind(meeting.0)
            .bind(&ids)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// The deletion of the transcript, or of the meeting, is done.
pub async fn finish(conn: &mut PgConnection, meeting: MeetingId, what: Deletable) -> Result<()> {
    sqlx::query(
        "update deletions set done_at = date_trunc('milliseconds', clock_timestamp())
         where meeting_id = $1 and what = $2 and subject = $1",
    )
    .bind(meeting.0)
    .bind(what.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes what is left of a meeting but its ConsentLog, the pseudonymous participants that it
/// names, and tombstones.
pub async fn erase_meeting(conn: &mut PgConnection, meeting: MeetingId) -> Result<()> {
    for statement in [
        "delete from meeting_events where meeting_id = $1",
        "delete from recording_states where meeting_id = $1",
        "delete from participant_visits where meeting_id = $1",
        "delete from streams where meeting_id = $1",
        "update participants set link_id = null where meeting_id = $1 and link_id is not null",
        "delete from links where meeting_id = $1",
        "update meetings set settings = settings - 'glossary' where id = $1",
    ] {
        sqlx::query(statement)
            .bind(meeting.0)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Deletions that are not done, and spools of machines that were not seen for a day.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Unfinished {
    pub open: i64,
    /// Those that were asked for more than a day ago.
    pub old: i64,
    pub spools: i64,
    /// That these spools may have sound of.
    pub meetings: i64,
}

/// Of all tenants, for operators.
pub async fn unfinished(conn: &mut PgConnection) -> Result<Unfinished> {
    let (open, old): (i64, i64) = sqlx::query_as(
        "select count(*), count(*) filter (where asked_at < clock_timestamp() - interval '1 day')
         from deletions where done_at is null",
    )
    .fetch_one(&mut *conn)
    .await?;
    let (spools, meetings): (i64, i64) = sqlx::query_as(
        "select count(distinct s.spool), count(distinct s.meeting_id) from spools s
         where s.noted_at < clock_timestamp() - interval '1 day' and s.destroyed_at is null
             and not exists (select from jobs where subject = s.meeting_id and kind = 'capture' and state = 'running')",
    )
    .fetch_one(conn)
    .await?;
    Ok(Unfinished {
        open,
        old,
        spools,
        meetings,
    })
}

/// What is left to know of something deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tombstone {
    pub what: Deletable,
    pub subject: Uuid,
    pub meeting: MeetingId,
    pub author: String,
    pub reason: Option<String>,
    pub asked_at: DateTime<Utc>,
    /// `None`: copies may be left.
    pub done_at: Option<DateTime<Utc>>,
    /// Machines that may still have sound of it.
    pub spools: i64,
    /// The files that went with it.
    pub recordings: Vec<DeletedFile>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedFile {
    pub id: Uuid,
    pub kind: Option<RecordingKind>,
    /// Of the file, if it was ever made.
    pub sha256: Option<String>,
}

/// The tombstone, also while it is being deleted. `None`: nobody asked for that.
pub async fn tombstone(
    conn: &mut PgConnection,
    meeting: MeetingId,
    what: Deletable,
    subject: Uuid,
) -> Result<Option<Tombstone>> {
    let row = sqlx::query(
        "select author, reason, asked_at, done_at,
             (select count(distinct spool) from spools
              where meeting_id = $1 and $2 <> 'transcript' and destroyed_at is null) as spools
         from deletions where meeting_id = $1 and what = $2 and subject = $3",
    )
    .bind(meeting.0)
    .bind(what.as_str())
    .bind(subject)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let files = sqlx::query(
        "select id, kind, sha256 from recordings
         where meeting_id = $1 and case $2 when 'recording' then id = $3 when 'meeting' then true else false end
         order by id",
    )
    .bind(meeting.0)
    .bind(what.as_str())
    .bind(subject)
    .fetch_all(conn)
    .await?;
    let file = |row: &PgRow| -> sqlx::Result<DeletedFile> {
        Ok(DeletedFile {
            id: row.try_get("id")?,
            kind: word_or_null(row, "kind")?,
            sha256: row.try_get("sha256")?,
        })
    };
    Ok(Some(Tombstone {
        what,
        subject,
        meeting,
        author: row.try_get("author")?,
        reason: row.try_get("reason")?,
        asked_at: row.try_get("asked_at")?,
        done_at: row.try_get("done_at")?,
        spools: row.try_get("spools")?,
        recordings: files.iter().map(file).collect::<sqlx::Result<_>>()?,
    }))
}

/// Whether a meeting's mix was deleted and none was asked for since: none is made then.
pub async fn is_mix_deleted(conn: &mut PgConnection, meeting: MeetingId) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select coalesce(bool_and(deleted_at is not null or status = 'deleting'), false)
         from recordings where meeting_id = $1 and kind = 'mix'",
    )
    .bind(meeting.0)
    .fetch_one(conn)
    .await?)
}
