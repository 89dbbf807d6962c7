//! The ConsentLog as rows: one chain per meeting, written only under the head's lock, never
//! changed.

use super::{
    Result, StoreError,
    event::{self, StoredEvent},
    idempotency::Request,
    seal,
};
use crate::domain::{
    consent::{self, Broken, ChainEntry, ConsentStatus, ConsentType, Use, hex},
    event::{Consent, Event, Logged},
    gate::{self, Gate},
    id::{ConsentId, MeetingId, ParticipantId},
    time::MeetingTime,
    wire_time::wire_time,
};
use chrono::{DateTime, SubsecRound, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// The longest statement, in characters.
pub const STATEMENT_CHARS_MAX: usize = 2000;

/// How often one participant agrees in one meeting. Declining and withdrawing have no limit.
pub const GRANTS_MAX: i32 = 100;

/// Something said about consent, before it has a place in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsentDecision {
    pub meeting: MeetingId,
    pub participant: ParticipantId,
    /// Made by whoever received it; decision it twice writes it once.
    pub id: ConsentId,
    pub consent_type: ConsentType,
    pub status: ConsentStatus,
    /// `self`, `api_key`, `user` or `system`, with `:` and the id where there is one.
    pub actor: String,
    pub statement: Option<String>,
    /// Its receipt, on Postgres's clock; kept in milliseconds.
    pub timestamp: DateTime<Utc>,
    /// The request that said it, when that named a key: the same request never says it twice.
    pub once: Option<Request>,
}

impl ConsentDecision {
    /// What everybody in the meeting is told of it at once, without a place in the log. The
    /// statement is for those who may read the log.
    pub fn event(&self) -> Event {
        Event::ConsentUpdated(Consent {
            id: self.id,
            meeting_id: self.meeting,
            participant_id: self.participant,
            consent_type: self.consent_type,
            purposes: self.consent_type.uses().to_vec(),
            status: self.status,
            accepted: self.status.accepts(),
            timestamp: self.timestamp,
            logged: None,
        })
    }
}

/// An entry of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub meeting: MeetingId,
    /// 1, 2, 3 … within the meeting.
    pub entry: i64,
    pub id: ConsentId,
    pub participant: ParticipantId,
    pub consent_type: ConsentType,
    pub purposes: Vec<Use>,
    pub status: ConsentStatus,
    pub actor: String,
    /// `None`: there was none, or it was erased.
    pub statement: Option<String>,
    /// Of the chain.
    pub version: i16,
    /// What stands for the statement in the chain; not in version 1.
    pub statement_hash: Option<String>,
    /// What was hashed with the statement, as long as that is there.
    pub statement_salt: Option<String>,
    pub timestamp: DateTime<Utc>,
    /// When it acts from: its time stamp, or earlier when it turned out to have been said before
    /// that.
    pub acts_at: DateTime<Utc>,
    pub prev_hash: String,
    pub hash: String,
}

/// A gate with a log played through, every grant from its own time stamp on.
pub fn replayed(log: &[Entry], start: DateTime<Utc>) -> Gate {
    let gate = Gate::new(&Use::ALL);
    let entries: Vec<gate::Entry> = log.iter().map(|entry| entry.for_gate(start)).collect();
    gate.replay(&entries);
    gate
}

impl Entry {
    /// The hashed content.
    pub fn chained(&self) -> ChainEntry {
        ChainEntry {
            actor: self.actor.clone(),
            entry: self.entry,
            id: self.id,
            meeting_id: self.meeting,
            participant_id: self.participant,
            purposes: self.purposes.clone(),
            statement: self.statement.clone(),
            statement_hash: self.statement_hash.clone(),
            status: self.status,
            timestamp: wire_time(self.timestamp),
            version: self.version,
        }
    }

    /// The entry as the gate takes it, on the timeline of a meeting that began at `start`.
    pub fn for_gate(&self, start: DateTime<Utc>) -> gate::Entry {
        let at = (self.acts_at - start).num_microseconds();
        gate::Entry {
            entry: self.entry,
            id: self.id,
            participant: self.participant,
            uses: self.purposes.clone(),
            status: self.status,
            at: at.map_or(MeetingTime::MAX, MeetingTime),
        }
    }

    /// What everybody in the meeting is told once it is committed.
    pub fn event(&self) -> Event {
        Event::ConsentUpdated(Consent {
            id: self.id,
            meeting_id: self.meeting,
            participant_id: self.participant,
            consent_type: self.consent_type,
            purposes: self.purposes.clone(),
            status: self.status,
            accepted: self.status.accepts(),
            timestamp: self.timestamp,
            logged: Some(Logged {
                entry: self.entry,
                hash: self.hash.clone(),
                prev_hash: self.prev_hash.clone(),
            }),
        })
    }
}

/// What a participant said last, by entry, and how often it agreed.
#[derive(sqlx::FromRow)]
pub struct Latest {
    recording_entry: Option<i64>,
    transcription_entry: Option<i64>,
    grants: i32,
}

