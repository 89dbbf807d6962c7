//! Redactions: who is to be taken out of what was recorded and said, and what became of it. Whoever
//! makes files or words of a meeting asks [`acting`] what is left out of them.

use super::{Result, StoreError, new_id, word::word};
use crate::domain::{
    consent::Use,
    id::{MeetingId, ParticipantId, TenantId},
    recording::RecordingKind,
    redaction::{Cut, REDACTIONS_MAX, RedactionState, span},
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, Row, postgres::PgRow, types::Json};
use uuid::Uuid;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asking {
    pub participant: ParticipantId,
    pub purposes: Vec<Use>,
    /// MeetingTime; `None`: from the beginning.
    pub from_ms: Option<i64>,
    /// `None`: to the end.
    pub to_ms: Option<i64>,
    pub reason: Option<String>,
    /// `api_key:<id>`, `user:<id>` or `participant:<id>`.
    pub author: String,
    /// Nobody has to approve it.
    pub approved: bool,
    /// Whose part it is.
    pub erasure: Option<Uuid>,
}

/// A redaction as it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Redaction {
    pub id: Uuid,
    pub meeting: MeetingId,
    pub tenant: TenantId,
    pub participant: ParticipantId,
    pub purposes: Vec<Use>,
    pub from_ms: Option<i64>,
    pub to_ms: Option<i64>,
    pub reason: Option<String>,
    pub author: String,
    pub asked_at: DateTime<Utc>,
    pub state: RedactionState,
    pub decided_by: Option<String>,
    pub decision_reason: Option<String>,
    /// Its words are gone, and `files` and `objects` are known.
    pub begun: bool,
    /// The recordings before, by their ids.
    pub files: Vec<Before>,
    /// Keys of all objects that held what goes.
    pub objects: Vec<String>,
    pub segments: i32,
    pub error: Option<String>,
    pub completed_at: Option<DateTime<Utc>>,
    pub spools_outstanding: i64,
    /// Spools that were declared destroyed when it was completed.
    pub spools_destroyed: i64,
    pub certificate: Option<Value>,
    pub jws: Option<String>,
    /// Its entry in the ledger; `None`: it is still to be written.
    pub ledger: Option<i64>,
    /// The person's, that it is part of.
    pub erasure: Option<Uuid>,
    /// Of what the ledger was told last: the hash of the files made.
    pub told_files: Option<String>,
    /// And the keys of the objects that go.
    pub told_objects: Vec<String>,
}

/// A recording that a redaction changes, as it was before.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Before {
    pub id: Uuid,
    pub kind: RecordingKind,
    pub sha256: Option<String>,
}

impl Redaction {
    pub fn cut(&self) -> Cut {
        Cut {
            participant: self.participant,
            purposes: self.purposes.clone(),
            span: span(self.from_ms, self.to_ms),
        }
    }

    /// Whether sound is taken out.
    pub fn is_of_sound(&self) -> bool {
        self.purposes.contains(&Use::Recording)
    }
}

fn uses(row: &PgRow) -> sqlx::Result<Vec<Use>> {
    let purposes: Vec<String> = row.try_get("purposes")?;
    let purposes = purposes.iter().map(|purpose| purpose.parse::<Use>());
    purposes
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| sqlx::Error::ColumnDecode {
            index: "purposes".to_owned(),
            source: Box::new(error),
        })
}

impl FromRow<'_, PgRow> for Redaction {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            meeting: MeetingId(row.try_get("meeting_id")?),
            tenant: TenantId(row.try_get("tenant_id")?),
            participant: ParticipantId(row.try_get("participant_id")?),
            purposes: uses(row)?,
            from_ms: row.try_get("from_ms")?,
            to_ms: row.try_get("to_ms")?,
            reason: row.try_get("reason")?,
            author: row.try_get("author")?,
            asked_at: row.try_get("asked_at")?,
            state: word(row, "state")?,
            decided_by: row.try_get("decided_by")?,
            decision_reason: row.try_get("decision_reason")?,
            begun: row.try_get("begun")?,
            files: row.try_get::<Json<_>, _>("files")?.0,
            objects: row.try_get("objects")?,
            segments: row.try_get("segments")?,
            error: row.try_get("error")?,
            completed_at: row.try_get("completed_at")?,
            spools_outstanding: row.try_get("spools_outstanding")?,
            spools_destroyed: row.try_get("spools_destroyed")?,
            certificate: row.try_get("certificate")?,
            jws: row.try_get("jws")?,
            ledger: row.try_get("ledger_n")?,
            erasure: row.try_get("erasure_id")?,
            told_files: row.try_get("told_files")?,
            told_objects: row.try_get("told_objects")?,
        })
    }
}

