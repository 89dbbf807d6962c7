//! Legal holds: while a meeting has one, nothing of it is deleted or taken out.

use super::{Result, deletion::Asked, new_id};
use crate::domain::{
    id::{MeetingId, TenantId},
    ledger::{self, Act, Draft},
    wire_time::wire_time,
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Hold {
    pub id: Uuid,
    /// `api_key:<id>`.
    pub author: String,
    pub reason: String,
    pub placed_at: DateTime<Utc>,
}

/// The hold on a meeting, if there is one. Whoever deletes or takes something out asks under the
/// meeting's head, as whoever places one does.
pub async fn current(conn: &mut PgConnection, meeting: MeetingId) -> Result<Option<Hold>> {
    Ok(sqlx::query_as(
        "select id, author, reason, placed_at from holds where meeting_id = $1 and lifted_at is null",
    )
    .bind(meeting.0)
    .fetch_optional(conn)
    .await?)
}

/// Places one on a meeting that has none.
pub async fn place(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    author: &str,
    reason: &str,
) -> Result<Hold> {
    Ok(sqlx::query_as(
        "insert into holds (id, meeting_id, tenant_id, author, reason) values ($1, $2, $3, $4, $5)
         returning id, author, reason, placed_at",
    )
    .bind(new_id())
    .bind(meeting.0)
    .bind(tenant.0)
    .bind(author)
    .bind(reason)
    .fetch_one(conn)
    .await?)
}

/// Lifts the one that there is.
pub async fn lift(
    conn: &mut PgConnection,
    meeting: MeetingId,
    author: &str,
    reason: Option<&str>,
) -> Result<()> {
    sqlx::query(
        "update holds set lifted_at = clock_timestamp(), lifted_by = $2, lift_reason = $3
         where meeting_id = $1 and lifted_at is null",
    )
    .bind(meeting.0)
    .bind(author)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(())
}

/// What became of a hold and the ledger does not have.
#[derive(Clone, PartialEq, Debug)]
pub struct Unwritten {
    id: Uuid,
    lifted: bool,
    author: String,
    reason: Option<String>,
    at: DateTime<Utc>,
}

impl Unwritten {
    pub fn draft(&self, tenant: TenantId, meeting: MeetingId) -> Draft {
        let hold = ledger::Hold { id: self.id };
        Draft {
            tenant,
            meeting: Some(meeting),
            author: self.author.clone(),
            reason: self.reason.clone(),
            asked_at: wire_time(self.at),
            act: if self.lifted {
                Act::Lift(hold)
            } else {
                Act::Hold(hold)
            },
        }
    }
}

/// What was placed on a meeting and lifted and the ledger does not have, in this order.
pub async fn unwritten(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<Unwritten>> {
    type Row = (Uuid, bool, String, Option<String>, DateTime<Utc>);
    let rows: Vec<Row> = sqlx::query_as(
        "select id, false, author, reason, placed_at as at from holds where meeting_id = $1 and ledger_n is null
         union all
         select id, true, coalesce(lifted_by, author), lift_reason, lifted_at from holds
         where meeting_id = $1 and lifted_at is not null and lift_ledger_n is null
         order by 5, 2 desc",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, lifted, author, reason, at)| Unwritten {
            id,
            lifted,
            author,
            reason,
            at,
        })
        .collect())
}

/// The ledger has this now.
pub async fn written(conn: &mut PgConnection, what: &Unwritten, n: i64) -> Result<()> {
    let statement = if what.lifted {
        "update holds set lift_ledger_n = $2 where id = $1"
    } else {
        "update holds set ledger_n = $2 where id = $1"
    };
    sqlx::query(statement)
        .bind(what.id)
        .bind(n)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes in one that the ledger has. Where these rows have another one, that is lifted: it was.
pub async fn take_in(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    hold: &ledger::Hold,
    asked: &Asked,
) -> Result<()> {
    sqlx::query(
        "update holds set lifted_at = $3, lifted_by = $4, lift_reason = 'replaced'
         where meeting_id = $2 and id <> $1 and lifted_at is null and not exists (select from holds where id = $1)",
    )
    .bind(hold.id)
    .bind(meeting.0)
    .bind(asked.at)
    .bind(&asked.author)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "insert into holds (id, meeting_id, tenant_id, author, reason, placed_at, ledger_n)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (id) do update set ledger_n = coalesce(holds.ledger_n, excluded.ledger_n)",
    )
    .bind(hold.id)
    .bind(meeting.0)
    .bind(tenant.0)
    .bind(&asked.author)
    .bind(asked.reason.as_deref().unwrap_or_default())
    .bind(asked.at)
    .bind(asked.ledger)
    .execute(conn)
    .await?;
    Ok(())
}

/// It was lifted, as the ledger says.
pub async fn take_in_lift(
    conn: &mut PgConnection,
    meeting: MeetingId,
    hold: &ledger::Hold,
    asked: &Asked,
) -> Result<()> {
    sqlx::query(
        "update holds set lifted_at = coalesce(lifted_at, $3), lifted_by = coalesce(lifted_by, $4),
             lift_reason = coalesce(lift_reason, $5), lift_ledger_n = coalesce(lift_ledger_n, $6)
         where meeting_id = $2 and id = $1",
    )
    .bind(hold.id)
    .bind(meeting.0)
    .bind(asked.at)
    .bind(&asked.author)
    .bind(&asked.reason)
    .bind(asked.ledger)
    .execute(conn)
    .await?;
    Ok(())
}