impl Latest {
    /// The entry in which it last said something about this use.
    pub fn entry_of(&self, purpose: Use) -> Option<i64> {
        match purpose {
            Use::Recording => self.recording_entry,
            Use::Transcription => self.transcription_entry,
        }
    }
}

pub async fn latest(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<Option<Latest>> {
    Ok(sqlx::query_as(
        "select recording_entry, transcription_entry, grants from participants where meeting_id = $1 and id = $2",
    )
    .bind(meeting.0)
    .bind(participant.0)
    .fetch_optional(conn)
    .await?)
}

/// Appends under the head's lock, with its event.
pub async fn append(
    conn: &mut PgConnection,
    decision: &ConsentDecision,
) -> Result<(Entry, StoredEvent)> {
    let accepts = decision.status.accepts();
    if accepts
        && latest(conn, decision.meeting, decision.participant)
            .await?
            .is_some_and(|last| last.grants >= GRANTS_MAX)
    {
        return Err(StoreError::TooMany(
            "a participant agrees at most 100 times",
        ));
    }
    let (last, prev_hash, tenant): (i64, String, Uuid) = sqlx::query_as(
        "select consent_entry, consent_hash, tenant_id from meeting_heads where meeting_id = $1",
    )
    .bind(decision.meeting.0)
    .fetch_one(&mut *conn)
    .await?;
    let timestamp = decision.timestamp.trunc_subsecs(3);
    let salt = hex(&seal::random::<16>()
        .map_err(|error| StoreError::Other(sqlx::Error::Encode(error.into())))?);
    let hashed = decision.statement.as_deref();
    let mut entry = Entry {
        meeting: decision.meeting,
        entry: last + 1,
        id: decision.id,
        participant: decision.participant,
        consent_type: decision.consent_type,
        purposes: decision.consent_type.uses().to_vec(),
        status: decision.status,
        actor: decision.actor.clone(),
        statement: decision.statement.clone(),
        version: consent::VERSION,
        statement_hash: hashed.map(|text| consent::statement_hash(&salt, text)),
        statement_salt: hashed.is_some().then_some(salt),
        timestamp,
        acts_at: timestamp,
        prev_hash,
        hash: String::new(),
    };
    entry.hash = consent::hash(&entry.prev_hash, &entry.chained());
    let purposes: Vec<&str> = entry
        .purposes
        .iter()
        .map(|purpose| purpose.as_str())
        .collect();
    sqlx::query(
        "with said as (
             insert into consent_statements (meeting_id, entry, tenant_id, salt, statement)
             select $1, $2, $4, $15, $10 where $10::text is not null)
         insert into consent_log (meeting_id, entry, id, tenant_id, participant_id, consent_type, purposes, status, actor,
                                  statement_hash, timestamp, prev_hash, hash, version)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $14, $11, $12, $13, $16)",
    )
    .bind(entry.meeting.0)
    .bind(entry.entry)
    .bind(entry.id.0)
    .bind(tenant)
    .bind(entry.participant.0)
    .bind(entry.consent_type.as_str())
    .bind(purposes)
    .bind(entry.status.as_str())
    .bind(&entry.actor)
    .bind(&entry.statement)
    .bind(entry.timestamp)
    .bind(&entry.prev_hash)
    .bind(&entry.hash)
    .bind(&entry.statement_hash)
    .bind(&entry.statement_salt)
    .bind(entry.version)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "update meeting_heads set consent_entry = $2, consent_hash = $3 where meeting_id = $1",
    )
    .bind(entry.meeting.0)
    .bind(entry.entry)
    .bind(&entry.hash)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "update participants set
             recording_since = case when $5 and recording is distinct from $3 then $8 else recording_since end,
             recording = case when $5 then $3 else recording end,
             recording_entry = case when $5 then $4 else recording_entry end,
             transcription_since = case when $6 and transcription is distinct from $3 then $8
                                        else transcription_since end,
             transcription = case when $6 then $3 else transcription end,
             transcription_entry = case when $6 then $4 else transcription_entry end,
             grants = grants + $7
         where meeting_id = $1 and id = $2",
    )
    .bind(entry.meeting.0)
    .bind(entry.participant.0)
    .bind(entry.status.as_str())
    .bind(entry.entry)
    .bind(entry.purposes.contains(&Use::Recording))
    .bind(entry.purposes.contains(&Use::Transcription))
    .bind(i32::from(accepts))
    .bind(entry.timestamp)
    .execute(&mut *conn)
    .await?;
    let event = event::append(conn, entry.meeting, &entry.event()).await?;
    Ok((entry, event))
}

#[derive(sqlx::FromRow)]
struct Row {
    entry: i64,
    id: Uuid,
    participant_id: Uuid,
    #[sqlx(try_from = "String")]
    consent_type: ConsentType,
    purposes: Vec<String>,
    #[sqlx(try_from = "String")]
    status: ConsentStatus,
    actor: String,
    statement: Option<String>,
    version: i16,
    statement_hash: Option<String>,
    salt: Option<String>,
    timestamp: DateTime<Utc>,
    acts_at: DateTime<Utc>,
    prev_hash: String,
    hash: String,
}

