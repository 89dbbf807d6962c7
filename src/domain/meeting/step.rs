//! What a running meeting is told, and what it asks the shell to do.

use crate::recording_state::State;
use crate::{
    consent::{ConsentStatus, Use},
    gate::Entry,
    id::{ConsentId, ParticipantId, StreamId},
    stream::CloseReason,
    time::MeetingTime,
};
use uuid::Uuid;

/// Who the store says is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    pub participant: ParticipantId,
    pub present: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// The whole roster as stored.
    Roster(Vec<Listed>),
    /// Entries read from the ConsentLog, oldest first.
    Consent(Vec<Entry>),
    /// A withdrawal or refusal that is not durable yet, received at `at`.
    Withdrawn {
        id: ConsentId,
        participant: ParticipantId,
        uses: Vec<Use>,
        status: ConsentStatus,
        at: MeetingTime,
    },
    /// A withdrawal had been said before, under another id: what the log says up to the entry
    /// `head` stands.
    SaidBefore {
        id: ConsentId,
        head: i64,
    },
    /// All sockets that one `api` process has.
    Sockets {
        api: Uuid,
        participants: Vec<ParticipantId>,
    },
    StreamOpened {
        stream: StreamId,
        participant: ParticipantId,
    },
    /// The same of a peer connection.
    PeerStreamOpened {
        stream: StreamId,
        participant: ParticipantId,
    },
    /// RTP or RTCP came, or an ICE check of its peer. `media`: RTP, which revokes a goodbye.
    StreamAlive {
        stream: StreamId,
        media: bool,
    },
    /// Its sender said goodbye.
    StreamBye {
        stream: StreamId,
    },
    StreamClosed {
        stream: StreamId,
    },
    /// Whether what is admitted of somebody is kept, or lost because it cannot be written.
    Kept {
        participant: ParticipantId,
        kept: bool,
    },
    /// Since when nobody could tell us of a withdrawal, because neither the queue nor Postgres
    /// answers; `None`: one does.
    Unreachable {
        since: Option<MeetingTime>,
    },
    /// By request, or because the store says it ended.
    End,
    Tick,
}

/// What the shell has to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    CloseStream {
        stream: StreamId,
        reason: CloseReason,
    },
    /// Store that the participant is no longer present. `removed`: by policy `required`.
    Leave {
        participant: ParticipantId,
        removed: bool,
    },
    /// Store and tell `recording_state`.
    Tell(State),
    /// The doors of this participant changed: seal open segments, look again at what is inside.
    Recheck { participant: Option<ParticipantId> },
    /// The meeting is over. `stored`: the store knew already.
    End { stored: bool },
}
