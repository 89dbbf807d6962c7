//! Carries out what a committed transaction asks for: the one place that publishes. Apart, because
//! `store` and `queue` know nothing of each other.

use crate::{
    domain::{
        event::Event,
        id::{JobId, MeetingId, ParticipantId},
        job::JobKind,
        peer_message::PeerMessage,
    },
    queue::{
        Queue,
        message::{Ask, Published, Wake},
    },
    store::{effect::Effects, event::StoredEvent},
};
use std::{fmt, sync::OnceLock, time::Duration};
use tracing::{Instrument, info_span};

/// How long a hint to a meeting's worker may take; it polls, so a lost one costs 100 ms.
const HINT_MAX: Duration = Duration::from_secs(2);

impl From<StoredEvent> for Published {
    fn from(
        StoredEvent {
            seq,
            kind,
            at,
            data,
        }: StoredEvent,
    ) -> Self {
        Self::Event {
            seq,
            kind,
            at,
            data,
        }
    }
}

impl From<&Event> for Published {
    /// As an event that is not durable, for everybody.
    fn from(event: &Event) -> Self {
        Self::Live {
            kind: event.kind().as_str().to_owned(),
            data: event.data(),
            to: None,
        }
    }
}

type Hears = Box<dyn Fn(MeetingId, Published) + Send + Sync>;

/// The sockets of this process, which hear what it publishes whatever becomes of the queue. Nobody
/// until signaling starts.
#[derive(Default)]
pub struct LocalSockets(OnceLock<Hears>);

impl LocalSockets {
    /// From now on they hear. The first who asks for it stays.
    pub fn listen(&self, hears: impl Fn(MeetingId, Published) + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(hears));
    }
}

impl fmt::Debug for LocalSockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Here")
            .field(&self.0.get().is_some())
            .finish()
    }
}

/// Tells everybody in the meeting, lets the worker go of closed streams, and wakes workers. Waits
/// for nothing: what is lost is read from the store by whoever misses it.
pub fn publish(queue: &Queue, here: Option<&LocalSockets>, meeting: MeetingId, effects: Effects) {
    let Effects {
        replaced,
        events,
        live,
        close,
        streams,
        jobs,
    } = effects;
    let replaced = replaced.map(|(participant, socket)| Published::Replaced {
        participant,
        socket,
    });
    let close = close.map(|(close, whom)| Published::Close { close, whom });
    let told = replaced
        .into_iter()
        .chain(events.into_iter().map(Published::from))
        .chain(live.iter().map(Published::from))
        .chain(close);
    for told in told {
        if queue.publish(meeting, &told).is_err() {
            tracing::debug!("something could not be published; sockets read the store");
        }
        if let Some(hears) = here.and_then(|here| here.0.get()) {
            hears(meeting, told);
        }
    }
    for (stream, reason) in streams {
        hint(queue, meeting, Ask::CloseStream { stream, reason });
    }
    for (kind, job) in jobs {
        wake(queue, kind, job);
    }
}

/// Wakes a worker for a job that is committed, without waiting for it. What is lost is found by the
/// workers, who look by themselves, but later.
pub fn wake(queue: &Queue, kind: JobKind, job: JobId) {
    let queue = queue.clone();
    let waking = async move {
        if queue.wake(kind, &Wake { job }).await.is_err() {
            tracing::debug!("no worker could be woken; the sweeper will");
        }
    };
    tokio::spawn(waking.instrument(info_span!("job", %kind, id = %job)));
}

/// Tells one participant what its peer connection has to say, which is not durable.
pub fn to_participant(
    queue: &Queue,
    meeting: MeetingId,
    participant: ParticipantId,
    message: &PeerMessage,
) {
    let told = Published::Live {
        kind: message.kind().into(),
        data: message.data(),
        to: Some(participant),
    };
    if queue.publish(meeting, &told).is_err() {
        tracing::debug!("a message to a participant could not be published");
    }
}

/// Asks the worker that holds the meeting without waiting for it.
pub fn hint(queue: &Queue, meeting: MeetingId, ask: Ask) {
    let queue = queue.clone();
    // Bounded by its own time limit and by the requests that cause it.
    let asking = async move {
        if let Err(error) = queue.ask(meeting, &ask, HINT_MAX).await {
            tracing::debug!(%error, "the worker was not told");
        }
    };
    tokio::spawn(asking.in_current_span());
}
