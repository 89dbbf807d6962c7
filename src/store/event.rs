//! The durable events of a meeting: `seq` 1, 2, 3 … without holes, allotted in the transaction that
//! stores the event.
//!
//! A head row ([`lock`]) is the meeting's one mutex. Whoever changes anything of a meeting that has
//! an order (events, the ConsentLog, who is present, its end) locks the head **before** touching
//! other rows; two that took turns the other way round would wait for each other. The lock is kept
//! until commit, so the order of `seq` is the order of commits, and a number given back by a
//! rollback is given again.

use super::{Result, StoreError};
use crate::domain::{
    correction::TextSource,
    event::{
        Caption, Correction, Event, EventKind, RecordingReport, Retraction, Speaker, ToldBefore,
        Translation, data,
    },
    id::{MeetingId, ParticipantId, SegmentId},
    recording_state::RecordingState,
    transcript::RetractionReason,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{PgConnection, types::Text};
use uuid::Uuid;

/// The most events that one read gives.
pub const READ_MAX: i64 = 200;
/// How long after its end a meeting's events can be read, in hours.
pub const KEPT_AFTER_END_H: i64 = 24;

/// A durable event with its number, as its receivers see it.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredEvent {
    pub seq: i64,
    /// The envelope's `type`.
    pub kind: EventKind,
    pub at: DateTime<Utc>,
    pub data: Value,
}

impl StoredEvent {
    /// What a `recording_state` says.
    pub fn recording_state(&self) -> Option<RecordingState> {
        (self.kind == EventKind::RecordingState)
            .then(|| RecordingState::deserialize(&self.data["state"]).ok())
            .flatten()
    }
}

/// What has an order in a meeting, as far as it got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    pub meeting: MeetingId,
    pub seq: i64,
    pub consent_entry: i64,
    /// Counts changes of who is present, of streams asked for, and the end.
    pub roster: i64,
    pub ended: bool,
    pub end_time: Option<DateTime<Utc>>,
}

/// Locks the meeting's head until the transaction ends.
///
/// # Errors
/// [`StoreError::NotFound`] when this transaction sees no such meeting.
pub async fn lock(conn: &mut PgConnection, meeting: MeetingId) -> Result<()> {
    sqlx::query("select 1 from meeting_heads where meeting_id = $1 for update")
        .bind(meeting.0)
        .fetch_optional(conn)
        .await?
        .map(drop)
        .ok_or(StoreError::NotFound)
}

/// Stores an event whose data stands in it, but for since when a `recording_state` is so. To be
/// published after commit.
pub async fn append(
    conn: &mut PgConnection,
    meeting: MeetingId,
    event: &Event,
) -> Result<StoredEvent> {
    let kind = event.kind();
    let (data, state) = match event {
        Event::RecordingState(report) => {
            let (data, now) = dated(conn, meeting, report).await?;
            (data, Some((report.kept_as(), now)))
        }
        _ => (event.data(), None),
    };
    let (seq, at) = insert(conn, meeting, kind, None, Some(&data), state).await?;
    Ok(StoredEvent {
        seq,
        kind,
        at,
        data,
    })
}

/// What `recording_state` says now, with since when, and that instant.
async fn dated(
    conn: &mut PgConnection,
    meeting: MeetingId,
    report: &RecordingReport,
) -> Result<(Value, DateTime<Utc>)> {
    let now = sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(&mut *conn)
        .await?;
    let last = recording_state(conn, meeting).await?;
    let last = last.and_then(|last| ToldBefore::read(&last.data, last.at));
    Ok((data(&report.clone().told(last.as_ref(), now)), now))
}

/// Stores the final of a transcript segment that this transaction stored: the event refers to the
/// row, so that words are kept once.
pub async fn append_final(
    conn: &mut PgConnection,
    meeting: MeetingId,
    segment: SegmentId,
) -> Result<StoredEvent> {
    let kind = EventKind::TranscriptUpdate;
    let (seq, _) = insert(conn, meeting, kind, Some(segment.0), None, None).await?;
    after(conn, meeting, seq - 1, 1)
        .await?
        .pop()
        .ok_or(StoreError::NotFound)
}

