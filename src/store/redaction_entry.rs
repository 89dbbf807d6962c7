//! What the ledger is told of redactions, and what rows take over from it that are older.

use super::{Result, deletion::Asked, redaction::Redaction};
use crate::domain::{
    id::{MeetingId, TenantId},
    ledger::{self, Act, Draft},
    wire_time::wire_time,
};
use sqlx::PgConnection;
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
