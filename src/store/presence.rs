//! Who is in a meeting: coming, going and being removed, each with its event, all under the head's
//! lock.
//!
//! A participant is present from `join_room` (or the answer to its first stream) until it leaves,
//! is removed, or was away for 30 s; the worker decides the last and calls [`leave`]. Everything
//! here may run twice.

use super::{
    Result, StoreError,
    effect::Effects,
    event::{self, StoredEvent},
    job, meeting,
    word::{word, word_or_null},
};
use crate::domain::{
    admission::{self, Barred, EntryBy, Standing},
    consent::ConsentStatus,
    event::Event,
    id::{MeetingId, ParticipantId, StreamId, UserId},
    job::JobKind,
    participant::{Address, Answers, Person, Removal, Role, StreamSeen},
    stream::{CloseReason, MediaReason, StreamState},
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use std::collections::HashMap;
use uuid::Uuid;

/// The most streams of one participant that its events show, newest first.
const STREAMS_SHOWN: i64 = 16;

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    user_id: Uuid,
    display_name: String,
    role: String,
    joined_at: Option<DateTime<Utc>>,
    left_at: Option<DateTime<Utc>>,
    present: bool,
    removed: Option<String>,
    tokens_from: Option<DateTime<Utc>>,
    recording: Option<String>,
    transcription: Option<String>,
}

fn said(status: Option<&str>) -> Option<ConsentStatus> {
    ConsentStatus::parse(status?)
}

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
    let rows: Vec<Row> = sqlx::query_as(PEOPLE)
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
    Ok(rows
        .into_iter()
        .map(|row| {
            let id = ParticipantId(row.id);
            Person {
                id,
                user: UserId(row.user_id),
                display_name: row.display_name,
                role: Role::parse(&row.role).unwrap_or(Role::Participant),
                joined_at: row.joined_at,
                left_at: row.left_at,
                present: row.present,
                removed: row.removed.as_deref().and_then(Removal::parse),
                tokens_from: row.tokens_from,
                consent: Answers {
                    recording: said(row.recording.as_deref()),
                    transcription: said(row.transcription.as_deref()),
                },
                streams: streams.remove(&row.id).unwrap_or_default(),
            }
        })
        .collect())
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
        address: ip
            .zip(port)
            .filter(|_| open)
            .map(|(ip, port)| Address { ip, port }),
        state,
    })
}

/// One partition, by the meeting.
pub const PEOPLE: &str = "select p.id, p.user_id, u.display_name, p.role, p.joined_at, p.left_at, p.present, p.removed, \
    p.tokens_from, p.recording, p.transcription from participants p join users u on u.id = p.user_id \
    where p.meeting_id = $1 and ($2::uuid is null or p.id = $2) order by p.joined_at nulls last, p.id";

/// One partition, by the meeting.
pub const STREAMS: &str = "select participant_id, id, kind, source, state, reason, ip, port, media, media_reason from ( \
    select *, row_number() over (partition by participant_id order by created_at desc, id desc) as newest from streams \
    where meeting_id = $1 and ($2::uuid is null or participant_id = $2) and state <> 'asked' \
    ) s where newest <= $3 order by created_at, id";

/// What coming in changed.
#[derive(Clone, PartialEq, Debug)]
pub struct Entered {
    pub person: Person,
    /// The number of this socket among the participant's own; 0 for a stream. The highest is the
    /// one that counts.
    pub socket: i64,
    /// None when it was present already.
    pub effects: Effects,
}

