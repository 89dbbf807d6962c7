//! Erasing people: who is to be forgotten, and how far that is. What was recorded of them goes by
//! redactions of their meetings ([`super::redaction`]); the name goes last.

use super::{Result, deletion::Asked, new_id};
use crate::domain::{
    id::{MeetingId, ParticipantId, TenantId, UserId},
    ledger::{self, Act, Draft},
    participant::Role,
    redaction::{ErasureState, RedactionState, erasure_state},
    wire_time::wire_time,
};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, types::Text};
use uuid::Uuid;

#[derive(Clone, PartialEq, Eq, Debug, FromRow)]
pub struct Erasure {
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub user_id: Uuid,
    pub reason: String,
    /// `api_key:<id>`.
    pub author: String,
    pub asked_at: DateTime<Utc>,
    /// Statements about consent whose text is in the chain of the ConsentLog, and stays.
    pub statements_kept: i32,
    pub completed_at: Option<DateTime<Utc>>,
    /// Its entry in the ledger; `None`: it is still to be written.
    pub ledger_n: Option<i64>,
}

impl Erasure {
    /// As the ledger has it.
    pub fn draft(&self) -> Draft {
        Draft {
            tenant: TenantId(self.tenant_id),
            meeting: None,
            author: self.author.clone(),
            reason: Some(self.reason.clone()),
            asked_at: wire_time(self.asked_at),
            act: Act::Erasure(ledger::Erasure {
                id: self.id,
                user: UserId(self.user_id),
            }),
        }
    }
}

/// Notes that a user is to be erased, and voids its sessions; once more changes nothing.
pub async fn ask(
    conn: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    reason: &str,
    author: &str,
) -> Result<Erasure> {
    void(conn, tenant, user).await?;
    Ok(sqlx::query_as(
        "insert into erasures (id, tenant_id, user_id, reason, author) values ($1, $2, $3, $4, $5)
         on conflict (user_id) do update set user_id = excluded.user_id returning *",
    )
    .bind(new_id())
    .bind(tenant.0)
    .bind(user.0)
    .bind(reason)
    .bind(author)
    .fetch_one(conn)
    .await?)
}

/// Takes in one that the ledger has; `false`: these rows know no such user.
pub async fn take_in(
    conn: &mut PgConnection,
    tenant: TenantId,
    erasure: &ledger::Erasure,
    asked: &Asked,
) -> Result<bool> {
    void(conn, tenant, erasure.user).await?;
    let taken = sqlx::query(
        "insert into erasures (id, tenant_id, user_id, reason, author, asked_at, ledger_n)
         select $1, $2, $3, $4, $5, $6, $7 where exists (select from users where id = $3 and tenant_id = $2)
         on conflict (user_id) do update set ledger_n = coalesce(erasures.ledger_n, excluded.ledger_n)",
    )
    .bind(erasure.id)
    .bind(tenant.0)
    .bind(erasure.user.0)
    .bind(asked.reason.as_deref().unwrap_or_default())
    .bind(&asked.author)
    .bind(asked.at)
    .bind(asked.ledger)
    .execute(conn)
    .await?;
    Ok(taken.rows_affected() > 0)
}

/// The ledger has it now.
pub async fn written(conn: &mut PgConnection, erasure: &Erasure, n: i64) -> Result<()> {
    sqlx::query("update erasures set ledger_n = $2 where id = $1")
        .bind(erasure.id)
        .bind(n)
        .execute(conn)
        .await?;
    Ok(())
}

async fn void(conn: &mut PgConnection, tenant: TenantId, user: UserId) -> Result<()> {
    for statement in [
        "update users set erased_at = coalesce(erased_at, clock_timestamp()) where id = $1 and tenant_id = $2",
        "delete from session_codes where user_id = $1 and tenant_id = $2",
    ] {
        sqlx::query(statement)
            .bind(user.0)
            .bind(tenant.0)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// The erasure of a user, if anybody asked for it.
pub async fn of(
    conn: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
) -> Result<Option<Erasure>> {
    Ok(
        sqlx::query_as("select * from erasures where user_id = $1 and tenant_id = $2")
            .bind(user.0)
            .bind(tenant.0)
            .fetch_optional(conn)
            .await?,
    )
}

/// Whether a user is erased, or about to be: none of its credentials counts any more.
pub async fn is_erased(conn: &mut PgConnection, tenant: TenantId, user: UserId) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select exists (select from users where id = $1 and tenant_id = $2 and erased_at is not null)",
    )
    .bind(user.0)
    .bind(tenant.0)
    .fetch_one(conn)
    .await?)
}

