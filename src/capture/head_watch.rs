//! Watches the heads of all meetings that this process runs: one query every 100 ms, always,
//! because messages are only hints.

use crate::{
    domain::{id::MeetingId, limits::HEADS_POLL},
    queue::Queue,
    store::{
        Store, StoreError,
        event::{self, Head},
    },
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What a meeting's loop must know of the world outside.
#[derive(Clone, Debug, Default)]
pub struct News {
    pub head: Option<Head>,
    /// Since when neither Postgres nor the queue was heard, so that nobody could tell of a
    /// withdrawal.
    pub unreachable_since: Option<Instant>,
}

/// The meetings watched. Clones share them.
#[derive(Clone, Default)]
pub struct HeadWatch(Arc<Mutex<BTreeMap<MeetingId, watch::Sender<News>>>>);

/// Ends the watch when dropped.
pub struct Watched {
    head_watch: HeadWatch,
    meeting: MeetingId,
    pub news: watch::Receiver<News>,
}

impl Watched {
    /// Whether the store says that the meeting has ended.
    pub fn has_ended(&self) -> bool {
        let news = self.news.borrow();
        news.head.as_ref().is_some_and(|head| head.ended)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.head_watch.lock().remove(&self.meeting);
    }
}

impl HeadWatch {
    /// Watches one more meeting; a process never runs one twice.
    pub fn watch(&self, meeting: MeetingId) -> Watched {
        let (tx, news) = watch::channel(News::default());
        self.lock().insert(meeting, tx);
        Watched {
            head_watch: self.clone(),
            meeting,
            news,
        }
    }

    /// Whether the meeting runs in this process.
    pub fn watches(&self, meeting: MeetingId) -> bool {
        self.lock().contains_key(&meeting)
    }

    /// Polls until `stop`.
    pub async fn run(self, store: Store, queue: Queue, stop: CancellationToken) {
        let period = Duration::from_micros(HEADS_POLL.0.unsigned_abs());
        let mut tick = tokio::time::interval(period);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let asked = Instant::now();
            let meetings: Vec<MeetingId> = self.lock().keys().copied().collect();
            if meetings.is_empty() {
                heard = asked;
                continue;
            }
            // A poll that hangs is as good as none; the next one must not wait for it for long.
            let heads = tokio::time::timeout(period * 10, async {
                let mut tx = store.worker_tx().await?;
                let heads = event::heads(&mut tx, &meetings).await?;
                tx.commit().await?;
                Ok::<_, StoreError>(heads)
            })
            .await;
            let (database, heads) = match heads {
                Ok(Ok(heads)) => {
                    heard = asked;
                    (true, heads)
                }
                _ => (false, Vec::new()),
            };
            // From the last that was heard, not from when that was noticed.
            let unreachable_since = queue
                .unreachable_since()
                .filter(|_| !database)
                .map(|since| since.max(heard));
            let mut heads: BTreeMap<MeetingId, Head> =
                heads.into_iter().map(|head| (head.meeting, head)).collect();
            for (meeting, tx) in self.lock().iter() {
                let head = heads.remove(meeting);
                tx.send_if_modified(|news| {
                    let changed = news.unreachable_since != unreachable_since
                        || head
                            .as_ref()
                            .is_some_and(|head| news.head.as_ref() != Some(head));
                    news.unreachable_since = unreachable_since;
                    if let Some(head) = head {
                        news.head = Some(head);
                    }
                    changed
                });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MeetingId, watch::Sender<News>>> {
        self.0.lock()
    }
}