impl Row {
    fn entry(self, meeting: MeetingId) -> Result<Entry> {
        let purposes = self.purposes.iter().map(|purpose| purpose.parse::<Use>());
        let purposes = purposes.collect::<std::result::Result<_, _>>();
        let unknown = |error| sqlx::Error::ColumnDecode {
            index: "purposes".to_owned(),
            source: Box::new(error),
        };
        Ok(Entry {
            meeting,
            entry: self.entry,
            id: ConsentId(self.id),
            participant: ParticipantId(self.participant_id),
            consent_type: self.consent_type,
            purposes: purposes.map_err(unknown)?,
            status: self.status,
            actor: self.actor,
            statement: self.statement,
            version: self.version,
            statement_hash: self.statement_hash,
            statement_salt: self.salt,
            timestamp: self.timestamp,
            acts_at: self.acts_at,
            prev_hash: self.prev_hash,
            hash: self.hash,
        })
    }
}

macro_rules! entries {
    ($which:literal) => {
        concat!(
            "select c.entry, c.id, c.participant_id, c.consent_type, c.purposes, c.status, c.actor,
                    coalesce(c.statement, t.statement) as statement, c.version, c.statement_hash, t.salt, c.timestamp,
                    least(c.timestamp, k.timestamp) as acts_at, c.prev_hash, c.hash
             from consent_log c left join consent_cuts k on k.meeting_id = c.meeting_id and k.entry = c.entry
             left join consent_statements t on t.meeting_id = c.meeting_id and t.entry = c.entry
             where c.meeting_id = $1 and ",
            $which
        )
    };
}

/// One entry, by the id that its receiver made.
pub async fn by_id(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: ConsentId,
) -> Result<Option<Entry>> {
    let row: Option<Row> = sqlx::query_as(entries!("c.id = $2"))
        .bind(meeting.0)
        .bind(id.0)
        .fetch_optional(conn)
        .await?;
    row.map(|row| row.entry(meeting)).transpose()
}

/// At most `limit` entries above `entry`, oldest first; from 0 the beginning of the log.
pub async fn above(
    conn: &mut PgConnection,
    meeting: MeetingId,
    entry: i64,
    limit: i64,
) -> Result<Vec<Entry>> {
    let rows: Vec<Row> = sqlx::query_as(ABOVE)
        .bind(meeting.0)
        .bind(entry)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(|row| row.entry(meeting)).collect()
}

/// The whole log, oldest first: for what replays it after the end. Whoever runs a meeting reads
/// [`above`] what it knows.
pub async fn whole(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<Entry>> {
    above(conn, meeting, 0, i64::MAX).await
}

/// One partition, by the meeting.
pub const ABOVE: &str = entries!("c.entry > $2 order by c.entry limit $3");

/// At most `limit` entries above `entry`, oldest first; only those of `participant` when one is
/// given.
pub async fn page(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: Option<ParticipantId>,
    entry: i64,
    limit: i64,
) -> Result<Vec<Entry>> {
    let rows: Vec<Row> = sqlx::query_as(entries!(
        "c.entry > $2 and ($3::uuid is null or c.participant_id = $3) order by c.entry limit $4"
    ))
    .bind(meeting.0)
    .bind(entry)
    .bind(participant.map(|participant| participant.0))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| row.entry(meeting)).collect()
}

/// Reads the whole log back and walks its chain to the head's hash; `Ok(Ok(hash))` when it holds.
pub async fn verify(conn: &mut PgConnection, meeting: MeetingId) -> Result<Result<String, Broken>> {
    // A share lock, so that log and head are of one moment.
    let (entries, head): (i64, String) = sqlx::query_as(
        "select consent_entry, consent_hash from meeting_heads where meeting_id = $1 for share",
    )
    .bind(meeting.0)
    .fetch_one(&mut *conn)
    .await?;
    let said = whole(conn, meeting).await?;
    let log: Vec<(ChainEntry, String, String)> = said
        .iter()
        .map(|entry| (entry.chained(), entry.prev_hash.clone(), entry.hash.clone()))
        .collect();
    // What is shown as the statement is what was hashed.
    let changed = said.iter().find(|entry| {
        let hash = |text: &String| {
            let salt = entry.statement_salt.as_deref().unwrap_or_default();
            consent::statement_hash(salt, text)
        };
        entry.statement_hash.is_some()
            && entry.statement.is_some()
            && entry.statement.as_ref().map(hash) != entry.statement_hash
    });
    if let Some(changed) = changed {
        return Ok(Err(Broken::Content(changed.entry)));
    }
    let walked = consent::verify(
        meeting,
        log.iter()
            .map(|(entry, prev, hash)| (entry, prev.as_str(), hash.as_str())),
    );
    Ok(walked.and_then(|hash| {
        // The end was cut off, or the head was changed.
        if hash == head && log.len() as i64 == entries {
            Ok(hash)
        } else {
            Err(Broken::Order(log.len() as i64 + 1))
        }
    }))
}
