//! `join_room`: from a credential to a participant, with what the meeting looks like at that
//! instant.

use super::{Signal, message::Join, message::Who, rooms::Ticket, server_message::JoinedData};
use crate::{
    api::token::{Credential, Reader, Subject},
    command::join::{Entered, enter},
    domain::{
        admission::{Barred, EntryBy},
        close_code::Close,
        deletion::Deletable,
        error_code::ErrorCode,
        event::{self as fact, RecordingReport},
        id::{MeetingId, ParticipantId, TenantId},
        participant::{self, Role},
        recording_state::RecordingState,
        settings::RecordingMode,
    },
    store::{StoreError, deletion, event, meeting, presence},
};
use chrono::TimeDelta;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// The longest that joining may take.
const JOIN_MAX: Duration = Duration::from_secs(4);

/// A socket's place in a meeting.
pub(super) struct Joined {
    pub tenant: TenantId,
    pub meeting: MeetingId,
    pub participant: Option<ParticipantId>,
    /// As whom it sees what is told of streams; `None`: everything.
    pub seen_as: Option<ParticipantId>,
    /// How long it may stay, where its token says.
    pub stays: Option<Duration>,
    /// Among the sockets of its participant.
    pub socket: i64,
    pub ticket: Ticket,
    /// The data of `joined`.
    pub data: Value,
    /// The last durable event before the answer.
    pub seq: i64,
    /// Replay what came after this one.
    pub replay_after: i64,
    /// Nothing more will come: close after the replay.
    pub over: bool,
}

/// Why nobody joined. Without `close` the socket may try again.
pub(super) struct NotJoined {
    pub code: ErrorCode,
    pub message: String,
    pub close: Option<Close>,
}

impl NotJoined {
    fn barred(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            close: Some(Close::NotAllowed),
        }
    }

    fn ended() -> Self {
        Self {
            code: ErrorCode::Ended,
            message: "the meeting has ended".into(),
            close: Some(Close::Ended),
        }
    }
}

impl From<StoreError> for NotJoined {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::barred(
                ErrorCode::NotFound,
                "there is no such meeting or participant",
            ),
            error => {
                tracing::warn!(%error, "a socket could not join");
                Self {
                    code: ErrorCode::Unavailable,
                    message: "try again in a moment".into(),
                    close: None,
                }
            }
        }
    }
}

impl From<sqlx::Error> for NotJoined {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl Signal {
    /// `observes`: the tenant of the API key on the upgrade.
    pub(super) async fn join(
        &self,
        join: &Join,
        observes: Option<TenantId>,
    ) -> Result<Joined, NotJoined> {
        let joined = async {
            match &join.who {
                Who::Token(token) => match self.credential(token)? {
                    Credential::Join(subject) => {
                        self.enter(subject, EntryBy::Join(subject.minted), join.last_seq)
                            .await
                    }
                    Credential::Observe(reader) => {
                        let Reader {
                            tenant, meeting, ..
                        } = reader;
                        self.observe(tenant, meeting, join.last_seq, Some(reader))
                            .await
                    }
                    _ => Err(NotJoined::barred(
                        ErrorCode::Unauthorized,
                        "token is a join token or one to observe",
                    )),
                },
                Who::Resume(token) => match self.credential(token)? {
                    Credential::Resume(subject) => {
                        self.enter(subject, EntryBy::Resume(subject.minted), join.last_seq)
                            .await
                    }
                    _ => Err(NotJoined::barred(
                        ErrorCode::Unauthorized,
                        "resumeToken is a resume token",
                    )),
                },
                Who::Observer(meeting) => match observes {
                    Some(tenant) => self.observe(tenant, *meeting, join.last_seq, None).await,
                    None => Err(NotJoined::barred(
                        ErrorCode::Forbidden,
                        "to observe, open the socket with an API key",
                    )),
                },
            }
        };
        tokio::time::timeout(JOIN_MAX, joined)
            .await
            .unwrap_or_else(|_| {
                Err(NotJoined {
                    code: ErrorCode::Unavailable,
                    message: "it took too long, try again".into(),
                    close: None,
                })
            })
    }

    fn credential(&self, token: &str) -> Result<Credential, NotJoined> {
        let state = self.state();
        state
            .keys
            .read(token, state.clock.now())
            .map_err(|refused| NotJoined::barred(ErrorCode::Unauthorized, refused.to_string()))
    }