/// Notes it, `asked` or `waiting`. Under the meeting's head.
///
/// # Errors
/// [`StoreError::TooMany`].
pub async fn ask(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    asking: &Asking,
) -> Result<Redaction> {
    let before: i64 = sqlx::query_scalar("select count(*) from redactions where meeting_id = $1")
        .bind(meeting.0)
        .fetch_one(&mut *conn)
        .await?;
    if before >= REDACTIONS_MAX {
        return Err(StoreError::TooMany("a meeting has at most 1000 redactions"));
    }
    let state = if asking.approved {
        RedactionState::Waiting
    } else {
        RedactionState::Asked
    };
    let purposes: Vec<&str> = asking.purposes.iter().map(|one| one.as_str()).collect();
    Ok(sqlx::query_as(
        "insert into redactions (meeting_id, id, tenant_id, participant_id, purposes, from_ms, to_ms, reason, author, state,
             erasure_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning *",
    )
    .bind(meeting.0)
    .bind(new_id())
    .bind(tenant.0)
    .bind(asking.participant.0)
    .bind(purposes)
    .bind(asking.from_ms)
    .bind(asking.to_ms)
    .bind(&asking.reason)
    .bind(&asking.author)
    .bind(state.as_str())
    .bind(asking.erasure)
    .fetch_one(conn)
    .await?)
}

pub async fn get(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: Uuid,
) -> Result<Option<Redaction>> {
    Ok(
        sqlx::query_as("select * from redactions where meeting_id = $1 and id = $2")
            .bind(meeting.0)
            .bind(id)
            .fetch_optional(conn)
            .await?,
    )
}

/// The newest of this participant that this author asked for with these purposes, unless it was
/// declined.
pub async fn by(
    conn: &mut PgConnection,
    meeting: MeetingId,
    (participant, author): (ParticipantId, &str),
    purposes: &[Use],
) -> Result<Option<Redaction>> {
    let purposes: Vec<&str> = purposes.iter().map(|one| one.as_str()).collect();
    Ok(sqlx::query_as(
        "select * from redactions where meeting_id = $1 and participant_id = $4 and author = $2 and purposes = $3
             and from_ms is null and to_ms is null and state <> 'declined'
         order by id desc limit 1",
    )
    .bind(meeting.0)
    .bind(author)
    .bind(purposes)
    .bind(participant.0)
    .fetch_optional(conn)
    .await?)
}

