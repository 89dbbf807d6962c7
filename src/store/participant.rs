//! Participants: one user in one meeting, however often it joins. Presence is
//! [`super::presence`]'s.

use super::{
    Result, StoreError, new_id,
    word::{word, word_or_null},
};
use crate::domain::{
    admission::ParticipantRecord,
    id::{MeetingId, ParticipantId, TenantId, UserId},
    participant::{Answers, AnswersSince, Removal, Role},
};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

/// A participant as lists show it, with what it last said about each use of its media.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Participant {
    pub id: Uuid,
    pub meeting_id: Uuid,
    pub user_id: Uuid,
    pub display_name: String,
    pub role: Role,
    /// When it first became present.
    pub joined_at: Option<DateTime<Utc>>,
    /// When it last ceased to be.
    pub left_at: Option<DateTime<Utc>>,
    pub present: bool,
    pub removed: Option<Removal>,
    /// Join and resume tokens minted before this are void: its last removal, or its erasure.
    pub tokens_from: Option<DateTime<Utc>>,
    pub consent: Answers,
    pub consent_since: AnswersSince,
}

impl FromRow<'_, PgRow> for Participant {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            meeting_id: row.try_get("meeting_id")?,
            user_id: row.try_get("user_id")?,
            display_name: row.try_get("display_name")?,
            role: word(row, "role")?,
            joined_at: row.try_get("joined_at")?,
            left_at: row.try_get("left_at")?,
            present: row.try_get("present")?,
            removed: word_or_null(row, "removed")?,
            tokens_from: row.try_get("tokens_from")?,
            consent: answers(row)?,
            consent_since: answers_since(row)?,
        })
    }
}

/// What a participant's row says of its consent.
pub(super) fn answers(row: &PgRow) -> sqlx::Result<Answers> {
    Ok(Answers {
        recording: word_or_null(row, "recording")?,
        transcription: word_or_null(row, "transcription")?,
    })
}

/// What a participant's row says of since when its consent is so.
pub(super) fn answers_since(row: &PgRow) -> sqlx::Result<AnswersSince> {
    Ok(AnswersSince {
        recording: row.try_get("recording_since")?,
        transcription: row.try_get("transcription_since")?,
    })
}

impl Participant {
    /// The facts that decide whether it may come in.
    pub fn record(&self) -> ParticipantRecord {
        ParticipantRecord {
            present: self.present,
            removed: self.removed,
            tokens_from: self.tokens_from,
            consent: self.consent,
        }
    }
}

/// The user's participant in the meeting, made when there is none. The role is the one it was first
/// given, except that nobody loses `host`.
pub async fn ensure(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    user: UserId,
    role: Role,
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
    .bind(role.as_str())
    .fetch_one(&mut *conn)
    .await?;
    get(conn, meeting, ParticipantId(id))
        .await?
        .ok_or(StoreError::NotFound)
}

/// A guest who comes by a link: a user of its own, and a participant that keeps the link.
pub async fn guest(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    user: UserId,
    role: Role,
    link: Uuid,
) -> Result<Participant> {
    let made = ensure(conn, tenant, meeting, user, role).await?;
    sqlx::query("update participants set link_id = $3 where meeting_id = $1 and id = $2")
        .bind(meeting.0)
        .bind(made.id)
        .bind(link)
        .execute(conn)
        .await?;
    Ok(made)
}

/// Whether somebody who came by this link was removed by request: nobody new comes by it then.
pub async fn is_link_closed(
    conn: &mut PgConnection,
    meeting: MeetingId,
    link: Uuid,
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select exists (select from participants where meeting_id = $1 and link_id = $2 and removed = 'request')",
    )
    .bind(meeting.0)
    .bind(link)
    .fetch_one(conn)
    .await?)
}

/// Whether it came by a link.
pub async fn is_guest(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: ParticipantId,
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select exists (select from participants where meeting_id = $1 and id = $2 and link_id is not null)",
    )
    .bind(meeting.0)
    .bind(id.0)
    .fetch_one(conn)
    .await?)
}

pub async fn get(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: ParticipantId,
) -> Result<Option<Participant>> {
    Ok(sqlx::query_as(GET)
        .bind(meeting.0)
        .bind(id.0)
        .fetch_optional(conn)
        .await?)
}

pub async fn by_user(
    conn: &mut PgConnection,
    meeting: MeetingId,
    user: UserId,
) -> Result<Option<Participant>> {
    let id: Option<Uuid> = sqlx::query_scalar(BY_USER)
        .bind(meeting.0)
        .bind(user.0)
        .fetch_optional(&mut *conn)
        .await?;
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
    Ok(sqlx::query_as(LIST)
        .bind(meeting.0)
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
        .await?)
}

pub(crate) const BY_USER: &str =
    "select id from participants where meeting_id = $1 and user_id = $2";

/// Participants as lists show them, by which.
macro_rules! listed {
    ($which:literal) => {
        concat!(
            "select p.id, p.meeting_id, p.user_id, u.display_name, p.role, p.joined_at, p.left_at,
                    p.present, p.removed, greatest(p.tokens_from, u.erased_at) as tokens_from,
                    p.recording, p.transcription, p.recording_since, p.transcription_since
             from participants p join users u on u.id = p.user_id where p.meeting_id = $1 and ",
            $which
        )
    };
}

pub(crate) const GET: &str = listed!("p.id = $2");
pub(crate) const LIST: &str = listed!("p.id > $2 order by p.id limit $3");
