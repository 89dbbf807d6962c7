//! The ConsentLog as rows: one chain per meeting, written only under the head's lock, never changed.

use super::{
    Result, StoreError,
    effect::Effects,
    event,
    event::{Event, wire_time},
    meeting,
    presence::{self, Removal},
};
use crate::domain::{
    consent::{self, Broken, ChainEntry, ConsentStatus, ConsentType, Standing, Use},
    id::{ConsentId, MeetingId, ParticipantId},
};
use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

/// The longest statement, in characters.
pub const STATEMENT_CHARS_MAX: usize = 2000;

/// Something said about consent, before it has a place in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Saying {
    pub meeting: MeetingId,
    pub participant: ParticipantId,
    /// Made by whoever received it; saying it twice writes it once.
    pub id: ConsentId,
    pub consent_type: ConsentType,
    pub status: ConsentStatus,
    /// `self`, `api_key`, `user` or `system`, with `:` and the id where there is one.
    pub actor: String,
    pub statement: Option<String>,
    /// Its receipt, on Postgres's clock; kept in milliseconds.
    pub timestamp: DateTime<Utc>,
}

impl Saying {
    /// What everybody in the meeting is told of it at once, without a place in the log. The statement is for those who may
    /// read the log.
    pub fn told(&self) -> Value {
        json!({
            "id": self.id,
            "meetingId": self.meeting,
            "participantId": self.participant,
            "consentType": self.consent_type,
            "purposes": self.consent_type.uses(),
            "status": self.status,
            "accepted": self.status.accepts(),
            "timestamp": wire_time(self.timestamp),
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
    pub statement: Option<String>,
    pub timestamp: DateTime<Utc>,
    pub prev_hash: String,
    pub hash: String,
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
            status: self.status,
            timestamp: wire_time(self.timestamp),
        }
    }

    /// What everybody in the meeting is told once it is committed.
    pub fn told(&self) -> Value {
        json!({
            "id": self.id,
            "meetingId": self.meeting,
            "participantId": self.participant,
            "consentType": self.consent_type,
            "purposes": self.purposes,
            "status": self.status,
            "accepted": self.status.accepts(),
            "timestamp": wire_time(self.timestamp),
            "entry": self.entry,
            "hash": self.hash,
            "prevHash": self.prev_hash,
        })
    }
}

/// What [`say`] wrote.
#[derive(Clone, PartialEq, Debug)]
pub struct Said {
    pub entry: Entry,
    /// No events when it had been said before.
    pub effects: Effects,
}

/// Appends to the log and carries out what policy `required` says: declining or withdrawing what the meeting turns on
/// removes. Also after the end of the meeting, when it removes nobody.
///
/// # Errors
/// [`StoreError::Conflict`] when the participant is not of this meeting, or the id was used for somebody else's entry.
pub async fn say(conn: &mut PgConnection, saying: &Saying) -> Result<Said> {
    let (entry, event) = append(conn, saying).await?;
    let again = event.is_none();
    let mut said = Said { entry, effects: event.map(Effects::from).unwrap_or_default() };
    if saying.status.accepts() {
        return Ok(said);
    }
    if again {
        // Whoever wrote it first may have died before closing the sockets.
        let person = presence::person(conn, saying.meeting, saying.participant).await?;
        if person.removed.as_deref() == Some(Removal::Required.as_str()) {
            said.effects.out.push(saying.participant);
        }
        return Ok(said);
    }
    let of = meeting::get(conn, saying.meeting).await?.ok_or(StoreError::NotFound)?;
    let uses = of.settings.uses();
    if of.settings.consent_policy == meeting::ConsentPolicy::Required
        && !of.ended()
        && said.entry.purposes.iter().any(|purpose| uses.contains(purpose))
    {
        said.effects.extend(presence::remove(conn, saying.meeting, saying.participant, Removal::Required).await?);
    }
    Ok(said)
}

/// Appends under the head's lock, with its event; `None` for the event when this id was there already.
pub async fn append(conn: &mut PgConnection, saying: &Saying) -> Result<(Entry, Option<Event>)> {
    event::lock(conn, saying.meeting).await?;
    if let Some(before) = by_id(conn, saying.meeting, saying.id).await? {
        if before.participant != saying.participant || before.status != saying.status {
            return Err(StoreError::Conflict { constraint: "consent_log_id".into() });
        }
        return Ok((before, None));
    }
    let (last, prev_hash, tenant): (i64, String, Uuid) =
        sqlx::query_as("select consent_entry, consent_hash, tenant_id from meeting_heads where meeting_id = $1")
            .bind(saying.meeting.0)
            .fetch_one(&mut *conn)
            .await?;
    let mut entry = Entry {
        meeting: saying.meeting,
        entry: last + 1,
        id: saying.id,
        participant: saying.participant,
        consent_type: saying.consent_type,
        purposes: saying.consent_type.uses().to_vec(),
        status: saying.status,
        actor: saying.actor.clone(),
        statement: saying.statement.clone(),
        timestamp: saying.timestamp.trunc_subsecs(3),
        prev_hash,
        hash: String::new(),
    };
    entry.hash = consent::hash(&entry.prev_hash, &entry.chained());
    let purposes: Vec<&str> = entry.purposes.iter().map(|purpose| purpose.as_str()).collect();
    sqlx::query(
        "insert into consent_log (meeting_id, entry, id, tenant_id, participant_id, consent_type, purposes, status, actor,
                                  statement, timestamp, prev_hash, hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
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
    .execute(&mut *conn)
    .await?;
    sqlx::query("update meeting_heads set consent_entry = $2, consent_hash = $3 where meeting_id = $1")
        .bind(entry.meeting.0)
        .bind(entry.entry)
        .bind(&entry.hash)
        .execute(&mut *conn)
        .await?;
    let event = event::append(conn, entry.meeting, "consent_updated", entry.told()).await?;
    Ok((entry, Some(event)))
}

#[derive(sqlx::FromRow)]
struct Row {
    entry: i64,
    id: Uuid,
    participant_id: Uuid,
    consent_type: String,
    purposes: Vec<String>,
    status: String,
    actor: String,
    statement: Option<String>,
    timestamp: DateTime<Utc>,
    prev_hash: String,
    hash: String,
}

impl Row {
    fn entry(self, meeting: MeetingId) -> Result<Entry> {
        let unknown = |column: &str| {
            StoreError::Other(sqlx::Error::ColumnDecode {
                index: column.to_owned(),
                source: "not one of the words that are written there".into(),
            })
        };
        let purposes = self.purposes.iter().map(|word| Use::ALL.into_iter().find(|purpose| purpose.as_str() == word));
        Ok(Entry {
            meeting,
            entry: self.entry,
            id: ConsentId(self.id),
            participant: ParticipantId(self.participant_id),
            consent_type: ConsentType::parse(&self.consent_type).ok_or_else(|| unknown("consent_type"))?,
            purposes: purposes.collect::<Option<_>>().ok_or_else(|| unknown("purposes"))?,
            status: ConsentStatus::parse(&self.status).ok_or_else(|| unknown("status"))?,
            actor: self.actor,
            statement: self.statement,
            timestamp: self.timestamp,
            prev_hash: self.prev_hash,
            hash: self.hash,
        })
    }
}

/// One entry, by the id that its receiver made.
pub async fn by_id(conn: &mut PgConnection, meeting: MeetingId, id: ConsentId) -> Result<Option<Entry>> {
    let row: Option<Row> = sqlx::query_as(
        "select entry, id, participant_id, consent_type, purposes, status, actor, statement, timestamp, prev_hash, hash
         from consent_log where meeting_id = $1 and id = $2",
    )
    .bind(meeting.0)
    .bind(id.0)
    .fetch_optional(conn)
    .await?;
    row.map(|row| row.entry(meeting)).transpose()
}

/// All entries above `entry`, oldest first; from 0 the whole log.
pub async fn above(conn: &mut PgConnection, meeting: MeetingId, entry: i64) -> Result<Vec<Entry>> {
    let rows: Vec<Row> = sqlx::query_as(ABOVE).bind(meeting.0).bind(entry).fetch_all(conn).await?;
    rows.into_iter().map(|row| row.entry(meeting)).collect()
}

/// One partition, by the meeting.
pub const ABOVE: &str = "select entry, id, participant_id, consent_type, purposes, status, actor, statement, timestamp, \
    prev_hash, hash from consent_log where meeting_id = $1 and entry > $2 order by entry";

/// At most `limit` entries above `entry`, oldest first; only those of `participant` when one is given.
pub async fn page(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: Option<ParticipantId>,
    entry: i64,
    limit: i64,
) -> Result<Vec<Entry>> {
    let rows: Vec<Row> = sqlx::query_as(
        "select entry, id, participant_id, consent_type, purposes, status, actor, statement, timestamp, prev_hash, hash
         from consent_log where meeting_id = $1 and entry > $2 and ($3::uuid is null or participant_id = $3)
         order by entry limit $4",
    )
    .bind(meeting.0)
    .bind(entry)
    .bind(participant.map(|participant| participant.0))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| row.entry(meeting)).collect()
}

/// What everybody last said.
pub async fn standing(conn: &mut PgConnection, meeting: MeetingId) -> Result<Standing> {
    let mut standing = Standing::default();
    for entry in above(conn, meeting, 0).await? {
        standing.apply(entry.participant, &entry.purposes, entry.entry, entry.status);
    }
    Ok(standing)
}

/// Which of `uses` this participant has not accepted, in the same order: `consentRequired[]` under policy `required`.
pub async fn missing(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
    uses: &[Use],
) -> Result<Vec<Use>> {
    let mut standing = Standing::default();
    for entry in page(conn, meeting, Some(participant), 0, i64::MAX).await? {
        standing.apply(entry.participant, &entry.purposes, entry.entry, entry.status);
    }
    Ok(uses.iter().copied().filter(|purpose| !standing.accepts(participant, *purpose)).collect())
}

/// Reads the whole log back and walks its chain to the head's hash; `Ok(Ok(hash))` when it holds.
pub async fn verify(conn: &mut PgConnection, meeting: MeetingId) -> Result<Result<String, Broken>> {
    // A share lock, so that log and head are of one moment.
    let (entries, head): (i64, String) =
        sqlx::query_as("select consent_entry, consent_hash from meeting_heads where meeting_id = $1 for share")
            .bind(meeting.0)
            .fetch_one(&mut *conn)
            .await?;
    let log: Vec<(ChainEntry, String, String)> = above(conn, meeting, 0)
        .await?
        .into_iter()
        .map(|entry| (entry.chained(), entry.prev_hash, entry.hash))
        .collect();
    let walked = consent::verify(meeting, log.iter().map(|(entry, prev, hash)| (entry, prev.as_str(), hash.as_str())));
    Ok(walked.and_then(|hash| {
        // The end was cut off, or the head was changed.
        if hash == head && log.len() as i64 == entries { Ok(hash) } else { Err(Broken::Order(log.len() as i64 + 1)) }
    }))
}
