//! How far the rows are in each tenant's ledger, and what an entry says of rows.

use super::{Result, entry_row, word::word};
use crate::domain::{
    deletion::Deletable,
    id::{MeetingId, RecordingId, TenantId},
    ledger::{Act, Deletion, Draft, Head},
    recording::RecordingStatus,
    wire_time::wire_time,
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Locks the head until the transaction ends, so that nobody else writes an entry or carries one
/// out. After a meeting's head, never before it.
pub async fn lock(conn: &mut PgConnection, tenant: TenantId) -> Result<Head> {
    let genesis = Head::genesis(tenant);
    sqlx::query(
        "insert into ledger_heads (tenant_id, n, hash) values ($1, 0, $2) on conflict do nothing",
    )
    .bind(tenant.0)
    .bind(&genesis.hash)
    .execute(&mut *conn)
    .await?;
    let row = sqlx::query("select n, hash from ledger_heads where tenant_id = $1 for update")
        .bind(tenant.0)
        .fetch_one(conn)
        .await?;
    Ok(head(&row)?)
}

/// The locked head moves on.
pub async fn advance(conn: &mut PgConnection, tenant: TenantId, to: &Head) -> Result<()> {
    sqlx::query("update ledger_heads set n = $2, hash = $3 where tenant_id = $1")
        .bind(tenant.0)
        .bind(to.n)
        .bind(&to.hash)
        .execute(conn)
        .await?;
    Ok(())
}

/// The heads of all tenants that have a ledger, as the rows have them.
pub async fn heads(conn: &mut PgConnection) -> Result<BTreeMap<TenantId, Head>> {
    let rows = sqlx::query("select tenant_id, n, hash from ledger_heads where n > 0")
        .fetch_all(conn)
        .await?;
    let each = |row: &PgRow| -> sqlx::Result<(TenantId, Head)> {
        Ok((TenantId(row.try_get("tenant_id")?), head(row)?))
    };
    Ok(rows.iter().map(each).collect::<sqlx::Result<_>>()?)
}

fn head(row: &PgRow) -> sqlx::Result<Head> {
    Ok(Head {
        n: row.try_get("n")?,
        hash: row.try_get("hash")?,
    })
}

/// What goes with these recordings, as the entry says it.
pub async fn deletion(
    conn: &mut PgConnection,
    meeting: MeetingId,
    what: Deletable,
    recordings: &[RecordingId],
) -> Result<Deletion> {
    let ids: Vec<Uuid> = recordings.iter().map(|id| id.0).collect();
    let rows = sqlx::query(
        "select id, kind, participant_id, source, codec, media_type, start_ms, revision, sha256 from recordings
         where meeting_id = $1 and id = any($2) order by id",
    )
    .bind(meeting.0)
    .bind(&ids)
    .fetch_all(&mut *conn)
    .await?;
    let recordings = rows
        .iter()
        .map(entry_row::recording)
        .collect::<sqlx::Result<_>>()?;
    // All of a meeting, also what belongs to a recording that has no row any more.
    let rows = sqlx::query(
        "select key, recording_id, kind, sha256, version from objects
         where meeting_id = $1 and state <> 'deleted' and ($3 or recording_id = any($2)) order by key",
    )
    .bind(meeting.0)
    .bind(&ids)
    .bind(what == Deletable::Meeting)
    .fetch_all(conn)
    .await?;
    let objects = rows.iter().map(entry_row::object);
    Ok(Deletion {
        what,
        recordings,
        objects: objects.collect::<sqlx::Result<_>>()?,
    })
}

/// A deletion that was asked for while the ledger could not be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unwritten {
    author: String,
    reason: Option<String>,
    asked_at: DateTime<Utc>,
    /// What was asked for together.
    what: Vec<(Deletable, Uuid)>,
}

impl Unwritten {
    pub fn recordings(&self) -> Vec<RecordingId> {
        let ids = self.what.iter();
        ids.filter(|(what, _)| *what == Deletable::Recording)
            .map(|(_, id)| RecordingId(*id))
            .collect()
    }

    /// The most of it.
    pub fn what(&self) -> Deletable {
        let has = |what| self.what.iter().any(|(each, _)| *each == what);
        if has(Deletable::Meeting) {
            Deletable::Meeting
        } else if has(Deletable::Transcript) {
            Deletable::Transcript
        } else {
            Deletable::Recording
        }
    }

    pub fn draft(&self, tenant: TenantId, meeting: MeetingId, deletion: Deletion) -> Draft {
        Draft {
            tenant,
            meeting: Some(meeting),
            author: self.author.clone(),
            reason: self.reason.clone(),
            asked_at: wire_time(self.asked_at),
            act: Act::Deletion(deletion),
        }
    }
}

/// What was asked for of a meeting and the ledger does not have, oldest first.
pub async fn unwritten(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<Unwritten>> {
    let rows = sqlx::query(
        "select what, subject, author, reason, asked_at from deletions
         where meeting_id = $1 and ledger_n is null and done_at is null order by asked_at, author, reason",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    let mut all: Vec<Unwritten> = Vec::new();
    for row in &rows {
        let author: String = row.try_get("author")?;
        let reason: Option<String> = row.try_get("reason")?;
        let asked_at: DateTime<Utc> = row.try_get("asked_at")?;
        let what = (word(row, "what")?, row.try_get("subject")?);
        match all.last_mut() {
            Some(last)
                if (&last.author, &last.reason, last.asked_at) == (&author, &reason, asked_at) =>
            {
                last.what.push(what);
            }
            _ => all.push(Unwritten {
                author,
                reason,
                asked_at,
                what: vec![what],
            }),
        }
    }
    Ok(all)
}

/// The ledger has these now.
pub async fn written(
    conn: &mut PgConnection,
    meeting: MeetingId,
    asked: &Unwritten,
    n: i64,
) -> Result<()> {
    for (what, subject) in &asked.what {
        sqlx::query(
            "update deletions set ledger_n = $4 where meeting_id = $1 and what = $2 and subject = $3",
        )
        .bind(meeting.0)
        .bind(what.as_str())
        .bind(subject)
        .bind(n)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Meetings with redactions or holds that the ledger does not have; at most `limit`.
pub async fn unwritten_meetings(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<(TenantId, MeetingId)>> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "(select tenant_id, meeting_id from holds where ledger_n is null or (lifted_at is not null and lift_ledger_n is null)
          union
          select tenant_id, meeting_id from redactions where ledger_n is null and state not in ('asked', 'declined'))
         limit $1",
    )
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(tenant, meeting)| (TenantId(tenant), MeetingId(meeting)))
        .collect())
}

/// Brings rows that are older than the deletion to where it can be carried out on them: recordings
/// that have no row get one, so that nobody makes them anew, and objects come into the inventory.
/// Under the meeting's head.
pub async fn take_in(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    deletion: &Deletion,
) -> Result<()> {
    for recording in &deletion.recordings {
        let status = RecordingStatus::Deleting;
        entry_row::take_in_recording(conn, tenant, meeting, recording, status).await?;
    }
    entry_row::take_in_objects(conn, tenant, meeting, &deletion.objects).await
}