    async fn enter(
        &self,
        subject: Subject,
        by: EntryBy,
        last_seq: Option<i64>,
    ) -> Result<Joined, NotJoined> {
        let Subject {
            tenant,
            meeting,
            participant,
            role,
            ..
        } = subject;
        let state = self.state();
        // Listening begins before the picture is taken, so that nothing falls between.
        let ticket = self.rooms().enter(tenant, meeting).await;
        let mut tx = state.store.tenant_tx(tenant).await?;
        let entered = match enter(&mut tx, meeting, participant, by).await? {
            Ok(entered) => entered,
            Err(barred) => {
                // What a removed participant still has is told to it by REST only.
                let code = ErrorCode::from(&barred);
                return Err(match barred {
                    Barred::Ended => NotJoined::ended(),
                    Barred::Removed => NotJoined::barred(code, "the participant was removed"),
                    Barred::Absent => NotJoined::barred(code, "the participant left; join again"),
                    Barred::ConsentRequired(missing) => {
                        let missing: Vec<_> =
                            missing.iter().map(|purpose| purpose.as_str()).collect();
                        NotJoined::barred(code, format!("accept {} first", missing.join(" and ")))
                    }
                });
            }
        };
        // Under the head's lock: participants, state and seq are of one instant.
        let picture = Picture::take(&mut tx, meeting).await?;
        let first = event::before_first_join(&mut tx, meeting, participant)
            .await?
            .unwrap_or(picture.seq);
        tx.commit().await?;
        let Entered {
            person,
            socket,
            effects,
        } = entered;
        state.publish(meeting, effects);
        let now = state.clock.now();
        let subject = Subject {
            role,
            minted: now,
            ..subject
        };
        let of_itself = Subject {
            role: Role::Participant,
            ..subject
        };
        let data = fact::data(&JoinedData {
            participant_id: Some(participant),
            participants: picture.participants_for(Some(participant)),
            consent: Some(person.consent),
            recording: picture.recording,
            ice_servers: state.ice.told(Some(participant), now),
            resume_token: Some(state.keys.mint_resume(subject, now)),
            consent_token: Some(state.keys.mint_consent(of_itself, now)),
            seq: picture.seq,
        });
        let replay_after = last_seq
            .map_or(picture.seq, |last| last.max(first))
            .min(picture.seq);
        Ok(Joined {
            tenant,
            meeting,
            participant: Some(participant),
            seen_as: Some(participant),
            stays: None,
            socket,
            ticket,
            data,
            seq: picture.seq,
            replay_after,
            over: false,
        })
    }

    async fn observe(
        &self,
        tenant: TenantId,
        meeting: MeetingId,
        last_seq: Option<i64>,
        by: Option<Reader>,
    ) -> Result<Joined, NotJoined> {
        let state = self.state();
        // Rooms are made for meetings of the caller's tenant only.
        let mut tx = state.store.tenant_tx(tenant).await?;
        meeting::of(&mut tx, tenant, meeting)
            .await?
            .ok_or(StoreError::NotFound)?;
        let what = Deletable::Meeting;
        if deletion::tombstone(&mut tx, meeting, what, meeting.0)
            .await?
            .is_some()
        {
            return Err(NotJoined::barred(
                ErrorCode::Gone,
                "the meeting was deleted",
            ));
        }
        drop(tx);
        let ticket = self.rooms().enter(tenant, meeting).await;
        let mut tx = state.store.tenant_tx(tenant).await?;
        event::lock(&mut tx, meeting).await?;
        let picture = Picture::take(&mut tx, meeting).await?;
        let first = match by {
            Some(reader) => event::before(&mut tx, meeting, reader.minted).await?,
            None => 0,
        };
        tx.commit().await?;
        let now = state.clock.now();
        if picture
            .end_time
            .is_some_and(|end| now > end + TimeDelta::hours(event::KEPT_AFTER_END_H))
        {
            return Err(NotJoined::ended());
        }
        // Where media is received is for the tenant's server, not for those whom it lets look on.
        let seen_as = by.map(|_| ParticipantId(Uuid::nil()));
        let data = fact::data(&JoinedData {
            participant_id: None,
            participants: picture.participants_for(seen_as),
            consent: None,
            recording: picture.recording,
            ice_servers: state.ice.told(None, now),
            resume_token: None,
            consent_token: None,
            seq: picture.seq,
        });
        let replay_after = last_seq
            .map_or(picture.seq, |last| last.max(first))
            .min(picture.seq);
        Ok(Joined {
            tenant,
            meeting,
            participant: None,
            seen_as,
            stays: by.map(|reader| (reader.expires - now).to_std().unwrap_or_default()),
            socket: 0,
            ticket,
            data,
            seq: picture.seq,
            replay_after,
            over: picture.over,
        })
    }
}

/// A meeting at one instant.
struct Picture {
    participants: Vec<Value>,
    recording: Value,
    seq: i64,
    end_time: Option<chrono::DateTime<chrono::Utc>>,
    /// Ended, and how it came out was told.
    over: bool,
}

impl Picture {
    fn participants_for(&self, whom: Option<ParticipantId>) -> Vec<Value> {
        self.participants
            .iter()
            .map(|person| participant::seen_by(whom, person.clone()))
            .collect()
    }

    async fn take(conn: &mut sqlx::PgConnection, meeting: MeetingId) -> Result<Self, StoreError> {
        let of = meeting::get(conn, meeting)
            .await?
            .ok_or(StoreError::NotFound)?;
        let people = presence::people(conn, meeting).await?;
        let state = event::recording_state(conn, meeting).await?;
        let head = event::head(conn, meeting).await?;
        let over = of.ended()
            && state.as_ref().is_some_and(|state| {
                state
                    .recording_state()
                    .is_some_and(RecordingState::is_outcome)
                    && of.end_time.is_some_and(|end| state.at >= end)
            });
        // Before the worker's first word: what it will say of a meeting in which nobody agreed.
        let unsaid = || {
            let state = if of.settings.recording == RecordingMode::Off {
                RecordingState::Off
            } else {
                RecordingState::Waiting
            };
            fact::data(&RecordingReport::idle(state, None, 0))
        };
        Ok(Self {
            participants: people
                .iter()
                .filter(|person| person.joined_at.is_some())
                .map(fact::data)
                .collect(),
            recording: state.map_or_else(unsaid, |state| state.data),
            seq: head.seq,
            end_time: of.end_time,
            over,
        })
    }
}