/// At most `limit` before `before`, newest first.
pub async fn list(
    conn: &mut PgConnection,
    meeting: MeetingId,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Redaction>> {
    Ok(sqlx::query_as(
        "select * from redactions where meeting_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3",
    )
    .bind(meeting.0)
    .bind(before)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// What is left out of everything that is made of the meeting from now on.
pub async fn acting(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<Cut>> {
    // Not their certificates and lists of objects.
    let rows = sqlx::query(
        "select participant_id, purposes, from_ms, to_ms, state from redactions where meeting_id = $1",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    let mut acting = Vec::new();
    for row in &rows {
        if word::<RedactionState>(row, "state")?.acts() {
            acting.push(Cut {
                participant: ParticipantId(row.try_get("participant_id")?),
                purposes: uses(row)?,
                span: span(row.try_get("from_ms")?, row.try_get("to_ms")?),
            });
        }
    }
    Ok(acting)
}

/// Those that are approved and not done everywhere, oldest first.
pub async fn open(conn: &mut PgConnection, meeting: MeetingId) -> Result<Vec<Redaction>> {
    let open: Vec<Redaction> = sqlx::query_as(
        "select * from redactions where meeting_id = $1 and (completed_at is null or spools_outstanding > 0) order by id",
    )
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    Ok(open
        .into_iter()
        .filter(|redaction| redaction.state.acts())
        .collect())
}

/// Whether one is being carried out: approved and not completed, whatever lies in spools that are
/// away.
pub async fn is_running(conn: &mut PgConnection, meeting: MeetingId) -> Result<bool> {
    let open = open(conn, meeting).await?;
    Ok(open
        .iter()
        .any(|redaction| redaction.completed_at.is_none()))
}

/// Somebody decided about one that was asked for; `None`: it is not `asked`.
pub async fn decide(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: Uuid,
    state: RedactionState,
    author: &str,
    reason: Option<&str>,
) -> Result<Option<Redaction>> {
    Ok(sqlx::query_as(
        "update redactions set state = $3, decided_by = $4, decision_reason = $5
         where meeting_id = $1 and id = $2 and state = 'asked' returning *",
    )
    .bind(meeting.0)
    .bind(id)
    .bind(state.as_str())
    .bind(author)
    .bind(reason)
    .fetch_optional(conn)
    .await?)
}

/// It has begun: what it changes, and how many segments it took back.
pub async fn begin(
    conn: &mut PgConnection,
    redaction: &Redaction,
    state: RedactionState,
    files: &[Before],
    objects: &[String],
    segments: usize,
) -> Result<()> {
    sqlx::query(
        "update redactions set state = $6, begun = true, files = $3, objects = $4, segments = $5
         where meeting_id = $1 and id = $2",
    )
    .bind(redaction.meeting.0)
    .bind(redaction.id)
    .bind(Json(files))
    .bind(objects)
    .bind(i32::try_from(segments).unwrap_or(i32::MAX))
    .bind(state.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

/// Objects that hold what goes turned out to be there, too.
pub async fn hold(
    conn: &mut PgConnection,
    redaction: &Redaction,
    objects: &[String],
) -> Result<()> {
    sqlx::query(
        "update redactions set objects = array(select distinct unnest(objects || $3) order by 1)
         where meeting_id = $1 and id = $2",
    )
    .bind(redaction.meeting.0)
    .bind(redaction.id)
    .bind(objects)
    .execute(conn)
    .await?;
    Ok(())
}

/// How far it is, and what keeps it.
pub async fn progress(
    conn: &mut PgConnection,
    redaction: &Redaction,
    state: RedactionState,
    error: Option<&str>,
) -> Result<()> {
    sqlx::query(
        "update redactions set state = $3, error = $4
         where meeting_id = $1 and id = $2 and completed_at is null and (state, error) is distinct from ($3, $4)",
    )
    .bind(redaction.meeting.0)
    .bind(redaction.id)
    .bind(state.as_str())
    .bind(error)
    .execute(conn)
    .await?;
    Ok(())
}

/// It is done, and this is signed.
pub async fn complete(
    conn: &mut PgConnection,
    redaction: &Redaction,
    completed_at: DateTime<Utc>,
    (outstanding, destroyed): (i64, i64),
    certificate: &Value,
    jws: &str,
) -> Result<()> {
    sqlx::query(
        "update redactions set state = 'done', error = null, completed_at = $3, spools_outstanding = $4, certificate = $5,
             jws = $6, spools_destroyed = $7
         where meeting_id = $1 and id = $2",
    )
    .bind(redaction.meeting.0)
    .bind(redaction.id)
    .bind(completed_at)
    .bind(outstanding)
    .bind(certificate)
    .bind(jws)
    .bind(destroyed)
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes the answers that are kept for repeated requests about the meeting, but those about its
/// redactions.
pub async fn erase_answers(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
) -> Result<()> {
    sqlx::query(
        "delete from idempotency_keys
         where tenant_id = $1 and route like '%/' || $2::text || '%' and route not like '%/redactions%'",
    )
    .bind(tenant.0)
    .bind(meeting.to_string())
    .execute(conn)
    .await?;
    Ok(())
}
