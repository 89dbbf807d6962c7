//! How `api` and `capture` reach each other, and how jobs wake workers: in one process ([`local`])
//! or over RabbitMQ, behind one type with one behaviour (`tests/service/queue` holds both to it).
//!
//! Three ways to speak:
//! - **wake**: one of all the workers that listen to a kind of job takes it. Survives the broker's
//!   restart. May come twice, and only says "look": the row in `jobs` is the job.
//! - **publish / subscribe**: everybody who listens to a meeting hears it, in order. May be lost; a
//!   listener that lost something hears [`Notice::Lagged`] and reads the store again.
//! - **ask / serve**: the worker that holds a meeting answers. May be lost, then the asker sees
//!   [`AskError::Timeout`]. A process answers in the same way for the name that its leases are held
//!   by ([`Queue::live_as`]).
//!
//! Everything here is bounded in number and in time.

mod amqp;
mod local;
pub mod message;
mod routes;

pub use crate::domain::job::JobKind;
pub use routes::{Notice, Responder, Serving, Subscription};

use crate::domain::{id::MeetingId, lease::Holder};
use message::{Ask, Published, Reply, Wake};
use std::time::{Duration, Instant};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Nothing can be said at the moment: the broker is away, blocked or full. What was to be said may
/// or may not arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the queue cannot take it now")]
pub struct Unavailable;

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AskError {
    /// No worker that can be reached holds the meeting.
    #[error("no worker holds the meeting")]
    Nobody,
    /// It may have been done all the same.
    #[error("the worker that holds the meeting did not answer in time")]
    Timeout,
    #[error("the queue cannot take it now")]
    Unavailable,
}

impl From<Unavailable> for AskError {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// A process's one connection to the others. Clones share it.
#[derive(Clone)]
pub enum Queue {
    Local(local::Local),
    Amqp(amqp::Amqp),
}

impl Queue {
    /// A queue within this process.
    pub fn local() -> Self {
        Self::Local(local::Local::default())
    }

    /// A queue over RabbitMQ. Connects in the background for as long as it takes; fails only on a
    /// URL that cannot be read.
    pub fn amqp(url: &str) -> Result<Self, String> {
        amqp::Amqp::connect(url).map(Self::Amqp)
    }

    /// Wakes one of the workers that take this kind of job. `Ok` means that the wake-up is stored
    /// and survives a restart of the broker; an error may still have stored it.
    pub async fn wake(&self, kind: JobKind, wake: &Wake) -> Result<(), Unavailable> {
        match self {
            Self::Local(local) => local.wake(kind, wake),
            Self::Amqp(amqp) => amqp.wake(kind, wake).await,
        }
    }

    /// The wake-ups of one kind; all who call this compete for them.
    pub fn wakes(&self, kind: JobKind) -> Wakes {
        match self {
            Self::Local(local) => Wakes::Local(local.wakes(kind)),
            Self::Amqp(amqp) => Wakes::Amqp(amqp.wakes(kind)),
        }
    }

    /// Tells everybody who listens to the meeting. Never waits; keeps the order of calls. An error
    /// means that it was dropped (the listeners hear [`Notice::Lagged`] or see a hole in `seq`).
    pub fn publish(&self, meeting: MeetingId, told: &Published) -> Result<(), Unavailable> {
        match self {
            Self::Local(local) => local.publish(meeting, told),
            Self::Amqp(amqp) => amqp.publish(meeting, told),
        }
    }

    /// Listens to a meeting. What is published after this returned is heard, or [`Notice::Lagged`]
    /// stands in its place. When the broker cannot be reached this returns after 2 s, and `Lagged`
    /// comes as soon as it can.
    pub async fn subscribe(&self, meeting: MeetingId) -> Subscription {
        match self {
            Self::Local(local) => local.subscribe(meeting),
            Self::Amqp(amqp) => amqp.subscribe(meeting).await,
        }
    }

    /// Asks the worker that holds the meeting, and waits for its answer.
    pub async fn ask(
        &self,
        meeting: MeetingId,
        ask: &Ask,
        timeout: Duration,
    ) -> Result<Reply, AskError> {
        match self {
            Self::Local(local) => local.ask(meeting, ask, timeout).await,
            Self::Amqp(amqp) => amqp.ask(meeting, ask, timeout).await,
        }
    }

    /// Takes the meeting's asks, until the returned value is dropped or another in this process
    /// takes them. What is asked after this returned is received; when the broker cannot be reached
    /// this returns after 2 s and asks come later.
    pub async fn serve(&self, meeting: MeetingId) -> Serving {
        match self {
            Self::Local(local) => local.serve(meeting),
            Self::Amqp(amqp) => amqp.serve(meeting).await,
        }
    }

    /// Answers whoever asks whether the process lives whose leases are `owner`'s, until the
    /// returned value is dropped. When the broker cannot be reached this returns after 2 s, and is
    /// known there as soon as it can.
    pub async fn live_as(&self, owner: Uuid) -> OwnerPresence {
        // An owner is a UUID of its own, so it has its place among the meetings that are served.
        let mut serving = self.serve(MeetingId(owner)).await;
        let ended = CancellationToken::new();
        let ended_guard = ended.clone().drop_guard();
        tokio::spawn(ended.run_until_cancelled_owned(async move {
            while let Some((_, responder)) = serving.recv().await {
                responder.reply(Reply::Done);
            }
        }));
        OwnerPresence {
            _ended: ended_guard,
        }
    }

    /// Asks whether the process lives whose leases are `owner`'s.
    pub async fn is_alive(&self, owner: Uuid, at_most: Duration) -> Holder {
        match self.ask(MeetingId(owner), &Ask::Alive, at_most).await {
            Ok(_) => Holder::Alive,
            Err(AskError::Nobody) if self.may_lack_others() => Holder::Unreachable,
            Err(AskError::Nobody) => Holder::Nobody,
            Err(AskError::Timeout) => Holder::Silent,
            Err(AskError::Unavailable) => Holder::Unreachable,
        }
    }

    /// Whether others who were here may not be back yet, because the broker was away a moment ago.
    fn may_lack_others(&self) -> bool {
        match self {
            Self::Local(_) => false,
            Self::Amqp(amqp) => amqp.may_lack_others(),
        }
    }

    /// Since when nothing can be said or heard; `None` while all is well. Noticed within 3 s.
    pub fn unreachable_since(&self) -> Option<Instant> {
        match self {
            Self::Local(_) => None,
            Self::Amqp(amqp) => amqp.unreachable_since(),
        }
    }

    /// Ends everything: receivers end, later calls are refused. Waits at most 5 s for what was
    /// accepted to be said.
    pub async fn close(&self) {
        match self {
            Self::Local(local) => local.close(),
            Self::Amqp(amqp) => amqp.close().await,
        }
    }
}

/// Answers for an owner of leases while it is there.
#[must_use = "nobody answers any more once it is dropped"]
pub struct OwnerPresence {
    _ended: DropGuard,
}

/// The wake-ups of one kind of job.
pub enum Wakes {
    Local(local::LocalWakes),
    Amqp(amqp::AmqpWakes),
}

impl Wakes {
    /// The next wake-up, acknowledged as it is handed over. `None` once the queue is closed. Safe
    /// to cancel; while nobody waits here, wake-ups go to other workers.
    pub async fn recv(&mut self) -> Option<Wake> {
        match self {
            Self::Local(wakes) => wakes.recv().await,
            Self::Amqp(wakes) => wakes.recv().await,
        }
    }
}
