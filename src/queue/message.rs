//! What `api` and `capture` say to each other. JSON on the wire; not domain types, and only ids,
//! times and words that the receiver may see anyway.

use crate::domain::{
    admission::Barred,
    close_code::{Close, Whom},
    consent::{ConsentStatus, ConsentType},
    event::EventKind,
    id::{ConsentId, JobId, ParticipantId, Request, StreamId},
    refusal::RefusalCode,
    stream::{CloseReason, MediaReason, StreamMedia},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, net::SocketAddr};
use uuid::Uuid;

/// A row of `jobs` may be ready. Only a wake-up: the row is the job, and says what it is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wake {
    pub job: JobId,
}

/// From an `api` to the worker that holds a meeting, and between workers; each is answered by one
/// [`Reply`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum Ask {
    /// To a process rather than a meeting: is it alive?
    Alive,
    /// The log, the roster, the streams or the meeting's status changed: read again. Only a hint.
    Changed,
    /// Which participants have a socket at this `api` process: on every change, and every 2 s.
    Sockets {
        api: Uuid,
        participants: Vec<ParticipantId>,
    },
    /// A withdrawal or refusal, told before it is durable. `received_at` is its receipt at the
    /// `api`, on Postgres's clock. With `journal` the worker must write it down itself, because the
    /// `api` cannot reach Postgres. May come any number of times, to each holder of the meeting.
    Withdraw {
        id: ConsentId,
        participant: ParticipantId,
        consent_type: ConsentType,
        status: ConsentStatus,
        actor: String,
        statement: Option<String>,
        received_at: DateTime<Utc>,
        /// The request that said it, when that named a key.
        #[serde(default)]
        once: Option<Request>,
        journal: bool,
    },
    /// A row of `streams` in state `asked` wants a port.
    OpenStream { stream: StreamId },
    CloseStream {
        stream: StreamId,
        reason: CloseReason,
    },
    /// How is each stream received?
    Streams,
    /// An offer, answer or candidate of a participant.
    Signal {
        participant: ParticipantId,
        message: Value,
    },
    /// A participant that publishes by WHIP, about this session of it.
    Whip {
        participant: ParticipantId,
        session: Uuid,
        asks: WhipAsk,
    },
}

/// What is asked of a session of WHIP. Offers are answered as those of [`Ask::Signal`] are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum WhipAsk {
    /// Begin it.
    Publish { sdp: String },
    /// Is its ICE session called so?
    Match { name: String },
    /// Begin another ICE session, with these credentials of the client's.
    Restart { ufrag: String, password: String },
    /// End it.
    Close,
}

impl Ask {
    /// What nothing else may keep out.
    pub fn is_withdrawal(&self) -> bool {
        matches!(self, Self::Withdraw { .. })
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum Reply {
    Done,
    /// The withdrawal acts; `journalled` when it was also written to the worker's journal and
    /// flushed to disk.
    Withdrawn {
        journalled: bool,
    },
    Stream {
        ip: String,
        port: u16,
    },
    Streams {
        streams: Vec<StreamNow>,
    },
    /// What is said to a participant's offer: the envelope's `type` and `data`.
    Signal {
        kind: String,
        data: Value,
    },
    Error {
        code: RefusalCode,
        message: String,
    },
}

impl Reply {
    pub fn refuse(code: RefusalCode, message: impl Into<String>) -> Self {
        Self::Error {
            code,
            message: message.into(),
        }
    }

    /// To whose participant may not come in.
    pub fn barred(barred: &Barred) -> Self {
        let (code, message) = RefusalCode::of_entry(barred);
        Self::refuse(code, message)
    }
}

/// How one open stream is received.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamNow {
    pub stream: StreamId,
    pub media: StreamMedia,
    /// Why it is stalled.
    pub reason: Option<MediaReason>,
    /// Where its media comes from.
    pub from: Option<SocketAddr>,
    pub ssrc: Option<u32>,
    /// Taken.
    pub packets: u64,
    pub dropped: BTreeMap<String, u64>,
    /// Sent and not come.
    pub lost: u64,
    pub last_packet_at: Option<DateTime<Utc>>,
}

/// To every `api` process with sockets of the meeting.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum Published {
    /// A durable event, already committed. A hole in `seq` means: read the missing ones from the
    /// store.
    Event {
        seq: i64,
        kind: EventKind,
        at: DateTime<Utc>,
        data: Value,
    },
    /// Not durable: a partial, or a withdrawal told before its commit. `to` restricts it to one
    /// participant's sockets.
    Live {
        kind: String,
        data: Value,
        to: Option<ParticipantId>,
    },
    /// Close sockets with this code.
    Close {
        #[serde(rename = "code")]
        close: Close,
        whom: Whom,
    },
    /// The participant has a newer socket, its `socket`-th: close those with a lower number,
    /// wherever they are.
    Replaced {
        participant: ParticipantId,
        socket: i64,
    },
}
