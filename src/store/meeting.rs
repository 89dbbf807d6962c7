//! Meetings, their heads, and the count of wrong passwords.

use super::{Result, event, new_id};
use crate::domain::{
    admission::Terms,
    consent::genesis,
    id::{MeetingId, TenantId, UserId},
    meeting::MeetingStatus,
    retention::Retention,
    settings::MeetingSettings,
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Meeting {
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub host_id: Uuid,
    #[sqlx(try_from = "String")]
    pub status: MeetingStatus,
    pub scheduled_time: Option<DateTime<Utc>>,
    pub start_time: Option<DateTime<Utc>>,
    pub end_time: Option<DateTime<Utc>>,
    pub settings: Json<MeetingSettings>,
    pub password_hash: Option<String>,
    pub created_at: DateTime<Utc>,
    pub list_time: DateTime<Utc>,
}

impl Meeting {
    pub fn id(&self) -> MeetingId {
        MeetingId(self.id)
    }

    pub fn tenant(&self) -> TenantId {
        TenantId(self.tenant_id)
    }

    pub fn ended(&self) -> bool {
        self.status == MeetingStatus::Ended
    }

    /// What it asks of those who come.
    pub fn terms(&self) -> Terms {
        Terms {
            ended: self.ended(),
            policy: self.settings.consent_policy,
            uses: self.settings.uses(),
        }
    }

    pub fn hosted_by(&self, user: UserId) -> bool {
        self.host_id == user.0
    }
}

/// What a new meeting is made of.
#[derive(Clone, Debug)]
pub struct NewMeeting {
    pub tenant: TenantId,
    pub host: UserId,
    pub scheduled_time: Option<DateTime<Utc>>,
    pub settings: MeetingSettings,
    /// A PHC string.
    pub password_hash: Option<String>,
}

/// Makes a meeting and its head.
pub async fn insert(conn: &mut PgConnection, new: &NewMeeting) -> Result<Meeting> {
    let id = MeetingId(new_id());
    let meeting: Meeting = sqlx::query_as(
        "insert into meetings (id, tenant_id, host_id, scheduled_time, settings, password_hash)
         values ($1, $2, $3, $4, $5, $6)
         returning id, tenant_id, host_id, status, scheduled_time, start_time, end_time, settings, password_hash,
                   created_at, list_time",
    )
    .bind(id.0)
    .bind(new.tenant.0)
    .bind(new.host.0)
    .bind(new.scheduled_time)
    .bind(Json(&new.settings))
    .bind(&new.password_hash)
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query(
        "insert into meeting_heads (meeting_id, tenant_id, consent_hash) values ($1, $2, $3)",
    )
    .bind(id.0)
    .bind(new.tenant.0)
    .bind(genesis(id))
    .execute(conn)
    .await?;
    Ok(meeting)
}

/// The meeting, named with its tenant: requests ask so, whatever else keeps tenants apart.
pub async fn of(
    conn: &mut PgConnection,
    tenant: TenantId,
    id: MeetingId,
) -> Result<Option<Meeting>> {
    Ok(sqlx::query_as(
        "select id, tenant_id, host_id, status, scheduled_time, start_time, end_time, settings, password_hash,
                created_at, list_time
         from meetings where id = $1 and tenant_id = $2",
    )
    .bind(id.0)
    .bind(tenant.0)
    .fetch_optional(conn)
    .await?)
}

/// The meeting, when this transaction may see it.
pub async fn get(conn: &mut PgConnection, id: MeetingId) -> Result<Option<Meeting>> {
    Ok(sqlx::query_as(
        "select id, tenant_id, host_id, status, scheduled_time, start_time, end_time, settings, password_hash,
                created_at, list_time
         from meetings where id = $1",
    )
    .bind(id.0)
    .fetch_optional(conn)
    .await?)
}

/// Which meetings to list.
#[derive(Clone, Default, Debug)]
pub struct Filter {
    pub host: Option<UserId>,
    /// Only meetings whose list time is at or after this.
    pub from: Option<DateTime<Utc>>,
    /// Only meetings whose list time is before this.
    pub to: Option<DateTime<Utc>>,
    /// Only meetings behind this one in the list.
    pub after: Option<(DateTime<Utc>, Uuid)>,
    pub limit: i64,
}

/// The tenant's meetings, newest first by start, else scheduled, else created time.
pub async fn list(
    conn: &mut PgConnection,
    tenant: TenantId,
    filter: &Filter,
) -> Result<Vec<Meeting>> {
    // Two statements, so that each has the index of its own order and never a scan behind an `or`.
    let after = filter
        .after
        .unwrap_or((DateTime::<Utc>::MAX_UTC, Uuid::max()));
    let after_time = after.0.min(far_future());
    let query = sqlx::query_as(if filter.host.is_some() {
        LIST_OF_HOST
    } else {
        LIST_OF_TENANT
    })
    .bind(tenant.0)
    .bind(after_time)
    .bind(after.1)
    .bind(filter.from)
    .bind(filter.to)
    .bind(filter.limit);
    let query = match filter.host {
        Some(host) => query.bind(host.0),
        None => query,
    };
    Ok(query.fetch_all(conn).await?)
}

/// Later than any meeting, and within Postgres's range.
fn far_future() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_799, 0).expect("the last second of the year 9999 exists")
}

