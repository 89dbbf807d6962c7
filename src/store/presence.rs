//! Who is in a meeting, all written under the head's lock.
//!
//! A participant is present from `join_room` (or the answer to its first stream) until it leaves,
//! is removed, or was away for 30 s; the worker decides the last. Everything here may run twice.

use super::{
    Result, StoreError,
    event::{self, StoredEvent},
    meeting::Meeting,
    participant::{answers, answers_since},
    word::{word, word_or_null},
};
use crate::domain::{
    event::Event,
    id::{MeetingId, ParticipantId, StreamId, UserId},
    participant::{Address, Person, Removal, StreamSeen},
    stream::{CloseReason, MediaReason, StreamState},
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use std::collections::HashMap;
use uuid::Uuid;

/// The most streams of one participant that its events show, newest first.
const STREAMS_SHOWN: i64 = 16;

/// All participants, those who joined first in that order.
pub async fn people(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<Person>> {
    read(conn, meeting, None).await
}

/// One participant.
///
/// # Errors
/// [`StoreError::NotFound`] when it is not of this meeting.
pub async fn person(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<Person> {
    read(conn, meeting, Some(participant))
        .await?
        .pop()
        .ok_or(StoreError::NotFound)
}

async fn read(
    conn: &mut PgConnection,
    meeting: MeetingId,
    only: Option<ParticipantId>,
) -> Result<Vec<Person>> {
    let only = only.map(|participant| participant.0);
    let rows = sqlx::query(PEOPLE)
        .bind(meeting.0)
        .bind(only)
        .fetch_all(&mut *conn)
        .await?;
    let mut streams: HashMap<Uuid, Vec<StreamSeen>> = HashMap::new();
    let seen = sqlx::query(STREAMS)
        .bind(meeting.0)
        .bind(only)
        .bind(STREAMS_SHOWN)
        .fetch_all(conn)
        .await?;
    for row in seen {
        let participant: Uuid = row.try_get("participant_id")?;
        streams
            .entry(participant)
            .or_default()
            .push(stream_seen(&row)?);
    }
    let person = |row: &PgRow| -> sqlx::Result<Person> {
        let id: Uuid = row.try_get("id")?;
        Ok(Person {
            id: ParticipantId(id),
            user: UserId(row.try_get("user_id")?),
            display_name: row.try_get("display_name")?,
            role: word(row, "role")?,
            joined_at: row.try_get("joined_at")?,
            left_at: row.try_get("left_at")?,
            present: row.try_get("present")?,
            removed: word_or_null(row, "removed")?,
            tokens_from: row.try_get("tokens_from")?,
            consent: answers(row)?,
            consent_since: answers_since(row)?,
            streams: streams.remove(&id).unwrap_or_default(),
        })
    };
    Ok(rows.iter().map(person).collect::<sqlx::Result<_>>()?)
}

fn stream_seen(row: &PgRow) -> sqlx::Result<StreamSeen> {
    let state = word(row, "state")?;
    let open = state == StreamState::Open;
    let (ip, port): (Option<String>, Option<i32>) = (row.try_get("ip")?, row.try_get("port")?);
    let media = word(row, "media")?;
    let media_reason: Option<MediaReason> = word_or_null(row, "media_reason")?;
    Ok(StreamSeen {
        stream_id: StreamId(row.try_get("id")?),
        kind: word(row, "kind")?,
        source: word(row, "source")?,
        reason: word_or_null(row, "reason")?,
        media: open.then_some(media),
        media_reason: media_reason.filter(|_| open),
        muted: row.try_get("is_muted")?,
        address: ip
            .zip(port)
            .filter(|_| open)
            .map(|(ip, port)| Address { ip, port }),
        state,
    })
}

/// One partition, by the meeting.
pub const PEOPLE: &str = "select p.id, p.user_id, u.display_name, p.role, p.joined_at, p.left_at, p.present, p.removed, \
    greatest(p.tokens_from, u.erased_at) as tokens_from, p.recording, p.transcription, \
    p.recording_since, p.transcription_since from participants p join users u on u.id = p.user_id \
    where p.meeting_id = $1 and ($2::uuid is null or p.id = $2) order by p.joined_at nulls last, p.id";

/// One partition, by the meeting.
pub const STREAMS: &str = "select participant_id, id, kind, source, state, reason, ip, port, media, media_reason, is_muted from ( \
    select *, row_number() over (partition by participant_id order by created_at desc, id desc) as newest from streams \
    where meeting_id = $1 and ($2::uuid is null or participant_id = $2) and state <> 'asked' \
    ) s where newest <= $3 order by created_at, id";

/// The participant becomes present, from now on: a new visit. The first of a meeting starts it.
pub async fn came(conn: &mut PgConnection, of: &Meeting, participant: ParticipantId) -> Result<()> {
    let meeting = of.id();
    // One instant for the start of the meeting and of this visit, in milliseconds, as it is told.
    let now: DateTime<Utc> =
        sqlx::query_scalar("select date_trunc('milliseconds', clock_timestamp())")
            .fetch_one(&mut *conn)
            .await?;
    sqlx::query(
        "update meetings set start_time = coalesce(start_time, $2), status = 'live' where id = $1 and status = 'scheduled'",
    )
    .bind(meeting.0)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "update participants set present = true, joined_at = coalesce(joined_at, $3), removed = null
         where meeting_id = $1 and id = $2",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "insert into participant_visits (meeting_id, participant_id, n, tenant_id, joined_at)
         select $1, $2, coalesce(max(n), 0) + 1, $3, $4 from participant_visits
         where meeting_id = $1 and participant_id = $2",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .bind(of.tenant_id)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// The event of its first join: nothing before it is ever replayed to the participant.
pub async fn joined_at(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
    seq: i64,
) -> Result<()> {
    sqlx::query("update participants set joined_seq = coalesce(joined_seq, $3) where meeting_id = $1 and id = $2")
        .bind(meeting.0)
        .bind(participant.0)
        .bind(seq)
        .execute(conn)
        .await?;
    Ok(())
}

/// Counts one more socket of the participant; answers its number.
pub async fn count_socket(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "update participants set sockets = sockets + 1 where meeting_id = $1 and id = $2 returning sockets",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .fetch_one(conn)
    .await?)
}

/// Voids the participant's tokens and bars it. `false`: it was barred so before.
pub async fn bar(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
    why: Removal,
) -> Result<bool> {
    let done = sqlx::query(
        "update participants set tokens_from = clock_timestamp(),
                                 removed = case when removed = 'request' then removed else $3 end
         where meeting_id = $1 and id = $2 and removed is distinct from $3",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .bind(why.as_str())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes a removal back. `false`: there was none.
pub async fn unbar(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<bool> {
    let done =
        sqlx::query("update participants set removed = null where meeting_id = $1 and id = $2 and removed is not null")
            .bind(meeting.0)
            .bind(participant.0)
            .execute(conn)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// Who is present, those who joined first in that order.
pub async fn present(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<ParticipantId>> {
    let present: Vec<Uuid> = sqlx::query_scalar(
        "select id from participants where meeting_id = $1 and present order by joined_at, id",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    Ok(present.into_iter().map(ParticipantId).collect())
}

/// Tells everybody how a participant stands now: a stream of it opened or closed.
pub async fn updated(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<StoredEvent> {
    event::lock(conn, meeting).await?;
    let person = person(conn, meeting, participant).await?;
    event::append(conn, meeting, &Event::ParticipantUpdated(person)).await
}

/// Closes the participant's streams, and its visit. `false`: it was not present.
pub async fn went(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
    why: CloseReason,
) -> Result<bool> {
    sqlx::query(
        "update streams set state = 'closed', reason = $3, closed_at = clock_timestamp(), srtp_sealed = null
         where meeting_id = $1 and participant_id = $2 and state <> 'closed'",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .bind(why.as_str())
    .execute(&mut *conn)
    .await?;
    let left = sqlx::query(
        "update participants set present = false, left_at = date_trunc('milliseconds', clock_timestamp())
         where meeting_id = $1 and id = $2 and present",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .execute(&mut *conn)
    .await?;
    if left.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(
        "update participant_visits v set left_at = p.left_at from participants p
         where v.meeting_id = $1 and v.participant_id = $2 and v.left_at is null
           and p.meeting_id = v.meeting_id and p.id = v.participant_id",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .execute(conn)
    .await?;
    Ok(true)
}
