//! What a committed transaction tells, in the words of the queue. Apart, because `store` and
//! `queue` know nothing of each other.

use crate::{
    domain::id::MeetingId,
    queue::{
        Queue,
        message::{Published, Wake},
    },
    store::{effect::Effects, event::StoredEvent},
};

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

/// What everybody in the meeting is told, in this order.
pub fn of(effects: &Effects) -> Vec<Published> {
    effects
        .events
        .iter()
        .cloned()
        .map(Published::from)
        .collect()
}

/// Tells everybody in the meeting and wakes workers. Waits for nothing: what is lost is read from
/// the store by whoever misses it.
pub fn publish(queue: &Queue, meeting: MeetingId, effects: &Effects) {
    for told in of(effects) {
        if queue.publish(meeting, &told).is_err() {
            tracing::debug!(%meeting, "something was stored and could not be published");
        }
    }
    wake(queue, meeting, effects);
}

/// Wakes workers for the jobs that were made.
pub fn wake(queue: &Queue, meeting: MeetingId, effects: &Effects) {
    for (kind, job) in effects.jobs.iter().copied() {
        let queue = queue.clone();
        tokio::spawn(async move {
            if queue.wake(kind, &Wake { job, meeting }).await.is_err() {
                tracing::debug!(%meeting, %kind, "no worker could be woken; the sweeper will");
            }
        });
    }
}