/// Makes a participant present. The first of a meeting starts it.
///
/// # Errors
/// [`StoreError::NotFound`] when the participant is not of this meeting.
pub async fn enter(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
    by: EntryBy,
) -> Result<Result<Entered, Barred>> {
    event::lock(conn, meeting).await?;
    let of = meeting::get(conn, meeting)
        .await?
        .ok_or(StoreError::NotFound)?;
    let before = person(conn, meeting, participant).await?;
    if let Err(barred) = admission::enter(&of.terms(), &Standing::from(&before), by) {
        return Ok(Err(barred));
    }
    let socket = if by == EntryBy::Stream {
        0
    } else {
        count_socket(conn, meeting, participant).await?
    };
    if before.present {
        return Ok(Ok(Entered {
            person: before,
            socket,
            effects: Effects::default(),
        }));
    }
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
    let (capture, made) = job::ensure_capture(conn, meeting).await?;
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
    .execute(&mut *conn)
    .await?;
    meeting::bump_roster(conn, meeting).await?;
    let person = person(conn, meeting, participant).await?;
    let joined = event::append(conn, meeting, &Event::ParticipantJoined(person.clone())).await?;
    sqlx::query("update participants set joined_seq = coalesce(joined_seq, $3) where meeting_id = $1 and id = $2")
        .bind(meeting.0)
        .bind(participant.0)
        .bind(joined.seq)
        .execute(conn)
        .await?;
    let mut effects = Effects::from(joined);
    effects
        .jobs
        .extend(made.then_some((JobKind::Capture, capture)));
    Ok(Ok(Entered {
        person,
        socket,
        effects,
    }))
}

async fn count_socket(
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

/// The participant is no longer present; its streams are closed. Nothing happens when it was not
/// present.
pub async fn leave(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<Effects> {
    event::lock(conn, meeting).await?;
    go(conn, meeting, participant, CloseReason::Left).await
}

/// Removes a participant, present or not: its streams are closed, its join and resume tokens void.
/// The one way out for everybody who has to go. Whoever has a socket of it closes that on the
/// event.
pub async fn remove(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
    why: Removal,
) -> Result<Effects> {
    event::lock(conn, meeting).await?;
    let done = sqlx::query(
        "update participants set tokens_from = clock_timestamp(),
                                 removed = case when removed = 'request' then removed else $3 end
         where meeting_id = $1 and id = $2 and removed is distinct from $3",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .bind(why.as_str())
    .execute(&mut *conn)
    .await?;
    let mut effects = go(conn, meeting, participant, CloseReason::Removed).await?;
    if done.rows_affected() > 0 && effects.is_empty() {
        // Streams asked for and not yet open are to be let go of.
        meeting::bump_roster(conn, meeting).await?;
        // It may be absent for the store and have a socket all the same, which nobody could tell
        // of.
        let person = person(conn, meeting, participant).await?;
        if person.joined_at.is_some() {
            effects
                .events
                .push(event::append(conn, meeting, &Event::ParticipantUpdated(person)).await?);
        }
    }
    Ok(effects)
}

/// Undoes a removal of either kind, and reopens the link that the participant came by. Its old
/// tokens stay void. Nothing happens when it was not removed.
pub async fn readmit(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<Effects> {
    event::lock(conn, meeting).await?;
    let done =
        sqlx::query("update participants set removed = null where meeting_id = $1 and id = $2 and removed is not null")
            .bind(meeting.0)
            .bind(participant.0)
            .execute(&mut *conn)
            .await?;
    let person = person(conn, meeting, participant).await?;
    if done.rows_affected() == 0 || person.joined_at.is_none() {
        return Ok(Effects::default());
    }
    Ok(
        event::append(conn, meeting, &Event::ParticipantUpdated(person))
            .await?
            .into(),
    )
}

/// Everybody leaves, at the end of the meeting.
pub async fn dismiss(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<StoredEvent>> {
    event::lock(conn, meeting).await?;
    let present: Vec<Uuid> = sqlx::query_scalar(
        "select id from participants where meeting_id = $1 and present order by joined_at, id",
    )
    .bind(meeting.0)
    .fetch_all(&mut *conn)
    .await?;
    let mut events = Vec::new();
    for id in present {
        events.extend(
            go(conn, meeting, ParticipantId(id), CloseReason::Left)
                .await?
                .events,
        );
    }
    Ok(events)
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

/// Under the head's lock.
async fn go(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
    why: CloseReason,
) -> Result<Effects> {
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
        return Ok(Effects::default());
    }
    sqlx::query(
        "update participant_visits v set left_at = p.left_at from participants p
         where v.meeting_id = $1 and v.participant_id = $2 and v.left_at is null
           and p.meeting_id = v.meeting_id and p.id = v.participant_id",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .execute(&mut *conn)
    .await?;
    meeting::bump_roster(conn, meeting).await?;
    let person = person(conn, meeting, participant).await?;
    let event = event::append(conn, meeting, &Event::ParticipantLeft(person)).await?;
    Ok(event.into())
}