/// The same of the user behind a participant.
pub async fn is_of(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select exists (select from participants p join users u on u.id = p.user_id
             where p.meeting_id = $1 and p.id = $2 and u.erased_at is not null)",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .fetch_one(conn)
    .await?)
}

/// One meeting of somebody who is erased.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    pub meeting: MeetingId,
    pub participant: ParticipantId,
    /// `None`: it was not asked for yet.
    pub redaction: Option<(Uuid, RedactionState)>,
    /// By a legal hold.
    pub held: bool,
}

impl Part {
    pub fn state(&self) -> ErasureState {
        erasure_state(self.redaction.map(|(_, state)| state), self.held)
    }
}

/// All meetings of the user, oldest first.
pub async fn parts(conn: &mut PgConnection, erasure: &Erasure) -> Result<Vec<Part>> {
    type Row = (Uuid, Uuid, Option<Uuid>, Option<Text<RedactionState>>, bool);
    let rows: Vec<Row> = sqlx::query_as(
        "select p.meeting_id, p.id, r.id, r.state,
             exists (select from holds h where h.meeting_id = p.meeting_id and h.lifted_at is null)
         from participants p
         left join redactions r on r.meeting_id = p.meeting_id and r.participant_id = p.id and r.erasure_id = $2
         where p.user_id = $1 order by p.meeting_id",
    )
    .bind(erasure.user_id)
    .bind(erasure.id)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(meeting, participant, redaction, state, held)| Part {
            meeting: MeetingId(meeting),
            participant: ParticipantId(participant),
            redaction: redaction.zip(state.map(|state| state.0)),
            held,
        })
        .collect())
}

/// A meeting that a user is a participant of.
#[derive(Clone, Debug, FromRow)]
pub struct Attended {
    pub meeting_id: Uuid,
    pub participant_id: Uuid,
    pub role: Text<Role>,
    pub joined_at: Option<DateTime<Utc>>,
    pub left_at: Option<DateTime<Utc>>,
    pub start_time: Option<DateTime<Utc>>,
}

/// At most `limit` meetings of the user behind `after`, oldest first.
pub async fn attended(
    conn: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Attended>> {
    Ok(sqlx::query_as(
        "select p.meeting_id, p.id as participant_id, p.role, p.joined_at, p.left_at, m.start_time
         from participants p join meetings m on m.id = p.meeting_id
         where p.user_id = $1 and p.tenant_id = $4 and ($2::uuid is null or p.meeting_id > $2) order by p.meeting_id limit $3",
    )
    .bind(user.0)
    .bind(after)
    .bind(limit)
    .bind(tenant.0)
    .fetch_all(conn)
    .await?)
}

/// The name by which an erased user goes from now on.
pub fn pseudonym(user: UserId) -> String {
    let id = user.0.simple().to_string();
    format!("Erased {}", &id[id.len() - 8..])
}

/// Takes the person's name, address and words out of what is left of it: profile, statements, the
/// events of its meetings, kept answers.
pub async fn forget(conn: &mut PgConnection, erasure: &Erasure) -> Result<()> {
    let (user, name) = (erasure.user_id, pseudonym(UserId(erasure.user_id)));
    sqlx::query(
        "update users set email = null, display_name = $2 where id = $1 and tenant_id = $3",
    )
    .bind(user)
    .bind(&name)
    .bind(erasure.tenant_id)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "update meeting_events e set data = jsonb_set(e.data, '{displayName}', to_jsonb($2::text))
         from participants p
         where p.user_id = $1 and e.meeting_id = p.meeting_id and e.data ->> 'userId' = $1::text and e.data ? 'displayName'",
    )
    .bind(user)
    .bind(&name)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "delete from consent_statements s using consent_log c, participants p
         where p.user_id = $1 and c.meeting_id = p.meeting_id and c.participant_id = p.id
             and s.meeting_id = c.meeting_id and s.entry = c.entry",
    )
    .bind(user)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "delete from idempotency_keys k where k.tenant_id = $2 and (k.response::text like '%' || $1::text || '%'
             or k.route like '%' || $1::text || '%'
             or exists (select from participants p where p.user_id = $1
                        and (k.response::text like '%' || p.id::text || '%' or k.route like '%' || p.id::text || '%')))",
    )
    .bind(user)
    .bind(erasure.tenant_id)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "update erasures set completed_at = date_trunc('milliseconds', clock_timestamp()),
             statements_kept = (select count(*) from consent_log c join participants p
                 on p.meeting_id = c.meeting_id and p.id = c.participant_id
                 where p.user_id = $2 and c.statement is not null)
         where id = $1",
    )
    .bind(erasure.id)
    .bind(user)
    .execute(conn)
    .await?;
    Ok(())
}
