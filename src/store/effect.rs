//! What a transaction has to do outside once it is committed.

use super::event::StoredEvent;
use crate::domain::{
    close_code::{Close, Whom},
    event::Event,
    id::{JobId, ParticipantId, StreamId},
    job::JobKind,
    stream::CloseReason,
};

/// Events to publish, sockets to close, streams to let go of and jobs to wake for: carried out
/// after commit, by `published::publish` alone.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Effects {
    /// The participant has a newer socket, of this number: those with a lower one are closed.
    pub replaced: Option<(ParticipantId, i64)>,
    /// In this order.
    pub events: Vec<StoredEvent>,
    /// Events that are not durable: partials, and what acts before it is written.
    pub live: Vec<Event>,
    /// Sockets to close, after the events.
    pub close: Option<(Close, Whom)>,
    /// Streams that were closed: their worker lets go of them.
    pub streams: Vec<(StreamId, CloseReason)>,
    /// Jobs that were made or queued anew.
    pub jobs: Vec<(JobKind, JobId)>,
}

impl Effects {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a worker has something new to read.
    pub fn is_stored(&self) -> bool {
        !self.events.is_empty() || self.replaced.is_none() && self.live.is_empty()
    }

    /// Closes the participant's sockets below this one.
    pub fn replaced(participant: ParticipantId, socket: i64) -> Self {
        Self {
            replaced: Some((participant, socket)),
            ..Self::default()
        }
    }

    pub fn live(event: Event) -> Self {
        Self {
            live: vec![event],
            ..Self::default()
        }
    }

    pub fn close(close: Close, whom: Whom) -> Self {
        Self {
            close: Some((close, whom)),
            ..Self::default()
        }
    }

    /// These, and then those.
    pub fn extend(&mut self, more: Self) {
        self.replaced = more.replaced.or(self.replaced);
        self.events.extend(more.events);
        self.live.extend(more.live);
        self.close = more.close.or(self.close);
        self.streams.extend(more.streams);
        self.jobs.extend(more.jobs);
    }
}

impl From<Vec<StoredEvent>> for Effects {
    fn from(events: Vec<StoredEvent>) -> Self {
        Self {
            events,
            ..Self::default()
        }
    }
}

impl From<StoredEvent> for Effects {
    fn from(event: StoredEvent) -> Self {
        vec![event].into()
    }
}