/// Stores that a final was translated, in the transaction that stored the translation. The event
/// refers to the rows.
pub async fn append_translated(
    conn: &mut PgConnection,
    meeting: MeetingId,
    translation: &Translation,
) -> Result<StoredEvent> {
    let kind = EventKind::TranscriptTranslated;
    let segment = translation.segment_id.0;
    let language = json!({"language": translation.language});
    let (seq, _) = insert(conn, meeting, kind, Some(segment), Some(&language), None).await?;
    after(conn, meeting, seq - 1, 1)
        .await?
        .pop()
        .ok_or(StoreError::NotFound)
}

/// The most corrections of one transaction that are published one by one; of more only the last, at
/// which sockets read the others from the store, at a pace that they can follow.
const PUBLISHED_MAX: usize = 32;

/// Stores that these segments have a new version, which this transaction stored: the events refer
/// to the rows, as those of finals. Answers with those to be published after commit.
pub async fn append_corrected(
    conn: &mut PgConnection,
    meeting: MeetingId,
    segments: &[Uuid],
) -> Result<Vec<StoredEvent>> {
    if segments.is_empty() {
        return Ok(Vec::new());
    }
    let last: i64 = sqlx::query_scalar(
        "with head as (
             update meeting_heads set seq = seq + cardinality($3::uuid[]) where meeting_id = $1
             returning tenant_id, seq
         ), kept as (
             update meetings set events_kept = true where id = $1 and not events_kept
         ), made as (
             insert into meeting_events (meeting_id, seq, tenant_id, type, ref)
             select $1, head.seq - cardinality($3) + n, tenant_id, $2, segment
             from head, unnest($3) with ordinality as of(segment, n)
         )
         select seq from head",
    )
    .bind(meeting.0)
    .bind(EventKind::TranscriptCorrected.as_str())
    .bind(segments)
    .fetch_one(&mut *conn)
    .await?;
    let published = if segments.len() > PUBLISHED_MAX {
        1
    } else {
        segments.len() as i64
    };
    after(conn, meeting, last - published, published).await
}

async fn insert(
    conn: &mut PgConnection,
    meeting: MeetingId,
    kind: EventKind,
    reference: Option<Uuid>,
    data: Option<&Value>,
    state: Option<(&str, DateTime<Utc>)>,
) -> Result<(i64, DateTime<Utc>)> {
    Ok(sqlx::query_as(
        "with head as (
             update meeting_heads set seq = seq + 1 where meeting_id = $1 returning tenant_id, seq
         ), kept as (
             update meetings set events_kept = true where id = $1 and not events_kept
         ), state as (
             insert into recording_states (meeting_id, seq, tenant_id, state, at)
             select $1, seq, tenant_id, $5, $6 from head where $5::text is not null
         )
         insert into meeting_events (meeting_id, seq, tenant_id, type, ref, data, at)
         select $1, seq, tenant_id, $2, $3, $4, coalesce($6, clock_timestamp()) from head
         returning seq, at",
    )
    .bind(meeting.0)
    .bind(kind.as_str())
    .bind(reference)
    .bind(data)
    .bind(state.map(|(word, _)| word))
    .bind(state.map(|(_, at)| at))
    .fetch_one(conn)
    .await?)
}

/// Meetings per transaction of [`forget`]: of a long one there are some ten thousand events.
const FORGOTTEN_AT_ONCE: i64 = 10;

