//! Saying something about consent: into the log, with what a refusal takes back.

use super::remove::remove;
use crate::{
    domain::{admission, id::ConsentId, participant::Removal},
    store::{
        Result, StoreError,
        consent::{self, Entry, Saying},
        effect::Effects,
        event,
        idempotency::{self, Earlier},
        meeting, retract,
    },
};
use chrono::SubsecRound;
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// What a refusal or withdrawal does at its receipt, before it is written: everybody in the meeting
/// is told, without its place in the log.
pub fn receipt(saying: &Saying) -> Effects {
    Effects {
        live: vec![saying.told()],
        ..Effects::default()
    }
}

/// What [`say`] wrote.
#[derive(Clone, PartialEq, Debug)]
pub struct Said {
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

/// Says it: appends to the log, takes back what a refusal reaches back over, and carries out what
/// policy `required` says: declining or withdrawing what the meeting turns on removes. Also after
/// the end of the meeting, when it removes nobody.
///
/// What was said before is not said again: by the same id, the same request, or when it is the last
/// that the participant said about this, in the same words. The earliest receipt cuts; whatever was
/// said in between stands.
///
/// # Errors
/// [`StoreError::Conflict`] when the participant is not of this meeting, or the id was used for
/// somebody else's entry. [`StoreError::OtherBody`] and [`StoreError::TooMany`] with nothing
/// written.
pub async fn say(conn: &mut PgConnection, saying: &Saying) -> Result<Said> {
    event::lock(conn, saying.meeting).await?;
    if let Some((entry, replayed)) = said_before(conn, saying).await? {
        return again(conn, saying, entry, replayed).await;
    }
    let (entry, event) = consent::append(conn, saying).await?;
    if let Some(request) = &saying.once {
        idempotency::keep(conn, request, None, Some(entry.id.0)).await?;
    }
    let mut said = Said {
        entry,
        before: None,
        effects: event.into(),
    };
    if saying.status.accepts() {
        return Ok(said);
    }
    said.effects
        .extend(retract::behind(conn, &said.entry, said.entry.timestamp, None).await?);
    let of = meeting::get(conn, saying.meeting)
        .await?
        .ok_or(StoreError::NotFound)?;
    if admission::removes(&of.terms(), &said.entry.purposes) {
        said.effects
            .extend(remove(conn, saying.meeting, saying.participant, Removal::Required).await?);
    }
    Ok(said)
}

/// Whether [`say`] would find that this was said before.
pub async fn was_said(conn: &mut PgConnection, saying: &Saying) -> Result<bool> {
    event::lock(conn, saying.meeting).await?;
    Ok(said_before(conn, saying).await?.is_some())
}

/// As [`say`], of something that was acknowledged already: it is said whatever its key was used
/// for.
pub async fn say_acknowledged(conn: &mut PgConnection, saying: &Saying) -> Result<Said> {
    match say(conn, saying).await {
        Err(StoreError::OtherBody) => {
            say(
                conn,
                &Saying {
                    once: None,
                    ..saying.clone()
                },
            )
            .await
        }
        said => said,
    }
}

/// The entry that says this already, and whether a request with the same key made it.
async fn said_before(conn: &mut PgConnection, saying: &Saying) -> Result<Option<(Entry, bool)>> {
    if let Some(before) = consent::by_id(conn, saying.meeting, saying.id).await? {
        if before.participant != saying.participant || before.status != saying.status {
            return Err(StoreError::Conflict {
                constraint: "consent_log_id".into(),
            });
        }
        return Ok(Some((before, false)));
    }
    if let Some(request) = &saying.once {
        let made = match idempotency::begin(conn, request).await? {
            Earlier::None => None,
            // Whoever writes with this key holds the head's lock; another meeting's head is another
            // body.
            Earlier::Running | Earlier::OtherBody => return Err(StoreError::OtherBody),
            Earlier::Answered { response, .. } => {
                response["id"].as_str().and_then(|id| id.parse().ok())
            }
            Earlier::Done { made } => made,
        };
        if let Some(id) = made
            && let Some(before) = consent::by_id(conn, saying.meeting, ConsentId(id)).await?
        {
            return Ok(Some((before, true)));
        }
    }
    let Some(last) = consent::latest(conn, saying.meeting, saying.participant).await? else {
        return Ok(None);
    };
    let entries: BTreeSet<Option<i64>> = saying
        .consent_type
        .uses()
        .iter()
        .map(|purpose| last.entry_of(*purpose))
        .collect();
    let (Some(Some(entry)), 1) = (entries.first().copied(), entries.len()) else {
        return Ok(None);
    };
    let before = consent::above(conn, saying.meeting, entry - 1, 1)
        .await?
        .pop();
    Ok(before
        .filter(|before| is_same(before, saying))
        .map(|before| (before, false)))
}

fn is_same(entry: &Entry, saying: &Saying) -> bool {
    entry.participant == saying.participant
        && entry.consent_type == saying.consent_type
        && entry.status == saying.status
        && entry.actor == saying.actor
        && entry.statement == saying.statement
}

async fn again(
    conn: &mut PgConnection,
    saying: &Saying,
    mut entry: Entry,
    replayed: bool,
) -> Result<Said> {
    if let (Some(request), false) = (&saying.once, replayed) {
        idempotency::keep(conn, request, None, Some(entry.id.0)).await?;
    }
    let mut effects = Effects::default();
    let at = saying.timestamp.trunc_subsecs(3);
    if !entry.status.accepts() && at < entry.acts_at {
        retract::note_earlier(conn, &entry, at).await?;
        effects = retract::behind(conn, &entry, at, Some(entry.acts_at)).await?;
        entry.acts_at = at;
    }
    let head = event::head(conn, saying.meeting).await?.consent_entry;
    Ok(Said {
        entry,
        before: Some(Before { replayed, head }),
        effects,
    })
}
