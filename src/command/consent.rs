//! ConsentDecision something about consent: into the log, with what a refusal takes back.

use super::remove::remove;
use crate::{
    domain::{admission, id::ConsentId, participant::Removal},
    store::{
        Result, StoreError,
        consent::{self, ConsentDecision, Entry},
        effect::Effects,
        erasure, event,
        idempotency::{self, Earlier},
        meeting, retract,
    },
};
use chrono::SubsecRound;
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// What a refusal or withdrawal does at its receipt, before it is written: everybody in the meeting
/// is told, without its place in the log.
pub fn receipt(decision: &ConsentDecision) -> Effects {
    Effects {
        live: vec![decision.event()],
        ..Effects::default()
    }
}

/// What [`record`] wrote.
#[derive(Clone, PartialEq, Debug)]
pub struct Recorded {
    pub entry: Entry,
    /// It was said before, and this is that entry.
    pub before: Option<Before>,
    pub effects: Effects,
}

/// How something had been said before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Before {
    /// By a request with the same key.
    pub replayed: bool,
    /// The last entry of the log, under whose eyes it was found out.
    pub head: i64,
}

/// The decision as it is kept: nothing that somebody writes who is erased.
async fn kept(conn: &mut PgConnection, decision: &ConsentDecision) -> Result<ConsentDecision> {
    let mut kept = decision.clone();
    if kept.statement.is_some() && erasure::is_of(conn, kept.meeting, kept.participant).await? {
        kept.statement = None;
    }
    Ok(kept)
}

/// Says it: appends to the log, takes back what a refusal reaches back over, and carries out what
/// policy `required` says: declining or withdrawing what the meeting turns on removes. Also after
/// the end of the meeting, when it removes nobody.
///
/// What was said before is not said again: by the same id, the same request, or when it is the last
/// that the participant said about this, in the same words. The earliest receipt cuts; whatever was
/// said in between stands. Of somebody who is erased only the decision is kept, no statement.
///
/// # Errors
/// [`StoreError::Conflict`] when the participant is not of this meeting, or the id was used for
/// somebody else's entry. [`StoreError::OtherBody`] and [`StoreError::TooMany`] with nothing
/// written.
pub async fn record(conn: &mut PgConnection, decision: &ConsentDecision) -> Result<Recorded> {
    event::lock(conn, decision.meeting).await?;
    let decision = &kept(conn, decision).await?;
    if let Some((entry, replayed)) = said_before(conn, decision).await? {
        return again(conn, decision, entry, replayed).await;
    }
    let (entry, event) = consent::append(conn, decision).await?;
    if let Some(request) = &decision.once {
        idempotency::keep(conn, request, None, Some(entry.id.0)).await?;
    }
    let mut said = Recorded {
        entry,
        before: None,
        effects: event.into(),
    };
    if decision.status.accepts() {
        return Ok(said);
    }
    said.effects
        .extend(retract::behind(conn, &said.entry, said.entry.timestamp, None).await?);
    let of = meeting::get(conn, decision.meeting)
        .await?
        .ok_or(StoreError::NotFound)?;
    if admission::removes(&of.terms(), &said.entry.purposes) {
        said.effects.extend(
            remove(
                conn,
                decision.meeting,
                decision.participant,
                Removal::Required,
            )
            .await?,
        );
    }
    Ok(said)
}

/// Whether [`record`] would find that this was said before.
pub async fn is_recorded(conn: &mut PgConnection, decision: &ConsentDecision) -> Result<bool> {
    event::lock(conn, decision.meeting).await?;
    let decision = kept(conn, decision).await?;
    Ok(said_before(conn, &decision).await?.is_some())
}

/// Whether the request that says this has made an entry before, by another id. What is being written
/// meanwhile is not seen: it waits for nobody.
pub async fn was_said(conn: &mut PgConnection, decision: &ConsentDecision) -> Result<bool> {
    let Some(request) = &decision.once else {
        return Ok(false);
    };
    let made = idempotency::made(conn, request).await?;
    Ok(made.is_some_and(|id| id != decision.id.0))
}

/// As [`record`], of something that was acknowledged already: it is said whatever its key was used
/// for.
pub async fn record_acknowledged(
    conn: &mut PgConnection,
    decision: &ConsentDecision,
) -> Result<Recorded> {
    match record(conn, decision).await {
        Err(StoreError::OtherBody) => {
            record(
                conn,
                &ConsentDecision {
                    once: None,
                    ..decision.clone()
                },
            )
            .await
        }
        said => said,
    }
}

/// The entry that says this already, and whether a request with the same key made it.
async fn said_before(
    conn: &mut PgConnection,
    decision: &ConsentDecision,
) -> Result<Option<(Entry, bool)>> {
    if let Some(before) = consent::by_id(conn, decision.meeting, decision.id).await? {
        if before.participant != decision.participant || before.status != decision.status {
            return Err(StoreError::Conflict {
                constraint: "consent_log_id".into(),
            });
        }
        return Ok(Some((before, false)));
    }
    if let Some(request) = &decision.once {
        let made = match idempotency::begin_next(conn, request).await? {
            Earlier::None => None,
            Earlier::Running | Earlier::OtherBody => return Err(StoreError::OtherBody),
            Earlier::Answered { response, .. } => {
                response["id"].as_str().and_then(|id| id.parse().ok())
            }
            Earlier::Done { made } => made,
        };
        if let Some(id) = made
            && let Some(before) = consent::by_id(conn, decision.meeting, ConsentId(id)).await?
        {
            return Ok(Some((before, true)));
        }
    }
    let Some(last) = consent::latest(conn, decision.meeting, decision.participant).await? else {
        return Ok(None);
    };
    let entries: BTreeSet<Option<i64>> = decision
        .consent_type
        .uses()
        .iter()
        .map(|purpose| last.entry_of(*purpose))
        .collect();
    let (Some(Some(entry)), 1) = (entries.first().copied(), entries.len()) else {
        return Ok(None);
    };
    let before = consent::above(conn, decision.meeting, entry - 1, 1)
        .await?
        .pop();
    Ok(before
        .filter(|before| is_same(before, decision))
        .map(|before| (before, false)))
}

fn is_same(entry: &Entry, decision: &ConsentDecision) -> bool {
    entry.participant == decision.participant
        && entry.consent_type == decision.consent_type
        && entry.status == decision.status
        && entry.actor == decision.actor
        && entry.statement == decision.statement
}

async fn again(
    conn: &mut PgConnection,
    decision: &ConsentDecision,
    mut entry: Entry,
    replayed: bool,
) -> Result<Recorded> {
    if let (Some(request), false) = (&decision.once, replayed) {
        idempotency::keep(conn, request, None, Some(entry.id.0)).await?;
    }
    let mut effects = Effects::default();
    let at = decision.timestamp.trunc_subsecs(3);
    if !entry.status.accepts() && at < entry.acts_at {
        retract::note_earlier(conn, &entry, at).await?;
        effects = retract::behind(conn, &entry, at, Some(entry.acts_at)).await?;
        entry.acts_at = at;
    }
    let head = event::head(conn, decision.meeting).await?.consent_entry;
    Ok(Recorded {
        entry,
        before: Some(Before { replayed, head }),
        effects,
    })
}