/// Deletes the events of a few meetings that ended more than [`KEPT_AFTER_END_H`] ago, oldest
/// first; answers how many meetings. In a transaction of all tenants. What later work needs of them
/// is elsewhere: states in `recording_states`.
pub async fn forget(conn: &mut PgConnection) -> Result<usize> {
    // Whoever appends just now holds the head: that meeting has time.
    let ended: Vec<Uuid> = sqlx::query_scalar(
        "select m.id from meetings m join meeting_heads h on h.meeting_id = m.id
         where m.events_kept and m.end_time < clock_timestamp() - make_interval(hours => $1)
         order by m.end_time limit $2 for update of h skip locked",
    )
    .bind(KEPT_AFTER_END_H as i32)
    .bind(FORGOTTEN_AT_ONCE)
    .fetch_all(&mut *conn)
    .await?;
    if ended.is_empty() {
        return Ok(0);
    }
    sqlx::query("delete from meeting_events where meeting_id = any($1)")
        .bind(&ended)
        .execute(&mut *conn)
        .await?;
    sqlx::query("update meetings set events_kept = false where id = any($1)")
        .bind(&ended)
        .execute(&mut *conn)
        .await?;
    Ok(ended.len())
}

#[derive(sqlx::FromRow)]
struct Row {
    seq: i64,
    kind: String,
    at: DateTime<Utc>,
    data: Option<Value>,
    reference: Option<Uuid>,
    start_time: Option<DateTime<Utc>>,
    participant_id: Option<Uuid>,
    display_name: Option<String>,
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    language: Option<String>,
    text: Option<String>,
    words: Option<Value>,
    revision: Option<i32>,
    source: Option<Text<TextSource>>,
    author: Option<String>,
    translated_to: Option<String>,
    translation: Option<String>,
}

/// At most `limit` ([`READ_MAX`] at most) events after `seq`, oldest first.
pub async fn after(
    conn: &mut PgConnection,
    meeting: MeetingId,
    seq: i64,
    limit: i64,
) -> Result<Vec<StoredEvent>> {
    let rows: Vec<Row> = sqlx::query_as(AFTER)
        .bind(meeting.0)
        .bind(seq)
        .bind(limit.clamp(1, READ_MAX))
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(Row::render).collect()
}

/// One partition of each table, by the meeting.
pub const AFTER: &str = "select e.seq, e.type as kind, e.at, e.data, e.ref as reference, m.start_time, s.participant_id, \
    u.display_name, s.start_ms, s.end_ms, s.language, s.text, s.words, s.revision, s.source, s.author, \
    t.language as translated_to, t.text as translation \
    from meeting_events e join meetings m on m.id = e.meeting_id \
    left join transcript_segments s on s.meeting_id = e.meeting_id and s.id = e.ref \
    left join transcript_translations t on e.type = 'transcript_translated' and t.meeting_id = s.meeting_id \
    and t.segment_id = s.id and t.language = e.data ->> 'language' and t.revision = s.revision \
    left join participants p on p.meeting_id = s.meeting_id and p.id = s.participant_id \
    left join users u on u.id = p.user_id \
    where e.meeting_id = $1 and e.seq > $2 order by e.seq limit $3";

impl Row {
    fn render(self) -> Result<StoredEvent> {
        let unknown = || {
            StoreError::Other(sqlx::Error::ColumnDecode {
                index: "type".to_owned(),
                source: "not an event of this version".into(),
            })
        };
        let kind = EventKind::parse(&self.kind).ok_or_else(unknown)?;
        let (kind, data) = match (
            self.reference.map(SegmentId),
            self.text,
            self.participant_id,
        ) {
            (None, ..) => (kind, self.data.unwrap_or(Value::Null)),
            (Some(segment_id), Some(text), Some(participant)) => {
                let start_ms = self.start_ms.unwrap_or(0);
                let caption = Caption {
                    segment_id,
                    revision: u32::try_from(self.revision.unwrap_or(0)).unwrap_or(0),
                    is_final: true,
                    participant: Speaker {
                        id: ParticipantId(participant),
                        display_name: self.display_name,
                    },
                    start_ms,
                    end_ms: self.end_ms.unwrap_or(start_ms),
                    start_at: self
                        .start_time
                        .map(|time| time + TimeDelta::milliseconds(start_ms)),
                    language: self.language,
                    stable_chars: text.encode_utf16().count(),
                    text,
                    words: self.words.unwrap_or(Value::Null),
                };
                // The newest version, whichever the event was about: words that were corrected do
                // not come back.
                let event = match (kind, self.translated_to, self.translation) {
                    (EventKind::TranscriptTranslated, Some(language), Some(text)) => {
                        Event::TranscriptTranslated(Translation {
                            segment_id,
                            revision: caption.revision,
                            language,
                            text,
                        })
                    }
                    // Of a version before the newest: it is gone with that.
                    (EventKind::TranscriptTranslated | EventKind::TranscriptCorrected, ..) => {
                        Event::TranscriptCorrected(Correction {
                            caption,
                            source: self.source.map_or(TextSource::Live, |source| source.0),
                            author: self.author,
                        })
                    }
                    _ => Event::TranscriptUpdate(caption),
                };
                (event.kind(), event.data())
            }
            // The words were erased since; their place in the order stays.
            (Some(segment_id), ..) => {
                let reason = RetractionReason::Withdrawn;
                let gone = Event::TranscriptRetracted(Retraction { segment_id, reason });
                (gone.kind(), gone.data())
            }
        };
        Ok(StoredEvent {
            seq: self.seq,
            kind,
            at: self.at,
            data,
        })
    }
}