/// Ordered by an index, whatever the filter.
pub const LIST_OF_HOST: &str =
    "select id, tenant_id, host_id, status, scheduled_time, start_time, end_time, settings, password_hash, created_at,
            list_time
     from meetings
     where tenant_id = $1 and host_id = $7 and (list_time, id) < ($2, $3) and deletion_asked_at is null
       and ($4::timestamptz is null or list_time >= $4) and ($5::timestamptz is null or list_time < $5)
     order by list_time desc, id desc limit $6";

/// Ordered by an index, whatever the filter.
pub const LIST_OF_TENANT: &str =
    "select id, tenant_id, host_id, status, scheduled_time, start_time, end_time, settings, password_hash, created_at,
            list_time
     from meetings
     where tenant_id = $1 and (list_time, id) < ($2, $3) and deletion_asked_at is null
       and ($4::timestamptz is null or list_time >= $4) and ($5::timestamptz is null or list_time < $5)
     order by list_time desc, id desc limit $6";

/// Ends the meeting and bumps the roster, so that its worker reads it again. `None` when it had
/// ended before; nothing is changed then.
pub async fn end(conn: &mut PgConnection, id: MeetingId) -> Result<Option<Meeting>> {
    event::lock(conn, id).await?;
    let ended: Option<Meeting> = sqlx::query_as(
        "update meetings set status = 'ended', end_time = date_trunc('milliseconds', clock_timestamp())
         where id = $1 and status <> 'ended'
         returning id, tenant_id, host_id, status, scheduled_time, start_time, end_time, settings, password_hash,
                   created_at, list_time",
    )
    .bind(id.0)
    .fetch_optional(&mut *conn)
    .await?;
    if ended.is_some() {
        bump_roster(conn, id).await?;
    }
    Ok(ended)
}

/// How long what was recorded of it is kept (`None`: as its tenant says). Its files are looked at
/// anew. Under the meeting's head.
pub async fn set_retention(
    conn: &mut PgConnection,
    id: MeetingId,
    retention: Option<Retention>,
) -> Result<()> {
    sqlx::query(
        "update meetings set settings = jsonb_set(settings, '{retentionDays}', $2),
             tier_due_at = case when status = 'ended' then least(tier_due_at, clock_timestamp()) else tier_due_at end
         where id = $1",
    )
    .bind(id.0)
    .bind(Json(retention))
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts a change of who is present, of the streams asked for, or of the meeting's status. The
/// worker polls the count.
pub async fn bump_roster(conn: &mut PgConnection, id: MeetingId) -> Result<()> {
    sqlx::query("update meeting_heads set roster = roster + 1 where meeting_id = $1")
        .bind(id.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Wrong passwords that this credential gave within a minute of its first, and the seconds until
/// that minute ends.
pub async fn password_tries(
    conn: &mut PgConnection,
    id: MeetingId,
    credential: &str,
) -> Result<(i32, i64)> {
    let row: Option<(i32, i64)> = sqlx::query_as(
        "select tries, greatest(1, ceil(extract(epoch from since + interval '1 minute' - clock_timestamp())))::bigint
         from password_tries
         where meeting_id = $1 and credential = $2 and since > clock_timestamp() - interval '1 minute'",
    )
    .bind(id.0)
    .bind(credential)
    .fetch_optional(conn)
    .await?;
    Ok(row.unwrap_or((0, 0)))
}

/// Counts a wrong password; a minute after the first the count starts anew.
pub async fn count_wrong_password(
    conn: &mut PgConnection,
    tenant: TenantId,
    id: MeetingId,
    credential: &str,
) -> Result<()> {
    sqlx::query(
        "insert into password_tries as t (meeting_id, credential, tenant_id, since, tries)
         values ($1, $2, $3, clock_timestamp(), 1)
         on conflict (meeting_id, credential) do update set
             tries = case when t.since > clock_timestamp() - interval '1 minute' then t.tries + 1 else 1 end,
             since = case when t.since > clock_timestamp() - interval '1 minute' then t.since
                          else clock_timestamp() end",
    )
    .bind(id.0)
    .bind(credential)
    .bind(tenant.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether anybody was ever to capture the meeting.
pub async fn has_capture(conn: &mut PgConnection, id: MeetingId) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select exists (select from jobs where meeting_id = $1 and subject = $1 and kind = 'capture')",
    )
    .bind(id.0)
    .fetch_one(conn)
    .await?)
}
