//! Participants: one user in one meeting, however often it joins. Presence is [`super::presence`]'s.

use super::{Result, StoreError, new_id};
use crate::domain::id::{MeetingId, ParticipantId, TenantId, UserId};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// A participant as lists show it, with what it last said about each use of its media.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Participant {
    pub id: Uuid,
    pub meeting_id: Uuid,
    pub user_id: Uuid,
    pub display_name: String,
    /// `host` or `participant`.
    pub role: String,
    /// When it first became present.
    pub joined_at: Option<DateTime<Utc>>,
    /// When it last ceased to be.
    pub left_at: Option<DateTime<Utc>>,
    pub present: bool,
    /// `request` or `required`.
    pub removed: Option<String>,
    /// Join and resume tokens minted before this are void.
    pub tokens_from: Option<DateTime<Utc>>,
    /// `accepted`, `declined`, `withdrawn`, or never asked.
    pub recording: Option<String>,
    pub transcription: Option<String>,
}

/// The user's participant in the meeting, made when there is none. The role is the one it was first given, except that
/// nobody loses `host`.
pub async fn ensure(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    user: UserId,
    role: &str,
) -> Result<Participant> {
    // The no-op update makes a row of a transaction still running be waited for and returned.
    let id: Uuid = sqlx::query_scalar(
        "insert into participants as p (meeting_id, id, tenant_id, user_id, role) values ($1, $2, $3, $4, $5)
         on conflict (meeting_id, user_id)
         do update set role = case when excluded.role = 'host' then 'host' else p.role end
         returning id",
    )
    .bind(meeting.0)
    .bind(new_id())
    .bind(tenant.0)
    .bind(user.0)
    .bind(role)
    .fetch_one(&mut *conn)
    .await?;
    get(conn, meeting, ParticipantId(id)).await?.ok_or(StoreError::NotFound)
}

pub async fn get(conn: &mut PgConnection, meeting: MeetingId, id: ParticipantId) -> Result<Option<Participant>> {
    Ok(sqlx::query_as(GET).bind(meeting.0).bind(id.0).fetch_optional(conn).await?)
}

pub async fn by_user(conn: &mut PgConnection, meeting: MeetingId, user: UserId) -> Result<Option<Participant>> {
    let id: Option<Uuid> = sqlx::query_scalar(BY_USER).bind(meeting.0).bind(user.0).fetch_optional(&mut *conn).await?;
    match id {
        Some(id) => get(conn, meeting, ParticipantId(id)).await,
        None => Ok(None),
    }
}

/// The meeting's participants behind `after`, in the order in which they were made.
pub async fn list(
    conn: &mut PgConnection,
    meeting: MeetingId,
    after: Option<ParticipantId>,
    limit: i64,
) -> Result<Vec<Participant>> {
    let after = after.map_or(Uuid::nil(), |id| id.0);
    Ok(sqlx::query_as(LIST).bind(meeting.0).bind(after).bind(limit).fetch_all(conn).await?)
}

pub(crate) const BY_USER: &str = "select id from participants where meeting_id = $1 and user_id = $2";

/// Participants as lists show them, by which.
macro_rules! listed {
    ($which:literal) => {
        concat!(
            "select p.id, p.meeting_id, p.user_id, u.display_name, p.role, p.joined_at, p.left_at,
                    p.present, p.removed, p.tokens_from, r.status as recording, t.status as transcription
             from participants p join users u on u.id = p.user_id
             left join lateral (select status from consent_log c where c.meeting_id = $1 and c.participant_id = p.id
                                and 'recording' = any(c.purposes) order by entry desc limit 1) r on true
             left join lateral (select status from consent_log c where c.meeting_id = $1 and c.participant_id = p.id
                                and 'transcription' = any(c.purposes) order by entry desc limit 1) t on true
             where p.meeting_id = $1 and ",
            $which
        )
    };
}

pub(crate) const GET: &str = listed!("p.id = $2");
pub(crate) const LIST: &str = listed!("p.id > $2 order by p.id limit $3");