/// The heads of many meetings in one query; those that are not there are left out.
pub async fn heads(conn: &mut PgConnection, meetings: &[MeetingId]) -> Result<Vec<Head>> {
    let ids: Vec<Uuid> = meetings.iter().map(|meeting| meeting.0).collect();
    let rows: Vec<HeadRow> = sqlx::query_as(
        "select h.meeting_id, h.seq, h.consent_entry, h.roster, m.status = 'ended' as ended, m.end_time
         from meeting_heads h join meetings m on m.id = h.meeting_id where h.meeting_id = any($1)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Head {
            meeting: MeetingId(row.meeting_id),
            seq: row.seq,
            consent_entry: row.consent_entry,
            roster: row.roster,
            ended: row.ended,
            end_time: row.end_time,
        })
        .collect())
}

#[derive(sqlx::FromRow)]
struct HeadRow {
    meeting_id: Uuid,
    seq: i64,
    consent_entry: i64,
    roster: i64,
    ended: bool,
    end_time: Option<DateTime<Utc>>,
}

/// The head of one meeting.
///
/// # Errors
/// [`StoreError::NotFound`] when this transaction sees no such meeting.
pub async fn head(conn: &mut PgConnection, meeting: MeetingId) -> Result<Head> {
    heads(conn, &[meeting])
        .await?
        .pop()
        .ok_or(StoreError::NotFound)
}

/// The last `recording_state` told.
pub async fn recording_state(
    conn: &mut PgConnection,
    meeting: MeetingId,
) -> Result<Option<StoredEvent>> {
    let row: Option<(i64, DateTime<Utc>, Value)> = sqlx::query_as(
        "select seq, at, data from meeting_events where meeting_id = $1 and type = 'recording_state'
         order by seq desc limit 1",
    )
    .bind(meeting.0)
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|(seq, at, data)| StoredEvent {
        seq,
        kind: EventKind::RecordingState,
        at,
        data,
    }))
}

/// The `seq` before a participant's first join: what came until then is never replayed to it.
pub async fn before_first_join(
    conn: &mut PgConnection,
    meeting: MeetingId,
    who: ParticipantId,
) -> Result<Option<i64>> {
    let seq: Option<Option<i64>> = sqlx::query_scalar(
        "select joined_seq - 1 from participants where meeting_id = $1 and id = $2",
    )
    .bind(meeting.0)
    .bind(who.0)
    .fetch_optional(conn)
    .await?;
    Ok(seq.flatten())
}

/// The `seq` before the first event of this instant or later.
pub async fn before(conn: &mut PgConnection, meeting: MeetingId, at: DateTime<Utc>) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "select coalesce(max(seq), 0) from meeting_events where meeting_id = $1 and at < $2",
    )
    .bind(meeting.0)
    .bind(at)
    .fetch_one(conn)
    .await?)
}
