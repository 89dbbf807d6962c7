//! Coming in: admission (the participant and its tokens) over REST, then presence, by a socket or
//! by a first stream.

use super::Refused;
use crate::{
    domain::{
        admission::{self, Barred, EntryBy, ParticipantRecord},
        consent::Use,
        event::Event,
        id::{MeetingId, ParticipantId, TenantId, UserId},
        job::JobKind,
        participant::{Person, Role},
    },
    store::{
        Result, StoreError,
        effect::Effects,
        event, job,
        meeting::{self, Meeting},
        participant::{self, Participant},
        presence::{self, person},
        user,
    },
};
use sqlx::PgConnection;
use uuid::Uuid;

/// Who asks to be admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entrant<'a> {
    User(UserId),
    /// Each is a user of its own.
    Guest {
        link: Uuid,
        role: Role,
        name: &'a str,
    },
}

/// Somebody for whom tokens may be minted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admitted {
    pub participant: Participant,
    /// Under policy `required`: what it has not accepted yet.
    pub missing: Vec<Use>,
}

/// The participant of whoever joins; a guest becomes a user first.
pub async fn admit(
    conn: &mut PgConnection,
    of: &Meeting,
    comes: Entrant<'_>,
) -> Result<Admitted, Refused> {
    if of.ended() {
        return Err(Barred::Ended.into());
    }
    let (tenant, meeting): (TenantId, MeetingId) = (of.tenant(), of.id());
    let participant = match comes {
        Entrant::User(user) => {
            let role = if of.hosted_by(user) {
                Role::Host
            } else {
                Role::Participant
            };
            participant::ensure(conn, tenant, meeting, user, role).await?
        }
        Entrant::Guest { link, role, name } => {
            // Under the head's lock, as removals are: who is removed now closes the link for
            // whoever comes now.
            event::lock(conn, meeting).await?;
            if participant::is_link_closed(conn, meeting, link).await? {
                return Err(Refused::LinkClosed);
            }
            let user = UserId(user::insert(conn, tenant, None, name).await?.id);
            participant::guest(conn, tenant, meeting, user, role, link).await?
        }
    };
    admitted(of, participant)
}

/// As [`admit`], of somebody who was admitted before.
pub async fn admit_again(
    conn: &mut PgConnection,
    of: &Meeting,
    made: ParticipantId,
) -> Result<Admitted, Refused> {
    let participant = participant::get(conn, of.id(), made)
        .await?
        .ok_or(Refused::NoParticipant)?;
    admitted(of, participant)
}

fn admitted(of: &Meeting, participant: Participant) -> Result<Admitted, Refused> {
    let (terms, record) = (of.terms(), participant.record());
    admission::may_join(&terms, record.removed)?;
    Ok(Admitted {
        missing: admission::required(&terms, &record.consent),
        participant,
    })
}

/// What coming in changed.
#[derive(Clone, PartialEq, Debug)]
pub struct Entered {
    pub person: Person,
    /// The number of this socket among the participant's own; 0 for a stream. The highest is the
    /// one that counts.
    pub socket: i64,
    /// Of a socket: earlier ones of the participant are closed. No events when it was present
    /// already.
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
    if let Err(barred) = admission::enter(&of.terms(), &ParticipantRecord::from(&before), by) {
        return Ok(Err(barred));
    }
    let (socket, mut effects) = if by == EntryBy::Stream {
        (0, Effects::default())
    } else {
        let socket = presence::count_socket(conn, meeting, participant).await?;
        (socket, Effects::replaced(participant, socket))
    };
    if before.present {
        return Ok(Ok(Entered {
            person: before,
            socket,
            effects,
        }));
    }
    presence::came(conn, &of, participant).await?;
    let (capture, made) = job::ensure_capture(conn, meeting).await?;
    meeting::bump_roster(conn, meeting).await?;
    let person = person(conn, meeting, participant).await?;
    let joined = event::append(conn, meeting, &Event::ParticipantJoined(person.clone())).await?;
    presence::joined_at(conn, meeting, participant, joined.seq).await?;
    effects.events.push(joined);
    effects
        .jobs
        .extend(made.then_some((JobKind::Capture, capture)));
    Ok(Ok(Entered {
        person,
        socket,
        effects,
    }))
}
